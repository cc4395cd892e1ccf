/**
 * Marks answers that are not the real one: on the span, in a metric, and in the result of `marked`.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { hasProperty } from "effect/Predicate"
import * as CallContext from "../../runtime/callContext.js"

/**
 * A fallback that was taken: its error, and the age of a last good value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  /** The error that the fallback replaced. */
  readonly error: unknown
  /** The age of a last good value, in milliseconds. */
  readonly ageMillis?: number | undefined
}

const taken = Metric.counter("resilience.fallback.taken", {
  description: "Answers that were replaced by a fallback, by the tag of the error",
  incremental: true
})

const tagOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : "other"

/** Says that this fallback stands in for an answer. */
export const mark = (what: Taken): Effect.Effect<void> => {
  const tag = tagOf(what.error)
  return Effect.annotateCurrentSpan({
    "resilience.fallback.taken": tag,
    ...(what.ageMillis === undefined ? {} : { "resilience.fallback.age_millis": what.ageMillis })
  }).pipe(
    Effect.zipRight(CallContext.count(Metric.tagged(taken, "error", tag))),
    Effect.zipRight(CallContext.fallbackListeners.get),
    Effect.map((listeners = []) => {
      for (const listen of listeners) listen(what)
    })
  )
}

/** Runs an effect and tells of each fallback that is taken in it. */
export const listening = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  listen: (taken: Taken) => void
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    CallContext.fallbackListeners.get,
    (listeners = []) => CallContext.fallbackListeners.during(self, [...listeners, listen])
  )
