/**
 * One driver that tries again: only what may be repeated, only as often as agreed, never earlier
 * than the server asked, never into a deadline it cannot meet.
 *
 * The decision is a pure function (`decide`); the driver only waits. On success it does nothing: no
 * schedule is started, no clock is read, no state is made until the first failure.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Verdict from "../errors/Verdict.js"
import { insideAttempt } from "../runtime/callContext.js"
import { retryFrom } from "./driver.js"
import { type Base, check, type Options } from "./policy.js"

export { decide, defaults } from "./policy.js"
export type { Base, Decision, Options, StopReason } from "./policy.js"

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
 * Runs an effect and tries again after failures that another try may mend.
 *
 * **When to use**
 *
 * Around one call to an API, on any effect with any error type. Inside a pipeline or the HTTP
 * client it is already there; do not nest it: three tries of three tries are nine.
 *
 * **Details**
 *
 * - The last error is returned as it is; one of our `ApiError`s gets `attempts`, the number of
 *   calls made.
 * - The reason for stopping is on the current span (`resilience.retry.stop`), in the debug log and
 *   in the metric `resilience.retry.attempts`.
 * - Defects and interruption end the call at once. Interruption during a delay runs nothing
 *   further.
 * - Throws a `RangeError` for nonsense options. O(1) per attempt; nothing on success, unless
 *   `within` (one clock read) or `budget` (one deposit).
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
  <R2 = never>(
    options: Base<R2> & { readonly verdict?: undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <E, R2 = never>(
    options: Base<R2> & { readonly verdict: (error: NoInfer<E>) => Verdict.Verdict }
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    options: Options<E, R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(isDataFirst, retryWith)
