import { LibsqlClient } from "@effect/sql-libsql"
import { SqlClient } from "@effect/sql/SqlClient"
import { ResultLengthMismatch } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { ApiError, Backoff, Operation, Pipeline, Rejection, Retry } from "effect-resilience"
import * as SqlVerdict from "effect-resilience/store/SqlVerdict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll } from "vitest"
import { judged, sqlError, wordOf } from "./sqlVerdict.js"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "resilience-verdict-"))
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

const verdictOf = (cause: unknown): string => wordOf(SqlVerdict.verdict(sqlError(cause)))

/** The verdict of each, those with the same one together. */
const grouped = <A>(codes: ReadonlyArray<A>, causeOf: (code: A) => unknown) => {
  const groups: Record<string, Array<A>> = {}
  for (const code of codes) (groups[verdictOf(causeOf(code))] ??= []).push(code)
  return groups
}

const postgres = (code: string) => Object.assign(new Error("no"), { code, severity: "ERROR" })

const mysql = (errno: number, message = "no") =>
  Object.assign(new Error(message), { errno, code: "ER_SOMETHING", sqlState: "HY000" })

const sqlite = (code: string) => Object.assign(new Error("no"), { code, rawCode: 1 })

describe("the codes", () => {
  it("PostgreSQL: conflicts and refusals were not executed, a lost server may have, all else is final", () => {
    const transient =
      "08001 08004 25006 25P03 40000 40001 40P01 53000 53100 53200 53300 53400 55006 55P03 57P03 57P05 58000 58030"
        .split(" ")
    const ambiguous = "08000 08003 08006 08007 40003 57P01 57P02".split(" ")
    const terminal =
      "08P01 0A000 22001 22012 23502 23503 23505 23514 23P01 25P02 25P04 28P01 40002 42501 42601 42P01 57014 57P04 P0001 XX000 XX001"
        .split(" ")
    expect(grouped([...transient, ...ambiguous, ...terminal], postgres)).toEqual({
      Transient: transient,
      Ambiguous: ambiguous,
      Terminal: terminal
    })
  })

  it("MySQL and MariaDB: the same by error number", () => {
    const numbers = (text: string) => text.split(" ").map(Number)
    const transient = numbers(
      "1020 1021 1037 1040 1041 1135 1203 1205 1206 1213 1226 1613 1614 1637 1836 2002 2003 3101 3572 4031"
    )
    const ambiguous = numbers(
      "1053 1077 1079 1080 1152 1158 1159 1160 1161 1180 1184 1927 2006 2013 2055"
    )
    const terminal = numbers(
      "1044 1045 1047 1048 1062 1064 1146 1290 1317 1451 1452 1644 1969 3024"
    )
    expect(grouped([...transient, ...ambiguous, ...terminal], (errno) => mysql(errno))).toEqual({
      Transient: transient,
      Ambiguous: ambiguous,
      Terminal: terminal
    })
  })

  it("MySQL: a number that stands for many things is read with its words", () => {
    const option = (name: string) =>
      verdictOf(
        mysql(1290, `The MySQL server is running with the ${name} option so it cannot execute`)
      )
    expect([
      option("--read-only"),
      option("--super-read-only"),
      option("--secure-file-priv"),
      verdictOf(mysql(1047, "WSREP has not yet prepared node for application use")),
      verdictOf(mysql(1047, "Unknown command"))
    ]).toEqual(["Transient", "Transient", "Terminal", "Transient", "Terminal"])
  })

  it("SQLite: primary and extended codes, as texts and as numbers", () => {
    const names = (text: string) => text.split(" ").map((name) => `SQLITE_${name}`)
    const transient = names(
      "BUSY BUSY_SNAPSHOT BUSY_RECOVERY BUSY_TIMEOUT LOCKED LOCKED_SHAREDCACHE FULL NOMEM PROTOCOL SCHEMA ABORT_ROLLBACK"
    )
    const ambiguous = names("IOERR IOERR_FSYNC IOERR_WRITE")
    const terminal = names(
      "CONSTRAINT CONSTRAINT_UNIQUE ERROR READONLY CORRUPT NOTADB CANTOPEN ABORT INTERRUPT"
    )
    expect(grouped([...transient, ...ambiguous, ...terminal], sqlite)).toEqual({
      Transient: transient,
      Ambiguous: ambiguous,
      Terminal: terminal
    })
    // As node:sqlite says it: 5 busy, 6 locked, 10 I/O, 19 constraint, 516 aborted by a rollback.
    const numbers = [5, 261, 517, 773, 6, 262, 13, 7, 15, 17, 516, 10, 1034, 19, 2067, 1, 4, 8]
    expect(grouped(numbers, (errcode) => ({ code: "ERR_SQLITE_ERROR", errcode }))).toEqual({
      Transient: [5, 261, 517, 773, 6, 262, 13, 7, 15, 17, 516],
      Ambiguous: [10, 1034],
      Terminal: [19, 2067, 1, 4, 8]
    })
  })

  it("connections: one that was never made has sent nothing, one that broke may have; a certificate stays bad", () => {
    const system = (code: string, more: object = {}) =>
      Object.assign(new Error("no"), { code, errno: -1, ...more })
    expect([
      system("ECONNREFUSED"),
      system("ENOTFOUND"),
      system("ETIMEDOUT", { syscall: "connect" }),
      new Error("timeout exceeded when trying to connect"),
      new Error("Client has encountered a connection error and is not queryable"),
      system("ECONNRESET"),
      system("EPIPE"),
      system("ETIMEDOUT"),
      Object.assign(new Error("gone"), { code: "PROTOCOL_CONNECTION_LOST", fatal: true }),
      new Error("Connection terminated unexpectedly"),
      system("CERT_HAS_EXPIRED"),
      system("EACCES"),
      new Error("Cannot use a pool after calling end on the pool")
    ].map(verdictOf)).toEqual([
      ...Array.from({ length: 5 }, () => "Transient"),
      ...Array.from({ length: 5 }, () => "Ambiguous"),
      ...Array.from({ length: 3 }, () => "Terminal")
    ])
  })

  it("the first error that says something decides, down to ten causes, and a circle ends", () => {
    const nested = (depth: number): unknown =>
      depth === 0 ? postgres("40001") : { cause: nested(depth - 1) }
    const circle: { cause?: unknown } = {}
    circle.cause = circle
    expect([
      verdictOf(nested(9)),
      verdictOf(nested(10)),
      verdictOf(circle),
      verdictOf(Object.assign(sqlite("SQLITE_CONSTRAINT"), { cause: sqlite("SQLITE_BUSY") })),
      verdictOf(new Error("deadlock detected")),
      verdictOf("40001"),
      verdictOf(undefined)
    ]).toEqual([
      "Transient",
      "Terminal",
      "Terminal",
      "Terminal",
      "Terminal",
      "Terminal",
      "Terminal"
    ])
  })

  it("what is none of a database is judged as everywhere, and a code of an API is none of a database", () => {
    class Full extends Rejection.Error("Full")<{}> {}
    expect([
      new Full(),
      new ApiError.RateLimit({ message: "slow down" }),
      new ApiError.Validation({ message: "no", code: "40001" }),
      new Cause.TimeoutException(),
      new ResultLengthMismatch({ expected: 1, actual: 2 }),
      new Error("oops"),
      null
    ].map((error) => wordOf(SqlVerdict.verdict(error)))).toEqual([
      "Rejected",
      "Transient",
      "Terminal",
      "Ambiguous",
      "Terminal",
      "Terminal",
      "Terminal"
    ])
  })
})

