/** The options of a circuit breaker, and the same in plain numbers. */
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as Circuit from "../../core/circuit.js"
import * as Backoff from "../../retry/Backoff.js"
import type { Misnamed } from "../../runtime/misnamed.js"
import * as Validate from "../../runtime/validate.js"
import type { Outcome } from "./outcome.js"

/**
 * The outcomes that count: the last `size`, or those of the last `duration`.
 *
 * @since 0.1.0
 * @category models
 */
export type Window =
  | {
    /** Names the case. */
    readonly _tag: "Count"
    /** How many outcomes count. */
    readonly size: number
  }
  | {
    /** Names the case. */
    readonly _tag: "Time"
    /** How long an outcome counts. */
    readonly duration: Duration.Duration
    /** How many parts the duration is cut into; whole parts are dropped. */
    readonly buckets: number
  }

/**
 * How trials decide: by `n` successes in a row, or by the share of failed and slow ones among `n`.
 *
 * @since 0.1.0
 * @category models
 */
export type HalfOpen =
  | {
    /** Names the case. */
    readonly _tag: "Consecutive"
    /** How many successes in a row close the circuit. */
    readonly trials: number
  }
  | {
    /** Names the case. */
    readonly _tag: "Rate"
    /** How many trials decide. */
    readonly trials: number
    /** The share of failed or slow trials that opens the circuit again, from 0 to 1. */
    readonly threshold: number
  }

/**
 * Counts the last `size` outcomes. Takes one byte for each. Invalid sizes throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const count = (size: number): Window => ({
  _tag: "Count",
  size: Validate.integer("size", size, 1)
})

/**
 * Counts the outcomes of the last `duration`, cut into `buckets` (default 10). Invalid options
 * throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const time = (
  duration: Duration.DurationInput,
  options?: {
    /** How many parts the duration is cut into. Default 10. */
    readonly buckets?: number | undefined
  }
): Window => ({
  _tag: "Time",
  duration: Validate.finiteDuration("duration", Validate.positiveDuration("duration", duration)),
  buckets: Validate.integer("buckets", options?.buckets ?? 10, 1)
})

/**
 * Closes after `trials` successes in a row; one failed or slow trial opens again. Invalid numbers
 * throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const consecutive = (trials: number): HalfOpen => ({
  _tag: "Consecutive",
  trials: Validate.integer("trials", trials, 1)
})

/**
 * Opens again when at least `threshold` of the `trials` failed or were slow, and closes otherwise,
 * as soon as either is certain. Invalid options throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rate = (
  options: {
    /** How many trials decide (required). */
    readonly trials: number
    /** The share of failed or slow trials that opens the circuit again (required). */
    readonly threshold: number
  }
): HalfOpen => ({
  _tag: "Rate",
  trials: Validate.integer("trials", options.trials, 1),
  threshold: Validate.rate("threshold", options.threshold)
})

/**
 * The options of a circuit breaker.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends
  Misnamed<{
    threshold: "use failureRate: a share of the window, from 0 to 1"
    failureThreshold: "use failureRate: a share of the window, from 0 to 1"
    errorThresholdPercentage: "use failureRate: a share of the window, from 0 to 1"
    volumeThreshold: "use minimumCalls"
    resetTimeout: "use openDuration"
    halfOpenAfter: "use openDuration"
    timeout: "use attemptTimeout of the pipeline, or Timeout.timeout inside the breaker"
  }>
{
  /** The outcomes that count. Default: the last 20. */
  readonly window?: Window | undefined
  /**
   * How many outcomes the window needs before a rate counts. Default 10, or the size of a smaller
   * window.
   */
  readonly minimumCalls?: number | undefined
  /** Opens at this share of failures, from 0 to 1. Default 0.5. */
  readonly failureRate?: number | undefined
  /**
   * Opens at a share of slow calls. Default 0.6 of calls above 3 s. `false`: slow calls do not
   * count.
   */
  readonly slowCall?:
    | {
      /** A call that takes longer than this is slow. */
      readonly duration: Duration.DurationInput
      /** Opens at this share of slow calls, from 0 to 1. */
      readonly rate: number
    }
    | false
    | undefined
  /**
   * How long the circuit stays open. Default 30 s. A `Backoff` lengthens it with each opening in a
   * row.
   */
  readonly openDuration?: Duration.DurationInput | Backoff.Backoff | undefined
  /** Caps what a `Backoff` or a `Retry-After` may make of the open time. Default 5 min. */
  readonly maxOpenDuration?: Duration.DurationInput | undefined
  /** How trials decide. Default: 3 successes in a row close the circuit. */
  readonly halfOpen?: HalfOpen | undefined
  /**
   * A trial that has not ended after this long loses its slot. Default: the last open time, at
   * least 10 s.
   */
  readonly trialTimeout?: Duration.DurationInput | undefined
  /** Forgets a key that has been unused for this long. Default 1 h. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /** Classifies the exit of a call. Default `classify`. */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `window`. */
  window: count(20),
  /** Default of the option `minimumCalls`. */
  minimumCalls: 10,
  /** Default of the option `failureRate`. */
  failureRate: 0.5,
  /** Default of the option `slowCall`. */
  slowCall: {
    /** Default of the option `slowCall.duration`. */
    duration: Duration.seconds(3),
    /** Default of the option `slowCall.rate`. */
    rate: 0.6
  },
  /** Default of the option `openDuration`. */
  openDuration: Duration.seconds(30),
  /** Default of the option `maxOpenDuration`. */
  maxOpenDuration: Duration.minutes(5),
  /** Default of the option `halfOpen`. */
  halfOpen: consecutive(3),
  /** Default of the option `idleTimeToLive`. */
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

/**
 * Reads the options as plain numbers. Invalid options throw `RangeError`, which names field and
 * value.
 */
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
