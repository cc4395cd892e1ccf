/**
 * One value that says how a call is protected.
 *
 * A pipeline is built once, because budgets are state, and applied to any number of calls. Its stages always apply in the same order, outermost
 * first: retry (paid for by the budget), circuit breaker, then the call. So the breaker sees every attempt, and a retry meets an open circuit at once.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as CircuitBreaker from "./CircuitBreaker.js"
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
 * - `circuitBreaker`: rejects attempts with `CircuitOpen` while the upstream evidently does not work. An instance is shared, options make a new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stages {
  readonly operation: Operation.Operation<unknown>
  readonly retry?: Omit<Retry.Options<unknown>, "operation" | "budget"> | undefined
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
}

/**
 * What each stage can reject a call with. A stage that is absent adds nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejects {
  readonly circuitBreaker: CircuitBreaker.CircuitOpen
}

/**
 * The stages a caller wrote down, checked to the last field: a typo at any depth does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<R, K extends keyof Stages> = { readonly operation: Operation.Operation<R> } & Pick<Stages, K>

/**
 * What may differ from call to call: `key` names the circuit that the call belongs to (default `"default"`).
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
  constructor(
    readonly retry: Retry.Options<unknown, unknown> | undefined,
    readonly circuitBreaker: CircuitBreaker.CircuitBreaker | undefined
  ) {}
}

const isBudget = (budget: RetryBudget.RetryBudget | RetryBudget.Options): budget is RetryBudget.RetryBudget =>
  "withdraw" in budget

const isBreaker = (
  breaker: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options
): breaker is CircuitBreaker.CircuitBreaker => "protect" in breaker

/**
 * Builds a pipeline. Dies with a `RangeError` that names field and value when an option is nonsense.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R, K extends keyof Stages>(
  stages: Input<R, K>
): Effect.Effect<Pipeline<Rejects[K & keyof Rejects], R>> =>
  Effect.gen(function*() {
    const { budget, circuitBreaker, operation, retry }: Stages = stages
    const shared = budget === undefined || isBudget(budget) ? budget : yield* RetryBudget.make(budget)
    const breaker = circuitBreaker === undefined || isBreaker(circuitBreaker)
      ? circuitBreaker
      : yield* CircuitBreaker.make(circuitBreaker)
    const policy = retry === undefined ? undefined : { ...retry, operation, budget: shared }
    if (policy !== undefined) yield* Effect.sync(() => Retry.check(policy))
    return new Built<Rejects[K & keyof Rejects], R>(policy, breaker)
  })

/** Every pipeline was made here. */
const built = <E, R>(pipeline: Pipeline<E, R>): Built<E, R> => pipeline as Built<E, R>

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
    pipeline: Pipeline<E2, R2>,
    options?: CallOptions
  ): Effect.Effect<A, E | E2, R | R2> => {
    const { circuitBreaker, retry } = built(pipeline)
    const attempt = circuitBreaker === undefined ? self : circuitBreaker.protect(self, { key: options?.key })
    // What the stages can fail with and need is what the pipeline's own type says.
    return (retry === undefined ? attempt : Retry.retry(attempt, retry)) as Effect.Effect<A, E | E2, R | R2>
  }
)

/** A pipeline like this one for another kind of operation, over the same state: for a caller that knows better what each call is. */
export const forOperation = <E>(
  pipeline: Pipeline<E, unknown>,
  operation: Operation.Operation<unknown>
): Pipeline<E> => {
  const { circuitBreaker, retry } = built(pipeline)
  return new Built<E, never>(retry === undefined ? undefined : { ...retry, operation }, circuitBreaker)
}
