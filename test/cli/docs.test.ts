/** What the documentation shows of the command line is what it prints. */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { shipped } from "../../src/cli/inputs.js"
import { runs } from "../support/runs.js"
import { Folder } from "./commandLine.js"

const root = fileURLToPath(new URL("../../", import.meta.url))

const page = (name: string): string => fs.readFileSync(`${root}docs/${name}.md`, "utf8")

/** The commands that pages show with their output. */
const shown = ["simulation", "command-line"].flatMap((name) =>
  [...page(name).matchAll(/```console\n\$ npx effect-resilience ([^\n]+)\n([^`]*)```/g)]
    .map(([, words, output]) => ({ words: words!, output: output! }))
)

/** Those that take more than a moment belong to a long run. */
const isLong = runs(500) === 500
const checked = isLong ? shown : shown.filter(({ words }) => !/^(tune|compare) /.test(words))

/** As a shell would cut the words: a space in quotes is part of one. Files are those of a folder. */
const argsOf = (words: string): string =>
  words.replace(/"([^"]*)"/g, (_, quoted: string) => quoted.replaceAll(" ", "\u00a0"))
    .replace(/(^|\s)([\w-]+\.(json|yaml))/g, "$1@$2")

let folder: Folder

beforeAll(async () => {
  folder = new Folder()
  await folder.run("init @")
  const json = [...page("simulation").matchAll(/```json\n([^`]*)```/g)].map(([, text]) => text!)
  expect(json).toHaveLength(3)
  expect(JSON.parse(folder.read("plain.json"))).toEqual(JSON.parse(json[0]!))
  folder.write("breaker.json", json[1])
  folder.write("fleet.json", json[2])
  folder.write("limiter.json", json[2]!.replace(`"shared": "geocoder", `, ""))
  folder.write(
    "mistyped.json",
    `{
  "operation": "read",
  "retry": {
    "retires": 3
  },
  "attemptTimeout": -5
}
`
  )
})

afterAll(() => folder.remove())

describe("the documentation", () => {
  it("shows some commands", () => {
    expect(shown.length).toBeGreaterThanOrEqual(5)
  })

  for (const { output, words } of checked) {
    it(`prints what it shows of ${words.split(" ")[0]}`, async () => {
      const { out } = await folder.run(argsOf(words))
      expect(out).toBe(output)
    }, 120_000)
  }

  it("lists the scenarios that the package brings, and both its examples have no findings", async () => {
    const text = page("scenarios")
    for (const name of shipped) expect(text).toMatch(new RegExp(`^\\| \\[?\`${name}\``, "m"))
    const [first, second] = [...text.matchAll(/```yaml\n([^`]*)```/g)].map(([, yaml]) => yaml!)
    folder.write("first.yaml", first)
    folder.write("second.yaml", second)
    expect((await folder.run("check @first.yaml @second.yaml")).out).toBe(
      "2 files: nothing found\n"
    )
    const both = await Promise.all([
      folder.run("simulate @plain.json --scenario @second.yaml --replications 1 --json"),
      folder.run("simulate @plain.json --scenario metastable --replications 1 --json")
    ])
    expect(both[0]!.out).toBe(both[1]!.out)
  })
})
