import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import {
  groups,
  groupsOf,
  guideSidebar,
  type Page,
  pagesIn,
  referenceGroups,
  rootPages,
  titleOf,
  unlisted
} from "../../docs/.vitepress/sidebar.js"
import { slug } from "../../docs/.vitepress/slug.js"
import { publicModules } from "../../scripts/exports.js"
import { deadLinks } from "../../scripts/site/links.js"
import { placesOf, rewrite, writePages } from "../../scripts/site/pages.js"
import { overviewOf, pageOf, summaryOf } from "../../scripts/site/reference.js"
import { folderOf } from "./temporary.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

const page = (name: string, title = name): Page => ({ name, title })

describe("the sidebar", () => {
  it("has every page of docs/ and of the root", () => {
    const docs = pagesIn(path.join(root, "docs"))
    expect(docs.length).toBeGreaterThan(20)
    const all = [...docs, ...Object.keys(rootPages).map((name) => page(name))]
    expect(unlisted(all)).toEqual([])
  })

  it("names no page twice", () => {
    const names = groups.flatMap(({ pages }) => pages)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  it("shows pages that exist, in the order of the list, and no empty group", () => {
    const found = groupsOf([page("chaos"), page("timeout"), page("index"), page("stray")])
    expect(found.map(({ text, pages }) => [text, ...pages.map(({ name }) => name)])).toEqual([
      ["Start", "index"],
      ["Guards", "timeout", "chaos"]
    ])
    expect(unlisted([page("chaos"), page("stray")])).toEqual(["stray"])
  })

  it("a folder stands for its pages, the index first, then by title", () => {
    const pages = [page("api/zeta", "A"), page("api/beta", "B"), page("api/index", "Z")]
    expect(groupsOf(pages)).toEqual([{
      text: "Partner APIs",
      pages: [page("api/index", "Z"), page("api/zeta", "A"), page("api/beta", "B")]
    }])
  })

  it("takes titles from the pages, and links from their names", () => {
    const folder = folderOf({
      "index.md": "# Home",
      "retry.md": "# `Retry` again\n",
      "api/index.md": "# APIs",
      "reference/Retry.md": "# Retry"
    })
    expect(guideSidebar(folder).map(({ items }) => items)).toEqual([
      [{ text: "Overview", link: "/" }],
      [{ text: "Retry again", link: "/retry" }],
      [{ text: "APIs", link: "/api/" }]
    ])
    expect(titleOf("name", "no heading")).toBe("name")
  })

  it("has every public module in the reference", () => {
    const src = path.join(root, "src")
    const listed = referenceGroups(src).flatMap(({ modules }) => modules)
    const subpaths = [...publicModules(src).keys()].filter((subpath) => subpath !== ".")
    expect([...listed].sort()).toEqual(subpaths.map((subpath) => subpath.slice(2)).sort())
  })
})

it("an anchor is the one of the repository's hosting", () => {
  expect(["What `make` does", "Retry-After, and why", "A/B: 1 + 2", "snake_case"].map(slug))
    .toEqual([
      "what-make-does",
      "retry-after-and-why",
      "ab-1--2",
      "snake_case"
    ])
})

describe("the pages", () => {
  const files = {
    "package.json": "{}",
    "README.md": "# Read me\n\nSee [retry](docs/retry.md#delays) and [license](LICENSE).\n",
    "CHANGELOG.md": "# Changelog",
    LICENSE: "",
    "docs/.vitepress/public/favicon.svg": "<svg/>",
    "docs/retry.md": "[top](../README.md), ![plot](plot.svg), [api](api/)",
    "docs/plot.svg": "<svg/>",
    "docs/api-surface.txt": "",
    "docs/api/index.md": "[up](../retry.md)"
  }

  it("are those of docs/ with their pictures, the README as home, and files of the root", () => {
    expect([...placesOf(folderOf(files)).values()].sort()).toEqual([
      "api/index.md",
      "changelog.md",
      "index.md",
      "plot.svg",
      "retry.md"
    ])
    const home = placesOf(folderOf({ ...files, "docs/index.md": "# Home" }))
    expect(home.get("docs/index.md")).toBe("index.md")
    expect(home.has("README.md")).toBe(false)
  })

  it("are written with links that work on the site", () => {
    const folder = folderOf(files)
    writePages(folder, path.join(folder, "out"))
    const read = (name: string) => fs.readFileSync(path.join(folder, "out", name), "utf8")
    expect(read("index.md")).toBe(
      "---\neditLink: false\n---\n\n# Read me\n\nSee [retry](./retry.md#delays) and license.\n"
    )
    expect(read("retry.md")).toBe("[top](./index.md), ![plot](./plot.svg), [api](./api/index.md)")
    expect(read("api/index.md")).toBe("[up](../retry.md)")
    expect(read("public/favicon.svg")).toBe("<svg/>")
  })

  const places = new Map([["docs/a.md", "a.md"], ["docs/index.md", "index.md"]])
  const rewritten = (text: string, repository?: string) =>
    rewrite(text, "docs/a.md", places, repository)

  it("lead to the repository for other files, where it is known", () => {
    const text = "[code](../src/index.ts#L1), [home](../README.md)"
    expect(rewritten(text)).toBe("code, [home](./index.md)")
    expect(rewritten(text, "https://host.invalid/o/r")).toBe(
      "[code](https://host.invalid/o/r/blob/main/src/index.ts#L1), [home](./index.md)"
    )
  })

  it("keep links to elsewhere, anchors and code", () => {
    const text = [
      "[out](https://host.invalid/x), [here](#here)",
      "````md",
      "```ts",
      "[code](../src/index.ts)",
      "```",
      "````",
      "[a link over",
      "two lines](./a.md) and [defined]",
      "",
      "[defined]: a.md"
    ].join("\n")
    expect(rewritten(text)).toBe(text.replace("[defined]: a.md", "[defined]: ./a.md"))
  })
})

describe("the reference", () => {
  const source = [
    "/**",
    " * Waits",
    " * a little.",
    " *",
    " * Then `more`.",
    " *",
    " * @since 0.1.0",
    " */",
    "import x from \"y\""
  ].join("\n")

  it("begins with the comment of the module", () => {
    expect(overviewOf(source)).toBe("Waits\na little.\n\nThen `more`.")
    expect(summaryOf(overviewOf(source))).toBe("Waits a little.")
    expect(overviewOf("export {}")).toBe("")
  })

  it("says how to import the module, and leaves the plain anchor to its members", () => {
    const text = pageOf("http/Rpc", "Over.", false, "# http/Rpc\n\n## models\n\n### Rpc {#rpc}\n")
    expect(text).toContain("# http/Rpc {#module}\n\nOver.\n")
    expect(text).toContain("import * as Rpc from \"effect-resilience/http/Rpc\"")
    expect(text).not.toContain("from \"effect-resilience\"")
    expect(text).toContain("## Models {#category-models}\n\n### Rpc {#rpc}\n")
    expect(pageOf("Retry", "", true, "")).toContain("import { Retry } from \"effect-resilience\"")
  })
})

describe("dead links", () => {
  const site = (links: string) => ({
    "index.html": `<h1 id="top">x</h1>${links}`,
    "guide/index.html": `<a href="../index.html#top">up</a><h2 id="a&amp;b">y</h2>`,
    "404.html": `<a href="/base/">home</a>`,
    "style.css": ""
  })
  const dead = (links: string) => deadLinks(folderOf(site(links)), "/base/")

  it("finds none where all lead somewhere", () => {
    expect(dead([
      "<link href=\"/base/style.css\">",
      "<a href=\"/base/guide/\">",
      "<a href=\"guide/index.html#a&amp;b\">",
      "<a href=\"#top\">",
      "<a href=\"https://host.invalid/x\">",
      "<a href=\"mailto:x@host.invalid\">"
    ].join(""))).toEqual([])
  })

  it("names the page and the link", () => {
    expect(dead([
      "<img src=\"/base/plot.svg\">",
      "<a href=\"guide.html\">",
      "<a href=\"/guide/\">",
      "<a href=\"#bottom\">",
      "<a href=\"guide/#c\">"
    ].join(""))).toEqual([
      "index.html: /base/plot.svg is not there",
      "index.html: guide.html is not there",
      "index.html: /guide/ is outside of the site",
      "index.html: #bottom has no such heading",
      "index.html: guide/#c has no such heading"
    ])
  })
})
