/**
 * Where the records of idempotent calls live: five operations on one record, each atomic, each
 * repeatable by the same owner.
 *
 * A key alone makes no call safe. The store remembers which owner runs a call, how long that owner
 * holds it, and the outcome. This memory is a claim with a lease. Unlike a lock, a lease ends by
 * itself when its owner dies. Each claim has a generation, so that a slow owner with an older
 * generation changes nothing. Calls run at least once, and at most one outcome is recorded.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Names from "../core/idempotencyNames.js"
import * as IdempotencyRecord from "../core/idempotencyRecord.js"
import { answersAtOnce } from "./atOnce.js"

/**
 * A question to the store: may this run begin?
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  /** The owner of the key and the operation, as one text. */
  readonly scope: string
  /** The name of the key: an HMAC under a secret. */
  readonly keyHash: string
  /** The fingerprint of the payload. */
  readonly fingerprint: string
  /** Names the run that claims. */
  readonly owner: string
  /** How long the claim lasts without being extended, in milliseconds. */
  readonly leaseMillis: number
  /** How long a completed record is replayed, in milliseconds. */
  readonly timeToLiveMillis: number
  /**
   * The names of the same key under earlier secrets. A record under one of them is the record of
   * this key.
   */
  readonly previousKeyHashes?: ReadonlyArray<string> | undefined
}

/**
 * A claim that was granted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  /** The owner of the key and the operation, as one text. */
  readonly scope: string
  /** The name of the key. */
  readonly keyHash: string
  /** Names the run that holds the claim. */
  readonly owner: string
  /** Counts the owners of the record. A later owner has a higher one. */
  readonly generation: number
}

/**
 * The answer to a claim.
 *
 * @since 0.1.0
 * @category models
 */
export type Acquired =
  | {
    /** Names the answer. */
    readonly _tag: "Acquired"
    /** The generation of the new claim. */
    readonly generation: number
    /** True when the claim was taken over from a run that did not end. */
    readonly recovered: boolean
    /** The last savepoint of that run. */
    readonly recoveryPoint: Option.Option<string>
  }
  | {
    /** Names the answer. */
    readonly _tag: "InFlight"
    /** How long the lease of the other run lasts, in milliseconds. */
    readonly retryAfterMillis: number
  }
  | {
    /** Names the answer. */
    readonly _tag: "Completed"
    /** The recorded outcome. */
    readonly outcome: string
  }
  | {
    /** Names the answer. */
    readonly _tag: "Mismatch"
  }

/**
 * Whether the owner still held its claim. A stale owner has changed nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Kept = "ok" | "stale"

/**
 * The store did not answer, or what it holds cannot be read (`corrupt`). It carries no text of a
 * driver.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Data.TaggedError("StoreError")<{
  /** The store call that failed. */
  readonly operation: "acquire" | "complete" | "release" | "extend" | "savepoint" | "sweep"
  /** True when the record cannot be read. */
  readonly corrupt?: boolean | undefined
}> {
  /** Names the store call, without the text of a driver. */
  override get message(): string {
    return `The idempotency store could not ${this.operation}${
      this.corrupt === true ? ": the record cannot be read" : ""
    }`
  }
}

/**
 * The secrets under which the keys of a store are named. A record that was made under one of
 * `previousSecrets` is still found.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreSecrets {
  /** The secret that names new records. */
  readonly secret: Redacted.Redacted<string>
  /** Earlier secrets whose records are still found. */
  readonly previousSecrets: ReadonlyArray<Redacted.Redacted<string>>
}

