/**
 * Checks the relative links and anchors of README.md, CONTRIBUTING.md,
 * examples/README.md and docs/.
 *
 * - A link without a scheme must lead to a file or a folder of the repository.
 * - An anchor into a Markdown file must be the slug that GitHub makes of one of its headings.
 *
 * Code is skipped, fenced and inline.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { slug } from "../docs/.vitepress/slug.js"

/** The lines outside of fences; those inside are empty, so that line numbers stay. */
const proseOf = (text: string): ReadonlyArray<string> => {
  let open: string | undefined
  return text.split("\n").map((line) => {
    const mark = /^\s*(`{3,}|~{3,})\s*(.*)$/.exec(line)
    const [, marks = "", info = ""] = mark ?? []
    if (open === undefined) {
      if (mark === null) return line
      open = marks
    } else if (marks.startsWith(open) && info === "") open = undefined
    return ""
  })
}

/** The anchors of a Markdown text. Equal headings get `-1`, `-2` and so on. */
export const anchorsOf = (text: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const line of proseOf(text)) {
    const heading = /^#{1,6}\s+(.*?)(?:\s+#+)?\s*$/.exec(line)?.[1]
    if (heading === undefined) continue
    // A heading that is a link is named by its text.
    const name = slug(heading.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1"))
    let anchor = name
    for (let n = 1; anchors.has(anchor); n++) anchor = `${name}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

interface Link {
  readonly line: number
  readonly target: string
}

const linksOf = (text: string): ReadonlyArray<Link> =>
  proseOf(text).flatMap((line, index) =>
    Array.from(
      line.replaceAll(/(`+)(?!`).*?[^`]\1(?!`)/g, "").matchAll(/\]\(\s*<?([^)\s>]*)/g),
      ([, target = ""]) => ({ line: index + 1, target })
    )
  )

/** The pages that are checked, relative to the root, with forward slashes. */
export const pagesOf = (root: string): ReadonlyArray<string> => {
  const docs = path.join(root, "docs")
  const names = fs.existsSync(docs)
    ? fs.readdirSync(docs, { recursive: true, encoding: "utf8" })
    : []
  return [
    ...["README.md", "CONTRIBUTING.md", "examples/README.md"].filter((name) =>
      fs.existsSync(path.join(root, name))
    ),
    ...names
      .filter((name) => name.endsWith(".md"))
      .map((name) => `docs/${name.replaceAll("\\", "/")}`)
      .sort()
  ]
}

/** A line `file:line: target: reason` for each link of one page that leads nowhere. */
export const brokenLinks = (root: string, page: string): ReadonlyArray<string> => {
  const text = fs.readFileSync(path.join(root, page), "utf8")
  return linksOf(text).flatMap(({ line, target }) => {
    if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return []
    const broken = (reason: string) => [`${page}:${line}: ${target}: ${reason}`]
    const [to = "", anchor] = target.split("#")
    const file = to === "" ? page : path.join(path.dirname(page), decodeURIComponent(to))
    const absolute = path.join(root, file)
    if (!fs.existsSync(absolute)) return broken("no such file")
    if (anchor === undefined || !file.endsWith(".md")) return []
    return anchorsOf(fs.readFileSync(absolute, "utf8")).has(anchor)
      ? []
      : broken("no such heading")
  })
}
