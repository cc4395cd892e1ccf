import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Layer, Supervisor, TestClock } from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as Chaos from "effect-resilience/Chaos"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { vi } from "vitest"
import { down, rateLimit } from "../support/errors.js"
import { failed, squashed, wordsFor } from "../support/exits.js"
import { badDurations, refusalOf } from "../support/refusal.js"

const secondly = { backoff: Backoff.constant("1 second") }

/** An action that fails for ever, and says when it was called. */
const failing = <E>(error: E) => {
  const calls: Array<number> = []
  const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    calls.push(now)
    return Effect.fail(error)
  })
  return { calls, action }
}

/** Runs to its end under the test clock. */
const finish = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "1 day"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** How many calls one logical call becomes when it fails for ever. */
const callsThrough = (pipeline: Pipeline.Pipeline) =>
  Effect.gen(function*() {
    const { action, calls } = failing(down)
    yield* finish(Pipeline.protect(action, pipeline), "1 minute")
    return calls.length
  })

describe("make", () => {
  it.effect("applies the same stages to any number of calls", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 3, ...secondly }
      })
      const { action, calls } = failing(down)
      const protectedAction = Pipeline.protect(action, pipeline)
      yield* finish(protectedAction, "10 seconds")
      yield* finish(protectedAction, "10 seconds")
      expect(calls).toEqual([0, 1000, 2000, 3000, 10_000, 11_000, 12_000, 13_000])
    }))

  it.effect("R10: two retries are the default", () =>
    Effect.gen(function*() {
      expect(yield* callsThrough(yield* Pipeline.make({ operation: Operation.read, retry: {} })))
        .toBe(3)
    }))

  it.effect("E4: the operation decides: once does not repeat what may have been executed", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.once, retry: secondly })
      expect(yield* callsThrough(pipeline)).toBe(1)
    }))

  it.effect("E4: the operation decides: keyed repeats it, under the one key", () =>
    Effect.gen(function*() {
      const keys: Array<IdempotencyKey.IdempotencyKey> = []
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        keys.push(key)
        return Effect.fail(down)
      })
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry: secondly })
      yield* finish(action.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew))
      expect([keys.length, new Set(keys).size]).toEqual([3, 1])
    }))

  it.effect("retry.verdict judges errors that are not ours", () =>
    Effect.gen(function*() {
      const judged: Array<unknown> = []
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: {
          ...secondly,
          verdict: (error: unknown) => {
            judged.push(error)
            return judged.length === 2 ? Verdict.terminal : Verdict.transient()
          }
        }
      })
      const { action, calls } = failing("busy" as const)
      const exit = yield* finish(Pipeline.protect(action, pipeline))
      expect([judged, calls, exit]).toEqual([["busy", "busy"], [0, 1000], Exit.fail("busy")])
    }))

  it.effect("without a verdict an error that nobody understands is not repeated", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const { action, calls } = failing("busy" as const)
      yield* finish(Pipeline.protect(action, pipeline))
      expect(calls).toEqual([0])
    }))

  it.effect("R13: within bounds the waiting, counted anew for each call", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 9, within: "2500 millis" }
      })
      expect([yield* callsThrough(pipeline), yield* callsThrough(pipeline)]).toEqual([3, 3])
    }))
})

