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
  readonly lease?: Duration.DurationInput | undefined
  readonly timeToLive?: Duration.DurationInput | undefined
  readonly onDuplicate?: "reject" | { readonly wait: Duration.DurationInput } | undefined
  readonly onStoreFailure?: "fail" | "run" | undefined
  readonly storeTimeout?: Duration.DurationInput | undefined
  readonly heartbeat?: boolean | undefined
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
  lease: Duration.seconds(60),
  timeToLive: Duration.hours(24),
  onDuplicate: "reject",
  onStoreFailure: "fail",
  storeTimeout: Duration.seconds(2),
  heartbeat: false,
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

/** Fills in the defaults. Throws a `RangeError` with field and value for invalid options. */
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
