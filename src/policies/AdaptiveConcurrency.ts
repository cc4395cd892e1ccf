/**
 * Limits concurrent calls to what the upstream can serve, and learns the limit from how calls end.
 *
 * A bulkhead needs a number, and the right number changes: with the load of other callers, with a
 * deployment, with the time of day. A limit that is too high fills the queues of the upstream,
 * where calls wait and time out. A limit that is too low leaves it idle. This limit grows while
 * calls succeed. It shrinks when calls are dropped or take longer than usual.
 *
 * The algorithm is pure (`core/concurrency`). This file counts running calls and returns every
 * place.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Core from "../core/concurrency.js"
import * as Rejection from "../errors/Rejection.js"
import * as CallContext from "../runtime/callContext.js"
import { nowMillis } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import { withBehind } from "../runtime/instances.js"
import { Keyed, KeyedState } from "../runtime/keyedState.js"
import * as Validate from "../runtime/validate.js"
import { dropping } from "./adaptive/outcome.js"
import { ignored, type Outcome } from "./circuitBreaker/outcome.js"
import * as Guard from "./guard.js"

/**
 * Rejects a call because its key runs as many calls as `limit` allows. The call did not run. The
 * time until a place is free is not known.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConcurrencyLimited extends Rejection.Error("ConcurrencyLimited")<{
  /** The key whose limit was reached. */
  readonly key: string
  /** How many calls the key may run at once at this moment. */
  readonly limit: number
}> {}

/**
 * How the limit learns: by `aimd` or by `gradient`.
 *
 * @since 0.1.0
 * @category models
 */
export type Limit =
  | {
    /** Names the case. */
    readonly _tag: "Aimd"
    /** The limit that a new key starts with. */
    readonly initial: number
    /** The lowest limit; it never shrinks below this. */
    readonly min: number
    /** The highest limit; it never grows above this. */
    readonly max: number
    /** The share of the limit that remains after a drop, above 0 and below 1. */
    readonly backoffRatio: number
    /** A success slower than this counts as a drop. */
    readonly timeout: Duration.Duration
  }
  | {
    /** Names the case. */
    readonly _tag: "Gradient"
    /** The limit that a new key starts with. */
    readonly initial: number
    /** The lowest limit; it never shrinks below this. */
    readonly min: number
    /** The highest limit; it never grows above this. */
    readonly max: number
    /** The share of the limit that remains after a drop, above 0 and below 1. */
    readonly backoffRatio: number
    /** How far one success moves the limit towards its target, from 0 to 1. */
    readonly smoothing: number
    /** How many times slower than usual calls may be before the limit shrinks, at least 1. */
    readonly tolerance: number
    /** How many calls above the present limit the target allows, to find spare capacity. */
    readonly headroom: number
    /** Over how many calls the usual latency is averaged. */
    readonly longWindow: number
    /** Over how many calls the present latency is averaged. */
    readonly shortWindow: number
  }

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `initial`. */
  initial: 20,
  /** Default of the option `min`. */
  min: 1,
  /** Default of the option `max`. */
  max: 200,
  /** Default of the option `backoffRatio`. */
  backoffRatio: 0.9,
  /** Default of the option `timeout`. */
  timeout: Duration.infinity,
  /** Default of the option `smoothing`. */
  smoothing: 0.2,
  /** Default of the option `tolerance`. */
  tolerance: 1.5,
  /** Default of the option `headroom`. */
  headroom: 4,
  /** Default of the option `longWindow`. */
  longWindow: 600,
  /** Default of the option `shortWindow`. */
  shortWindow: 10,
  /** Default of the option `idleTimeToLive`. */
  idleTimeToLive: Duration.hours(1)
} as const

