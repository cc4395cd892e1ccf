import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Backoff from "../../src/core/backoff.js"
import { runs } from "../support/runs.js"

const hour = 3_600_000

/** `base * factor^n` by repeated multiplication, cut as soon as it meets the cap. */
const grown = (base: number, factor: number, cap: number, attempt: number): number => {
  if (factor === 1) return Math.min(cap, base)
  let e = base
  for (let i = 0; i < attempt && e < cap; i++) e *= factor
  return Math.min(cap, e)
}

/** `base * (n + 1)` by repeated addition, cut as soon as it meets the cap. */
const summed = (base: number, cap: number, attempt: number): number => {
  let e = base
  for (let i = 0; i < attempt && e < cap; i++) e += base
  return Math.min(cap, e)
}

/** R1 and R2, read aloud. */
const model = (
  backoff: Backoff.Backoff,
  { attempt, previousMillis, unit }: Backoff.Draw
): number => {
  const between = (low: number, high: number) => low + unit * (high - low)
  if (backoff._tag === "Decorrelated") {
    const previous = attempt === 0 ? backoff.baseMillis : previousMillis
    return Math.min(backoff.capMillis, between(backoff.baseMillis, 3 * previous))
  }
  const cap = backoff._tag === "Constant" ? Infinity : backoff.capMillis
  const e = backoff._tag === "Constant"
    ? backoff.delayMillis
    : backoff._tag === "Linear"
    ? summed(backoff.baseMillis, cap, attempt)
    : grown(backoff.baseMillis, backoff.factor, cap, attempt)
  switch (backoff.jitter._tag) {
    case "None":
      return e
    case "Full":
      return between(0, e)
    case "Equal":
      return e / 2 + between(0, e / 2)
    case "Additive":
      return Math.min(cap, e + between(0, backoff.jitter.maxMillis))
  }
}

const millis = fc.oneof(fc.constantFrom(1, 2, 100, 500, hour), fc.integer({ min: 1, max: hour }))
const range = fc.tuple(millis, millis).map(([a, b]) => ({
  baseMillis: Math.min(a, b),
  capMillis: Math.max(a, b)
}))
const factor = fc.oneof(
  fc.constantFrom(1, 1.000001, 1.5, 2, 3, 10, hour),
  fc.double({ min: 1, max: 1000, noNaN: true })
)
const attempt = fc.oneof(
  fc.nat({ max: 12 }),
  fc.nat({ max: 3000 }),
  fc.constantFrom(1023, 1024, 1_000_000)
)
const unit = fc.oneof(
  fc.constantFrom(0, Number.MIN_VALUE, 0.5, 1 - 2 ** -53),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
)
const jitter: fc.Arbitrary<Backoff.Jitter> = fc.oneof(
  fc.constantFrom<Backoff.Jitter>({ _tag: "None" }, { _tag: "Full" }, { _tag: "Equal" }),
  fc.nat({ max: hour }).map((maxMillis): Backoff.Jitter => ({ _tag: "Additive", maxMillis }))
)
const backoff: fc.Arbitrary<Backoff.Backoff> = fc.oneof(
  fc.record({ _tag: fc.constant("Constant" as const), delayMillis: millis, jitter }),
  fc.tuple(range, jitter).map(([range, jitter]) => ({ _tag: "Linear" as const, ...range, jitter })),
  fc.tuple(range, factor, jitter).map(([range, factor, jitter]) => ({
    _tag: "Exponential" as const,
    ...range,
    factor,
    jitter
  })),
  range.map((range) => ({ _tag: "Decorrelated" as const, ...range }))
)

/** A backoff and a draw whose previous delay is one that this backoff could have given. */
const drawn = fc.tuple(backoff, attempt, unit, unit).map(([backoff, attempt, unit, before]) => {
  const previousMillis = backoff._tag === "Decorrelated"
    ? backoff.baseMillis + before * (backoff.capMillis - backoff.baseMillis)
    : before * hour
  return { backoff, draw: { attempt, unit, previousMillis } }
})