describe("nonsense is refused when the pipeline is built, by field and value", () => {
  const retries: ReadonlyArray<
    readonly [field: string, value: string, retry: Partial<Retry.Base>]
  > = [
    ["retries", "-1", { retries: -1 }],
    ["retries", "1.5", { retries: 1.5 }],
    ["retries", "NaN", { retries: NaN }],
    ["retries", "Infinity", { retries: Infinity }],
    ["within", "-5", { within: -5 }],
    ["within", "NaN", { within: NaN }],
    ["within", "soon", { within: "soon" as "1 second" }],
    ["retryAfterCap", "-1 seconds", { retryAfterCap: "-1 seconds" }],
    ["retryAfterCap", "NaN", { retryAfterCap: NaN }]
  ]

  it.effect.each(retries)("retry.%s: %s", ([field, value, retry]) =>
    Effect.gen(function*() {
      const message = yield* refusalOf(Pipeline.make({ operation: Operation.read, retry }))
      expect(message).toContain(field)
      expect(message).toContain(value)
    }))

  const budgets: ReadonlyArray<
    readonly [field: string, value: string, budget: RetryBudget.Options]
  > = [
    ["ratio", "-0.1", { ratio: -0.1 }],
    ["ratio", "NaN", { ratio: NaN }],
    ["capacity", "-1", { capacity: -1 }],
    ["capacity", "Infinity", { capacity: Infinity }],
    ["reservePerSecond", "NaN", { reservePerSecond: NaN }]
  ]

  it.effect.each(budgets)("budget.%s: %s", ([field, value, budget]) =>
    Effect.gen(function*() {
      const message = yield* refusalOf(
        Pipeline.make({ operation: Operation.read, retry: {}, budget })
      )
      expect(message).toContain(field)
      expect(message).toContain(value)
    }))

  it.effect("a nonsense budget is refused also where no retry spends it", () =>
    Effect.gen(function*() {
      const message = yield* refusalOf(
        Pipeline.make({ operation: Operation.read, budget: { ratio: -0.1 } })
      )
      expect(message).toContain("ratio")
      expect(message).toContain("-0.1")
    }))

  it("nothing is thrown before the effect runs", () => {
    expect(() => Pipeline.make({ operation: Operation.read, retry: { retries: -1 } })).not.toThrow()
  })
})

describe("budgets", () => {
  const retry = { ...secondly, retries: 9 }
  const dry = { ratio: 0, capacity: 3, reservePerSecond: 0 }

  it.effect("G45: options make a budget that all calls through the pipeline share", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget: dry })
      expect([yield* callsThrough(pipeline), yield* callsThrough(pipeline)]).toEqual([4, 1])
    }))

  it.effect("G45: the same options twice make two budgets", () =>
    Effect.gen(function*() {
      const stages = { operation: Operation.read, retry, budget: dry }
      const a = yield* Pipeline.make(stages)
      const b = yield* Pipeline.make(stages)
      expect([yield* callsThrough(a), yield* callsThrough(b)]).toEqual([4, 4])
    }))

  it.effect("G45: one pipeline effect run twice makes two budgets", () =>
    Effect.gen(function*() {
      const make = Pipeline.make({ operation: Operation.read, retry, budget: dry })
      expect([yield* callsThrough(yield* make), yield* callsThrough(yield* make)]).toEqual([4, 4])
    }))

  it.effect("G45: an instance is shared by all pipelines that were given it", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make(dry)
      const a = yield* Pipeline.make({ operation: Operation.read, retry, budget })
      const b = yield* Pipeline.make({ operation: Operation.idempotent, retry, budget })
      expect([yield* callsThrough(a), yield* callsThrough(b), yield* budget.available]).toEqual([
        4,
        1,
        0
      ])
    }))

  it.effect("R20, R22: calls at the same time share it, and their first attempts are never refused", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget: dry })
      const { action, calls } = failing(down)
      yield* finish(
        Effect.all(
          Array.from({ length: 5 }, () => Effect.exit(Pipeline.protect(action, pipeline))),
          {
            concurrency: "unbounded"
          }
        )
      )
      expect(calls.length).toBe(5 + 3)
    }))

  it.effect("R20: successes through the pipeline pay in", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ...dry, ratio: 0.5 })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, budget })
      yield* callsThrough(pipeline)
      const empty = yield* budget.available
      yield* Effect.replicateEffect(Pipeline.protect(Effect.void, pipeline), 3)
      expect([empty, yield* budget.available]).toEqual([0, 1.5])
    }))
})

