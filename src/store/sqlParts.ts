/**
 * What every statement is made of: the client, the table, and what time it is.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import type * as Effect from "effect/Effect"
import { type Dialect, quoted } from "./sqlTable.js"

export type Fragment = Statement.Fragment

export type Query = Statement.Statement<unknown>

export type Rows = ReadonlyArray<ReadonlyArray<unknown>>

export interface Parts {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly table: string
  /**
   * Milliseconds of the program's clock, or undefined where the database is to say what time it is.
   */
  readonly nowMillis: number | undefined
  /** Runs one statement: its rows. */
  readonly rows: (query: Query) => Effect.Effect<Rows, SqlError>
}

/**
 * The present time of the database. Not the beginning of the transaction, which may be long ago.
 */
export const databaseNow: Readonly<Record<Dialect, string>> = {
  sqlite: "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS BIGINT)",
  pg: "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)",
  mysql: "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000)"
}

export const nowOf = ({ dialect, nowMillis, sql }: Parts): Fragment =>
  nowMillis === undefined
    ? sql.literal(databaseNow[dialect])
    : dialect === "mysql"
    ? sql`${nowMillis}`
    : sql`CAST(${nowMillis} AS BIGINT)`

export const tableOf = ({ dialect, sql, table }: Parts): Fragment =>
  sql.literal(quoted(dialect, table))
