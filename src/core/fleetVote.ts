/**
 * Whether a fleet opens: what the members said together satisfies the policy, and enough of them
 * vote for it. Pure, O(1).
 */
import * as Circuit from "./circuit.js"
import type { Counts } from "./countWindow.js"
import type * as Wire from "./fleetWire.js"

/** How many members have to vote: so many, or a share of those that could. */
export type Quorum =
  | {
    /** So many members have to vote. */
    readonly atLeast: number
  }
  | {
    /** This share of the members with calls, or of the bad calls where those are fewer. */
    readonly share: number
  }

/** What a member votes for. */
export interface Vote {
  readonly failing: boolean
  readonly slowing: boolean
}

/** A member votes when its own counts reach a rate, however few its calls are. */
export const voteOf = (policy: Circuit.Policy, counts: Counts): Vote => ({
  failing: Circuit.reaches(counts.failures, counts.calls, policy.failureRate),
  slowing: policy.slow !== undefined &&
    Circuit.reaches(counts.slow, counts.calls, policy.slow.rate)
})

type Sums = Extract<Wire.Answer, { readonly op: "count" }>

/**
 * How many votes it takes, where so many members have calls and so many calls were bad. Two at
 * least in a fleet of two or more: one alone shuts no standby out.
 */
export const needed = (quorum: Quorum, members: number, bad: number, living: number): number => {
  const votes = "atLeast" in quorum
    ? quorum.atLeast
    : Math.ceil(quorum.share * Math.min(members, bad) - 1e-9)
  return Math.max(votes, living >= 2 ? 2 : 1)
}

/** Tests whether the sums satisfy the policy and enough members vote. */
export const opens = (
  policy: Circuit.Policy,
  quorum: Quorum,
  { calls, failing, failures, members, slow, slowing }: Sums,
  living: number
): boolean => {
  if (calls < policy.minimumCalls) return false
  const byFailures = Circuit.reaches(failures, calls, policy.failureRate) &&
    failing >= needed(quorum, members, failures, living)
  const bySlowness = policy.slow !== undefined &&
    Circuit.reaches(slow, calls, policy.slow.rate) &&
    slowing >= needed(quorum, members, slow, living)
  return byFailures || bySlowness
}
