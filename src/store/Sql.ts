/**
 * Stores idempotency records in a SQL database. They outlive the process and are shared by all
 * programs that use the table.
 *
 * A call that was executed by a process that has died must not be executed again by the next one.
 * The database of the program can remember it: a claim is one row, and the database decides which
 * owner has it.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import * as Validate from "../runtime/validate.js"
import * as Secrets from "./secrets.js"
import { make } from "./sqlOperations.js"
import {
  commitsOf,
  type Dialect,
  dialectOf,
  isTableName,
  migrate,
  statementsOf
} from "./sqlTable.js"

export type { Secret } from "./secrets.js"
export type { Dialect } from "./sqlTable.js"

/**
 * The options of the store.
 *
 * **Details**
 *
 * Keys are named by an HMAC under `secret`, the same for all programs that share the table. `table`
 * is a plain name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Secrets.Secrets {
  /**
   * The table: at most 48 letters, digits and underscores. Default `effect_resilience_idempotency`.
   */
  readonly table?: string | undefined
  /**
   * Takes the time from the database (`"store"`) or from the `Clock` of the program (`"clock"`).
   * Default: `"store"` for PostgreSQL and MySQL, `"clock"` for SQLite.
   */
  readonly timeSource?: "clock" | "store" | undefined
  /** Writes in the transaction of the caller. Default `false`. */
  readonly transactional?: boolean | undefined
  /** Makes the table and its index where they are missing. Default `true`. */
  readonly migrate?: boolean | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `table`. */
  table: "effect_resilience_idempotency",
  /** Default of the option `transactional`. */
  transactional: false,
  /** Default of the option `migrate`. */
  migrate: true
} as const

const tableOf = (table: string | undefined): string =>
  Validate.text(
    "table",
    table ?? defaults.table,
    "a name of at most 48 letters, digits and underscores that does not begin with a digit",
    isTableName
  )

const timeSourceOf = (timeSource: Options["timeSource"]): Options["timeSource"] => {
  if (timeSource !== undefined) {
    Validate.text(
      "timeSource",
      timeSource,
      "\"clock\" or \"store\"",
      (value) => value === "clock" || value === "store"
    )
  }
  return timeSource
}

/**
 * Writes the statements that make the table and its index, for a program that has migrations of its
 * own. Each statement can be repeated.
 *
 * @since 0.1.0
 * @category migrations
 */
export const statements = (
  dialect: Dialect,
  options?: {
    /** The table. Default `effect_resilience_idempotency`. */
    readonly table?: string | undefined
  }
): ReadonlyArray<string> => statementsOf(dialect, tableOf(options?.table))

/**
 * Makes the table and its index where they are missing. Safe for several processes that start at
 * once.
 *
 * @since 0.1.0
 * @category migrations
 */
export const migration = (
  options?: {
    /** The table. Default `effect_resilience_idempotency`. */
    readonly table?: string | undefined
  }
): Effect.Effect<void, SqlError, SqlClient.SqlClient> => {
  const table = tableOf(options?.table)
  return Effect.flatMap(SqlClient.SqlClient, (sql) => migrate(sql, table))
}

