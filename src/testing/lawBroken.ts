import * as Data from "effect/Data"

/**
 * Fails because a policy breaks a law. The message describes the smallest case.
 *
 * @since 0.1.0
 * @category errors
 */
export class LawBroken extends Data.TaggedError("LawBroken")<{
  /** Describes the smallest case that breaks the law. */
  readonly message: string
}> {}