describe("protect", () => {
  it.effect("G40: absent stages cost nothing: the effect comes back unchanged", () =>
    Effect.gen(function*() {
      const { action } = failing(down)
      const bare = yield* Pipeline.make({ operation: Operation.read })
      expect([Pipeline.protect(action, bare) === action, Pipeline.protect(bare)(action) === action])
        .toEqual([
          true,
          true
        ])
    }))

  it.effect("without a retry stage there is one attempt, and the error is the very same value", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const exit = yield* finish(
        Pipeline.protect(action, yield* Pipeline.make({ operation: Operation.read }))
      )
      expect([
        calls,
        Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error === down
      ]).toEqual([
        [0],
        true
      ])
    }))

  it.effect("takes the effect first or last, with and without options", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 1 }
      })
      const { action, calls } = failing(down)
      const styles = [
        Pipeline.protect(action, pipeline),
        Pipeline.protect(action, pipeline, { key: "tenant-1" }),
        action.pipe(Pipeline.protect(pipeline)),
        action.pipe(Pipeline.protect(pipeline, { key: "tenant-1" }))
      ]
      const attempts: Array<number> = []
      for (const style of styles) {
        const before = calls.length
        yield* finish(style, "10 seconds")
        attempts.push(calls.length - before)
      }
      expect(attempts).toEqual([2, 2, 2, 2])
    }))

  it.effect("a success comes through as it is", () =>
    Effect.gen(function*() {
      const value = { id: 1 }
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: secondly,
        budget: {}
      })
      expect((yield* Pipeline.protect(Effect.succeed(value), pipeline)) === value).toBe(true)
    }))

  it.effect("R14: the last error comes back with the number of attempts", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const exit = yield* finish(Pipeline.protect(failing(down).action, pipeline))
      const error = squashed(exit)
      expect([
        ApiError.isApiError(error) && error.attempts,
        ApiError.isApiError(error) && error.status
      ]).toEqual([
        3,
        503
      ])
    }))

  it.effect("R16: a defect is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const broken = Effect.suspend(() => {
        calls++
        return Effect.die("bug")
      })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      expect([yield* finish(Pipeline.protect(broken, pipeline)), calls]).toEqual([
        Exit.die("bug"),
        1
      ])
    }))

  it.effect("R12: interruption during a delay ends the call at that moment, and the action is not run again", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(down)
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: secondly,
        budget: {}
      })
      const fiber = yield* Effect.fork(Pipeline.protect(action, pipeline))
      yield* TestClock.adjust("1500 millis")
      const exit = yield* Fiber.interrupt(fiber)
      const at = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), at, calls]).toEqual([true, 1500, [0, 1000]])
    }))

  it.effect("R12: interruption during an attempt reaches the action", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => probes.push("released")))
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry: secondly })
      const fiber = yield* Effect.fork(Pipeline.protect(action, pipeline))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      expect(probes).toEqual(["released"])
    }))
})

/** How a call ended, in a word; of a timeout, whose it was and after how many attempts. */
const endOf = wordsFor({
  value: () => "ok",
  failure: (error) =>
    error instanceof ApiError.Timeout
      ? `${error.deadline} timeout after ${error.attempts}`
      : undefined
})

/** Says when something begins, and when and how it ends. */
const probing = (probes: Array<string>, name: string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.sync(() => probes.push(name)).pipe(
    Effect.zipRight(self),
    Effect.onExit((exit) => Effect.sync(() => probes.push(`${name}: ${endOf(exit)}`)))
  )

/** An instance of a guard that says when a call goes through it. */
const traced = <I extends { readonly protect: unknown }>(
  probes: Array<string>,
  name: string,
  instance: I
): I => ({
  ...instance,
  protect: probing(probes, name)
})

const tracedGuards = (probes: Array<string>) =>
  Effect.gen(function*() {
    return {
      circuitBreaker: traced(probes, "breaker", yield* CircuitBreaker.make()),
      throttle: traced(probes, "throttle", yield* AdaptiveThrottle.make()),
      rateLimiter: traced(
        probes,
        "limiter",
        yield* RateLimiter.make({ limit: 1, interval: "1 second" })
      ),
      bulkhead: traced(probes, "bulkhead", yield* Bulkhead.make({ concurrency: 1 })),
      concurrency: traced(probes, "concurrency", yield* AdaptiveConcurrency.make()),
      cooldown: traced(probes, "cooldown", yield* Cooldown.make()),
      chaos: traced(probes, "chaos", yield* Chaos.make({ faults: [Chaos.latency(0)] }))
    }
  })

/** How a call through a pipeline ends, and when. */
const endAt = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.exit(call),
    (exit) => Effect.map(Clock.currentTimeMillis, (now) => [endOf(exit), now] as const)
  )

