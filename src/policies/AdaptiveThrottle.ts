/**
 * Rejects a share of the calls that an overloaded upstream would refuse anyway.
 *
 * A breaker stops all calls or none; a throttle stops a share. It counts how many of the last calls
 * were accepted, and rejects about as many of the next calls as the upstream would refuse. The
 * upstream gets little more than it can serve. As it recovers, it gets more, without a trial at a
 * guessed moment.
 *
 * Source: client-side throttling, in "Handling Overload", *Site Reliability Engineering* (Google,
 * 2016). The formula is in `core/throttle`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Throttle from "../core/throttle.js"
import * as TimeWindow from "../core/timeWindow.js"
import * as Rejection from "../errors/Rejection.js"
import * as CallContext from "../runtime/callContext.js"
import { nowMillis } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { Keyed, KeyedState } from "../runtime/keyedState.js"
import * as Validate from "../runtime/validate.js"
import { acceptance } from "./adaptive/outcome.js"
import type { Outcome } from "./circuitBreaker/outcome.js"
import * as Guard from "./guard.js"

/**
 * Rejects a call because too few of the last calls were accepted. The call did not run.
 * `probability` is the share of calls that the throttle rejects now. There is no `retryAfter`: the
 * next call may run.
 *
 * @since 0.1.0
 * @category errors
 */
export class Throttled extends Rejection.Error("Throttled")<{
  /** The key whose calls are throttled. */
  readonly key: string
  /** The share of calls that the throttle rejects at this moment, from 0 to 1. */
  readonly probability: number
}> {}

/**
 * The options of a throttle.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * K: all calls are sent while at least one in K is accepted. Default 2. A smaller K reacts
   * earlier; a larger K sends the upstream more of the demand.
   */
  readonly multiplier?: number | undefined
  /** The period whose calls count, cut into 8 parts. Default 2 min. */
  readonly window?: Duration.DurationInput | undefined
  /** Rejects nothing while the window holds fewer calls than this. Default 10. */
  readonly minimumCalls?: number | undefined
  /**
   * The largest share of calls to reject, from 0 to 1. Default 0.9: the rest notices the recovery.
   */
  readonly maxRejection?: number | undefined
  /** Forgets a key that has been unused for this long. Default 1 h. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /**
   * Says whether a call was accepted (`success`), was not (`failure`) or tells nothing (`ignored`).
   * Default `classify`.
   */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * The options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** The key whose calls count together. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * Shows one key: its calls in the window, the accepted ones, and the share that is rejected now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The key. */
  readonly key: string
  /** How many calls the window holds, rejected ones included. */
  readonly requests: number
  /** How many calls in the window the upstream accepted. */
  readonly accepts: number
  /** The share of calls that the throttle rejects now, from 0 to 1. */
  readonly probability: number
}

/**
 * A throttle that counts the calls of each key, under one set of options. Safe for concurrent
 * callers; every method is atomic.
 *
 * **Details**
 *
 * `protect` fails with `Throttled`, without running the call, for a share of the calls. A call
 * counts when it has ended. Running and interrupted calls do not count.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdaptiveThrottle extends Guard.View<Snapshot> {
  /** Runs a call, or fails with `Throttled` without running it. */
  readonly protect: Protect
}

/**
 * Runs a call unless the throttle rejects it. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> extends Guard.Protect<Throttled, CallOptions, Self> {}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `multiplier`. */
  multiplier: 2,
  /** Default of the option `window`. */
  window: Duration.minutes(2),
  /** Default of the option `minimumCalls`. */
  minimumCalls: 10,
  /** Default of the option `maxRejection`. */
  maxRejection: 0.9,
  /** Default of the option `idleTimeToLive`. */
  idleTimeToLive: Duration.hours(1)
} as const

/**
 * The window moves on in steps of this share of it. So few, and two counts in each, that a key's
 * counts stay beside its other state: with very many keys a call costs what it takes to reach them.
 */
const buckets = 8
const countsPerBucket = 2

