import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as HttpDate from "../../src/core/httpDate.js"
import * as RetryAfter from "../../src/core/retryAfter.js"
import { runs } from "../support/runs.js"

const thousand = { numRuns: runs(1000) }
const nowMillis = Date.parse("2026-10-21T07:00:00Z")
const context = { nowMillis }

const garbage = [
  "",
  "-5",
  "-0",
  ".5",
  "5.",
  "1.5.0",
  "+5",
  "1e3",
  "0x10",
  "1_000",
  "1,5",
  "1,000",
  "5s",
  "5 seconds",
  "5 10",
  "5;10",
  "٥",
  "five",
  "NaN",
  "Infinity",
  "null",
  "2026-10-21",
  "2026-10-21T07:28:00Z",
  "21 Oct 2026 07:28:00 GMT",
  "Wed, 21 Oct 2026 07:28:00",
  "Wed, 21 Oct 2026 07:28:00 PST",
  "Wed, 31 Feb 2027 07:28:00 GMT",
  "wed, 21 oct 2026 07:28:00 gmt"
]

/** A field value with the wait that it stands for, `undefined` for garbage. */
interface Field {
  readonly text: string
  readonly wait: number | undefined
}

const secondsField = fc.tuple(fc.nat(10_000_000), fc.nat(3)).map(([seconds, zeros]): Field => ({
  text: "0".repeat(zeros) + String(seconds),
  wait: seconds * 1000
}))

const dateField = (referenceMillis: number) =>
  fc.integer({ min: -100_000, max: 100_000 }).chain((seconds) => {
    const text = HttpDate.format(referenceMillis + seconds * 1000)
    const [, day, month, year, time] = /, (\d\d) (\w+) (\d{4}) (\S+)/.exec(text) ?? []
    const forms = [
      text,
      `Monday, ${day}-${month}-${year?.slice(2)} ${time} GMT`,
      `Mon ${month} ${day?.replace(/^0/, " ")} ${time} ${year}`
    ]
    return fc.constantFrom(...forms).map((text): Field => ({
      text,
      wait: seconds > 0 ? seconds * 1000 : 0
    }))
  })

const garbageField = fc.constantFrom(...garbage).map((text): Field => ({ text, wait: undefined }))

const fields = (referenceMillis: number) =>
  fc.array(fc.oneof(secondsField, dateField(referenceMillis), garbageField), { maxLength: 5 })

const model = (all: ReadonlyArray<Field>): number | undefined => {
  const waits = all.map(({ wait, text }) => all.length > 1 && /^0\d/.test(text) ? undefined : wait)
  const valid = waits.filter((wait) => wait !== undefined)
  return valid.length < waits.length ? undefined : valid.sort((a, b) => b - a)[0]
}

