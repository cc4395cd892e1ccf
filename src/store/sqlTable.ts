/**
 * The table of the records, in the words of each database.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"

/**
 * The databases that the store speaks to.
 *
 * @since 0.1.0
 * @category models
 */
export type Dialect = "sqlite" | "pg" | "mysql"

/**
 * The columns in the order in which they are written and read, after the name and what is only
 * there for people to read.
 */
export const columns = [
  "version",
  "state",
  "owner",
  "generation",
  "fingerprint",
  "recovered",
  "recovery_point",
  "outcome",
  "lease_until",
  "expires_at"
] as const

/** A name that needs no escaping anywhere, and leaves room for the name of an index. */
export const isTableName = (table: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(table)

/** Quoted, so that it may be a word of the language. */
export const quoted = (dialect: Dialect, table: string): string =>
  dialect === "mysql" ? `\`${table}\`` : `"${table}"`

/** The client's database, or a defect where it is one that the store does not speak to. */
export const dialectOf = (sql: SqlClient.SqlClient): Effect.Effect<Dialect> =>
  sql.onDialectOrElse<
    Effect.Effect<Dialect>,
    Effect.Effect<Dialect>,
    Effect.Effect<Dialect>,
    Effect.Effect<Dialect>
  >({
    sqlite: () => Effect.succeed("sqlite"),
    pg: () => Effect.succeed("pg"),
    mysql: () => Effect.succeed("mysql"),
    orElse: () => Effect.dieMessage("The idempotency store needs SQLite, PostgreSQL or MySQL")
  })

/** Whether a statement outside of a transaction is one of its own: not with `autocommit = 0`. */
export const commitsOf = (
  sql: SqlClient.SqlClient,
  dialect: Dialect
): Effect.Effect<boolean, SqlError> =>
  dialect === "mysql"
    ? Effect.map(sql`SELECT @@autocommit`.values, ([row]) => Number(row?.[0]) === 1)
    : Effect.succeed(true)

const columnsOf = (text: string, name: string, short: string): string =>
  [
    `id ${name} PRIMARY KEY`,
    `version ${short} NOT NULL`,
    `scope ${text} NOT NULL`,
    `key_hash ${text} NOT NULL`,
    `state ${short === "INTEGER" ? text : "VARCHAR(16)"} NOT NULL`,
    `owner ${text} NOT NULL`,
    "generation BIGINT NOT NULL",
    `fingerprint ${text}`,
    `recovered ${short} NOT NULL`,
    `recovery_point ${text}`,
    `outcome ${text}`,
    "lease_until BIGINT",
    "expires_at BIGINT NOT NULL"
  ].join(",\n  ")

/** Writes the statements that make the table and its index where they are missing. */
export const statementsOf = (dialect: Dialect, table: string): ReadonlyArray<string> => {
  const name = quoted(dialect, table)
  const index = `CREATE INDEX IF NOT EXISTS ${
    quoted(dialect, `${table}_expires_at`)
  } ON ${name} (expires_at)`
  switch (dialect) {
    case "sqlite":
      return [
        `CREATE TABLE IF NOT EXISTS ${name} (\n  ${columnsOf("TEXT", "TEXT", "INTEGER")}\n)`,
        index
      ]
    case "pg":
      return [
        `CREATE TABLE IF NOT EXISTS ${name} (\n  ${columnsOf("TEXT", "TEXT", "SMALLINT")}\n)`,
        index
      ]
    case "mysql": {
      const body = columnsOf(
        "LONGTEXT",
        "CHAR(64) CHARACTER SET ascii COLLATE ascii_bin",
        "SMALLINT"
      )
      return [
        `CREATE TABLE IF NOT EXISTS ${name} (\n  ${body},\n  INDEX expires_at (expires_at)\n) ` +
        "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
      ]
    }
  }
}

/** Any number will do; the same for all who make this table. */
const advisoryLock = 0x69_64_65_6d

/**
 * Makes the table. PostgreSQL lets two processes that create one table at once run into each other,
 * in spite of IF NOT EXISTS; there they queue. What is there already needs no right to create.
 */
export const migrate = (sql: SqlClient.SqlClient, table: string): Effect.Effect<void, SqlError> =>
  Effect.flatMap(dialectOf(sql), (dialect) => {
    const create = Effect.forEach(
      statementsOf(dialect, table),
      (statement) => sql.unsafe(statement),
      { discard: true }
    )
    if (dialect !== "pg") return create
    return Effect.flatMap(
      sql`SELECT to_regclass(${quoted(dialect, table)}) IS NOT NULL`.values,
      ([row]) =>
        row?.[0] === true
          ? Effect.void
          : sql.withTransaction(
            Effect.zipRight(sql`SELECT pg_advisory_xact_lock(${advisoryLock})`, create)
          )
    )
  })
