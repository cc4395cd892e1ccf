/**
 * What all guards have in common, tried on each of them.
 */
import { describe, expect, it } from "@effect/vitest"
import { type Context, Duration, Effect, Exit, Fiber, type Layer, TestClock } from "effect"
import { ApiError } from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { settle, yields } from "../support/turns.js"

/** What the six have in common, at what they have in common. */
interface Guard {
  readonly protect: {
    (self: Effect.Effect<unknown, unknown>, options?: { readonly key?: string }): Effect.Effect<
      unknown,
      unknown
    >
  }
  readonly keys: Effect.Effect<ReadonlyArray<string>>
  readonly snapshots: Effect.Effect<ReadonlyArray<{ readonly key: string }>>
  readonly snapshotOf: (key?: string) => Effect.Effect<{ readonly key: string }>
}

interface Kind {
  readonly make: Effect.Effect<Guard>
  readonly tag: Context.Tag<never, Guard>
  readonly layer: Layer.Layer<never>
  /** Data-last, as it is at run time also where a type says less. */
  readonly last: (
    guard: Guard,
    key: string
  ) => (self: Effect.Effect<unknown>) => Effect.Effect<unknown>
  readonly through: (self: Effect.Effect<unknown>) => Effect.Effect<unknown, unknown>
  /** What a call has to be for its key to be in use afterwards. */
  readonly call: Effect.Effect<unknown, unknown>
}

const asked = Effect.fail(
  new ApiError.RateLimit({ message: "", status: 429, retryAfter: Duration.minutes(1) })
)

const withSnapshotOf = <G extends { readonly snapshot: Guard["snapshotOf"] }>(guard: G) => ({
  ...guard,
  snapshotOf: guard.snapshot
})

/** The same module twice: as it is, and as `Guard` sees it. */
const kindOf = (module: {
  readonly made: Effect.Effect<object>
  readonly layer: unknown
  readonly tag: unknown
  readonly protect: unknown
  readonly call?: Effect.Effect<unknown, unknown>
}): Kind => ({
  make: module.made as Effect.Effect<Guard>,
  tag: module.tag as Kind["tag"],
  layer: module.layer as Kind["layer"],
  last: (guard, key) => (guard.protect as unknown as (options: object) => never)({ key }),
  through: module.protect as Kind["through"],
  call: module.call ?? Effect.void
})

const kinds: ReadonlyArray<readonly [string, Kind]> = [
  [
    "CircuitBreaker",
    kindOf({
      made: Effect.map(CircuitBreaker.make(), withSnapshotOf),
      layer: CircuitBreaker.layer(),
      tag: CircuitBreaker.CircuitBreaker,
      protect: CircuitBreaker.protect
    })
  ],
  [
    "RateLimiter",
    kindOf({
      made: Effect.map(
        RateLimiter.make({ limit: 100, interval: "1 hour" }),
        withSnapshotOf
      ),
      layer: RateLimiter.layer({ limit: 100, interval: "1 hour" }),
      tag: RateLimiter.RateLimiter,
      protect: RateLimiter.protect
    })
  ],
  [
    "Bulkhead",
    kindOf({
      made: Bulkhead.make({ concurrency: 100, perKey: true }),
      layer: Bulkhead.layer({ concurrency: 100, perKey: true }),
      tag: Bulkhead.Bulkhead,
      protect: Bulkhead.protect
    })
  ],
  [
    "Cooldown",
    kindOf({
      made: Effect.map(Cooldown.make({ mode: "reject" }), withSnapshotOf),
      layer: Cooldown.layer({ mode: "reject" }),
      tag: Cooldown.Cooldown,
      protect: Cooldown.protect,
      call: asked
    })
  ],
  [
    "AdaptiveThrottle",
    kindOf({
      made: Effect.map(AdaptiveThrottle.make(), withSnapshotOf),
      layer: AdaptiveThrottle.layer(),
      tag: AdaptiveThrottle.AdaptiveThrottle,
      protect: AdaptiveThrottle.protect
    })
  ],
  [
    "AdaptiveConcurrency",
    kindOf({
      made: Effect.map(AdaptiveConcurrency.make(), withSnapshotOf),
      layer: AdaptiveConcurrency.layer(),
      tag: AdaptiveConcurrency.AdaptiveConcurrency,
      protect: AdaptiveConcurrency.protect
    })
  ]
]

