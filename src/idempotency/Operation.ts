/**
 * Says what a second execution of a call would mean. Everything that repeats (a retry, a hedge, the
 * HTTP client) asks this first.
 *
 * @since 0.1.0
 */
import type * as IdempotencyKey from "./IdempotencyKey.js"

/**
 * One of the four kinds of call. `R` is what the kind demands of the environment: an
 * `IdempotencyKey` for `keyed`, nothing for the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operation<out R = never> {
  /** Names the kind of call. */
  readonly _tag: "Read" | "Idempotent" | "Keyed" | "Once"
  /** Carries the type of what the kind demands; not for use at run time. */
  readonly _R: (_: never) => R
}

const make = <R>(_tag: Operation["_tag"]): Operation<R> =>
  Object.freeze({
    _tag,
    _R: (_: never): R => _
  })

/**
 * Safe: changes nothing (GET, HEAD, OPTIONS, TRACE; RFC 9110 section 9.2.1). Repeated on every
 * transient failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read: Operation = make("Read")

/**
 * Twice is the same as once (PUT, DELETE; RFC 9110 section 9.2.2). Repeated on every transient
 * failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export const idempotent: Operation = make("Idempotent")

/**
 * Unsafe, but it carries an idempotency key that the server recognises, so a repeat is answered and
 * not executed again. Repeated on every transient failure. Forgetting the key is a type error:
 * `keyed` puts `IdempotencyKey` into the environment.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keyed: Operation<IdempotencyKey.IdempotencyKey> = make("Keyed")

/**
 * Unsafe and without a key. Repeated only when the call was certainly not executed (connection
 * refused, 429), never on an ambiguous failure (a reset after sending, a timeout, a 5xx).
 *
 * @since 0.1.0
 * @category constructors
 */
export const once: Operation = make("Once")
