import { LibsqlClient } from "@effect/sql-libsql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Either, Fiber, Layer, Logger, Redacted, Schema, TestClock } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import { IdempotencyStore, type Service, StoreError } from "effect-resilience/IdempotencyStore"
import * as Sql from "effect-resilience/store/Sql"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, describe } from "vitest"
import { suite } from "../suites/idempotencyStore.js"
import { refusal } from "../support/refusal.js"
import { sharedLayer } from "../support/sharedLayer.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "resilience-libsql-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const secret = Redacted.make("secret")

const database = LibsqlClient.layer({ url: `file:${path.join(folder, "records.db")}` })

const inMemory = LibsqlClient.layer({ url: ":memory:" })

const file = sharedLayer(Sql.layer({ secret, table: "suite" }).pipe(Layer.provide(database)))
afterAll(() => file.close())

suite("libsql, in a file", file.layer)
suite("libsql, in memory", Sql.layer({ secret }).pipe(Layer.provide(inMemory)))
suite(
  "libsql, the database's time",
  Sql.layer({ secret, timeSource: "store" }).pipe(Layer.provide(inMemory)),
  {
    timeSource: "store"
  }
)
suite(
  "libsql, transactional, big integers, transformed names",
  Sql.layer({ secret, transactional: true }).pipe(
    Layer.provide(LibsqlClient.layer({
      url: ":memory:",
      intMode: "bigint",
      transformQueryNames: (name) => name.toUpperCase(),
      transformResultNames: (name) => `x_${name}`
    }))
  )
)

const claim = (keyHash: string, owner: string) => ({
  scope: "s",
  keyHash,
  fingerprint: "payload",
  owner,
  leaseMillis: 60_000,
  timeToLiveMillis: 60_000
})

const held = (keyHash: string, owner: string) => ({ ...claim(keyHash, owner), generation: 1 })

/** The store, and the database beside it. */
const over = (
  options: Partial<Sql.Options> = {},
  sql: Layer.Layer<SqlClient, unknown> = database
) => Layer.provideMerge(Sql.layer({ secret, ...options }), sql)

