/**
 * Headers that say how long to wait, each with what it means, written down from the rules E10 to
 * E14 and the forms of real APIs.
 */
import type { Choice } from "./random.js"

/** Milliseconds, from the least to the most; a moment depends on when it is read. */
export type Wait = readonly [least: number, most: number]

/** Header lines and the wait in them. `anything` is a corner of which the rules say nothing. */
export interface WaitForm {
  readonly lines: ReadonlyArray<string>
  readonly wait: Wait | undefined | "anything"
  /** Of a quota, whether it says that nothing is left of it. */
  readonly spent?: boolean
}

const exactly = (seconds: number): Wait => [seconds * 1000, seconds * 1000]

/** A moment of our own clock, read up to half a minute later. */
const about = (seconds: number): Wait => [Math.max(0, seconds * 1000 - 30_000), seconds * 1000]

/** What time it is in the response's own `Date`, if that can be trusted, and the line itself. */
export interface DateForm {
  readonly lines: ReadonlyArray<string>
  readonly millis: number | undefined
}

const imf = (millis: number): string => new Date(millis).toUTCString()

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const rfc850 = (millis: number): string => {
  const [, day, month, year, time] = imf(millis).split(" ")
  return `${days[new Date(millis).getUTCDay()]}, ${day}-${month}-${year!.slice(2)} ${time} GMT`
}

/** `Sun Nov  6 08:49:37 1994` */
const asctime = (millis: number): string => {
  const [name, day, month, year, time] = imf(millis).split(" ")
  return `${name!.slice(0, 3)} ${month} ${day!.replace(/^0/, " ")} ${time} ${year}`
}

const wholeSecond = (millis: number): number => Math.floor(millis / 1000) * 1000

export const dateOf = (choice: Choice, nowMillis: number): DateForm => {
  const trusted = wholeSecond(nowMillis) - 600_000
  return choice.weighted<DateForm>([
    [4, { lines: [], millis: undefined }],
    [4, { lines: [`Date: ${imf(trusted)}`], millis: trusted }],
    [1, { lines: [`Date: ${asctime(trusted)}`], millis: trusted }],
    [1, { lines: ["Date: Thu, 01 Jan 1970 00:00:00 GMT"], millis: undefined }],
    [1, { lines: ["Date: Fri, 01 Jan 2099 00:00:00 GMT"], millis: undefined }],
    [1, { lines: ["Date: yesterday"], millis: undefined }]
  ])
}

const line = (value: string, wait: WaitForm["wait"], name = "Retry-After"): WaitForm => ({
  lines: [`${name}: ${value}`],
  wait
})

const garbage = [
  "",
  "-5",
  "+5",
  "1e3",
  "0x10",
  "1, 000",
  "soon",
  "5 seconds",
  "Jan 15, 2026",
  "-5, 99",
  "5, soon",
  "max-age=5, 60",
  "2026-08-07T21:00:00Z",
  "Mon, 32 Jan 2026 00:00:00 GMT",
  "Mon, 05 Jan 2026 00:00:00 +0000",
  "Mon, 30 Feb 2026 00:00:00 GMT",
  "Sunday, 06-Nov-94 08:49:37",
  "NaN",
  "Infinity",
  "\"5\"",
  "5;",
  "\u00e9"
]

/** Most of them short, for the client does wait. */
export const retryAfterOf = (choice: Choice, nowMillis: number, date: DateForm): WaitForm => {
  const seconds = choice.pick([1, 2, 7, 30, 59, 60, 61, 120, 3600, 86_400])
  const other = choice.below(1000)
  const base = date.millis ?? wholeSecond(nowMillis)
  const ahead = date.millis === undefined ? about(seconds) : exactly(seconds)
  const format = choice.pick([imf, rfc850, asctime])
  const moment = format(base + seconds * 1000)
  return choice.weighted<WaitForm>([
    [4, line(`${seconds}`, exactly(seconds))],
    [1, line(`\t ${seconds} \t`, exactly(seconds))],
    [1, line(`00${seconds}`, exactly(seconds))],
    [1, line("0", exactly(0))],
    [1, line(`${seconds}.0`, exactly(seconds))],
    [1, line(`${seconds}.493`, exactly(seconds + 1))],
    [1, line("99999999999999999999999", [1e15, Number.MAX_SAFE_INTEGER])],
    [3, line(moment, ahead)],
    [1, line(format(base - 5000), exactly(0))],
    [1, line(`${other}, ${seconds}`, exactly(Math.max(other, seconds)))],
    [1, {
      lines: [`retry-after: ${seconds}`, `RETRY-AFTER: ${other}`],
      wait: exactly(Math.max(other, seconds))
    }],
    [1, { lines: [`Retry-After: ${moment}`, "Retry-After: 0"], wait: ahead }],
    [1, { lines: ["Retry-After: 5", "Retry-After: soon"], wait: undefined }],
    [3, line(choice.pick(garbage), undefined)],
    // A list or a number with a separator in it.
    [1, line(choice.pick(["1,5", "1,000"]), "anything")]
  ])
}

