import { describe, expect, it } from "vitest"
import * as Trials from "../../src/core/trials.js"

const rules: Trials.Rules = { _tag: "Consecutive", trials: 2 }

const taken = (trials: Trials.Trials, untilMillis: number, nowMillis = 0) => {
  const place = Trials.take(rules, trials, untilMillis, nowMillis)
  if (!("trial" in place)) throw new Error("no place was free")
  return place
}

const ended = (
  trials: Trials.Trials,
  trial: number,
  finding: Trials.Finding,
  nowMillis: number
): Trials.Trials => {
  const outcome = Trials.end(rules, trials, trial, finding, nowMillis)
  if (typeof outcome === "string") throw new Error(outcome)
  return outcome
}

describe("what an operator leaves of the trials", () => {
  it("B8, B12: a place that was told to wait goes on waiting, the places of trials that run are free", () => {
    const first = taken(Trials.none, 100)
    const second = taken(first.trials, 100)
    const waiting = ended(second.trials, first.trial, { waitMillis: 50 }, 10)
    const left = Trials.abandoned(waiting)
    expect({
      places: left.slots.map(({ untilMillis }) => untilMillis),
      whenOneRuns: Trials.take(rules, taken(left, 100, 10).trials, 100, 10),
      areHeld: [Trials.areHeld(left, 59), Trials.areHeld(left, 60)]
    }).toEqual({ places: [60], whenOneRuns: { freeInMillis: 50 }, areHeld: [true, false] })
  })

  it("B9: what a trial says that was let go changes nothing", () => {
    const { trial, trials } = taken(Trials.none, 100)
    const left = Trials.abandoned(trials)
    expect(Trials.end(rules, left, trial, "bad", 10)).toBe(left)
  })
})
