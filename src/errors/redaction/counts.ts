/**
 * Finds names that contain the word of a secret and are not secret: `max_tokens` counts,
 * `token_type` classifies.
 */

const secretWords: ReadonlySet<string> = new Set([
  "token",
  "tokens",
  "secret",
  "secrets",
  "password",
  "passwords",
  "signature",
  "signatures"
])

/** What says of a secret how many, how long or of which kind, and not the secret itself. */
const measures: ReadonlySet<string> = new Set([
  "algorithm",
  "budget",
  "count",
  "counts",
  "expires",
  "expiry",
  "ids",
  "index",
  "length",
  "lifetime",
  "limit",
  "max",
  "maximum",
  "method",
  "min",
  "minimum",
  "num",
  "policy",
  "remaining",
  "size",
  "total",
  "ttl",
  "type",
  "types",
  "usage",
  "version"
])

/** What counts the units of a language model, which are `tokens` and never one `token`. */
const quantities: ReadonlySet<string> = new Set([
  "accepted",
  "audio",
  "cached",
  "completion",
  "consumed",
  "generated",
  "image",
  "input",
  "n",
  "number",
  "output",
  "per",
  "prediction",
  "prompt",
  "ratelimit",
  "reasoning",
  "rejected",
  "text",
  "thinking",
  "used"
])

/** The words of `maxTokens`, `max_tokens`, `max-tokens` and `maxtokens`. */
const wordsOf = (name: string): ReadonlyArray<string> =>
  name
    .replaceAll(/([a-z\d])(?=[A-Z])/g, "$1 ")
    .toLowerCase()
    .replace(/^(max|min|num|total)(?=tokens?$)/, "$1 ")
    .split(/[^a-z\d]+/)

/** Tests whether a name with the word of one secret in it stands for a count or a kind. O(name). */
export const isCount = (name: string): boolean => {
  const words = wordsOf(name)
  const secrets = words.filter((word) => secretWords.has(word))
  if (secrets.length === 0) return words.some((word) => /^(de)?tokeni[sz]/.test(word))
  return secrets.length === 1 &&
    words.some((word) => measures.has(word) || (secrets[0] === "tokens" && quantities.has(word)))
}