export const retryAfterMillisOf = (choice: Choice): WaitForm =>
  choice.pick<WaitForm>([
    line("1500", [1500, 1500], "retry-after-ms"),
    line("20.5", [20.5, 21], "Retry-After-Ms"),
    line("-1", undefined, "retry-after-ms"),
    line("", undefined, "retry-after-ms"),
    line("soon", undefined, "retry-after-ms")
  ])

const quota = (wait: Wait | undefined, spent: boolean, ...lines: ReadonlyArray<string>) => ({
  lines,
  wait,
  spent
})

/** Quotas in the standard headers (E13), of which the first that says something counts. */
export const quotaOf = (choice: Choice, nowMillis: number, date: DateForm): WaitForm => {
  const seconds = choice.pick([1, 5, 30, 60, 3600])
  const ahead = date.millis === undefined ? about(seconds) : exactly(seconds)
  const epoch = ((date.millis ?? wholeSecond(nowMillis)) + seconds * 1000) / 1000
  return choice.pick<WaitForm>([
    quota(exactly(seconds), true, `RateLimit: "burst";r=0;t=${seconds}`),
    quota(exactly(seconds), true, `RateLimit: "day";r=9;t=86400, "burst";r=0;t=${seconds}`),
    quota(exactly(9999), true, `RateLimit: "a";r=0;t=9999, "b";r=0;t=${seconds}`),
    quota(exactly(seconds), true, "RateLimit: \"day\";r=9;t=9", `RateLimit: "a";r=0;t=${seconds}`),
    quota(exactly(seconds), true, `RateLimit: "a\\", \\"b;r=5";r=0;t=${seconds}`),
    quota(exactly(seconds), true, `RateLimit: limit=100, remaining=0, reset=${seconds}`),
    quota(ahead, true, `RateLimit: "burst";r=0;t=${epoch}`),
    quota(exactly(seconds), false, `RateLimit: limit=100, remaining=50, reset=${seconds}`),
    quota(undefined, false, "RateLimit: \"a\";r=5;t=5, \"b\";r=7;t=9"),
    quota(undefined, false, "RateLimit: \"never closed;r=0;t=5"),
    quota(undefined, false, "RateLimit: ?1;r=0;t=5"),
    quota(undefined, false, "RateLimit: \"a\";r=0;t=-5"),
    quota(undefined, false, "RateLimit: "),
    quota(exactly(seconds), true, "RateLimit-Remaining: 0", `RateLimit-Reset: ${seconds}`),
    quota(exactly(50), true, "RateLimit-Remaining: 56, 0", "RateLimit-Reset: 12, 50"),
    quota(ahead, true, "ratelimit-remaining: 0", `ratelimit-reset: ${epoch}`),
    quota(exactly(seconds), false, "RateLimit-Remaining: 14", `RateLimit-Reset: ${seconds}`),
    quota(exactly(seconds), false, `RateLimit-Reset: ${seconds}`),
    quota(undefined, false, "RateLimit-Reset: -5"),
    quota(undefined, false, "RateLimit-Reset: soon", "RateLimit-Limit: 1,000"),
    quota(undefined, false, `X-RateLimit-Reset: ${seconds}`, "X-RateLimit-Remaining: 0")
  ])
}

/** The headers that the playbook of this fuzz names, with and without their unit. */
export const resetHeaders = [
  "x-ratelimit-reset",
  "x-ratelimit-reset-requests",
  { name: "x-reset-ms", unit: "milliseconds" },
  { name: "x-reset-at", unit: "epoch" }
] as const

export const namedQuotaOf = (choice: Choice, nowMillis: number, date: DateForm): WaitForm => {
  const base = date.millis ?? wholeSecond(nowMillis)
  const ahead = date.millis === undefined ? about(40) : exactly(40)
  const at = base + 40_000
  const spent = "x-ratelimit-remaining: 0"
  return choice.pick<WaitForm>([
    quota(
      exactly(360),
      true,
      "x-ratelimit-remaining-requests: 0",
      "x-ratelimit-reset-requests: 6m0s"
    ),
    quota([179_560, 179_560], true, spent, "X-RateLimit-Reset: 2m59.56s"),
    quota(exactly(9), true, spent, "x-ratelimit-reset: 9"),
    quota(ahead, true, spent, `x-ratelimit-reset: ${at / 1000}`),
    quota(ahead, true, spent, `x-ratelimit-reset: ${at}`),
    quota(ahead, true, spent, `x-ratelimit-reset: ${at * 1000}`),
    quota(ahead, true, spent, `x-ratelimit-reset: ${new Date(at).toISOString()}`),
    quota(ahead, true, spent, `x-ratelimit-reset: ${imf(at)}`),
    quota([1500, 1500], false, "x-reset-ms: 1500"),
    quota(ahead, false, `x-reset-at: ${at / 1000}`),
    quota(undefined, false, "x-ratelimit-remaining: 14463", "x-ratelimit-reset: 2100"),
    quota(undefined, false, spent, "x-ratelimit-reset: never"),
    quota(undefined, false, spent, "x-ratelimit-reset: -1")
  ])
}
