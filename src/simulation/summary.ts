/**
 * Sums replications up to a result.
 */
import * as Estimate from "../core/estimate.js"
import * as Recorder from "../core/recorder.js"
import {
  type Comparison,
  type Counts,
  type Estimate as Estimated,
  type Metric,
  type Result,
  type Series,
  stopReasons
} from "./model.js"
import { type Figures, metrics, type Outcome } from "./replication.js"
import { failureOf } from "./samples.js"

type Outcomes = ReadonlyArray<Outcome>

const tagOf = (code: number): string => {
  const failure: unknown = failureOf(code, undefined)
  // Every failure of the library has a tag.
  return (failure as { readonly _tag: string })._tag
}

const byTag = (
  outcomes: Outcomes,
  isCounted: (code: number) => boolean
): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  for (const { totals: { byCode } } of outcomes) {
    for (const [code, count] of byCode) {
      if (!isCounted(code)) continue
      const tag = tagOf(code)
      found[tag] = (found[tag] ?? 0) + count
    }
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const countsOf = (
  outcomes: Outcomes,
  isHarmful: boolean,
  services: ReadonlyArray<string>
): Counts => {
  const sum = (of: (totals: Recorder.Totals) => number): number =>
    outcomes.reduce((all, { totals }) => all + of(totals), 0)
  const offered = sum((totals) => totals.offered)
  const succeeded = sum((totals) => totals.succeeded)
  const duplicates = sum((totals) => totals.duplicates)
  return {
    offered,
    succeeded,
    failed: byTag(outcomes, (code) => !Recorder.isRejection(code)),
    rejected: byTag(outcomes, Recorder.isRejection),
    unfinished: offered - succeeded - sum((totals) => totals.failed + totals.rejected),
    attempts: sum((totals) => totals.sent),
    answered: sum((totals) => totals.answered),
    abandoned: sum((totals) => totals.abandoned),
    hedges: sum((totals) => totals.hedges),
    executions: sum((totals) => totals.executions),
    duplicates: isHarmful ? duplicates : 0,
    repeats: isHarmful ? 0 : duplicates,
    received: Object.fromEntries(
      services.map((name, index) => [name, sum(({ received }) => received[index] ?? 0)])
    )
  }
}

const stopsOf = (outcomes: Outcomes): Result["stops"] =>
  Object.fromEntries(
    stopReasons.map((reason) => [
      reason,
      outcomes.reduce((all, { totals }) => all + (totals.stops.get(reason) ?? 0), 0)
    ])
  ) as Result["stops"]

const seriesOf = (outcomes: Outcomes): Series => {
  const row = (name: keyof Series): ReadonlyArray<number> => {
    const scale = name === "p99" ? 1e6 : 1
    const [first] = outcomes
    return Array.from(
      first?.series[name] ?? [],
      (_, second) =>
        outcomes.reduce((sum, { series }) => sum + series[name][second]!, 0) /
        outcomes.length / scale
    )
  }
  return {
    offered: row("offered"),
    sent: row("sent"),
    goodput: row("goodput"),
    failed: row("failed"),
    rejected: row("rejected"),
    inProgress: row("inProgress"),
    p99: row("p99")
  }
}

const byMetric = <A>(of: (metric: Metric) => A): Readonly<Record<Metric, A>> =>
  Object.fromEntries(metrics.map((metric) => [metric, of(metric)])) as Record<Metric, A>

const estimatesOf = (figures: ReadonlyArray<Figures>): Readonly<Record<Metric, Estimated>> =>
  byMetric((metric) => Estimate.estimate(figures.map((each) => each[metric])))

/** The result of the replications, in their order. O(replications x seconds). */
export const resultOf = (
  outcomes: Outcomes,
  { isHarmful, policy, seed, services, warnings }: {
    readonly policy: string
    readonly seed: number
    readonly isHarmful: boolean
    readonly services: ReadonlyArray<string>
    readonly warnings: ReadonlyArray<string>
  }
): Result => ({
  policy,
  seed,
  replications: outcomes.length,
  stuck: outcomes.filter(({ isStuck }) => isStuck).length,
  metrics: estimatesOf(outcomes.map(({ figures }) => figures)),
  counts: countsOf(outcomes, isHarmful, services),
  stops: stopsOf(outcomes),
  series: seriesOf(outcomes),
  breaker: outcomes
    .flatMap(({ transitions }, replication) =>
      transitions.map((transition) => ({ replication, ...transition }))
    )
    .slice(0, Recorder.maxTransitions),
  warnings
})

/** How some replications differ from those of the first policy, pair by pair. */
export const differencesOf = (
  policy: string,
  figures: ReadonlyArray<Figures>,
  first: ReadonlyArray<Figures>
): Comparison["differences"][number] => ({
  policy,
  metrics: byMetric((metric) => {
    const difference = Estimate.estimate(
      figures.map((each, replication) => each[metric] - first[replication]![metric])
    )
    return { ...difference, isShown: difference.low > 0 || difference.high < 0 }
  })
})
