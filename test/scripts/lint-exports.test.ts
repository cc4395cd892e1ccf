import { describe, expect, it } from "vitest"
import { lintExports } from "../../scripts/lint-exports.js"
import { folderOf } from "./temporary.js"

const target = (name: string) => ({ types: `./dist/${name}.d.ts`, import: `./dist/${name}.js` })
const manifest = (exports: unknown) => JSON.stringify({ name: "planted", exports })

const sources = { "src/index.ts": "", "src/Retry.ts": "", "src/http/ApiClient.ts": "" }
const exported = { ".": target("index"), "./Retry": target("Retry"), "./http/ApiClient": target("http/ApiClient") }

describe("lint-exports", () => {
  it("accepts a package whose exports and sources agree", () => {
    expect(lintExports(folderOf({ ...sources, "package.json": manifest(exported) }))).toEqual([])
  })

  it("leaves out core and files that start with a lower-case letter", () => {
    const root = folderOf({
      ...sources,
      "package.json": manifest(exported),
      "src/core/Backoff.ts": "",
      "src/options.ts": ""
    })
    expect(lintExports(root)).toEqual([])
  })

  it("names a public module without a subpath", () => {
    const root = folderOf({ ...sources, "src/Hedge.ts": "", "package.json": manifest(exported) })
    expect(lintExports(root)).toEqual(["src/Hedge.ts is public, but package.json exports no \"./Hedge\""])
  })

  it("names a subpath without a module, and one of a private module", () => {
    const root = folderOf({
      ...sources,
      "src/core/gcra.ts": "",
      "package.json": manifest({ ...exported, "./Gone": target("Gone"), "./core/gcra": target("core/gcra") })
    })
    expect(lintExports(root)).toEqual([
      "package.json exports \"./Gone\", but there is no public src/Gone.ts",
      "package.json exports \"./core/gcra\", but there is no public src/core/gcra.ts"
    ])
  })

  it("names a condition that points elsewhere or comes in the wrong order", () => {
    const root = folderOf({
      ...sources,
      "package.json": manifest({
        ...exported,
        "./Retry": { import: "./dist/Other.js", types: "./dist/Retry.d.ts" }
      })
    })
    expect(lintExports(root)).toEqual([
      "exports[\"./Retry\"]: \"types\" must come first",
      "exports[\"./Retry\"].import must be \"./dist/Retry.js\""
    ])
  })

  it("names files that were not built, when asked to look", () => {
    const root = folderOf({ "src/index.ts": "", "package.json": manifest({ ".": target("index") }) })
    expect(lintExports(root, { dist: true })).toEqual([
      "exports[\".\"].types names ./dist/index.d.ts, which was not built",
      "exports[\".\"].import names ./dist/index.js, which was not built"
    ])
  })
})
