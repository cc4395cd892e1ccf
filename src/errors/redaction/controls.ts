/** Keeps text of another side in one line of a log, so that it cannot forge a line of its own. */

/** Control characters, the separators of lines, and marks that turn the direction of a text. */
const controls = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** The text in a single line, its control characters written as JSON writes them. */
export const singleLine = (text: string): string =>
  text.replaceAll(
    controls,
    (unit) => short[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
