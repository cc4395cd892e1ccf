/**
 * Reads from a failure the facts about its call, and decides what follows from them. Errors of this
 * library have these fields; the errors of the platform's client are brought into the same form.
 */
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import * as HttpStatus from "../core/httpStatus.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as TransportError from "../core/transportError.js"
import * as Verdict from "./Verdict.js"

/** The code of a success that could not be read. */
export const unreadable = "unreadable_response"

/** The code of a success that could be read and is not what the contract says. */
export const unexpected = "unexpected_response"

export interface Facts {
  readonly _tag: HttpStatus.Tag
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly repeat?: "never" | "transient" | undefined
  readonly inFlight?: boolean | undefined
  readonly deadline?: "attempt" | "total" | "server" | undefined
  readonly sent?: "no" | "unknown" | undefined
  readonly retryAfter?: Duration.Duration | undefined
  /** Said by what made the error: an API whose words decide, or an earlier attempt. */
  readonly mayHaveRun?: boolean | undefined
}

/** Server failures that are permanent, beside 501 and 505 (RFC 2295, 5842, 2774, 6585). */
const permanent: ReadonlySet<number | undefined> = new Set([506, 508, 510, 511])

/** Tests whether another try may succeed, when no playbook has spoken. */
const isTransient = (facts: Facts): boolean => {
  switch (facts._tag) {
    case "RateLimit":
    case "Network":
    case "Timeout":
      return true
    case "Conflict":
      return facts.inFlight === true
    case "Server":
      return facts.code === unreadable ||
        (HttpStatus.isTransientServer(facts.status) && !permanent.has(facts.status))
    case "Validation":
      // Too large, for now (RFC 9110 section 15.5.14).
      return facts.status === 413 && facts.retryAfter !== undefined
    default:
      return false
  }
}

/**
 * Server failures that say that nothing was done: too early, not implemented, version not
 * supported.
 */
const refusals: ReadonlySet<number | undefined> = new Set([425, 501, 505])

/**
 * Tests whether a status alone leaves open what the server did, whatever the body calls it: a
 * failure of the server, or no final answer.
 */
export const leavesOpen = (status: number | undefined): boolean =>
  status !== undefined && !refusals.has(status) &&
  (status >= 500 || status < 200 || (status >= 300 && status < 400))

/** Tests whether the request may have been executed although it failed. When in doubt, yes. */
const isAmbiguous = (facts: Facts): boolean => {
  if (facts.mayHaveRun !== undefined) return facts.mayHaveRun
  switch (facts._tag) {
    case "Auth":
    case "Policy":
    case "RateLimit":
      return leavesOpen(facts.status)
    case "Conflict":
      return facts.inFlight !== true || leavesOpen(facts.status)
    case "Network":
      return facts.sent !== "no"
    case "Timeout":
      return facts.deadline !== "server" || leavesOpen(facts.status)
    case "Server":
      return facts.status !== 425
    case "Validation":
      return facts.status !== 413
    default:
      return true
  }
}

/**
 * Judges an error for this kind of operation. A success that could not be read was executed: for an
 * unsafe operation it is final, whatever the verdict. A rejection or a refusal after an attempt
 * that may have been executed is as ambiguous as that attempt.
 */
export const judge = (facts: Facts): Verdict.Verdict => {
  if (facts._tag === "Timeout" && facts.deadline === "total") return Verdict.terminal
  if (facts._tag === "Server" && facts.code === unexpected) return Verdict.terminal
  const repeatable = facts.repeat === undefined ? isTransient(facts) : facts.repeat === "transient"
  return repeatable
    ? Verdict.transient({ ambiguous: isAmbiguous(facts), retryAfter: facts.retryAfter })
    : Verdict.terminal
}

/** Tests whether the call may have been executed, whatever a playbook thinks of another try. */
const isLeftOpen = (facts: Facts): boolean => {
  if (facts.mayHaveRun === true) return true
  switch (facts._tag) {
    case "Network":
      return facts.sent !== "no"
    case "Timeout":
      return facts.deadline !== "server" || leavesOpen(facts.status)
    case "Server":
      return facts.code === unreadable || facts.code === unexpected || !refusals.has(facts.status)
    default:
      return leavesOpen(facts.status)
  }
}

/** Tests whether the call may have been executed. O(1). */
export const mayHaveRun = (facts: Facts): boolean => {
  if (facts.mayHaveRun !== undefined) return facts.mayHaveRun
  const verdict = judge(facts)
  return isLeftOpen(facts) || (verdict._tag === "Transient" && verdict.ambiguous)
}

/**
 * The platform's `HttpClientError`, recognised by its brand so that a program without HTTP does not
 * load the client.
 */
export const isHttpClientError = (u: unknown): u is HttpClientErrorLike =>
  hasProperty(u, Symbol.for("@effect/platform/HttpClientError"))

export interface HttpClientErrorLike {
  readonly _tag: "RequestError" | "ResponseError"
  readonly reason: "Transport" | "Encode" | "InvalidUrl" | "StatusCode" | "Decode" | "EmptyBody"
  readonly cause?: unknown
  readonly response?: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly source?: unknown
    readonly original?: unknown
  }
}

/** The tag that the status of a platform `ResponseError` means; none for anything else. */
export const tagOfResponseError = (error: unknown): HttpStatus.Tag | undefined =>
  isHttpClientError(error) && error.response !== undefined
    ? HttpStatus.tagOf(error.response.status)
    : undefined

/** Reads the facts from an error of the platform's client; undefined where no request was made. */
export const ofHttpClientError = (error: HttpClientErrorLike): Facts | undefined => {
  switch (error.reason) {
    case "Transport": {
      const { permanent, sent } = TransportError.read(error.cause)
      return { _tag: "Network", sent, repeat: permanent ? "never" : undefined }
    }
    case "StatusCode": {
      const { status } = error.response!
      const wait = RetryAfter.ofHeaders(RetryAfter.headersOf(error.response!), Number.NaN)
      return {
        _tag: HttpStatus.tagOf(status),
        status,
        deadline: "server",
        retryAfter: wait !== undefined && Number.isFinite(wait) ? Duration.millis(wait) : undefined
      }
    }
    case "Decode":
    case "EmptyBody":
      return { _tag: "Server", status: error.response!.status, code: unreadable }
    default:
      return undefined
  }
}
