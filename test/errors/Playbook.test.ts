// The rows of a playbook have a field `then`.
/* oxlint-disable unicorn/no-thenable */
import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Playbook } from "effect-resilience"
import { tagOf } from "../support/errors.js"
import { runs } from "../support/runs.js"

const statuses = Array.from({ length: 500 }, (_, i) => 100 + i)
const status = fc.integer({ min: 100, max: 599 })

const isSuccess = (s: number) => s >= 200 && s < 300

const rows = (markdown: string) =>
  markdown.split("\n").filter((line) => /^\|\s*`?\d{3}`?\s*\|/.test(line))
const columns = (row: string) => row.replaceAll("\\|", "").split("|").length

describe("Playbook.standard", () => {
  it("E1: every status has its tag", () => {
    const wrong = statuses
      .filter((s) => !isSuccess(s))
      .map((s) => [s, Playbook.lookup(Playbook.standard, s).tag, tagOf(s)] as const)
      .filter(([, actual, expected]) => actual !== expected)
    expect(wrong).toEqual([])
  })

  it("E2: worth another try: 408 425 429 500 502 503 504", () => {
    const repeat = [408, 425, 429, 500, 502, 503, 504].map((s) =>
      Playbook.lookup(Playbook.standard, s).repeat
    )
    expect(repeat).toEqual(repeat.map(() => "transient"))
  })

  it("E2, E3, E4: not: 400 401 403 404 409 410 412 422 423 501 505, other 4xx, unexpected 1xx and 3xx", () => {
    const never = statuses.filter((s) =>
      (s < 200 || s >= 300) && s < 500 && ![408, 425, 429].includes(s)
    )
    const wrong = [...never, 501, 505].filter((s) =>
      Playbook.lookup(Playbook.standard, s).repeat !== "never"
    )
    expect(wrong).toEqual([])
  })

  it("E2: every 5xx but 501, 505, 506, 508, 510 and 511 is transient, listed or not", () => {
    const books: ReadonlyArray<Playbook.Playbook> = [Playbook.standard, { name: "", byStatus: {} }]
    for (const playbook of books) {
      expect(
        statuses.filter((s) => s >= 500 && Playbook.lookup(playbook, s).repeat === "never")
      ).toEqual([501, 505, 506, 508, 510, 511])
    }
  })

  it("lookup is total over 100..599 and says something for the integrator and for the user", () => {
    for (const s of statuses) {
      const entry = Playbook.lookup(Playbook.standard, s)
      for (const field of ["meaning", "action", "userMessage"] as const) {
        expect(entry[field].trim().length, `${field} of ${s}`).toBeGreaterThan(0)
      }
      expect(["never", "transient"]).toContain(entry.repeat)
    }
  })

  it("lookup is total for a playbook that lists nothing, and keeps to E1", () => {
    const empty: Playbook.Playbook = { name: "empty", byStatus: {} }
    const wrong = statuses.filter((s) =>
      !isSuccess(s) && Playbook.lookup(empty, s).tag !== tagOf(s)
    )
    expect(wrong).toEqual([])
    for (const s of statuses) {
      expect(Playbook.lookup(empty, s).userMessage.length).toBeGreaterThan(0)
    }
  })

  it("the statuses the five API documents name are written down", () => {
    const written = Object.keys(Playbook.standard.byStatus)
    const named = [
      "400",
      "401",
      "402",
      "403",
      "404",
      "409",
      "413",
      "415",
      "422",
      "423",
      "429",
      "500",
      "502",
      "503",
      "504"
    ]
    expect(named.filter((s) => !written.includes(s))).toEqual([])
  })
})

