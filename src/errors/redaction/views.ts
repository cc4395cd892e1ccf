/**
 * Undoes the escapes of a text, once and again: a secret may come back in JSON within JSON,
 * percent-encoded twice, or written for a page.
 */

/** `starts` and `ends` say which part of the text that came each unit of this view stands for. */
export interface View {
  readonly text: string
  readonly starts: ReadonlyArray<number> | undefined
  readonly ends: ReadonlyArray<number> | undefined
}

/** The entities of Latin 1, from U+00A0 on, in their order. */
const latin1 = ("nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg " +
  "macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 " +
  "iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave " +
  "Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc " +
  "Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute " +
  "ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash " +
  "ugrave uacute ucirc uuml yacute thorn yuml").split(" ")

/** The entities of ASCII, each followed by its character. */
const ascii = ("amp & lt < gt > quot \" apos ' excl ! num # dollar $ percnt % lpar ( rpar ) " +
  "ast * midast * plus + comma , period . sol / colon : semi ; equals = quest ? commat @ lsqb [ " +
  "lbrack [ bsol \\ rsqb ] rbrack ] Hat ^ lowbar _ UnderBar _ grave ` DiacriticalGrave ` lcub { " +
  "lbrace { vert | verbar | VerticalLine | rcub } rbrace } hyphen - dash - tilde ~").split(" ")

const entities: ReadonlyMap<string, string> = new Map([
  ...latin1.map((name, index) => [name, String.fromCharCode(0xa0 + index)] as const),
  ...ascii.flatMap((name, index) =>
    index % 2 === 0 ? [[name, ascii[index + 1] ?? ""] as const] : []
  ),
  ["Tab", "\t"],
  ["NewLine", "\n"],
  ["AMP", "&"],
  ["LT", "<"],
  ["GT", ">"],
  ["QUOT", "\""]
])

const controls: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  b: "\b",
  f: "\f",
  v: "\v",
  0: "\0"
}

const percent = "%u[\\da-f]{4}|(?:%[\\da-f]{2})+"
const entity = "&#\\d{1,9};?|&#x[\\da-f]{1,8};?|&[a-z]{2,20}\\d{0,2};"
const backslash = "\\\\(?:u[\\da-f]{4}|u\\{[\\da-f]{1,6}\\}|x[\\da-f]{2}|[^])"
const escapes = new RegExp(`${percent}|${entity}|${backslash}`, "gi")

const ofCodePoint = (code: number): string =>
  code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd"

/** How many bytes of UTF-8 a character has that begins with this one; none where none does. */
const lengthOf = (lead: number): number =>
  lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0

/** What each of a run of bytes says, in UTF-8 or else in Latin 1, and how many of them say it. */
const charactersOf = (bytes: ReadonlyArray<number>): ReadonlyArray<readonly [string, number]> => {
  const found: Array<readonly [string, number]> = []
  for (let at = 0; at < bytes.length;) {
    const lead = bytes[at] ?? 0
    const length = lengthOf(lead)
    const rest = bytes.slice(at + 1, at + length)
    const isWhole = length > 0 && rest.length === length - 1 && rest.every((b) => b >> 6 === 2)
    if (isWhole && length > 1) {
      const bits = rest.reduce((code, byte) => code << 6 | byte & 0x3f, lead & 0xff >> length + 1)
      found.push([ofCodePoint(bits), length])
    } else {
      found.push([String.fromCharCode(lead), 1])
    }
    at += isWhole ? length : 1
  }
  return found
}

/** What an escape stands for, in parts, each with its length as it was written. */
const meaningOf = (escape: string): ReadonlyArray<readonly [string, number]> => {
  const whole = (text: string) => [[text, escape.length] as const]
  if (escape.startsWith("%")) {
    if (/^%u/i.test(escape)) return whole(String.fromCharCode(Number.parseInt(escape.slice(2), 16)))
    const bytes = escape.slice(1).split("%").map((byte) => Number.parseInt(byte, 16))
    return charactersOf(bytes).map(([text, length]) => [text, length * 3])
  }
  if (escape.startsWith("&#")) {
    const isHex = /^&#x/i.test(escape)
    return whole(ofCodePoint(Number.parseInt(escape.slice(isHex ? 3 : 2), isHex ? 16 : 10)))
  }
  if (escape.startsWith("&")) return whole(entities.get(escape.slice(1, -1)) ?? escape)
  const code = /^\\[ux]\{?([\da-f]{2,6})/i.exec(escape)?.[1]
  if (code !== undefined) return whole(ofCodePoint(Number.parseInt(code, 16)))
  const character = escape.slice(1)
  return whole(controls[character] ?? character)
}

/** The text with its escapes undone once, or nothing where it has none. */
const undone = (view: View): View | undefined => {
  if (!/[%&\\]/.test(view.text)) return undefined
  const matches = [...view.text.matchAll(escapes)]
  if (matches.length === 0) return undefined
  const parts: Array<string> = []
  const starts: Array<number> = []
  const ends: Array<number> = []
  const startOf = (index: number) => view.starts?.[index] ?? index
  const endOf = (index: number) => view.ends?.[index] ?? index + 1
  const add = (text: string, from: number, length: number) => {
    parts.push(text)
    for (let unit = 0; unit < text.length; unit++) {
      starts.push(startOf(from))
      ends.push(endOf(from + length - 1))
    }
  }
  let at = 0
  const copy = (to: number) => {
    parts.push(view.text.slice(at, to))
    for (; at < to; at++) {
      starts.push(startOf(at))
      ends.push(endOf(at))
    }
  }
  for (const { 0: escape, index } of matches) {
    copy(index)
    for (const [text, length] of meaningOf(escape)) {
      add(text, at, length)
      at += length
    }
  }
  copy(view.text.length)
  const text = parts.join("")
  return text === view.text ? undefined : { text, starts, ends }
}

/** More than anything undoes on its way from one program to another. */
const maxDepth = 5

/** A text as it came, and with its escapes undone once, twice and so on. O(text). */
export const viewsOf = (text: string): ReadonlyArray<View> => {
  const views: Array<View> = []
  let next: View | undefined = { text, starts: undefined, ends: undefined }
  while (next !== undefined && views.length <= maxDepth) {
    views.push(next)
    next = undone(next)
  }
  return views
}
