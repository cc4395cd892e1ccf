import * as path from "node:path"
import { describe, expect, it } from "vitest"
import { check, renderings } from "../../scripts/doc-assert.js"
import {
  type Example,
  extract,
  generate,
  repository,
  run,
  typeCheck
} from "../../scripts/doc-examples.js"
import { folderOf } from "./temporary.js"

const fence = (code: string, info = "ts") => `\`\`\`${info}\n${code}\n\`\`\`\n`

/** Examples of a planted project. The modules go inside the repository, where packages resolve. */
const planted = (files: Readonly<Record<string, string>>): ReadonlyArray<Example> => {
  const out = folderOf({}, path.join(repository, "node_modules/.cache"))
  return generate(folderOf(files), out)
}

const readme = (code: string, info?: string): Example => {
  const [example] = planted({ "README.md": `# Planted\n\n${fence(code, info)}` })
  if (example === undefined) throw new Error("no example found")
  return example
}

const failure = (example: Example): Promise<string> =>
  run(example).then(() => "passed", (error: Error) => error.message)

describe("doc-examples: finding fences", () => {
  it("reads README, docs and doc comments, with the line of each fence", () => {
    const root = folderOf({
      "README.md": `# Title\n\n${fence("a")}\n${fence("npm ci", "sh")}`,
      "docs/deep/retry.md": `${fence("b", "ts no-run")}`,
      "src/Retry.ts":
        "const glob = \"src/**/*.ts\"\n/**\n * Why.\n *\n * ```ts\n * if (c) {\n *   d\n * }\n * ```\n */\nexport const x = 1\n"
    })
    expect(extract(root)).toEqual([
      { file: "README.md", line: 3, language: "ts", flags: [], code: "a" },
      { file: "README.md", line: 7, language: "sh", flags: [], code: "npm ci" },
      { file: "docs/deep/retry.md", line: 1, language: "ts", flags: ["no-run"], code: "b" },
      { file: "src/Retry.ts", line: 5, language: "ts", flags: [], code: "if (c) {\n  d\n}" }
    ])
  })

  it("finds doc comments on members, and fences inside lists and longer fences", () => {
    const root = folderOf({
      "README.md":
        "- item\n\n  ```ts\n  a\n    b\n  ```\n\n````md\n```ts\nnot an example\n```\n````\n",
      "src/A.ts":
        "export interface A {\n  /**\n   * ```ts\n   * c\n   * ```\n   */\n  readonly a: number\n}\n"
    })
    expect(
      extract(root).filter(({ language }) => language === "ts").map((
        { file, line, code }
      ) => [file, line, code])
    )
      .toEqual([["README.md", 3, "a\n  b"], ["src/A.ts", 3, "c"]])
  })

  it("finds nothing in an empty project", () => {
    expect(planted({})).toEqual([])
  })
})

describe("doc-examples: named modules", () => {
  it("can be imported by other fences of the page", async () => {
    const examples = planted({
      "README.md": fence("export const one = 1", "ts file=one.ts") +
        fence("import { one } from \"./one.js\"\none + 1 // => 2")
          .replace("```ts", "```ts file=two.ts")
    })
    expect(examples.map(({ module = "" }) => path.basename(module))).toEqual(["one.ts", "two.ts"])
    expect([...typeCheck(examples).values()].flat()).toEqual([])
    for (const example of examples) expect(await failure(example)).toBe("passed")
  }, 60_000)
})

