/**
 * Looks for dead links in a built site: every page, picture and anchor that a page leads to has to
 * be there. Links to other hosts are left alone.
 */
import * as fs from "node:fs"
import * as path from "node:path"

const filesIn = (folder: string): ReadonlyArray<string> =>
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => file.split(path.sep).join("/"))

const entities: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&quot;": "\"",
  "&#39;": "'",
  "&lt;": "<",
  "&gt;": ">"
}

const attributes = (html: string, names: string): ReadonlyArray<string> =>
  [...html.matchAll(new RegExp(`\\s(?:${names})="([^"]*)"`, "g"))].map(([, value]) =>
    value!.replaceAll(/&(amp|quot|#39|lt|gt);/g, (entity) => entities[entity]!)
  )

/** One sentence for each link that leads nowhere, by page. `base` is where the site is served. */
export const deadLinks = (folder: string, base: string): ReadonlyArray<string> => {
  const files = new Set(filesIn(folder))
  const pages = [...files].filter((file) => file.endsWith(".html")).sort()
  const html = new Map(pages.map((page) => [
    page,
    fs.readFileSync(path.join(folder, page), "utf8")
  ]))
  const anchors = new Map([...html].map(([page, text]) => [
    page,
    new Set(attributes(text, "id|name"))
  ]))
  return pages.flatMap((page) => {
    // The page for what is not found is served anywhere.
    const here = new URL(`${base}${page}`, "http://site.invalid")
    const links = new Set(attributes(html.get(page)!, "href|src"))
    return [...links].flatMap((link) => {
      const url = new URL(link, here)
      if (url.origin !== here.origin) return []
      if (!url.pathname.startsWith(base)) return [`${page}: ${link} is outside of the site`]
      const target = decodeURIComponent(url.pathname.slice(base.length)).replace(
        /(^|\/)$/,
        "$1index.html"
      )
      if (!files.has(target)) return [`${page}: ${link} is not there`]
      const anchor = decodeURIComponent(url.hash.slice(1))
      const known = anchors.get(target)
      return anchor === "" || known === undefined || known.has(anchor)
        ? []
        : [`${page}: ${link} has no such heading`]
    })
  })
}
