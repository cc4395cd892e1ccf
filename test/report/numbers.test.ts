import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { escape } from "../../src/report/markup.js"
import {
  decimal,
  latency,
  moment,
  percent,
  short,
  ticks,
  timeTicks,
  written
} from "../../src/report/numbers.js"
import { runs } from "../support/runs.js"

describe("numbers", () => {
  it("are written with three digits that count, and thousands apart", () => {
    expect([0, 0.01234, 0.5, 1.005, 12.34, 123.4, 1_234_567].map(short))
      .toEqual(["0", "0.012", "0.50", "1.00", "12.3", "123", "1,234,567"])
    expect([-0.001, -1234.5].map((value) => decimal(value, 1))).toEqual(["0.0", "−1,234.5"])
    expect([2, 0.25, 40, 1.5].map(written)).toEqual(["2", "0.25", "40", "1.5"])
    expect([0, 0.00001, 0.0123, 0.5, -0.5].map(percent))
      .toEqual(["0 %", "< 0.01 %", "1.2 %", "50 %", "−50 %"])
    expect([12, 999, 1500, -2000].map(latency)).toEqual(["12.0 ms", "999 ms", "1.50 s", "−2.00 s"])
    expect([moment(30, 60), moment(90, 1200), moment(7200, 40_000)])
      .toEqual(["30 s", "1.5 min", "2 h"])
  })

  it("marks of an axis begin at 0, are round, and reach the largest value", () => {
    expect(ticks(87, 4)).toEqual([0, 50, 100])
    expect(ticks(0.3, 4)).toEqual([0, 0.1, 0.2, 0.3])
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e12, noNaN: true }), (most) => {
        const marks = ticks(most, 4)
        const last = marks.at(-1)!
        expect(marks[0]).toBe(0)
        expect(marks.length).toBeGreaterThanOrEqual(2)
        expect(marks.length).toBeLessThanOrEqual(6)
        expect(last).toBeGreaterThanOrEqual(most * (1 - 1e-6))
        expect(last).toBeLessThanOrEqual(most * 2.6)
      }),
      { numRuns: runs(500) }
    )
  })

  it("marks of time are few enough for the width, and end within it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8_640_000 }), (seconds) => {
        const marks = timeTicks(seconds, 8)
        expect(marks.length).toBeLessThanOrEqual(9)
        expect(marks.at(-1)!).toBeLessThanOrEqual(seconds)
      }),
      { numRuns: runs(500) }
    )
  })

  it("L6: no text leaves an element or an attribute", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(escape(text)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/)
        expect(escape(text)).not.toContain("\u0000")
      }),
      { numRuns: runs(500) }
    )
  })
})
