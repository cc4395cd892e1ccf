/**
 * Warns about mistakes that a retry finds at run time, once each: a retry inside an attempt of
 * another, and an error without a verdict.
 */
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Metric from "effect/Metric"
import { hasProperty } from "effect/Predicate"
import * as ApiError from "../errors/ApiError.js"
import { isHttpClientError } from "../errors/failureFacts.js"
import * as Rejection from "../errors/Rejection.js"
import * as CallContext from "../runtime/callContext.js"

const nested = Metric.counter("resilience.retry.nested", {
  description: "Retries inside an attempt of another retry",
  incremental: true
})

/** Which retries have been found inside of which. */
const pairs = globalValue(
  "effect-resilience/retry/nested",
  () => new WeakMap<object, WeakSet<object>>()
)

const isNews = (outer: object, inner: object): boolean => {
  const met = pairs.get(outer) ?? new WeakSet()
  pairs.set(outer, met)
  if (met.has(inner)) return false
  met.add(inner)
  return true
}

/**
 * Tells of a retry whose first attempt failed inside a further attempt of another: the numbers of
 * calls multiply.
 */
export const tellOfNesting = (inner: CallContext.Retrying): Effect.Effect<void> =>
  Effect.flatMap(CallContext.retrying.get, (outer) => {
    if (outer === undefined || outer.isAllowed || inner.isAllowed) return Effect.void
    const counted = CallContext.count(nested)
    if (!isNews(outer.policy, inner.policy)) return counted
    return Effect.zipRight(
      counted,
      Effect.logWarning(
        "A retry inside an attempt of another makes up to " +
          `${outer.attempts} * ${inner.attempts} = ${outer.attempts * inner.attempts} calls. ` +
          "Retry in one place, " +
          "or say that it is meant with nested: \"allow\"."
      )
    )
  })

/** Tags of errors without a verdict that have been told. */
const told = globalValue("effect-resilience/retry/unknownErrors", () => new Set<string>())

/** Enough to hear of it; names that are made at run time must not fill the memory. */
const maxTold = 100

const nameOf = (error: unknown): string =>
  hasProperty(error, "_tag") && typeof error._tag === "string"
    ? error._tag
    : error instanceof Error
    ? error.name
    : typeof error

const isKnown = (error: unknown): boolean =>
  ApiError.isApiError(error) || Rejection.isRejection(error) || isHttpClientError(error) ||
  ApiError.verdict(error)._tag !== "Terminal" || ApiError.mayHaveRun(error) ||
  idempotencyTags.has(nameOf(error))

/** The refusals of a run that are final and no rejections. */
const idempotencyTags: ReadonlySet<string> = new Set(["Mismatch", "FingerprintError"])

/** Tells of an error that is not repeated because nothing says what it means. */
export const tellOfUnknown = (error: unknown): Effect.Effect<void> =>
  Effect.suspend(() => {
    const name = nameOf(error)
    if (told.has(name) || told.size >= maxTold || isKnown(error)) return Effect.void
    told.add(name)
    return Effect.logWarning(
      `A retry met the error ${JSON.stringify(name)}, which has no verdict and is not repeated. ` +
        "Say what it means: verdict: Verdict.byTag({ ... })."
    )
  })
