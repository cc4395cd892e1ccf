import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type * as Circuit from "../../src/core/circuit.js"
import type { Counts } from "../../src/core/countWindow.js"
import * as Vote from "../../src/core/fleetVote.js"
import type * as Wire from "../../src/core/fleetWire.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"
import { runs } from "../support/runs.js"

type Sums = Extract<Wire.Answer, { readonly op: "count" }>

const policy = policyOf({ minimumCalls: 20, failureRate: 0.5, slowCall: false })

const withSlow = (rate: number): Circuit.Policy => ({
  ...policy,
  slow: { overMillis: 1000, rate }
})

const half: Vote.Quorum = { share: 0.5 }

describe("the vote of a member", () => {
  const votes = (policy: Circuit.Policy, calls: number, failures: number, slow: number) => {
    const { failing, slowing } = Vote.voteOf(policy, { calls, failures, slow })
    return [...failing ? ["failing"] : [], ...slowing ? ["slowing"] : []].join()
  }

  it.each<readonly [calls: number, failures: number, slow: number, votes: string]>([
    [0, 0, 0, ""],
    [4, 0, 0, ""],
    [4, 1, 0, ""],
    [4, 2, 0, "failing"],
    [4, 4, 0, "failing"],
    [4, 0, 2, ""],
    [4, 0, 3, "slowing"],
    [4, 1, 4, "slowing"],
    [4, 2, 3, "failing,slowing"]
  ])("F6: of %d calls %d failed and %d were slow: %s", (calls, failures, slow, expected) => {
    expect(votes(withSlow(0.75), calls, failures, slow)).toBe(expected)
  })

  it("F6: a member votes however few its calls are: minimumCalls is the fleet's", () => {
    expect(votes(withSlow(0.75), 1, 1, 1)).toBe("failing,slowing")
  })

  it("F6: a member votes for slowness only where slowness counts", () => {
    expect([votes(policy, 4, 0, 4), votes(policy, 4, 4, 4)]).toEqual(["", "failing"])
  })
})

describe("how many votes it takes", () => {
  it.each<
    readonly [quorum: Vote.Quorum, members: number, bad: number, living: number, needed: number]
  >([
    // A share of the members with calls, or of the bad calls where those are fewer; rounded up.
    [half, 10, 100, 10, 5],
    [half, 11, 100, 11, 6],
    [half, 100, 10, 100, 5],
    [half, 100, 11, 100, 6],
    [{ share: 1 }, 7, 9, 9, 7],
    [{ share: 1 }, 9, 7, 9, 7],
    // 0.1 * 30 is a little more than 3, and is 3 all the same.
    [{ share: 0.1 }, 30, 30, 30, 3],
    [{ share: 0.1 }, 31, 31, 31, 4],
    // Two at least in a fleet of two or more, however many of them have calls.
    [half, 2, 2, 2, 2],
    [half, 1, 9, 2, 2],
    [half, 9, 1, 9, 2],
    [{ share: 0 }, 9, 9, 9, 2],
    // Who is alone needs no other, and one vote in any case.
    [half, 1, 9, 1, 1],
    [half, 2, 2, 1, 1],
    [{ share: 0 }, 1, 9, 1, 1],
    [{ share: 1 }, 1, 9, 0, 1],
    // So many, whoever has calls.
    [{ atLeast: 3 }, 9, 9, 9, 3],
    [{ atLeast: 3 }, 1, 1, 9, 3],
    [{ atLeast: 3 }, 1, 1, 1, 3],
    [{ atLeast: 1 }, 9, 9, 2, 2],
    [{ atLeast: 1 }, 1, 9, 1, 1],
    [{ atLeast: 0 }, 1, 9, 1, 1]
  ])(
    "F6: %j, %d with calls, %d bad calls, %d living: %d",
    (quorum, members, bad, living, needed) => {
      expect(Vote.needed(quorum, members, bad, living)).toBe(needed)
    }
  )
})

