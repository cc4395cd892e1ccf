/**
 * The API reference: one page for each public module, made by TypeDoc from the doc comments, and an
 * index of the modules.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { Application, LogLevel } from "typedoc"
import { referenceGroups } from "../../docs/.vitepress/sidebar.js"
import { publicModules } from "../exports.js"

/** The comment at the top of a module, without its tags. */
export const overviewOf = (source: string): string =>
  (/^\/\*\*([\s\S]*?)\*\//.exec(source)?.[1] ?? "")
    .split("\n")
    .map((line) => line.replace(/^\s*\*? ?/, ""))
    .filter((line) => !/^@(since|module|packageDocumentation)\b/.test(line))
    .join("\n")
    .trim()

/** The first paragraph of an overview, on one line. */
export const summaryOf = (overview: string): string =>
  overview.split(/\n\s*\n/)[0]!.replaceAll(/\s*\n\s*/g, " ")

/** The modules that the main entry exports by name. */
const namesOfIndex = (src: string): ReadonlySet<string> =>
  new Set(
    [...fs.readFileSync(path.join(src, "index.ts"), "utf8").matchAll(/^export \* as (\w+) from/gm)]
      .map(([, name]) => name!)
  )

const frontmatter = ["---", "outline: [2, 3]", "pageClass: reference", "editLink: false", "---", ""]
  .join("\n")

const importsOf = (module: string, inIndex: boolean): string => {
  const name = module.split("/").at(-1)!
  return [
    "```ts",
    ...(inIndex ? [`import { ${name} } from "effect-resilience"`, "// or"] : []),
    `import * as ${name} from "effect-resilience/${module}"`,
    "```"
  ].join("\n")
}

/** TypeDoc's page with the overview of the module, and headings of categories in capitals. */
export const pageOf = (
  module: string,
  overview: string,
  inIndex: boolean,
  generated: string
): string => {
  const body = generated.replace(/^# .*\n/, "")
    .replace(
      /^## ([a-z])(.*)$/gm,
      (_, first: string, rest: string) =>
        `## ${first.toUpperCase()}${rest} {#category-${first}${rest.replaceAll(" ", "-")}}`
    )
  // A module or category often has the name of a member, whose heading gets the plain anchor.
  return `${frontmatter}\n# ${module} {#module}\n\n${overview}\n\n${
    importsOf(module, inIndex)
  }\n\n${body.trim()}\n`
}

const indexOf = (src: string, overviews: ReadonlyMap<string, string>): string => {
  const groups = referenceGroups(src).map(({ text, modules }) =>
    [
      `## ${text}`,
      "",
      "| module | what it is for |",
      "| --- | --- |",
      ...modules.map((module) =>
        `| [${module}](./${module}.md) | ${
          summaryOf(overviews.get(module) ?? "").replaceAll("|", "\\|")
        } |`
      )
    ].join("\n")
  )
  return `${frontmatter}\n# API reference\n\nThe public modules, made from their doc comments. Each has a subpath, \`effect-resilience/<module>\`.\n\n${
    groups.join("\n\n")
  }\n`
}

/** Writes the reference into a folder; fails where TypeDoc has an error. */
export const writeReference = async (root: string, folder: string): Promise<void> => {
  const src = path.join(root, "src")
  const modules = [...publicModules(src)].filter(([subpath]) => subpath !== ".")
    .map(([subpath, file]) => ({ name: subpath.slice(2), file }))
  fs.rmSync(folder, { recursive: true, force: true })

  const app = await Application.bootstrapWithPlugins({
    entryPoints: modules.map(({ file }) => path.join(src, file)),
    plugin: ["typedoc-plugin-markdown"],
    tsconfig: path.join(root, "tsconfig.build.json"),
    // The sources are checked by `npm run check`.
    skipErrorChecking: true,
    logLevel: LogLevel.Warn,
    readme: "none",
    excludeInternal: true,
    excludePrivate: true,
    excludeExternals: true,
    disableSources: true,
    excludeTags: ["@since"],
    categorizeByGroup: false,
    defaultCategory: "other",
    categoryOrder: [
      "constructors",
      "combinators",
      "tags",
      "layers",
      "models",
      "defaults",
      "errors",
      "*"
    ],
    outputs: [{ name: "markdown", path: folder }],
    ...{
      router: "module",
      entryFileName: "index",
      hideBreadcrumbs: true,
      hidePageHeader: true,
      useCustomAnchors: true,
      customAnchorsFormat: "curlyBrace",
      parametersFormat: "table",
      interfacePropertiesFormat: "table",
      classPropertiesFormat: "table",
      typeAliasPropertiesFormat: "table",
      typeDeclarationFormat: "table",
      propertyMembersFormat: "table",
      tableColumnSettings: { hideInherited: true, hideOverrides: true, hideSources: true }
    } as object
  })
  const project = await app.convert()
  if (project === undefined) throw new Error("TypeDoc could not read the sources")
  for (const reflection of project.children ?? []) {
    const module = modules.find(({ file }) => file === `${reflection.name}.ts`)
    if (module === undefined) throw new Error(`TypeDoc found a module ${reflection.name}`)
    reflection.name = module.name
  }
  await app.generateOutputs(project)
  if (app.logger.hasErrors()) throw new Error("TypeDoc had errors")

  const inIndex = namesOfIndex(src)
  const overviews = new Map(modules.map(({ name, file }) => [
    name,
    overviewOf(fs.readFileSync(path.join(src, file), "utf8"))
  ]))
  for (const { name } of modules) {
    const file = path.join(folder, `${name}.md`)
    const isNamed = !name.includes("/") || name.startsWith("http/")
    fs.writeFileSync(
      file,
      pageOf(
        name,
        overviews.get(name)!,
        isNamed && inIndex.has(name.split("/").at(-1)!),
        fs.readFileSync(file, "utf8")
      )
    )
  }
  fs.writeFileSync(path.join(folder, "index.md"), indexOf(src, overviews))
}
