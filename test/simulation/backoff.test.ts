/**
 * The simulation of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015) with the machine
 * of this library: clients that all begin at once write to one row under optimistic concurrency
 * control. Each reads the row and then writes it, which fails where another has written meanwhile;
 * messages take |N(10, 2)| ms; delays are 5 ms * 2 ** n after failure n, capped at 2 s.
 */
import { describe, expect, it } from "@effect/vitest"
import { Backoff, Operation } from "effect-resilience"
import * as Call from "../../src/core/call.js"
import * as Draw from "../../src/core/draw.js"
import * as EventQueue from "../../src/core/eventQueue.js"
import { compile } from "../../src/simulation/compile.js"
import { runs } from "../support/runs.js"

const kinds = { read: 0, known: 1, write: 2, written: 3, timer: 4 } as const

/** How long it takes until all have written, in milliseconds, and how many writes there are. */
const contest = (jitter: Backoff.Jitter, clients: number, seed: number) => {
  const backoff = Backoff.exponential({ base: "10 millis", cap: "2 seconds", jitter })
  const { stages } = compile({
    operation: Operation.idempotent,
    retry: { retries: 1_000_000, backoff }
  })
  const source = Draw.source(seed, 0)
  const events = EventQueue.make()
  const attempts: Array<Call.Attempt> = []
  const calls: Array<Call.Call> = []
  const known: Array<number> = []
  const clock = { nanos: 0 }
  let turn = 0
  let draws = 0
  let version = 0
  let writes = 0
  const delayNanos = (): number => {
    const unit = () => Draw.unit(source, 0, Draw.purposes.requestNetwork, draws++)
    const normal = Math.sqrt(-2 * Math.log1p(-unit())) * Math.cos(2 * Math.PI * unit())
    return Math.round(Math.abs(10 + 2 * normal) * 1e6)
  }
  const arrange = (at: number, kind: number, number: number): number => {
    EventQueue.add(events, at, turn, number * 8 + kind)
    return turn++
  }
  const machine = new Call.Machine(stages, {
    clock,
    draw: ({ draws, number }) => Draw.unit(source, number + 1, Draw.purposes.policy, draws),
    armCall: (call, endNanos) => {
      call.draws++
      return arrange(endNanos, kinds.timer, call.number)
    },
    armLine: () => -1,
    armLimit: () => -1,
    disarmLimit: () => {},
    send: (attempt) => {
      attempts[attempt.call] = attempt
      arrange(clock.nanos + delayNanos(), kinds.read, attempt.call)
    },
    abandon: () => {},
    attemptEnded: () => {},
    callEnded: () => {},
    transition: () => {}
  })
  const shared = Call.shared(stages, 0, 0, 0)
  for (let number = 0; number < clients; number++) {
    calls.push(new Call.Call(number, Call.process(stages, shared, 0, 0), 0, undefined))
  }
  for (const call of calls) machine.begin(call)
  while (events.size > 0) {
    clock.nanos = events.times[0]!
    const timer = events.turns[0]!
    const what = EventQueue.take(events)
    const number = Math.floor(what / 8)
    switch (what % 8) {
      case kinds.read:
        known[number] = version
        arrange(clock.nanos + delayNanos(), kinds.known, number)
        break
      case kinds.known:
        arrange(clock.nanos + delayNanos(), kinds.write, number)
        break
      case kinds.write: {
        writes++
        const isCurrent = known[number] === version
        if (isCurrent) version++
        known[number] = isCurrent ? 0 : 503
        arrange(clock.nanos + delayNanos(), kinds.written, number)
        break
      }
      case kinds.written:
        machine.answered(attempts[number]!, known[number]!, undefined)
        break
      default:
        machine.callTimer(calls[number]!, timer)
    }
  }
  expect(version).toBe(clients)
  return { millis: clock.nanos / 1e6, writes }
}

const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** 100 clients, as in the article; the mean of many contests. */
const contests = (jitter: Backoff.Jitter) => {
  const all = Array.from({ length: runs(100, 20) }, (_, seed) => contest(jitter, 100, seed + 1))
  const [millis, writes] = [mean(all.map((one) => one.millis)), mean(all.map((one) => one.writes))]
  console.log(`${millis.toFixed(0)} ms, ${writes.toFixed(0)} writes`)
  return { millis, writes }
}

const isWithin = (value: number, target: number, share: number): void =>
  expect(Math.abs(value / target - 1)).toBeLessThanOrEqual(share)

describe("validation of backoff", () => {
  it("full jitter: 100 clients take 4893 ms and 795 writes", () => {
    const { millis, writes } = contests(Backoff.full)
    isWithin(millis, 4893, 0.05)
    isWithin(writes, 795, 0.03)
  })

  it("no jitter: 100 clients take 63 290 ms and 1849 writes", () => {
    const { millis, writes } = contests(Backoff.none)
    isWithin(millis, 63_290, 0.05)
    isWithin(writes, 1849, 0.03)
  })
})
