import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { rateLimit } from "../support/errors.js"
import { settle } from "../support/turns.js"
import {
  call,
  calls,
  down,
  halfOpen,
  holdMany,
  many,
  numbers,
  ok,
  wordOf
} from "./circuitBreaker.js"

describe("concurrency", () => {
  it.effect("B14: what was admitted succeeded, failed, was ignored or is in flight; rejected calls never run", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      let ran = 0
      const counted = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.zipRight(Effect.sync(() => ran++), effect)
      const held = yield* holdMany(4, breaker)
      yield* calls(breaker, [ok, down, rateLimit(), Effect.interrupt].map(counted))
      const closed = yield* numbers(breaker)
      yield* calls(breaker, many(10, counted(down)))
      yield* calls(breaker, many(5, counted(ok)))
      const { inFlight, rejected, state } = yield* breaker.snapshot()
      yield* Effect.forEach(held, ({ end }) => end(ok))
      expect([closed, state, inFlight, ran, rejected, (yield* breaker.snapshot()).inFlight])
        .toEqual([
          "Closed: 2 calls, 1 failed, 0 slow, 4 in flight",
          "Open",
          4,
          12,
          7,
          0
        ])
    }))

  it.effect("B14: an interruption reaches the call and releases it, at once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const log: Array<string> = []
      const effect = Effect.onInterrupt(
        Effect.never,
        () => Effect.sync(() => log.push("interrupted"))
      )
      const fiber = yield* Effect.fork(breaker.protect(effect))
      yield* settle
      log.push(yield* numbers(breaker))
      yield* Fiber.interrupt(fiber)
      log.push(yield* numbers(breaker))
      expect(log).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "interrupted",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B14: calls that lose a race are released", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.raceAll([breaker.protect(ok), ...many(10, breaker.protect(Effect.never))])
      expect((yield* breaker.snapshot()).inFlight).toBe(0)
    }))

  it.effect("an uninterruptible call stays uninterruptible inside", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const gate = yield* Deferred.make<string>()
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(breaker.protect(Deferred.await(gate)))
      )
      yield* settle
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* settle
      const during = yield* numbers(breaker)
      yield* Deferred.succeed(gate, "done")
      yield* Fiber.join(interrupting)
      expect([during, yield* numbers(breaker)]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B14: a classification that throws releases its call, and its slot", () =>
    Effect.gen(function*() {
      const classify = (): CircuitBreaker.Outcome => {
        throw new Error("bug")
      }
      const closed = yield* CircuitBreaker.make(brittle)
      const half = yield* halfOpen()
      const words = yield* Effect.forEach(
        [closed, half],
        (breaker) => Effect.map(Effect.exit(breaker.protect(ok, { classify })), wordOf)
      )
      expect([words, (yield* closed.snapshot()).inFlight, (yield* half.snapshot()).inFlight])
        .toEqual([
          ["defect", "defect"],
          0,
          0
        ])
      yield* TestClock.adjust("1 minute")
      expect(yield* call(half)).toBe("ok")
    }))

  it.effect("B14: a call inside a call is two calls", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.protect(breaker.protect(ok))
      expect(yield* numbers(breaker)).toBe("Closed: 2 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B7, B14: an inner call that is turned away while its caller is the trial does not decide", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      expect([
        (yield* call(breaker, breaker.protect(ok))).split(" ")[0],
        yield* breaker.state(),
        yield* call(breaker)
      ])
        .toEqual(["CircuitOpen", "HalfOpen", "ok"])
    }))
})
