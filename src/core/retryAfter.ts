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

/** What time it is, by our clock and by the response's own `Date` header. */
export interface Now {
  readonly nowMillis: number
  readonly dateHeader?: string | undefined
}

const until = (momentMillis: number, now: Now): number =>
  Math.min(
    Math.max(0, momentMillis - HttpDate.reference(now.dateHeader, now.nowMillis)),
    Number.MAX_SAFE_INTEGER
  )

/** Seconds since the epoch below 1e11, milliseconds below 1e14, else microseconds. */
const epochMillis = (value: number): number =>
  Math.round(value < 1e11 ? value * 1000 : value < 1e14 ? value : value / 1000)

/** From here on, a number of seconds is too long for a wait and reads as a moment: 3 years. */
const leastMoment = 1e8

/**
 * Reads seconds as `delaySeconds` does, and a number too large for a wait as a moment: seconds,
 * milliseconds or microseconds since the epoch, by magnitude. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const delayOrMoment = (text: string, now: Now): number | undefined => {
  const delay = delaySeconds(text)
  return delay === undefined || delay < leastMoment * 1000 ?
    delay
    : until(epochMillis(Number(text)), now)
}

const unitMillis: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6
}

const part = "(\\d+(?:\\.\\d+)?)(ms|us|µs|ns|d|h|m|s)"
const durationText = new RegExp(`^(?:${part})+$`)

/**
 * Reads a duration such as `6m0s`, `2m59.56s` or `500ms` as milliseconds, rounded up. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const durationOf = (text: string): number | undefined => {
  if (!durationText.test(text)) return undefined
  let millis = 0
  for (const [, value, unit] of text.matchAll(new RegExp(part, "g"))) {
    millis += Number(value) * (unitMillis[unit as string] as number)
  }
  // The nearest multiple of a nanosecond, so that 16.1 s are not a millisecond more.
  return Math.min(Math.ceil(Math.round(millis * 1e6) / 1e6), Number.MAX_SAFE_INTEGER)
}

/**
 * What a bare number means in a header that no standard describes.
 *
 * @category models
 * @since 0.1.0
 */
export type Unit = "seconds" | "milliseconds" | "epoch" | "date" | "duration"

const numberOf = (value: number, now: Now, unit: Unit | undefined): number | undefined => {
  // 1e9 milliseconds are 12 days, and 1e9 seconds after the epoch are a day in 2001.
  const least = unit === "milliseconds" ? 1e9 : leastMoment
  if (unit === "epoch" || value >= least) return until(epochMillis(value), now)
  if (unit === "date") return undefined
  return unit === "milliseconds" ? Math.ceil(value) : Math.round(value * 1000)
}

/**
 * Reads a wait in any form that APIs use: a number, a duration such as `6m0s`, an HTTP-date or a
 * timestamp of RFC 3339.
 *
 * **Details** `unit` says what a number means; without it a number is seconds. A number too large
 * for a wait is a moment whatever the unit: seconds, milliseconds or microseconds since the epoch,
 * by magnitude. A past moment is 0. Anything else is `undefined`. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const anyForm = (text: string, now: Now, unit?: Unit): number | undefined => {
  if (/^\d+(?:\.\d+)?$/.test(text)) return numberOf(Number(text), now, unit)
  const moment = HttpDate.parse(text, now.nowMillis) ?? HttpDate.parseTimestamp(text)
  return moment === undefined ? durationOf(text) : until(moment, now)
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
  now: Now
): number | undefined => {
  if (value === undefined) return undefined
  const dateWait = (text: string): number | undefined => {
    const date = HttpDate.parse(text, now.nowMillis)
    return date === undefined ? undefined : until(date, now)
  }
  return longest(
    typeof value === "string" ? [value] : value,
    (text) => delaySeconds(text) ?? dateWait(text)
  )
}

/**
 * What a platform's response holds beside its headers: node:http keeps all lines as they came. The
 * response that the platform's client hands out has the one with the `source` in `original`.
 */
export interface Source {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly source?: unknown
  readonly original?: unknown
}

/** The lines of a field in the `rawHeaders` of node:http, which are names and values in turn. */
const rawLines = (source: unknown, name: string): ReadonlyArray<string> => {
  const raw = (source as { readonly rawHeaders?: unknown } | null | undefined)?.rawHeaders
  if (!Array.isArray(raw)) return []
  return raw.flatMap((value: unknown, index) => {
    const key: unknown = raw[index - 1]
    return index % 2 === 1 && typeof key === "string" && typeof value === "string" &&
        key.toLowerCase() === name
      ? [value]
      : []
  })
}

const sourceOf = ({ original, source }: Source): unknown =>
  source ?? (original as Pick<Source, "source"> | null | undefined)?.source

/**
 * The headers of a response with every line of `Retry-After`: node:http hides all but the first.
 * O(headers).
 *
 * @category parsing
 * @since 0.1.0
 */
export const headersOf = (response: Source): Source["headers"] => {
  const lines = rawLines(sourceOf(response), "retry-after")
  return lines.length > 1
    ? { ...response.headers, "retry-after": lines.join(", ") }
    : response.headers
}

/**
 * The wait in the headers that mean nothing else, in milliseconds: `Retry-After`, else
 * `retry-after-ms`. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const ofHeaders = (headers: Source["headers"], nowMillis: number): number | undefined => {
  const now = { nowMillis, dateHeader: headers.date }
  return parse(headers["retry-after"], now) ??
    longest([headers["retry-after-ms"] ?? ""], (text) => anyForm(text, now, "milliseconds"))
}
