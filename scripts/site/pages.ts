/**
 * Collects the pages of the site: those of `docs/`, and the README, changelog and the like.
 *
 * Links are written for readers of the repository. A link to another page is made to lead there on
 * the site; one to any other file leads to the repository, or is only its text where package.json
 * names none.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { rootPages } from "../../docs/.vitepress/sidebar.js"
import { fileUrl, repositoryUrl } from "./repository.js"

/** Files of the repository and where they stand below the folder of pages. */
export type Places = ReadonlyMap<string, string>

const pictures = new Set([".svg", ".png", ".webp", ".gif", ".jpg"])

/** Every page and picture of the site. The README is the home page where `docs/` has none. */
export const placesOf = (root: string): Places => {
  const places = new Map<string, string>()
  const docs = fs.readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => !file.startsWith("."))
    .sort()
  for (const file of docs) {
    if (file.endsWith(".md") || pictures.has(path.extname(file))) places.set(`docs/${file}`, file)
  }
  if (!places.has("docs/index.md")) places.set("README.md", "index.md")
  for (const [name, file] of Object.entries(rootPages)) {
    if (fs.existsSync(path.join(root, file))) places.set(file, `${name}.md`)
  }
  return places
}

const relative = (from: string, to: string): string => {
  const found = path.posix.relative(path.posix.dirname(from), to)
  return found.startsWith(".") ? found : `./${found}`
}

/** Where a link of `file` leads on the site; undefined where it leads nowhere. */
const targetOf = (
  link: string,
  file: string,
  places: Places,
  repository: string | undefined
): string | undefined => {
  if (/^([a-z][a-z0-9+.-]*:|#|\/\/)/i.test(link)) return link
  const [target = "", hash] = link.split("#")
  const found = path.posix.join(path.posix.dirname(file), decodeURIComponent(target))
  const anchor = hash === undefined ? "" : `#${hash}`
  // A folder of pages is its index; the README is the home page, also where `docs/` has one.
  const named = [
    found,
    path.posix.join(found, "index.md"),
    ...(found === "README.md"
      ? ["docs/index.md"]
      : [])
  ]
  const place = named.map((name) => places.get(name)).find((name) => name !== undefined)
  if (place !== undefined) return `${relative(places.get(file)!, place)}${anchor}`
  return repository === undefined ? undefined : `${fileUrl(repository, found)}${anchor}`
}

const inlineLink = /(!?)\[((?:[^[\]]|\[[^[\]]*\])*)\]\(([^()\s]+)((?:\s+"[^"]*")?)\)/g
const linkDefinition = /^( {0,3}\[[^\]]+\]:\s+)(\S+)/gm
const fence = /^([ \t]*)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^[ \t]*\2[`~]*[ \t]*$/gm

/** The text of a page as it stands on the site. Code is left alone. */
export const rewrite = (
  text: string,
  file: string,
  places: Places,
  repository: string | undefined
): string => {
  const prose = (part: string): string =>
    part
      .replace(inlineLink, (whole, image: string, label: string, link: string, title: string) => {
        const target = targetOf(link, file, places, repository)
        if (target === undefined) return label
        return target === link ? whole : `${image}[${label}](${target}${title})`
      })
      .replace(linkDefinition, (whole, start: string, link: string) => {
        const target = targetOf(link, file, places, repository)
        return target === undefined ? whole : `${start}${target}`
      })
  let result = ""
  let end = 0
  for (const code of text.matchAll(fence)) {
    result += prose(text.slice(end, code.index)) + code[0]
    end = code.index + code[0].length
  }
  return result + prose(text.slice(end))
}

/** Pages whose file is not in `docs/` cannot be edited by the address of the others. */
const withoutEdit = (text: string): string => `---\neditLink: false\n---\n\n${text}`

/** Writes the pages into a folder, which is emptied. */
export const writePages = (root: string, folder: string): void => {
  const places = placesOf(root)
  const repository = repositoryUrl(root)
  fs.rmSync(folder, { recursive: true, force: true })
  fs.cpSync(path.join(root, "docs/.vitepress/public"), path.join(folder, "public"), {
    recursive: true
  })
  for (const [file, place] of places) {
    const target = path.join(folder, place)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    if (!file.endsWith(".md")) fs.copyFileSync(path.join(root, file), target)
    else {
      const text = rewrite(
        fs.readFileSync(path.join(root, file), "utf8"),
        file,
        places,
        repository
      )
      fs.writeFileSync(target, file.startsWith("docs/") ? text : withoutEdit(text))
    }
  }
}
