/**
 * The secrets under which keys are named in a store that outlives the process.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type { StoreSecrets } from "../idempotency/IdempotencyStore.js"

/**
 * A secret. Best redacted from where it comes; a plain text is redacted at once.
 *
 * @since 0.1.0
 * @category models
 */
export type Secret = string | Redacted.Redacted<string>

/**
 * The secret under which keys are named, and those that came before it: a record that was made
 * under one of them is still found.
 *
 * @since 0.1.0
 * @category models
 */
export interface Secrets {
  /** The secret that names keys, the same for all programs that share the store. */
  readonly secret: Secret
  /** Earlier secrets. Records under them are still found. Default: none. */
  readonly previousSecrets?: ReadonlyArray<Secret> | undefined
}

/** The refusal names the field only. */
const checked = (field: string, secret: Secret): Redacted.Redacted<string> => {
  const value: unknown = Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
  if (typeof value !== "string" || value === "") {
    throw new RangeError(`${field} should be a text that is not empty`)
  }
  return Redacted.make(value)
}

/** The secrets of a store, checked and redacted. */
export const secretsOf = (options: Secrets): StoreSecrets => ({
  secret: checked("secret", options.secret),
  previousSecrets: (options.previousSecrets ?? []).map((secret, index) =>
    checked(`previousSecrets[${index}]`, secret)
  )
})

/** Provides the same secrets for the fingerprints of keys in the logs of the program. */
export const layer = ({ previousSecrets, secret }: StoreSecrets): Layer.Layer<never> =>
  Layer.succeedContext(
    Context.make(IdempotencyKey.Secret, secret).pipe(
      Context.add(IdempotencyKey.PreviousSecrets, previousSecrets)
    )
  )
