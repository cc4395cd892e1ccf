/**
 * Eight processes call one upstream and share a circuit through Redis. The upstream is down for a
 * while: each line shows what each process gets, and a picture shows all of their calls.
 *
 * Needs `redis-server`, or the address of a Redis in `REDIS_URL`. The picture goes to `fleet.svg`
 * in the folder for temporary files, or to the file that is named on the command line.
 */
import { fork, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Call, Plan } from "./fleet/member.js"
import { timeline } from "./fleet/timeline.js"

const size = 8

const file = process.argv[2] ?? path.join(os.tmpdir(), "fleet.svg")

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = net.createServer().once("error", reject)
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** The Redis of the environment, or one of its own. */
const redis = async (): Promise<{ readonly url: string; readonly stop: () => void }> => {
  const { REDIS_URL } = process.env
  if (REDIS_URL !== undefined) return { url: REDIS_URL, stop: () => undefined }
  const port = await freePort()
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const server = spawn("redis-server", args, { stdio: "ignore", cwd: os.tmpdir() })
  server.once("error", () => {
    console.error("redis-server is not installed: set REDIS_URL")
    process.exit(1)
  })
  return { url: `redis://127.0.0.1:${port}`, stop: () => void server.kill() }
}

const { stop, url } = await redis()
const now = (): number => Number(process.hrtime.bigint()) / 1e6

const calls: Array<Call & { readonly member: number }> = []
const last = Array.from({ length: size }, () => "")

const fleet = randomBytes(6).toString("hex")

const members = last.map((_, member) =>
  fork(fileURLToPath(new URL("fleet/member.ts", import.meta.url)), [url, fleet, `m${member}`], {
    execArgv: ["--import", "tsx"]
  })
)
await Promise.all(members.map((child) => once(child, "message")))

/** All serve for a second; then the upstream is down for two. */
const startMillis = now() + 200
const plan: Plan = {
  startMillis,
  downMillis: startMillis + 1000,
  upMillis: startMillis + 3000,
  endMillis: startMillis + 6000
}
for (const [member, child] of members.entries()) {
  child.on("message", (call: Call) => {
    calls.push({ ...call, member })
    last[member] = call.got
  })
  child.send(plan)
}

const signs: Readonly<Record<string, string>> = { served: ".", failed: "x", rejected: "-", "": " " }

console.log(
  `  time  ${last.map((_, member) => `m${member}`).join(" ")}   . served  x failed  - rejected`
)
const table = setInterval(() => {
  const seconds = (now() - plan.startMillis) / 1000
  if (seconds < 0) return
  console.log(
    `${seconds.toFixed(2).padStart(6)}  ${last.map((got) => signs[got] ?? "?").join("  ")}`
  )
}, 250)

await Promise.all(members.map((child) => once(child, "exit")))
clearInterval(table)
stop()

/** How long after the outage began each process rejected first, in milliseconds. */
const rejected = last.flatMap((_, member) => {
  const first = calls.find((call) => call.member === member && call.got === "rejected")
  return first === undefined ? [] : [first.atMillis - plan.downMillis]
})
const failed = calls.filter(({ got }) => got === "failed").length
console.log(`calls that reached the upstream while it was down: ${failed}`)
console.log(
  `processes that rejected: ${rejected.length} of ${size}, the first after ` +
    `${Math.min(...rejected).toFixed(0)} ms, the last after ${Math.max(...rejected).toFixed(0)} ms`
)
fs.writeFileSync(file, timeline(plan, size, calls))
console.log(`picture: ${file}`)
