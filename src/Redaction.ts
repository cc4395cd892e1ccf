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

/**
 * The values that stand under secret names anywhere in a JSON-like value, at any depth. O(size).
 *
 * @since 0.1.0
 * @category accessors
 */
export const secretsIn = (value: unknown, names: Names): ReadonlyArray<string> => {
  const found: Array<string> = []
  const open: Array<readonly [value: unknown, secret: boolean]> = [[value, false]]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [value, secret] = next
    if (typeof value === "object" && value !== null) {
      for (const [name, inner] of Object.entries(value)) open.push([inner, secret || isSecretName(name, names)])
    } else if (secret && (typeof value === "string" || typeof value === "number" || typeof value === "bigint")) {
      found.push(String(value))
    }
  }
  return found
}

/** A secret may come back as it was, or written for JSON, for a URL or for a form. */
const spellings = (secret: string): ReadonlyArray<string> => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret.toWellFormed()),
  new URLSearchParams([["", secret]]).toString().slice(1)
]

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/**
 * A function that replaces every occurrence of the secrets, however spelled, by `<redacted>`; longer ones first. White space around a secret may be gone:
 * a header loses it on its way. O(text * secrets).
 *
 * @since 0.1.0
 * @category combinators
 */
export const scrubber = (secrets: Iterable<string>): (text: string) => string => {
  const plain = new Set([...secrets].flatMap((secret) => [secret, secret.trim()]).filter((secret) => secret !== ""))
  const all = [...new Set([...plain].flatMap(spellings))]
  if (all.length === 0) return (text) => text
  const pattern = new RegExp(all.sort((a, b) => b.length - a.length).map(escaped).join("|"), "gi")
  return (text) => text.replaceAll(pattern, mark)
}
