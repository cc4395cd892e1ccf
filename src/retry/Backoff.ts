/**
 * How long to wait between attempts, as a value: readable, comparable, decodable from JSON, and
 * exact enough to test.
 *
 * Effect's own `Schedule.jittered` spreads by a fifth around the delay. Clients that failed
 * together then come back together: with a hundred of them contending it takes several times as
 * long to get everybody through as with full jitter, which is therefore the default here.
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
import * as OptionSchema from "../runtime/optionSchema.js"
import * as Validate from "../runtime/validate.js"

/**
 * How a delay is spread. See `none`, `full`, `equal` and `additive`.
 *
 * @since 0.1.0
 * @category models
 */
export type Jitter =
  | { readonly _tag: "None" }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Equal" }
  | { readonly _tag: "Additive"; readonly max: Duration.Duration }

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
  | { readonly _tag: "Constant"; readonly delay: Duration.Duration; readonly jitter: Jitter }
  | {
    readonly _tag: "Linear"
    readonly base: Duration.Duration
    readonly cap: Duration.Duration
    readonly jitter: Jitter
  }
  | {
    readonly _tag: "Exponential"
    readonly base: Duration.Duration
    readonly factor: number
    readonly cap: Duration.Duration
    readonly jitter: Jitter
  }
  | {
    readonly _tag: "Decorrelated"
    readonly base: Duration.Duration
    readonly cap: Duration.Duration
  }

/**
 * What is not said gets these: a first delay of 200 ms for the schedules that need one, doubling,
 * capped at 20 s.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  base: Duration.millis(200),
  factor: 2,
  cap: Duration.seconds(20)
} as const

/**
 * The delay as computed. All clients that failed together come back together.
 *
 * @since 0.1.0
 * @category jitter
 */
export const none: Jitter = { _tag: "None" }

/**
 * Anything from zero to the delay. Spreads contending clients best; the default of `exponential`.
 *
 * @since 0.1.0
 * @category jitter
 */
export const full: Jitter = { _tag: "Full" }

/**
 * Half of the delay, and up to the other half by chance: never immediate, still spread.
 *
 * @since 0.1.0
 * @category jitter
 */
export const equal: Jitter = { _tag: "Equal" }

/**
 * The delay and up to `max` more, cut at the cap. Once the delay reaches the cap nothing is left to
 * spread.
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
 * The same delay every time. No jitter unless asked for. A delay of zero is allowed, and is what it
 * says: a hot loop.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (
  delay: Duration.DurationInput,
  options?: { readonly jitter?: Jitter | undefined }
): Backoff => ({
  _tag: "Constant",
  delay: Validate.finiteDuration("delay", delay),
  jitter: options?.jitter ?? none
})

/**
 * `base`, `2 * base`, `3 * base`, ... up to `cap` (default 20 s). No jitter unless asked for.
 * Throws a `RangeError` for a base above the cap.
 *
 * @since 0.1.0
 * @category constructors
 */
export const linear = (options: {
  readonly base: Duration.DurationInput
  readonly cap?: Duration.DurationInput | undefined
  readonly jitter?: Jitter | undefined
}): Backoff => ({ _tag: "Linear", ...growing(options), jitter: options.jitter ?? none })

/**
 * `base`, `base * factor`, `base * factor^2`, ... up to `cap`.
 *
 * **Details**
 *
 * Defaults: `factor` 2, `cap` 20 s, full jitter. Throws a `RangeError` for a base above the cap or
 * a factor below 1.
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
export const exponential = (options: {
  readonly base: Duration.DurationInput
  readonly factor?: number | undefined
  readonly cap?: Duration.DurationInput | undefined
  readonly jitter?: Jitter | undefined
}): Backoff => ({
  _tag: "Exponential",
  ...growing(options),
  factor: Validate.number("factor", options.factor ?? defaults.factor, 1),
  jitter: options.jitter ?? full
})

/**
 * Each delay drawn between `base` and three times the one before, cut at `cap`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decorrelated = (options: {
  readonly base: Duration.DurationInput
  readonly cap: Duration.DurationInput
}): Backoff => ({ _tag: "Decorrelated", ...growing(options) })

/**
 * What a policy gets that names no backoff: `exponential({ base: "200 millis" })`.
 *
 * @since 0.1.0
 * @category defaults
 */
export const standard: Backoff = exponential({ base: defaults.base })

const jitterOr = (fallback: Jitter) =>
  Schema.optionalWith(
    Schema.Union(
      Schema.TaggedStruct("None", {}),
      Schema.TaggedStruct("Full", {}),
      Schema.TaggedStruct("Equal", {}),
      Schema.TaggedStruct("Additive", { max: OptionSchema.read("max", Validate.finiteDuration) })
    ),
    { default: () => fallback }
  )

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
 * A backoff in JSON:
 * `{ "_tag": "Exponential", "base": "500 millis", "cap": "8 seconds", "jitter": { "_tag": "Full" } }`.
 *
 * **Details**
 *
 * Durations are written as in code, or as a number of milliseconds. Left out, `factor`, `cap` and
 * `jitter` get the defaults of the constructors. Nonsense fails with a `ParseError` that names the
 * path.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Backoff = Schema.Union(
  Schema.TaggedStruct("Constant", {
    delay: OptionSchema.read("delay", Validate.finiteDuration),
    jitter: jitterOr(none)
  }),
  Schema.TaggedStruct("Linear", { base, cap: capOrDefault, jitter: jitterOr(none) }).pipe(
    Schema.filter(baseWithinCap)
  ),
  Schema.TaggedStruct("Exponential", {
    base,
    factor: Schema.optionalWith(
      Schema.Number.pipe(Schema.finite(), Schema.greaterThanOrEqualTo(1)),
      { default: () => defaults.factor }
    ),
    cap: capOrDefault,
    jitter: jitterOr(full)
  }).pipe(Schema.filter(baseWithinCap)),
  Schema.TaggedStruct("Decorrelated", { base, cap }).pipe(Schema.filter(baseWithinCap))
)

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
 * The delay in milliseconds: finite, never negative, never above the cap, for any attempt number.
 *
 * `attempt` counts from 0 after the first failure, `previousMillis` is the delay before this one,
 * `unit` is a draw from `[0, 1)`. O(1).
 *
 * @since 0.1.0
 * @category accessors
 */
export const delayMillis = (
  backoff: Backoff,
  input: { readonly attempt: number; readonly previousMillis: number; readonly unit: number }
): number => Core.delayMillis(toCore(backoff), input)

/**
 * The shortest and the longest delay possible for an attempt (counted from 0 after the first
 * failure). O(1).
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
 * An endless Effect `Schedule` with these delays, whose output is the delay. Bound it with
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
