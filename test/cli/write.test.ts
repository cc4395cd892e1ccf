import { NodeContext } from "@effect/platform-node"
import { Effect, Fiber } from "effect"
import * as fs from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { write } from "../../src/cli/write.js"
import { brief, Folder, plain } from "./commandLine.js"

let folder: Folder

beforeEach(() => {
  folder = new Folder()
})

afterEach(() => folder.remove())

const written = (name: string, content: string, isForced = false): Promise<string> =>
  write(folder.at(name), content, isForced).pipe(
    Effect.as("written"),
    Effect.catchAll(({ message }) => Effect.succeed(message.replace(`${folder.path}/`, ""))),
    Effect.provide(NodeContext.layer),
    Effect.runPromise
  )

describe("write", () => {
  it("L7: writes a file, and nothing else beside it", async () => {
    expect(await written("a.txt", "one")).toBe("written")
    expect([folder.names, folder.read("a.txt")]).toEqual([["a.txt"], "one"])
  })

  it("L7: does not write over a file, unless it is forced to", async () => {
    await written("a.txt", "one")
    expect(await written("a.txt", "two")).toBe("a.txt: is there already; --force writes over it")
    expect([folder.names, folder.read("a.txt")]).toEqual([["a.txt"], "one"])
    expect(await written("a.txt", "two", true)).toBe("written")
    expect([folder.names, folder.read("a.txt")]).toEqual([["a.txt"], "two"])
  })

  it("L7: of several that write at the same time, one does", async () => {
    const contents = Array.from({ length: 8 }, (_, index) => String(index).repeat(200_000))
    const said = await Promise.all(contents.map((content) => written("a.txt", content)))
    const winners = contents.filter((_, index) => said[index] === "written")
    expect(winners).toHaveLength(1)
    expect([folder.names, folder.read("a.txt") === winners[0]]).toEqual([["a.txt"], true])
  })

  it("L7: a file that cannot be written leaves nothing behind", async () => {
    expect(await written("no/a.txt", "one"))
      .toBe("no/a.txt: cannot be written: there is no such folder")
    fs.mkdirSync(folder.at("a"))
    fs.writeFileSync(folder.at("a/b"), "")
    expect(await written("a", "one", true)).toMatch(/^a: cannot be written: /)
    expect(folder.names).toEqual(["a"])
  })

  it("L7: an interruption leaves the whole file or none", async () => {
    const content = "x".repeat(4_000_000)
    const outcomes = new Set<string>()
    for (let turns = 0; turns < 30; turns++) {
      const name = `${turns}.txt`
      const program = Effect.gen(function*() {
        const fiber = yield* Effect.fork(write(folder.at(name), content, false))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
      })
      await Effect.runPromise(Effect.provide(program, NodeContext.layer))
      const isThere = fs.existsSync(folder.at(name))
      outcomes.add(isThere ? "whole" : "none")
      if (isThere) expect(folder.read(name) === content).toBe(true)
    }
    expect(folder.names.filter((name) => name.endsWith(".part"))).toEqual([])
    expect(outcomes).toEqual(new Set(["none", "whole"]))
  })

  it("L7: a report that is there already is refused before the simulation", async () => {
    folder.write("plain.json", plain)
    // It would run for hours.
    folder.write("long.json", { ...brief, duration: "30 days" })
    folder.write("report.html", "kept")
    const words = "simulate @plain.json --scenario @long.json --report @report.html"
    expect(await folder.run(words)).toMatchObject({
      code: 2,
      err: "report.html: is there already; --force writes over it\n"
    })
    expect(folder.read("report.html")).toBe("kept")
  })

  it("L6, L7: a report is written whole, the same bytes each time", async () => {
    folder.write("plain.json", plain)
    folder.write("brief.json", brief)
    const words = "simulate @plain.json --scenario @brief.json --replications 2 --report @r.html"
    expect((await folder.run(words)).code).toBe(0)
    const first = folder.read("r.html")
    expect(first).toMatch(/^<!doctype html>\n[^]*<\/html>\n$/)
    expect((await folder.run(words)).code).toBe(2)
    expect((await folder.run(`${words} --force`)).code).toBe(0)
    expect(folder.read("r.html")).toBe(first)
  })
})
