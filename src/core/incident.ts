/**
 * When failures of one kind are an incident and not an accident.
 *
 * One refused credential is somebody's typing error; twenty in a row are a key that was rotated. A
 * rule says how many failures in how much time, which share of all calls, and how much more than
 * the time before. An incident is raised once and lasts until its failures have been quiet for a
 * while.
 */
import * as TimeWindow from "./timeWindow.js"

/**
 * - `windowMillis`: how far back failures count
 * - `count`: how many there must be at least
 * - `share`: which share of the calls in the window they must be at least
 * - `growth`: how many times as many as in the window before; 0 where no trend is asked for
 * - `quietMillis`: how long there must be none until another incident can be raised
 *
 * @since 0.1.0
 */
export interface Rule {
  readonly windowMillis: number
  readonly count: number
  readonly share: number
  readonly growth: number
  readonly quietMillis: number
}

/**
 * What one rule has seen of one integration. Owned by its detector and changed in place.
 *
 * @since 0.1.0
 */
export interface Watch {
  /** Twice the window of the rule: the newer half is compared with the older one. */
  readonly window: TimeWindow.TimeWindow
  raised: boolean
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

/**
 * Nothing seen yet.
 *
 * @since 0.1.0
 */
export const make = (rule: Rule): Watch => ({
  window: TimeWindow.make(2 * rule.windowMillis, 2 * buckets),
  raised: false,
  lastMillis: -Infinity
})

/**
 * Takes down one call at a monotonic time, and says whether it raises an incident. O(1): twenty
 * buckets are added up, for a failure only.
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
  watch.lastMillis = nowMillis
  if (watch.raised && !wasQuiet) return undefined
  watch.raised = false
  let calls = 0
  let failures = 0
  let before = 0
  for (const bucket of TimeWindow.contents(watch.window)) {
    if (bucket.age < buckets) {
      calls += bucket.calls
      failures += bucket.failures
    } else before += bucket.failures
  }
  if (failures < rule.count || failures < rule.share * calls || failures < rule.growth * before) {
    return undefined
  }
  watch.raised = true
  return { failures, calls }
}
