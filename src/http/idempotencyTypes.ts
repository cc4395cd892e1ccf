/**
 * The problem types that say something about an idempotency key: what the server writes and the
 * client reads.
 */
export type Word =
  | "key-missing"
  | "key-invalid"
  | "mismatch"
  | "in-flight"
  | "store-unavailable"
  | "unknown-outcome"
  | "result-unavailable"
  | "corrupt-record"
  | "scope-invalid"

const prefix = "urn:effect-resilience:idempotency:"

export const typeOf = (word: Word): string => prefix + word

/** What passes: the first request ends, the store comes back. */
const passing: ReadonlySet<string> = new Set([typeOf("in-flight"), typeOf("store-unavailable")])

/**
 * Whether the same request under the same key will never get another answer than a problem of this
 * type.
 */
export const isSettled = (type: string): boolean => type.startsWith(prefix) && !passing.has(type)
