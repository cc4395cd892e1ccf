/**
 * The operations of the store as one statement each, for databases that answer a write with the row
 * that is there afterwards.
 *
 * The statement makes the step only where the record allows it, and always gives the row back. A
 * step can be repeated by its owner, so asking the pure record what it thinks of the row tells what
 * has happened: there is no second place that knows the answers.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Statement from "@effect/sql/Statement"
import { unfinishedMillis } from "../core/idempotencyRecord.js"
import type { Claim, Held } from "../idempotency/IdempotencyStore.js"
import { columns, type Dialect, quoted } from "./sqlTable.js"
import * as Stored from "./storedRecord.js"

type Fragment = Statement.Fragment

type Query = Statement.Statement<unknown>

/** What every statement is made of: the table, and what time it is. */
export interface Parts {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly table: string
  /**
   * Milliseconds of the program's clock, or undefined where the database is to say what time it is.
   */
  readonly nowMillis: number | undefined
}

/**
 * The present time of the database. Not the beginning of the transaction, which may be long ago.
 */
const databaseNow: Readonly<Record<Dialect, string>> = {
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

const list = columns.join(", ")

/** One reading of the clock for the whole statement, whatever it has to wait for. */
const clock = (parts: Parts): Fragment => parts.sql`WITH clock (now) AS (SELECT ${nowOf(parts)})`

const now = "(SELECT now FROM clock)"

const returning = `RETURNING ${columns.map((column) => `r.${column}`).join(", ")}, ${now}`

/** SQLite knows the table in RETURNING by no other name. */
const returningOf = ({ dialect, sql }: Parts): Fragment =>
  sql.literal(dialect === "pg" ? returning : `RETURNING ${list}, ${now}`)

/** Whether the row is a record of this version. What is not is left as it is. */
const readable =
  `(r.version = ${Stored.version} AND r.state IN ('in_progress', 'completed', 'released'))`

/** Whether nothing is left of the record that would answer. */
const over = `(r.state = 'released' OR r.expires_at <= ${now})`

const claimable =
  `(${readable} AND (${over} OR (r.state = 'in_progress' AND r.fingerprint = excluded.fingerprint
  AND (r.owner = excluded.owner OR r.lease_until <= ${now}))))`

const claimed = `
  state = CASE WHEN ${claimable} THEN 'in_progress' ELSE r.state END,
  owner = CASE WHEN ${claimable} THEN excluded.owner ELSE r.owner END,
  generation = CASE WHEN ${claimable} AND (${over} OR r.owner <> excluded.owner) THEN r.generation + 1 ELSE r.generation END,
  fingerprint = CASE WHEN ${claimable} THEN excluded.fingerprint ELSE r.fingerprint END,
  recovered = CASE WHEN ${claimable} THEN CASE WHEN ${over} THEN 0 WHEN r.owner = excluded.owner THEN r.recovered ELSE 1 END
    ELSE r.recovered END,
  recovery_point = CASE WHEN ${claimable} AND ${over} THEN NULL ELSE r.recovery_point END,
  outcome = CASE WHEN ${claimable} THEN NULL ELSE r.outcome END,
  lease_until = CASE WHEN ${claimable} THEN excluded.lease_until ELSE r.lease_until END,
  expires_at = CASE WHEN ${claimable} THEN excluded.expires_at ELSE r.expires_at END`

/**
 * The row of a new claim, or what a claim makes of the row that is there.
 *
 * A refused claim changes nothing. PostgreSQL writes the row as it is, to give it back in the same
 * round trip; SQLite has no round trips to spare and waits for the disk with every write, so there
 * a refused claim gives nothing back, and `look` has to be asked.
 */
export const acquire = (parts: Parts, claim: Claim): Query => {
  const { sql } = parts
  const lease = Stored.wholeMillis(claim.leaseMillis)
  const kept = Math.max(Stored.wholeMillis(claim.timeToLiveMillis), lease + unfinishedMillis)
  return sql`${clock(parts)}
    INSERT INTO ${tableOf(parts)} AS r (id, scope, key_hash, ${sql.literal(list)})
    SELECT ${Stored.recordName(claim.scope, claim.keyHash)}, ${Stored.toText(claim.scope)}, ${
    Stored.toText(claim.keyHash)
  },
      ${sql.literal(String(Stored.version))}, 'in_progress', ${Stored.toText(claim.owner)}, 1, ${
    Stored.toText(claim.fingerprint)
  }, 0,
      NULL, NULL, now + CAST(${lease} AS BIGINT), now + CAST(${kept} AS BIGINT)
    FROM clock WHERE true
    ON CONFLICT (id) DO UPDATE SET ${sql.literal(claimed)} ${
    sql.literal(parts.dialect === "sqlite" ? `WHERE ${claimable}` : "")
  }
    ${returningOf(parts)}`
}

/** The row as it is. */
export const look = (parts: Parts, { keyHash, scope }: Claim): Query =>
  parts.sql`SELECT ${parts.sql.literal(list)}, ${nowOf(parts)} FROM ${tableOf(parts)} WHERE id = ${
    Stored.recordName(scope, keyHash)
  }`

/** What a holder does to its record, where it still holds it. */
const change = (
  parts: Parts,
  held: Held,
  assignments: (mine: Fragment) => Fragment
): Query => {
  const { sql } = parts
  const mine = sql`(${sql.literal(readable)} AND r.state = 'in_progress' AND r.expires_at > ${
    sql.literal(now)
  }
    AND r.owner = ${
    Stored.toText(held.owner)
  } AND r.generation = CAST(${held.generation} AS BIGINT))`
  return sql`${clock(parts)}
    UPDATE ${tableOf(parts)} AS r SET ${assignments(mine)}
    WHERE r.id = ${Stored.recordName(held.scope, held.keyHash)}
    ${returningOf(parts)}`
}

/** The record is over and has an outcome. */
export const complete = (
  parts: Parts,
  held: Held,
  outcome: string,
  timeToLiveMillis: number
): Query => {
  const { sql } = parts
  const until = sql`${sql.literal(now)} + CAST(${Stored.wholeMillis(timeToLiveMillis)} AS BIGINT)`
  return change(parts, held, (mine) =>
    sql`
    state = CASE WHEN ${mine} THEN 'completed' ELSE r.state END,
    outcome = CASE WHEN ${mine} THEN ${Stored.toText(outcome)} ELSE r.outcome END,
    recovery_point = CASE WHEN ${mine} THEN NULL ELSE r.recovery_point END,
    expires_at = CASE WHEN ${mine} THEN ${until} ELSE r.expires_at END`)
}

/** Nothing is left of the record but who has released it. */
export const release = (parts: Parts, held: Held): Query => {
  const { sql } = parts
  return change(parts, held, (mine) =>
    sql`
    state = CASE WHEN ${mine} THEN 'released' ELSE r.state END,
    recovery_point = CASE WHEN ${mine} THEN NULL ELSE r.recovery_point END,
    expires_at = CASE WHEN ${mine} THEN r.lease_until ELSE r.expires_at END`)
}

/** The lease begins anew. */
export const extend = (parts: Parts, held: Held, leaseMillis: number): Query => {
  const { sql } = parts
  const lease = Stored.wholeMillis(leaseMillis)
  const until = sql`${sql.literal(now)} + CAST(${lease} AS BIGINT)`
  const kept = sql`${sql.literal(now)} + CAST(${lease + unfinishedMillis} AS BIGINT)`
  return change(parts, held, (mine) =>
    sql`
    lease_until = CASE WHEN ${mine} THEN ${until} ELSE r.lease_until END,
    expires_at = CASE WHEN ${mine} AND r.expires_at < ${kept} THEN ${kept} ELSE r.expires_at END`)
}

/** The work has come this far. */
export const savepoint = (parts: Parts, held: Held, data: string): Query => {
  const { sql } = parts
  return change(parts, held, (mine) =>
    sql`
    recovery_point = CASE WHEN ${mine} THEN ${Stored.toText(data)} ELSE r.recovery_point END`)
}

const isOver = (parts: Parts): Fragment =>
  parts.sql`version = ${parts.sql.literal(String(Stored.version))} AND expires_at <= ${
    nowOf(parts)
  }`

/** Some records that are over, the oldest first: names and states. By index, and without locks. */
export const expired = (parts: Parts, limit: number, after: number): Query =>
  parts.sql`SELECT id, state FROM ${tableOf(parts)} WHERE ${isOver(parts)}
    ORDER BY expires_at LIMIT ${parts.sql.literal(`${limit} OFFSET ${after}`)}`

const among = ({ sql }: Parts, ids: ReadonlyArray<string>): Fragment =>
  sql`id IN (${sql.join(", ", false)(ids.map((id) => sql`${id}`))})`

/** MySQL: those of the names that are still over and that no transaction holds, locked. */
export const lockExpired = (parts: Parts, ids: ReadonlyArray<string>, skips: boolean): Query =>
  parts.sql`SELECT id, ${isOver(parts)} FROM ${tableOf(parts)} WHERE ${among(parts, ids)}
    ORDER BY id FOR UPDATE ${parts.sql.literal(skips ? "SKIP LOCKED" : "")}`

/** MySQL: removes what is locked. */
export const removeLocked = (parts: Parts, ids: ReadonlyArray<string>): Query =>
  parts.sql`DELETE FROM ${tableOf(parts)} WHERE ${among(parts, ids)}`

/** Removes those of the names that are still over, and answers with their names. */
export const removeExpired = (parts: Parts, ids: ReadonlyArray<string>): Query => {
  const { dialect, sql } = parts
  const table = tableOf(parts)
  const still = sql`${among(parts, ids)} AND ${isOver(parts)}`
  // A transaction that claims a record at this moment keeps it.
  return dialect === "pg"
    ? sql`DELETE FROM ${table} WHERE id IN (
        SELECT id FROM ${table} WHERE ${still} FOR UPDATE SKIP LOCKED) RETURNING id`
    : sql`DELETE FROM ${table} WHERE ${still} RETURNING id`
}
