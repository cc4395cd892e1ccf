/**
 * The operations of the store as one statement each, which makes its step only where the record
 * allows it.
 *
 * A step can be repeated by its owner, so asking the pure record what it thinks of a row tells what
 * has happened: there is no second place that knows the answers. A claim gives its row back where
 * the database can. What a holder does gives nothing back but whether it was done; where it was
 * not, the row has to be looked at.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import { unfinishedMillis } from "../core/idempotencyRecord.js"
import type { Claim, Held } from "../idempotency/IdempotencyStore.js"
import { databaseNow, type Query } from "./sqlParts.js"
import { columns, type Dialect, quoted } from "./sqlTable.js"
import { text } from "./sqlText.js"
import * as Stored from "./storedRecord.js"

/** The statements of one table. `now` is the program's clock, where it counts. */
export interface Statements {
  /**
   * The row of a new claim, or what a claim makes of the row that is there. A refused claim gives
   * nothing back. MySQL makes new rows only: a row that is there is an error.
   */
  readonly acquire: (claim: Claim, now?: number) => Query
  /**
   * The same, and PostgreSQL leaves a row that is there as it is: it gives a new row back with 1,
   * and another with 0. A row that another makes at the same moment is neither.
   */
  readonly enter: (claim: Claim, now?: number) => Query
  /** The row as it is. */
  readonly look: (place: Pick<Claim, "keyHash" | "scope">, now?: number) => Query
  /** The record is over and has an outcome. */
  readonly complete: (
    held: Held,
    outcome: string,
    timeToLiveMillis: number,
    now?: number
  ) => Query
  /** Nothing is left of the record but who has released it. */
  readonly release: (held: Held, now?: number) => Query
  /** The lease begins anew. */
  readonly extend: (held: Held, leaseMillis: number, now?: number) => Query
  /** The work has come this far. */
  readonly savepoint: (held: Held, data: string, now?: number) => Query
}

export interface Options {
  readonly sql: SqlClient.SqlClient
  readonly dialect: Dialect
  readonly table: string
  /** Whether the program says what time it is. */
  readonly ownClock: boolean
}

const list = columns.join(", ")

const listOfRow = columns.map((column) => `r.${column}`).join(", ")

/** Whether the row is a record of this version. What is not is left as it is. */
const readable =
  `(r.version = ${Stored.version} AND r.state IN ('in_progress', 'completed', 'released'))`

/** PostgreSQL and SQLite read the clock once for the whole statement, whatever it waits for. */
const clock = "(SELECT now FROM clock)"

/** Whether nothing is left of the record that would answer. */
const over = `(r.state = 'released' OR r.expires_at <= ${clock})`

const claimable =
  `(${readable} AND (${over} OR (r.state = 'in_progress' AND r.fingerprint = excluded.fingerprint
  AND (r.owner = excluded.owner OR r.lease_until <= ${clock}))))`

/** What a claim makes of a row that it may have. */
const claimed = `
  state = 'in_progress',
  owner = excluded.owner,
  generation = CASE WHEN ${over} OR r.owner <> excluded.owner
    THEN r.generation + 1 ELSE r.generation END,
  fingerprint = excluded.fingerprint,
  recovered = CASE WHEN ${over} THEN 0 WHEN r.owner = excluded.owner THEN r.recovered ELSE 1 END,
  recovery_point = CASE WHEN ${over} THEN NULL ELSE r.recovery_point END,
  outcome = NULL,
  lease_until = excluded.lease_until,
  expires_at = excluded.expires_at`

