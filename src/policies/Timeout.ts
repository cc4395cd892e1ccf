/**
 * Limits how long a call may take.
 *
 * A call without a limit takes as long as the upstream does, and everything that waits for it takes
 * as long. At the limit the work is interrupted and its resources are released. Then the call fails
 * with an error that says which limit it was.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import * as Validate from "../runtime/validate.js"
import * as Deadline from "./timeout/deadline.js"
import type { Limits } from "./timeout/limits.js"

/**
 * Limits the time of an effect. Effect first or last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limit {
  /** Limits the time of an effect. Effect last, for `pipe`. */
  (
    duration: Duration.DurationInput,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ApiError.Timeout, R>
  /** Limits the time of the effect. Effect first. */
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: Duration.DurationInput,
    options?: Options
  ): Effect.Effect<A, E | ApiError.Timeout, R>
}

/**
 * The options of a time limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Lets work that has run out of time go on in the background. Default `false`: it is interrupted,
   * and has ended before the caller sees the failure.
   */
  readonly detach?: boolean | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `detach`. */
  detach: false
} as const

const millisOf = (duration: Duration.DurationInput): number =>
  Duration.toMillis(Validate.duration("duration", duration))

/** A duration that comes before the effect is checked when it comes, not when the effect does. */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = Effect.isEffect(args[0])
  if (!dataFirst) millisOf(args[0])
  return dataFirst
}

/** Work that is cut may have been executed; whether that does harm is not known here. */
const attempted = CallFacts.attempted(false)

const limit = (limits: (millis: number, detach: boolean) => Limits): Limit =>
  dual(
    isDataFirst,
    <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.DurationInput, options?: Options) =>
      Deadline.run(
        attempted(self),
        limits(millisOf(duration), options?.detach ?? defaults.detach)
      )
  )

/**
 * Limits how long one attempt may take. At the limit it fails with an `ApiError.Timeout` whose
 * `deadline` is `"attempt"`: another attempt may be in time. Invalid durations throw `RangeError`.
 *
 * **When to use**
 *
 * Around a single call, inside the retry. Use `total` around the retry. A pipeline has both, as
 * `attemptTimeout` and `totalTimeout`.
 *
 * **Details**
 *
 * - At the limit the work is interrupted, and the failure comes when its finalizers have run. With
 *   `detach` it comes at once, the work goes on in the background, and its outcome is dropped.
 * - Work that succeeds while it is being interrupted is still too late. Its defects are in the
 *   cause, behind the failure.
 * - The message names the limit. The failure is ambiguous: the call may have been executed.
 * - One fork for each run; it counts as the caller: interruption is passed on and waited for, and
 *   what is written to fiber refs stays, except what was written by work that ran out of time. One
 *   timer, and none for work that ends without waiting for anything.
 * - A limit of zero is over at once for all work that waits. An infinite one, and one of more than
 *   2^31-1 ms (24.8 days), never ends and costs nothing.
 * - Invalid and negative durations throw `RangeError`.
 *
 * **Gotchas**
 *
 * The limit waits for uninterruptible work, however long it takes, and in an uninterruptible region
 * for any work. `detach` does not wait.
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
 * Limits how long a call may take with all its attempts and waits. At the limit it fails with an
 * `ApiError.Timeout` whose `deadline` is `"total"`, which is never retried. Everything else is as
 * with `attempt`.
 *
 * **Gotchas**
 *
 * It does not know a retry inside it, which may begin a delay that cannot end in time.
 * `totalTimeout` of a pipeline, or `within` of the retry, begins no such delay.
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
