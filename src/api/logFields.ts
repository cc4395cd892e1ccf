/**
 * What is worth logging about a failure, and nothing else: names and numbers, no texts that an API wrote, no payloads, no credentials.
 */
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../ApiError.js"
import * as Polling from "../Polling.js"

/**
 * What the caller knows about the call, and the error does not.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogContext {
  readonly environment?: string | undefined
  readonly tenantId?: string | undefined
  readonly siteId?: string | undefined
  readonly sessionId?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Those that nobody knows are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFields = Readonly<Record<string, string | number | boolean>>

const tagOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : "Unknown"

/** The failure that a polling error is about; what has none is about itself. */
const behind = (error: unknown): unknown =>
  error instanceof Polling.SubmitFailed || error instanceof Polling.PollFailed ? error.error : error

const requestIdOf = (error: unknown): string | undefined =>
  hasProperty(error, "requestId") && typeof error.requestId === "string" ? error.requestId : undefined

const known = (fields: Readonly<Record<string, string | number | boolean | undefined>>): LogFields =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [[name, value] as const])
  )

export const logFields = (integration: string, error: unknown, context: LogContext = {}): LogFields => {
  const inner = behind(error)
  const api = ApiError.isApiError(inner) ? inner : undefined
  return known({
    integration,
    environment: context.environment,
    endpoint: api?.endpoint,
    method: api?.method,
    status: api?.status,
    tenantId: context.tenantId,
    siteId: context.siteId,
    sessionId: context.sessionId,
    requestId: requestIdOf(error) ?? requestIdOf(inner),
    retries: api?.attempts === undefined ? undefined : api.attempts - 1,
    latencyMillis: api?.latency === undefined ? undefined : Math.round(Duration.toMillis(api.latency)),
    timedOut: inner instanceof Polling.PollingTimeout || api?._tag === "Timeout",
    verdict: ApiError.verdict(inner)._tag,
    error: tagOf(error),
    ...(inner === error ? {} : { reason: tagOf(inner) })
  })
}
