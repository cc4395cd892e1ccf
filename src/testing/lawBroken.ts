import * as Data from "effect/Data"

/**
 * A law that a policy breaks. The message is the smallest case, in words.
 *
 * @since 0.1.0
 * @category errors
 */
export class LawBroken extends Data.TaggedError("LawBroken")<{ readonly message: string }> {}
