/** Limits for figures, as `--at-most` gives them, and whether results keep them. */
import * as Effect from "effect/Effect"
import { nearest } from "../core/nearest.js"
import { metricNames, metricWords } from "../report/words.js"
import type * as Simulation from "../simulation/Simulation.js"
import { refuse, type Refused } from "./errors.js"

/** A figure and what it may be at most. */
export interface Limit {
  readonly metric: Simulation.Metric
  readonly atMost: number
}

/** Reads the name of a figure. */
export const metric = (
  option: string,
  name: string
): Effect.Effect<Simulation.Metric, Refused> => {
  const known = metricNames.find((each) => each === name)
  if (known !== undefined) return Effect.succeed(known)
  const neighbour = nearest(name, metricNames)
  const guess = neighbour === undefined ? "" : ` did you mean ${neighbour}?`
  return refuse(
    `${option}: there is no figure ${name};${guess} known are ${metricNames.join(", ")}`
  )
}

/** Reads limits such as `amplification=1.2`. */
export const limits = (
  given: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Limit>, Refused> =>
  Effect.forEach(given, (text) =>
    Effect.gen(function*() {
      const at = text.indexOf("=")
      const value = at === -1 ? "" : text.slice(at + 1).trim()
      const name = yield* metric("--at-most", (at === -1 ? text : text.slice(0, at)).trim())
      const atMost = Number(value)
      if (value === "" || !Number.isFinite(atMost) || atMost < 0) {
        return yield* refuse(`--at-most: ${name} needs a number from 0 on, got ${text}`)
      }
      return { metric: name, atMost }
    }))

/** A sentence for each limit that a result does not keep, by its mean. */
export const broken = (
  results: ReadonlyArray<Simulation.Result>,
  limits: ReadonlyArray<Limit>
): ReadonlyArray<string> =>
  results.flatMap(({ metrics, policy }) =>
    limits.flatMap(({ atMost, metric }) => {
      const { mean } = metrics[metric]
      const { format, name } = metricWords[metric]
      return mean <= atMost
        ? []
        : [`not kept: ${policy}, ${metric} (${name}) is ${format(mean)}, at most ${format(atMost)}`]
    })
  )
