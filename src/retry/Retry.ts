/**
 * Retries calls: only what may be repeated, only as often as agreed, never before the time that the
 * server named, and never past a deadline.
 *
 * The decision is a pure function (`decide`); the driver only waits. A success costs nothing: no
 * schedule, no clock read and no state before the first failure.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Verdict from "../errors/Verdict.js"
import { insideAttempt } from "../runtime/callContext.js"
import { retryFrom } from "./driver.js"
import { type Base, check, type Known, type Options } from "./policy.js"

export { decide, defaults } from "./policy.js"
export type { Base, Decision, Known, Options, StopReason } from "./policy.js"

const retryWith = <A, E, R, R2>(
  self: Effect.Effect<A, E, R>,
  options: Options<E, R2>
): Effect.Effect<A, E, R | R2> =>
  retryFrom(
    options.operation._tag === "Keyed" ? insideAttempt(self) : self,
    options,
    undefined
  )

/** Options that come before the effect are checked when they come, not when the effect does. */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = Effect.isEffect(args[0])
  if (!dataFirst) check(args[0])
  return dataFirst
}

/**
 * Runs an effect and retries it after transient failures.
 *
 * **When to use**
 *
 * Around one call to an API, with any error type. Pipelines and the HTTP client have a retry
 * already. Do not nest retries: three attempts of three attempts are nine. A nested retry is
 * counted in the metric `resilience.retry.nested` and logged once, with the product;
 * `nested: "allow"` on either silences it.
 *
 * **Details**
 *
 * - Errors other than `Known` need a `verdict`; `Verdict.byTag` makes one. In code that is generic
 *   in its errors, pass `verdict: ApiError.verdict`.
 * - The call fails with the last error. An `ApiError` gets `attempts`, the number of calls made.
 * - The reason for stopping is on the current span (`resilience.retry.stop`), in the debug log and
 *   in the metric `resilience.retry.attempts`.
 * - Defects and interruption end the call at once. Interruption during a delay runs nothing
 *   further.
 * - Invalid options throw `RangeError`. O(1) per attempt; nothing on success, unless `within` (one
 *   clock read) or `budget` (one deposit).
 *
 * **Example** (Any effect, any error)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let calls = 0
 * const flaky = Effect.suspend(() =>
 *   ++calls < 3 ? Effect.fail("busy" as const) : Effect.succeed(calls)
 * )
 *
 * const program = flaky.pipe(
 *   Retry.retry({
 *     operation: Operation.read,
 *     backoff: Backoff.constant("1 millis"),
 *     verdict: () => Verdict.transient()
 *   })
 * )
 *
 * await Effect.runPromise(program) // => 3
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retry: {
  /**
   * Retries an effect whose errors are `Known`. Effect last, for `pipe`. Invalid options throw
   * `RangeError`.
   */
  <R2 = never>(
    options: Base<R2> & {
      /** Not needed for `Known` errors: `ApiError.verdict` judges them. */
      readonly verdict?: undefined
    }
  ): <A, E extends Known, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  /**
   * Retries an effect by a `verdict` of the caller. Effect last, for `pipe`. Invalid options throw
   * `RangeError`.
   */
  <E, R2 = never>(
    options: Base<R2> & {
      /** Says what an error means for another try. */
      readonly verdict: (error: NoInfer<E>) => Verdict.Verdict
    }
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  /**
   * Retries an effect whose errors are `Known`. Effect first. Invalid options throw `RangeError`.
   */
  <A, E extends Known, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    options: Base<R2> & {
      /** Not needed for `Known` errors: `ApiError.verdict` judges them. */
      readonly verdict?: undefined
    }
  ): Effect.Effect<A, E, R | R2>
  /**
   * Retries an effect by a `verdict` of the caller. Effect first. Invalid options throw
   * `RangeError`.
   */
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    options: Base<R2> & {
      /** Says what an error means for another try. */
      readonly verdict: (error: E) => Verdict.Verdict
    }
  ): Effect.Effect<A, E, R | R2>
} = dual(isDataFirst, retryWith)
