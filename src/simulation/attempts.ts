/**
 * Takes down what happens to each attempt, for `fit`: when it began, how long it took, how it
 * ended, and how many others were under way.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import { elapsedMillis } from "../runtime/clock.js"

const figure = (name: string) =>
  Schema.Number.pipe(
    Schema.filter((value) =>
      Number.isFinite(value) && value >= 0
        ? undefined
        : `${name} should be a number from 0 on, got ${value}`
    )
  )

/**
 * One attempt, as telemetry has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AttemptRecord {
  /** When it began, in milliseconds since 1970. */
  readonly at: number
  /** What was called: one name for each kind of request. */
  readonly endpoint: string
  /** How long it took, in milliseconds. */
  readonly durationMillis: number
  /**
   * `"Success"`, or the tag of the error. `"Timeout"` and `"Interrupted"`: it was given up, and
   * would have taken longer.
   */
  readonly outcome: string
  /** How long the upstream asked to wait, in milliseconds. */
  readonly retryAfterMillis?: number | undefined
  /** How many attempts were under way when it began, itself included. */
  readonly inProgress?: number | undefined
}

/**
 * The Schema of a record, for one line of a file of JSON lines.
 *
 * @since 0.1.0
 * @category models
 */
export const AttemptRecord: Schema.Schema<AttemptRecord> = Schema.Struct({
  at: figure("at"),
  endpoint: Schema.NonEmptyString,
  durationMillis: figure("durationMillis"),
  outcome: Schema.NonEmptyString,
  retryAfterMillis: Schema.optional(figure("retryAfterMillis")),
  inProgress: Schema.optional(figure("inProgress"))
})

/**
 * Records the attempts of an endpoint. Stands around the request itself, inside of all stages.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recorder {
  /**
   * Records one attempt.
   *
   * @param endpoint The name of the endpoint in the record
   */
  (endpoint: string): <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "Success"
  if (Cause.isInterrupted(exit.cause)) return "Interrupted"
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failure === undefined) return "Defect"
  return hasProperty(failure, "_tag") && typeof failure._tag === "string" ? failure._tag : "Failure"
}

const retryAfterOf = (exit: Exit.Exit<unknown, unknown>): number | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return hasProperty(failure, "retryAfter") && Duration.isDuration(failure.retryAfter)
    ? Duration.toMillis(failure.retryAfter)
    : undefined
}

/**
 * Makes a recorder. Each record goes to `write` when its attempt has ended, also by interruption;
 * the attempt ends after `write`, so that it should only put the record down. A record holds
 * neither what was sent nor what came back.
 *
 * @param write Takes a record, a line of a file or an element of a queue
 * @since 0.1.0
 * @category constructors
 */
export const recorder = (
  write: (record: AttemptRecord) => Effect.Effect<void>
): Effect.Effect<Recorder> =>
  Effect.sync(() => {
    let underWay = 0
    return (endpoint) => (attempt) =>
      Effect.clockWith((clock) =>
        Effect.acquireUseRelease(
          Effect.sync(() => ({
            at: clock.unsafeCurrentTimeMillis(),
            startedAt: clock.unsafeCurrentTimeNanos(),
            inProgress: ++underWay
          })),
          () => attempt,
          ({ at, inProgress, startedAt }, exit) =>
            Effect.suspend(() => {
              underWay--
              const retryAfterMillis = retryAfterOf(exit)
              return write({
                at,
                endpoint,
                durationMillis: elapsedMillis(clock, startedAt),
                outcome: outcomeOf(exit),
                ...(retryAfterMillis === undefined ? {} : { retryAfterMillis }),
                inProgress
              })
            })
        )
      )
  })
