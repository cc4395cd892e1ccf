import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { describe, expect, it } from "vitest"
import { build, marked } from "../../scripts/build.js"
import { folderOf } from "./temporary.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

const bundled = (options: esbuild.BuildOptions) =>
  esbuild.build({
    ...options,
    bundle: true,
    minifySyntax: true,
    external: ["effect"],
    format: "esm",
    outdir: "out",
    write: false
  })

/** What a bundler keeps of a module from which nothing is used. */
const kept = async (code: string): Promise<string> => {
  const { outputFiles } = await bundled({ stdin: { contents: code, resolveDir: root } })
  return outputFiles[0]!.text.replace(/^import .*$|^\/\/ .*$/gm, "").trim()
}

const effectful = [
  "const spread = [...S.list]",
  "const nested = { of: [S.make({ deep: S.a.b })] }",
  "const big = -(2n ** 127n)",
  "const object = S.struct({}), text = `${S.name}`",
  "const conditional = S.on ? S.make() : S.other()",
  "class Tagged extends S.TaggedError()(\"Tagged\", { at: S.a.b }) { shown = this.at }",
  "class Static { static made = S.make() }",
  "class Computed { [S.symbol()] = 1 }",
  "class Block { static { S.make() } }"
]

describe("marked", () => {
  it.each(effectful)("a bundler drops what is not used: %s", async (line) => {
    const code = `import * as S from "effect/Schema"\n${line}\n`
    expect(await kept(code)).not.toBe("")
    expect(await kept(marked(code))).toBe("")
  })

  it("keeps what is called for its effect", async () => {
    expect(await kept(marked("globalThis.heard = 1\n"))).toBe("globalThis.heard = 1;")
  })

  it("a class keeps its name, its statics and itself", async () => {
    const code = marked([
      "const made = (name: string) => class { readonly name = name }",
      "export class Tagged extends made(\"tag\") {",
      "  static readonly own = [1, 2].map((n) => n + 1)",
      "  static make() { return new Tagged() }",
      "}"
    ].join("\n"))
    const file = path.join(folderOf({ "tagged.mjs": code }), "tagged.mjs")
    const { Tagged } = await import(/* @vite-ignore */ pathToFileURL(file).href) as {
      readonly Tagged: { readonly own: unknown; readonly name: string; make(): { name: string } }
    }
    expect([Tagged.name, Tagged.own, Tagged.make().name]).toEqual(["Tagged", [2, 3], "tag"])
    expect(Tagged.make()).toBeInstanceOf(Tagged)
  })

  it("leaves alone what every bundler understands", () => {
    const code = [
      "export const one = 1, list = [1, { two: 2 }], f = () => list;",
      "export class Plain {",
      "    static zero = 0;",
      "    name = f();",
      "}",
      ""
    ].join("\n")
    expect(marked(code)).toBe(code)
  })
})

describe("build", () => {
  const sources = {
    "tsconfig.build.json": JSON.stringify({
      compilerOptions: {
        rootDir: "src",
        outDir: "dist",
        declaration: true,
        sourceMap: true,
        module: "NodeNext",
        target: "ES2022",
        strict: true,
        skipLibCheck: true,
        types: []
      },
      include: ["src"]
    }),
    "package.json": JSON.stringify({ name: "planted", type: "module", sideEffects: false }),
    "src/core/part.ts": "/** A part. */\nexport class Part { readonly at = 1 }\n",
    "src/retry/Retry.ts": "export { Part } from \"../core/part.js\"\nexport const retry = 1\n",
    "src/pipeline/Pipeline.ts": "export { Part } from \"../core/part.js\"\n",
    "src/http/ApiClient.ts": [
      "import { retry } from \"../retry/Retry.js\"",
      "export const make = () => retry\n"
    ].join("\n"),
    "src/simulation/worker.ts": "export const here = import.meta.url\n",
    "src/cli/bin.ts": "console.log(1)\n",
    "src/index.ts": [
      "export * as ApiClient from \"./http/ApiClient.js\"",
      "export * as Pipeline from \"./pipeline/Pipeline.js\"",
      "export * as Retry from \"./retry/Retry.js\"\n"
    ].join("\n")
  }

  type Module = Readonly<Record<string, Readonly<Record<string, unknown>>>>

  it("modules share their parts, in both forms of the index; declarations stay apart", async () => {
    const folder = folderOf(sources)
    await build(folder)
    const at = (name: string) => path.join(folder, "dist", name)
    const load = (name: string) =>
      import(/* @vite-ignore */ pathToFileURL(at(name)).href) as Promise<Module>
    const [index, node] = [await load("index.js"), await load("index.node.js")]
    const shared = await load("pipeline/Pipeline.js")
    expect(Object.keys(node)).toEqual(Object.keys(index))
    for (const { Pipeline, Retry } of [index, node]) {
      expect([Pipeline!["Part"], Retry!["Part"]]).toEqual([shared["Part"], shared["Part"]])
      expect(Retry!["retry"]).toBe(1)
    }
    const { warnings } = await bundled({ entryPoints: [at("index.js")] })
    expect(warnings).toEqual([])
    expect(fs.readFileSync(at("core/part.d.ts"), "utf8")).toContain("/** A part. */")
    expect(fs.existsSync(at("core/part.js"))).toBe(false)
    const worker = await load("simulation/worker.js")
    expect(worker["here"]).toBe(pathToFileURL(at("simulation/worker.js")).href)
  })

  it("says what does not compile, and where", async () => {
    const folder = folderOf({ ...sources, "src/core/wrong.ts": "export const n: string = 1\n" })
    await expect(build(folder)).rejects.toThrow(/wrong\.ts\(1,14\): error TS2322/)
  })
})
