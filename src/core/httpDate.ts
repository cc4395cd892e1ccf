/**
 * Why this file exists: a server may answer "come back at this moment" with a date, and
 * `Date.parse` is the wrong reader for it. It accepts far more than HTTP does (it turns "-5" into a
 * day in the year 2001), it reads one of the three forms in the local time zone, and it knows
 * nothing of the two-digit year rule. This is the strict grammar of RFC 9110 section 5.6.7, and
 * nothing beyond it.
 */

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const shortDay = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
const longDay = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
const month = `(?<month>${months.join("|")})`
const time = "(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})"

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const imfFixdate = new RegExp(`^${shortDay}, (?<day>\\d{2}) ${month} (?<year>\\d{4}) ${time} GMT$`)

/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const rfc850 = new RegExp(`^${longDay}, (?<day>\\d{2})-${month}-(?<year>\\d{2}) ${time} GMT$`)

/** `Sun Nov  6 08:49:37 1994` */
const asctime = new RegExp(`^${shortDay} ${month} (?<day>\\d{2}| \\d) ${time} (?<year>\\d{4})$`)

/** What each of the three forms captures. */
type Groups = Readonly<Record<"year" | "month" | "day" | "hour" | "minute" | "second", string>>

/**
 * Midnight UTC of a day. `Date.UTC` would read the years 0 to 99 as 1900 to 1999; `setUTCFullYear`
 * does not.
 */
const midnight = (year: number, monthIndex: number, day: number): number =>
  new Date(0).setUTCFullYear(year, monthIndex, day)

/**
 * Reads an HTTP-date as milliseconds since the epoch, or `undefined` when the text is not one.
 *
 * **Details** The three forms of RFC 9110 section 5.6.7: IMF-fixdate, RFC 850 and asctime (which is
 * UTC too). Names are case-sensitive, every number has its exact width, outer white space is
 * trimmed. A two-digit year is the latest one that does not put the date more than 50 years after
 * `nowMillis`. A leap second (`:60`) is the second after it. O(length).
 *
 * **Gotchas** The name of the weekday has to be a name, but it may be the wrong one: servers get it
 * wrong, and the rest of the date says everything. The day has to exist in its month.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string, nowMillis: number): number | undefined => {
  const trimmed = text.trim()
  const groups = (imfFixdate.exec(trimmed) ?? rfc850.exec(trimmed) ?? asctime.exec(trimmed))
    ?.groups as Groups | undefined
  if (groups === undefined) return undefined
  const hour = Number(groups.hour)
  const minute = Number(groups.minute)
  const second = Number(groups.second)
  if (hour > 23 || minute > 59 || second > 60) return undefined
  const timeMillis = ((hour * 60 + minute) * 60 + second) * 1000
  const day = Number(groups.day)
  const monthIndex = months.indexOf(groups.month)
  let year = Number(groups.year)
  if (groups.year.length === 2) {
    const now = new Date(nowMillis)
    const latest = now.setUTCFullYear(now.getUTCFullYear() + 50)
    const latestYear = now.getUTCFullYear()
    year = latestYear - ((latestYear - year) % 100)
    if (midnight(year, monthIndex, day) + timeMillis > latest) year -= 100
  }
  const dayMillis = midnight(year, monthIndex, day)
  return new Date(dayMillis).getUTCDate() === day ? dayMillis + timeMillis : undefined
}

const timestamp = new RegExp(
  "^(?<year>\\d{4})-(?<month>\\d{2})-(?<day>\\d{2})[Tt ]" + time +
    "(?:\\.(?<fraction>\\d+))?(?:[Zz]|(?<sign>[+-])(?<hours>\\d{2}):(?<minutes>\\d{2}))$"
)

/**
 * Reads a timestamp of RFC 3339, such as `2026-08-07T21:00:00Z`, as milliseconds since the epoch,
 * or `undefined` when the text is not one.
 *
 * **Details** The offset is required. A fraction is rounded up to whole milliseconds. The day has
 * to exist in its month. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseTimestamp = (text: string): number | undefined => {
  const groups = timestamp.exec(text.trim())?.groups
  if (groups === undefined) return undefined
  const number = (name: string) => Number(groups[name] ?? 0)
  const [hour, minute, second] = [number("hour"), number("minute"), number("second")]
  const ahead = number("hours") * 60 + number("minutes")
  const offset = groups.sign === "-" ? -ahead : ahead
  const date = midnight(number("year"), number("month") - 1, number("day"))
  // A day or a month that does not exist is one of another month.
  const exists = new Date(date).getUTCMonth() === number("month") - 1
  if (!exists || hour > 23 || minute > 59 || second > 60) return undefined
  if (number("hours") > 23 || number("minutes") > 59) return undefined
  const fraction = Math.ceil(Number(`0.${groups.fraction ?? 0}`) * 1000)
  return date + ((hour * 60 + minute - offset) * 60 + second) * 1000 + fraction
}

/**
 * Writes milliseconds since the epoch as an IMF-fixdate, the one form a sender may use (RFC 9110
 * section 5.6.7).
 *
 * **Details** A fraction of a second is cut off towards the past. O(1).
 *
 * **Gotchas** The form has room for the years 0000 to 9999 only; anything else, NaN included, is a
 * `RangeError`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (millis: number): string => {
  const date = new Date(millis)
  const year = date.getUTCFullYear()
  if (!(year >= 0 && year <= 9999)) {
    throw new RangeError(
      `httpDate.format: millis should lie in the years 0000 to 9999, got ${millis}`
    )
  }
  return date.toUTCString()
}

const oneDay = 86_400_000

/**
 * The moment that the dates of a response are to be compared with, in milliseconds since the epoch.
 *
 * **Details** The response's own `Date` header when that is an HTTP-date within a day of
 * `nowMillis`, so that a small difference between the two clocks cancels out (RFC 9110 section
 * 6.6.1), else `nowMillis`. A `nowMillis` of NaN leaves the header as the only clock. O(length).
 *
 * @category parsing
 * @since 0.1.0
 */
export const reference = (dateHeader: string | undefined, nowMillis: number): number => {
  const date = dateHeader === undefined ? undefined : parse(dateHeader, nowMillis)
  return date === undefined || Math.abs(date - nowMillis) > oneDay ? nowMillis : date
}
