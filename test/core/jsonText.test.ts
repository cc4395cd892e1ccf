import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as CanonicalJson from "../../src/core/canonicalJson.js"
import { canonical } from "../../src/core/jsonText.js"
import { runs } from "../support/runs.js"

const read = (text: string, maxValues = Infinity) =>
  canonical(new TextEncoder().encode(text), maxValues)

describe("canonical", () => {
  it("I16: the order of names and white space make no difference", () => {
    expect([
      read(" { \"b\" : [ 1.0, -0 ] ,\n\"a\":\"\\u0041\\\"\\\\\" } "),
      read("true"),
      read("1e2")
    ])
      .toEqual(["{\"a\":\"A\\\"\\\\\",\"b\":[1,0]}", "true", "100"])
  })

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["a name twice", "{\"a\":1,\"a\":1}"],
    ["a name twice, deep", "[{\"a\":{\"b\":1,\"b\":2}}]"],
    ["a name twice, spelled differently", "{\"a\":1,\"\\u0061\":1}"],
    ["a number of sixteen digits", "[1234567890123456]"],
    ["a number that overflows", "1e400"],
    ["a number that underflows", "1e-400"],
    ["half a surrogate pair", "\"\\ud800\""],
    ["more than a thousand levels", `${"[".repeat(1001)}${"]".repeat(1001)}`]
  ])("I16: undefined for %s", (_, text) => {
    expect(read(text)).toBe(undefined)
  })

  it("I16: no UTF-8 is no text", () => {
    expect(canonical(Uint8Array.of(0x22, 0xff, 0x22), Infinity)).toBe(undefined)
  })

  it.each<readonly [string, number]>([
    ["[]", 1],
    ["[[],{},[]]", 4],
    ["[1,-2.5e3,\"a,[\\\"{\",true,false,null]", 7],
    ["{\"a\":1,\"b\":{\"c\":\":\"}}", 4],
    ["\"a:b\"", 1],
    ["-1", 1]
  ])("I17: %s has %i values", (text, values) => {
    expect([read(text, values) !== undefined, read(text, values - 1)]).toEqual([true, undefined])
  })

  const countOf = (json: unknown): number =>
    typeof json === "object" && json !== null
      ? 1 + Object.values(json).reduce<number>((sum, inner) => sum + countOf(inner), 0)
      : 1

  it("I16, I17: it agrees with parsing and writing, and counts what is parsed", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat({ max: 3 }), (json, space) => {
        const text = JSON.stringify(json, undefined, space)
        const form = CanonicalJson.stringify(JSON.parse(text))
        const found = read(text)
        if (found !== undefined) expect(form).toEqual({ _tag: "Text", text: found })
        else expect(text).toMatch(/\d{8}|e|\\u/)
        const values = countOf(json)
        expect(read(text, values)).toBe(found)
        expect(read(text, values - 1)).toBe(undefined)
      }),
      { numRuns: runs(1000) }
    )
  })

  it("I16: whatever it is given, it answers and does not throw", () => {
    fc.assert(
      fc.property(
        fc.stringOf(fc.constantFrom(..."{}[]\":,\\ 0123-.eEtrufalsn"), { maxLength: 20 }),
        (text) => {
          let parsed: unknown
          try {
            parsed = JSON.parse(text)
          } catch {
            expect(read(text)).toBe(undefined)
            return
          }
          const found = read(text)
          if (found === undefined) return
          expect(JSON.parse(found)).toEqual(JSON.parse(JSON.stringify(parsed)))
        }
      ),
      { numRuns: runs(3000) }
    )
  })
})

describe("at the edge of what is read", () => {
  it.each([
    ["[-123456789012345]", "[-123456789012345]"],
    ["[-1234567890123456]", undefined],
    ["1e200", "1e+200"],
    ["1e201", undefined],
    ["1e-200", "1e-200"],
    [`${"[".repeat(1000)}${"]".repeat(1000)}`, `${"[".repeat(1000)}${"]".repeat(1000)}`],
    [`[${"[],".repeat(1500)}[]]`, `[${"[],".repeat(1500)}[]]`]
  ])("I16: %s", (text, form) => {
    expect(read(text)).toBe(form)
  })

  it("I17: a string ends at a quote after an even number of backslashes", () => {
    const text = String.raw`["\\",1,"\\\"",2]`
    expect([read(text, 5), read(text, 4)]).toEqual([text, undefined])
  })
})
