/**
 * Spaces calls so that they stay below an agreed rate.
 *
 * An API that allows ten calls a second answers the eleventh with a 429, and often counts that one
 * too. A limiter spaces calls before they are sent. A burst passes at once; later calls wait for
 * their turn, or are rejected with the exact time to come back.
 *
 * Source: the generic cell rate algorithm (ITU-T I.371), in `core/gcra`. This file keeps one number
 * and one queue of waiting calls for each key.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Fifo from "../core/fifo.js"
import * as Gcra from "../core/gcra.js"
import * as RateLine from "../core/rateLine.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { defaultKey } from "../runtime/keyedState.js"
import type { Misnamed } from "../runtime/misnamed.js"
import * as QueueTime from "../runtime/queueTime.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import * as Validate from "../runtime/validate.js"
import * as Fleet from "./fleet.js"
import * as Guard from "./guard.js"
import { Limiter, type Rate, RateLimited, type Waiter } from "./rateLimiter/limiter.js"

export { RateLimited } from "./rateLimiter/limiter.js"

/**
 * The options of a rate limiter.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends
  Misnamed<{
    window: "use interval: the time in which limit calls may start"
    rate: "use limit and interval"
    timeout: "use maxWait: how long a call waits for its turn"
  }>
{
  /**
   * How many units of cost may start in each `interval` (required). A call costs one unit by
   * default.
   */
  readonly limit: number
  /** The time in which `limit` units may start (required). */
  readonly interval: Duration.DurationInput
  /** How many units may start at once after a rest. Default: `limit`. */
  readonly burst?: number | undefined
  /** Makes a call that comes too early wait (`"wait"`, the default) or rejects it. */
  readonly mode?: "wait" | "reject" | undefined
  /** Rejects a call that would wait longer than this, at once. Default 30 s. */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `mode`. */
  mode: "wait",
  /** Default of the option `maxWait`. */
  maxWait: Duration.seconds(30)
} as const

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key whose rate applies. Default `"default"`. */
  readonly key?: string | undefined
  /** How many units the call takes, a whole number from 1 to `burst`. Default 1. */
  readonly cost?: number | undefined
}

/**
 * Shows one key: how many units could start now, and how many calls wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The key. */
  readonly key: string
  /** How many units could start at once now. */
  readonly available: number
  /** How many calls wait. */
  readonly waiting: number
}

/**
 * Runs a call when its rate allows it. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> extends Guard.Protect<RateLimited, CallOptions, Self> {}

/**
 * A limiter with a rate for each key, under one set of options. Safe for concurrent callers; every
 * decision is atomic and O(1).
 *
 * **Details**
 *
 * • `protect` waits, or fails with `RateLimited` without running the call. A `cost` that is not a
 * whole number from 1 to `burst` throws `RangeError`: it could never run.
 * - Waiting calls run first come, first served. An interrupted call gives its units to the others.
 * - The rate counts starts. How long a call takes, and how it ends, changes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimiter extends Guard.View<Snapshot> {
  /** Runs a call when its key has units left. Otherwise waits, or fails with `RateLimited`. */
  readonly protect: Protect
}

/**
 * Waits to be the first in line, and then for the time at which the rate allows it: only the first
 * in line has a timer.
 */
const waitForTurn = (
  limiter: Limiter,
  rate: Rate,
  place: Fifo.Place<Waiter>,
  clock: Clock.Clock
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const now = clock.unsafeCurrentTimeNanos()
    const nanos = RateLine.waitNanos(limiter.policy, rate, place, now)
    if (nanos === undefined) {
      return Effect.flatMap(
        place.value.signal.wait(Infinity),
        () => waitForTurn(limiter, rate, place, clock)
      )
    }
    return nanos === 0n ? Effect.void : sleepAtLeast(Number(nanos) / 1e6)
  })

