/**
 * One process among several on one store. Reads a command from its arguments, says when it is ready, begins when it is told to on its standard input, and
 * prints what it has seen as a line of JSON. It imports no more than it needs, and so starts sooner.
 */
import * as Idempotency from "effect-resilience/Idempotency"
import * as IdempotencyKey from "effect-resilience/IdempotencyKey"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { backends, type Name } from "../support/stores.js"

export interface Command {
  readonly store: Name
  readonly port: number
  readonly me: string
  /** `race`: runs this many keys. `hang`: claims one key, gets half way, and stays there. */
  readonly job: { readonly race: number } | { readonly hang: string; readonly leaseMillis: number }
}

/** What a racing process has seen: what it executed itself, and what everybody was told. */
export interface Seen {
  readonly executed: ReadonlyArray<string>
  readonly results: ReadonlyArray<readonly [key: string, result: string]>
}

const print = (value: unknown): Effect.Effect<void> =>
  Effect.sync(() => void process.stdout.write(`${JSON.stringify(value)}\n`))

const told = Effect.async<void>((resume) => {
  process.stdin.once("data", () => resume(Effect.void))
})

const race = (me: string, keys: number) =>
  Effect.gen(function*() {
    const executed: Array<string> = []
    const one = (name: string) =>
      Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
        Effect.sync(() => {
          executed.push(name)
          return me
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
    const names = Array.from({ length: keys }, (_, index) => `key-${index}`)
    const results = yield* Effect.forEach(names, one, { concurrency: 10 })
    return { executed, results } satisfies Seen
  })

const hang = (name: string, leaseMillis: number) =>
  Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
    Idempotency.run(
      (run: Idempotency.Run) =>
        Effect.gen(function*() {
          yield* run.savepoint("half way")
          yield* print({ recovered: run.recovered, recoveryPoint: Option.getOrNull(run.recoveryPoint) })
          return yield* Effect.never
        }),
      { scope: ["hang"], payload: name, result: Schema.String, lease: leaseMillis, storeTimeout: "10 seconds" }
    ).pipe(IdempotencyKey.provide(key)))

const command: Command = JSON.parse(process.argv[2] ?? "{}")

const program = Effect.gen(function*() {
  const { job, me } = command
  // The connection is there before the race begins.
  yield* print("ready")
  yield* told
  yield* print("race" in job ? yield* race(me, job.race) : yield* hang(job.hang, job.leaseMillis))
}).pipe(Effect.provide(backends[command.store].layer(() => command.port)))

Effect.runPromise(program).then(() => process.exit(0), (error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exit(1)
})
