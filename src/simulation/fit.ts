/**
 * Learns from recorded attempts how an upstream behaves: how long it takes, how often it fails, and
 * whether it takes longer the more it has to do. The answer is a scenario to simulate policies in.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Distribution from "../core/distribution.js"
import * as Fitting from "../core/fitting.js"
import { loadFit } from "../core/loadFit.js"
import { findingsOf } from "../pipeline/findings.js"
import { AttemptRecord } from "./attempts.js"

/**
 * Records from which nothing can be learnt: too few of each endpoint, or a value that is none.
 *
 * @since 0.1.0
 * @category errors
 */
export class FitError extends Schema.TaggedError<FitError>()("FitError", {
  /** What is wrong, in one line. */
  reason: Schema.String,
  /** How many records there were. */
  attempts: Schema.Number,
  /** The path of the value that is refused, as `records.12.durationMillis`. */
  path: Schema.optional(Schema.String),
  /** The value at that path. */
  value: Schema.optional(Schema.Unknown)
}) {
  /** The reason, and the path where there is one. */
  override get message(): string {
    return this.path === undefined ? this.reason : `${this.path}: ${this.reason}`
  }
}

/**
 * Whether an endpoint takes longer the more is in progress. Times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export type FittedCapacity =
  | {
    /** It takes longer. */
    readonly _tag: "LoadDependent"
    /** What each further request in progress costs, in milliseconds. */
    readonly slopeMillis: number
    /** The power of the number in progress. */
    readonly power: number
    /** The share of the variance of latencies that this accounts for, from 0 to 1. */
    readonly explained: number
  }
  | {
    /** It cannot be known. */
    readonly _tag: "Unknown"
    /** Why it cannot be known. */
    readonly reason: string
  }

/**
 * What was learnt about one endpoint.
 *
 * @since 0.1.0
 * @category models
 */
export interface FittedEndpoint {
  /** The name in the records. */
  readonly endpoint: string
  /** How many attempts there were. */
  readonly attempts: number
  /** How many of them were given up before they ended. */
  readonly givenUp: number
  /** Attempts per second, from the first to the last. */
  readonly perSecond: number
  /** The latency of successful attempts, in milliseconds. */
  readonly latency: Distribution.Distribution
  /** The greatest difference between this latency's curve and the measured one, from 0 to 1. */
  readonly distance: number
  /** The distance below which a formula is kept; above it, quantiles are. */
  readonly tolerance: number
  /** The share of attempts with each outcome. */
  readonly outcomes: Readonly<Record<string, number>>
  /** The median of the waits that the upstream asked for, in milliseconds; none where none were. */
  readonly retryAfterMillis?: number | undefined
  /** Whether the endpoint takes longer the more is in progress. */
  readonly capacity: FittedCapacity
}

/**
 * What was learnt, and a scenario made of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fitted {
  /** Each endpoint with enough attempts, by falling number of them. */
  readonly endpoints: ReadonlyArray<FittedEndpoint>
  /**
   * The written form of a scenario of the endpoint with the most attempts, for `Scenario.decode`,
   * or a file.
   */
  readonly scenario: Readonly<Record<string, unknown>>
  /** What was left out, and what the scenario assumes. */
  readonly warnings: ReadonlyArray<string>
}

const plain = Schema.Number

const Latency: Schema.Schema<Distribution.Distribution> = Schema.Union(
  Schema.TaggedStruct("Constant", { value: plain }),
  Schema.TaggedStruct("Uniform", { min: plain, max: plain }),
  Schema.TaggedStruct("Exponential", { mean: plain }),
  Schema.TaggedStruct("LogNormal", { p50: plain, p99: plain }),
  Schema.TaggedStruct("Pareto", { min: plain, alpha: plain }),
  Schema.TaggedStruct("Weibull", { scale: plain, shape: plain }),
  Schema.TaggedStruct("Hyper", {
    branches: Schema.Array(Schema.Struct({ weight: plain, mean: plain }))
  }),
  Schema.TaggedStruct("Empirical", { values: Schema.Array(plain) })
)

