/**
 * Simulates a policy under a scenario, in several replications, and estimates what it comes to.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Core from "../core/call.js"
import * as Distribution from "../core/distribution.js"
import * as Draw from "../core/draw.js"
import * as Estimate from "../core/estimate.js"
import * as LogHistogram from "../core/logHistogram.js"
import * as Recorder from "../core/recorder.js"
import * as Simulation from "../core/simulation.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as Validate from "../runtime/validate.js"
import { compile } from "./compile.js"
import { failureOf } from "./samples.js"
import { type Scenario, setupOf, warmUpNanosOf } from "./scenario.js"

/** A simulation of more events than a computer gets through. */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  /** The estimate of the events. */
  events: Schema.Number,
  /** The limit. */
  limit: Schema.Number
}) {
  override get message(): string {
    return `The simulation would have about ${this.events.toExponential(1)} events, ` +
      `the limit is ${this.limit.toExponential(0)}`
  }
}

/** A policy with the name that results call it. */
export interface Policy {
  readonly name: string
  readonly stages: Pipeline.Stages
}

export interface Options {
  readonly scenario: Scenario
  readonly seed?: number | undefined
  readonly replications?: number | undefined
}

/** The figures that are estimated. Latencies in milliseconds. */
export const metrics = [
  "failedRate",
  "p50",
  "p95",
  "p99",
  "amplification",
  "recoverySeconds",
  "duplicates",
  "peakInProgress"
] as const

export type Metric = (typeof metrics)[number]

type Figures = Readonly<Record<Metric, number>>

/**
 * Calls and requests of all replications together; what failed and what was rejected by tag.
 * `duplicates` are executions after the first of one call that do harm; `repeats` are those of
 * operations that may be repeated.
 */
export interface Counts {
  readonly offered: number
  readonly succeeded: number
  readonly failed: Readonly<Record<string, number>>
  readonly rejected: Readonly<Record<string, number>>
  readonly unfinished: number
  readonly sent: number
  readonly answered: number
  readonly abandoned: number
  readonly hedges: number
  readonly executions: number
  readonly duplicates: number
  readonly repeats: number
}

/** Each row has one mean over the replications for each second; `p99` in milliseconds. */
export type Series = Readonly<Record<keyof Recorder.Series, ReadonlyArray<number>>>

/**
 * What a policy comes to. In `stuck` replications the goodput did not recover from the faults;
 * they count in `recoverySeconds` with the time to their end.
 */
export interface Result {
  readonly policy: string
  readonly seed: number
  readonly replications: number
  readonly stuck: number
  readonly metrics: Readonly<Record<Metric, Estimate.Estimate>>
  readonly counts: Counts
  readonly stops: Readonly<Record<string, number>>
  readonly series: Series
  readonly warnings: ReadonlyArray<string>
}

const nanosPerSecond = 1e9

/** What one replication has come to. */
interface Replication {
  readonly recorder: Recorder.Recorder
  readonly figures: Figures
  readonly isStuck: boolean
}

/** So many events happen before other fibers, and interruption, have their turn: some 20 ms. */
const eventsPerTurn = 20_000

const maxEvents = 1e9

/** Arrive, serve, answer, and the beginning; with retries, about twice of that. */
const eventsPerCall = 8

const estimatedEvents = (setup: Omit<Simulation.Setup, "stages">, replications: number): number => {
  const { arrivals, arrivalsEndNanos } = setup
  const seconds = arrivalsEndNanos / nanosPerSecond
  const factor = Math.max(1, ...setup.changes.factors)
  const calls = arrivals._tag === "Trace"
    ? arrivals.atNanos.length
    : arrivals._tag === "Closed"
    ? arrivals.clients * seconds * 1000 * factor / Distribution.mean(arrivals.think)
    : arrivals.perSecond * seconds * factor
  return calls * eventsPerCall * replications
}

/** From the first fault or change to the end of the last one; none without any. */
const faultsOf = (setup: Omit<Simulation.Setup, "stages">) => {
  const { changes: { fromNanos }, upstream: { faults } } = setup
  const windows = faults.flatMap((fault) =>
    fault._tag === "Outage" || fault._tag === "BrownOut" ? [fault.fromNanos, fault.toNanos] : []
  )
  const moments = [...fromNanos, ...windows]
  return moments.length === 0
    ? undefined
    : { fromNanos: Math.min(...moments), toNanos: Math.max(...moments) }
}

