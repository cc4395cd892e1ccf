/** Adds to the text of an error which call it is about, so that a log line is enough by itself. */
import * as ApiError from "../errors/ApiError.js"
import { singleLine } from "../errors/redaction/controls.js"
import { storyOf } from "../errors/story.js"
import type { StopReason } from "../retry/policy.js"
import type { Call, Config } from "./call.js"

const reasons: Readonly<Record<StopReason, string>> = {
  terminal: "not repeated: another try would fail the same way",
  notRepeatable: "not repeated: it may have been executed",
  retries: "no retry is left",
  deadline: "no time is left for a retry",
  budget: "the retry budget is spent",
  rejected: "a guard turned the next attempt away",
  retryAfter: "the API asks for a longer wait than is allowed"
}

const isReason = (reason: string): reason is StopReason => Object.hasOwn(reasons, reason)

/** The API, the method and the template of a call. */
const callOf = ({ name }: Config, { endpoint, request: { method } }: Call): string =>
  singleLine(`${name} ${method} ${endpoint}`)

/** What the message does not say yet. */
const factsOf = (config: Config, call: Call, error: ApiError.ApiError): ReadonlyArray<string> => {
  const { message, status } = error
  const { stopReason } = storyOf(error)
  return [
    callOf(config, call),
    ...(status === undefined || message.includes(`HTTP ${status}`) ? [] : [`HTTP ${status}`]),
    ...(call.sent === 0 ? ["not sent"] : [call.sent === 1 ? "1 attempt" : `${call.sent} attempts`]),
    ...(stopReason !== undefined && isReason(stopReason) ? [reasons[stopReason]] : [])
  ]
}

const tell = (config: Config, call: Call, error: ApiError.ApiError): string =>
  factsOf(config, call, error).join(", ")

/** Adds a line below the first one of a stack: what prints the error prints it. */
const withLine = (error: ApiError.ApiError, line: string): ApiError.ApiError => {
  const first = `${error.name}: ${error.message}`
  const { stack = first } = error
  return Object.defineProperty(error, "stack", {
    value: stack.startsWith(first)
      ? `${first}\n    in ${line}${stack.slice(first.length)}`
      : `${stack}\n    in ${line}`,
    configurable: true,
    writable: true,
    enumerable: false
  })
}

/**
 * The error with the number of requests and, in its text, with the call that it is about. What the
 * API said stays as it is: there the call is told below the message, where the stack begins.
 */
export const identified = (
  config: Config,
  call: Call,
  error: ApiError.ApiError
): ApiError.ApiError => {
  const told = tell(config, call, error)
  const facts = {
    // A limit of time or a guard of the pipeline knows nothing of the request.
    endpoint: error.endpoint ?? call.endpoint,
    method: error.method ?? call.request.method,
    // A refreshed credential costs a request that the pipeline did not count.
    ...(call.sent > 0 ? { attempts: call.sent } : {})
  }
  return storyOf(error).quotes === true
    ? withLine(ApiError.annotate(error, facts), told)
    : ApiError.annotate(error, { ...facts, message: `${error.message} (${told})` })
}

/** The text of any failure of a call in one line. */
export const textOf = (config: Config, call: Call, error: unknown): string => {
  if (!ApiError.isApiError(error)) {
    const text = error instanceof Error ? error.message : String(error)
    return singleLine(`${callOf(config, call)}: ${text}`)
  }
  return storyOf(error).quotes === true
    ? `${error.message} (${tell(config, call, error)})`
    : error.message
}
