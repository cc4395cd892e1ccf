/**
 * Decides when failures of one kind are an incident.
 *
 * One refused credential is a typing error; twenty in a row are a key that was rotated. A rule says
 * how many failures in how much time, which share of all calls, and how much more than the time
 * before. An incident is raised once and lasts until its failures have been quiet for a while.
 */
import * as TimeWindow from "./timeWindow.js"

/**
 * - `windowMillis`: how far back failures count
 * - `count`: how many there must be at least
 * - `share`: which share of the calls in the window they must be at least
 * - `growth`: how many times as many as usual; 0 where no growth is asked for
 * - `baselineMillis`: how long before the window what is usual is taken from: the mean of a window.
 *   Absent: from the window before, and an incident is over when there were no failures
 * - `quietMillis`: how long there must be none, or with a baseline no more than usual, until
 *   another incident can be raised
 *
 * @since 0.1.0
 */
export interface Rule {
  readonly windowMillis: number
  readonly count: number
  readonly share: number
  readonly growth: number
  readonly baselineMillis?: number | undefined
  readonly quietMillis: number
}

/**
 * What one rule has seen of one integration. Owned by its detector and changed in place.
 *
 * @since 0.1.0
 */
export interface Watch {
  /** The window of the rule, and the time before it that it is compared with. */
  readonly window: TimeWindow.TimeWindow
  raised: boolean
  /** When it was last not quiet. */
  lastMillis: number
}

/**
 * The numbers behind an incident.
 *
 * @since 0.1.0
 */
export interface Raised {
  readonly failures: number
  readonly calls: number
}

/** Into how many parts a rule's window is cut. */
const buckets = 10

/** How many parts of that size the time before has. */
const bucketsBefore = ({ baselineMillis, windowMillis }: Rule): number =>
  baselineMillis === undefined ? buckets : Math.ceil(buckets * baselineMillis / windowMillis)

/**
 * Makes an empty watch.
 *
 * @since 0.1.0
 */
export const make = (rule: Rule): Watch => {
  const size = buckets + bucketsBefore(rule)
  return {
    window: TimeWindow.make(size * rule.windowMillis / buckets, size, 2),
    raised: false,
    lastMillis: -Infinity
  }
}

/** The numbers of the window now, where they are those of an incident. */
const numbers = (rule: Rule, { window }: Watch): Raised | undefined => {
  let calls = 0
  let failures = 0
  let before = 0
  for (const bucket of TimeWindow.contents(window)) {
    if (bucket.age < buckets) {
      calls += bucket.calls
      failures += bucket.failures
    } else before += bucket.failures
  }
  const isEnough = failures >= rule.count && failures >= rule.share * calls &&
    // As many windows as there were before, so that nothing is divided.
    failures * bucketsBefore(rule) >= rule.growth * before * buckets
  return isEnough ? { failures, calls } : undefined
}

/**
 * Takes down one call at a monotonic time, and says whether it raises an incident. O(1) for a
 * success; for a failure the parts of the window and of the time before it are added up.
 *
 * **Details**
 *
 * With a baseline, failures that are no more than usual do not keep an incident going: there may
 * always be some, and the next time that they grow is news.
 *
 * @since 0.1.0
 */
export const record = (
  rule: Rule,
  watch: Watch,
  failed: boolean,
  nowMillis: number
): Raised | undefined => {
  TimeWindow.record(watch.window, { failed, slow: false }, nowMillis)
  if (!failed) return undefined
  const wasQuiet = nowMillis - watch.lastMillis >= rule.quietMillis
  const goesOn = watch.raised && !wasQuiet
  if (rule.baselineMillis === undefined) {
    watch.lastMillis = nowMillis
    if (goesOn) return undefined
  }
  const found = numbers(rule, watch)
  if (rule.baselineMillis !== undefined) {
    if (found === undefined) return undefined
    watch.lastMillis = nowMillis
  }
  watch.raised = goesOn || found !== undefined
  return goesOn ? undefined : found
}