/**
 * A store of idempotency records. Check a store of your own with `Laws.idempotencyStore`.
 *
 * **Details**
 *
 * - `acquire` asks to run. A different fingerprint is a `Mismatch`, whatever became of the first
 *   payload. A completed record is replayed. While the lease of another owner lasts it is
 *   `InFlight`. A lapsed claim is taken over with a higher generation, as `recovered` and with the
 *   last recovery point. The same owner may ask again: it gets the same generation and is told the
 *   same, with a new lease.
 * - `complete` records the outcome, which is replayed for `timeToLiveMillis` from now. Repeated by
 *   its owner it is `"ok"`, and the first outcome stays.
 * - `release` gives the claim up, so that the next caller runs as if there had been none. Repeated
 *   by its owner it is `"ok"`. What is completed cannot be released.
 * - `extend` lets the lease end `leaseMillis` from now: with 0 it lapses.
 * - `savepoint` keeps data for the owner that takes over.
 * - `sweep` removes at most `limit` records that have expired, and answers how many.
 *
 * The middle four compare owner and generation, and answer `"stale"` and change nothing where those
 * are not the holder's. They do not ask whether the lease still lasts: until another owner takes
 * over, the work of the last one can be recorded. Times are over when they are reached.
 *
 * `transactional` belongs to a store that writes in the transaction of its caller, and tells
 * whether there is one. In a transaction a failed store call fails the run, so that the transaction
 * rolls back. Omit it in any other store.
 *
 * `secrets` are those that keys are named under. Set them for a store that processes share: every
 * program with the service then names keys alike. `"program"` stands for a shared store under the
 * `Secret` of the program; the log warns once where none was set, because each process then has
 * names of its own. Omit it in a store of one process.
 *
 * `scope` is that of the layer. Runs repeat in it, in the background, what failed or was lost on
 * the way to the store, until the lease ends or the scope closes: claims that no run uses are given
 * back, and outcomes are recorded. Without it nothing is repeated, and such a claim stands until
 * its lease ends.
 *
 * **Gotchas**
 *
 * A lapsed claim without a new owner is an unknown outcome, not an expired record: it is kept for
 * as long as its claim's `timeToLiveMillis`, and for a day after its lease at least.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Asks to run: claims the record, or says who holds it or what came of it. */
  readonly acquire: (claim: Claim) => Effect.Effect<Acquired, StoreError>
  /** Records the outcome. A stale owner gets `"stale"` and changes nothing. */
  readonly complete: (
    held: Held,
    outcome: string,
    timeToLiveMillis: number
  ) => Effect.Effect<Kept, StoreError>
  /** Gives the claim up, so that the next caller runs as if there had been none. */
  readonly release: (held: Held) => Effect.Effect<Kept, StoreError>
  /** Makes the lease end `leaseMillis` from now: at once for 0, or as soon as the store can. */
  readonly extend: (held: Held, leaseMillis: number) => Effect.Effect<Kept, StoreError>
  /** Keeps data for a run that takes over. */
  readonly savepoint: (held: Held, data: string) => Effect.Effect<Kept, StoreError>
  /** Removes at most `limit` expired records and answers how many. */
  readonly sweep: (limit: number) => Effect.Effect<number, StoreError>
  /**
   * Tells whether the store is called inside a transaction. Only for a store that writes in the
   * transaction of its caller.
   */
  readonly transactional?: Effect.Effect<boolean> | undefined
  /**
   * The secrets that name keys, for a store that processes share. `"program"` stands for the
   * `Secret` of the program.
   */
  readonly secrets?: StoreSecrets | "program" | undefined
  /**
   * The scope of the layer, in which failed store calls are repeated. Without it nothing is
   * repeated.
   */
  readonly scope?: Scope.Scope | undefined
}

/**
 * The type of the service in the environment.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyStore {
  /** Makes the type of the service unique. */
  readonly _: unique symbol
}

/**
 * The tag of the store, for everything that runs under idempotency keys.
 *
 * @since 0.1.0
 * @category tags
 */
export const IdempotencyStore: Context.Tag<IdempotencyStore, Service> = Context.GenericTag<
  IdempotencyStore,
  Service
>(
  "effect-resilience/IdempotencyStore"
)

/**
 * The records of one process. A turn of the event loop is atomic, so an operation that never leaves
 * its turn is, too.
 */
class Memory {
  readonly #records = new Map<string, IdempotencyRecord.IdempotencyRecord>()
  #sweeper = this.#records.entries()

