/**
 * What can be said, and what cannot, about the outcome of a call that carries an idempotency key.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Nobody can say whether the call was executed, and asking again could execute it twice.
 *
 * **Details**
 *
 * The HTTP client fails with it when a call would be sent with a key that has outlived its `keyTimeToLive`: the server may have forgotten
 * the key by then, so that a repeat would be a second execution. Find out by other means (read the resource, ask the provider) and decide.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownOutcome extends Data.TaggedError("UnknownOutcome")<{}> {
  override get message(): string {
    return "The idempotency key has outlived its lifetime: whether the call was executed is unknown, and it was not sent again"
  }
}
