/**
 * What the end of a call counts as: few words, so that a metric that is tagged with them stays small whatever goes wrong.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "./ApiError.js"
import * as Rejection from "./Rejection.js"

/**
 * Which family an end belongs to.
 *
 * - `success`
 * - `4xx`, `5xx`: the API answered so, or an error says that it would have
 * - `unanswered`: no answer came; a time-out or a broken connection
 * - `rejected`: one of our guards turned it away, so it says nothing about the API
 * - `interrupted`: whoever wanted it went away
 * - `failed`: anything else, such as a defect or an error of the caller's own
 */
export type Family = "success" | "4xx" | "5xx" | "unanswered" | "rejected" | "interrupted" | "failed"

/** `name` is a tag of ours, or one of `success`, `interrupted`, `defect`, `other`. */
export interface Outcome {
  readonly name: string
  readonly family: Family
  readonly error: unknown
}

const success: Outcome = { name: "success", family: "success", error: undefined }

const interrupted: Outcome = { name: "interrupted", family: "interrupted", error: undefined }

/** Tags of ours that are neither errors of an API nor rejections. Tags of others could be as many as they like. */
const known: ReadonlySet<string> = new Set([
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

const familyOf = (error: ApiError.ApiError): Family => {
  if (error._tag === "Network") return "unanswered"
  if (error.status !== undefined) return ofStatus(error.status)
  if (error._tag === "Timeout") return "unanswered"
  return error._tag === "Server" ? "5xx" : "4xx"
}

const tagOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string" && known.has(error._tag) ? error._tag : "other"

const ofError = (error: unknown): Outcome => {
  if (ApiError.isApiError(error)) return { name: error._tag, family: familyOf(error), error }
  if (Rejection.isRejection(error)) {
    // A guard of the program's own has a name of the program's own, one for each class.
    return { name: hasProperty(error, "_tag") ? String(error._tag) : "other", family: "rejected", error }
  }
  return { name: tagOf(error), family: "failed", error }
}

/** What an exit counts as. O(size of the cause). */
export const of = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return success
  if (Cause.isInterruptedOnly(exit.cause)) return interrupted
  const defect = Cause.dieOption(exit.cause)
  if (Option.isSome(defect)) return { name: "defect", family: "failed", error: undefined }
  return Option.match(Cause.failureOption(exit.cause), { onNone: () => interrupted, onSome: ofError })
}
