/**
 * Builds `dist`: declarations module by module, and JavaScript joined into few files.
 *
 * Most of what an import costs is finding, opening and compiling files. So what is used together
 * stands in one file of `dist/shared`, and the file that a subpath names only exports from there.
 * The index has no code of its own: it names the modules, so that a bundler sees through it.
 *
 * A bundler drops from a file what it knows to have no effect. The library has none at the top of
 * its modules, which it says in the way that bundlers read: values that are computed there are
 * wrapped in functions marked as pure.
 *
 * Usage: `tsx scripts/build.ts [root]`.
 */
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { type ManualChunkMeta, type Plugin, rollup } from "rollup"
import ts from "typescript"
import { publicModules } from "./exports.js"

// -----------------------------------------------------------------------------
// what a bundler may drop
// -----------------------------------------------------------------------------

/** Operators that call nothing, whatever stands beside them. */
const plainOperators: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.EqualsEqualsEqualsToken,
  ts.SyntaxKind.ExclamationEqualsEqualsToken
])

const isPlainProperty = (property: ts.ObjectLiteralElementLike): boolean =>
  ts.isShorthandPropertyAssignment(property) ||
  (property.name !== undefined && !ts.isComputedPropertyName(property.name) &&
    (!ts.isPropertyAssignment(property) || isPlain(property.initializer)))

/** Whether every bundler sees that evaluating it has no effect. */
const isPlain = (value: ts.Expression): boolean =>
  ts.isLiteralExpression(value) || ts.isIdentifier(value) || ts.isArrowFunction(value) ||
  ts.isFunctionExpression(value) ||
  value.kind === ts.SyntaxKind.TrueKeyword || value.kind === ts.SyntaxKind.FalseKeyword ||
  value.kind === ts.SyntaxKind.NullKeyword ||
  (ts.isParenthesizedExpression(value) && isPlain(value.expression)) ||
  (ts.isBinaryExpression(value) && plainOperators.has(value.operatorToken.kind) &&
    isPlain(value.left) && isPlain(value.right)) ||
  (ts.isArrayLiteralExpression(value) &&
    value.elements.every((element) => !ts.isSpreadElement(element) && isPlain(element))) ||
  (ts.isObjectLiteralExpression(value) && value.properties.every(isPlainProperty))

const isPlainMember = (member: ts.ClassElement): boolean => {
  if (member.name !== undefined && ts.isComputedPropertyName(member.name)) return false
  if (ts.isClassStaticBlockDeclaration(member)) return false
  const isStatic = ts.canHaveModifiers(member) &&
    ts.getModifiers(member)?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) === true
  return !isStatic || !ts.isPropertyDeclaration(member) || member.initializer === undefined ||
    isPlain(member.initializer)
}

const isPlainClass = (declaration: ts.ClassLikeDeclaration): boolean =>
  (declaration.heritageClauses ?? []).every(({ types }) =>
    types.every(({ expression }) => isPlain(expression))
  ) && declaration.members.every(isPlainMember)

/** `(() => value)()`, marked as having no effect. */
const pureCall = (factory: ts.NodeFactory, value: ts.Expression): ts.Expression =>
  ts.addSyntheticLeadingComment(
    factory.createCallExpression(
      factory.createParenthesizedExpression(
        factory.createArrowFunction(undefined, undefined, [], undefined, undefined, value)
      ),
      undefined,
      []
    ),
    ts.SyntaxKind.MultiLineCommentTrivia,
    "#__PURE__"
  )

const pureVariables = (factory: ts.NodeFactory, statement: ts.VariableStatement): ts.Statement =>
  factory.updateVariableStatement(
    statement,
    statement.modifiers,
    factory.updateVariableDeclarationList(
      statement.declarationList,
      statement.declarationList.declarations.map((declaration) =>
        declaration.initializer === undefined || !ts.isIdentifier(declaration.name) ||
          isPlain(declaration.initializer)
          ? declaration
          : factory.updateVariableDeclaration(
            declaration,
            declaration.name,
            undefined,
            undefined,
            pureCall(factory, declaration.initializer)
          )
      )
    )
  )

