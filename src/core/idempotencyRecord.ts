/**
 * The state machine of the record of one idempotent call: which owner may run it, for how long, and
 * its outcome.
 *
 * A function that changes nothing returns the record that it was given.
 */
import type { Holder, IdempotencyRecord, InProgress } from "./idempotencyState.js"
import { isExpired, isLive, unfinishedMillis } from "./idempotencyState.js"

export * from "./idempotencyState.js"

/**
 * Who asks, and for which payload.
 *
 * @since 0.1.0
 */
export interface Claim {
  readonly fingerprint: string
  readonly owner: string
  readonly leaseMillis: number
  readonly timeToLiveMillis: number
}

/**
 * The answer to a claim.
 *
 * @since 0.1.0
 */
export type Answer =
  | ({ readonly _tag: "Acquired" } & Pick<InProgress, "generation" | "recovered" | "recoveryPoint">)
  | { readonly _tag: "InFlight"; readonly retryAfterMillis: number }
  | { readonly _tag: "Completed"; readonly outcome: string }
  | { readonly _tag: "Mismatch" }

/**
 * Whether the holder still held its claim, and the record afterwards.
 *
 * @since 0.1.0
 */
export type Change = readonly [kept: "ok" | "stale", record: IdempotencyRecord]

const generationOf = (record: IdempotencyRecord): number =>
  record._tag === "Absent" ? 0 : record.generation

/** A claim that is granted from now on. */
const granted = (
  { fingerprint, leaseMillis, owner, timeToLiveMillis }: Claim,
  was: Pick<InProgress, "generation" | "recovered" | "recoveryPoint">,
  nowMillis: number
): readonly [Answer, InProgress] => {
  const { generation, recovered, recoveryPoint } = was
  const leaseUntilMillis = nowMillis + leaseMillis
  const expiresAtMillis = Math.max(
    nowMillis + timeToLiveMillis,
    leaseUntilMillis + unfinishedMillis
  )
  return [
    { _tag: "Acquired", generation, recovered, recoveryPoint },
    {
      _tag: "InProgress",
      owner,
      generation,
      fingerprint,
      recovered,
      recoveryPoint,
      leaseUntilMillis,
      expiresAtMillis
    }
  ]
}

/**
 * Asks to run the call. The same owner may ask again and is told the same, with a new lease.
 * Whatever is left of an earlier life of the record, the generation is higher than there. O(1).
 *
 * @since 0.1.0
 */
export const acquire = (
  record: IdempotencyRecord,
  claim: Claim,
  nowMillis: number
): readonly [Answer, IdempotencyRecord] => {
  if (!isLive(record, nowMillis)) {
    return granted(claim, { generation: generationOf(record) + 1, recovered: false }, nowMillis)
  }
  // Another payload under the same key is a mistake of the caller, whatever became of the first.
  if (record.fingerprint !== claim.fingerprint) return [{ _tag: "Mismatch" }, record]
  if (record._tag === "Completed") return [{ _tag: "Completed", outcome: record.outcome }, record]
  if (record.owner === claim.owner) return granted(claim, record, nowMillis)
  if (record.leaseUntilMillis > nowMillis) {
    return [{ _tag: "InFlight", retryAfterMillis: record.leaseUntilMillis - nowMillis }, record]
  }
  return granted(
    claim,
    { ...record, generation: record.generation + 1, recovered: true },
    nowMillis
  )
}

/**
 * Tests whether the record is this holder's claim, which it may still use after its lease as long
 * as no other owner has taken over.
 */
const isHeldBy = (record: Holder, { generation, owner }: Holder): boolean =>
  record.owner === owner && record.generation === generation

const changed = (
  record: IdempotencyRecord,
  holder: Holder,
  nowMillis: number,
  change: (record: InProgress) => IdempotencyRecord
): Change =>
  record._tag === "InProgress" && isLive(record, nowMillis) && isHeldBy(record, holder)
    ? ["ok", change(record)]
    : ["stale", record]

/**
 * Records what came of the call; the time to live counts from now. Its owner may repeat it, and the
 * outcome stays the first. O(1).
 *
 * @since 0.1.0
 */
export const complete = (
  record: IdempotencyRecord,
  holder: Holder,
  outcome: string,
  timeToLiveMillis: number,
  nowMillis: number
): Change =>
  record._tag === "Completed" && isLive(record, nowMillis) && isHeldBy(record, holder)
    ? ["ok", record]
    : changed(record, holder, nowMillis, ({ fingerprint, generation, owner }) => ({
      _tag: "Completed",
      owner,
      generation,
      fingerprint,
      outcome,
      expiresAtMillis: nowMillis + timeToLiveMillis
    }))

/**
 * Gives the claim up: the next caller runs as if there had been none. A record that is complete
 * cannot be given up. Where nothing is left of a record, every owner is told that it is released,
 * because it is. O(1).
 *
 * @since 0.1.0
 */
export const release = (record: IdempotencyRecord, holder: Holder, nowMillis: number): Change => {
  if (record._tag === "Absent" || isExpired(record, nowMillis)) return ["ok", record]
  if (record._tag === "Released") return [isHeldBy(record, holder) ? "ok" : "stale", record]
  return changed(record, holder, nowMillis, ({ generation, leaseUntilMillis, owner }) => ({
    _tag: "Released",
    owner,
    generation,
    expiresAtMillis: leaseUntilMillis
  }))
}

/**
 * Lets the lease end `leaseMillis` from now, also one that has lapsed and that no other owner has
 * taken over. O(1).
 *
 * @since 0.1.0
 */
export const extend = (
  record: IdempotencyRecord,
  holder: Holder,
  leaseMillis: number,
  nowMillis: number
): Change =>
  changed(record, holder, nowMillis, (record) => {
    const leaseUntilMillis = nowMillis + leaseMillis
    const expiresAtMillis = Math.max(record.expiresAtMillis, leaseUntilMillis + unfinishedMillis)
    return { ...record, leaseUntilMillis, expiresAtMillis }
  })

/**
 * Notes how far the work has come, for the owner that takes over. O(1).
 *
 * @since 0.1.0
 */
export const savepoint = (
  record: IdempotencyRecord,
  holder: Holder,
  recoveryPoint: string,
  nowMillis: number
): Change => changed(record, holder, nowMillis, (record) => ({ ...record, recoveryPoint }))