/**
 * Reads what was learnt from JSON.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Fitted: Schema.Schema<Fitted> = Schema.Struct({
  endpoints: Schema.Array(Schema.Struct({
    endpoint: Schema.String,
    attempts: plain,
    givenUp: plain,
    perSecond: plain,
    latency: Latency,
    distance: plain,
    tolerance: plain,
    outcomes: Schema.Record({ key: Schema.String, value: plain }),
    retryAfterMillis: Schema.optional(plain),
    capacity: Schema.Union(
      Schema.TaggedStruct("LoadDependent", {
        slopeMillis: plain,
        power: plain,
        explained: plain
      }),
      Schema.TaggedStruct("Unknown", { reason: Schema.String })
    )
  })),
  scenario: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  warnings: Schema.Array(Schema.String)
})

/** An endpoint with fewer attempts is left out. */
const fewest = 200

/** So many have to have succeeded. */
const fewestMeasured = 20

/** Their durations say only that they would have taken longer. */
const isGivenUp = ({ outcome }: AttemptRecord): boolean =>
  outcome === "Timeout" || outcome === "Interrupted"

const isMeasured = ({ outcome }: AttemptRecord): boolean => outcome === "Success"

const sharesOf = (records: ReadonlyArray<AttemptRecord>): Readonly<Record<string, number>> => {
  const counts = new Map<string, number>()
  for (const { outcome } of records) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return Object.fromEntries(
    [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([outcome, count]) => [outcome, count / records.length])
  )
}

const medianOf = (values: ReadonlyArray<number>): number | undefined =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]

const spanMillis = (records: ReadonlyArray<AttemptRecord>): number => {
  let first = Infinity
  let last = -Infinity
  for (const { at } of records) {
    first = Math.min(first, at)
    last = Math.max(last, at)
  }
  return last - first
}

/** Above this share of attempts that were given up, the busy times are missing from the line. */
const mostGivenUp = 0.05

const capacityOf = (records: ReadonlyArray<AttemptRecord>, givenUp: number): FittedCapacity => {
  const points = records.flatMap((record) =>
    isMeasured(record) && record.inProgress !== undefined
      ? [{ inProgress: record.inProgress, time: record.durationMillis }]
      : []
  )
  const found = loadFit(points)
  if (found._tag === "Unknown") {
    return { _tag: "Unknown", reason: `cannot be known: ${found.reason}` }
  }
  if (givenUp > mostGivenUp * records.length) {
    return {
      _tag: "Unknown",
      reason: "cannot be known: too many attempts were given up, which are the slow ones"
    }
  }
  const { explained, power, slope } = found
  return { _tag: "LoadDependent", slopeMillis: slope, power, explained }
}

const fittedOf = (
  endpoint: string,
  records: ReadonlyArray<AttemptRecord>
): FittedEndpoint | undefined => {
  const measured = records.filter(isMeasured).map(({ durationMillis }) => durationMillis)
  const cut = records.filter(isGivenUp).map(({ durationMillis }) => durationMillis)
  if (records.length < fewest || measured.length < fewestMeasured) return undefined
  const { distance, distribution } = Fitting.fit({ measured, cut })
  const waits = records.flatMap(({ retryAfterMillis }) => retryAfterMillis ?? [])
  const span = spanMillis(records)
  return {
    endpoint,
    attempts: records.length,
    givenUp: cut.length,
    perSecond: span === 0 ? records.length : records.length * 1000 / span,
    latency: distribution,
    distance,
    tolerance: Fitting.tolerance(measured.length + cut.length),
    outcomes: sharesOf(records),
    ...(waits.length === 0 ? {} : { retryAfterMillis: medianOf(waits) }),
    capacity: capacityOf(records, cut.length)
  }
}