describe("Playbook.extend", () => {
  const entry: Playbook.Entry = {
    tag: "Policy",
    repeat: "never",
    meaning: "the plan has no seats left",
    action: "buy seats",
    userMessage: "No seats left.",
    alert: "sales"
  }

  it("it merges per status: one override leaves every other status as it was", () => {
    fc.assert(
      fc.property(status, status, (overridden, other) => {
        const playbook = Playbook.extend(Playbook.standard, {
          name: "mine",
          byStatus: { [overridden]: entry }
        })
        expect(playbook.name).toBe("mine")
        expect(Playbook.lookup(playbook, overridden)).toMatchObject(entry)
        if (other !== overridden) {
          expect(Playbook.lookup(playbook, other)).toEqual(
            Playbook.lookup(Playbook.standard, other)
          )
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("it does not change the playbook it extends", () => {
    const before = JSON.stringify(Playbook.standard)
    Playbook.extend(Playbook.standard, {
      name: "mine",
      byStatus: { 404: entry },
      byCode: { x: entry }
    })
    expect(JSON.stringify(Playbook.standard)).toBe(before)
  })

  it("what is not overridden is kept", () => {
    const pattern = /after (\d+) seconds/
    const base = Playbook.extend(Playbook.standard, {
      name: "base",
      byCode: { a: { tag: "Policy" } },
      inFlightCodes: ["busy"],
      resetHeaders: ["x-ratelimit-reset"],
      retryAfterInMessage: pattern
    })
    const playbook = Playbook.extend(base, { byStatus: { 404: entry } })
    expect([
      playbook.name,
      playbook.byCode?.["a"]?.tag,
      playbook.inFlightCodes,
      playbook.resetHeaders
    ]).toEqual([
      "base",
      "Policy",
      expect.arrayContaining(["busy"]),
      ["x-ratelimit-reset"]
    ])
    expect(playbook.retryAfterInMessage).toBe(pattern)
  })

  it("E13: a reset header that is named again keeps its place and takes the new unit", () => {
    const base = Playbook.extend(Playbook.standard, { resetHeaders: ["X-Reset", "x-other"] })
    const playbook = Playbook.extend(base, {
      resetHeaders: [{ name: "x-reset", unit: "milliseconds" }, "x-more"]
    })
    expect(playbook.resetHeaders).toEqual([
      { name: "x-reset", unit: "milliseconds" },
      "x-other",
      "x-more"
    ])
  })

  it("codes merge per code", () => {
    const base = Playbook.extend(Playbook.standard, {
      byCode: { a: { tag: "Policy" }, b: { tag: "Auth" } }
    })
    const playbook = Playbook.extend(base, {
      byCode: { b: { tag: "Locked" }, c: { tag: "Server" } }
    })
    expect([playbook.byCode?.["a"]?.tag, playbook.byCode?.["b"]?.tag, playbook.byCode?.["c"]?.tag])
      .toEqual([
        "Policy",
        "Locked",
        "Server"
      ])
  })

  it("extending with nothing changes nothing", () => {
    const same = Playbook.extend(Playbook.standard, {})
    for (const s of statuses) {
      expect(Playbook.lookup(same, s)).toEqual(Playbook.lookup(Playbook.standard, s))
    }
  })
})

describe("Playbook.entry", () => {
  it("it is the standard row of any status with the changes, and without changes that row", () => {
    const changes = { repeat: "transient", meaning: "The account is being settled" } as const
    fc.assert(
      fc.property(status, (status) => {
        const standard = Playbook.lookup(Playbook.standard, status)
        expect(Playbook.entry(status, changes)).toEqual({ ...standard, ...changes })
        expect(Playbook.entry(status)).toEqual(standard)
      }),
      { numRuns: 500 }
    )
  })
})

describe("Playbook.markdown", () => {
  it("it prints one row per status, in order", () => {
    const printed = rows(Playbook.markdown(Playbook.standard)).map((row) =>
      Number(/\d{3}/.exec(row)?.[0])
    )
    expect(printed).toEqual(
      Object.keys(Playbook.standard.byStatus).map(Number).toSorted((a, b) => a - b)
    )
  })

  it("a row shows the tag and the words of its entry", () => {
    const teapot: Playbook.Entry = {
      tag: "Policy",
      repeat: "never",
      meaning: "short and stout",
      action: "use another pot",
      userMessage: "No coffee here.",
      alert: "kitchen"
    }
    const text = Playbook.markdown(
      Playbook.extend(Playbook.standard, { name: "tea", byStatus: { 418: teapot } })
    )
    const row = rows(text).find((line) => line.includes("418")) ?? ""
    expect(["Policy", "short and stout", "use another pot"].filter((word) => !row.includes(word)))
      .toEqual([])
  })

  it("E30: a row that looks at headers prints a line for each of them", () => {
    const text = Playbook.markdown(
      Playbook.extend(Playbook.standard, {
        byStatus: {
          403: Playbook.entry(403, {
            when: [{
              header: "x-left",
              is: "0",
              then: { tag: "RateLimit", repeat: "transient", meaning: "Nothing left" }
            }]
          })
        }
      })
    )
    expect(text).toContain("| `403`, `x-left: 0` | RateLimit | Nothing left | Yes |")
  })

  it("bars and line ends in the words do not break the table", () => {
    const odd: Playbook.Entry = {
      tag: "Validation",
      repeat: "never",
      meaning: "a | b\nc",
      action: "x | y\r\nz",
      userMessage: "p | q\nr",
      alert: "s | t"
    }
    const lines = rows(
      Playbook.markdown(Playbook.extend(Playbook.standard, { byStatus: { 418: odd } }))
    )
    expect(lines.length).toBe(Object.keys({ ...Playbook.standard.byStatus, 418: 0 }).length)
    expect(new Set(lines.map(columns)).size).toBe(1)
  })
})
