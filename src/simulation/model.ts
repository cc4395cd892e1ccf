/**
 * What a simulation is asked for and what it answers.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Pipeline from "../pipeline/Pipeline.js"
import type * as Retry from "../retry/Retry.js"
import type { InvalidScenario, Scenario } from "./Scenario.js"

/**
 * A simulation of more events, or more bytes of memory, than a computer should be asked for.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  /** What there would be too many of. */
  of: Schema.Literal("events", "bytes"),
  /** How many there would be, at an estimate. */
  estimate: Schema.Number,
  /** The limit: 10^9 events, 2^30 bytes. */
  limit: Schema.Number
}) {
  /** The estimate and the limit. */
  override get message(): string {
    const digits = (value: number): string => value.toExponential(1).replace(".0e", "e")
    return `The simulation would have about ${digits(this.estimate)} ${this.of}, ` +
      `the limit is ${digits(this.limit)}`
  }
}

/**
 * Why a simulation does not begin.
 *
 * @since 0.1.0
 * @category errors
 */
export type SimulationError = InvalidScenario | TooLarge

/**
 * A policy, and the name that results call it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  /** The name in results. */
  readonly name: string
  /** The stages: written in code, or decoded by `Pipeline.Spec`. */
  readonly stages: Pipeline.Stages
}

/**
 * How far a simulation has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  /** The name of the policy that is simulated now. */
  readonly policy: string
  /** How many of its replications are over. */
  readonly done: number
  /** How many replications it has. */
  readonly replications: number
  /** The share of the whole simulation that is over, of all policies together, from 0 to 1. */
  readonly share: number
}

/**
 * How policies are simulated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The scenario (required). */
  readonly scenario: Scenario
  /** What the draws begin with, a whole number from 0 on. Default 1. */
  readonly seed?: number | undefined
  /** How often the scenario is run, each time with draws of its own. Default 10. */
  readonly replications?: number | undefined
  /**
   * How many threads run replications at the same time. Default 1: none besides the program's own.
   * The result does not depend on it.
   */
  readonly workers?: number | undefined
  /** Hears how far the simulation has come, some 50 times a second. Default: no report. */
  readonly onProgress?: ((done: Progress) => Effect.Effect<void>) | undefined
}

const Estimates = Schema.Struct({
  mean: Schema.Number,
  low: Schema.Number,
  high: Schema.Number
})

/**
 * The mean over the replications and its interval: with many simulations, 95 of 100 such intervals
 * hold the true mean. One replication alone has no interval, and both bounds are its value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Estimate {
  /** The mean. */
  readonly mean: number
  /** The lower bound of the interval. */
  readonly low: number
  /** The upper bound of the interval. */
  readonly high: number
}

/**
 * The figures of a policy.
 *
 * - `failedRate`: the share of finished calls that failed or were rejected
 * - `p50`, `p95`, `p99`: the latency of calls that succeeded, waits included, in milliseconds,
 *   within 1.1 %
 * - `amplification`: requests for each call
 * - `recoverySeconds`: from the end of the last fault to the first of ten seconds in a row with
 *   95 % of the goodput of the ten seconds before the first fault
 * - `duplicates`: executions after the first of one call, where that does harm
 * - `peakInProgress`: the highest number of calls under way
 *
 * @since 0.1.0
 * @category models
 */
export type Metric =
  | "failedRate"
  | "p50"
  | "p95"
  | "p99"
  | "amplification"
  | "recoverySeconds"
  | "duplicates"
  | "peakInProgress"

const byMetric = <A, I>(figure: Schema.Schema<A, I>) =>
  Schema.Struct({
    failedRate: figure,
    p50: figure,
    p95: figure,
    p99: figure,
    amplification: figure,
    recoverySeconds: figure,
    duplicates: figure,
    peakInProgress: figure
  })

const Tally = Schema.Record({ key: Schema.String, value: Schema.Number })

const CountsSchema = Schema.Struct({
  offered: Schema.Number,
  succeeded: Schema.Number,
  failed: Tally,
  rejected: Tally,
  unfinished: Schema.Number,
  attempts: Schema.Number,
  answered: Schema.Number,
  abandoned: Schema.Number,
  hedges: Schema.Number,
  executions: Schema.Number,
  duplicates: Schema.Number,
  repeats: Schema.Number,
  received: Tally
})

/**
 * Calls and requests, of all replications together. Those of the warm-up are left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  /** Calls: the sum of `succeeded`, `failed`, `rejected` and `unfinished`. */
  readonly offered: number
  /** Calls that succeeded. */
  readonly succeeded: number
  /** Calls that failed, by the tag of their error. */
  readonly failed: Readonly<Record<string, number>>
  /** Calls that a guard rejected, by the tag of their error. */
  readonly rejected: Readonly<Record<string, number>>
  /** Calls that were under way at the end. */
  readonly unfinished: number
  /** Requests that were sent: answered, abandoned or under way at the end. */
  readonly attempts: number
  /** Requests whose answer came back. */
  readonly answered: number
  /** Requests whose caller left before the answer. */
  readonly abandoned: number
  /** Requests that were sent as hedges. */
  readonly hedges: number
  /** Requests that the upstream worked on. */
  readonly executions: number
  /** Executions after the first of one call, where no key deduplicates. */
  readonly duplicates: number
  /** The same for operations that may be repeated, which does no harm. */
  readonly repeats: number
  /** Requests that reached each service, by its name; those of the warm-up too. */
  readonly received: Readonly<Record<string, number>>
}

