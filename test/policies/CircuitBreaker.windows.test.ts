import { describe, expect, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { call, calls, down, many, numbers, ok, taking } from "./circuitBreaker.js"

describe("windows", () => {
  it.effect("B2: count(n) holds exactly the last n outcomes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(3),
        minimumCalls: 3,
        failureRate: 1
      })
      const seen: Array<string> = []
      for (const effect of [down, down, ok, down, down, ok, ok, ok, ok]) {
        yield* call(breaker, effect)
        const { calls, failures } = yield* breaker.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual([
        "1 of 1",
        "2 of 2",
        "2 of 3",
        "2 of 3",
        "2 of 3",
        "2 of 3",
        "1 of 3",
        "0 of 3",
        "0 of 3"
      ])
    }))

  it.effect("B2: a slow call leaves the window with the call itself", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(2),
        minimumCalls: 2
      })
      yield* calls(breaker, [taking(3001, ok), ok])
      const before = yield* numbers(breaker)
      yield* call(breaker)
      expect([before, yield* numbers(breaker)]).toEqual([
        "Closed: 2 calls, 0 failed, 1 slow, 0 in flight",
        "Closed: 2 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: a time window forgets on its own", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds", { buckets: 10 })
      })
      yield* calls(breaker, [down, down, ok])
      const seen: Array<string> = []
      for (const seconds of [0, 8, 3]) {
        yield* TestClock.adjust(seconds * 1000)
        seen.push(yield* numbers(breaker))
      }
      expect(seen).toEqual([
        "Closed: 3 calls, 2 failed, 0 slow, 0 in flight",
        "Closed: 3 calls, 2 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: what a time window has forgotten does not open, what it holds does", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const pause of [5000, 11_000]) {
        const breaker = yield* CircuitBreaker.make({
          window: CircuitBreaker.time("10 seconds", { buckets: 10 })
        })
        yield* calls(breaker, many(9, down))
        yield* TestClock.adjust(pause)
        yield* call(breaker, down)
        states.push(yield* numbers(breaker))
      }
      expect(states).toEqual([
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 1 calls, 1 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: buckets of a time window are forgotten one after the other", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds", { buckets: 10 })
      })
      yield* calls(breaker, [down, taking(5000, ok), ok])
      const seen: Array<string> = []
      for (const seconds of [3, 3, 5]) {
        yield* TestClock.adjust(seconds * 1000)
        const { calls, failures } = yield* breaker.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual(["1 of 3", "0 of 2", "0 of 0"])
    }))

  it.effect("B2: after an idle hour nothing of a time window remains, and the circuit works on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds"),
        idleTimeToLive: "1 day"
      })
      yield* calls(breaker, many(9, down))
      yield* TestClock.adjust("1 hour")
      const after = yield* numbers(breaker)
      yield* calls(breaker, many(9, down))
      const nine = yield* breaker.state()
      yield* call(breaker, down)
      expect([after, nine, yield* breaker.state()]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed",
        "Open"
      ])
    }))

  it.effect("B1: the window empties when the circuit opens, closes and is reset", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, many(10, down))
      const seen = [yield* numbers(breaker)]
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, ok, ok])
      seen.push(yield* numbers(breaker))
      yield* calls(breaker, [down, ok])
      seen.push(yield* numbers(breaker))
      yield* breaker.reset()
      seen.push(yield* numbers(breaker))
      expect(seen).toEqual([
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 2 calls, 1 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))
})
