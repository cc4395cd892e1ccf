/**
 * The claim of a run: the names of its key in a store. Computed once per call, before the first
 * call of the store.
 */
import * as Context from "effect/Context"
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

/** The secrets of a program, the present one first. */
const secretsOf = (context: Context.Context<never>): Secrets => [
  Context.get(context, IdempotencyKey.Secret),
  ...Context.get(context, IdempotencyKey.PreviousSecrets)
]

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
  Effect.contextWith((context) => namesUnder(secretsOf(context), key, scope))

/** The stores that the log has warned of. */
const warned = globalValue(
  "effect-resilience/storesWithoutSecret",
  () => new WeakSet<IdempotencyStore.Service>()
)

const withoutSecret =
  "The idempotency store has no secret and the program has set none: each process names keys " +
  "under a secret of its own, and another process does not find them"

/** The secrets that keys are named under in a store: its own, or those of the program. */
const secretsFor = (
  { secrets }: IdempotencyStore.Service,
  context: Context.Context<never>
): Secrets =>
  secrets === undefined || secrets === "program"
    ? secretsOf(context)
    : [secrets.secret, ...secrets.previousSecrets]

/** Whether nothing has said yet that processes do not find the keys of each other in a store. */
const isToWarn = (store: IdempotencyStore.Service, context: Context.Context<never>): boolean =>
  store.secrets === "program" && !context.unsafeMap.has(IdempotencyKey.Secret.key) &&
  !warned.has(store)

/** A claim, and the other fingerprints that a record of the same payload could have. */
export interface Claimed {
  readonly claim: IdempotencyStore.Claim
  readonly otherFingerprints: () => ReadonlyArray<string>
}

const claimUnder = (
  secrets: Secrets,
  { key, payload, scope, settings }: Subject
): Claimed => {
  const [secret, ...previous] = secrets
  const fingerprintUnder = (secret: Redacted.Redacted<string>) =>
    Fingerprint.under(secret, key.value, scope, payload)
  const fingerprint = fingerprintUnder(secret)
  const { keyHash, previousKeyHashes } = namesUnder(secrets, key, scope)
  return {
    claim: {
      scope: joined(scope),
      keyHash,
      previousKeyHashes,
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
}

export const claimOf = (
  store: IdempotencyStore.Service,
  subject: Subject
): Effect.Effect<Claimed, FingerprintError> =>
  Effect.contextWithEffect((context: Context.Context<never>) => {
    // UTF-8 encodes every half of a surrogate pair as the same replacement character.
    const malformed = subject.scope.findIndex((part) => !part.isWellFormed())
    if (malformed >= 0) {
      return new FingerprintError({
        path: `scope[${malformed}]`,
        reason: "a text with half of a surrogate pair"
      })
    }
    const claimed = Effect.succeed(claimUnder(secretsFor(store, context), subject))
    if (!isToWarn(store, context)) return claimed
    warned.add(store)
    return Effect.zipRight(Effect.logWarning(withoutSecret), claimed)
  })

/** The fingerprint of the key that spans and logs show. */
export const kidOf = (claim: IdempotencyStore.Claim): string => claim.keyHash.slice(0, 16)

/** The identity of an operation with its payload: scope and key are part of a fingerprint. */
export const idOf = ({ fingerprint }: IdempotencyStore.Claim): string => fingerprint
