/**
 * The operations of Messaging, as data: how often each one is repeated, and how long it may take.
 */
import type { Policy } from "../../http/Endpoint.js"
import * as Backoff from "../../retry/Backoff.js"

export type { Policy } from "../../http/Endpoint.js"

/**
 * One operation: its path and its policy.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule extends Policy {
  /** The path as a template. */
  readonly path: string
}

/** A person waits for the answer. From 500 ms, at most 20 s, full jitter. */
const interactive = (path: string): Rule => ({
  path,
  retries: 3,
  backoff: Backoff.exponential({ base: "500 millis", cap: "20 seconds" }),
  attemptTimeout: "10 seconds",
  totalTimeout: "30 seconds"
})

/**
 * The operations of the API. 429, 500, 502 and 503 are retried with capped exponential backoff and
 * jitter. A message, for which no person waits, is retried more often.
 *
 * @since 0.1.0
 * @category policies
 */
export const operations = {
  /** Sends a message: five retries, 2 min in all. */
  sendMessage: {
    ...interactive("/v1/messages"),
    /** How many attempts follow the first. */
    retries: 5,
    /** Limits the whole call to 2 min. */
    totalTimeout: "2 minutes"
  },
  /** Sends a code. */
  sendOtp: interactive("/v1/otp"),
  /** Checks a code. */
  verifyOtp: interactive("/v1/otp/verify"),
  /** Submits a form. */
  submitForm: interactive("/v1/forms/:formId/submissions")
} as const satisfies Readonly<Record<string, Rule>>

/**
 * The name of an operation.
 *
 * @since 0.1.0
 * @category models
 */
export type OperationName = keyof typeof operations
