import { LibsqlClient } from "@effect/sql-libsql"
import * as SqlClient from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, Random, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as Redis from "effect-resilience/store/Redis"
import * as Sql from "effect-resilience/store/Sql"
import { Redis as Client } from "ioredis"
import * as fs from "node:fs"
import { afterAll, beforeAll, describe } from "vitest"
import type { Operation } from "../support/faultyStore.js"
import { startFaultyWire, type WireFault } from "../support/faultyWire.js"
import * as Mariadb from "../support/mariadb.js"
import * as Postgres from "../support/postgres.js"
import { type Server, without } from "../support/processes.js"
import * as RedisServer from "../support/redis.js"
import { runs } from "../support/runs.js"
import { newTally, type Tally, underFault } from "../support/storeFaults.js"
import { backends } from "../support/stores.js"

const secret = "secret"

const isLong = runs(100, 1) === 100

/** A hundred take three quarters of an hour: `FAULT_RUNS=100 npm run test:long`. */
const longRuns = Number(process.env["FAULT_RUNS"] ?? "20")

/** How many runs of each fault at each operation; a few of each fault in a short run. */
const timesOf = (operations: number): number => isLong ? longRuns * operations : 3

const seedOf = (name: string, index: number): string =>
  `${process.env["TEST_SEED"] ?? ""} ${name} ${index}`

const table = Sql.defaults.table

/** What was counted, past the reporter, in a long run. */
const print = (name: string, tally: Tally): void => {
  if (!isLong) return
  const { wrong, ...counts } = tally
  const figures = Object.entries(counts).map(([word, count]) => `${word} ${count}`).join(", ")
  fs.writeSync(2, `\n${name}: ${figures}, wrong ${wrong.length} ${wrong.slice(0, 5).join("; ")}\n`)
}

interface Runs {
  readonly name: string
  /** The operations that the fault meets, in turn. */
  readonly operations?: ReadonlyArray<Operation> | undefined
  readonly concurrency?: number | undefined
}

type One<E, R> = (
  tally: Tally,
  index: number,
  operation: Operation
) => Effect.Effect<unknown, E, R>

