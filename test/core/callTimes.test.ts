/** The machine of calls where a time is at its end, or longer than a timer can be. */
import { describe, expect, it } from "@effect/vitest"
import { maxTimerMillis } from "../../src/core/backoff.js"
import * as Call from "../../src/core/call.js"
import { begun, failure, retryAfter } from "./callMachine.js"

const armed = ({ told }: { readonly told: ReadonlyArray<ReadonlyArray<unknown>> }) =>
  told.filter(([name]) => name !== "send")

describe("times of calls", () => {
  it("S6: a time limit is armed up to the longest timer there is, and no further", () => {
    const longest = maxTimerMillis * 1e6
    for (const limit of ["attemptMillis", "totalMillis"]) {
      expect(armed(begun({ [limit]: maxTimerMillis }))).toEqual([["armLimit", longest]])
      expect(armed(begun({ [limit]: maxTimerMillis + 1 }))).toEqual([])
    }
    // Of the two the shorter one counts.
    const both = begun({ attemptMillis: maxTimerMillis + 1, totalMillis: 3 })
    expect(armed(both)).toEqual([["armLimit", 3e6]])
  })

  it("S6: a hedge is armed up to the longest timer there is, and no further", () => {
    const hedged = (millis: number) =>
      begun({ hedge: { hedges: 2, delay: { _tag: "Fixed", millis } } })
    expect(armed(hedged(maxTimerMillis))).toEqual([["armCall", maxTimerMillis * 1e6]])
    expect(armed(hedged(maxTimerMillis + 1))).toEqual([])
    // Those without a delay start at once, and there is none left to wait for.
    const atOnce = hedged(0)
    expect([atOnce.sent.length, armed(atOnce)]).toEqual([3, []])
  })

  it("S6: an attempt whose time is over when it begins is sent, and ends in the same event", () => {
    const { attempt, call, clock, machine, told } = begun({
      totalMillis: 10,
      retry: retryAfter(10)
    })
    machine.answered(attempt, failure, undefined)
    told.length = 0
    clock.nanos = 10e6
    machine.callTimer(call, call.turn)
    expect(told).toEqual([
      ["send", 1],
      ["abandon", 1],
      ["attemptEnded", Call.endings.totalTimeout],
      ["callEnded", Call.endings.totalTimeout, "terminal"]
    ])
  })

  it("S6: an attempt whose time is over when it begins to wait is turned away in the same event", () => {
    const { attempt, call, clock, machine, told } = begun({
      totalMillis: 10,
      retry: retryAfter(10),
      bulkhead: {
        limits: { concurrency: 1, queue: 1 },
        maxWaitMillis: Infinity,
        isPerKey: false
      }
    })
    machine.answered(attempt, failure, undefined)
    clock.nanos = 5e6
    machine.begin(new Call.Call(1, call.process, 5e6, undefined))
    told.length = 0
    clock.nanos = 10e6
    machine.callTimer(call, call.turn)
    expect(told).toEqual([
      ["attemptEnded", Call.endings.queueTimeout],
      ["callEnded", Call.endings.queueTimeout, "terminal"]
    ])
  })

  it("S6: where both limits are over at once, the total is what is told", () => {
    for (const [totalMillis, code] of [[10, "totalTimeout"], [11, "attemptTimeout"]] as const) {
      const { attempt, machine, told } = begun({ totalMillis, attemptMillis: 10 })
      machine.limitTimer(attempt, attempt.limit)
      expect(told.at(-1)).toEqual(["callEnded", Call.endings[code], undefined])
    }
  })

  it("S6: what is out of date changes nothing", () => {
    const { attempt, call, machine, told } = begun({ attemptMillis: 10, retry: retryAfter(5) })
    const before = [...told]
    machine.limitTimer(attempt, attempt.limit + 1)
    machine.lineTimer(attempt, 0)
    machine.callTimer(call, 7)
    expect(told).toEqual(before)
    machine.answered(attempt, failure, undefined)
    const after = [...told]
    // A second answer, and the limit of what is over.
    machine.answered(attempt, 0, undefined)
    machine.limitTimer(attempt, 0)
    machine.callTimer(call, call.turn + 1)
    expect(told).toEqual(after)
  })
})
