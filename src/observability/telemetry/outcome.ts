/** Classifies how a call ended in few words, so that a metric with this label stays small. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../../errors/ApiError.js"
import * as FailureFacts from "../../errors/failureFacts.js"
import * as Rejection from "../../errors/Rejection.js"

/**
 * Which family an end belongs to.
 *
 * - `success`
 * - `4xx`, `5xx`: the API answered so, or an error says that it would have
 * - `unanswered`: no answer came; a time-out or a broken connection
 * - `rejected`: one of our guards turned it away, so it says nothing about the API
 * - `interrupted`: the caller went away
 * - `failed`: anything else, such as a defect or an error of the caller's own
 */
export type Family =
  | "success"
  | "4xx"
  | "5xx"
  | "unanswered"
  | "rejected"
  | "interrupted"
  | "failed"

/** `name` is a tag of ours, or one of `success`, `interrupted`, `defect`, `other`. */
export interface Outcome {
  readonly name: string
  readonly family: Family
  readonly error: unknown
}

const success: Outcome = { name: "success", family: "success", error: undefined }

const interrupted: Outcome = { name: "interrupted", family: "interrupted", error: undefined }

/** Tags of ours that are not errors of an API. Tags of others could be as many as they like. */
const known: ReadonlySet<string> = new Set([
  "BulkheadFull",
  "CircuitOpen",
  "ConcurrencyLimited",
  "CoolingDown",
  "QueueTimeout",
  "RateLimited",
  "Throttled",
  "InFlight",
  "StoreUnavailable",
  "UnknownOutcome",
  "Mismatch",
  "ResultUnavailable",
  "CorruptRecord",
  "FingerprintError",
  "SubmitFailed",
  "PollFailed",
  "PollingTimeout",
  "JobFailed"
])

const ofStatus = (status: number): Family => {
  if (status >= 500) return "5xx"
  // A redirect that is not followed and an answer that cannot be read are neither.
  return status >= 400 ? "4xx" : "failed"
}

const familyOf = ({ _tag, status }: Pick<FailureFacts.Facts, "_tag" | "status">): Family => {
  if (_tag === "Network") return "unanswered"
  if (status !== undefined) return ofStatus(status)
  if (_tag === "Timeout") return "unanswered"
  return _tag === "Server" ? "5xx" : "4xx"
}

/** A tag of ours, as it may be printed anywhere. */
const tagOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string" && known.has(error._tag)
    ? error._tag
    : "other"

/** What the platform and Effect itself say in other words. */
const factsOf = (error: unknown): Pick<FailureFacts.Facts, "_tag" | "status"> | undefined => {
  if (Cause.isTimeoutException(error)) return { _tag: "Timeout" }
  return FailureFacts.isHttpClientError(error) ? FailureFacts.ofHttpClientError(error) : undefined
}

const ofError = (error: unknown): Outcome => {
  if (Rejection.isRejection(error)) return { name: tagOf(error), family: "rejected", error }
  if (ApiError.isApiError(error)) return { name: error._tag, family: familyOf(error), error }
  const facts = factsOf(error)
  return facts === undefined
    ? { name: tagOf(error), family: "failed", error }
    : { name: facts._tag, family: familyOf(facts), error }
}

/** Classifies an exit. O(size of the cause). */
export const of = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success
  if (Cause.isInterruptedOnly(exit.cause)) return interrupted
  const defect = Cause.dieOption(exit.cause)
  if (Option.isSome(defect)) return { name: "defect", family: "failed", error: undefined }
  return Option.match(Cause.failureOption(exit.cause), {
    onNone: () => interrupted,
    onSome: ofError
  })
}

/**
 * Copies an exit for a span, whose exporter may print all of it: an error of another library is
 * reduced to its name.
 */
export const shown = (
  exit: Exit.Exit<unknown, unknown>,
  { error, family, name }: Outcome
): Exit.Exit<unknown, unknown> => {
  if (family === "success") return Exit.void
  return family === "interrupted" || ApiError.isApiError(error) ? exit : Exit.fail(name)
}
