/**
 * Reads a record, decides by the pure record and writes it back, in several statements that no
 * other writer can come between.
 *
 * Two cases need it: a claim by several names, which may move a record from one row to another; and
 * MySQL, which does not answer a write with the row, where it is asked in the caller's transaction,
 * or for a record that is there already.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type * as Statement from "@effect/sql/Statement"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import { isGivenUp } from "../idempotency/conflicts.js"
import { nowOf, type Parts, type Rows, tableOf } from "./sqlParts.js"
import { columns } from "./sqlTable.js"
import * as Stored from "./storedRecord.js"

/** A row that holds no record. */
export class Unreadable extends Data.TaggedError("Unreadable")<{}> {}

export type Row = ReadonlyArray<unknown>

/** A record's place: the name of its row, and what is written beside it for people to read. */
export interface Place {
  readonly scope: string
  readonly keyHash: string
}

/** What to write where. Nothing is written where nothing has changed. */
export type Decide<A> = (
  records: ReadonlyArray<IdempotencyRecord.IdempotencyRecord>,
  nowMillis: number
) => readonly [
  answer: A,
  writes: ReadonlyArray<readonly [index: number, record: IdempotencyRecord.IdempotencyRecord]>
]

const nameOf = ({ keyHash, scope }: Place): string => Stored.recordName(scope, keyHash)

/** A row in the order of the columns. */
const fieldsOf = (row: Row): Stored.Fields => ({
  version: row[0],
  state: row[1],
  owner: row[2],
  generation: row[3],
  fingerprint: row[4],
  recovered: row[5],
  recoveryPoint: row[6],
  outcome: row[7],
  leaseUntil: row[8],
  expiresAt: row[9]
})

/** The record in a row, and what time it was there. */
export const read = (
  row: Row
): Effect.Effect<readonly [IdempotencyRecord.IdempotencyRecord, number], Unreadable> => {
  const record = Stored.decode(fieldsOf(row))
  return record === undefined
    ? Effect.fail(new Unreadable())
    : Effect.succeed([record, Number(row[columns.length])])
}

/** PostgreSQL: whether the statement made the row that it gave back. */
export const isMade = (row: Row): boolean => Number(row[columns.length + 1]) === 1

/** Absent where nothing was there and nothing is to be. */
const valuesOf = (
  record: IdempotencyRecord.IdempotencyRecord
): ReadonlyArray<string | number | null> => {
  if (record._tag === "Absent") return []
  const fields = Stored.encode(record)
  return [
    fields.version,
    fields.state,
    fields.owner,
    fields.generation,
    fields.fingerprint,
    fields.recovered,
    fields.recoveryPoint,
    fields.outcome,
    fields.leaseUntil,
    fields.expiresAt
  ]
}

const list = columns.join(", ")

const commaSeparated = (
  sql: SqlClient.SqlClient,
  fragments: ReadonlyArray<Statement.Fragment>
): Statement.Fragment => sql.join(", ", false)(fragments)

const placed = (
  sql: SqlClient.SqlClient,
  place: Place,
  record: IdempotencyRecord.IdempotencyRecord
) =>
  commaSeparated(
    sql,
    [nameOf(place), Stored.toText(place.scope), Stored.toText(place.keyHash), ...valuesOf(record)]
      .map((value) => sql`${value}`)
  )

/** The row of a place, if there is one. */
const rowOf = (rows: Rows, place: Place): Row | undefined =>
  rows.find((row) => row[columns.length + 1] === nameOf(place))

/** The records of all places, in their order. */
const inOrder = (places: ReadonlyArray<Place>, rows: Rows) =>
  Effect.forEach(
    places,
    (place): Effect.Effect<IdempotencyRecord.IdempotencyRecord, Unreadable> => {
      const row = rowOf(rows, place)
      return row === undefined
        ? Effect.succeed(IdempotencyRecord.absent)
        : Effect.map(read(row), ([record]) => record)
    }
  )

const select = (parts: Parts, places: ReadonlyArray<Place>): Statement.Fragment => {
  const { sql } = parts
  return sql`SELECT ${sql.literal(list)}, ${nowOf(parts)}, id FROM ${tableOf(parts)}
    WHERE id IN (${commaSeparated(sql, places.map((place) => sql`${nameOf(place)}`))})`
}

/** A record that is as good as absent; it is written so that there is a row to lock. */
const placeholder: IdempotencyRecord.IdempotencyRecord = {
  _tag: "Released",
  owner: "",
  generation: 0,
  expiresAtMillis: 0
}

const equations = (
  sql: SqlClient.SqlClient,
  operator: "=" | "<=>",
  values: ReadonlyArray<unknown>
): ReadonlyArray<Statement.Fragment> =>
  values.map((value, index) => sql`${sql.literal(`${columns[index] ?? ""} ${operator}`)} ${value}`)

/** Writes a record over the row of its place. */
const written = (
  parts: Parts,
  place: Place,
  record: IdempotencyRecord.IdempotencyRecord
): Statement.Statement<unknown> => {
  const { sql } = parts
  return sql`UPDATE ${tableOf(parts)} SET ${
    commaSeparated(sql, equations(sql, "=", valuesOf(record)))
  } WHERE id = ${nameOf(place)}`
}

