import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Throttle from "../../src/core/throttle.js"
import * as TimeWindow from "../../src/core/timeWindow.js"
import { runs } from "../support/runs.js"

const standard: Throttle.Policy = { multiplier: 2, minimumCalls: 10, maxRejection: 0.9 }

const at = (requests: number, accepts: number, policy: Partial<Throttle.Policy> = {}) =>
  Throttle.probability({ ...standard, ...policy }, {
    calls: requests,
    failures: requests - accepts
  })

/** A generator that always gives the same draws. */
const draws = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 0x1_0000_0000
  }
}

/**
 * A client that sends as fast as it can to an upstream that accepts a call with this chance; ten
 * calls per second.
 */
const simulate = (
  policy: Throttle.Policy,
  seconds: number,
  chance: (second: number) => number,
  seed: number
) => {
  const unit = draws(seed)
  const window = TimeWindow.make(120_000, 8, 2)
  const sentIn = Array.from({ length: seconds }, () => 0)
  const acceptedIn = Array.from({ length: seconds }, () => 0)
  for (let call = 0; call < seconds * 10; call++) {
    const now = call * 100
    const second = Math.floor(now / 1000)
    TimeWindow.advance(window, now)
    const isSent = unit() >= Throttle.probability(policy, window)
    const isAccepted = isSent && unit() < chance(second)
    if (isSent) sentIn[second] = (sentIn[second] ?? 0) + 1
    if (isAccepted) acceptedIn[second] = (acceptedIn[second] ?? 0) + 1
    TimeWindow.record(window, { failed: !isAccepted, slow: false }, now)
  }
  return { sentIn, acceptedIn }
}

const sum = (values: ReadonlyArray<number>, from: number, to: number) =>
  values.slice(from, to).reduce((total, value) => total + value, 0)

describe("throttle", () => {
  it("G20: the probability is max(0, (requests - K * accepts) / (requests + 1)), at most the cap", () => {
    const counts = fc.nat({ max: 10_000 }).chain((requests) =>
      fc.record({ requests: fc.constant(requests), accepts: fc.nat({ max: requests }) })
    )
    const policies = fc.record({
      multiplier: fc.double({ min: 1, max: 10, noNaN: true }),
      minimumCalls: fc.integer({ min: 1, max: 100 }),
      maxRejection: fc.double({ min: 0, max: 1, noNaN: true })
    })
    fc.assert(
      fc.property(policies, counts, (policy, { accepts, requests }) => {
        const formula = Math.max(0, (requests - policy.multiplier * accepts) / (requests + 1))
        const expected = requests < policy.minimumCalls ? 0 : Math.min(policy.maxRejection, formula)
        expect(at(requests, accepts, policy)).toBe(expected)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("G20: K = 2: nothing is turned away as long as half is accepted", () => {
    expect([
      at(100, 100),
      at(100, 50),
      at(100, 49),
      at(100, 25),
      at(100, 6),
      at(100, 5),
      at(100, 0)
    ]).toEqual([
      0,
      0,
      2 / 101,
      50 / 101,
      88 / 101,
      90 / 101,
      0.9
    ])
  })

  it("G20: below the minimum volume nothing is turned away", () => {
    expect([at(9, 0), at(10, 0), at(0, 0), at(0, 0, { minimumCalls: 1 })]).toEqual([0, 0.9, 0, 0])
  })

  it("G20: it never falls when one more request is not accepted, and never rises when one more is", () => {
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), fc.nat({ max: 1000 }), (rest, accepts) => {
        const requests = rest + accepts + 10
        expect(at(requests + 1, accepts)).toBeGreaterThanOrEqual(at(requests, accepts))
        expect(at(requests + 1, accepts + 1)).toBeLessThanOrEqual(at(requests, accepts))
      }),
      { numRuns: runs(500) }
    )
  })

  it(
    "G20: an upstream that accepts a share of what it is sent sees less, but never less than a tenth",
    () => {
      fc.assert(
        fc.property(fc.integer({ min: 1 }), fc.integer({ min: 0, max: 100 }), (seed, percent) => {
          const { sentIn } = simulate(standard, 600, () => percent / 100, seed)
          const share = sum(sentIn, 300, 600) / 3000
          expect(share).toBeGreaterThan(0.07)
          // Near one in K a run of bad luck is enough to begin, and what is turned away here counts
          // as not accepted: it can stay so.
          if (percent >= 80) expect(share).toBeGreaterThan(0.97)
          if (percent <= 10) expect(share).toBeLessThan(0.2)
        }),
        { numRuns: runs(500) }
      )
    },
    60_000
  )

  it("G20: it recovers from a total outage by itself, for which it needs the cap", () => {
    const outage = (second: number) => second < 300 ? 0 : 1
    const capped = simulate(standard, 900, outage, 7)
    const uncapped = simulate({ ...standard, maxRejection: 1 }, 900, outage, 7)
    expect(sum(capped.sentIn, 200, 300)).toBeLessThan(150)
    expect(sum(capped.acceptedIn, 600, 900)).toBe(3000)
    const soon = [capped, uncapped].map(({ acceptedIn }) => sum(acceptedIn, 300, 420))
    expect(soon[0]).toBeGreaterThan(100)
    expect(soon[1]).toBeLessThan(20)
  })
})
