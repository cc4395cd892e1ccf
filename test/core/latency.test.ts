import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Latency from "../../src/core/latency.js"
import { runs } from "../support/runs.js"

const of = (size: number, values: ReadonlyArray<number>): Latency.Latencies => {
  const latencies = Latency.make(size)
  for (const value of values) Latency.record(latencies, value)
  return latencies
}

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

describe("latency", () => {
  it("G25: it agrees with sorting the last ones each time", () => {
    const millis = fc.oneof(fc.nat({ max: 5 }), fc.double({ min: 0, max: 1e6, noNaN: true }))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(millis, { maxLength: 60, size: "max" }),
        (size, values) => {
          const latencies = Latency.make(size)
          values.forEach((value, index) => {
            Latency.record(latencies, value)
            const last = values.slice(Math.max(0, index + 1 - size), index + 1).sort((a, b) =>
              a - b
            )
            expect(latencies.sorted).toEqual(last)
            expect(Latency.count(latencies)).toBe(last.length)
          })
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("G25: a quantile is the smallest latency that at least this share does not exceed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 100 }),
        (values, percent) => {
          const found = Latency.quantile(of(40, values), percent / 100)
          const candidates = values.filter((candidate) =>
            values.filter((value) => value <= candidate).length * 100 >= percent * values.length
          )
          expect(found).toBe(Math.min(...candidates))
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("G25: nearest rank, also where the share is not exact in binary", () => {
    const hundred = of(100, numbers(100))
    const shares = [0.001, 0.01, 0.07, 0.29, 0.5, 0.95, 0.999, 1]
    expect(shares.map((share) => Latency.quantile(hundred, share))).toEqual([
      1,
      1,
      7,
      29,
      50,
      95,
      100,
      100
    ])
  })

  it("G25: of none there is no quantile", () => {
    expect(Latency.quantile(Latency.make(3), 0.5)).toBeUndefined()
  })

  it("G25: only the last ones count, so memory is bounded", () => {
    const latencies = of(10, numbers(10_000))
    expect([latencies.ring.length, latencies.sorted.length, Latency.quantile(latencies, 0.001)])
      .toEqual([10, 10, 9991])
  })
})
