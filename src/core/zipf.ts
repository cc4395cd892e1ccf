/**
 * Draws keys of which some are met more often than others: the one of rank `n` as often as
 * `1 / n ** skew`.
 */

/**
 * So many keys, from 0 on, of falling frequency. A skew of 0 makes all as frequent.
 *
 * @since 0.1.0
 */
export interface Zipf {
  readonly count: number
  readonly skew: number
}

/** The first of some rising numbers that is above a value. */
const firstAbove = (numbers: Float64Array, value: number): number => {
  let low = 0
  let high = numbers.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! > value) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Makes the function from a draw of `[0, 1)` to a key. O(count), and each draw is O(log count).
 *
 * @since 0.1.0
 */
export const sampler = ({ count, skew }: Zipf): (unit: number) => number => {
  if (count === 1) return () => 0
  if (skew === 0) return (unit) => Math.floor(unit * count)
  const sums = new Float64Array(count)
  let sum = 0
  for (let key = 0; key < count; key++) sums[key] = sum += (key + 1) ** -skew
  return (unit) => firstAbove(sums, unit * sum)
}
