/**
 * The problem types about idempotency keys. The middleware writes them, and the client reads them.
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

/** Problems that end by themselves: the first request ends, the store recovers. */
const passing: ReadonlySet<string> = new Set([typeOf("in-flight"), typeOf("store-unavailable")])

/** Tests whether a repeat of the request under its key would always get a problem of this type. */
export const isSettled = (type: string): boolean => type.startsWith(prefix) && !passing.has(type)
