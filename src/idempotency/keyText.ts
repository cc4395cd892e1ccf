/** Writes and reads the text of a key, as a header has it. */

/** 1 to 255 printable ASCII characters. */
export const isKeyText = (text: string): boolean => /^[\x20-\x7e]{1,255}$/.test(text)

/** A quoted structured-field string (RFC 9651). */
export const quoted = (key: string): string => `"${key.replaceAll(/[\\"]/g, "\\$&")}"`

/** Without the quotes around it, where there are any. Bare and quoted are the same key. */
export const unquoted = (header: string): string => {
  const value = header.trim()
  return /^"(?:[^"\\]|\\["\\])*"$/.test(value)
    ? value.slice(1, -1).replaceAll(/\\(["\\])/g, "$1")
    : value
}
