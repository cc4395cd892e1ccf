/**
 * Not sending what will not be accepted.
 *
 * An overloaded upstream spends its last strength on refusing. A breaker stops everything or
 * nothing; a throttle stops a part: it looks at how many of the last requests were accepted, and
 * turns away about as many of the next ones as would be refused anyway. The upstream sees little
 * more than it can serve, and as it recovers, it gets more by itself: nobody has to find the right
 * moment to try again.
 *
 * The method is client-side throttling from "Handling Overload" in Google's book on site
 * reliability; the formula is `core/throttle`.
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
 * Turned away, since too few of the last requests were accepted: the call did not run.
 * `probability` is the share of calls that are turned away at present. There is no `retryAfter`:
 * the next call may well be let through.
 *
 * @since 0.1.0
 * @category errors
 */
export class Throttled extends Rejection.Error("Throttled")<{
  readonly key: string
  readonly probability: number
}> {}

/**
 * - `multiplier`: K. All requests are sent as long as at least one in K is accepted. Default 2;
 *   smaller reacts earlier and wastes less, larger lets the upstream see more of what is wanted.
 * - `window`: which requests count, those of the last while. Default 2 min, in 24 parts.
 * - `minimumCalls`: below so many requests in the window nothing is turned away. Default 10.
 * - `maxRejection`: the most that is turned away, as a share. Default 0.9: what gets through is how
 *   a recovery is noticed.
 * - `idleTimeToLive`: when an unused key is forgotten. Default 1 h.
 * - `classify`: whether a request was accepted (`success`), was not (`failure`), or says nothing
 *   (`ignored`). Default `classify`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly multiplier?: number | undefined
  readonly window?: Duration.DurationInput | undefined
  readonly minimumCalls?: number | undefined
  readonly maxRejection?: number | undefined
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * `key`: whose requests count, default `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/**
 * One key at one moment. `requests` are those of the window, turned away ones included, `accepts`
 * those of them that were accepted, `probability` the share that is turned away now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly key: string
  readonly requests: number
  readonly accepts: number
  readonly probability: number
}

/**
 * A throttle: what each key's requests came to, under one set of options. Safe for any number of
 * concurrent callers; every method is atomic.
 *
 * **Details**
 *
 * `protect` fails with `Throttled` without running the call when the call is turned away. A request
 * counts when it has ended; what is under way counts for nothing, and neither does what was
 * interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdaptiveThrottle extends Guard.View<Snapshot> {
  readonly protect: Protect
}

/**
 * Runs a call unless it is turned away, effect first or effect last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never> extends Guard.Protect<Throttled, CallOptions, Self> {}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  multiplier: 2,
  window: Duration.minutes(2),
  minimumCalls: 10,
  maxRejection: 0.9,
  idleTimeToLive: Duration.hours(1)
} as const

/** The window moves on in steps of this share of it. */
const buckets = 24

/**
 * Whether the upstream took a call on.
 *
 * **Details**
 *
 * - Accepted: success, and failures that are answers (`Auth`, `Policy`, `Validation`, `NotFound`,
 *   `Conflict`, `Locked`).
 * - Not accepted: `RateLimit`, `Server`, `Timeout`, `Network`, defects, and errors that are not
 *   ours.
 * - Ignored: interruption and the rejections of our own guards.
 *
 * As `CircuitBreaker.classify`, except for `RateLimit`: to a breaker a 429 says that the upstream
 * works, here it says that it was asked for too much.
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
      make: (key, now) => new Requests(key, now, TimeWindow.make(windowMillis, buckets)),
      idleMillis: positiveMillis(
        "idleTimeToLive",
        options.idleTimeToLive ?? defaults.idleTimeToLive
      )
    })
  }
}

/**
 * A new throttle. Dies with a `RangeError` that names field and value when an option is nonsense.
 *
 * **When to use**
 *
 * One for each upstream that refuses calls when it is overloaded, and that many callers share.
 * Inside of a retry, so that it sees every attempt.
 *
 * **Details**
 *
 * A call is turned away with the probability `max(0, (requests - K * accepts) / (requests + 1))`,
 * at most `maxRejection`, over the requests of the window; those that were turned away count among
 * them. O(1) per call, a draw from `Random` only when something may be turned away. The metric
 * `resilience.throttle.rejected` counts the calls turned away.
 *
 * **Gotchas**
 *
 * A `maxRejection` of 1 can lock itself out: when nothing is sent, nothing can be accepted.
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
 * The throttle of a program that needs one. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const AdaptiveThrottle: Context.Tag<AdaptiveThrottle, AdaptiveThrottle> = Context
  .GenericTag<AdaptiveThrottle>("effect-resilience/AdaptiveThrottle")

/**
 * The default throttle as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<AdaptiveThrottle> =>
  Layer.effect(AdaptiveThrottle, make(options))

/**
 * Runs a call under the default throttle.
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
 * A tag for the throttle of one upstream.
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
