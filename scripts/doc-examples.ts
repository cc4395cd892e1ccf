/**
 * Turns the examples of README.md, docs/ and the doc comments in src/ into tests.
 *
 * - A `ts` fence is a complete module. It is type-checked with the project's settings and run;
 *   `ts no-run` is only type-checked. `ts file=shop.ts` names the module, so that other fences of
 *   the page can import it as `./shop.js`.
 * - `expression // => text` asserts: the text is the value's `util.inspect` or JSON form, in any
 *   spacing (a string may go without quotes). It also works inside `console.log(...)`, after
 *   `await` and `yield*`, after `const x = ...`, and after a last `.then(console.log)`, which is
 *   then awaited. An assertion that the example never reaches fails.
 * - A `json` fence must parse. Fences of other languages are left alone.
 *
 * Line n of a fence is line n + 1 of the generated module, so every failure can name the line of
 * the document.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import ts from "typescript"
import { forget, wasReached } from "./doc-assert.js"

export const repository: string = fileURLToPath(new URL("..", import.meta.url))

export interface Fence {
  /** Relative to the root, with forward slashes. */
  readonly file: string
  /** Line of the opening fence, from 1. */
  readonly line: number
  readonly language: string
  readonly flags: ReadonlyArray<string>
  readonly code: string
}

export interface Example {
  readonly fence: Fence
  /** `file:line` of the fence: the name of its test. */
  readonly name: string
  /** The generated module; absent for JSON. */
  readonly module?: string
  /** `file:line` of each assertion. */
  readonly assertions: ReadonlyArray<string>
  /** What is wrong before anything runs. */
  readonly problems: ReadonlyArray<string>
}

const fencesOf = (file: string, lines: ReadonlyArray<string>, firstLine: number): Array<Fence> => {
  const found: Array<Fence> = []
  let open:
    | {
      readonly indent: number
      readonly marks: string
      readonly info: string
      readonly start: number
    }
    | undefined
  lines.forEach((text, index) => {
    const mark = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(text)
    if (mark === null) return
    const [, indent = "", marks = "", info = ""] = mark
    if (open === undefined) open = { indent: indent.length, marks, info: info.trim(), start: index }
    else if (marks.startsWith(open.marks) && info.trim() === "") {
      const { start } = open
      const margin = new RegExp(`^\\s{0,${open.indent}}`)
      const [language = "", ...flags] = open.info.split(/\s+/)
      const code = lines.slice(start + 1, index).map((line) => line.replace(margin, "")).join("\n")
      found.push({ file, line: firstLine + start, language, flags, code })
      open = undefined
    }
  })
  return found
}

const fencesOfDocComments = (file: string, text: string): Array<Fence> => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const comments = new Map<number, number>()
  const visit = (node: ts.Node): void => {
    for (const { pos, end } of ts.getLeadingCommentRanges(text, node.pos) ?? []) {
      if (text.startsWith("/**", pos)) comments.set(pos, end)
    }
    node.getChildren(source).forEach(visit)
  }
  visit(source)
  return [...comments].sort(([a], [b]) => a - b).flatMap(([pos, end]) => {
    const lines = text.slice(pos, end).split("\n").map((line) => line.replace(/^\s*\*( |$)/, ""))
    return fencesOf(file, lines, source.getLineAndCharacterOfPosition(pos).line + 1)
  })
}

const filesUnder = (root: string, folder: string, extension: string): Array<string> => {
  const absolute = path.join(root, folder)
  if (!fs.existsSync(absolute)) return []
  return fs.readdirSync(absolute, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(extension))
    .map((name) => path.posix.join(folder, name.split(path.sep).join("/")))
    .sort()
}

/** Every fence of README.md, docs and the doc comments of src, in that order. */
export const extract = (root: string): Array<Fence> => {
  const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")
  const documents = [
    ...(fs.existsSync(path.join(root, "README.md")) ? ["README.md"] : []),
    ...filesUnder(root, "docs", ".md")
  ]
  return [
    ...documents.flatMap((file) => fencesOf(file, read(file).split("\n"), 1)),
    ...filesUnder(root, "src", ".ts").flatMap((file) => fencesOfDocComments(file, read(file)))
  ]
}

