/** A fault beside an effect that ends it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"

export class Fault<E> {
  #error: { readonly value: E } | undefined
  #breakOff: () => void = constVoid

  /** The first fault counts. What it breaks off has ended a moment later. */
  raise(error: E): void {
    if (this.#error !== undefined) return
    this.#error = { value: error }
    this.#breakOff()
  }

  /**
   * Runs an effect, which is interrupted when the fault is raised, also where its caller cannot be
   * interrupted; then the failure is the fault's. An effect that has succeeded has succeeded.
   */
  breaksOff<A, E2, R>(self: Effect.Effect<A, E2, R>): Effect.Effect<A, E | E2, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.fork(Effect.interruptible(self)), (fiber) => {
        this.#breakOff = () => fiber.unsafeInterruptAsFork(fiber.id())
        if (this.#error !== undefined) this.#breakOff()
        return restore(Fiber.await(fiber)).pipe(
          Effect.onInterrupt(() => Fiber.interrupt(fiber)),
          Effect.flatMap((exit): Effect.Effect<A, E | E2> =>
            Exit.isFailure(exit) && this.#error !== undefined
              ? Effect.fail(this.#error.value)
              : Effect.zipRight(Fiber.inheritAll(fiber), exit)
          )
        )
      })
    )
  }
}