const millisOf = (nanos: number | undefined): number => (nanos ?? 0) / 1e6

const figuresOf = (
  { series, succeeded, totals }: Recorder.Recorder,
  recovery: number | undefined,
  left: number
): Omit<Figures, "duplicates"> => {
  const quantile = (share: number) => millisOf(LogHistogram.quantile(succeeded, share))
  const ended = totals.succeeded + totals.failed + totals.rejected
  return {
    failedRate: ended === 0 ? 0 : (totals.failed + totals.rejected) / ended,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    amplification: totals.offered === 0 ? 0 : totals.sent / totals.offered,
    recoverySeconds: recovery ?? Math.max(0, series.goodput.length - left),
    peakInProgress: totals.peakInProgress
  }
}

const replicate = (
  setup: Simulation.Setup,
  warmUpNanos: number,
  deduplicates: boolean,
  isHarmful: boolean,
  source: Draw.Source
): Effect.Effect<Replication> =>
  Effect.suspend(() => {
    const seconds = Math.max(1, Math.ceil(setup.endNanos / nanosPerSecond))
    const recorder = new Recorder.Recorder(seconds, warmUpNanos, deduplicates)
    const simulation = new Simulation.Simulation(setup, source, recorder)
    const turn: Effect.Effect<void> = Effect.suspend(() =>
      simulation.step(eventsPerTurn) ? Effect.zipRight(Effect.yieldNow(), turn) : Effect.void
    )
    return Effect.map(turn, () => {
      recorder.finish()
      const faults = faultsOf(setup)
      const recovery = Recorder.recoverySeconds(recorder.series.goodput, faults)
      const left = (faults?.toNanos ?? 0) / nanosPerSecond
      return {
        recorder,
        figures: {
          ...figuresOf(recorder, recovery, left),
          duplicates: isHarmful ? recorder.totals.duplicates : 0
        },
        isStuck: recovery === undefined
      }
    })
  })

const tagOf = (code: number): string => {
  const failure: unknown = failureOf(code, undefined)
  // Every failure of the library has a tag.
  return (failure as { readonly _tag: string })._tag
}

const byTag = (
  replications: ReadonlyArray<Replication>,
  isCounted: (code: number) => boolean
): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  for (const { recorder: { totals: { byCode } } } of replications) {
    for (const [code, count] of byCode) {
      if (!isCounted(code)) continue
      const tag = tagOf(code)
      found[tag] = (found[tag] ?? 0) + count
    }
  }
  return sorted(found)
}

const sorted = <A>(record: Readonly<Record<string, A>>): Readonly<Record<string, A>> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

const countsOf = (replications: ReadonlyArray<Replication>, isHarmful: boolean): Counts => {
  const sum = (of: (totals: Recorder.Totals) => number): number =>
    replications.reduce((all, { recorder }) => all + of(recorder.totals), 0)
  const offered = sum((totals) => totals.offered)
  const succeeded = sum((totals) => totals.succeeded)
  const duplicates = sum((totals) => totals.duplicates)
  return {
    offered,
    succeeded,
    failed: byTag(replications, (code) => !Recorder.isRejection(code)),
    rejected: byTag(replications, Recorder.isRejection),
    unfinished: offered - succeeded - sum((totals) => totals.failed + totals.rejected),
    sent: sum((totals) => totals.sent),
    answered: sum((totals) => totals.answered),
    abandoned: sum((totals) => totals.abandoned),
    hedges: sum((totals) => totals.hedges),
    executions: sum((totals) => totals.executions),
    duplicates: isHarmful ? duplicates : 0,
    repeats: isHarmful ? 0 : duplicates
  }
}

const stopsOf = (replications: ReadonlyArray<Replication>): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  for (const { recorder: { totals } } of replications) {
    for (const [reason, count] of totals.stops) found[reason] = (found[reason] ?? 0) + count
  }
  return sorted(found)
}

