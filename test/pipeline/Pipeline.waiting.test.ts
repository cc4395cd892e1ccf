import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, TestClock } from "effect"
import {
  ApiError,
  CircuitBreaker,
  Operation,
  Pipeline,
  Rejection,
  Telemetry
} from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { rateLimit } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { endAt, endsAt, finish, probing, slow } from "./pipeline.js"

describe("waiting for a turn", () => {
  const busy = rateLimit(Duration.minutes(1))

  /** A guard in front of which the next call has to wait for a minute. */
  const lines = [
    [
      "bulkhead",
      Effect.tap(
        Effect.map(Bulkhead.make({ concurrency: 1, queue: 9 }), (bulkhead) => ({ bulkhead })),
        ({ bulkhead }) => Effect.fork(bulkhead.protect(Effect.sleep("1 minute")))
      )
    ],
    [
      "rate limiter",
      Effect.tap(
        Effect.map(
          RateLimiter.make({ limit: 1, interval: "1 minute", maxWait: "1 hour" }),
          (rateLimiter) => ({ rateLimiter })
        ),
        ({ rateLimiter }) => Effect.fork(rateLimiter.protect(Effect.void))
      )
    ],
    [
      "cooldown",
      Effect.tap(
        Effect.map(Cooldown.make(), (cooldown) => ({ cooldown })),
        ({ cooldown }) => Effect.fork(Effect.ignore(cooldown.protect(Effect.fail(busy))))
      )
    ]
  ] as const

  const lined = (
    line: (typeof lines)[number][1],
    limits: Pick<Pipeline.Stages, "totalTimeout" | "attemptTimeout">
  ) =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const guard: Pick<Pipeline.Stages, "bulkhead" | "rateLimiter" | "cooldown"> = yield* line
      yield* Effect.yieldNow()
      const stages: Pipeline.Stages = {
        operation: Operation.read,
        circuitBreaker: breaker,
        ...guard,
        ...limits
      }
      return {
        breaker,
        pipeline: yield* Pipeline.make<never, keyof Pipeline.Stages>({
          ...stages,
          operation: Operation.read
        })
      }
    })

  it.effect.each(lines)(
    "G44: the total covers the waiting: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const probes: Array<string> = []
        const { pipeline } = yield* lined(line, { totalTimeout: "5 seconds" })
        expect(yield* endsAt([Pipeline.protect(probing(probes, "call")(Effect.void), pipeline)]))
          .toEqual([["QueueTimeout", 5000]])
        expect(probes).toEqual([])
      })
  )

  it.effect.each(lines)(
    "B3: a call that was cut while it waited says nothing to the breaker: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const { breaker, pipeline } = yield* lined(line, { totalTimeout: "5 seconds" })
        yield* finish(Pipeline.protect(Effect.void, pipeline), "10 seconds")
        const { calls, failures, inFlight, slow } = yield* breaker.snapshot()
        expect([calls, failures, slow, inFlight]).toEqual([0, 0, 0, 0])
      })
  )

  it.effect.each(lines)(
    "G40: the limit of the attempt begins with the attempt: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const { pipeline } = yield* lined(line, {
          totalTimeout: "2 minutes",
          attemptTimeout: "2 seconds"
        })
        expect(yield* endsAt([Pipeline.protect(slow, pipeline)])).toEqual([[
          "attempt timeout after 1",
          62_000
        ]])
      })
  )

  it.effect.each(lines)(
    "G44: of an attempt that has waited, what is left of the total: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const { breaker, pipeline } = yield* lined(line, {
          totalTimeout: "61 seconds",
          attemptTimeout: "2 seconds"
        })
        const exit = yield* finish(endAt(Pipeline.protect(slow, pipeline)), "2 minutes")
        expect([exit, (yield* breaker.snapshot()).failures]).toEqual([
          Exit.succeed(["total timeout after 1", 61_000]),
          1
        ])
      })
  )

  it.effect.each(lines)(
    "without a total nothing but the guard limits the waiting: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const { pipeline } = yield* lined(line, { attemptTimeout: "2 seconds" })
        expect(yield* endsAt([Pipeline.protect(Effect.void, pipeline)])).toEqual([["ok", 60_000]])
      })
  )

  it.effect.each(lines)(
    "interruption ends the waiting at once: %s",
    ([, line]) =>
      Effect.gen(function*() {
        const { breaker, pipeline } = yield* lined(line, {
          totalTimeout: "2 minutes",
          attemptTimeout: "2 seconds"
        })
        const fiber = yield* Effect.fork(Pipeline.protect(Effect.void, pipeline))
        yield* TestClock.adjust("1 second")
        const exit = yield* Fiber.interrupt(fiber)
        expect([
          Exit.isInterrupted(exit),
          yield* Clock.currentTimeMillis,
          (yield* breaker.snapshot()).inFlight
        ]).toEqual([
          true,
          1000,
          0
        ])
      })
  )

  it.effect.each([["a total", { totalTimeout: "1 minute" }], ["none", {}]] as const)(
    "G11: an attempt that ran out of time has given its permit back: with %s",
    ([, limits]) =>
      Effect.gen(function*() {
        const bulkhead = yield* Bulkhead.make({ concurrency: 1 })
        const pipeline = yield* Pipeline.make({
          operation: Operation.read,
          bulkhead,
          attemptTimeout: "2 seconds",
          ...limits
        })
        yield* finish(Pipeline.protect(slow, pipeline), "2 seconds")
        expect(yield* bulkhead.snapshot).toEqual({ running: 0, waiting: 0 })
      })
  )

  it.effect.each([["a total", { totalTimeout: "1 minute" }], ["none", {}]] as const)(
    "G21: a limit that learns sees the end of an attempt's time as a failure: with %s",
    ([, limits]) =>
      Effect.gen(function*() {
        const concurrency = yield* AdaptiveConcurrency.make({
          limit: AdaptiveConcurrency.aimd({ initial: 10, backoffRatio: 0.5 })
        })
        const pipeline = yield* Pipeline.make({
          operation: Operation.read,
          bulkhead: { concurrency: 1 },
          concurrency,
          attemptTimeout: "2 seconds",
          ...limits
        })
        yield* finish(Pipeline.protect(slow, pipeline), "2 seconds")
        const { limit, running } = yield* concurrency.snapshot()
        expect([limit, running]).toEqual([5, 0])
      })
  )

  it.effect("G44: the failure names the stage it stood before, whose line, and how long it waited", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        rateLimiter: { limit: 100, interval: "1 second" },
        bulkhead: { concurrency: 1, queue: 5, perKey: true },
        cooldown: {}
      })
      yield* Effect.fork(Pipeline.protect(Effect.never, pipeline, { key: "tenant" }))
      yield* Effect.yieldNow()
      const started = yield* Effect.fork(
        Effect.exit(Pipeline.protect(Effect.void, pipeline, { key: "tenant" }))
      )
      yield* Effect.yieldNow()
      yield* TestClock.adjust("5 seconds")
      const error = errorOf(yield* started.await.pipe(Effect.flatten))
      expect(Rejection.isRejection(error)).toBe(true)
      expect(ApiError.isApiError(error)).toBe(false)
      expect(String(error)).toContain(
        "waited 5s in the bulkhead of \"tenant\" until its time was over, and did not run"
      )
      expect(Telemetry.fields(error)).toMatchObject({ timedOut: true, error: "QueueTimeout" })
      expect(error).toEqual(
        new Rejection.QueueTimeout({
          stage: "bulkhead",
          key: "tenant",
          waited: Duration.seconds(5)
        })
      )
    }))
})
