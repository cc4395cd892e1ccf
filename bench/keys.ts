/**
 * What a call costs with many keys: ten, or three hundred thousand, used in turn.
 *
 * The work of a guard is constant; what is left is memory that the processor has to wait for, since
 * no cache holds three hundred thousand of anything. The gate is on calls whose answer comes later,
 * as that of every upstream does. Calls that end at once are shown beside them, and so is a plain
 * `Map` that counts: what no guard can be better than.
 */
import { Effect } from "effect"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { gated, measure, type Work } from "./measure.js"

const fewKeys = 10
const manyKeys = 300_000

/** A call under a key. */
type Guarded = (key: string) => Effect.Effect<void, unknown>

const keys = Array.from({ length: manyKeys }, (_, index) => `tenant-${index}`)

/** Calls under the first so many keys, one after the other, round and round. */
const inTurn = (guarded: Guarded, count: number): Work => {
  let next = 0
  const call: Effect.Effect<void, unknown> = Effect.suspend(() => {
    const key = keys[next]!
    next = (next + 1) % count
    return guarded(key)
  })
  return (calls) => {
    let left = calls
    return Effect.runPromise(
      Effect.suspend(() =>
        Effect.whileLoop({ while: () => left-- > 0, step: () => {}, body: () => call })
      ).pipe(Effect.orDie)
    )
  }
}

/** An answer that comes later. */
const later = Effect.promise(() => Promise.resolve())

const of = <G>(
  make: Effect.Effect<G>,
  protect: (
    guard: G,
    answer: Effect.Effect<void>,
    options: { readonly key: string }
  ) => Effect.Effect<void, unknown>
) =>
(answer: Effect.Effect<void>): Guarded => {
  const guard = Effect.runSync(make)
  return (key) => protect(guard, answer, { key })
}

const guards: Readonly<Record<string, (answer: Effect.Effect<void>) => Guarded>> = {
  CircuitBreaker: of(
    CircuitBreaker.make({ window: CircuitBreaker.count(10) }),
    (guard, answer, options) => guard.protect(answer, options)
  ),
  RateLimiter: of(
    // Over an hour, or a key would be forgotten between two of its calls.
    RateLimiter.make({ limit: 1_000_000, interval: "1 hour", mode: "reject" }),
    (guard, answer, options) => guard.protect(answer, options)
  ),
  Bulkhead: of(
    Bulkhead.make({ concurrency: 10, perKey: true }),
    (guard, answer, options) => guard.protect(answer, options)
  ),
  AdaptiveThrottle: of(
    AdaptiveThrottle.make(),
    (guard, answer, options) => guard.protect(answer, options)
  ),
  AdaptiveConcurrency: of(
    AdaptiveConcurrency.make(),
    (guard, answer, options) => guard.protect(answer, options)
  )
}

/** The floor: one look into a map, and a number that is counted up. */
const plain = (): Guarded => {
  const counts = new Map(keys.map((key) => [key, { calls: 0 }]))
  return (key) => {
    counts.get(key)!.calls++
    return Effect.void
  }
}

const compare = async (
  few: Guarded,
  many: Guarded
): Promise<{ readonly few: number; readonly many: number }> => {
  const work = { few: inTurn(few, fewKeys), many: inTurn(many, manyKeys) }
  // Every key is there before anything is measured.
  await work.many(manyKeys)
  return await measure(work, { calls: manyKeys, rounds: 4 })
}

const said = (name: string, { few, many }: { readonly few: number; readonly many: number }) =>
  console.log(
    `  ${name}: ${few.toFixed(0)} ns with ${fewKeys} keys, ${many.toFixed(0)} ns with ${manyKeys}`
  )

export const run = async (): Promise<boolean> => {
  said("a plain Map that counts", await compare(plain(), plain()))
  const kept: Array<boolean> = []
  for (const [name, make] of Object.entries(guards)) {
    said(`${name}, a call that ends at once`, await compare(make(Effect.void), make(Effect.void)))
    const nanos = await compare(make(later), make(later))
    said(`${name}, an answer that comes later`, nanos)
    kept.push(gated(`${name}: many keys / few keys, per call`, nanos.many / nanos.few, 1.5))
  }
  return kept.every(Boolean)
}