const seriesOf = (replications: ReadonlyArray<Replication>): Series => {
  const row = (name: keyof Recorder.Series): ReadonlyArray<number> => {
    const scale = name === "p99" ? 1e6 : 1
    const [first] = replications
    return Array.from(
      first?.recorder.series[name] ?? [],
      (_, second) =>
        replications.reduce((sum, { recorder }) => sum + recorder.series[name][second]!, 0) /
        replications.length / scale
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

/** The estimates of some figures of each replication. */
const estimates = (
  figures: ReadonlyArray<Figures>
): Readonly<Record<Metric, Estimate.Estimate>> =>
  Object.fromEntries(
    metrics.map((metric) => [metric, Estimate.estimate(figures.map((each) => each[metric]))])
  ) as Record<Metric, Estimate.Estimate>

/** What is known of a policy before it runs: that it can be built, and what it is in numbers. */
const prepared = (
  { stages }: Policy
): Effect.Effect<{ readonly stages: Core.Stages; readonly warnings: ReadonlyArray<string> }> =>
  Effect.zipRight(Pipeline.make(stages), Effect.sync(() => compile(stages)))

interface Ran {
  readonly result: Result
  readonly figures: ReadonlyArray<Figures>
}

const ran = (policy: Policy, options: Options): Effect.Effect<Ran, TooLarge> =>
  Effect.gen(function*() {
    const { scenario } = options
    const seed = Validate.integer("seed", options.seed ?? 1, 0)
    const count = Validate.integer("replications", options.replications ?? 10, 1)
    const { stages, warnings } = yield* prepared(policy)
    const setup = { ...setupOf(scenario), stages }
    const events = estimatedEvents(setup, count)
    if (events > maxEvents) return yield* new TooLarge({ events, limit: maxEvents })
    const { _tag } = policy.stages.operation
    const deduplicates = scenario.services[0].deduplicatesKeys && _tag === "Keyed"
    const isHarmful = _tag === "Keyed" || _tag === "Once"
    const replications = yield* Effect.forEach(
      Array.from({ length: count }, (_, replication) => Draw.source(seed, replication)),
      (source) => replicate(setup, warmUpNanosOf(scenario), deduplicates, isHarmful, source)
    )
    const figures = replications.map((replication) => replication.figures)
    return {
      figures,
      result: {
        policy: policy.name,
        seed,
        replications: count,
        stuck: replications.filter(({ isStuck }) => isStuck).length,
        metrics: estimates(figures),
        counts: countsOf(replications, isHarmful),
        stops: stopsOf(replications),
        series: seriesOf(replications),
        warnings
      }
    }
  })

/**
 * Simulates one policy. The same policy, scenario and seed give the same result, byte for byte.
 * Dies with a `RangeError` for a pipeline that cannot be built or is not simulated.
 */
export const run = (policy: Policy, options: Options): Effect.Effect<Result, TooLarge> =>
  Effect.map(ran(policy, options), ({ result }) => result)

/**
 * The results of several policies under the same draws. `differences` are those of each further
 * policy from the first, replication by replication; where the interval holds 0, no difference is
 * shown.
 */
export interface Comparison {
  readonly results: ReadonlyArray<Result>
  readonly differences: ReadonlyArray<{
    readonly policy: string
    readonly metrics: Readonly<
      Record<Metric, Estimate.Estimate & { readonly isShown: boolean }>
    >
  }>
}

const differences = (
  first: ReadonlyArray<Figures>,
  { figures, result }: Ran
): Comparison["differences"][number] => ({
  policy: result.policy,
  metrics: Object.fromEntries(metrics.map((metric) => {
    const difference = Estimate.estimate(
      figures.map((each, replication) => each[metric] - first[replication]![metric])
    )
    return [metric, { ...difference, isShown: difference.low > 0 || difference.high < 0 }]
  })) as Comparison["differences"][number]["metrics"]
})

/** Simulates several policies under the same arrivals, service times and faults. */
export const compare = (
  policies: readonly [Policy, ...Array<Policy>],
  options: Options
): Effect.Effect<Comparison, TooLarge> =>
  Effect.map(Effect.forEach(policies, (policy) => ran(policy, options)), (all) => ({
    results: all.map(({ result }) => result),
    differences: all.slice(1).map((other) => differences(all[0]!.figures, other))
  }))
