/**
 * The requests and answers of Messaging, and the checks before a request is sent. Its document
 * describes no bodies; only the needed fields are read.
 */
import { hasProperty, isRecord } from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"

// -----------------------------------------------------------------------------
// answers
// -----------------------------------------------------------------------------

/**
 * An answer to a message: the id in the queue, which the support asks for.
 *
 * @since 0.1.0
 * @category schemas
 */
export const MessageSent = Schema.Struct({
  /** The id of the message in the queue, for the support. */
  queue_id: Schema.String
})

/**
 * The answer to a message, decoded.
 *
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
  /** The session that the code is verified in. */
  session_id: Schema.String,
  /** The id of the code in the queue, for the support. */
  queue_id: Schema.optional(Schema.String)
})

/**
 * The answer to the request for a code, decoded.
 *
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
export const OtpVerified = Schema.Struct({
  /** True when the code was right. */
  verified: Schema.Boolean
})

/**
 * The answer to a code, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type OtpVerified = typeof OtpVerified.Type

/**
 * Reads the answer to a form.
 *
 * @since 0.1.0
 * @category schemas
 */
export const FormSubmitted = Schema.Struct({
  /** The id of the submission. */
  submission_id: Schema.optional(Schema.String),
  /** The id of the submission in the queue, for the support. */
  queue_id: Schema.optional(Schema.String)
})

/**
 * The answer to a form, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type FormSubmitted = typeof FormSubmitted.Type

const textIn = (body: unknown, name: string): Readonly<Record<string, string>> =>
  hasProperty(body, name) && typeof body[name] === "string" ? { [name]: body[name] } : {}

/**
 * Any answer to a form. The API has taken the form whatever the body says, so fields that are
 * absent or do not fit are left out and make no failure.
 */
export const FormAnswer = Schema.transform(Schema.Unknown, Schema.typeSchema(FormSubmitted), {
  strict: true,
  decode: (body) => ({ ...textIn(body, "submission_id"), ...textIn(body, "queue_id") }),
  encode: (submitted) => submitted
})

/**
 * A code that is on its way, and its route.
 *
 * @since 0.1.0
 * @category models
 */
export interface OtpSent extends OtpSession {
  /** The route that the code takes. */
  readonly route: string
  /** True when the first route had failed. */
  readonly isFallback: boolean
}

/**
 * Collects the ids of an answer for `Effect.annotateLogs`: the queue id, and the session id where
 * there is one. O(1).
 *
 * **Example** (A log line that the support can use)
 *
 * ```ts
 * import * as Messaging from "effect-resilience/api/Messaging"
 *
 * const ids = Messaging.correlation({ session_id: "otp-7", queue_id: "q-1" })
 * ids // => { queueId: "q-1", sessionId: "otp-7" }
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const correlation = (answer: {
  /** The queue id of the answer. */
  readonly queue_id?: string | undefined
  /** The session id of the answer. */
  readonly session_id?: string | undefined
}): Readonly<Record<string, string>> => ({
  ...(answer.queue_id === undefined ? {} : { queueId: answer.queue_id }),
  ...(answer.session_id === undefined ? {} : { sessionId: answer.session_id })
})

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

/**
 * A message from a template.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  /** The template. */
  readonly templateId: string
  /** The address of the recipient. */
  readonly to: string
  /** The values of the variables of the template. */
  readonly variables?: Readonly<Record<string, string>> | undefined
}

/**
 * A request for a code.
 *
 * @since 0.1.0
 * @category models
 */
export interface OtpRequest {
  /** The address of the recipient. */
  readonly to: string
  /** The transport. Default: that of the API. */
  readonly route?: string | undefined
  /** The transport to try when the first fails. Default: none. */
  readonly fallbackRoute?: string | undefined
}

/**
 * A filled-in form.
 *
 * @since 0.1.0
 * @category models
 */
export interface FormSubmission {
  /** The form. */
  readonly formId: string
  /** The values of the fields, by name. */
  readonly fields: Readonly<Record<string, string>>
}

/** What the body of each request cannot be without. */
const required = {
  sendMessage: ["template_id", "to"],
  sendOtp: ["to"],
  otherRoute: ["to"],
  verifyOtp: ["session_id", "otp"],
  submitForm: ["fields"]
} as const

/**
 * Only what surely is none is found: an address may be quoted, and then hold spaces and another
 * "@".
 */
const isEmail = (text: string): boolean => {
  const at = text.lastIndexOf("@")
  return text.slice(0, at + 1).trim().length > 1 && text.slice(at + 1).trim() !== "" &&
    !/[\p{Cc}\u2028\u2029]/u.test(text)
}

type Issues = ApiError.Validation["issues"]

const isThere = (name: string, value: unknown): boolean =>
  name === "fields" ? isRecord(value) : typeof value === "string" && value.trim() !== ""

const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === ""

/**
 * Lists required fields that are absent or blank, and an address that is none, without their
 * values. The API decides what else makes an address valid. Callers without type checks may leave
 * out anything.
 */
export const issuesOf = (
  operation: keyof typeof required,
  body: Readonly<Record<string, unknown>>
): Issues => {
  const names = new Set<string>([
    ...required[operation],
    ...Object.keys(body).filter((name) => isBlank(body[name]))
  ])
  const { to } = body
  return [
    ...missing(Object.fromEntries([...names].map((name) => [name, body[name]]))),
    ...(typeof to === "string" && !isBlank(to) && !isEmail(to)
      ? [{ path: "to", message: "is not a valid email address" }]
      : [])
  ]
}

/** Lists texts beside the body that are absent or blank. */
export const missing = (texts: Readonly<Record<string, unknown>>): Issues =>
  Object.keys(texts).flatMap((path) =>
    isThere(path, texts[path]) ? [] : [{ path, message: "is required" }]
  )
