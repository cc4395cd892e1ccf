/** Several processes of a fleet. */
import { type ChildProcess, spawn } from "node:child_process"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import type { Command } from "./worker.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

export interface Member {
  readonly name: string
  readonly child: ChildProcess
  /** Asks for something, and gives the answer. */
  readonly ask: <A = unknown>(command: Command) => Promise<A>
}

/** A process, which ends when this one does, because its standard input does. */
export const startMember = async (name: string): Promise<Member> => {
  const child = spawn(process.execPath, ["--import", "tsx", "test/fleet/worker.ts"], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"]
  })
  child.on("error", () => undefined)
  child.stdin.on("error", () => undefined)
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async <A>(): Promise<A> => {
    const line = await lines.next()
    if (line.done === true) throw new Error(`${name} has ended`)
    return JSON.parse(line.value) as A
  }
  await next()
  return {
    name,
    child,
    ask: (command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`)
      return next()
    }
  }
}

/** How many calls of the fleet the circuit needs. */
export const minimumCalls = 40

/** Milliseconds of the machine, the same in all of its processes. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** The value below which so large a share of the values lies. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
