import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as Lines from "../../src/core/lines.js"
import { runs } from "../support/runs.js"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** The lines of a stream that comes in these pieces, and what is left at its end. */
const read = (ending: Lines.Ending, ...pieces: ReadonlyArray<string>) => {
  const reader = new Lines.Lines(ending)
  const lines: Array<string> = []
  for (const piece of pieces) {
    expect(reader.push(bytesOf(piece), (line) => lines.push(textOf(line)) > 0)).toBe(true)
  }
  const { pending } = reader
  const rest = textOf(reader.rest())
  expect([pending, reader.pending]).toEqual([rest.length, 0])
  return [...lines, `rest: ${rest}`]
}

describe("lines", () => {
  it("end with LF alone, or with CR, LF and CR LF", () => {
    expect(read("lf", "a\r\nb\rc\n\nd")).toEqual(["a\r", "b\rc", "", "rest: d"])
    expect(read("any", "a\r\nb\rc\n\nd")).toEqual(["a", "b", "c", "", "rest: d"])
  })

  it("an LF belongs to a CR that came before it, also in an earlier piece", () => {
    expect(read("any", "a\r", "\nb\n")).toEqual(["a", "b", "rest: "])
    expect(read("any", "a\r", "", "\nb\n")).toEqual(["a", "b", "rest: "])
    expect(read("any", "a\r", "b\n")).toEqual(["a", "b", "rest: "])
    expect(read("any", "\na\n")).toEqual(["", "a", "rest: "])
  })

  it("no more lines are handed out after an answer of false", () => {
    const lines: Array<string> = []
    const all = new Lines.Lines("lf").push(
      bytesOf("a\nb\nc\n"),
      (line) => lines.push(textOf(line)) < 2
    )
    expect([all, lines]).toEqual([false, ["a", "b"]])
  })

  it("the memory of a piece may be used again", () => {
    const reader = new Lines.Lines("lf")
    const piece = bytesOf("ab")
    const lines: Array<string> = []
    reader.push(piece, () => true)
    piece.fill(0)
    reader.push(bytesOf("c\n"), (line) => lines.push(textOf(line)) > 0)
    expect(lines).toEqual(["abc"])
  })

  it("however a text is cut, its lines are those of the whole", () => {
    const text = fc.array(fc.constantFrom("a", "b", "\r", "\n"), { maxLength: 12 })
    const ending = fc.constantFrom<Lines.Ending>("lf", "any")
    fc.assert(
      fc.property(text, fc.nat(12), fc.nat(12), ending, (letters, one, other, ending) => {
        const whole = letters.join("")
        const [from, to] = [Math.min(one, other), Math.max(one, other)]
        const pieces = [whole.slice(0, from), whole.slice(from, to), whole.slice(to)]
        const lines = whole.split(ending === "lf" ? "\n" : /\r\n|\r|\n/)
        expect(read(ending, ...pieces)).toEqual([...lines.slice(0, -1), `rest: ${lines.at(-1)}`])
      }),
      { numRuns: runs(500) }
    )
  })

  it("of the first line of a stream a byte order mark is no part", () => {
    const marked = bytesOf("\uFEFFa")
    expect([Lines.textOf(marked, true), Lines.textOf(marked, false)]).toEqual(["a", "\uFEFFa"])
  })
})
