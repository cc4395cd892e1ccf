/**
 * The claim of a run: the names of its key in a store. Computed once per call, before the first
 * call of the store.
 */
import { bytesToHex, randomBytes } from "@noble/hashes/utils"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import { FingerprintError } from "../errors/idempotencyErrors.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { hashUnder, joined } from "./keyHash.js"
import type { Settings } from "./settings.js"

/** How old a key of a first run may be. A longer `timeToLive` allows older keys. */
export const keyLifetimeMillis = 86_400_000

export interface Subject {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly scope: ReadonlyArray<string>
  readonly fingerprint: string
  readonly settings: Settings
}

/**
 * A new owner. The store would grant the claim to two runs with the same owner, so owners never
 * come from effect's `Random`: two parts of a program may seed it alike.
 */
const newOwner = Effect.sync(() => bytesToHex(randomBytes(16)))

/**
 * The names of a key in stores: the whole HMAC-SHA-256, under `IdempotencyKey.Secret` and under
 * each of `IdempotencyKey.PreviousSecrets`. The `kid` of a key is the beginning of the first.
 */
export const hashes = (
  { value }: IdempotencyKey.IdempotencyKey,
  scope: ReadonlyArray<string>
): Effect.Effect<{
  readonly keyHash: string
  readonly previousKeyHashes: ReadonlyArray<string>
}> =>
  Effect.zipWith(
    IdempotencyKey.Secret,
    IdempotencyKey.PreviousSecrets,
    (secret, previous) => {
      const keyHash = hashUnder(secret, value, scope)
      const before = new Set(previous.map((secret) => hashUnder(secret, value, scope)))
      before.delete(keyHash)
      return { keyHash, previousKeyHashes: [...before] }
    }
  )

/** The stores that the log has warned of. */
const warned = globalValue(
  "effect-resilience/storesWithoutSecret",
  () => new WeakSet<IdempotencyStore.Service>()
)

const withoutSecret =
  "The idempotency store has no secret and the program has set none: each process names keys under a secret of its own, and another process does not find them"

/** Names keys under the secrets of the store. */
const underSecretsOf = <A>(
  store: IdempotencyStore.Service,
  self: Effect.Effect<A>
): Effect.Effect<A> => {
  const { secrets } = store
  if (secrets === undefined) return self
  if (secrets !== "program") {
    return Effect.mapInputContext(
      self,
      (context: Context.Context<never>) =>
        Context.add(context, IdempotencyKey.Secret, secrets.secret).pipe(
          Context.add(IdempotencyKey.PreviousSecrets, secrets.previousSecrets)
        )
    )
  }
  return Effect.contextWithEffect((context: Context.Context<never>) => {
    if (context.unsafeMap.has(IdempotencyKey.Secret.key) || warned.has(store)) return self
    warned.add(store)
    return Effect.zipRight(Effect.logWarning(withoutSecret), self)
  })
}

export const claimOf = (
  store: IdempotencyStore.Service,
  { fingerprint, key, scope, settings }: Subject
): Effect.Effect<IdempotencyStore.Claim, FingerprintError> =>
  Effect.suspend(() => {
    // UTF-8 encodes every half of a surrogate pair as the same replacement character.
    const malformed = scope.findIndex((part) => !part.isWellFormed())
    if (malformed >= 0) {
      return new FingerprintError({
        path: `scope[${malformed}]`,
        reason: "a text with half of a surrogate pair"
      })
    }
    const hashed = underSecretsOf(store, hashes(key, scope))
    return Effect.zipWith(hashed, newOwner, (names, owner) => ({
      scope: joined(scope),
      ...names,
      fingerprint,
      owner,
      leaseMillis: settings.leaseMillis,
      timeToLiveMillis: settings.timeToLiveMillis
    }))
  })

/** The fingerprint of the key that spans and logs show. */
export const kidOf = (claim: IdempotencyStore.Claim): string => claim.keyHash.slice(0, 16)

/** The identity of an operation with its payload: equal for duplicates. */
export const idOf = ({ fingerprint, keyHash, scope }: IdempotencyStore.Claim): string =>
  joined([scope, keyHash, fingerprint])
