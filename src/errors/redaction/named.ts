/** Finds secrets of the other side by the names under which they stand. */
import { placeholder, type Range } from "./spellings.js"

/** A longer name is none. */
const maxName = 100

const nameIn = /[\w$-]+(?:\.[\w$-]+)*/g

/** What stands between a name and its value, and the mark before the value, if it is quoted. */
const separator = /\s{0,8}(?:\\*["'`]|\])?\s{0,8}(=>|[:=])(\s{0,8})(\\*["'`])?/y

const element = /(?:\s[^<>]{0,200})?>/y

/** Words that say what is wrong with a secret, where the secret itself would stand. */
const prose = new Set(
  ("a absent after already an and any are as at bad be before but by can cannot can't check " +
    "could denied did do does doesn't empty error exceeded expected expired failed field for " +
    "format found from has have if in incorrect insufficient invalid is isn't it its length " +
    "limit malformed may mismatch missing must need needs no none not of on only or please " +
    "provide provided rejected required revoked should string that the there this to too " +
    "unauthorized unexpected unknown unsupported use value was were with wrong you your").split(" ")
)

/** What JSON and programs write for a value that is none. */
const nothing = /^(?:true|false|null|none|nil|undefined|\*+|\[?redacted\]?)$/i

const wholeLine = /^(?:(?:proxy-)?authorization|(?:set-)?cookie2?)$/i

const oneCredential = /(?:bearer|basic|token|apikey)\s+[^\s,;"'<>]+/iy

/** The end of a list or an object of JSON, or of the text where it is cut short. */
const endOfJson = (text: string, from: number): number => {
  let depth = 0
  let inText = false
  for (let at = from; at < text.length; at++) {
    const unit = text[at]
    if (unit === "\"" && text[at - 1] !== "\\") inText = !inText
    if (inText) continue
    if (unit === "[" || unit === "{") depth += 1
    if (unit === "]" || unit === "}") depth -= 1
    if (depth === 0) return at + 1
  }
  return text.length
}

/** The end of what is quoted: the next mark that is escaped as the first one is. */
const endOfQuoted = (text: string, from: number, quote: string): number => {
  const mark = quote.at(-1) ?? ""
  for (let at = text.indexOf(mark, from); at !== -1; at = text.indexOf(mark, at + 1)) {
    let slashes = 0
    while (at - slashes > from && text[at - slashes - 1] === "\\") slashes += 1
    if (slashes < quote.length) return at - slashes
  }
  return text.length
}

const sticky = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at
  return pattern.exec(text)
}

const bareValue = /[^\s,;&"'`<>(){}[\]]+/y

/** A signature may be a list: `t=1,v1=abc`. */
const listValue = /[^\s&"'`<>(){}[\]]+/y

const endOfBare = (name: string, text: string, from: number): number => {
  if (wholeLine.test(name)) {
    const credential = sticky(oneCredential, text, from)
    if (credential !== null) return from + credential[0].length
    const end = text.slice(from).search(/[\r\n]/)
    return end === -1 ? text.length : from + end
  }
  const value = sticky(/sig/i.test(name) ? listValue : bareValue, text, from)?.[0] ?? ""
  return from + value.replace(/[.:!?,;]+$/, "").length
}

/** How names are told: whether one is secret, and whether its value may be any word at all. */
export interface Secrecy {
  readonly isSecret: (name: string) => boolean
  readonly isPlain: (name: string) => boolean
}

const isTelling = (value: string): boolean =>
  value.includes(placeholder) === false && !nothing.test(value)

/** A name of an API is also a word of its sentences: "message: too long". */
const isValue = (value: string, name: string, { isPlain }: Secrecy): boolean =>
  isPlain(name)
    ? !prose.has(value.toLowerCase())
    : /\d|@/.test(value) || value.length >= 16

const rangeAfter = (
  text: string,
  name: string,
  at: number,
  secrecy: Secrecy,
  isCode: boolean
): Range | undefined => {
  const found = sticky(separator, text, at)
  if (found === null) {
    if (!/[</:]/.test(text[at - name.length - 1] ?? "")) return undefined
    const tag = sticky(element, text, at)
    if (tag === null || !secrecy.isSecret(name)) return undefined
    const from = at + tag[0].length
    const end = text.indexOf("<", from)
    return [from, end === -1 ? text.length : end]
  }
  if (!secrecy.isSecret(name)) return undefined
  const [whole, mark, space, quote] = found
  const from = at + whole.length
  if (quote !== undefined) return [from, endOfQuoted(text, from, quote)]
  if (text[from] === "{" || text[from] === "[") return [from, endOfJson(text, from)]
  const to = endOfBare(name, text, from)
  const value = text.slice(from, to)
  if (isCode && mark === ":" && space === "" && !(value.length >= 16 && /\d/.test(value))) {
    return undefined
  }
  return mark === "=" || isValue(value, name, secrecy) ? [from, to] : undefined
}

/** Finds the values under secret names in a text. O(text). */
export const namedRangesOf = (text: string, secrecy: Secrecy): ReadonlyArray<Range> => {
  const found: Array<Range> = []
  const isCode = /^[\w.:/-]+$/.test(text)
  for (const { 0: name, index } of text.matchAll(nameIn)) {
    const end = index + name.length
    const last = found.at(-1)
    if (name.length > maxName || last !== undefined && index < last[1]) continue
    const range = rangeAfter(text, name, end, secrecy, isCode)
    if (range !== undefined && range[0] < range[1] && isTelling(text.slice(...range))) {
      found.push(range)
    }
  }
  return found
}
