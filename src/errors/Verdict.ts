/**
 * What a failure means for the next step: worth another try, final, or turned away by one of our
 * own guards.
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
    readonly _tag: "Transient"
    readonly ambiguous: boolean
    readonly retryAfter: Option.Option<Duration.Duration>
  }
  | { readonly _tag: "Terminal" }
  | { readonly _tag: "Rejected"; readonly retryAfter: Option.Option<Duration.Duration> }

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
 * `ambiguous` is `true` unless said otherwise: when nobody knows whether a request was executed, it
 * must be treated as if it was. Throws a `RangeError` when `retryAfter` is negative or not a
 * duration.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transient = (options?: {
  readonly ambiguous?: boolean | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
}): Verdict => ({
  _tag: "Transient",
  ambiguous: options?.ambiguous ?? true,
  retryAfter: hint(options?.retryAfter)
})

/**
 * One of our own guards turned the call away; `retryAfter` is when it will let calls through again,
 * where it knows.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rejected = (
  options?: { readonly retryAfter?: Duration.DurationInput | undefined }
): Verdict => ({
  _tag: "Rejected",
  retryAfter: hint(options?.retryAfter)
})
