/**
 * Keeping secrets out of everything that is printed.
 *
 * An API may repeat in an error message what the client sent to it: a token in "invalid token abc", a signature in a debug line. Its message is
 * worth keeping, so it is scrubbed of every value that this client sent under a redacted name.
 *
 * @since 0.1.0
 */

/**
 * Names whose values are secret: compared without regard to letter case, or matched.
 *
 * @since 0.1.0
 * @category models
 */
export type Names = ReadonlyArray<string | RegExp>

/**
 * What is redacted everywhere. Each API adds its own.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaultNames: Names = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "api-key",
  "idempotency-key",
  /signature/i,
  /secret/i,
  /token/i,
  /password/i
]

/**
 * What stands in the place of a secret.
 *
 * @since 0.1.0
 * @category defaults
 */
export const mark = "<redacted>"

/**
 * Whether the value under this name is secret. O(names).
 *
 * @since 0.1.0
 * @category guards
 */
export const isSecretName = (name: string, names: Names): boolean =>
  names.some((secret) =>
    typeof secret === "string" ? secret.toLowerCase() === name.toLowerCase() : name.search(secret) !== -1
  )

/** Every text and number below a value. */
const leaves = (value: unknown): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (typeof value === "number" || typeof value === "bigint") return [String(value)]
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : []
}

/**
 * The values that stand under secret names anywhere in a JSON-like value. O(size).
 *
 * @since 0.1.0
 * @category accessors
 */
export const secretsIn = (value: unknown, names: Names): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap((item) => secretsIn(item, names))
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) =>
    isSecretName(name, names) ? leaves(inner) : secretsIn(inner, names)
  )
}

/** A secret may come back as it was, or written for JSON or for a URL. */
const spellings = (secret: string): ReadonlyArray<string> => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret.toWellFormed())
]

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/**
 * A function that replaces every occurrence of the secrets, however spelled, by `<redacted>`; longer ones first. O(text * secrets).
 *
 * @since 0.1.0
 * @category combinators
 */
export const scrubber = (secrets: Iterable<string>): (text: string) => string => {
  const all = [...new Set([...secrets].filter((secret) => secret !== "").flatMap(spellings))]
  if (all.length === 0) return (text) => text
  const pattern = new RegExp(all.sort((a, b) => b.length - a.length).map(escaped).join("|"), "gi")
  return (text) => text.replaceAll(pattern, mark)
}
