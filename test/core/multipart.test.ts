import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { partsOf } from "../../src/core/multipart.js"
import { runs } from "../support/runs.js"

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))
const texts = (parts: ReadonlyArray<Uint8Array> | undefined) =>
  parts?.map((part) => String.fromCharCode(...part))
const read = (body: string, boundary = "b") => texts(partsOf(bytes(body), boundary))

const part = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1"

describe("partsOf", () => {
  it.each<readonly [string, string, ReadonlyArray<string>]>([
    ["one part", `--b\r\n${part}\r\n--b--\r\n`, [part]],
    ["two parts", `--b\r\n${part}\r\n--b\r\n\r\n2\r\n--b--`, [part, "\r\n2"]],
    ["a part without headers and content", "--b\r\n\r\n\r\n--b--\r\n", ["\r\n"]],
    ["an empty part", "--b\r\n\r\n--b--", [""]],
    ["no parts", "--b--\r\n", []],
    [
      "preamble and epilogue",
      `This is a message.\r\nIgnore it.\r\n--b\r\n${part}\r\n--b--\r\nThe end\r\n`,
      [part]
    ],
    ["an empty line before", `\r\n--b\r\n${part}\r\n--b--`, [part]],
    ["padding of spaces and tabs", `--b \t\r\n${part}\r\n--b--\t \r\n`, [part]],
    ["the boundary inside of a line", "--b\r\n\r\na --b c\r\n--b--", ["\r\na --b c"]],
    ["hyphens and line breaks in a part", "--b\r\n\r\n--\r\n-b\n\r\r\n\r\n--b--", [
      "\r\n--\r\n-b\n\r\r\n"
    ]],
    ["bytes of no text", "--b\r\n\r\n\xff\x00\x80\r\n--b--", ["\r\n\xff\x00\x80"]]
  ])("I17: %s", (_, body, parts) => {
    expect(read(body)).toEqual(parts)
  })

  it.each([
    ["nothing", ""],
    ["no delimiter", "abc"],
    ["no last delimiter", `--b\r\n${part}\r\n`],
    ["no last delimiter, after two parts", `--b\r\n${part}\r\n--b\r\n${part}`],
    ["a line that goes on after the boundary", `--b\r\n${part}\r\n--bc\r\n--b--`],
    ["a last line that goes on", `--b\r\n${part}\r\n--b--c\r\n`],
    ["a delimiter after the last one", `--b\r\n${part}\r\n--b--\r\n--b\r\n${part}\r\n--b--`],
    ["a bare line feed before a delimiter", `--b\r\n${part}\n--b--`],
    ["a bare carriage return before a delimiter", `--b\r\n${part}\r--b\r\n\r\n--b--`],
    ["a bare line feed after a delimiter", `--b\n${part}\r\n--b--`],
    ["the boundary in the preamble", `a --b\r\n--b\r\n${part}\r\n--b--`],
    ["the boundary in the epilogue", `--b\r\n${part}\r\n--b--\r\na --b`],
    ["two delimiters with one line break", `--b\r\n--b--`],
    ["a delimiter in mid-line only", "a--b--"]
  ])("I17: not well-formed: %s", (_, body) => {
    expect(read(body)).toBe(undefined)
  })

  it("I17: boundaries are of 1 to 70 characters, of which the last is no space", () => {
    const readWith = (boundary: string) =>
      read(`--${boundary}\r\n${part}\r\n--${boundary}--`, boundary)?.length
    expect(["'()+_,-./:=?", "a b", "-", "--", "x".repeat(70)].map(readWith)).toEqual(
      [1, 1, 1, 1, 1]
    )
    expect(["", "a ", "x".repeat(71), "é", "a\r\nb", "a*"].filter(readWith)).toEqual([])
  })

  const boundary = fc.stringOf(fc.constantFrom("a", "b", "-"), { minLength: 1, maxLength: 4 })
  const content = fc.stringOf(fc.constantFrom("a", "b", "-", "\r", "\n", "\r\n", "--", " "), {
    maxLength: 12
  })

  it("I17: what is written with a boundary that it does not hold is read, whatever the boundary", () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 4 }), boundary, (parts, end) => {
        const boundary = `X${end}`
        const body = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join("")
        expect(read(`${body}--${boundary}--`, boundary)).toEqual(parts)
      }),
      { numRuns: runs(2000) }
    )
  })

  it("I17: whatever is read, written anew with the same boundary, is what was read", () => {
    fc.assert(
      fc.property(
        content,
        fc.array(content, { maxLength: 4 }),
        boundary,
        (before, parts, boundary) => {
          const body = `${before}${
            parts.map((part) => `\r\n--${boundary}\r\n${part}`).join("")
          }\r\n--${boundary}--`
          const found = read(body, boundary)
          if (found === undefined) return
          const again = `${
            found.map((part) => `--${boundary}\r\n${part}\r\n`).join("")
          }--${boundary}--`
          expect(read(again, boundary)).toEqual(found)
          // A delimiter may be padded, which is not kept.
          const padding = new RegExp(`((?:^|\\r\\n)--${boundary}(?:--)?) +(?=\\r\\n|$)`, "g")
          expect(body.replaceAll(padding, "$1").endsWith(again)).toBe(true)
        }
      ),
      { numRuns: runs(2000) }
    )
  })
})

describe("a delimiter after a bare line break", () => {
  it.each(["\n", "\r"])("I17: %j: readers differ about it, so there are no parts", (end) => {
    expect(read(`--b\r\n\r\nx${end}--b\r\n\r\ny\r\n--b--`)).toBe(undefined)
    expect(read(`x${end}--b\r\n\r\ny\r\n--b--`)).toBe(undefined)
  })
})
