import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as HttpDate from "../../src/core/httpDate.js"
import * as RateLimitFields from "../../src/core/rateLimitFields.js"
import type * as RetryAfter from "../../src/core/retryAfter.js"
import { runs } from "../support/runs.js"

const thousand = { numRuns: runs(1000) }
const nowMillis = Date.parse("2026-10-21T07:00:00Z")
const nowSeconds = nowMillis / 1000

const fieldsOf = (headers: Record<string, string | undefined>) =>
  RateLimitFields.parse(headers, { nowMillis })
const resetOf = (
  headers: Record<string, string | undefined>,
  resetHeaders?: ReadonlyArray<string>
) => RateLimitFields.parse(headers, { nowMillis, resetHeaders }).resetMillis

const notWhole = [
  "",
  "-5",
  "-0",
  "1.5",
  "+5",
  "1e3",
  "0x10",
  "five",
  "NaN",
  "Infinity",
  "\"5\"",
  "5 5"
]

interface Quota {
  readonly name: string
  readonly r: number | undefined
  readonly t: number | undefined
}

/**
 * A name with the characters that a careless reader stumbles over, as a structured field writes it.
 */
const quotedName = fc.string({ unit: fc.constantFrom(..."abc,;=\"\\ r0t1"), maxLength: 8 })
  .map((name) => `"${name.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"")}"`)

const quota = fc.record<Quota>({
  name: fc.oneof(quotedName, fc.constantFrom("burst", "daily", "*")),
  r: fc.option(fc.oneof(fc.constant(0), fc.nat(1000)), { nil: undefined }),
  t: fc.option(fc.nat(100_000), { nil: undefined })
})

const quotas = fc.uniqueArray(quota, { selector: ({ name }) => name, minLength: 1, maxLength: 5 })

const render = (all: ReadonlyArray<Quota>, space: string): string =>
  all.map(({ name, r, t }) =>
    name + (r === undefined ? "" : `;${space}r=${r}`) + `;${space}x="t=1, r=0;"` +
    (t === undefined ? "" : `;t=${t}`)
  ).join(`,${space}`)

