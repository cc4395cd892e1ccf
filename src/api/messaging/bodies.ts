/**
 * Bodies of failures, as far as they may be recorded.
 *
 * For debugging a body is worth more than its message, and an API may repeat anything in it. Only
 * the client knows what it has sent, so it takes that down beside the body: under the bytes
 * themselves, which stay the same however often the error is copied, and with which it is
 * forgotten.
 */
import * as Option from "effect/Option"
import * as ApiError from "../../errors/ApiError.js"
import * as Redaction from "../../errors/Redaction.js"

/**
 * `textOf` is the body without the secrets of the call and without what stands under secret names;
 * none of an error that was not taken down.
 */
export interface Bodies {
  readonly recordOutcome: (error: ApiError.ApiError, secrets: () => ReadonlyArray<string>) => void
  readonly textOf: (error: ApiError.ApiError) => string | undefined
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Where an object or a list ends that begins at `start`; where the text ends, when it was cut off.
 */
const endOf = (text: string, start: number): number => {
  let depth = 0
  for (
    const { 0: token, index } of text.slice(start).matchAll(/"(?:[^"\\]|\\[^])*(?:"|\\?$)|[[\]{}]/g)
  ) {
    if (token === "{" || token === "[") depth++
    else if (token === "}" || token === "]") depth--
    if (depth === 0) return start + index + 1
  }
  return text.length
}

/** How long the value is that begins at `start`. */
const lengthOf = (text: string, start: number): number => {
  const rest = text.slice(start)
  const quote = /^(?:\\"|'|&quot;|&#3[49];)/.exec(rest)?.[0]
  if (quote !== undefined) {
    const end = rest.indexOf(quote, quote.length)
    return end === -1 ? rest.length : end + quote.length
  }
  if (/^[[{]/.test(rest)) return endOf(text, start) - start
  return (/^"(?:[^"\\]|\\[^])*(?:"|\\?$)|^[^\s,}\]<]*/.exec(rest) ?? [""])[0].length
}

/** The name of a pair as it is written in JSON, in JSON within JSON, or in a page. */
const pair = /(\\?"|'|&quot;|&#3[49];)((?:(?!\1)[^\n]){1,200}?)\1\s*:\s*/g

/**
 * A text that is no JSON as a whole, but may have been, or hold some: what follows a secret name
 * goes, to its end or to that of the text.
 */
const masked = (text: string, secretNames: Redaction.Names): string => {
  const names = new RegExp(pair)
  let clean = ""
  let from = 0
  for (let found = names.exec(text); found !== null; found = names.exec(text)) {
    const [whole, quote = "\"", name = ""] = found
    const spelled = parsed(`"${name}"`)
    if (!Redaction.isSecretName(typeof spelled === "string" ? spelled : name, secretNames)) {
      // The mark that ends this name may begin another one.
      names.lastIndex = found.index + quote.length
      continue
    }
    const start = found.index + whole.length
    clean += `${text.slice(from, start)}${quote}${Redaction.mark}${quote}`
    from = start + lengthOf(text, start)
    names.lastIndex = from
  }
  return clean + text.slice(from)
}

/**
 * A body that is JSON, written anew: however it had spelled a name or a value, both are seen as
 * they are meant.
 */
const cleaned = (
  secrets: ReadonlyArray<string>,
  secretNames: Redaction.Names,
  scrub: (text: string) => string
) => {
  const numbers = new Set(secrets.filter((secret) => secret.trim() !== "").map(Number))
  const clean = (value: unknown): unknown => {
    if (typeof value === "string") return scrub(masked(value, secretNames))
    if (typeof value === "number") {
      return numbers.has(value) || scrub(`${value}`) !== `${value}`
        ? Redaction.mark
        : value
    }
    if (Array.isArray(value)) return value.map(clean)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        scrub(name),
        Redaction.isSecretName(name, secretNames) && inner !== null && typeof inner !== "boolean"
          ? Redaction.mark
          : clean(inner)
      ])
    )
  }
  return clean
}

const recordable = (
  text: string,
  sent: ReadonlyArray<string>,
  secretNames: Redaction.Names
): string => {
  const body = parsed(text)
  const secrets = [...sent, ...Redaction.secretsIn(body, secretNames)]
  const scrub = Redaction.scrubber(secrets)
  if (body !== undefined) {
    try {
      return JSON.stringify(cleaned(secrets, secretNames, scrub)(body))
    } catch {
      // Too deep to be written.
    }
  }
  return scrub(masked(text, secretNames))
}

export const make = (secretNames: Redaction.Names): Bodies => {
  const secretsOf = new WeakMap<Uint8Array, ReadonlyArray<string>>()
  return {
    recordOutcome: (error, secrets) => {
      const bytes = Option.getOrUndefined(ApiError.rawBody(error))
      if (bytes !== undefined) secretsOf.set(bytes, secrets())
    },
    textOf: (error) => {
      const bytes = Option.getOrUndefined(ApiError.rawBody(error))
      const sent = bytes && secretsOf.get(bytes)
      return sent && recordable(new TextDecoder().decode(bytes), sent, secretNames)
    }
  }
}
