/**
 * No function of 15 lines or more stands twice in `src`, names aside.
 *
 * Two functions are the same when they have the same tokens once names, texts and numbers are taken
 * out, or when their bodies have. Lines are those with code on them: comments and blank lines do
 * not count. Of functions within functions only the outermost are reported.
 *
 * Usage: `tsx scripts/lint-repeats.ts [root]`. Prints one line for each pair, `file:line name ~
 * file:line name`, and exits with 1 when there is one.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

/** Functions shorter than this may stand twice. */
const minimumLines = 15

/** The tokens of a function or of its body, and the number of lines they stand on. */
interface Shape {
  readonly text: string
  readonly lines: number
}

/** A function, and what it is compared by: the whole of it, and its body. */
interface Candidate {
  readonly file: string
  readonly line: number
  readonly name: string
  readonly start: number
  readonly end: number
  readonly shapes: ReadonlyArray<Shape>
}

type FunctionWithBody = ts.FunctionLikeDeclaration & { readonly body: ts.Node }

const isFunction = (node: ts.Node): node is FunctionWithBody =>
  ts.isFunctionLike(node) && (node as ts.FunctionLikeDeclaration).body !== undefined

/** Texts that are a program of their own, such as a script for a server, have more than a line. */
const isLongText = (token: ts.Node, source: ts.SourceFile): boolean =>
  token.getText(source).includes("\n")

/** What stands for a token: names, texts and numbers are all alike. */
const placeholder = (token: ts.Node, source: ts.SourceFile): string => {
  if (ts.isIdentifier(token) || ts.isPrivateIdentifier(token)) return "name"
  if (ts.isNumericLiteral(token) || ts.isBigIntLiteral(token)) return "0"
  if (ts.isStringLiteral(token)) return "text"
  return ts.isTemplateLiteralToken(token) && !isLongText(token, source)
    ? ts.isNoSubstitutionTemplateLiteral(token) ? "text" : ts.SyntaxKind[token.kind]
    : token.getText(source)
}

/** Of some nodes, without comments. */
const shapeOf = (nodes: ReadonlyArray<ts.Node>, source: ts.SourceFile): Shape => {
  const tokens: Array<string> = []
  const lines = new Set<number>()
  const lineAt = (position: number): number => source.getLineAndCharacterOfPosition(position).line
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return
    const children = node.getChildren(source)
    if (children.length > 0) return children.forEach(visit)
    if (node.getText(source) === "") return
    tokens.push(placeholder(node, source))
    const last = lineAt(node.end)
    for (let line = lineAt(node.getStart(source)); line <= last; line++) lines.add(line)
  }
  nodes.forEach(visit)
  return { text: tokens.join(" "), lines: lines.size }
}

const nameOf = (node: ts.Node, source: ts.SourceFile): string => {
  const { name } = node as ts.NamedDeclaration
  if (name !== undefined) {
    const owner = ts.isClassLike(node.parent) ? node.parent.name?.text : undefined
    return `${owner === undefined ? "" : `${owner}.`}${name.getText(source)}`
  }
  if (ts.isConstructorDeclaration(node)) return `${nameOf(node.parent, source)}.constructor`
  let outer = node.parent
  while (!ts.isSourceFile(outer) && (outer as ts.NamedDeclaration).name === undefined) {
    outer = outer.parent
  }
  if (ts.isSourceFile(outer)) return "(anonymous)"
  const isOwn = (outer as ts.VariableDeclaration).initializer === node
  return isOwn ? nameOf(outer, source) : `(within ${nameOf(outer, source)})`
}

const candidatesOf = (file: string, text: string): ReadonlyArray<Candidate> => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const found: Array<Candidate> = []
  const visit = (node: ts.Node): void => {
    if (isFunction(node)) {
      const parts = node.getChildren(source).filter((child) => child !== node.name)
      const start = node.getStart(source)
      found.push({
        file,
        line: source.getLineAndCharacterOfPosition(start).line + 1,
        name: nameOf(node, source),
        start,
        end: node.end,
        shapes: [shapeOf(parts, source), shapeOf([node.body], source)]
      })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const contains = (outer: Candidate, inner: Candidate): boolean =>
  outer !== inner && outer.file === inner.file && outer.start <= inner.start &&
  inner.end <= outer.end

const filesOf = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => name.endsWith(".ts"))
    .sort()

/** Whether one is a copy of the other; a copy may stand on fewer lines than what it copies. */
const isRepeat = (one: Candidate, other: Candidate): boolean =>
  one.shapes.some((a) =>
    other.shapes.some((b) => a.text === b.text && Math.max(a.lines, b.lines) >= minimumLines)
  )

/** Every pair of functions in `src` that are the same, as a line each. */
export const repeats = (root: string): ReadonlyArray<string> => {
  const candidates = filesOf(path.join(root, "src")).flatMap((name) =>
    candidatesOf(`src/${name}`, fs.readFileSync(path.join(root, "src", name), "utf8"))
  )
  // Outer functions come before those within them, so a pair is met after the pair around it.
  const pairs: Array<readonly [Candidate, Candidate]> = []
  candidates.forEach((first, index) => {
    for (const second of candidates.slice(index + 1)) {
      if (!isRepeat(first, second) || contains(first, second)) continue
      if (pairs.some(([a, b]) => contains(a, first) && contains(b, second))) continue
      pairs.push([first, second])
    }
  })
  return pairs.map((pair) =>
    pair.map(({ file, line, name }) => `${file}:${line} ${name}`).join(" ~ ")
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.resolve(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)))
  const found = repeats(root)
  for (const line of found) console.error(`repeats: ${line}`)
  if (found.length > 0) process.exitCode = 1
  else console.log(`repeats: no function of ${minimumLines} lines or more stands twice`)
}
