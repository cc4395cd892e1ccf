/**
 * How a circuit breaker is told what to do, and what that is in plain numbers.
 */
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as Circuit from "../../core/circuit.js"
import * as Backoff from "../../retry/Backoff.js"
import * as Validate from "../../runtime/validate.js"
import type { Outcome } from "./outcome.js"

/**
 * Which outcomes count: the last `size` of them, or those of the last `duration`.
 *
 * @since 0.1.0
 * @category models
 */
export type Window =
  | { readonly _tag: "Count"; readonly size: number }
  | { readonly _tag: "Time"; readonly duration: Duration.Duration; readonly buckets: number }

/**
 * How trials decide: `n` successes in a row, or the share of bad ones among `n`.
 *
 * @since 0.1.0
 * @category models
 */
export type HalfOpen =
  | { readonly _tag: "Consecutive"; readonly trials: number }
  | { readonly _tag: "Rate"; readonly trials: number; readonly threshold: number }

/**
 * A window of the last `size` outcomes. Takes a byte for each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const count = (size: number): Window => ({
  _tag: "Count",
  size: Validate.integer("size", size, 1)
})

/**
 * A window of the outcomes of the last `duration`, cut into `buckets` (default 10).
 *
 * @since 0.1.0
 * @category constructors
 */
export const time = (
  duration: Duration.DurationInput,
  options?: { readonly buckets?: number | undefined }
): Window => ({
  _tag: "Time",
  duration: Validate.finiteDuration("duration", Validate.positiveDuration("duration", duration)),
  buckets: Validate.integer("buckets", options?.buckets ?? 10, 1)
})

/**
 * Closes after `trials` successes in a row; one failed or slow trial opens again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const consecutive = (trials: number): HalfOpen => ({
  _tag: "Consecutive",
  trials: Validate.integer("trials", trials, 1)
})

/**
 * Opens again when at least `threshold` of the `trials` failed or were slow, closes otherwise, each
 * as soon as it is certain.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rate = (
  options: { readonly trials: number; readonly threshold: number }
): HalfOpen => ({
  _tag: "Rate",
  trials: Validate.integer("trials", options.trials, 1),
  threshold: Validate.rate("threshold", options.threshold)
})

/**
 * - `window`: which outcomes count. Default: the last 20.
 * - `minimumCalls`: how many of them there must be. Default 10, or the size of a smaller window.
 * - `failureRate`: opens at this share of failures. Default 0.5.
 * - `slowCall`: opens when at least `rate` of the calls took longer than `duration`. Default 0.6
 *   above 3 s; `false`: slowness does not count.
 * - `openDuration`: how long it stays open. Default 30 s. A `Backoff` grows it with each
 *   consecutive opening.
 * - `maxOpenDuration`: the most that growth and a server's own wish can make of it. Default 5 min.
 * - `halfOpen`: how trials decide. Default: 3 successes in a row.
 * - `trialTimeout`: when a trial that has not ended loses its slot. Default: the time it was open,
 *   at least 10 s.
 * - `idleTimeToLive`: when an unused key is forgotten. Default 1 h.
 * - `classify`: what an exit says. Default `classify`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly window?: Window | undefined
  readonly minimumCalls?: number | undefined
  readonly failureRate?: number | undefined
  readonly slowCall?:
    | { readonly duration: Duration.DurationInput; readonly rate: number }
    | false
    | undefined
  readonly openDuration?: Duration.DurationInput | Backoff.Backoff | undefined
  readonly maxOpenDuration?: Duration.DurationInput | undefined
  readonly halfOpen?: HalfOpen | undefined
  readonly trialTimeout?: Duration.DurationInput | undefined
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * The values that the Widget Session API recommends to its callers.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  window: count(20),
  minimumCalls: 10,
  failureRate: 0.5,
  slowCall: { duration: Duration.seconds(3), rate: 0.6 },
  openDuration: Duration.seconds(30),
  maxOpenDuration: Duration.minutes(5),
  halfOpen: consecutive(3),
  idleTimeToLive: Duration.hours(1)
} as const

/** The largest sizes that options may ask for. */
export const bounds = { windowSize: 1_000_000, buckets: 10_000, trials: 1000 } as const

const windowOf = (window: Window): Circuit.Policy["window"] =>
  window._tag === "Count"
    ? { _tag: "Count", size: Validate.integer("window.size", window.size, 1, bounds.windowSize) }
    : {
      _tag: "Time",
      durationMillis: Duration.toMillis(
        Validate.positiveDuration("window.duration", window.duration)
      ),
      buckets: Validate.integer("window.buckets", window.buckets, 1, bounds.buckets)
    }

const minimumOf = (minimumCalls: number | undefined, window: Circuit.Policy["window"]): number => {
  const size = window._tag === "Count" ? window.size : Infinity
  const minimum = Validate.integer(
    "minimumCalls",
    minimumCalls ?? Math.min(defaults.minimumCalls, size),
    1
  )
  if (minimum > size) {
    throw new RangeError(
      `minimumCalls should be at most the window's size of ${size}, got ${minimum}`
    )
  }
  return minimum
}

const halfOpenOf = (halfOpen: HalfOpen): HalfOpen => {
  Validate.integer("halfOpen.trials", halfOpen.trials, 1, bounds.trials)
  if (halfOpen._tag === "Rate") Validate.rate("halfOpen.threshold", halfOpen.threshold)
  return halfOpen
}

const isBackoff = (open: Duration.DurationInput | Backoff.Backoff): open is Backoff.Backoff =>
  typeof open === "object" && "_tag" in open

export const positiveMillis = (field: string, input: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration(field, Validate.positiveDuration(field, input)))

/** The options in plain numbers. Throws a `RangeError` that names field and value. */
export const policyOf = (options: Options): Circuit.Policy => {
  const window = windowOf(options.window ?? defaults.window)
  const slowCall = options.slowCall ?? defaults.slowCall
  const open = options.openDuration ?? defaults.openDuration
  return {
    window,
    minimumCalls: minimumOf(options.minimumCalls, window),
    failureRate: Validate.rate("failureRate", options.failureRate ?? defaults.failureRate),
    slow: slowCall === false ? undefined : {
      overMillis: Duration.toMillis(
        Validate.positiveDuration("slowCall.duration", slowCall.duration)
      ),
      rate: Validate.rate("slowCall.rate", slowCall.rate)
    },
    open: isBackoff(open) ? Backoff.toCore(open) : positiveMillis("openDuration", open),
    maxOpenMillis: positiveMillis(
      "maxOpenDuration",
      options.maxOpenDuration ?? defaults.maxOpenDuration
    ),
    halfOpen: halfOpenOf(options.halfOpen ?? defaults.halfOpen),
    trialTimeoutMillis: options.trialTimeout === undefined
      ? undefined
      : positiveMillis("trialTimeout", options.trialTimeout)
  }
}
