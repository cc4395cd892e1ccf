import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Zipf from "../../src/core/zipf.js"
import { runs } from "../support/runs.js"

/** The exact share of each key. */
const shares = ({ count, skew }: Zipf.Zipf): ReadonlyArray<number> => {
  const weights = Array.from({ length: count }, (_, key) => (key + 1) ** -skew)
  const sum = weights.reduce((all, weight) => all + weight, 0)
  return weights.map((weight) => weight / sum)
}

const zipf = fc.record({
  count: fc.integer({ min: 1, max: 50 }),
  skew: fc.integer({ min: 0, max: 300 }).map((value) => value / 100)
})

describe("zipf", () => {
  it("keys have the share of draws that their rank gives them", () => {
    fc.assert(
      fc.property(zipf, (zipf) => {
        const draw = Zipf.sampler(zipf)
        const found = Array.from({ length: zipf.count }, () => 0)
        const draws = 2000
        for (let index = 0; index < draws; index++) found[draw((index + 0.5) / draws)]! += 1 / draws
        shares(zipf).forEach((share, key) => {
          expect(Math.abs(found[key]! - share)).toBeLessThanOrEqual(1.001 / draws)
        })
      }),
      { numRuns: runs(200) }
    )
  })

  it("the first and the last draw are keys too", () => {
    fc.assert(
      fc.property(zipf, (zipf) => {
        const draw = Zipf.sampler(zipf)
        expect(draw(0)).toBe(0)
        expect(draw(1 - 2 ** -53)).toBe(zipf.count - 1)
      }),
      { numRuns: runs(200) }
    )
  })
})
