/**
 * What a call through `ApiClient` costs beside the platform's own client on undici, on real HTTP.
 *
 * The server is a process of its own. Each kind of call is measured in two further processes, one
 * for CPU and one for heap, and in each of them the platform's client, a second copy of it as
 * control, and ours take turns. Heap is gated always. CPU is gated where the machine is quiet: the
 * control costs what the platform's client does, within 5 %, and half of all rounds are within 15 %.
 *
 * Ten thousand calls at once are held to what they leave behind, and to the p99 of the platform's
 * client. What clients of other libraries cost is printed beside it, without a gate.
 *
 * `BENCH_HTTP_ROUNDS` and `BENCH_HTTP_WARMUP` change the number of rounds, 30 and 12.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import {
  argumentsOf,
  type Burst,
  type BurstSettings,
  type Kind,
  type OtherSettings,
  type Rounds,
  type Settings
} from "./http/settings.js"
import { gated } from "./measure.js"

interface Case {
  readonly kind: Kind
  readonly label: string
  readonly cpuGate: number
  /** No gate for a GET without a pipeline: its heap is only reported. */
  readonly heapGate: number | undefined
}

const cases: ReadonlyArray<Case> = [
  { kind: "get", label: "GET, standard pipeline, JSON", cpuGate: 1.7, heapGate: 1.4 },
  { kind: "post", label: "POST, new key, standard pipeline", cpuGate: 1.9, heapGate: 1.6 },
  { kind: "bare", label: "GET, no pipeline", cpuGate: 1.35, heapGate: undefined }
]

const fileOf = (name: string): string => fileURLToPath(new URL(`http/${name}.ts`, import.meta.url))

const numberOf = (name: string, byDefault: number): number => Number(process.env[name] ?? byDefault)

const rounds = numberOf("BENCH_HTTP_ROUNDS", 30)
const warmUp = numberOf("BENCH_HTTP_WARMUP", 12)

/** Room for all that one round allocates, so that nothing is collected within it. */
const heapFlags = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"]

const execute = promisify(execFile)

/** What a file says on its last line, run in a process of its own. */
const saidBy = async (
  name: string,
  settings: Settings | OtherSettings | BurstSettings,
  flags: ReadonlyArray<string> = []
): Promise<string> => {
  const { stdout } = await execute(
    process.execPath,
    [...flags, "--import", "tsx", fileOf(name), ...argumentsOf(settings)],
    { env: { ...process.env, TSX_TSCONFIG_PATH: "tsconfig.bench.json" } }
  )
  return stdout.trim().split("\n").at(-1) ?? ""
}

const measured = async (settings: Settings): Promise<Rounds> =>
  JSON.parse(await saidBy("client", settings, settings.mode === "heap" ? heapFlags : []))

const serving = async () => {
  const server = spawn(process.execPath, ["--import", "tsx", fileOf("server")], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const [port] = await once(server.stdout, "data")
  return { url: `http://127.0.0.1:${String(port).trim()}`, stop: () => server.stdin.end() }
}

/** A value that so much of a list is below. */
const quantile = (values: ReadonlyArray<number>, part: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * part)] ?? Number.NaN

const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** Of each round by itself: what slows the machine down for a while slows all of them. */
const ratios = (values: ReadonlyArray<number>, { platform }: Rounds): ReadonlyArray<number> =>
  values.map((value, round) => value / (platform[round] ?? Number.NaN))

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`

const cpuKept = async (url: string, { cpuGate, kind, label }: Case): Promise<boolean> => {
  const found = await measured({
    kind,
    mode: "cpu",
    url,
    warmUp,
    rounds,
    calls: 300,
    callers: 32
  })
  const control = ratios(found.control, found)
  const off = Math.abs(median(control) - 1)
  const spread = (quantile(control, 0.75) - quantile(control, 0.25)) / median(control)
  const ratio = median(ratios(found.ours, found))
  console.log(
    `  ${label}: ${median(found.ours).toFixed(0)} us of CPU per call, the platform's client ` +
      `${median(found.platform).toFixed(0)} us; control off by ${percent(off)}, ` +
      `quartiles ${percent(spread)}`
  )
  if (off <= 0.05 && spread <= 0.15) return gated(`${label}: CPU / the platform's`, ratio, cpuGate)
  console.log(`${label}: CPU / the platform's ${ratio.toFixed(3)}, not gated: too noisy`)
  return true
}

