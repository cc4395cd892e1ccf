/**
 * The generic cell rate algorithm (ITU-T I.371): a rate limit that remembers one number.
 *
 * A unit of cost takes `interval / limit` of a line of time. The number is how far the line is
 * taken, and a call may run as soon as the line is taken no further than `burst` units beyond now.
 * In any stretch of time `t` no more than `burst + t * limit / interval` units run.
 *
 * All is done in whole numbers: times are monotonic nanoseconds, and the line is measured in
 * nanoseconds divided by `limit`, so that a third of a second is exact and nothing drifts.
 */

/**
 * `limit` units for each interval, `burst` of them at once.
 *
 * @since 0.1.0
 */
export interface Policy {
  readonly limit: bigint
  readonly intervalNanos: bigint
  readonly burst: number
}

/**
 * How far the line is taken, in nanoseconds times `limit`.
 *
 * @since 0.1.0
 */
export type Taken = bigint

/**
 * Below what any clock can tell: one that counts in fractions of milliseconds loses the last
 * nanosecond.
 */
const toleranceNanos = 10n

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)

/**
 * A line of which nothing is taken.
 *
 * @since 0.1.0
 */
export const unused: Taken = -(2n ** 127n)

/**
 * Computes how long a call has to wait when `ahead` units go before it; 0 where it may run now. It
 * may run after exactly this time, and not before. O(1).
 *
 * @since 0.1.0
 */
export const waitNanos = (
  policy: Policy,
  taken: Taken,
  ahead: number,
  cost: number,
  nowNanos: bigint
): bigint => {
  const now = nowNanos * policy.limit
  const wait = max(taken, now) - now + BigInt(ahead + cost - policy.burst) * policy.intervalNanos
  if (wait <= toleranceNanos * policy.limit) return 0n
  return (wait + policy.limit - 1n) / policy.limit
}

/**
 * The line with a call on it that runs now. A call that waited and comes up to `lateNanos` late, as
 * timers do, takes the time it was meant to have: else each call would be a little later than the
 * one before. O(1).
 *
 * @since 0.1.0
 */
export const take = (
  policy: Policy,
  taken: Taken,
  cost: number,
  nowNanos: bigint,
  lateNanos: bigint = 0n
): Taken => max(taken, (nowNanos - lateNanos) * policy.limit) + BigInt(cost) * policy.intervalNanos

/**
 * Computes how many units could start at once. O(1).
 *
 * @since 0.1.0
 */
export const available = (policy: Policy, taken: Taken, nowNanos: bigint): number => {
  const now = nowNanos * policy.limit
  const free = BigInt(policy.burst) * policy.intervalNanos - (max(taken, now) - now)
  return free < 0n ? 0 : Number((free + toleranceNanos * policy.limit) / policy.intervalNanos)
}

/**
 * Tests whether nothing would be lost if the line were forgotten. O(1).
 *
 * @since 0.1.0
 */
export const isIdle = (policy: Policy, taken: Taken, nowNanos: bigint): boolean =>
  taken <= nowNanos * policy.limit
