import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { arrows, floors, graph, overrides, problems } from "../../scripts/rooms.js"
import { folderOf } from "./temporary.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const config = fs.readFileSync(`${root}/.oxlintrc.json`, "utf8")

const clean = {
  ".oxlintrc.json": config,
  "src/core/backoff.ts": [
    "import { max } from \"./max.js\"",
    "export const delay = (unit: number): number => max(unit, Date.UTC(2026))\n"
  ].join("\n"),
  "src/core/max.ts": "export const max = (a: number, b: number): number => (a > b ? a : b)\n",
  "src/retry/Backoff.ts": [
    "import * as Schema from \"effect/Schema\"",
    "import * as core from \"../core/backoff.js\"",
    "export { core, Schema }\n"
  ].join("\n"),
  "src/http/ApiClient.ts": [
    "import { core } from \"../retry/Backoff.js\"",
    "export const at = (millis: number): unknown => [new Date(millis), core]\n"
  ].join("\n"),
  "src/api/Widget.ts": [
    "import { at } from \"../http/ApiClient.js\"",
    "export const widget = { at, process: 1 }\n"
  ].join("\n"),
  "src/testing/FlakyApi.ts": [
    "import { NodeHttpServer } from \"@effect/platform-node\"",
    "export { NodeHttpServer }\n"
  ].join("\n"),
  "src/index.ts": "export * as FlakyApi from \"./testing/FlakyApi.js\"\n"
}

const lines = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^(\S+?):(\d+):\d+: .* \[Error\/(.+)\]$/gm)].map((match) =>
    match.slice(1).join(" ")
  )

/**
 * Adds files to the clean folder and says what oxlint finds in it: file, line, rule. Not waited for
 * in one piece: a worker that hears nothing for a minute fails its run.
 */
const found = (files: Readonly<Record<string, string>>): Promise<ReadonlyArray<string>> =>
  promisify(execFile)(`${root}/node_modules/.bin/oxlint`, ["--format=unix"], {
    cwd: folderOf({ ...clean, ...files })
  }).then(
    ({ stdout }) => lines(stdout),
    (error: { readonly stdout: string }) => [...lines(error.stdout)].sort()
  )

const imports = "eslint(no-restricted-imports)"
const globals = "eslint(no-restricted-globals)"
const properties = "eslint(no-restricted-properties)"

/** One file that imports a thing. */
const importing = (specifier: string) =>
  `import * as x from "${specifier}"\nexport const y: unknown = x\n`