const Row = Schema.Array(Schema.Number)

const SeriesSchema = Schema.Struct({
  offered: Row,
  sent: Row,
  goodput: Row,
  failed: Row,
  rejected: Row,
  inProgress: Row,
  p99: Row
})

/**
 * What happens by second, the warm-up included: each value is the mean over the replications.
 *
 * @since 0.1.0
 * @category models
 */
export interface Series {
  /** Calls that began. */
  readonly offered: ReadonlyArray<number>
  /** Requests that were sent. */
  readonly sent: ReadonlyArray<number>
  /** Calls that succeeded. */
  readonly goodput: ReadonlyArray<number>
  /** Calls that failed. */
  readonly failed: ReadonlyArray<number>
  /** Calls that a guard rejected. */
  readonly rejected: ReadonlyArray<number>
  /** The highest number of calls under way. */
  readonly inProgress: ReadonlyArray<number>
  /** The latency of the calls that succeeded, in milliseconds; 0 where none did. */
  readonly p99: ReadonlyArray<number>
}

const State = Schema.Literal("Closed", "Open", "HalfOpen")

const TransitionSchema = Schema.Struct({
  replication: Schema.Number,
  process: Schema.Number,
  key: Schema.Number,
  atMillis: Schema.Number,
  from: State,
  to: State
})

/**
 * A circuit breaker that changed its state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  /** The number of the replication, from 0 on. */
  readonly replication: number
  /** The number of the process, from 0 on; 0 for a circuit that a fleet shares. */
  readonly process: number
  /** The number of the key, from 0 on, the most frequent first. */
  readonly key: number
  /** When, in milliseconds from the start. */
  readonly atMillis: number
  /** The state before. */
  readonly from: "Closed" | "Open" | "HalfOpen"
  /** The state after. */
  readonly to: "Closed" | "Open" | "HalfOpen"
}

/** Every reason, in the order of results. */
export const stopReasons = [
  "terminal",
  "notRepeatable",
  "retries",
  "deadline",
  "budget",
  "rejected",
  "retryAfter"
] as const satisfies ReadonlyArray<Retry.StopReason>

const Stops = Schema.Struct({
  terminal: Schema.Number,
  notRepeatable: Schema.Number,
  retries: Schema.Number,
  deadline: Schema.Number,
  budget: Schema.Number,
  rejected: Schema.Number,
  retryAfter: Schema.Number
})

/**
 * What a policy comes to under a scenario.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  /** The name of the policy. */
  readonly policy: string
  /** The seed that was used. */
  readonly seed: number
  /** How many replications were run. */
  readonly replications: number
  /**
   * In how many of them the goodput did not recover from the faults. They count in
   * `recoverySeconds` with the time from the last fault to the end.
   */
  readonly stuck: number
  /** The figures, estimated over the replications. */
  readonly metrics: Readonly<Record<Metric, Estimate>>
  /** Calls and requests. */
  readonly counts: Counts
  /** How many calls a retry gave up, by its reason. */
  readonly stops: Readonly<Record<Retry.StopReason, number>>
  /** What happens by second. */
  readonly series: Series
  /** The changes of circuit breakers: the first 10 000, in the order of replications. */
  readonly breaker: ReadonlyArray<Transition>
  /** What is not simulated as it is written, and what makes the figures doubtful. */
  readonly warnings: ReadonlyArray<string>
}

/**
 * Reads a result from JSON.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Result: Schema.Schema<Result> = Schema.Struct({
  policy: Schema.String,
  seed: Schema.Number,
  replications: Schema.Number,
  stuck: Schema.Number,
  metrics: byMetric(Estimates),
  counts: CountsSchema,
  stops: Stops,
  series: SeriesSchema,
  breaker: Schema.Array(TransitionSchema),
  warnings: Schema.Array(Schema.String)
})

/**
 * How a figure of one policy differs from that of another under the same draws.
 *
 * @since 0.1.0
 * @category models
 */
export interface Difference extends Estimate {
  /** Whether a difference is shown: the interval does not hold 0. */
  readonly isShown: boolean
}

/**
 * The results of several policies under the same draws.
 *
 * @since 0.1.0
 * @category models
 */
export interface Comparison {
  /** One result for each policy, in their order. */
  readonly results: ReadonlyArray<Result>
  /** How each policy after the first differs from the first, replication by replication. */
  readonly differences: ReadonlyArray<{
    /** The name of the policy. */
    readonly policy: string
    /** Its figures less those of the first policy. */
    readonly metrics: Readonly<Record<Metric, Difference>>
  }>
}

/**
 * Reads a comparison from JSON.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Comparison: Schema.Schema<Comparison> = Schema.Struct({
  results: Schema.Array(Result),
  differences: Schema.Array(Schema.Struct({
    policy: Schema.String,
    metrics: byMetric(Schema.Struct({ ...Estimates.fields, isShown: Schema.Boolean }))
  }))
})
