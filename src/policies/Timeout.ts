/**
 * Not waiting for ever.
 *
 * A call without a limit takes as long as the other side likes, and everything that waits for it
 * takes as long. A limit ends the waiting with a failure that says which limit it was, and ends the
 * work too: it is interrupted, and what it holds has been released before anybody goes on.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as ApiError from "../errors/ApiError.js"
import * as Validate from "../runtime/validate.js"
import * as Deadline from "./timeout/deadline.js"
import type { Limits } from "./timeout/limits.js"

/**
 * Limits the time that an effect may take, effect first or effect last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limit {
  (
    duration: Duration.DurationInput,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ApiError.Timeout, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: Duration.DurationInput,
    options?: Options
  ): Effect.Effect<A, E | ApiError.Timeout, R>
}

/**
 * `detach`: whether work that has run out of time goes on in the background. Default `false`: it is
 * interrupted, and has ended before the caller sees the failure.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly detach?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { detach: false } as const

const millisOf = (duration: Duration.DurationInput): number =>
  Duration.toMillis(Validate.duration("duration", duration))

/** A duration that comes before the effect is checked when it comes, not when the effect does. */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = Effect.isEffect(args[0])
  if (!dataFirst) millisOf(args[0])
  return dataFirst
}

const limit = (limits: (millis: number, detach: boolean) => Limits): Limit =>
  dual(
    isDataFirst,
    <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.DurationInput, options?: Options) =>
      Deadline.run(self, limits(millisOf(duration), options?.detach ?? defaults.detach))
  )

/**
 * Limits how long one attempt may take. Out of time it fails with an `ApiError.Timeout` whose
 * `deadline` is `"attempt"`: another attempt may be in time.
 *
 * **When to use**
 *
 * Around a single call, inside of whatever tries again. Around everything together, `total`. In a
 * pipeline both are already there, as `attemptTimeout` and `totalTimeout`.
 *
 * **Details**
 *
 * - Out of time, the work is interrupted, and the failure comes when its finalizers have run. With
 *   `detach` it comes at once, and the work goes on in the background; what becomes of it nobody
 *   learns.
 * - Work that succeeds after all while it is being interrupted was still too late. Its defects are
 *   not hidden: they are in the cause, behind the failure.
 * - The message names the limit. The failure is ambiguous: the other side may have done what it was
 *   asked.
 * - One fork for each run; it counts as the caller: interruption is passed on and waited for, and
 *   what is written to fiber refs stays, except what was written by work that ran out of time. One
 *   timer, and none for work that ends without waiting for anything.
 * - A limit of zero is over at once for all work that waits. An infinite one, and one of more than
 *   2^31-1 ms (24.8 days), never ends and costs nothing.
 * - Throws a `RangeError` for a duration that is negative or none.
 *
 * **Gotchas**
 *
 * Work that cannot be interrupted is waited for, however long it takes; so is work in an
 * uninterruptible region around this. `detach` does not wait.
 *
 * **Example** (An answer that does not come)
 *
 * ```ts
 * import { Timeout } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const program = Effect.never.pipe(
 *   Timeout.attempt("20 millis"),
 *   Effect.catchTag("Timeout", (error) => Effect.succeed(error.message))
 * )
 *
 * await Effect.runPromise(program) // => "The attempt did not end within 20ms"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const attempt: Limit = limit((attemptMillis, detach) => ({
  attemptMillis,
  totalMillis: Infinity,
  detach
}))

/**
 * Limits how long a call may take with all its attempts and waits. Out of time it fails with an
 * `ApiError.Timeout` whose `deadline` is `"total"`, which nothing tries again. Everything else is
 * as with `attempt`.
 *
 * **Gotchas**
 *
 * It knows nothing of what it is put around: a retry inside of it goes on to wait for a delay that
 * cannot end in time. `totalTimeout` of a pipeline, or `within` of the retry, does not begin such a
 * wait.
 *
 * **Example** (Ending the work, not only the waiting)
 *
 * ```ts
 * import { Timeout } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const probes: Array<string> = []
 * const work = Effect.never.pipe(
 *   Effect.onInterrupt(() => Effect.sync(() => probes.push("released")))
 * )
 *
 * const program = Timeout.total(work, "20 millis").pipe(
 *   Effect.catchTag("Timeout", ({ deadline }) => Effect.sync(() => probes.push(deadline)))
 * )
 *
 * await Effect.runPromise(program)
 * probes // => ["released", "total"]
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const total: Limit = limit((totalMillis, detach) => ({
  attemptMillis: Infinity,
  totalMillis,
  detach
}))
