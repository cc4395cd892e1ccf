/**
 * What is sent to create a session, and how it is signed.
 */
import { hmac } from "@noble/hashes/hmac"
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const Required = Schema.String.pipe(Schema.filter((text) => text.trim() !== "" || "is required"))

const Email = Schema.String.pipe(
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
  user_id: Required,
  email: Email,
  name: Required,
  company: Schema.optional(
    Schema.Struct({ company_id: Required, name: Schema.optional(Schema.String) })
  ),
  candidates: Schema.optional(
    Schema.Array(Schema.Struct({ candidate_id: Required, name: Schema.optional(Schema.String) }))
  )
})

/**
 * @since 0.1.0
 * @category models
 */
export type User = typeof User.Type

/**
 * A user as it may be sent, valid or not: the shape of `User` without its demands.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Draft = Schema.Struct({
  user_id: Schema.optional(Schema.String),
  email: Schema.optional(Schema.String),
  name: Schema.optional(Schema.String),
  company: Schema.optional(
    Schema.Struct({
      company_id: Schema.optional(Schema.String),
      name: Schema.optional(Schema.String)
    })
  ),
  candidates: Schema.optional(
    Schema.Array(
      Schema.Struct({
        candidate_id: Schema.optional(Schema.String),
        name: Schema.optional(Schema.String)
      })
    )
  )
})

/**
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
export const Request = Schema.Struct({ user: User, signature: Required })

/**
 * The body of the call.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = typeof Request.Type

/**
 * The string that is signed: `partnerId|user_id|email|name|company_id|candidate_ids_csv`. Optional
 * values that are absent stay as empty strings, candidates keep the order of the payload.
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
