/**
 * Counts the outcomes of the last while, and how many of them failed or were slow.
 *
 * Time is cut into buckets. A bucket that has become too old is subtracted at the next read or
 * write, so there is no timer, and after an idle hour nothing of the hour before remains. Memory is
 * a few numbers for each bucket, however many calls there are.
 *
 * A window is owned by one circuit and changed in place. Times are monotonic milliseconds.
 */
import type { Counts, Outcome } from "./countWindow.js"

/**
 * @since 0.1.0
 */
export interface TimeWindow {
  readonly _tag: "Time"
  readonly bucketMillis: number
  /** How many buckets there are. */
  readonly size: number
  /** How many counts a bucket has: calls and failures, and slow calls where they are counted. */
  readonly width: 2 | 3
  /**
   * The counts of each bucket, one after the other. One piece of memory, since there may be a
   * window for each of very many keys. Up to 64 bytes V8 keeps it beside the object, which saves a
   * cache miss on every call.
   */
  readonly counts: Uint32Array
  /** When a bucket begins: this one, and every `bucketMillis` before and after it. */
  originMillis: number
  /** The number of the newest bucket since the origin. */
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
 * An empty window of `durationMillis`, cut into `buckets`. With a `width` of 2 it counts no slow
 * calls: `slow` stays 0.
 *
 * @since 0.1.0
 */
export const make = (durationMillis: number, buckets: number, width: 2 | 3 = 3): TimeWindow => ({
  _tag: "Time",
  bucketMillis: durationMillis / buckets,
  size: buckets,
  width,
  counts: new Uint32Array(width * buckets),
  originMillis: 0,
  epoch: 0,
  calls: 0,
  failures: 0,
  slow: 0
})

/** Where the counts of a bucket begin. */
const slot = ({ size, width }: TimeWindow, epoch: number): number =>
  width * (((epoch % size) + size) % size)

/** In range by construction. */
const at = ({ counts }: TimeWindow, index: number): number => counts[index] as number

/** The slow calls of the bucket whose counts begin at `first`. */
const slowAt = (window: TimeWindow, first: number): number =>
  window.width === 3 ? at(window, first + 2) : 0

const empty = (window: TimeWindow, first: number): void => {
  window.calls -= at(window, first)
  window.failures -= at(window, first + 1)
  window.slow -= slowAt(window, first)
  window.counts.fill(0, first, first + window.width)
}

const epochAt = ({ bucketMillis, originMillis }: TimeWindow, nowMillis: number): number =>
  Math.floor((nowMillis - originMillis) / bucketMillis)

/**
 * Computes how long ago the newest bucket began, as if time had passed without a call. O(1).
 *
 * @since 0.1.0
 */
export const intoMillis = (window: TimeWindow, nowMillis: number): number =>
  Math.max(0, nowMillis - window.originMillis - window.epoch * window.bucketMillis)

/**
 * Begins the newest bucket of an empty window at `sinceMillis`. O(1).
 *
 * @since 0.1.0
 */
export const begin = (window: TimeWindow, sinceMillis: number): void => {
  window.originMillis = sinceMillis
  window.epoch = 0
}

/**
 * Forgets what has become too old by `nowMillis`. A time before the newest bucket changes nothing.
 * O(buckets passed), at most all of them: O(1) for each bucket of time that passes.
 *
 * @since 0.1.0
 */
export const advance = (window: TimeWindow, nowMillis: number): void => {
  const epoch = epochAt(window, nowMillis)
  const passed = Math.min(epoch - window.epoch, window.size)
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
  if (age >= window.size) return
  const first = slot(window, window.epoch - age)
  window.counts[first] = at(window, first) + calls
  window.counts[first + 1] = at(window, first + 1) + failures
  window.calls += calls
  window.failures += failures
  if (window.width === 2) return
  window.counts[first + 2] = at(window, first + 2) + slow
  window.slow += slow
}

/**
 * Forgets everything. O(buckets).
 *
 * @since 0.1.0
 */
export const clear = (window: TimeWindow): void => {
  window.counts.fill(0)
  window.calls = 0
  window.failures = 0
  window.slow = 0
}

/**
 * The buckets that hold anything, newest first. O(buckets).
 *
 * @since 0.1.0
 */
export const contents = (window: TimeWindow): ReadonlyArray<Aged> =>
  Array.from({ length: window.size }, (_, age) => {
    const first = slot(window, window.epoch - age)
    return {
      age,
      calls: at(window, first),
      failures: at(window, first + 1),
      slow: slowAt(window, first)
    }
  }).filter(({ calls }) => calls > 0)
