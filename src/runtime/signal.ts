/**
 * The bell of somebody who stands in a line.
 */
import * as Effect from "effect/Effect"

/**
 * Whoever rings need not know whether the other one sleeps already: a bell that rang before `wait`
 * ends the wait at once. It belongs to one fiber, which may wait any number of times, and be
 * interrupted in it.
 */
export class Turn {
  #rang = false
  #resume: ((effect: Effect.Effect<void>) => void) | undefined

  ring(): void {
    const resume = this.#resume
    this.#resume = undefined
    if (resume === undefined) this.#rang = true
    else resume(Effect.void)
  }

  readonly wait: Effect.Effect<void> = Effect.async((resume) => {
    if (this.#rang) {
      this.#rang = false
      resume(Effect.void)
    } else this.#resume = resume
  })
}
