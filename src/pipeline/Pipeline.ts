/**
 * One value that says how a call is protected.
 *
 * Retries, a breaker, limits and deadlines are each simple; what goes wrong is how they are put
 * together: a deadline inside the retry that was meant to be around it, a breaker that sees one
 * outcome in three, a key that is new on every attempt. A pipeline is built once, because breakers,
 * budgets and limiters are state, and applied to any number of calls. Its stages always apply in
 * the same order, outermost first:
 *
 * telemetry > total timeout > key > retry (+ budget) > hedge (+ the same budget) > circuit breaker
 * > throttle > rate limiter > bulkhead > concurrency > cooldown > attempt timeout > chaos > call
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as JSONSchema from "effect/JSONSchema"
import * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import type * as ApiError from "../errors/ApiError.js"
import * as Backoff from "../retry/Backoff.js"
import * as Bulkhead from "../policies/Bulkhead.js"
import * as Chaos from "../policies/Chaos.js"
import * as Check from "../runtime/validate.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Cooldown from "../policies/Cooldown.js"
import type * as Deadline from "../policies/timeout/deadline.js"
import * as Hedge from "../policies/Hedge.js"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import { contradictions } from "./checks.js"
import { type Parts, Run, type Stage } from "./compiled.js"
import { Spec } from "./spec.js"
import type { CallOptions, Input, Rejection, Rejects, Stages } from "./stages.js"
import * as RateLimiter from "../policies/RateLimiter.js"
import * as Retry from "../retry/Retry.js"
import * as RetryBudget from "../retry/RetryBudget.js"
import * as Telemetry from "../observability/Telemetry.js"

export { describe } from "./description.js"
export type { Description } from "./description.js"
export { Spec } from "./spec.js"
export type { CallOptions, Faults, Input, Rejection, Rejects, Stages } from "./stages.js"

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
class Built<E, R> implements Pipeline<E, R> {
  readonly [TypeId] = { _E: (_: never): E => _, _R: (_: never): R => _ }
  constructor(readonly run: Run) {}
}

/** Every pipeline was made here. */
const runOf = <E, R>(pipeline: Pipeline<E, R>): Run => (pipeline as Built<E, R>).run

const isBudget = (
  budget: RetryBudget.RetryBudget | RetryBudget.Options
): budget is RetryBudget.RetryBudget => "withdraw" in budget

/**
 * An instance is used as it is, options make a new one, and where there is neither there is no
 * stage.
 */
const stageOf = <I extends { readonly protect: unknown }, O extends object>(
  guard: I | O | undefined,
  make: (options: O) => Effect.Effect<I>,
  around: (instance: I) => Stage,
  observed: (instance: I) => Effect.Effect<I> = Effect.succeed
): Effect.Effect<ReadonlyArray<Stage>> =>
  guard === undefined
    ? Effect.succeed([])
    : ("protect" in guard ? Effect.succeed(guard as I) : make(guard as O)).pipe(
      Effect.flatMap(observed),
      Effect.map((instance) => [around(instance)])
    )

/** Puts the eyes of a telemetry on what is counted by itself; without one nothing changes. */
const eyesOf = (telemetry: Telemetry.Telemetry | undefined) =>
  telemetry === undefined ? undefined : {
    budget: (budget: RetryBudget.RetryBudget | undefined) =>
      budget === undefined ? undefined : Telemetry.budget(telemetry, budget),
    breaker: (breaker: CircuitBreaker.CircuitBreaker) =>
      Effect.as(Telemetry.circuitBreaker(telemetry, breaker), breaker),
    bulkhead: (bulkhead: Bulkhead.Bulkhead) =>
      Effect.succeed(Telemetry.bulkhead(telemetry, bulkhead))
  }

const millisOf = (field: string, duration: Duration.DurationInput | undefined): number =>
  duration === undefined ? Infinity : Duration.toMillis(Check.positiveDuration(field, duration))

/** Checks the options of the retry, and ends its waiting with the total. */
const retryOf = (
  { operation, retry }: Stages,
  budget: RetryBudget.RetryBudget | undefined,
  { totalMillis }: Deadline.Limits
): Retry.Options<unknown, unknown> | undefined => {
  if (retry === undefined) return undefined
  const options = { ...retry, operation, budget }
  Retry.check(options)
  const { within } = options
  return within !== undefined && Duration.toMillis(within) <= totalMillis
    ? options
    : { ...options, within: totalMillis }
}

