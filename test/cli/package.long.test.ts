/** The command line from the packed tarball, in an empty folder: with what it needs, and without. */
import { Schema } from "effect"
import * as Simulation from "effect-resilience/Simulation"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { install, pack } from "../support/packed.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as {
  readonly bin: Readonly<Record<string, string>>
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const needed = Object.keys(manifest.dependencies)

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs the program that the package declares as `effect-resilience`. */
const run = (folder: string, words: string): Promise<Ended> =>
  new Promise((resolve) => {
    const bin = path.join(
      folder,
      "node_modules/effect-resilience",
      manifest.bin["effect-resilience"]!
    )
    execFile(process.execPath, [bin, ...words.split(" ")], { cwd: folder }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })

describe("the command line of the package", () => {
  let temporary: string
  let user: string
  let bare: string

  beforeAll(async () => {
    temporary = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-cli-package-"))
    const [library = "", ...folders] = ["library", "user", "bare"].map((name) => {
      const folder = path.join(temporary, name)
      fs.mkdirSync(folder)
      return folder
    })
    ;[user = "", bare = ""] = folders
    const tarball = await pack(library)
    await install(user, tarball, [...needed, ...Object.keys(manifest.peerDependencies)])
    await install(bare, tarball, [...needed, "effect", "@effect/platform"])
  }, 600_000)

  afterAll(() => fs.rmSync(temporary, { recursive: true, force: true }))

  it("a new user: init, check, compare, a report", async () => {
    expect(await run(user, "--version")).toMatchObject({ code: 0, out: `${manifest.version}\n` })
    expect(await run(user, "init")).toMatchObject({
      code: 0,
      out: "wrote plain.json\nwrote standard.json\nwrote scenario.yaml\n"
    })
    expect(await run(user, "check plain.json standard.json scenario.yaml")).toMatchObject({
      code: 0,
      out: "3 files: nothing found\n"
    })
    const words = "compare plain.json standard.json --scenario metastable --report report.html"
    const compared = await run(user, words)
    expect(compared.code).toBe(0)
    expect(compared.out).toMatch(
      /^metastable · 40 replications · seed 1000\n {20,}plain +standard\n/
    )
    expect(fs.readFileSync(path.join(user, "report.html"), "utf8")).toMatch(/^<!doctype html>/)
    // The report is there.
    expect((await run(user, words)).code).toBe(2)
    const json = await run(user, "simulate plain.json --scenario slow-tail --json --workers 2")
    const decode = Schema.decodeUnknownSync(Schema.parseJson(Simulation.Result))
    expect(decode(json.out)).toMatchObject({ policy: "plain", replications: 40 })
  }, 120_000)

  it("without its packages it prints the line that installs them, and ends with 2", async () => {
    const { code, err, out } = await run(bare, "init")
    expect([code, out]).toEqual([2, ""])
    const [said, line] = err.split("\n")
    expect(said).toBe("The command line of effect-resilience needs packages that are not here:")
    // What the program depends on would be moved to its devDependencies.
    expect(line).toMatch(/^npm install --save-dev "@effect\/cli@/)
    expect(line).not.toContain("\"effect@")
    expect(line).not.toContain("\"@effect/platform@")
    for (const name of ["@effect/cli", "@effect/platform-node", "@effect/printer", "yaml"]) {
      expect(line).toContain(`"${name}@${manifest.peerDependencies[name]}"`)
    }
    expect(fs.readdirSync(bare).sort()).toEqual(["node_modules", "package.json"])
  })
})
