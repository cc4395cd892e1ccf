import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { ApiError, Operation, Pipeline } from "effect-resilience"

describe("what an operator sees of a pipeline", () => {
  const every = {
    operation: Operation.read,
    circuitBreaker: {},
    throttle: {},
    rateLimiter: { limit: 5, interval: "1 second" },
    bulkhead: { concurrency: 2, perKey: true },
    concurrency: {},
    cooldown: { mode: "reject" }
  } as const satisfies Pipeline.Stages

  it.effect("G46: one snapshot for each key of each guard, as plain JSON", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(every)
      const asked = new ApiError.RateLimit({
        message: "slow down",
        status: 429,
        retryAfter: Duration.seconds(10)
      })
      yield* Pipeline.protect(Effect.void, pipeline, { key: "a" })
      yield* Effect.exit(Pipeline.protect(Effect.fail(asked), pipeline, { key: "b" }))
      const seen = yield* Pipeline.snapshot(pipeline)
      expect(JSON.parse(JSON.stringify(seen))).toEqual(seen)
      const circuit = {
        state: "Closed",
        failures: 0,
        slow: 0,
        failureRate: null,
        slowRate: null,
        inFlight: 0,
        rejected: 0,
        openings: 0,
        retryAfter: null
      }
      expect(seen).toEqual({
        circuitBreaker: [{ key: "a", calls: 1, ...circuit }, { key: "b", calls: 0, ...circuit }],
        throttle: [
          { key: "a", requests: 1, accepts: 1, probability: 0 },
          { key: "b", requests: 1, accepts: 0, probability: 0 }
        ],
        rateLimiter: [
          { key: "a", available: 4, waiting: 0 },
          { key: "b", available: 4, waiting: 0 }
        ],
        bulkhead: [
          { key: "a", running: 0, waiting: 0 },
          { key: "b", running: 0, waiting: 0 }
        ],
        concurrency: [
          { key: "a", limit: 20, running: 0 },
          { key: "b", limit: 18, running: 0 }
        ],
        cooldown: [{ key: "b", state: "Cooling", waiting: 0, retryAfter: "10000 millis" }]
      })
    }))

  it.effect("looking changes nothing", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(every)
      yield* Pipeline.protect(Effect.void, pipeline, { key: "a" })
      const first = yield* Pipeline.snapshot(pipeline)
      expect(yield* Pipeline.snapshot(pipeline)).toEqual(first)
    }))

  it.effect("an interrupted call leaves nothing in it", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ ...every, attemptTimeout: "1 minute" })
      const fiber = yield* Effect.fork(Pipeline.protect(Effect.never, pipeline))
      yield* Effect.yieldNow()
      const running = yield* Pipeline.snapshot(pipeline)
      yield* fiber.interruptAsFork(fiber.id())
      yield* fiber.await
      const left = yield* Pipeline.snapshot(pipeline)
      const numbers = (seen: typeof left) =>
        ["bulkhead", "concurrency"].map((name) =>
          (seen[name]![0] as { readonly running: number }).running
        )
      expect([numbers(running), numbers(left)]).toEqual([[1, 1], [0, 0]])
    }))
})
