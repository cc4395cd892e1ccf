/**
 * The rules of the house that a general linter cannot express: what each floor may import, and what the code may not touch.
 *
 * Usage: `tsx scripts/lint-house.ts [root]`, where `root` holds `src/`. Prints `file:line  rule  message`; exits with 1 on a finding.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

export interface Finding {
  /** Relative to the root, with forward slashes. */
  readonly file: string
  readonly line: number
  readonly rule: Rule
  readonly message: string
}

export type Rule =
  | "clock"
  | "core-globals"
  | "core-imports"
  | "cycle"
  | "floors"
  | "no-any-cast"
  | "no-schema"
  | "no-todo"
  | "no-ts-ignore"
  | "platform-node"

interface Import {
  readonly specifier: string
  readonly names: ReadonlyArray<string>
  readonly line: number
}

interface SourceModule {
  readonly file: string
  readonly source: ts.SourceFile
  readonly imports: ReadonlyArray<Import>
}

type Floor = "core" | "middle" | "http" | "store" | "api" | "testing" | "index"

const mayImport: Readonly<Record<Floor, ReadonlyArray<Floor>>> = {
  core: ["core"],
  middle: ["core", "middle"],
  http: ["core", "middle", "http", "store"],
  store: ["core", "middle", "http", "store"],
  api: ["core", "middle", "http", "store", "api"],
  testing: ["core", "middle", "http", "store", "api", "testing"],
  index: ["core", "middle", "http", "store", "api", "testing"]
}

const top = ["http", "store", "api", "testing"] as const

/** The only module that may use the optional peer @effect/platform-node. */
const platformNode = "src/testing/FlakyApi.ts"

/** The only module that may arm a timer itself, and only for the live clock: it is on the path of every call with a deadline. */
const timerOwner = "src/deadline.ts"

/** Guards and rejections stay off Schema: they are on the path of every call. */
const withoutSchema = [
  "AdaptiveConcurrency",
  "AdaptiveThrottle",
  "Bulkhead",
  "CircuitBreaker",
  "Cooldown",
  "Fallback",
  "Hedge",
  "RateLimiter",
  "Rejection",
  "Timeout"
].map((name) => `src/${name}.ts`)

const clockMembers = new Set(["Date.now", "Math.random", "performance.now"])
const clockGlobals = new Set(["setTimeout", "setInterval", "setImmediate"])
const coreGlobals = new Set([...clockGlobals, "performance", "process", "crypto", "queueMicrotask", "fetch", "console"])

const floorOf = (file: string): Floor | undefined => {
  const [root, first, ...rest] = file.split("/")
  if (root !== "src" || first === undefined) return undefined
  if (file === "src/index.ts") return "index"
  if (rest.length === 0) return "middle"
  return first === "core" ? "core" : top.find((floor) => floor === first)
}

const filesUnder = (folder: string): Array<string> =>
  fs.existsSync(folder)
    ? fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.[cm]?tsx?$/.test(name))
      .map((name) => path.join(folder, name))
      .sort()
    : []

const lineOf = (source: ts.SourceFile, position: number): number =>
  source.getLineAndCharacterOfPosition(position).line + 1

const walk = (node: ts.Node, visit: (node: ts.Node) => void): void => {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

const bindingNames = (clause: ts.ImportClause | undefined): Array<string> =>
  clause?.namedBindings !== undefined && ts.isNamedImports(clause.namedBindings)
    ? clause.namedBindings.elements.map((element) => (element.propertyName ?? element.name).text)
    : []

const importsOf = (source: ts.SourceFile): Array<Import> => {
  const found: Array<Import> = []
  const add = (specifier: ts.Expression | undefined, names: ReadonlyArray<string>): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
      found.push({ specifier: specifier.text, names, line: lineOf(source, specifier.getStart(source)) })
    }
  }
  walk(source, (node) => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, bindingNames(node.importClause))
    else if (ts.isExportDeclaration(node)) {
      const clause = node.exportClause
      const names = clause !== undefined && ts.isNamedExports(clause)
        ? clause.elements.map((element) => (element.propertyName ?? element.name).text)
        : []
      add(node.moduleSpecifier, names)
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument)) add(node.argument.literal as ts.Expression, [])
    } else if (ts.isCallExpression(node)) {
      const callee = node.expression
      const loads = callee.kind === ts.SyntaxKind.ImportKeyword ||
        (ts.isIdentifier(callee) && callee.text === "require")
      if (loads) add(node.arguments[0], [])
    } else if (ts.isExternalModuleReference(node)) add(node.expression, [])
  })
  return found
}

