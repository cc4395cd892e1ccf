import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import { type ApiError, Backoff, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import { down } from "../support/errors.js"
import { observed } from "../support/telemetry.js"
import { failsFirst, finish, missing, newName, seconds } from "./telemetry.js"

describe("Telemetry: figures", () => {
  it.effect("T6: for each endpoint the success rate, the 95th percentile, 4xx and 5xx apart", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const at = (endpoint: string, method = "GET") =>
        Telemetry.observe(telemetry, { endpoint, method })
      const answer = (n: number): Effect.Effect<void, ApiError.ApiError> => {
        if (n % 10 === 0) return missing
        return n % 25 === 1 ? down : Effect.void
      }
      yield* finish(Effect.forEach(
        Array.from({ length: 100 }, (_, n) => n),
        (n) => Effect.exit(at("/v1/things")(Effect.delay(answer(n), n < 90 ? 80 : 900)))
      ))
      yield* at("/v1/others", "POST")(Effect.void)

      const [others, things] = yield* Telemetry.figures(telemetry)
      expect(things).toMatchObject({ endpoint: "/v1/things", method: "GET" })
      expect(things?.calls).toMatchObject({
        count: 100,
        succeeded: 86,
        clientErrors: 10,
        serverErrors: 4,
        failed: 0
      })
      expect(things?.calls.successRate).toEqual(Option.some(0.86))
      // 90 of 100 took 80 ms, which lies between 75 and 100; the others 900 ms, between 750 and
      // 1000.
      expect(seconds(things?.calls.p50 ?? Option.none())).toBeCloseTo(0.09, 1)
      expect(seconds(things?.calls.p95 ?? Option.none())).toBeGreaterThanOrEqual(0.75)
      expect(seconds(things?.calls.p95 ?? Option.none())).toBeLessThanOrEqual(0.9)
      expect(others).toMatchObject({ endpoint: "/v1/others", method: "POST", calls: { count: 1 } })
    }))

  it.effect("T6: rejections and interruptions say nothing about the API", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      const observe = Telemetry.observe(telemetry)
      yield* observe(Effect.void)
      yield* Effect.exit(
        observe(new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: Duration.zero }))
      )
      yield* Effect.exit(observe(Effect.interrupt))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(figures?.calls).toMatchObject({ count: 3, succeeded: 1, rejected: 1, interrupted: 1 })
      expect(figures?.calls.successRate).toEqual(Option.some(1))
    }))

  it.effect("T6: an attempt that our own queue turned away was none", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        bulkhead: { concurrency: 1 }
      })
      const holding = yield* Effect.fork(Pipeline.protect(Effect.never, pipeline))
      yield* Effect.yieldNow()
      const { lines } = yield* observed(Pipeline.protect(Effect.void, pipeline))
      yield* Fiber.interrupt(holding)
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(lines.map(({ fields }) => [fields.error, fields.verdict, fields.attempts])).toEqual([
        ["BulkheadFull", "Rejected", undefined]
      ])
      expect([figures?.calls.rejected, figures?.attempts.rejected, figures?.calls.p95]).toEqual([
        1,
        0,
        Option.none()
      ])
    }))

  it.effect("T6: what was only rejected has no rate and no latency", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: false })
      yield* Effect.exit(
        Telemetry.observe(
          new CircuitBreaker.CircuitOpen({ key: "k", retryAfter: Duration.zero }),
          telemetry
        )
      )
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.successRate, figures?.calls.p95]).toEqual([
        Option.none(),
        Option.none()
      ])
    }))

  it.effect("T6: a call takes as long as its caller waits, an attempt as long as the API", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        retry: { retries: 1, backoff: Backoff.constant("10 seconds") },
        bulkhead: { concurrency: 1, queue: 1 },
        attemptTimeout: "30 seconds"
      })
      // The second waits 20 s for its turn; the first fails once, waits 10 s, and has to wait for
      // the second.
      const slowly = (first: number) =>
        Effect.zipRight(Effect.sleep("20 seconds"), failsFirst(first, down))
      const calls = [slowly(0), slowly(0)].map((call) => Pipeline.protect(call, pipeline))
      yield* finish(Effect.all(calls, { concurrency: "unbounded" }))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect(seconds(figures?.attempts.p99 ?? Option.none())).toBe(20)
      expect(seconds(figures?.calls.p99 ?? Option.none())).toBeGreaterThan(30)
    }))

  it.effect("T6: an integration is read alone, and so is an environment", () =>
    Effect.gen(function*() {
      const integration = newName()
      const production = yield* Telemetry.make({ integration, environment: "production" })
      const staging = yield* Telemetry.make({ integration, environment: "staging" })
      yield* Telemetry.observe(Effect.void, production)
      expect((yield* Telemetry.figures(production)).length).toBe(1)
      expect(yield* Telemetry.figures(staging)).toEqual([])
    }))
})
