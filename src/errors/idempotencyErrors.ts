/**
 * The reasons for which an idempotent run has no result of its own. They carry neither the key nor
 * the text of a driver.
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Rejection from "./Rejection.js"

/**
 * Another run of the same operation is under way, here or on another machine: this one did not run.
 * `retryAfter` is how long the other may still take before its claim lapses.
 *
 * @since 0.1.0
 * @category errors
 */
export class InFlight
  extends Rejection.Error("InFlight")<{ readonly retryAfter: Duration.Duration }>
{
  override get message(): string {
    return "The same operation is in flight already: it was not run a second time"
  }
}

/**
 * The key was used before, for another payload. It is a mistake of the caller, and waiting does not
 * help.
 *
 * @since 0.1.0
 * @category errors
 */
export class Mismatch extends Data.TaggedError("Mismatch")<{}> {
  override get message(): string {
    return "The idempotency key was used before for another payload: use a new key for a new operation"
  }
}

/**
 * The store did not answer. From `Idempotency.run` it means that nothing was run
 * (`during: "acquire"`), from `savepoint` that the point was not kept.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreUnavailable extends Rejection.Error("StoreUnavailable")<{
  readonly retryAfter: Duration.Duration
  readonly during?: "acquire" | "savepoint" | undefined
}> {
  override get message(): string {
    return this.during === "savepoint"
      ? "The idempotency store did not answer: the recovery point was not kept"
      : "The idempotency store did not answer: nothing was run, because a duplicate could not have been noticed"
  }
}

/**
 * The operation was executed, but its outcome was too large to keep, or could not be encoded. It is
 * not run again.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResultUnavailable extends Data.TaggedError("ResultUnavailable")<{}> {
  override get message(): string {
    return "The operation was executed before, but its outcome was not kept and cannot be replayed"
  }
}

/**
 * There is a record of the operation, but it cannot be read: damaged, or written with another
 * schema. The operation is not run again.
 *
 * @since 0.1.0
 * @category errors
 */
export class CorruptRecord extends Data.TaggedError("CorruptRecord")<{}> {
  override get message(): string {
    return "The record of the operation cannot be read: it was not run again"
  }
}

/**
 * The payload or the scope has no canonical JSON. `path` says where, and never shows the value.
 * Nothing was claimed and nothing was run.
 *
 * @since 0.1.0
 * @category errors
 */
export class FingerprintError extends Data.TaggedError("FingerprintError")<{
  readonly path: string
  readonly reason: string
}> {
  override get message(): string {
    return `No fingerprint: at ${this.path} there is ${this.reason}`
  }
}

/**
 * Nobody can say whether the call was executed, and asking again could execute it twice.
 *
 * **Details**
 *
 * - The HTTP client fails with it when a call would be sent with a key that has outlived its
 *   `keyTimeToLive`: the server may have forgotten the key by then, so that a repeat would be a
 *   second execution. `Idempotency.run` does the same when its store knows nothing of such a key.
 * - `Idempotency.run` fails with it when an earlier run was begun and never ended, and the work
 *   cannot look at `recovered`; and when this run lost its claim while it ran, and was stopped.
 *
 * Find out by other means (read the resource, ask the provider) and decide.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownOutcome extends Data.TaggedError("UnknownOutcome")<{}> {
  override get message(): string {
    return "It is unknown whether the call was executed, and it was not sent again"
  }
}

/**
 * Why there is no result.
 *
 * @since 0.1.0
 * @category errors
 */
export type IdempotencyError =
  | InFlight
  | Mismatch
  | StoreUnavailable
  | ResultUnavailable
  | CorruptRecord
  | FingerprintError
  | UnknownOutcome