/** The file a relative specifier names, relative to the root; undefined for a package. */
const resolve = (from: string, specifier: string): string | undefined => {
  if (!specifier.startsWith(".")) return undefined
  const target = path.posix.join(path.posix.dirname(from), specifier)
  return target.replace(/\.[cm]?js$/, ".ts")
}

/** Names declared anywhere in the file: those are not globals. */
const declaredNames = (source: ts.SourceFile): Set<string> => {
  const names = new Set<string>()
  walk(source, (node) => {
    const isDeclaration = ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)
      || ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isImportSpecifier(node)
      || ts.isNamespaceImport(node) || ts.isImportClause(node)
    if (isDeclaration && node.name !== undefined && ts.isIdentifier(node.name)) names.add(node.name.text)
  })
  return names
}

/** Whether an identifier is used as a value, and not as the name of a member, a property or a type. */
const isReference = (node: ts.Identifier): boolean => {
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node
  if (ts.isQualifiedName(parent) || ts.isTypeReferenceNode(parent) || ts.isTypeQueryNode(parent)) return false
  return !(ts.isPropertySignature(parent) || ts.isMethodSignature(parent) || ts.isPropertyDeclaration(parent)
    || ts.isMethodDeclaration(parent) || ts.isLabeledStatement(parent) || ts.isEnumMember(parent)
    || ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent) || ts.isNamedTupleMember(parent)
    || ts.isTypeAliasDeclaration(parent) || ts.isInterfaceDeclaration(parent))
}

/** `globalThis.x` and `globalThis["x"]` as `x`; `x` as itself. */
const globalName = (node: ts.Node): string | undefined => {
  if (ts.isIdentifier(node)) return isReference(node) ? node.text : undefined
  if (
    ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "globalThis"
  ) {
    return node.name.text
  }
  if (
    ts.isElementAccessExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === "globalThis"
    && ts.isStringLiteralLike(node.argumentExpression)
  ) return node.argumentExpression.text
  return undefined
}

const lintImports = (module: SourceModule): Array<Finding> => {
  const findings: Array<Finding> = []
  const { file } = module
  const floor = floorOf(file)
  for (const { specifier, names, line } of module.imports) {
    const report = (rule: Rule, message: string) => findings.push({ file, line, rule, message })
    const target = resolve(file, specifier)
    if (floor === "core" && (target === undefined || floorOf(target) !== "core")) {
      report("core-imports", `core may import only core, not "${specifier}"`)
      continue
    }
    if (/^@effect\/platform-node(\/|-|$)/.test(specifier) && file !== platformNode) {
      report("platform-node", `only ${platformNode} may import "${specifier}"`)
    }
    const schema = specifier === "effect/Schema" || (specifier === "effect" && names.includes("Schema"))
    if (schema && withoutSchema.includes(file)) {
      report("no-schema", "guards and rejections use Data.TaggedError, not Schema")
    }
    if (/^effect-resilience(\/|$)/.test(specifier)) {
      report("floors", `src imports its own files by relative path, not "${specifier}"`)
    } else if (target !== undefined && floor !== undefined) {
      const targetFloor = floorOf(target)
      if (targetFloor === undefined) report("floors", `"${specifier}" is outside src`)
      else if (!mayImport[floor].includes(targetFloor)) {
        report("floors", `${floor} may not import ${targetFloor} ("${specifier}")`)
      }
    }
  }
  if (floor === undefined) {
    findings.push({
      file,
      line: 1,
      rule: "floors",
      message: `no such floor; folders of src are core, ${top.join(", ")}`
    })
  }
  return findings
}

