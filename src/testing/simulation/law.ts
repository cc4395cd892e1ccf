/**
 * Checks that a simulation and the runtime do the same with every call.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Draw from "../../core/draw.js"
import * as Simulation from "../../core/simulation.js"
import * as Pipeline from "../../pipeline/Pipeline.js"
import * as Validate from "../../runtime/validate.js"
import { compile } from "../../simulation/compile.js"
import { failureOf } from "../../simulation/samples.js"
import * as Scenario from "../../simulation/Scenario.js"
import { setupOf, stagesUnder, statusesOf } from "../../simulation/scenario/setup.js"
import { LawBroken } from "../lawBroken.js"
import { type Ended, endedAt } from "./ended.js"
import { executed } from "./runtime.js"

/** What the simulation makes of a scenario. */
const simulated = (setup: Simulation.Setup, source: Draw.Source): ReadonlyArray<Ended> => {
  const ends: Array<Ended> = []
  const simulation = new Simulation.Simulation(setup, source, {
    ended: (call, endNanos) => void ends.push(endedAt(call, endNanos))
  })
  while (simulation.step(1000)) {
    // Everything that happens is told to the observer.
  }
  return ends
}

/** A failure by its tag, and by what tells it from others of that tag. */
const outcomeOf = (code: number): string => {
  if (code === 0) return "Success"
  if (code === -1) return "an error that is not simulated"
  const { _tag, deadline, sent, status } = failureOf(code, undefined) as unknown as {
    readonly _tag: string
    readonly deadline?: string
    readonly sent?: string
    readonly status?: number
  }
  const more = status ?? deadline ?? (sent === "no" ? "not sent" : sent)
  return more === undefined ? _tag : `${_tag} (${more})`
}

/**
 * How a call ended, in the runtime and in the simulation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** The number of the call, in the order in which they begin; from 0 on. */
  readonly number: number
  /** `Success`, or the tag of the failure and what tells it from others: `Server (503)`. */
  readonly outcome: string
  /** Attempts of a call that failed; 0 of one that succeeded. */
  readonly attempts: number
  /** Requests that reached the network, hedges among them. */
  readonly requests: number
  /** When it ended, in milliseconds from the start, exact to the nanosecond. */
  readonly endMillis: number
}

const callOf = ({ attempts, code, endNanos, number, requests }: Ended): Call => ({
  number,
  outcome: outcomeOf(code),
  attempts,
  requests,
  endMillis: endNanos / 1e6
})

const inWords = (call: Call | undefined): string =>
  call === undefined
    ? "does not end"
    : `ends at ${call.endMillis} ms with ${call.outcome} after ${call.attempts} attempts and ` +
      `${call.requests} requests`

const isSame = (one: Call | undefined, other: Call | undefined): boolean =>
  inWords(one) === inWords(other)

const byNumber = (ends: ReadonlyArray<Ended>): ReadonlyArray<Call | undefined> => {
  const calls: Array<Call | undefined> = []
  for (const ended of ends) calls[ended.number] = callOf(ended)
  return calls
}

/** Calls that have begun may take so much longer: one that is lost in a black hole never ends. */
const rest = Duration.minutes(10)

/**
 * Checks that a simulation does with every call what the runtime does: the same outcome after as
 * many attempts, at the same nanosecond. The runtime runs the pipeline itself in virtual time.
 *
 * **Details**
 *
 * - Answers the calls that were compared, in the order in which they began. Calls that take longer
 *   than ten minutes are left out on both sides.
 * - `seed` (default 1) fixes the draws, as in `Simulation.run`; `replication` (default 0) is the
 *   one that is compared.
 * - Stages that a simulation leaves out (telemetry, chaos) break the law where they change calls.
 * - The runtime takes about a millisecond for a call: use short scenarios.
 * - Invalid stages die with `RangeError`; an invalid scenario fails with `InvalidScenario`.
 *
 * **Example** (Stages with functions of their own)
 *
 * ```ts
 * import { Operation, Verdict } from "effect-resilience"
 * import * as Scenario from "effect-resilience/Scenario"
 * import * as Laws from "effect-resilience/testing/Laws"
 * import { Effect } from "effect"
 *
 * const stages = {
 *   operation: Operation.read,
 *   attemptTimeout: "100 millis",
 *   retry: { retries: 2, verdict: () => Verdict.transient() }
 * } as const
 *
 * const program = Effect.gen(function*() {
 *   const scenario = yield* Scenario.decode({
 *     duration: "2 seconds",
 *     clients: { arrivals: { _tag: "Poisson", perSecond: 20 } },
 *     services: [{
 *       network: { _tag: "Exponential", mean: "5 millis" },
 *       service: { _tag: "Exponential", mean: "40 millis" },
 *       faults: [{ _tag: "Errors", rate: 0.3, status: 422 }]
 *     }]
 *   })
 *   const calls = yield* Laws.simulation(stages, scenario)
 *   return calls.some(({ outcome }) => outcome === "Validation (422)")
 * })
 *
 * await Effect.runPromise(program) // => true
 * ```
 *
 * @since 0.1.0
 * @category laws
 */
export const simulation = (
  given: Pipeline.Stages,
  scenario: Scenario.Scenario,
  settings: {
    /** Fixes the draws. Default 1. */
    readonly seed?: number | undefined
    /** Which replication is compared. Default 0. */
    readonly replication?: number | undefined
  } = {}
): Effect.Effect<ReadonlyArray<Call>, LawBroken | Scenario.InvalidScenario> =>
  Effect.gen(function*() {
    const seed = Validate.integer("seed", settings.seed ?? 1, 0)
    const replication = Validate.integer("replication", settings.replication ?? 0, 0)
    const checked = yield* Scenario.decode(scenario)
    const stages = stagesUnder(checked, given)
    yield* Pipeline.make(stages)
    const { setup: common } = setupOf(checked)
    // An odd nanosecond, at which no call ends by its limits.
    const endNanos = common.endNanos + Duration.toMillis(rest) * 1e6 + 1
    const setup = {
      ...common,
      endNanos,
      stages: compile(stages, statusesOf(checked.services[0])).stages
    }
    const source = Draw.source(seed, replication)
    const real = byNumber(yield* executed(stages, checked, setup, source))
    const found = byNumber(simulated(setup, source))
    for (let number = 0; number < Math.max(real.length, found.length); number++) {
      if (isSame(real[number], found[number])) continue
      return yield* new LawBroken({
        message: `Laws.simulation: Call ${number} ${inWords(real[number])} in the runtime, and ` +
          `${inWords(found[number])} in the simulation`
      })
    }
    return real.filter((call) => call !== undefined)
  })
