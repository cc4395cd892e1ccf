/**
 * Computes how long to wait between attempts. A backoff is a value: readable, comparable, decodable
 * from JSON, and exact enough to test.
 *
 * Effect's own `Schedule.jittered` spreads by a fifth around the delay, so clients that failed
 * together come back together. With a hundred contending clients it takes several times as long to
 * serve all of them as with full jitter, which is the default here.
 *
 * Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Interval from "effect/ScheduleInterval"
import * as Schema from "effect/Schema"
import * as Core from "../core/backoff.js"
import type { Misnamed } from "../runtime/misnamed.js"
import * as OptionSchema from "../runtime/optionSchema.js"
import * as Validate from "../runtime/validate.js"

/**
 * How a delay is spread: `none`, `full`, `equal` or `additive`.
 *
 * @since 0.1.0
 * @category models
 */
export type Jitter =
  | {
    /** Names the kind of jitter. */
    readonly _tag: "None"
  }
  | {
    /** Names the kind of jitter. */
    readonly _tag: "Full"
  }
  | {
    /** Names the kind of jitter. */
    readonly _tag: "Equal"
  }
  | {
    /** Names the kind of jitter. */
    readonly _tag: "Additive"
    /** The longest time that is added. */
    readonly max: Duration.Duration
  }

/**
 * A backoff. With `n` counting from 0 after the first failure, the delay before jitter is
 *
 * - `Constant`: `delay`
 * - `Linear`: `min(cap, base * (n + 1))`
 * - `Exponential`: `min(cap, base * factor^n)`
 * - `Decorrelated`: drawn from `[base, 3 * previous)`, cut at `cap`; the first `previous` is `base`
 *
 * @since 0.1.0
 * @category models
 */
export type Backoff =
  | {
    /** Names the formula. */
    readonly _tag: "Constant"
    /** The delay before jitter. */
    readonly delay: Duration.Duration
    /** How the delay is spread. */
    readonly jitter: Jitter
  }
  | {
    /** Names the formula. */
    readonly _tag: "Linear"
    /** The first delay. */
    readonly base: Duration.Duration
    /** The longest delay. */
    readonly cap: Duration.Duration
    /** How the delay is spread. */
    readonly jitter: Jitter
  }
  | {
    /** Names the formula. */
    readonly _tag: "Exponential"
    /** The first delay. */
    readonly base: Duration.Duration
    /** What each delay is multiplied by. */
    readonly factor: number
    /** The longest delay. */
    readonly cap: Duration.Duration
    /** How the delay is spread. */
    readonly jitter: Jitter
  }
  | {
    /** Names the formula. */
    readonly _tag: "Decorrelated"
    /** The shortest delay; also the first `previous`. */
    readonly base: Duration.Duration
    /** The longest delay. */
    readonly cap: Duration.Duration
  }

/**
 * The default options: a first delay of 200 ms for the schedules that need one, factor 2, cap 20 s.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `base`. */
  base: Duration.millis(200),
  /** Default of the option `factor`. */
  factor: 2,
  /** Default of the option `cap`. */
  cap: Duration.seconds(20)
} as const

/**
 * Keeps the delay as computed. Clients that failed together come back together.
 *
 * @since 0.1.0
 * @category jitter
 */
export const none: Jitter = { _tag: "None" }

/**
 * Draws from zero to the delay. Spreads contending clients best; the default of `exponential`.
 *
 * @since 0.1.0
 * @category jitter
 */
export const full: Jitter = { _tag: "Full" }

/**
 * Draws from half of the delay to all of it: never immediate, still spread.
 *
 * @since 0.1.0
 * @category jitter
 */
export const equal: Jitter = { _tag: "Equal" }

/**
 * Adds up to `max` to the delay, cut at the cap. At the cap there is no spread left. Invalid
 * durations throw `RangeError`.
 *
 * @since 0.1.0
 * @category jitter
 */
export const additive = (max: Duration.DurationInput): Jitter => ({
  _tag: "Additive",
  max: Validate.finiteDuration("additive.max", max)
})

interface Range {
  readonly base: Duration.Duration
  readonly cap: Duration.Duration
}

const growing = (
  options: {
    readonly base: Duration.DurationInput
    readonly cap?: Duration.DurationInput | undefined
  }
): Range => {
  const base = Validate.finiteDuration("base", Validate.positiveDuration("base", options.base))
  const cap = Validate.positiveDuration("cap", options.cap ?? defaults.cap)
  if (Duration.greaterThan(base, cap)) throw new RangeError(aboveCap({ base, cap }))
  return { base, cap }
}

