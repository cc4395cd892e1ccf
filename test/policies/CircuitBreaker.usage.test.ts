import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Layer, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { server } from "../support/errors.js"
import { refusal, refusalOf } from "../support/refusal.js"
import { down, many, numbers, ok, wordOf } from "./circuitBreaker.js"

describe("ways to use it", () => {
  class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
  class Search extends CircuitBreaker.Tag("Search")<Search>() {}

  it.effect("both call styles of protect are the same", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const seen = [
        yield* breaker.protect(ok),
        yield* breaker.protect(ok, {}),
        yield* ok.pipe(breaker.protect()),
        yield* ok.pipe(breaker.protect({})),
        yield* breaker.protect(ok, { key: "a" }),
        yield* ok.pipe(breaker.protect({ key: "a" })),
        yield* ok.pipe(breaker.protect({ key: "a", classify: () => CircuitBreaker.failure() }))
      ]
      expect([seen, yield* numbers(breaker), yield* numbers(breaker, "a")]).toEqual([
        many(7, "ok"),
        "Closed: 4 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 3 calls, 1 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("a protected effect is a value: each run of it is a call", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      let ran = 0
      const effect = breaker.protect(Effect.suspend(() => ++ran === 2 ? Effect.fail(server()) : ok))
      const words = yield* Effect.forEach([1, 2, 3], () => Effect.map(Effect.exit(effect), wordOf))
      yield* TestClock.adjust(30_000)
      expect([words, yield* effect, ran]).toEqual([["ok", "Server", "CircuitOpen 30000"], "ok", 3])
    }))

  it.effect("two breakers of one program know nothing of each other", () =>
    Effect.gen(function*() {
      yield* Effect.exit(Payments.protect(down))
      yield* Effect.exit(down.pipe(Search.protect({ key: "eu" })))
      const payments = yield* Payments
      const search = yield* Search
      const word = Effect.map(Effect.exit(ok.pipe(Payments.protect())), wordOf)
      expect([
        yield* payments.state(),
        yield* search.state(),
        yield* search.state("eu"),
        yield* word,
        yield* Search.protect(ok)
      ]).toEqual(["Open", "Closed", "Closed", "CircuitOpen 30000", "ok"])
    }).pipe(Effect.provide(Layer.mergeAll(Payments.layer(brittle), Search.layer()))))

  it.effect("the default tag: layer, protect in both styles", () =>
    Effect.gen(function*() {
      yield* CircuitBreaker.protect(ok)
      yield* ok.pipe(CircuitBreaker.protect({ key: "a" }))
      yield* Effect.exit(CircuitBreaker.protect(down, { key: "a" }))
      const breaker = yield* CircuitBreaker.CircuitBreaker
      expect([yield* numbers(breaker), yield* numbers(breaker, "a")]).toEqual([
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight",
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }).pipe(
      Effect.provide(
        CircuitBreaker.layer({ ...brittle, window: CircuitBreaker.count(2), failureRate: 0.5 })
      )
    ))

  it.effect("each layer that is built has a state of its own", () =>
    Effect.gen(function*() {
      const layer = CircuitBreaker.layer(brittle)
      const once = Effect.provide(
        Effect.map(Effect.exit(CircuitBreaker.protect(down)), wordOf),
        layer
      )
      expect([yield* once, yield* once]).toEqual(["Server", "Server"])
    }))
})

describe("bad input", () => {
  const nonsense: ReadonlyArray<readonly [string, CircuitBreaker.Options, string]> = [
    ...[0, -0.1, 1.1, NaN, Infinity, 50].flatMap((value) =>
      [
        ["failureRate", { failureRate: value }, String(value)],
        ["rate", { slowCall: { duration: "1 second", rate: value } }, String(value)],
        ["threshold", { halfOpen: { _tag: "Rate", trials: 3, threshold: value } }, String(value)]
      ] as const
    ),
    ...[0, -1, 1.5, NaN, Infinity].flatMap((value) =>
      [
        ["minimumCalls", { minimumCalls: value }, String(value)],
        ["size", { minimumCalls: 1, window: { _tag: "Count", size: value } }, String(value)],
        [
          "buckets",
          { window: { _tag: "Time", duration: Duration.seconds(10), buckets: value } },
          String(value)
        ],
        ["trials", { halfOpen: { _tag: "Consecutive", trials: value } }, String(value)],
        ["trials", { halfOpen: { _tag: "Rate", trials: value, threshold: 0.5 } }, String(value)]
      ] as const
    ),
    ...[0, -1, NaN].flatMap((value) =>
      [
        ["duration", { slowCall: { duration: value, rate: 0.5 } }, String(value)],
        ["openDuration", { openDuration: value }, String(value)],
        ["maxOpenDuration", { maxOpenDuration: value }, String(value)],
        ["trialTimeout", { trialTimeout: value }, String(value)],
        ["idleTimeToLive", { idleTimeToLive: value }, String(value)]
      ] as const
    ),
    ["minimumCalls", { window: CircuitBreaker.count(5), minimumCalls: 6 }, "6"]
  ]

  it.effect("B3: make dies with a RangeError that names field and value", () =>
    Effect.gen(function*() {
      const messages = yield* Effect.forEach(
        nonsense,
        ([field, options, value]) =>
          Effect.map(
            refusalOf(CircuitBreaker.make(options)),
            (message) =>
              message.includes(field) && message.includes(value)
                ? "refused"
                : `${field} ${value}: ${message}`
          )
      )
      expect(messages).toEqual(nonsense.map(() => "refused"))
    }))

  it.effect("B3: making the effect throws nothing, and the layer dies too", () =>
    Effect.gen(function*() {
      const layer = CircuitBreaker.layer({ minimumCalls: 0 })
      const message = yield* refusalOf(Effect.provide(CircuitBreaker.CircuitBreaker, layer))
      expect(message).toContain("minimumCalls")
    }))

  it("B3: the plain constructors throw the RangeError", () => {
    const cases: ReadonlyArray<readonly [string, unknown, () => unknown]> = [
      ...[0, -1, 1.5, NaN, Infinity].flatMap((value) =>
        [
          ["size", value, () => CircuitBreaker.count(value)],
          ["buckets", value, () => CircuitBreaker.time("1 second", { buckets: value })],
          ["trials", value, () => CircuitBreaker.consecutive(value)],
          ["trials", value, () => CircuitBreaker.rate({ trials: value, threshold: 0.5 })]
        ] as const
      ),
      ...[0, -0.5, 1.01, NaN].map((value) =>
        ["threshold", value, () => CircuitBreaker.rate({ trials: 3, threshold: value })] as const
      ),
      ...[0, -1, NaN].map((value) =>
        ["duration", value, () => CircuitBreaker.time(value)] as const
      ),
      ...[-1, NaN].map((value) =>
        ["retryAfter", value, () => CircuitBreaker.failure({ retryAfter: value })] as const
      )
    ]
    expect(cases.map(([field, value, build]) => {
      const message = refusal(build)
      return message.includes(field) && message.includes(String(value))
        ? "refused"
        : `${field} ${value}: ${message}`
    })).toEqual(cases.map(() => "refused"))
  })

  it.effect("B2: what is just within the bounds is accepted", () =>
    Effect.gen(function*() {
      const within: ReadonlyArray<CircuitBreaker.Options> = [
        { window: CircuitBreaker.count(1), minimumCalls: 1, failureRate: 1 },
        { window: CircuitBreaker.count(6), minimumCalls: 6, failureRate: 0.0001 },
        { window: CircuitBreaker.time("1 milli", { buckets: 1 }), minimumCalls: 1_000_000 },
        {
          slowCall: { duration: 1, rate: 1 },
          openDuration: 1,
          maxOpenDuration: 1,
          trialTimeout: 1,
          idleTimeToLive: 1
        },
        { halfOpen: CircuitBreaker.rate({ trials: 1, threshold: 1 }) }
      ]
      expect(yield* Effect.forEach(within, (options) => refusalOf(CircuitBreaker.make(options))))
        .toEqual(
          within.map(() => "accepted")
        )
    }))
})
