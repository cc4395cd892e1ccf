/** The request that creates a session, and its signature. */
import { hmac } from "@noble/hashes/hmac"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"
import * as Input from "../shared/input.js"

/** What UTF-8 has no bytes for is signed as a question mark, whatever it was. */
const unsigned = (text: string, delimiter: string): string | undefined => {
  if (text.includes("|")) return "should not contain |, which delimits the fields of the signature"
  if (delimiter !== "|" && text.includes(delimiter)) {
    return "should not contain a comma, which delimits the candidates in the signature"
  }
  return text.isWellFormed() ? undefined : "should be well-formed Unicode"
}

/**
 * A text of which the signature has every letter, and that ends where its field does. With a
 * delimiter in it, two payloads would have one signature.
 */
const signable = (delimiter: "|" | ",") =>
  Input.Text.pipe(Schema.filter((text) => unsigned(text, delimiter)))

const SignedText = signable("|")
const SignedId = signable(",")

const isRequired = (text: string): true | string => text.trim() !== "" || "is required"

const Required = SignedText.pipe(Schema.filter(isRequired))
const RequiredId = SignedId.pipe(Schema.filter(isRequired))

const Email = SignedText.pipe(
  Schema.filter((text) =>
    /^[^\s@|]+@[^\s@|]+\.[^\s@|]+$/.test(text) || "is not a valid email address"
  )
)

/**
 * For whom a session is created.
 *
 * @since 0.1.0
 * @category schemas
 */
export const User = Schema.Struct({
  /** The id of the user. */
  user_id: Required,
  /** The e-mail address of the user. */
  email: Email,
  /** The name of the user. */
  name: Required,
  /** The company of the user. */
  company: Schema.optional(
    Schema.Struct({ company_id: Required, name: Schema.optional(Schema.String) })
  ),
  /** The candidates of the session. */
  candidates: Schema.optional(
    Schema.Array(Schema.Struct({ candidate_id: RequiredId, name: Schema.optional(Schema.String) }))
  )
})

/**
 * A user, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type User = typeof User.Type

const signed = Schema.optional(SignedText)

/**
 * A user as it may be sent, valid or not: the shape of `User` without its demands, except that
 * every value can be signed. No signed text contains `|`, no candidate id a comma.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Draft = Input.struct({
  /** The id of the user. */
  user_id: signed,
  /** The e-mail address of the user. */
  email: signed,
  /** The name of the user. */
  name: signed,
  /** The company of the user. */
  company: Schema.optional(Input.struct({ company_id: signed, name: Input.OptionalText })),
  /** The candidates of the session. */
  candidates: Schema.optional(
    Input.list(
      Input.struct({ candidate_id: Schema.optional(SignedId), name: Input.OptionalText })
    )
  )
})

/**
 * A user that may be invalid, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type Draft = typeof Draft.Type

/**
 * The body of the call: the user and the signature over it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Request = Schema.Struct({
  /** The user. */
  user: User,
  /** The signature over the user. */
  signature: Required
})

/**
 * The body of the call.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = typeof Request.Type

/**
 * What cannot be sent of a user: fields of another type, and texts that would give two payloads one
 * signature. Names the fields and repeats no value; empty when there is nothing. What else the API
 * demands is not checked. O(user).
 *
 * **Example** (A delimiter in a name)
 *
 * ```ts
 * import * as WidgetSession from "effect-resilience/api/WidgetSession"
 *
 * const [issue] = WidgetSession.validate({ user_id: "USR-001", name: "John|Doe" })
 * issue?.path // => "name"
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const validate: (user: unknown) => ApiError.Validation["issues"] = Input.issuesOf(Draft)

/**
 * The string that is signed: `partnerId|user_id|email|name|company_id|candidate_ids_csv`. Optional
 * values that are absent stay as empty strings, candidates keep the order of the payload. It checks
 * nothing: a user with a delimiter in a value has the string of another one (see `validate`).
 *
 * **Example** (An absent company is an empty string, not a missing field)
 *
 * ```ts
 * import * as WidgetSession from "effect-resilience/api/WidgetSession"
 *
 * const user = {
 *   user_id: "USR-001",
 *   email: "john@example.com",
 *   name: "John Doe",
 *   candidates: [{ candidate_id: "CND-002" }, { candidate_id: "CND-001" }]
 * }
 *
 * const canonical = WidgetSession.canonicalString("partner-1", user)
 * canonical // => "partner-1|USR-001|john@example.com|John Doe||CND-002,CND-001"
 * ```
 *
 * @since 0.1.0
 * @category signing
 */
export const canonicalString = (partnerId: string, user: Draft): string =>
  [
    partnerId,
    user.user_id ?? "",
    user.email ?? "",
    user.name ?? "",
    user.company?.company_id ?? "",
    (user.candidates ?? []).map(({ candidate_id }) => candidate_id ?? "").join(",")
  ].join("|")

/**
 * HMAC-SHA-256 of a canonical string under the partner's secret, as hexadecimal digits (RFC 2104).
 *
 * @since 0.1.0
 * @category signing
 */
export const sign = (
  secretKey: Redacted.Redacted<string>,
  canonical: string
): Redacted.Redacted<string> => Redacted.make(signer(secretKey)(canonical))

/** Signs many strings under one secret, whose part of the work is done once. */
export const signer = (secretKey: Redacted.Redacted<string>): (canonical: string) => string => {
  const keyed = hmac.create(sha256, new TextEncoder().encode(Redacted.value(secretKey)))
  return (canonical) =>
    bytesToHex(keyed.clone().update(new TextEncoder().encode(canonical)).digest())
}
