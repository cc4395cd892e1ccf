/**
 * What became of an idempotent run, where an operator looks for it: span, metric and log. Keys
 * appear as `kid`.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as CallContext from "../runtime/callContext.js"

/**
 * How a run ended.
 *
 * - `executed`: it ran, and its outcome is recorded
 * - `replayed`: it did not run; the recorded outcome, or the one of a run in this process, was
 *   given out
 * - `in_flight`, `mismatch`, `store_unavailable`: it did not run
 * - `released`: it ran and failed, and the next caller may run
 * - `unreleased`: it ran and failed, and the store could not be told; the claim lapses
 * - `held`: it may have been executed; the claim lapses
 * - `unrecorded`: it ran to an outcome that could not be recorded; the claim lapses
 * - `stale`: it ran to its end, but somebody else had taken over
 * - `unprotected`: it runs although the store did not answer
 * - `unknown`: it did not run, or not to its end, because an earlier run may have been executed
 * - `result_unavailable`: it was executed before, and its outcome was not kept
 * - `corrupt`: the record cannot be read
 * - `fingerprint_error`: the payload has no fingerprint
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

/** What somebody may have to look into. */
const alarming: ReadonlySet<Ending> = new Set<Ending>([
  "store_unavailable",
  "unreleased",
  "unrecorded",
  "stale",
  "unprotected",
  "unknown",
  "corrupt"
])

export const report = (ending: Ending, kid: string): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({
    "resilience.idempotency": ending,
    "resilience.idempotency.kid": kid
  }).pipe(
    Effect.zipRight(CallContext.count(Metric.tagged(outcomes, "outcome", ending))),
    Effect.zipRight(
      Effect.annotateLogs(
        (alarming.has(ending) ? Effect.logWarning : Effect.logDebug)("Idempotent run"),
        {
          "idempotency.outcome": ending,
          kid
        }
      )
    )
  )
