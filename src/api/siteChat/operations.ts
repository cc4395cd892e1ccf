/**
 * The retry decision table of Site Chat, as data: what each operation is, how often it is repeated,
 * how long it may take.
 */
import type * as Duration from "effect/Duration"
import type { Policy } from "../../http/Endpoint.js"
import * as Operation from "../../idempotency/Operation.js"
import * as Backoff from "../../retry/Backoff.js"

export type { Policy } from "../../http/Endpoint.js"

/**
 * One row of the table: what repeating it would mean, and its policy.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule extends Policy {
  readonly operation: Operation.Operation<unknown>
  readonly method: "GET" | "POST"
  readonly path: string
}

/** Exponential from 500 ms, at most 10 s, with full jitter. */
const backoff = Backoff.exponential({ base: "500 millis", cap: "10 seconds" })

const site = "/v1/tenants/:tenantId/sites/:siteId"

/** Safe to retry with backoff. */
const read = (path: string): Rule => ({
  operation: Operation.read,
  method: "GET",
  path,
  retries: 4,
  backoff,
  attemptTimeout: "10 seconds",
  totalTimeout: "1 minute"
})

/** Bounded, and under a key: a time-out or a 5xx leaves open whether it was done. */
const bounded = (
  path: string,
  attemptTimeout: Duration.DurationInput,
  totalTimeout: Duration.DurationInput
): Rule => ({
  operation: Operation.keyed,
  method: "POST",
  path,
  retries: 2,
  backoff,
  attemptTimeout,
  totalTimeout
})

/**
 * The retry decision table. "Yes" is four further attempts, "bounded" two; "use care" is `keyed`.
 *
 * **Details**
 *
 * The document names no paths; these can be said otherwise (`paths` of `make`).
 *
 * @since 0.1.0
 * @category policies
 */
export const operations = {
  tenant: read("/v1/tenants/:tenantId"),
  site: read(site),
  sessions: read(`${site}/sessions`),
  statistics: read(`${site}/statistics`),
  createDocument: bounded(`${site}/documents`, "20 seconds", "1 minute"),
  uploadDocument: bounded(`${site}/documents/files`, "1 minute", "3 minutes"),
  chat: bounded(`${site}/chat`, "20 seconds", "45 seconds"),
  submitChat: bounded(`${site}/chat/async`, "10 seconds", "30 seconds"),
  pollChat: read(`${site}/chat/async/:requestId`),
  sendFeedback: bounded(`${site}/feedback`, "10 seconds", "30 seconds"),
  closeSession: {
    ...bounded(`${site}/sessions/:sessionId/close`, "10 seconds", "30 seconds"),
    operation: Operation.idempotent
  }
} as const satisfies Readonly<Record<string, Rule>>

/**
 * @since 0.1.0
 * @category models
 */
export type OperationName = keyof typeof operations
