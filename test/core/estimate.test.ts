import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Estimate from "../../src/core/estimate.js"
import { runs } from "../support/runs.js"

/** The share of Student's distribution between 0 and `t`, added up in small steps. */
const share = (degrees: number, t: number): number => {
  // The ratio of two values of the gamma function, by its recursion.
  let ratio = degrees % 2 === 1 ? 1 / Math.sqrt(Math.PI) : Math.sqrt(Math.PI) / 2
  for (let n = degrees % 2 === 1 ? 1 : 2; n < degrees; n += 2) ratio *= (n + 1) / n
  const density = (x: number) =>
    ratio / Math.sqrt(degrees * Math.PI) * (1 + x * x / degrees) ** (-(degrees + 1) / 2)
  const steps = 20_000
  let sum = 0
  for (let step = 0; step < steps; step++) sum += density((step + 0.5) * t / steps) * t / steps
  return sum
}

describe("estimate", () => {
  it("S15: the interval holds 95 % of Student's distribution, whatever the number of values", () => {
    for (const count of [2, 3, 4, 5, 10, 20, 31, 32, 41, 101, 1001]) {
      // Values of mean 0 whose standard error is 1.
      const half = Math.floor(count / 2)
      const size = Math.sqrt(count * (count - 1) / (2 * half))
      const values = Array.from(
        { length: count },
        (_, index) => index < half ? size : index < 2 * half ? -size : 0
      )
      const { high, low, mean } = Estimate.estimate(values)
      expect(mean).toBeCloseTo(0, 9)
      expect(low).toBeCloseTo(-high, 9)
      expect(share(count - 1, high)).toBeCloseTo(0.475, 3)
    }
  })

  it("S15: the mean lies in the middle, and moves and grows with the values", () => {
    const value = fc.double({ min: -1e3, max: 1e3, noNaN: true })
    fc.assert(
      fc.property(fc.array(value, { minLength: 2, maxLength: 20 }), value, (values, by) => {
        const found = Estimate.estimate(values)
        const moved = Estimate.estimate(values.map((value) => value + by))
        const doubled = Estimate.estimate(values.map((value) => 2 * value))
        expect((found.low + found.high) / 2).toBeCloseTo(found.mean, 6)
        expect(moved.low).toBeCloseTo(found.low + by, 6)
        expect(doubled.high - doubled.low).toBeCloseTo(2 * (found.high - found.low), 6)
        expect(found.low).toBeLessThanOrEqual(found.mean)
      }),
      { numRuns: runs(500) }
    )
  })

  it("S15: one value has no interval", () => {
    expect(Estimate.estimate([7])).toEqual({ mean: 7, low: 7, high: 7 })
  })
})