describe("Sql", () => {
  it("I28: nonsense is refused where the layer is made, with field and value, and never a secret", () => {
    const refused = (options: Partial<Sql.Options>) =>
      refusal(() => Sql.layer({ secret, ...options }))
    const name =
      "a name of at most 48 letters, digits and underscores that does not begin with a digit"
    expect([
      refused({ table: "records; DROP TABLE users" }),
      refused({ table: "1st" }),
      refused({ table: "" }),
      refused({ table: "a".repeat(49) }),
      refused({ table: "a".repeat(48) }),
      refused({ timeSource: "sun" as "clock" }),
      refused({ secret: "" }),
      refused({ previousSecrets: ["fine", Redacted.make("")] }),
      refusal(() => Sql.migration({ table: "a b" })),
      refusal(() => Sql.statements("pg", { table: "a\"b" }))
    ]).toEqual([
      `table should be ${name}, got "records; DROP TABLE users"`,
      `table should be ${name}, got "1st"`,
      `table should be ${name}, got ""`,
      `table should be ${name}, got "${"a".repeat(49)}"`,
      "accepted",
      "timeSource should be \"clock\" or \"store\", got \"sun\"",
      "secret should be a text that is not empty",
      "previousSecrets[1] should be a text that is not empty",
      `table should be ${name}, got "a b"`,
      `table should be ${name}, got "a\\"b"`
    ])
  })

  it.effect("I5: whoever runs over the store names keys under its secrets", () =>
    Effect.gen(function*() {
      const [present, previous] = [
        yield* IdempotencyKey.Secret,
        yield* IdempotencyKey.PreviousSecrets
      ]
      expect([Redacted.value(present), previous.map((secret) => Redacted.value(secret))]).toEqual([
        "now",
        [
          "then",
          "once"
        ]
      ])
    }).pipe(
      Effect.provide(over({ secret: "now", previousSecrets: [Redacted.make("then"), "once"] }))
    ))

  it.effect("I32: the service that is passed on names keys under the secrets of its layer", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const key = yield* IdempotencyKey.fromString("passed on")
      let executions = 0
      const run = Effect.sync(() => ++executions).pipe(
        Idempotency.run({ scope: ["s"], payload: 1, result: Schema.Number }),
        IdempotencyKey.provide(key),
        Effect.provideService(IdempotencyStore, store)
      )
      for (const secret of ["of one process", "of another"]) {
        yield* Effect.provideService(run, IdempotencyKey.Secret, Redacted.make(secret))
      }
      expect(executions).toBe(1)
    }).pipe(Effect.provide(over())))

  it.effect("I28: leases end by the program's clock, as far as it goes", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      yield* store.acquire(claim("clock", "a"))
      yield* TestClock.adjust(59_999)
      const before = yield* store.acquire(claim("clock", "b"))
      yield* TestClock.adjust(1)
      expect([before, (yield* store.acquire(claim("clock", "b")))._tag]).toEqual([
        { _tag: "InFlight", retryAfterMillis: 1 },
        "Acquired"
      ])
    }).pipe(Effect.provide(over())))

  it.effect("I26: a call inside a transaction fails at once, because a claim could not outlive its rollback, and the log says why", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => void lines.push(String(message)))
      )
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      const answer = yield* Effect.either(sql.withTransaction(store.acquire(claim("inside", "a"))))
        .pipe(
          Effect.provide(logger)
        )
      expect([answer, lines.length, lines[0]?.includes("transactional: true")]).toEqual([
        Either.left(new StoreError({ operation: "acquire" })),
        1,
        true
      ])
    }).pipe(Effect.provide(over())))

  it.effect("I26: transactional makes claim, work and outcome one transaction, which a rollback undoes", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE work (n INTEGER)`
      const key = yield* IdempotencyKey.fromString("order")
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
      const [counted] = yield* sql`SELECT count(*) AS n FROM work`
      expect([answers, counted]).toEqual([
        [Either.left("rolled back"), Either.right("done"), Either.right("done")],
        { n: 1 }
      ])
    }).pipe(Effect.provide(over({ transactional: true }))))

  it.live("I23: a database that another writer keeps busy is no outage: the claim is made when it is free, and never unprotected", () => {
    const shared = LibsqlClient.layer({ url: `file:${path.join(folder, "busy.db")}` })
    return Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const other = yield* Layer.build(Layer.fresh(shared))
      const held = yield* Effect.makeLatch(false)
      const busy = yield* Effect.fork(
        Context.get(other, SqlClient).withTransaction(
          Effect.zipRight(held.open, Effect.sleep("500 millis"))
        )
      )
      yield* held.await
      const key = yield* IdempotencyKey.fromString("too long")
      const tooLong = yield* Effect.succeed("ran").pipe(
        Idempotency.run({
          scope: ["busy"],
          payload: 1,
          result: Schema.String,
          onStoreFailure: "run",
          storeTimeout: "100 millis"
        }),
        IdempotencyKey.provide(key),
        Effect.merge,
        Effect.map((told) => typeof told === "string" ? told : told._tag)
      )
      const waited = (yield* store.acquire(claim("busy", "a")))._tag
      yield* Fiber.join(busy)
      expect([tooLong, waited]).toEqual(["StoreUnavailable", "Acquired"])
    }).pipe(Effect.scoped, Effect.provide(over({}, shared)))
  })

  /** Two clients of one file; `self` runs while the other has it locked, and ends after that. */
  const busy = <A>(
    name: string,
    self: (store: Service, sql: SqlClient) => Effect.Effect<unknown, unknown>,
    then: (store: Service, other: SqlClient) => Effect.Effect<A, unknown>
  ) => {
    const shared = LibsqlClient.layer({ url: `file:${path.join(folder, name)}` })
    return Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      const other = Context.get(yield* Layer.build(Layer.fresh(shared)), SqlClient)
      yield* sql`CREATE TABLE work (n INTEGER)`
      const held = yield* Effect.makeLatch(false)
      const free = yield* Effect.makeLatch(false)
      const holding = yield* Effect.fork(
        other.withTransaction(Effect.zipRight(held.open, free.await))
      )
      yield* held.await
      const running = yield* Effect.fork(Effect.exit(self(store, sql)))
      // It has been tried once at least: the driver is synchronous.
      yield* Effect.sleep("20 millis")
      yield* free.open
      yield* Fiber.join(holding)
      yield* Fiber.join(running)
      return yield* then(store, other)
    }).pipe(Effect.scoped, Effect.provide(over({}, shared)))
  }

  /** What another connection sees of a record. */
  const seenBy = (other: SqlClient, key: string) =>
    other.unsafe(`SELECT state FROM ${Sql.defaults.table} WHERE key_hash = ?`, [key])

  it.live("I12, I23: what is answered after a statement of the store was busy is committed, and other writers go on", () =>
    busy(
      "store-busy.db",
      (store) => store.acquire(claim("busy", "a")),
      (store, other) =>
        Effect.gen(function*() {
          const answers = [
            (yield* store.acquire(claim("next", "a")))._tag,
            yield* store.complete({ ...claim("next", "a"), generation: 1 }, "done", 60_000),
            (yield* store.acquire({ ...claim("renamed", "a"), previousKeyHashes: ["next"] }))._tag
          ]
          const seen = [yield* seenBy(other, "busy"), yield* seenBy(other, "next")]
          yield* other`INSERT INTO work VALUES (2)`
          expect([answers, seen]).toEqual([
            ["Acquired", "ok", "Completed"],
            [[{ state: "in_progress" }], [{ state: "completed" }]]
          ])
        })
    ))

  it.live("I12, I23: after a statement of the program was busy nothing is answered that is not committed", () =>
    busy(
      "program-busy.db",
      (_, sql) => sql`INSERT INTO work VALUES (1)`,
      (store, other) =>
        Effect.gen(function*() {
          const answer = yield* Effect.either(store.acquire(claim("next", "a")))
          // The driver gives the file back when the busy statement is garbage.
          const seen = yield* seenBy(other, "next")
          expect(seen.length).toBe(Either.isRight(answer) ? 1 : 0)
        })
    ))

  const damages: ReadonlyArray<readonly [what: string, assignment: string]> = [
    ["a newer version", "version = 2"],
    ["an unknown state", "state = 'melted'"],
    ["a generation that is no number", "generation = 'x'"],
    ["a time that is no number", "expires_at = 'x'"],
    ["no lease", "lease_until = NULL"],
    ["no outcome", "state = 'completed'"]
  ]

  for (const [what, assignment] of damages) {
    it.effect(`I27: a record with ${what} is corrupt for everybody who asks, and stays as it is`, () =>
      Effect.gen(function*() {
        const store = yield* IdempotencyStore
        const sql = yield* SqlClient
        yield* store.acquire(claim(what, "a"))
        yield* sql.unsafe(`UPDATE ${Sql.defaults.table} SET ${assignment} WHERE key_hash = ?`, [
          what
        ])
        const row = sql.unsafe(`SELECT * FROM ${Sql.defaults.table} WHERE key_hash = ?`, [what])
        const before = yield* row
        const previous = { ...claim("renamed", "b"), previousKeyHashes: [what] }
        const answers = yield* Effect.all([
          Effect.either(store.acquire(claim(what, "b"))),
          Effect.either(store.acquire(previous))
        ])
        expect([answers, yield* row]).toEqual([
          [
            Either.left(new StoreError({ operation: "acquire", corrupt: true })),
            Either.left(new StoreError({ operation: "acquire", corrupt: true }))
          ],
          before
        ])
        expect(yield* Effect.either(store.savepoint(held(what, "x"), "data"))).toEqual(
          Either.left(new StoreError({ operation: "savepoint", corrupt: true }))
        )
      }).pipe(Effect.provide(over())))
  }

  it.effect("I14: a stale owner changes nothing, not even beside the record", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      yield* store.acquire(claim("stale", "a"))
      yield* TestClock.adjust(60_000)
      yield* store.acquire(claim("stale", "b"))
      const row = sql.unsafe(`SELECT * FROM ${Sql.defaults.table} WHERE key_hash = ?`, ["stale"])
      const before = yield* row
      const stale = held("stale", "a")
      const answers = [
        yield* store.complete(stale, "late", 1000),
        yield* store.release(stale),
        yield* store.extend(stale, 1000),
        yield* store.savepoint(stale, "late")
      ]
      expect([answers, yield* row]).toEqual([["stale", "stale", "stale", "stale"], before])
    }).pipe(Effect.provide(over())))

  it.effect("I30: without migrate the table has to be there, and the statements make it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const acquire = Effect.flatMap(IdempotencyStore, (store) => store.acquire(claim("k", "a")))
        .pipe(
          Effect.provide(Sql.layer({ secret, table: "own", migrate: false })),
          Effect.either,
          Effect.map(Either.match({ onLeft: (error) => error._tag, onRight: ({ _tag }) => _tag }))
        )
      const before = yield* acquire
      for (const statement of Sql.statements("sqlite", { table: "own" })) {
        yield* sql.unsafe(statement)
      }
      yield* Sql.migration({ table: "own" })
      expect([before, yield* acquire]).toEqual(["StoreError", "Acquired"])
    }).pipe(Effect.provide(inMemory)))

  it.effect("I12: sweep removes what was released, too, and does not count it", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient
      yield* store.acquire(claim("released", "a"))
      yield* store.release(held("released", "a"))
      yield* store.acquire(claim("completed", "a"))
      yield* store.complete(held("completed", "a"), "done", 1000)
      yield* TestClock.adjust(60_000)
      const removed = [
        yield* store.sweep(10),
        yield* store.sweep(Number.NaN),
        yield* store.sweep(-1)
      ]
      expect([removed, yield* sql.unsafe(`SELECT * FROM ${Sql.defaults.table}`)]).toEqual([[
        1,
        0,
        0
      ], []])
    }).pipe(Effect.provide(over({}, inMemory))))
})
