/**
 * Runs statements on libsql.
 *
 * A statement that finds the file locked by another connection stays busy in the driver until it is
 * garbage. While it does, its connection commits nothing by itself: statements after it succeed,
 * and are rolled back later. So each statement here is a transaction of its own, whose commit fails
 * in such a connection, and a connection in which a statement was busy is left.
 */
import { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { hasProperty, isFunction } from "effect/Predicate"

/** What is used of the driver. */
interface Driver {
  readonly protocol: string
  readonly batch: (
    statements: ReadonlyArray<{ readonly sql: string; readonly args: ReadonlyArray<unknown> }>,
    mode: "write"
  ) => Promise<ReadonlyArray<{ readonly rows: ReadonlyArray<ArrayLike<unknown>> }>>
  readonly transaction: (mode: "deferred") => Promise<{ readonly rollback: () => Promise<void> }>
}

const isDriver = (value: unknown): value is Driver =>
  hasProperty(value, "batch") && isFunction(value.batch) &&
  hasProperty(value, "transaction") && isFunction(value.transaction) &&
  hasProperty(value, "protocol") && value.protocol === "file"

const client = Symbol.for("@effect/sql-libsql/LibsqlClient")

/** The client keeps its transactions to itself. */
const Transaction = Context.GenericTag<{ readonly _: unique symbol }, unknown>(
  "@effect/sql-libsql/LibsqlClient/LibsqlTransaction"
)

/** Tests whether this is a client for libsql. */
export const isClient = (sql: unknown): boolean => hasProperty(sql, client)

/** Tests whether there is a transaction of such a client. */
export const isInTransaction = (context: Context.Context<never>): boolean =>
  Context.getOption(context, Transaction)._tag === "Some"

/** The driver behind a client for a file of this machine. */
const driverOf = (sql: unknown): Driver | undefined =>
  isClient(sql) && hasProperty(sql, "sdk") && isDriver(sql.sdk) ? sql.sdk : undefined

/**
 * Leaves the connection: the driver makes a new one after it has begun a transaction on this one.
 */
const leave = async (driver: Driver): Promise<void> => {
  const transaction = await driver.transaction("deferred")
  await transaction.rollback()
}

const inOwnTransaction = (
  driver: Driver,
  query: Statement.Statement<unknown>,
  isBusy: (error: SqlError) => boolean
): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> =>
  Effect.suspend(() => {
    const [sql, args] = query.compile()
    return Effect.tryPromise({
      try: () => driver.batch([{ sql, args }], "write"),
      catch: (cause) => new SqlError({ cause, message: "Failed to execute statement" })
    }).pipe(
      Effect.map(([result]) => (result?.rows ?? []).map((row) => Array.from(row))),
      Effect.tapError((error) =>
        isBusy(error) ? Effect.ignore(Effect.tryPromise(() => leave(driver))) : Effect.void
      )
    )
  })

/**
 * Reads the rows of a statement. In a transaction of the client, or with another client, they stay
 * as they are.
 */
export const values = (
  client: unknown,
  query: Statement.Statement<unknown>,
  isBusy: (error: SqlError) => boolean
): Effect.Effect<ReadonlyArray<ReadonlyArray<unknown>>, SqlError> => {
  const driver = driverOf(client)
  if (driver === undefined) return query.values
  return Effect.contextWithEffect((context: Context.Context<never>) =>
    isInTransaction(context) ? query.values : inOwnTransaction(driver, query, isBusy)
  )
}
