/**
 * A built pipeline, and what can be done with one.
 */
import * as Effect from "effect/Effect"
import { dual, identity } from "effect/Function"
import type * as Operation from "../idempotency/Operation.js"
import type { Stage } from "../policies/stage/definition.js"
import type { Policy } from "./build.js"
import type { CallOptions, Compiled } from "./compiled.js"

/**
 * Marks pipelines at run time.
 *
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

/**
 * The policy that is in force in a pipeline and in all those that were made of it by
 * `forOperation`. A reload replaces it; calls under way end under the one they began with.
 */
export class InForce {
  /** Reloads wait for each other. */
  readonly oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
  constructor(readonly stages: ReadonlyArray<Stage>, public policy: Policy) {}
}

/** What a built pipeline really is: a view of the policy in force. */
export class Built<E, R> implements Pipeline<E, R> {
  readonly [TypeId] = { _E: (_: never): E => _, _R: (_: never): R => _ }
  constructor(
    readonly inForce: InForce,
    readonly view: (compiled: Compiled) => Compiled = identity
  ) {}

  get compiled(): Compiled {
    return this.view(this.inForce.policy.compiled)
  }
}

/** Tells a built pipeline from the stages of one. */
export const isPipeline = <E>(u: object): u is Pipeline<E, unknown> => TypeId in u

/** Every pipeline was made here. */
export const builtOf = <E, R>(pipeline: Pipeline<E, R>): Built<E, R> => pipeline as Built<E, R>

const none: CallOptions = {}

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
  /** Runs a call through the pipeline. Effect last, for `pipe`. */
  <E2, R2>(
    pipeline: Pipeline<E2, R2>,
    options?: CallOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R | R2>
  /** Runs the call through a pipeline. Effect first. */
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
    // A call goes by the policy that is in force when it begins. What the stages can fail with and
    // need is what the pipeline's own type says. No view adds a stage to none.
    (builtOf(pipeline).inForce.policy.compiled.isBare ?
      self :
      Effect.withFiberRuntime<A, unknown, R>((fiber) =>
        builtOf(pipeline).compiled.protect(self, options ?? none, fiber)
      )) as Effect.Effect<A, E | E2, R | R2>
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
): Pipeline<E> => {
  const { inForce, view } = builtOf(pipeline)
  return new Built<E, never>(inForce, (compiled) => view(compiled).for(operation))
}

/**
 * Shows a pipeline to an operator: under the name of each stage with keys, one snapshot for each
 * key, as plain JSON.
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
): Effect.Effect<Readonly<Record<string, ReadonlyArray<unknown>>>> =>
  Effect.suspend(() => builtOf(pipeline).compiled.snapshot)
