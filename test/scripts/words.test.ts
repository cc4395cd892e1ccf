import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { problems } from "../../scripts/words.js"
import { folderOf } from "./temporary.js"

describe("words and lines", () => {
  it("are plain and short in src", () => {
    const root = fileURLToPath(new URL("../..", import.meta.url))
    expect(problems(root).filter((line) => line.startsWith("src/"))).toEqual([])
  })

  it("a word that names no actor is found in README.md, docs and src, in any case", () => {
    expect(problems(folderOf({
      "README.md": "Nobody asked.\n",
      "docs/deep/page.md": "one\nfor whoever looks, and ANYBODY else\n",
      "src/retry/retry.ts": "// tells somebody's caller\n"
    }))).toEqual([
      "README.md:1 says \"Nobody\": name the actor",
      "docs/deep/page.md:2 says \"whoever\": name the actor",
      "docs/deep/page.md:2 says \"ANYBODY\": name the actor",
      "src/retry/retry.ts:1 says \"somebody\": name the actor"
    ])
  })

  it("it is not found in other files, nor within other words", () => {
    expect(problems(folderOf({
      "CHANGELOG.md": "nobody",
      "test/a.ts": "// whoever",
      "docs/plot.svg": "<text>nobody</text>",
      "src/a.ts": "const nobodyElse = 1 // busybody"
    }))).toEqual([])
  })

  it("a line of src over 100 columns is found, one of 100 is not, and docs may be wider", () => {
    const line = (length: number) => `// ${"ü".repeat(length - 3)}`
    expect(problems(folderOf({
      "docs/page.md": line(140),
      "src/a.ts": `${line(100)}\n${line(101)}\r\n`
    }))).toEqual(["src/a.ts:2 has 101 columns, more than 100"])
  })
})