describe("retryAfter", () => {
  it.each([
    ["0", 0],
    ["5", 5000],
    ["005", 5000],
    [" 120 ", 120_000],
    ["\t7", 7000],
    ["Wed, 21 Oct 2026 07:28:00 GMT", 28 * 60_000],
    ["Wednesday, 21-Oct-26 07:28:00 GMT", 28 * 60_000],
    ["Wed Oct 21 07:28:00 2026", 28 * 60_000],
    ["  Wed, 21 Oct 2026 07:28:00 GMT  ", 28 * 60_000]
  ])("E10: %j is understood", (value, wait) => {
    expect(RetryAfter.parse(value, context)).toBe(wait)
  })

  it.each(garbage.map((value) => [value]))("E10: %j is ignored", (value) => {
    expect(RetryAfter.parse(value, context)).toBe(undefined)
  })

  it("E10: a negative number is ignored, never read as a date", () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom("-", "+", "- ", "."), (number, sign) => {
        expect(RetryAfter.parse(`${sign}${number}`, context)).toBe(undefined)
      }),
      thousand
    )
  })

  it("E10: a decimal is rounded up to whole seconds", () => {
    const waits = ["2.0", "0.493", "1.5", "0.0", "5.000001", `1.${"0".repeat(30)}1`, "1.5, 2.1"]
    expect(waits.map((value) => RetryAfter.parse(value, context))).toEqual(
      [2000, 1000, 2000, 0, 6000, 2000, 3000]
    )
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (whole, fraction) => {
        expect(RetryAfter.parse(`${whole}.${fraction}`, context)).toBe(
          (whole + (fraction > 0 ? 1 : 0)) * 1000
        )
      }),
      thousand
    )
  })

  it("E10: joined values count only if each is valid by itself", () => {
    const values = [
      "Jan 15, 2026",
      "1, 000",
      "-5, 99",
      "max-age=5, 60",
      "60, max-age=5",
      "5, ",
      ", 5",
      "5,",
      "5, 21 Oct 2026 07:28:00 GMT",
      "Wed, 21 Oct 2026, 5"
    ]
    expect(values.map((value) => RetryAfter.parse(value, context))).toEqual(
      values.map(() => undefined)
    )
    expect(["1, 30", "30, 1", "1, 30, 7"].map((value) => RetryAfter.parse(value, context)))
      .toEqual([30_000, 30_000, 30_000])
  })

  it("E10: a number with anything around it is ignored", () => {
    const around = fc.string({ minLength: 1, maxLength: 4 }).filter((text) => /[^\d\s,]/.test(text))
    fc.assert(
      fc.property(fc.nat(), around, fc.boolean(), (number, text, before) => {
        fc.pre(!text.includes(",") && !/^\d*\.\d*$/.test(text))
        expect(RetryAfter.parse(before ? text + number : number + text, context)).toBe(undefined)
      }),
      thousand
    )
  })

  it("E10: any whole number of seconds is that many thousand milliseconds, white space or not", () => {
    const space = fc.constantFrom("", " ", "\t", "  ")
    fc.assert(
      fc.property(secondsField, space, space, ({ text, wait }, before, after) => {
        expect(RetryAfter.parse(before + text + after, context)).toBe(wait)
      }),
      thousand
    )
  })

  it("E10: a run of digits of any length is finite and never shortens with its length", () => {
    expect(RetryAfter.parse("9007199254740", context)).toBe(9_007_199_254_740_000)
    expect(RetryAfter.parse("9007199254741", context)).toBe(Number.MAX_SAFE_INTEGER)
    expect(RetryAfter.parse("9".repeat(400), context)).toBe(Number.MAX_SAFE_INTEGER)
    const digits = fc.bigInt({ min: 0n, max: 10n ** 340n }).chain((big) =>
      fc.nat(340).map((length) => BigInt(String(big).slice(0, length) || "0"))
    )
    fc.assert(
      fc.property(digits, (seconds) => {
        const exact = seconds * 1000n
        const largest = BigInt(Number.MAX_SAFE_INTEGER)
        expect(RetryAfter.parse(String(seconds), context)).toBe(
          Number(exact < largest ? exact : largest)
        )
      }),
      thousand
    )
  })

  it.each([
    ["0"],
    ["000"],
    ["Wed, 21 Oct 2026 07:00:00 GMT"],
    ["Wed, 21 Oct 2026 06:59:59 GMT"],
    ["Thu, 01 Jan 1970 00:00:00 GMT"],
    ["Sunday, 06-Nov-94 08:49:37 GMT"],
    ["Sun Nov  6 08:49:37 1994"]
  ])("E11: %j means now, not never", (value) => {
    expect(RetryAfter.parse(value, context)).toBe(0)
  })

  it("E11: a Date header that is more than a day from the clock is none", () => {
    const value = "Wed, 21 Oct 2026 07:28:00 GMT"
    const parse = (dateMillis: number) =>
      RetryAfter.parse(value, { nowMillis, dateHeader: HttpDate.format(dateMillis) })
    const day = 86_400_000
    expect([
      parse(0),
      parse(Date.parse("2099-01-01T00:00:00Z")),
      parse(nowMillis - day - 1000),
      parse(nowMillis + day + 1000)
    ]).toEqual([28, 28, 28, 28].map((minutes) => minutes * 60_000))
    expect([parse(nowMillis - day), parse(nowMillis + day)]).toEqual([day + 28 * 60_000, 0])
  })

  it("E11: a date counts from the response's own Date header when that is within a day", () => {
    const value = "Wed, 21 Oct 2026 07:28:00 GMT"
    const parse = (dateHeader: string | undefined) =>
      RetryAfter.parse(value, { nowMillis, dateHeader })
    expect(parse("Wed, 21 Oct 2026 07:27:00 GMT")).toBe(60_000)
    expect(parse(" Wednesday, 21-Oct-26 07:27:30 GMT ")).toBe(30_000)
    expect(parse("Wed Oct 21 06:28:00 2026")).toBe(3_600_000)
    expect(parse("Wed, 21 Oct 2026 09:00:00 GMT")).toBe(0)
  })

  it.each([[undefined], [""], ["0"], ["-5"], ["now"], ["2026-10-21T07:27:00Z"], [
    "Wed, 31 Feb 2026 07:27:00 GMT"
  ]])(
    "E11: with %j as the Date header a date counts from the clock",
    (dateHeader) => {
      expect(RetryAfter.parse("Wed, 21 Oct 2026 07:28:00 GMT", { nowMillis, dateHeader })).toBe(
        28 * 60_000
      )
    }
  )

  it("E11: seconds do not depend on the Date header", () => {
    const dateHeader = "Thu, 01 Jan 1970 00:00:00 GMT"
    expect(RetryAfter.parse("5", { nowMillis, dateHeader })).toBe(5000)
  })

  it.each([
    [["5", "10"], 10_000],
    [["10", "5"], 10_000],
    [["5", "Wed, 21 Oct 2026 07:28:00 GMT"], 28 * 60_000],
    [["-5", "3"], undefined],
    [["3", "soon"], undefined],
    [["0", "-1"], undefined],
    [["-5", "soon"], undefined],
    [[], undefined],
    [["5, 10", "7"], 10_000]
  ])("E11: of the fields %j the larger counts, if all are valid", (values, wait) => {
    expect(RetryAfter.parse(values, context)).toBe(wait)
  })

  it.each([
    ["5, 10", 10_000],
    ["10,  5", 10_000],
    ["5 , 10", 10_000],
    ["5,\t10", 10_000],
    ["5, ", undefined],
    [", 5", undefined],
    ["5, Wed, 21 Oct 2026 07:28:00 GMT", 28 * 60_000],
    ["Wed, 21 Oct 2026 07:28:00 GMT, 5", 28 * 60_000],
    ["Wed, 21 Oct 2026 07:28:00 GMT, 3600", 3_600_000],
    ["Wed, 21 Oct 2026 07:28:00 GMT, Wed, 21 Oct 2026 07:30:00 GMT", 30 * 60_000],
    ["Wednesday, 21-Oct-26 07:28:00 GMT, Wed Oct 21 07:29:00 2026, 1", 29 * 60_000],
    ["Wed Oct 21 07:29:00 2026, Wednesday, 21-Oct-26 07:28:00 GMT", 29 * 60_000],
    ["Wed, Wed, 21 Oct 2026 07:28:00 GMT", undefined],
    ["5, 21 Oct 2026 07:28:00 GMT", undefined],
    ["garbage, 5", undefined],
    ["-5, 1.5", undefined],
    [", ", undefined],
    ["5,10", undefined],
    ["Wed, 21", undefined],
    ["Wednesday, 21", undefined]
  ])(
    "E11: the joined fields %j count as several, and the comma of a date is no joint",
    (value, wait) => {
      expect(RetryAfter.parse(value, context)).toBe(wait)
    }
  )

  it("E10: an absent header is no hint", () => {
    expect(RetryAfter.parse(undefined, context)).toBe(undefined)
  })

  it("E11: several fields, separate or joined, are their maximum if all are valid", () => {
    fc.assert(
      fc.property(fields(nowMillis), (all) => {
        const texts = all.map(({ text }) => text)
        expect(RetryAfter.parse(texts, context)).toBe(model(all))
        expect(RetryAfter.parse(texts.join(", "), context)).toBe(model(all))
      }),
      thousand
    )
  })

  it("E11: the wait to a date is its distance from a Date header within a day of the clock", () => {
    const clock = Date.parse("2020-02-02T02:02:02Z")
    const skewed = fc.integer({ min: -86_400, max: 86_400 }).map((seconds) =>
      clock + seconds * 1000
    )
    fc.assert(
      fc.property(
        skewed.chain((date) => fc.tuple(fc.constant(date), fields(date))),
        ([date, all]) => {
          const texts = all.map(({ text }) => text)
          const dateHeader = HttpDate.format(date)
          expect(RetryAfter.parse(texts, { nowMillis: clock, dateHeader })).toBe(model(all))
        }
      ),
      thousand
    )
  })

  it("E11: longest trims each value and is undefined when one cannot be read", () => {
    const read = (text: string) => text === "a" ? 1 : text === "b" ? 2 : undefined
    expect(RetryAfter.longest([" a ", "b,  a"], read)).toBe(2)
    expect(RetryAfter.longest([" a , c", "b,  a"], read)).toBe(undefined)
    expect(RetryAfter.longest(["a"], read)).toBe(1)
    expect(RetryAfter.longest(["c", ""], read)).toBe(undefined)
    expect(RetryAfter.longest([], read)).toBe(undefined)
  })

  it("E13: retry-after-ms stands in for an absent or ignored Retry-After", () => {
    const at = (headers: Record<string, string>) => RetryAfter.ofHeaders(headers, nowMillis)
    expect([
      at({ "retry-after-ms": "1500" }),
      at({ "retry-after-ms": "0.2" }),
      at({ "retry-after-ms": "100, 2500" }),
      at({ "retry-after-ms": String(nowMillis + 1500) }),
      at({ "retry-after-ms": String(nowMillis / 1000 + 3) }),
      at({ "retry-after": "2", "retry-after-ms": "1500" }),
      at({ "retry-after": "-5", "retry-after-ms": "1500" }),
      at({ "retry-after-ms": "-5" }),
      at({})
    ]).toEqual([1500, 1, 2500, 1500, 3000, 2000, 1500, undefined, undefined])
  })

  it("E10: a comma at the end joins a value that is empty, and one before a name joins", () => {
    expect([
      RetryAfter.members(["120,"]),
      RetryAfter.members(["120, 5"]),
      RetryAfter.members(["Sun, 06 Nov 1994 08:49:37 GMT"]),
      RetryAfter.members(["a Monday, Tue, 06 Jan 2026 07:00:00 GMT"])
    ]).toEqual([
      ["120", ""],
      ["120", "5"],
      ["Sun, 06 Nov 1994 08:49:37 GMT"],
      ["a Monday", "Tue, 06 Jan 2026 07:00:00 GMT"]
    ])
  })

  it("E13: three years of seconds are a moment, and 1e14 are microseconds since the epoch", () => {
    const epoch = { nowMillis: 0 }
    expect([
      RetryAfter.delayOrMoment("99999999", { nowMillis }),
      RetryAfter.delayOrMoment("100000000", { nowMillis }),
      RetryAfter.delayOrMoment("99999999999999", epoch),
      RetryAfter.delayOrMoment("100000000000000", epoch)
    ]).toEqual([99_999_999_000, 0, 99_999_999_999_999, 1e11])
  })

  it("E11: one line stays as the platform read it, and only names of lines are names", () => {
    const headers = { "retry-after": "1" }
    const read = (source: unknown) => RetryAfter.headersOf({ headers, source })
    const single = [
      undefined,
      null,
      "Retry-After",
      { rawHeaders: ["Retry-After", "9"] },
      { rawHeaders: ["x-note", "retry-after", "Retry-After", "9"] },
      { rawHeaders: [7, "9", "Retry-After", 9, "Retry-After", "8"] }
    ]
    for (const source of single) expect(read(source)).toBe(headers)
    expect(read({ rawHeaders: ["x", "retry-after", "Retry-After", "2", "Retry-After", "3"] }))
      .toEqual({ "retry-after": "2, 3" })
  })

  it("E11: of two lines that node:http keeps in rawHeaders the larger counts", () => {
    const at = (rawHeaders: unknown) =>
      RetryAfter.ofHeaders(
        RetryAfter.headersOf({ headers: { "retry-after": "1" }, source: { rawHeaders } }),
        nowMillis
      )
    expect([
      at(["Date", "x", "Retry-After", "1", "retry-after", "30"]),
      at(["Retry-After", "1", "X", "Retry-After"]),
      at(["Retry-After", "1", "Retry-After", "soon"]),
      at([1, 2, 3]),
      at("none"),
      at(undefined)
    ]).toEqual([30_000, 1000, undefined, 1000, 1000, 1000])
  })
})
