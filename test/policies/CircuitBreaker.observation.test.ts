import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Stream, Supervisor, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { rateLimit } from "../support/errors.js"
import { settle } from "../support/turns.js"
import { call, calls, down, many, ok, tripped, watch, wordOf } from "./circuitBreaker.js"

describe("observation", () => {
  it.effect("B15: transitions has the legal edges and nothing else", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const seen = yield* watch(breaker)
      yield* calls(breaker, [ok, down, ok])
      yield* TestClock.adjust(30_000)
      yield* breaker.state()
      yield* call(breaker, down)
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, ok])
      expect(yield* seen).toEqual([
        "0 default: Closed > Open",
        "30000 default: Open > HalfOpen",
        "30000 default: HalfOpen > Open",
        "60000 default: Open > HalfOpen",
        "60000 default: HalfOpen > Closed"
      ])
    }))

  it.effect("B15: every subscriber sees what happens from then on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const first = yield* watch(breaker)
      yield* call(breaker, down, "a")
      const second = yield* watch(breaker)
      yield* call(breaker, down, "b")
      expect([yield* first, yield* second]).toEqual([
        ["0 a: Closed > Open", "0 b: Closed > Open"],
        ["0 b: Closed > Open"]
      ])
    }))

  it.effect("B15: a subscriber that does not keep up stops nobody", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: "1 milli" })
      yield* Effect.fork(Stream.runForEach(breaker.transitions, () => Effect.never))
      yield* settle
      for (let i = 0; i < 500; i++) yield* Effect.zipRight(breaker.forceOpen(), breaker.reset())
      expect(yield* call(breaker)).toBe("ok")
    }))

  it.effect("B6, B15: a listener hears of HalfOpen when it is due, although nobody calls or asks", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const seen = yield* watch(breaker)
      yield* call(breaker, down, "a")
      yield* TestClock.adjust("10 seconds")
      yield* call(breaker, down, "b")
      yield* TestClock.adjust("1 hour")
      expect(yield* seen).toEqual([
        "0 a: Closed > Open",
        "10000 b: Closed > Open",
        "30000 a: Open > HalfOpen",
        "40000 b: Open > HalfOpen"
      ])
    }))

  it.effect("B15: no fiber and no timer at rest, in any state", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const rest = Effect.map(
        Effect.zip(Effect.zipRight(settle, supervisor.value), TestClock.sleeps()),
        ([fibers, sleeps]) => `${fibers.length} fibers, ${Chunk.size(sleeps)} timers`
      )
      const supervised = Effect.supervised(supervisor)
      const breaker = yield* supervised(CircuitBreaker.make(brittle))
      yield* supervised(calls(breaker, [ok, down, ok]))
      yield* supervised(call(breaker, ok, "a"))
      yield* supervised(breaker.forceOpen("b"))
      yield* supervised(breaker.state())
      const open = yield* rest
      yield* TestClock.adjust(30_000)
      yield* supervised(call(breaker, Effect.fail(rateLimit("1 minute"))))
      const half = yield* rest
      yield* TestClock.adjust("1 minute")
      yield* supervised(call(breaker))
      expect([open, half, yield* rest, yield* breaker.state()]).toEqual([
        ...many(3, "0 fibers, 0 timers"),
        "Closed"
      ])
    }))

  it.effect("B15: a listener that has left leaves no fiber behind", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const breaker = yield* tripped()
      const fiber = yield* Effect.fork(
        Effect.supervised(Stream.runDrain(breaker.transitions), supervisor)
      )
      yield* settle
      yield* call(breaker, down, "a")
      yield* Fiber.interrupt(fiber)
      yield* call(breaker, down, "b")
      yield* settle
      expect((yield* supervisor.value).length).toBe(0)
    }))

  it("B15, B16: a synchronous effect stays synchronous", () => {
    const breaker = Effect.runSync(CircuitBreaker.make())
    expect([
      Effect.runSync(breaker.protect(ok)),
      wordOf(Effect.runSyncExit(breaker.protect(down))),
      Effect.runSync(breaker.state()),
      Effect.runSync(breaker.snapshot()).calls
    ]).toEqual(["ok", "Server", "Closed", 2])
  })

  it.effect("B16: what a circuit remembers does not grow with its calls", () =>
    Effect.gen(function*() {
      const sizes: Array<unknown> = []
      for (
        const window of [
          CircuitBreaker.count(20),
          CircuitBreaker.time("10 seconds", { buckets: 10 })
        ]
      ) {
        const breaker = yield* CircuitBreaker.make({ window, failureRate: 1 })
        const size = Effect.map(
          breaker.exportState,
          (state) => JSON.stringify(state).replaceAll(/\d+/g, "0").length
        )
        const thousand = Effect.repeatN(calls(breaker, [ok, Effect.ignore(down), ok, ok]), 249)
        yield* thousand
        const early = yield* size
        yield* Effect.repeatN(thousand, 3)
        sizes.push(early === (yield* size))
      }
      expect(sizes).toEqual([true, true])
    }))
})