// -----------------------------------------------------------------------------
// the scenario
// -----------------------------------------------------------------------------

const millisText = (millis: number): string => `${Number(millis.toPrecision(6))} millis`

const writtenOf = (distribution: Distribution.Distribution): unknown => {
  switch (distribution._tag) {
    case "Constant":
      return { _tag: "Constant", value: millisText(distribution.value) }
    case "Uniform": {
      const { max, min } = distribution
      return { _tag: "Uniform", min: millisText(min), max: millisText(max) }
    }
    case "Exponential":
      return { _tag: "Exponential", mean: millisText(distribution.mean) }
    case "LogNormal": {
      const { p50, p99 } = distribution
      return { _tag: "LogNormal", p50: millisText(p50), p99: millisText(p99) }
    }
    case "Pareto":
      return { ...distribution, min: millisText(distribution.min) }
    case "Weibull":
      return { ...distribution, scale: millisText(distribution.scale) }
    case "Hyper":
      return {
        _tag: "Hyper",
        branches: distribution.branches.map(({ mean, weight }) => ({
          weight,
          mean: millisText(mean)
        }))
      }
    case "Empirical":
      return { _tag: "Empirical", values: distribution.values.map(millisText) }
  }
}

/** The status that stands for a tag in a scenario; none for what is no answer. */
const statuses: Readonly<Record<string, number>> = {
  Auth: 401,
  Policy: 403,
  Validation: 400,
  NotFound: 404,
  Conflict: 409,
  Locked: 423,
  RateLimit: 429,
  Server: 503
}

/** What a request takes beside what the load costs it. */
const withoutLoad = (
  records: ReadonlyArray<AttemptRecord>,
  capacity: FittedCapacity
): Distribution.Distribution | undefined => {
  if (capacity._tag === "Unknown") return undefined
  const { power, slopeMillis } = capacity
  const left = ({ durationMillis, inProgress = 1 }: AttemptRecord): number =>
    Math.max(0, durationMillis - slopeMillis * inProgress ** power)
  return Fitting.fit({
    measured: records.filter(isMeasured).map(left),
    cut: records.filter(isGivenUp).map(left)
  }).distribution
}

const shortestMillis = 60_000

const scenarioOf = (
  fitted: FittedEndpoint,
  records: ReadonlyArray<AttemptRecord>
): Readonly<Record<string, unknown>> => {
  const { capacity, endpoint, latency, outcomes, perSecond } = fitted
  // Of what was answered. Each fault draws by itself, from what those before it have left.
  let left = Object.keys(statuses).reduce(
    (sum, tag) => sum + (outcomes[tag] ?? 0),
    outcomes.Success ?? 0
  )
  const faults = Object.entries(statuses).flatMap(([tag, status]) => {
    const share = outcomes[tag]
    if (share === undefined) return []
    const rate = Number(Math.min(1, share / left).toPrecision(4))
    left -= share
    return [{ _tag: "Errors", rate, status }]
  })
  return {
    duration: millisText(Math.max(shortestMillis, Math.ceil(spanMillis(records)))),
    clients: { arrivals: { _tag: "Poisson", perSecond: Number(perSecond.toPrecision(4)) } },
    services: [{
      name: endpoint,
      network: { _tag: "Constant", value: "0 millis" },
      service: writtenOf(withoutLoad(records, capacity) ?? latency),
      ...(capacity._tag === "LoadDependent"
        ? {
          capacity: {
            _tag: "LoadDependent",
            base: "0 millis",
            slope: millisText(capacity.slopeMillis),
            power: capacity.power
          }
        }
        : {}),
      faults
    }]
  }
}

