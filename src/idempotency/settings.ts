/**
 * The settings of an idempotent run: options, defaults and checks.
 */
import * as Duration from "effect/Duration"
import * as Validate from "../runtime/validate.js"

/**
 * The options that `Idempotency.run` and `IdempotencyMiddleware` share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long the claim of a run lasts. Default 60 s. */
  readonly lease?: Duration.DurationInput | undefined
  /** How long a recorded outcome is replayed. Default 24 h. */
  readonly timeToLive?: Duration.DurationInput | undefined
  /**
   * Fails a duplicate with `InFlight` (`"reject"`, the default) or makes it wait for the outcome.
   */
  readonly onDuplicate?: "reject" | {
    /** How long a duplicate waits for the outcome at most. */
    readonly wait: Duration.DurationInput
  } | undefined
  /**
   * Without an answer of the store, fails the run (`"fail"`, the default) or runs the work
   * unprotected (`"run"`).
   */
  readonly onStoreFailure?: "fail" | "run" | undefined
  /** How long each store call may take. Default 2 s. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /**
   * Extends the lease after every third of it while the work runs, and interrupts the work when the
   * claim is lost. Default false.
   */
  readonly heartbeat?: boolean | undefined
  /**
   * A larger outcome is recorded as done, and a replay fails with `ResultUnavailable`. Default 256
   * KiB.
   */
  readonly maxOutcomeBytes?: number | undefined
}

export interface Settings {
  readonly leaseMillis: number
  readonly timeToLiveMillis: number
  readonly onDuplicate: "reject" | { readonly waitMillis: number }
  readonly onStoreFailure: "fail" | "run"
  readonly storeTimeoutMillis: number
  readonly heartbeat: boolean
  readonly maxOutcomeBytes: number
}

/**
 * `maxOutcomeBytes` is 256 KiB.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `lease`. */
  lease: Duration.seconds(60),
  /** Default of the option `timeToLive`. */
  timeToLive: Duration.hours(24),
  /** Default of the option `onDuplicate`. */
  onDuplicate: "reject",
  /** Default of the option `onStoreFailure`. */
  onStoreFailure: "fail",
  /** Default of the option `storeTimeout`. */
  storeTimeout: Duration.seconds(2),
  /** Default of the option `heartbeat`. */
  heartbeat: false,
  /** Default of the option `maxOutcomeBytes`. */
  maxOutcomeBytes: 262_144
} as const

/** Whole milliseconds, at least one: the unit of stores. */
const millis = (field: string, input: Duration.DurationInput): number =>
  Math.ceil(
    Duration.toMillis(Validate.finiteDuration(field, Validate.positiveDuration(field, input)))
  )

/** One of a few words; a `RangeError` for any other names them all. */
export const oneOf = <const A extends string>(
  field: string,
  value: A,
  values: ReadonlyArray<A>
): A => {
  Validate.text(
    field,
    value,
    values.map((value) => JSON.stringify(value)).join(" or "),
    () => values.includes(value)
  )
  return value
}

const duplicates = (onDuplicate: NonNullable<Options["onDuplicate"]>): Settings["onDuplicate"] =>
  typeof onDuplicate === "string"
    ? oneOf("onDuplicate", onDuplicate, ["reject"] as const)
    : { waitMillis: Duration.toMillis(Validate.duration("onDuplicate.wait", onDuplicate.wait)) }

/** Fills in the defaults. Invalid options throw `RangeError`, which names field and value. */
export const settingsOf = (options: Options): Settings => ({
  leaseMillis: millis("lease", options.lease ?? defaults.lease),
  timeToLiveMillis: millis("timeToLive", options.timeToLive ?? defaults.timeToLive),
  onDuplicate: duplicates(options.onDuplicate ?? defaults.onDuplicate),
  onStoreFailure: oneOf("onStoreFailure", options.onStoreFailure ?? defaults.onStoreFailure, [
    "fail",
    "run"
  ]),
  storeTimeoutMillis: millis("storeTimeout", options.storeTimeout ?? defaults.storeTimeout),
  heartbeat: options.heartbeat ?? defaults.heartbeat,
  maxOutcomeBytes: Validate.integer(
    "maxOutcomeBytes",
    options.maxOutcomeBytes ?? defaults.maxOutcomeBytes,
    0
  )
})
