/**
 * Measures one kind of call in a process of its own: the platform's client, a second copy of it and
 * ours, each with its own connections, one round after the other. Prints the rounds as JSON.
 */
import { Effect } from "effect"
import { type Rounds, settingsOf } from "./settings.js"
import { ours, platform, upstream } from "./things.js"

/** 32 callers at a time, as `forEach` starts them. */
const round = (call: Effect.Effect<unknown, unknown>, calls: number, callers: number) =>
  Effect.runPromise(Effect.forEach(
    Array.from({ length: calls }),
    () => call,
    { concurrency: callers, discard: true }
  ))

const cpuMicros = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

const { callers, calls, kind, mode, rounds, url, warmUp } = settingsOf(process.argv.slice(2))

const clients = {
  platform: await platform(kind, url, await upstream()),
  control: await platform(kind, url, await upstream()),
  ours: await ours(kind, url, await upstream())
}

/** Microseconds of CPU for each call, of all threads. */
const cpu = async (call: Effect.Effect<unknown, unknown>): Promise<number> => {
  const before = cpuMicros()
  await round(call, calls, callers)
  return (cpuMicros() - before) / calls
}

/**
 * Bytes of heap that each call allocates. New objects have room for all calls of a round, so nothing
 * is collected in between.
 */
const heap = async (call: Effect.Effect<unknown, unknown>): Promise<number> => {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  await round(call, calls, callers)
  return (process.memoryUsage().heapUsed - before) / calls
}

const names = Object.keys(clients) as Array<keyof typeof clients>
const found: Record<keyof typeof clients, Array<number>> = { platform: [], control: [], ours: [] }
const measured = mode === "cpu" ? cpu : heap
for (let index = -warmUp; index < rounds; index++) {
  // Each client comes first, second and last equally often.
  const shift = (index + warmUp) % names.length
  for (const name of [...names.slice(shift), ...names.slice(0, shift)]) {
    const value = await measured(clients[name])
    if (index >= 0) found[name].push(value)
  }
}
const result: Rounds = found
console.log(JSON.stringify(result))
process.exit()
