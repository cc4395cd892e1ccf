/**
 * The sidebar: a list of pages by purpose, of which those are shown that exist.
 *
 * A page is named by its path below `docs/` without `.md`. `folder/*` stands for every other page
 * of that folder, by title. Pages of the project are files of the root, named as on the site.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { publicModules } from "../../scripts/exports.js"
import { floors } from "../../scripts/rooms.js"

export interface Group {
  readonly text: string
  readonly pages: ReadonlyArray<string>
}

/** Files of the root that are pages of the site, by the name they have there. */
export const rootPages: Readonly<Record<string, string>> = {
  contributing: "CONTRIBUTING.md",
  changelog: "CHANGELOG.md",
  security: "SECURITY.md",
  "code-of-conduct": "CODE_OF_CONDUCT.md"
}

export const groups: ReadonlyArray<Group> = [
  {
    text: "Start",
    pages: ["index", "getting-started", "recipes", "composing", "pipeline", "migrating", "faq"]
  },
  {
    text: "Calls",
    pages: [
      "http",
      "endpoint",
      "errors",
      "retry",
      "fallback",
      "streaming",
      "polling",
      "bulk",
      "adapters"
    ]
  },
  {
    text: "Guards",
    pages: [
      "timeout",
      "circuit-breaker",
      "bulkhead",
      "adaptive-concurrency",
      "rate-limiter",
      "adaptive-throttle",
      "cooldown",
      "hedge",
      "chaos",
      "fleet"
    ]
  },
  {
    text: "Once",
    pages: ["idempotency-keys", "idempotency", "idempotency-server"]
  },
  {
    text: "Seeing",
    pages: ["operations", "telemetry", "incidents", "user-messages", "testing"]
  },
  {
    text: "Simulating",
    pages: ["simulation", "scenarios", "command-line"]
  },
  {
    text: "Partner APIs",
    pages: [
      "apis",
      "facesign",
      "field-activities",
      "messaging",
      "site-chat",
      "widget-session",
      "api/*"
    ]
  },
  {
    text: "Project",
    pages: ["upgrading", "architecture", "changelog", "contributing", "security", "code-of-conduct"]
  }
]

/** One page: its path on the site without extension, and its first heading. */
export interface Page {
  readonly name: string
  readonly title: string
}

/** The first heading of a page, as plain text, or the name where there is none. */
export const titleOf = (name: string, markdown: string): string =>
  /^# (.+)$/m.exec(markdown)?.[1]?.replaceAll("`", "").trim() ?? name

/** Every page below a folder, by its path without `.md`, sorted; `reference` is left out. */
export const pagesIn = (folder: string): ReadonlyArray<Page> =>
  fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => file.endsWith(".md") && !/^(\.|reference\/)/.test(file))
    .sort()
    .map((file) => {
      const name = file.slice(0, -".md".length)
      return { name, title: titleOf(name, fs.readFileSync(path.join(folder, file), "utf8")) }
    })

const byTitle = (a: Page, b: Page): number => {
  const isIndex = (page: Page) => page.name.endsWith("index")
  if (isIndex(a) !== isIndex(b)) return isIndex(a) ? -1 : 1
  return a.title.localeCompare(b.title, "en")
}

/** The pages of each group that exist, in the order of the list; groups without any are left out. */
export const groupsOf = (
  pages: ReadonlyArray<Page>
): ReadonlyArray<{ readonly text: string; readonly pages: ReadonlyArray<Page> }> => {
  const named = new Set(groups.flatMap((group) => group.pages))
  return groups.map(({ text, pages: names }) => ({
    text,
    pages: names.flatMap((name) => {
      if (!name.endsWith("/*")) return pages.filter((page) => page.name === name)
      const folder = name.slice(0, -1)
      return pages.filter((page) => page.name.startsWith(folder) && !named.has(page.name))
        .sort(byTitle)
    })
  })).filter(({ pages }) => pages.length > 0)
}

/** The names of pages that stand in no group. */
export const unlisted = (pages: ReadonlyArray<Page>): ReadonlyArray<string> => {
  const listed = new Set(groupsOf(pages).flatMap((group) => group.pages.map(({ name }) => name)))
  return pages.map(({ name }) => name).filter((name) => !listed.has(name))
}

/** The address of a page below the base. */
const linkOf = (name: string): string => `/${name.replace(/(^|\/)index$/, "$1")}`

/** An entry of VitePress's sidebar. */
export interface Item {
  readonly text: string
  readonly link?: string
  readonly collapsed?: boolean
  readonly items?: ReadonlyArray<Item>
}

/** The sidebar of the pages in a folder. */
export const guideSidebar = (folder: string): ReadonlyArray<Item> =>
  groupsOf(pagesIn(folder)).map(({ text, pages }) => ({
    text,
    collapsed: false,
    items: pages.map((page) => ({
      text: page.name === "index" ? "Overview" : page.title,
      link: linkOf(page.name)
    }))
  }))

/** Titles of the rooms of `src` in the reference, where the folder's name does not do. */
const roomTitles: Readonly<Record<string, string>> = {
  api: "Partner APIs",
  http: "HTTP",
  idempotency: "Idempotency",
  jobs: "Jobs",
  store: "Stores"
}

/** The public modules of each room, the rooms of the index first, then those with a subpath. */
export const referenceGroups = (
  src: string
): ReadonlyArray<{ readonly text: string; readonly modules: ReadonlyArray<string> }> => {
  const modules = [...publicModules(src)].filter(([subpath]) => subpath !== ".")
  const last = ["http", "store", "testing", "api"]
  const rooms = [...floors.flat().filter((room) => !last.includes(room)), ...last]
  return rooms.map((room) => ({
    text: roomTitles[room] ?? `${room.charAt(0).toUpperCase()}${room.slice(1)}`,
    modules: modules.filter(([, file]) => file.startsWith(`${room}/`)).map(([subpath]) =>
      subpath.slice(2)
    )
  })).filter(({ modules }) => modules.length > 0)
}

/** The sidebar of the reference. */
export const referenceSidebar = (src: string): ReadonlyArray<Item> => [
  { text: "API reference", link: "/reference/" },
  ...referenceGroups(src).map(({ text, modules }) => ({
    text,
    collapsed: false,
    items: modules.map((name) => ({ text: name, link: `/reference/${name}` }))
  }))
]
