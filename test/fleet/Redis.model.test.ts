import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck, Redacted } from "effect"
import { Redis as Client } from "ioredis"
import { isDeepStrictEqual } from "node:util"
import { afterAll, beforeAll } from "vitest"
import * as Machine from "../../src/core/fleetStore.js"
import * as Pushes from "../../src/fleet/redis/pushes.js"
import * as Store from "../../src/fleet/redis/store.js"
import { Members, stepsOf } from "../../src/testing/fleet/batches.js"
import { type Server, without } from "../support/processes.js"
import { isInstalled, startRedis, url } from "../support/redis.js"
import { runs } from "../support/runs.js"

if (!isInstalled) without("Redis")

/** As it comes over the wire: there is one zero. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Everything happens at, just before and just after what matters, and clocks step back. */
const steps = stepsOf({
  passes: [0, 0, 1, 10, 100.25, 500, 1000, 2000, 6000, -300],
  spans: [0, 1, 100, 500.5, 1000, 5000],
  spacings: [100, 33.3, 1 / 3],
  patiences: [0, 1, 100, 1000],
  lefts: [-200, 0, 1, 500.5, 3000],
  afters: ["", "m1", "m9"],
  clashes: true
})

describe.skipIf(!isInstalled)("Redis, the script", () => {
  let server: Server
  let client: Client
  beforeAll(async () => {
    server = await startRedis()
    client = new Client(url(server.port))
  })
  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })

  it("F4, F7, F8, F10-F13, F21: answers any batches as the pure machine does", async () => {
    let clock = 0
    let number = 0
    let batches = 0
    const store = Store.make(
      client,
      { prefix: "model:", secret: Redacted.make("secret"), push: false, clock: () => clock },
      Pushes.deaf
    )
    await FastCheck.assert(
      FastCheck.asyncProperty(steps, async (steps) => {
        const members = new Members(`fleet-${++number}`, 2000, (text) => text)
        const known = new Map<number, { readonly version: number; readonly seed: string }>()
        const state = Machine.make()
        const said: Array<string> = []
        clock = 1_000_000
        for (const step of steps) {
          clock += step.millis
          const batch = members.batch(
            step,
            state,
            known.get(step.member) ?? { version: 0, seed: "" }
          )
          batches++
          const found = await Effect.runPromise(store.exchange(batch))
          const [expected] = Machine.exchange(state, clock, batch)
          if (!expected.stale) known.set(step.member, expected)
          said.push(`${clock} ${JSON.stringify(batch)}`)
          if (!isDeepStrictEqual(plain(found), plain(expected))) {
            const answers = [found, expected].map((reply) => JSON.stringify(reply))
            throw new Error(["", ...said, "found, expected", ...answers].join("\n"))
          }
        }
      }),
      { numRuns: runs(1000, 80) }
    )
    expect(batches).toBeGreaterThan(runs(10_000, 800))
  })
})
