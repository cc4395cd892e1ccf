/**
 * The store over a SQL client: which way an operation goes, in whose transaction, and what becomes
 * of its failures.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Names from "../core/idempotencyNames.js"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import { retrying } from "../idempotency/conflicts.js"
import {
  type Acquired,
  type Claim,
  type Held,
  type Kept,
  type Service,
  StoreError
} from "../idempotency/IdempotencyStore.js"
import * as Records from "./sqlRecords.js"
import * as Statements from "./sqlStatements.js"
import type { Dialect } from "./sqlTable.js"
import { states, wholeMillis } from "./storedRecord.js"

export interface Settings {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly table: string
  /** Undefined where the database says what time it is. */
  readonly nowMillis: Effect.Effect<number | undefined>
  readonly transactional: boolean
}

type Operation = StoreError["operation"]

type Failure = SqlError | Records.Unreadable

/** One step of a sweep: how many rows it saw, removed as records, and left to a transaction. */
interface Batch {
  readonly found: number
  readonly removed: number
  readonly passed: number
}

/** How many rows one step of a sweep looks at. */
const sweepBatch = 200

/** How many released rows a sweep removes at most besides its limit. */
const sweepSlack = 5000

/** MySQL: the statement cannot be parsed. */
const isUnknownSyntax = ({ cause }: SqlError): boolean =>
  hasProperty(cause, "errno") && cause.errno === 1064

/** The client for libsql keeps its transactions to itself. */
const libsql = Symbol.for("@effect/sql-libsql/LibsqlClient")

const LibsqlTransaction = Context.GenericTag<{ readonly _: unique symbol }, unknown>(
  "@effect/sql-libsql/LibsqlClient/LibsqlTransaction"
)

/**
 * PostgreSQL: serialization failure, deadlock, a lock that is not free. MySQL: deadlock, a lock that
 * is not free, a row that was changed since it was read.
 */
const conflicts: ReadonlySet<unknown> = new Set([
  "40001",
  "40P01",
  "55P03",
  1205,
  1213,
  1020
])

/** The codes of SQLite, extended ones too, as texts and as numbers: busy, locked. */
const isBusy = (code: unknown): boolean =>
  typeof code === "string" && /^SQLITE_(?:BUSY|LOCKED)(?:_|$)/.test(code)

const isBusyNumber = (code: unknown): boolean =>
  typeof code === "number" && ((code & 0xff) === 5 || (code & 0xff) === 6)

/** How deep a driver hides the error of the database. */
const deepestCause = 5

const isConflictCause = (cause: unknown, dialect: Dialect, depth = 0): boolean => {
  if (typeof cause !== "object" || cause === null || depth > deepestCause) return false
  const code = "code" in cause ? cause.code : undefined
  const number = "errno" in cause
    ? cause.errno
    : "errcode" in cause
    ? cause.errcode
    : "rawCode" in cause
    ? cause.rawCode
    : undefined
  const here = dialect === "sqlite"
    ? isBusy(code) || isBusyNumber(number)
    : conflicts.has(dialect === "mysql" ? number : code)
  return here || ("cause" in cause && isConflictCause(cause.cause, dialect, depth + 1))
}

const isConflict = (failure: Failure, dialect: Dialect): boolean =>
  failure._tag === "SqlError" && isConflictCause(failure.cause, dialect)

/**
 * The client makes a defect of a commit that fails, which is a failure of the database like any
 * other.
 */
const failingCommits = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | SqlError> =>
  Effect.catchSomeDefect(
    self,
    (defect): Option.Option<Effect.Effect<never, SqlError>> =>
      defect instanceof SqlError ? Option.some(Effect.fail(defect)) : Option.none()
  )

/**
 * A statement ends by itself: an interruption leaves it behind. PostgreSQL cancels by connection,
 * and the cancel can hit the query that comes next on it.
 */
const underWay = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(
    Effect.forkDaemon(Effect.uninterruptible(self)),
    (fiber) => Effect.flatten(Fiber.await(fiber))
  )

const noWayOut =
  "The idempotency store was called inside a transaction, and SQLite has no second writer: a claim would vanish with a rollback. Put the transaction inside "
  + "the idempotent call, or make both one on purpose with transactional: true"

/**
 * Answers the owner that asks again what it was told, and says nothing of recovery points that
 * there are not.
 */
const acquired = (answer: IdempotencyRecord.Answer): Acquired =>
  answer._tag === "Acquired"
    ? { ...answer, recoveryPoint: Option.fromNullable(answer.recoveryPoint) }
    : answer

class Store {
  private readonly sql: SqlClient.SqlClient
  /** Whether MySQL can pass over locked rows, as far as is known: since 8.0, MariaDB since 10.6. */
  private skipsLocked = true

