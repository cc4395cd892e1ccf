import { expect, it } from "@effect/vitest"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { Effect, Either, Option, Schema } from "effect"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe } from "vitest"
import { pause, type Server, without } from "../support/server.js"
import { backends } from "../support/stores.js"
import type { Command, Seen } from "./worker.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** A process, and the lines of JSON that it prints. */
const worker = (command: Command) => {
  const child = spawn(process.execPath, ["--import", "tsx", "test/store/worker.ts", JSON.stringify(command)], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"]
  })
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    next: async (): Promise<unknown> => {
      const line = await lines.next()
      if (line.done === true) throw new Error("the process has ended")
      return JSON.parse(line.value)
    },
    begin: () => void child.stdin.write("begin\n"),
    kill: () => void child.kill("SIGKILL")
  }
}

for (const backend of [backends.PostgreSQL, backends.Redis]) {
  if (!backend.isInstalled) without(backend.name)

  describe.skipIf(!backend.isInstalled)(`${backend.name}: processes`, () => {
    let server: Server
    beforeAll(async () => {
      server = await backend.start()
    }, 20_000)
    afterAll(() => server.stop())

    it(
      "I12, I13: of four processes that run a hundred keys at once, for each key one executes, and all are told what that one said",
      async () => {
        const me = ["a", "b", "c", "d"]
        const workers = me.map((me) => worker({ store: backend.name, port: server.port, me, job: { race: 100 } }))
        try {
          await Promise.all(workers.map((worker) => worker.next()))
          for (const worker of workers) worker.begin()
          const seen = await Promise.all(workers.map((worker) => worker.next())) as ReadonlyArray<Seen>
          const winners = new Map(
            seen.flatMap(({ executed }, index) => executed.map((key) => [key, me[index]] as const))
          )
          const told = seen.flatMap(({ results }) => results)
          expect([
            seen.reduce((sum, { executed }) => sum + executed.length, 0),
            winners.size,
            told.length,
            told.filter(([key, result]) => winners.get(key) !== result)
          ]).toEqual([100, 100, 400, []])
          // A race that one process has all to itself shows nothing.
          expect(new Set(winners.values()).size).toBeGreaterThan(1)
        } finally {
          for (const worker of workers) worker.kill()
        }
      },
      25_000
    )

    it(
      "I20, I29: what a killed process had claimed is in flight until its lease ends, then one takes over, with its recovery point",
      async () => {
        const leaseMillis = 2500
        const work = (run: Idempotency.Run) =>
          Effect.as(Effect.sleep("50 millis"), [run.recovered, Option.getOrNull(run.recoveryPoint)] as const)
        const attempt = Effect.flatMap(IdempotencyKey.fromString("doomed"), (key) =>
          Idempotency.run(work, {
            scope: ["hang"],
            payload: "doomed",
            result: Schema.Tuple(Schema.Boolean, Schema.NullOr(Schema.Unknown)),
            lease: "20 seconds"
          }).pipe(
            IdempotencyKey.provide(key),
            Effect.either,
            Effect.map(Either.match({ onLeft: (error) => error._tag, onRight: (result) => result }))
          ))
        const all = Effect.all([attempt, attempt, attempt, attempt, attempt], { concurrency: "unbounded" })
        const doomed = worker({ store: backend.name, port: server.port, me: "x", job: { hang: "doomed", leaseMillis } })
        try {
          await doomed.next()
          doomed.begin()
          const begun = await doomed.next()
          doomed.kill()
          const answers = await Effect.runPromise(
            Effect.gen(function*() {
              const during = yield* all
              yield* Effect.promise(() => pause(leaseMillis))
              return { during, after: yield* all }
            }).pipe(Effect.provide(backend.layer(() => server.port)))
          )
          const inFlight = "InFlight"
          expect([begun, answers.during, answers.after.map((answer) => JSON.stringify(answer)).sort()]).toEqual([
            { recovered: false, recoveryPoint: null },
            [inFlight, inFlight, inFlight, inFlight, inFlight],
            ["\"InFlight\"", "\"InFlight\"", "\"InFlight\"", "\"InFlight\"", "[true,\"half way\"]"]
          ])
        } finally {
          doomed.kill()
        }
      },
      25_000
    )
  })
}
