/** Reads how the endpoints of an integration perform, from the metrics that were counted. */
import * as Duration from "effect/Duration"
import type * as MetricLabel from "effect/MetricLabel"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import { quantile } from "../../core/histogram.js"
import type { Family } from "./outcome.js"

/**
 * Calls or attempts since the process began.
 *
 * **Details**
 *
 * Attempts are never `rejected`: a call that a guard rejected made no attempt. `p50`, `p95` and
 * `p99` are off by at most the width of their histogram bucket.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figures {
  /** How many there were. */
  readonly count: number
  /** How many succeeded. */
  readonly succeeded: number
  /** How many were answered with a 4xx status. */
  readonly clientErrors: number
  /** How many were answered with a 5xx status. */
  readonly serverErrors: number
  /** How many timed out or lost the connection. */
  readonly unanswered: number
  /** How many failed in any other way. */
  readonly failed: number
  /** How many calls the guards of this library rejected. */
  readonly rejected: number
  /** How many were interrupted. */
  readonly interrupted: number
  /**
   * The share of successes, from 0 to 1, without rejected and interrupted ones. None while nothing
   * counts.
   */
  readonly successRate: Option.Option<number>
  /** The median latency, estimated from a histogram. */
  readonly p50: Option.Option<Duration.Duration>
  /** The latency that 95 % stay below, estimated from a histogram. */
  readonly p95: Option.Option<Duration.Duration>
  /** The latency that 99 % stay below, estimated from a histogram. */
  readonly p99: Option.Option<Duration.Duration>
}

/**
 * The figures of one endpoint: `calls` as callers saw them, `attempts` as the API behaved.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndpointFigures {
  /** The template of the path. */
  readonly endpoint: string
  /** The HTTP method. */
  readonly method: string | undefined
  /** What callers saw, retries and waits included. */
  readonly calls: Figures
  /** How the API behaved, attempt by attempt. */
  readonly attempts: Figures
}

type Pairs = ReadonlyArray<MetricPair.MetricPair.Untyped>

const labelOf = ({ metricKey }: MetricPair.MetricPair.Untyped, name: string): string | undefined =>
  metricKey.tags.find(({ key }) => key === name)?.value

/** Under these labels, and under no other environment. */
const hasLabels = (
  pair: MetricPair.MetricPair.Untyped,
  labels: ReadonlyArray<MetricLabel.MetricLabel>
): boolean =>
  ["integration", "environment"].every((name) =>
    labelOf(pair, name) === labels.find(({ key }) => key === name)?.value
  )

const counted = (pairs: Pairs, name: string, family: Family): number =>
  pairs.reduce(
    (sum, pair) =>
      pair.metricKey.name === name && labelOf(pair, "family") === family &&
        MetricState.isCounterState(pair.metricState)
        ? sum + Number(pair.metricState.count)
        : sum,
    0
  )

/**
 * All histograms of a name as one: one endpoint may be called as more than one kind of operation.
 */
const histogramOf = (pairs: Pairs, name: string) => {
  const found = pairs.flatMap(({ metricKey, metricState }) =>
    metricKey.name === name && MetricState.isHistogramState(metricState) && metricState.count > 0
      ? [metricState]
      : []
  )
  return {
    // Every histogram has the same boundaries.
    buckets: (found[0]?.buckets ?? []).map(([boundary], index) =>
      [boundary, found.reduce((sum, { buckets }) => sum + (buckets[index]?.[1] ?? 0), 0)] as const
    ),
    count: found.reduce((sum, { count }) => sum + count, 0),
    min: Math.min(...found.map(({ min }) => min)),
    max: Math.max(...found.map(({ max }) => max))
  }
}

const figuresOf = (pairs: Pairs, what: "call" | "attempt"): Figures => {
  const of = (family: Family) => counted(pairs, `resilience.${what}.outcomes`, family)
  const histogram = histogramOf(pairs, `resilience.${what}.duration`)
  const latency = (share: number) =>
    Option.map(Option.fromNullable(quantile(histogram, share)), (millis) => Duration.millis(millis))
  const ends = {
    succeeded: of("success"),
    clientErrors: of("4xx"),
    serverErrors: of("5xx"),
    unanswered: of("unanswered"),
    failed: of("failed")
  }
  const [rejected, interrupted] = [of("rejected"), of("interrupted")]
  const answered = Object.values(ends).reduce((sum, count) => sum + count, 0)
  return {
    ...ends,
    rejected,
    interrupted,
    count: answered + rejected + interrupted,
    successRate: answered === 0 ? Option.none() : Option.some(ends.succeeded / answered),
    p50: latency(0.5),
    p95: latency(0.95),
    p99: latency(0.99)
  }
}

/** The endpoints of an integration in alphabetical order. O(metrics of the process). */
export const read = (
  snapshot: Pairs,
  labels: ReadonlyArray<MetricLabel.MetricLabel>
): ReadonlyArray<EndpointFigures> => {
  const byEndpoint = new Map<string, Array<MetricPair.MetricPair.Untyped>>()
  for (const pair of snapshot) {
    if (!/^resilience\.(call|attempt)\./.test(pair.metricKey.name) || !hasLabels(pair, labels)) {
      continue
    }
    const name = `${labelOf(pair, "endpoint")}\u0000${labelOf(pair, "method")}`
    byEndpoint.set(name, [...byEndpoint.get(name) ?? [], pair])
  }
  return [...byEndpoint].toSorted(([a], [b]) => a < b ? -1 : 1).flatMap(([, pairs]) => {
    const [first] = pairs
    return first === undefined ? [] : [{
      endpoint: labelOf(first, "endpoint") ?? "",
      method: labelOf(first, "method"),
      calls: figuresOf(pairs, "call"),
      attempts: figuresOf(pairs, "attempt")
    }]
  })
}
