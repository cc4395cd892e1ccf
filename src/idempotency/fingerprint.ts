/**
 * The fingerprint of a payload: what the store compares, to tell a repeated call from another call
 * under the same key.
 *
 * A fingerprint begins with the version of its form. Version 2 is `v2:` and an HMAC-SHA-256 under
 * the secret of the store, because a bare hash of a card number can be guessed. Version 1 was a
 * bare SHA-256 without a prefix.
 *
 * A store compares texts, so a record of another version or secret is a mismatch to it. Before that
 * counts, the claim is made again with each fingerprint that the record could have: those under
 * earlier secrets, and those that earlier versions wrote. A deploy or a new secret therefore makes
 * no mismatch. A release that raises the version has to keep the form before it in `earlier`, for
 * as long as records live.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { joined, macUnder } from "./keyHash.js"

/** A payload, hashed. */
export interface Digest {
  /** SHA-256 of the payload in its present form, in hexadecimal digits. Never stored. */
  readonly present: string
  /** The fingerprints that earlier versions gave this payload. Asked for after a mismatch only. */
  readonly earlier: () => ReadonlyArray<string>
}

/**
 * The fingerprint under a secret. Scope and key are part of it, so that equal payloads of two
 * operations do not look equal in a store. The message begins with a letter and the messages of key
 * names with a digit, so neither can be the other.
 */
export const under = (
  secret: Redacted.Redacted<string>,
  key: Redacted.Redacted<string>,
  scope: ReadonlyArray<string>,
  { present }: Digest
): string => `v2:${macUnder(secret, `payload${joined([...scope, Redacted.value(key), present])}`)}`

/** A question to a store. Like `acquire` of the store, it may be repeated. */
export type Acquire = (
  claim: IdempotencyStore.Claim
) => Effect.Effect<IdempotencyStore.Acquired, IdempotencyStore.StoreError>

/**
 * Claims under the present fingerprint, and after a mismatch under each of `others`. The present
 * one is asked for again at the end, because the record may have changed hands between two
 * questions. One store call without a mismatch, else at most two more than there are others.
 */
export const comparing = (
  store: IdempotencyStore.Service,
  others: () => ReadonlyArray<string>
): Acquire =>
(claim) =>
  Effect.flatMap(store.acquire(claim), (answer) => {
    if (answer._tag !== "Mismatch") return Effect.succeed(answer)
    const all = others()
    return all.length === 0
      ? Effect.succeed(answer)
      : firstMatch(store, claim, [...all, claim.fingerprint])
  })

/** The first answer that is no mismatch. */
const firstMatch = (
  store: IdempotencyStore.Service,
  claim: IdempotencyStore.Claim,
  [fingerprint, ...rest]: ReadonlyArray<string>
): Effect.Effect<IdempotencyStore.Acquired, IdempotencyStore.StoreError> =>
  fingerprint === undefined
    ? Effect.succeed({ _tag: "Mismatch" })
    : Effect.flatMap(
      store.acquire({ ...claim, fingerprint }),
      (answer) =>
        answer._tag === "Mismatch" ? firstMatch(store, claim, rest) : Effect.succeed(answer)
    )
