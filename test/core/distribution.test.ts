import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Distribution from "../../src/core/distribution.js"
import { runs } from "../support/runs.js"

const positive = fc.double({ min: 0.01, max: 1000, noNaN: true })
const ratio = fc.double({ min: 1.01, max: 20, noNaN: true })

const branch = fc.record<Distribution.Branch>({
  weight: fc.double({ min: 0.01, max: 10, noNaN: true }),
  mean: positive
})

const some: fc.Arbitrary<Distribution.Distribution> = fc.oneof(
  fc.record({ _tag: fc.constant("Constant" as const), value: positive }),
  fc.tuple(positive, positive).map(([min, more]) => ({
    _tag: "Uniform" as const,
    min,
    max: min + more
  })),
  fc.record({ _tag: fc.constant("Exponential" as const), mean: positive }),
  fc.tuple(positive, ratio).map(([p50, times]) => ({
    _tag: "LogNormal" as const,
    p50,
    p99: p50 * times
  })),
  fc.record({
    _tag: fc.constant("Pareto" as const),
    min: positive,
    alpha: fc.double({ min: 2.5, max: 10, noNaN: true })
  }),
  fc.record({
    _tag: fc.constant("Weibull" as const),
    scale: positive,
    shape: fc.double({ min: 0.6, max: 5, noNaN: true })
  }),
  fc.record({
    _tag: fc.constant("Hyper" as const),
    branches: fc.array(branch, { minLength: 1, maxLength: 4 })
  }),
  fc.record({
    _tag: fc.constant("Empirical" as const),
    values: fc.array(positive, { minLength: 1, maxLength: 20 }).map((values) =>
      values.sort((a, b) => a - b)
    )
  })
)

const share = fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true })

/** The error function by its series, far slower and without tables. */
const erf = (x: number): number => {
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 500; n++) {
    term *= -x * x / n
    sum += term / (2 * n + 1)
  }
  return 2 / Math.sqrt(Math.PI) * sum
}

const normal = (z: number): number => (1 + erf(z / Math.SQRT2)) / 2

/** The share of values up to `value`, by the textbook formula of each distribution. */
const cumulative = (distribution: Distribution.Distribution, value: number): number => {
  switch (distribution._tag) {
    case "Constant":
      return value >= distribution.value ? 1 : 0
    case "Uniform":
      return (value - distribution.min) / (distribution.max - distribution.min)
    case "Exponential":
      return 1 - Math.exp(-value / distribution.mean)
    case "LogNormal":
      return normal(
        Math.log(value / distribution.p50) / Math.log(distribution.p99 / distribution.p50) *
          2.3263478740408408
      )
    case "Pareto":
      return 1 - (distribution.min / value) ** distribution.alpha
    case "Weibull":
      return 1 - Math.exp(-((value / distribution.scale) ** distribution.shape))
    case "Hyper": {
      const all = distribution.branches.reduce((sum, { weight }) => sum + weight, 0)
      return distribution.branches.reduce(
        (sum, { mean, weight }) => sum + weight / all * (1 - Math.exp(-value / mean)),
        0
      )
    }
    case "Empirical": {
      const { values } = distribution
      const gaps = values.length - 1
      if (gaps === 0) return value >= values[0]! ? 1 : 0
      return values.slice(1).reduce((sum, high, index) => {
        const low = values[index]!
        const inside = high === low ? (value >= high ? 1 : 0) : (value - low) / (high - low)
        return sum + Math.min(1, Math.max(0, inside)) / gaps
      }, 0)
    }
  }
}

