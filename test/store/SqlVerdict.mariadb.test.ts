import * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import { Backoff, Operation, Retry } from "effect-resilience"
import * as SqlVerdict from "effect-resilience/store/SqlVerdict"
import * as path from "node:path"
import { afterAll, beforeAll, describe } from "vitest"
import { client, isInstalled, startMariadb } from "../support/mariadb.js"
import { execute, type Server, without } from "../support/processes.js"
import { sharedLayer } from "../support/sharedLayer.js"
import { judged } from "./sqlVerdict.js"

if (!isInstalled) without("MariaDB")

describe.skipIf(!isInstalled)("SqlVerdict, MariaDB", () => {
  let server: Server
  const database = sharedLayer(client(() => server.port))
  beforeAll(async () => {
    server = await startMariadb()
    await Effect.runPromise(
      Effect.flatMap(
        SqlClient,
        (sql) => sql`CREATE TABLE accounts (id INTEGER PRIMARY KEY, cents INTEGER NOT NULL)`
      ).pipe(
        Effect.provide(database.layer)
      )
    )
  }, 60_000)
  afterAll(async () => {
    await database.close()
    await server.stop()
  })

  /** Two accounts of this test's own. */
  const accounts = (from: number) =>
    Effect.flatMap(
      SqlClient,
      (sql) => sql`INSERT INTO accounts VALUES (${from}, 100), (${from + 1}, 100)`
    )

  const add = (id: number, cents: number) =>
    Effect.flatMap(
      SqlClient,
      (sql) => sql`UPDATE accounts SET cents = cents + ${cents} WHERE id = ${id}`
    )

  const transaction = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(SqlClient, (sql) => sql.withTransaction(self))

  /** Runs an effect on a connection of its own, whatever transaction is around it. */
  const outside = <A, E>(self: Effect.Effect<A, E, SqlClient>) =>
    Effect.promise(() =>
      Effect.runPromise(Effect.provide(self, Layer.fresh(client(() => server.port))))
    )

  const asRoot = (statements: string) =>
    execute([
      "mariadb",
      "--no-defaults",
      "-u",
      "root",
      "-S",
      path.join(server.folder, "socket"),
      "-e",
      statements
    ])

  it.live("a deadlock is transient and was not executed; the transaction is repeated, and no cent is lost", () =>
    Effect.gen(function*() {
      yield* accounts(1)
      const met = [yield* Deferred.make<void>(), yield* Deferred.make<void>()] as const
      const failed: Array<unknown> = []
      let runs = 0
      const transfer = (from: number, to: number, mine: 0 | 1) =>
        transaction(Effect.gen(function*() {
          runs++
          yield* add(from, -10)
          yield* Deferred.succeed(met[mine], undefined)
          yield* Deferred.await(met[1 - mine]!)
          yield* add(to, 10)
        })).pipe(
          SqlVerdict.failures,
          (self) =>
            Effect.tapError(
              self,
              (e) => Effect.map(judged(Effect.fail(e)), (word) => failed.push(word))
            ),
          Retry.retry({
            operation: Operation.once,
            backoff: Backoff.constant("1 millis"),
            verdict: SqlVerdict.verdict
          })
        )
      yield* Effect.all([transfer(1, 2, 0), transfer(2, 1, 1)], { concurrency: 2 })
      const sql = yield* SqlClient
      const cents = yield* sql`SELECT cents FROM accounts WHERE id IN (1, 2) ORDER BY id`
      expect([failed, runs, cents]).toEqual([
        [[1213, "Transient"]],
        3,
        [{ cents: 100 }, { cents: 100 }]
      ])
    }).pipe(Effect.provide(database.layer)))

  it.live("a lock that is not free is transient, and only its statement is rolled back", () =>
    Effect.gen(function*() {
      yield* accounts(11)
      const held = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        transaction(
          Effect.zipRight(
            add(11, 1),
            Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)
          )
        )
      )
      yield* Deferred.await(held)
      const sql = yield* SqlClient
      const within = yield* transaction(Effect.gen(function*() {
        yield* sql`SET SESSION innodb_lock_wait_timeout = 0`
        yield* add(12, 1)
        const ended = yield* judged(add(11, 1))
        return [ended, yield* sql`SELECT cents FROM accounts WHERE id = 12`]
      }))
      yield* Fiber.interrupt(holder)
      const after = yield* sql`SELECT cents FROM accounts WHERE id IN (11, 12) ORDER BY id`
      expect([within, after]).toEqual([
        [[1205, "Transient"], [{ cents: 101 }]],
        [{ cents: 100 }, { cents: 101 }]
      ])
    }).pipe(Effect.provide(database.layer)))

  it.live("a row that was changed since it was read is transient and was not executed", () =>
    Effect.gen(function*() {
      yield* accounts(21)
      const sql = yield* SqlClient
      const stale = Effect.gen(function*() {
        yield* sql`SELECT cents FROM accounts WHERE id = 21`
        yield* outside(add(21, 1))
        yield* add(21, 1)
      })
      const fresh = Layer.fresh(client(() => server.port))
      yield* Effect.gen(function*() {
        const own = yield* SqlClient
        yield* own`SET GLOBAL innodb_snapshot_isolation = ON`
      }).pipe(Effect.provide(fresh))
      const ended = yield* judged(transaction(stale)).pipe(Effect.provide(fresh))
      yield* sql`SET GLOBAL innodb_snapshot_isolation = OFF`
      expect(ended).toEqual([1020, "Transient"])
    }).pipe(Effect.provide(database.layer)))

  it.live("what fails the same way again is terminal", () =>
    Effect.gen(function*() {
      yield* accounts(31)
      const sql = yield* SqlClient
      const ended = yield* Effect.forEach([
        sql`INSERT INTO accounts VALUES (31, 1)`,
        sql`INSERT INTO accounts VALUES (39, NULL)`,
        sql`SELEC 1`,
        sql`SELECT * FROM nowhere`,
        sql`SET STATEMENT max_statement_time = 0.02 FOR SELECT SLEEP(60) FROM accounts`
      ], judged)
      expect(ended).toEqual([
        [1062, "Terminal"],
        [1048, "Terminal"],
        [1064, "Terminal"],
        [1146, "Terminal"],
        [1969, "Terminal"]
      ])
    }).pipe(Effect.provide(database.layer)))

  it.live("a server that takes no writes, or no more connections, has executed nothing", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      asRoot(
        "CREATE USER clerk@'%' WITH MAX_CONNECTIONS_PER_HOUR 1; GRANT INSERT ON test.* TO clerk@'%'"
      )
      const asClerk = Layer.fresh(MysqlClient.layer({
        url: Redacted.make(`mysql://clerk@127.0.0.1:${server.port}/test`),
        maxConnections: 1
      }))
      yield* sql`SET GLOBAL read_only = ON`
      const ended = yield* Effect.gen(function*() {
        const clerk = yield* SqlClient
        return [
          yield* judged(clerk`INSERT INTO accounts VALUES (41, 1)`),
          yield* judged(Effect.provide(Effect.void, asClerk))
        ]
      }).pipe(Effect.provide(asClerk))
      yield* sql`SET GLOBAL read_only = OFF`
      expect(ended).toEqual([[1290, "Transient"], [1226, "Transient"]])
    }).pipe(Effect.provide(database.layer)))

  /** A statement that runs until its server lets go of it. */
  const sleeping = Effect.flatMap(SqlClient, (sql) => sql`SELECT SLEEP(600) AS victim`)

  const victims = Effect.flatMap(
    SqlClient,
    (sql) =>
      sql<{ readonly id: number }>`SELECT id FROM information_schema.processlist
      WHERE info LIKE ${"%AS victim"} AND state = 'User sleep'`
  )

  const asleep = Effect.map(
    Effect.repeat(victims, { until: (rows) => rows.length > 0 }),
    (rows) => Number(rows[0]?.id)
  )

  it.live("a connection that is killed leaves open whether its statement was executed; a killed statement is terminal", () =>
    Effect.gen(function*() {
      const killed = (how: "CONNECTION" | "QUERY") =>
        Effect.gen(function*() {
          const victim = yield* Effect.fork(judged(sleeping))
          const kill = Effect.flatMap(
            asleep,
            (id) => Effect.flatMap(SqlClient, (sql) => sql.unsafe(`KILL ${how} ${id}`))
          )
          yield* outside(kill)
          return yield* Fiber.join(victim)
        })
      expect([yield* killed("QUERY"), yield* killed("CONNECTION")]).toEqual([
        [1317, "Terminal"],
        ["PROTOCOL_CONNECTION_LOST", "Ambiguous"]
      ])
    }).pipe(Effect.provide(database.layer)))

  describe("the server", () => {
    /** The servers of this test end, so it has one of its own. */
    const ended = (how: (server: Server) => Effect.Effect<unknown, unknown, SqlClient>) =>
      Effect.acquireUseRelease(
        Effect.promise(startMariadb),
        (own) => {
          const fresh = () => Layer.fresh(client(() => own.port))
          return Effect.gen(function*() {
            const running = yield* Effect.fork(judged(sleeping))
            yield* Effect.provide(asleep, fresh())
            yield* Effect.provide(how(own), fresh())
            const during = yield* Fiber.join(running)
            yield* Effect.promise(() => own.kill())
            const after = yield* judged(Effect.provide(sleeping, fresh()))
            return { during, after }
          }).pipe(Effect.provide(fresh()))
        },
        (own) => Effect.promise(() => own.stop())
      )

    it.live(
      "that is killed leaves the statement open; while it is down nothing is executed",
      () =>
        Effect.gen(function*() {
          expect(yield* ended((own) => Effect.promise(() => own.kill()))).toEqual({
            during: ["PROTOCOL_CONNECTION_LOST", "Ambiguous"],
            after: ["ECONNREFUSED", "Transient"]
          })
        }),
      60_000
    )

    it.live("that shuts down leaves the statement open", () =>
      Effect.gen(function*() {
        const { during } = yield* ended(() =>
          Effect.flatMap(SqlClient, (sql) => sql.unsafe("SHUTDOWN"))
        )
        expect(during[1]).toBe("Ambiguous")
      }), 60_000)
  })
})
