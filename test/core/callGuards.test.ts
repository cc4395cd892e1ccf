/** The machine of calls: what budgets, circuits and throttles hear of an attempt. */
import { describe, expect, it } from "@effect/vitest"
import * as Call from "../../src/core/call.js"
import * as Latency from "../../src/core/latency.js"
import * as TokenBucket from "../../src/core/tokenBucket.js"
import * as CircuitBreaker from "../../src/policies/CircuitBreaker.js"
import { policyOf } from "../../src/policies/circuitBreaker/options.js"
import { begun, failure, meanings, nothing, retryAfter } from "./callMachine.js"

const answered = 404
const heard: Array<Call.Meaning | undefined> = [...meanings]
heard[0] = { ...nothing, circuit: "Success" }
heard[answered] = { ...nothing, isAnswer: true }

/** Opens where half of the last two calls took longer than ten milliseconds. */
const slowCircuit = policyOf({
  window: CircuitBreaker.count(2),
  minimumCalls: 2,
  failureRate: 1,
  slowCall: { duration: "10 millis", rate: 0.5 }
})

type Stages = Parameters<typeof begun>[0]

/** A race that its hedge, which is sent after five milliseconds, wins at this time. */
const raced = (changes: Stages, wonMillis: number) => {
  const race = begun({
    hedge: { hedges: 1, delay: { _tag: "Fixed", millis: 5 } },
    meanings: heard,
    ...changes
  })
  const { call, clock, machine, sent } = race
  clock.nanos = 5e6
  machine.callTimer(call, call.turn)
  clock.nanos = wonMillis * 1e6
  machine.answered(sent[1]!, 0, undefined)
  return race
}

describe("what guards hear of calls", () => {
  it("R20: a failure that is an answer pays into the budget, another failure does not", () => {
    for (const [code, paid] of [[0, 0.5], [answered, 0.5], [failure, 0]] as const) {
      const bucket = { capacity: 10, perSecond: 0 }
      const { attempt, call, machine } = begun({
        budget: { bucket, ratio: 0.5 },
        meanings: heard
      })
      const held = call.process.budget!
      held.tokens = TokenBucket.withdraw(bucket, held.tokens, 0)[1]
      const before = held.tokens.tokens
      machine.answered(attempt, code, undefined)
      expect([code, held.tokens.tokens - before]).toEqual([code, paid])
    }
  })

  it("S6: a retry without a delay is made in the same event", () => {
    const { attempt, machine, sent, told } = begun({ retry: retryAfter(0) })
    told.length = 0
    machine.answered(attempt, failure, undefined)
    expect([sent.length, told]).toEqual([2, [["attemptEnded", failure], ["send", 1]]])
  })

  it("B3: of how long an attempt took, the circuit is not told what it waited, nor others before", () => {
    const { attempt, call, clock, machine, sent, told } = begun({
      circuit: slowCircuit,
      bulkhead: {
        limits: { concurrency: 1, queue: 1 },
        maxWaitMillis: Infinity,
        isPerKey: false
      },
      retry: retryAfter(0),
      meanings: heard
    })
    const second = new Call.Call(1, call.process, 0, undefined)
    machine.begin(second)
    clock.nanos = 9e6
    machine.answered(attempt, 0, undefined)
    // It has waited for 9 ms. Its first attempt fails and is not counted, the next takes 15 ms.
    machine.answered(sent[1]!, failure, undefined)
    clock.nanos = 24e6
    expect(told.filter(([from]) => from === "Closed")).toEqual([])
    machine.answered(sent[2]!, 0, undefined)
    expect(told.filter(([from]) => from === "Closed")).toEqual([["Closed", "Open", 24]])
  })

  it("B3: what loses a race was slow when it took longer than that, and not when as long", () => {
    for (const [millis, opens] of [[10, []], [11, [["Closed", "Open", 11]]]] as const) {
      const { told } = raced({ circuit: slowCircuit }, millis)
      expect(told.filter(([from]) => from === "Closed")).toEqual(opens)
    }
  })

  it("B3: what loses a race and was not slow is not counted at all", () => {
    const { call, machine, sent, told } = raced({
      circuit: policyOf({
        window: CircuitBreaker.count(3),
        minimumCalls: 3,
        failureRate: 0.3,
        slowCall: { duration: "10 millis", rate: 1 }
      }),
      meanings: heard.map((meaning, code) =>
        meaning && code === failure
          ? { ...nothing, allowsHedge: false, circuit: "Failure" }
          : meaning
      )
    }, 10)
    machine.begin(new Call.Call(1, call.process, 10e6, undefined))
    machine.answered(sent[2]!, failure, undefined)
    // Two are counted, and three are needed.
    expect(told.filter(([from]) => from === "Closed")).toEqual([])
  })

  it("B3: an interruption that `classify` calls a failure is one, slow or not", () => {
    const meanings = [...heard]
    meanings[Call.endings.interrupted] = { ...nothing, circuit: "Failure" }
    const { told } = raced({
      circuit: policyOf({
        window: CircuitBreaker.count(2),
        minimumCalls: 2,
        failureRate: 0.5,
        slowCall: { duration: "10 millis", rate: 1 }
      }),
      meanings
    }, 11)
    expect(told.filter(([from]) => from === "Closed")).toEqual([["Closed", "Open", 11]])
  })

  it("G25: a primary counts that has run for as long as the delay, when a hedge wins", () => {
    const { call } = raced({
      hedge: {
        hedges: 1,
        delay: {
          _tag: "Quantile",
          quantile: 0.5,
          atLeastMillis: 0,
          atMostMillis: 100,
          initialMillis: 5,
          samples: 8,
          minimumCalls: 4
        }
      }
    }, 5)
    const { latencies } = call.process
    if (latencies === undefined) throw new Error("the delay is a quantile")
    expect([Latency.count(latencies), Latency.quantile(latencies, 0.5)]).toEqual([1, 5])
  })

  it("G20: a throttle rejects below its probability, and not at it", () => {
    const { attempt, call, machine, sent } = begun({
      throttle: {
        policy: { multiplier: 2, minimumCalls: 1, maxRejection: 0.9 },
        windowMillis: 1000,
        buckets: 2
      },
      meanings: heard.map((meaning, code) =>
        meaning && code === failure ? { ...nothing, throttle: "Failure" } : meaning
      )
    })
    // One of one refused: the probability is 1/2, and so is what is drawn.
    machine.answered(attempt, failure, undefined)
    machine.begin(new Call.Call(1, call.process, 0, undefined))
    expect(sent.length).toBe(2)
  })
})
