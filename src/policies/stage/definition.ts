/** Defines a stage of a pipeline: one value that describes everything about it. */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Schema from "effect/Schema"
import type { Plan, WorstCase } from "../../core/worstCase.js"
import type * as Operation from "../../idempotency/Operation.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import type { About } from "../../runtime/callContext.js"
import { behindOf, isInstance, optionsOf } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import type { Misnamed } from "../../runtime/misnamed.js"
import type { Contradiction } from "./checks.js"

/** What to write in place of names that are none of a stage. */
interface Advice {
  readonly timeout: "use totalTimeout for the whole call, attemptTimeout for each attempt"
  readonly retries: "use retry: { retries }"
  readonly breaker: "use circuitBreaker"
}

/**
 * What a pipeline is made of. Each stage may be left out; those that are there apply in this order,
 * outermost first: `telemetry`, `totalTimeout`, `retry` and `budget`, `hedge`, `circuitBreaker`,
 * `throttle`, `rateLimiter`, `bulkhead`, `concurrency`, `cooldown`, `attemptTimeout`, `chaos`.
 *
 * Where an instance may be given, it is shared with everything else that has it; options make a new
 * one. A stage of your own adds its field by declaration merging.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stages extends Misnamed<Advice> {
  /** What running the call twice would mean. (required) */
  readonly operation: Operation.Operation<unknown>
}

/**
 * What each stage can reject a call with. A stage that is absent adds nothing, and neither does one
 * without a field here.
 *
 * @since 0.1.0
 * @category models
 */
// Each stage adds its own.
// oxlint-disable-next-line typescript/no-empty-interface
export interface Rejects {}

/** The name of a stage: its field in `Stages`. */
export type Name = Exclude<keyof Stages, "operation" | keyof Advice>

/** The tags of what a stage rejects with. */
export type RejectTags<K extends Name> = K extends keyof Rejects
  ? Rejects[K] extends { readonly _tag: infer Tag } ? Tag : never
  : never

/** What is written down of a stage that is there. */
export type Given<K extends Name> = Exclude<Stages[K], undefined>

/**
 * Where a stage stands, outermost first.
 *
 * - `call`: around the whole call.
 * - `repeat`: where the call is tried again.
 * - `guard`: around one attempt, which it lets in or rejects at once.
 * - `queue`: around one attempt, which may wait there for its turn. The total limit covers the
 *   waiting, the limit of the attempt does not.
 * - `attempt`: within the limit of the attempt.
 * - `frame`: around nothing. It only says something that others go by, such as a limit of time.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = "call" | "repeat" | "guard" | "queue" | "attempt" | "frame"

/**
 * One call: its key, what telemetry files it under, and when it began, in monotonic nanoseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** The key of the call; `undefined` stands for `"default"`. */
  readonly key: string | undefined
  /** What telemetry files the call under. */
  readonly about: About | undefined
  /** When the call began, in monotonic nanoseconds. `undefined` where no stage asked for it. */
  readonly from: bigint | undefined
}

/**
 * Puts a stage around a call. What it can fail with is in the type of the pipeline.
 *
 * @since 0.1.0
 * @category models
 */
export interface Around {
  <A, R>(self: Effect.Effect<A, unknown, R>, call: Call): Effect.Effect<A, unknown, R>
}

/**
 * What all stages of one pipeline share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frame {
  /** Says what a second execution of the call would mean. */
  readonly operation: Operation.Operation<unknown>
  /** The time limit of the whole call in milliseconds; `Infinity` for none. */
  readonly totalMillis: number
  /** The time limit of one attempt in milliseconds; `Infinity` for none. */
  readonly attemptMillis: number
  /** True when the call may have more than one attempt. */
  readonly repeats: boolean
  /** True when a retry makes them; it pays into the budget. */
  readonly retries: boolean
  /** Pays for further attempts. */
  readonly budget: RetryBudget.RetryBudget | undefined
  /** Counts for telemetry. */
  readonly meter: Meter | undefined
}

/**
 * A stage that has been built.
 *
 * @since 0.1.0
 * @category models
 */
