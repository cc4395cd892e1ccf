/**
 * Replaces the policy of a pipeline while it is in use.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ParseResult from "effect/ParseResult"
import type { Contradiction } from "../policies/stage/checks.js"
import type { Rejects, Stage, Stages } from "../policies/stage/definition.js"
import { issueOf } from "../runtime/optionSchema.js"
import { build } from "./build.js"
import { builtOf, type InForce, type Pipeline } from "./built.js"
import { contradictions } from "./contradictions.js"
import { refused } from "./findings.js"
import type { Input } from "./input.js"

/** What a stage alone refuses. The path always begins with the name of the stage. */
const mistakesOf = (stage: Stage, given: Stages): Effect.Effect<ReadonlyArray<Contradiction>> => {
  const { name } = stage
  return Effect.map(
    Effect.exit(build([stage], { operation: given.operation, [name]: given[name] })),
    Exit.match({
      onSuccess: () => [],
      onFailure: (cause) => {
        const error = Cause.squash(cause)
        if (!(error instanceof RangeError)) return []
        const { message, path } = issueOf(error.message)
        return [{ path: path[0] === name ? path : [name, ...path], message }]
      }
    })
  )
}

const unknownFields = (
  stages: ReadonlyArray<Stage>,
  given: Stages
): ReadonlyArray<Contradiction> =>
  Object.entries(given)
    .filter(([name, value]) =>
      name !== "operation" && value !== undefined && stages.every((stage) => stage.name !== name)
    )
    .map(([name]) => ({
      path: [name],
      message: `is not a stage of this pipeline (${stages.map((stage) => stage.name).join(", ")})`
    }))

/** A key that calls do not have to bring, because the type of the pipeline does not say so. */
const newDemand = (before: Stages, { operation }: Stages): ReadonlyArray<Contradiction> =>
  operation._tag !== "Keyed" || before.operation._tag === "Keyed" ? [] : [{
    path: ["operation"],
    message: "should demand no key, as before, got \"keyed\" in place of " +
      JSON.stringify(before.operation._tag.toLowerCase())
  }]

/** Everything that is wrong with a policy that was refused, stage by stage. */
const findingsOf = (
  stages: ReadonlyArray<Stage>,
  given: Stages,
  refusal: RangeError
): Effect.Effect<Arr.NonEmptyReadonlyArray<Contradiction>> =>
  Effect.map(Effect.forEach(stages, (stage) => mistakesOf(stage, given)), (mistakes) => {
    const alone = [...unknownFields(stages, given), ...mistakes.flat()]
    const found = alone.length > 0 ? alone : contradictions(stages, given)
    // What a stage refuses because of others is none of these.
    return Arr.isNonEmptyReadonlyArray(found) ? found : [issueOf(refusal.message)]
  })

/** Builds the policy over the state of the one in force, and puts it in its place. */
export const replace = (
  inForce: InForce,
  given: Stages
): Effect.Effect<void, ParseResult.ParseError> =>
  Effect.suspend(() => {
    const { policy, stages } = inForce
    const demand = newDemand(policy.given, given)
    return Effect.matchCauseEffect(build(stages, given, policy), {
      onSuccess: (next) =>
        Arr.isNonEmptyReadonlyArray(demand)
          ? Effect.fail(refused(given, demand))
          : Effect.sync(() => {
            inForce.policy = next
          }),
      onFailure: (cause) => {
        const error = Cause.squash(cause)
        return error instanceof RangeError
          ? Effect.flatMap(
            findingsOf(stages, given, error),
            (found) => Effect.fail(refused(given, Arr.appendAll(demand, found)))
          )
          : Effect.failCause(cause)
      }
    })
  }).pipe(inForce.oneAtATime)

/**
 * Puts a new policy in place of the one that a pipeline has.
 *
 * **When to use**
 *
 * To change limits and thresholds of a running program. `Tag.layerFrom` with `reloadOn` does so
 * whenever a configuration changes, `PolicyFile.layer` whenever a file does.
 *
 * **Details**
 *
 * - Stages whose options did not change keep their state: open circuits stay open, permits stay
 *   taken, budgets keep their balance, hedges what they have measured. Unchanged means structurally
 *   equal; functions and instances are compared by identity. A stage whose options changed begins
 *   anew.
 * - Calls under way end under the policy they began with. Calls that begin later use the new one,
 *   also through pipelines that `forOperation` derived and clients that were given the pipeline.
 * - An effect that `protect` was given while the pipeline had no stages stays as it is: without
 *   stages `protect` adds nothing to it, so it does not look for later ones.
 * - Fails with a `ParseError` for invalid options and contradictions, one line for each (see
 *   `errors`); the old policy then stays in force.
 * - The new policy may reject only with what the type of the pipeline declares, and may not demand
 *   a key if the old one did not.
 * - Reloads of one pipeline run one at a time. Costs about as much as `make`.
 *
 * **Example** (More retries while the program runs)
 *
 * ```ts
 * import { Operation, Pipeline } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const policy = {
 *   operation: Operation.read,
 *   retry: { retries: 1 },
 *   circuitBreaker: { minimumCalls: 5 }
 * }
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Pipeline.make(policy)
 *   yield* Pipeline.reload(pipeline, { ...policy, retry: { retries: 3 } })
 *   return yield* Pipeline.reload(pipeline, { ...policy, retry: { retries: -1 } }).pipe(
 *     Effect.as([]),
 *     Effect.catchAll((error) => Effect.succeed(Pipeline.errors(error)))
 *   )
 * })
 *
 * const [mistake] = await Effect.runPromise(program)
 * mistake?.path // => "retry.retries"
 * mistake?.message // => "should be a whole number of at least 0, got -1"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const reload = <E, R, K extends keyof Stages>(
  pipeline: Pipeline<E, R>,
  stages: Rejects[K & keyof Rejects] extends E ? Input<R, K> : never
): Effect.Effect<void, ParseResult.ParseError> => replace(builtOf(pipeline).inForce, stages)
