/**
 * Searches for a policy that does better than a given one: among the values that a search names,
 * under several scenarios, and shown on draws that the search has not seen.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Draw from "../core/draw.js"
import * as Estimate from "../core/estimate.js"
import { findingsOf } from "../pipeline/findings.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as Validate from "../runtime/validate.js"
import type { Difference, Metric, Policy, Progress, Result, SimulationError } from "./model.js"
import { all, type Ran } from "./run.js"
import { InvalidScenario, type Scenario } from "./Scenario.js"

/**
 * How a policy is tuned.
 *
 * @since 0.1.0
 * @category models
 */
export interface TuneOptions {
  /** Where the policy has to do well (required). With fewer than three it may fit just them. */
  readonly scenarios: Arr.NonEmptyReadonlyArray<Scenario>
  /**
   * The values to try, by the path of a field (required): `{ "retry.retries": [0, 1, 2] }`. A value
   * is written as in JSON, or as in code where the policy cannot be written as JSON. `null` leaves
   * the field out.
   */
  readonly search: Readonly<Record<string, ReadonlyArray<unknown>>>
  /** The figure to make small; that of the worst scenario counts (required). */
  readonly minimize: Metric
  /** What must not be exceeded, in any scenario. Default: nothing. */
  readonly subjectTo?: ReadonlyArray<Limit> | undefined
  /**
   * How many policies are tried at most: all combinations where there are no more, otherwise so
   * many of them by chance. Default 64.
   */
  readonly trials?: number | undefined
  /** What the draws of the search begin with, a whole number from 0 on. Default 1. */
  readonly seed?: number | undefined
  /** Hears how far the search has come. Default: no report. */
  readonly onProgress?: ((done: Progress) => Effect.Effect<void>) | undefined
}

/**
 * A figure and what its mean must not exceed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limit {
  /** The figure. */
  readonly metric: Metric
  /** The greatest mean that is kept. */
  readonly atMost: number
}

/**
 * What a search has found. Its figures come from draws that the search has not seen.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tuned {
  /** The best policy: the one that was found, or the base where none was shown to be better. */
  readonly policy: Policy
  /** Whether a policy was found that is better than the base. */
  readonly isBetter: boolean
  /** In what the policy differs from the base, by path; empty for the base. */
  readonly settings: Readonly<Record<string, unknown>>
  /** The base, one result for each scenario. */
  readonly base: ReadonlyArray<Result>
  /** The policy, one result for each scenario. */
  readonly results: ReadonlyArray<Result>
  /**
   * How the figure that was made small differs, in the worst scenario of each. Of the best of the
   * search, also where it was not shown to be better.
   */
  readonly difference: Difference
  /** How many policies were simulated. */
  readonly tried: number
  /** How many combinations were left out, since no pipeline can be built of them. */
  readonly leftOut: number
  /** What makes the answer doubtful. */
  readonly warnings: ReadonlyArray<string>
}

type Settings = Readonly<Record<string, unknown>>

interface Candidate {
  readonly settings: Settings
  readonly policy: Policy
}

// -----------------------------------------------------------------------------
// candidates
// -----------------------------------------------------------------------------

const isPlain = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A copy with a value at a path, or without the field where the value is `null`. */
const withValue = (
  given: Readonly<Record<string, unknown>>,
  [field = "", ...rest]: ReadonlyArray<string>,
  value: unknown
): Readonly<Record<string, unknown>> => {
  const { [field]: before, ...others } = given
  if (rest.length > 0) {
    return { ...given, [field]: withValue(isPlain(before) ? before : {}, rest, value) }
  }
  return value === null ? others : { ...given, [field]: value }
}

const applied = (
  given: Readonly<Record<string, unknown>>,
  settings: Settings
): Readonly<Record<string, unknown>> =>
  Object.entries(settings).reduce(
    (stages, [path, value]) => withValue(stages, path.split("."), value),
    given
  )

type Built = Either.Either<Pipeline.Stages, string>

const decode = Schema.decodeUnknownEither(Pipeline.Spec)

const fromJson = (json: unknown): Built =>
  Either.mapLeft(decode(json), ({ issue }) => {
    const [first] = findingsOf(issue)
    return first === undefined ? "is no pipeline" : `${first.path}: ${first.message}`
  })

const fromCode = (stages: Pipeline.Stages): Effect.Effect<Built> =>
  Pipeline.make(stages).pipe(
    Effect.as(Either.right(stages)),
    Effect.catchAllDefect((defect) =>
      defect instanceof RangeError
        ? Effect.succeed(Either.left(defect.message))
        : Effect.die(defect)
    )
  )

/** Values are those of JSON where the policy has a form in JSON, otherwise those of code. */
const builder = (base: Policy): (settings: Settings) => Effect.Effect<Built> => {
  const written = Schema.encodeUnknownOption(Pipeline.Spec)(base.stages)
  return (settings) =>
    Option.match(Option.filter(written, isPlain), {
      // The form of code is checked by building it.
      onNone: () => fromCode(applied({ ...base.stages }, settings) as unknown as Pipeline.Stages),
      onSome: (json) => Effect.succeed(fromJson(applied(json, settings)))
    })
}