describe("failures", () => {
  it.effect("brings back a SqlError that became a defect, and leaves other defects and failures alone", () =>
    Effect.gen(function*() {
      const error = sqlError(postgres("40001"))
      const ended = yield* Effect.forEach([
        Effect.die(error),
        Effect.die("a fault of the program"),
        Effect.fail("mine"),
        Effect.succeed(1),
        Effect.interrupt
      ], (self) => Effect.exit(SqlVerdict.failures(self)))
      expect(ended.slice(0, 4)).toEqual([
        Exit.fail(error),
        Exit.die("a fault of the program"),
        Exit.fail("mine"),
        Exit.succeed(1)
      ])
      expect(Exit.isInterrupted(ended[4]!)).toBe(true)
    }))

  it.effect("a lost connection is repeated for an idempotent operation and not for one that must not run twice", () =>
    Effect.gen(function*() {
      const calls = (operation: Operation.Operation) =>
        Effect.gen(function*() {
          let made = 0
          const lost = Effect.suspend(() => {
            made++
            return Effect.fail(sqlError(new Error("Connection terminated unexpectedly")))
          })
          yield* Effect.exit(Retry.retry(lost, {
            operation,
            backoff: Backoff.constant(0),
            verdict: SqlVerdict.verdict
          }))
          const pipeline = yield* Pipeline.make({
            operation,
            retry: { backoff: Backoff.constant(0), verdict: SqlVerdict.verdict }
          })
          yield* Effect.exit(Pipeline.protect(lost, pipeline))
          return made
        })
      expect([yield* calls(Operation.idempotent), yield* calls(Operation.once)]).toEqual([6, 2])
    }))
})