const logs = new Set(["console.log", "Console.log", "Effect.log"])

/** The expression an assertion speaks about: what is logged, or the statement's own value. */
const subjectOf = (statement: ts.Node): ts.Expression | undefined => {
  if (ts.isVariableStatement(statement)) {
    const { declarations } = statement.declarationList
    return declarations.length === 1 ? declarations[0]?.initializer : undefined
  }
  if (!ts.isExpressionStatement(statement)) return undefined
  let inner = statement.expression
  while (ts.isYieldExpression(inner) || ts.isAwaitExpression(inner)) {
    if (inner.expression === undefined) return inner
    inner = inner.expression
  }
  const [argument, ...more] = ts.isCallExpression(inner) ? inner.arguments : []
  const isLog = ts.isCallExpression(inner) && logs.has(inner.expression.getText())
  return isLog && argument !== undefined && more.length === 0 ? argument : statement.expression
}

/** The `console.log` of a statement `promise.then(console.log)` that no function contains. */
const lastLogOf = (statement: ts.Node): ts.Expression | undefined => {
  if (!ts.isExpressionStatement(statement) || !ts.isSourceFile(statement.parent)) return undefined
  const { expression } = statement
  if (!ts.isCallExpression(expression)) return undefined
  const [argument, ...more] = expression.arguments
  const isThen = ts.isPropertyAccessExpression(expression.expression) &&
    expression.expression.name.text === "then"
  const isLog = argument !== undefined && logs.has(argument.getText())
  return isThen && isLog && more.length === 0 ? argument : undefined
}

interface Rewritten {
  readonly code: string
  readonly assertions: ReadonlyArray<string>
  readonly problems: ReadonlyArray<string>
}

/** Replaces `expression // => text` by a call of `check`; no line moves. */
const rewrite = ({ file, line, code }: Fence): Rewritten => {
  const source = ts.createSourceFile("example.ts", code, ts.ScriptTarget.ES2022, true)
  const placeOf = (position: number): string =>
    `${file}:${line + 1 + source.getLineAndCharacterOfPosition(position).line}`
  const edits: Array<{ readonly at: number; readonly text: string }> = []
  const assertions: Array<string> = []
  const seen = new Set<number>()
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit)
    const subject = subjectOf(node)
    if (subject === undefined) return
    for (const { pos, end } of ts.getTrailingCommentRanges(code, node.end) ?? []) {
      const expected = /^\/\/ =>\s*(.*?)\s*$/.exec(code.slice(pos, end))?.[1]
      if (expected === undefined || seen.has(pos)) continue
      seen.add(pos)
      const where = placeOf(pos)
      assertions.push(where)
      const says = `, ${JSON.stringify(expected)}, ${JSON.stringify(where)})`
      const log = lastLogOf(node)
      if (log === undefined) {
        edits.push({ at: subject.getStart(source), text: "__check((" })
        edits.push({ at: subject.end, text: `)${says}` })
      } else {
        edits.push({ at: node.getStart(source), text: "await " })
        edits.push({ at: log.getStart(source), text: "(__value) => " })
        edits.push({ at: log.end, text: `(__check(__value${says})` })
      }
    }
  }
  visit(source)
  const problems: Array<string> = []
  for (const match of code.matchAll(/\/\/ =>/g)) {
    if (!seen.has(match.index)) {
      problems.push(
        `${placeOf(match.index)}: "// =>" must end the line of a statement with a value`
      )
    }
  }
  const rewritten = edits.sort((a, b) => b.at - a.at)
    .reduce((text, { at, text: inserted }) => text.slice(0, at) + inserted + text.slice(at), code)
  return { code: rewritten, assertions, problems }
}

/** Leaves an equal file alone, so that two runs at once do not disturb each other. */
const write = (file: string, text: string): void => {
  if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) fs.writeFileSync(file, text)
}

/** A named module stands in a folder of its page. */
const moduleOf = ({ file, flags, line }: Fence): string => {
  const page = file.replace(/[^A-Za-z0-9]+/g, "-")
  const named = flags.flatMap((flag) => /^file=([\w.]+\.ts)$/.exec(flag)?.[1] ?? [])[0]
  return named === undefined ? `${page}-L${line}.ts` : path.join(page, named)
}

