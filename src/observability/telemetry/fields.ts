/**
 * What is worth logging about a call, and nothing else: names and numbers, no texts that an API
 * wrote, no payloads, no credentials.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../../errors/ApiError.js"
import * as Rejection from "../../errors/Rejection.js"
import * as Polling from "../../jobs/Polling.js"

/**
 * What the caller knows about the call, and the error does not. Values end up in logs and on spans
 * as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly integration?: string | undefined
  readonly environment?: string | undefined
  readonly endpoint?: string | undefined
  readonly method?: string | undefined
  readonly tenantId?: string | undefined
  readonly siteId?: string | undefined
  readonly sessionId?: string | undefined
  readonly requestId?: string | undefined
  readonly kid?: string | undefined
  readonly attempts?: number | undefined
  readonly latencyMillis?: number | undefined
  readonly stopReason?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Those that nobody knows are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = Readonly<Record<string, string | number | boolean>>

/** The fields that somebody knows. */
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

const whole = (millis: number | undefined): number | undefined =>
  millis === undefined ? undefined : Math.round(millis)

/**
 * The fields about a call that failed. What the error knows counts for more than what the caller
 * knows, but for how long the call took.
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
    timedOut: api?._tag === "Timeout" || Cause.isTimeoutException(error) ||
      error instanceof Rejection.QueueTimeout,
    verdict: ApiError.verdict(error)._tag,
    stopReason: context.stopReason,
    error: tagOf(error)
  })
}

/**
 * The fields about a failure that may be a polling error: those of the failure behind it, under the
 * tag and the request id of the polling error. A job that ran out of time has timed out.
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
