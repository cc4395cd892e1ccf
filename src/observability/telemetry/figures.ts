/**
 * How the endpoints of an integration are doing, read from the metrics that were counted.
 */
import * as Duration from "effect/Duration"
import type * as MetricLabel from "effect/MetricLabel"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import { quantile } from "../../core/histogram.js"
import type { Family } from "./outcome.js"

/**
 * Calls or attempts, since the process began. Attempts are never `rejected`: what our own guards
 * turned away was none.
 *
 * **Details**
 *
 * - `successRate`: the share of those that were answered well, from 0 to 1. What our own guards
 *   rejected and what was interrupted does not count; none where nothing is left to count.
 * - `clientErrors` (4xx), `serverErrors` (5xx), `unanswered` (time-outs and broken connections),
 *   `failed` (anything else): how many of each.
 * - `p50`, `p95`, `p99`: latencies, estimated from a histogram; off by at most the width of the
 *   bucket that they lie in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Figures {
  readonly count: number
  readonly succeeded: number
  readonly clientErrors: number
  readonly serverErrors: number
  readonly unanswered: number
  readonly failed: number
  readonly rejected: number
  readonly interrupted: number
  readonly successRate: Option.Option<number>
  readonly p50: Option.Option<Duration.Duration>
  readonly p95: Option.Option<Duration.Duration>
  readonly p99: Option.Option<Duration.Duration>
}

/**
 * One endpoint. `calls` is what callers saw, retries and waits included; `attempts` is how the API
 * itself behaved.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndpointFigures {
  readonly endpoint: string
  readonly method: string | undefined
  readonly calls: Figures
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
