/** The figures of a result in words: their names, and how their values are written. */
import * as Duration from "effect/Duration"
import type { Comparison, Metric, Result } from "../simulation/Simulation.js"
import { decimal, latency, percent, short } from "./numbers.js"

interface Words {
  readonly name: string
  readonly format: (value: number) => string
  /** Where a difference of two values has another unit. */
  readonly formatDifference?: (value: number) => string
}

const seconds = (value: number): string => `${decimal(value, 1)} s`

/** Every metric, in the order in which reports have them. */
export const metricWords: Readonly<Record<Metric, Words>> = {
  failedRate: {
    name: "failed or rejected",
    format: percent,
    formatDifference: (value) => `${percent(value).slice(0, -2)} points`
  },
  amplification: { name: "attempts per call", format: (value) => decimal(value, 2) },
  p50: { name: "latency, p50", format: latency },
  p95: { name: "latency, p95", format: latency },
  p99: { name: "latency, p99", format: latency },
  recoverySeconds: { name: "time to recover", format: seconds },
  duplicates: { name: "harmful duplicates", format: short },
  peakInProgress: { name: "most calls in progress", format: (value) => decimal(value, 0) }
}

export const metricNames = Object.keys(metricWords) as ReadonlyArray<Metric>

/** Calls a second. */
export const rate = (perSecond: number): string => `${decimal(perSecond, 1)}/s`

/** Where two bounds are written alike, one is enough. */
export const interval = (
  { high, low }: { readonly low: number; readonly high: number },
  format: (value: number) => string
): string => {
  const [from, to] = [format(low), format(high)]
  return from === to ? from : `${from} to ${to}`
}

const units: Readonly<Record<string, string>> = { m: "min", d: "days" }

/** The interval of a figure that is never negative, whatever a few replications estimate. */
export const bounds = (
  { high, low }: { readonly low: number; readonly high: number },
  format: (value: number) => string
): string => interval({ low: Math.max(0, low), high }, format)

/** A time, with its units apart: `1 min 30 s`. What was measured is rounded. */
export const time = (duration: Duration.Duration): string => {
  if (!Duration.isFinite(duration)) return "for ever"
  const millis = Duration.toMillis(duration)
  if (!Number.isInteger(millis)) return latency(millis)
  return Duration.format(duration).replace(
    /(\d)([a-zµ]+)/g,
    (_, digit: string, unit: string) => `${digit} ${units[unit] ?? unit}`
  )
}

/** `1 replication`, `2 replications`. */
export const counted = (count: number, one: string, many: string = `${one}s`): string =>
  `${decimal(count, 0)} ${count === 1 ? one : many}`

/** The mean of a row from one second to another. */
export const meanOf = (values: ReadonlyArray<number>, from: number, to: number): number => {
  const some = values.slice(Math.floor(from), Math.ceil(to))
  return some.length === 0 ? 0 : some.reduce((sum, value) => sum + value, 0) / some.length
}

/** A result stands alone as well as in a comparison. */
export const resultsOf = (found: Result | Comparison): ReadonlyArray<Result> =>
  "results" in found ? found.results : [found]
