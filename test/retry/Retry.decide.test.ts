import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, Option } from "effect"
import { Backoff, type IdempotencyKey, Operation, Retry, Verdict } from "effect-resilience"
import { badDurations, refusal } from "../support/refusal.js"
import { runs } from "../support/runs.js"
import { many, maxTimer, secondly } from "./retry.js"

describe("Retry refusals", () => {
  it("DESIGN 6: retries that are NaN or negative are refused, naming field and value", () => {
    for (const bad of [NaN, -1, -Infinity]) {
      for (
        const build of [
          () => Retry.retry({ operation: Operation.read, retries: bad }),
          () => Retry.retry(Effect.void, { operation: Operation.read, retries: bad })
        ]
      ) {
        const message = refusal(build)
        expect(message).toContain("retries")
        expect(message).toContain(String(bad))
      }
    }
  })

  it("DESIGN 6: durations that are NaN or negative are refused, naming field and value", () => {
    for (const field of ["within", "retryAfterCap"] as const) {
      for (const [bad, shown] of badDurations) {
        for (
          const build of [
            () => Retry.retry({ operation: Operation.read, [field]: bad }),
            () => Retry.retry(Effect.void, { operation: Operation.read, [field]: bad })
          ]
        ) {
          const message = refusal(build)
          expect(message).toContain(field)
          expect(message).toContain(shown)
        }
      }
    }
  })
})

