/**
 * What guards show to an operator, as plain JSON.
 *
 * The snapshots of guards hold `Option`s and `Duration`s, which JSON has no words for. Each schema
 * here encodes the snapshots of one kind of guard and reads them back: none is `null`, a wait is
 * written as in code. `Pipeline.snapshot` uses them for a whole pipeline.
 *
 * **Example** (An endpoint for operators)
 *
 * ```ts
 * import { CircuitBreaker, Snapshot } from "effect-resilience"
 * import { Effect, Schema } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make()
 *   yield* breaker.protect(Effect.void, { key: "payments" })
 *   const [snapshot] = yield* Effect.flatMap(
 *     breaker.snapshots,
 *     Schema.encode(Schema.Array(Snapshot.circuitBreaker))
 *   )
 *   return snapshot
 * })
 *
 * const seen = await Effect.runPromise(program)
 * JSON.stringify(seen).slice(0, 51) // => {"key":"payments","state":"Closed","calls":1,"failu
 * ```
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"
import type * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as OfConcurrency from "../policies/adaptiveConcurrency/snapshot.js"
import type * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import * as OfThrottle from "../policies/adaptiveThrottle/snapshot.js"
import type * as Bulkhead from "../policies/Bulkhead.js"
import * as OfBulkhead from "../policies/bulkhead/snapshot.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as OfCircuit from "../policies/circuitBreaker/snapshot.js"
import type * as Cooldown from "../policies/Cooldown.js"
import * as OfCooldown from "../policies/cooldown/snapshot.js"
import type * as RateLimiter from "../policies/RateLimiter.js"
import * as OfLimiter from "../policies/rateLimiter/snapshot.js"

/**
 * Encodes what a `CircuitBreaker` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const circuitBreaker: Schema.Schema<CircuitBreaker.Snapshot, OfCircuit.Encoded> =
  OfCircuit.Snapshot

/**
 * Encodes what a `RateLimiter` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const rateLimiter: Schema.Schema<RateLimiter.Snapshot> = OfLimiter.Snapshot

/**
 * Encodes what a `Bulkhead` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const bulkhead: Schema.Schema<Bulkhead.KeySnapshot> = OfBulkhead.Snapshot

/**
 * Encodes what a `Cooldown` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const cooldown: Schema.Schema<Cooldown.Snapshot, OfCooldown.Encoded> = OfCooldown.Snapshot

/**
 * Encodes what an `AdaptiveThrottle` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const adaptiveThrottle: Schema.Schema<AdaptiveThrottle.Snapshot> = OfThrottle.Snapshot

/**
 * Encodes what an `AdaptiveConcurrency` shows of one key.
 *
 * @since 0.1.0
 * @category schemas
 */
export const adaptiveConcurrency: Schema.Schema<AdaptiveConcurrency.Snapshot> =
  OfConcurrency.Snapshot
