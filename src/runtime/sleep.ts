/**
 * Waits at least as long as asked.
 *
 * A timer may fire up to a millisecond early, and then what was waited for is not ready yet; and no
 * timer holds more than 2^31-1 ms. Time is the clock's monotonic one: a wall clock that steps
 * neither prolongs a wait nor cuts it short.
 */
import * as Effect from "effect/Effect"
import { Signal } from "./signal.js"

/** Sleeps for `millis`, or a moment longer. */
export const sleepAtLeast = (millis: number): Effect.Effect<void> =>
  Effect.suspend(() => millis <= 0 ? Effect.void : new Signal().wait(millis))
