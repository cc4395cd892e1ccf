/**
 * What an idempotent run costs on each store, beside the least that gives the same guarantee there:
 * one statement that claims the key and one that records the outcome, through the same client, with
 * the same number of connections, on the same server. Memory has a `Map` beside it. The store is
 * provided once around all runs, as a program does it.
 *
 * Every run has a new key, 32 run at a time, and the two take turns in one process. The gate is on
 * the throughput of ours over that of the other, of the fastest rounds. A replay is shown beside it.
 * Servers that are not installed are passed over, and said to be.
 */
import { LibsqlClient } from "@effect/sql-libsql"
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import * as Sql from "effect-resilience/store/Sql"
import { Redis as Client } from "ioredis"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Mariadb from "../test/support/mariadb.js"
import * as Postgres from "../test/support/postgres.js"
import type { Server } from "../test/support/processes.js"
import * as RedisServer from "../test/support/redis.js"
import { record } from "./measure.js"

const callers = 32
const rounds = 5
const secret = "secret"

/** One run under a key that nothing else has. */
type Run = (key: string) => Effect.Effect<unknown, unknown, IdempotencyStore.IdempotencyStore>

interface Place {
  readonly name: string
  /** Throughput over the throughput of the least, at least. */
  readonly gate: number
  readonly runs: number
  readonly isInstalled: boolean
  readonly start?: (() => Promise<Server>) | undefined
  readonly layer: (port: number) => Layer.Layer<IdempotencyStore.IdempotencyStore, unknown>
  readonly least: (port: number) => Effect.Effect<Run, unknown, Scope.Scope>
}

const outcome = JSON.stringify({ id: "r-1" })

const work = Effect.sync(() => ({ id: "r-1" }))

const once = Idempotency.run(work, {
  scope: ["shop", "charge"],
  payload: { amount: 100, currency: "EUR" },
  result: Schema.Struct({ id: Schema.String })
})

const ours: Run = (key) =>
  Effect.flatMap(IdempotencyKey.fromString(key), (made) => IdempotencyKey.provide(once, made))

/** Two plain statements on a table of their own. */
const twoStatements = (
  client: Layer.Layer<SqlClient.SqlClient, unknown>,
  ifThere: string
): Effect.Effect<Run, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const sql = Context.get(yield* Layer.build(Layer.fresh(client)), SqlClient.SqlClient)
    yield* sql`DROP TABLE IF EXISTS least`
    yield* sql`CREATE TABLE least (id VARCHAR(80) PRIMARY KEY, payload VARCHAR(80), outcome TEXT)`
    return (key) =>
      sql`INSERT INTO least (id, payload) VALUES (${key}, ${"payload"}) ${sql.literal(ifThere)}`
        .pipe(
          Effect.zipRight(work),
          Effect.zipRight(sql`UPDATE least SET outcome = ${outcome} WHERE id = ${key}`)
        )
  })

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "bench-"))

const libsql = (name: string) =>
  LibsqlClient.layer({ url: `file:${path.join(folder, name)}.db`, intMode: "bigint" })

