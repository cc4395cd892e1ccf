/**
 * Real servers for tests: each in a folder of its own on a free port, and gone when the test is,
 * even when that is killed.
 */
import { execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

export interface Server {
  readonly port: number
  readonly folder: string
  /** Everything that the server runs gets this signal. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** As if the power went. */
  readonly kill: () => Promise<void>
  /** On the same port, with the same data. */
  readonly restart: () => Promise<void>
  /** For good. */
  readonly stop: () => Promise<void>
}

export interface Program {
  readonly name: string
  /** Makes the data, once. */
  readonly prepare?: ((folder: string) => void) | undefined
  readonly command: (folder: string, port: number) => ReadonlyArray<string>
  /** Whether it answers. */
  readonly answers: (port: number) => boolean
  /** Whom it runs as, where the tests run as root. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
}

export const isRoot = process.getuid?.() === 0

export const pause = (millis: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, millis))

/** Where the first of these programs is, or undefined. */
export const binary = (name: string, folders: ReadonlyArray<string> = []): string | undefined =>
  [...folders, ...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", "/usr/bin"]
    .map((folder) => path.join(folder, name))
    .find((file) => fs.existsSync(file))

/** Runs a program to its end, quietly. */
export const execute = (
  command: ReadonlyArray<string>,
  options: { readonly user?: Program["user"] } = {}
): string => {
  const [file = "", ...args] = command
  const as = isRoot && options.user !== undefined ? options.user : {}
  return execFileSync(file, args, {
    ...as,
    cwd: os.tmpdir(),
    stdio: ["ignore", "pipe", "ignore"],
    encoding: "utf8",
    timeout: 20_000
  })
}

const succeeds = (run: () => unknown): boolean => {
  try {
    run()
    return true
  } catch {
    return false
  }
}

/** Whether a program ends well. */
export const passes = (command: ReadonlyArray<string>): boolean => succeeds(() => execute(command))

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = net.createServer()
    probe.once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** State and parent of a process, or undefined where there is none. */
const statusOf = (
  pid: number | string
): { readonly state: string; readonly parent: number } | undefined => {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    const [state = "", parent] = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return { state, parent: Number(parent) }
  } catch {
    return undefined
  }
}

const childrenOf = (pid: number): ReadonlyArray<number> =>
  fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name) && statusOf(name)?.parent === pid)
    .flatMap((name) => [
      Number(name),
      ...childrenOf(Number(name))
    ])

const send = (pids: ReadonlyArray<number>, signal: NodeJS.Signals): void => {
  for (const pid of pids) succeeds(() => process.kill(pid, signal))
}

const threadsOf = (pid: number): number => {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).length
  } catch {
    return 0
  }
}

/** The first thread of a process may be over while others still hold its sockets. */
const runs = (pid: number): boolean => (statusOf(pid)?.state ?? "Z") !== "Z" || threadsOf(pid) > 1

/** Ends the server when the test that has it ends: then its standard input closes. */
const keeper =
  `"$@" >log 2>&1 & pid=$!; echo $pid; cat >/dev/null; kill -CONT $pid; kill -QUIT $pid; sleep 0.3; kill -KILL $pid; wait`

interface Running {
  readonly pid: number
  /** Lets the keeper go. */
  readonly end: () => void
}

const launch = (program: Program, folder: string, port: number): Promise<Running> => {
  const as = isRoot && program.user !== undefined ? program.user : {}
  const child = spawn("sh", ["-c", keeper, program.name, ...program.command(folder, port)], {
    ...as,
    cwd: folder,
    detached: true,
    stdio: ["pipe", "pipe", "ignore"]
  })
  child.unref()
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.stdout.once("data", (text: Buffer) => {
      child.stdout.destroy()
      resolve({ pid: Number(text.toString().trim()), end: () => child.stdin.end() })
    })
  })
}

const ready = async (program: Program, folder: string, port: number): Promise<void> => {
  for (let tries = 0; tries < 300; tries++) {
    if (program.answers(port)) return
    await pause(50)
  }
  throw new Error(
    `${program.name} does not answer: ${
      fs.readFileSync(path.join(folder, "log"), "utf8").slice(-2000)
    }`
  )
}

const gone = async (pids: ReadonlyArray<number>): Promise<void> => {
  for (let tries = 0; tries < 200 && pids.some(runs); tries++) await pause(20)
}

/** Starts a server and waits until it answers. */
export const start = async (program: Program): Promise<Server> => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `resilience-${program.name}-`))
  if (isRoot && program.user !== undefined) fs.chownSync(folder, program.user.uid, program.user.gid)
  program.prepare?.(folder)
  const port = await freePort()
  let running: Running | undefined
  const all = () => running === undefined ? [] : [running.pid, ...childrenOf(running.pid)]
  const kill = async () => {
    const pids = all()
    send(pids, "SIGKILL")
    await gone(pids)
    running?.end()
    running = undefined
  }
  const stop = async () => {
    await kill()
    fs.rmSync(folder, { recursive: true, force: true })
  }
  const restart = async () => {
    running = await launch(program, folder, port)
    await ready(program, folder, port)
  }
  try {
    await restart()
  } catch (error) {
    await stop()
    throw error
  }
  return { port, folder, signal: (signal) => send(all(), signal), kill, restart, stop }
}

/**
 * Says aloud that tests are left out. Past the reporter, which hides what is printed outside of
 * tests.
 */
export const without = (name: string): void => {
  fs.writeSync(2, `\nNOT TESTED: ${name} is not installed here, its tests are skipped\n`)
}
