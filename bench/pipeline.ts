/**
 * What a whole pipeline costs a call: total timeout, retry, circuit breaker and attempt timeout,
 * around a body that resumes in a microtask. Beside it in the same process the same four from
 * cockatiel, from effect 4.1 and from the combinators of Effect 3.
 *
 * Everything is built once and called many times. Cockatiel runs its own body, a promise, without
 * Effect around it; the breaker of plain Effect 3 is the shortest that counts: a `Ref` with what
 * happened last.
 */
import * as cockatiel from "cockatiel"
import { Effect, Ref, Schedule } from "effect"
import { Backoff, Operation, Pipeline } from "effect-resilience"
import { Effect as Effect4, Schedule as Schedule4, Scope as Scope4 } from "effect4"
import { CircuitBreaker as Breaker4 } from "effect4/persistence"
import { leavesNothing } from "./leaks.js"
import { effect, effect4, gated, measure, type Work } from "./measure.js"

let calls = 0
const body = Effect.async<number>((resume) => queueMicrotask(() => resume(Effect.succeed(++calls))))
const body4 = Effect4.callback<number>((resume) =>
  queueMicrotask(() => resume(Effect4.succeed(++calls)))
)
const promised = () => new Promise<number>((resolve) => queueMicrotask(() => resolve(++calls)))

const total = 20_000
const attempt = 5000

const ours = () =>
  Effect.runSync(Pipeline.make({
    operation: Operation.read,
    totalTimeout: total,
    retry: { retries: 2, backoff: Backoff.exponential({ base: 100 }) },
    circuitBreaker: {},
    attemptTimeout: attempt
  }))

const cockatielWrap = () =>
  cockatiel.wrap(
    cockatiel.timeout(total, cockatiel.TimeoutStrategy.Aggressive),
    cockatiel.retry(cockatiel.handleAll, {
      maxAttempts: 2,
      backoff: new cockatiel.ExponentialBackoff({ initialDelay: 100 })
    }),
    cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 30_000,
      breaker: new cockatiel.CountBreaker({ threshold: 0.5, size: 20 })
    }),
    cockatiel.timeout(attempt, cockatiel.TimeoutStrategy.Aggressive)
  )

const promises = (call: () => Promise<unknown>): Work => async (calls) => {
  for (let left = calls; left > 0; left--) await call()
}

const plain4 = async () => {
  const breaker = await Effect4.runPromise(
    Breaker4.make({
      tripPolicy: Breaker4.rate({ threshold: 0.5, size: 20 }),
      openDuration: "30 seconds"
    }).pipe(
      Effect4.provide(Breaker4.layerStoreMemory()),
      Effect4.provideService(Scope4.Scope, Scope4.makeUnsafe())
    )
  )
  return breaker.execute(Effect4.timeout(body4, attempt), { key: "default" }).pipe(
    Effect4.retry({ times: 2, schedule: Schedule4.exponential(100) }),
    Effect4.timeout(total)
  )
}

const plain3 = () => {
  const failures = Ref.unsafeMake(0)
  return Ref.get(failures).pipe(
    Effect.filterOrFail((count) => count < 10, () => "open" as const),
    Effect.zipRight(Effect.timeout(body, attempt)),
    Effect.tapBoth({
      onFailure: () => Ref.update(failures, (count) => count + 1),
      onSuccess: () => Ref.set(failures, 0)
    }),
    Effect.retry(Schedule.intersect(Schedule.exponential(100), Schedule.recurs(2))),
    Effect.timeout(total)
  )
}

export const run = async (): Promise<boolean> => {
  const wrapped = cockatielWrap()
  const nanos = await measure({
    bare: effect(body),
    ours: effect(Pipeline.protect(body, ours())),
    cockatiel: promises(() => wrapped.execute(promised)),
    effect4: effect4(await plain4()),
    effect3: effect(plain3())
  }, { calls: 10_000, rounds: 7 })
  console.log("Pipeline of four, asynchronous body, ns per call (fastest of 7 rounds of 10,000)")
  for (const [name, ns] of Object.entries(nanos)) {
    console.log(`  ${name.padEnd(12)}${ns.toFixed(0).padStart(8)}`)
  }
  return [
    gated("total / cockatiel's wrap of the four", nanos.ours / nanos.cockatiel, 1 / 2),
    gated("total / effect 4.1's own four", nanos.ours / nanos.effect4, 1),
    gated("total / the four from plain Effect 3", nanos.ours / nanos.effect3, 1 / 6),
    await leavesNothing(Pipeline.protect(body, ours()))
  ].every(Boolean)
}
