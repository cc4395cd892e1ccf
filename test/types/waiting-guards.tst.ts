// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { Duration, Option } from "effect"
import { Effect, Layer } from "effect"
import type { ApiError, Rejection } from "effect-resilience"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { describe, expect, test } from "tstyche"

type Failures = ApiError.Auth | ApiError.Validation
declare const post: Effect.Effect<{ id: string }, Failures, "Env">
declare const bulkhead: Bulkhead.Bulkhead
declare const limiter: RateLimiter.RateLimiter
declare const cooldown: Cooldown.Cooldown

type Protected<E, R = never> = Effect.Effect<{ id: string }, Failures | E, "Env" | R>

describe("Bulkhead", () => {
  test("protect adds BulkheadFull and nothing else, and stays generic", () => {
    expect(bulkhead.protect(post)).type.toBe<Protected<Bulkhead.BulkheadFull>>()
    expect(post.pipe(bulkhead.protect)).type.toBe<Protected<Bulkhead.BulkheadFull>>()
    const { protect } = bulkhead
    expect(Effect.succeed(1).pipe(protect)).type.toBe<
      Effect.Effect<number, Bulkhead.BulkheadFull>
    >()
  })

  test("BulkheadFull is caught by its tag, and says the limits", () => {
    const handled = bulkhead.protect(post).pipe(
      Effect.catchTag("BulkheadFull", (error) => {
        expect(error.concurrency).type.toBe<number>()
        expect(error.queue).type.toBe<number>()
        return Effect.succeed({ id: "" })
      })
    )
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<Failures>()
    expect<Bulkhead.BulkheadFull>().type.toBeAssignableTo<Rejection.Rejection>()
  })

  test("make, snapshot and options", () => {
    expect(Bulkhead.make({ concurrency: 1 })).type.toBe<Effect.Effect<Bulkhead.Bulkhead>>()
    expect(Bulkhead.make({ concurrency: 1, queue: 2, maxWait: "1 second" })).type.toBe<
      Effect.Effect<Bulkhead.Bulkhead>
    >()
    expect(bulkhead.snapshot).type.toBe<Effect.Effect<Bulkhead.Snapshot>>()
    expect<Bulkhead.Snapshot>().type.toBe<{ readonly running: number; readonly waiting: number }>()
    // @ts-expect-error Property 'concurrency' is missing
    Bulkhead.make({ queue: 1 })
    // @ts-expect-error 'maxWiat' does not exist
    Bulkhead.make({ concurrency: 1, maxWiat: "1 second" })
  })

  test("a tag demands itself, and its layer gives it", () => {
    class Payments extends Bulkhead.Tag("Payments")<Payments>() {}
    expect(Payments.protect(post)).type.toBe<Protected<Bulkhead.BulkheadFull, Payments>>()
    expect(Payments.layer({ concurrency: 1 })).type.toBe<Layer.Layer<Payments>>()
    expect<Effect.Effect.Success<typeof Payments>>().type.toBe<Bulkhead.Bulkhead>()
  })
})

