/**
 * One value that says how a call is protected.
 *
 * A pipeline is built once, because budgets are state, and applied to any number of calls. Its stages always apply in the same order, outermost
 * first: retry (paid for by the budget), then the call.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Operation from "./Operation.js"
import * as Retry from "./Retry.js"
import * as RetryBudget from "./RetryBudget.js"

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

/**
 * What a pipeline is made of.
 *
 * **Details**
 *
 * - `operation`: what running the call twice would mean.
 * - `retry`: how to try again; see `Retry.Base`. Absent: one attempt.
 * - `budget`: pays for the retries of all calls through this pipeline. An instance is shared with whoever else has it, options make a new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stages {
  readonly operation: Operation.Operation<unknown>
  readonly retry?: Omit<Retry.Options<unknown>, "operation" | "budget"> | undefined
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
}

/**
 * The stages a caller wrote down, checked to the last field: a typo at any depth does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<R, K extends keyof Stages> = { readonly operation: Operation.Operation<R> } & Pick<Stages, K>

/**
 * What may differ from call to call: `key` names what the call is about, for stages that keep a state for each key. None of today's does.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
}

/** What a built pipeline really is. */
class Built<E, R> implements Pipeline<E, R> {
  readonly [TypeId] = { _E: (_: never): E => _, _R: (_: never): R => _ }
  constructor(readonly policy: Retry.Options<unknown, R> | undefined) {}
}

const isBudget = (budget: RetryBudget.RetryBudget | RetryBudget.Options): budget is RetryBudget.RetryBudget =>
  "withdraw" in budget

/**
 * Builds a pipeline. Dies with a `RangeError` that names field and value when an option is nonsense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R, K extends keyof Stages>(stages: Input<R, K>): Effect.Effect<Pipeline<never, R>> =>
  Effect.gen(function*() {
    const { budget, operation, retry }: Stages & { readonly operation: Operation.Operation<R> } = stages
    const shared = budget === undefined || isBudget(budget) ? budget : yield* RetryBudget.make(budget)
    if (retry === undefined) return new Built<never, R>(undefined)
    const policy: Retry.Options<unknown, R> = { ...retry, operation, budget: shared }
    yield* Effect.sync(() => Retry.check(policy))
    return new Built<never, R>(policy)
  })

const policyOf = (pipeline: Pipeline<unknown, unknown>): Retry.Options<unknown, unknown> | undefined =>
  (pipeline as Built<unknown, unknown>).policy

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
 *   ++calls === 1 ? new ApiError.RateLimit({ message: "slow down", status: 429 }) : Effect.succeed("done")
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
    pipeline: Pipeline<E2, R2>
  ): Effect.Effect<A, E | E2, R | R2> => {
    const policy = policyOf(pipeline)
    return policy === undefined ? self : Retry.retry(self, policy as Retry.Options<E, R2>)
  }
)

/** A pipeline like this one for another kind of operation, over the same state: for a caller that knows better what each call is. */
export const forOperation = <E>(
  pipeline: Pipeline<E, unknown>,
  operation: Operation.Operation<unknown>
): Pipeline<E> => {
  const policy = policyOf(pipeline)
  return new Built<E, never>(
    policy === undefined ? undefined : { ...policy, operation: operation as Operation.Operation }
  )
}
