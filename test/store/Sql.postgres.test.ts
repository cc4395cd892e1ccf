import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Either, Fiber, Layer, Schema } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { IdempotencyStore, StoreError } from "effect-resilience/IdempotencyStore"
import * as Sql from "effect-resilience/store/Sql"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { afterAll, beforeAll, describe } from "vitest"
import { suite } from "../suites/idempotencyStore.js"
import { client, isInstalled, startPostgres } from "../support/postgres.js"
import { pause, type Server, without } from "../support/processes.js"
import { sharedLayer } from "../support/sharedLayer.js"

if (!isInstalled) without("PostgreSQL")

describe.skipIf(!isInstalled)("PostgreSQL", () => {
  let server: Server
  beforeAll(async () => {
    server = await startPostgres()
  }, 20_000)
  afterAll(async () => {
    await Promise.all(shared.map((layer) => layer.close()))
    await server.stop()
  })

  const database = client(() => server.port)
  const secret = "secret"

  const shared = [
    sharedLayer(Sql.layer({ secret }).pipe(Layer.provide(database))),
    sharedLayer(
      Sql.layer({ secret, table: "clocked", timeSource: "clock" }).pipe(Layer.provide(database))
    )
  ] as const
  suite("PostgreSQL, its time", shared[0].layer, { timeSource: "store" })
  suite("PostgreSQL, the program's time", shared[1].layer)

  const claim = (keyHash: string, owner: string) => ({
    scope: "s",
    keyHash,
    fingerprint: "payload",
    owner,
    leaseMillis: 60_000,
    timeToLiveMillis: 60_000
  })

  /** The store, and the database beside it. */
  const over = (options: Partial<Sql.Options> = {}) =>
    Layer.provideMerge(Sql.layer({ secret, ...options }), database)

  it.live("I26: a claim made inside a transaction outlives its rollback", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      const inside = yield* Effect.either(sql.withTransaction(
        Effect.flatMap(store.acquire(claim("outlives", "a")), ({ _tag }) => Effect.fail(_tag))
      ))
      expect([inside, (yield* store.acquire(claim("outlives", "b")))._tag]).toEqual([
        Either.left("Acquired"),
        "InFlight"
      ])
    }).pipe(Effect.provide(over())))

  it.live("I26: a call with an earlier name inside a transaction steps outside, too", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      const renamed = (owner: string) => ({
        ...claim("renamed-new", owner),
        previousKeyHashes: ["renamed"]
      })
      yield* Effect.either(
        sql.withTransaction(
          Effect.zipRight(store.acquire(renamed("a")), Effect.fail("rolled back"))
        )
      )
      expect((yield* store.acquire(renamed("b")))._tag).toBe("InFlight")
    }).pipe(Effect.provide(over())))

  it.live("I26: work that is rolled back around an idempotent run is not run again", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      let executions = 0
      const key = yield* IdempotencyKey.fromString("around")
      const run = Effect.sync(() => ++executions).pipe(
        Idempotency.run({ scope: ["s"], payload: 1, result: Schema.Number }),
        IdempotencyKey.provide(key)
      )
      yield* Effect.either(sql.withTransaction(Effect.zipRight(run, Effect.fail("rolled back"))))
      expect([yield* run, executions]).toEqual([1, 1])
    }).pipe(Effect.provide(over())))

  it.live("I26: transactional makes claim, work and outcome one transaction, which a rollback undoes", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE IF NOT EXISTS work (n INTEGER)`
      const key = yield* IdempotencyKey.fromString("one transaction")
      const run = (then: Effect.Effect<void, string>) =>
        Effect.as(sql`INSERT INTO work VALUES (1)`, "done").pipe(
          Idempotency.run({ scope: ["s"], payload: 1, result: Schema.String }),
          IdempotencyKey.provide(key),
          Effect.zipLeft(then),
          sql.withTransaction,
          Effect.either
        )
      const answers = [
        yield* run(Effect.fail("rolled back")),
        yield* run(Effect.void),
        yield* run(Effect.void)
      ]
      const counted = yield* sql`SELECT count(*)::int AS n FROM work`
      expect([answers, counted]).toEqual([
        [Either.left("rolled back"), Either.right("done"), Either.right("done")],
        [{ n: 1 }]
      ])
    }).pipe(Effect.provide(over({ transactional: true }))))

  describe("I26: transactional, a failed store call", () => {
    /** Whether a run in a transaction succeeded, and whether what it wrote is there afterwards. */
    const outcome = (
      name: string,
      fails: string,
      work: (
        run: Idempotency.Run,
        write: Effect.Effect<void, unknown>
      ) => Effect.Effect<string, unknown>,
      options: { readonly onStoreFailure?: "run" } = {}
    ) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        yield* sql.unsafe("CREATE TABLE IF NOT EXISTS written (name TEXT)")
        yield* sql.unsafe(`CREATE OR REPLACE FUNCTION refusing() RETURNS trigger AS $$
          BEGIN IF NEW.state = current_setting('test.fails', true)
            OR (current_setting('test.fails', true) = 'savepoint' AND NEW.recovery_point <> '')
          THEN RAISE EXCEPTION 'refused' USING ERRCODE = '57014'; END IF; RETURN NEW; END
          $$ LANGUAGE plpgsql`)
        yield* sql.unsafe(`CREATE OR REPLACE TRIGGER refusing BEFORE INSERT OR UPDATE
          ON in_transactions FOR EACH ROW EXECUTE FUNCTION refusing()`)
        const key = yield* IdempotencyKey.fromString(name)
        const write = Effect.asVoid(sql`INSERT INTO written VALUES (${name})`)
        const told = yield* Idempotency.run(
          (run: Idempotency.Run) => work(run, write),
          { scope: ["s"], payload: 1, result: Schema.String, ...options }
        ).pipe(
          IdempotencyKey.provide(key),
          (run) => Effect.zipRight(sql.unsafe(`SET LOCAL test.fails = '${fails}'`), run),
          sql.withTransaction,
          Effect.either,
          Effect.map(Either.match({
            onLeft: (error) =>
              typeof error === "object" && error !== null && "_tag" in error ? error._tag : error,
            onRight: (value) => value
          }))
        )
        return [told, (yield* sql`SELECT 1 FROM written WHERE name = ${name}`).length]
      }).pipe(Effect.provide(over({ transactional: true, table: "in_transactions" })))

    it.live("I26: when it succeeds, the run and its transaction do", () =>
      Effect.gen(function*() {
        expect(yield* outcome("fine", "", (_, write) => Effect.as(write, "done"))).toEqual([
          "done",
          1
        ])
      }))

    it.live("I26: of complete fails the run, and the transaction rolls back", () =>
      Effect.gen(function*() {
        expect(yield* outcome("complete", "completed", (_, write) => Effect.as(write, "done")))
          .toEqual(["StoreUnavailable", 0])
      }))

    it.live("I26: of release fails the run with the failure of the store", () =>
      Effect.gen(function*() {
        expect(
          yield* outcome(
            "release",
            "released",
            (_, write) => Effect.zipRight(write, Effect.fail("declined"))
          )
        ).toEqual(["StoreUnavailable", 0])
      }))

    it.live("I26: of savepoint fails the run, even if the work goes on without it", () =>
      Effect.gen(function*() {
        expect(
          yield* outcome(
            "savepoint",
            "savepoint",
            (run, write) =>
              Effect.zipRight(write, Effect.as(Effect.ignore(run.savepoint("x")), "done"))
          )
        ).toEqual(["StoreUnavailable", 0])
      }))

    it.live("I26: of acquire runs nothing unprotected", () =>
      Effect.gen(function*() {
        expect(
          yield* outcome("acquire", "in_progress", () => Effect.succeed("ran"), {
            onStoreFailure: "run"
          })
        ).toEqual(["StoreUnavailable", 0])
      }))

    it.live("I26: a heartbeat is refused, inside and outside of a transaction", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const key = yield* IdempotencyKey.fromString("beating")
        const run = Effect.succeed("ran").pipe(
          Idempotency.run({ scope: ["s"], payload: 1, result: Schema.String, heartbeat: true }),
          IdempotencyKey.provide(key)
        )
        const refusal = Effect.map(Effect.flip(Effect.sandbox(run)), Cause.squash)
        const told = [
          yield* refusal,
          yield* Effect.map(
            Effect.flip(Effect.sandbox(sql.withTransaction(run))),
            Cause.squash
          )
        ]
        expect(told.map((error) => error instanceof RangeError && error.message)).toEqual([
          "heartbeat should be false over a store with transactional: true, got true",
          "heartbeat should be false over a store with transactional: true, got true"
        ])
      }).pipe(Effect.provide(over({ transactional: true }))))

    it.live("I26: a duplicate in this process does not share what is not committed", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const key = yield* IdempotencyKey.fromString("uncommitted")
        let executions = 0
        const run = Effect.delay(Effect.sync(() => ++executions), "100 millis").pipe(
          Idempotency.run({
            scope: ["s"],
            payload: 1,
            result: Schema.Number,
            onDuplicate: { wait: "5 seconds" }
          }),
          IdempotencyKey.provide(key)
        )
        const rolledBack = sql.withTransaction(Effect.zipRight(run, Effect.fail("rolled back")))
        const [, second] = yield* Effect.all(
          [Effect.either(rolledBack), Effect.delay(sql.withTransaction(run), "30 millis")],
          { concurrency: 2 }
        )
        expect([second, executions]).toEqual([2, 2])
      }).pipe(Effect.provide(over({ transactional: true }))))
  })

  it.live("I26: transactional, a duplicate waits for the transaction and then replays its outcome", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const store = yield* IdempotencyStore
      const first = sql.withTransaction(Effect.gen(function*() {
        yield* store.acquire(claim("waits", "a"))
        yield* Effect.promise(() => pause(150))
        return yield* store.complete({ ...claim("waits", "a"), generation: 1 }, "done", 60_000)
      }))
      const second = Effect.delay(store.acquire(claim("waits", "b")), "50 millis")
      expect(yield* Effect.all([first, second], { concurrency: 2 })).toEqual(["ok", {
        _tag: "Completed",
        outcome: "done"
      }])
    }).pipe(Effect.provide(over({ transactional: true }))))

  it.live("I13: a claim that is refused writes nothing, whether in flight, completed or of another payload", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      const first = claim("unwritten", "a")
      /** A row that is written, or only locked, differs in one of these. */
      const row = Effect.map(
        sql`SELECT ctid::text, xmin::text, xmax::text FROM ${sql(Sql.defaults.table)}
          WHERE key_hash = 'unwritten'`.values,
        ([values]) => values
      )
      const refused = (fingerprint: string) =>
        Effect.gen(function*() {
          const before = yield* row
          const { _tag } = yield* store.acquire({ ...first, owner: "b", fingerprint })
          expect([_tag, yield* row]).toEqual([_tag, before])
          return _tag
        })
      yield* store.acquire(first)
      const inFlight = yield* refused("payload")
      yield* store.complete({ ...first, generation: 1 }, "done", 60_000)
      expect([inFlight, yield* refused("payload"), yield* refused("another")])
        .toEqual(["InFlight", "Completed", "Mismatch"])
    }).pipe(Effect.provide(over())))

  it.live("I30: twelve connections that make the table at once all succeed", () =>
    Effect.gen(function*() {
      const migrations = Effect.replicate(
        Effect.provide(
          Sql.migration({ table: "raced" }),
          client(() => server.port, { maxConnections: 1 })
        ),
        12
      )
      const exits = yield* Effect.all(migrations.map(Effect.exit), { concurrency: "unbounded" })
      expect(exits.map(({ _tag }) => _tag)).toEqual(Array.from({ length: 12 }, () => "Success"))
    }))

  it.live("I30: who may use the table and not make one needs no right to", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(SqlClient, (sql) =>
        sql.unsafe("CREATE ROLE modest LOGIN").pipe(
          Effect.zipRight(Sql.migration({ table: "granted" })),
          Effect.zipRight(sql.unsafe("GRANT SELECT, INSERT, UPDATE, DELETE ON granted TO modest"))
        )).pipe(Effect.provide(database))
      const modest = client(() => server.port, {
        username: "modest",
        url: undefined,
        host: "127.0.0.1",
        port: server.port,
        database: "postgres"
      })
      const answer = yield* Effect.flatMap(
        IdempotencyStore,
        (store) => store.acquire(claim("modest", "a"))
      ).pipe(
        Effect.provide(Layer.provide(Sql.layer({ secret, table: "granted" }), modest))
      )
      expect(answer._tag).toBe("Acquired")
    }))

  it.live("I23: a conflict of the database is no outage, whatever its isolation", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql.unsafe("ALTER ROLE tester SET default_transaction_isolation = 'serializable'")
      const answers = yield* Effect.forEach(
        ["a", "b", "c", "d", "e", "f"],
        (owner) =>
          Effect.flatMap(IdempotencyStore, (store) => store.acquire(claim("serializable", owner)))
            .pipe(
              Effect.provide(over())
            ),
        { concurrency: "unbounded" }
      )
      yield* sql.unsafe("ALTER ROLE tester RESET default_transaction_isolation")
      expect(answers.map(({ _tag }) => _tag).sort()).toEqual([
        "Acquired",
        "InFlight",
        "InFlight",
        "InFlight",
        "InFlight",
        "InFlight"
      ])
    }).pipe(Effect.provide(database)))

  /** Another kind of transaction for all connections that are made meanwhile. */
  const isolated = <A, E, R>(level: string, self: Effect.Effect<A, E, R>) => {
    const set = (to: string) =>
      Effect.flatMap(SqlClient, (sql) => sql.unsafe(`ALTER ROLE tester ${to}`)).pipe(
        Effect.provide(database),
        Effect.orDie
      )
    return Effect.acquireUseRelease(
      set(`SET default_transaction_isolation = '${level}'`),
      () => self,
      () => set("RESET default_transaction_isolation")
    )
  }

  const wide = client(() => server.port, { maxConnections: 32 })

  for (const level of ["serializable", "repeatable read"]) {
    for (const previousSecrets of [[], ["earlier"]]) {
      it.live(
        `I23: at ${level} with ${previousSecrets.length} earlier secrets, of 32 callers of one hot key one executes, and none takes the fail-open path`,
        () =>
          isolated(
            level,
            Effect.gen(function*() {
              let executions = 0
              const key = yield* IdempotencyKey.fromString(`hot ${level} ${previousSecrets.length}`)
              const run = Effect.delay(Effect.sync(() => ++executions), "300 millis").pipe(
                Idempotency.run({
                  scope: ["s"],
                  payload: 1,
                  result: Schema.Number,
                  onStoreFailure: "run",
                  storeTimeout: "10 seconds"
                }),
                IdempotencyKey.provide(key),
                Effect.either,
                Effect.map(Either.match({
                  onLeft: ({ _tag }) => _tag,
                  onRight: (value) => `${value}`
                }))
              )
              const told = yield* Effect.all(Array.from({ length: 32 }, () => run), {
                concurrency: "unbounded"
              })
              const counted = (word: string) => told.filter((each) => each === word).length
              expect([executions, counted("1") + counted("InFlight"), counted("1") > 0]).toEqual([
                1,
                32,
                true
              ])
            }).pipe(Effect.provide(
              Layer.provideMerge(Sql.layer({ secret, previousSecrets }), wide)
            ))
          ),
        20_000
      )
    }
  }

  it.live("I23: a conflict that lasts longer than the timeout does not take the fail-open path", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql.unsafe(`CREATE OR REPLACE FUNCTION conflicting() RETURNS trigger AS $$
        BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$ LANGUAGE plpgsql`)
      yield* sql.unsafe(
        "CREATE TRIGGER conflicting BEFORE INSERT ON conflicts EXECUTE FUNCTION conflicting()"
      )
      const key = yield* IdempotencyKey.fromString("conflict")
      const run = (storeTimeout: string) =>
        Effect.succeed("ran").pipe(
          Idempotency.run({
            scope: ["s"],
            payload: 1,
            result: Schema.String,
            onStoreFailure: "run",
            storeTimeout: storeTimeout as "1 second"
          }),
          IdempotencyKey.provide(key),
          Effect.flip,
          Effect.map(({ _tag }) => _tag)
        )
      const first = yield* Effect.timed(run("300 millis"))
      const second = yield* Effect.fork(run("5 seconds").pipe(Effect.either))
      yield* Effect.sleep("200 millis")
      yield* sql.unsafe("DROP TRIGGER conflicting ON conflicts")
      const later = yield* Fiber.join(second)
      expect([first[1], Duration.toMillis(first[0]) < 1000, later._tag]).toEqual([
        "StoreUnavailable",
        true,
        "Left"
      ])
    }).pipe(Effect.provide(over({ table: "conflicts" }))))

  it.live("I23: a call that is given up is left behind, and never cancelled", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      yield* store.acquire(claim("left", "a"))
      const locked = yield* Effect.makeLatch(false)
      const lock = yield* Effect.fork(sql.withTransaction(
        Effect.zipRight(
          sql`SELECT 1 FROM ${sql(Sql.defaults.table)} WHERE key_hash = 'left' FOR UPDATE`,
          Effect.zipRight(locked.open, Effect.sleep("400 millis"))
        )
      ))
      yield* locked.await
      const began = Date.now()
      const left = yield* Effect.fork(store.savepoint(
        { ...claim("left", "a"), generation: 1 },
        "kept"
      ))
      yield* Effect.sleep("150 millis")
      yield* Fiber.interrupt(left)
      const took = Date.now() - began
      yield* Fiber.join(lock)
      yield* Effect.sleep("100 millis")
      const rows = yield* sql`
        SELECT recovery_point FROM ${sql(Sql.defaults.table)} WHERE key_hash = 'left'`
      expect([took < 350, rows]).toEqual([true, [{ recovery_point: "kept" }]])
    }).pipe(Effect.provide(over())))

  it.live("I23: a heartbeat that is given up cancels no query of the work", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const key = yield* IdempotencyKey.fromString("beats")
      const work = Effect.gen(function*() {
        yield* sql.withTransaction(
          Effect.zipRight(
            sql`SELECT 1 FROM ${sql(Sql.defaults.table)} FOR UPDATE`,
            Effect.sleep("700 millis")
          )
        )
        return "done"
      })
      const cancels = yield* Effect.promise(() =>
        fs.readFile(path.join(server.folder, "log"), "utf8")
      )
      const told = yield* work.pipe(
        Idempotency.run({
          scope: ["s"],
          payload: 1,
          result: Schema.String,
          heartbeat: true,
          lease: "300 millis",
          storeTimeout: "50 millis"
        }),
        IdempotencyKey.provide(key)
      )
      const log = yield* Effect.promise(() => fs.readFile(path.join(server.folder, "log"), "utf8"))
      expect([told, log.slice(cancels.length).includes("canceling statement")]).toEqual([
        "done",
        false
      ])
    }).pipe(Effect.provide(over())))

  it.live(
    "I33: a sweep costs what its limit costs, whatever the backlog, passes over what a transaction holds, and holds up no claim",
    () =>
      Effect.gen(function*() {
        const store = yield* IdempotencyStore
        const sql = yield* SqlClient
        yield* sql.unsafe(`INSERT INTO big (id, version, scope, key_hash, state, owner, generation,
        fingerprint, recovered, outcome, expires_at) SELECT 'k' || seq, 1, 's', 'k',
        'completed', 'o', 1, 'f', 0, 'done', seq FROM generate_series(1, 100000) AS seq`)
        const held = yield* Effect.makeLatch(false)
        const lock = yield* Effect.fork(sql.withTransaction(
          Effect.zipRight(
            sql`SELECT 1 FROM big WHERE id IN ('k1', 'k2', 'k3') FOR UPDATE`,
            Effect.zipRight(held.open, Effect.sleep("2 seconds"))
          )
        ))
        yield* held.await
        const [took, removed] = yield* Effect.timed(store.sweep(300))
        const sweeping = yield* Effect.fork(store.sweep(5000))
        const [waited, claimed] = yield* Effect.timed(Effect.forEach(
          Array.from({ length: 20 }, (_, index) => `new-${index}`),
          (key) => store.acquire(claim(key, "a")),
          { concurrency: 2 }
        ))
        const swept = yield* Fiber.join(sweeping)
        const left = yield* sql`SELECT id FROM big WHERE expires_at < 10 ORDER BY expires_at`
        yield* Fiber.join(lock)
        expect([
          removed,
          Duration.toMillis(took) < 1000,
          new Set(claimed.map(({ _tag }) => _tag)),
          Duration.toMillis(waited) < 1500,
          swept,
          left
        ]).toEqual([
          300,
          true,
          new Set(["Acquired"]),
          true,
          5000,
          [{ id: "k1" }, { id: "k2" }, { id: "k3" }]
        ])
      }).pipe(Effect.provide(over({ table: "big" }))),
    30_000
  )

  it.live("I27: a row of another version is corrupt for everybody who asks, and stays as it is", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      yield* store.acquire(claim("newer", "a"))
      yield* sql`UPDATE ${sql(Sql.defaults.table)} SET version = 2 WHERE key_hash = 'newer'`
      const row = sql`SELECT * FROM ${sql(Sql.defaults.table)} WHERE key_hash = 'newer'`
      const before = yield* row
      const answers = [
        yield* Effect.either(store.acquire(claim("newer", "b"))),
        yield* Effect.either(
          store.complete({ ...claim("newer", "a"), generation: 1 }, "done", 1000)
        )
      ]
      expect([answers, yield* row]).toEqual([
        [
          Either.left(new StoreError({ operation: "acquire", corrupt: true })),
          Either.left(new StoreError({ operation: "complete", corrupt: true }))
        ],
        before
      ])
    }).pipe(Effect.provide(over())))
})
