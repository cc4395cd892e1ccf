import { describe, expect, it } from "vitest"
import { repository } from "../../scripts/doc-examples.js"
import { anchorsOf, brokenLinks, pagesOf } from "../../scripts/doc-links.js"
import { folderOf } from "./temporary.js"

describe("links of the documentation", () => {
  it.each(pagesOf(repository))("%s", (page) => {
    expect(brokenLinks(repository, page)).toEqual([])
  })
})

describe("doc-links", () => {
  it("reads README, CONTRIBUTING and docs with its subfolders", () => {
    const root = folderOf({
      "README.md": "",
      "CHANGELOG.md": "",
      "docs/b.md": "",
      "docs/api/a.md": "",
      "docs/surface.txt": ""
    })
    expect(pagesOf(root)).toEqual(["README.md", "docs/api/a.md", "docs/b.md"])
    expect(pagesOf(folderOf({}))).toEqual([])
  })

  it("makes the anchors that GitHub makes", () => {
    const anchors = anchorsOf([
      "# Retry",
      "## `make` or `layer`",
      "## Retry",
      "### What's new, in 2.0?",
      "## See [the page](a.md)",
      "## Closed ##",
      "```sh",
      "# no heading",
      "```",
      "#no heading either"
    ].join("\n"))
    expect([...anchors]).toEqual([
      "retry",
      "make-or-layer",
      "retry-1",
      "whats-new-in-20",
      "see-the-page",
      "closed"
    ])
  })

  it("reports files and headings that are not there", () => {
    const root = folderOf({
      "README.md":
        "# Title\n\n[a](docs/a.md) [b](docs/b.md)\n[c](docs/a.md#one) [d](#title) [e](#t)\n",
      "docs/a.md":
        "# One\n\n[up](../README.md#title), [code](../src/x.ts#L3), [far](http://x.y/z#a)\n"
    })
    expect(brokenLinks(root, "README.md")).toEqual([
      "README.md:3: docs/b.md: no such file",
      "README.md:4: #t: no such heading"
    ])
    expect(brokenLinks(root, "docs/a.md")).toEqual(["docs/a.md:3: ../src/x.ts#L3: no such file"])
  })

  it("skips code", () => {
    const root = folderOf({
      "README.md": "`a[0](b)` and ``c`](d)``\n\n```ts\nf[0](x)\n```\n\n[e](f.md)\n"
    })
    expect(brokenLinks(root, "README.md")).toEqual(["README.md:7: f.md: no such file"])
  })
})