/** A call that could not run at once. It is judged anew, since others may have come between. */
const later = <A, E, R>(
  limiter: Limiter,
  self: Effect.Effect<A, E, R>,
  key: string,
  cost: number,
  clock: Clock.Clock
): Effect.Effect<A, E | RateLimited, R> =>
  Effect.uninterruptibleMask((restore): Effect.Effect<A, E | RateLimited, R> => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    const rate = limiter.rate(key, clock, startedAt)
    const entry = limiter.enter(rate, cost, startedAt)
    if (entry === "Run") return restore(self)
    if (entry instanceof RateLimited) return Effect.fail(entry)
    return whenEnded(
      restore(waitForTurn(limiter, rate, entry, clock)),
      (exit): Effect.Effect<A, E, R> => {
        const waited = QueueTime.since(clock, startedAt)
        if (Exit.isFailure(exit)) {
          limiter.leave(rate, entry)
          return Effect.zipRight(waited, Effect.failCause(exit.cause))
        }
        limiter.run(rate, entry, clock.unsafeCurrentTimeNanos())
        return Effect.zipRight(waited, restore(self))
      }
    )
  })

const guard = <A, E, R>(
  limiter: Limiter,
  self: Effect.Effect<A, E, R>,
  key: string,
  cost: number
): Effect.Effect<A, E | RateLimited, R> =>
  Effect.clockWith((clock): Effect.Effect<A, E | RateLimited, R> => {
    const now = clock.unsafeCurrentTimeNanos()
    return limiter.tryTake(limiter.rate(key, clock, now), cost, now)
      ? self
      : later(limiter, self, key, cost, clock)
  })

const costOf = (policy: Gcra.Policy, options: CallOptions | undefined): number => {
  const cost = Validate.integer("cost", options?.cost ?? 1, 1)
  if (cost > policy.burst) {
    throw new RangeError(`cost should be at most the burst of ${policy.burst}, got ${cost}`)
  }
  return cost
}

const protectOf = (limiter: Limiter): Protect =>
  dual(
    (args) => {
      const dataFirst = Guard.isDataFirst(args)
      // Options that come before the effect are refused when they come, not when the effect does.
      if (!dataFirst) costOf(limiter.policy, args[0])
      return dataFirst
    },
    <A, E, R>(self: Effect.Effect<A, E, R>, options?: CallOptions) =>
      guard(limiter, self, options?.key ?? defaultKey, costOf(limiter.policy, options))
  )

const nanosOf = (duration: Duration.Duration): bigint | undefined =>
  Option.getOrUndefined(Duration.toNanos(duration))

const policyOf = (options: Options): Gcra.Policy => {
  const limit = Validate.integer("limit", options.limit, 1)
  const interval = Validate.finiteDuration(
    "interval",
    Validate.positiveDuration("interval", options.interval)
  )
  return {
    limit: BigInt(limit),
    intervalNanos: Duration.unsafeToNanos(interval),
    burst: Validate.integer("burst", options.burst ?? limit, 1)
  }
}

