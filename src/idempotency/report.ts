/**
 * Reports how an idempotent run ended: on the span, in a metric and in a log line. Keys appear as
 * `kid`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as CallContext from "../runtime/callContext.js"

/**
 * How a run ended.
 *
 * - `executed`: the work ran, and the store recorded its outcome
 * - `replayed`: the work did not run; the caller got the recorded outcome, or the one of a run in
 *   this process
 * - `in_flight`, `mismatch`, `store_unavailable`: the work did not run
 * - `released`: the work failed, and the next caller may run it
 * - `unreleased`: the work failed, and the store did not take the release; the claim lapses
 * - `held`: the work may have been executed; the claim lapses
 * - `unrecorded`: the work has an outcome that the store did not record; the claim lapses
 * - `stale`: the work ended after another run had taken over the claim
 * - `unprotected`: the work runs although the store did not answer
 * - `unknown`: an earlier run may have executed the work, or this run lost its claim and stopped
 * - `result_unavailable`: an earlier run executed the work, and its outcome was not kept
 * - `corrupt`: the record cannot be read
 * - `fingerprint_error`: the payload or the scope has no fingerprint
 */
export type Ending =
  | "executed"
  | "replayed"
  | "in_flight"
  | "mismatch"
  | "store_unavailable"
  | "released"
  | "unreleased"
  | "held"
  | "unrecorded"
  | "stale"
  | "unprotected"
  | "unknown"
  | "result_unavailable"
  | "corrupt"
  | "fingerprint_error"

const outcomes = Metric.counter("resilience.idempotency.outcomes", {
  description: "How idempotent runs ended",
  incremental: true
})

/** Endings that an operator may have to look into: they are warnings. */
const alarming: ReadonlySet<Ending> = new Set<Ending>([
  "store_unavailable",
  "unreleased",
  "unrecorded",
  "stale",
  "unprotected",
  "unknown",
  "corrupt"
])

/** Made once: few, and known beforehand. */
const tagged = new Map<Ending, Metric.Metric.Counter<number>>()

const counterOf = (ending: Ending): Metric.Metric.Counter<number> => {
  const known = tagged.get(ending)
  if (known !== undefined) return known
  const made = Metric.tagged(outcomes, "outcome", ending)
  tagged.set(ending, made)
  return made
}

export const report = (ending: Ending, kid: string): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const span = Context.getOption(fiber.currentContext, Tracer.ParentSpan)
    if (Option.isSome(span) && span.value._tag === "Span") {
      span.value.attribute("resilience.idempotency", ending)
      span.value.attribute("resilience.idempotency.kid", kid)
    }
    const counting = CallContext.count(counterOf(ending))
    const level = alarming.has(ending) ? LogLevel.Warning : LogLevel.Debug
    // Annotations are dear, and a line that is not written needs none.
    if (LogLevel.lessThan(level, fiber.getFiberRef(FiberRef.currentMinimumLogLevel))) {
      return counting
    }
    return Effect.zipRight(
      counting,
      Effect.annotateLogs(Effect.logWithLevel(level, "Idempotent run"), {
        "idempotency.outcome": ending,
        kid
      })
    )
  })
