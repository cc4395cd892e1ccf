/**
 * Simulates policies under a scenario, in several replications.
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Pipeline from "../pipeline/Pipeline.js"
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
import { type Job, limits, type Outcome } from "./replication.js"
import * as Scenario from "./Scenario.js"
import { namesOf, setupOf, stagesUnder, statusesOf, warmUpNanosOf } from "./scenario/setup.js"
import { overloads, sizeOf } from "./size.js"
import { differencesOf, resultOf } from "./summary.js"
import { elsewhere, here, type Runner } from "./workers.js"

/** A policy that can be built, and the numbers that its replications have in common. */
interface Prepared {
  readonly policy: string
  readonly job: Job
  readonly warnings: ReadonlyArray<string>
}

const prepared = (
  { name, stages: given }: Policy,
  scenario: Scenario.Scenario,
  seed: number
): Effect.Effect<Prepared> => {
  const stages = stagesUnder(scenario, given)
  const [service] = scenario.services
  return Effect.map(Pipeline.make(stages), () => {
    const compiled = compile(stages, statusesOf(service))
    const { setup: common, warnings } = setupOf(scenario)
    const setup = { ...common, stages: compiled.stages }
    const { _tag } = stages.operation
    return {
      policy: name,
      warnings: [...compiled.warnings, ...warnings, ...overloads(setup, namesOf(scenario))],
      job: {
        setup,
        seed,
        warmUpNanos: warmUpNanosOf(scenario),
        deduplicates: service.deduplicatesKeys && _tag === "Keyed",
        isHarmful: _tag === "Keyed" || _tag === "Once"
      }
    }
  })
}

/** The outcomes of all replications of one policy, in their order. */
const replications = (
  { atOnce, run }: Runner,
  job: number,
  count: number,
  report: (done: number, share: number) => Effect.Effect<void>
): Effect.Effect<ReadonlyArray<Outcome>, TooLarge> =>
  Effect.suspend(() => {
    const shares = Array.from({ length: count }, () => 0)
    let done = 0
    const told = (number: number, share: number): Effect.Effect<void> => {
      shares[number] = share
      return report(done, shares.reduce((sum, each) => sum + each, 0) / count)
    }
    return Effect.forEach(shares, (_, number) =>
      Effect.flatMap(
        run({ job, number }, (share) => told(number, share)),
        (reply) => {
          if (reply._tag === "Excess") {
            return new TooLarge({ ...reply.excess, limit: limits[reply.excess.of] })
          }
          done++
          return Effect.as(told(number, 1), reply.outcome)
        }
      ), { concurrency: atOnce })
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
    const workers = Validate.integer("workers", options.workers ?? 1, 1)
    const ready = yield* Effect.forEach(policies, (policy) => prepared(policy, scenario, seed))
    const jobs = ready.map(({ job }) => job)
    const size = sizeOf(jobs, count)
    for (const  of of["events", "bytes"] as const) {
      if (size[of] > limits[of]) {
        return yield* new TooLarge({ of, estimate: size[of], limit: limits[of] })
      }
    }
    const runner = workers === 1
      ? here(jobs)
      : yield* elsewhere(jobs, Math.min(workers, count))
    return yield* Effect.forEach(ready, ({ job, policy, warnings }, index) =>
      Effect.map(
        replications(runner, index, count, (done, share) =>
          onProgress?.({
            policy,
            done,
            replications: count,
            share: (index + share) / ready.length
          }) ?? Effect.void),
        (outcomes) => ({
          outcomes,
          result: resultOf(outcomes, {
            policy,
            seed,
            isHarmful: job.isHarmful,
            services: namesOf(scenario),
            warnings
          })
        })
      ))
  }).pipe(Effect.scoped)

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