export interface Part {
  /** What the stage does at its place. */
  readonly around?: Around | undefined
  /** What the stage does around each attempt that the guards have admitted. */
  readonly attempt?: Around | undefined
  /** True when calls may wait in the stage; for stages whose place is `queue`. Default true. */
  readonly waits?: boolean | undefined
  /**
   * Makes the same part, over the same state, for another frame: called for each kind of operation,
   * and when `Pipeline.reload` changes other stages. Default: the part itself.
   */
  readonly forFrame?: ((frame: Frame) => Part) | undefined
  /** Shows the stage to an operator as plain JSON, one value for each key. */
  readonly snapshots?: Effect.Effect<ReadonlyArray<unknown>> | undefined
}

/**
 * A stage, as an author writes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<K extends Name> {
  /** The field of the stage in `Stages`. */
  readonly name: K
  /** The name of the stage in `describe`. */
  readonly title: string
  /** Where the stage stands in the order. */
  readonly place: Place
  /** The JSON form of the stage. Without it the stage can only be set in code. */
  readonly spec?: Schema.Schema.AnyNoContext | undefined
  /**
   * The tags of what the stage rejects with, as in `Rejects`; `[]` when it rejects with nothing.
   * `Tag.layerFrom` accepts a stage that the tag does not declare only when the tag already rejects
   * with all of them. Default: unknown, so the tag has to declare the stage.
   */
  readonly rejects?: ReadonlyArray<RejectTags<K>> | undefined
  /**
   * Makes the instance that holds the state; given an instance, returns it. `frame` and `build` get
   * the instance, and `Pipeline.reload` keeps it while the options are unchanged. Default: the
   * options themselves; a reload then keeps the built part.
   */
  readonly share?: ((given: Given<K>) => Effect.Effect<Given<K>>) | undefined
  /** Tells the other stages what they must know. Called in the order of the list. */
  readonly frame?: ((given: Given<K>, frame: Frame) => Effect.Effect<Frame>) | undefined
  /** Makes the stage, after every `frame` has been called. */
  readonly build?: ((given: Given<K>, frame: Frame) => Effect.Effect<Part>) | undefined
  /** Describes the stage in one line. */
  readonly says: (given: Given<K>, stages: Stages) => string
  /** Adds sentences after the lines of `describe`. Called for an absent stage too. */
  readonly remarks?:
    | ((given: Given<K> | undefined, stages: Stages) => ReadonlyArray<string>)
    | undefined
  /** Adds sentences after the worst case of `describe`. Called for an absent stage too. */
  readonly summary?:
    | ((given: Given<K> | undefined, worst: WorstCase) => ReadonlyArray<string>)
    | undefined
  /** Says what the stage adds to the worst case of a call. Waits in a queue add up. */
  readonly cost?: ((given: Given<K>, stages: Stages) => Partial<Plan>) | undefined
  /** Finds contradictions with other stages. Only fields that were written down count. */
  readonly checks?: ((given: Given<K>, stages: Stages) => ReadonlyArray<Contradiction>) | undefined
}

/** One line of a description. */
export interface Line {
  readonly title: string
  readonly says: string
}

/**
 * A stage, as a pipeline uses it: each method reads its own part of the stages that were written
 * down.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stage {
  /** The field of the stage in `Stages`. */
  readonly name: Name
  /** Where the stage stands in the order. */
  readonly place: Place
  /** The JSON form of the stage; `undefined` when it can only be set in code. */
  readonly spec: Schema.Schema.AnyNoContext | undefined
  /** The tags of what the stage rejects with; `undefined` when unknown. */
  readonly rejects: ReadonlyArray<string> | undefined
  /** Makes the instance that holds the state; `undefined` when the built part holds it. */
  readonly share: ((stages: Stages) => Effect.Effect<unknown>) | undefined
  /** Adds what the other stages must know. */
  readonly frame: (stages: Stages, frame: Frame) => Effect.Effect<Frame>
  /** Makes the stage, or nothing when it was not written down. */
  readonly build: (stages: Stages, frame: Frame) => Effect.Effect<Part | undefined>
  /** The lines that describe the stage. */
  readonly lines: (stages: Stages) => ReadonlyArray<Line>
  /** Sentences after the lines of `describe`. */
  readonly remarks: (stages: Stages) => ReadonlyArray<string>
  /** Sentences after the worst case of `describe`. */
  readonly summary: (stages: Stages, worst: WorstCase) => ReadonlyArray<string>
  /** What the stage adds to the worst case of a call. */
  readonly cost: (stages: Stages) => Partial<Plan>
  /** The contradictions with other stages. */
  readonly checks: (stages: Stages) => ReadonlyArray<Contradiction>
}

