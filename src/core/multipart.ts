/** Splits a multipart body into its parts (RFC 2046, section 5.1.1). */

/** The characters of a boundary. It does not end with a space. */
const boundaryForm = /^[\w'()+,\-./:=? ]{0,69}[\w'()+,\-./:=?]$/

/** What a line begins with that could be a delimiter. */
const lineStart = (text: string, at: number): "line" | "bare" | "inside" => {
  if (at === 0 || text.startsWith("\r\n", at - 2)) return "line"
  return text[at - 1] === "\n" || text[at - 1] === "\r" ? "bare" : "inside"
}

interface Delimiter {
  readonly isLast: boolean
  readonly end: number
}

/** A delimiter line, of which hyphens and boundary stand before `at`. */
const delimiterAt = (text: string, at: number): Delimiter | undefined => {
  const isLast = text.startsWith("--", at)
  let end = isLast ? at + 2 : at
  while (text[end] === " " || text[end] === "\t") end++
  return text.startsWith("\r\n", end) || (isLast && end === text.length)
    ? { isLast, end }
    : undefined
}

/**
 * The parts of a body between its delimiter lines, each with its headers. Preamble and epilogue are
 * no parts. O(body).
 *
 * **Details**
 *
 * `undefined` for a body that readers may understand differently: without the last delimiter, with
 * a boundary of another form, with a line that begins like a delimiter and is none (longer, or
 * after a bare CR or LF), or with a delimiter after the last one. So two bodies with the same parts
 * differ in nothing but boundary, padding, preamble and epilogue.
 *
 * @since 0.1.0
 */
export const partsOf = (
  body: Uint8Array,
  boundary: string
): ReadonlyArray<Uint8Array> | undefined => {
  if (!boundaryForm.test(boundary)) return undefined
  // One character for each byte; those of a delimiter are ASCII.
  const text = new TextDecoder("latin1").decode(body)
  const delimiter = `--${boundary}`
  const parts: Array<Uint8Array> = []
  let start: number | undefined
  let isClosed = false
  let at = text.indexOf(delimiter)
  while (at >= 0) {
    const place = lineStart(text, at)
    let next = at + 1
    if (place !== "inside" || start === undefined) {
      const found: Delimiter | undefined = place === "line" && !isClosed
        ? delimiterAt(text, at + delimiter.length)
        : undefined
      // A delimiter has a line break of its own before it.
      if (found === undefined || (start !== undefined && at - 2 < start)) return undefined
      if (start !== undefined) parts.push(body.subarray(start, at - 2))
      isClosed = found.isLast
      start = isClosed ? undefined : found.end + 2
      next = found.end
    }
    at = text.indexOf(delimiter, next)
  }
  return isClosed ? parts : undefined
}
