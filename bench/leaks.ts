/** What calls leave behind: heap, timers and fibers. */
import { Effect, Fiber } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { effect, gated } from "./measure.js"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapBytes = (): number => {
  collect()
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const timers = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

const fibers = (): number => Effect.runSync(Fiber.roots).length

/** Runs a call a hundred thousand times, and looks at what is left. */
export const leavesNothing = async (call: Effect.Effect<unknown, unknown>): Promise<boolean> => {
  const calls = 100_000
  await effect(call)(calls / 10)
  const before = { heap: heapBytes(), timers: timers(), fibers: fibers() }
  await effect(call)(calls)
  const grown = heapBytes() - before.heap
  console.log(`  100 000 calls: heap grew by ${grown} bytes`)
  return [
    gated("heap growth over 100 000 calls, bytes per call", grown / calls, 1),
    gated("timers left behind by them", timers() - before.timers, 0),
    gated("fibers left behind by them", fibers() - before.fibers, 0)
  ].every(Boolean)
}
