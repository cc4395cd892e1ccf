/**
 * What there is to call of Messaging, as data: how often each operation is repeated, and how long
 * it may take.
 */
import type { Policy } from "../../http/Endpoint.js"
import * as Backoff from "../../retry/Backoff.js"

export type { Policy } from "../../http/Endpoint.js"

/**
 * What is called, and its policy.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule extends Policy {
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
 * What there is to call. 429, 500, 502 and 503 are retried with capped exponential backoff and
 * jitter; a message, for which no person waits, more patiently.
 *
 * @since 0.1.0
 * @category policies
 */
export const operations = {
  sendMessage: { ...interactive("/v1/messages"), retries: 5, totalTimeout: "2 minutes" },
  sendOtp: interactive("/v1/otp"),
  verifyOtp: interactive("/v1/otp/verify"),
  submitForm: interactive("/v1/forms/:formId/submissions")
} as const satisfies Readonly<Record<string, Rule>>

/**
 * @since 0.1.0
 * @category models
 */
export type OperationName = keyof typeof operations
