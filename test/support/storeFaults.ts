/**
 * Calls under faults of their store, and what has to hold of them whatever happens: a key is
 * executed once at most, and every success that a caller was told is replayed later.
 */
import { Duration, Effect, Random, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { type Operation } from "./faultyStore.js"
import { Busy } from "./idempotent.js"

/** What came of all runs. */
export interface Tally {
  runs: number
  keys: number
  calls: number
  executions: number
  successes: number
  replays: number
  unknown: number
  /** Keys that were executed more than once, and successes that were not replayed. */
  readonly wrong: Array<string>
}

export const newTally = (): Tally => ({
  runs: 0,
  keys: 0,
  calls: 0,
  executions: 0,
  successes: 0,
  replays: 0,
  unknown: 0,
  wrong: []
})

export interface Scenario {
  readonly name: string
  readonly keys: number
  readonly callers: number
  /** The call of the store that the fault meets. */
  readonly operation: Operation
  /** Does the harm. */
  readonly harm: Effect.Effect<void>
  /** Undoes it. */
  readonly calm: Effect.Effect<void>
}

const storeTimeout = "300 millis"

const asking = (told: string): boolean =>
  told === "StoreUnavailable" || told === "InFlight" || told === "Busy"

/** Before one call of an operation, chosen by chance, the harm is done. */
const harmed = (
  store: IdempotencyStore.Service,
  { harm, operation }: Scenario,
  nth: number
): IdempotencyStore.Service => {
  let count = 0
  const before = <A, E>(name: Operation, call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => name === operation && count++ === nth ? Effect.zipRight(harm, call) : call)
  return {
    ...store,
    acquire: (claim) => before("acquire", store.acquire(claim)),
    complete: (...all) => before("complete", store.complete(...all)),
    release: (held) => before("release", store.release(held)),
    extend: (...all) => before("extend", store.extend(...all)),
    savepoint: (...all) => before("savepoint", store.savepoint(...all))
  }
}

/** One run: some keys, some callers for each, one fault, and then the calls for the replays. */
export const underFault = (
  inner: IdempotencyStore.Service,
  scenario: Scenario,
  tally: Tally,
  index: number
) =>
  Effect.gen(function*() {
    const { callers, keys, name, operation } = scenario
    const store = harmed(inner, scenario, yield* Random.nextIntBetween(0, Math.min(keys, 3)))
    const beats = operation === "extend"
    // Much longer than any fault, and than a busy machine stands still.
    const lease = Duration.seconds(beats ? 6 : 10)
    /** Longer each time: callers that come back at once would keep a busy store busy. */
    const pause = (before: number) =>
      Effect.flatMap(
        Random.nextIntBetween(10, 60),
        (millis) => Effect.sleep(Math.min(2_000, millis * 1.5 ** before))
      )
    const executions = new Map<string, number>()
    const refused = new Set<string>()

    const work = (key: string) => (run: Idempotency.Run) =>
      Effect.gen(function*() {
        // What an earlier run left open stays open.
        if (run.recovered) return yield* Effect.fail("Recovered" as const)
        if (operation === "release" && !refused.has(key)) {
          refused.add(key)
          return yield* new Busy()
        }
        if (operation === "savepoint") yield* Effect.ignore(run.savepoint({ half: key }))
        // Until after the first beat, which comes after a third of the lease.
        if (beats) yield* Effect.sleep(1.05 * Duration.toMillis(lease) / 3)
        const count = (executions.get(key) ?? 0) + 1
        executions.set(key, count)
        yield* Effect.yieldNow()
        return `${key}#${count}`
      })

    const call = (key: string) =>
      Effect.flatMap(IdempotencyKey.fromString(key), (made) => {
        tally.calls++
        return Idempotency.run(work(key), {
          scope: ["faults", name],
          payload: key,
          result: Schema.String,
          storeTimeout,
          lease,
          heartbeat: beats
        }).pipe(
          IdempotencyKey.provide(made),
          Effect.provideService(IdempotencyStore.IdempotencyStore, store),
          Effect.catchAll((error) => Effect.succeed(typeof error === "string" ? error : error._tag))
        )
      })

    /** Asks until there is an answer that is no refusal. */
    const caller = (key: string, before = 0): ReturnType<typeof call> =>
      Effect.flatMap(
        Effect.zipRight(pause(before), call(key)),
        (told) => asking(told) && before < 100 ? caller(key, before + 1) : Effect.succeed(told)
      )

    const names = Array.from({ length: keys }, (_, n) => `${name}-${index}-${n}`)
    const told = yield* Effect.forEach(
      names.flatMap((key) => Array.from({ length: callers }, () => key)),
      (key) => Effect.map(caller(key), (value) => [key, value] as const),
      { concurrency: "unbounded" }
    )
    yield* scenario.calm
    const later = yield* Effect.forEach(
      names,
      (key) => Effect.map(caller(key), (value) => [key, value] as const),
      { concurrency: "unbounded" }
    )
    const replayed = new Map(later)
    tally.runs++
    tally.keys += keys
    for (const key of names) {
      const count = executions.get(key) ?? 0
      tally.executions += count
      if (count > 1) tally.wrong.push(`${key} was executed ${count} times`)
      if (!String(replayed.get(key)).includes("#")) tally.unknown++
    }
    for (const [key, value] of told) {
      if (!value.includes("#")) continue
      tally.successes++
      if (replayed.get(key) === value) tally.replays++
      else tally.wrong.push(`${key} was told ${value}, and later ${replayed.get(key)}`)
    }
  })