/** `const Name = (() => class Name ...)()`: a class is no more hoisted than a constant. */
const pureClass = (
  factory: ts.NodeFactory,
  declaration: ts.ClassDeclaration,
  name: ts.Identifier
): ts.Statement => {
  const { heritageClauses, members } = declaration
  const value = factory.createClassExpression(undefined, name, undefined, heritageClauses, members)
  return ts.setTextRange(
    factory.createVariableStatement(
      declaration.modifiers?.filter(ts.isModifier),
      factory.createVariableDeclarationList(
        [factory.createVariableDeclaration(
          name,
          undefined,
          undefined,
          pureCall(factory, ts.setTextRange(value, declaration))
        )],
        ts.NodeFlags.Const
      )
    ),
    declaration
  )
}

/** Marks what the top of a module computes as having no effect. */
const markPure: ts.TransformerFactory<ts.SourceFile> = ({ factory }) => (file) =>
  factory.updateSourceFile(
    file,
    file.statements.map((statement) => {
      if (ts.isVariableStatement(statement)) return pureVariables(factory, statement)
      return ts.isClassDeclaration(statement) && statement.name !== undefined &&
          !isPlainClass(statement)
        ? pureClass(factory, statement, statement.name)
        : statement
    })
  )

/** JavaScript of one module with its computed values marked; for tests. */
export const marked = (code: string): string =>
  ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    transformers: { after: [markPure] }
  }).outputText

// -----------------------------------------------------------------------------
// compiling
// -----------------------------------------------------------------------------

interface Compiled {
  readonly code: string
  readonly map: string
}

const formatHost: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: ts.sys.getCurrentDirectory,
  getNewLine: () => "\n"
}

const fail = (problems: ReadonlyArray<ts.Diagnostic>): void => {
  if (problems.length > 0) throw new Error(ts.formatDiagnostics(problems, formatHost))
}

/** Writes the declarations; JavaScript is returned, by the file that tsc would write. */
const compile = (root: string): ReadonlyMap<string, Compiled> => {
  const config = path.join(root, "tsconfig.build.json")
  const { config: json, error } = ts.readConfigFile(config, ts.sys.readFile)
  fail(error === undefined ? [] : [error])
  const { errors, fileNames, options } = ts.parseJsonConfigFileContent(json, ts.sys, root)
  fail(errors)
  const program = ts.createProgram(fileNames, options)
  fail(ts.getPreEmitDiagnostics(program))
  const texts = new Map<string, string>()
  const { diagnostics } = program.emit(
    undefined,
    (file, text) => {
      if (/\.js(\.map)?$/.test(file)) texts.set(path.resolve(file), text)
      else ts.sys.writeFile(file, text)
    },
    undefined,
    false,
    { after: [markPure] }
  )
  fail(diagnostics)
  return new Map(
    [...texts].filter(([file]) => file.endsWith(".js")).map(([file, code]) =>
      [file, { code, map: texts.get(`${file}.map`) ?? "" }] as const
    )
  )
}

// -----------------------------------------------------------------------------
// joining
// -----------------------------------------------------------------------------

const compiledFiles = (compiled: ReadonlyMap<string, Compiled>): Plugin => ({
  name: "compiled files",
  resolveId: (id, importer) => {
    const file = path.resolve(importer === undefined ? "." : path.dirname(importer), id)
    return compiled.has(file) ? file : null
  },
  load: (id) => compiled.get(id) ?? null
})

/** Imports that name nothing: no module has an effect, and bundlers warn of such imports. */
const bareImports = /^import '\..*';$/gm

/** What is said in comments stands in the declarations and in the sources, and costs reading here. */
const shorten: Plugin = {
  name: "shorten",
  renderChunk: async (code) => {
    const { code: shorter, map } = await esbuild.transform(code.replace(bareImports, ""), {
      format: "esm",
      legalComments: "none",
      sourcemap: true,
      target: "es2022"
    })
    return { code: shorter, map }
  }
}

/** The guards that most programs use, in the file that every other one builds on. */
const isCommon = (file: string): boolean =>
  /^(policies\/(Bulkhead|CircuitBreaker|RateLimiter|Timeout)|retry\/Retry)\.js$/.test(file)

const isGuard = (file: string): boolean => /^(policies|retry)\/[A-Z]\w*\.js$/.test(file)