const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(b))

const capOf = (backoff: Backoff.Backoff): number => {
  if (backoff._tag !== "Constant") return backoff.capMillis
  return backoff.delayMillis + (backoff.jitter._tag === "Additive" ? backoff.jitter.maxMillis : 0)
}

const exponential = (jitter: Backoff.Jitter): Backoff.Backoff => ({
  _tag: "Exponential",
  baseMillis: 500,
  factor: 2,
  capMillis: 8000,
  jitter
})

describe("delayMillis", () => {
  it("R1: it agrees with the formulas computed step by step", () => {
    fc.assert(
      fc.property(drawn, ({ backoff, draw }) => {
        const expected = model(backoff, draw)
        const actual = Backoff.delayMillis(backoff, draw)
        expect(close(actual, expected), `${actual} should be ${expected}`).toBe(true)
      }),
      { numRuns: runs(2000) }
    )
  })

  it("R2, R3: it is finite, never negative and never above the cap, for any attempt up to 10^6", () => {
    fc.assert(
      fc.property(drawn, ({ backoff, draw }) => {
        const delay = Backoff.delayMillis(backoff, draw)
        expect(Number.isFinite(delay)).toBe(true)
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(capOf(backoff))
      }),
      { numRuns: runs(2000) }
    )
  })

  it("R1: it saturates where base * factor^n is no number any more", () => {
    const huge: Backoff.Backoff = {
      _tag: "Exponential",
      baseMillis: 1,
      factor: hour,
      capMillis: Infinity,
      jitter: { _tag: "None" }
    }
    const delays = [300, 1_000_000].map((attempt) =>
      Backoff.delayMillis(huge, { attempt, previousMillis: 0, unit: 0.5 })
    )
    expect(delays.every((delay) => Number.isFinite(delay) && delay > Backoff.maxTimerMillis)).toBe(
      true
    )
  })

  it("R2: full jitter still draws from the whole of [0, cap) at its cap", () => {
    const delays = [0, 0.25, 0.5, 0.75].map((unit) =>
      Backoff.delayMillis(exponential({ _tag: "Full" }), {
        attempt: 1_000_000,
        previousMillis: 8000,
        unit
      })
    )
    expect(delays).toEqual([0, 2000, 4000, 6000])
  })

  it("R2: equal jitter still draws from the upper half at its cap", () => {
    const delays = [0, 0.25, 0.5, 0.75].map((unit) =>
      Backoff.delayMillis(exponential({ _tag: "Equal" }), {
        attempt: 1_000_000,
        previousMillis: 8000,
        unit
      })
    )
    expect(delays).toEqual([4000, 5000, 6000, 7000])
  })

  it("R2: additive jitter sits on its cap, as its formula says", () => {
    const additive = exponential({ _tag: "Additive", maxMillis: 300 })
    const delays = [0, 0.5, 0.999].map((unit) =>
      Backoff.delayMillis(additive, { attempt: 4, previousMillis: 0, unit })
    )
    expect(delays).toEqual([8000, 8000, 8000])
  })

  it("R2: for every cap, full and equal jitter give as many delays as there are draws", () => {
    fc.assert(
      fc.property(
        range,
        factor,
        fc.constantFrom("Full" as const, "Equal" as const),
        (range, factor, _tag) => {
          const spread: Backoff.Backoff = {
            _tag: "Exponential",
            ...range,
            factor,
            jitter: { _tag }
          }
          const delays = Array.from(
            { length: 50 },
            (_, i) =>
              Backoff.delayMillis(spread, {
                attempt: 1_000_000,
                previousMillis: range.capMillis,
                unit: i / 50
              })
          )
          expect(new Set(delays).size).toBe(50)
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("R3: a delay is zero only when full jitter draws a zero", () => {
    fc.assert(
      fc.property(drawn, ({ backoff, draw }) => {
        const isFull = backoff._tag !== "Decorrelated" && backoff.jitter._tag === "Full"
        fc.pre(!isFull || draw.unit > Number.MIN_VALUE)
        expect(Backoff.delayMillis(backoff, draw)).toBeGreaterThan(0)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("R3: the first decorrelated delay takes the base for the previous one, whatever it is told", () => {
    const decorrelated: Backoff.Backoff = {
      _tag: "Decorrelated",
      baseMillis: 100,
      capMillis: 10_000
    }
    const first = [0, 7, 5000, Infinity].map((previousMillis) =>
      Backoff.delayMillis(decorrelated, { attempt: 0, previousMillis, unit: 0.5 })
    )
    expect(first).toEqual([200, 200, 200, 200])
  })

  it("R1: a chain of decorrelated delays follows min(cap, U(base, 3 * previous))", () => {
    fc.assert(
      fc.property(range, fc.array(unit, { minLength: 1, maxLength: 40 }), (range, units) => {
        const decorrelated: Backoff.Backoff = { _tag: "Decorrelated", ...range }
        let previous = range.baseMillis
        let previousMillis = 0
        units.forEach((unit, attempt) => {
          previous = Math.min(
            range.capMillis,
            range.baseMillis + unit * (3 * previous - range.baseMillis)
          )
          previousMillis = Backoff.delayMillis(decorrelated, { attempt, previousMillis, unit })
          expect(close(previousMillis, previous)).toBe(true)
        })
      }),
      { numRuns: runs(500) }
    )
  })

  it("R4: the Widget Session formula, over 10 000 draws of attempts 0 to 5", () => {
    const widget = exponential({ _tag: "Additive", maxMillis: 300 })
    let draws = 0
    fc.assert(
      fc.property(fc.nat({ max: 5 }), unit, (attempt, unit) => {
        draws++
        const expected = Math.min(500 * [1, 2, 4, 8, 16, 32][attempt]! + unit * 300, 8000)
        expect(close(Backoff.delayMillis(widget, { attempt, previousMillis: 0, unit }), expected))
          .toBe(true)
      }),
      { numRuns: runs(10_000) }
    )
    expect(draws).toBe(runs(10_000))
  })
})

describe("envelopeMillis", () => {
  it("R1: every draw lies in the envelope of its attempt", () => {
    fc.assert(
      fc.property(backoff, fc.array(unit, { minLength: 1, maxLength: 30 }), (backoff, units) => {
        let previousMillis = 0
        units.forEach((unit, attempt) => {
          previousMillis = Backoff.delayMillis(backoff, { attempt, previousMillis, unit })
          const { max, min } = Backoff.envelopeMillis(backoff, attempt)
          expect(previousMillis).toBeGreaterThanOrEqual(min - 1e-6)
          expect(previousMillis).toBeLessThanOrEqual(max + 1e-6)
        })
      }),
      { numRuns: runs(500) }
    )
  })

  it("R1: the envelope is no wider than the draws: the smallest and the largest come close to its ends", () => {
    fc.assert(
      fc.property(backoff, fc.nat({ max: 30 }), (backoff, attempt) => {
        const extreme = (unit: number) => {
          let previousMillis = 0
          for (let n = 0; n <= attempt; n++) {
            previousMillis = Backoff.delayMillis(backoff, { attempt: n, previousMillis, unit })
          }
          return previousMillis
        }
        const { max, min } = Backoff.envelopeMillis(backoff, attempt)
        expect([close(extreme(0), min), close(extreme(1 - 2 ** -53), max)]).toEqual([true, true])
      }),
      { numRuns: runs(500) }
    )
  })

  it("R3: both ends are finite for attempt 10^6", () => {
    fc.assert(
      fc.property(backoff, (backoff) => {
        const { max, min } = Backoff.envelopeMillis(backoff, 1_000_000)
        expect([Number.isFinite(min), Number.isFinite(max), min <= max]).toEqual([true, true, true])
        expect(max).toBeLessThanOrEqual(capOf(backoff))
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("maxTimerMillis", () => {
  it("E12: it is the longest delay that a timer can hold", () => {
    expect(Backoff.maxTimerMillis).toBe(2_147_483_647)
  })
})
