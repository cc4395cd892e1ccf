/**
 * Keeping secrets out of everything that is printed.
 *
 * An API may repeat in an error message what the client sent to it: a token in "invalid token abc",
 * a signature in a debug line. Its message is worth keeping, so it is scrubbed of every value that
 * this client sent under a redacted name.
 *
 * @since 0.1.0
 */
import { isCount } from "./redaction/counts.js"

/**
 * Names whose values are secret: compared without regard to letter case, or matched.
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
 * What is redacted everywhere. Each API adds its own.
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
 * What stands in the place of a secret.
 *
 * @since 0.1.0
 * @category defaults
 */
export const mark = "<redacted>"

const isDefaultPattern: ReadonlySet<string | RegExp> = new Set(patterns)

/**
 * Whether the value under this name is secret. O(names).
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
 * The values that stand under secret names anywhere in a JSON-like value, at any depth, and in
 * texts of it that are JSON themselves. What stands higher comes first. O(size).
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

/** JSON as it is written where only ASCII is sure to arrive. */
const asciiJson = (json: string): string =>
  json.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const slashJson = (json: string): string => json.replaceAll("/", "\\/")

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

const html = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character)

const asciiHtml = (html: string): string =>
  html.replaceAll(/[^\0-\x7f]/gu, (character) => `&#${character.codePointAt(0)};`)

/** A secret may come back as it was, or written for JSON, for a URL, for a form or for a page. */
const spellings = (secret: string): ReadonlyArray<string> => {
  const json = JSON.stringify(secret).slice(1, -1)
  const page = html(secret)
  return [
    secret,
    json,
    asciiJson(json),
    slashJson(json),
    slashJson(asciiJson(json)),
    encodeURIComponent(secret.toWellFormed()),
    new URLSearchParams([["", secret]]).toString().slice(1),
    page,
    asciiHtml(page)
  ]
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/**
 * A longer secret, such as the text of a document, would make an expression that is too large; it
 * is looked for as it is.
 */
const longest = 1000

/** So many letters in one expression. */
const groupSize = 30_000

const grouped = (texts: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const groups: Array<Array<string>> = []
  let size = Infinity
  for (const text of texts) {
    if (size + text.length > groupSize) {
      groups.push([])
      size = 0
    }
    groups.at(-1)?.push(text)
    size += text.length
  }
  return groups
}

/**
 * A function that replaces every occurrence of the secrets, however spelled, by `<redacted>`;
 * longer ones first. White space around a secret may be gone: a header loses it on its way. O(text
 * * secrets).
 *
 * @since 0.1.0
 * @category combinators
 */
export const scrubber = (secrets: Iterable<string>): (text: string) => string => {
  const plain = new Set(
    [...secrets].flatMap((secret) => [secret, secret.trim()]).filter((secret) => secret !== "")
  )
  const all = [...new Set([...plain].flatMap(spellings))].sort((a, b) => b.length - a.length)
  const whole = all.filter(({ length }) => length > longest)
  const patterns = grouped(all.filter(({ length }) => length <= longest)).map((group) =>
    new RegExp(group.map(escaped).join("|"), "gi")
  )
  return (text) =>
    [...whole, ...patterns].reduce<string>(
      (scrubbed, secret) => scrubbed.replaceAll(secret, mark),
      text
    )
}
