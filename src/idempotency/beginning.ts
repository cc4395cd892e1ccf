/** Work of which it is known whether it has made its first step. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"

/** How many steps lie between the question and the first step of the work. */
const stepsToWork = 2

/**
 * Tests whether others get their turn before the work makes its first step. An interruption that
 * came then would find the work begun that has done nothing.
 */
const isAtItsTurnsEnd = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  fiber.currentOpCount + stepsToWork > fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield)

export class Beginning<A, E, R> {
  hasBegun = false
  readonly run: Effect.Effect<A, E, R>

  constructor(work: () => Effect.Effect<A, E, R>) {
    const begin = Effect.suspend(() => {
      this.hasBegun = true
      return work()
    })
    this.run = Effect.withFiberRuntime<A, E, R>((fiber) =>
      isAtItsTurnsEnd(fiber) ? Effect.zipRight(Effect.yieldNow(), begin) : begin
    )
  }
}
