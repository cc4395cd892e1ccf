import { FastCheck as fc, Schema } from "effect"
import * as Simulation from "effect-resilience/Simulation"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Folder, plain } from "./commandLine.js"

let folder: Folder

/** Attempts 25 ms apart on average, whose latency is exponential. */
const records = (count: number): ReadonlyArray<Simulation.AttemptRecord> => {
  let at = 1_800_000_000_000
  const unit = fc.double({ min: 1e-9, max: 1, noNaN: true })
  return fc.sample(fc.tuple(unit, unit), { numRuns: count, seed: 5 }).map(([wait, take], index) => {
    at += Math.round(-25 * Math.log(wait))
    return {
      at,
      endpoint: "GET /orders/:id",
      durationMillis: -40 * Math.log(take),
      outcome: index % 50 === 0 ? "Server" : "Success",
      inProgress: 1 + index % 2
    }
  })
}

const lines = (values: ReadonlyArray<unknown>): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join("")

beforeAll(() => {
  folder = new Folder()
  folder.write("plain.json", plain)
  folder.write("telemetry.ndjson", `${lines(records(600))}\n\n`)
})

afterAll(() => folder.remove())

describe("fit", () => {
  it("L2: says how the upstream behaves on stdout, and what is assumed on stderr", async () => {
    const { code, err, out } = await folder.run("fit @telemetry.ndjson")
    expect(code).toBe(0)
    const said = out.split("\n")
    expect(said[0]).toMatch(/^GET \/orders\/:id: 600 attempts, \d+\.\d\/s, 0 given up$/)
    expect(said[1]).toMatch(/^ {2}latency: .+ \(distance 0\.0\d+, fits up to 0\.\d+\)$/)
    expect(said[2]).toBe("  outcomes: Server 2.0 %, Success 98 %")
    expect(said[3]).toMatch(/^ {2}load: cannot be known: /)
    expect(err).toMatch(/^(warning: [^\n]+\n)+$/)
  })

  it("L2: --json decodes by the schema", async () => {
    const { out } = await folder.run("fit @telemetry.ndjson --json")
    const found = Schema.decodeUnknownSync(Schema.parseJson(Simulation.Fitted))(out, {
      onExcessProperty: "error"
    })
    expect(found.endpoints.map(({ attempts, endpoint }) => [endpoint, attempts])).toEqual([
      ["GET /orders/:id", 600]
    ])
  })

  it("L5: a line is at most 64 KiB long, and lines may end in any way", async () => {
    const good = lines(records(600))
    const spaces = (bytes: number) => " ".repeat(bytes)
    folder.write("long.ndjson", `${good}${spaces(65_537)}\n${good}`)
    const { code, err, out } = await folder.run("fit @long.ndjson")
    expect([code, out, err]).toEqual([2, "", "long.ndjson:601: is longer than 64 KiB\n"])
    folder.write("endless.ndjson", `${good}${"x".repeat(3_000_000)}`)
    expect((await folder.run("fit @endless.ndjson")).err)
      .toBe("endless.ndjson:601: is longer than 64 KiB\n")
    folder.write("ends.ndjson", `\uFEFF${good.replaceAll("\n", "\r\n")}${spaces(65_536)}\n`)
    expect((await folder.run("fit @ends.ndjson")).code).toBe(0)
    folder.write("last.ndjson", `${good}{}`)
    expect((await folder.run("fit @last.ndjson")).err).toMatch(/^last\.ndjson:601: /)
  })

  it("L7: writes a scenario that check takes and simulate runs", async () => {
    for (const name of ["learnt.yaml", "learnt.json"]) {
      expect((await folder.run(`fit @telemetry.ndjson --write @${name}`)).code).toBe(0)
      expect((await folder.run(`fit @telemetry.ndjson --write @${name}`)).code).toBe(2)
      expect((await folder.run(`check @${name}`)).code).toBe(0)
      const words = `simulate @plain.json --scenario @${name} --replications 2`
      expect((await folder.run(words)).out).toMatch(/^learnt · 2 replications/)
    }
  })

  it("L4: a line that is no record is named, with its path", async () => {
    const [first] = records(1)
    const mistakeOf = async (line: string): Promise<string> => {
      folder.write("wrong.ndjson", `${lines([first, first])}${line}\n`)
      const { code, err, out } = await folder.run("fit @wrong.ndjson")
      expect([code, out]).toEqual([2, ""])
      return err.trimEnd()
    }
    expect(await mistakeOf(`{ "at": 1, "durationMillis": 2, "outcome": "Success" }`))
      .toBe("wrong.ndjson:3: endpoint: is missing")
    expect(await mistakeOf(JSON.stringify({ ...first, durationMillis: -1 })))
      .toMatch(/^wrong\.ndjson:3: durationMillis: should be .*, got -1$/)
    expect(await mistakeOf("{")).toMatch(/^wrong\.ndjson:3: is no record: [^\n]+$/)
    // The two records before it are too few.
    expect(await mistakeOf("")).toMatch(/^wrong\.ndjson: GET \/orders\/:id is left out: it has 2 /)
    expect(await folder.run("fit @none.ndjson")).toMatchObject({
      code: 2,
      err: "none.ndjson: cannot be read: there is no such file\n"
    })
  })
})
