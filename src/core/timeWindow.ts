/**
 * The outcomes of the last while, and how many of them failed or were slow.
 *
 * Time is cut into buckets. A bucket that has become too old is subtracted when somebody looks, so
 * nothing has to tick, and after an idle hour nothing of the hour before remains. Memory is a few
 * numbers for each bucket, however many calls there are.
 *
 * A window is owned by one circuit and changed in place. Times are monotonic milliseconds.
 */
import type { Counts, Outcome } from "./countWindow.js"

interface Bucket {
  calls: number
  failures: number
  slow: number
}

/**
 * @since 0.1.0
 */
export interface TimeWindow {
  readonly _tag: "Time"
  readonly bucketMillis: number
  readonly buckets: ReadonlyArray<Bucket>
  /** The number of the newest bucket since the beginning of time. */
  epoch: number
  calls: number
  failures: number
  slow: number
}

/**
 * What one bucket holds, and how many buckets ago it was the newest.
 *
 * @since 0.1.0
 */
export interface Aged extends Counts {
  readonly age: number
}

/**
 * An empty window of `durationMillis`, cut into `buckets`.
 *
 * @since 0.1.0
 */
export const make = (durationMillis: number, buckets: number): TimeWindow => ({
  _tag: "Time",
  bucketMillis: durationMillis / buckets,
  buckets: Array.from({ length: buckets }, () => ({ calls: 0, failures: 0, slow: 0 })),
  epoch: 0,
  calls: 0,
  failures: 0,
  slow: 0
})

const slot = (window: TimeWindow, epoch: number): Bucket => {
  const size = window.buckets.length
  // In range by construction.
  return window.buckets[((epoch % size) + size) % size] as Bucket
}

const empty = (window: TimeWindow, bucket: Bucket): void => {
  window.calls -= bucket.calls
  window.failures -= bucket.failures
  window.slow -= bucket.slow
  bucket.calls = 0
  bucket.failures = 0
  bucket.slow = 0
}

/**
 * Forgets what has become too old by `nowMillis`. A time before the newest bucket changes nothing.
 * O(buckets passed), at most all of them: O(1) for each bucket of time that passes.
 *
 * @since 0.1.0
 */
export const advance = (window: TimeWindow, nowMillis: number): void => {
  const epoch = Math.floor(nowMillis / window.bucketMillis)
  const passed = Math.min(epoch - window.epoch, window.buckets.length)
  for (let step = 0; step < passed; step++) empty(window, slot(window, epoch - step))
  if (passed > 0) window.epoch = epoch
}

/**
 * Adds an outcome at `nowMillis`. O(1), beside what `advance` costs.
 *
 * @since 0.1.0
 */
export const record = (window: TimeWindow, { failed, slow }: Outcome, nowMillis: number): void => {
  advance(window, nowMillis)
  add(window, { calls: 1, failures: failed ? 1 : 0, slow: slow ? 1 : 0 }, 0)
}

/**
 * Adds counts to the bucket that was the newest `age` buckets ago; ones that are too old are not
 * added. O(1).
 *
 * @since 0.1.0
 */
export const add = (window: TimeWindow, { calls, failures, slow }: Counts, age: number): void => {
  if (age >= window.buckets.length) return
  const bucket = slot(window, window.epoch - age)
  bucket.calls += calls
  bucket.failures += failures
  bucket.slow += slow
  window.calls += calls
  window.failures += failures
  window.slow += slow
}

/**
 * Forgets everything. O(buckets).
 *
 * @since 0.1.0
 */
export const clear = (window: TimeWindow): void => {
  for (const bucket of window.buckets) empty(window, bucket)
}

/**
 * The buckets that hold anything, newest first. O(buckets).
 *
 * @since 0.1.0
 */
export const contents = (window: TimeWindow): ReadonlyArray<Aged> =>
  window.buckets
    .map((_, age) => ({ ...slot(window, window.epoch - age), age }))
    .filter(({ calls }) => calls > 0)
