/** Command lines in this process: what they print, what they end with, in a folder of their own. */
import { NodeContext } from "@effect/platform-node"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { CurrentIo, type Output } from "../../src/cli/io.js"
import { run } from "../../src/cli/run.js"

/** What a command line has come to. The folder is left out of both texts. */
export interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
  /** Everything that was written to stderr, one by one. */
  readonly writes: ReadonlyArray<string>
}

interface Around {
  readonly env?: Readonly<Record<string, string>>
  readonly isTerminal?: boolean
}

/** A folder for the files of a test. */
export class Folder {
  readonly path = fs.mkdtempSync(path.join(os.tmpdir(), "effect-resilience-cli-"))

  remove(): void {
    fs.rmSync(this.path, { recursive: true, force: true })
  }

  at(name: string): string {
    return path.join(this.path, name)
  }

  write(name: string, content: unknown): string {
    const text = typeof content === "string" || content instanceof Uint8Array
      ? content
      : JSON.stringify(content, null, 2)
    fs.writeFileSync(this.at(name), text)
    return this.at(name)
  }

  read(name: string): string {
    return fs.readFileSync(this.at(name), "utf8")
  }

  get names(): ReadonlyArray<string> {
    return fs.readdirSync(this.path).sort()
  }

  /** A command line, which has not begun. Words that begin with `@` are files of the folder. */
  effect(words: string, around: Around = {}): Effect.Effect<Ended> {
    return Effect.suspend(() => {
      const writes: Array<string> = []
      let out = ""
      const outputOf = (add: (text: string) => void): Output => ({
        isTerminal: around.isTerminal === true,
        write: (text) => Effect.sync(() => text === "" ? undefined : add(text))
      })
      // A space that does not break stands for one in quotes.
      const args = words.split(" ").filter((word) => word !== "")
        .map((word) => word.startsWith("@") ? this.at(word.slice(1)) : word)
        .map((word) => word.replaceAll("\u00a0", " "))
      const nameless = (text: string) => text.replaceAll(`${this.path}${path.sep}`, "")
      return run(args, "1.2.3").pipe(
        Effect.provideService(CurrentIo, {
          out: outputOf((text) => out += text),
          err: outputOf((text) => void writes.push(text)),
          env: around.env ?? {}
        }),
        Effect.provide(NodeContext.layer),
        Effect.map((code) => ({
          code,
          out: nameless(out),
          err: nameless(writes.join("")),
          writes
        }))
      )
    })
  }

  run(words: string, around: Around = {}): Promise<Ended> {
    return Effect.runPromise(this.effect(words, around))
  }
}

/** A scenario that takes no time to simulate. */
export const brief = {
  duration: "20 seconds",
  clients: { arrivals: { _tag: "Poisson", perSecond: 5 } },
  services: [{
    network: { _tag: "Constant", value: "5 millis" },
    service: { _tag: "Exponential", mean: "40 millis" },
    faults: [{ _tag: "Outage", from: "5 seconds", to: "8 seconds", as: "refused" }]
  }]
}

export const plain = { operation: "read", retry: { retries: 2 }, attemptTimeout: "1 second" }

export const breaker = { ...plain, circuitBreaker: { minimumCalls: 5, openDuration: "1 second" } }
