import { describe, expect, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Incident from "../../src/core/incident.js"
import { runs } from "../support/runs.js"

const rule = (changes: Partial<Incident.Rule> = {}): Incident.Rule => ({
  windowMillis: 1000,
  count: 3,
  share: 0,
  growth: 0,
  quietMillis: 5000,
  ...changes
})

/** When incidents are raised by calls at these times; a failure is `true`. */
const raised = (
  rule: Incident.Rule,
  calls: ReadonlyArray<readonly [at: number, failed: boolean]>
) => {
  const watch = Incident.make(rule)
  return calls.flatMap(([at, failed]) =>
    Incident.record(rule, watch, failed, at) === undefined ? [] : [at]
  )
}

const failures = (...times: ReadonlyArray<number>) => times.map((at) => [at, true] as const)

/** Every call is kept; time is cut like the window cuts it. */
const model = (
  rule: Incident.Rule,
  calls: ReadonlyArray<readonly [at: number, failed: boolean]>
) => {
  const bucketOf = (at: number) => Math.floor(at / (rule.windowMillis / 10))
  const found: Array<number> = []
  let raisedOnce = false
  let last = -Infinity
  calls.forEach(([at, failed], index) => {
    if (!failed) return
    const quiet = at - last >= rule.quietMillis
    last = at
    if (raisedOnce && !quiet) return
    raisedOnce = false
    const seen = calls.slice(0, index + 1)
    const age = (time: number) => bucketOf(at) - bucketOf(time)
    const newer = seen.filter(([time]) => age(time) < 10)
    const older = seen.filter(([time, failed]) => failed && age(time) >= 10 && age(time) < 20)
    const count = newer.filter(([, failed]) => failed).length
    if (
      count < rule.count || count < rule.share * newer.length || count < rule.growth * older.length
    ) return
    raisedOnce = true
    found.push(at)
  })
  return found
}

describe("when failures are an incident", () => {
  it("as many as the rule says, within its window", () => {
    expect(raised(rule(), failures(0, 10, 20, 30))).toEqual([20])
  })

  it("failures that lie too far apart are none", () => {
    expect(raised(rule(), failures(0, 1000, 2000, 3000, 4000))).toEqual([])
  })

  it("a share too small is none", () => {
    const successes = Array.from({ length: 10 }, (_, index) => [index, false] as const)
    expect(raised(rule({ share: 0.5 }), [...successes, ...failures(20, 30, 40)])).toEqual([])
  })

  it("says how many failures there were of how many calls in the window", () => {
    const watch = Incident.make(rule())
    const calls = [[0, true], [10, false], [20, true], [30, false], [40, true]] as const
    const answers = calls.map(([at, failed]) => Incident.record(rule(), watch, failed, at))
    expect(answers.at(-1)).toEqual({ failures: 3, calls: 5 })
  })

  it("once it is raised, only a quiet while makes room for another", () => {
    const burst = (from: number) => failures(from, from + 1, from + 2, from + 3)
    expect(raised(rule(), [...burst(0), ...burst(4000), ...burst(9003), ...burst(14_006)])).toEqual(
      [2, 9005, 14_008]
    )
  })

  it("a trend asks for growth over the window before", () => {
    const steady = failures(0, 100, 200, 1500, 1600, 1700)
    expect(raised(rule({ growth: 2, count: 3, quietMillis: 0 }), steady)).toEqual([200])
    const growing = failures(0, 1500, 1600, 1700)
    expect(raised(rule({ growth: 2, count: 3 }), growing)).toEqual([1700])
  })

  /** Failures spread evenly, `count` in each of `windows` windows. */
  const evenly = (from: number, windows: number, count: number) =>
    Array.from({ length: windows * count }, (_, n) => [from + n * 1000 / count, true] as const)

  it("with a baseline, growth is over the mean of the time before, not over one window", () => {
    const spike = rule({ growth: 3, count: 3, baselineMillis: 10_000, quietMillis: 1000 })
    // One window without failures would make three look like growth.
    const uneven = [...evenly(0, 9, 3), ...evenly(10_000, 1, 3), ...evenly(12_000, 1, 6)]
    expect(raised(spike, uneven.slice(3)).filter((at) => at > 3000)).toEqual([])
    const grown = raised(spike, [...evenly(0, 10, 3), ...evenly(10_000, 1, 12)])
    expect(grown.filter((at) => at > 3000)).toEqual([expect.closeTo(10_583, -2)])
  })

  it("with a baseline, failures that are no more than usual do not keep an incident going", () => {
    const changes = { growth: 3, count: 5, quietMillis: 3000 }
    const calls = [
      ...evenly(0, 20, 2),
      ...evenly(20_000, 1, 20),
      ...evenly(21_000, 40, 2),
      ...evenly(61_000, 1, 20)
    ]
    const windowOf = (at: number) => Math.floor(at / 1000)
    const spike = raised(rule({ ...changes, baselineMillis: 10_000 }), calls).map(windowOf)
    const trend = raised(rule(changes), calls).map(windowOf)
    expect([spike, trend]).toEqual([[20, 61], [20]])
  })

  it("with a baseline, failures that go on for ever raise one incident", () => {
    const spike = rule({ growth: 3, count: 5, baselineMillis: 10_000, quietMillis: 3000 })
    expect(raised(spike, evenly(0, 200, 10))).toEqual([400])
  })

  it("agrees with a model that keeps every call", () => {
    const calls = FastCheck.array(
      FastCheck.tuple(FastCheck.integer({ min: 0, max: 400 }), FastCheck.boolean()),
      {
        maxLength: 60
      }
    ).map((steps) => {
      let at = 0
      return steps.map(([step, failed]) => [at += step, failed] as const)
    })
    const rules = FastCheck.record({
      windowMillis: FastCheck.constantFrom(500, 1000, 2000),
      count: FastCheck.integer({ min: 1, max: 5 }),
      share: FastCheck.constantFrom(0, 0.2, 0.5, 1),
      growth: FastCheck.constantFrom(0, 1, 2),
      quietMillis: FastCheck.constantFrom(0, 300, 1500)
    })
    FastCheck.assert(
      FastCheck.property(rules, calls, (rule, calls) => {
        expect(raised(rule, calls)).toEqual(model(rule, calls))
      }),
      { numRuns: runs(1000) }
    )
  })
})
