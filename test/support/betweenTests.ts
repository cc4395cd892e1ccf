/**
 * Lets a worker hear what is sent to it between two tests. A file of tests that never wait would
 * keep it from that until its end, and after a minute without an answer its run fails.
 */
import { setImmediate } from "node:timers"
import { afterEach } from "vitest"

afterEach(() => new Promise<void>((resolve) => setImmediate(resolve)))
