/**
 * What a circuit breaker costs a call, in one process with its peers: effect 4.1's CircuitBreaker
 * on its own runtime, cockatiel and opossum as an Effect program would call them (a promise in, a
 * promise out).
 *
 * The body is one increment. "Added" is what a breaker adds to the bare effect of the same runtime.
 */
import * as cockatiel from "cockatiel"
import { Data, Duration, Effect } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { Effect as Effect4, Scope as Scope4 } from "effect4"
import { CircuitBreaker as Breaker4 } from "effect4/persistence"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import Opossum from "opossum"
import { effect, effect4, gated, measure } from "./measure.js"

let calls = 0
const bare = Effect.sync(() => ++calls)
const bare4 = Effect4.sync(() => ++calls)

const make = (options?: CircuitBreaker.Options) => Effect.runSync(CircuitBreaker.make(options))

const breaker4 = () =>
  Effect4.runPromise(
    Breaker4.make({
      tripPolicy: Breaker4.rate({ threshold: 0.5, size: 20 }),
      openDuration: "30 seconds"
    }).pipe(
      Effect4.provide(Breaker4.layerStoreMemory()),
      Effect4.provideService(Scope4.Scope, Scope4.makeUnsafe())
    )
  )

const closedPath = async (): Promise<boolean> => {
  const policy = cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: 30_000,
    breaker: new cockatiel.CountBreaker({ threshold: 0.5, size: 20 })
  })
  const opossum = new Opossum(() => Effect.runPromise(bare), { timeout: false })
  const theirs = await breaker4()
  const nanos = await measure({
    bare: effect(bare),
    ours: effect(make().protect(bare)),
    bare4: effect4(bare4),
    effect4: effect4(theirs.execute(bare4, { key: "default" })),
    cockatiel: effect(Effect.promise(() => policy.execute(() => Effect.runPromise(bare)))),
    opossum: effect(Effect.promise(() => opossum.fire()))
  }, { calls: 50_000, rounds: 5 })
  opossum.shutdown()
  console.log("Circuit breaker, closed, ns per call (fastest of 5 rounds of 50,000)")
  for (const [name, ns] of Object.entries(nanos)) {
    console.log(`  ${name.padEnd(12)}${ns.toFixed(0).padStart(8)}`)
  }
  console.log(`  ours / the bare effect: ${(nanos.ours / nanos.bare).toFixed(1)}`)
  const added = (nanos.ours - nanos.bare) / (nanos.effect4 - nanos.bare4)
  return [
    gated("closed: added / added by effect 4.1's CircuitBreaker", added, 1 / 4),
    gated("closed: total / cockatiel called from Effect", nanos.ours / nanos.cockatiel, 1),
    gated("closed: total / opossum called from Effect", nanos.ours / nanos.opossum, 1)
  ].every(Boolean)
}

/** The same rejection, but as an ordinary error: it captures a stack. */
class Traced extends Data.TaggedError("CircuitOpen")<
  { readonly key: string; readonly retryAfter: Duration.Duration }
> {}

const rejection = async (): Promise<boolean> => {
  const breaker = make()
  Effect.runSync(breaker.forceOpen())
  const rejected = Effect.exit(breaker.protect(bare))
  const retryAfter = Duration.infinity
  const nanos = await measure({
    untraced: effect(
      Effect.sync(() => new CircuitBreaker.CircuitOpen({ key: "default", retryAfter }))
    ),
    traced: effect(Effect.sync(() => new Traced({ key: "default", retryAfter }))),
    rejected: effect(rejected)
  }, { calls: 50_000, rounds: 5 })
  // What the whole rejection would cost with a stack: the rest stays the same.
  const withStack = nanos.rejected - nanos.untraced + nanos.traced
  console.log(
    `  rejected: ${nanos.rejected.toFixed(0)} ns per call, with a stack ${withStack.toFixed(0)} ns`
  )
  return gated(
    "rejected: total / the same with a captured stack",
    nanos.rejected / withStack,
    1 / 5
  )
}

const windows = async (): Promise<boolean> => {
  const of = (size: number) => effect(make({ window: CircuitBreaker.count(size) }).protect(bare))
  const nanos = await measure({ small: of(10), large: of(100_000) }, { calls: 100_000, rounds: 7 })
  const ratio = Math.max(nanos.large / nanos.small, nanos.small / nanos.large)
  return gated("window of 100 000 / window of 10, per call (either way)", ratio, 1.2)
}

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const heapBytes = (): number => {
  collect()
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const memory = async (): Promise<boolean> => {
  const keys = 20_000
  const breaker = make({ window: CircuitBreaker.count(20) })
  const call = (key: number) => breaker.protect(bare, { key: `key-${key}` })
  await Effect.runPromise(call(0))
  const before = heapBytes()
  await Effect.runPromise(
    Effect.forEach(Array.from({ length: keys }, (_, key) => key), call, { discard: true })
  )
  const perKey = (heapBytes() - before) / keys
  console.log(`  ${perKey.toFixed(0)} bytes of heap for each idle key with a window of 20`)

  const one = make().protect(bare)
  await effect(one)(100_000)
  const heap = heapBytes()
  const timers = process.getActiveResourcesInfo().length
  await effect(one)(1_000_000)
  const grown = heapBytes() - heap
  const moreTimers = process.getActiveResourcesInfo().length - timers
  console.log(`  a million calls: heap grew by ${grown} bytes, timers and handles by ${moreTimers}`)
  return [
    gated("bytes for each idle key / 1024", perKey / 1024, 1),
    gated("heap growth over a million calls, bytes per call", grown / 1_000_000, 0.5),
    gated("timers and handles left behind by a million calls", moreTimers, 0)
  ].every(Boolean)
}

export const run = async (): Promise<boolean> => {
  const kept = [await closedPath(), await rejection(), await windows(), await memory()]
  return kept.every(Boolean)
}
