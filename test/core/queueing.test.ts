import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Queueing from "../../src/core/queueing.js"
import { runs } from "../support/runs.js"

const servers = fc.integer({ min: 1, max: 30 })
const share = fc.double({ min: 0.01, max: 0.95, noNaN: true })

/** How likely each number of calls is, of a chain that goes up by `load` and down by `min(n, c)`. */
const chain = (c: number, load: number, most: number): ReadonlyArray<number> => {
  const weights = [1]
  for (let n = 1; n <= most; n++) weights.push(weights[n - 1]! * load / Math.min(n, c))
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / all)
}

const near = (found: number, expected: number, relative = 1e-9): void =>
  expect(Math.abs(found - expected)).toBeLessThanOrEqual(relative * Math.max(1e-300, expected))

describe("queueing", () => {
  it("Erlang B is the last state of the chain without a queue", () => {
    fc.assert(
      fc.property(servers, fc.double({ min: 0.01, max: 60, noNaN: true }), (servers, load) => {
        near(Queueing.erlangB(servers, load), chain(servers, load, servers).at(-1)!)
      }),
      { numRuns: runs(500) }
    )
  })

  it("Erlang C and the wait of several servers are those of the chain with a long queue", () => {
    fc.assert(
      fc.property(servers, share, (servers, share) => {
        const load = servers * share
        const states = chain(servers, load, servers + 2000)
        const waits = states.slice(servers).reduce((sum, state) => sum + state, 0)
        const inLine = states.reduce((sum, state, n) => sum + state * Math.max(0, n - servers), 0)
        near(Queueing.erlangC(servers, load), waits, 1e-6)
        // Little's law.
        near(Queueing.waitOfServers(servers, load), inLine / load, 1e-6)
      }),
      { numRuns: runs(500) }
    )
  })

  it("the table of values that a simulation has to come to", () => {
    near(Queueing.waitOfOne(0.5, 1), 1)
    near(Queueing.waitOfOne(0.8, 1), 4)
    near(Queueing.waitOfOne(0.8, 0), 2)
    near(Queueing.waitOfOne(0.8, 4), 10)
    near(Queueing.waitOfServers(1, 0.8), 4)
    expect(Queueing.sojournQuantile(0.8, 0.99)).toBeCloseTo(23.03, 2)
    expect(Queueing.erlangC(2, 1.6)).toBeCloseTo(0.71111, 5)
    expect(Queueing.erlangC(10, 8)).toBeCloseTo(0.40918, 5)
    expect(Queueing.waitOfServers(2, 1.6)).toBeCloseTo(1.77778, 5)
    expect(Queueing.waitOfServers(10, 8)).toBeCloseTo(0.20459, 5)
    expect(Queueing.erlangB(10, 8)).toBeCloseTo(0.12166, 5)
    expect(Queueing.retried(0.3, 4).success).toBeCloseTo(0.9919, 4)
    expect(Queueing.retried(0.3, 4).load).toBeCloseTo(1.4170, 4)
    expect(Queueing.budgeted(0.3, 0.1).success).toBeCloseTo(0.7527, 4)
    expect(Queueing.budgeted(0.3, 0.1).load).toBeCloseTo(1.0753, 4)
    expect(Queueing.budgeted(0.5, 0.1).success).toBeCloseTo(0.5263, 4)
    expect(Queueing.budgeted(0.5, 0.1).load).toBeCloseTo(1.0526, 4)
    expect(Queueing.hedged(0.95, 0.99).load).toBeCloseTo(1.05, 9)
    expect(Queueing.hedged(0.95, 0.99).latency).toBeCloseTo(3.8, 3)
    near(Queueing.throttled(2, 100, 300), 1 / 3)
  })

  it("more load than servers can take waits for ever", () => {
    expect(Queueing.erlangC(2, 2)).toBe(1)
    expect(Queueing.waitOfServers(2, 2)).toBe(Infinity)
    expect(Queueing.waitOfOne(1, 0)).toBe(Infinity)
    expect(Queueing.sojournQuantile(1, 0.5)).toBe(Infinity)
  })

  it("retries: every way in which the tries of a call can end, added up", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 8 }),
        (failures, tries) => {
          let success = 0
          let load = 0
          let reached = 1
          for (let attempt = 0; attempt < tries; attempt++) {
            load += reached
            success += reached * (1 - failures)
            reached *= failures
          }
          const found = Queueing.retried(failures, tries)
          expect(found.success).toBeCloseTo(success, 9)
          expect(found.load).toBeCloseTo(load, 9)
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("R23: a budget pays for as many retries as its successes have paid in", () => {
    fc.assert(
      fc.property(share, fc.double({ min: 0, max: 0.9, noNaN: true }), (failures, ratio) => {
        // Successes pay for retries, which make successes.
        let success = 0
        for (let round = 0; round < 2000; round++) {
          success = (1 - failures) * (1 + ratio * success)
        }
        const found = Queueing.budgeted(failures, ratio)
        near(found.success, success)
        near(found.load, 1 + ratio * success)
      }),
      { numRuns: runs(500) }
    )
  })

  it("a hedge: the share of calls that are later than the quantile is what is left of one", () => {
    fc.assert(
      fc.property(share, share, (share, quantile) => {
        const delay = -Math.log(1 - share)
        const { latency, load } = Queueing.hedged(share, quantile)
        // Both have to be late: the primary, and the hedge that began later.
        const late = Math.exp(-latency) * Math.exp(-Math.max(0, latency - delay))
        near(late, 1 - quantile)
        near(load, 1 + Math.exp(-delay))
      }),
      { numRuns: runs(500) }
    )
  })

  it("G20: a throttle settles where it sends K times what is accepted", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1.01, max: 4, noNaN: true }),
        fc.double({ min: 1, max: 100, noNaN: true }),
        fc.double({ min: 1, max: 1000, noNaN: true }),
        (multiplier, capacity, offered) => {
          let rejected = 0
          for (let round = 0; round < 100; round++) {
            const accepted = Math.min(capacity, offered * (1 - rejected))
            rejected = Math.max(0, (offered - multiplier * accepted) / offered)
          }
          const found = Queueing.throttled(multiplier, capacity, offered)
          expect(found).toBeCloseTo(rejected, 6)
        }
      ),
      { numRuns: runs(500) }
    )
  })
})
