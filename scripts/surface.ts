/**
 * The public API as a text: `docs/api-surface.txt`.
 *
 * One block for each public module, one line for each exported name: its kind and its type, as the
 * compiler sees it. A change of the API is then a change of this file, which a review can read.
 *
 * - Members of interfaces and classes stand below them; what comes from other packages is left out.
 * - Names of other modules are written `Module.Name`, whatever the source calls its imports.
 * - Private types that a public one names are listed at the end.
 * - What is marked `@internal` is left out.
 * - Members of unions and properties are sorted, so that the order of files does not matter.
 *
 * Usage: `tsx scripts/surface.ts [--write] [root]`. Without `--write` it prints what differs, and
 * exits with 1.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { publicModules } from "./exports.js"

const repository = fileURLToPath(new URL("..", import.meta.url))

/** Where the text stands, relative to the root. */
export const surfaceFile = "docs/api-surface.txt"

export const howToRegenerate = "run `tsx scripts/surface.ts --write`"

const header = [
  `# The public API, module by module. Generated: ${howToRegenerate}.`,
  "# Names of another module are written Module.Name; private types stand at the end."
]

const privateTitle = "(private types named above)"

// -----------------------------------------------------------------------------
// the compiler
// -----------------------------------------------------------------------------

/** What the checker has besides its published type; the version of typescript is pinned. */
interface Checker extends ts.TypeChecker {
  readonly createAnonymousType: (
    symbol: ts.Symbol | undefined,
    members: ts.SymbolTable,
    calls: ReadonlyArray<ts.Signature>,
    constructs: ReadonlyArray<ts.Signature>,
    indexes: ReadonlyArray<ts.IndexInfo>
  ) => ts.Type
}

const programOf = (files: ReadonlyArray<string>): ts.Program => {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(repository, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    repository
  )
  return ts.createProgram(files, { ...options, paths: {}, noEmit: true })
}

const symbolOf = (node: ts.Node): ts.Symbol | undefined =>
  (node as { readonly symbol?: ts.Symbol }).symbol

const isInternal = (declaration: ts.Node): boolean =>
  ts.getJSDocTags(declaration).some((tag) => tag.tagName.text === "internal")

const flags = ts.NodeBuilderFlags.NoTruncation | ts.NodeBuilderFlags.IgnoreErrors |
  ts.NodeBuilderFlags.UseAliasDefinedOutsideCurrentScope