type Reached = Pick<ManualChunkMeta, "getModuleInfo">

/** The modules that importing the given ones loads, and the packages. */
const reachedFrom = (ids: Iterable<string>, { getModuleInfo }: Reached): ReadonlySet<string> => {
  const reached = new Set<string>()
  const visit = (id: string): void => {
    if (reached.has(id)) return
    reached.add(id)
    getModuleInfo(id)?.importedIds.forEach(visit)
  }
  for (const id of ids) visit(id)
  return reached
}

const isPlatform = (id: string): boolean => id.startsWith("@effect/platform")

/**
 * The shared file in which a module of the index stands. No subpath loads a package for another
 * one: what needs the platform stands apart.
 */
const sharedFile = (dist: string, index: ReadonlyArray<string>) => {
  const at = (file: string): string => path.join(dist, file)
  const groupsOf = (meta: Reached): ReadonlyArray<readonly [string, ReadonlySet<string>]> => {
    const pipeline = reachedFrom([at("pipeline/Pipeline.js")], meta)
    const client = reachedFrom([at("http/ApiClient.js")], meta)
    const of = (isIn: (file: string) => boolean) =>
      index.filter((file) => isIn(path.relative(dist, file)))
    const both = [...pipeline].filter((file) => client.has(file))
    const all = reachedFrom(index, meta)
    const server = [...all].filter((file) => [...reachedFrom([file], meta)].some(isPlatform))
    return [
      ["common", reachedFrom([...of(isCommon), ...both], meta)],
      ["guards", reachedFrom(of(isGuard), meta)],
      ["pipeline", pipeline],
      ["client", client],
      ["server", new Set(server)],
      ["jobs", all]
    ]
  }
  let groups: ReturnType<typeof groupsOf> | undefined
  return (id: string, meta: ManualChunkMeta) => {
    groups ??= groupsOf(meta)
    if (id === path.join(dist, "index.js")) return null
    return groups.find(([, reached]) => reached.has(id))?.[0]
  }
}

/** The modules that the index names. */
const modulesOf = (index: string, code: string): ReadonlyArray<string> =>
  ts.createSourceFile(index, code, ts.ScriptTarget.ES2022).statements.flatMap((statement) =>
    ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined &&
      ts.isStringLiteral(statement.moduleSpecifier)
      ? [path.resolve(path.dirname(index), statement.moduleSpecifier.text)]
      : []
  )

/** Joins what was compiled, and writes it. */
const join = async (root: string, compiled: ReadonlyMap<string, Compiled>): Promise<void> => {
  const dist = path.join(root, "dist")
  const index = path.join(dist, "index.js")
  const isEntry = new Set(
    [...publicModules(path.join(root, "src")).values(), "cli/bin.ts", "simulation/worker.ts"]
      .map((file) => path.join(dist, file.replace(/\.ts$/, ".js")))
  )
  // What names a file beside it stays in its place.
  for (const [file, { code }] of compiled) {
    if (code.includes("import.meta")) isEntry.add(file)
  }
  const nameOf = (file: string): string =>
    file === index ? "index.node" : path.relative(dist, file).replace(/\.js$/, "")
  const joined = await rollup({
    input: Object.fromEntries([...isEntry].map((file) => [nameOf(file), file])),
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
    plugins: [compiledFiles(compiled), shorten],
    treeshake: { moduleSideEffects: (id) => isEntry.has(id) },
    onwarn: (warning) => {
      throw new Error(warning.message)
    }
  })
  await joined.write({
    dir: dist,
    format: "es",
    sourcemap: true,
    hoistTransitiveImports: false,
    minifyInternalExports: false,
    chunkFileNames: "shared/[name].js",
    manualChunks: sharedFile(dist, modulesOf(index, compiled.get(index)!.code))
  })
  await joined.close()
  fs.writeFileSync(index, compiled.get(index)!.code)
  fs.writeFileSync(`${index}.map`, compiled.get(index)!.map)
}

/** Builds the library in `root`. */
export const build = async (root: string): Promise<void> => {
  fs.rmSync(path.join(root, "dist"), { recursive: true, force: true })
  await join(root, compile(root))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build(path.resolve(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url))))
}
