import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Operation, Pipeline } from "effect-resilience"
import { refusalOf } from "../support/refusal.js"

describe("sizes have bounds", () => {
  it.effect.each(
    [
      [{ circuitBreaker: { window: { _tag: "Count", size: 1e12 } } }, "window.size", 1_000_000],
      [
        { circuitBreaker: { window: { _tag: "Time", duration: "1 minute", buckets: 1e9 } } },
        "window.buckets",
        10_000
      ],
      [
        { circuitBreaker: { halfOpen: { _tag: "Consecutive", trials: 1e6 } } },
        "halfOpen.trials",
        1000
      ],
      [{ bulkhead: { concurrency: 1, queue: 1e9 } }, "queue", 1_000_000],
      [{ hedge: { delay: "1 second", hedges: 1e6 } }, "hedges", 100],
      [{ hedge: { delay: { _tag: "Quantile", quantile: 0.9, samples: 1e9 } } }, "samples", 100_000]
    ] as const
  )(
    "G47: %j is refused in JSON, and in code in the same words",
    ([json, field, maximum]) =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(Pipeline.fromConfig({ operation: "read", ...json }))
        expect(refused.message).toMatch(
          new RegExp(`${field}:? should be a whole number of at most ${maximum}, got \\d+`)
        )
        expect(JSON.stringify(Pipeline.jsonSchema())).toContain(`"maximum":${maximum}`)
        const inCode = { operation: Operation.read, ...json as Omit<Pipeline.Stages, "operation"> }
        expect(yield* refusalOf(Pipeline.make(inCode))).toMatch(
          new RegExp(`${field} should be a whole number of at most ${maximum}, got \\d+`)
        )
      })
  )

  it("G47: describing costs the same for any number of retries", () => {
    const of = (retries: number) =>
      Pipeline.describe({ operation: Operation.read, retry: { retries }, attemptTimeout: 1000 })
    const begun = performance.now()
    const { worstCaseCalls } = of(1e8)
    expect(worstCaseCalls).toBe(1e8 + 1)
    expect(performance.now() - begun).toBeLessThan(500)
  })
})
