/**
 * Why this file exists: `Retry-After` is the one place where a server says how long to stay away,
 * and the usual one-liners get it wrong in both directions: "-5" becomes a date in 2001, "0"
 * becomes "no hint", a server with a slow clock becomes a wait of hours, and two header fields that
 * a library joined become garbage. Rules E10 and E11.
 */
import * as HttpDate from "./httpDate.js"

/**
 * A comma between two joined field values, not the one inside a date. Libraries join with a comma
 * and a space, so a comma without a space ("1,5" or "1,000") joins nothing; and after the name of a
 * day it belongs to the date, unless the next value begins with a name as well.
 */
const joint = /(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun|day),(?=[ \t]|$)|,(?=[ \t][A-Z])/

/** A number with leading zeros is the rest of "1, 000" rather than a value of its own. */
const isRest = (text: string): boolean => /^0\d/.test(text)

/**
 * The values of one or several field lines, each of which may be several values joined with ", ".
 *
 * **Details** Values are trimmed. O(total length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const members = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.flatMap((line) => line.split(joint)).map((value) => value.trim())

/**
 * The largest wait in several field lines, each of which may be several values joined with ", ".
 *
 * **Details** The lines count only if `read` understands every value by itself: a part of
 * something else, such as "2026" in "Jan 15, 2026", is no wait. Otherwise the answer is
 * `undefined`. O(total length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const longest = (
  lines: ReadonlyArray<string>,
  read: (value: string) => number | undefined
): number | undefined => {
  const values = members(lines)
  let result: number | undefined
  for (const value of values) {
    const millis = values.length > 1 && isRest(value) ? undefined : read(value)
    if (millis === undefined) return undefined
    if (result === undefined || millis > result) result = millis
  }
  return result
}

/**
 * Reads seconds as milliseconds: `delay-seconds = 1*DIGIT` (RFC 9110 section 10.2.3), or a decimal,
 * which real APIs send, rounded up to whole seconds.
 *
 * **Details** No sign, exponent or hexadecimal. A number too large saturates at
 * `Number.MAX_SAFE_INTEGER`, so that the answer is always finite. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const delaySeconds = (text: string): number | undefined => {
  const [, whole, fraction = ""] = /^(\d+)(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  const seconds = Number(whole) + (/[1-9]/.test(fraction) ? 1 : 0)
  return Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER)
}

/**
 * Reads `Retry-After` (RFC 9110 section 10.2.3) as the milliseconds to wait: finite, and never
 * below zero.
 *
 * **Details** Seconds or an HTTP-date; anything else is ignored, and a number is never taken for a
 * date. `0` and a past date answer 0, which means *now*; `undefined` means *no hint*. A date is
 * compared with the response's own `Date` header when that is within a day of `nowMillis`, else
 * with `nowMillis`. Of several values, as an array or joined with ", ", the largest counts, if all
 * of them can be read. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (
  value: string | ReadonlyArray<string> | undefined,
  context: { readonly nowMillis: number; readonly dateHeader?: string | undefined }
): number | undefined => {
  if (value === undefined) return undefined
  const dateWait = (text: string): number | undefined => {
    const date = HttpDate.parse(text, context.nowMillis)
    return date === undefined
      ? undefined
      : Math.max(0, date - HttpDate.reference(context.dateHeader, context.nowMillis))
  }
  return longest(
    typeof value === "string" ? [value] : value,
    (text) => delaySeconds(text) ?? dateWait(text)
  )
}
