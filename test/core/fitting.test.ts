import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Distribution from "../../src/core/distribution.js"
import * as Draw from "../../src/core/draw.js"
import * as Fitting from "../../src/core/fitting.js"
import { runs } from "../support/runs.js"

type Family = Distribution.Distribution

const drawn = (from: Family, count: number, seed = 1): ReadonlyArray<number> => {
  const source = Draw.source(seed, 0)
  const sample = Distribution.sampler(from)
  return Array.from(
    { length: count },
    (_, call) => sample(Draw.unit(source, call, Draw.purposes.service, 0))
  )
}

/** What a limit leaves of times: those below it, and that the others took longer. */
const cutAt = (limit: number, times: ReadonlyArray<number>): Fitting.Times => ({
  measured: times.filter((time) => time <= limit),
  cut: times.filter((time) => time > limit).map(() => limit)
})

/** The greatest difference of two curves, seen at the quantiles of the one. */
const apart = (found: Family, truth: Family): number => {
  const shares = Array.from({ length: 199 }, (_, index) => (index + 1) / 200)
  const shareBelow = (time: number): number => {
    let low = 0
    let high = 1
    for (let step = 0; step < 60; step++) {
      const middle = (low + high) / 2
      if (Distribution.quantile(found, middle) < time) low = middle
      else high = middle
    }
    return low
  }
  return Math.max(
    ...shares.map((share) => Math.abs(shareBelow(Distribution.quantile(truth, share)) - share))
  )
}

/** By chance, a sample in some hundreds is likelier to be a Weibull one that is nearly exponential. */
const nameOf = (found: Family): string =>
  found._tag === "Weibull" && Math.abs(found.shape - 1) < 0.1 ? "Exponential" : found._tag

const positive = fc.double({ min: 1, max: 1000, noNaN: true })

const families: Readonly<Record<string, fc.Arbitrary<Family>>> = {
  Uniform: fc.tuple(positive, positive).map(([min, width]) => ({
    _tag: "Uniform",
    min,
    max: min + width
  })),
  Exponential: positive.map((mean) => ({ _tag: "Exponential", mean })),
  LogNormal: fc.tuple(positive, fc.double({ min: 1.5, max: 30, noNaN: true })).map((
    [p50, times]
  ) => ({ _tag: "LogNormal", p50, p99: p50 * times })),
  Weibull: fc.tuple(positive, fc.double({ min: 1.5, max: 4, noNaN: true })).map((
    [scale, shape]
  ) => ({ _tag: "Weibull", scale, shape })),
  Pareto: fc.tuple(positive, fc.double({ min: 1.5, max: 5, noNaN: true })).map(([min, alpha]) => ({
    _tag: "Pareto",
    min,
    alpha
  }))
}

describe("fitting", () => {
  for (const [name, family] of Object.entries(families)) {
    it(`S20: ${name} comes back, by name and close by`, () => {
      fc.assert(
        fc.property(family, fc.integer({ min: 0, max: 1e6 }), (truth, seed) => {
          const { distance, distribution } = Fitting.fit({
            measured: drawn(truth, 4000, seed),
            cut: []
          })
          expect(nameOf(distribution)).toBe(name)
          expect(distance).toBeLessThanOrEqual(Fitting.tolerance(4000))
          expect(apart(distribution, truth)).toBeLessThanOrEqual(0.03)
        }),
        { numRuns: runs(100, 20) }
      )
    })

    it(`S20: ${name} of which a third was given up comes back beyond the limit`, () => {
      fc.assert(
        fc.property(family, fc.integer({ min: 0, max: 1e6 }), (truth, seed) => {
          const limit = Distribution.quantile(truth, 2 / 3)
          const { distribution } = Fitting.fit(cutAt(limit, drawn(truth, 4000, seed)))
          expect(apart(distribution, truth)).toBeLessThanOrEqual(0.08)
          // Not as if what was given up had ended at the limit.
          const p90 = Distribution.quantile(truth, 0.9)
          expect(Distribution.quantile(distribution, 0.9)).toBeGreaterThan(
            limit + (p90 - limit) / 2
          )
        }),
        { numRuns: runs(100, 20) }
      )
    })
  }

  it("S20: what comes from no family has 512 quantiles", () => {
    const two = [
      ...drawn({ _tag: "Uniform", min: 10, max: 12 }, 2000),
      ...drawn({
        _tag: "Uniform",
        min: 500,
        max: 520
      }, 1000)
    ]
    const { distance, distribution } = Fitting.fit({ measured: two, cut: [] })
    expect(distribution._tag).toBe("Empirical")
    expect(distance).toBeLessThanOrEqual(0.01)
    expect(Distribution.quantile(distribution, 0.5)).toBeCloseTo(11.5, 0)
    expect(Distribution.quantile(distribution, 0.9)).toBeGreaterThan(500)
    const values = distribution._tag === "Empirical" ? distribution.values : []
    expect(values.length).toBe(512)
    expect(values).toEqual([...values].sort((a, b) => a - b))
  })

  it("what is not known beyond the last measured time is the longest time that was seen", () => {
    const measured = drawn({ _tag: "Uniform", min: 1, max: 2 }, 300)
    const cut = drawn({ _tag: "Uniform", min: 900, max: 1000 }, 300)
    const { distribution } = Fitting.fit({ measured: [...measured, ...measured.map(() => 1)], cut })
    expect(distribution._tag).toBe("Empirical")
    expect(Distribution.quantile(distribution, 1)).toBe(Math.max(...cut))
    expect(Distribution.quantile(distribution, 0.6)).toBeLessThanOrEqual(2)
  })

  it("times that are all the same are constant, unless some took longer", () => {
    const measured = Array.from({ length: 300 }, () => 40)
    expect(Fitting.fit({ measured, cut: [10] })).toEqual({
      distribution: { _tag: "Constant", value: 40 },
      distance: 0
    })
    expect(Fitting.fit({ measured, cut: [50] }).distribution._tag).not.toBe("Constant")
  })

  it("neither order nor zeros nor very many times matter", () => {
    const times = [...drawn({ _tag: "Exponential", mean: 5 }, 50_000), 0, 0]
    const there = Fitting.fit({ measured: times, cut: [] })
    expect(there).toEqual(Fitting.fit({ measured: [...times].reverse(), cut: [] }))
    expect(there.distribution._tag).toBe("Exponential")
    expect(apart(there.distribution, { _tag: "Exponential", mean: 5 })).toBeLessThan(0.01)
  })

  it("the distance of rounded times counts the height of a step once", () => {
    const rounded = drawn({ _tag: "Uniform", min: 0, max: 3 }, 3000).map(Math.round)
    const { distance, distribution } = Fitting.fit({ measured: rounded, cut: [] })
    expect(distribution._tag).toBe("Empirical")
    expect(distance).toBeLessThan(0.01)
  })
})
