// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { Duration, Option } from "effect"
import { Effect } from "effect"
import { ApiError, IdempotencyKey, Operation } from "effect-resilience"
import type { CircuitBreaker } from "effect-resilience"
import type * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import type * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Chaos from "effect-resilience/Chaos"
import * as Fallback from "effect-resilience/Fallback"
import * as Hedge from "effect-resilience/Hedge"
import { describe, expect, test } from "tstyche"

declare const call: Effect.Effect<number, ApiError.ApiError | CircuitBreaker.CircuitOpen>
declare const plain: Effect.Effect<number, "down", "Env">

describe("Hedge", () => {
  test("adds no errors, and demands the key of a keyed operation", () => {
    const first = Hedge.hedge(plain, { operation: Operation.keyed, delay: "1 second" })
    const last = plain.pipe(Hedge.hedge({ operation: Operation.keyed, delay: "1 second" }))
    type Keyed = Effect.Effect<number, "down", "Env" | IdempotencyKey.IdempotencyKey>
    expect(first).type.toBe<Keyed>()
    expect(last).type.toBe<Keyed>()
    expect(IdempotencyKey.provideNew(last)).type.toBe<Effect.Effect<number, "down", "Env">>()
  })

  test("demands nothing for the others", () => {
    expect(Hedge.hedge(plain, { operation: Operation.read, delay: 20, hedges: 2 })).type.toBe<
      typeof plain
    >()
    const stored = Hedge.hedge({ operation: Operation.idempotent, delay: "1 second" })
    expect(plain.pipe(stored)).type.toBe<typeof plain>()
  })

  test("a made one protects in both styles", () => {
    const made = Hedge.make({ operation: Operation.keyed, delay: "1 second" })
    expect(made).type.toBe<Effect.Effect<Hedge.Hedge<IdempotencyKey.IdempotencyKey>>>()
    const hedge = null as never as Hedge.Hedge<IdempotencyKey.IdempotencyKey>
    type Keyed = Effect.Effect<number, "down", "Env" | IdempotencyKey.IdempotencyKey>
    expect(hedge.protect(plain, { key: "a" })).type.toBe<Keyed>()
    expect(plain.pipe(hedge.protect())).type.toBe<Keyed>()
    expect(hedge.delay()).type.toBe<Effect.Effect<Option.Option<Duration.Duration>>>()
  })

  test("a delay that is learned needs a hedge that is made once", () => {
    const delay = Hedge.quantile(0.95)
    expect(Hedge.make).type.toBeCallableWith({ operation: Operation.read, delay })
    expect(Hedge.hedge).type.not.toBeCallableWith(plain, { operation: Operation.read, delay })
  })

  test("options are checked", () => {
    expect(Hedge.hedge).type.not.toBeCallableWith(plain, { delay: "1 second" })
    expect(Hedge.hedge).type.not.toBeCallableWith(plain, { operation: Operation.read })
    expect(Hedge.hedge).type.not.toBeCallableWith(plain, {
      operation: Operation.read,
      delay: "1 second",
      hedge: 1
    })
  })
})

describe("AdaptiveThrottle and AdaptiveConcurrency", () => {
  const throttle = null as never as AdaptiveThrottle.AdaptiveThrottle
  const adaptive = null as never as AdaptiveConcurrency.AdaptiveConcurrency

  test("each adds its rejection, in both styles", () => {
    type Throttled = Effect.Effect<number, "down" | AdaptiveThrottle.Throttled, "Env">
    expect(throttle.protect(plain, { key: "a" })).type.toBe<Throttled>()
    expect(plain.pipe(throttle.protect({ key: "a" }))).type.toBe<Throttled>()
    expect(plain.pipe(throttle.protect())).type.toBe<Throttled>()
    type Limited = Effect.Effect<number, "down" | AdaptiveConcurrency.ConcurrencyLimited, "Env">
    expect(adaptive.protect(plain)).type.toBe<Limited>()
    expect(plain.pipe(adaptive.protect({ key: "a" }))).type.toBe<Limited>()
  })

  test("the rejections say what they know", () => {
    expect<AdaptiveThrottle.Throttled["_tag"]>().type.toBe<"Throttled">()
    expect<AdaptiveThrottle.Throttled["probability"]>().type.toBe<number>()
    expect<AdaptiveConcurrency.ConcurrencyLimited["_tag"]>().type.toBe<"ConcurrencyLimited">()
    expect<AdaptiveConcurrency.ConcurrencyLimited["limit"]>().type.toBe<number>()
  })
})

