import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Gcra from "../../src/core/gcra.js"
import { runs } from "../support/runs.js"

interface Plan {
  readonly limit: number
  readonly intervalMillis: number
  readonly burst: number
}

const plans: fc.Arbitrary<Plan> = fc.record({
  limit: fc.oneof(fc.constantFrom(1, 2, 3, 7), fc.integer({ min: 1, max: 50 })),
  intervalMillis: fc.constantFrom(1, 10, 100, 1000, 997),
  burst: fc.integer({ min: 1, max: 6 })
})

const policyOf = ({ burst, intervalMillis, limit }: Plan): Gcra.Policy => ({
  limit: BigInt(limit),
  intervalNanos: BigInt(intervalMillis) * 1_000_000n,
  burst
})

interface Call {
  readonly afterNanos: number
  readonly cost: number
}

const calls: fc.Arbitrary<ReadonlyArray<Call>> = fc.array(
  fc.record({
    afterNanos: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 2_000_000 }),
      fc.integer({ min: 0, max: 400 }).map((millis) => millis * 1_000_000)
    ),
    cost: fc.integer({ min: 1, max: 6 })
  }),
  { minLength: 1, maxLength: 40 }
)

interface Admitted {
  readonly at: bigint
  readonly cost: number
}

/**
 * The rule itself: what ran from each earlier beginning until now, and this call, must fit into the
 * burst and what has flowed in since. Times `limit`, so that it is in whole numbers.
 */
const fits = (
  plan: Plan,
  admitted: ReadonlyArray<Admitted>,
  call: Admitted,
  slack = 0n
): boolean => {
  const { burst, intervalNanos, limit } = policyOf(plan)
  let cost = call.cost
  if (cost > burst) return false
  for (let i = admitted.length - 1; i >= 0; i--) {
    const from = admitted[i]!
    cost += from.cost
    if (
      BigInt(cost) * intervalNanos >
        BigInt(burst) * intervalNanos + (call.at - from.at + slack) * limit
    ) return false
  }
  return true
}

const tolerance = 10n