/** So many seeded runs of a scenario, and what has to hold of all of them. */
const holds = <E, R>({ concurrency = 1, name, operations = ["acquire"] }: Runs, one: One<E, R>) =>
  Effect.gen(function*() {
    const tally = newTally()
    const times = timesOf(operations.length)
    yield* Effect.forEach(
      Array.from({ length: times }, (_, index) => index),
      (index) =>
        Effect.withRandom(
          one(tally, index, operations[index % operations.length] ?? "acquire"),
          Random.make(seedOf(name, index))
        ),
      { concurrency, discard: true }
    )
    print(name, tally)
    expect(tally.wrong).toEqual([])
    expect([tally.runs, tally.executions <= tally.keys, tally.successes === tally.replays])
      .toEqual([times, true, true])
    // The faults do not hide all that could go wrong.
    expect(tally.successes).toBeGreaterThan(0)
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

const all: ReadonlyArray<Operation> = ["acquire", "complete", "release", "extend", "savepoint"]

const some: ReadonlyArray<Operation> = ["acquire", "complete", "release"]

const minutes = 30 * 60_000

const sentence = "executed at most once for each key, no success is lost"

interface Subject {
  readonly backend: (typeof backends)["Redis"]
  readonly layer: (port: () => number) => Layer.Layer<IdempotencyStore.IdempotencyStore, unknown>
}

const subjects: ReadonlyArray<Subject> = [
  {
    backend: backends.Redis,
    layer: (port) =>
      Layer.unwrapEffect(
        Effect.sync(() =>
          Redis.layer({
            secret,
            url: RedisServer.url(port()),
            options: { connectTimeout: 500, commandTimeout: 250, socketTimeout: 1000 }
          })
        )
      )
  },
  { backend: backends.PostgreSQL, layer: backends.PostgreSQL.layer },
  { backend: backends.MariaDB, layer: backends.MariaDB.layer }
]

const kinds: ReadonlyArray<readonly [WireFault["kind"], ReadonlyArray<Operation>]> = [
  ["swallow", all],
  ["cut", some],
  ["part", some],
  ["delay", some],
  ["refuse", some],
  ["duplicate", ["acquire"]]
]

for (const { backend, layer } of subjects) {
  if (!backend.isInstalled) without(backend.name)

  describe.skipIf(!backend.isInstalled)(`${backend.name}: faults of the wire`, () => {
    let server: Server
    beforeAll(async () => {
      server = await backend.start()
    }, 60_000)
    afterAll(() => server.stop())

    /** A wire and a store over it, for one run. */
    const wired = Effect.gen(function*() {
      const wire = yield* Effect.acquireRelease(
        Effect.promise(() => startFaultyWire(server.port)),
        (wire) => Effect.promise(() => wire.stop())
      )
      const context = yield* Layer.build(Layer.fresh(layer(() => wire.port)))
      return { wire, store: Context.get(context, IdempotencyStore.IdempotencyStore) }
    })

    for (const [kind, operations] of kinds) {
      // A transaction would wait for the locks of its double, which waits for the next statement.
      if (kind === "duplicate" && backend.name === "MariaDB") continue
      const name = `${backend.name} ${kind}`
      it.live(`I21, I23: ${name}: ${sentence}`, () =>
        Effect.gen(function*() {
          // The table is there before the faults are.
          yield* Effect.provide(Effect.void, layer(() => server.port))
          let happened = 0
          yield* holds({ name, operations, concurrency: 6 }, (tally, index, operation) =>
            Effect.gen(function*() {
              const { store, wire } = yield* wired
              // An operation is one packet here, and a transaction there.
              const packets = backend.name === "MariaDB" ? 7 : 2
              const skip = yield* Random.nextIntBetween(0, packets)
              const millis = yield* Random.nextIntBetween(40, 500)
              const harm = Effect.sync(() =>
                wire.arm({ kind, skip, millis })
              )
              const calm = Effect.sync(() => wire.calm())
              const scenario = { name, keys: 2, callers: 3, operation, harm, calm }
              yield* underFault(store, scenario, tally, index)
              happened += wire.happened()
            }).pipe(Effect.scoped))
          expect(happened).toBeGreaterThan(timesOf(operations.length) / 2)
        }), minutes)
    }
  })
}

/** For so long, then it is over. Its caller does not wait. */
const forAWhile = (begin: () => Promise<unknown>, end: () => Promise<unknown>) =>
  Effect.flatMap(Random.nextIntBetween(40, 400), (millis) =>
    Effect.promise(begin).pipe(
      Effect.zipRight(
        Effect.forkDaemon(Effect.delay(Effect.promise(end), millis))
      ),
      Effect.asVoid
    ))

describe.skipIf(!backends.Redis.isInstalled)(
  "Redis: faults of the server",
  () => {
    let server: Server
    let client: Client
    beforeAll(async () => {
      server = await backends.Redis.start()
      client = new Client(RedisServer.url(server.port))
    })
    afterAll(async () => {
      client.disconnect()
      await server.stop()
    })

    const faults = {
      maxmemory: [
        () => client.config("SET", "maxmemory", "1"),
        () => client.config("SET", "maxmemory", "0")
      ],
      READONLY: [() => client.replicaof("127.0.0.1", 1), () => client.replicaof("NO", "ONE")]
    } as const

    for (const [fault, [begin, end]] of Object.entries(faults)) {
      const name = `Redis ${fault}`
      it.live(
        `I34: ${name}: ${sentence}`,
        () =>
          Effect.flatMap(
            IdempotencyStore.IdempotencyStore,
            (store) =>
              holds({ name, operations: all }, (tally, index, operation) => {
                const harm = forAWhile(begin, end)
                const calm = Effect.promise(end)
                const scenario = { name, keys: 3, callers: 3, operation, harm, calm }
                return underFault(store, scenario, tally, index)
              })
          ).pipe(Effect.provide(backends.Redis.layer(() => server.port))),
        minutes
      )
    }
  }
)

interface Database {
  readonly backend: (typeof backends)["PostgreSQL"]
  readonly client: (port: () => number) => Layer.Layer<SqlClient.SqlClient, unknown>
  /** What every new connection begins with. */
  readonly hurried: string
  readonly unhurried: string
  readonly locks: string
}

const databases: ReadonlyArray<Database> = [
  {
    backend: backends.PostgreSQL,
    client: Postgres.client,
    hurried: "ALTER DATABASE postgres SET statement_timeout = '60ms'",
    unhurried: "ALTER DATABASE postgres RESET statement_timeout",
    locks: `LOCK TABLE ${table} IN EXCLUSIVE MODE`
  },
  {
    backend: backends.MariaDB,
    client: Mariadb.client,
    hurried: "SET GLOBAL max_statement_time = 0.06",
    unhurried: "SET GLOBAL max_statement_time = 0",
    locks: `SELECT count(*) FROM ${table} FOR UPDATE`
  }
]

for (const { backend, client, hurried, locks, unhurried } of databases) {
  describe.skipIf(!backend.isInstalled)(
    `${backend.name}: faults of the server`,
    () => {
      let server: Server
      beforeAll(async () => {
        server = await backend.start()
      }, 60_000)
      afterAll(() => server.stop())

      const port = () => server.port
      const database = client(port)

      const setting = (statement: string) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
          Effect.provide(Layer.fresh(client(port))),
          Effect.orDie
        )

      const stores = Sql.layer({ secret }).pipe(Layer.provide(Layer.fresh(database)))

      const hurry = `${backend.name} statement timeout`
      it.live(`I23: ${hurry}: ${sentence}`, () =>
        Effect.gen(function*() {
          // A client from before the hurry, which locks the table.
          const before = yield* Layer.build(Layer.fresh(client(port)))
          const slow = Context.get(before, SqlClient.SqlClient)
          yield* Effect.acquireRelease(setting(hurried), () => setting(unhurried))
          const locking = (millis: number) =>
            slow.withTransaction(Effect.zipRight(slow.unsafe(locks), Effect.sleep(millis)))
          const lock = Effect.flatMap(
            Random.nextIntBetween(80, 300),
            (millis) => Effect.forkDaemon(Effect.ignore(locking(millis)))
          )
          const harm = Effect.zipRight(lock, Effect.sleep(10))
          yield* Effect.flatMap(IdempotencyStore.IdempotencyStore, (store) =>
            holds({ name: hurry, operations: some }, (tally, index, operation) => {
              const rest = { keys: 3, callers: 3, harm, calm: Effect.void }
              return underFault(store, { name: hurry, operation, ...rest }, tally, index)
            })).pipe(Effect.provide(stores))
        }).pipe(Effect.scoped), minutes)

      const hot = `${backend.name} SERIALIZABLE, 32 callers of one hot key`
      const level = backend.name === "PostgreSQL"
        ? [
          "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'",
          "ALTER DATABASE postgres RESET default_transaction_isolation"
        ] as const
        : [
          "SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
          "SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        ] as const
      it.live(`I23: ${hot}: ${sentence}`, () =>
        Effect.gen(function*() {
          yield* Effect.acquireRelease(setting(level[0]), () => setting(level[1]))
          yield* Effect.flatMap(IdempotencyStore.IdempotencyStore, (store) =>
            holds({ name: hot }, (tally, index, operation) => {
              const rest = { keys: 1, callers: 32, harm: Effect.void, calm: Effect.void }
              return underFault(store, { name: hot, operation, ...rest }, tally, index)
            })).pipe(Effect.provide(stores))
        }).pipe(Effect.scoped), minutes)

      /**
       * Work that writes a row, in one transaction with its claim. Executed is what is committed.
       */
      const transactional = (
        name: string,
        work: (
          sql: SqlClient.SqlClient,
          key: string,
          attempt: number
        ) => Effect.Effect<unknown, unknown>
      ) =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql.unsafe("CREATE TABLE IF NOT EXISTS work (name VARCHAR(200))")
          yield* sql.unsafe("CREATE TABLE IF NOT EXISTS pair (id INT PRIMARY KEY, n INT)")
          yield* sql.unsafe("DELETE FROM pair")
          yield* sql.unsafe("INSERT INTO pair VALUES (1, 0), (2, 0)")
          yield* holds({ name }, (tally, index) =>
            Effect.gen(function*() {
              const names = [0, 1, 2].map((n) => `${name}-${index}-${n}`)
              const attempts = new Map<string, number>()
              const call = (key: string) =>
                Effect.flatMap(IdempotencyKey.fromString(key.replaceAll(" ", "_")), (made) =>
                  Effect.suspend(() => {
                    tally.calls++
                    const attempt = (attempts.get(key) ?? 0) + 1
                    attempts.set(key, attempt)
                    return sql`INSERT INTO work VALUES (${key})`.pipe(
                      Effect.zipRight(work(sql, key, attempt)),
                      Effect.as(key)
                    )
                  }).pipe(
                    Idempotency.run({
                      scope: ["tx"],
                      payload: key,
                      result: Schema.String,
                      storeTimeout: "2 seconds"
                    }),
                    IdempotencyKey.provide(made),
                    sql.withTransaction,
                    Effect.sandbox,
                    Effect.match({
                      onFailure: () => "failed",
                      onSuccess: (told) => told
                    })
                  ))
              const caller = (key: string) =>
                Effect.repeat(call(key), {
                  until: (told) =>
                    told === key,
                  times: 100
                })
              const told = yield* Effect.forEach(
                [...names, ...names],
                (key) => Effect.map(caller(key), (value) => value === key),
                { concurrency: 4 }
              )
              const later = yield* Effect.forEach(names, call)
              tally.runs++
              tally.keys += names.length
              for (const [n, key] of names.entries()) {
                const [row] = yield* sql`SELECT count(*) AS n FROM work WHERE name = ${key}`
                const rows = Number(row?.["n"])
                tally.executions += rows
                if (rows !== 1) tally.wrong.push(`${key} has ${rows} rows`)
                const successes = [told[n], told[n + names.length]].filter(Boolean).length
                tally.successes += successes
                if (later[n] === key) tally.replays += successes
                else tally.wrong.push(`${key} was not replayed`)
              }
            }))
        }).pipe(
          Effect.provide(
            Layer.provideMerge(
              Sql.layer({ secret, transactional: true, table: "tx" }),
              Layer.fresh(database)
            )
          )
        )

      it.live(
        `I26: ${backend.name}, a poisoned transaction: what is told is what is committed`,
        () =>
          transactional(`${backend.name} poisoned`, (sql, _key, attempt) =>
            attempt === 1
              // The work looks over a failure of its statement.
              ? Effect.ignore(sql.unsafe("SELECT * FROM no_such_table"))
              : Effect.void),
        minutes
      )

      it.live(
        `I26: ${backend.name}, deadlocks: what is told is what is committed`,
        () =>
          transactional(`${backend.name} deadlock`, (sql, key) =>
            Effect.gen(function*() {
              const order = key.endsWith("1") ? [1, 2] : [2, 1]
              for (const id of order) {
                yield* sql`UPDATE pair SET n = n + 1 WHERE id = ${id}`
                yield* Effect.sleep(20)
              }
              // A deadlock that the work looks over has rolled back all, or poisoned it.
            }).pipe(Effect.ignore)),
        minutes
      )
    }
  )
}

