/**
 * What is worth logging about a failure of a partner's API: that of any call, and for a job that
 * was polled for also which step of it failed.
 */
import * as Record from "effect/Record"
import * as Polling from "../jobs/Polling.js"
import * as Telemetry from "../observability/Telemetry.js"

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
  readonly stopReason?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Those that nobody knows are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFields = Telemetry.Fields

/** The failure that a polling error is about; what has none is about itself. */
const behind = (error: unknown): unknown =>
  error instanceof Polling.SubmitFailed || error instanceof Polling.PollFailed ? error.error : error

export const logFields = (
  integration: string,
  error: unknown,
  context: LogContext = {}
): LogFields => {
  const outer = Telemetry.fields(error, { ...context, integration })
  const inner = behind(error)
  if (inner === error) {
    return {
      ...outer,
      timedOut: outer.timedOut === true || error instanceof Polling.PollingTimeout
    }
  }
  const about = Telemetry.fields(inner, { ...context, integration })
  return {
    ...about,
    ...Record.filter(outer, (_, name) => name === "requestId" || name === "error"),
    ...Record.mapKeys(Record.filter(about, (_, name) => name === "error"), () => "reason")
  }
}
