/**
 * Runs the store over a SQL client: chooses the statements and the transaction of each operation,
 * and handles its failures.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Names from "../core/idempotencyNames.js"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import { currentStoreCall, retrying } from "../idempotency/conflicts.js"
import {
  type Acquired,
  type Claim,
  type Held,
  type Kept,
  type Service,
  StoreError
} from "../idempotency/IdempotencyStore.js"
import * as FiberLocal from "../runtime/fiberLocal.js"
import * as Libsql from "./libsql.js"
import { kindOf } from "./sqlErrors.js"
import { type Parts, type Query } from "./sqlParts.js"
import * as Records from "./sqlRecords.js"
import { make as statements, type Statements } from "./sqlStatements.js"
import { batchRows, slack, Sweep } from "./sqlSweep.js"
import type { Dialect } from "./sqlTable.js"
import { wholeMillis } from "./storedRecord.js"

export interface Settings {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly table: string
  /** Whether the program says what time it is, and not the database. */
  readonly ownClock: boolean
  readonly transactional: boolean
  /** Whether every statement outside of a transaction is one: not with MySQL's autocommit = 0. */
  readonly commits: boolean
}

type Operation = StoreError["operation"]

type Failure = SqlError | Records.Unreadable

const isConflict = (failure: Failure): boolean =>
  failure._tag === "SqlError" && kindOf(failure.cause) === "conflict"

/** MySQL: there is a row of this name. */
const isDuplicate = ({ cause }: SqlError): boolean =>
  hasProperty(cause, "errno") && (cause.errno === 1062 || cause.errno === 1586)

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
 * and the cancel can hit the query that comes next on it. A call of a run has a fiber of its own
 * already.
 */
const underWay = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(FiberRef.get(currentStoreCall), (call) =>
    call === undefined
      ? Effect.flatMap(
        Effect.forkDaemon(Effect.uninterruptible(self)),
        (fiber) => Effect.flatten(Fiber.await(fiber))
      )
      : Effect.uninterruptible(self))

const noWayOut =
  "The idempotency store was called inside a transaction, and SQLite has no second writer: " +
  "a claim would vanish with a rollback. Put the transaction inside " +
  "the idempotent call, or make both one on purpose with transactional: true"

/**
 * Answers the owner that asks again what it was told, and says nothing of recovery points that
 * there are not.
 */
const acquired = (answer: IdempotencyRecord.Answer): Acquired =>
  answer._tag === "Acquired"
    ? { ...answer, recoveryPoint: Option.fromNullable(answer.recoveryPoint) }
    : answer

/** What a claim is told of a record. */
const answering =
  (claim: Claim) => (record: IdempotencyRecord.IdempotencyRecord, nowMillis: number): Acquired =>
    acquired(IdempotencyRecord.acquire(record, claim, nowMillis)[0])

class Store {
  private readonly sql: SqlClient.SqlClient
  readonly statements: Statements
  private readonly sweeps = new Sweep()
  /** MySQL needs a transaction, of its own or of the caller, for more than a single statement. */
  private readonly locks: boolean

  constructor(private readonly settings: Settings) {
    // Columns of ours are named as they are.
    this.sql = settings.sql.withoutTransforms()
    const { commits, dialect, ownClock, table, transactional } = settings
    this.locks = dialect === "mysql" && (transactional || !commits)
    this.statements = statements({ sql: this.sql, dialect, table, ownClock })
  }

  private get parts(): Effect.Effect<Parts> {
    const { dialect, ownClock, table } = this.settings
    const rows: Parts["rows"] = (query) => Libsql.values(this.sql, query, isConflict)
    const partsAt = (nowMillis: number | undefined) => ({
      sql: this.sql,
      dialect,
      table,
      nowMillis,
      rows
    })
    return ownClock
      ? Effect.map(Clock.currentTimeMillis, partsAt)
      : Effect.sync(() => partsAt(undefined))
  }

