/**
 * Writes the debug lines of Widget Session's document, without the values that the document forbids
 * to log.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import type { SignedRequest } from "./diagnosis.js"
import { canonicalString, sign } from "./request.js"

/**
 * The lines of the debug guide for a signature that does not match, fit for a shared log.
 *
 * **Details**
 *
 * Fingerprints are equal for equal signatures and useless for signing. Empty fields and delimiters
 * of `canonical` stay as they are.
 *
 * @since 0.1.0
 * @category diagnosis
 */
export interface DebugRecord {
  /** The partner id, as in the URL. */
  readonly partnerId: string
  /** The string that is signed, every value except the partner id as `***`. */
  readonly canonical: string
  /** The fingerprint of the signature that this client computes. */
  readonly generatedSignature: string
  /** The fingerprint of the signature that the request has. */
  readonly requestSignature: string
  /** True when the two signatures are the same. */
  readonly matchSignature: boolean
}

const fingerprint = (signature: string): Effect.Effect<string> =>
  IdempotencyKey.kid(
    { [IdempotencyKey.TypeId]: IdempotencyKey.TypeId, value: Redacted.make(signature), madeAt: 0 },
    ["widget-session"]
  )

/**
 * Only what is between the delimiters is masked, white space at the ends of a value apart: that is
 * one of the mistakes that are looked for.
 */
const masked = (canonical: string, partnerId: string): string =>
  canonical.split("|").map((field, index) =>
    index === 0 && field === partnerId ? field : field.replaceAll(/[^,\s](?:[^,]*[^,\s])?/g, "***")
  ).join("|")

/**
 * The lines of the debug guide as fields, for `Effect.annotateLogs`. Neither the secret nor a
 * signature nor anything about the user is in it.
 *
 * **Example** (A company that was left out)
 *
 * ```ts
 * import * as WidgetSession from "effect-resilience/api/WidgetSession"
 * import { Effect, Redacted } from "effect"
 *
 * const secretKey = Redacted.make("prod-secret")
 * const user = {
 *   user_id: "USR-001",
 *   email: "john@example.com",
 *   name: "John Doe",
 *   candidates: [{ candidate_id: "CND-001" }]
 * }
 * const signature = WidgetSession.sign(
 *   secretKey,
 *   "partner-1|USR-001|john@example.com|John Doe|CND-001"
 * )
 *
 * const record = await Effect.runPromise(
 *   WidgetSession.debugRecord({ urlPartnerId: "partner-1", user, signature, secretKey })
 * )
 * record.canonical // => "partner-1|***|***|***||***"
 * record.matchSignature // => false
 * ```
 *
 * @since 0.1.0
 * @category diagnosis
 */
export const debugRecord = (request: SignedRequest): Effect.Effect<DebugRecord> =>
  Effect.gen(function*() {
    const { secretKey, signature, urlPartnerId, user } = request
    const sent = (Redacted.isRedacted(signature) ? Redacted.value(signature) : signature)
      .toLowerCase()
    const canonical = request.canonical ?? canonicalString(urlPartnerId, user)
    const generated = Redacted.value(sign(secretKey, canonicalString(urlPartnerId, user)))
    return {
      partnerId: urlPartnerId,
      canonical: masked(canonical, urlPartnerId),
      generatedSignature: yield* fingerprint(generated),
      requestSignature: yield* fingerprint(sent),
      matchSignature: generated === sent
    }
  })