const heapKept = async (url: string, { heapGate, kind, label }: Case): Promise<boolean> => {
  const found = await measured({
    kind,
    mode: "heap",
    url,
    warmUp,
    rounds: Math.min(rounds, 10),
    calls: 300,
    callers: 32
  })
  const ratio = median(found.ours) / median(found.platform)
  console.log(
    `  ${label}: ${(median(found.ours) / 1024).toFixed(1)} KiB of heap per call, the platform's ` +
      `client ${(median(found.platform) / 1024).toFixed(1)} KiB; control off by ${
        percent(Math.abs(median(found.control) / median(found.platform) - 1))
      }`
  )
  if (heapGate !== undefined) return gated(`${label}: heap / the platform's`, ratio, heapGate)
  console.log(`${label}: heap / the platform's ${ratio.toFixed(3)}`)
  return true
}

const others: ReadonlyArray<readonly [OtherSettings["client"], string]> = [
  ["fetch", "Node's fetch alone"],
  ["got", "got, with its retries and limit of time"],
  ["ky", "ky, with its retries and limit of time"],
  ["axios", "axios with axios-retry"],
  ["cockatiel", "cockatiel's wrap of the four, around fetch"],
  ["opossum", "opossum, around fetch"]
]

/** No gate: each has another transport below it. */
const report = async (url: string): Promise<void> => {
  console.log("  GET through clients of other libraries, for comparison, each in a process:")
  for (const [client, label] of others) {
    const settings = { client, url, warmUp, rounds: Math.min(rounds, 10), calls: 300, callers: 32 }
    const found: ReadonlyArray<number> = JSON.parse(await saidBy("others", settings))
    console.log(`    ${label.padEnd(46)}${median(found).toFixed(0).padStart(5)} us of CPU per call`)
  }
}

const burst = { calls: 10_000, connections: 256, rounds: 6 } as const

/** What may be left of each call: what the heap differs by from run to run is about half of it. */
const bytesLeft = 16

const burstKept = async (url: string): Promise<boolean> => {
  const { after, before, p99 }: Burst = JSON.parse(await saidBy("burst", { url, ...burst }))
  const all = 2 * burst.rounds * burst.calls
  const most = 2 * burst.connections
  console.log(
    `  ${burst.calls.toLocaleString("en")} calls at once over ${burst.connections} connections, ` +
      `GET, standard pipeline: p99 ${median(p99.ours).toFixed(0)} ms, the platform's client ` +
      `${median(p99.platform).toFixed(0)} ms`
  )
  return [
    gated("a burst: p99 / the platform's", median(p99.ours) / median(p99.platform), 1.9),
    // Connections that stay open are as many as there may be, of each of the two clients.
    gated("a burst: sockets / those that there may be", after.sockets / most, 1),
    gated("a burst: timers left behind", Math.max(0, after.timers - before.timers), 0),
    gated("a burst: bytes left per call", (after.heapBytes - before.heapBytes) / all, bytesLeft)
  ].every(Boolean)
}

export const run = async (): Promise<boolean> => {
  const server = await serving()
  const kept: Array<boolean> = []
  console.log(`HTTP over undici, 32 callers, ${rounds} rounds of 300 calls`)
  for (const each of cases) {
    kept.push(await cpuKept(server.url, each), await heapKept(server.url, each))
  }
  kept.push(await burstKept(server.url))
  await report(server.url)
  server.stop()
  return kept.every(Boolean)
}
