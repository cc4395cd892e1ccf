/**
 * One process among several on one store. Reads commands as lines of JSON from its standard input,
 * and prints what it has seen as lines of JSON. It imports no more than it needs, and so starts
 * sooner.
 */
import * as Idempotency from "effect-resilience/Idempotency"
import * as IdempotencyKey from "effect-resilience/IdempotencyKey"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as readline from "node:readline"
import { backends, type Name } from "../support/stores.js"

export interface Command {
  readonly store: Name
  readonly port: number
  /**
   * `race`: runs a hundred keys, from this moment on. `hang`: claims one key, gets half way, and
   * stays there.
   */
  readonly job:
    | { readonly race: { readonly me: string; readonly atMillis: number } }
    | { readonly hang: { readonly key: string; readonly leaseMillis: number } }
}

/** What a racing process has seen: what it executed itself, and the result of each run. */
export interface Seen {
  readonly executed: ReadonlyArray<string>
  readonly results: ReadonlyArray<readonly [key: string, result: string]>
}

const print = (value: unknown): Effect.Effect<void> =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify(value)}\n`))

const race = (me: string) =>
  Effect.gen(function*() {
    const executed: Array<string> = []
    const one = (name: string) =>
      Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
        // It takes long enough for all to have begun before the first has everything.
        Effect.suspend(() => {
          executed.push(name)
          return Effect.as(Effect.sleep("20 millis"), me)
        }).pipe(
          Idempotency.run({
            scope: ["race"],
            payload: name,
            result: Schema.String,
            onDuplicate: { wait: "20 seconds" },
            storeTimeout: "10 seconds"
          }),
          IdempotencyKey.provide(key),
          Effect.map((result) => [name, result] as const)
        ))
    const names = Array.from({ length: 100 }, (_, index) => `key-${index}`)
    // Two begin at each end: the first to begin would stay ahead of all that follow it.
    if (me > "b") names.reverse()
    const results = yield* Effect.forEach(names, one, { concurrency: 10 })
    return { executed, results } satisfies Seen
  })

const hang = (name: string, leaseMillis: number) =>
  Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
    Idempotency.run(
      (run: Idempotency.Run) =>
        Effect.gen(function*() {
          yield* run.savepoint("half way")
          yield* print({
            recovered: run.recovered,
            recoveryPoint: Option.getOrNull(run.recoveryPoint)
          })
          return yield* Effect.never
        }),
      {
        scope: ["hang"],
        payload: name,
        result: Schema.String,
        lease: leaseMillis,
        storeTimeout: "10 seconds"
      }
    ).pipe(IdempotencyKey.provide(key)))

const until = (millis: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Math.max(0, millis - now)))

const run = ({ job, port, store }: Command) => {
  const done = "race" in job
    ? Effect.flatMap(Effect.zipRight(until(job.race.atMillis), race(job.race.me)), print)
    : hang(job.hang.key, job.hang.leaseMillis)
  return Effect.runPromise(
    Effect.asVoid(done).pipe(Effect.provide(backends[store].layer(() => port)))
  )
}

process.stdout.write("\"ready\"\n")

for await (const line of readline.createInterface({ input: process.stdin })) {
  await run(JSON.parse(line))
}