/**
 * Makes a store in a table of the database behind `SqlClient`: SQLite (libsql), PostgreSQL or MySQL
 * (MariaDB). Keys are named under the secrets of the store.
 *
 * **When to use**
 *
 * When the program has a database already. Several machines need a server (PostgreSQL, MySQL);
 * SQLite is for one process for each file.
 *
 * **Details**
 *
 * - Every operation is one statement, which makes its step only where the record allows it: one
 *   round trip. A second one is there for a claim that takes over on PostgreSQL, for a replay on
 *   SQLite and MySQL (a third takes over there), and for a holder whose step was not made. A claim
 *   while there are `previousSecrets` is a short
 *   transaction that locks the rows, and so is every operation of a `transactional` store on MySQL,
 *   or of a server with `autocommit = 0`.
 * - A replay, and any other claim that is refused, writes nothing.
 * - A claim never waits for another claim's work, only for the moment of its statement. O(1) for
 *   each operation, by primary key; `sweep` is by index.
 * - A completed record is replayed until its time to live ends. An unfinished one is kept for at
 *   least a day after its lease, so that a later caller learns of it. Nothing removes old rows by
 *   itself: call `sweep` now and then.
 * - Conflicts (serialization failures, deadlocks, locks that are not free) are tried again, with
 *   jitter, for as long as the caller waits. A call that its caller gave up is left behind, and
 *   never cancelled. Whatever else goes wrong is a `StoreError` without the driver's text, and the
 *   statements are not traced, because a driver repeats values in its messages. A row of another
 *   version, or one that cannot be read, is a `StoreError` that says `corrupt`, and is left as it
 *   is.
 * - Invalid options throw `RangeError` here; a database that cannot be reached, or refuses the
 *   table, fails the layer.
 *
 * **Gotchas**
 *
 * - Inside a transaction of the caller the store uses a connection of its own: a claim that
 *   vanished with a rollback would let the call be executed again. So the pool needs a connection
 *   more than there are such callers. SQLite has only one writer. There a call inside a transaction
 *   fails at once with a `StoreError`, and an error in the log says why: put the transaction inside
 *   the idempotent call.
 * - On libsql a statement that finds the file locked stays busy in the driver until it is garbage,
 *   and its connection commits nothing meanwhile. The store leaves such a connection, and what it
 *   answers is committed; a statement of the program that was busy can keep the file locked.
 * - `transactional: true` makes claim, work and outcome one transaction, for work that writes to
 *   this database and does nothing else. A duplicate that comes meanwhile waits for the
 *   transaction, for as long as the caller's `storeTimeout` allows. A failed store call fails the
 *   run, so that the transaction rolls back, and a `heartbeat` is refused.
 * - A table on a replica that lags, or one that loses commits at failover, can forget a claim. Use
 *   the primary, with synchronous commits.
 *
 * **Example** (Surviving a restart)
 *
 * ```ts
 * import { LibsqlClient } from "@effect/sql-libsql"
 * import { Idempotency, IdempotencyKey } from "effect-resilience"
 * import * as Sql from "effect-resilience/store/Sql"
 * import { Effect, Layer, Redacted, Schema } from "effect"
 *
 * const database = LibsqlClient.layer({ url: ":memory:" })
 * const store = Sql.layer({ secret: Redacted.make("from your secret store") }).pipe(
 *   Layer.provide(database)
 * )
 *
 * let charges = 0
 * const charge = Effect.sync(() => ++charges).pipe(
 *   Idempotency.run({ scope: ["acme", "charge"], payload: { amount: 100 }, result: Schema.Number })
 * )
 *
 * const program = Effect.gen(function*() {
 *   const key = yield* IdempotencyKey.fromString("order-1")
 *   const first = yield* IdempotencyKey.provide(charge, key)
 *   const again = yield* IdempotencyKey.provide(charge, key)
 *   return [first, again, charges]
 * })
 *
 * await Effect.runPromise(Effect.provide(program, store)) // => [1, 1, 1]
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<IdempotencyStore.IdempotencyStore, SqlError, SqlClient.SqlClient> => {
  const table = tableOf(options.table)
  const timeSource = timeSourceOf(options.timeSource)
  const transactional = options.transactional ?? defaults.transactional
  const secrets = Secrets.secretsOf(options)
  const migrates = options.migrate ?? defaults.migrate
  const store = Layer.scoped(
    IdempotencyStore.IdempotencyStore,
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const sql = yield* SqlClient.SqlClient
      const dialect = yield* dialectOf(sql)
      if (migrates) yield* migrate(sql, table)
      const source = timeSource ?? (dialect === "sqlite" ? "clock" : "store")
      const ownClock = source === "clock"
      const commits = yield* commitsOf(sql, dialect)
      const store = make({ sql, dialect, table, ownClock, transactional, commits })
      return { ...store, secrets, scope }
    })
  )
  return Layer.merge(store, Secrets.layer(secrets))
}
