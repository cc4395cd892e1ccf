import type { Duration } from "effect"
import { expect } from "vitest"

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

/** Durations that are none, and what a refusal has to repeat of each. */
export const badDurations: ReadonlyArray<readonly [Duration.DurationInput, string]> = [
  [NaN, "NaN"],
  [-1, "-1"],
  [-Infinity, "-Infinity"],
  ["-5 millis", "-5"],
  [-5n, "-5"],
  [[-1, 0], "-1"]
]
