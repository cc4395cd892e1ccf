/**
 * The requests and answers of Site Chat. Its document describes no bodies; only the needed fields
 * are read.
 */
import * as Schema from "effect/Schema"
import * as Input from "../shared/input.js"

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
 * Reads a tenant.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Tenant = Schema.Struct({ tenant_id: text, name: text, plan: text })

/**
 * Reads a site.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Site = Schema.Struct({ site_id: text, name: text, domain: text })

/**
 * Reads a session.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({ session_id: Schema.String, status: text })

/**
 * Reads the statistics of a site: any fields.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Statistics = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/**
 * Reads the answer to a question.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Answer = Schema.Struct({
  /** The text of the answer. */
  answer: Schema.String,
  /** The session of the question. */
  session_id: text,
  /** The request id of the API, where it gives one. */
  request_id: text
})

/**
 * The answer to a question, decoded.
 *
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
 * A question of a visitor.
 *
 * @since 0.1.0
 * @category models
 */
export interface Question {
  /** The question of the visitor. */
  readonly message: string
  /** The session to continue. Default: a new one. */
  readonly sessionId?: string | undefined
}

/**
 * What a visitor thought of an answer. The same event in the same session is one piece of feedback,
 * however often it is sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Feedback {
  /** The event of the user interface. The same event in the same session counts once. */
  readonly eventId: string
  /** The session of the answer. */
  readonly sessionId: string
  /** What the visitor thought of the answer. */
  readonly rating: "up" | "down"
  /** The words of the visitor. */
  readonly comment?: string | undefined
}

/** Lists what cannot be sent of a question. */
export const issuesOfQuestion = Input.issuesOf(
  Input.struct({ message: Input.Text, sessionId: Input.OptionalText })
)

/** Lists what cannot be sent of feedback. */
export const issuesOfFeedback = Input.issuesOf(
  Input.struct({
    eventId: Input.Text,
    sessionId: Input.Text,
    rating: Schema.Literal("up", "down").annotations({ message: () => "should be up or down" }),
    comment: Input.OptionalText
  })
)
