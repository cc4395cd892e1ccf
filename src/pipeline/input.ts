/**
 * What a caller writes down to have a pipeline made.
 */
import type * as Operation from "../idempotency/Operation.js"
import type { Stages } from "../policies/stage/definition.js"

/**
 * The stages a caller wrote down, checked to the last field: a typo at any depth does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<R, K extends keyof Stages> =
  & {
    /** Says what a second execution of a call would mean (required). */
    readonly operation: Operation.Operation<R>
  }
  & Pick<Stages, K>
