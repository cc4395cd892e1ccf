/**
 * Says what a failure means for the next step: try again, give up, or wait for a guard of this
 * library.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Validate from "../runtime/validate.js"

/**
 * - `Transient`: another try may succeed. `ambiguous` says that the request may have been executed,
 *   `retryAfter` how long the server asked to wait.
 * - `Terminal`: another try would fail the same way.
 * - `Rejected`: a guard of ours (a breaker, a bulkhead, a limiter) turned the call away before it
 *   ran.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict =
  | {
    /** Names the case. */
    readonly _tag: "Transient"
    /** True when the request may have been executed. */
    readonly ambiguous: boolean
    /** How long the server asked to wait. */
    readonly retryAfter: Option.Option<Duration.Duration>
  }
  | {
    /** Names the case. */
    readonly _tag: "Terminal"
  }
  | {
    /** Names the case. */
    readonly _tag: "Rejected"
    /** How long until the guard admits calls again, where it knows. */
    readonly retryAfter: Option.Option<Duration.Duration>
  }

/**
 * Another try would fail the same way.
 *
 * @since 0.1.0
 * @category constructors
 */
export const terminal: Verdict = { _tag: "Terminal" }

const hint = (retryAfter: Duration.DurationInput | undefined): Option.Option<Duration.Duration> =>
  retryAfter === undefined
    ? Option.none()
    : Option.some(Validate.duration("retryAfter", retryAfter))

/**
 * Another try may succeed.
 *
 * **Details**
 *
 * `ambiguous` is `true` by default: when it is unknown whether a request was executed, it must be
 * treated as if it was. An invalid `retryAfter` throws `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transient = (options?: {
  /** Whether the request may have been executed. Default true. */
  readonly ambiguous?: boolean | undefined
  /** How long to wait before another try. Default: none. */
  readonly retryAfter?: Duration.DurationInput | undefined
}): Verdict => ({
  _tag: "Transient",
  ambiguous: options?.ambiguous ?? true,
  retryAfter: hint(options?.retryAfter)
})

/**
 * A guard of this library refused the call. `retryAfter` is when it admits calls again, where it
 * knows. Invalid durations throw `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rejected = (
  options?: {
    /** How long until the guard admits calls again. Default: unknown. */
    readonly retryAfter?: Duration.DurationInput | undefined
  }
): Verdict => ({
  _tag: "Rejected",
  retryAfter: hint(options?.retryAfter)
})

/** What an error with a tag means: a verdict, or a function of the error. */
type Case<E> = Verdict | ((error: E) => Verdict)

/**
 * Makes a verdict for errors of your own, by `_tag`. Other tags are terminal.
 *
 * **Example** (A queue that is full for a moment)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 * import { Data, Effect } from "effect"
 *
 * class Busy extends Data.TaggedError("Busy")<{ readonly seconds: number }> {}
 * class Closed extends Data.TaggedError("Closed") {}
 *
 * let calls = 0
 * const publish = Effect.suspend((): Effect.Effect<string, Busy | Closed> =>
 *   ++calls === 1 ? new Busy({ seconds: 0 }) : new Closed()
 * )
 *
 * const program = publish.pipe(
 *   Retry.retry({
 *     operation: Operation.idempotent,
 *     backoff: Backoff.constant("1 millis"),
 *     verdict: Verdict.byTag<Busy | Closed>({
 *       Busy: ({ seconds }) => Verdict.transient({ retryAfter: `${seconds} seconds` })
 *     })
 *   }),
 *   Effect.flip
 * )
 *
 * const error = await Effect.runPromise(program)
 * const seen = [error._tag, calls]
 * seen // => ["Closed", 2]
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const byTag = <E extends { readonly _tag: string }>(
  cases: { readonly [Tag in E["_tag"]]?: Case<Extract<E, { readonly _tag: Tag }>> }
) =>
(error: E): Verdict => {
  const table: Readonly<Record<string, Case<E> | undefined>> = cases as never
  const found = Object.hasOwn(table, error._tag) ? table[error._tag] : undefined
  if (found === undefined) return terminal
  return typeof found === "function" ? found(error) : found
}