const assumptions = ({ capacity, givenUp, outcomes }: FittedEndpoint): ReadonlyArray<string> => [
  "the scenario assumes that attempts came as calls do, one by one and independent",
  "the scenario assumes that the network is part of the latency",
  ...(capacity._tag === "Unknown"
    ? [`the scenario assumes that the upstream has no limit: its capacity ${capacity.reason}`]
    : []),
  ...(givenUp > 0
    ? [`${givenUp} attempts were given up: the latency beyond their times is an extrapolation`]
    : []),
  ...Object.keys(outcomes)
    .filter((tag) => !["Success", "Timeout", "Interrupted"].includes(tag) && !(tag in statuses))
    .map((tag) => `${tag} is not part of the scenario: it is no answer of an upstream`)
]

// -----------------------------------------------------------------------------
// the records
// -----------------------------------------------------------------------------

const decode = Schema.decodeUnknownEither(AttemptRecord)

/** What is wrong with a record, at its first mistake. */
const refusalOf = (record: AttemptRecord, index: number): FitError | undefined => {
  const decoded = decode(record)
  if (Either.isRight(decoded)) return undefined
  const { message: reason = "should be a record", path = "" } = findingsOf(decoded.left.issue)[0] ??
    {}
  return new FitError({
    path: path === "" ? `records.${index}` : `records.${index}.${path}`,
    value: path === "" ? record : Object.entries(record).find(([field]) => field === path)?.[1],
    reason,
    attempts: index
  })
}

const collected = <E, R>(
  records: Stream.Stream<AttemptRecord, E, R>
): Effect.Effect<ReadonlyMap<string, Array<AttemptRecord>>, E | FitError, R> =>
  Effect.suspend(() => {
    const byEndpoint = new Map<string, Array<AttemptRecord>>()
    let count = 0
    return Stream.runForEach(records, (record) => {
      const refusal = refusalOf(record, count)
      if (refusal !== undefined) return Effect.fail(refusal)
      count++
      const found = byEndpoint.get(record.endpoint)
      if (found === undefined) byEndpoint.set(record.endpoint, [record])
      else found.push(record)
      return Effect.void
    }).pipe(Effect.as(byEndpoint))
  })

/**
 * Fits recorded attempts, each endpoint by itself. The latency is that of successes; attempts that
 * were given up count as longer than that (censored). It is the most likely of five distributions,
 * or 512 quantiles where none of them fits (see `tolerance`). Whether the load matters can be known
 * only where `inProgress` varies threefold.
 *
 * Fails with a `FitError` where no endpoint has 200 attempts, 20 of them successful, or for a
 * record with an invalid value. All records are held in memory. O(n log n).
 *
 * @param records The attempts, in any order
 * @since 0.1.0
 * @category running
 */
export const fit = <E, R>(
  records: Stream.Stream<AttemptRecord, E, R>
): Effect.Effect<Fitted, E | FitError, R> =>
  Effect.gen(function*() {
    const byEndpoint = yield* collected(records)
    const found: Array<FittedEndpoint> = []
    const leftOut: Array<string> = []
    let attempts = 0
    for (const [endpoint, records] of byEndpoint) {
      attempts += records.length
      const fitted = fittedOf(endpoint, records)
      if (fitted !== undefined) found.push(fitted)
      else {
        const successes = records.filter(isMeasured).length
        leftOut.push(
          `${endpoint} is left out: it has ${records.length} attempts, ${successes} successful; ` +
            `${fewest} are needed, ${fewestMeasured} successful`
        )
      }
      // Between two endpoints others have their turn.
      yield* Effect.yieldNow()
    }
    found.sort((a, b) => b.attempts - a.attempts || (a.endpoint < b.endpoint ? -1 : 1))
    const [busiest] = found
    if (busiest === undefined) {
      return yield* new FitError({
        attempts,
        reason: leftOut.length === 0 ? "there are no records" : leftOut.join("; ")
      })
    }
    return {
      endpoints: found,
      scenario: scenarioOf(busiest, byEndpoint.get(busiest.endpoint) ?? []),
      warnings: [...leftOut, ...assumptions(busiest)]
    }
  })
