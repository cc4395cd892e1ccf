/**
 * Gives properties the seed of the run, which `vitest.config.ts` chooses. A failure prints it. Under
 * `npm run mutate` the first failure is enough: no smaller case is looked for.
 */
import * as FastCheck from "effect/FastCheck"

FastCheck.configureGlobal({
  seed: Number(process.env["TEST_SEED"]),
  endOnFailure: process.env["TEST_SHRINK"] === "no"
})
