/**
 * What a failure says about its call, in plain facts, and what follows from them. Our own errors
 * have these fields; the errors of the platform's client are brought into the same form.
 */
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import * as HttpStatus from "../core/httpStatus.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as TransportError from "../core/transportError.js"
import * as Verdict from "./Verdict.js"

/** The code of a success that could not be read. */
export const unreadable = "unreadable_response"

export interface Facts {
  readonly _tag: HttpStatus.Tag
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly repeat?: "never" | "transient" | undefined
  readonly inFlight?: boolean | undefined
  readonly deadline?: "attempt" | "total" | "server" | undefined
  readonly sent?: "no" | "unknown" | undefined
  readonly retryAfter?: Duration.Duration | undefined
}

/** Whether another try may succeed, when no playbook has spoken. */
const isTransient = (facts: Facts): boolean => {
  switch (facts._tag) {
    case "RateLimit":
    case "Network":
    case "Timeout":
      return true
    case "Conflict":
      return facts.inFlight === true
    case "Server":
      return facts.code === unreadable || HttpStatus.isTransientServer(facts.status)
    default:
      return false
  }
}

/** Whether the request may have been executed although it failed. When in doubt, yes. */
const isAmbiguous = (facts: Facts): boolean => {
  switch (facts._tag) {
    case "Auth":
    case "Policy":
    case "RateLimit":
      return false
    case "Conflict":
      return facts.inFlight !== true
    case "Network":
      return facts.sent !== "no"
    case "Timeout":
      return facts.deadline !== "server"
    case "Server":
      return facts.status !== 425
    default:
      return true
  }
}

/**
 * Retry-After counts on 429, 503 and a conflict in flight; on a lock only where a playbook says
 * that locks pass.
 */
const honouredWait = (facts: Facts): Duration.Duration | undefined =>
  facts._tag === "Server" && facts.status !== undefined && facts.status !== 503
    ? undefined
    : facts.retryAfter

/** What the facts mean for the next step. O(1). */
export const judge = (facts: Facts): Verdict.Verdict => {
  if (facts._tag === "Timeout" && facts.deadline === "total") return Verdict.terminal
  const repeatable = facts.repeat === undefined ? isTransient(facts) : facts.repeat === "transient"
  return repeatable
    ? Verdict.transient({ ambiguous: isAmbiguous(facts), retryAfter: honouredWait(facts) })
    : Verdict.terminal
}

/**
 * Server failures that say that nothing was done: too early, not implemented, version not
 * supported.
 */
const refusals: ReadonlySet<number | undefined> = new Set([425, 501, 505])

/** Whether nobody can say that it was not executed, whatever a playbook thinks of another try. */
const isLeftOpen = (facts: Facts): boolean => {
  switch (facts._tag) {
    case "Network":
      return facts.sent !== "no"
    case "Timeout":
      return facts.deadline !== "server"
    case "Server":
      return facts.code === unreadable || !refusals.has(facts.status)
    default:
      return false
  }
}

/** Whether the call may have been executed. O(1). */
export const mayHaveRun = (facts: Facts): boolean => {
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
  }
}

/** The tag that the status of a platform `ResponseError` means; none for anything else. */
export const tagOfResponseError = (error: unknown): HttpStatus.Tag | undefined =>
  isHttpClientError(error) && error.response !== undefined
    ? HttpStatus.tagOf(error.response.status)
    : undefined

/** What an error of the platform's client says; nothing where no request was made. */
export const ofHttpClientError = (error: HttpClientErrorLike): Facts | undefined => {
  switch (error.reason) {
    case "Transport": {
      const { permanent, sent } = TransportError.read(error.cause)
      return { _tag: "Network", sent, repeat: permanent ? "never" : undefined }
    }
    case "StatusCode": {
      const { headers, status } = error.response!
      const wait = RetryAfter.parse(headers["retry-after"], {
        nowMillis: NaN,
        dateHeader: headers.date
      })
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
