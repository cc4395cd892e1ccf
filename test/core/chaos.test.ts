import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Chaos from "../../src/core/chaos.js"
import { runs } from "../support/runs.js"

const seeds = fc.maxSafeInteger()
const picks = (
  plan: { readonly seed: number; readonly rate: number; readonly faults: number },
  calls: number
) => Array.from({ length: calls }, (_, call) => Chaos.pick(plan, call))

describe("chaos", () => {
  it("G35: the same seed gives the same faults, in whatever order they are asked for", () => {
    fc.assert(
      fc.property(
        seeds,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 5 }),
        (seed, rate, faults) => {
          const plan = { seed, rate, faults }
          const backwards = Array.from({ length: 50 }, (_, i) => Chaos.pick(plan, 49 - i)).reverse()
          expect(backwards).toEqual(picks(plan, 50))
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("G35: every draw is in [0, 1), and every fault is one of those there are", () => {
    fc.assert(
      fc.property(seeds, fc.maxSafeNat(), fc.integer({ min: 1, max: 9 }), (seed, call, faults) => {
        const unit = Chaos.unit(seed, call, 0)
        expect(unit >= 0 && unit < 1).toBe(true)
        const index = Chaos.pick({ seed, rate: 1, faults }, call)
        expect(index !== undefined && Number.isInteger(index) && index >= 0 && index < faults).toBe(
          true
        )
      }),
      { numRuns: runs(2000) }
    )
  })

  it(
    "G35: the share of calls that meet a fault is the rate, and the faults are equally frequent",
    () => {
      fc.assert(
        fc.property(seeds, fc.integer({ min: 0, max: 20 }), (seed, twentieth) => {
          const rate = twentieth / 20
          const met = picks({ seed, rate, faults: 2 }, 4000).filter((pick) => pick !== undefined)
          // Five standard deviations: less than one in a million draws lies outside.
          expect(Math.abs(met.length - 4000 * rate)).toBeLessThanOrEqual(
            5 * Math.sqrt(4000 * rate * (1 - rate))
          )
          const first = met.filter((pick) => pick === 0).length
          expect(Math.abs(first - met.length / 2)).toBeLessThanOrEqual(
            5 * Math.sqrt(met.length / 4)
          )
        }),
        { numRuns: runs(500) }
      )
    },
    30_000
  )

  it("G35: seeds that differ, differ in their faults, also above 32 bits and below zero", () => {
    const plans = [0, 1, -1, 2 ** 32, 2 ** 32 + 1, 2 ** 40].map((seed) =>
      picks({ seed, rate: 0.5, faults: 1 }, 64).join()
    )
    expect(new Set(plans).size).toBe(plans.length)
  })

  it("G35: at a rate of 0 none is met, at a rate of 1 each call meets one", () => {
    expect(picks({ seed: 3, rate: 0, faults: 1 }, 1000).every((pick) => pick === undefined)).toBe(
      true
    )
    expect(picks({ seed: 3, rate: 1, faults: 1 }, 1000).every((pick) => pick === 0)).toBe(true)
  })

  it("G35: a draw equal to the rate is spared, else a draw of 0 would be met at a rate of 0", () => {
    const [seed, call] = [7, 11]
    const rate = Chaos.unit(seed, call, 0)
    expect(Chaos.pick({ seed, rate, faults: 1 }, call)).toBeUndefined()
    expect(Chaos.pick({ seed, rate: rate + Number.EPSILON, faults: 1 }, call)).toBe(0)
  })

  it("G35: what a seed means stays the same from version to version", () => {
    const none = undefined
    const first = [none, none, 1, none, 1, 1, none, 0, none, 1, 1, none]
    expect(picks({ seed: 42, rate: 0.5, faults: 3 }, 12)).toEqual(first)
  })
})