describe("RateLimiter", () => {
  test("protect adds RateLimited and nothing else, in both call styles", () => {
    expect(limiter.protect(post)).type.toBe<Protected<RateLimiter.RateLimited>>()
    expect(limiter.protect(post, { key: "a", cost: 2 })).type.toBe<
      Protected<RateLimiter.RateLimited>
    >()
    expect(post.pipe(limiter.protect())).type.toBe<Protected<RateLimiter.RateLimited>>()
    expect(post.pipe(limiter.protect({ cost: 2 }))).type.toBe<Protected<RateLimiter.RateLimited>>()
    const stored = limiter.protect({ key: "a" })
    expect(Effect.succeed(1).pipe(stored)).type.toBe<
      Effect.Effect<number, RateLimiter.RateLimited>
    >()
    // @ts-expect-error 'kye' does not exist
    limiter.protect(post, { kye: "a" })
    // @ts-expect-error No overload matches this call
    limiter.protect({ kye: "a" })
  })

  test("RateLimited is caught by its tag, and says key and time", () => {
    const handled = limiter.protect(post).pipe(
      Effect.catchTag("RateLimited", (error) => {
        expect(error.key).type.toBe<string>()
        expect(error.retryAfter).type.toBe<Duration.Duration>()
        return Effect.succeed({ id: error.key })
      })
    )
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<Failures>()
    expect<RateLimiter.RateLimited>().type.toBeAssignableTo<Rejection.Rejection>()
  })

  test("make, snapshot and options", () => {
    const options: RateLimiter.Options = {
      limit: 1,
      interval: "1 second",
      burst: 2,
      mode: "reject",
      maxWait: 1000
    }
    expect(RateLimiter.make(options)).type.toBe<Effect.Effect<RateLimiter.RateLimiter>>()
    expect(RateLimiter.make({ limit: 1, interval: 1000 })).type.toBe<
      Effect.Effect<RateLimiter.RateLimiter>
    >()
    expect(limiter.snapshot("a")).type.toBe<Effect.Effect<RateLimiter.Snapshot>>()
    // @ts-expect-error Property 'interval' is missing
    RateLimiter.make({ limit: 1 })
    // @ts-expect-error Type '"fail"' is not assignable
    RateLimiter.make({ limit: 1, interval: 1000, mode: "fail" })
    // @ts-expect-error 'bursts' does not exist
    RateLimiter.make({ limit: 1, interval: 1000, bursts: 1 })
  })

  test("a tag demands itself, in both call styles, and its layer gives it", () => {
    class Geocoder extends RateLimiter.Tag("Geocoder")<Geocoder>() {}
    expect(Geocoder.protect(post, { cost: 2 })).type.toBe<
      Protected<RateLimiter.RateLimited, Geocoder>
    >()
    expect(post.pipe(Geocoder.protect())).type.toBe<Protected<RateLimiter.RateLimited, Geocoder>>()
    expect(Geocoder.layer({ limit: 1, interval: 1000 })).type.toBe<Layer.Layer<Geocoder>>()
  })
})

describe("Cooldown", () => {
  test("protect adds CoolingDown and nothing else, in both call styles", () => {
    expect(cooldown.protect(post)).type.toBe<Protected<Cooldown.CoolingDown>>()
    expect(cooldown.protect(post, { key: "a" })).type.toBe<Protected<Cooldown.CoolingDown>>()
    expect(post.pipe(cooldown.protect())).type.toBe<Protected<Cooldown.CoolingDown>>()
    const stored = cooldown.protect({ key: "a" })
    expect(Effect.succeed(1).pipe(stored)).type.toBe<Effect.Effect<number, Cooldown.CoolingDown>>()
    // @ts-expect-error 'cost' does not exist
    cooldown.protect(post, { cost: 1 })
  })

  test("CoolingDown is caught by its tag, and says key and time", () => {
    const handled = cooldown.protect(post).pipe(
      Effect.catchTag("CoolingDown", (error) => {
        expect(error.key).type.toBe<string>()
        expect(error.retryAfter).type.toBe<Duration.Duration>()
        return Effect.succeed({ id: error.key })
      })
    )
    expect<Effect.Effect.Error<typeof handled>>().type.toBe<Failures>()
    expect<Cooldown.CoolingDown>().type.toBeAssignableTo<Rejection.Rejection>()
  })

  test("make, hold, snapshot and options", () => {
    expect(Cooldown.make()).type.toBe<Effect.Effect<Cooldown.Cooldown>>()
    expect(Cooldown.make({ mode: "reject", maxWait: 1, cap: 1, trialTimeout: 1 })).type.toBe<
      Effect.Effect<Cooldown.Cooldown>
    >()
    expect(cooldown.hold("a", "1 second")).type.toBe<Effect.Effect<void>>()
    expect(cooldown.snapshot()).type.toBe<Effect.Effect<Cooldown.Snapshot>>()
    expect<Cooldown.Snapshot>().type.toBe<{
      readonly key: string
      readonly state: "Clear" | "Cooling" | "Trial"
      readonly waiting: number
      readonly retryAfter: Option.Option<Duration.Duration>
    }>()
    // @ts-expect-error 'maxWiat' does not exist
    Cooldown.make({ maxWiat: 1 })
  })

  test("a tag demands itself, and its layer gives it", () => {
    class Mailer extends Cooldown.Tag("Mailer")<Mailer>() {}
    expect(Mailer.protect(post, { key: "a" })).type.toBe<Protected<Cooldown.CoolingDown, Mailer>>()
    expect(post.pipe(Mailer.protect())).type.toBe<Protected<Cooldown.CoolingDown, Mailer>>()
    expect(Mailer.layer()).type.toBe<Layer.Layer<Mailer>>()
    expect(Mailer.protect(post).pipe(Effect.provide(Layer.merge(Mailer.layer(), Layer.empty)))).type
      .toBe<
        Protected<Cooldown.CoolingDown>
      >()
  })
})
