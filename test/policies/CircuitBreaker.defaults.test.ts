import { describe, expect, it } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import {
  bothOf,
  call,
  calls,
  defaultsTripped,
  down,
  holdMany,
  many,
  numbers,
  ok,
  taking
} from "./circuitBreaker.js"

describe("the numbers of the document", () => {
  it.effect("B1: with the defaults nine failures of nine stay closed, the tenth opens", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const before = yield* calls(breaker, many(9, down))
      const nine = yield* breaker.state()
      yield* call(breaker, down)
      expect([before, nine, yield* breaker.state()]).toEqual([many(9, "Server"), "Closed", "Open"])
    }))

  it.effect("B1: five of ten open, four of ten do not", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const failures of [3, 4, 5, 6]) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, bothOf(many(failures, down), many(10 - failures, ok)))
        states.push(`${failures}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["3: Closed", "4: Closed", "5: Open", "6: Open"])
    }))

  it.effect("B1: the rates are evaluated after successes too: nine failures and then one success open", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, many(9, down))
      expect([yield* call(breaker, ok), yield* breaker.state()]).toEqual(["ok", "Open"])
    }))

  it.effect("B5, B6, B7: after thirty seconds three trials run and a fourth concurrent call is rejected", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      const states: Array<string> = [yield* breaker.state()]
      yield* TestClock.adjust(29_999)
      states.push(yield* breaker.state(), yield* call(breaker))
      yield* TestClock.adjust(1)
      states.push(yield* breaker.state())
      const held = yield* holdMany(4, breaker)
      const running = yield* Effect.forEach(held, ({ now }) => now)
      expect([states, running.map((word) => word.split(" ")[0])]).toEqual([
        ["Open", "Open", "CircuitOpen 1", "HalfOpen"],
        ["running", "running", "running", "CircuitOpen"]
      ])
    }))

  it.effect("B7: three successes close", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      yield* TestClock.adjust(30_000)
      const states: Array<string> = []
      for (const _ of [1, 2, 3]) {
        yield* call(breaker)
        states.push(yield* breaker.state())
      }
      expect(states).toEqual(["HalfOpen", "HalfOpen", "Closed"])
    }))

  it.effect("B7: three successes at once close", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      yield* TestClock.adjust(30_000)
      const held = yield* holdMany(3, breaker)
      yield* Effect.forEach(held, ({ end }) => end(ok))
      expect(yield* breaker.state()).toBe("Closed")
    }))

  it.effect("B7: a failed trial reopens, also after two successes, for another thirty seconds", () =>
    Effect.gen(function*() {
      const words: Array<unknown> = []
      for (const successes of [0, 1, 2]) {
        const breaker = yield* defaultsTripped
        yield* TestClock.adjust(30_000)
        yield* calls(breaker, bothOf(many(successes, ok), [down]))
        words.push([yield* breaker.state(), yield* call(breaker)])
      }
      expect(words).toEqual(many(3, ["Open", "CircuitOpen 30000"]))
    }))

  it.effect("B1, B7: a trial of more than three seconds reopens, one of exactly three does not", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const millis of [2999, 3000, 3001]) {
        const breaker = yield* defaultsTripped
        yield* TestClock.adjust(30_000)
        yield* calls(breaker, [ok, ok, taking(millis, ok)])
        states.push(`${millis}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["2999: Closed", "3000: Closed", "3001: Open"])
    }))

  it.effect("B1: six slow calls of ten open, five do not, and exactly three seconds is not slow", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const [slow, millis] of [[5, 3001], [6, 3001], [10, 3000]] as const) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, bothOf(many(slow, taking(millis, ok)), many(10 - slow, ok)))
        states.push(`${slow} of ${millis}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["5 of 3001: Closed", "6 of 3001: Open", "10 of 3000: Closed"])
    }))

  it.effect("B4: a call that fails and is slow counts once in each rate", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, [taking(3001, down), taking(3001, ok), down, ok])
      expect(yield* numbers(breaker)).toBe("Closed: 4 calls, 2 failed, 2 slow, 0 in flight")
    }))

  it.effect("B1: with slowCall false no call is slow", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ slowCall: false })
      yield* calls(breaker, many(10, taking("1 hour", ok)))
      expect(yield* numbers(breaker)).toBe("Closed: 10 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B1: the rates of a snapshot are there from minimumCalls on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(4, down), many(5, ok)))
      const below = yield* breaker.snapshot()
      yield* call(breaker)
      const { failureRate, slowRate } = yield* breaker.snapshot()
      expect([below.failureRate, below.slowRate, failureRate, slowRate]).toEqual([
        Option.none(),
        Option.none(),
        Option.some(0.4),
        Option.some(0)
      ])
    }))

  it.effect("a fresh snapshot says that nothing has happened, under the key \"default\"", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      expect({ ...(yield* breaker.snapshot()) }).toEqual({
        key: "default",
        state: "Closed",
        calls: 0,
        failures: 0,
        slow: 0,
        failureRate: Option.none(),
        slowRate: Option.none(),
        inFlight: 0,
        rejected: 0,
        openings: 0,
        retryAfter: Option.none()
      })
    }))
})