const bounds = (options: {
  readonly initial?: number | undefined
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly backoffRatio?: number | undefined
}) => {
  const min = Validate.integer("min", options.min ?? defaults.min, 1)
  const max = Validate.integer("max", options.max ?? Math.max(defaults.max, min), 1)
  if (min > max) throw new RangeError(`min should be at most max (${max}), got ${min}`)
  const initial = Validate.integer(
    "initial",
    options.initial ?? Math.min(max, Math.max(min, defaults.initial)),
    1
  )
  if (initial < min || initial > max) {
    throw new RangeError(`initial should be between min (${min}) and max (${max}), got ${initial}`)
  }
  const backoffRatio = Validate.rate("backoffRatio", options.backoffRatio ?? defaults.backoffRatio)
  if (backoffRatio === 1) throw new RangeError("backoffRatio should be below 1, got 1")
  return { initial, min, max, backoffRatio }
}

/**
 * Learns by additive increase and multiplicative decrease.
 *
 * **Details**
 *
 * The limit grows by one after as many successes as the limit, and shrinks to `backoffRatio` of it
 * after a drop. Invalid options throw `RangeError`.
 *
 * Source: Chiu and Jain, 1989, as in TCP congestion avoidance (RFC 5681).
 *
 * @since 0.1.0
 * @category constructors
 */
export const aimd = (options: {
  /** The limit that a new key starts with, in calls. Default 20. */
  readonly initial?: number | undefined
  /** The lowest limit, in calls. Default 1. */
  readonly min?: number | undefined
  /** The highest limit, in calls. Default 200. */
  readonly max?: number | undefined
  /** The share of the limit that remains after a drop. Default 0.9. */
  readonly backoffRatio?: number | undefined
  /** A success slower than this counts as a drop. Default: no success does. */
  readonly timeout?: Duration.DurationInput | undefined
} = {}): Limit => ({
  _tag: "Aimd",
  ...bounds(options),
  timeout: Validate.positiveDuration("timeout", options.timeout ?? defaults.timeout)
})

/**
 * Learns from latency: shrinks the limit as soon as calls take longer than usual.
 *
 * **Details**
 *
 * Calls that take longer than usual wait in a queue of the upstream. The limit moves towards
 * `limit * gradient + headroom`. The gradient is `tolerance` times the usual latency, divided by
 * the present latency, and lies between 0.5 and 1. A drop shrinks the limit to `backoffRatio` of
 * it. Invalid options throw `RangeError`.
 *
 * **Gotchas**
 *
 * Kinds of calls with different latencies, such as a look-up and a report, look like a queue. Give
 * each kind a key of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gradient = (options: {
  /** The limit that a new key starts with, in calls. Default 20. */
  readonly initial?: number | undefined
  /** The lowest limit, in calls. Default 1. */
  readonly min?: number | undefined
  /** The highest limit, in calls. Default 200. */
  readonly max?: number | undefined
  /** The share of the limit that remains after a drop. Default 0.9. */
  readonly backoffRatio?: number | undefined
  /** How far one success moves the limit towards its target, from 0 to 1. Default 0.2. */
  readonly smoothing?: number | undefined
  /** How many times slower than usual calls may be, at least 1. Default 1.5. */
  readonly tolerance?: number | undefined
  /** How many calls above the present limit the target allows. Default 4. */
  readonly headroom?: number | undefined
  /** Over how many calls the usual latency is averaged. Default 600. */
  readonly longWindow?: number | undefined
  /** Over how many calls the present latency is averaged. Default 10. */
  readonly shortWindow?: number | undefined
} = {}): Limit => ({
  _tag: "Gradient",
  ...bounds(options),
  smoothing: Validate.rate("smoothing", options.smoothing ?? defaults.smoothing),
  tolerance: Validate.number("tolerance", options.tolerance ?? defaults.tolerance, 1),
  headroom: Validate.number("headroom", options.headroom ?? defaults.headroom, 0),
  longWindow: Validate.integer("longWindow", options.longWindow ?? defaults.longWindow, 1),
  shortWindow: Validate.integer("shortWindow", options.shortWindow ?? defaults.shortWindow, 1)
})