describe("libsql", () => {
  const file = (name: string) =>
    Layer.fresh(LibsqlClient.layer({ url: `file:${path.join(folder, name)}` }))

  /** Runs an effect on a connection of its own, whatever transaction is around it. */
  const outside = <A, E>(name: string, self: Effect.Effect<A, E, SqlClient>) =>
    Effect.promise(() => Effect.runPromise(Effect.provide(self, file(name))))

  const insert = (id: number) =>
    Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO t VALUES (${id})`)

  const table = Effect.flatMap(
    SqlClient,
    (sql) =>
      Effect.zipRight(sql`PRAGMA journal_mode = WAL`, sql`CREATE TABLE t (id INTEGER PRIMARY KEY)`)
  )

  it.live("a file that another connection writes is transient and not executed: SQLITE_BUSY", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient
      const [alone, within] = yield* sql.withTransaction(
        Effect.zipRight(
          insert(1),
          Effect.all([
            outside("busy", judged(insert(2))),
            outside(
              "busy",
              Effect.flatMap(SqlClient, (other) => judged(other.withTransaction(insert(2))))
            )
          ])
        )
      )
      const rows = yield* sql`SELECT id FROM t`
      expect([alone, within, rows]).toEqual([
        ["SQLITE_BUSY", "Transient"],
        ["SQLITE_BUSY", "Transient"],
        [{ id: 1 }]
      ])
    }).pipe(Effect.provide(file("busy"))))

  it.live("a snapshot that has become old is transient and not executed: SQLITE_BUSY_SNAPSHOT", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient
      const stale = Effect.gen(function*() {
        yield* sql`BEGIN`
        yield* sql`SELECT * FROM t`
        yield* outside("snapshot", insert(1))
        yield* insert(2)
      })
      const error = yield* Effect.flip(stale)
      expect([yield* judged(Effect.fail(error)), error.cause]).toMatchObject([
        ["SQLITE_BUSY_SNAPSHOT", "Transient"],
        { rawCode: 517 }
      ])
    }).pipe(Effect.provide(file("snapshot"))))

  it.live("a disk that is full is transient and not executed; a constraint and a wrong statement are terminal", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient
      yield* insert(1)
      const ended = [
        yield* judged(insert(1)),
        yield* judged(sql`SELEC 1`)
      ]
      yield* sql`PRAGMA max_page_count = 2`
      ended.push(yield* judged(sql`CREATE TABLE more AS SELECT zeroblob(100000) AS blob`))
      expect(ended).toEqual([
        ["SQLITE_CONSTRAINT_PRIMARYKEY", "Terminal"],
        ["SQLITE_ERROR", "Terminal"],
        ["SQLITE_FULL", "Transient"]
      ])
    }).pipe(Effect.provide(file("full"))))
})
