import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Decision from "../../src/core/retryDecision.js"
import { runs } from "../support/runs.js"

type Verdict = Decision.Verdict

const maxTimer = 2 ** 31 - 1

const certain: Verdict = { _tag: "Transient", ambiguous: false, retryAfterMillis: undefined }
const ambiguous: Verdict = { _tag: "Transient", ambiguous: true, retryAfterMillis: undefined }
const terminal: Verdict = { _tag: "Terminal" }
const transient = (retryAfterMillis: number): Verdict => ({
  _tag: "Transient",
  ambiguous: false,
  retryAfterMillis
})
const rejected = (retryAfterMillis?: number): Verdict => ({ _tag: "Rejected", retryAfterMillis })

const policy: Decision.Policy = {
  operation: "Read",
  backoff: { _tag: "Constant", delayMillis: 1000, jitter: { _tag: "None" } },
  retries: 2,
  withinMillis: Infinity,
  retryAfterCapMillis: 60_000,
  beyondCap: "fail",
  waitForRejections: false
}

const input: Decision.Input = {
  verdict: certain,
  attempt: 0,
  previousMillis: 0,
  unit: 0.5,
  elapsedMillis: 0,
  budgetLeft: true
}

const answer = (
  changes: Partial<Decision.Policy>,
  failure: Partial<Decision.Input>
): number | Decision.StopReason => {
  const decision = Decision.decide({ ...policy, ...changes }, { ...input, ...failure })
  return decision._tag === "Retry" ? decision.delayMillis : decision.reason
}

const operations: ReadonlyArray<Decision.Operation> = ["Read", "Idempotent", "Keyed", "Once"]

describe("which failures may be repeated", () => {
  /** The decision table: what happened, and whether read, idempotent, keyed and once try again. */
  const table: ReadonlyArray<
    readonly [what: string, verdict: Verdict, answers: ReadonlyArray<"yes" | Decision.StopReason>]
  > = [
    ["E2: 429", certain, ["yes", "yes", "yes", "yes"]],
    ["E4: a refused connection", certain, ["yes", "yes", "yes", "yes"]],
    ["E4: a 5xx", ambiguous, ["yes", "yes", "yes", "notRepeatable"]],
    ["E4: a timeout or a reset after sending", ambiguous, ["yes", "yes", "yes", "notRepeatable"]],
    ["E2: 401", terminal, ["terminal", "terminal", "terminal", "terminal"]],
    ["R15: a rejection", rejected(), ["rejected", "rejected", "rejected", "rejected"]],
    ["R15: a rejection with a time", rejected(5), ["rejected", "rejected", "rejected", "rejected"]]
  ]

  it.each(table)("%s: read, idempotent, keyed, once", (_, verdict, expected) => {
    const answers = operations.map((operation) => answer({ operation }, { verdict }))
    expect(answers.map((answer) => answer === 1000 ? "yes" : answer)).toEqual(expected)
  })

  it("R15: a rejection that is waited for is tried again whatever the operation, since nothing was sent", () => {
    const answers = operations.map((operation) =>
      answer({ operation, waitForRejections: true }, { verdict: rejected(2000) })
    )
    expect(answers).toEqual([2000, 2000, 2000, 2000])
  })
})

describe("how often and how long", () => {
  it("R10: retries: n means n further attempts", () => {
    const made = [0, 1, 2, 7].map((retries) => {
      let attempt = 0
      while (typeof answer({ retries }, { attempt }) === "number") attempt++
      return attempt
    })
    expect(made).toEqual([0, 1, 2, 7])
  })

  it("E12: Retry-After is a floor: the longer of the two waits is waited", () => {
    expect([0, 999, 1000, 1001].map((wait) => answer({}, { verdict: transient(wait) }))).toEqual([
      1000,
      1000,
      1000,
      1001
    ])
  })

  it("E12: a wait equal to the cap is honoured, one above it stops the call or is cut, as the policy says", () => {
    const waits = [59_999, 60_000, 60_001, Infinity]
    expect(waits.map((wait) => answer({}, { verdict: transient(wait) }))).toEqual([
      59_999,
      60_000,
      "retryAfter",
      "retryAfter"
    ])
    expect(waits.map((wait) => answer({ beyondCap: "clamp" }, { verdict: transient(wait) })))
      .toEqual([
        59_999,
        60_000,
        60_000,
        60_000
      ])
  })

  it("E12: no delay is longer than a timer can hold", () => {
    expect([
      answer({ retryAfterCapMillis: Infinity }, { verdict: transient(maxTimer + 1) }),
      answer({ retryAfterCapMillis: Infinity, beyondCap: "clamp" }, {
        verdict: transient(Infinity)
      }),
      answer({ backoff: { _tag: "Constant", delayMillis: 1e12, jitter: { _tag: "None" } } }, {})
    ]).toEqual([maxTimer, maxTimer, maxTimer])
  })

  it("R13: a delay that ends exactly at the deadline does not end before it", () => {
    const answers = [0, 3999, 4000, 6000].map((elapsedMillis) =>
      answer({ withinMillis: 5000 }, { elapsedMillis })
    )
    expect(answers).toEqual([1000, 1000, "deadline", "deadline"])
  })

  it("R13: the wait that the server asked for counts against the deadline", () => {
    expect(answer({ withinMillis: 5000 }, { verdict: transient(6000) })).toBe("deadline")
  })

  it("R15: a rejection with an infinite time or one above the cap stops, also where other waits are cut", () => {
    const patient = { waitForRejections: true, beyondCap: "clamp" } as const
    const answers = [60_000, 60_001, Infinity].map((wait) =>
      answer(patient, { verdict: rejected(wait) })
    )
    expect(answers[0]).toBe(60_000)
    expect(answers.slice(1).map((answer) => typeof answer)).toEqual(["string", "string"])
  })

  it("R15: a rejection with an infinite time stops, also where no wait is too long", () => {
    const patient = { waitForRejections: true, retryAfterCapMillis: Infinity }
    expect([
      answer(patient, { verdict: rejected(1e9) }),
      answer(patient, { verdict: rejected(Infinity) }),
      answer({ ...patient, beyondCap: "clamp" }, { verdict: rejected(Infinity) })
    ]).toEqual([1e9, "retryAfter", "retryAfter"])
  })

  it("R15: a rejection costs no budget but counts as a retry", () => {
    const patient = { waitForRejections: true }
    expect([
      answer(patient, { verdict: rejected(), budgetLeft: false }),
      answer(patient, { verdict: rejected(), attempt: 2 }),
      answer(patient, { verdict: certain, budgetLeft: false })
    ]).toEqual([1000, "retries", "budget"])
  })
})