/**
 * The options of an adaptive limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How the limit learns: `aimd` or `gradient`. Default `aimd()`. */
  readonly limit?: Limit | undefined
  /** Forgets a key that has been unused for this long. Default 1 h. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /**
   * Says whether a call succeeded (`success`), was dropped (`failure`) or tells nothing
   * (`ignored`). Default `classify`.
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
  /** The key whose limit applies. Default `"default"`. */
  readonly key?: string | undefined
}

/**
 * Shows one key: how many calls may run, and how many do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The key. */
  readonly key: string
  /** How many calls may run at once. */
  readonly limit: number
  /** How many calls run now. */
  readonly running: number
}

/**
 * An adaptive limit for each key, under one set of options. Safe for concurrent callers; every
 * method is atomic.
 *
 * **Details**
 *
 * `protect` fails with `ConcurrencyLimited`, without running the call, when the limit is reached.
 * Calls never wait here; put a bulkhead with a queue around it for that. A call keeps its place
 * until it has ended, finalizers included.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdaptiveConcurrency extends Guard.View<Snapshot> {
  /**
   * Runs a call under the limit of its key. Fails with `ConcurrencyLimited` when the limit is
   * reached.
   */
  readonly protect: Protect
}

/**
 * Runs a call when its key is below its limit. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never>
  extends Guard.Protect<ConcurrencyLimited, CallOptions, Self>
{}

/**
 * Classifies the exit of a call by what it says about load.
 *
 * **Details**
 *
 * • A success is a success.
 * - `RateLimit`, `Timeout`, `Server` with 503 or 504, and Effect's own `TimeoutException` are
 *   drops.
 * - Everything else is ignored: a quick failure says nothing about capacity. This includes
 *   interruption, defects and the rejections of guards.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const classify: (exit: Exit.Exit<unknown, unknown>) => Outcome = dropping

const rejections = Metric.counter("resilience.concurrency.rejected", {
  description: "Calls that an adaptive concurrency limit turned away",
  incremental: true
})

/** The limit of one key, as it has learned so far. */
class Learned extends Keyed {
  constructor(key: string, now: number, public state: Core.State) {
    super(key, now)
  }
}

/** What is needed to guard calls. */
interface Limiting {
  readonly policy: Core.Policy
  readonly classify: (exit: Exit.Exit<unknown, unknown>) => Outcome
  readonly limits: KeyedState<Learned>
}

const guard = <A, E, R>(
  limiting: Limiting,
  self: Effect.Effect<A, E, R>,
  key: string
): Effect.Effect<A, E | ConcurrencyLimited, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.clockWith((clock): Effect.Effect<A, E | ConcurrencyLimited, R> => {
      const started = nowMillis(clock)
      const learned = limiting.limits.use(key, clock, started)
      const [token, state] = Core.admit(learned.state)
      if (token === undefined) {
        const limited = new ConcurrencyLimited({ key, limit: Core.allowed(state) })
        return Effect.zipRight(CallContext.count(rejections), Effect.fail(limited))
      }
      learned.state = state
      return whenEnded(restore(self), (exit) => {
        let outcome: Outcome = ignored
        try {
          outcome = limiting.classify(exit)
        } finally {
          // A `classify` that throws is a defect, and still the place is given back.
          const ending = endingOf(outcome, nowMillis(clock) - started)
          learned.state = Core.end(limiting.policy, learned.state, token, ending)
        }
        return exit
      })
    })
  )

const endingOf = (outcome: Outcome, latencyMillis: number): Core.Ending => {
  if (outcome._tag === "Success") return { _tag: "Success", latencyMillis }
  return { _tag: outcome._tag === "Failure" ? "Drop" : "Ignored" }
}

/** Checked once more, since a limit is plain data that a caller can write by hand. */
const policyOf = (limit: Limit): Core.Policy => {
  if (limit._tag === "Gradient") return { ...limit, ...gradient(limit), _tag: "Gradient" }
  const { timeout, ...rest } = { ...limit, ...aimd(limit), _tag: "Aimd" } as const
  return { ...rest, timeoutMillis: Duration.toMillis(timeout) }
}