describe("Fallback", () => {
  test("by tag: the tags are gone, the error is narrowed, what the fallback may fail with is added", () => {
    const fb = call.pipe(
      Fallback.orElse({
        tags: ["CircuitOpen", "Server"],
        orElse: (e) => Effect.succeed(e._tag === "CircuitOpen" ? e.key : "server")
      })
    )
    expect(fb).type.toBe<
      Effect.Effect<number | string, Exclude<ApiError.ApiError, { _tag: "Server" }>>
    >()
    const failing = call.pipe(
      Fallback.orElse({ tags: ["CircuitOpen"], orElse: (e) => Effect.fail(e.retryAfter) })
    )
    expect(failing).type.toBe<Effect.Effect<number, ApiError.ApiError | Duration.Duration>>()
  })

  test("by tag, effect first", () => {
    const fb = Fallback.orElse(call, {
      tags: ["CircuitOpen"],
      orElse: (e) => Effect.succeed(e.key)
    })
    expect(fb).type.toBe<Effect.Effect<number | string, ApiError.ApiError>>()
  })

  test("a tag that cannot come does not compile", () => {
    expect(Fallback.orElse).type.not.toBeCallableWith(call, {
      tags: ["CircuitOpne"],
      orElse: () => Effect.void
    })
    // @ts-expect-error No overload matches this call
    call.pipe(Fallback.orElse({ tags: ["CircuitOpne"], orElse: () => Effect.void }))
  })

  test("by type guard the errors are gone, by predicate they stay", () => {
    const byGuard = call.pipe(
      Fallback.orElse({ when: ApiError.isApiError, orElse: (e) => Effect.succeed(e.message) })
    )
    expect(byGuard).type.toBe<Effect.Effect<number | string, CircuitBreaker.CircuitOpen>>()
    const byPredicate = call.pipe(
      Fallback.orElse({
        when: (e) => e._tag === "Server" && e.status === 503,
        orElse: (e) => Effect.succeed(e._tag)
      })
    )
    expect<Effect.Effect.Error<typeof byPredicate>>().type.toBe<
      ApiError.ApiError | CircuitBreaker.CircuitOpen
    >()
    const first = Fallback.orElse(plain, {
      when: (e) => e === "down",
      orElse: () => Effect.succeed("up")
    })
    expect(first).type.toBe<Effect.Effect<number | string, "down", "Env">>()
  })

  test("values", () => {
    const byTag = call.pipe(Fallback.orElseSucceed({ tags: ["CircuitOpen"], value: (e) => e.key }))
    expect(byTag).type.toBe<Effect.Effect<number | string, ApiError.ApiError>>()
    const first = Fallback.orElseSucceed(call, { when: ApiError.isApiError, value: () => null })
    expect(first).type.toBe<Effect.Effect<number | null, CircuitBreaker.CircuitOpen>>()
    const any = call.pipe(
      Fallback.orElseSucceed({ when: Fallback.isUnavailable, value: () => null })
    )
    expect(any).type.toBe<
      Effect.Effect<number | null, ApiError.ApiError | CircuitBreaker.CircuitOpen>
    >()
  })

  test("the last good value keeps success and errors as they are", () => {
    expect(Fallback.lastGood<number>({ staleFor: "1 minute" })).type.toBe<
      Effect.Effect<Fallback.LastGood<number>>
    >()
    const good = null as never as Fallback.LastGood<number>
    expect(good.protect(plain, { key: "a" })).type.toBe<typeof plain>()
    expect(plain.pipe(good.protect({ key: "a" }))).type.toBe<typeof plain>()
    expect(good.protect).type.not.toBeCallableWith(Effect.succeed("not a number"))
  })

  test("marked says in the result whether it is the real one", () => {
    expect(Fallback.marked(plain)).type.toBe<
      Effect.Effect<Fallback.Marked<number>, "down", "Env">
    >()
  })
})

describe("Chaos", () => {
  test("adds what its faults can make of a call, and nothing else", () => {
    const late = Chaos.make({ faults: [Chaos.latency("1 second"), Chaos.interruption] })
    expect(late).type.toBe<Effect.Effect<Chaos.Chaos>>()
    const bad = Chaos.make({
      seed: 1,
      rate: 0.5,
      faults: [
        Chaos.latency("1 second"),
        Chaos.failure(() => new ApiError.Server({ message: "chaos" })),
        Chaos.failure(() => new ApiError.Network({ message: "chaos", sent: "no" })),
        Chaos.outcome(() => "stale")
      ]
    })
    expect(bad).type.toBe<Effect.Effect<Chaos.Chaos<string, ApiError.Server | ApiError.Network>>>()
    const chaos = null as never as Chaos.Chaos<string, ApiError.Server>
    expect(chaos.protect(plain)).type.toBe<
      Effect.Effect<number | string, "down" | ApiError.Server, "Env">
    >()
    expect(chaos).type.toBeAssignableTo<Chaos.Chaos<string, ApiError.ApiError>>()
  })
})
