/**
 * A pipeline whose policy is read from somewhere, and read again when that may have changed.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as ParseResult from "effect/ParseResult"
import { hasProperty } from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Operation from "../idempotency/Operation.js"
import type { Contradiction } from "../policies/stage/checks.js"
import type { Stage, Stages } from "../policies/stage/definition.js"
import { build } from "./build.js"
import { InForce } from "./built.js"
import * as Configured from "./configured.js"
import { refused } from "./findings.js"
import { replace } from "./reload.js"
import { isOperation } from "./spec.js"
import { isUnchanged } from "./unchanged.js"

/**
 * How a policy that is read is followed.
 *
 * @since 0.1.0
 * @category models
 */
export interface FollowOptions<R = never> {
  /** Each element has the policy read again. Default: the policy is read once. */
  readonly reloadOn?: Stream.Stream<unknown, never, R> | undefined
}

/** What a policy is read for: a tag with the stages that it declares. */
interface Declaration {
  readonly id: string
  readonly stages: ReadonlyArray<Stage>
  readonly spec: Schema.Schema<Stages, unknown>
  readonly declared: Stages
}

const reloads = Metric.counter("resilience.pipeline.reloads", {
  description: "Policies that were read again, by whether they are in force now",
  incremental: true
})

const isMade = (policy: unknown): policy is Stages =>
  hasProperty(policy, "operation") && isOperation(policy.operation)

/** Says that a text is no JSON, without repeating any of it: it may be any file. */
const parsed = (text: string): Effect.Effect<unknown, ParseResult.ParseError> =>
  Effect.try({
    try: () => JSON.parse(text) as unknown,
    catch: () =>
      refused(undefined, [{
        path: [],
        message: `should be JSON, got ${text.length} characters that are not`
      }])
  })

const otherOperation = (
  declared: Operation.Operation<unknown>,
  { operation }: Stages
): ReadonlyArray<Contradiction> =>
  operation._tag === declared._tag ? [] : [{
    path: ["operation"],
    message: `should be "${declared._tag.toLowerCase()}", as in the code, got ` +
      `"${operation._tag.toLowerCase()}"`
  }]

/** Stages that reject with what the type of the tag does not hold, so no caller handles it. */
const undeclared = (
  { declared, id, stages }: Declaration,
  given: Stages
): ReadonlyArray<Contradiction> => {
  const known = new Set(
    stages.flatMap(({ name, rejects }) => declared[name] === undefined ? [] : rejects ?? [])
  )
  return stages
    .filter(({ name, rejects }) =>
      given[name] !== undefined && declared[name] === undefined &&
      !(rejects?.every((tag) => known.has(tag)) ?? false)
    )
    .map(({ name, rejects }) => {
      const tags = rejects === undefined ? "" : ` (${rejects.join(", ")})`
      return {
        path: [name],
        message: `should be declared by the tag ${id}: its callers do not know what it rejects ` +
          `with${tags}`
      }
    })
}

/** The stages of a policy, however it is written. */
const read = (
  declaration: Declaration,
  policy: unknown
): Effect.Effect<Stages, ParseResult.ParseError> => {
  const { declared: { operation }, spec } = declaration
  const stages = isMade(policy) ? Effect.succeed(policy) : Effect.flatMap(
    typeof policy === "string" ? parsed(policy) : Effect.succeed(policy),
    (json) => Configured.read(spec, json, { operation })
  )
  return Effect.flatMap(stages, (given) => {
    const findings = [...otherOperation(operation, given), ...undeclared(declaration, given)]
    return Arr.isNonEmptyReadonlyArray(findings)
      ? refused(given, findings)
      : Effect.succeed(given)
  })
}

/** A defect of the source is no reason to lose the policy either. */
const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

/**
 * The policy of a tag, read once, or for as long as the scope lives.
 *
 * Each element of `reloadOn` leads to one of: the same policy as before (nothing), a new one
 * (`applied`), or one that cannot be read or is refused (`kept`, once for each message).
 */
export const follow = <E, R, R2 = never>(
  declaration: Declaration,
  policy: Effect.Effect<unknown, E, R>,
  options: FollowOptions<R2> = {}
): Effect.Effect<InForce, E | ParseResult.ParseError, R | R2 | Scope.Scope> =>
  Effect.gen(function*() {
    const { id, stages } = declaration
    let last = yield* policy
    const given = yield* read(declaration, last)
    const inForce = new InForce(stages, yield* build(stages, given))
    if (options.reloadOn === undefined) return inForce
    let complaint: string | undefined
    const count = (outcome: "applied" | "kept") =>
      Metric.increment(Metric.tagged(Metric.tagged(reloads, "pipeline", id), "outcome", outcome))
    const keep = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const message = messageOf(cause)
        if (Cause.isInterruptedOnly(cause) || message === complaint) return Effect.void
        complaint = message
        return Effect.zipRight(
          count("kept"),
          Effect.logWarning(
            `The policy of ${id} stays as it was; the new one is refused: ${message}`
          )
        )
      })
    const again = Effect.gen(function*() {
      const next = yield* policy
      if (isUnchanged(last, next)) return
      yield* replace(inForce, yield* read(declaration, next))
      last = next
      yield* count("applied")
      yield* Effect.logInfo(`The policy of ${id} has changed`)
    })
    yield* Effect.forkScoped(
      Stream.runForEach(options.reloadOn, () =>
        Effect.matchCauseEffect(again, {
          onFailure: keep,
          onSuccess: () => Effect.sync(() => complaint = undefined)
        }))
    )
    return inForce
  })