describe("distribution", () => {
  it("a quantile is the value that this share of the values does not exceed", () => {
    fc.assert(
      fc.property(some, share, (distribution, share) => {
        const value = Distribution.quantile(distribution, share)
        const slack = 1e-9
        const nearby = value * 1e-9
        expect(cumulative(distribution, value + nearby)).toBeGreaterThanOrEqual(share - slack)
        expect(cumulative(distribution, value - nearby)).toBeLessThanOrEqual(share + slack)
      }),
      { numRuns: runs(2000) }
    )
  })

  it("quantiles rise", () => {
    fc.assert(
      fc.property(some, share, share, (distribution, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        expect(Distribution.quantile(distribution, low))
          .toBeLessThanOrEqual(Distribution.quantile(distribution, high))
      }),
      { numRuns: runs(1000) }
    )
  })

  /** The mean of the quantiles at the middles of equal parts, finer towards the end of the tail. */
  const integrated = (of: (share: number) => number): number => {
    const parts = 2000
    let sum = 0
    // share = 1 - s^4, so that equal steps of s are short ones where the tail is.
    for (let part = 0; part < parts; part++) {
      const s = (part + 0.5) / parts
      sum += of(1 - s ** 4) * 4 * s ** 3 / parts
    }
    return sum
  }

  it("the mean is the integral of the quantiles", () => {
    fc.assert(
      fc.property(some, (distribution) => {
        const mean = Distribution.mean(distribution)
        const found = integrated((share) => Distribution.quantile(distribution, share))
        expect(Math.abs(found / mean - 1)).toBeLessThan(5e-3)
      }),
      { numRuns: runs(500) }
    )
  })

  it("draws have the mean, and all but a mixture are the quantile of the draw", () => {
    fc.assert(
      fc.property(some, share, (distribution, share) => {
        const sample = Distribution.sampler(distribution)
        if (distribution._tag === "Hyper") {
          const parts = 40_000
          let sum = 0
          for (let part = 0; part < parts; part++) sum += sample((part + 0.5) / parts)
          // Of each branch, the last draw may be as near to its end as numbers get.
          const furthest = Math.log(2 ** 54)
          const slack = distribution.branches.reduce((all, { mean }) => all + furthest * mean, 0)
          const mean = Distribution.mean(distribution)
          expect(Math.abs(sum / parts - mean)).toBeLessThan(slack / parts)
        } else {
          expect(sample(share)).toBe(Distribution.quantile(distribution, share))
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("every draw is finite and not negative, the smallest and the largest too", () => {
    fc.assert(
      fc.property(some, fc.constantFrom(0, 2 ** -53, 0.5, 1 - 2 ** -53), (distribution, unit) => {
        const value = Distribution.sampler(distribution)(unit)
        expect(Number.isFinite(value) && value >= 0).toBe(true)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("a mixture falls into its branches by their weights", () => {
    const sample = Distribution.sampler({
      _tag: "Hyper",
      branches: [{ weight: 3, mean: 1 }, { weight: 1, mean: 1e9 }]
    })
    const parts = 1000
    let long = 0
    for (let part = 0; part < parts; part++) if (sample((part + 0.5) / parts) > 1000) long++
    expect(long).toBe(250)
    // Where one branch ends the next one begins, with its smallest value.
    expect(sample(0.75)).toBeCloseTo(0, 12)
  })

  it("a log-normal has the two percentiles that it is given by", () => {
    const distribution: Distribution.Distribution = { _tag: "LogNormal", p50: 40, p99: 300 }
    expect(Distribution.quantile(distribution, 0.5)).toBe(40)
    expect(Distribution.quantile(distribution, 0.99)).toBeCloseTo(300, 9)
  })

  it("a Pareto without a mean says so", () => {
    expect(Distribution.mean({ _tag: "Pareto", min: 1, alpha: 0.5 })).toBe(Infinity)
    expect(Distribution.mean({ _tag: "Pareto", min: 1, alpha: 1 })).toBe(Infinity)
    expect(Distribution.mean({ _tag: "Pareto", min: 1, alpha: 2 })).toBe(2)
  })

  it("the mean of a Weibull is its scale times the gamma function, to 12 digits", () => {
    const mean = (shape: number) => Distribution.mean({ _tag: "Weibull", scale: 1, shape })
    // The gamma function at 1 + 1 / shape, from its closed forms.
    const known: ReadonlyArray<readonly [shape: number, gamma: number]> = [
      [2, Math.sqrt(Math.PI) / 2],
      [1, 1],
      [2 / 3, 3 * Math.sqrt(Math.PI) / 4],
      [0.5, 2],
      [0.25, 24],
      [0.1, 3_628_800]
    ]
    for (const [shape, gamma] of known) expect(mean(shape) / gamma).toBeCloseTo(1, 12)
  })

  it("quantiles of the standard normal distribution agree with the tables", () => {
    const shares = [0, 1e-300, 1e-9, 0.001, 0.0749, 0.5, 0.925, 0.975, 0.999, 1]
    const known = [
      -Infinity,
      -37.0471,
      -5.99781,
      -3.09023,
      -1.44023,
      0,
      1.43953,
      1.95996,
      3.09023,
      Infinity
    ]
    const found = shares.map(Distribution.normalQuantile)
    found.forEach((value, index) => expect(value).toBeCloseTo(known[index]!, 4))
  })
})
