/**
 * Where the records of idempotent calls live: five operations on one record, each atomic, each repeatable by the same owner.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

/**
 * What somebody who wants to run asks for.
 *
 * **Details**
 *
 * `scope` and `keyHash` name the record, `fingerprint` the payload, `owner` this run. `leaseMillis` is how long the claim lasts without being extended.
 * `timeToLiveMillis` is how long a completed record is replayed. `previousKeyHashes` are the names that the same key had under earlier secrets: a record that
 * stands under one of them is the record of this key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claim {
  readonly scope: string
  readonly keyHash: string
  readonly fingerprint: string
  readonly owner: string
  readonly leaseMillis: number
  readonly timeToLiveMillis: number
  readonly previousKeyHashes?: ReadonlyArray<string> | undefined
}

/**
 * A claim that was granted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly scope: string
  readonly keyHash: string
  readonly owner: string
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
    readonly _tag: "Acquired"
    readonly generation: number
    readonly recovered: boolean
    readonly recoveryPoint: Option.Option<string>
  }
  | { readonly _tag: "InFlight"; readonly retryAfterMillis: number }
  | { readonly _tag: "Completed"; readonly outcome: string }
  | { readonly _tag: "Mismatch" }

/**
 * Whether the owner still held its claim. A stale owner has changed nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Kept = "ok" | "stale"

/**
 * The store could not be asked, or what it holds cannot be read (`corrupt`). It carries no text of a driver.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Data.TaggedError("StoreError")<{
  readonly operation: "acquire" | "complete" | "release" | "extend" | "savepoint" | "sweep"
  readonly corrupt?: boolean | undefined
}> {
  override get message(): string {
    return `The idempotency store could not ${this.operation}${this.corrupt === true ? ": the record cannot be read" : ""}`
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly acquire: (claim: Claim) => Effect.Effect<Acquired, StoreError>
  readonly complete: (held: Held, outcome: string, timeToLiveMillis: number) => Effect.Effect<Kept, StoreError>
  readonly release: (held: Held) => Effect.Effect<Kept, StoreError>
  readonly extend: (held: Held, leaseMillis: number) => Effect.Effect<Kept, StoreError>
  readonly savepoint: (held: Held, data: string) => Effect.Effect<Kept, StoreError>
  readonly sweep: (limit: number) => Effect.Effect<number, StoreError>
}

/**
 * The identity of the service in the environment.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdempotencyStore {
  readonly _: unique symbol
}

/**
 * @since 0.1.0
 * @category tags
 */
export const IdempotencyStore: Context.Tag<IdempotencyStore, Service> = Context.GenericTag<IdempotencyStore, Service>(
  "effect-resilience/IdempotencyStore"
)
