/**
 * Exits as the words that tests compare, and the failures in them.
 */
import { Cause, Effect, Exit, Option, Predicate } from "effect"
import { ApiError } from "effect-resilience"

/** The failure of an exit that must have one. */
export const errorOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  if (Exit.isSuccess(exit)) throw new Error(`succeeded: ${JSON.stringify(exit.value)}`)
  return Option.getOrThrowWith(
    Cause.failureOption(exit.cause),
    () => new Error(Cause.pretty(exit.cause))
  )
}

/** The same where the failure has to be one of an API. */
export const apiErrorOf = (exit: Exit.Exit<unknown, unknown>): ApiError.ApiError => {
  const error = errorOf(exit)
  if (!ApiError.isApiError(error)) throw new Error(`no ApiError: ${String(error)}`)
  return error
}

/** The failure of an exit that consists of nothing else, or undefined. */
export const failed = <A, E>(exit: Exit.Exit<A, E>): E | undefined =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined

/** What an exit failed with, be it a failure or a defect; undefined for a success. */
export const squashed = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

/** The first line of a cause, as it is printed. */
export const firstLine = (cause: Cause.Cause<unknown>): string =>
  Cause.pretty(cause).split("\n")[0] ?? ""

export interface Words {
  /** The word for a success. By default the value itself. */
  readonly value?: (value: unknown) => string
  /** The word for a failure, or undefined for the usual one: its tag, or its text. */
  readonly failure?: (error: unknown) => string | undefined
  /** The word for a cause without a failure. By default "interrupted" or "defect". */
  readonly cause?: (cause: Cause.Cause<unknown>) => string
}

const causeWord = (cause: Cause.Cause<unknown>): string =>
  Cause.isInterrupted(cause) ? "interrupted" : "defect"

/** A function that turns an exit into a word. */
export const wordsFor =
  ({ cause = causeWord, failure = () => undefined, value = String }: Words = {}) =>
  (exit: Exit.Exit<unknown, unknown>): string => {
    if (Exit.isSuccess(exit)) return value(exit.value)
    const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
    if (error === undefined) return cause(exit.cause)
    return failure(error) ??
      (Predicate.hasProperty(error, "_tag") ? String(error._tag) : String(error))
  }

/** The value, the tag of the failure, "interrupted", or the first line of the cause. */
export const wordOf = wordsFor({
  cause: (cause) => Cause.isInterruptedOnly(cause) ? "interrupted" : firstLine(cause)
})

/** What came of an effect: its value as it is, or the word for its exit. */
export const outcomeOf = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  words: (exit: Exit.Exit<unknown, unknown>) => string = wordOf
): Effect.Effect<A | string, never, R> =>
  Effect.map(Effect.exit(self), (exit) => Exit.isSuccess(exit) ? exit.value : words(exit))
