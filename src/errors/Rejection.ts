/**
 * Being turned away by one of our own guards: the circuit was open, the bulkhead full, the limiter
 * spent.
 *
 * A rejection is not a failure of the API. It says that this attempt never ran, and often when it
 * may. When an earlier attempt of the same call may have been executed, it carries `mayHaveRun`.
 * Rejections are recognised by a brand, so that a retry does not hammer a guard, and are built
 * without a stack trace: they are made most often when a program has least time to spare.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import type * as Types from "effect/Types"

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/Rejection")

/**
 * What every rejection has. `retryAfter` is how long to wait until the guard lets calls through
 * again, where it knows; infinite when only an operator can end it. `attempts` is how many calls a
 * retry made in all, and `mayHaveRun` is true when an earlier one of them may have been executed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejection extends Cause.YieldableError {
  readonly [TypeId]: typeof TypeId
  readonly retryAfter?: Duration.Duration | undefined
  readonly attempts?: number | undefined
  readonly mayHaveRun?: boolean | undefined
}

type Arguments<A> = Types.Equals<A, {}> extends true ? void
  : { readonly [P in keyof A as P extends "_tag" ? never : P]: A[P] }

/**
 * A class factory for rejections, like `Data.TaggedError`.
 *
 * **Example** (A guard of your own)
 *
 * ```ts
 * import { Rejection } from "effect-resilience"
 *
 * class QuotaSpent extends Rejection.Error("QuotaSpent")<{ readonly tenant: string }> {}
 *
 * Rejection.isRejection(new QuotaSpent({ tenant: "acme" })) // => true
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Error = <const Tag extends string>(
  tag: Tag
): new<A extends Record<string, unknown> = {}>(
  fields: Arguments<A>
) => Rejection & { readonly _tag: Tag } & Readonly<A> => {
  class Base extends Data.TaggedError(tag)<Record<string, unknown>> {
    constructor(fields: Record<string, unknown>) {
      const limit = globalThis.Error.stackTraceLimit
      globalThis.Error.stackTraceLimit = 0
      try {
        super(fields)
      } finally {
        globalThis.Error.stackTraceLimit = limit
      }
    }
    override get message(): string {
      return `${tag}: the call was turned away before it ran`
    }
    /** On the prototype, where an inspection does not meet it. */
    get [TypeId](): typeof TypeId {
      return TypeId
    }
  }
  return Base as never
}

/**
 * The total time limit of a call passed while it still waited for its turn: it did not run.
 *
 * **Details**
 *
 * `stage` is the guard it stood before (`bulkhead`, `rateLimiter`, `cooldown`), `key` whose line it
 * was, `waited` how long this attempt stood there. The limit of a guard itself (`maxWait`) rejects
 * with the guard's own class instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class QueueTimeout extends Error("QueueTimeout")<{
  readonly stage: string
  readonly key: string
  readonly waited: Duration.Duration
}> {
  override get message(): string {
    return `QueueTimeout: the call waited ${Duration.format(this.waited)} in the ${this.stage} ` +
      `of "${this.key}" until its time was over, and did not run`
  }
}

/**
 * Whether a value is a rejection by one of our guards, whatever its tag.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRejection = (u: unknown): u is Rejection => hasProperty(u, TypeId)