/**
 * Waits the same delay every time, without jitter by default. A delay of zero is allowed and makes
 * a hot loop. Invalid delays throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (
  delay: Duration.DurationInput,
  options?: {
    /** How the delay is spread. Default `none`. */
    readonly jitter?: Jitter | undefined
  }
): Backoff => ({
  _tag: "Constant",
  delay: Validate.finiteDuration("delay", delay),
  jitter: options?.jitter ?? none
})

/**
 * Waits `base`, `2 * base`, `3 * base` and so on up to `cap` (default 20 s), without jitter by
 * default. A base above the cap throws `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const linear = (options: {
  /** The first delay, and the step (required). */
  readonly base: Duration.DurationInput
  /** The longest delay. Default 20 s. */
  readonly cap?: Duration.DurationInput | undefined
  /** How each delay is spread. Default `none`. */
  readonly jitter?: Jitter | undefined
}): Backoff => ({ _tag: "Linear", ...growing(options), jitter: options.jitter ?? none })

/**
 * Waits `base`, `base * factor`, `base * factor^2` and so on up to `cap`.
 *
 * **Details**
 *
 * Defaults: `factor` 2, `cap` 20 s, full jitter. A base above the cap, or a factor below 1, throws
 * `RangeError`.
 *
 * **Example** (min(500 * 2^n + random(0..300), 8000) ms)
 *
 * ```ts
 * import { Backoff } from "effect-resilience"
 * import { Duration } from "effect"
 *
 * const backoff = Backoff.exponential({
 *   base: "500 millis",
 *   cap: "8 seconds",
 *   jitter: Backoff.additive("300 millis")
 * })
 * const { min, max } = Backoff.envelope(backoff, 2)
 *
 * Duration.format(min) // => "2s"
 * Duration.format(max) // => "2s 300ms"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const exponential = (
  options:
    & Misnamed<{
      initial: "use base: the first delay"
      max: "use cap: the longest delay"
      maxDelay: "use cap: the longest delay"
      multiplier: "use factor"
    }>
    & {
      /** The first delay before jitter (required). */
      readonly base: Duration.DurationInput
      /** What each delay is multiplied by, at least 1. Default 2. */
      readonly factor?: number | undefined
      /** The longest delay. Default 20 s. */
      readonly cap?: Duration.DurationInput | undefined
      /** How each delay is spread. Default `full`. */
      readonly jitter?: Jitter | undefined
    }
): Backoff => ({
  _tag: "Exponential",
  ...growing(options),
  factor: Validate.number("factor", options.factor ?? defaults.factor, 1),
  jitter: options.jitter ?? full
})

/**
 * Draws each delay between `base` and three times the delay before, cut at `cap`. A base above the
 * cap throws `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decorrelated = (options: {
  /** The shortest delay (required). */
  readonly base: Duration.DurationInput
  /** The longest delay (required). */
  readonly cap: Duration.DurationInput
}): Backoff => ({ _tag: "Decorrelated", ...growing(options) })

/**
 * The backoff of a policy that names none: `exponential({ base: "200 millis" })`.
 *
 * @since 0.1.0
 * @category defaults
 */
export const standard: Backoff = exponential({ base: defaults.base })

const jitter = Schema.Union(
  Schema.TaggedStruct("None", {}),
  Schema.TaggedStruct("Full", {}),
  Schema.TaggedStruct("Equal", {}),
  Schema.TaggedStruct("Additive", { max: OptionSchema.read("max", Validate.finiteDuration) })
).annotations({ title: "None | Full | Equal | Additive" })
const jitterOrNone = Schema.optionalWith(jitter, { default: (): Jitter => none })
const jitterOrFull = Schema.optionalWith(jitter, { default: (): Jitter => full })

const base = OptionSchema.read(
  "base",
  (field, input) => Validate.finiteDuration(field, Validate.positiveDuration(field, input))
)
const cap = OptionSchema.read("cap", Validate.positiveDuration)
const capOrDefault = Schema.optionalWith(cap, { default: () => defaults.cap })

const aboveCap = ({ base, cap }: Range): string =>
  `base should not be above cap, got ${Duration.format(base)} and ${Duration.format(cap)}`

const baseWithinCap = (range: Range) =>
  Duration.lessThanOrEqualTo(range.base, range.cap) || { path: ["base"], message: aboveCap(range) }

