/**
 * Arms timers; the only place that does.
 *
 * Under the live clock a timer is the platform's own, and needs no fiber. Under any other clock it
 * is a fiber that runs that clock's `sleep` and nothing else.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import { maxTimerMillis } from "../core/backoff.js"
import { clockOf, liveClock, nowMillis } from "./clock.js"
import { forkFrom } from "./fork.js"

type Running = Fiber.RuntimeFiber<unknown, unknown>

/**
 * A timer of the platform, for at most 2^31-1 ms. It counts whole milliseconds, and would round
 * down. The global functions are looked up when they are needed, since a test may have replaced
 * them.
 */
const arm = (millis: number, wake: () => void): () => void => {
  const timer = setTimeout(wake, Math.ceil(millis))
  return () => clearTimeout(timer)
}

/**
 * The least that a clock can tell. A wait for less would end before any time has passed, and what
 * waits for a moment that is a rounding error away would wait for ever.
 */
const leastMillis = 1e-6

/**
 * Calls `wake` once, on the clock of a fiber, when `millis` have passed, which are at most 2^31-1.
 * The answer disarms it.
 */
export const after = (fiber: Running, millis: number, wake: () => void): () => void => {
  const clock = clockOf(fiber)
  if (clock === liveClock) return arm(millis, wake)
  const duration = Duration.millis(Math.max(leastMillis, millis))
  const sleeper = forkFrom(fiber, clock.sleep(duration))
  sleeper.addObserver((exit) => Exit.isSuccess(exit) ? wake() : undefined)
  return () => sleeper.unsafeInterruptAsFork(fiber.id())
}

/**
 * Tests whether a timer fired early. It may, by a millisecond and a little. Where less than a good
 * part of its time has passed on the clock, the clock stands still or the timer is a fake one, and
 * to wait again would take twice as long.
 */
const isEarly = (part: number, elapsed: number, missing: number): boolean =>
  missing > 1e-3 && (missing <= 1 || (missing <= 2 && elapsed >= 0.4 * part))

/**
 * Calls `wake` once when `millis` have passed, however many: after several timers where one cannot
 * hold it, never where they are infinite, and again after the little that a timer was early by. The
 * answer disarms it.
 */
export const whenPassed = (fiber: Running, millis: number, wake: () => void): () => void => {
  if (millis === Infinity) return constVoid
  const clock = clockOf(fiber)
  const startedMillis = nowMillis(clock)
  let disarm: () => void = constVoid
  const next = (left: number): void => {
    const part = Math.min(left, maxTimerMillis)
    disarm = after(fiber, part, () => {
      if (left > part) return next(left - part)
      const elapsed = nowMillis(clock) - startedMillis
      const missing = millis - elapsed
      if (isEarly(part, elapsed, missing)) {
        disarm = after(fiber, Math.ceil(missing), wake)
      } else wake()
    })
  }
  next(millis)
  return () => disarm()
}
