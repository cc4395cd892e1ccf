/**
 * Searches one text for many secrets at once, in time that grows with the text and not with the
 * secrets.
 */
import { viewsOf } from "./views.js"

/** A part of a text: from the first unit to the one after the last. */
export type Range = readonly [from: number, to: number]

/** A shorter secret occurs by chance; it is one only as a whole token. */
const minLength = 6

/** So much of the front of a secret gives it away. */
const minPrefix = 16

/** Stands for a secret that has been replaced. It is part of the token that it stands in. */
export const placeholder = "\ue000"

const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text)

/** Without regard to letter case, unit by unit, so that every place stays where it is. */
const folded = (text: string): string =>
  isAscii(text) ? text.toLowerCase() : text.replaceAll(/[A-Z]+|[^\0-\x7f]/g, (part) => {
    const lower = part.toLowerCase()
    return lower.length === part.length ? lower : part
  })

/** The bytes of a text in UTF-8, each as one unit. */
const binary = (text: string): string =>
  isAscii(text)
    ? text
    : Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("")

/** Base64 of a secret, and what it looks like in the midst of more that was encoded with it. */
const base64 = (secret: string): ReadonlyArray<string> => {
  const bytes = binary(secret)
  const whole = btoa(bytes)
  const found = [whole]
  if (whole.endsWith("=")) found.push(whole.replace(/=+$/, ""))
  if (secret.length >= minLength) {
    for (const shift of [1, 2]) {
      const end = Math.floor((shift + bytes.length) * 8 / 6)
      found.push(btoa("\0".repeat(shift) + bytes).slice(shift + 1, end))
    }
  }
  // The alphabet of URLs has two other characters.
  const odd = found.filter((text) => /[+/]/.test(text))
  return found.concat(odd.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")))
}

/** What a secret may have become, beside the escapes that are undone in the text. */
const spellingsOf = (secret: string): ReadonlyArray<string> => {
  const found = base64(secret).concat(secret)
  if (/^[\w.:-]*$/.test(secret)) return found
  for (const { text } of viewsOf(secret)) {
    found.push(text, text.replaceAll(" ", "+"), text.replaceAll("+", " "))
    // What was sent with escapes is encoded without them.
    if (text !== secret) found.push(...base64(text))
  }
  found.push(secret.toWellFormed())
  return found
}

/** A secret that is spelled as it is or in base64, and of which each spelling is a long one. */
const isOrdinary = (secret: string): boolean => /^[\w.:-]{16,}$/.test(secret)

/** The front of each spelling of such a secret; those in base64 without regard to the alphabet. */
const frontsOf = (secret: string): ReadonlyArray<string> => [
  secret.slice(0, minLength),
  ...[0, 1, 2].map((shift) => {
    const from = shift === 0 ? 0 : shift + 1
    return btoa("\0".repeat(shift) + secret.slice(0, 9)).slice(from, from + minLength)
  })
]

/**
 * Tests, in less time than a search takes, whether a secret may occur in a text without escapes. A
 * text without the front of any of its spellings does not hold it.
 */
export const mayOccur = (secret: string, text: string): boolean => {
  if (!isOrdinary(secret)) return true
  const plain = text.toLowerCase()
  return frontsOf(secret).some((front) => {
    const folded = front.toLowerCase()
    return plain.includes(folded) ||
      /[+/]/.test(folded) && plain.includes(folded.replaceAll("+", "-").replaceAll("/", "_"))
  })
}

/** So many secrets are looked for in every spelling; any more of them as they are. */
const maxSpelled = 1000

/** What begins alike: whole texts by their lengths, and long ones of which a part is enough. */
interface Group {
  readonly whole: Set<string>
  readonly lengths: Set<number>
  readonly long: Array<string>
}

/** Secrets, ordered for the search. */
export interface Index {
  readonly groups: ReadonlyMap<string, Group>
  readonly short: ReadonlySet<string>
  readonly shortLengths: ReadonlyArray<number>
}

const addTo = (groups: Map<string, Group>, text: string, isOnlyWhole: boolean): void => {
  const front = text.slice(0, minLength)
  let group = groups.get(front)
  if (group === undefined) {
    groups.set(front, group = { whole: new Set(), lengths: new Set(), long: [] })
  }
  if (text.length >= minPrefix && !isOnlyWhole) group.long.push(text)
  else {
    group.whole.add(text)
    group.lengths.add(text.length)
  }
}

/** O(all letters of the secrets). */
export const indexOf = (secrets: Iterable<string>): Index => {
  const spelled = new Set<string>()
  const padded = new Set<string>()
  const short = new Set<string>()
  const groups = new Map<string, Group>()
  let count = 0
  for (const secret of new Set(secrets)) {
    const bare = secret.trim()
    const texts = count < maxSpelled ? spellingsOf(bare) : [bare]
    for (const text of texts) {
      if (text.trim() !== "") spelled.add(folded(text))
    }
    // With the white space around it, it is taken out as a whole.
    if (bare !== secret && bare !== "") padded.add(folded(secret))
    count += 1
  }
  for (const text of padded) {
    if (text.length < minLength) short.add(text)
    else addTo(groups, text, true)
  }
  for (const text of spelled) {
    if (text.length < minLength) short.add(text)
    else addTo(groups, text, false)
  }
  for (const { long } of groups.values()) if (long.length > 1) long.sort()
  return { groups, short, shortLengths: [...new Set([...short].map(({ length }) => length))] }
}

/** How much of the front of a pattern stands in a text at a place. */
const common = (text: string, at: number, pattern: string): number => {
  const most = Math.min(pattern.length, text.length - at)
  let length = 0
  while (length < most && text.charCodeAt(at + length) === pattern.charCodeAt(length)) length += 1
  return length
}

/** The longest front of a pattern that stands in a text at a place; patterns are in order. */
const longestFront = (text: string, at: number, patterns: ReadonlyArray<string>): number => {
  let longest = 0
  let low = 0
  let high = patterns.length
  while (low < high) {
    const middle = low + high >> 1
    const pattern = patterns[middle] ?? ""
    const length = common(text, at, pattern)
    if (length > longest) longest = length
    // The pattern with the most in common stands next to the place of the text in this order.
    const isBefore = length === pattern.length ||
      at + length < text.length && pattern.charCodeAt(length) < text.charCodeAt(at + length)
    if (isBefore) low = middle + 1
    else high = middle
  }
  return longest
}

const lengthAt = (groups: Index["groups"], text: string, at: number): number => {
  const group = groups.get(text.slice(at, at + minLength))
  if (group === undefined) return 0
  const front = longestFront(text, at, group.long)
  let longest = front >= minPrefix ? front : 0
  for (const length of group.lengths) {
    if (length > longest && group.whole.has(text.slice(at, at + length))) longest = length
  }
  return longest
}

const wordUnit = /[\p{L}\p{N}\p{M}\p{Cs}_\-\ue000]/u

const isWord = (unit: string | undefined): boolean => unit !== undefined && wordUnit.test(unit)

/** What may stand within a token, between two letters or digits. */
const isJoint = (unit: string | undefined): boolean => unit !== undefined && /[./@+~]/.test(unit)

/**
 * Tests whether a part of a text is a token, and not a part of a longer one such as `v1.9` or
 * `a-b`.
 */
const isToken = (text: string, from: number, to: number): boolean =>
  !isWord(text[from - 1]) && !isWord(text[to]) &&
  !(isJoint(text[from - 1]) && isWord(text[from - 2])) &&
  !(isJoint(text[to]) && isWord(text[to + 1]))

/** A code or the id of a request: one token, whatever it is made of. */
const isCode = (text: string): boolean => /^[\w.:/@#+-]+$/.test(text)

/** So much of what was found is looked through again for what overlaps its end. */
const overlap = 64

const longRanges = (groups: Index["groups"], text: string): ReadonlyArray<Range> => {
  const found: Array<Range> = []
  if (groups.size === 0) return found
  for (let at = 0; at + minLength <= text.length;) {
    const length = lengthAt(groups, text, at)
    if (length > 0) found.push([at, at + length])
    at += Math.max(1, length - overlap)
  }
  return found
}

const shortRanges = ({ short, shortLengths }: Index, text: string): ReadonlyArray<Range> => {
  const found: Array<Range> = []
  if (short.size === 0) return found
  if (isCode(text)) {
    // A number alone is a code or a limit.
    return short.has(text) && !/^\d+$/.test(text) ? [[0, text.length]] : []
  }
  for (let at = 0; at < text.length; at++) {
    for (const length of shortLengths) {
      const isFound = short.has(text.slice(at, at + length)) && isToken(text, at, at + length)
      if (isFound && at + length <= text.length) found.push([at, at + length])
    }
  }
  return found
}

/** Finds secrets in a text. O(text). */
export const rangesOf = (index: Index, text: string): ReadonlyArray<Range> => {
  const plain = folded(text)
  return [...longRanges(index.groups, plain), ...shortRanges(index, plain)]
}
