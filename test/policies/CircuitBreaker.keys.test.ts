import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Scope, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { rateLimit } from "../support/errors.js"
import {
  call,
  calls,
  down,
  halfOpen,
  hold,
  many,
  numbers,
  ok,
  throughJson,
  tripped,
  watch
} from "./circuitBreaker.js"

describe("keys", () => {
  it.effect("B11: one circuit per key, and none is \"default\"", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      yield* call(breaker, down, "a")
      yield* call(breaker, ok, "b")
      const states = [yield* breaker.state("a"), yield* breaker.state("b"), yield* breaker.state()]
      yield* call(breaker, down)
      expect([states, yield* breaker.state("default"), (yield* breaker.snapshot("b")).key]).toEqual(
        [
          ["Open", "Closed", "Closed"],
          "Open",
          "b"
        ]
      )
    }))

  it.effect("B11: names of Object.prototype are keys like any other", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const keys = ["__proto__", "constructor", "toString", "", " "]
      yield* Effect.forEach(keys, (key) => call(breaker, down, key))
      const other = yield* CircuitBreaker.make(brittle)
      yield* other.importState(throughJson(yield* breaker.exportState))
      expect([
        yield* Effect.forEach(keys, (key) => breaker.state(key)),
        yield* Effect.forEach(keys, (key) => other.state(key)),
        yield* breaker.state("valueOf")
      ]).toEqual([many(5, "Open"), many(5, "Open"), "Closed"])
    }))

  it.effect("B11: an idle key is forgotten after idleTimeToLive, by default an hour", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (
        const [options, millis] of [
          [{}, 3_599_999],
          [{}, 3_600_001],
          [{ idleTimeToLive: "1 minute" }, 59_999],
          [{ idleTimeToLive: "1 minute" }, 60_001]
        ] as const
      ) {
        const breaker = yield* CircuitBreaker.make(options)
        yield* calls(breaker, [ok, down, ok], "a")
        yield* TestClock.adjust(millis)
        seen.push((yield* breaker.snapshot("a")).calls)
      }
      expect(seen).toEqual([3, 0, 3, 0])
    }))

  it.effect("B11: a call keeps its key alive, not the others", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* call(breaker, ok, "a")
      yield* call(breaker, ok, "b")
      yield* TestClock.adjust("40 seconds")
      yield* call(breaker, ok, "a")
      yield* TestClock.adjust("40 seconds")
      expect([(yield* breaker.snapshot("a")).calls, (yield* breaker.snapshot("b")).calls]).toEqual([
        2,
        0
      ])
    }))

  it.effect("B11: never while open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped({ idleTimeToLive: "1 minute", openDuration: "1 hour" })
      yield* TestClock.adjust("59 minutes")
      yield* call(breaker, ok, "another")
      expect(yield* call(breaker)).toBe("CircuitOpen 60000")
    }))

  it.effect("B11: never with calls in flight, whose outcomes still count", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute", slowCall: false })
      const held = yield* hold(breaker)
      yield* calls(breaker, [down, down])
      yield* TestClock.adjust("1 hour")
      yield* call(breaker, ok, "another")
      const before = yield* numbers(breaker)
      yield* held.end(down)
      expect([before, yield* numbers(breaker)]).toEqual([
        "Closed: 2 calls, 2 failed, 0 slow, 1 in flight",
        "Closed: 3 calls, 3 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B11: never half-open with a slot held, by a running trial or by one told to come back later", () =>
    Effect.gen(function*() {
      const running = yield* halfOpen({ idleTimeToLive: "1 minute", trialTimeout: "1 hour" })
      yield* hold(running)
      const waiting = yield* halfOpen({ idleTimeToLive: "1 minute" })
      yield* call(waiting, Effect.fail(rateLimit("4 minutes")))
      yield* TestClock.adjust("3 minutes")
      yield* call(running, ok, "another")
      yield* call(waiting, ok, "another")
      expect([
        yield* running.state(),
        (yield* call(running)).split(" ")[0],
        yield* waiting.state(),
        (yield* call(waiting)).split(" ")[0]
      ]).toEqual(["HalfOpen", "CircuitOpen", "HalfOpen", "CircuitOpen"])
    }))

  it.effect("B11: never under an operator's control", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* breaker.forceOpen("forced open")
      yield* breaker.forceClosed("forced closed")
      yield* breaker.disable("disabled")
      const scope = yield* Scope.make()
      yield* Scope.extend(breaker.isolate("isolated"), scope)
      yield* TestClock.adjust("1 hour")
      yield* call(breaker, ok, "another")
      const states = yield* Effect.forEach(
        ["forced open", "forced closed", "disabled", "isolated"],
        (key) => breaker.state(key)
      )
      yield* Scope.close(scope, Exit.void)
      expect([states, yield* breaker.state("isolated")]).toEqual([
        ["ForcedOpen", "ForcedClosed", "Disabled", "Isolated"],
        "Closed"
      ])
    }))

  it.effect("B11: of idle keys nothing is left, not even in an export", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* Effect.forEach(Array.from({ length: 500 }), (_, i) => call(breaker, ok, `idle-${i}`), {
        discard: true
      })
      const full = JSON.stringify(yield* breaker.exportState)
      yield* TestClock.adjust("2 minutes")
      yield* call(breaker, ok, "fresh")
      const after = JSON.stringify(yield* breaker.exportState)
      expect([full.includes("idle-499"), after.includes("idle-"), after.includes("fresh")]).toEqual(
        [true, false, true]
      )
    }))

  it.effect("rejected counts since the key's circuit was made", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const counts: Array<number> = []
      yield* calls(breaker, [down, ok, ok])
      counts.push((yield* breaker.snapshot()).rejected)
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, down, ok])
      counts.push((yield* breaker.snapshot()).rejected, (yield* breaker.snapshot("other")).rejected)
      expect(counts).toEqual([2, 3, 0])
    }))
})

describe("keys that are idle for a shorter time than they are open", () => {
  const short = { openDuration: "60 millis", idleTimeToLive: "30 millis" } as const

  it.effect("B6, B11: are half-open when the opening is over, and not forgotten for having been open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      yield* TestClock.adjust(60)
      const after = yield* breaker.state()
      yield* TestClock.adjust(29)
      const later = yield* breaker.state()
      yield* TestClock.adjust(1)
      expect([after, later, yield* breaker.state()]).toEqual(["HalfOpen", "HalfOpen", "Closed"])
    }))

  it.effect("B15: a half-open circuit that is forgotten is told as closed", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      const seen = yield* watch(breaker)
      yield* TestClock.adjust(60)
      yield* TestClock.adjust(30)
      yield* breaker.state()
      expect(yield* seen).toEqual(["60 default: Open > HalfOpen", "90 default: HalfOpen > Closed"])
    }))

  it.effect("B10, B11: a closed circuit is remembered for as long as it was last open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      yield* TestClock.adjust(60)
      yield* call(breaker)
      yield* TestClock.adjust(59)
      const before = (yield* breaker.snapshot()).openings
      yield* TestClock.adjust(1)
      expect([before, (yield* breaker.snapshot()).openings]).toEqual([1, 0])
    }))
})

describe("a breaker whose callers use a new key each time", () => {
  it.effect("B11: forgets the idle ones", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      for (let round = 0; round < 10; round++) {
        for (let call = 0; call < 200; call++) {
          yield* breaker.protect(Effect.void, { key: `${round}-${call}` })
        }
        yield* TestClock.adjust("2 minutes")
      }
      expect(yield* breaker.keys).toEqual([])
    }))
})
