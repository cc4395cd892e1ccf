/**
 * The contract and what a user may rely on, held against the package.
 *
 * `contract.ts` declares the public names, and `contract.use.ts` states with exact types what they
 * do for a user. Both are copies, byte for byte. Here every line of `contract.use.ts` is compiled
 * twice: as it stands, and with the package in place of the declarations.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { beforeAll, describe, expect, it } from "vitest"

const folder = fileURLToPath(new URL(".", import.meta.url))
const root = path.join(folder, "../..")
const shared = path.join(root, "../shared")
const copies = ["contract.ts", "contract.use.ts"]

/** What does not hold yet: the line of `contract.use.ts`, and what the compiler says of it. */
const exceptions: ReadonlyArray<string> = []

const declarations = "import * as C from \"./contract.js\""
const library = "import * as C from \"effect-resilience\""

const read = (file: string): string => fs.readFileSync(path.join(folder, file), "utf8")

/** Planted: the checks below would find a type that is not the one that was promised. */
const planted = "is<Eq<typeof created, Effect.Effect<{ id: string }>>>()"

/** The errors of each text, as `line: message`, all in one program. */
const errorsOf = (
  texts: Readonly<Record<string, string>>
): Readonly<Record<string, ReadonlyArray<string>>> => {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    root
  )
  const settings = { ...options, noUnusedLocals: false }
  const files = new Map(
    Object.entries(texts).map(([name, text]) => [path.join(folder, `${name}.ts`), { name, text }])
  )
  const host = ts.createCompilerHost(settings)
  const program = ts.createProgram([...files.keys()], settings, {
    ...host,
    fileExists: (file) => files.has(file) || host.fileExists(file),
    readFile: (file) => files.get(file)?.text ?? host.readFile(file),
    getSourceFile: (file, language, ...rest) => {
      const text = files.get(file)?.text
      return text === undefined
        ? host.getSourceFile(file, language, ...rest)
        : ts.createSourceFile(file, text, language)
    }
  })
  return Object.fromEntries([...files].map(([file, { name, text }]) => {
    const source = program.getSourceFile(file)!
    const lines = text.split("\n")
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source)
    ]
    return [
      name,
      found.map(({ messageText, start }) => {
        const line = lines[source.getLineAndCharacterOfPosition(start ?? 0).line]!.trim()
        return `${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`
      })
    ]
  }))
}

describe("the contract", () => {
  const use = read("contract.use.ts")
  const withPackage = use.replace(declarations, library)
  let errors: ReturnType<typeof errorsOf>

  beforeAll(() => {
    errors = errorsOf({
      declared: use,
      packaged: withPackage,
      planted: `${withPackage}\n${planted}\n`
    })
  }, 180_000)

  it("what a user may rely on holds against the declarations", () => {
    expect(use).toContain(declarations)
    expect(errors["declared"]).toEqual([])
  })

  it("what a user may rely on holds against the package, but for the exceptions above", () => {
    expect(errors["packaged"]).toEqual(exceptions)
  })

  it("a promise that does not hold would be found", () => {
    expect(errors["planted"]!.filter((line) => line.startsWith(planted))).toEqual([
      `${planted}: Type 'false' does not satisfy the constraint 'true'.`
    ])
  })

  it("an exception names a line that is there", () => {
    const lines = use.split("\n")
    const missing = exceptions.filter((exception) =>
      !lines.some((line) => line !== "" && exception.startsWith(`${line}: `))
    )
    expect(missing).toEqual([])
  })
})

describe("the copies of the contract", () => {
  const isHere = fs.existsSync(shared)
  const aloud = isHere ? "" : " (SKIPPED: there is no ../shared beside the checkout)"

  it.skipIf(!isHere).each(copies)(`%s is the one in ../shared, byte for byte${aloud}`, (file) => {
    const original = fs.readFileSync(path.join(shared, file))
    expect(
      original.equals(fs.readFileSync(path.join(folder, file))),
      `test/types/${file} differs: copy ../shared/${file} over it`
    ).toBe(true)
  })
})