/**
 * Makes a limiter. Invalid options die with `RangeError`, which names field and value.
 *
 * **When to use**
 *
 * For an API with an agreed rate, with the key by which the API counts: an API key, a tenant, an
 * endpoint. It limits how many calls start in an interval. Use a `Bulkhead` to limit how many run
 * at once, and a `Cooldown` for the 429 that comes all the same.
 *
 * **Details**
 *
 * The generic cell rate algorithm (ITU-T I.371), in whole nanoseconds: in any time `t` at most
 * `burst + t * limit / interval` units start. `limit` and `burst` are whole numbers of at least 1.
 * O(1) for each call and about a hundred bytes for each key; keys whose burst is whole again are
 * forgotten while others are used. One timer for each key with waiting calls, none at rest.
 *
 * **Gotchas**
 *
 * The default burst of a whole `limit` means that up to twice `limit` can begin within one interval
 * after a rest. For an API that counts by fixed windows, set a smaller `burst`, or a `limit` below
 * the agreed one. The state lives in one process: give each of four processes a quarter.
 *
 * **Example** (Two at once, the third is told when to come back)
 *
 * ```ts
 * import { RateLimiter } from "effect-resilience"
 * import { Duration, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.make({ limit: 2, interval: "1 minute", mode: "reject" })
 *   const call = limiter.protect(Effect.succeed("sent"), { key: "tenant 1" })
 *   yield* call
 *   yield* call
 *   const rejection = yield* Effect.flip(call)
 *   return Duration.toSeconds(rejection.retryAfter) > 29
 * })
 *
 * await Effect.runPromise(program) // => true
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<RateLimiter> =>
  Effect.sync(() => {
    const policy = policyOf(options)
    const maxWait = Validate.duration("maxWait", options.maxWait ?? defaults.maxWait)
    // Who may not wait at all is rejected whenever there is something to wait for.
    const limiter = new Limiter(
      policy,
      (options.mode ?? defaults.mode) === "reject" ? 0n : nanosOf(maxWait)
    )
    return withBehind<RateLimiter>({
      protect: protectOf(limiter),
      ...Guard.viewOf(limiter.rates, ({ ahead, key, line, taken }, now) => {
        const available = Gcra.available(policy, taken, BigInt(Math.round(now * 1e6)))
        return { key, available: Math.max(0, available - ahead), waiting: line.size }
      })
    }, { options })
  })

/**
 * The options of a limiter that a fleet shares.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedOptions extends Options {
  /** Asks the store for each call and leases nothing ahead. Default false. */
  readonly strict?: boolean | undefined
  /** How long a leased token may be spent. Default 500 ms. */
  readonly leaseTime?: Duration.DurationInput | undefined
  /**
   * Without the store a member takes its share of rate and burst (`"share"`, the default), or
   * rejects every call that finds no token.
   */
  readonly whenApart?: "share" | "reject" | undefined
}

const kind: Fleet.Kind<SharedOptions & Fleet.Named, RateLimiter> = {
  name: "rateLimiter"
}

/**
 * Makes a limiter whose rate the members of a fleet share. `name` is the same in all of them.
 * Invalid options, and other numbers under a name that this member uses already, die with
 * `RangeError`.
 *
 * **Details**
 *
 * Tokens are leased in slices, so that no call waits while some are left. In any time `t` at
 * most `burst + rate * (t + leaseTime)` units start in the whole fleet. `retryAfter` of a rejection
 * is an estimate.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared = (
  options: SharedOptions & Fleet.Named
): Effect.Effect<RateLimiter, never, Fleet.Fleet> =>
  Effect.flatMap(Fleet.Fleet, (fleet) => fleet.shared(kind, options))

/**
 * The tag of the default limiter. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const RateLimiter: Context.Tag<RateLimiter, RateLimiter> = Context.GenericTag<RateLimiter>(
  "effect-resilience/RateLimiter"
)

/**
 * Makes the default limiter as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<RateLimiter> =>
  Layer.effect(RateLimiter, make(options))

/**
 * Runs a call when the rate of the default limiter allows it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<RateLimiter> = Guard.through(RateLimiter)

/**
 * A tag for a limiter, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends
    Guard.TagClass<Self, Id, RateLimiter, [options: Options], Protect<Self>>,
    Guard.SharedLayer<Self, SharedOptions>
{}

/**
 * Makes a tag for the limiter of one upstream.
 *
 * **Example** (Each API has a rate of its own)
 *
 * ```ts
 * import { RateLimiter } from "effect-resilience"
 * import { Effect, Layer } from "effect"
 *
 * class Geocoder extends RateLimiter.Tag("Geocoder")<Geocoder>() {}
 * class Mailer extends RateLimiter.Tag("Mailer")<Mailer>() {}
 *
 * const program = Effect.zip(
 *   Geocoder.protect(Effect.succeed("found"), { cost: 5 }),
 *   Effect.succeed("sent").pipe(Mailer.protect({ key: "tenant 1" }))
 * )
 *
 * const limiters = Layer.merge(
 *   Geocoder.layer({ limit: 50, interval: "1 second" }),
 *   Mailer.layer({ limit: 100, interval: "1 hour", burst: 10, mode: "reject" })
 * )
 * await Effect.runPromise(Effect.provide(program, limiters)) // => ["found", "sent"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.sharedTagClass(id, make, makeShared)
