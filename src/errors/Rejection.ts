/**
 * The errors with which a guard of this library refuses a call: the circuit was open, the bulkhead
 * full, the rate used up.
 *
 * A rejection is not a failure of the API. It says that this attempt never ran, and often when it
 * may. When an earlier attempt of the same call may have been executed, it carries `mayHaveRun`.
 * Rejections are recognised by a brand, so that a retry does not hammer a guard. They are built
 * without a stack trace, because they are frequent under load.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"
import type * as Types from "effect/Types"

/**
 * Marks rejections at run time.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/Rejection")

/**
 * The fields of every rejection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejection extends Cause.YieldableError {
  readonly [TypeId]: typeof TypeId
  /**
   * How long until the guard admits calls again, where it knows. Infinite when only an operator can
   * end it.
   */
  readonly retryAfter?: Duration.Duration | undefined
  /** How many attempts the call made. */
  readonly attempts?: number | undefined
  /** True when an earlier attempt of the call may have been executed. */
  readonly mayHaveRun?: boolean | undefined
}

type Arguments<A> = Types.Equals<A, {}> extends true ? void
  : { readonly [P in keyof A as P extends "_tag" ? never : P]: A[P] }

/** Whose call it was, and when another one may run, where the guard says so. */
const details = (rejection: Record<string, unknown>): string => {
  const { key, retryAfter } = rejection
  const facts = [
    ...(typeof key === "string" ? [`key ${JSON.stringify(key)}`] : []),
    ...(Duration.isDuration(retryAfter)
      ? [
        Duration.isFinite(retryAfter)
          ? `retry after ${Duration.format(retryAfter)}`
          : "until an operator ends it"
      ]
      : [])
  ]
  return facts.length === 0 ? "" : ` (${facts.join(", ")})`
}

/**
 * Makes a class of rejections, like `Data.TaggedError`.
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
) => Rejection & {
  /** The tag of the class, for `Effect.catchTag`. */
  readonly _tag: Tag
} & Readonly<A> => {
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
      return `${tag}: the call was turned away before it ran${details(this)}`
    }
    /** On the prototype, where an inspection does not meet it. */
    get [TypeId](): typeof TypeId {
      return TypeId
    }
  }
  return Base as never
}

/**
 * Rejects a call because its total time limit passed while it waited in a queue. The call did not
 * run.
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
  /** The guard that the call waited in: `bulkhead`, `rateLimiter` or `cooldown`. */
  readonly stage: string
  /** The key whose queue it was. */
  readonly key: string
  /** How long this attempt waited. */
  readonly waited: Duration.Duration
}> {
  /** Names the guard, the key and the wait. */
  override get message(): string {
    return `QueueTimeout: the call waited ${Duration.format(this.waited)} in the ${this.stage} ` +
      `of "${this.key}" until its time was over, and did not run`
  }
}

/**
 * Tests whether a value is a rejection of any tag.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRejection = (u: unknown): u is Rejection => hasProperty(u, TypeId)
