/**
 * What a limit costs a call that ends in time: what `Timeout.attempt` adds to the bare effect,
 * against what `Effect.timeout` adds.
 *
 * The body is asynchronous, it resumes in a microtask, so that a timer is really armed. A body that
 * ends at once is shown beside it.
 */
import { Effect } from "effect"
import { Timeout } from "effect-resilience"
import { leavesNothing } from "./leaks.js"
import { effect, gated, measure } from "./measure.js"

let calls = 0
const asynchronous = Effect.async<number>((resume) =>
  queueMicrotask(() => resume(Effect.succeed(++calls)))
)
const synchronous = Effect.sync(() => ++calls)

export const run = async (): Promise<boolean> => {
  const nanos = await measure({
    bare: effect(asynchronous),
    effect: effect(Effect.timeout(asynchronous, "5 seconds")),
    ours: effect(Timeout.attempt(asynchronous, "5 seconds")),
    bareSync: effect(synchronous),
    effectSync: effect(Effect.timeout(synchronous, "5 seconds")),
    oursSync: effect(Timeout.attempt(synchronous, "5 seconds"))
  }, { calls: 20_000, rounds: 5 })
  console.log("Timeout, in time: ns per call (fastest of 5 rounds of 20,000)")
  for (const [name, ns] of Object.entries(nanos)) {
    console.log(`  ${name.padEnd(12)}${ns.toFixed(0).padStart(8)}`)
  }
  const added = (nanos.ours - nanos.bare) / (nanos.effect - nanos.bare)
  const addedSync = (nanos.oursSync - nanos.bareSync) / (nanos.effectSync - nanos.bareSync)
  return [
    gated("asynchronous body: added / added by Effect.timeout", added, 1 / 2),
    gated("synchronous body: added / added by Effect.timeout", addedSync, 1 / 2),
    await leavesNothing(Timeout.attempt(asynchronous, "5 seconds"))
  ].every(Boolean)
}
