/**
 * Checks the options of a client when it is made.
 *
 * A blank name or a negative wait fails late and far from the line that wrote it, and a wait of
 * `NaN` is a hot loop. Each check returns the value, or throws a `RangeError` that names the field
 * and the value. Inside `Effect.sync` or `Effect.gen` that is a defect: a mistake of the program,
 * not a failure to handle.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Validate from "../runtime/validate.js"

/**
 * Checks a text by a test of your own. `should` completes the message: "`field` should be ...".
 * Throws a `RangeError` for a text that does not pass. O(test).
 *
 * **Example** (An environment that does not exist)
 *
 * ```ts
 * import { Check } from "effect-resilience"
 *
 * const environment = (value: string) =>
 *   Check.text("environment", value, "\"live\" or \"test\"", (text) => /^(live|test)$/.test(text))
 *
 * const refused = (value: string): string => {
 *   try {
 *     return environment(value)
 *   } catch (error) {
 *     return String(error)
 *   }
 * }
 *
 * refused("live") // => "live"
 * refused("staging") // => RangeError: environment should be "live" or "test", got "staging"
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const text = (
  field: string,
  value: string,
  should: string,
  test: (text: string) => boolean
): string => Validate.text(field, value, should, test)

/**
 * Checks a duration that has to be longer than zero; infinite is allowed. Numbers are milliseconds.
 * Throws a `RangeError` for zero, negative values, `NaN` and texts that are no duration. O(1).
 *
 * @since 0.1.0
 * @category options
 */
export const positiveDuration = (
  field: string,
  value: Duration.DurationInput
): Duration.Duration => Validate.positiveDuration(field, value)

/**
 * Checks a duration that has to end; zero is allowed. Numbers are milliseconds. Throws a
 * `RangeError` for infinite and negative values, `NaN` and texts that are no duration. O(1).
 *
 * @since 0.1.0
 * @category options
 */
export const finiteDuration = (
  field: string,
  value: Duration.DurationInput
): Duration.Duration => Validate.finiteDuration(field, value)
