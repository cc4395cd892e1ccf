/**
 * Classifies how a call ended by what it says about the load of the upstream. Whether the upstream
 * works is another question.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as ApiError from "../../errors/ApiError.js"
import { tagOfResponseError } from "../../errors/failureFacts.js"
import { classify, failure, ignored, type Outcome, success } from "../circuitBreaker/outcome.js"

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

const tagOf = (error: unknown): ApiError.ApiError["_tag"] | undefined =>
  ApiError.isApiError(error) ? error._tag : tagOfResponseError(error)

/** Says whether the upstream accepted the call: what a breaker says, and a 429 is a refusal. */
export const acceptance = (exit: Exit.Exit<unknown, unknown>): Outcome =>
  tagOf(errorOf(exit)) === "RateLimit" ? failure() : classify(exit)

const isOverloaded = (error: unknown): boolean => {
  switch (tagOf(error)) {
    case "RateLimit":
    case "Timeout":
      return true
    case "Server":
      return [503, 504].includes(statusOf(error))
    default:
      return Cause.isTimeoutException(error)
  }
}

const statusOf = (error: unknown): number =>
  ApiError.isApiError(error)
    ? error.status ?? NaN
    : (error as { readonly response: { readonly status: number } }).response.status

/**
 * Says whether the upstream was overloaded: only a refusal for that reason, or an answer that came
 * too late, is a drop.
 */
export const dropping = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success
  return Option.isNone(Cause.dieOption(exit.cause)) && isOverloaded(errorOf(exit))
    ? failure()
    : ignored
}
