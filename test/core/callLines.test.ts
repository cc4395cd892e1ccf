import { describe, expect, it } from "@effect/vitest"
import * as Call from "../../src/core/call.js"
import { Lines } from "../../src/core/callLines.js"
import { callOf, hostOf, stagesOf } from "./callMachine.js"

/** One attempt in a line, and the steps that are in line after it. */
const setting = () => {
  const { clock, host, told } = hostOf()
  const steps = new Call.Steps()
  const suspended: Array<Call.Attempt> = []
  const lines = new Lines(host, steps, (attempt) => void suspended.push(attempt))
  const call = callOf(stagesOf())
  const attempt = new Call.Attempt(call, undefined, false, new Call.Pass(call.queueMillis))
  const taken = (): ReadonlyArray<Call.Step> => {
    const all: Array<Call.Step> = []
    steps.drain((step) => void all.push(step))
    return all
  }
  return { clock, told, lines, attempt, suspended, taken }
}

describe("callLines", () => {
  it("S6: one that joins does not wait yet, from now on", () => {
    const { attempt, clock, lines } = setting()
    clock.nanos = 7
    expect(lines.join(attempt, "permits")).toEqual({
      turn: Call.none,
      fromNanos: 7,
      isWaiting: false,
      rate: undefined,
      permit: undefined,
      cooldown: undefined
    })
    expect(attempt.stand).toBe("permits")
  })

  it("S6: one that does not wait is not woken: it looks at its guard anyway", () => {
    const { attempt, lines, taken } = setting()
    lines.join(attempt, "permits")
    lines.notify(attempt)
    lines.notify(undefined)
    expect(taken()).toEqual([])
  })

  it("S6: one that waits is woken once, and its timer is out of date then", () => {
    const { attempt, lines, suspended, taken, told } = setting()
    const line = lines.join(attempt, "permits")
    lines.wait(attempt, line, 2)
    expect([told, line.turn, line.isWaiting]).toEqual([[["armLine", 2_000_000]], 0, true])
    expect(suspended).toEqual([attempt])
    lines.notify(attempt)
    expect([line.turn, line.isWaiting]).toEqual([Call.none, false])
    lines.notify(attempt)
    expect(taken()).toEqual(["wake"])
  })

  it("S6: no time at all is over in the next step, and an endless time needs no timer", () => {
    const { attempt, lines, suspended, taken, told } = setting()
    const line = lines.join(attempt, "permits")
    lines.wait(attempt, line, 0)
    expect([taken(), line.isWaiting]).toEqual([["wake"], false])
    lines.wait(attempt, line, Infinity)
    expect([taken(), line.isWaiting, line.turn, told]).toEqual([[], true, Call.none, []])
    expect(suspended).toEqual([attempt, attempt])
  })

  it("S6: the time in line is added to what the attempt has waited before", () => {
    const { attempt, clock, lines } = setting()
    const pass = attempt.pass
    const line = lines.join(attempt, "permits")
    clock.nanos = 2_500_000
    if (pass === undefined) throw new Error("the attempt passes guards")
    pass.queueMillis = 1
    lines.waited(pass, line)
    expect(pass.queueMillis).toBe(3.5)
  })
})