describe("whether a fleet opens", () => {
  const quiet: Sums = {
    op: "count",
    epoch: 1,
    calls: 100,
    failures: 0,
    slow: 0,
    members: 4,
    failing: 0,
    slowing: 0,
    heard: 4
  }
  const opens = (
    policy: Circuit.Policy,
    changes: Partial<Sums>,
    quorum: Vote.Quorum = half,
    living = 4
  ): boolean => Vote.opens(policy, quorum, { ...quiet, ...changes }, living)

  it("F6: the sums have to satisfy the rate, and enough members have to vote", () => {
    const cases: ReadonlyArray<readonly [failures: number, failing: number, opens: boolean]> = [
      [0, 0, false],
      [49, 4, false],
      [50, 1, false],
      [50, 2, true],
      [100, 0, false],
      [100, 4, true]
    ]
    expect(cases.map(([failures, failing]) => opens(policy, { failures, failing })))
      .toEqual(cases.map(([, , opens]) => opens))
  })

  it("F6: together they need minimumCalls, which one alone need not have", () => {
    const sums = { failures: 15, failing: 4, slow: 15, slowing: 4 }
    expect([19, 20].map((calls) => opens(withSlow(0.5), { ...sums, calls }))).toEqual([false, true])
  })

  it("F6: slowness opens by itself, where it counts, with votes for slowness", () => {
    const slow = { slow: 80, slowing: 2 }
    expect(opens(withSlow(0.8), slow)).toBe(true)
    expect(opens(withSlow(0.8), { slow: 79, slowing: 4 })).toBe(false)
    expect(opens(withSlow(0.8), { slow: 80, slowing: 1 })).toBe(false)
    expect(opens(policy, { slow: 100, slowing: 4 })).toBe(false)
  })

  it("F6: votes for one rate do not count for the other", () => {
    const both = { failures: 100, slow: 100 }
    expect(opens(withSlow(0.8), { ...both, failing: 1, slowing: 1 })).toBe(false)
    expect(opens(withSlow(0.8), { failures: 100, slow: 79, failing: 1, slowing: 4 })).toBe(false)
    expect(opens(withSlow(0.8), { failures: 49, slow: 100, failing: 4, slowing: 1 })).toBe(false)
  })

  it("F6: each rate has its own bad calls for the quorum", () => {
    const few = { calls: 20, members: 10 }
    const rare: Circuit.Policy = { ...withSlow(0.1), failureRate: 0.1 }
    expect(
      [1, 2].map((failing) => opens(rare, { ...few, failures: 3, slow: 20, failing }, half, 10))
    )
      .toEqual([false, true])
    expect(
      [1, 2].map((slowing) => opens(rare, { ...few, failures: 20, slow: 3, slowing }, half, 10))
    )
      .toEqual([false, true])
    expect(opens(rare, { ...few, failures: 20, slow: 3, failing: 4 }, half, 10)).toBe(false)
    expect(opens(rare, { ...few, failures: 3, slow: 20, slowing: 4 }, half, 10)).toBe(false)
  })

  it("F6: one that is alone opens; the same votes do not once another lives beside it", () => {
    const sick = { failures: 100, failing: 1, slow: 100, slowing: 1, members: 1 }
    expect([1, 2, 9].map((living) => opens(withSlow(0.5), sick, half, living)))
      .toEqual([true, false, false])
  })

  it("F6: atLeast asks for so many votes, whatever the members have", () => {
    const votes = [2, 3].map((failing) => opens(policy, { failures: 100, failing }, { atLeast: 3 }))
    expect(votes).toEqual([false, true])
  })
})

