/**
 * How long a wait is, on every clock that a program may have.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, TestClock } from "effect"
import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import { vi } from "vitest"
import { Signal } from "../../src/runtime/signal.js"
import { sleepAtLeast } from "../../src/runtime/sleep.js"
import { clockFrom } from "../support/clocks.js"

/** A retry whose one delay is so long. */
const retried = (millis: number) => {
  let calls = 0
  return Effect.asVoid(
    Retry.retry(Effect.suspend(() => ++calls === 1 ? Effect.fail("down") : Effect.void), {
      operation: Operation.read,
      retries: 1,
      backoff: Backoff.constant(Duration.millis(millis)),
      verdict: () => Verdict.transient()
    })
  ).pipe(Effect.orDie)
}

const waits: ReadonlyArray<readonly [string, (millis: number) => Effect.Effect<void>]> = [
  ["sleepAtLeast", sleepAtLeast],
  ["a signal", (millis) => Effect.suspend(() => new Signal().wait(millis))],
  ["the delay of a retry", retried]
]

const lengths = [0.2, 1, 1.1, 1.5, 1.9, 2, 2.5, 3, 10, 100.25, 5000]

const expectAsLong = (asked: number, waited: number): void => {
  expect(waited).toBeGreaterThanOrEqual(asked)
  expect(waited).toBeLessThanOrEqual(asked + 2)
}

/** A clock that stands still, however long is slept; and how long that was. */
const stillClock = () => {
  const slept = { millis: 0 }
  const clock = clockFrom({
    nanos: () => 1_000_000_000n,
    millis: () => 1000,
    sleep: (duration) =>
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.sync(() => {
          slept.millis += Duration.toMillis(duration)
        })
      )
  })
  return { clock, slept }
}

describe.each(waits)("R26: %s", (_, wait) => {
  it.live.each([1.5, 20])("%d ms on the live clock", (millis) =>
    Effect.gen(function*() {
      const [waited] = yield* Effect.timed(wait(millis))
      // The event loop of a busy machine may be late, but no timer here is a second one.
      expect(Duration.toMillis(waited)).toBeGreaterThanOrEqual(millis)
      expect(Duration.toMillis(waited)).toBeLessThan(millis + 500)
    }))

  it.effect.each(lengths)("%d ms on the TestClock", (millis) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.zipRight(wait(millis), Clock.currentTimeNanos))
      for (let step = 0; step < 4; step++) yield* TestClock.adjust(millis / 4)
      for (let step = 0; step < 20; step++) yield* TestClock.adjust("100 micros")
      expectAsLong(millis, Number(yield* Fiber.join(fiber)) / 1e6)
    }))

  it.live.each(lengths)("%d ms in virtual time", (millis) =>
    Effect.gen(function*() {
      const nanos = yield* VirtualTime.run(Effect.zipRight(wait(millis), Clock.currentTimeNanos))
      expectAsLong(millis, Number(nanos) / 1e6)
    }))

  it.live.each([...lengths, 2 ** 31 - 1])(
    "%d ms on a clock that stands still",
    (millis) =>
      Effect.gen(function*() {
        const { clock, slept } = stillClock()
        yield* Effect.withClock(wait(millis), clock)
        expectAsLong(millis, slept.millis)
      })
  )

  it.each([
    ["timers and dates", [] as ReadonlyArray<string>],
    ["timers, dates and the monotonic clock", ["hrtime", "performance"]]
  ])("as long as asked with fake %s", async (_, more) => {
    for (const millis of lengths) {
      vi.useFakeTimers({
        toFake: ["setTimeout", "clearTimeout", "Date", ...more] as Array<"setTimeout">
      })
      try {
        const state = { isOver: false }
        const running = Effect.runPromise(
          Effect.map(wait(millis), () => {
            state.isOver = true
          })
        )
        let advanced = 0
        while (!state.isOver && advanced < millis * 3 + 10) {
          await vi.advanceTimersByTimeAsync(1)
          advanced++
        }
        // Timers count whole milliseconds, and a monotonic clock that is no fake may ask for more.
        expectAsLong(Math.ceil(millis), advanced)
        await running
      } finally {
        vi.useRealTimers()
      }
    }
  })
})

// What waits for a moment may be a rounding error away from it, and would be so for ever.
describe.each(waits.slice(0, 2))("R26: %s lets time pass", (_, wait) => {
  it.live.each([1e-3, 1e-6, 4e-7, 9.1e-13, Number.MIN_VALUE])(
    "%d ms",
    (millis) =>
      Effect.gen(function*() {
        const nanos = yield* VirtualTime.run(Effect.zipRight(wait(millis), Clock.currentTimeNanos))
        expect(Number(nanos)).toBeGreaterThanOrEqual(Math.max(1, millis * 1e6))
      })
  )
})
