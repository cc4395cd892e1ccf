import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import type * as Backoff from "../../src/core/backoff.js"
import * as RetryDecision from "../../src/core/retryDecision.js"
import * as WorstCase from "../../src/core/worstCase.js"
import type { Plan } from "../../src/core/worstCase.js"
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

/** However many retries a plan has, it is asked for no more delays than twice 12,000 (O(1)). */
const mostDelays = 24_000

/** The worst case of a plan, of which no more than so many delays are computed. */
const worstCase = (plan: Plan): WorstCase.WorstCase => {
  let delays = 0
  return WorstCase.worstCase({
    ...plan,
    get backoff() {
      if (++delays > mostDelays) throw new Error(`more than ${mostDelays} delays are computed`)
      return plan.backoff
    }
  })
}

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

  it("G43: the last wait ends before the deadline of the retries, and one attempt follows", () => {
    // Retries that fail at once: waits of 100, four attempts. Slow ones: 400, 100, and 400 more.
    const bounded = plan({ retries: 3, withinMillis: 500, attemptMillis: 400 })
    expect(worstCase(bounded)).toEqual({ attempts: 4, calls: 4, millis: 900 })
  })

  it("G43: where no time is left for a wait there is one attempt, whatever the jitter", () => {
    const jitters: ReadonlyArray<Backoff.Jitter> = [{ _tag: "None" }, { _tag: "Full" }]
    for (const jitter of jitters) {
      const backoff: Backoff.Backoff = { _tag: "Constant", delayMillis: 100, jitter }
      const once = { attempts: 1, calls: 1, millis: 10 }
      const options = { retries: 2, backoff, attemptMillis: 10 }
      expect(worstCase(plan({ ...options, withinMillis: 0 }))).toEqual(once)
      expect(worstCase(plan({ ...options, totalMillis: 0 }))).toEqual({ ...once, millis: 0 })
    }
  })

  describe("G43: beyond 10,000 retries, which are taken in stretches", () => {
    const linear: Backoff.Backoff = {
      _tag: "Linear",
      baseMillis: 1,
      capMillis: Infinity,
      jitter: { _tag: "None" }
    }
    /** The first so many waits: 1, 2, 3 and so on. */
    const sum = (waits: number) => waits * (waits + 1) / 2
    const many = plan({ backoff: linear, attemptMillis: 0 })

    it("10,000 waits are exact, and of the stretch after them the last is the most", () => {
      expect(worstCase({ ...many, retries: 10_000 }).millis).toBe(sum(10_000))
      expect(worstCase({ ...many, retries: 10_002 }).millis).toBe(sum(10_000) + 2 * 10_002)
    })

    it("of the stretch after 10,000 the first is the least", () => {
      const within = (withinMillis: number) =>
        worstCase({ ...many, retries: 10_002, withinMillis }).attempts
      const exact = sum(10_000)
      expect([exact, exact + 1, exact + 20_002, exact + 20_003].map(within)).toEqual([
        10_000,
        10_001,
        10_002,
        10_003
      ])
    })

    it.each([100_000, 1e6, 1e7])(
      "%d of them: no less than exact, a hundredth more at most",
      (n) => {
        const { millis } = worstCase({ ...many, retries: n })
        expect(millis).toBeGreaterThanOrEqual(sum(n))
        expect(millis).toBeLessThanOrEqual(sum(n) * 1.01)
        // Just the time for all waits but the last: the last retry cannot begin.
        const { attempts } = worstCase({ ...many, retries: 1e12, withinMillis: sum(n) })
        expect(attempts).toBeGreaterThanOrEqual(n)
        expect(attempts).toBeLessThanOrEqual(n * 1.01)
      }
    )

    it("as many as anybody may ask for are counted at once", () => {
      const endless = plan({ retries: 1e12, attemptMillis: 0 })
      const { attempts, millis } = worstCase(endless)
      expect([attempts, millis]).toEqual([1e12 + 1, 1e14])
    })
  })

  it("G43: what nothing bounds is infinite", () => {
    expect(worstCase(plan({})).millis).toBe(Infinity)
  })
})
