import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit } from "effect"
import { ApiError, Backoff, CircuitBreaker, Operation, Pipeline, Verdict } from "effect-resilience"
import { down } from "../support/errors.js"
import { failed } from "../support/exits.js"
import { endAt, endOf, endsAt, finish, probing, secondly, slow } from "./pipeline.js"

describe("deadlines", () => {
  it.effect("G44: the total cuts the attempt that runs, and is not retried", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        retry: secondly
      })
      expect(yield* endsAt([Pipeline.protect(probing(probes, "call")(slow), pipeline)])).toEqual([
        ["total timeout after 1", 5000]
      ])
      expect(probes).toEqual(["call", "call: interrupted"])
    }))

  it.effect("G44: the limit of an attempt cuts each, and the total the last: whichever comes first", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "10 seconds",
        attemptTimeout: "4 seconds",
        retry: { ...secondly, retries: 9 }
      })
      // 0 to 4, 5 to 9: the next one would begin at the deadline.
      expect(yield* endsAt([Pipeline.protect(slow, pipeline)])).toEqual([[
        "attempt timeout after 2",
        9000
      ]])
      const longer = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "12 seconds",
        attemptTimeout: "4 seconds",
        retry: { ...secondly, retries: 9 }
      })
      const exit = yield* finish(Effect.timed(Effect.exit(Pipeline.protect(slow, longer))))
      expect(Exit.map(exit, ([time, exit]) => [Duration.toMillis(time), endOf(exit)])).toEqual(
        Exit.succeed([12_000, "total timeout after 3"])
      )
    }))

  it.effect("G44: where both end together it is the total", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        attemptTimeout: "5 seconds"
      })
      expect(yield* endsAt([Pipeline.protect(slow, pipeline)])).toEqual([[
        "total timeout after 1",
        5000
      ]])
    }))

  /** Takes half a second to fail: its attempts begin at 0, 1500 and 3000, with a second between. */
  const failsLate = (calls: Array<number>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      calls.push(now)
      return Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down))
    })

  it.effect.each(
    [
      ["not begun when it would end after it", "2999 millis", 2, "Server", "deadline"],
      ["not begun when it would end with it", "3 seconds", 2, "Server", "deadline"],
      ["begun when it ends before it", "3001 millis", 3, "total timeout after 3", "terminal"]
    ] as const
  )("R13: a delay is %s", ([, totalTimeout, attempts, end, reason]) =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const stops: Array<unknown> = []
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout,
        retry: secondly
      })
      const call = Effect.exit(Pipeline.protect(failsLate(calls), pipeline)).pipe(
        Effect.tap(() =>
          Effect.map(Effect.currentSpan, ({ attributes }) =>
            stops.push(attributes.get("resilience.retry.stop")))
        ),
        Effect.withSpan("call")
      )
      const exit = yield* Effect.flatten(finish(call))
      const error = failed(exit)
      expect([endOf(exit), calls.length, ApiError.isApiError(error) && error.attempts, stops])
        .toEqual([
          end,
          attempts,
          attempts,
          [reason]
        ])
    }))

  it.effect("R13: retry.within counts beside the total, the sooner of them", () =>
    Effect.gen(function*() {
      const callsWithin = (within: Duration.DurationInput, totalTimeout: Duration.DurationInput) =>
        Effect.gen(function*() {
          const calls: Array<number> = []
          const retry = { ...secondly, within }
          const pipeline = yield* Pipeline.make({ operation: Operation.read, totalTimeout, retry })
          yield* finish(Pipeline.protect(failsLate(calls), pipeline))
          return calls.length
        })
      expect([
        yield* callsWithin("3 seconds", "1 minute"),
        yield* callsWithin("1 minute", "3 seconds")
      ]).toEqual([2, 2])
    }))

  it.effect("G44: a verdict that would retry everything does not retry past the total", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        retry: { backoff: Backoff.constant(0), retries: 9, verdict: () => Verdict.transient() }
      })
      expect(yield* endsAt([Pipeline.protect(slow, pipeline)])).toEqual([[
        "total timeout after 1",
        5000
      ]])
    }))

  it.effect("B3: an attempt that the total cuts is a failure to the breaker", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        circuitBreaker: breaker
      })
      yield* finish(Pipeline.protect(slow, pipeline), "5 seconds")
      const { calls, failures, inFlight } = yield* breaker.snapshot()
      expect([calls, failures, inFlight]).toEqual([1, 1, 0])
    }))

  it.effect("B3: an upstream that never answers opens the circuit, through the total alone", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "1 second",
        circuitBreaker: { window: CircuitBreaker.count(2), minimumCalls: 2 }
      })
      const call = Pipeline.protect(slow, pipeline)
      const ends = Effect.map(
        Effect.all([endAt(call), endAt(call), endAt(call)]),
        (ends) => ends.map(([end]) => end)
      )
      expect(yield* finish(ends)).toEqual(
        Exit.succeed(["total timeout after 1", "total timeout after 1", "CircuitOpen"])
      )
    }))

  it.effect("G44: the total covers hedges: all of them end with it, and no other is started", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds",
        hedge: { delay: "2 seconds", hedges: 9 },
        retry: secondly
      })
      expect(yield* endsAt([Pipeline.protect(probing(probes, "call")(slow), pipeline)])).toEqual([
        ["total timeout after 1", 5000]
      ])
      expect(probes.toSorted()).toEqual([
        "call",
        "call",
        "call",
        "call: interrupted",
        "call: interrupted",
        "call: interrupted"
      ])
    }))

  it.effect("each call has its own total, however many run at once and however often it is run", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds"
      })
      const call = Pipeline.protect(slow, pipeline)
      expect(
        yield* endsAt([
          call,
          Effect.delay(call, "2 seconds"),
          Effect.zipRight(Effect.ignore(call), call)
        ])
      )
        .toEqual([
          ["total timeout after 1", 5000],
          ["total timeout after 1", 7000],
          ["total timeout after 1", 10_000]
        ])
    }))

  it.effect("infinite limits limit nothing", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: Duration.infinity,
        attemptTimeout: Duration.infinity
      })
      expect(yield* endsAt([Pipeline.protect(slow, pipeline)])).toEqual([["ok", 3_600_000]])
    }))
})