/**
 * Builds a pipeline. Dies with a `RangeError` that names field and value when an option is
 * nonsense, or when two of them contradict each other.
 *
 * **Details**
 *
 * Refused, where both were written down (defaults and instances are not compared): an
 * `attemptTimeout` longer than the `totalTimeout`; a `circuitBreaker.slowCall.duration` that is not
 * less than the `attemptTimeout`, so that no call could ever be slow; a
 * `circuitBreaker.trialTimeout` less than the `attemptTimeout`; `retry.retries` whose smallest
 * delays alone take as long as the `totalTimeout`.
 *
 * The state (breakers, budgets, limiters) belongs to the pipeline: building it twice makes it
 * twice. To share it, give the same instance to both.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R, K extends keyof Stages>(
  stages: Input<R, K>
): Effect.Effect<Pipeline<Rejects[K & keyof Rejects], R>> =>
  Effect.map(partsOf(stages), (parts) => new Built<Rejects[K & keyof Rejects], R>(new Run(parts)))

const chaosOf = (options: Chaos.Options<ReadonlyArray<Chaos.Fault<never, ApiError.ApiError>>>) =>
  Chaos.make(options)

const partsOf = (stages: Stages): Effect.Effect<Parts> =>
  Effect.gen(function*() {
    const { attemptTimeout, operation, totalTimeout } = stages
    const limits = yield* Effect.sync((): Deadline.Limits => ({
      attemptMillis: millisOf("attemptTimeout", attemptTimeout),
      totalMillis: millisOf("totalTimeout", totalTimeout),
      // Whoever repeats an attempt counts.
      attempts: stages.retry === undefined && stages.hedge === undefined ? 1 : undefined
    }))
    const telemetry = yield* Telemetry.from(stages.telemetry)
    const eyes = eyesOf(telemetry)
    const ownBudget = stages.budget === undefined || isBudget(stages.budget)
      ? stages.budget
      : yield* RetryBudget.make(stages.budget)
    const budget = eyes === undefined ? ownBudget : eyes.budget(ownBudget)
    const retry = yield* Effect.sync(() => retryOf(stages, budget, limits))
    const hedge = stages.hedge === undefined
      ? undefined
      : yield* Hedge.make({ ...stages.hedge, operation, budget })
    const breaker = yield* stageOf(
      stages.circuitBreaker,
      CircuitBreaker.make,
      (breaker) => breaker.protect,
      eyes?.breaker
    )
    const throttle = yield* stageOf(stages.throttle, AdaptiveThrottle.make, (throttle) =>
      throttle.protect)
    const limiter = yield* stageOf(stages.rateLimiter, RateLimiter.make, (limiter) =>
      limiter.protect)
    const bulkhead = yield* stageOf(
      stages.bulkhead,
      Bulkhead.make,
      ({ protect }) => (self) =>
        protect(self),
      eyes?.bulkhead
    )
    const concurrency = yield* stageOf(
      stages.concurrency,
      AdaptiveConcurrency.make,
      ({ protect }) => protect
    )
    const cooldown = yield* stageOf(stages.cooldown, Cooldown.make, (cooldown) => cooldown.protect)
    const chaos = yield* stageOf(stages.chaos, chaosOf, ({ protect }) => (self) => protect(self))
    yield* Effect.sync(() => {
      for (const { message } of contradictions(stages)) throw new RangeError(message)
    })
    const before = [...breaker, ...throttle]
    const queue = [...limiter, ...bulkhead, ...concurrency, ...cooldown]
    // Nobody waits for a limit that learns.
    const waits = queue.length > concurrency.length
    return {
      operation,
      telemetry,
      limits,
      retry,
      budget,
      hedge,
      guards: waits ? before : [...before, ...queue],
      queue: waits ? queue : [],
      innermost: chaos
    }
  })

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
    runOf(pipeline).protect(self, options) as Effect.Effect<A, E | E2, R | R2>
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
): Pipeline<E> => new Built<E, never>(runOf(pipeline).for(operation))

/**
 * A tag for one of several pipelines, with its layer and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string, E, R>
  extends Context.TagClass<Self, Id, Pipeline<E, R>>
{
  readonly layer: Layer.Layer<Self>
  readonly protect: <A, E1, R1>(
    self: Effect.Effect<A, E1, R1>
  ) => Effect.Effect<A, E1 | E, R1 | R | Self>
}

/**
 * A tag for one of several pipelines in a program: one declared value, provided as a layer.
 *
 * **Details**
 *
 * The state is made with the layer, once for each program that is provided with it. Building the
 * layer dies with a `RangeError` when an option is nonsense. `protect` is for calls without a key
 * of their own; with one,
 * `Effect.flatMap(Sessions, (pipeline) => Pipeline.protect(call, pipeline, { key }))`.
 *
 * **Example** (A policy with a name)
 *
 * ```ts
 * import { IdempotencyKey, Operation, Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * class Sessions extends Pipeline.Tag("Sessions")<Sessions>()({
 *   operation: Operation.keyed,
 *   totalTimeout: "20 seconds",
 *   retry: { retries: 3 },
 *   circuitBreaker: { minimumCalls: 10 },
 *   attemptTimeout: "5 seconds"
 * }) {}
 *
 * const createSession = Effect.succeed("s-1").pipe(
 *   Sessions.protect,
 *   IdempotencyKey.provideNew
 * )
 *
 * await Effect.runPromise(Effect.provide(createSession, Sessions.layer)) // => "s-1"
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Id extends string>(id: Id) =>
<Self>() =>
<R, K extends keyof Stages>(
  stages: Input<R, K>
): TagClass<Self, Id, Rejects[K & keyof Rejects], R> => {
  const Base = Context.Tag(id)<Self, Pipeline<Rejects[K & keyof Rejects], R>>()
  return Object.assign(Base, {
    layer: Layer.effect(Base, make(stages)),
    protect: <A, E1, R1>(self: Effect.Effect<A, E1, R1>) =>
      Effect.flatMap(Base, (pipeline) => protect(self, pipeline))
  })
}

/**
 * What most calls over HTTP want: 30 s for the whole call, three retries with full jitter paid for
 * by a budget of a tenth, a breaker with its defaults, 10 s for each attempt.
 *
 * **Details**
 *
 * The operation is `keyed`; `ApiClient` replaces it by what each request is, and
 * `{ ...Pipeline.standard, operation: Operation.read }` says otherwise.
 *
 * @since 0.1.0
 * @category defaults
 */