describe("Retry.decide", () => {
  type Input = Parameters<typeof Retry.decide>[1]

  const base: Input = {
    verdict: Verdict.transient({ ambiguous: false }),
    attempt: 0,
    elapsedMillis: 0,
    previousMillis: 0,
    unit: 0.5
  }
  const rejected = (retryAfter?: Duration.DurationInput): Verdict.Verdict => ({
    _tag: "Rejected",
    retryAfter: retryAfter === undefined ? Option.none() : Option.some(Duration.decode(retryAfter))
  })
  const decide = (
    options: Partial<Retry.Base<IdempotencyKey.IdempotencyKey>>,
    input: Partial<Input>
  ) => {
    const decision = Retry.decide({ ...secondly, ...options }, { ...base, ...input })
    return decision._tag === "Stop" ? decision.reason : decision.delayMillis
  }

  it("R14: each reason for stopping, one at a time", () => {
    expect([
      decide({}, {}),
      decide({}, { verdict: Verdict.terminal }),
      decide({ operation: Operation.once }, { verdict: Verdict.transient({ ambiguous: true }) }),
      decide({}, { attempt: 2 }),
      decide({ within: "5 seconds" }, { elapsedMillis: 4000 }),
      decide({}, { budgetLeft: false }),
      decide({}, { verdict: rejected("1 second") }),
      decide({}, { verdict: Verdict.transient({ ambiguous: false, retryAfter: "61 seconds" }) })
    ]).toEqual([
      1000,
      "terminal",
      "notRepeatable",
      "retries",
      "deadline",
      "budget",
      "rejected",
      "retryAfter"
    ])
  })

  it("R13: the boundary of the deadline", () => {
    expect(
      [3999, 4000, 4001].map((elapsedMillis) => decide({ within: "5 seconds" }, { elapsedMillis }))
    ).toEqual([
      1000,
      "deadline",
      "deadline"
    ])
  })

  it("R10: the boundary of retries", () => {
    expect([0, 1, 2, 3].map((attempt) => decide({ retries: 2 }, { attempt }))).toEqual([
      1000,
      1000,
      "retries",
      "retries"
    ])
    expect(decide({ retries: 0 }, {})).toBe("retries")
  })

  it("R15: opted in, a rejection waits, counts as a retry and asks no budget", () => {
    const on = { waitForRejections: true }
    expect([
      decide(on, { verdict: rejected("5 seconds"), budgetLeft: false }),
      decide(on, { verdict: rejected(), budgetLeft: false }),
      decide(on, { verdict: rejected("5 seconds"), attempt: 2 }),
      decide(on, { verdict: rejected("60 seconds") })
    ]).toEqual([5000, 1000, "retries", 60_000])
  })

  it("it is pure: the same question has the same answer", () => {
    const options = { ...secondly, backoff: Backoff.exponential({ base: 100 }) }
    const answers = Array.from({ length: 5 }, () => Retry.decide(options, { ...base, attempt: 1 }))
    expect(answers).toEqual(many(5, { _tag: "Retry", delayMillis: 100 }))
  })

  it("E12: never longer than a timer can fire", () => {
    expect(decide({ backoff: Backoff.constant("60 days") }, {})).toBe(maxTimer)
  })

  const operations = fc.constantFrom<Operation.Operation<IdempotencyKey.IdempotencyKey>>(
    Operation.read,
    Operation.idempotent,
    Operation.keyed,
    Operation.once
  )
  const wait = fc.oneof(
    fc.constantFrom<number | undefined>(undefined, undefined, 0, 1000, 60_000, 60_001, Infinity),
    fc.integer({ min: 0, max: 120_000 })
  )
  const verdicts = fc.oneof(
    fc.constant({ kind: "Terminal" as const, ambiguous: false, wait: undefined }),
    fc.record({ kind: fc.constant("Transient" as const), ambiguous: fc.boolean(), wait }),
    fc.record({ kind: fc.constant("Transient" as const), ambiguous: fc.boolean(), wait }),
    fc.record({ kind: fc.constant("Rejected" as const), ambiguous: fc.constant(false), wait })
  )
  const cases = fc.record({
    operation: operations,
    backoff: fc.record({
      kind: fc.constantFrom("constant", "exponential", "full", "linear"),
      base: fc.constantFrom(1, 10, 1000, 5000)
    }),
    retries: fc.constantFrom<number | undefined>(undefined, 0, 1, 2, 5),
    within: fc.oneof(fc.constant(undefined), fc.constantFrom(0, 1, 5000, 6000, 60_000, 200_000)),
    retryAfterCap: fc.constantFrom<number | undefined>(undefined, undefined, 0, 1000, 90_000),
    beyondCap: fc.constantFrom<"fail" | "clamp" | undefined>(undefined, "fail", "clamp"),
    waitForRejections: fc.constantFrom<boolean | undefined>(undefined, false, true, true),
    verdict: verdicts,
    attempt: fc.nat({ max: 6 }),
    elapsedMillis: fc.oneof(fc.constantFrom(0, 999, 4000, 5000, 59_000), fc.nat({ max: 70_000 })),
    unit: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    budgetLeft: fc.constantFrom<boolean | undefined>(undefined, true, true, false)
  })
  type Case = typeof cases extends fc.Arbitrary<infer C> ? C : never

  const ownDelay = ({ attempt, backoff: { base, kind }, unit }: Case) => {
    if (kind === "constant") return base
    if (kind === "linear") return Math.min(20_000, base * (attempt + 1))
    const e = Math.min(20_000, base * 2 ** attempt)
    return kind === "full" ? e * unit : e
  }

  /** Every reason that applies, and the waits that are right when none does. */
  const model = (c: Case) => {
    const reasons = new Set<string>()
    const waits: Array<number> = []
    const own = ownDelay(c)
    const cap = c.retryAfterCap ?? 60_000
    const hint = c.verdict.wait
    if (c.verdict.kind === "Terminal") reasons.add("terminal")
    if (c.operation._tag === "Once" && c.verdict.ambiguous) reasons.add("notRepeatable")
    if (c.attempt >= (c.retries ?? 2)) reasons.add("retries")
    if (c.verdict.kind === "Rejected") {
      if (c.waitForRejections !== true) reasons.add("rejected")
      if (hint !== undefined && hint > cap) reasons.add("rejected").add("retryAfter")
      if (hint === undefined) waits.push(own)
      else waits.push(hint, Math.max(hint, own))
    } else {
      const late = hint !== undefined && hint > cap
      if (late && c.beyondCap !== "clamp") reasons.add("retryAfter")
      waits.push(Math.max(own, late ? (c.beyondCap === "clamp" ? cap : hint) : hint ?? 0))
      if (c.budgetLeft === false) reasons.add("budget")
    }
    const { within } = c
    const open = within === undefined ? waits : waits.filter((w) => c.elapsedMillis + w < within)
    if (open.length < waits.length) reasons.add("deadline")
    return {
      reasons,
      waits,
      mustStop: open.length === 0 ||
        (reasons.size > 0 && !(reasons.size === 1 && reasons.has("deadline")))
    }
  }

  it("R10, R13, R15, E12: it agrees with the decision table over all combinations", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(cases, (c) => {
        const { base: b, kind } = c.backoff
        const backoff = kind === "constant"
          ? Backoff.constant(b)
          : kind === "linear"
          ? Backoff.linear({ base: b, cap: 20_000 })
          : Backoff.exponential({ base: b, jitter: kind === "full" ? Backoff.full : Backoff.none })
        const retryAfter = c.verdict.wait === undefined
          ? undefined
          : c.verdict.wait === Infinity
          ? Duration.infinity
          : Duration.millis(c.verdict.wait)
        const verdict = c.verdict.kind === "Terminal"
          ? Verdict.terminal
          : c.verdict.kind === "Rejected"
          ? rejected(retryAfter)
          : Verdict.transient({ ambiguous: c.verdict.ambiguous, retryAfter })
        const decision = Retry.decide(
          {
            operation: c.operation,
            backoff,
            retries: c.retries,
            within: c.within,
            retryAfterCap: c.retryAfterCap,
            beyondCap: c.beyondCap,
            waitForRejections: c.waitForRejections
          },
          {
            verdict,
            attempt: c.attempt,
            elapsedMillis: c.elapsedMillis,
            previousMillis: 0,
            unit: c.unit,
            budgetLeft: c.budgetLeft
          }
        )
        const { mustStop, reasons, waits } = model(c)
        if (decision._tag === "Stop") {
          seen.add(decision.reason)
          expect([...reasons]).toContain(decision.reason)
        } else {
          seen.add("Retry")
          expect(mustStop, [...reasons].join(", ")).toBe(false)
          expect(waits.some((w) => Math.abs(w - decision.delayMillis) < 1e-6)).toBe(true)
        }
      }),
      { numRuns: runs(5000) }
    )
    expect([...seen].toSorted()).toEqual([
      "Retry",
      "budget",
      "deadline",
      "notRepeatable",
      "rejected",
      "retries",
      "retryAfter",
      "terminal"
    ])
  })
})