describe("what oxlint holds the rooms to", () => {
  it("finds nothing in a clean folder", async () => {
    expect(await found({})).toEqual([])
  })

  it.each([
    "effect",
    "effect/Duration",
    "node:crypto",
    "@noble/hashes/sha2",
    "../retry/Backoff.js",
    "../../test/x.js"
  ])("core imports only core, not %s", async (specifier) => {
    expect(await found({ "src/core/a.ts": importing(specifier) })).toEqual([
      `src/core/a.ts 1 ${imports}`
    ])
  })

  it("types, re-exports and dynamic imports are imports too", async () => {
    expect(
      await found({
        "src/core/a.ts": [
          "import type { Duration } from \"effect/Duration\"",
          "export const load = (): Promise<unknown> => import(\"effect/Effect\")",
          "export * from \"effect/Option\"",
          "export type D = Duration\n"
        ].join("\n")
      })
    ).toEqual([1, 2, 3].map((line) => `src/core/a.ts ${line} ${imports}`))
  })

  const upward = floors.flatMap((names, floor) =>
    names.flatMap((from) =>
      floors.slice(floor).flat().filter((to) => to !== from).map((to) => [from, to] as const)
    )
  )

  it.each(upward)("%s/ does not import %s/", async (from, to) => {
    expect(await found({ [`src/${from}/a.ts`]: importing(`../${to}/X.js`) })).toEqual([
      `src/${from}/a.ts 1 ${imports}`
    ])
  })

  it("a part in a folder of its own does not either", async () => {
    expect(await found({ "src/policies/hedge/a.ts": importing("../../pipeline/Pipeline.js") }))
      .toEqual([
        `src/policies/hedge/a.ts 1 ${imports}`
      ])
  })

  it.each([
    ["src/policies/Hedge.ts", "effect/Schema"],
    ["src/errors/Rejection.ts", "effect/Schema"],
    ["src/http/a.ts", "@effect/platform-node"],
    ["src/report/a.ts", "@effect/platform-node"],
    ["src/policies/Hedge.ts", "@effect/platform-node/NodeRuntime"],
    ["src/http/a.ts", "effect-resilience/Retry"],
    ["src/http/a.ts", "effect"],
    ["src/http/a.ts", "../index.js"],
    ["src/api/Widget.ts", "../http/bodyPreview.js"],
    ["src/api/widget/errors.ts", "../../runtime/validate.js"],
    ["src/api/widget/errors.ts", "../../policies/timeout/deadline.js"]
  ])("%s does not import %s", async (file, specifier) => {
    expect(await found({ [file]: importing(specifier) })).toEqual([`${file} 1 ${imports}`])
  })

  it("a vendor may import its own parts and public modules", async () => {
    expect(
      await found({
        "src/api/Widget.ts": importing("./widget/errors.js"),
        "src/api/widget/errors.ts": importing("../../http/ApiClient.js")
      })
    ).toEqual([])
  })

  it("a circle is found, also one of types alone", async () => {
    expect(
      await found({
        "src/retry/a.ts":
          "import type { b } from \"./b.js\"\nexport const a = (x: typeof b): unknown => x\n",
        "src/retry/b.ts":
          "import type { a } from \"./a.js\"\nexport const b = (x: typeof a): unknown => x\n"
      })
    ).toEqual(["src/retry/a.ts 1 import(no-cycle)", "src/retry/b.ts 1 import(no-cycle)"])
  })

  it.each(["setTimeout", "setInterval", "setImmediate", "performance"])(
    "%s belongs to runtime/timer.ts",
    async (name) => {
      const text = `export const x: unknown = ${name}\n`
      expect(await found({ "src/http/a.ts": text, "src/runtime/timer.ts": text })).toEqual([
        `src/http/a.ts 1 ${globals}`
      ])
    }
  )

  it.each(["process", "crypto", "queueMicrotask", "fetch", "console", "setTimeout"])(
    "core does not use %s",
    async (name) => {
      expect(await found({ "src/core/a.ts": `export const x: unknown = ${name}\n` })).toEqual([
        `src/core/a.ts 1 ${globals}`
      ])
    }
  )

  it.each([
    "Date.now()",
    "Math.random()",
    "globalThis.setTimeout",
    "globalThis[\"Date\"]"
  ])("time and chance are effect's, not %s", async (expression) => {
    const text = `export const x: unknown = ${expression}\n`
    expect(await found({ "src/core/a.ts": text, "src/http/a.ts": text })).toEqual([
      `src/core/a.ts 1 ${properties}`,
      `src/http/a.ts 1 ${properties}`
    ])
  })

  it("any, a cast to it, and what silences the compiler", async () => {
    expect(
      await found({
        "src/http/a.ts": [
          "export const x = (y: any): unknown => y",
          "export const z = JSON.parse(\"1\") as any",
          "// @ts-ignore",
          "export const w: string = 1",
          "// TODO: later\n"
        ].join("\n")
      })
    ).toEqual([
      "src/http/a.ts 1 typescript(no-explicit-any)",
      "src/http/a.ts 2 typescript(no-explicit-any)",
      "src/http/a.ts 3 typescript(ban-ts-comment)",
      "src/http/a.ts 5 eslint(no-warning-comments)"
    ])
  })
})

describe("what the script adds", () => {
  const planted = (files: Readonly<Record<string, string>>) =>
    problems(folderOf({ ...clean, ...files }))

  it("finds nothing in a clean folder, nor in this project", () => {
    expect(planted({})).toEqual([])
    expect(problems(root)).toEqual([])
  })

  it("a folder that is no room, and a file in none", () => {
    expect(planted({ "src/utils/a.ts": "", "src/helpers.ts": "" })).toEqual([
      "src/utils is no room: name it in scripts/rooms.ts",
      "src/helpers.ts stands in no room"
    ])
  })

  it("an arrow back in the type of an import", () => {
    const text = "export type X = typeof import(\"../http/ApiClient.js\")\n"
    expect(planted({ "src/errors/a.ts": text })).toEqual([
      "src/errors/a.ts: errors/ may not import http/ (\"../http/ApiClient.js\")"
    ])
  })

  it("the present moment as a Date", () => {
    expect(planted({ "src/http/a.ts": "export const x = [new Date(), Date(), new Date(0)]\n" }))
      .toEqual([
        "src/http/a.ts:1: use effect's Clock instead of the present Date"
      ])
  })

  it("overrides that somebody edited by hand", () => {
    const edited = { ...(JSON.parse(config) as object), overrides: overrides().slice(1) }
    expect(planted({ ".oxlintrc.json": JSON.stringify(edited) })).toEqual([
      ".oxlintrc.json is out of date: run `tsx scripts/rooms.ts --write`"
    ])
  })

  it("prints the graph by room, the highest first", () => {
    expect(
      graph(arrows(`${folderOf(clean)}/src`)).split("\n").filter((line) =>
        !line.endsWith("nothing")
      )
    )
      .toEqual([
        "  index         -> testing 1",
        "  api           -> http 1",
        "  http          -> retry 1",
        "  retry         -> core 1"
      ])
  })
})
