import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import {
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline,
  type Retry,
  type RetryBudget,
  Verdict
} from "effect-resilience"
import { down } from "../support/errors.js"
import { badDurations, refusalOf } from "../support/refusal.js"
import { callsThrough, failing, finish, secondly } from "./pipeline.js"

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

  it.effect("an operation that is missing, or written as in JSON, is a RangeError", () =>
    Effect.gen(function*() {
      const missing: { readonly operation: Operation.Operation } = JSON.parse(`{ "retry": {} }`)
      const text: { readonly operation: Operation.Operation } = JSON.parse(
        `{ "operation": "read" }`
      )
      for (const [stages, got] of [[missing, "undefined"], [text, "\"read\""]] as const) {
        expect(yield* Effect.catchAllDefect(Pipeline.make(stages), Effect.succeed)).toEqual(
          new RangeError(
            `operation should be Operation.read, idempotent, keyed or once, got ${got}`
          )
        )
      }
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
