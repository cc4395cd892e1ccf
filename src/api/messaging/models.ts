/**
 * What is sent to Messaging and what comes back. Its document describes no bodies; what is not
 * needed here is read when it is there.
 */
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * An answer to a message: the id in the queue, which the support asks for.
 *
 * @since 0.1.0
 * @category schemas
 */
export const MessageSent = Schema.Struct({ queue_id: Schema.String })

/**
 * @since 0.1.0
 * @category models
 */
export type MessageSent = typeof MessageSent.Type

/**
 * An answer to the request for a code: the session that the code is verified in.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OtpSession = Schema.Struct({
  session_id: Schema.String,
  queue_id: Schema.optional(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type OtpSession = typeof OtpSession.Type

/**
 * An answer to a code. One that does not say whether the code was right is no answer.
 *
 * @since 0.1.0
 * @category schemas
 */
export const OtpVerified = Schema.Struct({ verified: Schema.Boolean })

/**
 * @since 0.1.0
 * @category models
 */
export type OtpVerified = typeof OtpVerified.Type

/**
 * @since 0.1.0
 * @category schemas
 */
export const FormSubmitted = Schema.Struct({
  submission_id: Schema.optional(Schema.String),
  queue_id: Schema.optional(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type FormSubmitted = typeof FormSubmitted.Type

const textIn = (body: unknown, name: string): Readonly<Record<string, string>> =>
  hasProperty(body, name) && typeof body[name] === "string" ? { [name]: body[name] } : {}

/**
 * Any answer to a form: nobody needs what is in it, so what is not there or does not fit makes no
 * failure of a form that was taken.
 */
export const FormAnswer = Schema.transform(Schema.Unknown, Schema.typeSchema(FormSubmitted), {
  strict: true,
  decode: (body) => ({ ...textIn(body, "submission_id"), ...textIn(body, "queue_id") }),
  encode: (submitted) => submitted
})

/**
 * A message from a template.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly templateId: string
  readonly to: string
  readonly variables?: Readonly<Record<string, string>> | undefined
}

/**
 * A code for somebody. `route`: over which transport, default the API's own. `fallbackRoute`: over
 * which one when that fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface OtpRequest {
  readonly to: string
  readonly route?: string | undefined
  readonly fallbackRoute?: string | undefined
}

/**
 * A code that is on its way, and over which route: `isFallback` when the first one had failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface OtpSent extends OtpSession {
  readonly route: string
  readonly isFallback: boolean
}

/**
 * What was filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface FormSubmission {
  readonly formId: string
  readonly fields: Readonly<Record<string, string>>
}

/**
 * What an answer can be found by, for `Effect.annotateLogs`: the queue id and the session id, where
 * there is one. O(1).
 *
 * **Example** (A log line that the support can use)
 *
 * ```ts
 * import * as Messaging from "effect-resilience/api/Messaging"
 *
 * Messaging.correlation({ session_id: "otp-7", queue_id: "q-1" }) // => { queueId: "q-1", sessionId: "otp-7" }
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const correlation = (answer: {
  readonly queue_id?: string | undefined
  readonly session_id?: string | undefined
}): Readonly<Record<string, string>> => ({
  ...(answer.queue_id === undefined ? {} : { queueId: answer.queue_id }),
  ...(answer.session_id === undefined ? {} : { sessionId: answer.session_id })
})