/**
 * Says whether the upstream accepted a call.
 *
 * **Details**
 *
 * • Accepted: success, and failures that are answers (`Auth`, `Policy`, `Validation`, `NotFound`,
 * `Conflict`, `Locked`).
 * - Not accepted: `RateLimit`, `Server`, `Timeout`, `Network`, defects, and errors of other
 *   libraries.
 * - Ignored: interruption and the rejections of guards.
 *
 * The same as `CircuitBreaker.classify` except for `RateLimit`: to a breaker a 429 says that the
 * upstream works, here it says that the upstream is overloaded.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const classify: (exit: Exit.Exit<unknown, unknown>) => Outcome = acceptance

const rejections = Metric.counter("resilience.throttle.rejected", {
  description: "Calls that an adaptive throttle turned away",
  incremental: true
})

const accepted = { failed: false, slow: false }
const notAccepted = { failed: true, slow: false }

/** What the requests of one key came to. */
class Requests extends Keyed {
  constructor(key: string, now: number, readonly window: TimeWindow.TimeWindow) {
    super(key, now)
  }
}

/** What is needed to guard calls. */
interface Throttling {
  readonly policy: Throttle.Policy
  readonly classify: (exit: Exit.Exit<unknown, unknown>) => Outcome
  readonly requests: KeyedState<Requests>
}

const probabilityAt = (
  policy: Throttle.Policy,
  window: TimeWindow.TimeWindow,
  now: number
): number => {
  TimeWindow.advance(window, now)
  return Throttle.probability(policy, window)
}

const guard = <A, E, R>(
  throttling: Throttling,
  self: Effect.Effect<A, E, R>,
  key: string
): Effect.Effect<A, E | Throttled, R> =>
  Effect.clockWith((clock): Effect.Effect<A, E | Throttled, R> => {
    const now = nowMillis(clock)
    const { window } = throttling.requests.use(key, clock, now)
    const probability = probabilityAt(throttling.policy, window, now)
    const call = sent(throttling, self, window)
    if (probability === 0) return call
    const rejection = Effect.suspend(() => turnedAway(window, key, probability, now))
    return Effect.flatMap(
      Random.next,
      (unit): Effect.Effect<A, E | Throttled, R> => unit < probability ? rejection : call
    )
  })

const turnedAway = (
  window: TimeWindow.TimeWindow,
  key: string,
  probability: number,
  now: number
): Effect.Effect<never, Throttled> => {
  TimeWindow.record(window, notAccepted, now)
  return Effect.zipRight(
    CallContext.count(rejections),
    Effect.fail(new Throttled({ key, probability }))
  )
}

/**
 * Nothing is held while a call runs, so nothing has to be masked: one that is interrupted leaves no
 * trace.
 */
const sent = <A, E, R>(
  { classify }: Throttling,
  self: Effect.Effect<A, E, R>,
  window: TimeWindow.TimeWindow
): Effect.Effect<A, E, R> =>
  whenEnded(self, (exit) =>
    Effect.clockWith((clock) => {
      const outcome = classify(exit)
      if (outcome._tag !== "Ignored") {
        const counted = outcome._tag === "Success" ? accepted : notAccepted
        TimeWindow.record(window, counted, nowMillis(clock))
      }
      return exit
    }))

const positiveMillis = (field: string, input: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration(field, Validate.positiveDuration(field, input)))

const throttlingOf = (options: Options): Throttling => {
  const windowMillis = positiveMillis("window", options.window ?? defaults.window)
  return {
    policy: {
      multiplier: Validate.number("multiplier", options.multiplier ?? defaults.multiplier, 1),
      minimumCalls: Validate.integer(
        "minimumCalls",
        options.minimumCalls ?? defaults.minimumCalls,
        1
      ),
      maxRejection: Validate.number(
        "maxRejection",
        options.maxRejection ?? defaults.maxRejection,
        0,
        1
      )
    },
    classify: options.classify ?? classify,
    requests: new KeyedState({
      make: (key, now) =>
        new Requests(key, now, TimeWindow.make(windowMillis, buckets, countsPerBucket)),
      idleMillis: positiveMillis(
        "idleTimeToLive",
        options.idleTimeToLive ?? defaults.idleTimeToLive
      )
    })
  }
}

