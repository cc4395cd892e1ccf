import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { draw, pictures } from "../../scripts/pictures.js"
import { runs } from "../support/runs.js"

const root = fileURLToPath(new URL("../../", import.meta.url))

const pages = ["README.md", ...fs.readdirSync(`${root}docs`).map((name) => `docs/${name}`)]
  .filter((name) => name.endsWith(".md"))
  .map((name) => fs.readFileSync(root + name, "utf8"))

/** A normal run draws one picture, a long one all of them. */
const drawn = runs(500) === 500 ? Object.keys(pictures) : ["storm.svg"]

describe("pictures", () => {
  for (const name of drawn) {
    it(`L6: docs/pictures/${name} is what the simulator draws: npm run pictures`, async () => {
      const committed = fs.readFileSync(`${root}docs/pictures/${name}`, "utf8")
      // Not toBe: a difference of two pictures is no help to a reader.
      expect(await draw(pictures[name]!) === committed).toBe(true)
    }, 120_000)
  }

  it("every picture is drawn by the simulator, and stands in a page", () => {
    const names = Object.keys(pictures)
    expect(fs.readdirSync(`${root}docs/pictures`).sort()).toEqual([...names].sort())
    const unused = names.filter((name) => !pages.some((page) => page.includes(`pictures/${name})`)))
    expect(unused).toEqual([])
  })

  it("a picture says under which scenario it holds", () => {
    for (const { scenario, subtitle } of Object.values(pictures)) {
      expect(subtitle).toContain(`under the scenario ${scenario}`)
    }
  })
})