describe("faults of a store in this process", () => {
  const over = {
    memory: Layer.fresh(IdempotencyStore.layerStoreMemory),
    libsql: Sql.layer({ secret }).pipe(Layer.provide(LibsqlClient.layer({ url: ":memory:" })))
  }

  const error = (operation: Operation) => new IdempotencyStore.StoreError({ operation })

  const ways = ["lose", "refuse", "late", "hang", "die"] as const

  /** For a while each call of the operation goes wrong in one way. */
  const failing = (
    store: IdempotencyStore.Service,
    operation: Operation,
    way: (typeof ways)[number]
  ) => {
    let isOn = false
    const wrong = <A>(
      name: Operation,
      call: Effect.Effect<A, IdempotencyStore.StoreError>
    ): Effect.Effect<A, IdempotencyStore.StoreError> =>
      Effect.suspend(() => {
        if (!isOn || name !== operation) return call
        switch (way) {
          case "lose":
            return Effect.zipRight(call, error(operation))
          case "refuse":
            return error(operation)
          case "late":
            return Effect.uninterruptible(Effect.delay(call, 400))
          case "hang":
            return Effect.zipRight(call, Effect.uninterruptible(Effect.never))
          case "die":
            return Effect.dieMessage("a driver's secret")
        }
      })
    const broken: IdempotencyStore.Service = {
      ...store,
      acquire: (claim) => wrong("acquire", store.acquire(claim)),
      complete: (...all) => wrong("complete", store.complete(...all)),
      release: (held) => wrong("release", store.release(held)),
      extend: (...all) => wrong("extend", store.extend(...all)),
      savepoint: (...all) => wrong("savepoint", store.savepoint(...all))
    }
    const off = Effect.sync(() => {
      isOn = false
    })
    const harm = Effect.flatMap(Random.nextIntBetween(0, 400), (millis) =>
      Effect.sync(() => {
        isOn = true
      }).pipe(
        Effect.zipRight(Effect.forkDaemon(Effect.delay(off, millis))),
        Effect.asVoid
      ))
    return { broken, harm, off }
  }

  for (const [place, layer] of Object.entries(over)) {
    for (const way of ways) {
      const name = `${place} ${way}`
      it.live(
        `I21, I23: ${name}: ${sentence}`,
        () =>
          Effect.flatMap(
            IdempotencyStore.IdempotencyStore,
            (store) =>
              holds({ name, operations: all, concurrency: 8 }, (tally, index, operation) => {
                const { broken, harm, off } = failing(store, operation, way)
                const scenario = { name, keys: 3, callers: 3, operation, harm, calm: off }
                return underFault(broken, scenario, tally, index)
              })
          ).pipe(Effect.provide(layer)),
        minutes
      )
    }
  }
})