describe("rateLimitFields", () => {
  it.each([
    ["\"default\";r=50;t=30", { resetMillis: 30_000, remaining: 50 }],
    ["\"burst\";r=0;t=5, \"daily\";r=100;t=3600", { resetMillis: 5000, remaining: 0 }],
    ["\"daily\";r=100;t=3600, \"burst\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"burst\";r=0;t=5, \"daily\";r=0;t=3600", { resetMillis: 3_600_000, remaining: 0 }],
    ["\"daily\";r=0;t=3600, \"burst\";r=0;t=5", { resetMillis: 3_600_000, remaining: 0 }],
    ["\"burst\";r=9;t=5, \"daily\";r=100;t=3600", { remaining: 100 }],
    ["\"burst\";t=5", { resetMillis: 5000 }],
    ["\"burst\";r=3", { remaining: 3 }],
    ["\"burst\";r=0,\"burst\";r=0;t=0", { resetMillis: 0, remaining: 0 }],
    ["  \"burst\" ; r=0 ; t=5  ", { resetMillis: 5000, remaining: 0 }],
    ["burst;r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"a\";t=1;t=2", { resetMillis: 2000 }],
    ["\"a\";pk=:YWJj=:;r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["limit=100, remaining=50, reset=5", { resetMillis: 5000, limit: 100, remaining: 50 }],
    ["limit=100,remaining=0,reset=5", { resetMillis: 5000, limit: 100, remaining: 0 }],
    ["reset=0", { resetMillis: 0 }],
    ["remaining=7", { remaining: 7 }]
  ])("E13: RateLimit %j is read", (ratelimit, fields) => {
    expect(fieldsOf({ ratelimit })).toEqual(fields)
  })

  it.each([
    ["\"a,b\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"a;t=9\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"a\\\", \\\"b\\\";t=9\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"a\\\\\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"reset=9, limit=1\";r=0;t=5", { resetMillis: 5000, remaining: 0 }],
    ["\"\";r=0;t=5", { resetMillis: 5000, remaining: 0 }]
  ])("E13: the quoted name in %j hides commas, semicolons and quotes", (ratelimit, fields) => {
    expect(fieldsOf({ ratelimit })).toEqual(fields)
  })

  it.each([
    [""],
    ["garbage"],
    ["\"never closed;r=0;t=5"],
    ["\"a\";r=0;t=5, \"never closed"],
    ["\"a\"b;r=0;t=5"],
    [";r=0;t=5"],
    ["?1;r=0;t=5"],
    ["\"a\";r;t"],
    ["\"a\";R=0;T=5"],
    ["\"a\";r = 0;t = 5"]
  ])("E13: RateLimit %j says nothing", (ratelimit) => {
    expect(fieldsOf({ ratelimit })).toEqual({})
  })

  it.each(notWhole.filter((value) => value !== "1.5").map((value) => [value]))(
    "E13: %j is no number of seconds, and the next source is tried",
    (value) => {
      const next = { "ratelimit-reset": "7" }
      expect(resetOf({ ratelimit: `"a";r=0;t=${value}`, ...next })).toBe(7000)
      expect(resetOf({ ratelimit: `limit=1, reset=${value}`, ...next })).toBe(7000)
      expect(resetOf({ "ratelimit-reset": value, "x-ratelimit-reset": "9" }, ["x-ratelimit-reset"]))
        .toBe(9000)
    }
  )

  it("E10: a decimal number of seconds is rounded up, wherever it stands", () => {
    expect(resetOf({ ratelimit: "\"a\";r=0;t=1.5" })).toBe(2000)
    expect(resetOf({ ratelimit: "limit=1, remaining=0, reset=0.2" })).toBe(1000)
    expect(resetOf({ "ratelimit-reset": "7.0" })).toBe(7000)
  })

  it("E13: a bad quota does not spoil a good one", () => {
    expect(fieldsOf({ ratelimit: "\"a\";r=0;t=-5, \"b\";r=0;t=2" })).toEqual({
      resetMillis: 2000,
      remaining: 0
    })
    expect(fieldsOf({ ratelimit: "?0, \"b\";r=0;t=2" })).toEqual({
      resetMillis: 2000,
      remaining: 0
    })
  })

  it("E13: of quotas that reset together the first says the limit, and 0 is longer than nothing", () => {
    const policy = { "ratelimit-policy": "\"a\";q=10, \"b\";q=20" }
    expect([
      fieldsOf({ ratelimit: "\"a\";r=0;t=5, \"b\";r=0;t=5", ...policy }),
      fieldsOf({ ratelimit: "\"a\";r=0;t=0, \"b\";r=0", ...policy }),
      fieldsOf({ ratelimit: "\"a\";r=0, \"b\";r=0;t=0", ...policy })
    ]).toEqual([
      { resetMillis: 5000, remaining: 0, limit: 10 },
      { resetMillis: 0, remaining: 0, limit: 10 },
      { resetMillis: 0, remaining: 0, limit: 20 }
    ])
  })

  it("E13: a quota counts as spent when exactly 0 remains; what is no number may be 0", () => {
    const wait = (remaining: string) => ({
      any: RateLimitFields.parse({ "x-reset": "5", "x-remaining": remaining }, {
        nowMillis,
        resetHeaders: ["x-reset"]
      }).resetMillis,
      spent: RateLimitFields.parse(
        { "ratelimit-reset": "5", "ratelimit-remaining": remaining },
        { nowMillis, onlySpent: true }
      ).resetMillis
    })
    const spent = { any: 5000, spent: 5000 }
    const unknown = { any: 5000, spent: undefined }
    const left = { any: undefined, spent: undefined }
    const table = [
      ["0", spent],
      ["0.0", spent],
      ["0, 100;w=60", spent],
      ["0;w=60, 5;w=1", spent],
      ["0.25", left],
      ["12", left],
      ["7, 100;w=60", left],
      ["", unknown],
      ["-1", unknown],
      ["a0", unknown],
      ["5 of 100", unknown],
      [".5", unknown]
    ] as const
    expect(table.map(([remaining]) => [remaining, wait(remaining)])).toEqual(table)
  })

  it("E13: onlySpent leaves out quotas of which nothing is known, in every header", () => {
    const spentOnly = (headers: Record<string, string>) =>
      RateLimitFields.parse(headers, { nowMillis, onlySpent: true }).resetMillis
    expect([
      spentOnly({ ratelimit: "\"a\";t=5" }),
      spentOnly({ ratelimit: "\"a\";r=3;t=5" }),
      spentOnly({ ratelimit: "\"a\";r=0;t=5" }),
      spentOnly({ "ratelimit-reset": "5" })
    ]).toEqual([undefined, undefined, 5000, undefined])
  })

  it("E13: a spent quota without a readable reset silences what is left of another", () => {
    const ratelimit = "\"a\";r=5;t=7"
    const at = (reset: string, remaining: string) =>
      resetOf({ ratelimit, "ratelimit-reset": reset, "ratelimit-remaining": remaining })
    expect([at("soon", "0"), at("soon", "1"), at("soon, 5", "0, 0")]).toEqual([
      undefined,
      7000,
      7000
    ])
  })

  it("E13: one value that cannot be read spoils its line", () => {
    const at = (reset: string) =>
      resetOf({ "ratelimit-reset": reset, "ratelimit-remaining": "0, 0" })
    expect([at("5, 9"), at("5, soon"), at("soon, 5")]).toEqual([9000, undefined, undefined])
  })

  it("E13: an exhausted quota that does not say when it resets leaves the question to the next source", () => {
    const ratelimit = "\"burst\";r=0, \"daily\";r=100;t=3600"
    expect(resetOf({ ratelimit })).toBe(undefined)
    expect(resetOf({ ratelimit, "ratelimit-reset": "4" })).toBe(4000)
  })

  it("E13: RateLimit comes first, then RateLimit-Reset, then the named headers in their order", () => {
    const headers = {
      ratelimit: "\"a\";r=0;t=1",
      "ratelimit-reset": "2",
      "x-ratelimit-reset": "3",
      "x-rate-limit-reset": "4"
    }
    const names = ["x-ratelimit-reset", "x-rate-limit-reset"]
    const { "ratelimit-reset": second, "x-ratelimit-reset": third, "x-rate-limit-reset": fourth } =
      headers
    expect(resetOf(headers, names)).toBe(1000)
    expect(resetOf({ ...headers, ratelimit: undefined }, names)).toBe(2000)
    expect(resetOf({ "x-ratelimit-reset": third, "x-rate-limit-reset": fourth }, names)).toBe(3000)
    expect(
      resetOf({ "x-ratelimit-reset": third, "x-rate-limit-reset": fourth }, [...names].reverse())
    ).toBe(4000)
    expect(resetOf({ "x-ratelimit-reset": "-1", "x-rate-limit-reset": fourth }, names)).toBe(4000)
    expect(resetOf({ "ratelimit-reset": second, "x-ratelimit-reset": third }, names)).toBe(2000)
  })

  it("E13: a reset of 0 is an answer, not a missing one", () => {
    expect(resetOf({ ratelimit: "\"a\";r=0;t=0", "ratelimit-reset": "2" })).toBe(0)
    expect(resetOf({ "ratelimit-reset": "0", "x-ratelimit-reset": "3" }, ["x-ratelimit-reset"]))
      .toBe(0)
    expect(resetOf({ a: "0", b: "3" }, ["a", "b"])).toBe(0)
  })

  it("E13: X-RateLimit-Reset is not read unless it is named", () => {
    expect(resetOf({ "x-ratelimit-reset": "3" })).toBe(undefined)
    expect(resetOf({ "x-ratelimit-reset": "3" }, [])).toBe(undefined)
  })

  it("E13: the letter case of a named header does not matter", () => {
    expect(resetOf({ "x-ratelimit-reset": "3" }, ["X-RateLimit-Reset"])).toBe(3000)
  })

  it.each([
    ["0", 0],
    ["1.5", 1500],
    ["1.001", 1001],
    ["16.1", 16_100],
    [" 60 ", 60_000],
    ["99999999", 99_999_999_000],
    ["100000000", 0],
    [String(nowSeconds + 60), 60_000],
    [`${nowSeconds + 60}.25`, 60_250],
    [String(nowSeconds - 60), 0],
    ["99999999999", 99_999_999_999_000 - nowMillis],
    ["100000000000", 0],
    [String(nowMillis + 1234), 1234],
    [String(nowMillis - 1), 0],
    ["9".repeat(30), Number.MAX_SAFE_INTEGER]
  ])(
    "E13: the magnitude of %j tells seconds, epoch seconds and epoch milliseconds apart",
    (value, wait) => {
      expect(resetOf({ "x-ratelimit-reset": value }, ["x-ratelimit-reset"])).toBe(wait)
    }
  )

  it.each([
    [""],
    ["-5"],
    ["-1.5"],
    ["+5"],
    [".5"],
    ["5."],
    ["1.5.5"],
    ["1e3"],
    ["0x10"],
    ["6 m"],
    [
      "5x"
    ],
    ["1,5"],
    ["2026-08-07"],
    ["2026-13-01T00:00:00Z"]
  ])(
    "E13: %j in a named header is ignored",
    (value) => {
      expect(resetOf({ a: value }, ["a"])).toBe(undefined)
      expect(resetOf({ a: value, b: "2" }, ["a", "b"])).toBe(2000)
    }
  )

  it("E13: an epoch value counts from the response's own Date header when that can be read", () => {
    const parse = (value: string, dateHeader: string) =>
      RateLimitFields.parse({ a: value }, { nowMillis, dateHeader, resetHeaders: ["a"] })
        .resetMillis
    const earlier = HttpDate.format(nowMillis - 3_600_000)
    expect(parse(String(nowSeconds - 3600 + 60), earlier)).toBe(60_000)
    expect(parse(String(nowMillis - 3_600_000 + 60), earlier)).toBe(60)
    expect(parse("60", earlier)).toBe(60_000)
    expect(parse(String(nowSeconds + 60), "yesterday")).toBe(60_000)
  })

  it("E11: of several joined fields the larger wait counts", () => {
    expect(resetOf({ "ratelimit-reset": "5, 10" })).toBe(10_000)
    expect(resetOf({ "ratelimit-reset": "5, -10" })).toBe(undefined)
    expect(resetOf({ a: `5, ${nowSeconds + 60}` }, ["a"])).toBe(60_000)
  })

  it("E13: a number that reads as a moment is one, in each of the headers", () => {
    const at = (headers: Record<string, string>, unit?: RetryAfter.Unit) =>
      RateLimitFields.parse(headers, {
        nowMillis: 1_694_791_700_000,
        resetHeaders: [unit === undefined ? "x-reset" : { name: "X-Reset", unit }]
      }).resetMillis
    expect(at({ "ratelimit-reset": "1694791726" })).toBe(26_000)
    expect(at({ "ratelimit-reset": "1694791726000" })).toBe(26_000)
    expect(at({ "ratelimit-reset": "1694791726000000" })).toBe(26_000)
    expect(at({ "ratelimit-reset": "1694791690" })).toBe(0)
    expect(at({ ratelimit: "\"a\";r=0;t=1694791726" })).toBe(26_000)
    expect(at({ ratelimit: "limit=5, remaining=0, reset=1694791726" })).toBe(26_000)
    const units = [undefined, "seconds", "milliseconds", "epoch", "date", "duration"] as const
    for (const value of ["1694791726", "1694791726000", "1694791726000000"]) {
      expect(units.map((unit) => at({ "x-reset": value }, unit))).toEqual(
        units.map(() => 26_000)
      )
    }
  })

  it("E13: a named header may say its unit", () => {
    const by = (unit: RetryAfter.Unit | undefined, value: string) =>
      RateLimitFields.parse({ "x-reset": value }, {
        nowMillis,
        resetHeaders: [unit === undefined ? "X-Reset" : { name: "X-Reset", unit }]
      }).resetMillis
    expect([
      by("seconds", "30"),
      by("seconds", "0.25"),
      by("milliseconds", "1500"),
      by("milliseconds", "200000000"),
      by("milliseconds", "0.2"),
      by("epoch", String(nowSeconds + 30)),
      by("epoch", "30"),
      by("date", HttpDate.format(nowMillis + 30_000)),
      by("date", new Date(nowMillis + 30_000).toISOString()),
      by("date", "30"),
      by("duration", "2m59.56s"),
      by("duration", "30")
    ]).toEqual([
      30_000,
      250,
      1500,
      200_000_000,
      1,
      30_000,
      0,
      30_000,
      30_000,
      undefined,
      179_560,
      30_000
    ])
  })

  it.each([
    ["6m0s", 360_000],
    ["2m59.56s", 179_560],
    ["1h2m3s", 3_723_000],
    ["16.1s", 16_100],
    ["12ms", 12],
    ["500µs", 1],
    ["0s", 0],
    ["1d", 86_400_000],
    ["2026-10-21T07:00:30Z", 30_000],
    ["2026-10-21t09:00:30.5+02:00", 30_500],
    ["2026-10-21T05:00:30-02:00", 30_000],
    ["2026-10-20T07:00:30Z", 0],
    ["Wed, 21 Oct 2026 07:00:30 GMT", 30_000],
    ["Wed, 21 Oct 2026 07:00:30 GMT, 5", 30_000],
    [String((nowMillis + 30_000) * 1000), 30_000],
    ["6m0s, 30", 360_000]
  ])("E13: without a unit, form and magnitude decide what %j is", (value, wait) => {
    expect(resetOf({ "x-ratelimit-reset": value }, ["x-ratelimit-reset"])).toBe(wait)
  })

  it("E13: of several quotas the spent one counts, and one with something left says nothing", () => {
    const names = ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]
    const two = {
      "x-ratelimit-remaining-requests": "56",
      "x-ratelimit-reset-requests": "12",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "50"
    }
    expect(resetOf(two, names)).toBe(50_000)
    expect(resetOf({ ...two, "x-ratelimit-remaining-requests": "0" }, names)).toBe(50_000)
    expect(
      resetOf({
        ...two,
        "x-ratelimit-remaining-requests": "0.0",
        "x-ratelimit-remaining-tokens": "9"
      }, names)
    ).toBe(12_000)
    expect(resetOf({ ratelimit: "\"a\";r=56;t=12, \"b\";r=0;t=50" })).toBe(50_000)
    expect(resetOf({ ratelimit: "\"a\";r=56;t=12, \"b\";r=7;t=50" })).toBe(undefined)
    const x = ["x-ratelimit-reset"]
    expect(resetOf({ "x-ratelimit-remaining": "56, 0", "x-ratelimit-reset": "12, 50" }, x))
      .toBe(50_000)
    expect(resetOf({ "x-ratelimit-remaining": "0, 56", "x-ratelimit-reset": "12, 50" }, x))
      .toBe(12_000)
    expect(
      resetOf({
        "ratelimit-remaining": "56",
        "ratelimit-reset": "12",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "50"
      }, x)
    ).toBe(50_000)
    expect(
      resetOf({
        "x-ratelimit-limit": "15000",
        "x-ratelimit-remaining": "14463",
        "x-ratelimit-reset": String(nowSeconds + 2100)
      }, x)
    ).toBe(undefined)
    expect(
      resetOf({
        "api-ratelimit-requests-remaining": "3",
        "api-ratelimit-requests-reset": "9"
      }, [
        "api-ratelimit-requests-reset"
      ])
    ).toBe(undefined)
    expect(resetOf({ "x-ratelimit-remaining": "3", "x-ratelimit-reset-after": "9" }, [
      "x-ratelimit-reset-after"
    ])).toBe(undefined)
    expect(resetOf({ "ratelimit-remaining": "50", "ratelimit-reset": "30" })).toBe(30_000)
  })

  it("E13: a run of digits of any length is finite", () => {
    const digits = "9".repeat(400)
    const most = Number.MAX_SAFE_INTEGER
    expect(fieldsOf({ ratelimit: `limit=${digits}, remaining=${digits}, reset=${digits}` }))
      .toEqual({ resetMillis: most, limit: most, remaining: most })
    expect(resetOf({ a: digits }, ["a"])).toBe(most)
  })

  it.each([
    [{ ratelimit: "\"b\";r=0;t=5", "ratelimit-policy": "\"a\";q=10;w=1, \"b\";q=20;w=60" }, 20],
    [{ ratelimit: "\"z\";r=0;t=5", "ratelimit-policy": "\"a\";q=10;w=1, \"b\";q=20;w=60" }, 10],
    [
      {
        ratelimit: "\"a\";r=5;t=9, \"b\";r=0;t=5",
        "ratelimit-policy": "\"a\";q=10;w=1, \"b\";q=20;w=60"
      },
      20
    ],
    [{ ratelimit: "\"a,;\\\"\";r=0;t=5", "ratelimit-policy": "\"x\";q=1, \"a,;\\\"\";q=30" }, 30],
    [{ "ratelimit-policy": "\"a\";q=10;w=1" }, 10],
    [{ "ratelimit-policy": "100;w=60" }, 100],
    [{ "ratelimit-policy": ";q=5, ?1;q=6, \"a\";q=10;w=1" }, 10],
    [{ ratelimit: "limit=1, remaining=1, reset=1", "ratelimit-policy": "100;w=60" }, 1],
    [{ "ratelimit-policy": "\"a\";q=10", "ratelimit-limit": "20" }, 10],
    [{ "ratelimit-policy": "\"a\";q=-1", "ratelimit-limit": "20" }, 20],
    [{ "ratelimit-policy": "\"never closed;q=10", "ratelimit-limit": "20" }, 20],
    [{ "ratelimit-limit": "100, 100;w=60" }, 100],
    [{ "ratelimit-limit": " 100;w=60" }, 100],
    [{ "ratelimit-limit": "20", "x-ratelimit-limit": "30" }, 20],
    [{ "ratelimit-limit": "many", "x-ratelimit-limit": " 30 " }, 30],
    [{ "x-ratelimit-limit": "10, 10;w=1;name=\"foo\"" }, 10]
  ])("E13: the limit of %j is found", (headers, limit) => {
    expect(fieldsOf(headers).limit).toBe(limit)
  })

  it.each([
    [{ ratelimit: "\"a\";r=1", "ratelimit-remaining": "2", "x-ratelimit-remaining": "3" }, 1],
    [{ ratelimit: "\"a\";r=0", "ratelimit-remaining": "2" }, 0],
    [{ ratelimit: "remaining=1", "ratelimit-remaining": "2" }, 1],
    [{ ratelimit: "\"a\";r=-1", "ratelimit-remaining": "2" }, 2],
    [{ "ratelimit-remaining": "2", "x-ratelimit-remaining": "3" }, 2],
    [{ "ratelimit-remaining": "-2", "x-ratelimit-remaining": "3" }, 3],
    [{ "x-ratelimit-remaining": "0" }, 0]
  ])("E13: what remains by %j is found", (headers, remaining) => {
    expect(fieldsOf(headers).remaining).toBe(remaining)
  })

  it.each(notWhole.map((value) => [value]))(
    "E13: %j is neither a limit nor a remainder",
    (value) => {
      const nothing = { resetMillis: undefined, limit: undefined, remaining: undefined }
      expect(fieldsOf({ ratelimit: `limit=${value}, remaining=${value}` })).toEqual(nothing)
      expect(fieldsOf({ "ratelimit-policy": `"a";q=${value}` })).toEqual(nothing)
      expect(fieldsOf({ "ratelimit-limit": value, "ratelimit-remaining": value })).toEqual(nothing)
      expect(fieldsOf({ "x-ratelimit-limit": value, "x-ratelimit-remaining": value })).toEqual(
        nothing
      )
    }
  )

  it("E13: a number with a comma for its thousands is not one", () => {
    expect(
      fieldsOf({
        "ratelimit-reset": "1,000",
        "ratelimit-limit": "1,000",
        "x-ratelimit-remaining": "1,000"
      })
    )
      .toEqual({})
  })

  it("E13: without any of the headers there is nothing", () => {
    expect(fieldsOf({})).toEqual({})
  })

  it("E13: of any quotas the spent one that resets last counts, else the one that may be spent", () => {
    fc.assert(
      fc.property(quotas, fc.constantFrom("", " "), (all, space) => {
        const exhausted = all.filter(({ r }) => r === 0)
        const candidates = exhausted.length > 0 ? exhausted : all
        const latest = Math.max(...candidates.map(({ t }) => t ?? -1))
        const fields = fieldsOf({ ratelimit: render(all, space) })
        const longest = (some: ReadonlyArray<Quota>) =>
          some.map(({ t }) => t).filter((t) => t !== undefined).sort((a, b) => b - a)[0]
        const wait = longest(exhausted) ?? longest(all.filter(({ r }) => r === undefined)) ??
          (exhausted.length === 0 && all.length === 1 ? all[0]?.t : undefined)
        expect(fields.resetMillis).toBe(wait === undefined ? undefined : wait * 1000)
        expect(fields.remaining).toBe(candidates.find(({ t }) => (t ?? -1) === latest)?.r)
      }),
      thousand
    )
  })

  it("E13: the limit is the quota of the policy with the same name, whatever the name", () => {
    fc.assert(
      fc.property(quotas, fc.nat(4), (all, index) => {
        const chosen = all[index % all.length]
        const policies = all.map(({ name }, position) => `${name};w=60;q=${position}`).join(", ")
        const fields = fieldsOf({
          ratelimit: `${chosen?.name};r=0;t=1`,
          "ratelimit-policy": policies
        })
        expect(fields.limit).toBe(index % all.length)
      }),
      thousand
    )
  })

  it("E13: the older dictionary is read in any order of its members", () => {
    const member = (name: string) =>
      fc.option(fc.nat(99_999_999), { nil: undefined }).map((value) => [name, value] as const)
    const dictionary = fc.tuple(
      member("limit"),
      member("remaining"),
      member("reset"),
      member("other")
    )
    fc.assert(
      fc.property(
        dictionary.chain((all) => fc.shuffledSubarray([...all], { minLength: 4 })),
        (all) => {
          const present = all.filter(([, value]) => value !== undefined)
          const values = new Map(all)
          const reset = values.get("reset")
          expect(
            fieldsOf({ ratelimit: present.map(([name, value]) => `${name}=${value}`).join(", ") })
          ).toEqual({
            resetMillis: reset === undefined ? undefined : reset * 1000,
            limit: values.get("limit"),
            remaining: values.get("remaining")
          })
        }
      ),
      thousand
    )
  })

  it("E13: a named header gives the same wait in seconds, epoch seconds and epoch milliseconds", () => {
    const server = fc.integer({ min: 1e8 + 1, max: 4e9 })
    fc.assert(
      fc.property(server, fc.integer({ min: 0, max: 99_999_999 }), (serverSeconds, wait) => {
        const nowMillis = serverSeconds * 1000 + 500
        const dateHeader = HttpDate.format(serverSeconds * 1000)
        const values = [wait, serverSeconds + wait, Math.max(1e11, (serverSeconds + wait) * 1000)]
        const waits = values.map((value) =>
          RateLimitFields.parse({ a: String(value) }, {
            nowMillis,
            dateHeader,
            resetHeaders: ["a"]
          }).resetMillis
        )
        expect(waits).toEqual([wait * 1000, wait * 1000, wait * 1000])
      }),
      thousand
    )
  })

  it("E13: no text whatever yields a negative number, NaN or infinity", () => {
    const text = fc.string({ unit: fc.constantFrom(..."\"\\,;=.-+ 019eabrtqw"), maxLength: 24 })
    const start = fc.constantFrom("", "\"a\";r=", "reset=", "\"a\";t=")
    const names = [
      "ratelimit",
      "ratelimit-policy",
      "ratelimit-reset",
      "ratelimit-limit",
      "ratelimit-remaining",
      "x-ratelimit-limit",
      "x-ratelimit-remaining",
      "x-ratelimit-reset"
    ]
    fc.assert(
      fc.property(fc.constantFrom(...names), start, text, (name, start, text) => {
        const headers = { [name]: start + text }
        const fields = RateLimitFields.parse(headers, {
          nowMillis,
          resetHeaders: ["x-ratelimit-reset"]
        })
        for (const value of [fields.resetMillis, fields.limit, fields.remaining]) {
          expect(value === undefined || (value >= 0 && Number.isFinite(value))).toBe(true)
        }
      }),
      { numRuns: runs(3000) }
    )
  })
})
