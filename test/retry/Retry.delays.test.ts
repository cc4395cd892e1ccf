import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { Backoff, Operation, Retry } from "effect-resilience"
import { rateLimit, server } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { failing, finish, many, maxTimer, secondly } from "./retry.js"

describe("Retry.retry delays", () => {
  it.effect("R1: the delays are those of the backoff, drawn from the Random service", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Retry.retry(action, {
          operation: Operation.read,
          retries: 5,
          backoff: Backoff.exponential({ base: 100, cap: 1000 })
        })
      ).pipe(Effect.withRandom(Random.fixed([0.5])))
      expect(calls).toEqual([0, 50, 150, 350, 750, 1250])
    }))

  it.effect("R1, R3: decorrelated remembers the previous delay", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Retry.retry(action, {
          operation: Operation.read,
          retries: 4,
          backoff: Backoff.decorrelated({ base: 100, cap: 800 })
        })
      ).pipe(Effect.withRandom(Random.fixed([0.5])))
      expect(calls).toEqual([0, 200, 550, 1125, 1925])
    }))

  it.effect("R11: without a backoff there is a default one: no hot loop", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(
        Effect.exit(Retry.retry(action, { operation: Operation.read }))
      )
      yield* TestClock.adjust("1 millis")
      expect(calls).toEqual([0])
      yield* TestClock.adjust("1 minute")
      expect(calls.length).toBe(3)
      yield* Fiber.join(fiber)
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("R11: a zero delay is possible when asked for", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* Effect.exit(
        Retry.retry(action, { operation: Operation.read, backoff: Backoff.constant(0), retries: 4 })
      )
      expect(calls).toEqual([0, 0, 0, 0, 0])
    }))

  it.effect("E12: Retry-After is a floor for the next delay", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(
        rateLimit("5 seconds"),
        rateLimit("10 millis"),
        rateLimit(0)
      )
      yield* finish(Retry.retry(action, { ...secondly, retries: 3 }))
      expect(calls).toEqual([0, 5000, 6000, 7000])
    }))

  it.effect("E12: a wait equal to the cap is honoured, one above it stops and the hint stays on the error", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rateLimit("60 seconds"), rateLimit(60_001))
      const { at, exit } = yield* finish(Retry.retry(action, { ...secondly, retries: 9 }))
      const error = errorOf(exit)
      expect([calls, at, error.attempts, Duration.toMillis(error.retryAfter ?? 0)]).toEqual([
        [0, 60_000],
        60_000,
        2,
        60_001
      ])
    }))

  it.effect("E12: retryAfterCap moves the cap, clamp waits the cap", () =>
    Effect.gen(function*() {
      const a = failing(rateLimit("3 seconds"), rateLimit("4 seconds"))
      yield* finish(Retry.retry(a.action, { ...secondly, retryAfterCap: "3 seconds" }))
      const b = failing(rateLimit("1 hour"))
      const start = yield* Clock.currentTimeMillis
      yield* finish(
        Retry.retry(b.action, {
          ...secondly,
          retries: 1,
          retryAfterCap: "3 seconds",
          beyondCap: "clamp"
        })
      )
      const c = failing(rateLimit(Duration.infinity))
      const later = yield* Clock.currentTimeMillis
      yield* finish(Retry.retry(c.action, { ...secondly, retries: 1, beyondCap: "clamp" }))
      expect([a.calls, b.calls.map((at) => at - start), c.calls.map((at) => at - later)]).toEqual([
        [0, 3000],
        [0, 3000],
        [0, 60_000]
      ])
    }))

  it.effect("E12: a huge delay is clamped to what a timer can fire", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(
        Effect.exit(
          Retry.retry(action, {
            operation: Operation.read,
            backoff: Backoff.constant("60 days"),
            retries: 1
          })
        )
      )
      yield* TestClock.adjust(maxTimer - 1)
      expect(calls.length).toBe(1)
      yield* TestClock.adjust(1)
      expect(calls).toEqual([0, maxTimer])
      yield* Fiber.join(fiber)
    }))

  it.effect("R12: interruption during a delay ends the call at that moment; the action is not run again", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const fiber = yield* Effect.fork(Retry.retry(action, { ...secondly, retries: 99 }))
      yield* TestClock.adjust("1500 millis")
      const exit = yield* Fiber.interrupt(fiber)
      expect(yield* Clock.currentTimeMillis).toBe(1500)
      expect(Exit.isInterrupted(exit)).toBe(true)
      yield* TestClock.adjust("1 hour")
      expect(calls).toEqual([0, 1000])
    }))

  it.effect("R12: interruption during an attempt runs its finalizer once and ends the call", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.sync(() => probes.push("call")).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => probes.push("released")))
      )
      const fiber = yield* Effect.fork(Retry.retry(action, { ...secondly, retries: 99 }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect(probes).toEqual(["call", "released"])
    }))

  it.effect("concurrent callers wait each for itself", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(
        Effect.all(many(50, Effect.exit(Retry.retry(action, secondly))), {
          concurrency: "unbounded"
        })
      )
      expect([0, 1000, 2000].map((t) => calls.filter((at) => at === t).length)).toEqual([
        50,
        50,
        50
      ])
    }))
})

describe("Retry.retry deadline", () => {
  it.effect("R13: if the next delay does not end before within, it stops now with the last error", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const { at, exit } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 99, within: "3500 millis" })
      )
      expect([calls, at, errorOf(exit).attempts]).toEqual([[0, 1000, 2000, 3000], 3000, 4])
    }))

  it.effect("R13: a delay that ends exactly at within stops", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const { at } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 99, within: "3 seconds" })
      )
      expect([calls, at]).toEqual([[0, 1000, 2000], 2000])
    }))

  it.effect("R13: one millisecond more and it goes on", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      yield* finish(Retry.retry(action, { ...secondly, retries: 99, within: 3001 }))
      expect(calls).toEqual([0, 1000, 2000, 3000])
    }))

  it.effect("R13: the time counts from the start of the first attempt", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(server())
      const slow = Effect.zipLeft(Effect.sleep("2 seconds"), Effect.void).pipe(
        Effect.zipRight(action)
      )
      const { at } = yield* finish(
        Retry.retry(slow, { ...secondly, retries: 99, within: "6 seconds" })
      )
      expect([calls, at]).toEqual([[2000, 5000], 5000])
    }))

  it.effect("R13: within bounds the waiting, it does not interrupt a running attempt", () =>
    Effect.gen(function*() {
      const slow = Effect.as(Effect.sleep("1 hour"), "late")
      const { at, exit } = yield* finish(Retry.retry(slow, { ...secondly, within: "1 second" }))
      expect([exit, at]).toEqual([Exit.succeed("late"), 3_600_000])
    }))

  it.effect("R13: within 0 leaves no time for any delay, but the first attempt is made", () =>
    Effect.gen(function*() {
      const a = failing(server())
      const b = failing(server())
      yield* finish(Retry.retry(a.action, { ...secondly, within: 0 }))
      yield* finish(Retry.retry(b.action, { ...secondly, backoff: Backoff.constant(0), within: 0 }))
      expect([a.calls.length, b.calls.length]).toEqual([1, 1])
    }))

  it.effect("R13: it does not sleep into a deadline because of a Retry-After either", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rateLimit("10 seconds"))
      const { at } = yield* finish(Retry.retry(action, { ...secondly, within: "10 seconds" }))
      expect([calls, at]).toEqual([[0], 0])
    }))
})
