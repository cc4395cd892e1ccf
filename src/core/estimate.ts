/**
 * Estimates a figure from its values in several replications, with an interval that holds the truth
 * in 95 of 100 cases.
 */

/**
 * The mean, and the bounds of the interval.
 *
 * @since 0.1.0
 */
export interface Estimate {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** The quantile 0.975 of Student's distribution, for 1 to 30 degrees of freedom. */
const quantiles = [
  12.706,
  4.303,
  3.182,
  2.776,
  2.571,
  2.447,
  2.365,
  2.306,
  2.262,
  2.228,
  2.201,
  2.179,
  2.16,
  2.145,
  2.131,
  2.12,
  2.11,
  2.101,
  2.093,
  2.086,
  2.08,
  2.074,
  2.069,
  2.064,
  2.06,
  2.056,
  2.052,
  2.048,
  2.045,
  2.042
]

/** Beyond the table it comes close to the normal one, with an error below 0.001. */
const studentQuantile = (degrees: number): number => quantiles[degrees - 1] ?? 1.96 + 2.4 / degrees

/**
 * Estimates the mean. One value alone has no interval: both bounds are the value. O(values).
 *
 * @since 0.1.0
 */
export const estimate = (values: ReadonlyArray<number>): Estimate => {
  const count = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  if (count < 2) return { mean, low: mean, high: mean }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const half = studentQuantile(count - 1) * Math.sqrt(squares / (count - 1) / count)
  return { mean, low: mean - half, high: mean + half }
}
