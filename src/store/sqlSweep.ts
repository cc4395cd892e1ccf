/**
 * Removes records that are over, in small batches, each one by the names of its rows, so that no
 * claim has to wait and the cost is that of the limit. The oldest come first; those that a
 * transaction holds are passed over.
 */
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import { type Fragment, nowOf, type Parts, type Query, tableOf } from "./sqlParts.js"
import { states, version } from "./storedRecord.js"

/** One step of a sweep: how many rows it saw, removed as records, and left to a transaction. */
export interface Batch {
  readonly found: number
  readonly removed: number
  readonly passed: number
}

/** How many rows one step of a sweep looks at. */
export const batchRows = 200

/** How many released rows a sweep removes at most besides its limit. */
export const slack = 5000

/** MySQL: the statement cannot be parsed. */
const isUnknownSyntax = ({ cause }: SqlError): boolean =>
  hasProperty(cause, "errno") && cause.errno === 1064

const isOver = (parts: Parts): Fragment =>
  parts.sql`version = ${parts.sql.literal(String(version))} AND expires_at <= ${nowOf(parts)}`

/** Some records that are over, the oldest first: names and states. By index, and without locks. */
const expired = (parts: Parts, after: number): Query =>
  parts.sql`SELECT id, state FROM ${tableOf(parts)} WHERE ${isOver(parts)}
    ORDER BY expires_at LIMIT ${parts.sql.literal(`${batchRows} OFFSET ${after}`)}`

const among = ({ sql }: Parts, ids: ReadonlyArray<string>): Fragment =>
  sql`id IN (${sql.join(", ", false)(ids.map((id) => sql`${id}`))})`

/** MySQL: those of the names that are still over and that no transaction holds, locked. */
const lockExpired = (parts: Parts, ids: ReadonlyArray<string>, skips: boolean): Query =>
  parts.sql`SELECT id, ${isOver(parts)} FROM ${tableOf(parts)} WHERE ${among(parts, ids)}
    ORDER BY id FOR UPDATE ${parts.sql.literal(skips ? "SKIP LOCKED" : "")}`

/** MySQL: removes what is locked. */
const removeLocked = (parts: Parts, ids: ReadonlyArray<string>): Query =>
  parts.sql`DELETE FROM ${tableOf(parts)} WHERE ${among(parts, ids)}`

/** Removes those of the names that are still over, and answers with their names. */
const removeExpired = (parts: Parts, ids: ReadonlyArray<string>): Query => {
  const { dialect, sql } = parts
  const table = tableOf(parts)
  const still = sql`${among(parts, ids)} AND ${isOver(parts)}`
  // A transaction that claims a record at this moment keeps it.
  return dialect === "pg"
    ? sql`DELETE FROM ${table} WHERE id IN (
        SELECT id FROM ${table} WHERE ${still} FOR UPDATE SKIP LOCKED) RETURNING id`
    : sql`DELETE FROM ${table} WHERE ${still} RETURNING id`
}

/** The sweep of one store. */
export class Sweep {
  /** Whether MySQL can pass over locked rows, as far as is known: since 8.0, MariaDB since 10.6. */
  private skipsLocked = true

  /** Removes at most so many records, after so many rows that were passed over. */
  batch(parts: Parts, most: number, after: number): Effect.Effect<Batch, SqlError> {
    return Effect.flatMap(parts.rows(expired(parts, after)), (rows) => {
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
    parts: Parts,
    ids: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<string>, SqlError> {
    if (parts.dialect !== "mysql") {
      return Effect.map(
        parts.rows(removeExpired(parts, ids)),
        (rows) => rows.map(([id]) => String(id))
      )
    }
    const removing = (skips: boolean) =>
      parts.sql.withTransaction(
        Effect.flatMap(lockExpired(parts, ids, skips).values, (rows) => {
          const over = rows.filter(([, isOver]) => Number(isOver) === 1).map(([id]) => String(id))
          return over.length === 0
            ? Effect.succeed(over)
            : Effect.as(removeLocked(parts, over), over)
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
