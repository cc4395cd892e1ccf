/**
 * Estimates quantiles from the counts below each boundary of a histogram.
 *
 * It is the estimate that a metrics backend makes from the same numbers, so a figure in a log and
 * one on a dashboard agree: within a bucket, values are taken to be spread evenly. It is exact at
 * the boundaries, and between them as wrong as the bucket is wide.
 */

/**
 * How many were measured up to each boundary, in rising order, each with all before it; `count` is
 * how many there are in all. `min` and `max` are the smallest and the largest of them.
 *
 * @since 0.1.0
 */
export interface Histogram {
  readonly buckets: ReadonlyArray<readonly [boundary: number, upTo: number]>
  readonly count: number
  readonly min: number
  readonly max: number
}

/**
 * The value below which `share` (from 0 to 1) of what was measured lies, never outside of what was
 * measured. Undefined when nothing was. O(buckets).
 *
 * @since 0.1.0
 */
export const quantile = (
  { buckets, count, max, min }: Histogram,
  share: number
): number | undefined => {
  if (count === 0) return undefined
  const rank = share * count
  let low = min
  let before = 0
  for (const [boundary, upTo] of buckets) {
    if (upTo >= rank && upTo > before) {
      const high = Math.min(boundary, max)
      const value = low + (high - low) * Math.max(0, (rank - before) / (upTo - before))
      return Math.min(max, Math.max(min, value))
    }
    low = Math.max(low, boundary)
    before = upTo
  }
  return max
}