describe("gcra", () => {
  it("G15: it admits exactly what fits into every window that ends now", () => {
    const seen = new Set<boolean>()
    fc.assert(
      fc.property(plans, calls, (plan, calls) => {
        const policy = policyOf(plan)
        const admitted: Array<Admitted> = []
        let taken = Gcra.unused
        let at = 0n
        for (const { afterNanos, cost } of calls) {
          at += BigInt(afterNanos)
          if (cost > plan.burst) continue
          const admits = Gcra.waitNanos(policy, taken, 0, cost, at) === 0n
          seen.add(admits)
          // The ten nanoseconds that no clock can tell apart are the only difference there may be.
          expect(admits).toBe(fits(plan, admitted, { at, cost }, tolerance))
          if (!admits) continue
          taken = Gcra.take(policy, taken, cost, at)
          admitted.push({ at, cost })
        }
      }),
      { numRuns: runs(1000) }
    )
    expect([...seen].sort()).toEqual([false, true])
  })

  it("G15: the wait is exact: after it the call may run, and a millisecond earlier it may not", () => {
    let waits = 0
    fc.assert(
      fc.property(plans, calls, (plan, calls) => {
        const policy = policyOf(plan)
        let taken = Gcra.unused
        let at = 0n
        for (const { afterNanos, cost } of calls) {
          at += BigInt(afterNanos)
          if (cost > plan.burst) continue
          const wait = Gcra.waitNanos(policy, taken, 0, cost, at)
          if (wait === 0n) taken = Gcra.take(policy, taken, cost, at)
          else {
            waits++
            const early = wait > 1_000_000n ? wait - 1_000_000n : wait - tolerance - 1n
            expect([
              Gcra.waitNanos(policy, taken, 0, cost, at + early) > 0n,
              Gcra.waitNanos(policy, taken, 0, cost, at + wait)
            ]).toEqual([true, 0n])
          }
        }
      }),
      { numRuns: runs(1000) }
    )
    expect(waits).toBeGreaterThan(runs(1000))
  })

  it("G15: what is known ahead is what comes true, for those in line behind others", () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 20 }),
        (plan, costs) => {
          const policy = policyOf(plan)
          let taken = Gcra.unused
          let ahead = 0
          const queue = costs.filter((cost) => cost <= plan.burst).map((cost) => {
            const due = Gcra.waitNanos(policy, taken, ahead, cost, 0n)
            ahead += cost
            return { cost, due }
          })
          for (const { cost, due } of queue) {
            expect(Gcra.waitNanos(policy, taken, 0, cost, due)).toBe(0n)
            if (due > tolerance) {
              expect(Gcra.waitNanos(policy, taken, 0, cost, due - tolerance - 1n)).not.toBe(0n)
            }
            taken = Gcra.take(policy, taken, cost, due, due > 0n ? 1_000_000n : 0n)
          }
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("G15: thirds of a second do not drift: after a million of them it is still exact", () => {
    const policy = policyOf({ limit: 3, intervalMillis: 1000, burst: 3 })
    let taken = Gcra.unused
    for (let i = 0; i < 1_000_000; i++) {
      taken = Gcra.take(policy, taken, 3, BigInt(i) * 1_000_000_000n)
    }
    const end = 1_000_000n * 1_000_000_000n
    expect([
      Gcra.waitNanos(policy, taken, 0, 3, end),
      Gcra.waitNanos(policy, taken, 0, 3, end - 1_000_000n)
    ]).toEqual([
      0n,
      1_000_000n
    ])
  })

  it("G15: a call that waited and is a little late does not put off the next; one that is very late does", () => {
    const policy = policyOf({ limit: 1, intervalMillis: 100, burst: 1 })
    const first = Gcra.take(policy, Gcra.unused, 1, 0n)
    const millis = 1_000_000n
    const next = (late: bigint) => {
      const now = 100n * millis + late
      return now + Gcra.waitNanos(policy, Gcra.take(policy, first, 1, now, millis), 0, 1, now)
    }
    expect([next(0n), next(millis), next(31n * millis)]).toEqual([
      200n * millis,
      200n * millis,
      230n * millis
    ])
  })

  it("G15: what is available is what would run at once, and never less than nothing", () => {
    fc.assert(
      fc.property(plans, calls, (plan, calls) => {
        const policy = policyOf(plan)
        let taken = Gcra.unused
        let at = 0n
        for (const { afterNanos, cost } of calls) {
          at += BigInt(afterNanos)
          const available = Gcra.available(policy, taken, at)
          const runs = [...Array(plan.burst).keys()].filter((n) =>
            Gcra.waitNanos(policy, taken, 0, n + 1, at) === 0n
          )
          expect(available).toBe(runs.length)
          if (cost <= available) taken = Gcra.take(policy, taken, cost, at)
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("G15: ten nanoseconds are not waited for, eleven are", () => {
    const policy: Gcra.Policy = { limit: 3n, intervalNanos: 999n, burst: 1 }
    const taken = Gcra.take(policy, Gcra.unused, 1, 0n)
    expect([322n, 323n, 324n].map((now) => Gcra.waitNanos(policy, taken, 0, 1, now))).toEqual([
      11n,
      0n,
      0n
    ])
    expect([322n, 323n].map((now) => Gcra.available(policy, taken, now))).toEqual([0, 1])
  })

  it("G15: a line that is taken further than its burst has nothing available", () => {
    const policy = policyOf({ limit: 1, intervalMillis: 100, burst: 1 })
    expect(Gcra.available(policy, Gcra.take(policy, Gcra.unused, 4, 0n), 0n)).toBe(0)
  })

  it("G15: what a limit of a million per millisecond has in ten nanoseconds is available", () => {
    const policy = policyOf({ limit: 1_000_000, intervalMillis: 1, burst: 20 })
    const taken = Gcra.take(policy, Gcra.unused, 20, 0n)
    expect(Gcra.available(policy, taken, 0n)).toBe(10)
    expect([10, 11].map((cost) => Gcra.waitNanos(policy, taken, 0, cost, 0n))).toEqual([0n, 11n])
  })

  it("G16: a line may be forgotten exactly when the whole burst is there again", () => {
    const policy = policyOf({ limit: 10, intervalMillis: 1000, burst: 10 })
    const taken = Gcra.take(policy, Gcra.unused, 4, 0n)
    expect([399n, 400n].map((millis) => Gcra.isIdle(policy, taken, millis * 1_000_000n))).toEqual([
      false,
      true
    ])
  })
})
