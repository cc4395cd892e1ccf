import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, TestClock } from "effect"
import { sleepAtLeast } from "../../src/runtime/sleep.js"
import { earlyClock } from "../support/clocks.js"

describe("sleepAtLeast", () => {
  it.effect("what a timer was early by is slept for as well", () =>
    Effect.gen(function*() {
      const { clock, slept } = earlyClock()
      yield* Effect.withClock(sleepAtLeast(100), clock)
      expect(slept).toEqual([100, 1])
    }))

  it.effect("a sleep that no timer can hold is several", () =>
    Effect.gen(function*() {
      const { clock, slept } = earlyClock()
      yield* Effect.withClock(sleepAtLeast(2 ** 32), clock)
      expect(slept).toEqual([2 ** 31 - 1, 2 ** 31 - 1, 2, 2])
    }))

  it.effect("it ends when it should, to the millisecond", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.zipRight(sleepAtLeast(1234), Clock.currentTimeMillis))
      yield* TestClock.adjust(Duration.hours(1))
      expect(yield* Fiber.join(fiber)).toBe(1234)
    }))
})