  constructor(private readonly settings: Settings) {
    // Columns of ours are named as they are.
    this.sql = settings.sql.withoutTransforms()
  }

  private get parts(): Effect.Effect<Statements.Parts> {
    const { dialect, nowMillis, table } = this.settings
    return Effect.map(nowMillis, (nowMillis) => ({ sql: this.sql, dialect, table, nowMillis }))
  }

  /** One operation, outside of the caller's transaction unless it is to be inside. */
  private run<A>(
    operation: Operation,
    self: (parts: Statements.Parts) => Effect.Effect<A, Failure>
  ) {
    const { dialect, transactional } = this.settings
    const once = failingCommits(Effect.flatMap(this.parts, self))
    // In the transaction of the caller only the whole transaction can be repeated.
    const work = transactional
      ? once
      : retrying(once, (failure) => isConflict(failure, dialect))
    const failing = Effect.mapError(
      Effect.withTracerEnabled(work, false),
      (failure) =>
        new StoreError(failure._tag === "Unreadable" ? { operation, corrupt: true } : { operation })
    )
    return underWay(transactional ? failing : this.outside(operation, failing))
  }

  /** Whether there is a transaction of the caller. */
  private isInside(context: Context.Context<never>): boolean {
    return hasProperty(this.sql, libsql)
      ? Context.getOption(context, LibsqlTransaction)._tag === "Some"
      : Context.getOption(context, SqlClient.TransactionConnection)._tag === "Some"
  }

  get transactional(): Effect.Effect<boolean> | undefined {
    return this.settings.transactional
      ? Effect.contextWith((context: Context.Context<never>) => this.isInside(context))
      : undefined
  }

