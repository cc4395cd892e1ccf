/**
 * Finds a record under the earlier names of its key, after the secret that names keys has changed.
 */
import * as IdempotencyRecord from "./idempotencyRecord.js"

/**
 * What to write: the record, and under which of the names.
 *
 * @since 0.1.0
 */
export type Write = readonly [index: number, record: IdempotencyRecord.IdempotencyRecord]

/**
 * A claim by all names that the key has had: `records` are what stands under them, the present name
 * first.
 *
 * **Details**
 *
 * The first record that is live answers. A claim that is granted stands under the present name
 * afterwards. What was taken from under an earlier name looks released by the new owner there, so
 * that the owner before is stale. O(names).
 *
 * @since 0.1.0
 */
export const acquire = (
  records: ReadonlyArray<IdempotencyRecord.IdempotencyRecord>,
  claim: IdempotencyRecord.Claim,
  nowMillis: number
): readonly [IdempotencyRecord.Answer, writes: ReadonlyArray<Write>] => {
  const live = records.findIndex((record) => IdempotencyRecord.isLive(record, nowMillis))
  const at = Math.max(0, live)
  const [answer, next] = IdempotencyRecord.acquire(
    records[at] ?? IdempotencyRecord.absent,
    claim,
    nowMillis
  )
  if (answer._tag !== "Acquired") return [answer, []]
  if (at === 0) return [answer, [[0, next]]]
  return [answer, [[0, next], [at, {
    _tag: "Released",
    owner: claim.owner,
    generation: answer.generation,
    expiresAtMillis: nowMillis + claim.leaseMillis
  }]]]
}