/** The combination with this number: the last path turns fastest. */
const combination = (
  search: ReadonlyArray<readonly [string, ReadonlyArray<unknown>]>,
  number: number
): Settings => {
  let left = number
  const settings: Record<string, unknown> = {}
  for (const [path, values] of [...search].reverse()) {
    settings[path] = values[left % values.length]
    left = Math.floor(left / values.length)
  }
  return Object.fromEntries(search.map(([path]) => [path, settings[path]]))
}

const tries = 20

/** The numbers of the combinations to try, in rising order. */
const chosen = (count: number, trials: number, seed: number): ReadonlyArray<number> => {
  if (count <= trials) return Array.from({ length: count }, (_, number) => number)
  const source = Draw.source(seed, 0)
  const numbers = new Set<number>()
  for (let draw = 0; numbers.size < trials && draw < trials * tries; draw++) {
    numbers.add(Math.floor(Draw.unit(source, draw, Draw.purposes.policy, 0) * count))
  }
  return [...numbers].sort((a, b) => a - b)
}

const refused = (path: string, value: unknown, message: string): InvalidScenario => {
  const at = path === "" ? "search" : `search.${path}`
  return new InvalidScenario({ path: at, value, findings: [{ path: at, message }] })
}

const checkSearch = (
  search: TuneOptions["search"]
): Effect.Effect<ReadonlyArray<readonly [string, ReadonlyArray<unknown>]>, InvalidScenario> => {
  const entries = Object.entries(search)
  const empty = entries.find(([, values]) => values.length === 0)
  const bare = entries.find(([path]) => path.split(".").some((field) => field === ""))
  if (entries.length === 0) return refused("", search, "should name a field")
  if (bare !== undefined) return refused(bare[0], bare[0], "should be the path of a field")
  return empty === undefined
    ? Effect.succeed(entries)
    : refused(empty[0], empty[1], "should have a value to try")
}

interface Made {
  readonly candidates: ReadonlyArray<Candidate>
  readonly leftOut: number
}

/**
 * Builds the combinations. A value of which nothing can be built, in whatever combination, is a
 * mistake; a combination that contradicts itself is left out.
 */
const candidatesOf = (base: Policy, options: TuneOptions): Effect.Effect<Made, InvalidScenario> =>
  Effect.gen(function*() {
    const search = yield* checkSearch(options.search)
    const build = builder(base)
    const count = search.reduce((product, [, values]) => product * values.length, 1)
    const trials = Validate.integer("trials", options.trials ?? 64, 1)
    const candidates: Array<Candidate> = []
    const refusals: Array<{ readonly settings: Settings; readonly message: string }> = []
    for (const number of chosen(count, trials, options.seed ?? 1)) {
      const settings = combination(search, number)
      const built = yield* build(settings)
      if (Either.isLeft(built)) refusals.push({ settings, message: built.left })
      else candidates.push({ settings, policy: { name: base.name, stages: built.right } })
    }
    for (const [path, values] of search) {
      for (const [index, value] of values.entries()) {
        const isTried = refusals.some(({ settings }) => settings[path] === value)
        if (!isTried || candidates.some(({ settings }) => settings[path] === value)) continue
        const alone = yield* build({ [path]: value })
        if (Either.isLeft(alone)) return yield* refused(`${path}.${index}`, value, alone.left)
      }
    }
    const [first] = refusals
    if (candidates.length === 0 && first !== undefined) {
      return yield* refused("", options.search, `has no combination that works: ${first.message}`)
    }
    return { candidates, leftOut: refusals.length }
  })

// -----------------------------------------------------------------------------
// the search
// -----------------------------------------------------------------------------

/** One policy under all scenarios. */
interface Trial extends Candidate {
  readonly ran: ReadonlyArray<Ran>
}

const meanOf = (metric: Metric) => ({ result }: Ran): number => result.metrics[metric].mean

/** By how much limits are exceeded, all together; those of 0 count as they are. */
const excess = (limits: ReadonlyArray<Limit>, { ran }: Trial): number =>
  limits.reduce((sum, { atMost, metric }) => {
    const worst = Math.max(...ran.map(meanOf(metric)))
    return sum + Math.max(0, worst - atMost) / (atMost > 0 ? atMost : 1)
  }, 0)

const worstOf = (metric: Metric, { ran }: Trial): Ran =>
  ran.reduce((worst, each) => (meanOf(metric)(each) > meanOf(metric)(worst) ? each : worst))

