import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { lint, render } from "../../scripts/lint-house.js"
import { folderOf } from "./temporary.js"

const clean = {
  "src/core/backoff.ts":
    "import { max } from \"./max.js\"\nexport const delay = (unit: number) => max(unit, Date.UTC(2026))\n",
  "src/core/max.ts": "export const max = (a: number, b: number) => (a > b ? a : b)\n",
  "src/Backoff.ts":
    "import * as Schema from \"effect/Schema\"\nimport * as core from \"./core/backoff.js\"\nexport { core, Schema }\n",
  "src/Rejection.ts":
    "import { Data } from \"effect\"\nexport class CircuitOpen extends Data.TaggedError(\"CircuitOpen\") {}\n",
  "src/http/ApiClient.ts":
    "import { core } from \"../Backoff.js\"\nexport const at = (millis: number) => [new Date(millis), core]\n",
  "src/api/Widget.ts": "import { at } from \"../http/ApiClient.js\"\nexport const widget = { at, process: 1 }\n",
  "src/testing/FlakyApi.ts":
    "import { NodeHttpServer } from \"@effect/platform-node\"\nimport { widget } from \"../api/Widget.js\"\nexport { NodeHttpServer, widget }\n",
  "src/index.ts": "export * as FlakyApi from \"./testing/FlakyApi.js\"\nexport * as Backoff from \"./Backoff.js\"\n"
}

/** Adds files to the clean folder and renders what the linter finds. */
const findings = (files: Readonly<Record<string, string>>): Array<string> =>
  lint(folderOf({ ...clean, ...files })).map(render)

const core = "core takes time and randomness as arguments; it may not use"

