/**
 * The text of an outcome in a record. The first character is a mark: the outcome follows, or it was
 * not kept.
 */
const keptMark = "+"

/** The text of an outcome that was not kept: executed, and nothing to replay. */
export const notKept = "-"

export type Read =
  | { readonly _tag: "Kept"; readonly outcome: string }
  | { readonly _tag: "NotKept" }
  | { readonly _tag: "Corrupt" }

export const kept = (outcome: string): string => keptMark + outcome

/** Reads a stored outcome. A text of neither form is `Corrupt`. */
export const read = (text: string): Read => {
  if (text.startsWith(keptMark)) return { _tag: "Kept", outcome: text.slice(keptMark.length) }
  return { _tag: text === notKept ? "NotKept" : "Corrupt" }
}

/**
 * Tests whether the outcome in a text has at most `maxBytes` bytes in UTF-8. Encodes the text only
 * when its length leaves that open: a UTF-16 unit takes between one and three bytes.
 */
export const isWithin = (text: string, maxBytes: number): boolean => {
  const units = text.length - keptMark.length
  if (units > maxBytes) return false
  return 3 * units <= maxBytes ||
    new TextEncoder().encode(text).length - keptMark.length <= maxBytes
}
