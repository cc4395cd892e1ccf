/**
 * Counts values in classes that are as wide as the values are large, for quantiles of a fixed
 * relative error.
 *
 * Every octave (from a power of 2 to the next) is cut into 64 classes of equal width, so a class is
 * at most 1/64 as wide as its values are large, and its middle is at most 0.8 % from any of them.
 * Memory is fixed, counting is O(1), and two histograms add up to one.
 */

/** How many classes an octave has. */
const perOctave = 64

/** Whole numbers up to 2^53 - 1 have so many octaves. */
const octaves = 53

/**
 * Counts by class. Class 0 holds the values below 1.
 *
 * @since 0.1.0
 */
export interface LogHistogram {
  readonly counts: Float64Array
  count: number
  min: number
  max: number
}

/**
 * Makes an empty histogram.
 *
 * @since 0.1.0
 */
export const make = (): LogHistogram => ({
  counts: new Float64Array(1 + octaves * perOctave),
  count: 0,
  min: Infinity,
  max: -Infinity
})

/** A number and its bits: sign, 11 bits of exponent, 20 bits of the fraction, then the rest. */
const float = new Float64Array(1)
const words = new Uint32Array(float.buffer)

/** Where the upper half of a number stands differs from machine to machine. */
const upper = ((): 0 | 1 => {
  float[0] = 1
  return words[1] === 0 ? 0 : 1
})()

/** The exponent of 1 is stored as 1023; 6 bits of the fraction say which class of the octave. */
const classOf = (value: number): number => {
  if (!(value >= 1)) return 0
  float[0] = Math.min(value, Number.MAX_SAFE_INTEGER)
  return 1 + (words[upper]! >>> 14) - 1023 * perOctave
}

/** The middle of a class. */
const middleOf = (index: number): number => {
  if (index === 0) return 0
  const octave = Math.floor((index - 1) / perOctave)
  return 2 ** octave * (1 + ((index - 1) % perOctave + 0.5) / perOctave)
}

/**
 * Counts a value from 0 to 2^53 - 1. O(1).
 *
 * @since 0.1.0
 */
export const record = (histogram: LogHistogram, value: number): void => {
  histogram.counts[classOf(value)]!++
  histogram.count++
  if (value < histogram.min) histogram.min = value
  if (value > histogram.max) histogram.max = value
}

/**
 * Adds all that another histogram holds. O(classes).
 *
 * @since 0.1.0
 */
export const merge = (histogram: LogHistogram, other: LogHistogram): void => {
  for (let index = 0; index < histogram.counts.length; index++) {
    histogram.counts[index]! += other.counts[index]!
  }
  histogram.count += other.count
  histogram.min = Math.min(histogram.min, other.min)
  histogram.max = Math.max(histogram.max, other.max)
}

/**
 * Forgets everything. O(classes).
 *
 * @since 0.1.0
 */
export const clear = (histogram: LogHistogram): void => {
  histogram.counts.fill(0)
  histogram.count = 0
  histogram.min = Infinity
  histogram.max = -Infinity
}

/**
 * The value that at least this share of the values does not exceed (nearest rank), within 0.8 % of
 * it and never outside of what was recorded. Undefined when nothing was. O(classes).
 *
 * @since 0.1.0
 */
export const quantile = (
  { count, counts, max, min }: LogHistogram,
  share: number
): number | undefined => {
  if (count === 0) return undefined
  // 0.07 * 100 is a little more than 7 in binary.
  const rank = Math.max(1, Math.ceil(share * count - 1e-9))
  let upTo = 0
  let index = -1
  while (upTo < rank && index + 1 < counts.length) upTo += counts[++index]!
  return Math.min(max, Math.max(min, middleOf(index)))
}
