/**
 * Collects what to log about a call: names and numbers; no texts that an API wrote, no payloads, no
 * credentials.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import * as TransportError from "../../core/transportError.js"
import * as ApiError from "../../errors/ApiError.js"
import * as Rejection from "../../errors/Rejection.js"
import * as Polling from "../../jobs/Polling.js"

/**
 * What the caller knows about the call and the error does not. Values appear in logs and on spans
 * as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  /** The name of the API. */
  readonly integration?: string | undefined
  /** The environment, such as `production`. */
  readonly environment?: string | undefined
  /** The template of the path. */
  readonly endpoint?: string | undefined
  /** The HTTP method. */
  readonly method?: string | undefined
  /** The tenant that the call is made for. */
  readonly tenantId?: string | undefined
  /** The site that the call is made for. */
  readonly siteId?: string | undefined
  /** The session that the call belongs to. */
  readonly sessionId?: string | undefined
  /** The request id that the API gave. */
  readonly requestId?: string | undefined
  /** The fingerprint of the idempotency key. */
  readonly kid?: string | undefined
  /** How many attempts the call made. */
  readonly attempts?: number | undefined
  /** How long the call took, in milliseconds. */
  readonly latencyMillis?: number | undefined
  /** Why the retry stopped. */
  readonly stopReason?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Unknown fields are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = Readonly<Record<string, string | number | boolean>>

/** Drops unknown fields. */
export const known = (
  fields: Readonly<Record<string, string | number | boolean | undefined>>
): Fields =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const]
    )
  )

const tagOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : "Unknown"

const requestIdOf = (error: unknown): string | undefined =>
  hasProperty(error, "requestId") && typeof error.requestId === "string"
    ? error.requestId
    : undefined

/**
 * Tests whether a limit of time passed: of ours, of the HTTP client, or of a gateway on the way.
 * 522 and 524 are what a gateway says that could not connect in time, or got no answer in time.
 */
const hasTimedOut = (error: unknown): boolean => {
  if (!ApiError.isApiError(error)) {
    return Cause.isTimeoutException(error) || error instanceof Rejection.QueueTimeout
  }
  switch (error._tag) {
    case "Timeout":
      return true
    case "Network":
      return TransportError.isTimeout(error.code)
    case "Server":
      return error.gateway === true || [504, 522, 524].includes(error.status ?? 0)
    default:
      return false
  }
}

const whole = (millis: number | undefined): number | undefined =>
  millis === undefined ? undefined : Math.round(millis)

/**
 * Collects the fields about a call that failed. What the error knows outranks what the caller
 * knows, except for the duration of the call.
 */
export const of = (error: unknown, context: Context): Fields => {
  const api = ApiError.isApiError(error) ? error : undefined
  const attempts = api?.attempts ?? context.attempts
  const latency = api?.latency === undefined ? undefined : Duration.toMillis(api.latency)
  return known({
    integration: context.integration,
    environment: context.environment,
    endpoint: api?.endpoint ?? context.endpoint,
    method: api?.method ?? context.method,
    status: api?.status,
    tenantId: context.tenantId,
    siteId: context.siteId,
    sessionId: context.sessionId,
    requestId: requestIdOf(error) ?? context.requestId,
    kid: context.kid,
    attempts,
    retries: attempts === undefined ? undefined : attempts - 1,
    latencyMillis: whole(context.latencyMillis ?? latency),
    timedOut: hasTimedOut(error),
    verdict: ApiError.verdict(error)._tag,
    stopReason: context.stopReason,
    error: tagOf(error)
  })
}

/**
 * Collects the fields about a failure that may be a polling error: those of the failure behind it,
 * under the tag and the request id of the polling error. A job that ran out of time has timed out.
 */
export const explained = (error: unknown, context: Context): Fields => {
  if (error instanceof Polling.SubmitFailed || error instanceof Polling.PollFailed) {
    const behind = of(error.error, context)
    return {
      ...behind,
      ...known({ requestId: requestIdOf(error), error: error._tag, reason: tagOf(error.error) })
    }
  }
  const fields = of(error, context)
  return error instanceof Polling.PollingTimeout ? { ...fields, timedOut: true } : fields
}
