import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import type * as Backoff from "../../src/core/backoff.js"
import * as RetryDecision from "../../src/core/retryDecision.js"
import { type Plan, worstCase } from "../../src/core/worstCase.js"
import { runs } from "../support/runs.js"

const plan = (changes: Partial<Plan>): Plan => ({
  retries: 0,
  backoff: { _tag: "Constant", delayMillis: 100, jitter: { _tag: "None" } },
  retryAfterCapMillis: 0,
  withinMillis: Infinity,
  totalMillis: Infinity,
  hedges: 0,
  hedgeDelayMillis: Infinity,
  queueMillis: 0,
  attemptMillis: Infinity,
  ...changes
})

/**
 * Everything that can happen to one call, tried out: each attempt fails at once or as late as
 * possible, with the lowest or the highest draw, and the server asks for nothing or for all that it
 * may. The driver's own decision says whether and when to go on.
 */
const bruteForce = (plan: Plan) => {
  const one = plan.queueMillis + plan.attemptMillis
  const lateGroup = one + plan.hedges * Math.min(plan.hedgeDelayMillis, one)
  const policy: RetryDecision.Policy = {
    operation: "Read",
    backoff: plan.backoff,
    retries: plan.retries,
    withinMillis: Math.min(plan.withinMillis, plan.totalMillis),
    retryAfterCapMillis: plan.retryAfterCapMillis,
    beyondCap: "fail",
    waitForRejections: false
  }
  let calls = 0
  let millis = 0
  const walk = (attempt: number, elapsed: number, previousMillis: number, made: number): void => {
    for (const took of new Set([0, lateGroup])) {
      const end = elapsed + took
      const now = made + 1 + plan.hedges
      calls = Math.max(calls, now)
      millis = Math.max(millis, Math.min(end, plan.totalMillis))
      if (end >= plan.totalMillis || end === Infinity) continue
      for (const unit of [0, 1 - Number.EPSILON]) {
        for (const asked of [undefined, plan.retryAfterCapMillis]) {
          const decision = RetryDecision.decide(policy, {
            attempt,
            previousMillis,
            unit,
            elapsedMillis: end,
            budgetLeft: true,
            verdict: { _tag: "Transient", ambiguous: false, retryAfterMillis: asked }
          })
          if (decision._tag === "Retry") {
            walk(attempt + 1, end + decision.delayMillis, decision.delayMillis, now)
          }
        }
      }
    }
  }
  walk(0, 0, 0, 0)
  return { calls, millis }
}

const millis = FastCheck.integer({ min: 1, max: 5000 })
const jitter = FastCheck.oneof(
  FastCheck.constantFrom<Backoff.Jitter>({ _tag: "None" }, { _tag: "Full" }, { _tag: "Equal" }),
  FastCheck.record({ _tag: FastCheck.constant("Additive" as const), maxMillis: millis })
)
const backoff = FastCheck.oneof<Array<FastCheck.Arbitrary<Backoff.Backoff>>>(
  FastCheck.record({ _tag: FastCheck.constant("Constant" as const), delayMillis: millis, jitter }),
  FastCheck.record({
    _tag: FastCheck.constant("Exponential" as const),
    baseMillis: millis,
    factor: FastCheck.constantFrom(1, 2, 3),
    capMillis: FastCheck.constant(8000),
    jitter
  }),
  FastCheck.record({
    _tag: FastCheck.constant("Decorrelated" as const),
    baseMillis: millis,
    capMillis: FastCheck.constant(8000)
  })
)
const maybe = (arbitrary: FastCheck.Arbitrary<number>) =>
  FastCheck.oneof(arbitrary, FastCheck.constant(Infinity))

const plans: FastCheck.Arbitrary<Plan> = FastCheck.record({
  retries: FastCheck.integer({ min: 0, max: 3 }),
  backoff,
  retryAfterCapMillis: FastCheck.oneof(FastCheck.constant(0), millis),
  withinMillis: maybe(FastCheck.integer({ min: 1, max: 30_000 })),
  totalMillis: maybe(FastCheck.integer({ min: 1, max: 30_000 })),
  hedges: FastCheck.integer({ min: 0, max: 2 }),
  hedgeDelayMillis: millis,
  queueMillis: FastCheck.oneof(FastCheck.constant(0), millis),
  attemptMillis: maybe(millis)
})

describe("the worst case of a call", () => {
  it("G43: as many calls as the worst that brute force can find", () => {
    FastCheck.assert(
      FastCheck.property(plans, (plan) => {
        expect(worstCase(plan).calls).toBe(bruteForce(plan).calls)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("G43: nothing takes longer, and without a deadline for the waits something takes that long", () => {
    FastCheck.assert(
      FastCheck.property(plans, (plan) => {
        const { millis } = worstCase(plan)
        const found = bruteForce(plan).millis
        expect(found).toBeLessThanOrEqual(millis)
        if (
          plan.withinMillis === Infinity &&
          (plan.totalMillis === Infinity || found === plan.totalMillis)
        ) {
          expect(found === millis || millis - found < 1e-6).toBe(true)
        }
      }),
      { numRuns: runs(1000) }
    )
  })

  it("G43: waits for Retry-After count at their cap, and the total timeout bounds everything", () => {
    const retried = plan({ retries: 3, retryAfterCapMillis: 60_000, attemptMillis: 10_000 })
    expect(worstCase(retried)).toEqual({ attempts: 4, calls: 4, millis: 4 * 10_000 + 3 * 60_000 })
    expect(worstCase({ ...retried, totalMillis: 30_000 })).toEqual({
      attempts: 4,
      calls: 4,
      millis: 30_000
    })
  })

  it("G43: hedges multiply the calls, and begin at the latest after their delay", () => {
    const hedged = plan({ retries: 1, hedges: 2, hedgeDelayMillis: 50, attemptMillis: 1000 })
    expect(worstCase(hedged)).toEqual({ attempts: 2, calls: 6, millis: 2 * 1100 + 100 })
  })

  it("G43: retries that cannot begin in time are no retries", () => {
    expect(worstCase(plan({ retries: 5, withinMillis: 250, attemptMillis: 10 })).attempts).toBe(3)
    expect(worstCase(plan({ retries: 5, withinMillis: 300, attemptMillis: 10 })).attempts).toBe(3)
    expect(worstCase(plan({ retries: 5, withinMillis: 301, attemptMillis: 10 })).attempts).toBe(4)
  })

  it("G43: what nothing bounds is infinite", () => {
    expect(worstCase(plan({})).millis).toBe(Infinity)
  })
})
