import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { coverage } from "../../scripts/hover.js"
import { folderOf } from "./temporary.js"

/** What lacks a text in one planted module, without the name of its file. */
const missing = (...lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  coverage(folderOf({ "src/index.ts": "", "src/retry/Planted.ts": lines.join("\n") }))
    .missing.map((line) => line.replace("src/retry/Planted.ts:", ""))

describe("hover texts", () => {
  it("every public name has one", () => {
    const { missing, total } = coverage(fileURLToPath(new URL("../..", import.meta.url)))
    expect(missing).toEqual([])
    expect(total).toBeGreaterThan(1_500)
  }, 120_000)
})

describe("a missing hover text", () => {
  it("is found on each kind of export, and tags alone are none", () => {
    expect(missing(
      "export const value = 1",
      "export const arrow = () => value",
      "export function declared() {}",
      "export class Box {}",
      "export interface Shape { (): void }",
      "export type Alias = string",
      "export enum Colour { Red }",
      "/**",
      " * @since 0.1.0",
      " */",
      "export const tagged = 1",
      "/** Says what it does. */",
      "export const documented = 1"
    )).toEqual([
      "1 Planted.value",
      "2 Planted.arrow",
      "3 Planted.declared",
      "4 Planted.Box",
      "5 Planted.Shape",
      "6 Planted.Alias",
      "7 Planted.Colour",
      "11 Planted.tagged"
    ])
  }, 60_000)

  it("is found on each overload, whatever the text of the name", () => {
    expect(missing(
      "/** First. */",
      "export function twice(text: string): string",
      "export function twice(count: number): number",
      "export function twice(value: unknown) { return value as never }",
      "/** A dual. */",
      "export const dual: {",
      "  /** Data last. */",
      "  (a: number): (b: string) => string",
      "  (a: string, b: number): string",
      "} = twice as never",
      "/** Calls. */",
      "export interface Calls {",
      "  (a: number): void",
      "  /** Second. */",
      "  (a: string): void",
      "  /** Two ways. */",
      "  readonly member: { (a: number): void; (a: string): void }",
      "  /** Method. */",
      "  method(a: number): void",
      "  method(a: string): void",
      "}"
    )).toEqual([
      "3 Planted.twice (overload 2)",
      "9 Planted.dual (overload 2)",
      "13 Planted.Calls (overload 1)",
      "17 Planted.Calls.member (overload 1)",
      "17 Planted.Calls.member (overload 2)",
      "20 Planted.Calls.method (overload 2)"
    ])
  }, 60_000)

  it("is found on each property, also of types written in place and of parts of a union", () => {
    expect(missing(
      "interface Private { readonly inherited: 1 }",
      "/** Options. */",
      "export interface Options extends Private {",
      "  readonly a: number",
      "  /** Text. */",
      "  readonly nested?: {",
      "    readonly b: 1",
      "  } | undefined",
      "}",
      "/** A union. */",
      "export type Either =",
      "  | { readonly left: 1 }",
      "  | { readonly right: 1 }",
      "/** Defaults. */",
      "export const defaults = {",
      "  c: 1",
      "}",
      "/** Makes. */",
      "export const make = (options: {",
      "  readonly d: 1",
      "}) => options.d"
    )).toEqual([
      "1 Planted.Options.inherited",
      "4 Planted.Options.a",
      "7 Planted.Options.nested.b",
      "12 Planted.Either.left",
      "13 Planted.Either.right",
      "16 Planted.defaults.c",
      "20 Planted.make.options.d"
    ])
  }, 60_000)

  it(
    "is found on public members of a class, and not on private, protected or internal ones",
    () => {
      expect(missing(
        "/** A class. */",
        "export class Box {",
        "  static empty = 1",
        "  readonly field = 1",
        "  #secret = 1",
        "  private one = this.#secret",
        "  protected two = this.one",
        "  constructor(readonly parameter: number) { void this.two }",
        "  get first() { return 1 }",
        "  method() {}",
        "  /** @internal */",
        "  hidden() {}",
        "}",
        "/** @internal */",
        "export const hidden = 1",
        "/** Has a text. */",
        "export interface Both { (): void }",
        "export const Both = 1"
      )).toEqual([
        "3 Planted.Box.empty",
        "4 Planted.Box.field",
        "8 Planted.Box.parameter",
        "9 Planted.Box.first",
        "10 Planted.Box.method",
        "18 Planted.Both"
      ])
    },
    60_000
  )

  it("is found where a public module exports a part again, in the file of the part", () => {
    const planted = coverage(folderOf({
      "src/index.ts": [
        "/** Text. */",
        "export * as Known from \"./retry/Planted.js\"",
        "export * as Bare from \"./retry/Planted.js\""
      ].join("\n"),
      "src/retry/Planted.ts": "export { part } from \"./parts.js\"",
      "src/retry/parts.ts": "export const part = 1\nexport const unseen = 1"
    }))
    expect(planted).toEqual({
      total: 3,
      missing: ["src/index.ts:3 index.Bare", "src/retry/parts.ts:1 Planted.part"]
    })
  }, 60_000)
})
