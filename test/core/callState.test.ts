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
    expect(process.circuit?.state).toEqual(Circuit.make(policy, 5000))
    expect(process.circuit?.state).not.toEqual(Circuit.make(policy, 0))
  })

  it("S7: a process has in common with the first what its fleet shares, and nothing else", () => {
    const bulkhead = { limits: { concurrency: 2, queue: 0 }, maxWaitMillis: 0, isPerKey: false }
    const cooldown = { policy: { capMillis: 1, trialMillis: 1 }, maxWaitMillis: 0 }
    const guards = ["circuit", "limiter", "bulkhead", "cooldown"] as const
    for (const isPerKey of [false, true]) {
      for (
        const inCommon of [
          undefined,
          ...guards.map((guard) => new Set([guard])),
          new Set(guards)
        ]
      ) {
        const stages = stagesOf({
          circuit: policy,
          bulkhead: { ...bulkhead, isPerKey },
          cooldown,
          inCommon
        })
        const made = (number: number, first?: Call.Process) =>
          Call.process(stages, Call.shared(stages, 0, number, 0), 0, 0, first)
        const first = made(0)
        const second = made(1, first)
        expect(first.circuit?.number).toBe(0)
        expect(second).toMatchObject({ number: 1 })
        expect(second.circuit?.number).toBe(inCommon?.has("circuit") === true ? 0 : 1)
        expect({
          circuit: second.circuit === first.circuit,
          limiter: second.rate === first.rate,
          bulkhead: second.permits === first.permits,
          cooldown: second.cooldown === first.cooldown
        }).toEqual(
          Object.fromEntries(guards.map((guard) => [guard, inCommon?.has(guard) === true]))
        )
      }
    }
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
