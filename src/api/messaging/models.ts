/**
 * What is sent to Messaging, what is wrong with it before it is sent, and what comes back. Its
 * document describes no bodies; what is not needed here is read when it is there.
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
 * Any answer to a form. The API has taken the form whatever the body says, so fields that are
 * absent or do not fit are left out and make no failure.
 */
export const FormAnswer = Schema.transform(Schema.Unknown, Schema.typeSchema(FormSubmitted), {
  strict: true,
  decode: (body) => ({ ...textIn(body, "submission_id"), ...textIn(body, "queue_id") }),
  encode: (submitted) => submitted
})

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
 * What an answer can be found by, for `Effect.annotateLogs`: the queue id and the session id, where
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
  readonly queue_id?: string | undefined
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
  readonly templateId: string
  readonly to: string
  readonly variables?: Readonly<Record<string, string>> | undefined
}

/**
 * A request for a code. `route`: over which transport, default the API's own. `fallbackRoute`: over
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
 * What was filled in.
 *
 * @since 0.1.0
 * @category models
 */
export interface FormSubmission {
  readonly formId: string
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
 * The fields that are required and absent or blank, and an address that is none. Nothing of the
 * values is repeated. What else makes an address valid is the API's business. Callers that are not
 * type-checked leave out anything.
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

/** Of texts that are given beside the body, those that are absent or blank. */
export const missing = (texts: Readonly<Record<string, unknown>>): Issues =>
  Object.keys(texts).flatMap((path) =>
    isThere(path, texts[path]) ? [] : [{ path, message: "is required" }]
  )