/**
 * Makes a throttle. Invalid options die with `RangeError`, which names field and value.
 *
 * **When to use**
 *
 * Make one for each upstream that refuses calls when it is overloaded. Put it inside the retry, so
 * that it sees every attempt.
 *
 * **Details**
 *
 * A call is rejected with the probability `max(0, (requests - K * accepts) / (requests + 1))`, at
 * most `maxRejection`, over the calls of the window, rejected ones included. O(1) per call, a draw
 * from `Random` only when a call may be rejected. The metric `resilience.throttle.rejected` counts
 * the rejected calls.
 *
 * **Gotchas**
 *
 * A `maxRejection` of 1 can lock the throttle: without a call that is sent, no call can be
 * accepted.
 *
 * **Example** (An upstream that accepts nothing)
 *
 * ```ts
 * import { AdaptiveThrottle } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let sent = 0
 * const overloaded = Effect.suspend(() => {
 *   sent++
 *   return Effect.fail("overloaded")
 * })
 *
 * const program = Effect.gen(function*() {
 *   const throttle = yield* AdaptiveThrottle.make()
 *   yield* Effect.forEach(Array(1000), () => Effect.exit(throttle.protect(overloaded)), {
 *     discard: true
 *   })
 *   return yield* throttle.snapshot()
 * })
 *
 * const { accepts, probability, requests } = await Effect.runPromise(program)
 *
 * const seen = { accepts, probability, requests }
 * seen // => { accepts: 0, probability: 0.9, requests: 1000 }
 * sent < 250 // => true
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<AdaptiveThrottle> =>
  Effect.sync(() => {
    const throttling = throttlingOf(options)
    const { policy, requests } = throttling
    return withBehind<AdaptiveThrottle>({
      protect: Guard.protectByKey((self, key) => guard(throttling, self, key)),
      ...Guard.viewOf(requests, ({ key, window }, now) => {
        const probability = probabilityAt(policy, window, now)
        return {
          key,
          requests: window.calls,
          accepts: window.calls - window.failures,
          probability
        }
      })
    }, { options })
  })

/**
 * The tag of the default throttle. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const AdaptiveThrottle: Context.Tag<AdaptiveThrottle, AdaptiveThrottle> = Context
  .GenericTag<AdaptiveThrottle>("effect-resilience/AdaptiveThrottle")

/**
 * Makes the default throttle as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<AdaptiveThrottle> =>
  Layer.effect(AdaptiveThrottle, make(options))

/**
 * Runs a call under the default throttle. Fails with `Throttled` when it rejects the call.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<AdaptiveThrottle> = Guard.through(AdaptiveThrottle)

/**
 * A tag for one of several throttles, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Guard.TagClass<Self, Id, AdaptiveThrottle, [options?: Options], Protect<Self>>
{}

/**
 * Makes a tag for the throttle of one upstream.
 *
 * **Example** (Each API has a throttle of its own)
 *
 * ```ts
 * import { AdaptiveThrottle } from "effect-resilience"
 * import { Effect, Layer } from "effect"
 *
 * class Search extends AdaptiveThrottle.Tag("Search")<Search>() {}
 * class Prices extends AdaptiveThrottle.Tag("Prices")<Prices>() {}
 *
 * const program = Effect.zip(
 *   Search.protect(Effect.succeed("found")),
 *   Effect.succeed("9 EUR").pipe(Prices.protect({ key: "tenant 1" }))
 * )
 *
 * const throttles = Layer.merge(Search.layer(), Prices.layer({ multiplier: 1.5 }))
 * await Effect.runPromise(Effect.provide(program, throttles)) // => ["found", "9 EUR"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.tagClass(id, make)
