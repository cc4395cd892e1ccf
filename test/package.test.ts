/**
 * The package as a user installs it: built, packed, unpacked in a folder of its own.
 *
 * The sources are copied into a temporary folder and built there, so that a build in the checkout
 * is left alone. Nothing is fetched: what the package depends on is linked from the checkout.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { publicModules } from "../scripts/exports.js"
import { compile, install, pack, run, write } from "./support/packed.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const src = path.join(root, "src")
const modules = [...publicModules(src)]

const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
}

const dependencies = Object.keys(manifest.dependencies)
const peers = Object.keys(manifest.peerDependencies)
const isOptional = (peer: string): boolean => manifest.peerDependenciesMeta[peer]?.optional === true

const nameOf = (subpath: string): string => `${manifest.name}${subpath.slice(1)}`

/** Not a part of the library: it shows that what is internal leaves the declarations. */
const planted = [
  "export const shown = 1",
  "/** @internal */",
  "export const hidden = 2",
  "export interface Options {",
  "  readonly open: number",
  "  /** @internal */",
  "  readonly closed: number",
  "}"
].join("\n")

/** Imports each subpath with plain node; what it exports, or why it cannot be imported. */
const importing = `
const found = {}
for (const name of process.argv.slice(2)) {
  const imported = await import(name).catch((error) => error)
  found[name] = imported instanceof Error ? imported.code : Object.keys(imported).sort()
}
console.log(JSON.stringify(found))
`

const importAll = async (folder: string): Promise<Readonly<Record<string, unknown>>> => {
  write(folder, "import.mjs", importing)
  const names = modules.map(([subpath]) => nameOf(subpath))
  const printed = await run(folder, process.execPath, "import.mjs", ...names)
  return JSON.parse(printed) as Readonly<Record<string, unknown>>
}

const declarationsIn = (folder: string): ReadonlyArray<readonly [string, string]> => {
  const dist = path.join(folder, "node_modules", manifest.name, "dist")
  return fs.readdirSync(dist, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".d.ts"))
    .map((name) => [name, fs.readFileSync(path.join(dist, name), "utf8")] as const)
}

describe("the package", () => {
  let temporary: string
  let tarball: string
  /** Where a user has installed it, with all of its peers. */
  let user: string

  const folderOf = (name: string): string => {
    const folder = path.join(temporary, name)
    fs.mkdirSync(folder)
    return folder
  }

  beforeAll(async () => {
    temporary = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-package-"))
    tarball = await pack(folderOf("library"), { "src/runtime/planted.ts": planted })
    user = folderOf("user")
    await install(user, tarball, [...dependencies, ...peers, "@types/node"])
  }, 600_000)

  afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }))

  it("plain node imports every subpath, and finds there what the sources export", async () => {
    const sources = modules.map(async ([subpath, file]) => {
      const module = await import(/* @vite-ignore */ path.join(src, file)) as object
      return [nameOf(subpath), Object.keys(module).sort()] as const
    })
    expect(Object.keys(manifest.exports)).toEqual(modules.map(([subpath]) => subpath))
    expect(await importAll(user)).toEqual(Object.fromEntries(await Promise.all(sources)))
  }, 300_000)

  it(
    "without the optional peers only the subpaths that are about them cannot be imported",
    async () => {
      const bare = folderOf("bare")
      await install(bare, tarball, [...dependencies, ...peers.filter((peer) => !isOptional(peer))])
      const failed = Object.entries(await importAll(bare)).filter(([, found]) =>
        !Array.isArray(found)
      )
      expect(Object.fromEntries(failed)).toEqual({
        "effect-resilience/fleet/Redis": "ERR_MODULE_NOT_FOUND",
        "effect-resilience/http/Rpc": "ERR_MODULE_NOT_FOUND",
        "effect-resilience/store/Redis": "ERR_MODULE_NOT_FOUND",
        "effect-resilience/store/Sql": "ERR_MODULE_NOT_FOUND",
        "effect-resilience/testing/FlakyApi": "ERR_MODULE_NOT_FOUND"
      })
    },
    300_000
  )

  it("its declarations compile for a strict user who checks libraries too", async () => {
    const imports = modules.map(([subpath], index) =>
      `import type * as M${index} from "${nameOf(subpath)}"`
    )
    write(
      user,
      "user.ts",
      [
        ...imports,
        `export type All = [${modules.map((_, index) => `typeof M${index}`).join(", ")}]`,
        "// @ts-expect-error the types are there: a function is no number",
        `export const wrong: typeof import("${manifest.name}/Retry").retry = 1`
      ].join("\n")
    )
    write(
      user,
      "tsconfig.json",
      JSON.stringify({
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          module: "NodeNext",
          target: "ES2022",
          lib: ["ES2022", "DOM"],
          types: ["node"],
          skipLibCheck: false,
          noEmit: true
        },
        files: ["user.ts"]
      })
    )
    // Other packages have no errors either, so nothing is filtered out.
    expect(await compile(user, "-p", ".", "--pretty", "false")).toBe("")
  }, 300_000)

  it("what is internal has left the declarations, and nothing names a file of ours", () => {
    const declarations = declarationsIn(user)
    expect(new Map(declarations).get("runtime/planted.d.ts")).toBe(
      [
        "export declare const shown = 1;",
        "export interface Options {",
        "    readonly open: number;",
        "}",
        "//# sourceMappingURL=planted.d.ts.map"
      ].join("\n")
    )
    const wrong = declarations.filter(([, text]) =>
      text.includes("@internal") || text.includes(temporary) || text.includes("node_modules")
    )
    expect(wrong.map(([name]) => name)).toEqual([])
  })
})
