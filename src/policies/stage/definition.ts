/**
 * What a stage of a pipeline is: one value that says everything about it.
 *
 * A pipeline folds an ordered list of stages. How options are written in code and in JSON, how a
 * stage is built, what it says of itself, what it costs at worst, what it contradicts, what it
 * tells telemetry and shows to an operator: all of it comes from the stage, so a stage that is
 * added to the list is complete, and none is known anywhere else.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Schema from "effect/Schema"
import type { Plan, WorstCase } from "../../core/worstCase.js"
import type * as Operation from "../../idempotency/Operation.js"
import type * as RetryBudget from "../../retry/RetryBudget.js"
import type { About } from "../../runtime/callContext.js"
import { isInstance, optionsOf } from "../../runtime/instances.js"
import type { Meter } from "../../runtime/meter.js"
import type { Contradiction } from "./checks.js"

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
export interface Stages {
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
export type Name = Exclude<keyof Stages, "operation">

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
 * One call: whose state it belongs to, what it is filed under, and when it began where that is
 * asked for, in monotonic nanoseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly key: string | undefined
  readonly about: About | undefined
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
 * What all stages of one pipeline go by.
 *
 * - `operation`: what running the call twice would mean.
 * - `totalMillis`, `attemptMillis`: the limits of time; `Infinity` where there is none.
 * - `repeats`: whether an attempt may be made more than once. `retries`: whether by a retry, which
 *   pays into the budget.
 * - `budget`: what pays for further attempts. `meter`: what telemetry counts with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frame {
  readonly operation: Operation.Operation<unknown>
  readonly totalMillis: number
  readonly attemptMillis: number
  readonly repeats: boolean
  readonly retries: boolean
  readonly budget: RetryBudget.RetryBudget | undefined
  readonly meter: Meter | undefined
}

/**
 * A stage that has been built.
 *
 * - `around`: what it does, at its place. `attempt`: what it does around each attempt once the
 *   guards have let it in.
 * - `waits`: whether calls may wait in it, where its place is `queue`. Default true.
 * - `forOperation`: the same over the same state, where it depends on the operation.
 * - `snapshots`: what an operator sees of it, as plain JSON, one for each key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Part {
  readonly around?: Around | undefined
  readonly attempt?: Around | undefined
  readonly waits?: boolean | undefined
  readonly forOperation?: ((operation: Operation.Operation<unknown>) => Part) | undefined
  readonly snapshots?: Effect.Effect<ReadonlyArray<unknown>> | undefined
}

/**
 * A stage, as it is written.
 *
 * - `name`: its field in `Stages`. `title`: what `describe` calls it.
 * - `spec`: its form in JSON. Without one only code can say it.
 * - `frame`: what others have to know of it. Stages are asked in the order of the list.
 * - `build`: makes it, once all have been asked.
 * - `says`: one line about it. `remarks`: sentences that follow the lines, also where it is absent.
 *   `summary`: sentences that follow the worst case, also where it is absent.
 * - `cost`: what it adds to the worst case of a call; waits in a queue are summed up.
 * - `checks`: what it cannot mean together with others. Only what was written down counts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<K extends Name> {
  readonly name: K
  readonly title: string
  readonly place: Place
  readonly spec?: Schema.Schema.AnyNoContext | undefined
  readonly frame?: ((given: Given<K>, frame: Frame) => Effect.Effect<Frame>) | undefined
  readonly build?: ((given: Given<K>, frame: Frame) => Effect.Effect<Part>) | undefined
  readonly says: (given: Given<K>, stages: Stages) => string
  readonly remarks?:
    | ((given: Given<K> | undefined, stages: Stages) => ReadonlyArray<string>)
    | undefined
  readonly summary?:
    | ((given: Given<K> | undefined, worst: WorstCase) => ReadonlyArray<string>)
    | undefined
  readonly cost?: ((given: Given<K>, stages: Stages) => Partial<Plan>) | undefined
  readonly checks?: ((given: Given<K>, stages: Stages) => ReadonlyArray<Contradiction>) | undefined
}

/** One line of a description. */
export interface Line {
  readonly title: string
  readonly says: string
}

/**
 * A stage, as a pipeline folds it: whichever it is, it is asked for itself among all that is
 * written down.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stage {
  readonly name: Name
  readonly place: Place
  readonly spec: Schema.Schema.AnyNoContext | undefined
  readonly frame: (stages: Stages, frame: Frame) => Effect.Effect<Frame>
  readonly build: (stages: Stages, frame: Frame) => Effect.Effect<Part | undefined>
  readonly lines: (stages: Stages) => ReadonlyArray<Line>
  readonly remarks: (stages: Stages) => ReadonlyArray<string>
  readonly summary: (stages: Stages, worst: WorstCase) => ReadonlyArray<string>
  readonly cost: (stages: Stages) => Partial<Plan>
  readonly checks: (stages: Stages) => ReadonlyArray<Contradiction>
}

/**
 * A stage of a pipeline.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stage = <const K extends Name>(definition: Definition<K>): Stage => {
  const { build, checks, cost, frame, name, place, remarks, says, spec, summary, title } =
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
  extends Pick<Definition<K>, "name" | "title" | "place" | "spec" | "checks">
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
    build: (given, { meter }) =>
      Effect.map(instanceOf(given as object), (made) => {
        const instance = meter === undefined ? made : watched(made, meter)
        return { around: around(instance), waits, snapshots: snapshots?.(instance) }
      }),
    says: (given) => says(optionsOf<Options>(given as object)),
    cost: (given) => {
      if (waitMillis === undefined) return {}
      const options = optionsOf<Options>(given as object)
      return { queueMillis: options === undefined ? Infinity : waitMillis(options) }
    }
  })
}
