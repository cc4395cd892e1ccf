import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { repeats } from "../../scripts/lint-repeats.js"
import { folderOf } from "./temporary.js"

/** What is found in planted sources. */
const found = (files: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  repeats(folderOf(files))

/** Statements on so many lines. */
const statements = (count: number, name = "value", text = "\"a\""): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `  ${name}.push(${index} + 1, ${text})`)

/** A function of so many lines, the first and the last among them. */
const declared = (lines: number, name: string, ...rest: ReadonlyArray<string>): string =>
  [`export function ${name}(${name}s: Array<unknown>) {`, ...statements(lines - 2, ...rest), "}"]
    .join("\n")

describe("a function that stands twice", () => {
  it("is none in src", () => {
    expect(repeats(fileURLToPath(new URL("../..", import.meta.url)))).toEqual([])
  })

  it("is found when it has 15 lines, and not when it has 14", () => {
    const twice = (lines: number) =>
      found({ "src/a.ts": declared(lines, "one"), "src/b/c.ts": `\n${declared(lines, "two")}` })
    expect(twice(15)).toEqual(["src/a.ts:1 one ~ src/b/c.ts:2 two"])
    expect(twice(14)).toEqual([])
  })

  it("names, texts and numbers do not make a difference", () => {
    expect(found({
      "src/a.ts": declared(15, "one", "list", "\"a\""),
      "src/b.ts": declared(15, "two", "queue", "'another'").replaceAll(" + 1", " + 0x2f")
    })).toEqual(["src/a.ts:1 one ~ src/b.ts:1 two"])
  })

  it("an operator, a keyword or one statement more do", () => {
    expect(found({
      "src/a.ts": declared(15, "one"),
      "src/b.ts": declared(15, "two").replace(" + ", " - "),
      "src/c.ts": declared(15, "three").replace("  value.push", "  void value.push"),
      "src/d.ts": declared(16, "four")
    })).toEqual([])
  })

  it("comments and blank lines are neither compared nor counted", () => {
    const commented = declared(15, "two").replace("{\n", "{\n  // a comment\n\n  /* another\n */")
    expect(found({ "src/a.ts": declared(15, "one"), "src/b.ts": commented })).toEqual([
      "src/a.ts:1 one ~ src/b.ts:1 two"
    ])
    const short = (name: string) => declared(14, name).replace("{\n", "{\n  // a comment\n\n")
    expect(found({ "src/a.ts": short("one"), "src/b.ts": short("two") })).toEqual([])
  })

  it("a copy may stand on fewer lines", () => {
    expect(found({
      "src/a.ts": declared(14, "one").replace("(ones", "(\n  ones"),
      "src/b.ts": declared(14, "two")
    })).toEqual(["src/a.ts:1 one ~ src/b.ts:1 two"])
  })

  it("the same body under other parameters is found, in any kind of function", () => {
    const body = `{\n${statements(13).join("\n")}\n}`
    expect(
      found({
        "src/a.ts": [
          `const arrow = <A>(a: A, b: string) => ${body}`,
          `class Box { method() ${body}`,
          `constructor(readonly c: number) ${body} }`,
          `export const object = { get field() ${body}, named: function() ${body} }`,
          `export const called = [arrow, Box].map((value) => ${body})`
        ].join("\n")
      }).filter((line) => line.startsWith("src/a.ts:1 "))
    ).toEqual([
      "src/a.ts:1 arrow ~ src/a.ts:16 Box.method",
      "src/a.ts:1 arrow ~ src/a.ts:31 Box.constructor",
      "src/a.ts:1 arrow ~ src/a.ts:46 field",
      "src/a.ts:1 arrow ~ src/a.ts:60 named",
      "src/a.ts:1 arrow ~ src/a.ts:75 (within called)"
    ])
  })

  it("of functions within functions only the outermost are named", () => {
    const nested = (name: string) =>
      `export const ${name} = () => {\n${declared(15, "inner").replace("export ", "")}\n}`
    expect(found({ "src/a.ts": nested("one"), "src/b.ts": nested("two") })).toEqual([
      "src/a.ts:1 one ~ src/b.ts:1 two"
    ])
    expect(found({
      "src/a.ts": nested("one"),
      "src/b.ts": nested("two").replace("() => {", "() => {\n  void two")
    })).toEqual(["src/a.ts:2 inner ~ src/b.ts:3 inner"])
  })

  it("texts of more than a line are compared, a script for a server for example", () => {
    const script = (name: string, word: string) =>
      `export const ${name} = (table: string) => \`\n${
        Array.from({ length: 15 }, () => `  ${word} \${table}`).join("\n")
      }\n\``
    expect(found({ "src/a.ts": script("one", "get"), "src/b.ts": script("two", "set") })).toEqual(
      []
    )
    expect(found({ "src/a.ts": script("one", "get"), "src/b.ts": script("two", "get") })).toEqual([
      "src/a.ts:1 one ~ src/b.ts:1 two"
    ])
  })

  it("overloads and declarations without a body are no functions", () => {
    const overloads = Array.from({ length: 20 }, () => "export function many(a: string): void")
      .join("\n")
    expect(found({
      "src/a.ts": `${overloads}\nexport function many() {}`,
      "src/b.ts": `${overloads}\nexport function many() {}`
    })).toEqual([])
  })
})
