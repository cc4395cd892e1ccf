/**
 * Pipelines over one ordered list of stages.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Fleet } from "../policies/fleet.js"
import type { Rejects, Stage, Stages } from "../policies/stage/definition.js"
import { build, ordered } from "./build.js"
import { Built, InForce, type Pipeline, protect } from "./built.js"
import * as Configured from "./configured.js"
import * as Described from "./description.js"
import { follow, type FollowOptions } from "./following.js"
import type { Input } from "./input.js"
import * as Shared from "./shared.js"
import { specOf } from "./spec.js"

/**
 * What the stages of any pipeline can reject with.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = Rejects[keyof Rejects]

/** Refuses stages that code has made when they can reject with what the tag does not declare. */
type Declared<P, E> = P extends { readonly operation: Operation.Operation<unknown> }
  ? [Rejects[keyof P & keyof Rejects]] extends [E] ? unknown
  : { readonly "rejects with what the tag does not declare": never }
  : unknown

/**
 * A tag for one of several pipelines, with its layers and its `protect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string, E, R>
  extends Context.TagClass<Self, Id, Pipeline<E, R>>
{
  /** Makes the pipeline of the stages that the tag declares, with state of its own. */
  readonly layer: Layer.Layer<Self>
  /**
   * Makes the pipeline of a policy that is read: from a `Config`, a file, a service. A text is read
   * as JSON, other values as the JSON form of a pipeline (see `Spec`), and a value whose
   * `operation` is an `Operation` as stages that code has made.
   *
   * The operation is that which the tag declares; a policy that names another one is refused. A
   * stage may stand in the policy when the tag declares it, or when the tag already rejects with
   * everything that the stage rejects with: calls are then prepared for it. The layer fails with
   * a `ParseError` for anything else that is wrong, one line each.
   *
   * With `reloadOn` the policy is read again for each element of the stream, as `Pipeline.reload`
   * does it. When it cannot be read or is refused, the old policy stays: one warning until
   * something else is wrong or it is well again, and the metric `resilience.pipeline.reloads`
   * with the labels `pipeline` (the id of the tag) and `outcome` (`applied` or `kept`).
   */
  readonly layerFrom: <P, E2, R2, R3 = never>(
    policy: Effect.Effect<P, E2, R2> & Declared<P, E>,
    options?: FollowOptions<R3>
  ) => Layer.Layer<Self, E2 | ParseResult.ParseError, R2 | R3>
  /** Runs a call through the pipeline of the layer. */
  readonly protect: <A, E1, R1>(
    self: Effect.Effect<A, E1, R1>
  ) => Effect.Effect<A, E1 | E, R1 | R | Self>
}

/**
 * Everything that can be done with one list of stages; see the functions of the module, which are
 * the same for the standard list.
 *
 * @since 0.1.0
 * @category models
 */
