import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Layer } from "effect"
import { IdempotencyStore, StoreError } from "effect-resilience/IdempotencyStore"
import * as Sql from "effect-resilience/store/Sql"
import { afterAll, beforeAll, describe } from "vitest"
import { suite } from "../suites/idempotencyStore.js"
import { client, isInstalled, startMariadb } from "../support/mariadb.js"
import { type Server, without } from "../support/processes.js"
import { sharedLayer } from "../support/sharedLayer.js"

if (!isInstalled) without("MariaDB")

describe.skipIf(!isInstalled)("MariaDB", () => {
  let server: Server
  beforeAll(async () => {
    server = await startMariadb()
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
  suite("MariaDB, its time", shared[0].layer, { timeSource: "store" })
  suite("MariaDB, the program's time", shared[1].layer)

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

  it.live("I26: transactional, a claim made inside a transaction vanishes with its rollback", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      yield* Effect.either(
        sql.withTransaction(
          Effect.zipRight(store.acquire(claim("vanishes", "a")), Effect.fail("rolled back"))
        )
      )
      expect((yield* store.acquire(claim("vanishes", "b")))._tag).toBe("Acquired")
    }).pipe(Effect.provide(over({ transactional: true }))))

  it.live("I15: names that differ in case, accent or trailing space are different records", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const answers = yield* Effect.forEach(
        ["e", "E", "é", "e "],
        (name) => store.acquire(claim(name, "a"))
      )
      expect(answers.map(({ _tag }) => _tag)).toEqual([
        "Acquired",
        "Acquired",
        "Acquired",
        "Acquired"
      ])
    }).pipe(Effect.provide(over())))

  /** What the server was told since it started, by kind. */
  const told = Effect.gen(function*() {
    const sql = yield* SqlClient
    const rows = yield* sql`SHOW GLOBAL STATUS WHERE Variable_name IN
      ('Com_insert', 'Com_select', 'Com_update', 'Com_delete', 'Com_begin', 'Com_commit')`.values
    return new Map(rows.map(([name, count]) => [String(name).slice(4), Number(count)]))
  })

  /** What an effect tells the server. */
  const telling = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const before = yield* told
      const value = yield* self
      const after = yield* told
      const kinds = [...after].map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)])
      return [value, Object.fromEntries(kinds.filter(([, count]) => count !== 0))] as const
    })

  it.live("I12: a step is one statement without a transaction; what is there already costs one more, and a takeover two", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const trips = { ...claim("trips", "a"), leaseMillis: 1 }
      const held = { ...trips, generation: 1 }
      const tag = (owner: string) => Effect.map(store.acquire({ ...trips, owner }), (_) => _._tag)
      expect([
        yield* telling(tag("a")),
        yield* telling(store.savepoint(held, "half")),
        yield* telling(Effect.zipRight(Effect.sleep(2), tag("b"))),
        yield* telling(store.complete({ ...held, owner: "b", generation: 2 }, "done", 60_000)),
        yield* telling(tag("c")),
        yield* telling(store.complete({ ...held, owner: "b", generation: 2 }, "done", 60_000)),
        yield* telling(store.release(held))
      ]).toEqual([
        ["Acquired", { insert: 1 }],
        ["ok", { update: 1 }],
        ["Acquired", { insert: 1, select: 1, update: 1 }],
        ["ok", { update: 1 }],
        ["Completed", { insert: 1, select: 1 }],
        ["ok", { update: 1, select: 1 }],
        ["stale", { update: 1, select: 1 }]
      ])
    }).pipe(Effect.provide(over())))

  it.live("I12: where statements do not commit by themselves, a step is a transaction", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const acquiring = (owner: string) =>
        Effect.flatMap(
          IdempotencyStore,
          (store) => Effect.map(store.acquire(claim("uncommitted", owner)), ({ _tag }) => _tag)
        ).pipe(
          Effect.provide(Layer.fresh(over()))
        )
      yield* Effect.acquireUseRelease(
        sql`SET GLOBAL autocommit = 0`,
        () => Effect.map(acquiring("a"), (tag) => expect(tag).toBe("Acquired")),
        () => Effect.orDie(sql`SET GLOBAL autocommit = 1`)
      )
      expect(yield* acquiring("b")).toBe("InFlight")
    }).pipe(Effect.provide(over())))

  it.live("I13: owners and payloads that differ in case only are different", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      yield* store.acquire(claim("case", "a"))
      expect([
        (yield* store.acquire(claim("case", "A")))._tag,
        (yield* store.acquire({ ...claim("case", "a"), fingerprint: "PAYLOAD" }))._tag,
        yield* store.complete({ ...claim("case", "A"), generation: 1 }, "done", 1000)
      ]).toEqual(["InFlight", "Mismatch", "stale"])
    }).pipe(Effect.provide(over())))

  it.live(
    "I23: a lock that is not free and a deadlock are no outage: the claim is made when it can be, and never unprotected",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const store = yield* IdempotencyStore
        yield* store.acquire(claim("locked", "a"))
        const locked = yield* Effect.makeLatch(false)
        const lock = yield* Effect.fork(sql.withTransaction(
          Effect.zipRight(
            sql`SELECT 1 FROM ${sql(Sql.defaults.table)} WHERE key_hash = 'locked' FOR UPDATE`,
            Effect.zipRight(locked.open, Effect.sleep("1500 millis"))
          )
        ))
        yield* locked.await
        yield* sql`SET GLOBAL innodb_lock_wait_timeout = 1`
        const waited = yield* Effect.provide(
          Effect.flatMap(IdempotencyStore, (store) => store.acquire(claim("locked", "b"))),
          Layer.fresh(over())
        )
        yield* sql`SET GLOBAL innodb_lock_wait_timeout = 50`
        yield* Fiber.join(lock)
        const answers = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, index) => index),
          (index) =>
            store.acquire({
              ...claim(`deadlock-${index % 2}`, `${index}`),
              previousKeyHashes: [`deadlock-${2 + index % 3}`, `deadlock-${(index + 1) % 2}`]
            }),
          { concurrency: "unbounded" }
        )
        expect([waited._tag, answers.filter(({ _tag }) => _tag === "Acquired").length > 0]).toEqual(
          [
            "InFlight",
            true
          ]
        )
      }).pipe(Effect.provide(over())),
    20_000
  )

  it.live(
    "I33: a sweep costs what its limit costs, whatever the backlog, passes over what a transaction holds, and holds up no claim",
    () =>
      Effect.gen(function*() {
        const store = yield* IdempotencyStore
        const sql = yield* SqlClient
        yield* sql.unsafe(`INSERT INTO big (id, version, scope, key_hash, state, owner, generation,
        fingerprint, recovered, outcome, expires_at) SELECT CONCAT('k', seq), 1, 's', 'k',
        'completed', 'o', 1, 'f', 0, 'done', seq FROM seq_1_to_100000`)
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
      expect([yield* Effect.either(store.acquire(claim("newer", "b"))), yield* row]).toEqual([
        Either.left(new StoreError({ operation: "acquire", corrupt: true })),
        before
      ])
    }).pipe(Effect.provide(over())))
})
