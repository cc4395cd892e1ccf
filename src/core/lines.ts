/**
 * Cuts bytes into lines, in pieces of any size.
 *
 * In UTF-8 a CR or an LF byte is never part of another character, so that bytes are cut first and
 * decoded afterwards.
 */

const CR = 13
const LF = 10

/**
 * What ends a line: LF alone, or any of CR, LF and CR LF.
 *
 * @since 0.1.0
 */
export type Ending = "lf" | "any"

const endOf = (bytes: Uint8Array, from: number, ending: Ending): number => {
  if (ending === "lf") return bytes.indexOf(LF, from)
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === LF || bytes[at] === CR) return at
  }
  return -1
}

const joined = (pieces: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const whole = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

/**
 * The lines of a stream of bytes. `push` is O(bytes).
 *
 * @since 0.1.0
 */
export class Lines {
  #pieces: Array<Uint8Array> = []
  #pending = 0
  /** The last byte was a CR, so that an LF that comes first belongs to it. */
  #afterReturn = false
  readonly #ending: Ending

  constructor(ending: Ending) {
    this.#ending = ending
  }

  /** How many bytes of a line have come whose end has not. */
  get pending(): number {
    return this.#pending
  }

  /** Calls `onLine` with each line that ends in these bytes, until it answers `false`. */
  push(bytes: Uint8Array, onLine: (line: Uint8Array) => boolean): boolean {
    if (bytes.length === 0) return true
    let from = this.#afterReturn && bytes[0] === LF ? 1 : 0
    this.#afterReturn = false
    for (let end = endOf(bytes, from, this.#ending); end !== -1;) {
      const line = this.#take(bytes.subarray(from, end))
      from = end + 1
      if (bytes[end] === CR) {
        if (from === bytes.length) this.#afterReturn = true
        else if (bytes[from] === LF) from++
      }
      if (!onLine(line)) return false
      end = endOf(bytes, from, this.#ending)
    }
    if (from < bytes.length) this.#keep(bytes.subarray(from))
    return true
  }

  /** What has come of a line whose end has not; the next line begins after it. */
  rest(): Uint8Array {
    return this.#take(new Uint8Array())
  }

  #keep(piece: Uint8Array): void {
    // A client may use the memory of a chunk again.
    this.#pieces.push(piece.slice())
    this.#pending += piece.length
  }

  #take(piece: Uint8Array): Uint8Array {
    if (this.#pending === 0) return piece
    const line = joined([...this.#pieces, piece], this.#pending + piece.length)
    this.#pieces = []
    this.#pending = 0
    return line
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * The text of a line. Of the first line of a stream a byte order mark is no part.
 *
 * @since 0.1.0
 */
export const textOf = (line: Uint8Array, isFirst: boolean): string => {
  const text = decoder.decode(line)
  return isFirst && text.startsWith("\uFEFF") ? text.slice(1) : text
}