  acquire(claim: Claim, now: number): Acquired {
    this.#look(now)
    const names = [claim.keyHash, ...claim.previousKeyHashes ?? []].map((keyHash) =>
      nameOf(claim.scope, keyHash)
    )
    const [answer, writes] = Names.acquire(names.map((name) => this.#record(name)), claim, now)
    for (const [index, record] of writes) this.#records.set(names[index] ?? "", record)
    if (answer._tag !== "Acquired") return answer
    const { _tag, generation, recovered, recoveryPoint } = answer
    return { _tag, generation, recovered, recoveryPoint: Option.fromNullable(recoveryPoint) }
  }

  change(
    held: Held,
    change: (record: IdempotencyRecord.IdempotencyRecord) => IdempotencyRecord.Change
  ): Kept {
    const name = nameOf(held.scope, held.keyHash)
    const before = this.#record(name)
    const [kept, after] = change(before)
    if (after !== before) this.#records.set(name, after)
    return kept
  }

  /** A released record is no record any more: what is left of it goes along and does not count. */
  sweep(limit: number, now: number): number {
    let removed = 0
    for (const [name, record] of this.#records) {
      if (removed >= limit) break
      if (!IdempotencyRecord.isExpired(record, now)) continue
      this.#records.delete(name)
      if (record._tag !== "Released") removed++
    }
    return removed
  }

  #record(name: string): IdempotencyRecord.IdempotencyRecord {
    return this.#records.get(name) ?? IdempotencyRecord.absent
  }

  /**
   * Looks at two records, one more than a claim can add, so that it comes round although nothing
   * ticks.
   */
  #look(now: number): void {
    for (let looked = 0; looked < 2; looked++) {
      const { done, value } = this.#sweeper.next()
      if (done === true) {
        this.#sweeper = this.#records.entries()
        return
      }
      if (IdempotencyRecord.isExpired(value[1], now)) this.#records.delete(value[0])
    }
  }
}

/** Joined with the length of the scope, so that no choice of the two can read like another. */
const nameOf = (scope: string, keyHash: string): string => `${scope.length}:${scope}${keyHash}`

/** Monotonic: a wall clock that steps must neither end a lease nor prolong it. */
const withNow = <A>(f: (now: number) => A): Effect.Effect<A> =>
  Effect.clockWith((clock) =>
    Effect.succeed(f(Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)))
  )

const makeMemory = (scope: Scope.Scope): Service => {
  const memory = new Memory()
  return answersAtOnce({
    scope,
    acquire: (claim) => withNow((now) => memory.acquire(claim, now)),
    complete: (held, outcome, timeToLiveMillis) =>
      withNow((now) =>
        memory.change(
          held,
          (record) => IdempotencyRecord.complete(record, held, outcome, timeToLiveMillis, now)
        )
      ),
    release: (held) =>
      withNow((now) =>
        memory.change(held, (record) => IdempotencyRecord.release(record, held, now))
      ),
    extend: (held, leaseMillis) =>
      withNow((now) =>
        memory.change(held, (record) => IdempotencyRecord.extend(record, held, leaseMillis, now))
      ),
    savepoint: (held, data) =>
      withNow((now) =>
        memory.change(held, (record) => IdempotencyRecord.savepoint(record, held, data, now))
      ),
    sweep: (limit) => withNow((now) => memory.sweep(limit, now))
  })
}

/**
 * Makes a store in the memory of one process.
 *
 * **When to use**
 *
 * In tests, and where one process serves all callers of a key and may forget everything when it
 * ends. With several processes, or where a restart must not run a payment again, use a durable
 * store.
 *
 * **Details**
 *
 * Every operation happens in one turn of the event loop, in O(1) but for `sweep`, which is
 * O(records). Time is effect's `Clock`, the monotonic one. No timer runs: each claim looks at two
 * other records and forgets them where they have expired, so that the store holds at most about
 * twice as many records as are alive. Expired records are therefore often gone before `sweep` finds
 * them.
 *
 * **Gotchas**
 *
 * Each time the layer is built there is a new and empty store. Provide it once, to the whole
 * program.
 *
 * **Example** (The second owner waits, and the third finds what came of it)
 *
 * ```ts
 * import { IdempotencyStore } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const claim = (owner: string) => ({
 *   scope: "tenant-1/payments",
 *   keyHash: "9f2c",
 *   fingerprint: "sha-256 of the payload",
 *   owner,
 *   leaseMillis: 60_000,
 *   timeToLiveMillis: 86_400_000
 * })
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* IdempotencyStore.IdempotencyStore
 *   const first = yield* store.acquire(claim("a"))
 *   if (first._tag !== "Acquired") return []
 *   const second = yield* store.acquire(claim("b"))
 *   yield* store.complete({ ...claim("a"), generation: first.generation }, "paid", 86_400_000)
 *   const third = yield* store.acquire(claim("c"))
 *   return [first._tag, second._tag, third._tag === "Completed" ? third.outcome : third._tag]
 * }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory))
 *
 * await Effect.runPromise(program) // => ["Acquired", "InFlight", "paid"]
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStoreMemory: Layer.Layer<IdempotencyStore> = Layer.scoped(
  IdempotencyStore,
  Effect.map(Effect.scope, makeMemory)
)
