/**
 * The errors of an idempotent run that has no result of its own. They carry neither the key nor the
 * text of a driver.
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Rejection from "./Rejection.js"

/**
 * Rejects a run because another run of the same operation has the claim, here or on another
 * machine. This one did not run. `retryAfter` is how long the claim may still last.
 *
 * `held`: the other run was one of this process, and has ended with an unknown outcome. Its claim
 * stands until `retryAfter` has passed, so asking earlier changes nothing. Absent where the other
 * run is still under way, or nothing is known of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class InFlight extends Rejection.Error("InFlight")<{
  readonly retryAfter: Duration.Duration
  /**
   * True when a run of this process ended with an unknown outcome and its claim stands until
   * `retryAfter`.
   */
  readonly held?: boolean | undefined
}> {
  /** Says that the operation was not run a second time. */
  override get message(): string {
    return this.held === true
      ? "The same operation has ended with an unknown outcome: it was not run a second time"
      : "The same operation is in flight already: it was not run a second time"
  }
}

/**
 * Fails because the key was used before for another payload: a mistake of the caller. Waiting does
 * not help.
 *
 * @since 0.1.0
 * @category errors
 */
export class Mismatch extends Data.TaggedError("Mismatch")<{}> {
  /** Says that the key belongs to another payload. */
  override get message(): string {
    return "The idempotency key was used before for another payload: " +
      "use a new key for a new operation"
  }
}

/**
 * Fails because the store did not answer. From `Idempotency.run`: nothing was run
 * (`during: "acquire"`). From `savepoint`: the point was not kept.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreUnavailable extends Rejection.Error("StoreUnavailable")<{
  readonly retryAfter: Duration.Duration
  /** The store call that failed. */
  readonly during?: "acquire" | "savepoint" | undefined
}> {
  /** Says what was not done. */
  override get message(): string {
    return this.during === "savepoint"
      ? "The idempotency store did not answer: the recovery point was not kept"
      : "The idempotency store did not answer: nothing was run, " +
        "because a duplicate could not have been noticed"
  }
}

/**
 * Fails because the operation was executed, but its outcome was too large to keep or could not be
 * encoded. It is not run again.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResultUnavailable extends Data.TaggedError("ResultUnavailable")<{}> {
  /** Says that the outcome cannot be replayed. */
  override get message(): string {
    return "The operation was executed before, but its outcome was not kept and cannot be replayed"
  }
}

/**
 * Fails because the record of the operation cannot be read: it is damaged, or of another schema.
 * The operation is not run again.
 *
 * @since 0.1.0
 * @category errors
 */
export class CorruptRecord extends Data.TaggedError("CorruptRecord")<{}> {
  /** Says that the record cannot be read. */
  override get message(): string {
    return "The record of the operation cannot be read: it was not run again"
  }
}

/**
 * Fails because the payload or the scope has no canonical JSON (RFC 8785). `path` says where,
 * without the value. Nothing was claimed or run.
 *
 * @since 0.1.0
 * @category errors
 */
export class FingerprintError extends Data.TaggedError("FingerprintError")<{
  /** Where the payload has no canonical JSON. */
  readonly path: string
  /** What stands there; never the value itself. */
  readonly reason: string
}> {
  /** Names the path and the reason. */
  override get message(): string {
    return `No fingerprint: at ${this.path} there is ${this.reason}`
  }
}

/**
 * It is unknown whether the call was executed. Sending it again could execute it twice.
 *
 * **Details**
 *
 * - The HTTP client fails with it when a call would be sent with a key that has outlived its
 *   `keyTimeToLive`: the server may have forgotten the key by then, so that a repeat would be a
 *   second execution. `Idempotency.run` does the same when its store knows nothing of such a key.
 * - `Idempotency.run` fails with it when an earlier run was begun and never ended, and the work
 *   cannot look at `recovered`; and when this run lost its claim while it ran, and was stopped.
 *
 * Check by other means (read the resource, ask the provider) before you decide.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownOutcome extends Data.TaggedError("UnknownOutcome")<{}> {
  /** Says that the call was not sent again. */
  override get message(): string {
    return "It is unknown whether the call was executed, and it was not sent again"
  }
}

/**
 * Any reason why a run has no result.
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
