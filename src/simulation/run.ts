/**
 * Simulates policies under a scenario, in several replications.
 */
import type * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Distribution from "../core/distribution.js"
import type * as Simulation from "../core/simulation.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import { liveClock } from "../runtime/clock.js"
import * as Validate from "../runtime/validate.js"
import { compile } from "./compile.js"
import {
  type Comparison,
  type Options,
  type Policy,
  type Result,
  type SimulationError,
  TooLarge
} from "./model.js"
import { type Job, type Outcome, Replication } from "./replication.js"
import * as Scenario from "./Scenario.js"
import { setupOf, warmUpNanosOf } from "./scenario/setup.js"
import { differencesOf, resultOf } from "./summary.js"

/** So many events happen before other fibers, and interruption, have their turn: some 20 ms. */
const eventsPerTurn = 20_000

const maxEvents = 1e9

/** Arrive, serve, answer, and the beginning; with retries, about twice of that. */
const eventsPerCall = 8

const nanosPerSecond = 1e9

const estimatedEvents = (setup: Simulation.Setup, replications: number): number => {
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

/** Hears how far the replications of one policy have come: how many are over, and their share. */
type Report = (done: number, share: number) => Effect.Effect<void>

/** The platform has its turn too, which timers and signals wait for, whatever the clock. */
const pause = Effect.zipRight(Effect.yieldNow(), liveClock.sleep(Duration.zero))

const replicate = (
  job: Job,
  number: number,
  report: (share: number) => Effect.Effect<void>
): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const replication = new Replication(job, number)
    const turn: Effect.Effect<void> = Effect.suspend(() =>
      replication.step(eventsPerTurn)
        ? report(replication.share).pipe(Effect.zipRight(pause), Effect.zipRight(turn))
        : Effect.void
    )
    return Effect.map(turn, () => replication.finish())
  })

/** The outcomes of all replications, in their order. */
const replications = (
  job: Job,
  count: number,
  report: Report
): Effect.Effect<ReadonlyArray<Outcome>> =>
  Effect.forEach(
    Array.from({ length: count }, (_, number) => number),
    (number) =>
      replicate(job, number, (share) => report(number, (number + share) / count)).pipe(
        Effect.tap(() => report(number + 1, (number + 1) / count))
      )
  )

/** A policy that can be built, and the numbers that its replications have in common. */
interface Prepared {
  readonly policy: string
  readonly job: Job
  readonly warnings: ReadonlyArray<string>
}

const prepared = (
  { name, stages }: Policy,
  scenario: Scenario.Scenario,
  seed: number
): Effect.Effect<Prepared> =>
  Effect.map(Pipeline.make(stages), () => {
    const compiled = compile(stages)
    const { _tag } = stages.operation
    return {
      policy: name,
      warnings: compiled.warnings,
      job: {
        setup: { ...setupOf(scenario), stages: compiled.stages },
        seed,
        warmUpNanos: warmUpNanosOf(scenario),
        deduplicates: scenario.services[0].deduplicatesKeys && _tag === "Keyed",
        isHarmful: _tag === "Keyed" || _tag === "Once"
      }
    }
  })

/** A result, and the figures of each replication. */
export interface Ran {
  readonly result: Result
  readonly outcomes: ReadonlyArray<Outcome>
}

/** Everything is checked before the first event of the first policy. */
export const all = (
  policies: ReadonlyArray<Policy>,
  { onProgress, ...options }: Options
): Effect.Effect<ReadonlyArray<Ran>, SimulationError> =>
  Effect.gen(function*() {
    const scenario = yield* Scenario.decode(options.scenario)
    const seed = Validate.integer("seed", options.seed ?? 1, 0)
    const count = Validate.integer("replications", options.replications ?? 10, 1)
    const ready = yield* Effect.forEach(policies, (policy) => prepared(policy, scenario, seed))
    const estimate = ready.reduce((sum, { job }) => sum + estimatedEvents(job.setup, count), 0)
    if (estimate > maxEvents) {
      return yield* new TooLarge({ of: "events", estimate, limit: maxEvents })
    }
    return yield* Effect.forEach(ready, ({ job, policy, warnings }, index) => {
      const report: Report = (done, share) =>
        onProgress?.({
          policy,
          done,
          replications: count,
          share: (index + share) / ready.length
        }) ?? Effect.void
      return Effect.map(replications(job, count, report), (outcomes) => ({
        outcomes,
        result: resultOf(outcomes, { policy, seed, isHarmful: job.isHarmful, warnings })
      }))
    })
  })

/**
 * Simulates one policy under a scenario.
 *
 * **Details**
 *
 * - The same policy, scenario and seed give the same result, byte for byte.
 * - Fails with `InvalidScenario` or `TooLarge` before the first event. Dies with a `RangeError` for
 *   a pipeline that cannot be built or is not simulated, and for invalid options.
 * - Can be interrupted at any time, within 100 ms.
 * - Costs about a second for a million attempts.
 *
 * **Example** (Two retries at an upstream of which 5 % fail)
 *
 * ```ts
 * import { Operation } from "effect-resilience"
 * import * as Scenario from "effect-resilience/Scenario"
 * import * as Simulation from "effect-resilience/Simulation"
 * import { Effect } from "effect"
 *
 * const retries = { name: "retries", stages: { operation: Operation.read, retry: { retries: 2 } } }
 *
 * const program = Effect.gen(function*() {
 *   const scenario = yield* Scenario.decode({
 *     duration: "1 minute",
 *     clients: { arrivals: { _tag: "Poisson", perSecond: 50 } },
 *     services: [{
 *       network: { _tag: "Constant", value: "5 millis" },
 *       service: { _tag: "Exponential", mean: "40 millis" },
 *       faults: [{ _tag: "Errors", rate: 0.05, status: 503 }]
 *     }]
 *   })
 *   return yield* Simulation.run(retries, { scenario })
 * })
 *
 * const { metrics } = await Effect.runPromise(program)
 * metrics.amplification.mean.toFixed(2) // => "1.05"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (policy: Policy, options: Options): Effect.Effect<Result, SimulationError> =>
  // One policy has one result.
  Effect.map(all([policy], options), (ran) => ran[0]!.result)

/**
 * Simulates several policies under the same arrivals, service times and faults, and says how each
 * differs from the first: replication by replication, so that what they have in common cancels out.
 * Fails and dies as `run` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const compare = (
  policies: Arr.NonEmptyReadonlyArray<Policy>,
  options: Options
): Effect.Effect<Comparison, SimulationError> =>
  Effect.map(all(policies, options), (ran) => {
    const figures = ran.map(({ outcomes }) => outcomes.map((outcome) => outcome.figures))
    return {
      results: ran.map(({ result }) => result),
      differences: policies.slice(1).map(({ name }, index) =>
        differencesOf(name, figures[index + 1]!, figures[0]!)
      )
    }
  })