describe("lint-house", () => {
  it("finds nothing in a clean folder", () => {
    expect(findings({})).toEqual([])
  })

  describe("core imports only core", () => {
    it.each(["effect", "effect/Duration", "node:crypto", "@noble/hashes/sha2", "../Backoff.js", "../../test/x.js"])(
      "refuses %s",
      (specifier) => {
        expect(findings({ "src/core/a.ts": `\nimport * as x from "${specifier}"\nexport { x }\n` })).toEqual([
          `src/core/a.ts:2  core-imports  core may import only core, not "${specifier}"`
        ])
      }
    )

    it("refuses type-only, dynamic, re-exporting and inline-type imports", () => {
      expect(findings({
        "src/core/a.ts": [
          "import type { Duration } from \"effect\"",
          "export const load = () => import(\"effect\")",
          "export * from \"effect/Duration\"",
          "export type D = import(\"effect\").Duration.Duration | Duration.Duration"
        ].join("\n")
      })).toEqual([
        "src/core/a.ts:1  core-imports  core may import only core, not \"effect\"",
        "src/core/a.ts:2  core-imports  core may import only core, not \"effect\"",
        "src/core/a.ts:3  core-imports  core may import only core, not \"effect/Duration\"",
        "src/core/a.ts:4  core-imports  core may import only core, not \"effect\""
      ])
    })
  })

  describe("core reads no clock, no randomness, no globals", () => {
    it.each([
      ["Date.now()", "Date.now"],
      ["new Date()", "new Date()"],
      ["Date()", "Date()"],
      ["Math.random()", "Math.random"],
      ["performance.now()", "performance"],
      ["setTimeout(() => {}, 1)", "setTimeout"],
      ["globalThis.setTimeout(() => {}, 1)", "setTimeout"],
      ["process.hrtime()", "process"],
      ["crypto.randomUUID()", "crypto"],
      ["globalThis.crypto.randomUUID()", "crypto"]
    ])("refuses %s", (code, name) => {
      expect(findings({ "src/core/a.ts": `// why\nexport const x = ${code}\n` })).toEqual([
        `src/core/a.ts:2  core-globals  ${core} ${name}`
      ])
    })

    it("allows members, properties and parameters of the same name", () => {
      const code =
        "export const f = (process: { crypto: number }) => ({ setTimeout: process.crypto, performance: 1 })\n"
      expect(findings({ "src/core/a.ts": code })).toEqual([])
    })
  })

  describe("the rest of src reads time and randomness through effect", () => {
    it.each([
      ["Date.now()", "Date.now"],
      ["Date[\"now\"]()", "Date.now"],
      ["globalThis.Date.now()", "Date.now"],
      ["[1].map(Math.random)", "Math.random"],
      ["new Date()", "new Date()"],
      ["new globalThis.Date()", "new Date()"],
      ["setTimeout(() => {}, 1)", "setTimeout"],
      ["setInterval(() => {}, 1)", "setInterval"]
    ])("refuses %s", (code, name) => {
      expect(findings({ "src/http/Other.ts": `export const x = ${code}\n` })).toEqual([
        `src/http/Other.ts:1  clock  use effect's Clock, Random and sleep instead of ${name}`
      ])
    })

    it("lets the owner of timers arm one, and use no other clock", () => {
      expect(findings({
        "src/deadline.ts": [
          "export const a = setTimeout(() => {}, 1)",
          "export const b = globalThis.setTimeout(() => {}, 1)",
          "export const c = setInterval(() => {}, 1)",
          "export const d = Date.now()"
        ].join("\n"),
        "src/http/deadline.ts": "export const a = setTimeout(() => {}, 1)\n",
        "src/core/deadline.ts": "export const a = setTimeout(() => {}, 1)\n"
      })).toEqual([
        `src/core/deadline.ts:1  core-globals  ${core} setTimeout`,
        "src/deadline.ts:3  clock  use effect's Clock, Random and sleep instead of setInterval",
        "src/deadline.ts:4  clock  use effect's Clock, Random and sleep instead of Date.now",
        "src/http/deadline.ts:1  clock  use effect's Clock, Random and sleep instead of setTimeout"
      ])
    })

    it("refuses a destructured Date.now", () => {
      expect(findings({ "src/Other.ts": "const { now } = Date\nexport { now }\n" })).toEqual([
        "src/Other.ts:1  clock  use effect's Clock, Random and sleep instead of Date.now"
      ])
    })
  })

  describe("imports go to the same floor or a lower one", () => {
    it.each([
      ["src/Other.ts", "./http/ApiClient.js", "middle", "http"],
      ["src/Other.ts", "./testing/FlakyApi.js", "middle", "testing"],
      ["src/Other.ts", "./index.js", "middle", "index"],
      ["src/http/Other.ts", "../api/Widget.js", "http", "api"],
      ["src/http/Other.ts", "../testing/FlakyApi.js", "http", "testing"],
      ["src/store/Other.ts", "../api/Widget.js", "store", "api"],
      ["src/api/Other.ts", "../testing/FlakyApi.js", "api", "testing"]
    ])("refuses %s -> %s", (file, specifier, from, to) => {
      expect(findings({ [file]: `export * from "${specifier}"\n` })).toEqual([
        `${file}:1  floors  ${from} may not import ${to} ("${specifier}")`
      ])
    })

    it("refuses to leave src, to import the package by name, and an unknown folder", () => {
      expect(findings({
        "src/Other.ts": "export * from \"../examples/x.js\"\nexport * from \"effect-resilience/Backoff\"\n",
        "src/utils/a.ts": "export const a = 1\n"
      })).toEqual([
        "src/Other.ts:1  floors  \"../examples/x.js\" is outside src",
        "src/Other.ts:2  floors  src imports its own files by relative path, not \"effect-resilience/Backoff\"",
        "src/utils/a.ts:1  floors  no such floor; folders of src are core, http, store, api, testing"
      ])
    })
  })

  it("refuses an import cycle, once, and shows the way round", () => {
    expect(findings({
      "src/A.ts": "import { b } from \"./B.js\"\nexport const a = () => b\n",
      "src/B.ts": "import { c } from \"./C.js\"\nexport const b = () => c\n",
      "src/C.ts": "\nimport type { a } from \"./A.js\"\nexport const c = (x: typeof a) => x\n"
    })).toEqual(["src/C.ts:2  cycle  import cycle: src/A.ts -> src/B.ts -> src/C.ts -> src/A.ts"])
  })

  it("refuses casts to any", () => {
    expect(findings({ "src/Other.ts": "export const a = 1 as any\n\nexport const b = <any> a\n" })).toEqual([
      "src/Other.ts:1  no-any-cast  no cast to any; narrow the type instead",
      "src/Other.ts:3  no-any-cast  no cast to any; narrow the type instead"
    ])
  })

  it("refuses suppressed type errors", () => {
    expect(findings({ "src/Other.ts": "// @ts-nocheck\n// @ts-ignore\nexport const a: string = 1\n" })).toEqual([
      "src/Other.ts:1  no-ts-ignore  no @ts-nocheck",
      "src/Other.ts:2  no-ts-ignore  no @ts-ignore"
    ])
  })

  it("refuses notes to finish later", () => {
    expect(findings({ "src/Other.ts": "// TODO later\nexport const a = 1 // FIXME\n" })).toEqual([
      "src/Other.ts:1  no-todo  no TODO: do it, or open an issue",
      "src/Other.ts:2  no-todo  no FIXME: do it, or open an issue"
    ])
  })

  it.each(["@effect/platform-node", "@effect/platform-node/NodeHttpServer", "@effect/platform-node-shared"])(
    "keeps %s inside FlakyApi",
    (specifier) => {
      expect(findings({ "src/testing/Other.ts": `export * from "${specifier}"\n` })).toEqual([
        `src/testing/Other.ts:1  platform-node  only src/testing/FlakyApi.ts may import "${specifier}"`
      ])
    }
  )

  it.each(["import * as Schema from \"effect/Schema\"", "import { Data, Schema } from \"effect\""])(
    "keeps Schema out of rejections and guards: %s",
    (line) => {
      const code = `${line}\nexport { Schema }\n`
      const message = "no-schema  guards and rejections use Data.TaggedError, not Schema"
      expect(findings({ "src/Rejection.ts": code, "src/CircuitBreaker.ts": code })).toEqual([
        `src/CircuitBreaker.ts:1  ${message}`,
        `src/Rejection.ts:1  ${message}`
      ])
    }
  )

  it("as a command, prints the findings and exits with 1, and with 0 on a clean folder", async () => {
    const script = fileURLToPath(new URL("../../scripts/lint-house.ts", import.meta.url))
    const run = (root: string) =>
      promisify(execFile)(process.execPath, ["--import", "tsx", script, root]).then(
        ({ stdout }) => [0, stdout],
        (error: { code: number; stderr: string }) => [error.code, error.stderr]
      )
    expect(await run(folderOf(clean))).toEqual([0, "lint-house: no findings\n"])
    expect(await run(folderOf({ ...clean, "src/core/a.ts": "import \"effect\"\n" }))).toEqual([
      1,
      "src/core/a.ts:1  core-imports  core may import only core, not \"effect\"\n\nlint-house: 1 finding(s)\n"
    ])
  }, 60_000)
})
