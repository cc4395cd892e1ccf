/** Numbers among the options, and what the engine refuses. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Simulation from "../simulation/Simulation.js"
import { refuse, type Refused } from "./errors.js"

/** Reads a whole number between bounds. */
export const whole = (
  option: string,
  text: string,
  least: number,
  most: number
): Effect.Effect<number, Refused> => {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  return value >= least && value <= most
    ? Effect.succeed(value)
    : refuse(`--${option}: should be a whole number from ${least} to ${most}, got ${text}`)
}

/** What the engine refuses is a mistake in a file; what else it dies of is its own. */
export const refusals = <A, R>(
  simulated: Effect.Effect<A, Simulation.SimulationError, R>
): Effect.Effect<A, Refused, R> =>
  simulated.pipe(
    Effect.mapError(({ message }) => refuse(message)),
    Effect.catchSomeDefect((defect) =>
      defect instanceof RangeError ? Option.some(refuse(defect.message)) : Option.none()
    )
  )
