/**
 * Gives properties the seed of the run, which `vitest.config.ts` chooses. A failure prints it.
 */
import * as FastCheck from "effect/FastCheck"

FastCheck.configureGlobal({ seed: Number(process.env["TEST_SEED"]) })