describe("doc-examples: assertions", () => {
  it("accepts true ones in every position", async () => {
    const example = readme([
      "import { Console, Effect, Option } from \"effect\"",
      "1 + 1 // => 2",
      "await Effect.runPromise(Effect.succeed(\"done\")) // => done",
      "\"quoted\" // => \"quoted\"",
      "console.log({ a: [1, { b: \"c\" }] }) // => { a: [ 1, { b: 'c' } ] }",
      "console.log({ a: 1 }) // => {\"a\":1}",
      "const total = [1, 2].length // => 2",
      "Array.of(total)",
      "  .map((n) => n * 2) // => [ 4 ]",
      "await Effect.runPromise(Effect.gen(function*() {",
      "  yield* Effect.succeed(3) // => 3",
      "  yield* Console.log(Option.none().pipe(Option.isNone)) // => true",
      "}))"
    ].join("\n"))
    expect(example.assertions).toHaveLength(9)
    expect(example.problems).toEqual([])
    expect(typeCheck([example]).get(example)).toEqual([])
    expect(await failure(example)).toBe("passed")
  }, 60_000)

  it("waits for a promise that is logged at the end", async () => {
    const late = (expected: string) =>
      readme(`Promise.resolve(1).then((n) => n + 1)\n  .then(console.log) // => ${expected}`)
    expect(typeCheck([late("2")]).size).toBe(1)
    expect(await failure(late("2"))).toBe("passed")
    expect(await failure(late("3"))).toBe(
      "README.md:5: the example says 3, but the value is 2"
    )
  }, 60_000)

  it("names file and line of a false one", async () => {
    expect(await failure(readme("const x = 1\nx + 1 // => 3"))).toBe(
      "README.md:5: the example says 3, but the value is 2"
    )
  })

  it("names the line of the doc comment", async () => {
    const [example] = planted({
      "src/A.ts": "/**\n * Why.\n *\n * ```ts\n * 1 // => 2\n * ```\n */\nexport const a = 1\n"
    })
    expect(example && [example.name, await failure(example)]).toEqual([
      "src/A.ts:4",
      "src/A.ts:5: the example says 2, but the value is 1"
    ])
  })

  it("fails on one that is never reached", async () => {
    expect(await failure(readme("const never = () => {\n  1 // => 1\n}\nexport { never }"))).toBe(
      "README.md:5: the example never reaches this assertion"
    )
  })

  it("reports one that belongs to no statement", () => {
    expect(readme("const x = {\n  a: 1 // => 1\n}\nexport { x }").problems).toEqual([
      "README.md:5: \"// =>\" must end the line of a statement with a value"
    ])
  })

  it("compares text by the value's own form", () => {
    expect(renderings("a")).toEqual(["a", "\"a\"", "'a'"])
    expect(renderings(undefined)).toEqual(["undefined"])
    expect(renderings([1n])).toEqual(["[ 1n ]"])
    expect(check(1, "1", "x:1")).toBe(1)
    expect(check({ a: ["x y"] }, "{a: [\"x y\"]}", "x:1")).toEqual({ a: ["x y"] })
    expect(() => check({ a: ["x y"] }, "{ a: [\"xy\"] }", "x:1")).toThrow()
    expect(() => check("a, b", "a,b", "x:1")).toThrow()
    expect(() => check("a", "b", "x:1")).toThrow("x:1: the example says b, but the value is \"a\"")
  })
})

describe("doc-examples: failures", () => {
  it("names file and line of a type error", () => {
    const wrong = readme(
      "import { Effect } from \"effect\"\n\nconst x: string = Effect.void\nexport { x }"
    )
    const fine = readme("const unused = 1")
    const errors = typeCheck([wrong, fine])
    expect(errors.get(wrong)).toEqual([expect.stringMatching(/^README\.md:6: error TS2322: /)])
    expect(errors.get(fine)).toEqual([])
  }, 60_000)

  it("names the line where an example throws", async () => {
    expect(await failure(readme("const x = 1\nif (x > 0) throw new Error(\"boom\")"))).toBe(
      "README.md:5: boom"
    )
  })

  it("does not run a fence marked no-run", async () => {
    expect(await failure(readme("throw new Error(\"ran\")", "ts no-run"))).toBe("passed")
  })

  it("wants JSON fences to parse", () => {
    expect(readme("{ \"a\": 1 }", "json").problems).toEqual([])
    expect(readme("{ a: 1 }", "json").problems).toEqual([
      expect.stringMatching(/^README\.md:3: not JSON: /)
    ])
  })

  it("leaves shell fences alone", () => {
    expect(planted({ "README.md": fence("npm ci && npm start", "sh") })).toEqual([])
  })
})
