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
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as JSONSchema from "effect/JSONSchema"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import type { Fleet } from "../policies/fleet.js"
import type { Rejects, Stages } from "../policies/stage/definition.js"
import * as Backoff from "../retry/Backoff.js"
import { type Api, of, type Rejection, type TagClass } from "./api.js"
import type { Pipeline } from "./built.js"
import type { Description } from "./description.js"
import type { Input } from "./input.js"
import { stages as standardStages } from "./standard.js"

export type { Faults } from "../policies/chaos/stage.js"
export type { Contradiction } from "../policies/stage/checks.js"
export { stage } from "../policies/stage/definition.js"
export type {
  Around,
  Call,
  Definition,
  Frame,
  Part,
  Place,
  Rejects,
  Stage,
  Stages
} from "../policies/stage/definition.js"
export { of } from "./api.js"
export type { Api, Rejection, TagClass } from "./api.js"
export { forOperation, protect, snapshot, TypeId } from "./built.js"
export type { Pipeline } from "./built.js"
export type { CallOptions } from "./compiled.js"
export type { Description } from "./description.js"
export { errors } from "./findings.js"
export type { Finding } from "./findings.js"
export type { FollowOptions } from "./following.js"
export type { Input } from "./input.js"
export { reload } from "./reload.js"
export { stages } from "./standard.js"

const api: Api = of(standardStages)

/**
 * Builds a pipeline. Invalid options, and options that contradict each other, die with
 * `RangeError`, which names field and value.
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
export const make: <R, K extends keyof Stages>(
  stages: Input<R, K>
) => Effect.Effect<Pipeline<Rejects[K & keyof Rejects], R>> = api.make

/**
 * Makes a tag for one of several pipelines: one declared value, provided as a layer.
 *
 * **Details**
 *
 * The state is made with the layer, once for each program that is provided with it. Building the
 * layer dies with `RangeError` for invalid options. `protect` is for calls without a key of their
 * own; with one,
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
export const Tag: <const Id extends string>(
  id: Id
) => <Self>() => <R, K extends keyof Stages>(
  stages: Input<R, K>
) => TagClass<Self, Id, Rejects[K & keyof Rejects], R> = api.Tag

/**
 * The stages that most HTTP calls need: 30 s for the whole call, three retries with full jitter, a
 * budget of a tenth, a breaker with its defaults, 10 s for each attempt.
 *
 * **Details**
 *
 * The operation is `keyed`. `ApiClient` replaces it by the operation of each request. Override it
 * with `{ ...Pipeline.standard, operation: Operation.read }`.
 *
 * @since 0.1.0
 * @category defaults
 */
export const standard = {
  /** Demands an idempotency key; `ApiClient` sets the operation of each request. */
  operation: Operation.keyed,
  /** Limits the whole call to 30 s. */
  totalTimeout: Duration.seconds(30),
  /** Retries three times with full jitter. */
  retry: {
    /** How many attempts follow the first. */
    retries: 3,
    /** The delays between attempts. */
    backoff: Backoff.standard
  },
  /** Pays for retries: one for ten successes in the long run. */
  budget: {
    /** How many retries one success pays in. */
    ratio: 0.1
  },
  /** A breaker with its defaults. */
  circuitBreaker: {},
  /** Limits each attempt to 10 s. */
  attemptTimeout: Duration.seconds(10)
} as const satisfies Stages

/**
 * A pipeline in JSON. Decoding gives `Stages`, encoding writes them back.
 *
 * **Details**
 *
 * Durations are written as in code (`"10 seconds"`) or as a number of milliseconds, the operation
 * as `"read"`, `"idempotent"`, `"keyed"` or `"once"`; without one it is `"keyed"`, which demands a
 * key. A field that is not known, an invalid value and two values that contradict each other fail
 * with a `ParseError` that names the path and the values.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Spec: Schema.Schema<Stages, unknown> = api.Spec

/**
 * `Spec` as a JSON Schema (draft 7), for editors and for checks of configuration files.
 *
 * @since 0.1.0
 * @category schemas
 */
export const jsonSchema: () => JSONSchema.JsonSchema7Root = api.jsonSchema

/**
 * Builds a pipeline from a configuration in JSON.
 *
 * **Details**
 *
 * Fails with a `ParseError` whose message has one line for each thing that is wrong: its path, what
 * it should be, what it is; `errors` gives them one by one. Whether a call needs a key has to be
 * known when the program is compiled: without `operation` the type demands one, whatever the
 * configuration says. With it, a configuration that names another operation is refused.
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
 *   Effect.catchAll((error) => Effect.succeed(error.message))
 * )
 *
 * const found = await Effect.runPromise(program)
 * found // => "attemptTimeout: should be at most totalTimeout (5s), got 10s"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig: {
  /**
   * Builds a pipeline from JSON. The type demands an idempotency key, because the operation is
   * known only at run time.
   */
  (
    json: unknown
  ): Effect.Effect<Pipeline<Rejection, IdempotencyKey.IdempotencyKey>, ParseResult.ParseError>
  /**
   * Builds a pipeline from JSON for a known operation. Fails with `ParseError` when the JSON names
   * another.
   */
  <R>(
    json: unknown,
    options: {
      /** The operation that the configuration must name, or may omit. */
      readonly operation: Operation.Operation<R>
    }
  ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError>
} = api.fromConfig

/**
 * Builds a pipeline from JSON in which guards may be shared with a fleet: `circuitBreaker`,
 * `rateLimiter`, `bulkhead` and `cooldown` may have the field `"shared": "name"`, and those of
 * their `makeShared`. The name is the same in all members. Without the field a guard is of this
 * process alone; `fromConfig` refuses it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfigShared: {
  /**
   * Builds a pipeline from JSON. The type demands an idempotency key, because the operation is
   * known only at run time.
   */
  (
    json: unknown
  ): Effect.Effect<
    Pipeline<Rejection, IdempotencyKey.IdempotencyKey>,
    ParseResult.ParseError,
    Fleet
  >
  /**
   * Builds a pipeline from JSON for a known operation. Fails with `ParseError` when the JSON names
   * another.
   */
  <R>(
    json: unknown,
    options: {
      /** The operation that the configuration must name, or may omit. */
      readonly operation: Operation.Operation<R>
    }
  ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError, Fleet>
} = api.fromConfigShared

/**
 * What a pipeline of these stages does, and what one call through it costs at worst. The stages
 * have to be ones that `make` accepts. Its cost does not depend on the number of retries.
 *
 * @since 0.1.0
 * @category rendering
 */
export const describe: (stages: Stages) => Description = api.describe
