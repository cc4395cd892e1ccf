/**
 * A built pipeline, and what can be done with one.
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Operation from "../idempotency/Operation.js"
import type { CallOptions, Compiled } from "./compiled.js"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/Pipeline")

/**
 * A built pipeline. `E` is what its stages can reject with, `R` what its operation demands.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pipeline<out E = never, out R = never> {
  readonly [TypeId]: { readonly _E: (_: never) => E; readonly _R: (_: never) => R }
}

/** What a built pipeline really is. */
export class Built<E, R> implements Pipeline<E, R> {
  readonly [TypeId] = { _E: (_: never): E => _, _R: (_: never): R => _ }
  constructor(readonly compiled: Compiled) {}
}

/** Every pipeline was made here. */
const compiledOf = <E, R>(pipeline: Pipeline<E, R>): Compiled => (pipeline as Built<E, R>).compiled

/**
 * Runs a call through a pipeline.
 *
 * **Example** (One value, many calls)
 *
 * ```ts
 * import { ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let calls = 0
 * const call = Effect.suspend(() =>
 *   ++calls === 1
 *     ? new ApiError.RateLimit({ message: "slow down", status: 429 })
 *     : Effect.succeed("done")
 * )
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Pipeline.make({
 *     operation: Operation.read,
 *     retry: { retries: 3, backoff: Backoff.constant("1 millis") },
 *     budget: { ratio: 0.1 }
 *   })
 *   return yield* Pipeline.protect(call, pipeline)
 * })
 *
 * await Effect.runPromise(program) // => "done"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  <E2, R2>(
    pipeline: Pipeline<E2, R2>,
    options?: CallOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R | R2>
  <A, E, R, E2, R2>(
    self: Effect.Effect<A, E, R>,
    pipeline: Pipeline<E2, R2>,
    options?: CallOptions
  ): Effect.Effect<A, E | E2, R | R2>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, E2, R2>(
    self: Effect.Effect<A, E, R>,
    pipeline: Pipeline<E2, R2>,
    options?: CallOptions
  ): Effect.Effect<A, E | E2, R | R2> =>
    // What the stages can fail with and need is what the pipeline's own type says.
    compiledOf(pipeline).protect(self, options) as Effect.Effect<A, E | E2, R | R2>
)

/**
 * A pipeline like this one for another kind of operation, over the same state: for a caller that
 * knows better what each call is. The HTTP client does this for each request.
 *
 * @since 0.1.0
 * @category combinators
 */
export const forOperation = <E>(
  pipeline: Pipeline<E, unknown>,
  operation: Operation.Operation<unknown>
): Pipeline<E> => new Built<E, never>(compiledOf(pipeline).for(operation))

/**
 * What an operator can see of a pipeline: under the name of each stage that keeps something for a
 * key one snapshot a key, as plain JSON.
 *
 * **Example** (The circuits and permits of one pipeline)
 *
 * ```ts
 * import { Operation, Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Pipeline.make({
 *     operation: Operation.read,
 *     bulkhead: { concurrency: 10 }
 *   })
 *   yield* Pipeline.protect(Effect.succeed("sent"), pipeline)
 *   return yield* Pipeline.snapshot(pipeline)
 * })
 *
 * await Effect.runPromise(program) // => { bulkhead: [{ key: "default", running: 0, waiting: 0 }] }
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const snapshot = <E, R>(
  pipeline: Pipeline<E, R>
): Effect.Effect<Readonly<Record<string, ReadonlyArray<unknown>>>> => compiledOf(pipeline).snapshot
