/**
 * The metrics of telemetry, and the labels they are counted under.
 *
 * Labels are few and known beforehand: the integration, its environment, the endpoint's template,
 * the method, the kind of operation, and how it ended. Never a key, an id or free text. The lists
 * of labels are made once and found again, so that counting makes nothing.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import type { Outcome } from "./outcome.js"

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** Milliseconds, close enough for a 95th percentile anywhere between a cache and a timeout. */
const boundaries = [
  5,
  10,
  20,
  35,
  50,
  75,
  100,
  150,
  200,
  300,
  400,
  500,
  750,
  1000,
  1500,
  2000,
  3000,
  5000,
  7500,
  10_000,
  15_000,
  20_000,
  30_000,
  60_000,
  120_000
]

const counter = (name: string, description: string) =>
  Metric.counter(name, { description, incremental: true })

/**
 * Milliseconds. `Metric.timerWithBoundaries` would say so in a label that it joins to those of each
 * update, which takes longer than the rest of it.
 */
const timer = (name: string, description: string) =>
  Metric.histogram(name, MetricBoundaries.fromIterable(boundaries), description)

/** What became of calls, and of the attempts that they were made of. */
export const calls = {
  duration: timer("resilience.call.duration", "How long calls took, waits included"),
  outcomes: counter("resilience.call.outcomes", "How calls ended")
}

export const attempts: typeof calls = {
  duration: timer(
    "resilience.attempt.duration",
    "How long attempts took, without the wait for their turn"
  ),
  outcomes: counter("resilience.attempt.outcomes", "How attempts ended")
}

/**
 * The same labels and more. One list for each combination, shared by all callers: Effect finds a
 * metric again by the list, and quickly only by the same one.
 */
export class Labelled {
  readonly #more = new Map<string, Labelled>()
  readonly #ends = new Map<string, Labels>()
  #took: Labels | undefined

  constructor(readonly labels: Labels) {}

  with(name: string, value: string): Labelled {
    const key = `${name}\u0000${value}`
    let more = this.#more.get(key)
    if (more === undefined) {
      this.#more.set(key, more = new Labelled([...this.labels, MetricLabel.make(name, value)]))
    }
    return more
  }

  /** How something ended under these labels. */
  ended({ family, name }: Outcome): Labels {
    const key = `${family} ${name}`
    let ends = this.#ends.get(key)
    if (ends === undefined) {
      this.#ends.set(key, ends = this.with("outcome", name).with("family", family).labels)
    }
    return ends
  }

  /** How long something took under these labels. */
  took(): Labels {
    return this.#took ??= this.with("time_unit", "milliseconds").labels
  }
}
