import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Draw from "../../src/core/draw.js"
import { runs } from "../support/runs.js"

const whole = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const seed = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const purpose = fc.constantFrom(...Object.values(Draw.purposes))

const mask = 0xffff_ffffn

/** The finalizer of MurmurHash3, in whole numbers without end. */
const mixed = (bits: bigint): bigint => {
  let hash = bits & mask
  hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & mask
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) & mask
  return hash ^ (hash >> 16n)
}

const joined = (bits: bigint, word: bigint): bigint => mixed((bits * 0x9e3779b1n + word) & mask)

/** The same draw, written a second time with `bigint`. */
const slow = (
  [seed, replication, call, purpose, index]: readonly [number, number, number, number, number]
): number => {
  let high = 0x243f6a88n
  let low = 0x05a308d3n
  for (const number of [BigInt(seed), BigInt(replication)]) {
    for (const word of [number & mask, number >> 32n]) {
      high = joined(high ^ low, word)
      low = joined(low, high ^ word)
    }
  }
  const word = (BigInt(purpose) * 0x632be5abn + BigInt(index)) & mask
  const first = mixed(mixed(high ^ BigInt(call)) + word)
  const second = mixed(mixed(low + BigInt(call)) ^ word ^ first)
  return Number(((first >> 5n) << 26n) + (second >> 6n)) / 2 ** 53
}

describe("draw", () => {
  it("S4: a draw depends on seed, replication, call, purpose and index alone", () => {
    fc.assert(
      fc.property(seed, seed, whole, purpose, whole, (seed, replication, call, purpose, index) => {
        const unit = Draw.unit(Draw.source(seed, replication), call, purpose, index)
        expect(unit).toBe(slow([seed, replication, call, purpose, index]))
        expect(unit >= 0 && unit < 1).toBe(true)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("S4: a fork draws as its number says, and not as its source does", () => {
    fc.assert(
      fc.property(
        seed,
        fc.integer({ min: -20, max: 20 }),
        whole,
        purpose,
        (seed, number, call, purpose) => {
          const source = Draw.source(seed, 0)
          const draw = (fork: Draw.Source) => Draw.unit(fork, call, purpose, 0)
          const fork = Draw.fork(source, number)
          expect(Draw.fork(source, number)).toEqual(fork)
          expect(draw(fork)).not.toBe(draw(source))
          expect(draw(fork)).not.toBe(draw(Draw.fork(source, number + 1)))
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("S4: calls that other calls make have numbers of their own", () => {
    const numbers = new Set<number>()
    for (let call = 0; call < 100; call++) {
      for (let attempt = 0; attempt < 10; attempt++) {
        for (let index = 0; index < 10; index++) {
          numbers.add(Draw.numberOf(call, attempt, index))
        }
      }
    }
    expect(numbers.size).toBeGreaterThanOrEqual(9999)
  })

  it("S4: another seed, replication, call, purpose or index makes another draw", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        fc.tuple(seed, seed, whole, purpose, whole),
        (at, by, from) => {
          const other = from.map((value, index) => index === at ? (value + by) % 2 ** 31 : value)
          fc.pre(other.some((value, index) => value !== from[index]))
          const draw = (of: ReadonlyArray<number>) =>
            Draw.unit(
              Draw.source(of[0]!, of[1]!),
              of[2]!,
              of[3] as Draw.Purpose,
              of[4]!
            )
          expect(draw(other)).not.toBe(draw(from))
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  /** How far the counts of equal classes are from even, in standard deviations. */
  const unevenness = (units: Iterable<number>, classes: number): number => {
    const counts = Array.from({ length: classes }, () => 0)
    let all = 0
    for (const unit of units) {
      counts[Math.floor(unit * classes)]!++
      all++
    }
    const expected = all / classes
    const chi2 = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    return Math.abs(chi2 - (classes - 1)) / Math.sqrt(2 * (classes - 1))
  }

  const numbers = function*(count: number, of: (n: number) => number) {
    for (let n = 0; n < count; n++) yield of(n)
  }

  it("S4: draws are even along each of their arguments, in the high bits and in the low ones", () => {
    const source = Draw.source(7, 0)
    const along: ReadonlyArray<(n: number) => number> = [
      (n) => Draw.unit(Draw.source(n, 0), 0, 1, 0),
      (n) => Draw.unit(Draw.source(0, n), 0, 1, 0),
      (n) => Draw.unit(source, n, 1, 0),
      (n) => Draw.unit(source, 0, 1, n),
      (n) => Draw.unit(source, n * 1024, 4, 3)
    ]
    for (const of of along) {
      expect(unevenness(numbers(20_000, of), 100)).toBeLessThan(4.5)
      // The last 20 of the 53 bits.
      expect(unevenness(numbers(20_000, (n) => (of(n) * 2 ** 33) % 1), 100)).toBeLessThan(4.5)
    }
  })

  it("S4: neighbours along each argument are independent", () => {
    const source = Draw.source(7, 0)
    const pairs: ReadonlyArray<(n: number) => readonly [number, number]> = [
      (n) => [Draw.unit(Draw.source(n, 0), 0, 1, 0), Draw.unit(Draw.source(n + 1, 0), 0, 1, 0)],
      (n) => [Draw.unit(Draw.source(0, n), 0, 1, 0), Draw.unit(Draw.source(0, n + 1), 0, 1, 0)],
      (n) => [Draw.unit(source, n, 1, 0), Draw.unit(source, n + 1, 1, 0)],
      (n) => [Draw.unit(source, n, 3, 0), Draw.unit(source, n, 4, 0)],
      (n) => [Draw.unit(source, n, 4, 0), Draw.unit(source, n, 4, 1)]
    ]
    for (const pair of pairs) {
      const cells = function*() {
        for (let n = 0; n < 20_000; n++) {
          const [one, two] = pair(n)
          yield (Math.floor(one * 10) * 10 + Math.floor(two * 10) + 0.5) / 100
        }
      }
      expect(unevenness(cells(), 100)).toBeLessThan(4.5)
    }
  })
})