export interface Api {
  /** The stages, outermost first. */
  readonly stages: ReadonlyArray<Stage>
  /** Builds a pipeline from stages. */
  readonly make: <R, K extends keyof Stages>(
    stages: Input<R, K>
  ) => Effect.Effect<Pipeline<Rejects[K & keyof Rejects], R>>
  /** Runs a call through a pipeline. */
  readonly protect: typeof protect
  /** Makes a tag for one of several pipelines. */
  readonly Tag: <const Id extends string>(
    id: Id
  ) => <Self>() => <R, K extends keyof Stages>(
    stages: Input<R, K>
  ) => TagClass<Self, Id, Rejects[K & keyof Rejects], R>
  /** The Schema of a configuration. */
  readonly Spec: Schema.Schema<Stages, unknown>
  /** Writes the JSON Schema of a configuration. */
  readonly jsonSchema: () => JSONSchema.JsonSchema7Root
  /** Builds a pipeline from JSON. Fails with `ParseError`. */
  readonly fromConfig: {
    /**
     * Builds a pipeline from JSON. The type demands an idempotency key, because the operation is
     * known only at run time.
     */
    (
      json: unknown
    ): Effect.Effect<Pipeline<Rejection, IdempotencyKey.IdempotencyKey>, ParseResult.ParseError>
    /**
     * Builds a pipeline from JSON for a known operation. Fails with `ParseError` when the JSON
     * names another.
     */
    <R>(
      json: unknown,
      options: {
        /** The operation that the configuration must name, or may omit. */
        readonly operation: Operation.Operation<R>
      }
    ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError>
  }
  /**
   * Builds a pipeline from JSON in which guards may be shared with a fleet: `circuitBreaker`,
   * `rateLimiter`, `bulkhead` and `cooldown` may have the field `"shared": "name"`. Fails with
   * `ParseError`.
   */
  readonly fromConfigShared: {
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
     * Builds a pipeline from JSON for a known operation. Fails with `ParseError` when the JSON
     * names another.
     */
    <R>(
      json: unknown,
      options: {
        /** The operation that the configuration must name, or may omit. */
        readonly operation: Operation.Operation<R>
      }
    ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError, Fleet>
  }
  /** Describes what stages do: their order, what is retried, the worst case. */
  readonly describe: (stages: Stages) => Described.Description
}

/**
 * Pipelines of a list of stages, outermost first: the standard ones without some, or with stages of
 * your own. A stage that is there twice throws `RangeError`.
 *
 * **When to use**
 *
 * For a guard of your own that should be written, described, checked and counted like all others.
 * Its field comes into `Stages`, and what it rejects with into `Rejects`, by declaration merging.
 *
 * **Details**
 *
 * A stage that comes too late for its place, such as a guard at the end of the standard list, goes
 * behind the last stage that may be around it.
 *
 * **Example** (A stage of your own)
 *
 * ```ts
 * import { Operation, Pipeline, Rejection } from "effect-resilience"
 * import { Effect, Schema } from "effect"
 *
 * class Closed extends Rejection.Error("Closed")<{ readonly day: string }> {}
 *
 * declare module "effect-resilience/Pipeline" {
 *   interface Stages {
 *     readonly closedOn?: string | undefined
 *   }
 *   interface Rejects {
 *     readonly closedOn: Closed
 *   }
 * }
 *
 * const closedOn = Pipeline.stage({
 *   name: "closedOn",
 *   title: "closed on",
 *   place: "guard",
 *   spec: Schema.String,
 *   build: (day) => Effect.succeed({ around: () => Effect.fail(new Closed({ day })) }),
 *   says: (day) => `turns away on ${day}`
 * })
 *
 * const Shop = Pipeline.of([...Pipeline.stages, closedOn])
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Shop.make({ operation: Operation.read, closedOn: "Sunday" })
 *   const call: Effect.Effect<string, Closed> = Shop.protect(Effect.succeed("open"), pipeline)
 *   return yield* Effect.catchTag(call, "Closed", ({ day }) => Effect.succeed(`closed: ${day}`))
 * })
 *
 * await Effect.runPromise(program) // => "closed: Sunday"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (stages: ReadonlyArray<Stage>): Api => {
  const list = ordered(stages)
  const Spec = specOf(list)
  const make: Api["make"] = <R, K extends keyof Stages>(given: Input<R, K>) =>
    Effect.map(
      build(list, given),
      (policy) => new Built<Rejects[K & keyof Rejects], R>(new InForce(list, policy))
    )
  const builtOf = (given: Stages) =>
    Effect.map(
      build(list, given),
      (policy) => new Built<Rejection, never>(new InForce(list, policy))
    )
  return {
    stages: list,
    make,
    protect,
    Tag: <const Id extends string>(id: Id) =>
    <Self>() =>
    <R, K extends keyof Stages>(
      given: Input<R, K>
    ): TagClass<Self, Id, Rejects[K & keyof Rejects], R> => {
      const Base = Context.Tag(id)<Self, Pipeline<Rejects[K & keyof Rejects], R>>()
      return Object.assign(Base, {
        layer: Layer.effect(Base, make(given)),
        layerFrom: <P, E2, R2, R3 = never>(
          policy: Effect.Effect<P, E2, R2>,
          options?: FollowOptions<R3>
        ) =>
          Layer.scoped(
            Base,
            Effect.map(
              follow({ id, stages: list, spec: Spec, declared: given }, policy, options),
              (inForce) => new Built<Rejects[K & keyof Rejects], R>(inForce)
            )
          ),
        protect: <A, E1, R1>(self: Effect.Effect<A, E1, R1>) =>
          Effect.flatMap(Base, (pipeline) => protect(self, pipeline))
      })
    },
    Spec,
    jsonSchema: () => JSONSchema.make(Spec),
    fromConfig: <R>(json: unknown, options?: { readonly operation: Operation.Operation<R> }) =>
      Effect.flatMap(Configured.read(Spec, json, options), builtOf),
    fromConfigShared: <R>(
      json: unknown,
      options?: { readonly operation: Operation.Operation<R> }
    ) =>
      Effect.flatMap(
        Shared.read(json, (plain) => Configured.read(Spec, plain, options)),
        builtOf
      ),
    describe: (given) => Described.describe(list, given)
  }
}