export const standard = {
  operation: Operation.keyed,
  totalTimeout: Duration.seconds(30),
  retry: { retries: 3, backoff: Backoff.standard },
  budget: { ratio: 0.1 },
  circuitBreaker: {},
  attemptTimeout: Duration.seconds(10)
} as const satisfies Stages

/**
 * `Spec` as a JSON Schema (draft 7), for editors and for checks of configuration files.
 *
 * @since 0.1.0
 * @category schemas
 */
export const jsonSchema: () => JSONSchema.JsonSchema7Root = () => JSONSchema.make(Spec)

/**
 * A pipeline from a configuration that was read from somewhere.
 *
 * **Details**
 *
 * Fails with a `ParseError` that names the path and the values. Whether a call needs a key has to
 * be known when the program is compiled: without `operation` the type demands one, whatever the
 * configuration says. With it, that operation counts, and not the one of the configuration.
 *
 * **Example** (A limit that contradicts another)
 *
 * ```ts
 * import { Operation, Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const json = { totalTimeout: "5 seconds", attemptTimeout: "10 seconds" }
 *
 * const program = Pipeline.fromConfig(json, { operation: Operation.read }).pipe(
 *   Effect.as("built"),
 *   Effect.catchAll((error) => Effect.succeed(error.message.split("\n").at(-1)?.trim()))
 * )
 *
 * await Effect.runPromise(program) // => "└─ attemptTimeout should be at most totalTimeout (5s), got 10s"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig: {
  (
    json: unknown
  ): Effect.Effect<Pipeline<Rejection, IdempotencyKey.IdempotencyKey>, ParseResult.ParseError>
  <R>(
    json: unknown,
    options: { readonly operation: Operation.Operation<R> }
  ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError>
} = <R>(json: unknown, options?: { readonly operation: Operation.Operation<R> }) =>
  Effect.flatMap(
    Schema.decodeUnknown(Spec)(json),
    (stages) =>
      Effect.map(partsOf({ ...stages, ...options }), (parts) =>
        new Built<Rejection, never>(new Run(parts)))
  )
