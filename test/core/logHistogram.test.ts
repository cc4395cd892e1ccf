import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as LogHistogram from "../../src/core/logHistogram.js"
import { runs } from "../support/runs.js"

const value = fc.oneof(
  fc.nat({ max: 100 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.double({ min: 1, max: 1e12, noNaN: true }),
  fc.nat({ max: 53 }).map((bits) => Math.min(2 ** bits, Number.MAX_SAFE_INTEGER))
)

const of = (values: ReadonlyArray<number>): LogHistogram.LogHistogram => {
  const histogram = LogHistogram.make()
  for (const value of values) LogHistogram.record(histogram, value)
  return histogram
}

describe("log histogram", () => {
  it("S13: a quantile is within 0.8 % of the nearest rank", () => {
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 0, max: 1000 }),
        (values, permille) => {
          const sorted = values.toSorted((a, b) => a - b)
          const rank = Math.max(1, Math.ceil(permille * values.length / 1000))
          const exact = sorted[rank - 1]!
          const found = LogHistogram.quantile(of(values), permille / 1000)!
          expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact < 1 ? 1 : exact / 128)
          expect(found).toBeGreaterThanOrEqual(sorted[0]!)
          expect(found).toBeLessThanOrEqual(sorted.at(-1)!)
        }
      ),
      { numRuns: runs(2000) }
    )
  })

  it("S13: whole numbers below 128 are exact", () => {
    for (let value = 0; value < 128; value++) {
      const histogram = of([value, 1e6])
      LogHistogram.record(histogram, 0)
      const found = LogHistogram.quantile(histogram, 2 / 3)!
      expect(Math.floor(found)).toBe(value)
    }
  })

  it("S13: two histograms add up to that of all values", () => {
    fc.assert(
      fc.property(fc.array(value), fc.array(value), (one, two) => {
        const merged = of(one)
        LogHistogram.merge(merged, of(two))
        expect(merged).toEqual(of([...one, ...two]))
      }),
      { numRuns: runs(500) }
    )
  })

  it("S13: of nothing there is no quantile, and what is cleared is nothing", () => {
    const histogram = of([1, 2, 3])
    LogHistogram.clear(histogram)
    expect(histogram).toEqual(LogHistogram.make())
    expect(LogHistogram.quantile(histogram, 0.5)).toBeUndefined()
  })

  it("S13: nearest rank, also where the share is not exact in binary", () => {
    const hundred = of(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(
      [0.01, 0.07, 0.29, 0.58, 1].map((share) => Math.floor(LogHistogram.quantile(hundred, share)!))
    ).toEqual([1, 7, 29, 58, 100])
  })
})