/**
 * A stage of a pipeline.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stage = <const K extends Name>(definition: Definition<K>): Stage => {
  const { build, checks, cost, frame, name, place, remarks, says, share, spec, summary, title } =
    definition
  const givenOf = (stages: Stages): Given<K> | undefined => stages[name] as Given<K> | undefined
  const when = <A>(
    stages: Stages,
    f: ((given: Given<K>, stages: Stages) => A) | undefined,
    otherwise: A
  ): A => {
    const given = givenOf(stages)
    return given === undefined || f === undefined ? otherwise : f(given, stages)
  }
  return {
    name,
    place,
    spec,
    rejects: definition.rejects,
    share: share && ((stages) => when<Effect.Effect<unknown>>(stages, share, Effect.void)),
    frame: (stages, soFar) =>
      when(stages, frame && ((given) => frame(given, soFar)), Effect.succeed(soFar)),
    build: (stages, all) =>
      when<Effect.Effect<Part | undefined>>(
        stages,
        build && ((given) => build(given, all)),
        Effect.succeed(undefined)
      ),
    lines: (stages) => when(stages, (given) => [{ title, says: says(given, stages) }], []),
    remarks: (stages) => remarks?.(givenOf(stages), stages) ?? [],
    summary: (stages, worst) => summary?.(givenOf(stages), worst) ?? [],
    cost: (stages) => when(stages, cost, {}),
    checks: (stages) => when(stages, checks, [])
  }
}

/** What guards of one kind have in common, as stages. */
interface GuardDefinition<K extends Name, Instance, Options>
  extends Pick<Definition<K>, "name" | "title" | "place" | "spec" | "rejects" | "checks">
{
  readonly make: (options: Options) => Effect.Effect<Instance>
  readonly around: (instance: Instance) => Around
  readonly waits?: boolean | undefined
  /** Looks on for telemetry; the answer is what calls go through from then on. */
  readonly watched?: ((instance: Instance, meter: Meter) => Instance) | undefined
  readonly snapshots?: ((instance: Instance) => Effect.Effect<ReadonlyArray<unknown>>) | undefined
  /** What the options mean; they may be unknown, of an instance that was made elsewhere. */
  readonly says: (options: Partial<Options> | undefined) => string
  /** How long an attempt waits in it at most; as long as it takes, where that is unknown. */
  readonly waitMillis?: ((options: Partial<Options>) => number) | undefined
}

/**
 * A stage for a guard that is given as an instance, which is shared, or as options for a new one.
 */
export const guardStage = <const K extends Name, Instance extends object, Options extends object>(
  definition: GuardDefinition<K, Instance, Options>
): Stage => {
  const { around, make, says, snapshots, waitMillis, waits, watched = identity } = definition
  const instanceOf = (given: object): Effect.Effect<Instance> =>
    // What is no instance is options: the field in `Stages` says so.
    isInstance<Instance, Options>(given as Instance | Options)
      ? Effect.succeed(given as Instance)
      : make(given as Options)
  return stage<K>({
    ...definition,
    share: (given) =>
      // An instance may stand wherever its options may.
      Effect.map(instanceOf(given as object), (made) => made as unknown as Given<K>),
    build: (given, { meter }) =>
      Effect.map(instanceOf(given as object), (made) => {
        const instance = meter === undefined ? made : watched(made, meter)
        return { around: around(instance), waits, snapshots: snapshots?.(instance) }
      }),
    says: (given) => {
      const { sharedAs } = behindOf(given as object) ?? {}
      const said = says(optionsOf<Options>(given as object))
      return sharedAs === undefined
        ? said
        : `${said}; shared by a fleet as ${JSON.stringify(sharedAs)}`
    },
    cost: (given) => {
      if (waitMillis === undefined) return {}
      const options = optionsOf<Options>(given as object)
      return { queueMillis: options === undefined ? Infinity : waitMillis(options) }
    }
  })
}