/** The same for calls that are made at the same time, with plenty of time to end. */
const endsAt = <A, E, R>(calls: ReadonlyArray<Effect.Effect<A, E, R>>) =>
  Effect.flatten(finish(Effect.all(calls.map(endAt), { concurrency: "unbounded" })))

const slow = Effect.sleep("1 hour")

describe("the order of the stages", () => {
  const inside = [
    "breaker",
    "throttle",
    "limiter",
    "bulkhead",
    "concurrency",
    "cooldown",
    "chaos",
    "call"
  ]

  it.effect.each(
    [
      ["without limits of time", {}],
      ["with a limit for attempts", { attemptTimeout: "1 second" }],
      ["with a total", { totalTimeout: "1 minute" }],
      ["with both", { totalTimeout: "1 minute", attemptTimeout: "1 second" }]
    ] as const
  )("G40: is always the same: %s", ([, limits]) =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        ...(yield* tracedGuards(probes)),
        ...limits,
        operation: Operation.read,
        retry: { ...secondly, retries: 1 }
      })
      const call = probing(probes, "call")(Effect.fail(down))
      yield* finish(Pipeline.protect(call, pipeline))
      const attempt = [...inside, ...inside.toReversed().map((name) => `${name}: Server`)]
      expect(probes).toEqual([...attempt, ...attempt])
    }))

  it.effect("G40: a hedge is inside of the retry and outside of the guards", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const pipeline = yield* Pipeline.make({
        ...(yield* tracedGuards(probes)),
        operation: Operation.read,
        retry: { ...secondly, retries: 1 },
        hedge: { delay: "100 millis" },
        totalTimeout: "1 minute"
      })
      yield* finish(
        Pipeline.protect(Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down)), pipeline)
      )
      const passed = inside.slice(0, -1)
      expect(probes.filter((probe) => !probe.includes(":"))).toEqual([
        ...passed,
        ...passed,
        ...passed,
        ...passed
      ])
    }))

  it.effect.each(
    [
      ["around the breaker", true, ["Failure", "Failure", "Failure"]],
      ["inside of it", false, ["Failure"]]
    ] as const
  )("G40, R17: a retry %s", ([, isAround, outcomes]) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const circuitBreaker = {
        classify: (exit: Exit.Exit<unknown, unknown>) => {
          const outcome = CircuitBreaker.classify(exit)
          seen.push(outcome._tag)
          return outcome
        }
      }
      const retry = { ...secondly, retries: 2 }
      const { action } = failing(down)
      const breaker = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
      const both = yield* Pipeline.make({ operation: Operation.read, circuitBreaker, retry })
      yield* finish(
        isAround
          ? Pipeline.protect(action, both)
          : Pipeline.protect(Retry.retry(action, { operation: Operation.read, ...retry }), breaker)
      )
      expect(seen).toEqual(outcomes)
    }))
})

describe("the key", () => {
  const stages = {
    operation: Operation.keyed,
    retry: { ...secondly, retries: 1 },
    hedge: { delay: "100 millis" }
  } as const

  it.effect("G40: is fixed once, for all retries and hedges", () =>
    Effect.gen(function*() {
      const keys: Array<IdempotencyKey.IdempotencyKey> = []
      const action = IdempotencyKey.IdempotencyKey.pipe(
        Effect.tap((key) => Effect.sync(() => keys.push(key))),
        Effect.zipRight(Effect.sleep("500 millis")),
        Effect.zipRight(Effect.fail(down))
      )
      const pipeline = yield* Pipeline.make({
        ...stages,
        totalTimeout: "1 minute",
        attemptTimeout: "10 seconds"
      })
      yield* finish(action.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew))
      expect([keys.length, new Set(keys).size]).toEqual([4, 1])
    }))

  const repeated = ["retry", "hedge"] as const

  it.effect.each(repeated)(
    "R18: an attempt of a %s that would make one dies",
    (stage) =>
      Effect.gen(function*() {
        const pipeline = yield* Pipeline.make({
          operation: Operation.keyed,
          [stage]: stages[stage]
        })
        const exit = yield* finish(
          IdempotencyKey.provideNew(Effect.void).pipe(
            Pipeline.protect(pipeline),
            IdempotencyKey.provideNew
          )
        )
        expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(
          "would make a new key for every attempt"
        )
      })
  )
})

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
})

