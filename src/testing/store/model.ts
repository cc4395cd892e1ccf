/**
 * Says which answers of an idempotency store are right, by the rules of one record. The record of
 * the core is the model.
 */
import * as Option from "effect/Option"
import * as IdempotencyRecord from "../../core/idempotencyRecord.js"
import type * as IdempotencyStore from "../../idempotency/IdempotencyStore.js"

/** A claim that was granted, as the model counts its generation and as the store does. */
export interface Hold extends IdempotencyRecord.Holder {
  readonly held: IdempotencyStore.Held
}

/**
 * One key: its record in the model, the generation that the store gave it, and all owners that were
 * ever granted a claim.
 */
export interface Key {
  readonly record: IdempotencyRecord.IdempotencyRecord
  readonly storeGeneration: number
  readonly holds: ReadonlyArray<Hold>
}

export const unclaimed: Key = { record: IdempotencyRecord.absent, storeGeneration: 0, holds: [] }

/** What an owner of a claim may do with it. */
export type Change =
  | { readonly _tag: "Complete"; readonly outcome: string; readonly timeToLiveMillis: number }
  | { readonly _tag: "Release" }
  | { readonly _tag: "Extend"; readonly leaseMillis: number }
  | { readonly _tag: "Savepoint"; readonly data: string }

/** What is wrong with an answer, in words, or the key after it. */
export type Judgement = string | Key

const answered = (answer: IdempotencyStore.Acquired): string => {
  switch (answer._tag) {
    case "Acquired": {
      const point = Option.match(answer.recoveryPoint, {
        onNone: () => "no recovery point",
        onSome: (data) => `the recovery point ${JSON.stringify(data)}`
      })
      return `Acquired (${answer.recovered ? "recovered" : "not recovered"}, ${point})`
    }
    case "Completed":
      return `Completed with ${JSON.stringify(answer.outcome)}`
    case "InFlight":
    case "Mismatch":
      return answer._tag
  }
}

const expectedOf = (answer: IdempotencyRecord.Answer): IdempotencyStore.Acquired =>
  answer._tag === "Acquired"
    ? { ...answer, recoveryPoint: Option.fromNullable(answer.recoveryPoint) }
    : answer

/** A wait may be rounded up to the second in which it ends. */
const isWait = (millis: number, leftMillis: number): boolean =>
  millis > 0 && millis <= Math.ceil(leftMillis / 1000) * 1000

/** I10, I11, I13, I29. */
export const judgeClaim = (
  key: Key,
  claim: IdempotencyStore.Claim,
  found: IdempotencyStore.Acquired,
  nowMillis: number
): Judgement => {
  const [answer, record] = IdempotencyRecord.acquire(key.record, claim, nowMillis)
  const expected = answered(expectedOf(answer))
  if (answered(found) !== expected) {
    return `it answers ${answered(found)}, and should answer ${expected}`
  }
  if (found._tag === "InFlight" && answer._tag === "InFlight") {
    return isWait(found.retryAfterMillis, answer.retryAfterMillis)
      ? key
      : `it asks to wait ${found.retryAfterMillis} ms, ` +
        `and the lease lasts ${answer.retryAfterMillis} ms more`
  }
  if (found._tag !== "Acquired" || answer._tag !== "Acquired") return key
  const { record: before, storeGeneration } = key
  if (!Number.isSafeInteger(found.generation)) return `its generation is ${found.generation}`
  if (IdempotencyRecord.isLive(before, nowMillis)) {
    const isSame = before.owner === claim.owner
    if (isSame && found.generation !== storeGeneration) {
      return `the same owner gets generation ${found.generation}, ` +
        `and should get ${storeGeneration} again`
    }
    if (!isSame && found.generation <= storeGeneration) {
      return `who takes over gets generation ${found.generation}, ` +
        `and the one before had ${storeGeneration}`
    }
  }
  const { keyHash, owner, scope } = claim
  const hold = {
    owner,
    generation: answer.generation,
    held: { scope, keyHash, owner, generation: found.generation }
  }
  // A store that counts from the start again after it has forgotten a record cannot tell an owner
  // from itself.
  const others = key.holds.filter(({ held }) =>
    held.owner !== owner || held.generation !== found.generation
  )
  return { record, storeGeneration: found.generation, holds: [...others, hold] }
}

const applied = (
  record: IdempotencyRecord.IdempotencyRecord,
  hold: Hold,
  change: Change,
  nowMillis: number
): IdempotencyRecord.Change => {
  switch (change._tag) {
    case "Complete":
      return IdempotencyRecord.complete(
        record,
        hold,
        change.outcome,
        change.timeToLiveMillis,
        nowMillis
      )
    case "Release":
      return IdempotencyRecord.release(record, hold, nowMillis)
    case "Extend":
      return IdempotencyRecord.extend(record, hold, change.leaseMillis, nowMillis)
    case "Savepoint":
      return IdempotencyRecord.savepoint(record, hold, change.data, nowMillis)
  }
}

/**
 * Tests whether the rules leave the answer open, for something that changes nothing either way: to
 * release what is no longer there, and what an owner does with a record that it has completed
 * itself.
 */
const isOpen = (
  record: IdempotencyRecord.IdempotencyRecord,
  hold: Hold,
  change: Change,
  nowMillis: number
): boolean => {
  if (record._tag === "Absent") return change._tag === "Release"
  const isMine = record.owner === hold.owner && record.generation === hold.generation
  if (change._tag === "Release" && !IdempotencyRecord.isLive(record, nowMillis)) {
    return record._tag !== "Released" || !isMine || IdempotencyRecord.isExpired(record, nowMillis)
  }
  if (record._tag !== "Completed" || !isMine) return false
  return change._tag !== "Complete" || IdempotencyRecord.isExpired(record, nowMillis)
}

/** I14. */
export const judgeChange = (
  key: Key,
  hold: Hold,
  change: Change,
  found: IdempotencyStore.Kept,
  nowMillis: number
): Judgement => {
  const [expected, record] = applied(key.record, hold, change, nowMillis)
  if (found !== expected && !isOpen(key.record, hold, change, nowMillis)) {
    return `it answers ${found}, and should answer ${expected}`
  }
  return record === key.record ? key : { ...key, record }
}