const lintCode = ({ file, source }: SourceModule): Array<Finding> => {
  const findings: Array<Finding> = []
  const inCore = floorOf(file) === "core"
  const declared = declaredNames(source)
  const clock = (node: ts.Node, name: string): void => {
    const line = lineOf(source, node.getStart(source))
    findings.push(
      inCore
        ? {
          file,
          line,
          rule: "core-globals",
          message: `core takes time and randomness as arguments; it may not use ${name}`
        }
        : { file, line, rule: "clock", message: `use effect's Clock, Random and sleep instead of ${name}` }
    )
  }
  walk(source, (node) => {
    const line = lineOf(source, node.getStart(source))
    if (
      (ts.isAsExpression(node) || ts.isTypeAssertionExpression(node)) && node.type.kind === ts.SyntaxKind.AnyKeyword
    ) {
      findings.push({ file, line, rule: "no-any-cast", message: "no cast to any; narrow the type instead" })
    }
    if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && globalName(node.expression) === "Date") {
      if (ts.isCallExpression(node)) clock(node, "Date()")
      else if ((node.arguments ?? []).length === 0) clock(node, "new Date()")
    }
    if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)) {
      const owner = globalName(node.expression)
      const member = ts.isPropertyAccessExpression(node)
        ? node.name.text
        : ts.isStringLiteralLike(node.argumentExpression)
        ? node.argumentExpression.text
        : undefined
      if (owner !== undefined && !declared.has(owner) && clockMembers.has(`${owner}.${member}`)) {
        if (!(inCore && coreGlobals.has(owner))) clock(node, `${owner}.${member}`)
      }
    }
    if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined) {
      const owner = globalName(node.initializer)
      for (const { name, propertyName } of node.name.elements) {
        const member = (propertyName ?? name).getText(source)
        if (owner !== undefined && clockMembers.has(`${owner}.${member}`)) clock(node, `${owner}.${member}`)
      }
    }
    const name = globalName(node)
    if (name !== undefined && !(ts.isIdentifier(node) && declared.has(name))) {
      const isOwned = file === timerOwner && name === "setTimeout"
      if ((inCore ? coreGlobals : clockGlobals).has(name) && !isOwned) clock(node, name)
    }
  })
  return findings
}

const lintComments = ({ file, source }: SourceModule): Array<Finding> => {
  const findings: Array<Finding> = []
  source.text.split("\n").forEach((text, index) => {
    const line = index + 1
    const suppression = /@ts-(ignore|nocheck)\b/.exec(text)
    if (suppression) findings.push({ file, line, rule: "no-ts-ignore", message: `no ${suppression[0]}` })
    const note = /\b(TODO|FIXME)\b/.exec(text)
    if (note) findings.push({ file, line, rule: "no-todo", message: `no ${note[0]}: do it, or open an issue` })
  })
  return findings
}

/** One finding per cycle, at the import that closes it. */
const lintCycles = (modules: ReadonlyMap<string, SourceModule>): Array<Finding> => {
  const findings: Array<Finding> = []
  const done = new Set<string>()
  const trail: Array<string> = []
  const visit = (file: string): void => {
    trail.push(file)
    for (const { specifier, line } of modules.get(file)?.imports ?? []) {
      const target = resolve(file, specifier)
      if (target === undefined || !modules.has(target) || done.has(target)) continue
      const start = trail.indexOf(target)
      if (start >= 0) {
        const cycle = [...trail.slice(start), target].join(" -> ")
        findings.push({ file, line, rule: "cycle", message: `import cycle: ${cycle}` })
      } else visit(target)
    }
    trail.pop()
    done.add(file)
  }
  for (const file of modules.keys()) if (!done.has(file)) visit(file)
  return findings
}

/** Lints every TypeScript file under `root/src`. */
export const lint = (root: string): Array<Finding> => {
  const modules = new Map<string, SourceModule>()
  for (const absolute of filesUnder(path.join(root, "src"))) {
    const file = path.relative(root, absolute).split(path.sep).join("/")
    const source = ts.createSourceFile(file, fs.readFileSync(absolute, "utf8"), ts.ScriptTarget.ES2022, true)
    modules.set(file, { file, source, imports: importsOf(source) })
  }
  const findings = [...modules.values()].flatMap((module) => [
    ...lintImports(module),
    ...lintCode(module),
    ...lintComments(module)
  ])
  return [...findings, ...lintCycles(modules)].sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line)
}

export const render = ({ file, line, rule, message }: Finding): string => `${file}:${line}  ${rule}  ${message}`

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.resolve(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)))
  const findings = lint(root)
  for (const finding of findings) console.error(render(finding))
  if (findings.length > 0) {
    console.error(`\nlint-house: ${findings.length} finding(s)`)
    process.exitCode = 1
  } else console.log("lint-house: no findings")
}