describe.each(kinds)("%s", (_, { call, last, layer, make, tag, through }) => {
  it.effect("G46: protects in both call styles, and names its keys in the order of their first use", () =>
    Effect.gen(function*() {
      const guard = yield* make
      yield* Effect.exit(guard.protect(call, { key: "b" }))
      yield* Effect.exit(last(guard, "a")(call as Effect.Effect<unknown>))
      yield* Effect.exit(guard.protect(call))
      expect(yield* guard.keys).toEqual(["b", "a", "default"])
    }))

  it.effect("G46: shows one snapshot for each key, and one of any key", () =>
    Effect.gen(function*() {
      const guard = yield* make
      yield* Effect.exit(guard.protect(call, { key: "a" }))
      const all = yield* guard.snapshots
      expect(all.map(({ key }) => key)).toEqual(["a"])
      expect(yield* guard.snapshotOf("a")).toEqual(all[0])
      expect((yield* guard.snapshotOf()).key).toBe("default")
      expect(yield* guard.keys).toEqual(["a"])
    }))

  it.effect("G46: the default one is a service with a layer", () =>
    Effect.gen(function*() {
      const guard: Guard = yield* tag as never as Effect.Effect<Guard>
      yield* Effect.exit(through(call as Effect.Effect<unknown>))
      expect(yield* guard.keys).toEqual(["default"])
    }).pipe(Effect.provide(layer)))

  it.effect("an interrupted call leaves nothing behind", () =>
    Effect.gen(function*() {
      const guard = yield* make
      yield* Effect.exit(guard.protect(call, { key: "a" }))
      const before = yield* guard.snapshots
      const running = yield* Effect.fork(guard.protect(Effect.never, { key: "b" }))
      yield* settle
      const exit = yield* Fiber.interrupt(running)
      expect(Exit.isInterrupted(exit) || Exit.isFailure(exit)).toBe(true)
      expect((yield* guard.snapshots).filter(({ key }) => key === "a")).toEqual(before)
      const [left] = (yield* guard.snapshots).filter(({ key }) => key === "b")
      const { inFlight, running: held, waiting } = (left ?? {}) as Record<string, unknown>
      expect([inFlight ?? 0, held ?? 0, waiting ?? 0]).toEqual([0, 0, 0])
    }))

  it.effect("G47: a key that is not used any more goes while others are used", () =>
    Effect.gen(function*() {
      const guard = yield* make
      for (let i = 0; i < 50; i++) yield* Effect.exit(guard.protect(call, { key: `old ${i}` }))
      yield* TestClock.adjust("3 hours")
      for (let i = 0; i < 50; i++) yield* Effect.exit(guard.protect(call, { key: "new" }))
      expect(yield* guard.keys).toEqual(["new"])
    }))
})

describe("Bulkhead", () => {
  it.effect("G46: counts all keys together unless perKey says otherwise", () =>
    Effect.gen(function*() {
      const outcomes = Effect.fn(function*(perKey: boolean) {
        const bulkhead = yield* Bulkhead.make({ concurrency: 1, perKey })
        const running = yield* Effect.fork(bulkhead.protect(Effect.never, { key: "a" }))
        yield* settle
        const other = yield* Effect.exit(bulkhead.protect(Effect.void, { key: "b" }))
        const seen = [
          yield* bulkhead.snapshot,
          yield* bulkhead.snapshotOf("a"),
          yield* bulkhead.keys
        ]
        yield* Fiber.interrupt(running)
        return [Exit.isSuccess(other), ...seen]
      })
      expect(yield* outcomes(false)).toEqual([
        false,
        { running: 1, waiting: 0 },
        { key: "default", running: 1, waiting: 0 },
        ["default"]
      ])
      expect(yield* outcomes(true)).toEqual([
        true,
        { running: 1, waiting: 0 },
        { key: "a", running: 1, waiting: 0 },
        ["a", "b"]
      ])
    }))
})

describe("waiting in line, where nothing can interrupt", () => {
  it.effect("G12: a permit ends the wait in the turn in which it comes, whatever maxWait is", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 1, maxWait: "30 seconds" })
      yield* Effect.fork(bulkhead.protect(Effect.sleep("10 millis")))
      yield* settle
      const waiting = yield* Effect.fork(
        Effect.uninterruptible(bulkhead.protect(Effect.succeed("in")))
      )
      yield* settle
      yield* TestClock.adjust("10 millis")
      yield* yields(5)
      expect(waiting.unsafePoll()).toEqual(Exit.succeed("in"))
    }))

  it.effect("G12: in a finalizer too, and the end of maxWait still rejects", () =>
    Effect.gen(function*() {
      const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 1, maxWait: "1 second" })
      yield* Effect.fork(bulkhead.protect(Effect.never))
      yield* settle
      let outcome = ""
      const finalizer = Effect.exit(bulkhead.protect(Effect.void)).pipe(
        Effect.map((exit) => {
          outcome = exit._tag
        })
      )
      const ended = yield* Effect.fork(Effect.ensuring(Effect.void, finalizer))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ended)
      expect([outcome, yield* bulkhead.snapshot]).toEqual(["Failure", { running: 1, waiting: 0 }])
    }))

  it.effect("G12: a cooldown that is over lets it go on", () =>
    Effect.gen(function*() {
      const cooldown = yield* Cooldown.make({ maxWait: "1 hour" })
      yield* cooldown.hold("default", "1 minute")
      const waiting = yield* Effect.fork(
        Effect.uninterruptible(cooldown.protect(Effect.succeed("in")))
      )
      yield* settle
      yield* TestClock.adjust("1 minute")
      yield* yields(5)
      expect(waiting.unsafePoll()).toEqual(Exit.succeed("in"))
    }))
})
