/** Classifies how a call ended by what it says about the upstream. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Circuit from "../../core/circuit.js"
import * as ApiError from "../../errors/ApiError.js"
import { tagOfResponseError } from "../../errors/failureFacts.js"
import { UnknownOutcome } from "../../errors/idempotencyErrors.js"
import * as Rejection from "../../errors/Rejection.js"
import * as Validate from "../../runtime/validate.js"

/**
 * What an ended call says about the upstream. `Ignored` says nothing. `retryAfter` is the wait that
 * the server asked for.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | {
    /** Names the case. */
    readonly _tag: "Success"
  }
  | {
    /** Names the case. */
    readonly _tag: "Failure"
    /** How long the server asked to wait. */
    readonly retryAfter?: Duration.Duration | undefined
  }
  | {
    /** Names the case. */
    readonly _tag: "Ignored"
    /** How long the server asked to wait. */
    readonly retryAfter?: Duration.Duration | undefined
  }

/**
 * The upstream works.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const success: Outcome = { _tag: "Success" }

/**
 * The upstream does not work. A `retryAfter` lengthens the opening that this failure causes.
 * Invalid durations throw `RangeError`.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const failure = (
  options?: {
    /** How long the server asked to wait. Lengthens the opening that this failure causes. */
    readonly retryAfter?: Duration.DurationInput | undefined
  }
): Outcome =>
  options?.retryAfter === undefined
    ? { _tag: "Failure" }
    : { _tag: "Failure", retryAfter: Validate.duration("retryAfter", options.retryAfter) }

/**
 * Says nothing about the upstream.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const ignored: Outcome = { _tag: "Ignored" }

/** A wait that a server asked for, kept in an outcome. */
const waiting = (_tag: "Failure" | "Ignored", retryAfter: Duration.Duration | undefined): Outcome =>
  retryAfter === undefined ? { _tag } : { _tag, retryAfter }

const classifyError = (error: unknown): Outcome => {
  if (Rejection.isRejection(error) || error instanceof UnknownOutcome) return ignored
  // An answer that is not of the expected form is a contract that has changed, not an outage.
  if (ApiError.isApiError(error) && error.code === "unexpected_response") return success
  const tag = ApiError.isApiError(error) ? error._tag : tagOfResponseError(error)
  switch (tag) {
    case "Auth":
    case "Policy":
    case "Validation":
    case "NotFound":
    case "Conflict":
    case "Locked":
      return success
    default: {
      const verdict = ApiError.verdict(error)
      const retryAfter = verdict._tag === "Terminal"
        ? undefined
        : Option.getOrUndefined(verdict.retryAfter)
      return waiting(tag === "RateLimit" ? "Ignored" : "Failure", retryAfter)
    }
  }
}

/**
 * Classifies an exit by what it says about the upstream.
 *
 * **Details**
 *
 * - Success: a success, and so are `Auth`, `Policy`, `Validation`, `NotFound`, `Conflict` and
 *   `Locked`: the server evidently works. So is an answer that does not fit its schema (code
 *   `unexpected_response`): no outage.
 * - `Server`, `Timeout`, `Network`, defects and errors that are not ours: failures.
 * - `RateLimit`, interruption and the rejections of our own guards: ignored.
 * - A `ResponseError` of the platform's client goes by its status.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success
  if (Cause.isInterruptedOnly(exit.cause)) return ignored
  const error = Cause.failureOption(exit.cause)
  return Option.isNone(error) || Option.isSome(Cause.dieOption(exit.cause))
    ? failure()
    : classifyError(error.value)
}

/**
 * Computes what is recorded of an exit. An interrupted call that was already too slow counts as
 * slow: otherwise a server that never answers would not open the circuit.
 */
export const resultOf = (
  policy: Circuit.Policy,
  exit: Exit.Exit<unknown, unknown>,
  outcome: Outcome,
  durationMillis: number,
  unit: number
): Circuit.Result => {
  const retryAfterMillis = outcome._tag === "Success" || outcome.retryAfter === undefined
    ? undefined
    : Duration.toMillis(outcome.retryAfter)
  const isSlowInterruption = outcome._tag === "Ignored" && policy.slow !== undefined &&
    durationMillis > policy.slow.overMillis && Exit.isFailure(exit) &&
    Cause.isInterruptedOnly(exit.cause)
  return {
    _tag: isSlowInterruption ? "Success" : outcome._tag,
    retryAfterMillis,
    durationMillis,
    unit
  }
}
