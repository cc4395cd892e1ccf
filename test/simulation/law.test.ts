import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Pipeline } from "effect-resilience"
import type * as Scenario from "effect-resilience/Scenario"
import * as Laws from "effect-resilience/testing/Laws"
import { runs } from "../support/runs.js"
import { pipelines, scenarios } from "./scenarios.js"

/** A case runs a pipeline for a second of virtual time: a tenth of them in a normal run. */
const casesOf = (all: number): number => runs(all) === all ? all : Math.ceil(all / 10)

/** What is compared in a run of the law, so that a law about nothing fails. */
interface Seen {
  readonly outcomes: Set<string>
  calls: number
  succeeded: number
}

const law = (
  isHedged: boolean,
  isSmooth: boolean,
  cases: number,
  seen: Seen
): Promise<void> => {
  const agree = async (
    stages: Pipeline.Stages,
    scenario: Scenario.Scenario,
    seed: number
  ): Promise<void> => {
    for (
      const { outcome } of await Effect.runPromise(Laws.simulation(stages, scenario, { seed }))
    ) {
      seen.outcomes.add(outcome)
      seen.calls++
      if (outcome === "Success") seen.succeeded++
    }
  }
  return fc.assert(
    fc.asyncProperty(pipelines(isHedged), scenarios(isSmooth), fc.nat(), agree),
    { numRuns: casesOf(cases) }
  )
}

/** Every way in which a guard, a time limit or the network ends a call, and a further service. */
const ways = [
  "Success",
  "Network (not sent)",
  "Network (unknown)",
  "Timeout (attempt)",
  "Timeout (total)",
  "CircuitOpen",
  "Throttled",
  "RateLimited",
  "BulkheadFull",
  "ConcurrencyLimited",
  "CoolingDown",
  "QueueTimeout",
  "RateLimit (429)",
  "Server (502)",
  "Server (503)"
]

const kinds = [
  { name: "calls that meet only by their limits", isHedged: false, isSmooth: true },
  { name: "calls that meet all the time", isHedged: false, isSmooth: false },
  { name: "hedged calls that meet only by their limits", isHedged: true, isSmooth: true },
  { name: "hedged calls that meet all the time", isHedged: true, isSmooth: false }
]

describe("law of simulation", () => {
  const seen: Seen = { outcomes: new Set(), calls: 0, succeeded: 0 }

  for (const { isHedged, isSmooth, name } of kinds) {
    it(
      `S6: runtime and machine agree on outcome, attempts and end: ${name}`,
      () => law(isHedged, isSmooth, 500, seen),
      600_000
    )
  }

  it("S6: the cases had calls of every ending, and successes among them", () => {
    expect(ways.filter((outcome) => !seen.outcomes.has(outcome))).toEqual([])
    expect(seen.outcomes.has("an error that is not simulated")).toBe(false)
    expect(seen.calls).toBeGreaterThan(3000)
    expect(seen.succeeded / seen.calls).toBeGreaterThan(0.1)
  })
})