const places: ReadonlyArray<Place> = [
  {
    name: "memory",
    gate: 1 / 10,
    runs: 20_000,
    isInstalled: true,
    layer: () => IdempotencyStore.layerStoreMemory,
    least: () =>
      Effect.sync(() => {
        const records = new Map<string, string>()
        return (key) =>
          Effect.suspend(() => {
            const known = records.get(key)
            if (known !== undefined) return Effect.succeed(known)
            records.set(key, "")
            return Effect.map(work, (value) => {
              const text = JSON.stringify(value)
              records.set(key, text)
              return text
            })
          })
      })
  },
  {
    name: "Redis",
    gate: 1 / 8,
    runs: 5000,
    isInstalled: RedisServer.isInstalled,
    start: RedisServer.startRedis,
    layer: (port) => Redis.layer({ secret, url: RedisServer.url(port) }),
    least: (port) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => new Client(RedisServer.url(port))),
          (client) => Effect.sync(() => client.disconnect())
        ),
        (client) => (key) =>
          Effect.promise(() => client.set(`least:${key}`, "", "PX", 60_000, "NX")).pipe(
            Effect.zipRight(work),
            Effect.zipRight(
              Effect.promise(() => client.set(`least:${key}`, outcome, "PX", 60_000, "XX"))
            )
          )
      )
  },
  {
    name: "PostgreSQL",
    gate: 1 / 4,
    runs: 3000,
    isInstalled: Postgres.isInstalled,
    start: Postgres.startPostgres,
    layer: (port) => Sql.layer({ secret }).pipe(Layer.provide(Postgres.client(() => port))),
    least: (port) => twoStatements(Postgres.client(() => port), "ON CONFLICT DO NOTHING")
  },
  {
    name: "MariaDB",
    gate: 1 / 4,
    runs: 3000,
    isInstalled: Mariadb.isInstalled,
    start: Mariadb.startMariadb,
    layer: (port) => Sql.layer({ secret }).pipe(Layer.provide(Mariadb.client(() => port))),
    least: (port) => twoStatements(Mariadb.client(() => port), "ON DUPLICATE KEY UPDATE id = id")
  },
  {
    name: "libsql",
    gate: 1 / 2,
    runs: 1000,
    isInstalled: true,
    layer: () => Sql.layer({ secret }).pipe(Layer.provide(libsql("ours"))),
    least: () => twoStatements(libsql("least"), "ON CONFLICT DO NOTHING")
  }
]

let made = 0

/** So many runs; microseconds of wall time and of processor for each. */
const timed = async (
  run: Run,
  keys: ReadonlyArray<string>,
  context: Context.Context<IdempotencyStore.IdempotencyStore>
) => {
  const cpu = process.cpuUsage()
  const start = process.hrtime.bigint()
  await Effect.runPromise(
    Effect.provide(
      Effect.forEach(keys, run, { concurrency: callers, discard: true }),
      context
    )
  )
  const wall = Number(process.hrtime.bigint() - start) / 1000 / keys.length
  const { system, user } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / keys.length }
}

type Timed = Awaited<ReturnType<typeof timed>>

const faster = (best: Timed | undefined, now: Timed): Timed =>
  best === undefined || now.wall < best.wall ? now : best

const shown = ({ cpu, wall }: Timed): string =>
  `${wall.toFixed(1).padStart(8)} us, ${cpu.toFixed(1).padStart(7)} us of processor`

const compared = async (place: Place): Promise<boolean> => {
  const server = await place.start?.()
  const scope = Effect.runSync(Scope.make())
  const build = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>) =>
    Effect.runPromise(Scope.extend(effect, scope))
  try {
    const port = server?.port ?? 0
    const context = await build(Layer.build(place.layer(port)))
    const leastRun = await build(place.least(port))
    const best: { ours?: Timed; least?: Timed; replay?: Timed } = {}
    for (let round = -2; round < rounds; round++) {
      const keys = Array.from({ length: place.runs }, () => `${place.name}-${made++}`)
      const now = {
        least: await timed(leastRun, keys, context),
        ours: await timed(ours, keys, context),
        replay: await timed(ours, keys, context)
      }
      if (round < 0) continue
      best.least = faster(best.least, now.least)
      best.ours = faster(best.ours, now.ours)
      best.replay = faster(best.replay, now.replay)
    }
    const { least, ours: run, replay } = best
    if (least === undefined || run === undefined || replay === undefined) return false
    console.log(`${place.name}\n  least  ${shown(least)}\n  ours   ${shown(run)}`)
    console.log(`  replay ${shown(replay)}`)
    const ratio = run.wall / least.wall
    const kept = record(`${place.name}: a run / the least`, ratio, 1 / place.gate)
    console.log(
      `  throughput 1/${ratio.toFixed(2)} of the least, gate 1/${1 / place.gate}   ${
        kept ? "kept" : "MISSED"
      }`
    )
    return kept
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await server?.stop()
  }
}

export const run = async (): Promise<boolean> => {
  console.log(`An idempotent run, ${callers} at a time (fastest of ${rounds} rounds)`)
  const kept: Array<boolean> = []
  for (const place of places) {
    if (place.isInstalled) kept.push(await compared(place))
    else console.log(`${place.name} is not installed`)
  }
  fs.rmSync(folder, { recursive: true, force: true })
  return kept.every(Boolean)
}
