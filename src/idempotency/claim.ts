/**
 * The claim of a run: the names of its key in a store. Computed once per call, before the first
 * call of the store.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import type * as Redacted from "effect/Redacted"
import { FingerprintError } from "../errors/idempotencyErrors.js"
import * as Fingerprint from "./fingerprint.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import { hashUnder, joined } from "./keyHash.js"
import type { Settings } from "./settings.js"
import { drawn } from "./uuid.js"

/** How old a key of a first run may be. A longer `timeToLive` allows older keys. */
export const keyLifetimeMillis = 86_400_000

export interface Subject {
  readonly key: IdempotencyKey.IdempotencyKey
  readonly scope: ReadonlyArray<string>
  readonly payload: Fingerprint.Digest
  readonly settings: Settings
}

type Secrets = readonly [Redacted.Redacted<string>, ...ReadonlyArray<Redacted.Redacted<string>>]

/** The secrets of the environment, the present one first. */
const secrets: Effect.Effect<Secrets> = Effect.zipWith(
  IdempotencyKey.Secret,
  IdempotencyKey.PreviousSecrets,
  (secret, previous) => [secret, ...previous]
)

/** What differs from the first, each once. */
const others = (first: string, texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  [...new Set(texts)].filter((text) => text !== first)

const namesUnder = (
  [secret, ...previous]: Secrets,
  { value }: IdempotencyKey.IdempotencyKey,
  scope: ReadonlyArray<string>
) => {
  const keyHash = hashUnder(secret, value, scope)
  const before = previous.map((secret) => hashUnder(secret, value, scope))
  return { keyHash, previousKeyHashes: others(keyHash, before) }
}

/**
 * The names of a key in stores: the whole HMAC-SHA-256, under `IdempotencyKey.Secret` and under
 * each of `IdempotencyKey.PreviousSecrets`. The `kid` of a key is the beginning of the first.
 */
export const hashes = (
  key: IdempotencyKey.IdempotencyKey,
  scope: ReadonlyArray<string>
): Effect.Effect<ReturnType<typeof namesUnder>> =>
  Effect.map(secrets, (secrets) => namesUnder(secrets, key, scope))

/** The stores that the log has warned of. */
const warned = globalValue(
  "effect-resilience/storesWithoutSecret",
  () => new WeakSet<IdempotencyStore.Service>()
)

const withoutSecret =
  "The idempotency store has no secret and the program has set none: each process names keys " +
  "under a secret of its own, and another process does not find them"

/** The secrets that keys are named under in a store: its own, or those of the program. */
const secretsFor = (store: IdempotencyStore.Service): Effect.Effect<Secrets> => {
  const ofStore = store.secrets
  if (ofStore === undefined) return secrets
  if (ofStore !== "program") return Effect.succeed([ofStore.secret, ...ofStore.previousSecrets])
  return Effect.contextWithEffect((context: Context.Context<never>) => {
    if (context.unsafeMap.has(IdempotencyKey.Secret.key) || warned.has(store)) return secrets
    warned.add(store)
    return Effect.zipRight(Effect.logWarning(withoutSecret), secrets)
  })
}

/** A claim, and the other fingerprints that a record of the same payload could have. */
export interface Claimed {
  readonly claim: IdempotencyStore.Claim
  readonly otherFingerprints: () => ReadonlyArray<string>
}

export const claimOf = (
  store: IdempotencyStore.Service,
  { key, payload, scope, settings }: Subject
): Effect.Effect<Claimed, FingerprintError> =>
  Effect.suspend(() => {
    // UTF-8 encodes every half of a surrogate pair as the same replacement character.
    const malformed = scope.findIndex((part) => !part.isWellFormed())
    if (malformed >= 0) {
      return new FingerprintError({
        path: `scope[${malformed}]`,
        reason: "a text with half of a surrogate pair"
      })
    }
    return Effect.map(secretsFor(store), (secrets) => {
      const [secret, ...previous] = secrets
      const fingerprintUnder = (secret: Redacted.Redacted<string>) =>
        Fingerprint.under(secret, key.value, scope, payload)
      const fingerprint = fingerprintUnder(secret)
      return {
        claim: {
          scope: joined(scope),
          ...namesUnder(secrets, key, scope),
          fingerprint,
          // The store would grant the claim to two runs with the same owner, so owners never come
          // from effect's `Random`: two parts of a program may seed it alike.
          owner: drawn(),
          leaseMillis: settings.leaseMillis,
          timeToLiveMillis: settings.timeToLiveMillis
        },
        otherFingerprints: () =>
          others(fingerprint, [...previous.map(fingerprintUnder), ...payload.earlier()])
      }
    })
  })

/** The fingerprint of the key that spans and logs show. */
export const kidOf = (claim: IdempotencyStore.Claim): string => claim.keyHash.slice(0, 16)

/** The identity of an operation with its payload: equal for duplicates. */
export const idOf = ({ fingerprint, keyHash, scope }: IdempotencyStore.Claim): string =>
  joined([scope, keyHash, fingerprint])
