/**
 * A retry policy: its options, and what it decides about one failure.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Core from "../core/retryDecision.js"
import * as ApiError from "../errors/ApiError.js"
import * as Rejection from "../errors/Rejection.js"
import type * as Verdict from "../errors/Verdict.js"
import type * as Operation from "../idempotency/Operation.js"
import * as Validate from "../runtime/validate.js"
import * as Backoff from "./Backoff.js"
import type * as RetryBudget from "./RetryBudget.js"

/**
 * A retry policy, as data.
 *
 * **Details**
 *
 * - `operation`: what running it twice would mean. `keyed` demands an `IdempotencyKey`.
 * - `backoff`: the delays. Default: exponential from 200 ms, doubling, capped at 20 s, full jitter.
 * - `retries`: calls after the first. Default 2.
 * - `within`: no delay is begun that would not end before this much time has passed since the start
 *   of the first attempt. It bounds the waiting; it does not interrupt a running attempt. Default:
 *   none.
 * - `budget`: shared by all calls to one upstream; a retry takes a token, a success pays in.
 * - `retryAfterCap`: the longest wait that a server may ask for. Default 60 s. Beyond it:
 *   `beyondCap: "fail"` (default) stops, `"clamp"` waits for the cap.
 * - `waitForRejections`: whether to wait when one of our own guards turned the call away. Default
 *   false.
 *
 * @since 0.1.0
 * @category models
 */
export interface Base<R = never> {
  readonly operation: Operation.Operation<R>
  readonly backoff?: Backoff.Backoff | undefined
  readonly retries?: number | undefined
  readonly within?: Duration.DurationInput | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly retryAfterCap?: Duration.DurationInput | undefined
  readonly beyondCap?: "fail" | "clamp" | undefined
  readonly waitForRejections?: boolean | undefined
}

/**
 * A retry policy that judges errors itself. Without `verdict`, `ApiError.verdict` does: errors that
 * are not understood are not repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R = never> extends Base<R> {
  readonly verdict?: ((error: E) => Verdict.Verdict) | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  backoff: Backoff.standard,
  retries: 2,
  retryAfterCap: Duration.minutes(1),
  beyondCap: "fail",
  waitForRejections: false
} as const

/**
 * What the driver does next. `delayMillis` is finite and at most 2^31-1.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Retry"; readonly delayMillis: number }
  | { readonly _tag: "Stop"; readonly reason: StopReason }

/**
 * Why there was no further attempt.
 *
 * - `terminal`: another try would fail the same way
 * - `notRepeatable`: it may have been executed, and the operation is `once`
 * - `retries`: the agreed number has been made
 * - `deadline`: the next delay would not end in time
 * - `budget`: the shared budget is spent
 * - `rejected`: one of our guards turned the call away
 * - `retryAfter`: the server asked for a longer wait than `retryAfterCap`
 *
 * @since 0.1.0
 * @category models
 */
export type StopReason =
  | "terminal"
  | "notRepeatable"
  | "retries"
  | "deadline"
  | "budget"
  | "rejected"
  | "retryAfter"

/** Options that have been checked, in plain numbers. */
const policyOf = (options: Base<unknown>): Core.Policy => ({
  operation: options.operation._tag,
  backoff: Backoff.toCore(options.backoff ?? defaults.backoff),
  retries: Validate.integer("retries", options.retries ?? defaults.retries, 0),
  withinMillis: options.within === undefined
    ? Infinity
    : Duration.toMillis(Validate.duration("within", options.within)),
  retryAfterCapMillis: Duration.toMillis(
    Validate.duration("retryAfterCap", options.retryAfterCap ?? defaults.retryAfterCap)
  ),
  beyondCap: options.beyondCap ?? defaults.beyondCap,
  waitForRejections: options.waitForRejections ?? defaults.waitForRejections
})

const policies = new WeakMap<Base<unknown>, Core.Policy>()

/**
 * Options are immutable data: each object is checked once, however many effects are retried with
 * it.
 */
export const policyFor = (options: Base<unknown>): Core.Policy => {
  let policy = policies.get(options)
  if (policy === undefined) policies.set(options, policy = policyOf(options))
  return policy
}

/** Throws the `RangeError` that retrying with these options would. */
export const check = (options: Base<unknown>): void => void policyFor(options)

/** A verdict in plain numbers, for the core. */
export const toCore = (verdict: Verdict.Verdict): Core.Verdict =>
  verdict._tag === "Terminal" ? verdict : {
    ...verdict,
    retryAfterMillis: Option.getOrUndefined(Option.map(verdict.retryAfter, Duration.toMillis))
  }

/** Whether a call that made attempts inside of this one says that one may have been executed. */
const isMarked = (error: unknown): boolean =>
  (ApiError.isApiError(error) || Rejection.isRejection(error)) && error.mayHaveRun === true

/**
 * What an error means for this kind of operation. A success that could not be read was executed:
 * for an unsafe operation it is final, whatever the verdict says. A rejection or a refusal after an
 * attempt that may have been executed is as ambiguous as that attempt.
 */
export const judge = <E>(
  operation: Operation.Operation<unknown>,
  verdict: (error: E) => Verdict.Verdict,
  error: E
): Core.Verdict => {
  if ((operation._tag === "Keyed" || operation._tag === "Once") && ApiError.isUnreadable(error)) {
    return { _tag: "Terminal" }
  }
  const judged = toCore(verdict(error))
  return operation._tag === "Once" && judged._tag !== "Terminal" && isMarked(error)
    ? { ...judged, _tag: "Transient", ambiguous: true }
    : judged
}

/**
 * The decision itself, pure: what the driver does about one failure.
 *
 * **Details**
 *
 * `attempt` counts from 0 after the first failure, `elapsedMillis` from the start of the first
 * attempt, `previousMillis` is the delay before this one, `unit` a draw from `[0, 1)`, `budgetLeft`
 * whether the budget has a token (default true). Throws a `RangeError` for nonsense options. O(1).
 *
 * **Example** (A refused connection may be tried again even without a key)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 *
 * const policy = { operation: Operation.once, backoff: Backoff.constant("1 second") }
 * const failure = { attempt: 0, elapsedMillis: 0, previousMillis: 0, unit: 0 }
 *
 * const refused = Verdict.transient({ ambiguous: false })
 * const lost = Verdict.transient({ ambiguous: true })
 *
 * Retry.decide(policy, { ...failure, verdict: refused })._tag // => "Retry"
 * Retry.decide(policy, { ...failure, verdict: lost })._tag // => "Stop"
 * ```
 *
 * @since 0.1.0
 * @category decisions
 */
export const decide = (options: Base<unknown>, input: {
  readonly verdict: Verdict.Verdict
  readonly attempt: number
  readonly elapsedMillis: number
  readonly previousMillis: number
  readonly unit: number
  readonly budgetLeft?: boolean | undefined
}): Decision =>
  Core.decide(policyFor(options), {
    ...input,
    verdict: toCore(input.verdict),
    budgetLeft: input.budgetLeft ?? true
  })
