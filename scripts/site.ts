/**
 * Builds the site: the pages of `docs/`, the API reference, a search over both. Then looks for dead
 * links, and exits with 1 where there are any.
 *
 * Usage: `npm run site [-- --base /path/] [--folder .site]`. The site stands in `.site/dist`;
 * `npm run site:preview` serves it.
 */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { build } from "vitepress"
import { deadLinks } from "./site/links.js"
import { writePages } from "./site/pages.js"
import { writeReference } from "./site/reference.js"

const root = fileURLToPath(new URL("..", import.meta.url))

const { values } = parseArgs({
  options: {
    base: { type: "string", default: process.env["SITE_BASE"] ?? "/" },
    folder: { type: "string", default: process.env["SITE_FOLDER"] ?? ".site" }
  }
})
const base = `/${values.base}/`.replaceAll(/\/{2,}/g, "/")
const folder = path.resolve(root, values.folder)

process.env["SITE_BASE"] = base
process.env["SITE_FOLDER"] = folder

const pages = path.join(folder, "pages")
writePages(root, pages)
await writeReference(root, path.join(pages, "reference"))
await build(path.join(root, "docs"))

const dead = deadLinks(path.join(folder, "dist"), base)
for (const line of dead) console.error(`site: ${line}`)
if (dead.length > 0) process.exitCode = 1
else console.log(`site: built in ${path.relative(root, path.join(folder, "dist"))}, no dead link`)
