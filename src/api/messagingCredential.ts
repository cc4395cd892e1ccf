/**
 * The API key of Messaging: the one in use, how it is named in logs, and how it is replaced when it is refused.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as ApiError from "../ApiError.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import * as ApiKey from "./apiKey.js"

/**
 * A name for an API key that may be printed: equal for equal keys, and of no use to anybody who reads it. Sixteen hexadecimal digits, the beginning of an
 * HMAC-SHA-256 under `IdempotencyKey.Secret`.
 *
 * **Gotchas**
 *
 * That secret is a new one in every process unless it is provided: provide it where log lines of several processes are to be compared.
 *
 * **Example** (Two lines about the same key)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import * as Messaging from "effect-resilience/api/Messaging"
 *
 * const fingerprints = Effect.forEach(["mk_live_1", "mk_live_1", "mk_live_2"], (key) => Messaging.keyFingerprint(Redacted.make(key)))
 *
 * await Effect.runPromise(Effect.map(fingerprints, ([a, b, c]) => [a === b, a === c, a?.length])) // => [true, false, 16]
 * ```
 *
 * @since 0.1.0
 * @category failures
 */
export const keyFingerprint = (apiKey: Redacted.Redacted<string>): Effect.Effect<string> =>
  IdempotencyKey.kid({ [IdempotencyKey.TypeId]: IdempotencyKey.TypeId, value: apiKey, madeAt: 0 }, ["messaging"])

/** `all` are the key in use and those that it replaced, none of which may be shown. `refuse` takes down that the API did not accept a key. */
export interface Credential {
  readonly current: () => Redacted.Redacted<string>
  readonly all: () => ReadonlyArray<string>
  readonly refuse: (key: Redacted.Redacted<string>) => void
  readonly replace: Effect.Effect<void, ApiError.ApiError> | undefined
}

/** How many keys are remembered after they were replaced. */
const remembered = 10

/** Only the key in use is replaced, and once: of calls that were refused with the same key the first one to come fetches another. */
export const credential = (
  apiKey: Redacted.Redacted<string>,
  renew: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError> | undefined
): Effect.Effect<Credential> =>
  Effect.map(Effect.makeSemaphore(1), (turn) => {
    let current = apiKey
    let isRefused = false
    let former: ReadonlyArray<string> = []
    return {
      current: () => current,
      all: () => [Redacted.value(current), ...former],
      refuse: (key) => {
        if (key === current) isRefused = true
      },
      replace: renew && turn.withPermits(1)(Effect.suspend(() =>
        isRefused
          ? Effect.map(Effect.tap(renew, (key) => ApiKey.check(key)), (key) => {
            former = [Redacted.value(current), ...former].slice(0, remembered)
            current = key
            isRefused = false
          })
          : Effect.void
      ))
    }
  })
