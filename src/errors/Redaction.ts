/**
 * Keeps secrets out of everything that is printed.
 *
 * An API may repeat in an error message what the client sent: a token in "invalid token abc", a
 * signature in a debug line. The message is worth keeping, so every value that this client sent
 * under a secret name is removed from it.
 *
 * @since 0.1.0
 */
import { isCount } from "./redaction/counts.js"
import { namedRangesOf } from "./redaction/named.js"
import { indexOf, placeholder, type Range, rangesOf } from "./redaction/spellings.js"
import { viewsOf } from "./redaction/views.js"

/**
 * Names whose values are secret: texts, compared without letter case, or patterns.
 *
 * @since 0.1.0
 * @category models
 */
export type Names = ReadonlyArray<string | RegExp>

const patterns: ReadonlyArray<RegExp> = [
  /signature/i,
  /secret/i,
  /token/i,
  /passw(or)?d/i,
  /api[-_]?key/i,
  /private[-_]?key/i
]

/**
 * The names that are secret everywhere. Each API adds its own.
 *
 * **Details**
 *
 * Of what a pattern finds, names of counts and kinds are no secrets: `max_tokens`, `token_ids`,
 * `token_type`. In a query, `key` is secret too.
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
  "apikey",
  "x-apikey",
  "api_key",
  "private_key",
  "passwd",
  "sig",
  ...patterns
]

/**
 * The text that replaces a secret.
 *
 * @since 0.1.0
 * @category defaults
 */
export const mark = "<redacted>"

const isDefaultPattern: ReadonlySet<string | RegExp> = new Set(patterns)

/**
 * Tests whether the value under this name is secret. O(names).
 *
 * @since 0.1.0
 * @category guards
 */
export const isSecretName = (name: string, names: Names): boolean =>
  names.some((secret) =>
    typeof secret === "string"
      ? secret.toLowerCase() === name.toLowerCase()
      : name.search(secret) !== -1 && !(isDefaultPattern.has(secret) && isCount(name))
  )

/** The JSON that a text holds: an object or a list. */
const jsonIn = (text: string): object | undefined => {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Collects the values under secret names in a JSON-like value, at any depth, and in texts of it
 * that are JSON themselves. Outer values come first. O(size).
 *
 * @since 0.1.0
 * @category accessors
 */
export const secretsIn = (value: unknown, names: Names): ReadonlyArray<string> => {
  const found: Array<string> = []
  const open: Array<readonly [value: unknown, secret: boolean]> = [[value, false]]
  // The list grows while it is walked.
  for (const [value, secret] of open) {
    if (Array.isArray(value)) {
      for (const inner of value) open.push([inner, secret])
    } else if (typeof value === "object" && value !== null) {
      for (const [name, inner] of Object.entries(value)) {
        open.push([inner, secret || isSecretName(name, names)])
      }
    } else {
      const isValue = typeof value === "string" || typeof value === "number" ||
        typeof value === "bigint"
      if (secret && isValue) found.push(String(value))
      const inner = typeof value === "string" ? jsonIn(value) : undefined
      if (inner !== undefined) open.push([inner, secret])
    }
  }
  return found
}

/** In the place of each range, the mark; ranges that overlap are one. */
const replaced = (text: string, ranges: ReadonlyArray<Range>): string => {
  let clean = ""
  let at = 0
  let open: Range | undefined
  const close = () => {
    if (open === undefined) return
    clean += text.slice(at, open[0]) + placeholder
    at = open[1]
  }
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (open !== undefined && from < open[1]) {
      open = [open[0], Math.max(open[1], to)]
    } else {
      close()
      open = [from, to]
    }
  }
  close()
  return clean + text.slice(at)
}

/**
 * Makes a function that replaces secrets in a text by `<redacted>`.
 *
 * **Details**
 *
 * - Every occurrence of the given secrets, in any letter case, however spelled: escaped for JSON, a
 *   URL, a form or a page, once or several times; in base64; without the white space around it; or
 *   cut short, from 16 characters on.
 * - A secret of fewer than six characters only where it is a whole token, and never as a part of a
 *   code or a request id.
 * - What stands in the text under a secret name, as `name: value`, `name=value` or a member of
 *   JSON: secrets that the other side has made. `names` are `defaultNames` by default.
 *
 * O(secrets) to make, O(text) to use. Of more than 1,000 secrets, the rest is looked for as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const scrubber = (
  secrets: Iterable<string>,
  names: Names = defaultNames
): (text: string) => string => {
  const index = indexOf(secrets)
  const isPlain = (name: string) => isSecretName(name, defaultNames)
  const isSecret = (name: string) => names !== defaultNames && isSecretName(name, names)
  const secrecy = { isPlain, isSecret: (name: string) => isPlain(name) || isSecret(name) }
  return (text) => {
    const marked = text.replaceAll(mark, placeholder)
    const ranges = viewsOf(marked).flatMap((view) =>
      [...rangesOf(index, view.text), ...namedRangesOf(view.text, secrecy)].map(
        ([from, to]): Range => [view.starts?.[from] ?? from, view.ends?.[to - 1] ?? to]
      )
    )
    return replaced(marked, ranges).replaceAll(placeholder, mark)
  }
}
