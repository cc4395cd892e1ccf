/** Wakes a waiting call when a state has changed. */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import { whenPassed } from "./timer.js"

/**
 * The one that notifies need not know whether the other waits already: a notification that came
 * before `wait` ends the wait at once. A signal belongs to one fiber, which may wait any number of
 * times, and be interrupted in it.
 */
export class Signal {
  #isNotified = false
  #wake: (() => void) | undefined
  #disarm: () => void = constVoid

  notify(): void {
    const wake = this.#wake
    if (wake === undefined) {
      this.#isNotified = true
    } else {
      this.#leave()
      wake()
    }
  }

  #leave(): void {
    this.#wake = undefined
    this.#disarm()
    this.#disarm = constVoid
  }

  /**
   * Ends with the next notification, or when `millis` have passed. One asynchronous wait with one
   * timer at most: it ends in the same turn where nothing can interrupt, and it forks nothing. No
   * time at all lets the others have their turn.
   */
  wait(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow()
    // Armed and disarmed where nothing can interrupt: an interruption that comes right after the
    // timer is armed would leave it behind.
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiberRuntime((fiber) => {
        if (this.#isNotified) {
          this.#isNotified = false
          return Effect.void
        }
        let isOver = false
        let over: () => void = () => {
          isOver = true
        }
        this.#wake = () => over()
        this.#disarm = whenPassed(fiber, millis, () => {
          this.#wake = undefined
          over()
        })
        const wait = Effect.async<void>((resume) => {
          if (isOver) resume(Effect.void)
          else over = () => resume(Effect.void)
        })
        return Effect.ensuring(restore(wait), Effect.sync(() => this.#leave()))
      })
    )
  }
}
