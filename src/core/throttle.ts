/**
 * Computes the probability with which a caller rejects its own calls, because too few of the last
 * ones were accepted.
 *
 * The formula is the one of "Handling Overload" in Google's book on site reliability: as long as a
 * backend accepts at least one in K requests, all are sent; below that, only about K times as many
 * as it accepts. Requests that were turned away here count as requests and not as accepted.
 */
import type { Counts } from "./countWindow.js"

/**
 * `multiplier` is K. Below `minimumCalls` requests in the window nothing is turned away.
 * `maxRejection` is the highest probability.
 *
 * @since 0.1.0
 */
export interface Policy {
  readonly multiplier: number
  readonly minimumCalls: number
  readonly maxRejection: number
}

/**
 * The probability at these counts: `calls` are the requests, `failures` those of them that were not
 * accepted. O(1).
 *
 * @since 0.1.0
 */
export const probability = (
  policy: Policy,
  { calls, failures }: Pick<Counts, "calls" | "failures">
): number => {
  if (calls < policy.minimumCalls) return 0
  const excess = calls - policy.multiplier * (calls - failures)
  return Math.min(policy.maxRejection, Math.max(0, excess / (calls + 1)))
}