/** First who keeps the limits, then who has the smaller figure where it is worst. */
const ranked = (
  trials: ReadonlyArray<Trial>,
  { minimize, subjectTo = [] }: TuneOptions
): ReadonlyArray<Trial> =>
  trials
    .map((trial) => ({
      trial,
      excess: excess(subjectTo, trial),
      worst: meanOf(minimize)(worstOf(minimize, trial))
    }))
    .sort((a, b) => a.excess - b.excess || a.worst - b.worst)
    .map(({ trial }) => trial)

/** Replications of the first round, and of the last one; each round has twice as many. */
const rounds = { first: 2, last: 16 } as const

/** Replications of what is shown. */
const shown = 20

const simulated = (
  candidates: ReadonlyArray<Candidate>,
  { onProgress, scenarios }: TuneOptions,
  seed: number,
  replications: number
): Effect.Effect<ReadonlyArray<Trial>, SimulationError> =>
  Effect.map(
    Effect.forEach(scenarios, (scenario) =>
      all(
        candidates.map(({ policy }) => policy),
        { scenario, seed, replications, onProgress }
      )),
    (byScenario) =>
      candidates.map((candidate, index) => ({
        ...candidate,
        ran: byScenario.flatMap((ran) => ran[index] ?? [])
      }))
  )

/** Halves the candidates until one is left, with twice the replications for those that stay. */
const best = (
  candidates: ReadonlyArray<Candidate>,
  options: TuneOptions,
  seed: number,
  replications: number
): Effect.Effect<Candidate | undefined, SimulationError> =>
  candidates.length < 2
    ? Effect.succeed(candidates[0])
    : Effect.flatMap(simulated(candidates, options, seed, replications), (trials) => {
      const half = ranked(trials, options).slice(0, Math.ceil(candidates.length / 2))
      return best(half, options, seed, Math.min(rounds.last, replications * 2))
    })

const differenceOf = (metric: Metric, found: Trial, base: Trial): Difference => {
  const figures = worstOf(metric, base).outcomes
  const estimate = Estimate.estimate(
    worstOf(metric, found).outcomes.map((outcome, replication) =>
      outcome.figures[metric] - (figures[replication]?.figures[metric] ?? 0)
    )
  )
  return { ...estimate, isShown: estimate.low > 0 || estimate.high < 0 }
}

const warningsOf = ({ scenarios }: TuneOptions, { leftOut }: Made): ReadonlyArray<string> => [
  ...(scenarios.length < 3
    ? [
      `${scenarios.length} ${scenarios.length === 1 ? "scenario is" : "scenarios are"} few: the ` +
      "policy may fit nothing else; three or more are better"
    ]
    : []),
  ...(leftOut > 0
    ? [`${leftOut} combinations were left out: no pipeline can be built of them`]
    : [])
]

/**
 * Searches for a policy that makes a figure smaller than the base does, where it is worst.
 *
 * **Details**
 *
 * - All combinations of the values are tried, or `trials` of them by chance. All meet the same
 *   draws. The worse half is dropped, again and again (successive halving, Jamieson and Talwalkar,
 *   2016), and those that stay are simulated twice as often.
 * - The best one and the base are then simulated with the next seed, 20 times each. Better is what
 *   keeps all limits, and whose figure is smaller in 95 of 100 cases, or which keeps limits that
 *   the base does not. Otherwise the answer is the base.
 * - Fails with `InvalidScenario` for a path or a value that no policy can have, with its path
 *   (`search.retry.retries.1`). A combination that contradicts itself is left out and counted.
 * - Dies with a `RangeError` for invalid options, as `run` does.
 *
 * @param base The policy to beat
 * @param options What to try, and where
 * @since 0.1.0
 * @category running
 */
export const tune = (
  base: Policy,
  options: TuneOptions
): Effect.Effect<Tuned, SimulationError> =>
  Effect.gen(function*() {
    const { minimize, subjectTo = [] } = options
    const seed = Validate.integer("seed", options.seed ?? 1, 0)
    for (const { atMost } of subjectTo) Validate.number("subjectTo.atMost", atMost, 0)
    const made = yield* candidatesOf(base, options)
    const asked: Candidate = { settings: {}, policy: base }
    const winner = yield* best([asked, ...made.candidates], options, seed, rounds.first)
    const rivals = winner === undefined || winner === asked ? [asked] : [asked, winner]
    const trials = yield* simulated(rivals, options, seed + 1, shown)
    const [before, found = before] = trials
    // The base is always among them.
    if (before === undefined || found === undefined) return yield* Effect.dieMessage("no trial")
    const difference = differenceOf(minimize, found, before)
    const over = excess(subjectTo, found)
    const isBetter = found !== before && over === 0 &&
      (difference.high < 0 || excess(subjectTo, before) > 0)
    const answer = isBetter ? found : before
    return {
      policy: answer.policy,
      isBetter,
      settings: answer.settings,
      base: before.ran.map(({ result }) => result),
      results: answer.ran.map(({ result }) => result),
      difference,
      tried: made.candidates.length + 1,
      leftOut: made.leftOut,
      warnings: warningsOf(options, made)
    }
  })
