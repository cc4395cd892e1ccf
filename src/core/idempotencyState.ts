/**
 * The states of one idempotent call: unknown, run by an owner, or over with an outcome.
 *
 * Two clocks: a lease says how long a claim keeps others out, `expiresAtMillis` how long the record
 * is kept. For both, a time that is equal to now is over. Times are milliseconds of whatever clock
 * the store goes by.
 */

/**
 * Who was granted a claim. The generation tells two claims of one owner apart.
 *
 * @since 0.1.0
 */
export interface Holder {
  readonly owner: string
  readonly generation: number
}

/**
 * Nothing is known of the key.
 *
 * @since 0.1.0
 */
export interface Absent {
  readonly _tag: "Absent"
}

/**
 * An owner runs the call, or has given no sign since `leaseUntilMillis`. `recovered` says whether
 * it was taken over from another owner.
 *
 * @since 0.1.0
 */
export interface InProgress extends Holder {
  readonly _tag: "InProgress"
  readonly fingerprint: string
  readonly recovered: boolean
  readonly recoveryPoint?: string | undefined
  readonly leaseUntilMillis: number
  readonly expiresAtMillis: number
}

/**
 * The call is over, and this came of it. Who ran it may say so twice.
 *
 * @since 0.1.0
 */
export interface Completed extends Holder {
  readonly _tag: "Completed"
  readonly fingerprint: string
  readonly outcome: string
  readonly expiresAtMillis: number
}

/**
 * A new claim treats it as absent. It is kept for what was left of the lease, to tell the owner
 * that repeats its release from one that had lost its claim before.
 *
 * @since 0.1.0
 */
interface Released extends Holder {
  readonly _tag: "Released"
  readonly expiresAtMillis: number
}

/**
 * @since 0.1.0
 */
export type IdempotencyRecord = Absent | InProgress | Completed | Released

/**
 * @since 0.1.0
 */
export const absent: Absent = { _tag: "Absent" }

/**
 * How long after its lease an unfinished record is kept at least: it is unknown whether the call
 * was executed, and a key lives for a day unless the program says otherwise. A short time to live
 * is about answers, and must not turn an unknown outcome into a second execution.
 *
 * @since 0.1.0
 */
export const unfinishedMillis = 86_400_000

/**
 * Tests whether a sweep may remove what is left of the record: it is over, and every owner that
 * asks finds the key absent. O(1).
 *
 * @since 0.1.0
 */
export const isExpired = (record: IdempotencyRecord, nowMillis: number): boolean =>
  record._tag !== "Absent" && record.expiresAtMillis <= nowMillis

/**
 * Tests whether the record answers a claim with anything but a first run. O(1).
 *
 * @since 0.1.0
 */
export const isLive = (
  record: IdempotencyRecord,
  nowMillis: number
): record is InProgress | Completed =>
  (record._tag === "InProgress" || record._tag === "Completed") &&
  record.expiresAtMillis > nowMillis
