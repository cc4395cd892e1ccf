/**
 * Pipelines over one ordered list of stages.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import * as Layer from "effect/Layer"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import type { Frame, Place, Rejects, Stage, Stages } from "../policies/stage/definition.js"
import { Built, type Pipeline, protect } from "./built.js"
import { Compiled } from "./compiled.js"
import { contradictions } from "./contradictions.js"
import * as Described from "./description.js"
import { specOf } from "./spec.js"

/**
 * What the stages of any pipeline can reject with.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = Rejects[keyof Rejects]

/**
 * The stages a caller wrote down, checked to the last field: a typo at any depth does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<R, K extends keyof Stages> =
  & { readonly operation: Operation.Operation<R> }
  & Pick<Stages, K>

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
 * Everything that can be done with one list of stages; see the functions of the module, which are
 * the same for the standard list.
 *
 * @since 0.1.0
 * @category models
 */
export interface Api {
  /** The stages, outermost first. */
  readonly stages: ReadonlyArray<Stage>
  readonly make: <R, K extends keyof Stages>(
    stages: Input<R, K>
  ) => Effect.Effect<Pipeline<Rejects[K & keyof Rejects], R>>
  readonly protect: typeof protect
  readonly Tag: <const Id extends string>(
    id: Id
  ) => <Self>() => <R, K extends keyof Stages>(
    stages: Input<R, K>
  ) => TagClass<Self, Id, Rejects[K & keyof Rejects], R>
  readonly Spec: Schema.Schema<Stages, unknown>
  readonly jsonSchema: () => JSONSchema.JsonSchema7Root
  readonly fromConfig: {
    (
      json: unknown
    ): Effect.Effect<Pipeline<Rejection, IdempotencyKey.IdempotencyKey>, ParseResult.ParseError>
    <R>(
      json: unknown,
      options: { readonly operation: Operation.Operation<R> }
    ): Effect.Effect<Pipeline<Rejection, R>, ParseResult.ParseError>
  }
  readonly describe: (stages: Stages) => Described.Description
}

/** Outermost first. A frame stands wherever it is written. */
const places: ReadonlyArray<Place> = ["call", "repeat", "guard", "queue", "attempt"]

/** A stage that comes too late goes behind the last one that may be around it. */
const ordered = (stages: ReadonlyArray<Stage>): ReadonlyArray<Stage> => {
  const list: Array<Stage> = []
  for (const stage of stages) {
    if (list.some(({ name }) => name === stage.name)) {
      throw new RangeError(`stages should name each stage once, got ${stage.name} twice`)
    }
    const place = places.indexOf(stage.place)
    const isTooLate = place >= 0 && list.some((other) => places.indexOf(other.place) > place)
    const behind = list.findLastIndex((other) =>
      other.place !== "frame" && places.indexOf(other.place) <= place
    )
    list.splice(isTooLate ? behind + 1 : list.length, 0, stage)
  }
  return list
}

/** A field that no stage of the list reads would guard nothing, and not say so. */
const checkFields = (stages: ReadonlyArray<Stage>, given: Stages): void => {
  for (const [name, value] of Object.entries(given)) {
    const isKnown = name === "operation" || stages.some((stage) => stage.name === name)
    if (!isKnown && value !== undefined) {
      const names = stages.map((stage) => stage.name).join(", ")
      throw new RangeError(`${name} should be a stage of this pipeline (${names})`)
    }
  }
}

/** Asks all stages what others have to know of them, builds those that are there, checks them. */
const compile = (stages: ReadonlyArray<Stage>, given: Stages): Effect.Effect<Compiled> =>
  Effect.gen(function*() {
    yield* Effect.sync(() => checkFields(stages, given))
    let frame: Frame = {
      operation: given.operation,
      totalMillis: Infinity,
      attemptMillis: Infinity,
      repeats: false,
      retries: false,
      budget: undefined,
      meter: undefined
    }
    for (const stage of stages) frame = yield* stage.frame(given, frame)
    const all = frame
    const built = yield* Effect.forEach(
      stages,
      ({ build, name, place }) =>
        Effect.map(build(given, all), (part) => part === undefined ? [] : [{ name, place, part }])
    )
    yield* Effect.sync(() => {
      for (const { message } of contradictions(stages, given)) throw new RangeError(message)
    })
    return new Compiled(frame, built.flat())
  })

/**
 * Pipelines of a list of stages, outermost first: the standard ones without some, or with stages of
 * your own. Throws a `RangeError` when a stage is there twice.
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
      compile(list, given),
      (compiled) => new Built<Rejects[K & keyof Rejects], R>(compiled)
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
        protect: <A, E1, R1>(self: Effect.Effect<A, E1, R1>) =>
          Effect.flatMap(Base, (pipeline) => protect(self, pipeline))
      })
    },
    Spec,
    jsonSchema: () => JSONSchema.make(Spec),
    fromConfig: <R>(json: unknown, options?: { readonly operation: Operation.Operation<R> }) =>
      Effect.flatMap(Schema.decodeUnknown(Spec)(json), (given) =>
        Effect.map(
          compile(list, { ...given, ...options }),
          (compiled) => new Built<Rejection, never>(compiled)
        )),
    describe: (given) => Described.describe(list, given)
  }
}