/** Writes the texts, once. */
export const make = ({ dialect, ownClock, sql, table }: Options): Statements => {
  const isMysql = dialect === "mysql"
  const name = quoted(dialect, table)
  const integer = (parameter: string) => isMysql ? parameter : `CAST(${parameter} AS BIGINT)`
  const present = ownClock ? integer(":now") : databaseNow[dialect]
  // MySQL has one time for a statement, however often it is asked.
  const now = isMysql ? present : clock
  const withClock = isMysql ? "" : `WITH clock (now) AS (SELECT ${present})`

  const fresh =
    `:id, :scope, :keyHash, ${Stored.version}, 'in_progress', :owner, 1, :fingerprint, 0, ` +
    `NULL, NULL, ${now} + ${integer(":lease")}, ${now} + ${integer(":kept")}`

  const into = `INTO ${name}${isMysql ? "" : " AS r"} (id, scope, key_hash, ${list})`

  const acquireText = isMysql
    ? `INSERT ${into} VALUES (${fresh})`
    : `${withClock} INSERT ${into} SELECT ${fresh} FROM clock WHERE true
      ON CONFLICT (id) DO UPDATE SET ${claimed} WHERE ${claimable}
      RETURNING ${dialect === "pg" ? listOfRow : list}, ${now}`

  // A row that is there is only read: to lock it would be to write it.
  const enterText = dialect === "pg"
    ? `${withClock}, made AS (INSERT ${into} SELECT ${fresh} FROM clock
        ON CONFLICT (id) DO NOTHING RETURNING ${listOfRow})
      SELECT ${list}, ${now}, 1 FROM made
      UNION ALL SELECT ${list}, ${now}, 0 FROM ${name} WHERE id = :id`
    : acquireText

  const mine = `${readable} AND r.state = 'in_progress' AND r.expires_at > ${now}
    AND r.owner = :owner AND r.generation = ${integer(":generation")}`

  /** What a holder does to its record, where it still holds it. */
  const change = (assignments: string) =>
    text(
      sql,
      dialect,
      `${withClock} UPDATE ${name} AS r SET ${assignments} WHERE r.id = :id AND ${mine}
        ${isMysql ? "" : "RETURNING 1"}`
    )

  const enter = text(sql, dialect, enterText)
  const acquire = text(sql, dialect, acquireText)
  const look = text(
    sql,
    dialect,
    `SELECT ${list}, ${present} FROM ${name} WHERE id = :id`
  )
  const kept = `${now} + ${integer(":kept")}`
  const complete = change(
    `state = 'completed', outcome = :outcome, recovery_point = NULL, expires_at = ${kept}`
  )
  const release = change("state = 'released', recovery_point = NULL, expires_at = r.lease_until")
  const extend = change(`lease_until = ${now} + ${integer(":lease")},
    expires_at = CASE WHEN r.expires_at < ${kept} THEN ${kept} ELSE r.expires_at END`)
  const savepoint = change("recovery_point = :data")

  const rowOf = (claim: Claim, now: number | undefined) => {
    const lease = Stored.wholeMillis(claim.leaseMillis)
    return {
      now,
      id: Stored.recordName(claim.scope, claim.keyHash),
      scope: Stored.toText(claim.scope),
      keyHash: Stored.toText(claim.keyHash),
      owner: Stored.toText(claim.owner),
      fingerprint: Stored.toText(claim.fingerprint),
      lease,
      kept: Math.max(Stored.wholeMillis(claim.timeToLiveMillis), lease + unfinishedMillis)
    }
  }
  const holderOf = ({ generation, keyHash, owner, scope }: Held, now: number | undefined) => ({
    now,
    id: Stored.recordName(scope, keyHash),
    owner: Stored.toText(owner),
    generation
  })

  return {
    acquire: (claim, now) => acquire(rowOf(claim, now)),
    enter: (claim, now) => enter(rowOf(claim, now)),
    look: ({ keyHash, scope }, now) => look({ now, id: Stored.recordName(scope, keyHash) }),
    complete: (held, outcome, timeToLiveMillis, now) =>
      complete({
        ...holderOf(held, now),
        outcome: Stored.toText(outcome),
        kept: Stored.wholeMillis(timeToLiveMillis)
      }),
    release: (held, now) => release(holderOf(held, now)),
    extend: (held, leaseMillis, now) => {
      const lease = Stored.wholeMillis(leaseMillis)
      return extend({ ...holderOf(held, now), lease, kept: lease + unfinishedMillis })
    },
    savepoint: (held, data, now) => savepoint({ ...holderOf(held, now), data: Stored.toText(data) })
  }
}