describe("interruption", () => {
  it.effect("ends the attempt, and is over when its finalizers are", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const breaker = yield* CircuitBreaker.make()
      const bulkhead = yield* Bulkhead.make({ concurrency: 1 })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "1 minute",
        retry: secondly,
        circuitBreaker: breaker,
        bulkhead,
        attemptTimeout: "10 seconds"
      })
      const call = Effect.onInterrupt(probing(probes, "call")(slow), () => Effect.sleep("1 second"))
      const fiber = yield* Effect.fork(Pipeline.protect(call, pipeline))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.fork(
        Effect.zipRight(Fiber.interrupt(fiber), Clock.currentTimeMillis)
      )
      yield* TestClock.adjust("1 minute")
      expect([
        probes,
        yield* Fiber.join(interrupting),
        (yield* bulkhead.snapshot).running,
        yield* Effect.map(breaker.snapshot(), ({ calls, inFlight }) => [calls, inFlight])
      ]).toEqual([["call", "call: interrupted"], 2000, 0, [0, 0]])
    }))
})

/** Counts the fibers that are started. */
class Counting extends Supervisor.AbstractSupervisor<number> {
  started = 0
  override readonly value = Effect.sync(() => this.started)
  override onStart(): void {
    this.started++
  }
}

describe("forks and timers", () => {
  const four = {
    operation: Operation.read,
    totalTimeout: "1 minute",
    retry: { retries: 2, backoff: Backoff.constant(0) },
    circuitBreaker: {},
    attemptTimeout: "10 seconds"
  } as const

  const forks = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const supervisor = new Counting()
      return Effect.exit(call).pipe(
        Effect.supervised(supervisor),
        Effect.zipRight(supervisor.value)
      )
    })

  const failsLater = Effect.zipRight(Effect.yieldNow(), Effect.fail(down))

  it.live("G44: one fork per attempt at most", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(four)
      const waiting = yield* Pipeline.make({
        ...four,
        rateLimiter: { limit: 9, interval: "1 second" },
        bulkhead: { concurrency: 9, queue: 9 },
        concurrency: {},
        throttle: {},
        cooldown: {}
      })
      expect([
        yield* forks(Pipeline.protect(Effect.yieldNow(), pipeline)),
        yield* forks(Pipeline.protect(failsLater, pipeline)),
        yield* forks(Pipeline.protect(Effect.yieldNow(), waiting)),
        yield* forks(Pipeline.protect(failsLater, waiting))
      ]).toEqual([1, 3, 1, 3])
    }))

  it.live("G44: without limits of time there is none", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: four.retry,
        circuitBreaker: {}
      })
      expect(yield* forks(Pipeline.protect(failsLater, pipeline))).toBe(0)
    }))

  /** The milliseconds of the timers that a call arms, and how many of them are left. */
  const timers = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const seen: Array<number> = []
        const armed = new Set<number>()
        vi.stubGlobal("setTimeout", (_: () => void, millis: number) => {
          armed.add(seen.push(millis))
          return seen.length
        })
        vi.stubGlobal("clearTimeout", (id: number) => armed.delete(id))
        return { seen, armed }
      }),
      ({ armed, seen }) => Effect.map(Effect.exit(call), () => [seen, armed.size]),
      () => Effect.sync(() => vi.unstubAllGlobals())
    )

  it.live("G44: one timer per attempt, for what ends first", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(four)
      const shorter = yield* Pipeline.make({ ...four, totalTimeout: "10 seconds" })
      expect([
        yield* timers(Pipeline.protect(failsLater, pipeline)),
        yield* timers(Pipeline.protect(Effect.yieldNow(), shorter))
      ]).toEqual([[[10_000, 10_000, 10_000], 0], [[10_000], 0]])
    }))

  it.live("G2: a call that ends at once arms none", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ ...four, bulkhead: { concurrency: 1 } })
      expect(yield* timers(Pipeline.protect(Effect.fail(down), pipeline))).toEqual([[], 0])
    }))
})

