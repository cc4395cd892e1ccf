/** The options of a retry policy, and its decision about one failure. */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Core from "../core/retryDecision.js"
import * as ApiError from "../errors/ApiError.js"
import type * as IdempotencyErrors from "../errors/idempotencyErrors.js"
import * as Rejection from "../errors/Rejection.js"
import type * as Verdict from "../errors/Verdict.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Misnamed } from "../runtime/misnamed.js"
import * as Validate from "../runtime/validate.js"
import * as Backoff from "./Backoff.js"
import type * as RetryBudget from "./RetryBudget.js"

/**
 * A retry policy, as data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Base<R = never> extends
  Misnamed<{
    attempts: "use retries: calls after the first"
    maxAttempts: "use retries: calls after the first"
    maxRetries: "use retries: calls after the first"
    times: "use retries: calls after the first"
    schedule: "use backoff: a Backoff, such as Backoff.exponential({ base: \"200 millis\" })"
    delay: "use backoff: a Backoff, such as Backoff.constant(\"1 second\")"
    while: "use verdict: a function from the error to a Verdict"
    timeout: "use Timeout.timeout around each attempt, or within for the whole retry"
  }>
{
  /** Says what a second execution would mean (required). `keyed` demands an `IdempotencyKey`. */
  readonly operation: Operation.Operation<R>
  /**
   * The delays between attempts. Default: exponential from 200 ms, factor 2, cap 20 s, full jitter.
   */
  readonly backoff?: Backoff.Backoff | undefined
  /** How many attempts follow the first. Default 2. */
  readonly retries?: number | undefined
  /**
   * Begins no delay that would end later than this after the first attempt began. Does not
   * interrupt a running attempt. Default: no limit.
   */
  readonly within?: Duration.DurationInput | undefined
  /**
   * Pays for retries: a retry takes a token, a success pays in. Share one per upstream. Default:
   * none.
   */
  readonly budget?: RetryBudget.RetryBudget | undefined
  /** The longest wait that a server may ask for. Default 60 s. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /**
   * A server's wait above `retryAfterCap` stops the retry (`"fail"`, the default) or is cut to it
   * (`"clamp"`).
   */
  readonly beyondCap?: "fail" | "clamp" | undefined
  /** Retries calls that a guard of this library rejected, after its wait. Default false. */
  readonly waitForRejections?: boolean | undefined
  /**
   * `"allow"` accepts a retry inside or around this one. Default: a warning, since the attempts
   * multiply.
   */
  readonly nested?: "allow" | undefined
}

/**
 * The errors that have a verdict without a `verdict` option: those of this library, those of the
 * platform's HTTP client, and `TimeoutException`.
 *
 * @since 0.1.0
 * @category models
 */
export type Known =
  | ApiError.ApiError
  | Rejection.Rejection
  | IdempotencyErrors.IdempotencyError
  | HttpClientError.HttpClientError
  | Cause.TimeoutException

/**
 * A retry policy with a `verdict` of its own. Without it `ApiError.verdict` decides: other errors
 * than `Known` are not repeated, and the log says so once for each tag.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R = never> extends Base<R> {
  /** Says what an error means for another try. Default `ApiError.verdict`. */
  readonly verdict?: ((error: E) => Verdict.Verdict) | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `backoff`. */
  backoff: Backoff.standard,
  /** Default of the option `retries`. */
  retries: 2,
  /** Default of the option `retryAfterCap`. */
  retryAfterCap: Duration.minutes(1),
  /** Default of the option `beyondCap`. */
  beyondCap: "fail",
  /** Default of the option `waitForRejections`. */
  waitForRejections: false
} as const

/**
 * The next step of the driver. `delayMillis` is finite and at most 2^31-1.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | {
    /** Names the decision. */
    readonly _tag: "Retry"
    /** How long to wait, in milliseconds: finite, at most 2^31-1. */
    readonly delayMillis: number
  }
  | {
    /** Names the decision. */
    readonly _tag: "Stop"
    /** Why the retry stops. */
    readonly reason: StopReason
  }

/**
 * Why the retry stopped.
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

/**
 * Tests whether a call that made attempts inside of this one says that one may have been executed.
 */
const isMarked = (error: unknown): boolean =>
  (ApiError.isApiError(error) || Rejection.isRejection(error)) && error.mayHaveRun === true

/**
 * Judges an error for this kind of operation. A success that could not be read was executed: for an
 * unsafe operation it is final, whatever the verdict. A rejection or a refusal after an attempt
 * that may have been executed is as ambiguous as that attempt.
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
 * Decides about one failure, as a pure function.
 *
 * **Details**
 *
 * `attempt` counts from 0 after the first failure, `elapsedMillis` from the start of the first
 * attempt, `previousMillis` is the delay before this one, `unit` a draw from `[0, 1)`, `budgetLeft`
 * whether the budget has a token (default true). Invalid options throw `RangeError`. O(1).
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
  /** What the failure means. */
  readonly verdict: Verdict.Verdict
  /** Counts from 0 after the first failure. */
  readonly attempt: number
  /** The time since the first attempt began, in milliseconds. */
  readonly elapsedMillis: number
  /** The delay before this one, in milliseconds. */
  readonly previousMillis: number
  /** A random draw from `[0, 1)`. */
  readonly unit: number
  /** True when the budget has a token. Default true. */
  readonly budgetLeft?: boolean | undefined
}): Decision =>
  Core.decide(policyFor(options), {
    ...input,
    verdict: toCore(input.verdict),
    budgetLeft: input.budgetLeft ?? true
  })
