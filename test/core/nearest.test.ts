import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { distance, nearest } from "../../src/core/nearest.js"
import { runs } from "../support/runs.js"

/** The same by trying everything: slow and obvious. */
const model = (from: string, to: string): number => {
  if (from === "" || to === "") return Math.max(from.length, to.length)
  const [a, b] = [from.slice(1), to.slice(1)]
  const changed = model(a, b) + (from[0] === to[0] ? 0 : 1)
  const swapped = from.length > 1 && to.length > 1 && from[0] === to[1] && from[1] === to[0]
    ? model(from.slice(2), to.slice(2)) + 1
    : Infinity
  return Math.min(changed, swapped, model(a, to) + 1, model(from, b) + 1)
}

const word = fc.stringMatching(/^[abc]{0,6}$/)

describe("the name that was meant", () => {
  it("the distance agrees with trying everything", () => {
    fc.assert(
      fc.property(word, word, (from, to) => {
        expect(distance(from, to)).toBe(model(from, to))
      }),
      { numRuns: runs(300) }
    )
  })

  it("G49: a letter too much, too little, another one, two swapped, another case", () => {
    const names = ["retries", "backoff", "within", "circuitBreaker"]
    expect(
      ["retriess", "retrie", "retrues", "retires", "RETRIES", "circuitbraker"].map((name) =>
        nearest(name, names)
      )
    ).toEqual(["retries", "retries", "retries", "retries", "retries", "circuitBreaker"])
  })

  it("G49: nothing where nothing is near; the first of equals", () => {
    expect(nearest("telephone", ["retries", "within"])).toBe(undefined)
    expect(nearest("", ["ab", "retries"])).toBe(undefined)
    expect(nearest("x", [])).toBe(undefined)
    expect(nearest("bat", ["cat", "hat"])).toBe("cat")
  })

  it("G49: one that begins with the other, from four letters on", () => {
    expect(nearest("failureRateThreshold", ["failureRate", "slowCall"])).toBe("failureRate")
    expect(nearest("conc", ["queue", "concurrency"])).toBe("concurrency")
    expect(nearest("con", ["queue", "concurrency"])).toBe(undefined)
  })
})

describe("letters that are swapped", () => {
  it.each([
    ["ab", "ba", 1],
    ["ab", "bc", 2],
    ["ab", "cb", 1],
    ["a", "b", 1],
    ["", "ab", 2]
  ])("%s and %s: %i", (from, to, steps) => {
    expect([distance(from, to), distance(to, from)]).toEqual([steps, steps])
  })
})