/**
 * Makes an adaptive limit for each key. Invalid options die with `RangeError`, which names field
 * and value.
 *
 * **When to use**
 *
 * Where the right size of a bulkhead is unknown: for an upstream whose capacity changes, or that
 * many processes share.
 *
 * **Details**
 *
 * The limit does not grow while less than half of it is used. Calls that were admitted before a
 * decrease do not decrease it again. O(1) per call. The metric `resilience.concurrency.rejected`
 * counts the rejected calls.
 *
 * **Example** (A limit that gives way)
 *
 * ```ts
 * import { AdaptiveConcurrency, ApiError } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const overloaded = Effect.fail(new ApiError.Server({ message: "overloaded", status: 503 }))
 *
 * const program = Effect.gen(function*() {
 *   const limit = AdaptiveConcurrency.aimd({ initial: 10, backoffRatio: 0.5 })
 *   const adaptive = yield* AdaptiveConcurrency.make({ limit })
 *   yield* Effect.exit(adaptive.protect(overloaded))
 *   return yield* adaptive.snapshot()
 * })
 *
 * await Effect.runPromise(program) // => { key: "default", limit: 5, running: 0 }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<AdaptiveConcurrency> =>
  Effect.sync(() => {
    const policy = policyOf(options.limit ?? aimd())
    const idle = Validate.positiveDuration(
      "idleTimeToLive",
      options.idleTimeToLive ?? defaults.idleTimeToLive
    )
    const limits = new KeyedState<Learned>({
      make: (key, now) => new Learned(key, now, Core.make(policy)),
      idleMillis: Duration.toMillis(Validate.finiteDuration("idleTimeToLive", idle)),
      isBusy: ({ state }) => state.running > 0
    })
    const limiting: Limiting = { policy, classify: options.classify ?? classify, limits }
    return withBehind<AdaptiveConcurrency>({
      protect: Guard.protectByKey((self, key) => guard(limiting, self, key)),
      ...Guard.viewOf(limits, ({ key, state }) => ({
        key,
        limit: Core.allowed(state),
        running: state.running
      }))
    }, { options })
  })

/**
 * The tag of the default limit. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const AdaptiveConcurrency: Context.Tag<AdaptiveConcurrency, AdaptiveConcurrency> = Context
  .GenericTag<AdaptiveConcurrency>("effect-resilience/AdaptiveConcurrency")

/**
 * Makes the default limit as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<AdaptiveConcurrency> =>
  Layer.effect(AdaptiveConcurrency, make(options))

/**
 * Runs a call under the default limit. Fails with `ConcurrencyLimited` when the limit is reached.
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: Protect<AdaptiveConcurrency> = Guard.through(AdaptiveConcurrency)

/**
 * A tag for one of several limits, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Guard.TagClass<Self, Id, AdaptiveConcurrency, [options?: Options], Protect<Self>>
{}

/**
 * Makes a tag for the limit of one upstream.
 *
 * **Example** (Each API has a limit of its own)
 *
 * ```ts
 * import { AdaptiveConcurrency } from "effect-resilience"
 * import { Effect, Layer } from "effect"
 *
 * class Search extends AdaptiveConcurrency.Tag("Search")<Search>() {}
 * class Prices extends AdaptiveConcurrency.Tag("Prices")<Prices>() {}
 *
 * const program = Effect.zip(
 *   Search.protect(Effect.succeed("found")),
 *   Effect.succeed("9 EUR").pipe(Prices.protect({ key: "tenant 1" }))
 * )
 *
 * const limit = AdaptiveConcurrency.aimd({ initial: 50, max: 400 })
 * const limits = Layer.merge(Search.layer(), Prices.layer({ limit }))
 * await Effect.runPromise(Effect.provide(program, limits)) // => ["found", "9 EUR"]
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) => <Self>(): TagClass<Self, Id> =>
  Guard.tagClass(id, make)
