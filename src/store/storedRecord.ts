/**
 * Writes a record where it outlives the process, in the same form in every store: plain fields,
 * texts that every database keeps byte for byte, and only fingerprints. A record that cannot be
 * read back is not guessed at.
 */
import { sha256 } from "@noble/hashes/sha2"
import { bytesToHex } from "@noble/hashes/utils"
import type * as IdempotencyRecord from "../core/idempotencyRecord.js"

/** Of the format. A record of another version is not touched. */
export const version = 1

/** The names of a record's state where it is stored. */
export const states = {
  InProgress: "in_progress",
  Completed: "completed",
  Released: "released"
} as const

/**
 * What a store gives back for a record. Absent fields are null; numbers may come as texts or big
 * integers.
 */
export interface Fields {
  readonly version: unknown
  readonly state: unknown
  readonly owner: unknown
  readonly generation: unknown
  readonly fingerprint: unknown
  readonly recovered: unknown
  readonly recoveryPoint: unknown
  readonly outcome: unknown
  readonly leaseUntil: unknown
  readonly expiresAt: unknown
}

/** Longer than any lease, and short enough that adding it to a time is exact. */
const maxMillis = 4_000_000_000_000_000

/** Stores count in whole milliseconds. No duration is nothing. */
export const wholeMillis = (millis: number): number =>
  Math.min(maxMillis, Math.max(1, Math.ceil(millis)))

/** The mark of an escaped character. It is no character itself, and is in no text. */
const mark = "\uffff"

const escaped = (character: string): string =>
  `${mark}${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * PostgreSQL takes no NUL, and UTF-8 no half of a surrogate pair. JSON has none of what is escaped
 * here, so it stays as it is.
 */
export const toText = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cs}\uffff]/gu, escaped)

const fromText = (text: string): string =>
  text.replaceAll(
    /\uffff([\da-f]{4})/g,
    (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))
  )

const digest = (text: string): string => bytesToHex(sha256(new TextEncoder().encode(toText(text))))

/** The name of a scope, of fixed length. */
export const scopeName = (scope: string): string => digest(scope)

/**
 * The name of a record: of fixed length, so that any database can index it, and different for any
 * two pairs of scope and key.
 */
export const recordName = (scope: string, keyHash: string): string =>
  digest(`${scope.length}:${scope}${keyHash}`)

const integer = (value: unknown): number | undefined => {
  const number =
    typeof value === "bigint" || (typeof value === "string" && /^\d{1,16}$/.test(value))
      ? Number(value)
      : value
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" ? fromText(value) : undefined

/** The record, or undefined where the fields are none: of another version, or damaged. */
export const decode = (
  fields: Fields
): Exclude<IdempotencyRecord.IdempotencyRecord, { _tag: "Absent" }> | undefined => {
  const generation = integer(fields.generation)
  const expiresAtMillis = integer(fields.expiresAt)
  const owner = text(fields.owner)
  if (integer(fields.version) !== version) return undefined
  if (generation === undefined || expiresAtMillis === undefined || owner === undefined) {
    return undefined
  }
  const held = { owner, generation, expiresAtMillis }
  if (fields.state === states.Released) return { _tag: "Released", ...held }
  const fingerprint = text(fields.fingerprint)
  if (fingerprint === undefined) return undefined
  if (fields.state === states.Completed) {
    const outcome = text(fields.outcome)
    return outcome === undefined ? undefined : { _tag: "Completed", ...held, fingerprint, outcome }
  }
  const leaseUntilMillis = integer(fields.leaseUntil)
  const recovered = integer(fields.recovered)
  const recoveryPoint = fields.recoveryPoint === null ? null : text(fields.recoveryPoint)
  if (fields.state !== states.InProgress || recoveryPoint === undefined) return undefined
  if (leaseUntilMillis === undefined || recovered === undefined) return undefined
  return {
    _tag: "InProgress",
    ...held,
    fingerprint,
    recovered: recovered !== 0,
    leaseUntilMillis,
    ...(recoveryPoint === null ? {} : { recoveryPoint })
  }
}

/** Writes a record: the fields of its state, and null for the others. */
export const encode = (
  record: Exclude<IdempotencyRecord.IdempotencyRecord, { _tag: "Absent" }>
) => ({
  version,
  state: states[record._tag],
  owner: toText(record.owner),
  generation: record.generation,
  fingerprint: record._tag === "Released" ? null : toText(record.fingerprint),
  recovered: record._tag === "InProgress" && record.recovered ? 1 : 0,
  recoveryPoint: record._tag === "InProgress" && record.recoveryPoint !== undefined
    ? toText(record.recoveryPoint)
    : null,
  outcome: record._tag === "Completed" ? toText(record.outcome) : null,
  leaseUntil: record._tag === "InProgress" ? record.leaseUntilMillis : null,
  expiresAt: record.expiresAtMillis
})