describe("state", () => {
  const opensAtOnce = { window: CircuitBreaker.count(1), minimumCalls: 1 }

  it.effect("G45: a breaker belongs to the pipeline, not to the call", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        circuitBreaker: opensAtOnce
      })
      const call = Effect.exit(Pipeline.protect(Effect.fail(down), pipeline))
      expect([endOf(yield* call), endOf(yield* call)]).toEqual(["Server", "CircuitOpen"])
    }))

  it.effect("G45: the same options twice make two, the same instance is shared", () =>
    Effect.gen(function*() {
      const secondEnd = (circuitBreaker: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options) =>
        Effect.gen(function*() {
          const a = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
          const b = yield* Pipeline.make({
            operation: Operation.read,
            circuitBreaker,
            totalTimeout: "1 second"
          })
          yield* Effect.exit(Pipeline.protect(Effect.fail(down), a))
          return endOf(yield* Effect.exit(Pipeline.protect(Effect.fail(down), b)))
        })
      expect([
        yield* secondEnd(opensAtOnce),
        yield* secondEnd(yield* CircuitBreaker.make(opensAtOnce))
      ]).toEqual([
        "Server",
        "CircuitOpen"
      ])
    }))

  it.effect.each([["a total", { totalTimeout: "1 minute" }], ["none", {}]] as const)(
    "G45: the key of a call goes to every stage that has keys: with %s",
    ([, limits]) =>
      Effect.gen(function*() {
        const circuitBreaker = yield* CircuitBreaker.make()
        const throttle = yield* AdaptiveThrottle.make()
        const rateLimiter = yield* RateLimiter.make({ limit: 5, interval: "1 hour" })
        const concurrency = yield* AdaptiveConcurrency.make({
          limit: AdaptiveConcurrency.aimd({ initial: 10 })
        })
        const cooldown = yield* Cooldown.make()
        const busy = rateLimit(Duration.minutes(1))
        const guards = { circuitBreaker, throttle, rateLimiter, concurrency, cooldown }
        const pipeline = yield* Pipeline.make({ operation: Operation.read, ...guards, ...limits })
        yield* Effect.exit(Pipeline.protect(Effect.fail(busy), pipeline, { key: "a" }))
        yield* Effect.exit(
          Pipeline.protect(Effect.fail(down), pipeline, { key: "a" }).pipe(
            Effect.timeout(1),
            Effect.fork
          )
        )
        const seen = (key: string) =>
          Effect.all([
            Effect.map(throttle.snapshot(key), ({ requests }) => requests),
            Effect.map(rateLimiter.snapshot(key), ({ available }) => available),
            Effect.map(concurrency.snapshot(key), ({ limit }) => limit === 10),
            Effect.map(cooldown.snapshot(key), ({ state }) => state)
          ])
        expect([yield* seen("a"), yield* seen("b")]).toEqual([[1, 4, false, "Cooling"], [
          0,
          5,
          true,
          "Clear"
        ]])
      })
  )

  it.effect("R22: retries and hedges spend from the same budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, capacity: 10, reservePerSecond: 0 })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 2 },
        hedge: { delay: "100 millis" },
        budget
      })
      yield* finish(
        Pipeline.protect(Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down)), pipeline)
      )
      // Three attempts with a hedge each, and two retries.
      expect(yield* budget.available).toBe(5)
    }))

  it.effect("R20, R22: a refused hedge leaves the call alone, and successes pay in also where nothing retries", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, capacity: 1, reservePerSecond: 0 })
      yield* budget.withdraw
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        hedge: { delay: "100 millis" },
        budget
      })
      const probes: Array<string> = []
      const exit = yield* finish(
        Pipeline.protect(probing(probes, "call")(Effect.sleep("1 second")), pipeline)
      )
      expect([endOf(exit), probes, yield* budget.available]).toEqual([
        "ok",
        ["call", "call: ok"],
        0.5
      ])
    }))

  it.effect("chaos is innermost, and off unless somebody enables it", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 1 },
        chaos: { rate: 1, faults: [Chaos.failure(() => down)] }
      })
      const call = finish(Pipeline.protect(Effect.succeed("ok"), pipeline))
      const error = failed(yield* Effect.provide(call, Chaos.layerEnabled))
      expect([endOf(yield* call), ApiError.isApiError(error) && error.attempts]).toEqual(["ok", 2])
    }))

  it.effect("for another kind of operation: the same state, other repetitions", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(99),
        minimumCalls: 99
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "1 minute",
        retry: secondly,
        hedge: { delay: "100 millis" },
        circuitBreaker: breaker
      })
      const once = Pipeline.forOperation(pipeline, Operation.once)
      const callsOf = <E>(pipeline: Pipeline.Pipeline<E>) =>
        Effect.gen(function*() {
          const probes: Array<string> = []
          const call = Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down))
          yield* finish(Pipeline.protect(probing(probes, "call")(call), pipeline), "10 seconds")
          return probes.length / 2
        })
      expect([
        yield* callsOf(once),
        yield* callsOf(pipeline),
        yield* callsOf(Pipeline.forOperation(once, Operation.idempotent)),
        (yield* breaker.snapshot()).calls
      ]).toEqual([1, 6, 6, 13])
    }))
})

