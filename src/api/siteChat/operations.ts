/**
 * The retry decision table of Site Chat, as data: the kind of each operation, how often it is
 * repeated, how long it may take.
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
  /** Says what a second execution would mean. */
  readonly operation: Operation.Operation<unknown>
  /** The HTTP method. */
  readonly method: "GET" | "POST"
  /** The path as a template. */
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
 * The document names no paths; override these with `paths` of `make`.
 *
 * @since 0.1.0
 * @category policies
 */
export const operations = {
  /** Reads the tenant. */
  tenant: read("/v1/tenants/:tenantId"),
  /** Reads the site. */
  site: read(site),
  /** Lists the sessions of the site. */
  sessions: read(`${site}/sessions`),
  /** Reads the statistics of the site. */
  statistics: read(`${site}/statistics`),
  /** Creates a document from text. */
  createDocument: bounded(`${site}/documents`, "20 seconds", "1 minute"),
  /** Creates a document from a file. */
  uploadDocument: bounded(`${site}/documents/files`, "1 minute", "3 minutes"),
  /** Asks a question and waits for the answer. */
  chat: bounded(`${site}/chat`, "20 seconds", "45 seconds"),
  /** Submits a question. */
  submitChat: bounded(`${site}/chat/async`, "10 seconds", "30 seconds"),
  /** Reads how far a submitted question is. */
  pollChat: read(`${site}/chat/async/:requestId`),
  /** Sends feedback. */
  sendFeedback: bounded(`${site}/feedback`, "10 seconds", "30 seconds"),
  /** Closes a session. */
  closeSession: {
    ...bounded(`${site}/sessions/:sessionId/close`, "10 seconds", "30 seconds"),
    /** Repeats the call without a key: closing twice is the same as once. */
    operation: Operation.idempotent
  }
} as const satisfies Readonly<Record<string, Rule>>

/**
 * The name of an operation.
 *
 * @since 0.1.0
 * @category models
 */
export type OperationName = keyof typeof operations