  private outside<A>(
    operation: Operation,
    self: Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> {
    return Effect.contextWithEffect((context: Context.Context<never>) => {
      if (!this.isInside(context)) return self
      if (this.settings.dialect !== "sqlite") {
        return Effect.mapInputContext(self, Context.omit(SqlClient.TransactionConnection)<never>)
      }
      return Effect.zipRight(Effect.logError(noWayOut), new StoreError({ operation }))
    })
  }

  /** One statement that gives the row back, and what it says without one. */
  private ask<A, B>(
    query: Statement.Statement<unknown>,
    answer: (record: IdempotencyRecord.IdempotencyRecord, nowMillis: number) => A,
    without: B
  ): Effect.Effect<A | B, Failure> {
    return Effect.flatMap(query.values, ([row]): Effect.Effect<A | B, Failure> =>
      row === undefined
        ? Effect.succeed(without)
        : Effect.map(Records.read(row), ([record, now]) => answer(record, now)))
  }

  acquire(claim: Claim): Effect.Effect<Acquired, StoreError> {
    const asked = {
      ...claim,
      leaseMillis: wholeMillis(claim.leaseMillis),
      timeToLiveMillis: wholeMillis(claim.timeToLiveMillis)
    }
    const names = [...new Set([claim.keyHash, ...claim.previousKeyHashes ?? []])]
    const places = names.map((keyHash) => ({ scope: claim.scope, keyHash }))
    const decide: Records.Decide<Acquired> = (records, now) => {
      const [answer, writes] = Names.acquire(records, asked, now)
      return [acquired(answer), writes]
    }
    return this.run("acquire", (parts) => {
      if (parts.dialect === "mysql" || (parts.dialect === "pg" && names.length > 1)) {
        return Records.locked(parts, places, true, decide)
      }
      return names.length > 1 ? Records.compared(parts, places, decide) : this.claim(parts, asked)
    })
  }

  /**
   * A refused claim that gave nothing back is looked up; what has become free meanwhile is claimed
   * again.
   */
  private claim(parts: Statements.Parts, claim: Claim): Effect.Effect<Acquired, Failure> {
    const answer = (record: IdempotencyRecord.IdempotencyRecord, now: number) =>
      acquired(IdempotencyRecord.acquire(record, claim, now)[0])
    return Effect.flatMap(
      this.ask(Statements.acquire(parts, claim), answer, undefined),
      (granted) =>
        granted === undefined
          ? Effect.flatMap(this.ask(Statements.look(parts, claim), answer, undefined), (refused) =>
            refused === undefined || refused._tag === "Acquired"
              ? Effect.zipRight(Effect.yieldNow(), this.claim(parts, claim))
              : Effect.succeed(refused))
          : Effect.succeed(granted)
    )
  }

  /** What a holder does to its record. */
  change(
    operation: Operation,
    held: Held,
    query: (parts: Statements.Parts) => Statement.Statement<unknown>,
    step: (
      record: IdempotencyRecord.IdempotencyRecord,
      nowMillis: number
    ) => IdempotencyRecord.Change
  ): Effect.Effect<Kept, StoreError> {
    return this.run(operation, (parts) =>
      parts.dialect === "mysql"
        ? Records.locked(parts, [held], false, ([before = IdempotencyRecord.absent], now) => {
          const [kept, after] = step(before, now)
          return [kept, after === before ? [] : [[0, after]]]
        })
        : this.ask(query(parts), (record, now) =>
          step(record, now)[0], step(IdempotencyRecord.absent, 0)[0]))
  }

  /**
   * What was released is no record any more: it goes along and does not count. In small batches,
   * each one by the names of its rows, so that no claim has to wait and the cost is that of the
   * limit. The oldest come first; those that a transaction holds are passed over.
   */
  sweep(limit: number): Effect.Effect<number, StoreError> {
    const most = Number.isNaN(limit) ? 0 : Math.min(1_000_000, Math.max(0, Math.floor(limit)))
    const from = (
      removed: number,
      passed: number,
      looked: number
    ): Effect.Effect<number, StoreError> =>
      removed >= most || looked >= 2 * most + sweepSlack
        ? Effect.succeed(removed)
        : Effect.flatMap(
          this.run("sweep", (parts) => this.batch(parts, most - removed, passed)),
          (batch) => {
            const all = removed + batch.removed
            return batch.found < sweepBatch
              ? Effect.succeed(all)
              : from(all, passed + batch.passed, looked + batch.found)
          }
        )
    return most === 0 ? Effect.succeed(0) : from(0, 0, 0)
  }

  private batch(
    parts: Statements.Parts,
    most: number,
    after: number
  ): Effect.Effect<Batch, SqlError> {
    return Effect.flatMap(Statements.expired(parts, sweepBatch, after).values, (rows) => {
      const chosen = new Map<string, boolean>()
      let counted = 0
      for (const [id, state] of rows) {
        const counts = state !== states.Released
        if (counts && counted === most) break
        if (counts) counted++
        chosen.set(String(id), counts)
      }
      if (chosen.size === 0) return Effect.succeed({ found: 0, removed: 0, passed: 0 })
      return Effect.map(this.remove(parts, [...chosen.keys()]), (removed) => ({
        found: rows.length,
        removed: removed.filter((id) => chosen.get(id) === true).length,
        passed: chosen.size - removed.length
      }))
    })
  }

  /** Removes those of the rows that are still over, and answers with their names. */
  private remove(
    parts: Statements.Parts,
    ids: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, SqlError> {
    if (parts.dialect !== "mysql") {
      return Effect.map(
        Statements.removeExpired(parts, ids).values,
        (rows) => rows.map(([id]) => String(id))
      )
    }
    const removing = (skips: boolean) =>
      this.sql.withTransaction(
        Effect.flatMap(Statements.lockExpired(parts, ids, skips).values, (rows) => {
          const over = rows.filter(([, isOver]) => Number(isOver) === 1).map(([id]) => String(id))
          return over.length === 0
            ? Effect.succeed(over)
            : Effect.as(Statements.removeLocked(parts, over), over)
        })
      )
    return Effect.catchIf(
      Effect.suspend(() => removing(this.skipsLocked)),
      (error) => this.skipsLocked && isUnknownSyntax(error),
      () =>
        Effect.suspend(() => {
          this.skipsLocked = false
          return removing(false)
        })
    )
  }
}

export const make = (settings: Settings): Service => {
  const store = new Store(settings)
  return {
    acquire: (claim) => store.acquire(claim),
    complete: (held, outcome, timeToLiveMillis) =>
      store.change(
        "complete",
        held,
        (parts) => Statements.complete(parts, held, outcome, timeToLiveMillis),
        (record, now) =>
          IdempotencyRecord.complete(record, held, outcome, wholeMillis(timeToLiveMillis), now)
      ),
    release: (held) =>
      store.change(
        "release",
        held,
        (parts) => Statements.release(parts, held),
        (record, now) => IdempotencyRecord.release(record, held, now)
      ),
    extend: (held, leaseMillis) =>
      store.change(
        "extend",
        held,
        (parts) => Statements.extend(parts, held, leaseMillis),
        (record, now) => IdempotencyRecord.extend(record, held, wholeMillis(leaseMillis), now)
      ),
    savepoint: (held, data) =>
      store.change(
        "savepoint",
        held,
        (parts) => Statements.savepoint(parts, held, data),
        (record, now) => IdempotencyRecord.savepoint(record, held, data, now)
      ),
    sweep: (limit) => store.sweep(limit),
    transactional: store.transactional
  }
}