/** By code units, so that the order does not depend on a locale. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const baseOf = (file: string): string => path.basename(file).replace(/(\.d)?\.[cm]?tsx?$/, "")

/** The sources of a library, as the compiler sees them. */
const libraryAt = (root: string) => {
  const src = path.join(root, "src")
  const modules = new Map(
    [...publicModules(src)].map(([subpath, file]) => [subpath, path.join(src, file)] as const)
  )
  const program = programOf([...modules.values()])
  const checker = program.getTypeChecker() as Checker

  const moduleOf = (file: string): ts.Symbol | undefined => {
    const source = program.getSourceFile(file)
    return source === undefined ? undefined : checker.getSymbolAtLocation(source)
  }
  const resolved = (symbol: ts.Symbol): ts.Symbol =>
    (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
  const declarationsOf = (symbol: ts.Symbol) => symbol.declarations ?? []
  const isOurs = (declaration: ts.Node): boolean => {
    const file = path.relative(src, declaration.getSourceFile().fileName)
    return !file.startsWith("..") && !path.isAbsolute(file) && !file.includes("node_modules")
  }
  const isForeign = (symbol: ts.Symbol): boolean => !declarationsOf(symbol).some(isOurs)
  const isHidden = (symbol: ts.Symbol): boolean =>
    declarationsOf(symbol).length > 0 && declarationsOf(symbol).every(isInternal)
  const isGeneric = (symbol: ts.Symbol): boolean =>
    declarationsOf(symbol).some((node) =>
      ts.isTypeAliasDeclaration(node) && node.typeParameters !== undefined
    )
  const exportsOf = (module: ts.Symbol): ReadonlyArray<readonly [string, ts.Symbol]> =>
    checker.getExportsOfModule(module)
      .map((symbol) => [symbol.name, symbol] as const)
      .filter(([, symbol]) => !isHidden(symbol) && !isHidden(resolved(symbol)))
      .map(([name, symbol]) => [name, resolved(symbol)] as const)
  /** Exported by a file, without what is internal; none for a file that is no module. */
  const exportsOfFile = (file: string) => {
    const module = moduleOf(file)
    return module === undefined ? [] : exportsOf(module)
  }
  return {
    modules,
    checker,
    declarationsOf,
    isOurs,
    isForeign,
    isHidden,
    isGeneric,
    exportsOf,
    exportsOfFile
  }
}

type Library = ReturnType<typeof libraryAt>

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

/** What each type is called. */
const namesIn = (library: Library) => {
  const { checker, declarationsOf, exportsOfFile, isForeign, isGeneric, isOurs, modules } = library

  /** The public name of each symbol: that of the module that declares it, else of the first. */
  const names = new Map<ts.Symbol, { readonly module: string; readonly name: string }>()
  const publish = (symbol: ts.Symbol, file: string, name: string): void => {
    const declaredHere = declarationsOf(symbol).some((node) =>
      node.getSourceFile().fileName === file
    )
    if (!names.has(symbol) || declaredHere) names.set(symbol, { module: baseOf(file), name })
  }
  const listed = [...modules].filter(([subpath]) => subpath !== ".")
  for (const [, file] of listed) {
    for (const [name, symbol] of exportsOfFile(file)) {
      if (!isForeign(symbol)) publish(symbol, file, name)
    }
  }
  // A private type that a public alias only gives a name is known by that name.
  const published = [...names]
  for (const [symbol, { module, name }] of published) {
    if ((symbol.flags & ts.SymbolFlags.TypeAlias) === 0 || isGeneric(symbol)) continue
    const type = checker.getDeclaredTypeOfSymbol(symbol)
    const target = type.aliasSymbol ?? type.symbol as ts.Symbol | undefined
    if (target === undefined || isForeign(target) || names.has(target)) continue
    if (!target.name.startsWith("__")) names.set(target, { module, name })
  }

  const privates = new Map<ts.Symbol, string>()

  const nameOf = (symbol: ts.Symbol, here: string): string => {
    const known = names.get(symbol)
    if (known !== undefined) {
      return known.module === here ? known.name : `${known.module}.${known.name}`
    }
    const [declaration] = declarationsOf(symbol)
    const isLocal =
      (symbol.flags & (ts.SymbolFlags.TypeParameter | ts.SymbolFlags.EnumMember)) !== 0
    if (declaration === undefined || isLocal) return symbol.name
    const chain = [symbol.name]
    let node: ts.Node = declaration.parent
    for (; !ts.isSourceFile(node); node = node.parent) {
      if (ts.isFunctionLike(node)) return symbol.name
      if (!ts.isModuleDeclaration(node)) continue
      if (!ts.isIdentifier(node.name) || node.name.text === "global") return chain.join(".")
      chain.unshift(node.name.text)
    }
    if (!ts.isExternalModule(node)) return chain.join(".")
    const module = baseOf(node.fileName)
    const name = [module, ...chain].join(".")
    if (isOurs(node)) privates.set(symbol, name)
    return module === here ? chain.join(".") : name
  }
  return { names, privates, nameOf }
}

type Names = ReturnType<typeof namesIn>

// -----------------------------------------------------------------------------
// types
// -----------------------------------------------------------------------------

const printer = ts.createPrinter({ removeComments: true })
const noFile = ts.createSourceFile("none.ts", "", ts.ScriptTarget.ES2022)

const print = (node: ts.Node): string =>
  printer.printNode(ts.EmitHint.Unspecified, node, noFile).replace(/\s+/g, " ").trim()

const nameOfMember = (node: ts.TypeElement): string =>
  node.name === undefined ? "" : print(node.name)

const sortedMembers = (members: ReadonlyArray<ts.TypeElement>): ReadonlyArray<ts.TypeElement> =>
  [...members].sort((a, b) => compare(nameOfMember(a), nameOfMember(b)))

const isNothing = (text: string): boolean => text === "undefined" || text === "null"

const unionOf = (types: ReadonlyArray<ts.TypeNode>): ts.TypeNode =>
  types.length === 1 ? types[0]! : ts.factory.createUnionTypeNode(types)

const sortedUnion = (types: ReadonlyArray<ts.TypeNode>): ReadonlyArray<ts.TypeNode> =>
  types.map((node) => ({ node, text: print(node) }))
    .sort((a, b) =>
      Number(isNothing(a.text)) - Number(isNothing(b.text)) || compare(a.text, b.text)
    )
    .map(({ node }) => node)

/** The last symbol of a dotted name, where the compiler gave it one. */
const symbolAt = (node: ts.Node): ts.Symbol | undefined => {
  if (ts.isQualifiedName(node)) return symbolOf(node.right)
  return ts.isPropertyAccessExpression(node) ? symbolOf(node.name) : symbolOf(node)
}

const partsOf = (node: ts.TypeNode): ReadonlyArray<ts.TypeNode> =>
  ts.isUnionTypeNode(node) ? node.types : [node]

const isStructure = (node: ts.TypeNode): boolean =>
  ts.isTypeReferenceNode(node) || ts.isTypeLiteralNode(node)

/** How types are written. `here` is the module in which they are. */
const typesIn = ({ checker, isGeneric }: Library, { nameOf, names }: Names) => {
  /** Names as this file writes them, and one order. */
  const canonical = <Node extends ts.Node>(node: Node, here: string): Node => {
    const visit = (node: ts.Node): ts.Node => {
      if (
        ts.isIdentifier(node) || ts.isQualifiedName(node) || ts.isPropertyAccessExpression(node)
      ) {
        const symbol = symbolAt(node)
        if (symbol !== undefined) return ts.factory.createIdentifier(nameOf(symbol, here))
      }
      if (ts.isImportTypeNode(node)) {
        const symbol = node.qualifier === undefined ? undefined : symbolAt(node.qualifier)
        const module = baseOf(print(node.argument).slice(1, -1))
        const name = ts.factory.createIdentifier(
          symbol === undefined ? module : nameOf(symbol, here)
        )
        const typeArguments = node.typeArguments?.map((argument) => visit(argument) as ts.TypeNode)
        return node.isTypeOf
          ? ts.factory.createTypeQueryNode(name, typeArguments)
          : ts.factory.createTypeReferenceNode(name, typeArguments)
      }
      const visited = ts.visitEachChild(node, visit, undefined)
      if (ts.isUnionTypeNode(visited)) return unionOf(sortedUnion(visited.types))
      return ts.isTypeLiteralNode(visited)
        ? ts.factory.updateTypeLiteralNode(
          visited,
          ts.factory.createNodeArray(sortedMembers(visited.members))
        )
        : visited
    }
    return visit(node) as Node
  }

  /** A public alias whose name the compiler does not keep, such as `typeof Schema.Type`. */
  interface Lost {
    readonly symbol: ts.Symbol
    readonly parts: ReadonlySet<string>
  }

  const lostNames = new Map<string, ReadonlyArray<Lost>>()

  const expanded = (symbol: ts.Symbol, here: string): ts.TypeNode =>
    canonical(
      checker.typeToTypeNode(
        checker.getDeclaredTypeOfSymbol(symbol),
        undefined,
        flags | ts.NodeBuilderFlags.InTypeAlias
      )!,
      here
    )

  const lostIn = (here: string): ReadonlyArray<Lost> => {
    const known = lostNames.get(here)
    if (known !== undefined) return known
    const foreign = ({ symbol }: Lost): number => Number(names.get(symbol)?.module !== here)
    const found = [...names.keys()].flatMap((symbol): ReadonlyArray<Lost> => {
      if ((symbol.flags & ts.SymbolFlags.TypeAlias) === 0 || isGeneric(symbol)) return []
      const type = checker.getDeclaredTypeOfSymbol(symbol)
      if (type.aliasSymbol !== undefined) return []
      const parts = partsOf(expanded(symbol, here))
      const isNamed = parts.length === 1 && !ts.isTypeLiteralNode(parts[0]!)
      return isNamed || !parts.every(isStructure)
        ? []
        : [{ symbol, parts: new Set(parts.map(print)) }]
    }).sort((a, b) => b.parts.size - a.parts.size || foreign(a) - foreign(b))
    lostNames.set(here, found)
    return found
  }

  /** Puts the lost names back, the largest type first, those of the same module before others. */
  const named = <Node extends ts.Node>(node: Node, here: string, except?: ts.Symbol): Node => {
    const visit = (node: ts.Node): ts.Node => {
      if (!ts.isUnionTypeNode(node) && !ts.isTypeLiteralNode(node)) {
        return ts.visitEachChild(node, visit, undefined)
      }
      let left = partsOf(node).map((part) => ({ part, text: print(part) }))
      const found: Array<ts.TypeNode> = []
      for (const { symbol, parts } of lostIn(here)) {
        const rest = left.filter(({ text }) => !parts.has(text))
        if (symbol === except || left.length - rest.length !== parts.size) continue
        found.push(ts.factory.createTypeReferenceNode(nameOf(symbol, here)))
        left = rest
      }
      if (found.length === 0) return ts.visitEachChild(node, visit, undefined)
      const kept = left.map(({ part }) => ts.visitNode(part, visit) as ts.TypeNode)
      return unionOf(sortedUnion([...found, ...kept]))
    }
    return ts.visitNode(node, visit) as Node
  }

  const text = (node: ts.Node, here: string): string => print(named(canonical(node, here), here))

  const typeText = (type: ts.Type, here: string): string =>
    text(checker.typeToTypeNode(type, undefined, flags)!, here)

  const parametersText = (
    parameters: ReadonlyArray<ts.TypeParameter> | undefined,
    here: string
  ): string => {
    const printed = (parameters ?? []).map((parameter) =>
      text(checker.typeParameterToDeclaration(parameter, undefined, flags)!, here)
    )
    return printed.length === 0 ? "" : `<${printed.join(", ")}>`
  }

  const aliasText = (symbol: ts.Symbol, here: string): string =>
    print(named(expanded(symbol, here), here, symbol))
  return { text, typeText, aliasText, parametersText }
}

type Types = ReturnType<typeof typesIn>

// -----------------------------------------------------------------------------
// members
// -----------------------------------------------------------------------------

/** What stands below an interface or a class. */
const membersIn = (library: Library, { text, typeText }: Types) => {
  const { checker, declarationsOf, isForeign, isHidden, isOurs } = library

  const isPrivate = (node: ts.Declaration): boolean => {
    const { name } = node as ts.NamedDeclaration
    const modifiers = ts.getCombinedModifierFlags(node)
    return (modifiers & ts.ModifierFlags.NonPublicAccessibilityModifier) !== 0 ||
      (name !== undefined && ts.isPrivateIdentifier(name))
  }

  /** `_tag` is what programs tell failures apart by, so it is shown wherever it comes from. */
  const isShown = (symbol: ts.Symbol): boolean =>
    symbol.name === "_tag" ||
    (!isForeign(symbol) && !isHidden(symbol) && !declarationsOf(symbol).some(isPrivate))

  const fromHere = (signature: ts.Signature): boolean =>
    signature.declaration !== undefined && isOurs(signature.declaration) &&
    !isInternal(signature.declaration)

  const signatureOf = (node: ts.FunctionTypeNode): ts.TypeElement =>
    ts.factory.createCallSignature(node.typeParameters, node.parameters, node.type)

  /** The members of a type that come from our sources, one line each. */
  const membersOf = (
    type: ts.Type,
    here: string,
    constructs: ReadonlyArray<ts.Signature>
  ): ReadonlyArray<string> => {
    const properties = checker.getPropertiesOfType(type).filter(isShown)
    const literal = checker.createAnonymousType(
      undefined,
      new Map(properties.map((symbol) => [symbol.escapedName, symbol])) as ts.SymbolTable,
      checker.getSignaturesOfType(type, ts.SignatureKind.Call).filter(fromHere),
      constructs,
      checker.getIndexInfosOfType(type).filter(({ declaration }) =>
        declaration !== undefined && isOurs(declaration)
      )
    )
    const node = checker.typeToTypeNode(literal, undefined, flags)!
    const members = ts.isTypeLiteralNode(node) ? sortedMembers(node.members) : []
    return (ts.isFunctionTypeNode(node) ? [signatureOf(node)] : members)
      .map((member) => text(member, here).replace(/;$/, ""))
  }

  /** The types of other packages that a type extends. */
  const foreignBases = (type: ts.Type, here: string): ReadonlyArray<string> =>
    (checker.getBaseTypes(type as ts.InterfaceType) as ReadonlyArray<ts.Type>).flatMap((base) => {
      const parts: ReadonlyArray<ts.Type> = base.isIntersection() ? base.types : [base]
      return parts.flatMap((part) => {
        const symbol = part.symbol as ts.Symbol | undefined
        if (symbol === undefined || symbol.name.startsWith("__")) return []
        return isForeign(symbol) ? [typeText(part, here)] : foreignBases(part, here)
      })
    })
  return { membersOf, fromHere, foreignBases }
}

// -----------------------------------------------------------------------------
// entries
// -----------------------------------------------------------------------------

/** A line and the lines below it. */
interface Entry {
  readonly name: string
  readonly line: string
  readonly members: ReadonlyArray<string>
}

const extendsText = (bases: ReadonlyArray<string>): string =>
  bases.length === 0 ? "" : ` extends ${[...new Set(bases)].sort(compare).join(", ")}`

const textOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  [...entries].sort((a, b) => compare(a.name, b.name) || compare(a.line, b.line))
    .flatMap(({ line, members }) => [`  ${line}`, ...members.map((member) => `    ${member}`)])

/** What a symbol is: one entry for each of its meanings. */
const entriesIn = (library: Library, { names }: Names, types: Types) => {
  const { checker, declarationsOf, exportsOf, modules } = library
  const { aliasText, parametersText, typeText } = types
  const { foreignBases, fromHere, membersOf } = membersIn(library, types)

  const interfaceEntry = (name: string, type: ts.Type, here: string): Entry => {
    const parameters = parametersText((type as ts.InterfaceType).typeParameters, here)
    return {
      name,
      line: `interface ${name}${parameters}${extendsText(foreignBases(type, here))}`,
      members: membersOf(
        type,
        here,
        checker.getSignaturesOfType(type, ts.SignatureKind.Construct).filter(fromHere)
      )
    }
  }

  const classEntry = (name: string, symbol: ts.Symbol, here: string): Entry => {
    const instance = checker.getDeclaredTypeOfSymbol(symbol)
    const statics = checker.getTypeOfSymbol(symbol)
    const constructs = checker.getSignaturesOfType(statics, ts.SignatureKind.Construct)
    const parameters = parametersText((instance as ts.InterfaceType).typeParameters, here)
    return {
      name,
      line: `class ${name}${parameters}${extendsText(foreignBases(instance, here))}`,
      members: [
        ...membersOf(instance, here, constructs),
        ...membersOf(statics, here, []).filter((line) => !line.startsWith("prototype:"))
          .map((line) => `static ${line}`)
      ]
    }
  }

  const aliasEntry = (name: string, symbol: ts.Symbol, here: string): Entry => {
    const type = checker.getDeclaredTypeOfSymbol(symbol)
    const inner = type.aliasSymbol ?? type.symbol as ts.Symbol | undefined
    const renamed = inner !== undefined && inner !== symbol && names.get(inner)?.name === name
    if (renamed && type.isClassOrInterface()) return interfaceEntry(name, type, here)
    const parameters = declarationsOf(symbol).flatMap((node) =>
      ts.isTypeAliasDeclaration(node) ? node.typeParameters ?? [] : []
    ).map((node) => checker.getTypeAtLocation(node) as ts.TypeParameter)
    const line = `type ${name}${parametersText(parameters, here)} = ${aliasText(symbol, here)}`
    return { name, line, members: [] }
  }

  const valueType = (symbol: ts.Symbol, here: string): string => {
    const type = checker.getTypeOfSymbol(symbol)
    return (type.flags & ts.TypeFlags.UniqueESSymbol) !== 0 && type.symbol === symbol
      ? "unique symbol"
      : typeText(type, here)
  }

  const subpathOf = (symbol: ts.Symbol): string | undefined =>
    [...modules].find(([, file]) =>
      declarationsOf(symbol).some((node) => ts.isSourceFile(node) && node.fileName === file)
    )?.[0]

  const entriesOf = (name: string, symbol: ts.Symbol, here: string): ReadonlyArray<Entry> => {
    const has = (flag: ts.SymbolFlags): boolean => (symbol.flags & flag) !== 0
    const subpath = subpathOf(symbol)
    if (subpath !== undefined) {
      return [{ name, line: `namespace ${name} = ${subpath}`, members: [] }]
    }
    const found: Array<Entry> = []
    const one = (line: string) => found.push({ name, line, members: [] })
    const shown = (is: (node: ts.Node) => boolean): boolean =>
      declarationsOf(symbol).some((node) => is(node) && !isInternal(node))
    if (has(ts.SymbolFlags.Class)) found.push(classEntry(name, symbol, here))
    else if (has(ts.SymbolFlags.Interface) && shown(ts.isInterfaceDeclaration)) {
      found.push(interfaceEntry(name, checker.getDeclaredTypeOfSymbol(symbol), here))
    }
    if (has(ts.SymbolFlags.TypeAlias) && shown(ts.isTypeAliasDeclaration)) {
      found.push(aliasEntry(name, symbol, here))
    }
    if (has(ts.SymbolFlags.Function) && shown(ts.isFunctionDeclaration)) {
      one(`function ${name}: ${valueType(symbol, here)}`)
    }
    if (has(ts.SymbolFlags.Variable) && shown(ts.isVariableDeclaration)) {
      one(`const ${name}: ${valueType(symbol, here)}`)
    }
    if (has(ts.SymbolFlags.Enum)) {
      const members = checker.getExportsOfModule(symbol).map((member) => {
        const value = checker.getConstantValue(member.valueDeclaration as ts.EnumMember)
        return `${member.name} = ${JSON.stringify(value)}`
      })
      one(`enum ${name} { ${members.sort(compare).join(", ")} }`)
    }
    if (has(ts.SymbolFlags.Module) && !has(ts.SymbolFlags.Enum)) {
      one(`namespace ${name}`)
      for (const [inner, member] of exportsOf(symbol)) {
        found.push(...entriesOf(`${name}.${inner}`, member, here))
      }
    }
    return found
  }
  return entriesOf
}

/** The public API of the library at `root`. */
export const surfaceOf = (root: string): string => {
  const library = libraryAt(root)
  const names = namesIn(library)
  const entriesOf = entriesIn(library, names, typesIn(library, names))
  const blocks = [...library.modules].map(([subpath, file]) => [
    subpath,
    ...textOf(
      library.exportsOfFile(file).flatMap(([name, symbol]) => entriesOf(name, symbol, baseOf(file)))
    )
  ])
  // An entry may name further private types.
  const done = new Map<ts.Symbol, ReadonlyArray<Entry>>()
  for (let rest = [...names.privates]; rest.length > 0;) {
    for (const [symbol, name] of rest) done.set(symbol, entriesOf(name, symbol, ""))
    rest = [...names.privates].filter(([symbol]) => !done.has(symbol))
  }
  if (done.size > 0) blocks.push([privateTitle, ...textOf([...done.values()].flat())])
  return `${[header, ...blocks].map((lines) => lines.join("\n")).join("\n\n")}\n`
}

// -----------------------------------------------------------------------------
// comparing
// -----------------------------------------------------------------------------

/** Every line with the module and the entry it belongs to. */
const placed = (text: string): ReadonlySet<string> => {
  const found = new Set<string>()
  let module = ""
  let entry = ""
  for (const line of text.split("\n")) {
    if (line.startsWith("    ")) found.add(`${module}  ${entry}: ${line.trim()}`)
    else if (line.startsWith("  ")) {
      entry = /^(\w+) ([\w$.]+)/.exec(line.trim())?.[0] ?? ""
      found.add(`${module}  ${line.trim()}`)
    } else if (line !== "") found.add(module = line)
  }
  return found
}

/** What went from one text to the other, and what came: a line each, `- ` or `+ ` before it. */
export const differences = (before: string, after: string): ReadonlyArray<string> => {
  if (before === after) return []
  const [old, young] = [placed(before), placed(after)]
  const found = [
    ...[...old].filter((line) => !young.has(line)).map((line) => ({ mark: "-", line })),
    ...[...young].filter((line) => !old.has(line)).map((line) => ({ mark: "+", line }))
  ]
  if (found.length === 0) return ["the lines stand in another order"]
  return found.sort((a, b) => compare(a.line, b.line)).map(({ mark, line }) => `${mark} ${line}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const root = path.resolve(args.find((arg) => !arg.startsWith("--")) ?? repository)
  const file = path.join(root, surfaceFile)
  const surface = surfaceOf(root)
  if (args.includes("--write")) {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, surface)
  }
  const found = differences(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "", surface)
  for (const line of found) console.error(line)
  if (found.length > 0) {
    console.error(`surface: ${surfaceFile} is out of date: ${howToRegenerate}`)
    process.exitCode = 1
  } else console.log(`surface: ${surfaceFile} shows the public API`)
}
