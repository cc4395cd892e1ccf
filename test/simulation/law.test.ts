import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Pipeline } from "effect-resilience"
import { endings } from "../../src/core/call.js"
import * as Draw from "../../src/core/draw.js"
import type * as Simulation from "../../src/core/simulation.js"
import { compile } from "../../src/simulation/compile.js"
import { runs } from "../support/runs.js"
import { executed, type Fate, simulated } from "./runtime.js"
import { pipelines, scenarios } from "./scenarios.js"

const byNumber = (fates: ReadonlyArray<Fate>): ReadonlyArray<Fate> =>
  fates.toSorted((a, b) => a.number - b.number)

/** A case runs a pipeline for a second of virtual time: a tenth of them in a normal run. */
const casesOf = (all: number): number => runs(all) === all ? all : Math.ceil(all / 10)

/** What is compared in a run of the law, so that a law about nothing fails. */
interface Seen {
  readonly codes: Set<number>
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
    scenario: Omit<Simulation.Setup, "stages">,
    seed: number
  ): Promise<void> => {
    const setup = { ...scenario, stages: compile(stages).stages }
    const source = Draw.source(seed, 0)
    const expected = byNumber(await Effect.runPromise(executed(stages, setup, source)))
    expect(byNumber(simulated(setup, source))).toEqual(expected)
    seen.calls += expected.length
    for (const { code } of expected) {
      seen.codes.add(code)
      if (code === 0) seen.succeeded++
    }
  }
  return fc.assert(
    fc.asyncProperty(pipelines(isHedged), scenarios(isSmooth), fc.nat(), agree),
    { numRuns: casesOf(cases) }
  )
}

/** Every way in which a call can end, but that another attempt has won. */
const ways = Object.values(endings).filter((code) => code !== endings.interrupted)

const kinds = [
  { name: "calls that meet only by their limits", isHedged: false, isSmooth: true },
  { name: "calls that meet all the time", isHedged: false, isSmooth: false },
  { name: "hedged calls that meet only by their limits", isHedged: true, isSmooth: true },
  { name: "hedged calls that meet all the time", isHedged: true, isSmooth: false }
]

describe("law of simulation", () => {
  const seen: Seen = { codes: new Set(), calls: 0, succeeded: 0 }

  for (const { isHedged, isSmooth, name } of kinds) {
    it(
      `S6: runtime and machine agree on outcome, attempts and end: ${name}`,
      () => law(isHedged, isSmooth, 500, seen),
      600_000
    )
  }

  it("S6: the cases had calls of every ending, and successes among them", () => {
    expect(ways.filter((code) => !seen.codes.has(code))).toEqual([])
    expect(seen.calls).toBeGreaterThan(5000)
    expect(seen.succeeded / seen.calls).toBeGreaterThan(0.1)
  })
})