/** MySQL: how many rows a statement has changed. Drivers differ in what they say of no change. */
export const changes = (result: unknown): number =>
  hasProperty(result, "affectedRows") ? Number(result.affectedRows) : 0

/**
 * MySQL, without a transaction: writes a record over its row if that still is as it was read, in
 * one statement. Nothing is written where nothing would change. Answers whether the record stands
 * there now.
 */
export const swapped = (
  parts: Parts,
  place: Place,
  row: Row,
  record: IdempotencyRecord.IdempotencyRecord
): Effect.Effect<boolean, SqlError> => {
  const { sql } = parts
  const values = valuesOf(record)
  if (values.every((value, index) => value === row[index])) return Effect.succeed(true)
  const unchanged = equations(sql, "<=>", row.slice(0, columns.length))
  return Effect.map(
    sql`${written(parts, place, record)} AND ${sql.join(" AND ", false)(unchanged)}`.raw,
    (result) => changes(result) > 0
  )
}

/**
 * Works under locks on the rows of all places, taken in the order of their names, so that two
 * claims by the same names cannot wait for each other. A row that may have to be made is made
 * first, because a missing row cannot be locked.
 */
export const locked = <A>(
  parts: Parts,
  places: ReadonlyArray<Place>,
  makes: boolean,
  decide: Decide<A>
): Effect.Effect<A, SqlError | Unreadable> => {
  const { dialect, sql } = parts
  const table = tableOf(parts)
  const sorted = [...places].sort((a, b) => nameOf(a) < nameOf(b) ? -1 : 1)
  const ifThere = sql.literal(
    dialect === "mysql" ? "ON DUPLICATE KEY UPDATE id = id" : "ON CONFLICT (id) DO NOTHING"
  )
  const make = Effect.forEach(
    makes ? sorted : [],
    (place) =>
      sql`INSERT INTO ${table} (id, scope, key_hash, ${sql.literal(list)}) VALUES (${
        placed(sql, place, placeholder)
      }) ${ifThere}`,
    { discard: true }
  )
  return sql.withTransaction(Effect.gen(function*() {
    yield* make
    const rows = yield* sql`${select(parts, places)} ORDER BY id FOR UPDATE`.values
    const records = yield* inOrder(places, rows)
    // Without a row there is no time, and nothing that depends on it.
    const [answer, writes] = decide(records, Number(rows[0]?.[columns.length] ?? 0))
    for (const [index, record] of writes) {
      const place = places[index]
      if (place !== undefined) yield* written(parts, place, record)
    }
    return answer
  }))
}

/** How often a claim begins again before it gives up. Each time another owner has got further. */
export const comparisons = 100

/**
 * Begins again, after a turn: unless others were always faster, or the caller has stopped waiting.
 */
export const again = <A, E>(
  left: number,
  self: Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError> =>
  Effect.flatMap(
    Effect.zipRight(Effect.yieldNow(), isGivenUp),
    (givenUp): Effect.Effect<A, E | SqlError> =>
      left === 0 || givenUp ? new SqlError({ message: "Others were always faster" }) : self
  )

/**
 * Without a transaction: reads, and writes with one statement that does so only where everything
 * still is as it was read; else from the beginning. For SQLite, whose statements come one after
 * another, and whose clients may not have a second connection for a transaction.
 */
export const compared = <A>(
  parts: Parts,
  places: ReadonlyArray<Place>,
  decide: Decide<A>,
  left = comparisons
): Effect.Effect<A, SqlError | Unreadable> => {
  const { sql } = parts
  const table = tableOf(parts)
  const asRead = (place: Place, row: Row | undefined): Statement.Fragment => {
    const id = nameOf(place)
    if (row === undefined) return sql`NOT EXISTS (SELECT 1 FROM ${table} WHERE id = ${id})`
    const same = columns.map((column, index) => sql`${sql.literal(column)} IS ${row[index]}`)
    return sql`EXISTS (SELECT 1 FROM ${table} WHERE ${
      sql.join(" AND ", false)([sql`id = ${id}`, ...same])
    })`
  }
  return Effect.gen(function*() {
    const [[now] = []] = yield* parts.rows(sql`SELECT ${nowOf(parts)}`)
    const rows = yield* parts.rows(sql`${select(parts, places)}`)
    const [answer, writes] = decide(yield* inOrder(places, rows), Number(now))
    if (writes.length === 0) return answer
    const after = writes.flatMap(([index, record]) => {
      const place = places[index]
      return place === undefined ? [] : [sql`SELECT ${placed(sql, place, record)}`]
    })
    const unchanged = places.map((place) => asRead(place, rowOf(rows, place)))
    const written = yield* parts.rows(sql`
      INSERT INTO ${table} (id, scope, key_hash, ${sql.literal(list)})
      SELECT * FROM (${sql.join(" UNION ALL ", false)(after)}) WHERE ${
      sql.join(" AND ", false)(unchanged)
    }
      ON CONFLICT (id) DO UPDATE SET ${
      commaSeparated(sql, columns.map((column) => sql.literal(`${column} = excluded.${column}`)))
    } RETURNING 1`)
    if (written.length > 0) return answer
    return yield* again(left, Effect.suspend(() => compared(parts, places, decide, left - 1)))
  })
}
