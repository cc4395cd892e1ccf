import { describe, expect, it } from "vitest"
import { exportsOf, lintExports } from "../../scripts/exports.js"
import { folderOf } from "./temporary.js"

const target = (name: string) => ({ types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` })
const index = {
  types: "./dist/index.d.ts",
  node: "./dist/index.node.js",
  default: "./dist/index.js"
}
const manifest = (exports: unknown) => JSON.stringify({ name: "planted", exports })

const sources = { "src/index.ts": "", "src/retry/Retry.ts": "", "src/http/ApiClient.ts": "" }
const exported = {
  ".": index,
  "./Retry": target("retry/Retry"),
  "./http/ApiClient": target("http/ApiClient")
}

describe("exports", () => {
  it("a module is named by its file, one of an adapter by its room too", () => {
    const root = folderOf({ ...sources, "src/core/Gcra.ts": "", "src/policies/hedge/race.ts": "" })
    expect(exportsOf(`${root}/src`)).toEqual(exported)
  })

  it("accepts a package whose exports and tree agree", () => {
    expect(lintExports(folderOf({ ...sources, "package.json": manifest(exported) }))).toEqual([])
  })

  it("names a public module without a subpath", () => {
    const root = folderOf({
      ...sources,
      "src/policies/Hedge.ts": "",
      "package.json": manifest(exported)
    })
    expect(lintExports(root)).toEqual([
      "src/policies/Hedge.ts is public, but package.json exports no \"./Hedge\""
    ])
  })

  it("names a subpath without a module, and one of a private module", () => {
    const root = folderOf({
      ...sources,
      "src/core/gcra.ts": "",
      "package.json": manifest({
        ...exported,
        "./Gone": target("Gone"),
        "./core/gcra": target("core/gcra")
      })
    })
    expect(lintExports(root)).toEqual([
      "package.json exports \"./Gone\", but there is no such public module in src",
      "package.json exports \"./core/gcra\", but there is no such public module in src"
    ])
  })

  it("names a subpath that points elsewhere or has its conditions in another order", () => {
    const root = folderOf({
      ...sources,
      "package.json": manifest({
        ...exported,
        "./Retry": { default: "./dist/retry/Retry.js", types: "./dist/retry/Retry.d.ts" }
      })
    })
    expect(lintExports(root)).toEqual([
      `exports["./Retry"] should be ${JSON.stringify(target("retry/Retry"))}`
    ])
  })

  it("names files that were not built, when asked to look", () => {
    const root = folderOf({
      "src/index.ts": "",
      "package.json": manifest({ ".": index })
    })
    expect(lintExports(root, { dist: true })).toEqual([
      "exports[\".\"] names ./dist/index.d.ts, which was not built",
      "exports[\".\"] names ./dist/index.node.js, which was not built",
      "exports[\".\"] names ./dist/index.js, which was not built"
    ])
  })
})
