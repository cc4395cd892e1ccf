/**
 * Every name of a public module has a hover text.
 *
 * Public modules are those with a subpath in `exports`, and the index. Checked are, as the compiler
 * gives them to an editor:
 *
 * - each exported function, constant, class, interface and type;
 * - each overload of a function, of a constant or of a member: an editor shows the text of the
 *   overload alone, never that of its neighbour;
 * - each property and method of an exported interface, class, object type or constant object, and
 *   of the types written in place within them and in parameters.
 *
 * A comment of tags alone is no text. What is marked `@internal`, private, protected or declared in
 * another package is left out.
 *
 * Usage: `tsx scripts/hover.ts [root]`. Prints one line for each missing text, `file:line
 * Module.name`, and exits with 1 when there is one.
 */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { publicModules } from "./exports.js"

const repository = fileURLToPath(new URL("..", import.meta.url))

/** What is found: how many texts there should be, and the places that have none. */
export interface Coverage {
  readonly total: number
  readonly missing: ReadonlyArray<string>
}

/** Declarations of packages and of the language, read once for all programs. */
const packages = new Map<string, ts.SourceFile | undefined>()

const programOf = (files: ReadonlyArray<string>): ts.Program => {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(repository, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    repository
  )
  const settings = { ...options, paths: {}, noEmit: true }
  const host = ts.createCompilerHost(settings)
  const read = host.getSourceFile
  host.getSourceFile = (name, ...rest) => {
    if (!name.includes("node_modules")) return read(name, ...rest)
    if (!packages.has(name)) packages.set(name, read(name, ...rest))
    return packages.get(name)
  }
  return ts.createProgram(files, settings, host)
}

const isInternal = (declaration: ts.Node): boolean =>
  ts.getJSDocTags(declaration).some((tag) => tag.tagName.text === "internal")

const isPrivateName = (name: ts.DeclarationName | undefined): boolean =>
  name !== undefined && ts.isPrivateIdentifier(name)