/**
 * The Schema of a backoff in JSON, such as
 * `{ "_tag": "Exponential", "base": "500 millis", "jitter": { "_tag": "Full" } }`.
 *
 * **Details**
 *
 * Durations are written as in code, or as a number of milliseconds. Left out, `factor`, `cap` and
 * `jitter` get the defaults of the constructors. Invalid values fail with a `ParseError` that names
 * the path.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Backoff = Schema.Union(
  Schema.TaggedStruct("Constant", {
    delay: OptionSchema.read("delay", Validate.finiteDuration),
    jitter: jitterOrNone
  }),
  Schema.TaggedStruct("Linear", { base, cap: capOrDefault, jitter: jitterOrNone }).pipe(
    Schema.filter(baseWithinCap)
  ),
  Schema.TaggedStruct("Exponential", {
    base,
    factor: Schema.optionalWith(
      Schema.Number.pipe(Schema.finite(), Schema.greaterThanOrEqualTo(1)),
      { default: () => defaults.factor }
    ),
    cap: capOrDefault,
    jitter: jitterOrFull
  }).pipe(Schema.filter(baseWithinCap)),
  Schema.TaggedStruct("Decorrelated", { base, cap }).pipe(Schema.filter(baseWithinCap))
).annotations({ title: "Constant | Linear | Exponential | Decorrelated" })

const jitterMillis = (jitter: Jitter): Core.Jitter =>
  jitter._tag === "Additive"
    ? { _tag: "Additive", maxMillis: Duration.toMillis(jitter.max) }
    : jitter

/**
 * The backoff in plain milliseconds, for the core.
 *
 * @internal
 */
export const toCore = (backoff: Backoff): Core.Backoff => {
  switch (backoff._tag) {
    case "Constant":
      return {
        _tag: "Constant",
        delayMillis: Duration.toMillis(backoff.delay),
        jitter: jitterMillis(backoff.jitter)
      }
    case "Decorrelated":
      return {
        _tag: "Decorrelated",
        baseMillis: Duration.toMillis(backoff.base),
        capMillis: Duration.toMillis(backoff.cap)
      }
    default:
      return {
        _tag: backoff._tag,
        baseMillis: Duration.toMillis(backoff.base),
        capMillis: Duration.toMillis(backoff.cap),
        factor: backoff._tag === "Exponential" ? backoff.factor : 1,
        jitter: jitterMillis(backoff.jitter)
      }
  }
}

/**
 * Computes the delay in milliseconds: finite, at least 0, at most the cap, for any attempt number.
 *
 * `attempt` counts from 0 after the first failure, `previousMillis` is the delay before this one,
 * `unit` is a draw from `[0, 1)`. O(1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const delayMillis = (
  backoff: Backoff,
  input: {
    /** Counts from 0 after the first failure. */
    readonly attempt: number
    /** The delay before this one, in milliseconds. */
    readonly previousMillis: number
    /** A random draw from `[0, 1)`. */
    readonly unit: number
  }
): number => Core.delayMillis(toCore(backoff), input)

/**
 * Computes the shortest and the longest possible delay of an attempt (counted from 0 after the
 * first failure). O(1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const envelope = (
  backoff: Backoff,
  attempt: number
): { readonly min: Duration.Duration; readonly max: Duration.Duration } => {
  const { max, min } = Core.envelopeMillis(toCore(backoff), attempt)
  return { min: Duration.millis(min), max: Duration.millis(max) }
}

/**
 * Makes an endless Effect `Schedule` with these delays, whose output is the delay. Bound it with
 * `Schedules.retries` or `Schedules.within`.
 *
 * **Details**
 *
 * Randomness comes from Effect's `Random` service. Delays are clamped to 2^31-1 ms, beyond which a
 * JavaScript timer never fires.
 *
 * @since 0.1.0
 * @category schedules
 */
export const schedule = (backoff: Backoff): Schedule.Schedule<Duration.Duration> => {
  const core = toCore(backoff)
  return Schedule.makeWithState(
    { attempt: 0, previousMillis: 0 },
    (now, _, { attempt, previousMillis }) =>
      Effect.map(Random.next, (unit) => {
        const delay = Math.min(
          Core.maxTimerMillis,
          Core.delayMillis(core, { attempt, previousMillis, unit })
        )
        return [
          { attempt: attempt + 1, previousMillis: delay },
          Duration.millis(delay),
          ScheduleDecision.continueWith(Interval.after(now + delay))
        ]
      })
  )
}
