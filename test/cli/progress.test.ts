import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CurrentIo } from "../../src/cli/io.js"
import { withProgress } from "../../src/cli/progress.js"
import { clockFrom } from "../support/clocks.js"
import { brief, Folder, plain } from "./commandLine.js"

let folder: Folder

beforeAll(() => {
  folder = new Folder()
  folder.write("plain.json", plain)
  folder.write("brief.json", brief)
})

afterAll(() => folder.remove())

const simulate = "simulate @plain.json --scenario @brief.json --replications 20"

const wiped = "\r\u001b[2K"

/** What is written while a simulation tells its progress, each time so many milliseconds later. */
const writesOf = async (
  env: Readonly<Record<string, string>>,
  isTerminal: boolean,
  betweenMillis: number
): Promise<ReadonlyArray<string>> => {
  const writes: Array<string> = []
  let now = 0
  const write = (text: string) => Effect.sync(() => void writes.push(text))
  await Effect.runPromise(
    withProgress((onProgress) =>
      Effect.forEach(Array.from({ length: 100 }, (_, index) => index), (done) => {
        now += betweenMillis
        const share = done / 100
        return onProgress?.({ policy: "plain", done, replications: 100, share }) ?? Effect.void
      })
    ).pipe(
      Effect.provideService(CurrentIo, {
        out: { isTerminal, write },
        err: { isTerminal, write },
        env
      }),
      Effect.withClock(clockFrom({ millis: () => now, nanos: () => BigInt(now) * 1_000_000n }))
    )
  )
  return writes
}

describe("progress", () => {
  it("L3: is written over at most ten times a second, and wiped at the end", async () => {
    const writes = await writesOf({}, true, 10)
    // A second has passed.
    expect(writes).toHaveLength(10 + 1)
    expect(writes[0]).toBe(`${wiped}[------------------------]   0 %  plain`)
    expect(writes[5]).toBe(`${wiped}[############------------]  50 %  plain`)
    expect(writes.at(-1)).toBe(wiped)
    expect(await writesOf({}, true, 200)).toHaveLength(100 + 1)
  })

  it("L3: there is none without a terminal, with TERM=dumb, and in CI", async () => {
    expect(await writesOf({}, false, 200)).toEqual([])
    expect(await writesOf({ TERM: "dumb" }, true, 200)).toEqual([])
    expect(await writesOf({ CI: "true" }, true, 200)).toEqual([])
    expect(await writesOf({ CI: "1" }, true, 200)).toEqual([])
    expect(await writesOf({ CI: "false", TERM: "xterm" }, true, 200)).toHaveLength(101)
  })

  it("L3: goes to stderr, so that stdout has the result alone", async () => {
    const shown = await folder.run(simulate, { isTerminal: true })
    expect(shown.writes[0]!.startsWith(`${wiped}[`)).toBe(true)
    expect(shown.writes.filter((text) => text === wiped)).toHaveLength(1)
    expect(shown.out).toBe((await folder.run(simulate)).out)
    expect((await folder.run(simulate)).err).not.toContain("\u001b")
  })

  it("L3: an interruption wipes it", async () => {
    const writes: Array<string> = []
    const write = (text: string) => Effect.sync(() => void writes.push(text))
    const program = withProgress((onProgress) =>
      Effect.zipRight(
        onProgress!({ policy: "plain", done: 0, replications: 1, share: 0 }),
        Effect.interrupt
      )
    )
    await Effect.runPromiseExit(Effect.provideService(program, CurrentIo, {
      out: { isTerminal: true, write },
      err: { isTerminal: true, write },
      env: {}
    }))
    expect(writes).toHaveLength(2)
    expect(writes[1]).toBe(wiped)
  })
})
