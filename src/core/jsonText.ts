/** Writes the canonical form of a JSON text, where parsing loses nothing of it. */
import * as CanonicalJson from "./canonicalJson.js"

/**
 * Tests whether a double holds a number exactly as it is written: at most fifteen digits, and an
 * exponent without overflow or underflow.
 */
const isExact = (number: string): boolean => {
  if (number.length <= 15 && !/e/i.test(number)) return true
  const [mantissa = "", exponent = "0"] = number.toLowerCase().split("e")
  return mantissa.replaceAll(/[^0-9]/g, "").length <= 15 && Math.abs(Number(exponent)) <= 200
}

const quote = 0x22
const backslash = 0x5c

/** The place of the quote that ends a string. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf("\"", start);; end = text.indexOf("\"", end + 1)) {
    if (end < 0) return text.length
    let escapes = end
    while (text.charCodeAt(escapes - 1) === backslash) escapes--
    if ((end - escapes) % 2 === 0) return end
  }
}

/**
 * Counts the names in all objects of a text before it is parsed, repeated ones included.
 * `undefined` for a text with more than `maxValues` values, more than a thousand levels, or a
 * number that a double does not hold. O(text).
 */
const namesWritten = (text: string, maxValues: number): number | undefined => {
  const number = /[-\d.eE+]+/y
  let names = 0
  let values = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case quote:
        values++
        at = endOfString(text, at + 1)
        break
      case 0x3a: // :
        names++
        values--
        break
      case 0x5b: // [
      case 0x7b: // {
        values++
        if (++depth > CanonicalJson.maxDepth) return undefined
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
        break
      case 0x66: // f
      case 0x6e: // n
      case 0x74: // t
        values++
        at += 3
        break
      case 0x2d: // -
      case 0x30:
      case 0x31:
      case 0x32:
      case 0x33:
      case 0x34:
      case 0x35:
      case 0x36:
      case 0x37:
      case 0x38:
      case 0x39: {
        values++
        number.lastIndex = at
        const found = number.exec(text)?.[0] ?? "-"
        if (!isExact(found)) return undefined
        at += found.length - 1
        break
      }
    }
    if (values > maxValues) return undefined
  }
  return names
}

/** The number of names in all objects of a JSON value. */
const namesIn = (json: unknown): number => {
  const open: Array<unknown> = [json]
  let names = 0
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next !== "object" || next === null) continue
    const values: ReadonlyArray<unknown> = Array.isArray(next) ? next : Object.values(next)
    if (values !== next) names += values.length
    for (const value of values) if (typeof value === "object") open.push(value)
  }
  return names
}

/**
 * The canonical form of a JSON text in UTF-8, which is the same when a client writes the names in
 * another order. `undefined` for a text that is no JSON, that has more than `maxValues` values
 * (objects, arrays, strings, numbers and literals) or a thousand levels, and for one that parsing
 * would change (a name twice in an object, a number that a double does not hold), because two
 * different texts would then have the same form. A text of too many values is not parsed. O(text).
 *
 * @since 0.1.0
 */
export const canonical = (bytes: Uint8Array, maxValues: number): string | undefined => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    const names = namesWritten(text, maxValues)
    if (names === undefined) return undefined
    const json: unknown = JSON.parse(text)
    if (names !== namesIn(json)) return undefined
    const form = CanonicalJson.stringify(json)
    return form._tag === "Text" ? form.text : undefined
  } catch {
    return undefined
  }
}
