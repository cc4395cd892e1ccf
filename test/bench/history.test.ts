import * as fs from "node:fs"
import * as path from "node:path"
import { describe, expect, it } from "vitest"
import {
  append,
  argumentsOf,
  type Figure,
  lineOf,
  parse,
  read,
  type Run,
  runOf,
  table
} from "../../bench/history.js"
import { folderOf } from "../scripts/temporary.js"

const figure = (ratio: number, bench = "retry", label = "built once"): Figure => ({
  bench,
  label,
  ratio,
  gate: 0.1
})

const run = (date: string, ...figures: ReadonlyArray<Figure>): Run => ({
  date: `${date}T10:00:00.000Z`,
  commit: "abc1234",
  node: "v20.20.0",
  cpu: "A CPU",
  cores: 2,
  figures
})

describe("the history of benchmarks", () => {
  it("reads names and options in any order", () => {
    expect(argumentsOf(["--save", "retry"])).toEqual({
      names: ["retry"],
      save: true,
      history: false
    })
    expect(argumentsOf(["keys", "--history", "--sve"])).toEqual({
      names: ["keys", "--sve"],
      save: false,
      history: true
    })
  })

  it("keeps runs as lines, with four digits of each ratio", () => {
    const first = run("2026-01-02", figure(0.0312345))
    const second = run("2026-01-03", figure(12345.6))
    expect(parse(lineOf(first) + lineOf(second))).toEqual([
      run("2026-01-02", figure(0.03123)),
      run("2026-01-03", figure(12350))
    ])
  })

  it("names the line that is no run", () => {
    const good = lineOf(run("2026-01-02", figure(1)))
    const wrong = ["{", "null", "{}", good.replace("\"ratio\":1", "\"ratio\":\"1\"").trim()]
    for (const line of wrong) {
      expect(() => parse(`${good}\n${line}\n`)).toThrow("Line 3 of the history is no run")
    }
  })

  it("shows each figure over time, and whether the gate was kept", () => {
    const runs = [
      run("2026-01-02", figure(0.04), figure(0.2, "keys", "many / few")),
      run("2026-01-03", figure(0.11))
    ]
    expect(table(runs, [])).toBe(
      [
        "retry: built once",
        "  2026-01-02  abc1234     v20.20.0       0.040  kept    A CPU, 2 cores",
        "  2026-01-03  abc1234     v20.20.0       0.110  MISSED  A CPU, 2 cores",
        "",
        "keys: many / few",
        "  2026-01-02  abc1234     v20.20.0       0.200  MISSED  A CPU, 2 cores"
      ].join("\n")
    )
    expect(table(runs, ["keys"]).split("\n")[0]).toBe("keys: many / few")
  })

  it("says that there is none, and how to save one", () => {
    const none = "No run has been saved: npm run bench -- --save"
    expect(table([], [])).toBe(none)
    expect(table([run("2026-01-02", figure(1))], ["keys"])).toBe(none)
  })

  it("adds a run of this machine and commit to a file", () => {
    const file = path.join(folderOf({}), "history.ndjson")
    expect(read(file)).toEqual([])
    append(file, runOf([figure(0.5)]))
    append(file, runOf([figure(0.25)]))
    const runs = read(file)
    expect(runs.map(({ figures }) => figures)).toEqual([[figure(0.5)], [figure(0.25)]])
    expect(runs[0]!.commit).toMatch(/^[0-9a-f]{7,}\+?$/)
    expect(runs[0]!.node).toBe(process.version)
    expect(fs.readFileSync(file, "utf8").split("\n")).toHaveLength(3)
  })
})
