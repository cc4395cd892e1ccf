/**
 * The subpath exports of package.json, made from the tree.
 *
 * Public is every file of `src` whose name starts with a capital letter, outside `core/`. Files of
 * the adapters' rooms keep the room in their subpath (`effect-resilience/http/ApiClient`); all
 * other public modules are named by their file alone (`effect-resilience/CircuitBreaker`).
 *
 * Usage: `tsx scripts/exports.ts [--write] [--dist] [root]`. Without `--write` it says where
 * package.json and the tree differ, and exits with 1. With `--dist` it also checks that every file
 * the exports name has been built.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** What one subpath names, in the order in which conditions are tried. */
export interface Target {
  readonly types: string
  /** The index as node loads it, from fewer files. */
  readonly node?: string
  readonly default: string
}

/** Rooms that stay in the subpath of what stands in them. */
const named = new Set(["api", "fleet", "http", "store", "testing"])

const subpathOf = (file: string): string => {
  const [room = "", ...rest] = file.slice(0, -".ts".length).split("/")
  return `./${rest.length === 0 || named.has(room) ? [room, ...rest].join("/") : rest.join("/")}`
}

const isPublic = (file: string): boolean =>
  /(^|\/)[A-Z][A-Za-z0-9]*\.ts$/.test(file) && !file.startsWith("core/")

/** Every subpath and the file of `src` it names, sorted; `.` comes first. */
export const publicModules = (src: string): ReadonlyMap<string, string> =>
  new Map([
    [".", "index.ts"] as const,
    ...fs.readdirSync(src, { recursive: true, encoding: "utf8" })
      .map((name) => name.split(path.sep).join("/"))
      .filter(isPublic)
      .map((file) => [subpathOf(file), file] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
  ])

/** What `exports` of package.json should be. */
export const exportsOf = (src: string): Record<string, Target> =>
  Object.fromEntries(
    [...publicModules(src)].map(([subpath, file]) => {
      const built = `./dist/${file.slice(0, -".ts".length)}`
      const node = subpath === "." ? { node: `${built}.node.js` } : {}
      return [subpath, { types: `${built}.d.ts`, ...node, default: `${built}.js` }]
    })
  )

/** One sentence for each difference between package.json and the tree. */
export const lintExports = (
  root: string,
  options: { readonly dist?: boolean } = {}
): Array<string> => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly exports?: Readonly<Record<string, unknown>>
  }
  const exported = manifest.exports ?? {}
  const wanted = exportsOf(path.join(root, "src"))
  const problems: Array<string> = []
  for (const [subpath, file] of publicModules(path.join(root, "src"))) {
    const found = exported[subpath]
    const target = wanted[subpath]!
    if (found === undefined) {
      problems.push(`src/${file} is public, but package.json exports no "${subpath}"`)
    } else if (JSON.stringify(found) !== JSON.stringify(target)) {
      problems.push(`exports["${subpath}"] should be ${JSON.stringify(target)}`)
    }
    for (const file of options.dist === true ? Object.values(target) : []) {
      if (!fs.existsSync(path.join(root, file))) {
        problems.push(`exports["${subpath}"] names ${file}, which was not built`)
      }
    }
  }
  for (const subpath of Object.keys(exported)) {
    if (wanted[subpath] === undefined) {
      problems.push(`package.json exports "${subpath}", but there is no such public module in src`)
    }
  }
  return problems
}

const write = (root: string): void => {
  const file = path.join(root, "package.json")
  const manifest = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, unknown>
  manifest["exports"] = exportsOf(path.join(root, "src"))
  fs.writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const root = path.resolve(
    args.find((arg) => !arg.startsWith("--")) ?? fileURLToPath(new URL("..", import.meta.url))
  )
  if (args.includes("--write")) write(root)
  const problems = lintExports(root, { dist: args.includes("--dist") })
  for (const problem of problems) console.error(`exports: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  else console.log("exports: package.json names every public module")
}
