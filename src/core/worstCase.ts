/**
 * Computes the most that one call through a pipeline can cost: requests and time.
 *
 * An operator wants to know both before the incident. They follow from the policy alone, so they
 * are computed and not measured; a brute-force walk through everything that can happen to a call is
 * the model they are held against.
 */
import * as Backoff from "./backoff.js"

/**
 * What bounds a call, in plain numbers. What is absent is `Infinity` (a time) or 0 (a number).
 *
 * - `retries`, `backoff`, `retryAfterCapMillis`, `withinMillis`: the retry policy
 * - `totalMillis`: the deadline of the call, which cuts whatever is running
 * - `hedges`, `hedgeDelayMillis`: further requests beside a slow one
 * - `queueMillis`: how long one request may wait for a guard before it is sent
 * - `attemptMillis`: how long one request may take
 *
 * @since 0.1.0
 */
export interface Plan {
  readonly retries: number
  readonly backoff: Backoff.Backoff
  readonly retryAfterCapMillis: number
  readonly withinMillis: number
  readonly totalMillis: number
  readonly hedges: number
  readonly hedgeDelayMillis: number
  readonly queueMillis: number
  readonly attemptMillis: number
}

/**
 * @since 0.1.0
 */
export interface WorstCase {
  readonly attempts: number
  readonly calls: number
  readonly millis: number
}

/** The wait before a retry when this is drawn and the server asks for `floorMillis`. */
const waitMillis = (
  plan: Plan,
  attempt: number,
  previousMillis: number,
  unit: number,
  floorMillis: number
): number =>
  Math.min(
    Backoff.maxTimerMillis,
    Math.max(floorMillis, Backoff.delayMillis(plan.backoff, { attempt, previousMillis, unit }))
  )

/** So many retries are added up one by one. */
const exactly = 10_000

/** From there on they are taken in stretches, each a hundredth longer than the one before. */
const growth = 1.01

/**
 * All attempts that fail at once and wait as little as possible, as long as the next wait would end
 * in time. Waits never become shorter, so the first of a stretch is the least of it.
 */
const attemptsOf = (plan: Plan): number => {
  const deadline = Math.min(plan.withinMillis, plan.totalMillis)
  if (deadline === 0) return 1
  let elapsed = 0
  for (let retry = 0; retry < plan.retries;) {
    const wait = waitMillis(plan, retry, 0, 0, 0)
    const end = retry < exactly ? retry + 1 : Math.min(plan.retries, Math.ceil(retry * growth))
    const after = elapsed + wait * (end - retry)
    if (after >= deadline) return retry + Math.ceil((deadline - elapsed) / wait)
    elapsed = after
    retry = end
  }
  return plan.retries + 1
}

/**
 * All waits between so many attempts, each the highest draw or all that a server may ask for; a
 * decorrelated delay grows from the one before. Of a stretch the last is the most.
 */
const longestWaits = (plan: Plan, attempts: number): number => {
  let sum = 0
  let previous = 0
  for (let retry = 0; retry < attempts - 1;) {
    const end = retry < exactly ? retry + 1 : Math.min(attempts - 1, Math.ceil(retry * growth))
    previous = waitMillis(plan, end - 1, previous, 1, plan.retryAfterCapMillis)
    sum += previous * (end - retry)
    retry = end
  }
  return sum
}

/**
 * One attempt with its hedges. Each hedge begins when its time has come or when all before it have
 * failed.
 */
const attemptMillisOf = (plan: Plan): number => {
  const one = plan.queueMillis + plan.attemptMillis
  return one + (plan.hedges === 0 ? 0 : plan.hedges * Math.min(plan.hedgeDelayMillis, one))
}

/**
 * The worst case of one call.
 *
 * **Details** Budgets and breakers can only make it better, and may not, so they do not count.
 * `millis` is the limit that is not exceeded; it is `Infinity` where nothing bounds an attempt. The
 * work that finalizers do after a deadline is not part of it.
 *
 * O(1) in the number of retries: beyond 10,000 of them they are taken in stretches, and both limits
 * are up to a hundredth higher than they would have to be.
 *
 * @since 0.1.0
 */
export const worstCase = (plan: Plan): WorstCase => {
  const attempts = attemptsOf(plan)
  const one = attemptMillisOf(plan)
  const unbounded = one * attempts + longestWaits(plan, attempts)
  return {
    attempts,
    calls: attempts * (1 + plan.hedges),
    // The last wait ends before `within`, and one more attempt follows.
    millis: Math.min(plan.totalMillis, plan.withinMillis + one, unbounded)
  }
}
