/**
 * Waiting for at least as long as was said.
 *
 * A timer may fire up to a millisecond early, and then whoever asked for the wait is not ready yet;
 * and no timer holds more than 2^31-1 ms. Time is the clock's monotonic one: a wall clock that
 * steps neither prolongs a wait nor cuts it short.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { maxTimerMillis } from "../core/backoff.js"

/** Monotonic milliseconds. */
export const nowMillis = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos()) / 1e6

export const elapsedMillis = (clock: Clock.Clock, startedAt: bigint): number =>
  Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e6

/** One timer after another, each as long as a timer can be. */
const timers = (clock: Clock.Clock, millis: number): Effect.Effect<void> =>
  millis <= maxTimerMillis
    ? clock.sleep(Duration.millis(millis))
    : Effect.flatMap(clock.sleep(Duration.millis(maxTimerMillis)), () =>
      timers(clock, millis - maxTimerMillis))

/** Sleeps for `millis`, or a moment longer. */
export const sleepAtLeast = (millis: number): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    return Effect.flatMap(timers(clock, millis), () => {
      const left = millis - elapsedMillis(clock, startedAt)
      return left > 1e-3 ? timers(clock, Math.ceil(left)) : Effect.void
    })
  })
