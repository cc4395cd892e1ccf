/**
 * As many calls at once as the upstream can bear, found out and not guessed.
 *
 * A bulkhead needs a number, and the right number changes: with the load of others, with a
 * deployment, with the time of day. A number that is too high fills the queues of the upstream,
 * where calls wait and time out; one that is too low leaves it idle. This limit learns from how
 * calls end: it grows while they succeed, and shrinks when they are dropped, or take longer than
 * they used to.
 *
 * The learning is pure (`core/concurrency`); this file counts who runs, and gives every place back.
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
 * As many calls as are allowed are running: this one did not run. `limit` is how many that are at
 * present. When a place will be free is not known.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConcurrencyLimited extends Rejection.Error("ConcurrencyLimited")<{
  readonly key: string
  readonly limit: number
}> {}

/**
 * How a limit learns.
 *
 * @since 0.1.0
 * @category models
 */
export type Limit =
  | {
    readonly _tag: "Aimd"
    readonly initial: number
    readonly min: number
    readonly max: number
    readonly backoffRatio: number
    readonly timeout: Duration.Duration
  }
  | {
    readonly _tag: "Gradient"
    readonly initial: number
    readonly min: number
    readonly max: number
    readonly backoffRatio: number
    readonly smoothing: number
    readonly tolerance: number
    readonly headroom: number
    readonly longWindow: number
    readonly shortWindow: number
  }

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  initial: 20,
  min: 1,
  max: 200,
  backoffRatio: 0.9,
  timeout: Duration.infinity,
  smoothing: 0.2,
  tolerance: 1.5,
  headroom: 4,
  longWindow: 600,
  shortWindow: 10,
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
 * Additive increase, multiplicative decrease: grows by one when as many calls as the limit have
 * succeeded, and shrinks to `backoffRatio` of it when one was dropped.
 *
 * **Details**
 *
 * - `initial`, `min`, `max`: where the limit begins, and its bounds. Default 20, 1 and 200.
 * - `backoffRatio`: what a drop leaves of the limit. Default 0.9.
 * - `timeout`: a success that took longer than this is a drop. Default: none is.
 *
 * Throws a `RangeError` for nonsense options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const aimd = (options: {
  readonly initial?: number | undefined
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly backoffRatio?: number | undefined
  readonly timeout?: Duration.DurationInput | undefined
} = {}): Limit => ({
  _tag: "Aimd",
  ...bounds(options),
  timeout: Validate.positiveDuration("timeout", options.timeout ?? defaults.timeout)
})

/**
 * Shrinks as soon as calls take longer than they used to: then they wait somewhere, and as many
 * would be served with fewer of them under way.
 *
 * **Details**
 *
 * The limit moves towards `limit * gradient + headroom`, where the gradient is `tolerance` times
 * the usual latency by the present one, at most 1 and at least 0.5.
 *
 * - `initial`, `min`, `max`, `backoffRatio`: as for `aimd`. A drop shrinks this limit as well.
 * - `smoothing`: how far each success moves it. Default 0.2.
 * - `tolerance`: by how much calls may be slower than usual. Default 1.5.
 * - `headroom`: how many calls more are let in to find out whether there is room. Default 4.
 * - `longWindow`, `shortWindow`: over how many calls the usual and the present latency are
 *   averaged. Default 600 and 10.
 *
 * Throws a `RangeError` for nonsense options.
 *
 * **Gotchas**
 *
 * Calls whose latencies differ by their nature, a look-up and a report, look like a queue. Give
 * each kind a key of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gradient = (options: {
  readonly initial?: number | undefined
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly backoffRatio?: number | undefined
  readonly smoothing?: number | undefined
  readonly tolerance?: number | undefined
  readonly headroom?: number | undefined
  readonly longWindow?: number | undefined
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
 * - `limit`: how it learns. Default `aimd()`.
 * - `idleTimeToLive`: when an unused key is forgotten. Default 1 h.
 * - `classify`: whether a call succeeded (`success`), was dropped (`failure`), or says nothing
 *   (`ignored`). Default `classify`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly limit?: Limit | undefined
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * `key`: whose limit, default `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/**
 * One key at one moment: how many calls may run at once, and how many do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly key: string
  readonly limit: number
  readonly running: number
}

/**
 * Limits that learn, one for each key, under one set of options. Safe for any number of concurrent
 * callers; every method is atomic.
 *
 * **Details**
 *
 * `protect` fails with `ConcurrencyLimited` without running the call when as many run as may.
 * Nobody waits here; put a bulkhead with a queue around it for that. A place is given back when the
 * call has really ended, interruption included.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdaptiveConcurrency extends Guard.View<Snapshot> {
  readonly protect: Protect
}

/**
 * Runs a call if as many are not running as may, effect first or effect last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protect<Self = never>
  extends Guard.Protect<ConcurrencyLimited, CallOptions, Self>
{}

/**
 * What the end of a call says about the load.
 *
 * **Details**
 *
 * - Success: a success.
 * - `RateLimit`, `Timeout`, `Server` with 503 or 504, and Effect's own `TimeoutException`: dropped.
 * - Everything else is ignored: a failure that comes quickly says nothing about how much the
 *   upstream can bear. Interruption, defects and the rejections of our own guards are among it.
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

/** Checked once more, since a limit is plain data that anybody can write down. */
const policyOf = (limit: Limit): Core.Policy => {
  if (limit._tag === "Gradient") return { ...limit, ...gradient(limit), _tag: "Gradient" }
  const { timeout, ...rest } = { ...limit, ...aimd(limit), _tag: "Aimd" } as const
  return { ...rest, timeoutMillis: Duration.toMillis(timeout) }
}

/**
 * A new limit for each key. Dies with a `RangeError` that names field and value when an option is
 * nonsense.
 *
 * **When to use**
 *
 * Where a bulkhead would be used if only somebody knew the number: for an upstream whose capacity
 * changes, or that many processes share.
 *
 * **Details**
 *
 * A limit that is not used proves nothing: it does not grow while less than half of it is. Calls
 * that were let in before a decrease do not decrease it again. O(1) per call. The metric
 * `resilience.concurrency.rejected` counts the calls turned away.
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
 * The limit of a program that needs one. Programs with several make a `Tag` for each.
 *
 * @since 0.1.0
 * @category tags
 */
export const AdaptiveConcurrency: Context.Tag<AdaptiveConcurrency, AdaptiveConcurrency> = Context
  .GenericTag<AdaptiveConcurrency>("effect-resilience/AdaptiveConcurrency")

/**
 * The default limit as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<AdaptiveConcurrency> =>
  Layer.effect(AdaptiveConcurrency, make(options))

/**
 * Runs a call under the default limit.
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
 * A tag for the limit of one upstream.
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
