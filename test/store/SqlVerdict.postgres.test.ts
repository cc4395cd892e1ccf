import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import { Backoff, Operation, Retry } from "effect-resilience"
import * as SqlVerdict from "effect-resilience/store/SqlVerdict"
import { afterAll, beforeAll, describe } from "vitest"
import { client, isInstalled, startPostgres } from "../support/postgres.js"
import { type Server, without } from "../support/processes.js"
import { sharedLayer } from "../support/sharedLayer.js"
import { judged } from "./sqlVerdict.js"

if (!isInstalled) without("PostgreSQL")

describe.skipIf(!isInstalled)("SqlVerdict, PostgreSQL", () => {
  let server: Server
  const database = sharedLayer(client(() => server.port))
  beforeAll(async () => {
    server = await startPostgres()
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

  /** Two transfers in opposite directions that both hold one account before they ask for the other. */
  const crossing = (id: number) =>
    Effect.gen(function*() {
      const met = [yield* Deferred.make<void>(), yield* Deferred.make<void>()] as const
      let runs = 0
      const transfer = (from: number, to: number, mine: 0 | 1) =>
        transaction(Effect.gen(function*() {
          runs++
          yield* add(from, -10)
          yield* Deferred.succeed(met[mine], undefined)
          yield* Deferred.await(met[1 - mine]!)
          yield* add(to, 10)
        }))
      return { transfers: [transfer(id, id + 1, 0), transfer(id + 1, id, 1)], runs: () => runs }
    })

  it.live("a deadlock is transient and was not executed, and one of the two goes through", () =>
    Effect.gen(function*() {
      yield* accounts(1)
      const { transfers } = yield* crossing(1)
      const ended = yield* Effect.forEach(transfers, judged, { concurrency: 2 })
      expect([...ended].sort()).toEqual([["40P01", "Transient"], ["succeeded", "succeeded"]])
    }).pipe(Effect.provide(database.layer)))

  it.live("a deadlock is repeated even for an operation that must not run twice: both go through, and no cent is lost", () =>
    Effect.gen(function*() {
      yield* accounts(11)
      const { runs, transfers } = yield* crossing(11)
      yield* Effect.forEach(
        transfers,
        (transfer) =>
          transfer.pipe(
            SqlVerdict.failures,
            Retry.retry({
              operation: Operation.once,
              backoff: Backoff.constant("1 millis"),
              verdict: SqlVerdict.verdict
            })
          ),
        { concurrency: 2 }
      )
      const sql = yield* SqlClient
      const cents = yield* sql`SELECT cents FROM accounts WHERE id IN (11, 12) ORDER BY id`
      expect([runs(), cents]).toEqual([3, [{ cents: 100 }, { cents: 100 }]])
    }).pipe(Effect.provide(database.layer)))

  it.live("a serialization failure of a statement is transient and was not executed", () =>
    Effect.gen(function*() {
      yield* accounts(21)
      const sql = yield* SqlClient
      const stale = transaction(Effect.gen(function*() {
        yield* sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
        yield* sql`SELECT cents FROM accounts WHERE id = 21`
        yield* outside(add(21, 1))
        yield* add(21, 1)
      }))
      expect(yield* judged(stale)).toEqual(["40001", "Transient"])
    }).pipe(Effect.provide(database.layer)))

  it.live("a serialization failure at the commit is a defect of the client, and failures brings it to the retry", () =>
    Effect.gen(function*() {
      yield* accounts(31)
      const sql = yield* SqlClient
      const sum = sql`SELECT sum(cents) FROM accounts WHERE id IN (31, 32)`
      const serializable = (then: Effect.Effect<unknown, unknown, SqlClient>) =>
        transaction(
          Effect.zipRight(
            Effect.zipRight(sql`SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`, sum),
            then
          )
        )
      /** The other transaction reads what this one writes, writes what this one read, and ends. */
      const skewed = serializable(
        Effect.zipRight(add(31, -1), outside(serializable(add(32, -1))))
      )
      const plain = yield* Effect.exit(skewed)
      expect(plain._tag === "Failure" && plain.cause._tag).toBe("Die")
      expect(yield* judged(skewed)).toEqual(["40001", "Transient"])
    }).pipe(Effect.provide(database.layer)))

  it.live("locks that are not free are transient and not executed, with and without waiting", () =>
    Effect.gen(function*() {
      yield* accounts(41)
      const sql = yield* SqlClient
      const held = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        transaction(
          Effect.zipRight(
            add(41, 1),
            Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)
          )
        )
      )
      yield* Deferred.await(held)
      const waits = transaction(
        Effect.zipRight(sql`SET LOCAL lock_timeout = '20ms'`, add(41, 1))
      )
      const ended = [
        yield* judged(waits),
        yield* judged(sql`SELECT * FROM accounts WHERE id = 41 FOR UPDATE NOWAIT`)
      ]
      yield* Fiber.interrupt(holder)
      expect(ended).toEqual([["55P03", "Transient"], ["55P03", "Transient"]])
    }).pipe(Effect.provide(database.layer)))

  it.live("what fails the same way again is terminal", () =>
    Effect.gen(function*() {
      yield* accounts(51)
      const sql = yield* SqlClient
      const ended = yield* Effect.forEach([
        sql`INSERT INTO accounts VALUES (51, 1)`,
        sql`INSERT INTO accounts VALUES (59, NULL)`,
        sql`SELEC 1`,
        sql`SELECT 1 / 0`,
        sql`SELECT * FROM nowhere`,
        transaction(
          Effect.zipRight(sql`SET LOCAL statement_timeout = '20ms'`, sql`SELECT pg_sleep(60)`)
        )
      ], judged)
      expect(ended).toEqual([
        ["23505", "Terminal"],
        ["23502", "Terminal"],
        ["42601", "Terminal"],
        ["22012", "Terminal"],
        ["42P01", "Terminal"],
        ["57014", "Terminal"]
      ])
    }).pipe(Effect.provide(database.layer)))

  it.live("a server that takes no more connections, or no writes, has executed nothing", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE ROLE few LOGIN CONNECTION LIMIT 0`
      const asFew = client(() => server.port, {
        url: Redacted.make(`postgres://few@127.0.0.1:${server.port}/postgres`)
      })
      const readOnly = transaction(
        Effect.zipRight(sql`SET TRANSACTION READ ONLY`, add(1, 1))
      )
      expect([
        yield* judged(Effect.provide(sql`SELECT 1`, asFew)),
        yield* judged(readOnly)
      ]).toEqual([["53300", "Transient"], ["25006", "Transient"]])
    }).pipe(Effect.provide(database.layer)))

  /** A statement that runs until its server lets go of it, on a connection of its own. */
  const sleeping = Effect.flatMap(SqlClient, (sql) => sql`SELECT pg_sleep(600) AS victim`)

  const untilAsleep = Effect.flatMap(
    SqlClient,
    (sql) =>
      sql`SELECT pid FROM pg_stat_activity WHERE query LIKE ${"%AS victim"} AND state = 'active'`
  ).pipe(Effect.repeat({ until: (rows) => rows.length > 0 }))

  it.live("a connection that the server ends in the middle of a statement leaves open whether it was executed", () =>
    Effect.gen(function*() {
      const kill = outside(Effect.zipRight(
        untilAsleep,
        Effect.flatMap(
          SqlClient,
          (sql) =>
            sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE ${"%AS victim"} AND pid <> pg_backend_pid()`
        )
      ))
      const killed = <A, E>(self: Effect.Effect<A, E, SqlClient>) =>
        Effect.gen(function*() {
          // The pool would hand out the connection again that was ended.
          const victim = yield* Effect.fork(judged(self))
          yield* kill
          return yield* Fiber.join(victim)
        }).pipe(Effect.provide(Layer.fresh(client(() => server.port))))
      // The rollback fails too, and the client shows that: it looks like a commit that failed.
      expect([yield* killed(sleeping), yield* killed(transaction(sleeping))]).toEqual([
        ["57P01", "Ambiguous"],
        [undefined, "Ambiguous"]
      ])
    }))

  describe("the server", () => {
    /** The servers of this test end, so it has one of its own. */
    const ended = (how: (server: Server) => Promise<void>) =>
      Effect.acquireUseRelease(
        Effect.promise(startPostgres),
        (own) => {
          const fresh = Layer.fresh(client(() => own.port))
          return Effect.gen(function*() {
            const running = yield* Effect.fork(judged(sleeping))
            yield* Effect.provide(untilAsleep, Layer.fresh(client(() => own.port)))
            yield* Effect.promise(() => how(own))
            const during = yield* Fiber.join(running)
            yield* Effect.promise(() => own.kill())
            const after = yield* judged(Effect.provide(sleeping, client(() => own.port)))
            return { during, after }
          }).pipe(Effect.provide(fresh))
        },
        (own) => Effect.promise(() => own.stop())
      )

    it.live(
      "that is killed leaves the statement open; while it is down nothing is executed",
      () =>
        Effect.gen(function*() {
          expect(yield* ended((own) => own.kill())).toEqual({
            during: [undefined, "Ambiguous"],
            after: ["ECONNREFUSED", "Transient"]
          })
        }),
      60_000
    )

    it.live(
      "that shuts down leaves the statement open; while it is down nothing is executed",
      () =>
        Effect.gen(function*() {
          expect(yield* ended(async (own) => own.signal("SIGTERM"))).toEqual({
            during: ["57P01", "Ambiguous"],
            after: ["ECONNREFUSED", "Transient"]
          })
        }),
      60_000
    )
  })
})
