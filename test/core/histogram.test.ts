import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Histogram from "../../src/core/histogram.js"
import { runs } from "../support/runs.js"

const boundaries = [5, 10, 20, 50, 100, 200, 500, 1000, Infinity]

/** A histogram of values, counted one after the other. */
const of = (values: ReadonlyArray<number>): Histogram.Histogram => ({
  buckets: boundaries.map((boundary) =>
    [boundary, values.filter((value) => value <= boundary).length] as const
  ),
  count: values.length,
  min: Math.min(...values),
  max: Math.max(...values)
})

/** The value at a rank, from all of them: what the estimate is an estimate of. */
const exactly = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * values.length) - 1)] ?? NaN
}

const bucketOf = (value: number) => boundaries.findIndex((boundary) => value <= boundary)

const measured = FastCheck.array(FastCheck.integer({ min: 0, max: 3000 }), {
  minLength: 1,
  maxLength: 60
})

const share = FastCheck.integer({ min: 1, max: 100 }).map((percent) => percent / 100)

const check = (property: FastCheck.IProperty<[Array<number>, number]>) =>
  FastCheck.assert(property, { numRuns: runs(1000) })

describe("core/histogram", () => {
  it("of nothing there is no quantile", () => {
    expect(Histogram.quantile(of([]), 0.95)).toBeUndefined()
  })

  it("of one value every quantile is that value", () => {
    expect([0, 0.5, 0.95, 1].map((share) => Histogram.quantile(of([37]), share))).toEqual([
      37,
      37,
      37,
      37
    ])
  })

  it("within a bucket values are spread evenly", () => {
    // A hundred between 100 and 200, and the bucket reaches from 100 to 200.
    const values = Array.from({ length: 100 }, (_, n) => 101 + n)
    expect(Histogram.quantile(of(values), 0.95)).toBeCloseTo(195, 0)
  })

  it("T6: of what lies in the buckets before, only the rest of the rank counts in a bucket", () => {
    const values = [
      ...Array.from({ length: 50 }, () => 60),
      ...Array.from({ length: 100 }, () => 160)
    ]
    // Rank 100 is the 50th of a hundred, and the bucket reaches from 100 to 160.
    expect(Histogram.quantile(of(values), 100 / 150)).toBeCloseTo(130, 9)
  })

  it("T6: a rank at the end of a bucket is there, not beyond the empty buckets after it", () => {
    expect(Histogram.quantile(of([5, 50]), 0.5)).toBe(5)
  })

  it("what lies beyond the last boundary is not taken for infinite", () => {
    expect(Histogram.quantile(of([2000, 3000]), 1)).toBe(3000)
  })

  it("T6: the estimate lies in the bucket of the exact value", () => {
    check(FastCheck.property(measured, share, (values, share) => {
      const estimate = Histogram.quantile(of(values), share) ?? NaN
      const exact = exactly(values, share)
      const [low, high] = [
        boundaries[bucketOf(exact) - 1] ?? 0,
        boundaries[bucketOf(exact)] ?? Infinity
      ]
      expect(estimate).toBeGreaterThanOrEqual(low)
      expect(estimate).toBeLessThanOrEqual(high)
    }))
  })

  it("T6: it lies between the smallest and the largest, and rises with the share", () => {
    check(FastCheck.property(measured, share, (values, share) => {
      const histogram = of(values)
      const at = (share: number) => Histogram.quantile(histogram, share) ?? NaN
      expect(at(share)).toBeGreaterThanOrEqual(histogram.min)
      expect(at(share)).toBeLessThanOrEqual(histogram.max)
      expect(at(share)).toBeGreaterThanOrEqual(at(share / 2))
    }))
  })
})
