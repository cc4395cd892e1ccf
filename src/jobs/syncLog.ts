/**
 * Records which items of a bulk job have succeeded, in the idempotency store: one record for each
 * item, under a key made of scope and id.
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
 * The log of a bulk job: its name, and what names its items.
 *
 * **Details**
 *
 * The lease of an item is extended while it is under way. An item that was under way when an
 * earlier run died is sent again under the same key only within `keyTimeToLive`; after it, it fails
 * with `UnknownOutcome`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SyncLog<in A, in out B, out R = never> {
  /** The job, such as `["acme", "documents"]`. Jobs with the same scope share their log. */
  readonly scope: ReadonlyArray<string>
  /** Names an item, the same in every run. */
  readonly id: (item: A) => string
  /** The Schema under which the outcome of an item is kept. */
  readonly result: Schema.Schema<B, unknown, R>
  /** What must not change between runs. Another payload under the same id fails with `Mismatch`. */
  readonly payload: (item: A) => unknown
  /** How long an item of a run that died is left alone. */
  readonly lease: Duration.Duration
  /** How long a success is remembered. */
  readonly timeToLive: Duration.Duration
  /** How long the API remembers the idempotency key of an item. */
  readonly keyTimeToLive: Duration.Duration
}

/**
 * What the record of an item begins with, before the item is sent for the first time: when its key
 * was made, and the random part of the key. Without that part the record is of a version that made
 * keys from scope and id alone.
 */
interface Begun {
  readonly madeAt: number
  readonly nonce?: string | undefined
}

/** Also read by that earlier version: to it the key is too old, and the outcome unknown. */
const savepointOf = (begun: Begun) => ({ madeAt: 0, begun })

const madeAtOf = (value: unknown): number | undefined =>
  hasProperty(value, "madeAt") && typeof value.madeAt === "number" ? value.madeAt : undefined

const begunOf = (savepoint: unknown): Begun | undefined => {
  const begun = hasProperty(savepoint, "begun") ? savepoint.begun : savepoint
  const madeAt = madeAtOf(begun)
  if (madeAt === undefined) return undefined
  return hasProperty(begun, "nonce") && typeof begun.nonce === "string"
    ? { madeAt, nonce: begun.nonce }
    : { madeAt }
}

/**
 * Makes a sync log. Invalid durations throw `RangeError`, which names field and value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const syncLog = <A, B, I, R = never>(options: {
  /**
   * The job, such as `["acme", "documents"]` (required). Jobs with the same scope share their log.
   */
  readonly scope: ReadonlyArray<string>
  /** Names an item, the same in every run (required). */
  readonly id: (item: A) => string
  /** The Schema under which the outcome of an item is kept (required). */
  readonly result: Schema.Schema<B, I, R>
  /** What must not change between runs. Default: the item itself. */
  readonly payload?: ((item: A) => unknown) | undefined
  /** How long an item of a run that died is left alone. Default 30 s. */
  readonly lease?: Duration.DurationInput | undefined
  /** How long a success is remembered. Default 30 days. */
  readonly timeToLive?: Duration.DurationInput | undefined
  /** How long the API remembers the idempotency key of an item. Default 24 h. */
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

/** The key of an item's record, which every run finds. */
const recordKeyOf = (
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

/**
 * The key under which an item is sent: another one each time that it is begun anew, because an API
 * may remember for a key what it refused under it.
 */
const sentKeyOf = (
  scope: ReadonlyArray<string>,
  id: string,
  { madeAt, nonce }: Begun
): IdempotencyKey.IdempotencyKey => {
  const key = recordKeyOf(scope, id, madeAt)
  return nonce === undefined ? key : IdempotencyKey.derive(key, nonce)
}

const newNonce = Effect.map(IdempotencyKey.make, ({ value }) => Redacted.value(value))

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
      const before = Option.getOrUndefined(Option.map(run.recoveryPoint, begunOf))
      if (before === undefined) {
        return Effect.flatMap(newNonce, (nonce) => {
          const begun = { madeAt: now, nonce }
          return Effect.zipRight(
            run.savepoint(savepointOf(begun)),
            IdempotencyKey.provide(work, sentKeyOf(log.scope, id, begun))
          )
        })
      }
      return now - before.madeAt < Duration.toMillis(log.keyTimeToLive)
        ? IdempotencyKey.provide(work, sentKeyOf(log.scope, id, before))
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
      IdempotencyKey.provide(recordKeyOf(log.scope, id, now)),
      Effect.map((value) => ({ value, skipped }))
    )
  })