describe("decide", () => {
  const wait = fc.oneof(
    fc.constantFrom<number | undefined>(undefined, 0, 1000, 60_000, 60_001, maxTimer + 1, Infinity),
    fc.nat({ max: 120_000 })
  )
  const verdicts: fc.Arbitrary<Verdict> = fc.oneof(
    fc.constant(terminal),
    fc.record({
      _tag: fc.constant("Transient" as const),
      ambiguous: fc.boolean(),
      retryAfterMillis: wait
    }),
    fc.record({ _tag: fc.constant("Rejected" as const), retryAfterMillis: wait })
  )
  const policies: fc.Arbitrary<Decision.Policy> = fc.record({
    operation: fc.constantFrom(...operations),
    backoff: fc.record({
      _tag: fc.constant("Constant" as const),
      delayMillis: fc.constantFrom(0, 1, 1000, 5000, 90_000),
      jitter: fc.constantFrom({ _tag: "None" as const }, { _tag: "Full" as const }, {
        _tag: "Equal" as const
      })
    }),
    retries: fc.nat({ max: 4 }),
    withinMillis: fc.constantFrom(0, 1000, 5000, 60_000, 200_000, Infinity, Infinity),
    retryAfterCapMillis: fc.constantFrom(0, 1000, 60_000, 60_000, Infinity),
    beyondCap: fc.constantFrom("fail", "clamp"),
    waitForRejections: fc.boolean()
  })
  const inputs: fc.Arbitrary<Decision.Input> = fc.record({
    verdict: verdicts,
    attempt: fc.nat({ max: 5 }),
    previousMillis: fc.nat({ max: 10_000 }),
    unit: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    elapsedMillis: fc.oneof(fc.constantFrom(0, 4000, 5000), fc.nat({ max: 70_000 })),
    budgetLeft: fc.boolean()
  })

  /** Everything that forbids another try, each by itself, and the delay if nothing does. */
  const model = (policy: Decision.Policy, input: Decision.Input) => {
    const { verdict } = input
    const { delayMillis, jitter } = policy.backoff as Extract<
      Decision.Policy["backoff"],
      { _tag: "Constant" }
    >
    const share = jitter._tag === "None"
      ? 1
      : jitter._tag === "Full"
      ? input.unit
      : 0.5 + input.unit / 2
    const asked = verdict._tag === "Terminal" ? 0 : verdict.retryAfterMillis ?? 0
    const beyond = asked > policy.retryAfterCapMillis || asked === Infinity
    const cut = policy.beyondCap === "clamp" && verdict._tag === "Transient"
    const floor = beyond && cut ? policy.retryAfterCapMillis : asked
    const delay = Math.min(maxTimer, Math.max(floor, delayMillis * share))
    const against = new Set<Decision.StopReason>()
    if (verdict._tag === "Terminal") against.add("terminal")
    if (verdict._tag === "Transient" && verdict.ambiguous && policy.operation === "Once") {
      against.add("notRepeatable")
    }
    if (verdict._tag === "Rejected" && !policy.waitForRejections) against.add("rejected")
    if (input.attempt >= policy.retries) against.add("retries")
    if (beyond && !cut) against.add("retryAfter")
    if (input.elapsedMillis + delay >= policy.withinMillis) against.add("deadline")
    if (verdict._tag === "Transient" && !input.budgetLeft) against.add("budget")
    return { against, delay }
  }

  it("R10-R15, E12: it stops exactly when something forbids another try, and names one of the things that do", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(policies, inputs, (policy, input) => {
        const { against, delay } = model(policy, input)
        const decision = Decision.decide(policy, input)
        seen.add(decision._tag === "Stop" ? decision.reason : "Retry")
        if (decision._tag === "Stop") expect([...against]).toContain(decision.reason)
        else {
          expect([...against]).toEqual([])
          expect(Math.abs(decision.delayMillis - delay)).toBeLessThan(1e-6)
        }
      }),
      { numRuns: runs(5000) }
    )
    expect([...seen].toSorted()).toEqual(
      [
        "Retry",
        "budget",
        "deadline",
        "notRepeatable",
        "rejected",
        "retries",
        "retryAfter",
        "terminal"
      ]
    )
  })

  it("what cannot be repeated at all is said before what merely ran out", () => {
    const spent = { attempt: 9, budgetLeft: false, elapsedMillis: 1e9 }
    expect([
      answer({ withinMillis: 1 }, { ...spent, verdict: terminal }),
      answer({ withinMillis: 1, operation: "Once" }, { ...spent, verdict: ambiguous }),
      answer({ withinMillis: 1 }, { ...spent, verdict: rejected() })
    ]).toEqual(["terminal", "notRepeatable", "rejected"])
  })
})
