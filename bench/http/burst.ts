/**
 * Ten thousand calls at once in a process of its own: how long they take through the platform's
 * client and through ours, and what they leave behind. Prints what it found as JSON.
 */
import type { HttpClient } from "@effect/platform"
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type Burst, burstSettingsOf, type Left } from "./settings.js"
import { ours, platform, upstream } from "./things.js"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const { calls, connections, rounds, url } = burstSettingsOf(process.argv.slice(2))

/** Milliseconds of each call, in the order of their ends. */
const burst = async (call: Effect.Effect<unknown, unknown>): Promise<ReadonlyArray<number>> => {
  const took: Array<number> = []
  await Effect.runPromise(Effect.forEach(
    Array.from({ length: calls }),
    () =>
      Effect.suspend(() => {
        const begun = performance.now()
        return Effect.ensuring(call, Effect.sync(() => void took.push(performance.now() - begun)))
      }),
    { concurrency: "unbounded", discard: true }
  ))
  return took
}

const p99Of = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? Number.NaN

const resources = (name: string): number =>
  process.getActiveResourcesInfo().filter((each) => each === name).length

const left = (): Left => {
  collect()
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return {
    heapBytes: heapUsed + arrayBuffers,
    timers: resources("Timeout"),
    sockets: resources("TCPSocketWrap")
  }
}

const make = async (
  of: (
    kind: "get",
    url: string,
    client: HttpClient.HttpClient
  ) => Promise<Effect.Effect<unknown, unknown>>
) => of("get", url, await upstream(connections))

const clients = { platform: await make(platform), ours: await make(ours) }
const p99: { [name in keyof typeof clients]: Array<number> } = { platform: [], ours: [] }

/** The first bursts open the connections, and make the code quick. */
for (let round = 0; round < 3; round++) {
  for (const call of Object.values(clients)) await burst(call)
}
const before = left()
for (let round = 0; round < rounds; round++) {
  const names: ReadonlyArray<keyof typeof clients> = round % 2 === 0
    ? ["platform", "ours"]
    : ["ours", "platform"]
  for (const name of names) p99[name].push(p99Of(await burst(clients[name])))
}
const result: Burst = { p99, before, after: left() }
console.log(JSON.stringify(result))
process.exit()
