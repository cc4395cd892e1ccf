/**
 * Keeps the last latencies, and computes their quantiles.
 *
 * The newest ones are kept twice: in the order in which they came, so that the oldest can go, and
 * sorted, so that a quantile is one look. For the few hundred that are worth keeping this is exact,
 * and cheaper than an estimate that has to be explained.
 *
 * Latencies are owned by one observer and changed in place. They are milliseconds.
 */

/**
 * @since 0.1.0
 */
export interface Latencies {
  readonly size: number
  /** In order of arrival; `next` is the place of the oldest once it is full. */
  readonly ring: Array<number>
  readonly sorted: Array<number>
  next: number
}

/**
 * Makes an empty list of at most `size` latencies.
 *
 * @since 0.1.0
 */
export const make = (size: number): Latencies => ({ size, ring: [], sorted: [], next: 0 })

/** The first place of a sorted array whose value is not below this one. */
const placeOf = (sorted: ReadonlyArray<number>, value: number): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Adds a latency and drops the oldest when the list is full. O(log size) comparisons, and a move of
 * at most `size` numbers.
 *
 * @since 0.1.0
 */
export const record = (latencies: Latencies, millis: number): void => {
  const { next, ring, size, sorted } = latencies
  if (ring.length === size) sorted.splice(placeOf(sorted, ring[next] as number), 1)
  ring[next] = millis
  latencies.next = (next + 1) % size
  sorted.splice(placeOf(sorted, millis), 0, millis)
}

/**
 * Counts the latencies. O(1).
 *
 * @since 0.1.0
 */
export const count = (latencies: Latencies): number => latencies.sorted.length

/**
 * The smallest of them that at least this share does not exceed (nearest rank); none of none. O(1).
 *
 * @since 0.1.0
 */
export const quantile = ({ sorted }: Latencies, share: number): number | undefined =>
  // 0.07 * 100 is a little more than 7 in binary.
  sorted[Math.max(1, Math.ceil(share * sorted.length - 1e-9)) - 1]