describe("a tag", () => {
  class Reads extends Pipeline.Tag("Reads")<Reads>()({
    operation: Operation.read,
    totalTimeout: "5 seconds",
    circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
  }) {}

  it.effect("G45: provides one pipeline to all calls of a program, and another to another program", () =>
    Effect.gen(function*() {
      const call = Effect.map(Effect.exit(Reads.protect(Effect.fail(down))), endOf)
      const program = Effect.provide(Effect.all([call, call]), Reads.layer)
      expect([yield* program, yield* program]).toEqual([["Server", "CircuitOpen"], [
        "Server",
        "CircuitOpen"
      ]])
    }))

  it.effect("protects an effect that is a tag itself", () =>
    Effect.gen(function*() {
      const layer = Layer.merge(Reads.layer, RetryBudget.layer())
      const budget = yield* Effect.provide(Reads.protect(RetryBudget.RetryBudget), layer)
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds"
      })
      const same = yield* Effect.provide(Pipeline.protect(RetryBudget.RetryBudget, pipeline), layer)
      expect([yield* budget.available, yield* same.available]).toEqual([10, 10])
    }))

  it.effect("is an effect that gives the pipeline, for calls with a key", () =>
    Effect.gen(function*() {
      const call = (key: string) =>
        Effect.flatMap(
          Reads,
          (pipeline) => Effect.exit(Pipeline.protect(Effect.fail(down), pipeline, { key }))
        )
      const ends = Effect.map(
        Effect.all([call("a"), call("b"), call("a")]),
        (exits) => exits.map(endOf)
      )
      expect(yield* Effect.provide(ends, Reads.layer)).toEqual(["Server", "Server", "CircuitOpen"])
    }))

  it.effect("its layer dies where a pipeline would", () =>
    Effect.gen(function*() {
      class Broken extends Pipeline.Tag("Broken")<Broken>()({
        operation: Operation.read,
        retry: { retries: -1 }
      }) {}
      expect(yield* refusalOf(Effect.provide(Broken.protect(Effect.void), Broken.layer))).toContain(
        "retries"
      )
    }))
})

