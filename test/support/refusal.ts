import { Cause, type Duration, Effect, Exit, Option } from "effect"
import { expect } from "vitest"
import { firstLine } from "./exits.js"

/** The message of the RangeError with which nonsense is refused, or "accepted". */
export const refusal = (build: () => unknown): string => {
  try {
    build()
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError)
    return (error as RangeError).message
  }
  return "accepted"
}

/** The same of an effect, which dies of the RangeError. */
export const refusalOf = <R>(
  make: Effect.Effect<unknown, unknown, R>
): Effect.Effect<string, never, R> =>
  Effect.map(Effect.exit(make), (exit) => {
    if (Exit.isSuccess(exit)) return "accepted"
    const defect = Option.getOrUndefined(Cause.dieOption(exit.cause))
    return defect instanceof RangeError ? defect.message : firstLine(exit.cause)
  })

/** Durations that are none, and what a refusal has to repeat of each. */
export const badDurations: ReadonlyArray<readonly [Duration.DurationInput, string]> = [
  [NaN, "NaN"],
  [-1, "-1"],
  [-Infinity, "-Infinity"],
  ["-5 millis", "-5"],
  [-5n, "-5"],
  [[-1, 0], "-1"]
]