const isHiddenMember = (declaration: ts.Declaration): boolean =>
  (ts.getCombinedModifierFlags(declaration) &
      (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) !== 0 ||
  isInternal(declaration) || isPrivateName((declaration as ts.NamedDeclaration).name)

const hasText = (parts: ReadonlyArray<ts.SymbolDisplayPart>): boolean =>
  ts.displayPartsToString([...parts]).trim() !== ""

/**
 * A comment of its own: a type and a value of one name have one each, and so has `export * as Name`,
 * which the compiler does not connect with its comment. Several parts of an interface share one.
 */
const hasOwnText = (node: ts.Node): boolean =>
  ts.getJSDocCommentsAndTags(node).some((found) =>
    ts.isJSDoc(found) && (ts.getTextOfJSDocComment(found.comment) ?? "").trim() !== ""
  )

/** A name of `Misnamed`: its type is the text. */
const isAdvice = (declaration: ts.Node): boolean => {
  const literal = (declaration as { readonly type?: ts.TypeNode }).type
  return literal !== undefined && ts.isLiteralTypeNode(literal) &&
    ts.isStringLiteral(literal.literal) && literal.literal.text.startsWith("use ")
}

/** The texts that the public modules below `root` have and lack. */
export const coverage = (root: string): Coverage => {
  const src = path.join(root, "src")
  const modules = [...publicModules(src).values()].map((file) => path.join(src, file))
  const program = programOf(modules)
  const checker = program.getTypeChecker()

  const places = new Map<ts.Node, { readonly label: string; readonly documented: boolean }>()
  const visited = new Set<ts.Type>()

  const isOurs = (declaration: ts.Node): boolean => {
    const file = path.relative(src, declaration.getSourceFile().fileName)
    return !file.startsWith("..") && !path.isAbsolute(file) && !file.includes("node_modules")
  }
  const oursOf = (symbol: ts.Symbol | undefined): ReadonlyArray<ts.Declaration> =>
    (symbol?.declarations ?? []).filter(isOurs)

  const take = (node: ts.Node, label: string, documented: boolean): void => {
    if (!places.has(node)) places.set(node, { label, documented })
  }

  /** One signature shows the text of its name; several show their own. */
  const takeSignatures = (type: ts.Type, label: string): void => {
    const signatures = [
      ...checker.getSignaturesOfType(type, ts.SignatureKind.Call),
      ...checker.getSignaturesOfType(type, ts.SignatureKind.Construct)
    ].filter(({ declaration }) => declaration !== undefined && isOurs(declaration))
    signatures.forEach((signature, index) => {
      const declaration = signature.getDeclaration() as ts.SignatureDeclaration
      if (signatures.length > 1 && !isInternal(declaration)) {
        take(
          declaration,
          `${label} (overload ${index + 1})`,
          hasText(signature.getDocumentationComment(checker))
        )
      }
      for (const { name, type } of declaration.parameters) {
        if (type !== undefined && ts.isIdentifier(name)) visitNode(type, `${label}.${name.text}`)
      }
    })
  }

  /** Types that are written in place: they have no other name to look at. */
  const visitNode = (node: ts.TypeNode, label: string): void => {
    if (ts.isTypeLiteralNode(node) || ts.isFunctionTypeNode(node)) {
      return visitType(checker.getTypeFromTypeNode(node), label)
    }
    if (ts.isUnionTypeNode(node) || ts.isIntersectionTypeNode(node)) {
      for (const part of node.types) visitNode(part, label)
    }
    if (ts.isParenthesizedTypeNode(node)) visitNode(node.type, label)
  }

  const takeProperty = (property: ts.Symbol, label: string): void => {
    const declarations = oursOf(property)
    const declaration = declarations[0]
    if (declaration === undefined || declarations.some(isHiddenMember)) return
    if (isAdvice(declaration)) return
    if (property.name.startsWith("__") || property.name === "prototype") return
    const isOverloaded = declarations.length > 1 && declarations.every(ts.isFunctionLike)
    if (!isOverloaded) {
      take(declaration, label, hasText(property.getDocumentationComment(checker)))
    }
    const type = checker.getNonNullableType(checker.getTypeOfSymbol(property))
    takeSignatures(type, label)
    const written = (declaration as { readonly type?: ts.TypeNode }).type
    if (written !== undefined) visitNode(written, label)
    else if (isWrittenInPlace(type)) visitType(type, label)
  }

  const isWrittenInPlace = (type: ts.Type): boolean =>
    type.aliasSymbol === undefined &&
    oursOf(type.getSymbol()).some((node) =>
      ts.isTypeLiteralNode(node) || ts.isObjectLiteralExpression(node)
    )

  const visitType = (type: ts.Type, label: string): void => {
    if (visited.has(type)) return
    visited.add(type)
    takeSignatures(type, label)
    if (type.isUnion()) {
      for (const part of type.types) if (isWrittenInPlace(part)) visitType(part, label)
      return
    }
    if ((type.flags & ts.TypeFlags.Object) === 0 && !type.isIntersection()) return
    for (const property of type.getProperties()) takeProperty(property, `${label}.${property.name}`)
  }

  const takeExport = (exported: ts.Symbol, module: string): void => {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
    const label = `${module}.${exported.name}`
    const specifier = exported.declarations?.[0]
    if ((symbol.flags & ts.SymbolFlags.ValueModule) !== 0) {
      if (specifier !== undefined && ts.isNamespaceExport(specifier)) {
        take(specifier, label, hasOwnText(specifier.parent))
      }
      return
    }
    const declarations = oursOf(symbol).filter((declaration) => !isInternal(declaration))
    if ([...declarations, specifier].some((node) => node === undefined || isInternal(node))) return
    for (const declaration of declarations) {
      if (ts.isFunctionDeclaration(declaration)) continue
      const alike = declarations.filter(({ kind }) => kind === declaration.kind)
      if (declaration === alike[0]) take(declaration, label, alike.some(hasOwnText))
    }
    const isValue = (symbol.flags & (ts.SymbolFlags.Variable | ts.SymbolFlags.Function)) !== 0
    if (isValue) {
      const type = checker.getTypeOfSymbol(symbol)
      const signatures = checker.getSignaturesOfType(type, ts.SignatureKind.Call)
      const declaration = declarations.find(ts.isFunctionDeclaration)
      if (declaration !== undefined && signatures.length === 1) {
        take(declaration, label, hasText(symbol.getDocumentationComment(checker)))
      }
      takeSignatures(type, label)
      if (isWrittenInPlace(type)) visitType(type, label)
    }
    if ((symbol.flags & ts.SymbolFlags.Class) !== 0) {
      visitType(checker.getTypeOfSymbol(symbol), label)
    }
    if ((symbol.flags & ts.SymbolFlags.Type) !== 0) {
      const written = declarations.find(ts.isTypeAliasDeclaration)?.type
      if (written !== undefined) visitNode(written, label)
      visitType(checker.getDeclaredTypeOfSymbol(symbol), label)
    }
  }

  for (const file of modules) {
    const source = program.getSourceFile(file)
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
    if (module === undefined) continue
    for (const exported of checker.getExportsOfModule(module)) {
      takeExport(exported, path.basename(file, ".ts"))
    }
  }

  const missing = [...places].filter(([, { documented }]) => !documented).map(([node, place]) => {
    const source = node.getSourceFile()
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
    const file = path.relative(root, source.fileName).split(path.sep).join("/")
    return { file, line: line + 1, label: place.label }
  })
  return {
    total: places.size,
    missing: missing
      .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line))
      .map(({ file, label, line }) => `${file}:${line} ${label}`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.resolve(process.argv[2] ?? repository)
  const { missing, total } = coverage(root)
  const figure = (count: number): string => count.toLocaleString("en-US")
  for (const place of missing) console.error(`hover: ${place} has no text`)
  if (missing.length > 0) {
    console.error(`hover: ${figure(missing.length)} of ${figure(total)} have no text`)
    process.exitCode = 1
  } else console.log(`hover: ${figure(total)} signatures and properties, all documented`)
}
