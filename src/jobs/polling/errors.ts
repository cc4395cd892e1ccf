/** The three errors of work that another system does. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type * as Option from "effect/Option"

/**
 * Fails because the work could not be submitted; `error` says why. There is no request id, so there
 * is nothing to resume.
 *
 * **Gotchas**
 *
 * The work may have been accepted when the answer was lost or the budget ended first
 * (`ApiError.mayHaveRun(error)`). Submit again under the same idempotency key.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubmitFailed<E> extends Data.TaggedError("SubmitFailed")<{
  /** Why the submission failed. */
  readonly error: E
}> {
  /** Says that the work was not submitted, and why. */
  override get message(): string {
    return `The work could not be submitted${reasonOf(this.error)}`
  }
}

/**
 * Fails because a poll failed after the work was submitted; `error` says why. The work goes on:
 * `resume` with this `requestId`, and do not submit again.
 *
 * @since 0.1.0
 * @category errors
 */
export class PollFailed<E, S = unknown> extends Data.TaggedError("PollFailed")<{
  /** Why the poll failed. */
  readonly error: E
  /** The request id, for `resume`. */
  readonly requestId: string
  /** The last status that was read, if any. */
  readonly lastStatus: Option.Option<S>
}> {
  /** Names the request id and the error. */
  override get message(): string {
    return `The work was submitted as ${this.requestId}, but asking for it failed${
      reasonOf(this.error)
    }`
  }
}

/**
 * Fails because submitted work is not done within the budget. The work goes on: `resume` with this
 * `requestId` later, and do not submit again.
 *
 * **Details**
 *
 * `lastStatus` is the last answer of `poll`, none when there was none in time. `elapsed` counts
 * from the start of `until` or of `resume`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PollingTimeout<S = unknown> extends Data.TaggedError("PollingTimeout")<{
  /** The request id, for `resume`. */
  readonly requestId: string
  /** The last status that was read in time, if any. */
  readonly lastStatus: Option.Option<S>
  /** The time since `until` or `resume` began. */
  readonly elapsed: Duration.Duration
}> {
  /** Names the request id and the time. */
  override get message(): string {
    return `The work was submitted as ${this.requestId} and is not done after ${
      Duration.format(this.elapsed)
    }`
  }
}

/** The tag of the error behind it: its text may hold what is not to be shown. */
const reasonOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? ` (${error._tag})`
    : ""
