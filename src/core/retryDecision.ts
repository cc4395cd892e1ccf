/**
 * Decides whether to retry, and after how long, as one pure function.
 *
 * The driver in `Retry`, the schedules in `Schedules` and the property tests ask the same function,
 * so none of them can disagree about which failures may be repeated.
 */
import * as Backoff from "./backoff.js"

/**
 * What a failure means for a retry, times in milliseconds.
 *
 * @since 0.1.0
 */
export type Verdict =
  | {
    readonly _tag: "Transient"
    readonly ambiguous: boolean
    readonly retryAfterMillis: number | undefined
  }
  | { readonly _tag: "Terminal"; readonly retryAfterMillis?: undefined }
  | { readonly _tag: "Rejected"; readonly retryAfterMillis: number | undefined }

/**
 * The four kinds of call.
 *
 * @since 0.1.0
 */
export type Operation = "Read" | "Idempotent" | "Keyed" | "Once"

/**
 * A retry policy in plain numbers. `withinMillis` is `Infinity` where there is no deadline.
 *
 * @since 0.1.0
 */
export interface Policy {
  readonly operation: Operation
  readonly backoff: Backoff.Backoff
  readonly retries: number
  readonly withinMillis: number
  readonly retryAfterCapMillis: number
  readonly beyondCap: "fail" | "clamp"
  readonly waitForRejections: boolean
}

/**
 * What the decision depends on besides the policy. `attempt` counts from 0 after the first failure.
 *
 * @since 0.1.0
 */
export interface Input extends Backoff.Draw {
  readonly verdict: Verdict
  readonly elapsedMillis: number
  readonly budgetLeft: boolean
}

/**
 * Why a retry ended.
 *
 * @since 0.1.0
 */
export type StopReason =
  | "terminal"
  | "notRepeatable"
  | "retries"
  | "deadline"
  | "budget"
  | "rejected"
  | "retryAfter"

/**
 * Wait and try again, or stop.
 *
 * @since 0.1.0
 */
export type Decision =
  | { readonly _tag: "Retry"; readonly delayMillis: number }
  | { readonly _tag: "Stop"; readonly reason: StopReason }

const stop = (reason: StopReason): Decision => ({ _tag: "Stop", reason })

/**
 * Why this failure may not be repeated whatever the schedule says, or `undefined` when it may.
 *
 * A failure that may have been executed is never repeated for `Once`. O(1).
 *
 * @since 0.1.0
 */
export const refusal = (
  operation: Operation,
  verdict: Verdict,
  waitForRejections: boolean
): "terminal" | "notRepeatable" | "rejected" | undefined => {
  switch (verdict._tag) {
    case "Terminal":
      return "terminal"
    case "Rejected":
      return waitForRejections ? undefined : "rejected"
    case "Transient":
      return verdict.ambiguous && operation === "Once" ? "notRepeatable" : undefined
  }
}

/**
 * The wait that the server asked for, in milliseconds (0 when it asked for none), or `undefined`
 * when it is more than the caller will wait.
 *
 * A wait equal to the cap is honoured. A rejection by one of our own guards is never cut short:
 * trying earlier than it says can only be rejected again. O(1).
 *
 * @since 0.1.0
 */
export const floorMillis = (
  verdict: Verdict,
  policy: Pick<Policy, "retryAfterCapMillis" | "beyondCap">
): number | undefined => {
  const asked = verdict.retryAfterMillis ?? 0
  if (asked <= policy.retryAfterCapMillis && asked !== Infinity) return asked
  return policy.beyondCap === "clamp" && verdict._tag === "Transient"
    ? policy.retryAfterCapMillis
    : undefined
}

/**
 * The decision. The server's wait is a floor for the delay, never a replacement; a delay that would
 * not end before the deadline is not begun. O(1).
 *
 * @since 0.1.0
 */
export const decide = (policy: Policy, input: Input): Decision => {
  const { attempt, budgetLeft, elapsedMillis, verdict } = input
  const refused = refusal(policy.operation, verdict, policy.waitForRejections)
  if (refused !== undefined) return stop(refused)
  if (attempt >= policy.retries) return stop("retries")
  const floor = floorMillis(verdict, policy)
  if (floor === undefined) return stop("retryAfter")
  const delayMillis = Math.min(
    Backoff.maxTimerMillis,
    Math.max(floor, Backoff.delayMillis(policy.backoff, input))
  )
  if (elapsedMillis + delayMillis >= policy.withinMillis) return stop("deadline")
  if (!budgetLeft && verdict._tag === "Transient") return stop("budget")
  return { _tag: "Retry", delayMillis }
}
