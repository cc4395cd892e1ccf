/**
 * The names under which a key stands in a store. Computed once for each call, before the store is
 * asked.
 */
import { bytesToHex, randomBytes } from "@noble/hashes/utils"
import * as Effect from "effect/Effect"
import { FingerprintError } from "../errors/idempotencyErrors.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import type { Settings } from "./settings.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * How long after its making a key may be used for a first run; longer where records are kept for
 * longer.
 */
export const keyLifetimeMillis = 86_400_000

export interface Subject {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly scope: ReadonlyArray<string>
  readonly fingerprint: string
  readonly settings: Settings
}

/**
 * Two runs with one owner would both be granted the claim. Owners therefore never come from a
 * `Random` that the program has seeded, which two of its parts may have seeded alike.
 */
const newOwner = Effect.sync(() => bytesToHex(randomBytes(16)))

export const claimOf = (
  { fingerprint, key, scope, settings }: Subject
): Effect.Effect<IdempotencyStore.Claim, FingerprintError> =>
  Effect.suspend(() => {
    // Halves of surrogate pairs all become the same replacement character in UTF-8.
    const crippled = scope.findIndex((part) => !part.isWellFormed())
    if (crippled >= 0) {
      return new FingerprintError({
        path: `scope[${crippled}]`,
        reason: "a text with half of a surrogate pair"
      })
    }
    return Effect.zipWith(IdempotencyKey.hashes(key, scope), newOwner, (hashes, owner) => ({
      scope: IdempotencyKey.joined(scope),
      ...hashes,
      fingerprint,
      owner,
      leaseMillis: settings.leaseMillis,
      timeToLiveMillis: settings.timeToLiveMillis
    }))
  })

/** The fingerprint under which logs show the key. */
export const kidOf = (claim: IdempotencyStore.Claim): string => claim.keyHash.slice(0, 16)

/** The same operation with the same payload. */
export const idOf = ({ fingerprint, keyHash, scope }: IdempotencyStore.Claim): string =>
  IdempotencyKey.joined([scope, keyHash, fingerprint])
