/**
 * The text that a record keeps of an outcome. The first character says whether the rest is the
 * outcome, or whether it was not kept.
 */
const keptMark = "+"

/** Executed, and nothing to replay. */
export const notKept = "-"

export type Read =
  | { readonly _tag: "Kept"; readonly outcome: string }
  | { readonly _tag: "NotKept" }
  | { readonly _tag: "Corrupt" }

export const kept = (outcome: string): string => keptMark + outcome

/** Whatever is of neither form was not written here. */
export const read = (text: string): Read => {
  if (text.startsWith(keptMark)) return { _tag: "Kept", outcome: text.slice(keptMark.length) }
  return { _tag: text === notKept ? "NotKept" : "Corrupt" }
}

/**
 * Whether the outcome in a text takes at most so many bytes. A UTF-16 unit takes between one and
 * three.
 */
export const isWithin = (text: string, maxBytes: number): boolean => {
  const units = text.length - keptMark.length
  if (units > maxBytes) return false
  return 3 * units <= maxBytes ||
    new TextEncoder().encode(text).length - keptMark.length <= maxBytes
}