/**
 * Writes one module per `ts` fence of `root` into `out`, and removes the modules of fences that are
 * gone.
 */
export const generate = (root: string, out: string): Array<Example> => {
  fs.mkdirSync(out, { recursive: true })
  write(path.join(out, ".gitignore"), "*\n")
  const examples = extract(root).flatMap((fence): Array<Example> => {
    const name = `${fence.file}:${fence.line}`
    if (fence.language === "json") {
      try {
        JSON.parse(fence.code)
        return [{ fence, name, assertions: [], problems: [] }]
      } catch (error) {
        return [{
          fence,
          name,
          assertions: [],
          problems: [`${name}: not JSON: ${(error as Error).message}`]
        }]
      }
    }
    if (fence.language !== "ts" && fence.language !== "typescript") return []
    const { code, assertions, problems } = rewrite(fence)
    const module = path.join(out, moduleOf(fence))
    const folder = path.dirname(module)
    fs.mkdirSync(folder, { recursive: true })
    const assert = path.relative(folder, path.join(repository, "scripts/doc-assert.js"))
      .split(path.sep).join("/")
    const header = assertions.length > 0
      ? `import { check as __check } from "${assert}"`
      : "export {}"
    write(module, `${header}\n${code}\n`)
    return [{ fence, name, module, assertions, problems }]
  })
  const current = new Set(examples.map(({ module }) => module))
  for (const name of fs.readdirSync(out, { recursive: true, encoding: "utf8" })) {
    const file = path.join(out, name)
    if (name.endsWith(".ts") && !current.has(file)) fs.rmSync(file, { force: true })
  }
  return examples
}

/** Type-checks all generated modules in one program; returns the errors of each. */
export const typeCheck = (examples: ReadonlyArray<Example>): Map<Example, Array<string>> => {
  const byModule = new Map(
    examples.flatMap((example) => example.module === undefined ? [] : [[example.module, example]])
  )
  const errors = new Map<Example, Array<string>>()
  if (byModule.size === 0) return errors
  const config = path.join(repository, "tsconfig.json")
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(config, ts.sys.readFile).config,
    ts.sys,
    repository
  )
  const program = ts.createProgram([...byModule.keys()], {
    ...options,
    noEmit: true,
    // An example may declare a thing only to show it.
    noUnusedLocals: false,
    noUnusedParameters: false
  })
  for (const [module, example] of byModule) {
    const source = program.getSourceFile(module)
    if (source === undefined) continue
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source)
    ]
    errors.set(
      example,
      found.map(({ start, messageText, code }) => {
        const line = source.getLineAndCharacterOfPosition(start ?? 0).line + example.fence.line
        return `${example.fence.file}:${line}: error TS${code}: ${
          ts.flattenDiagnosticMessageText(messageText, "\n")
        }`
      })
    )
  }
  return errors
}

/** The line of the document an error was thrown at, or that of the fence. */
const placeOfError = ({ fence, module = "", name }: Example, error: unknown): string => {
  const stack = error instanceof Error ? error.stack ?? "" : ""
  const [, line] =
    new RegExp(`${path.basename(module).replaceAll(".", "\\.")}[^:\\n]*:(\\d+)`).exec(stack) ?? []
  return line === undefined ? name : `${fence.file}:${fence.line + Number(line) - 1}`
}

/** Runs one example; rejects with a message that starts with `file:line`. */
export const run = async (example: Example): Promise<void> => {
  if (example.module === undefined || example.fence.flags.includes("no-run")) return
  forget(example.assertions)
  try {
    await import(/* @vite-ignore */ pathToFileURL(example.module).href)
  } catch (error) {
    // A failure to load the module comes from outside this realm, so `instanceof Error` would miss
    // it.
    const message = String((error as { readonly message?: unknown } | null)?.message ?? error)
    if (example.assertions.some((where) => message.startsWith(`${where}: `))) {
      throw new Error(message, { cause: error })
    }
    throw new Error(`${placeOfError(example, error)}: ${message}`, { cause: error })
  }
  const missed = example.assertions.filter((where) => !wasReached(where))
  if (missed.length > 0) {
    throw new Error(`${missed.join(", ")}: the example never reaches this assertion`)
  }
}
