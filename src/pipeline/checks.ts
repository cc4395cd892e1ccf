/**
 * What two stages of a pipeline cannot both mean. Only what was written down is compared: not
 * defaults, and not what an instance was made with.
 */
import * as Duration from "effect/Duration"
import * as Backoff from "../retry/Backoff.js"
import type { Options } from "../policies/CircuitBreaker.js"
import type { Stages } from "./stages.js"

/**
 * Where a value stands among the stages, and why it cannot stand there. The message names both
 * fields and both values.
 */
export interface Contradiction {
  readonly path: ReadonlyArray<string>
  readonly message: string
}

interface Written {
  readonly path: ReadonlyArray<string>
  readonly value: Duration.DurationInput
}

const shown = (value: Duration.DurationInput): string =>
  typeof value === "string"
    ? JSON.stringify(value)
    : typeof value === "number"
    ? `${value} ms`
    : Duration.format(value)

const nameOf = ({ path }: Written): string => path.join(".")

const contradiction = (
  field: Written,
  should: string,
  other: Written,
  is: (a: Duration.Duration, b: Duration.Duration) => boolean
): ReadonlyArray<Contradiction> =>
  is(Duration.decode(field.value), Duration.decode(other.value)) ? [] : [{
    path: field.path,
    message: `${nameOf(field)} should be ${should} ${nameOf(other)} (${shown(other.value)}), got ${
      shown(field.value)
    }`
  }]

/** A field that somebody wrote down. */
const written = (
  value: Duration.DurationInput | undefined,
  ...path: ReadonlyArray<string>
): ReadonlyArray<Written> => value === undefined ? [] : [{ path, value }]

const compared = (
  fields: ReadonlyArray<Written>,
  should: string,
  others: ReadonlyArray<Written>,
  is: (a: Duration.Duration, b: Duration.Duration) => boolean
): ReadonlyArray<Contradiction> =>
  fields.flatMap((field) => others.flatMap((other) => contradiction(field, should, other, is)))

const optionsOf = (breaker: Stages["circuitBreaker"]): Options =>
  breaker === undefined || "protect" in breaker ? {} : breaker

const delaysOf = (
  { retry }: Stages,
  total: ReadonlyArray<Written>
): ReadonlyArray<Contradiction> => {
  if (retry?.retries === undefined || retry.backoff === undefined) return []
  const { backoff, retries } = retry
  const smallest = Backoff.envelope(backoff, 0).min
  const waits = Duration.times(smallest, retries)
  return total.filter(({ value }) => !Duration.lessThan(waits, Duration.decode(value))).map((
    field
  ) => ({
    path: ["retry", "retries"],
    message:
      `retry.retries times the smallest delay of retry.backoff (${retries} times ${
        Duration.format(smallest)
      }) ` +
      `should be less than ${nameOf(field)} (${shown(field.value)}), got ${Duration.format(waits)}`
  }))
}

/** All contradictions, in the order of the stages. The values themselves have been checked. */
export const contradictions = (stages: Stages): ReadonlyArray<Contradiction> => {
  const { slowCall, trialTimeout } = optionsOf(stages.circuitBreaker)
  const total = written(stages.totalTimeout, "totalTimeout")
  const attempt = written(stages.attemptTimeout, "attemptTimeout")
  const slow = slowCall === false
    ? []
    : written(slowCall?.duration, "circuitBreaker", "slowCall", "duration")
  const trial = written(trialTimeout, "circuitBreaker", "trialTimeout")
  return [
    ...delaysOf(stages, total),
    ...compared(slow, "less than", attempt, Duration.lessThan),
    ...compared(trial, "at least", attempt, Duration.greaterThanOrEqualTo),
    ...compared(attempt, "at most", total, Duration.lessThanOrEqualTo)
  ]
}
