/** The command line as a process of its own: exit codes, streams, and Ctrl-C. */
import { Schema } from "effect"
import * as Simulation from "effect-resilience/Simulation"
import { type ChildProcess, spawn } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { breaker, brief, Folder, plain } from "./commandLine.js"

const bin = fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url))

const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

let folder: Folder

beforeAll(() => {
  folder = new Folder()
  folder.write("plain.json", plain)
  folder.write("breaker.json", breaker)
  folder.write("brief.json", brief)
  const clients = { arrivals: { _tag: "Poisson", perSecond: 100 } }
  folder.write("long.json", { ...brief, clients, duration: "1 day" })
})

afterAll(() => folder.remove())

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

/** Starts the program in the folder. It prints to pipes, and may believe they are a terminal. */
const started = (words: string, isTerminal = false) => {
  const { CI: _, ...env } = process.env
  const preload = isTerminal ? ["--import", "data:text/javascript,process.stderr.isTTY=true"] : []
  const child: ChildProcess = spawn(
    process.execPath,
    ["--import", loader, ...preload, bin, ...words.split(" ")],
    { cwd: folder.path, env: { ...env, TERM: "xterm" }, stdio: ["ignore", "pipe", "pipe"] }
  )
  let out = ""
  let err = ""
  const hasWritten = new Promise<void>((resolve) => {
    child.stdout!.setEncoding("utf8").on("data", (text: string) => out += text)
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      err += text
      resolve()
    })
  })
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out, err }))
  })
  return { child, ended, hasWritten }
}

const run = (words: string): Promise<Ended> => started(words).ended

const quick = "--scenario brief.json --replications 2"

describe("the process", () => {
  it(
    "L1, L2: ends with the code of the command, with results on stdout and the rest on stderr",
    async () => {
      const [compared, found, refused, mistyped] = await Promise.all([
        run(`compare plain.json breaker.json ${quick} --json`),
        run(`simulate plain.json ${quick} --at-most amplification=0.1`),
        run("check none.json"),
        run("simulate plain.json --scenaro x")
      ])
      expect([compared.code, compared.err]).toEqual([0, ""])
      const decode = Schema.decodeUnknownSync(Schema.parseJson(Simulation.Comparison))
      expect(decode(compared.out).results).toHaveLength(2)
      expect(found.code).toBe(1)
      expect(found.out).toMatch(/^brief · 2 replications/)
      expect(found.err).toMatch(/\nnot kept: /)
      expect(refused).toEqual({
        code: 2,
        signal: null,
        out: "",
        err: "none.json: cannot be read: there is no such file\n"
      })
      expect([mistyped.code, mistyped.out]).toEqual([2, ""])
      // One message, no stack.
      expect(mistyped.err.trimEnd().split("\n")).toHaveLength(1)
    },
    60_000
  )

  it("L1: Ctrl-C ends it within 100 ms with 130, and no half-written file", async () => {
    let fastest = Infinity
    // The machine may be busy with other tests: the fastest of three counts.
    for (let attempt = 0; attempt < 3 && fastest > 100; attempt++) {
      const words = "simulate plain.json --scenario long.json --replications 10 --report r.html"
      const { child, ended, hasWritten } = started(words, true)
      await hasWritten
      const before = performance.now()
      child.kill("SIGINT")
      const { code, err, out, signal } = await ended
      fastest = Math.min(fastest, performance.now() - before)
      expect([code, signal, out]).toEqual([130, null, ""])
      // The line of progress has been wiped.
      expect(err.endsWith("\r\u001b[2K")).toBe(true)
    }
    expect(fastest).toBeLessThan(100)
    expect(folder.names).toEqual(["breaker.json", "brief.json", "long.json", "plain.json"])
  }, 90_000)

  it("a reader that has seen enough is no mistake", async () => {
    const { child, ended } = started(`compare plain.json breaker.json ${quick} --json`)
    child.stdout!.destroy()
    expect(await ended).toMatchObject({ code: 0, err: "" })
  }, 60_000)
})
