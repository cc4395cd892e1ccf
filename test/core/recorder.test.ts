import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { endings } from "../../src/core/call.js"
import * as Draw from "../../src/core/draw.js"
import * as LogHistogram from "../../src/core/logHistogram.js"
import * as Recorder from "../../src/core/recorder.js"
import * as Simulation from "../../src/core/simulation.js"
import { pipelines, scenarios, setupFor } from "../simulation/scenarios.js"
import { runs } from "../support/runs.js"

const second = 1e9

/** What is known of one call at its end. */
interface Ended {
  readonly code: number
  readonly fromNanos: number
  readonly millis: number
  readonly sent: number
  readonly executions: number
}

/** A replication with its recorder, and everything that the recorder was told. */
const record = (setup: Simulation.Setup, seed: number, warmUpNanos: number) => {
  const seconds = Math.ceil(setup.endNanos / second)
  const recorder = new Recorder.Recorder(seconds, warmUpNanos, false)
  const ended: Array<Ended> = []
  let began = 0
  const simulation = new Simulation.Simulation(setup, Draw.source(seed, 0), {
    began: (call) => {
      if (call.fromNanos >= warmUpNanos) began++
      recorder.began(call)
    },
    sent: (attempt, now) => recorder.sent(attempt, now),
    answered: (attempt) => recorder.answered(attempt),
    abandoned: (attempt) => recorder.abandoned(attempt),
    executed: (attempt) => recorder.executed(attempt),
    ended: (call, now) => {
      const { code, executions, fromNanos, sent } = call
      ended.push({ code, fromNanos, millis: (now - fromNanos) / 1e6, sent, executions })
      recorder.ended(call, now)
    }
  })
  while (simulation.step(1000)) {
    // To the end.
  }
  recorder.finish()
  return { recorder, ended, began }
}

const sum = (values: Iterable<number>): number => [...values].reduce((all, each) => all + each, 0)

describe("recorder", () => {
  it("S7: calls and requests are conserved, whatever the pipeline and the scenario", () => {
    fc.assert(
      fc.property(
        pipelines(true),
        scenarios(true),
        fc.nat(),
        fc.constantFrom(0, 0.2 * second),
        (stages, scenario, seed, warmUp) => {
          const setup = setupFor(scenario, stages)
          const { began, ended, recorder: { series, totals } } = record(setup, seed, warmUp)
          const counted = ended.filter(({ fromNanos }) => fromNanos >= warmUp)
          const failed = counted.filter(({ code }) => code !== 0)
          expect(totals.offered).toBe(began)
          expect(totals.succeeded).toBe(counted.length - failed.length)
          expect(totals.failed + totals.rejected).toBe(failed.length)
          expect(sum(totals.byCode.values())).toBe(failed.length)
          expect(totals.offered).toBeGreaterThanOrEqual(counted.length)
          expect(totals.sent).toBeGreaterThanOrEqual(totals.answered + totals.abandoned)
          expect(totals.executions).toBeLessThanOrEqual(totals.sent)
          expect(totals.duplicates).toBeLessThanOrEqual(totals.executions)
          expect(sum(series.goodput) + sum(series.failed) + sum(series.rejected))
            .toBe(ended.length)
          expect(Math.max(...series.inProgress)).toBeGreaterThanOrEqual(totals.peakInProgress)
        }
      ),
      { numRuns: runs(500) }
    )
  })

  it("S9: what a guard rejects at once is neither sent nor executed", () => {
    fc.assert(
      fc.property(pipelines(false), scenarios(true), fc.nat(), (stages, scenario, seed) => {
        const { retry: _, ...once } = stages
        const setup = setupFor(scenario, once)
        for (const { code, executions, sent } of record(setup, seed, 0).ended) {
          if (Recorder.isRejection(code)) expect([sent, executions]).toEqual([0, 0])
          else if (code !== endings.totalTimeout) expect(sent).toBe(1)
        }
      }),
      { numRuns: runs(500) }
    )
  })

  it("S13: quantiles are those of whole calls, successes and failures apart", () => {
    fc.assert(
      fc.property(pipelines(true), scenarios(true), fc.nat(), (stages, scenario, seed) => {
        const setup = setupFor(scenario, stages)
        const { ended, recorder } = record(setup, seed, 0)
        const check = (histogram: LogHistogram.LogHistogram, calls: ReadonlyArray<Ended>): void => {
          const sorted = calls.map(({ millis }) => millis).sort((a, b) => a - b)
          const found = LogHistogram.quantile(histogram, 0.95)
          const exact = sorted[Math.ceil(0.95 * sorted.length - 1e-9) - 1]
          if (exact === undefined) expect(found).toBeUndefined()
          else expect(Math.abs(found! / 1e6 - exact)).toBeLessThanOrEqual(0.011 * exact + 1e-6)
        }
        check(recorder.succeeded, ended.filter(({ code }) => code === 0))
        check(recorder.unsuccessful, ended.filter(({ code }) => code !== 0))
      }),
      { numRuns: runs(500) }
    )
  })

  it("S14: recovery is the first of ten seconds in a row with nearly the goodput of before", () => {
    const before = Array.from({ length: 10 }, () => 10)
    const goodput = (after: ReadonlyArray<number>) => Float64Array.from([...before, ...after])
    const faults = { fromNanos: 10 * second, toNanos: 12 * second }
    const well = Array.from({ length: 10 }, () => 10)
    const recovery = (after: ReadonlyArray<number>) =>
      Recorder.recoverySeconds(goodput(after), faults)
    expect(recovery([0, 0, ...well])).toBe(0)
    expect(recovery([0, 0, 0, 0, ...well])).toBe(2)
    // Nine and a half of ten seconds are enough.
    expect(recovery([0, 0, 5, ...well])).toBe(0)
    expect(recovery([0, 0, 4, ...well])).toBe(1)
    expect(recovery([0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])).toBeUndefined()
    expect(recovery([0, 0, ...well.slice(1)])).toBeUndefined()
    expect(Recorder.recoverySeconds(goodput(well), undefined)).toBe(0)
  })
})
