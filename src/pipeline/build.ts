/**
 * Builds the stages of a pipeline from what is written down, once or in place of an earlier policy.
 */
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"
import type { Frame, Place, Stage, Stages } from "../policies/stage/definition.js"
import { type BuiltStage, Compiled } from "./compiled.js"
import { contradictions } from "./contradictions.js"
import { isUnchanged } from "./unchanged.js"

/** Outermost first. A frame stands wherever it is written. */
const places: ReadonlyArray<Place> = ["call", "repeat", "guard", "queue", "attempt"]

/** Moves a stage that comes too late behind the last one that may be around it. */
export const ordered = (stages: ReadonlyArray<Stage>): ReadonlyArray<Stage> => {
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

/**
 * A policy in force.
 *
 * - `given`: what was written down.
 * - `shared`: the same, with the instances that hold the state in place of their options.
 */
export interface Policy {
  readonly given: Stages
  readonly shared: Stages
  readonly compiled: Compiled
}

/** Refuses a field that no stage of the list reads: it would guard nothing. */
const checkFields = (stages: ReadonlyArray<Stage>, given: Stages): void => {
  for (const [name, value] of Object.entries(given)) {
    const isKnown = name === "operation" || stages.some((stage) => stage.name === name)
    if (!isKnown && value !== undefined) {
      const names = stages.map((stage) => stage.name).join(", ")
      throw new RangeError(`${name} should be a stage of this pipeline (${names})`)
    }
  }
}

/** The stages with the instances that hold their state, those of an earlier policy where it can. */
const share = (
  stages: ReadonlyArray<Stage>,
  given: Stages,
  before: Policy | undefined
): Effect.Effect<Stages> =>
  Effect.map(
    Effect.forEach(
      stages.filter(({ name }) => given[name] !== undefined),
      ({ name, share }) =>
        share === undefined
          ? Effect.succeed([name, given[name]])
          : before !== undefined && isUnchanged(before.given[name], given[name])
          ? Effect.succeed([name, before.shared[name]])
          : Effect.map(share(given), (instance) => [name, instance])
    ),
    (fields) => ({ ...given, ...Object.fromEntries(fields) as Partial<Stages> })
  )

/** One stage: the part of an earlier policy where that holds the state, else a new one. */
const partOf = (
  stage: Stage,
  shared: Stages,
  frame: Frame,
  before: Policy | undefined
): Effect.Effect<ReadonlyArray<BuiltStage>> => {
  const { name, place } = stage
  const earlier = stage.share === undefined && before !== undefined &&
      isUnchanged(before.given[name], shared[name])
    ? before.compiled.stages.find((built) => built.name === name)
    : undefined
  return earlier === undefined
    ? Effect.map(
      stage.build(shared, frame),
      (part) => part === undefined ? [] : [{ name, place, part }]
    )
    : Effect.sync(() => [{ name, place, part: earlier.part.forFrame?.(frame) ?? earlier.part }])
}

/** The type demands one. In JavaScript it is easily left out, or written as in JSON. */
const checkOperation = ({ operation }: { readonly operation: unknown }): void => {
  if (hasProperty(operation, "_tag")) return
  const got = typeof operation === "string" ? JSON.stringify(operation) : typeof operation
  throw new RangeError(
    `operation should be Operation.read, idempotent, keyed or once, got ${got}`
  )
}

/**
 * Asks all stages what others have to know of them, builds those that are there, checks them. Dies
 * with a `RangeError` for invalid options and contradictions; the earlier policy is then as it was.
 */
export const build = (
  stages: ReadonlyArray<Stage>,
  given: Stages,
  before?: Policy
): Effect.Effect<Policy> =>
  Effect.gen(function*() {
    yield* Effect.sync(() => checkFields(stages, given))
    yield* Effect.sync(() => checkOperation(given))
    const shared = yield* share(stages, given, before)
    let frame: Frame = {
      operation: given.operation,
      totalMillis: Infinity,
      attemptMillis: Infinity,
      repeats: false,
      retries: false,
      budget: undefined,
      meter: undefined
    }
    for (const stage of stages) frame = yield* stage.frame(shared, frame)
    const all = frame
    const built = yield* Effect.forEach(stages, (stage) => partOf(stage, shared, all, before))
    yield* Effect.sync(() => {
      for (const { message } of contradictions(stages, given)) throw new RangeError(message)
    })
    return { given, shared, compiled: new Compiled(frame, built.flat()) }
  })
