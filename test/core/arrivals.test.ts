import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Arrivals from "../../src/core/arrivals.js"
import * as Draw from "../../src/core/draw.js"
import { runs } from "../support/runs.js"

const second = 1e9

const change = fc.tuple(
  fc.nat({ max: 20 }),
  fc.integer({ min: 1, max: 10 }),
  fc.constantFrom(0, 0.5, 1, 2, 10)
).map(([from, length, times]) => ({
  fromNanos: from * second,
  toNanos: (from + length) * second,
  times
}))

const changes = fc.array(change, { maxLength: 4 })
const source = Draw.source(3, 1)

/** The factor at a moment, straight from the changes. */
const factorAt = (changes: ReadonlyArray<Arrivals.Change>, nanos: number): number =>
  changes.filter(({ fromNanos, toNanos }) => fromNanos <= nanos && nanos < toNanos)
    .reduce((factor, { times }) => factor * times, 1)

/** How many calls' worth of time lies between two moments, added up second by second. */
const between = (
  changes: ReadonlyArray<Arrivals.Change>,
  perSecond: number,
  from: number,
  to: number
): number => {
  let sum = 0
  for (let at = from; at < to;) {
    const end = Math.min(to, (Math.floor(at / second) + 1) * second)
    sum += factorAt(changes, at) * perSecond * (end - at) / second
    at = end
  }
  return sum
}

describe("arrivals", () => {
  it("changes multiply where they overlap, and are over at their end", () => {
    fc.assert(
      fc.property(changes, fc.nat({ max: 40 }), (changes, half) => {
        const nanos = half * second / 2
        expect(Arrivals.factorAt(Arrivals.profile(changes), nanos)).toBe(factorAt(changes, nanos))
      }),
      { numRuns: runs(500) }
    )
  })

  it("the next call comes when its share of the rate has passed", () => {
    fc.assert(
      fc.property(
        changes,
        fc.constantFrom("Poisson" as const, "Constant" as const),
        fc.double({ min: 0.1, max: 1000, noNaN: true }),
        fc.nat({ max: 30 * second }),
        fc.nat({ max: 1000 }),
        (changes, _tag, perSecond, after, number) => {
          const profile = Arrivals.profile(changes)
          const at = Arrivals.next({ _tag, perSecond }, profile, source, number, after)
          const share = _tag === "Constant"
            ? 1
            : -Math.log(1 - Draw.unit(source, number, Draw.purposes.arrival, 0))
          expect(Number.isInteger(at)).toBe(true)
          expect(at).toBeGreaterThanOrEqual(after)
          const found = between(changes, perSecond, after, at)
          // The moment is rounded to a nanosecond, in which more may come than one second allows.
          const rounding = 10 ** changes.length * perSecond / second
          expect(Math.abs(found - share)).toBeLessThan(1e-9 * (1 + share) + rounding)
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("a rate of 0 for good has no next call", () => {
    const stopped = Arrivals.profile([{ fromNanos: 0, toNanos: Infinity, times: 0 }])
    expect(Arrivals.next({ _tag: "Constant", perSecond: 1 }, stopped, source, 0, 5)).toBe(Infinity)
  })

  it("a trace is followed, and ends", () => {
    const trace: Arrivals.Arrivals = { _tag: "Trace", atNanos: [5, 5, 9] }
    const profile = Arrivals.profile([])
    expect([0, 1, 2, 3].map((number) => Arrivals.next(trace, profile, source, number, 0)))
      .toEqual([5, 5, 9, Infinity])
  })

  it("Poisson arrivals have the rate that they are given", () => {
    const profile = Arrivals.profile([])
    let at = 0
    for (let number = 0; number < 20_000; number++) {
      at = Arrivals.next({ _tag: "Poisson", perSecond: 100 }, profile, source, number, at)
    }
    expect(Math.abs(at / second / 200 - 1)).toBeLessThan(0.025)
  })

  it("clients think less long while there are more calls, and stop while there are none", () => {
    const profile = Arrivals.profile([
      { fromNanos: 10 * second, toNanos: 20 * second, times: 2 },
      { fromNanos: 20 * second, toNanos: 30 * second, times: 0 }
    ])
    const after = (from: number) =>
      Arrivals.afterThinking(() => 4000, profile, source, 0, from * second) / second
    expect([0, 8, 12, 19, 25].map(after)).toEqual([4, 11, 14, 32, 34])
  })

  it("clients that do not think stop with the others, for good too", () => {
    const none = (toNanos: number) => Arrivals.profile([{ fromNanos: second, toNanos, times: 0 }])
    const after = (changes: Arrivals.Profile, from: number) =>
      Arrivals.afterThinking(() => 0, changes, source, 0, from * second) / second
    expect([0, 1, 2, 3].map((from) => after(none(3 * second), from))).toEqual([0, 3, 3, 3])
    expect(after(none(Infinity), 2)).toBe(Infinity)
  })
})
