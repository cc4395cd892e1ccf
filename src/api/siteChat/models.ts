/**
 * What is sent to Site Chat and what comes back. Its document describes no bodies; what is not
 * needed here is read when it is there.
 */
import * as Schema from "effect/Schema"

/**
 * The body of a failed request: `error`, as a text or as a small object, and the request id where
 * there is one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ErrorBody = Schema.Struct({
  error: Schema.optional(
    Schema.Union(
      Schema.String,
      Schema.Struct({
        message: Schema.optional(Schema.String),
        code: Schema.optional(Schema.String)
      })
    )
  ),
  request_id: Schema.optional(Schema.String)
})

const text = Schema.optional(Schema.String)

/**
 * @since 0.1.0
 * @category schemas
 */
export const Tenant = Schema.Struct({ tenant_id: text, name: text, plan: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Site = Schema.Struct({ site_id: text, name: text, domain: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({ session_id: Schema.String, status: text })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Statistics = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/**
 * @since 0.1.0
 * @category schemas
 */
export const Answer = Schema.Struct({ answer: Schema.String, session_id: text, request_id: text })

/**
 * @since 0.1.0
 * @category models
 */
export type Answer = typeof Answer.Type

/** Without a request id the answer cannot be asked for. */
export const SubmittedChat = Schema.Struct({
  request_id: Schema.String.pipe(Schema.filter((text) => text.trim() !== ""))
})

export const PolledChat = Schema.Struct({ status: Schema.String, answer: text, session_id: text })

/**
 * What a visitor asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Question {
  readonly message: string
  readonly sessionId?: string | undefined
}

/**
 * What a visitor thought of an answer. `eventId` names the event of the user interface that it
 * comes from: the same event in the same session is one piece of feedback, however often it is
 * sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Feedback {
  readonly eventId: string
  readonly sessionId: string
  readonly rating: "up" | "down"
  readonly comment?: string | undefined
}
