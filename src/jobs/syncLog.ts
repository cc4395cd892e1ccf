/**
 * Which items of a bulk job have succeeded, on the idempotency store: one record for each item,
 * under a key made of scope and id.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Idempotency from "../idempotency/Idempotency.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import * as Validate from "../runtime/validate.js"

/**
 * What a job is called and what names its items.
 *
 * **Details**
 *
 * - `scope`: the job, such as `["acme", "documents"]`. Two jobs with the same scope share their
 *   log.
 * - `id`: what names an item, the same in every run.
 * - `result`: the Schema under which the outcome of an item is kept.
 * - `payload`: what must not change between runs. An item with another payload under the same id
 *   fails with `Mismatch`. Default: the item itself.
 * - `lease`: how long an item of a run that died is left alone. Default 30 s; extended while the
 *   item is under way.
 * - `timeToLive`: how long a success is remembered. Default 30 days.
 * - `keyTimeToLive`: how long the API remembers the item's idempotency key. An item that was under
 *   way when an earlier run died is sent again under the same key only within this time; after it,
 *   it fails with `UnknownOutcome`. Default 24 h.
 *
 * @since 0.1.0
 * @category models
 */
export interface SyncLog<in A, in out B, out R = never> {
  readonly scope: ReadonlyArray<string>
  readonly id: (item: A) => string
  readonly result: Schema.Schema<B, unknown, R>
  readonly payload: (item: A) => unknown
  readonly lease: Duration.Duration
  readonly timeToLive: Duration.Duration
  readonly keyTimeToLive: Duration.Duration
}

/** What an item's record begins with: when its key was made. */
const madeAtOf = (recoveryPoint: Option.Option<unknown>): number | undefined =>
  Option.isSome(recoveryPoint) && hasProperty(recoveryPoint.value, "madeAt") &&
    typeof recoveryPoint.value.madeAt === "number"
    ? recoveryPoint.value.madeAt
    : undefined

/**
 * A sync log. Throws a `RangeError` that names field and value for durations that are none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const syncLog = <A, B, I, R = never>(options: {
  readonly scope: ReadonlyArray<string>
  readonly id: (item: A) => string
  readonly result: Schema.Schema<B, I, R>
  readonly payload?: ((item: A) => unknown) | undefined
  readonly lease?: Duration.DurationInput | undefined
  readonly timeToLive?: Duration.DurationInput | undefined
  readonly keyTimeToLive?: Duration.DurationInput | undefined
}): SyncLog<A, B, R> => {
  const read = (field: string, input: Duration.DurationInput) =>
    Validate.finiteDuration(field, Validate.positiveDuration(field, input))
  return {
    scope: options.scope,
    id: options.id,
    result: options.result as Schema.Schema<B, unknown, R>,
    payload: options.payload ?? ((item) => item),
    lease: read("lease", options.lease ?? "30 seconds"),
    timeToLive: read("timeToLive", options.timeToLive ?? "30 days"),
    keyTimeToLive: read("keyTimeToLive", options.keyTimeToLive ?? "24 hours")
  }
}

const keyOf = (
  scope: ReadonlyArray<string>,
  id: string,
  madeAt: number
): IdempotencyKey.IdempotencyKey =>
  IdempotencyKey.derive(
    {
      [IdempotencyKey.TypeId]: IdempotencyKey.TypeId,
      value: Redacted.make(`effect-resilience/Bulk ${JSON.stringify(scope)}`),
      madeAt
    },
    id
  )

/** What an item's record holds, and whether it was there before. */
export interface Recorded<B> {
  readonly value: B
  readonly skipped: boolean
}

/**
 * Does the work of an item, or finds it done. An item that was under way when another run died is
 * done again under the key it had: a server that honours keys answers it, and does not execute it a
 * second time.
 */
export const record = <A, B, RB, E, R>(
  log: SyncLog<A, B, RB>,
  item: A,
  work: Effect.Effect<B, E, R>
): Effect.Effect<
  Recorded<B>,
  E | Idempotency.IdempotencyError,
  Exclude<R, IdempotencyKey.IdempotencyKey> | RB | IdempotencyStore.IdempotencyStore
> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const id = log.id(item)
    let skipped = true
    const run = (run: Idempotency.Run): Effect.Effect<
      B,
      E | Idempotency.StoreUnavailable | Idempotency.UnknownOutcome,
      Exclude<R, IdempotencyKey.IdempotencyKey>
    > => {
      skipped = false
      const madeAt = madeAtOf(run.recoveryPoint)
      if (madeAt === undefined) {
        return Effect.zipRight(
          run.savepoint({ madeAt: now }),
          IdempotencyKey.provide(work, keyOf(log.scope, id, now))
        )
      }
      return now - madeAt < Duration.toMillis(log.keyTimeToLive)
        ? IdempotencyKey.provide(work, keyOf(log.scope, id, madeAt))
        : new Idempotency.UnknownOutcome()
    }
    return Idempotency.run(run, {
      scope: log.scope,
      payload: log.payload(item),
      result: log.result,
      lease: log.lease,
      timeToLive: log.timeToLive,
      heartbeat: true,
      onDuplicate: { wait: Duration.sum(log.lease, log.lease) }
    }).pipe(
      IdempotencyKey.provide(keyOf(log.scope, id, now)),
      Effect.map((value) => ({ value, skipped }))
    )
  })
