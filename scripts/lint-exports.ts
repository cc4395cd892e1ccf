/**
 * Checks that the subpath exports of package.json and the public modules in src agree.
 *
 * Public is every file of src whose name starts with a capital letter, outside core/. With `--dist` it also checks that every
 * file the exports name has been built.
 *
 * Usage: `tsx scripts/lint-exports.ts [--dist] [root]`.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

type Target = { readonly types?: string; readonly import?: string }

/** Subpaths the sources ask for: `.` and one per public module. */
export const publicSubpaths = (src: string): Array<string> => [
  ".",
  ...fs.readdirSync(src, { recursive: true, encoding: "utf8" })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => /(^|\/)[A-Z][A-Za-z0-9]*\.ts$/.test(name) && !name.startsWith("core/"))
    .map((name) => `./${name.slice(0, -".ts".length)}`)
    .sort()
]

/** One sentence per disagreement. */
export const lintExports = (root: string, options: { readonly dist?: boolean } = {}): Array<string> => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
    readonly exports?: Readonly<Record<string, Target>>
  }
  const exported = manifest.exports ?? {}
  const wanted = publicSubpaths(path.join(root, "src"))
  const problems: Array<string> = []
  for (const subpath of wanted) {
    const source = subpath === "." ? "src/index.ts" : `src/${subpath.slice(2)}.ts`
    if (exported[subpath] === undefined) problems.push(`${source} is public, but package.json exports no "${subpath}"`)
  }
  for (const [subpath, target] of Object.entries(exported)) {
    const name = subpath === "." ? "index" : subpath.slice(2)
    if (!wanted.includes(subpath) || !fs.existsSync(path.join(root, "src", `${name}.ts`))) {
      problems.push(`package.json exports "${subpath}", but there is no public src/${name}.ts`)
    }
    if (Object.keys(target)[0] !== "types") problems.push(`exports["${subpath}"]: "types" must come first`)
    for (const [condition, file] of [["types", `./dist/${name}.d.ts`], ["import", `./dist/${name}.js`]] as const) {
      if (target[condition] !== file) problems.push(`exports["${subpath}"].${condition} must be "${file}"`)
      else if (options.dist === true && !fs.existsSync(path.join(root, file))) {
        problems.push(`exports["${subpath}"].${condition} names ${file}, which was not built`)
      }
    }
  }
  return problems
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2)
  const root = args.find((arg) => !arg.startsWith("--")) ?? fileURLToPath(new URL("..", import.meta.url))
  const problems = lintExports(path.resolve(root), { dist: args.includes("--dist") })
  for (const problem of problems) console.error(`lint-exports: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  else console.log("lint-exports: no findings")
}