  /** One operation, outside of the caller's transaction unless it is to be inside. */
  private run<A>(
    operation: Operation,
    self: (parts: Parts) => Effect.Effect<A, Failure>
  ) {
    const { transactional } = this.settings
    const once = failingCommits(Effect.flatMap(this.parts, self))
    // In the transaction of the caller only the whole transaction can be repeated.
    const work = transactional
      ? once
      : retrying(once, isConflict)
    const failing = Effect.mapError(
      FiberLocal.during(work, FiberRef.currentTracerEnabled, () => false),
      (failure) =>
        new StoreError(failure._tag === "Unreadable" ? { operation, corrupt: true } : { operation })
    )
    return underWay(transactional ? failing : this.outside(operation, failing))
  }

  /** Whether there is a transaction of the caller. */
  private isInside(context: Context.Context<never>): boolean {
    return Libsql.isClient(this.sql)
      ? Libsql.isInTransaction(context)
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
    parts: Parts,
    query: Query,
    answer: (record: IdempotencyRecord.IdempotencyRecord, nowMillis: number) => A,
    without: B
  ): Effect.Effect<A | B, Failure> {
    return Effect.flatMap(
      parts.rows(query),
      ([row]): Effect.Effect<A | B, Failure> =>
        row === undefined
          ? Effect.succeed(without)
          : Effect.map(Records.read(row), ([record, now]) => answer(record, now))
    )
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
      if (names.length === 1 && !this.locks) {
        switch (parts.dialect) {
          case "sqlite":
            return this.claim(parts, asked)
          case "pg":
            return this.entered(parts, asked)
          case "mysql":
            return this.inserted(parts, asked)
        }
      }
      return parts.dialect === "sqlite"
        ? Records.compared(parts, places, decide)
        : Records.locked(parts, places, true, decide)
    })
  }

  /** PostgreSQL: makes the row. One that is there decides, and is claimed where it may be. */
  private entered(
    parts: Parts,
    claim: Claim,
    left = Records.comparisons
  ): Effect.Effect<Acquired, Failure> {
    const again = Records.again(left, Effect.suspend(() => this.entered(parts, claim, left - 1)))
    const answer = answering(claim)
    const { acquire, enter } = this.statements
    return Effect.flatMap(parts.rows(enter(claim, parts.nowMillis)), ([row]) => {
      if (row === undefined) return again
      return Effect.flatMap(Records.read(row), ([record, now]) => {
        const told = answer(record, now)
        if (Records.isMade(row) || told._tag !== "Acquired") return Effect.succeed(told)
        return Effect.flatMap(
          this.ask(parts, acquire(claim, parts.nowMillis), answer, undefined),
          (granted) => granted === undefined ? again : Effect.succeed(granted)
        )
      })
    })
  }

  /**
   * SQLite: a refused claim that gave nothing back is looked up; what has become free meanwhile is
   * claimed again.
   */
  private claim(
    parts: Parts,
    claim: Claim,
    left = Records.comparisons
  ): Effect.Effect<Acquired, Failure> {
    const answer = answering(claim)
    const { acquire, look } = this.statements
    return Effect.flatMap(
      this.ask(parts, acquire(claim, parts.nowMillis), answer, undefined),
      (granted) =>
        granted === undefined
          ? Effect.flatMap(
            this.ask(parts, look(claim, parts.nowMillis), answer, undefined),
            (refused) =>
              refused === undefined || refused._tag === "Acquired"
                ? Records.again(left, Effect.suspend(() => this.claim(parts, claim, left - 1)))
                : Effect.succeed(refused)
          )
          : Effect.succeed(granted)
    )
  }

  /** MySQL: makes the row. One that is there decides, and is taken over where it may be. */
  private inserted(
    parts: Parts,
    claim: Claim,
    left = Records.comparisons
  ): Effect.Effect<Acquired, Failure> {
    const [fresh] = IdempotencyRecord.acquire(IdempotencyRecord.absent, claim, 0)
    return Effect.catchIf(
      Effect.as(this.statements.acquire(claim, parts.nowMillis), acquired(fresh)),
      isDuplicate,
      () => this.taken(parts, claim, left)
    )
  }

  private taken(parts: Parts, claim: Claim, left: number): Effect.Effect<Acquired, Failure> {
    const again = (next: Effect.Effect<Acquired, Failure>) => Records.again(left, next)
    return Effect.flatMap(this.statements.look(claim, parts.nowMillis).values, ([row]) => {
      if (row === undefined) {
        return again(Effect.suspend(() => this.inserted(parts, claim, left - 1)))
      }
      return Effect.flatMap(Records.read(row), ([record, now]) => {
        const [answer, after] = IdempotencyRecord.acquire(record, claim, now)
        if (answer._tag !== "Acquired") return Effect.succeed(acquired(answer))
        return Effect.flatMap(
          Records.swapped(parts, claim, row, after),
          (mine) =>
            mine
              ? Effect.succeed(acquired(answer))
              : again(Effect.suspend(() => this.taken(parts, claim, left - 1)))
        )
      })
    })
  }

  /** What a holder does to its record. */
  change(
    operation: Operation,
    held: Held,
    query: (now: number | undefined) => Query,
    step: (
      record: IdempotencyRecord.IdempotencyRecord,
      nowMillis: number
    ) => IdempotencyRecord.Change
  ): Effect.Effect<Kept, StoreError> {
    const answer = (record: IdempotencyRecord.IdempotencyRecord, now: number) =>
      step(record, now)[0]
    const without = step(IdempotencyRecord.absent, 0)[0]
    return this.run(operation, (parts) => {
      const { dialect, nowMillis } = parts
      if (this.locks) {
        return Records.locked(parts, [held], false, ([before = IdempotencyRecord.absent], now) => {
          const [kept, after] = step(before, now)
          return [kept, after === before ? [] : [[0, after]]]
        })
      }
      const done = dialect === "mysql"
        ? Effect.map(query(nowMillis).raw, Records.changes)
        : Effect.map(parts.rows(query(nowMillis)), (rows) => rows.length)
      return Effect.flatMap(done, (count) =>
        count > 0
          ? Effect.succeed<Kept>("ok")
          : this.ask(parts, this.statements.look(held, nowMillis), answer, without))
    })
  }

  /** What was released is no record any more: it goes along and does not count. */
  sweep(limit: number): Effect.Effect<number, StoreError> {
    const most = Number.isNaN(limit) ? 0 : Math.min(1_000_000, Math.max(0, Math.floor(limit)))
    const from = (
      removed: number,
      passed: number,
      looked: number
    ): Effect.Effect<number, StoreError> =>
      removed >= most || looked >= 2 * most + slack
        ? Effect.succeed(removed)
        : Effect.flatMap(
          this.run("sweep", (parts) => this.sweeps.batch(parts, most - removed, passed)),
          (batch) => {
            const all = removed + batch.removed
            return batch.found < batchRows
              ? Effect.succeed(all)
              : from(all, passed + batch.passed, looked + batch.found)
          }
        )
    return most === 0 ? Effect.succeed(0) : from(0, 0, 0)
  }
}

export const make = (settings: Settings): Service => {
  const store = new Store(settings)
  const { complete, extend, release, savepoint } = store.statements
  return {
    acquire: (claim) => store.acquire(claim),
    complete: (held, outcome, timeToLiveMillis) =>
      store.change(
        "complete",
        held,
        (now) => complete(held, outcome, timeToLiveMillis, now),
        (record, now) =>
          IdempotencyRecord.complete(record, held, outcome, wholeMillis(timeToLiveMillis), now)
      ),
    release: (held) =>
      store.change(
        "release",
        held,
        (now) => release(held, now),
        (record, now) => IdempotencyRecord.release(record, held, now)
      ),
    extend: (held, leaseMillis) =>
      store.change(
        "extend",
        held,
        (now) => extend(held, leaseMillis, now),
        (record, now) => IdempotencyRecord.extend(record, held, wholeMillis(leaseMillis), now)
      ),
    savepoint: (held, data) =>
      store.change(
        "savepoint",
        held,
        (now) => savepoint(held, data, now),
        (record, now) => IdempotencyRecord.savepoint(record, held, data, now)
      ),
    sweep: (limit) => store.sweep(limit),
    transactional: store.transactional
  }
}
