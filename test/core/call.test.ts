/**
 * What the machine of calls makes of generated pipelines and scenarios, against what the runtime
 * made of them: one line for each case, which a long run compares with the runtime again.
 *
 * The law in `test/simulation/law.test.ts` finds what nothing was written down for. These lines ask
 * the machine alone, which takes a thousandth of the time, so they can be asked once for each
 * mutant. `CALL_LINES=write npx vitest run --mode long test/core/call.test.ts` writes them anew.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as Draw from "../../src/core/draw.js"
import * as Simulation from "../../src/core/simulation.js"
import { type Ended, endedAt } from "../../src/testing/simulation/ended.js"
import { executed } from "../../src/testing/simulation/runtime.js"
import { pipelines, scenarios, setupFor } from "../simulation/scenarios.js"
import { isLong } from "../support/runs.js"
import { byHand, type Case } from "./callCases.js"

const chosen = 150

const casesOf = (isHedged: boolean, isSmooth: boolean) => (): ReadonlyArray<Case> =>
  fc.sample(
    fc.record({ stages: pipelines(isHedged), scenario: scenarios(isSmooth), seed: fc.nat() }),
    { numRuns: chosen, seed: 20_261_130 }
  )

const kinds = [
  { name: "calls that are rarely met by chance", cases: () => byHand },
  { name: "calls that meet only by their limits", cases: casesOf(false, true) },
  { name: "calls that meet all the time", cases: casesOf(false, false) },
  { name: "hedged calls that meet only by their limits", cases: casesOf(true, true) },
  { name: "hedged calls that meet all the time", cases: casesOf(true, false) }
]

const digest = (facts: ReadonlyArray<unknown>): string =>
  createHash("sha1").update(JSON.stringify(facts)).digest("hex").slice(0, 10)

/** What the runtime and the machine have to agree on. */
const agreed = (ends: ReadonlyArray<Ended>): string => {
  const sorted = [...ends].sort((a, b) => a.number - b.number)
  const succeeded = ends.filter(({ code }) => code === 0).length
  const requests = ends.reduce((sum, end) => sum + end.requests, 0)
  const facts = sorted.map((
    end
  ) => [end.number, end.code, end.attempts, end.requests, end.endNanos])
  return `${succeeded} of ${ends.length} calls, ${requests} requests, ${digest(facts)}`
}

/** The calls that have ended, and all else that the machine tells. */
const simulated = ({ scenario, seed, stages }: Case) => {
  const ends: Array<Ended> = []
  const told: Array<unknown> = []
  const simulation = new Simulation.Simulation(setupFor(scenario, stages), Draw.source(seed, 0), {
    sent: ({ attempt, call, isHedge }, nanos) => void told.push([call, attempt, isHedge, nanos]),
    abandoned: ({ attempt, call }) => void told.push(["abandoned", call, attempt]),
    answered: ({ attempt, call }) => void told.push(["answered", call, attempt]),
    transition: ({ key, number }, from, to, atMillis) =>
      void told.push([number, key, from, to, atMillis]),
    ended: (call, endNanos) => {
      told.push([call.number, call.stop])
      ends.push(endedAt(call, endNanos))
    }
  })
  while (simulation.step(1000)) {
    // To the end.
  }
  told.push(simulation.pending, simulation.happened)
  return { ends, told }
}

const isWriting = process.env["CALL_LINES"] === "write"

describe("machine of calls", () => {
  for (const { cases, name } of kinds) {
    it(`S6: what the runtime made of ${name}`, async () => {
      const file = new URL(`call/${name.replaceAll(" ", "-")}.txt`, import.meta.url)
      const known = isWriting ? [] : fs.readFileSync(file, "utf8").trimEnd().split("\n")
      const lines: Array<string> = []
      for (const each of cases()) {
        const { ends, told } = simulated(each)
        const line = agreed(ends)
        if (isLong) {
          const { scenario, seed, stages } = each
          const setup = setupFor(scenario, stages)
          const real = await Effect.runPromise(
            executed(stages, scenario, setup, Draw.source(seed, 0))
          )
          expect(agreed(real), `case ${lines.length}`).toBe(line)
        }
        lines.push(`${line}, told ${digest(told)}`)
        // Case by case: a mutant is to be found by the first that it changes.
        if (!isWriting) expect(lines.at(-1), file.pathname).toBe(known[lines.length - 1])
      }
      if (isWriting) fs.writeFileSync(file, `${lines.join("\n")}\n`)
      else expect(known).toHaveLength(lines.length)
    }, 300_000)
  }
})