describe("what the stages cannot both mean", () => {
  const build = (stages: Omit<Pipeline.Stages, "operation">) =>
    refusalOf(Pipeline.make<never, keyof Pipeline.Stages>({ ...stages, operation: Operation.read }))

  const refused: ReadonlyArray<
    readonly [stages: Omit<Pipeline.Stages, "operation">, message: string]
  > = [
    [
      { attemptTimeout: "5 seconds", totalTimeout: "2 seconds" },
      "attemptTimeout should be at most totalTimeout (\"2 seconds\"), got \"5 seconds\""
    ],
    [
      {
        circuitBreaker: { slowCall: { duration: 2000, rate: 0.5 } },
        attemptTimeout: Duration.seconds(2)
      },
      "circuitBreaker.slowCall.duration should be less than attemptTimeout (2s), got 2000 ms"
    ],
    [
      { circuitBreaker: { trialTimeout: "1 second" }, attemptTimeout: "2 seconds" },
      "circuitBreaker.trialTimeout should be at least attemptTimeout (\"2 seconds\"), got \"1 second\""
    ],
    [
      { retry: { retries: 3, backoff: Backoff.constant("1 second") }, totalTimeout: "3 seconds" },
      "retry.retries times the smallest delay of retry.backoff (3 times 1s) should be less than totalTimeout (\"3 seconds\"), got 3s"
    ],
    [
      {
        retry: {
          retries: 2,
          backoff: Backoff.exponential({ base: "2 seconds", jitter: Backoff.equal })
        },
        totalTimeout: 2000
      },
      "retry.retries times the smallest delay of retry.backoff (2 times 1s) should be less than totalTimeout (2000 ms), got 2s"
    ]
  ]

  it.effect.each(refused)("G42: %j", ([stages, message]) =>
    Effect.gen(function*() {
      expect(yield* build(stages)).toBe(message)
    }))

  const accepted: ReadonlyArray<
    readonly [why: string, stages: Omit<Pipeline.Stages, "operation">]
  > = [
    ["equal limits", { attemptTimeout: 2000, totalTimeout: "2 seconds" }],
    ["a slow call just under the limit", {
      circuitBreaker: { slowCall: { duration: 1999, rate: 1 } },
      attemptTimeout: 2000
    }],
    ["a trial as long as an attempt", {
      circuitBreaker: { trialTimeout: 2000 },
      attemptTimeout: 2000
    }],
    ["delays that just fit", {
      retry: { retries: 3, backoff: Backoff.constant(999) },
      totalTimeout: 3000
    }],
    ["delays that may be zero", {
      retry: { retries: 99, backoff: Backoff.exponential({ base: 1000 }) },
      totalTimeout: 10
    }],
    ["the default slow call", { circuitBreaker: {}, attemptTimeout: "1 second" }],
    ["slow calls that do not count", {
      circuitBreaker: { slowCall: false },
      attemptTimeout: "1 second"
    }],
    ["the default number of retries", {
      retry: { backoff: Backoff.constant("1 minute") },
      totalTimeout: "1 second"
    }],
    ["the default backoff", { retry: { retries: 99 }, totalTimeout: "1 milli" }]
  ]

  it.effect.each(accepted)("G42: accepted: %s", ([, stages]) =>
    Effect.gen(function*() {
      expect(yield* build(stages)).toBe("accepted")
    }))

  it.effect("G42: an instance is not compared", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* CircuitBreaker.make({
        slowCall: { duration: "5 seconds", rate: 1 },
        trialTimeout: 1
      })
      expect(yield* build({ circuitBreaker, attemptTimeout: "2 seconds" })).toBe("accepted")
    }))

  it.effect.each(["totalTimeout", "attemptTimeout"] as const)(
    "nonsense in %s is refused",
    (field) =>
      Effect.gen(function*() {
        for (const [duration, shown] of [...badDurations, [0, "0"] as const]) {
          const message = yield* build({ [field]: duration })
          expect([message.includes(field), message.includes(shown)]).toEqual([true, true])
        }
      })
  )

  it.effect("nonsense in any stage is refused when the pipeline is built", () =>
    Effect.gen(function*() {
      const messages = yield* Effect.all([
        build({ hedge: { delay: -1 } }),
        build({ circuitBreaker: { minimumCalls: 0 } }),
        build({ throttle: { multiplier: 0 } }),
        build({ rateLimiter: { limit: 0, interval: 1 } }),
        build({ bulkhead: { concurrency: 0 } }),
        build({ concurrency: { idleTimeToLive: -1 } }),
        build({ cooldown: { cap: -1 } }),
        build({ chaos: { faults: [] } })
      ])
      expect(messages.map((message) => /^\w+/.exec(message)?.[0])).toEqual([
        "delay",
        "minimumCalls",
        "multiplier",
        "limit",
        "concurrency",
        "idleTimeToLive",
        "cap",
        "faults"
      ])
    }))
})