describe("votes of many members", () => {
  /** Rates and shares are whole twentieths, so that the model needs no rounding. */
  const twentieths = 20

  const member: fc.Arbitrary<Counts> = fc.tuple(
    fc.nat({ max: 8 }),
    fc.nat({ max: 8 }),
    fc.nat({ max: 8 })
  ).map(([calls, failures, slow]) => ({
    calls,
    failures: Math.min(calls, failures),
    slow: Math.min(calls, slow)
  }))

  const setting = fc.record({
    members: fc.array(member, { maxLength: 6 }),
    minimumCalls: fc.integer({ min: 1, max: 12 }),
    failures: fc.integer({ min: 1, max: twentieths }),
    slow: fc.option(fc.integer({ min: 1, max: twentieths }), { nil: undefined }),
    quorum: fc.oneof(
      fc.record({ atLeast: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ twentieths: fc.nat({ max: twentieths }) })
    )
  })
  type Setting = typeof setting extends fc.Arbitrary<infer A> ? A : never

  const policyOf = ({ failures, minimumCalls, slow }: Setting): Circuit.Policy => ({
    ...slow === undefined ? policy : withSlow(slow / twentieths),
    minimumCalls,
    failureRate: failures / twentieths
  })

  const quorumOf = ({ quorum }: Setting): Vote.Quorum =>
    "atLeast" in quorum ? quorum : { share: quorum.twentieths / twentieths }

  const total = (members: ReadonlyArray<Counts>, what: keyof Counts): number =>
    members.reduce((sum, counts) => sum + counts[what], 0)

  const sumsOf = (policy: Circuit.Policy, members: ReadonlyArray<Counts>): Sums => {
    const votes = members.map((counts) => Vote.voteOf(policy, counts))
    return {
      op: "count",
      epoch: 0,
      calls: total(members, "calls"),
      failures: total(members, "failures"),
      slow: total(members, "slow"),
      members: members.filter(({ calls }) => calls > 0).length,
      failing: votes.filter(({ failing }) => failing).length,
      slowing: votes.filter(({ slowing }) => slowing).length,
      heard: members.length
    }
  }

  const isReached = (bad: number, calls: number, rate: number): boolean =>
    bad > 0 && bad * twentieths >= rate * calls

  /** Whether it opens for one kind of bad call, by the words of F6. */
  const model = (
    { members, minimumCalls, quorum }: Setting,
    what: "failures" | "slow",
    rate: number
  ): boolean => {
    const [calls, bad] = [total(members, "calls"), total(members, what)]
    if (calls < minimumCalls || !isReached(bad, calls, rate)) return false
    const votes = members.filter((counts) => isReached(counts[what], counts.calls, rate)).length
    if (votes < 1 || (votes < 2 && members.length > 1)) return false
    if ("atLeast" in quorum) return votes >= quorum.atLeast
    const able = Math.min(members.filter(({ calls }) => calls > 0).length, bad)
    return votes * twentieths >= quorum.twentieths * able
  }

  it("F6: it opens exactly where a slow model does that asks each member", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(setting, (setting) => {
        const policy = policyOf(setting)
        const { failures, members, slow } = setting
        const byFailures = model(setting, "failures", failures)
        const bySlowness = slow !== undefined && model(setting, "slow", slow)
        const sums = sumsOf(policy, members)
        expect(Vote.opens(policy, quorumOf(setting), sums, members.length))
          .toBe(byFailures || bySlowness)
        seen.add(`${byFailures} ${bySlowness}`)
      }),
      { numRuns: runs(5000) }
    )
    expect([...seen].toSorted()).toEqual(["false false", "false true", "true false", "true true"])
  })

  it("F6: one sick member beside living ones opens nothing, whatever its calls", () => {
    fc.assert(
      fc.property(setting, fc.integer({ min: 1, max: 1e6 }), (setting, calls) => {
        const policy = policyOf(setting)
        const standbys = setting.members.map(() => ({ calls: 0, failures: 0, slow: 0 }))
        const sums = sumsOf(policy, [{ calls, failures: calls, slow: calls }, ...standbys])
        const isAlone = standbys.length === 0
        const mayOpen = isAlone && calls >= policy.minimumCalls &&
          !("atLeast" in setting.quorum && setting.quorum.atLeast > 1)
        expect(Vote.opens(policy, quorumOf(setting), sums, standbys.length + 1)).toBe(mayOpen)
      }),
      { numRuns: runs(1000) }
    )
  })
})
