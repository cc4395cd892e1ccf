import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as CountWindow from "../../src/core/countWindow.js"
import { runs } from "../support/runs.js"

const outcome: fc.Arbitrary<CountWindow.Outcome> = fc.record({
  failed: fc.boolean(),
  slow: fc.boolean()
})
const good: CountWindow.Outcome = { failed: false, slow: false }
const failed: CountWindow.Outcome = { failed: true, slow: false }
const slow: CountWindow.Outcome = { failed: false, slow: true }
const both: CountWindow.Outcome = { failed: true, slow: true }

const countsOf = ({ calls, failures, slow }: CountWindow.Counts): CountWindow.Counts => ({
  calls,
  failures,
  slow
})

const counted = (outcomes: ReadonlyArray<CountWindow.Outcome>): CountWindow.Counts => ({
  calls: outcomes.length,
  failures: outcomes.filter(({ failed }) => failed).length,
  slow: outcomes.filter(({ slow }) => slow).length
})

const filled = (
  size: number,
  ...outcomes: ReadonlyArray<CountWindow.Outcome>
): CountWindow.CountWindow => {
  const window = CountWindow.make(size)
  for (const outcome of outcomes) CountWindow.record(window, outcome)
  return window
}

describe("countWindow", () => {
  it("B2: it agrees with an array of which the last n are counted anew, whatever is recorded and cleared", () => {
    const commands = fc.array(
      fc.oneof({ weight: 15, arbitrary: outcome }, {
        weight: 1,
        arbitrary: fc.constant("clear" as const)
      }),
      { maxLength: 80, size: "max" }
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), commands, (size, commands) => {
        const window = CountWindow.make(size)
        let all: Array<CountWindow.Outcome> = []
        for (const command of commands) {
          if (command === "clear") {
            CountWindow.clear(window)
            all = []
          } else {
            CountWindow.record(window, command)
            all.push(command)
          }
          const last = all.slice(-size)
          expect([countsOf(window), CountWindow.outcomes(window)]).toEqual([counted(last), last])
        }
      }),
      { numRuns: runs(1000) }
    )
  })

  it("B2: a new window is empty", () => {
    const window = CountWindow.make(3)
    expect([window._tag, window.ring.length, countsOf(window), CountWindow.outcomes(window)])
      .toEqual([
        "Count",
        3,
        { calls: 0, failures: 0, slow: 0 },
        []
      ])
  })

  it("B4: a failing and slow call counts in both, once each", () => {
    expect(countsOf(filled(3, both))).toEqual({ calls: 1, failures: 1, slow: 1 })
  })

  it("B2: the outcome that leaves takes exactly what it brought", () => {
    expect([failed, slow, both, good].map((first) => countsOf(filled(2, first, good, good))))
      .toEqual(
        [failed, slow, both, good].map(() => ({ calls: 2, failures: 0, slow: 0 }))
      )
  })

  it("B2: a window of one holds the last outcome alone", () => {
    expect(CountWindow.outcomes(filled(1, failed, slow, both))).toEqual([both])
  })

  it("B1: what is left in a cleared ring is not subtracted when it is overwritten", () => {
    const window = filled(2, both, both, both)
    CountWindow.clear(window)
    for (const outcome of [good, good, good]) CountWindow.record(window, outcome)
    expect([countsOf(window), window.next]).toEqual([{ calls: 2, failures: 0, slow: 0 }, 1])
  })

  it("B1: a cleared window begins anew at its start", () => {
    const window = filled(5, both, both, both)
    CountWindow.clear(window)
    expect([countsOf(window), window.next, CountWindow.outcomes(window)]).toEqual([
      { calls: 0, failures: 0, slow: 0 },
      0,
      []
    ])
  })

  it("outcomes are told oldest first, also when the ring has come around", () => {
    expect(CountWindow.outcomes(filled(3, good, failed, slow, both))).toEqual([failed, slow, both])
  })
})
