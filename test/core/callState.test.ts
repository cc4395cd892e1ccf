import { describe, expect, it } from "@effect/vitest"
import * as Call from "../../src/core/call.js"
import * as Circuit from "../../src/core/circuit.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"
import { callOf, stagesOf } from "./callMachine.js"

const policy = policyOf({})

describe("callState", () => {
  it("S6: the guards of a process begin at the time at which it does", () => {
    const bucket = { capacity: 4, perSecond: 1 }
    const stages = stagesOf({ circuit: policy, budget: { bucket, ratio: 0.2 } })
    const { process } = callOf(stages, 5_000_000_000)
    expect(process.budget?.tokens).toEqual({ tokens: 4, atMillis: 5000 })
    expect(process.circuit).toEqual(Circuit.make(policy, 5000))
    expect(process.circuit).not.toEqual(Circuit.make(policy, 0))
  })

  it("S6: a new attempt stands before the guards, and its request was not sent", () => {
    const attempt = new Call.Attempt(callOf(stagesOf()), undefined, false, undefined)
    expect(attempt).toMatchObject({
      stand: "guards",
      phase: "new",
      attempt: Call.none,
      limit: Call.none,
      slot: Call.none,
      isForked: false,
      isTotal: false,
      isLeaving: false
    })
  })

  it("S17: an ending that no stage was asked about is refused, and not taken for another", () => {
    expect(() => Call.meaningOf(stagesOf(), 503)).toThrow(
      new RangeError("meanings should have an entry for 503")
    )
  })
})
