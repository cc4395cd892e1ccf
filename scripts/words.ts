/**
 * Plain English and short lines.
 *
 * - README.md, everything in docs/ and everything in src/ name the actor: the caller, the upstream,
 *   the store, the operator. The words below name none and are not allowed, in any case.
 * - No line of src/ is longer than 100 columns, comments included; the formatter leaves comments
 *   and texts alone.
 *
 * Usage: `tsx scripts/words.ts [root]`. Prints one line for each problem, `file:line what`, and
 * exits with 1 when there is one.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const banned = /\b(?:nobody|somebody|whoever|anybody)\b/gi

const columns = 100

/** The text files below a folder, or the file itself. */
const filesOf = (root: string, name: string): ReadonlyArray<string> => {
  const start = path.join(root, name)
  if (!fs.existsSync(start)) return []
  if (fs.statSync(start).isFile()) return [name]
  return fs.readdirSync(start, { recursive: true, encoding: "utf8" })
    .map((file) => `${name}/${file.split(path.sep).join("/")}`)
    .filter((file) => /\.(?:ts|md|txt|json)$/.test(file))
    .sort()
}

/** One sentence for each line that breaks a rule. */
export const problems = (root: string): ReadonlyArray<string> =>
  ["README.md", "docs", "src"].flatMap((name) => filesOf(root, name)).flatMap((file) =>
    fs.readFileSync(path.join(root, file), "utf8").split(/\r?\n/).flatMap((line, index) => {
      const found = [...line.matchAll(banned)].map(([word]) => `says "${word}": name the actor`)
      const length = [...line].length
      if (file.startsWith("src/") && length > columns) {
        found.push(`has ${length} columns, more than ${columns}`)
      }
      return found.map((problem) => `${file}:${index + 1} ${problem}`)
    })
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = path.resolve(process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url)))
  const found = problems(root)
  for (const line of found) console.error(`words: ${line}`)
  if (found.length > 0) process.exitCode = 1
  else console.log(`words: the actors are named, and no line of src is over ${columns} columns`)
}
