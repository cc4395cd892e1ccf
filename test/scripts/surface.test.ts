import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { differences, howToRegenerate, surfaceFile, surfaceOf } from "../../scripts/surface.js"
import { folderOf } from "./temporary.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The surface of planted files, without the lines about the file itself. */
const surface = (files: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  surfaceOf(folderOf({ "src/index.ts": "", ...files })).split("\n\n").slice(1)
    .flatMap((block) => block.trimEnd().split("\n")).filter((line) => line !== ".")

/** The surface of one planted module. */
const surfaceOfModule = (...lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  surface({ "src/retry/Planted.ts": lines.join("\n") }).slice(1)

const effect = {
  "node_modules/effect/package.json": JSON.stringify({
    name: "effect",
    version: "0.0.0",
    exports: { "./*": "./dist/dts/*.d.ts" }
  }),
  "node_modules/effect/dist/dts/Effect.d.ts": [
    "export interface Effect<out A, out E = never> { readonly a: A; readonly e: E }",
    "export declare const succeed: <A>(value: A) => Effect<A>",
    "export declare namespace Effect { interface Success<T> { readonly t: T } }",
    "export declare class Base { readonly stack: string; readonly pipe: () => void }"
  ].join("\n")
}

describe("the public API", () => {
  it("is what docs/api-surface.txt says", () => {
    const written = fs.readFileSync(path.join(root, surfaceFile), "utf8")
    const found = differences(written, surfaceOf(root))
    expect(
      found,
      `${surfaceFile} is out of date. If the change is meant, ${howToRegenerate}.`
    ).toEqual([])
  }, 120_000)
})

describe("the surface of planted sources", () => {
  it("each kind of export has a line, sorted by name", () => {
    expect(surfaceOfModule(
      "export type Choice = \"b\" | \"a\" | undefined",
      "export const limit = 3",
      "export let open: ReadonlyArray<string> = []",
      "export function twice(text: string): string",
      "export function twice(count: number): number",
      "export function twice(value: string | number) { return value }",
      "export namespace Inner { export interface Deep { readonly a: 1 } }",
      "export enum Colour { Red, Blue }",
      "export const Choice = Symbol.for(\"choice\")"
    )).toEqual([
      "  const Choice: unique symbol",
      "  type Choice = \"a\" | \"b\" | undefined",
      "  enum Colour { Blue = 1, Red = 0 }",
      "  namespace Inner",
      "  interface Inner.Deep",
      "    readonly a: 1",
      "  const limit: 3",
      "  const open: readonly string[]",
      "  function twice: { (text: string): string; (count: number): number; }"
    ])
  })

  it("members of an interface stand below it, also those of a private interface it extends", () => {
    expect(surfaceOfModule(
      "interface Hidden { readonly below: number }",
      "/** Words. */",
      "export interface Shown<in out A, B extends string = \"b\"> extends Hidden {",
      "  /** More words. */",
      "  readonly z?: B // and more",
      "  a: A | undefined",
      "  (call:",
      "    A): B",
      "  new (made: A): B",
      "  readonly [key: `x-${string}`]: unknown",
      "  method(this: this): void",
      "}"
    )).toEqual([
      "  interface Shown<in out A, B extends string = \"b\">",
      "    (call: A): B",
      "    new (made: A): B",
      "    readonly [key: `x-${string}`]: unknown",
      "    a: A | undefined",
      "    readonly below: number",
      "    method(this: Shown<A, B>): void",
      "    readonly z?: B"
    ])
  })

  it("a class shows its constructors, its public members and its static ones", () => {
    expect(surfaceOfModule(
      "export class Box<A> {",
      "  static readonly empty = new Box<never>([])",
      "  readonly _tag = \"Box\"",
      "  #secret = 1",
      "  private readonly hidden: number",
      "  constructor(readonly content: Array<A>, protected size = 0) {",
      "    this.hidden = this.#secret",
      "  }",
      "  get first(): A | undefined { return this.content[this.hidden] }",
      "}"
    )).toEqual([
      "  class Box<A>",
      "    new <A>(content: A[], size?: number): Box<A>",
      "    readonly _tag: \"Box\"",
      "    readonly content: A[]",
      "    get first(): A | undefined",
      "    static readonly empty: Box<never>"
    ])
  })

  it("what is marked @internal is left out, wherever it is", () => {
    expect(surface({
      "src/retry/Planted.ts": [
        "/** @internal */",
        "export const hidden = 1",
        "/** @internal */",
        "export interface Hidden { readonly a: 1 }",
        "/** @internal */",
        "export function overloaded(a: string): void",
        "/** @internal */",
        "export function overloaded(a: unknown) { void a }",
        "export interface Shown {",
        "  /** @internal */",
        "  readonly hidden: 1",
        "  readonly shown: 2",
        "}",
        "/** Only the type is public. */",
        "export interface Both { readonly a: 1 }",
        "/** @internal */",
        "export const Both = 1",
        "export { elsewhere } from \"./parts.js\""
      ].join("\n"),
      "src/retry/parts.ts": "/** @internal */\nexport const elsewhere = 1"
    })).toEqual([
      "./Planted",
      "  interface Both",
      "    readonly a: 1",
      "  interface Shown",
      "    readonly shown: 2"
    ])
  })

  it("the index is the list of its namespaces", () => {
    expect(surface({
      "src/index.ts": [
        "export * as Retry from \"./retry/Retry.js\"",
        "export * as Client from \"./http/ApiClient.js\""
      ].join("\n"),
      "src/retry/Retry.ts": "export const a = 1",
      "src/http/ApiClient.ts": "export const b = 2"
    })).toEqual([
      "  namespace Client = ./http/ApiClient",
      "  namespace Retry = ./Retry",
      "./Retry",
      "  const a: 1",
      "./http/ApiClient",
      "  const b: 2"
    ])
  })

  it("names of other modules are short and do not depend on what an import is called", () => {
    const planted = (name: string) =>
      surface({
        ...effect,
        "src/errors/Verdict.ts": "export interface Verdict { readonly v: 1 }",
        "src/retry/Planted.ts": [
          `import * as ${name} from "effect/Effect"`,
          `import type { Verdict as ${name}Verdict } from "../errors/Verdict.js"`,
          `export const inferred = (verdict: ${name}Verdict) => ${name}.succeed([verdict])`,
          `export type Of<T> = ${name}.Effect.Success<T>`,
          `export const whole = ${name}`,
          `export class Mine extends ${name}.Base { readonly mine = 1 }`
        ].join("\n")
      }).slice(1, -3)
    expect(planted("Effect")).toEqual([
      "  class Mine extends Effect.Base",
      "    new (): Mine",
      "    readonly mine: 1",
      "  type Of<T> = Effect.Effect.Success<T>",
      "  const inferred: (verdict: Verdict.Verdict) => Effect.Effect<Verdict.Verdict[], never>",
      "  const whole: typeof Effect"
    ])
    expect(planted("Fx")).toEqual(planted("Effect"))
  })

  it("a private type that is named is listed at the end, with those it names", () => {
    expect(surface({
      "src/retry/Planted.ts": [
        "import type { Settings } from \"./settings.js\"",
        "export const make = (settings: Settings) => settings"
      ].join("\n"),
      "src/retry/settings.ts": [
        "export interface Settings { readonly unit: Unit }",
        "export type Unit = \"second\" | \"minute\"",
        "export interface Unnamed { readonly a: 1 }"
      ].join("\n")
    })).toEqual([
      "./Planted",
      "  const make: (settings: settings.Settings) => settings.Settings",
      "(private types named above)",
      "  interface settings.Settings",
      "    readonly unit: settings.Unit",
      "  type settings.Unit = \"minute\" | \"second\""
    ])
  })

  it("a private type with a public name goes by that name, wherever it is exported again", () => {
    expect(surface({
      "src/policies/Breaker.ts": [
        "import type * as Parts from \"./breaker/parts.js\"",
        "export type { Window } from \"./breaker/parts.js\"",
        "export type State = Parts.Inner",
        "export const state = (window: Parts.Window): Parts.Inner => window.state"
      ].join("\n"),
      "src/policies/breaker/parts.ts": [
        "export interface Window { readonly state: Inner }",
        "export interface Inner { readonly open: boolean }"
      ].join("\n")
    })).toEqual([
      "./Breaker",
      "  interface State",
      "    readonly open: boolean",
      "  interface Window",
      "    readonly state: State",
      "  const state: (window: Window) => State"
    ])
  })

  it("a public alias whose name the compiler loses is put back", () => {
    expect(
      surfaceOfModule(
        "class A { readonly a = 1 }",
        "class B { readonly b = 1 }",
        "declare const either: { readonly Type: A | B; readonly One: { readonly one: 1 } }",
        "export type Either = typeof either.Type",
        "export type One = typeof either.One",
        "export const is = (u: unknown): u is typeof either.Type => u instanceof A",
        "export const more = <E>(e: E | typeof either.Type | null): E | typeof either.One => e as E"
      ).slice(0, 4)
    ).toEqual([
      "  type Either = A | B",
      "  type One = { readonly one: 1; }",
      "  const is: (u: unknown) => u is Either",
      "  const more: <E>(e: E | Either | null) => E | One"
    ])
  })

  it("does not depend on where a file stands or in what order members do", () => {
    const module = (...members: ReadonlyArray<string>) =>
      [
        `export interface Options { ${members.join("; ")} }`,
        `export const options = { ${
          members.map((member) => `${member[0]}: 1 as const`).join(", ")
        } }`,
        `export type Name = ${members.map((member) => `"${member[0]}"`).join(" | ")}`
      ].join("\n")
    const one = surface({ "src/policies/Hedge.ts": module("a: 1", "b: 2") })
    const other = surface({
      "src/errors/Aaa.ts": "",
      "src/retry/Hedge.ts": module("b: 2", "a: 1")
    })
    expect(other).toEqual(["./Aaa", ...one])
    expect(one).toEqual([
      "./Hedge",
      "  type Name = \"a\" | \"b\"",
      "  interface Options",
      "    a: 1",
      "    b: 2",
      "  const options: { a: 1; b: 1; }"
    ])
  })
})

describe("the differences", () => {
  const before = [
    "./Retry",
    "  interface Options",
    "    readonly retries?: number",
    "  const make: (options: Options) => void",
    "",
    "./Timeout",
    "  const total: 1",
    ""
  ].join("\n")

  it("are none between equal texts", () => {
    expect(differences(before, before)).toEqual([])
  })

  it("say the module and the entry of each line", () => {
    const after = before.replace("retries?: number", "retries: number")
      .replace("total: 1", "total: 2")
    expect(differences(before, after)).toEqual([
      "- ./Retry  interface Options: readonly retries?: number",
      "+ ./Retry  interface Options: readonly retries: number",
      "- ./Timeout  const total: 1",
      "+ ./Timeout  const total: 2"
    ].toSorted((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1)))
  })

  it("a new order is a difference too", () => {
    expect(differences("./A\n\n./B\n", "./B\n\n./A\n")).toEqual([
      "the lines stand in another order"
    ])
  })
})
