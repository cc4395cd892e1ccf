/** R19 as a property: a call may have been executed if and only if one of its attempts may. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, TestContext } from "effect"
import { ApiError, Backoff, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import { finish } from "../retry/retry.js"
import { conflict, network, notFound, rateLimit, server, timeout } from "../support/errors.js"
import { failed } from "../support/exits.js"
import { runs } from "../support/runs.js"

const outcomes = {
  refused: () => network("no"),
  limited: () => rateLimit(),
  early: () => server(425),
  missing: notFound,
  inFlight: () => conflict({ inFlight: true }),
  waited: () => timeout("server"),
  reset: () => network(),
  down: () => server(),
  late: () => timeout("attempt")
} as const

const isOpen = new Set<keyof typeof outcomes>(["reset", "down", "late"])

const attempt = fc.record({
  outcome: fc.constantFrom(...Object.keys(outcomes) as Array<keyof typeof outcomes>),
  millis: fc.constantFrom(0, 5, 40)
})

const stages = fc.record({
  retries: fc.integer({ min: 0, max: 5 }),
  hedges: fc.integer({ min: 0, max: 2 }),
  breaker: fc.boolean(),
  limit: fc.integer({ min: 0, max: 4 }),
  waitForRejections: fc.boolean()
})

describe("R19: retry, hedge, breaker and limiter together", () => {
  it.effect("R19: mayHaveRun if and only if some attempt may have run", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(attempt, { minLength: 1, maxLength: 8 }),
          stages,
          async (attempts, { breaker, hedges, limit, retries, waitForRejections }) => {
            const made: Array<keyof typeof outcomes> = []
            const program = Effect.gen(function*() {
              const pipeline = yield* Pipeline.make({
                operation: Operation.read,
                retry: { retries, backoff: Backoff.constant("1 millis"), waitForRejections },
                ...(hedges > 0 ? { hedge: { delay: "10 millis", hedges } } : {}),
                ...(breaker
                  ? {
                    circuitBreaker: {
                      window: CircuitBreaker.count(2),
                      minimumCalls: 1,
                      failureRate: 0.5,
                      openDuration: "1 minute"
                    }
                  }
                  : {}),
                ...(limit > 0
                  ? { rateLimiter: { limit, interval: "1 hour", maxWait: Duration.zero } }
                  : {})
              })
              const call = Effect.suspend(() => {
                const { millis, outcome } = attempts[made.length % attempts.length]!
                made.push(outcome)
                const end = Effect.fail<ApiError.ApiError>(outcomes[outcome]())
                return millis === 0 ? end : Effect.delay(end, Duration.millis(millis))
              })
              return yield* finish(Pipeline.protect(call, pipeline))
            })
            const { exit } = await Effect.runPromise(
              Effect.provide(program, TestContext.TestContext)
            )
            const error = failed(exit)
            expect([made, error?._tag, ApiError.mayHaveRun(error)]).toEqual([
              made,
              error?._tag,
              made.some((outcome) => isOpen.has(outcome))
            ])
          }
        ),
        { numRuns: runs(1000, 100) }
      )
    ))
})
