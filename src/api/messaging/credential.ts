/**
 * The API key of Messaging: the one in use, how it is named in logs, and how it is replaced when it
 * is refused.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as ApiError from "../../errors/ApiError.js"
import * as Endpoint from "../../http/Endpoint.js"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"

/**
 * A name for an API key that may be printed: equal for equal keys, and useless for calling the API.
 * Sixteen hexadecimal digits, the beginning of an HMAC-SHA-256 under `IdempotencyKey.Secret`.
 *
 * **Gotchas**
 *
 * Each process has a secret of its own by default. Provide one secret to compare the log lines of
 * several processes.
 *
 * **Example** (Two lines about the same key)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import * as Messaging from "effect-resilience/api/Messaging"
 *
 * const fingerprints = Effect.forEach(
 *   ["mk_live_1", "mk_live_1", "mk_live_2"],
 *   (key) => Messaging.keyFingerprint(Redacted.make(key))
 * )
 *
 * const [a, b, c] = await Effect.runPromise(fingerprints)
 * const seen = [a === b, a === c, a?.length]
 * seen // => [true, false, 16]
 * ```
 *
 * @since 0.1.0
 * @category failures
 */
export const keyFingerprint = (apiKey: Redacted.Redacted<string>): Effect.Effect<string> =>
  IdempotencyKey.kid({ [IdempotencyKey.TypeId]: IdempotencyKey.TypeId, value: apiKey, madeAt: 0 }, [
    "messaging"
  ])

/**
 * What a call has sent last: under the key of which generation, and how many renewals of it had
 * failed by then.
 */
export interface Use {
  generation: number
  failures: number
}

/**
 * `all` are the key in use and those that it replaced, none of which may be shown. `use` gives the
 * key in use and takes down that a call has it. `replace` is for a call whose key the API did not
 * accept.
 */
export interface Credential {
  readonly current: () => Redacted.Redacted<string>
  readonly all: () => ReadonlyArray<string>
  readonly use: (by: Use) => Redacted.Redacted<string>
  readonly replace: ((by: Use) => Effect.Effect<void, ApiError.ApiError>) | undefined
}

/** How many keys are remembered after they were replaced. */
const remembered = 10

/**
 * Renews a key once for all calls that were refused with it: the first such call fetches another
 * key, and its result is the result of all calls that had been sent by then. A renewal that was
 * interrupted has not ended: the next call begins anew.
 */
export const credential = (
  apiKey: Redacted.Redacted<string>,
  renew: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError> | undefined
): Effect.Effect<Credential> =>
  Effect.map(Effect.makeSemaphore(1), (turn) => {
    let current = apiKey
    let generation = 0
    let failures = 0
    let failure: Cause.Cause<ApiError.ApiError> = Cause.empty
    let former: ReadonlyArray<string> = []

    const renewed = (renew: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError>) =>
      Effect.tap(renew, (key) => Endpoint.checkCredential(key)).pipe(
        Effect.tapErrorCause((cause) =>
          Effect.sync(() => {
            if (Cause.isInterrupted(cause)) return
            failures++
            failure = cause
          })
        ),
        Effect.map((key) => {
          former = [Redacted.value(current), ...former].slice(0, remembered)
          current = key
          generation++
          failures = 0
        })
      )

    return {
      current: () => current,
      all: () => [Redacted.value(current), ...former],
      use: (by) => {
        by.generation = generation
        by.failures = failures
        return current
      },
      replace: renew && ((by) =>
        turn.withPermits(1)(Effect.suspend(() => {
          if (by.generation !== generation) return Effect.void
          return by.failures === failures ? renewed(renew) : Effect.failCause(failure)
        })))
    }
  })
