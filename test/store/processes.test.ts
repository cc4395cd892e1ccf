import { expect, it } from "@effect/vitest"
import { Effect, Either, Option, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe } from "vitest"
import { pause, type Server, without } from "../support/processes.js"
import { type Backend, backends } from "../support/stores.js"
import type { Command, Seen } from "./worker.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * A process, and the lines of JSON that it prints. It ends when this process does, because its
 * standard input does.
 */
const worker = () => {
  const child = spawn(process.execPath, ["--import", "tsx", "test/store/worker.ts"], {
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
    tell: (command: Command) => void child.stdin.write(`${JSON.stringify(command)}\n`),
    kill: () => void child.kill("SIGKILL")
  }
}

type Worker = ReturnType<typeof worker>

/** One of some calls at once that finds what a process left behind. */
const attempt = (name: string, othersAreAnswered: Effect.Latch) =>
  Effect.flatMap(IdempotencyKey.fromString(name), (key) =>
    Idempotency.run(
      (run: Idempotency.Run) =>
        Effect.as(
          othersAreAnswered.await,
          [run.recovered, Option.getOrNull(run.recoveryPoint)] as const
        ),
      {
        scope: ["hang"],
        payload: name,
        result: Schema.Tuple(Schema.Boolean, Schema.NullOr(Schema.Unknown)),
        lease: "20 seconds"
      }
    ).pipe(
      IdempotencyKey.provide(key),
      Effect.either,
      Effect.map(
        Either.match({ onLeft: (error) => error._tag, onRight: (result) => JSON.stringify(result) })
      )
    ))

/** Five calls at once. One that may run does so until the other four are answered. */
const attempts = (name: string) =>
  Effect.flatMap(Effect.makeLatch(), (othersAreAnswered) => {
    let answered = 0
    const answer = Effect.suspend(() => ++answered === 4 ? othersAreAnswered.open : Effect.void)
    const one = Effect.zipLeft(attempt(name, othersAreAnswered), answer)
    return Effect.all(Array.from({ length: 5 }, () => one), { concurrency: "unbounded" })
  })

describe("processes", () => {
  /** Starting takes most of the time, so all tests share them; a test that kills one keeps it. */
  let workers: ReadonlyArray<Worker> = []
  beforeAll(async () => {
    workers = Array.from({ length: 4 }, worker)
    await Promise.all(workers.map((worker) => worker.next()))
  }, 60_000)
  afterAll(() => {
    for (const worker of workers) worker.kill()
  })

  const tested = [backends.PostgreSQL, backends.Redis]

  const withServer = async (
    backend: Backend,
    use: (server: Server) => Promise<void>
  ): Promise<void> => {
    const server = await backend.start()
    try {
      await use(server)
    } finally {
      await server.stop()
    }
  }

  for (const backend of tested) {
    if (!backend.isInstalled) without(backend.name)

    it.skipIf(!backend.isInstalled)(
      `I12, I13: ${backend.name}: of four processes that run a hundred keys at once, for each key one executes, and all are told what that one said`,
      () =>
        withServer(backend, async ({ port }) => {
          const me = ["a", "b", "c", "d"]
          const atMillis = Date.now() + 1000
          workers.forEach((worker, index) =>
            worker.tell({
              store: backend.name,
              port,
              job: { race: { me: me[index] ?? "", atMillis } }
            })
          )
          const seen = await Promise.all(workers.map((worker) => worker.next())) as ReadonlyArray<
            Seen
          >
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
        }),
      60_000
    )
  }

  tested.forEach((backend, index) => {
    it.skipIf(!backend.isInstalled)(
      `I20, I29: ${backend.name}: what a killed process had claimed is in flight until its lease ends, then one takes over, with its recovery point`,
      () =>
        withServer(backend, async ({ port }) => {
          const leaseMillis = 5000
          const doomed = workers[index]
          doomed?.tell({ store: backend.name, port, job: { hang: { key: "doomed", leaseMillis } } })
          const begun = await doomed?.next()
          doomed?.kill()
          const all = attempts("doomed")
          const answers = await Effect.runPromise(
            Effect.gen(function*() {
              const during = yield* all
              yield* Effect.promise(() => pause(leaseMillis))
              return { during, after: yield* all }
            }).pipe(Effect.provide(backend.layer(() => port)))
          )
          expect([begun, answers.during, [...answers.after].sort()]).toEqual([
            { recovered: false, recoveryPoint: null },
            ["InFlight", "InFlight", "InFlight", "InFlight", "InFlight"],
            ["InFlight", "InFlight", "InFlight", "InFlight", "[true,\"half way\"]"]
          ])
        }),
      60_000
    )
  })
})
