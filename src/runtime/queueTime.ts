/**
 * Measures the time that a call spent in queues of this library and not at the upstream.
 *
 * A call that stood for four seconds in front of a limiter was not slow: the upstream answered in
 * no time. What makes calls wait adds the time here, and a circuit breaker around it takes it off
 * what it measured. It is a running total of the fiber, so that reading it before and after costs
 * next to nothing where no call waits.
 *
 * What a fiber waited that is not joined (the loser of a race, work that `Effect.timeout` cut off
 * or saw fail) is lost, and measured as before.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { queueMillis } from "./callContext.js"
import { elapsedMillis } from "./clock.js"

/** Reads how long this fiber has waited in queues so far, in milliseconds. */
export const millisOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): number =>
  fiber.getFiberRef(queueMillis)

/** Takes over what a child has waited that will not be joined. */
export const takeOver = (child: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<void> =>
  FiberRef.update(queueMillis, (waited) => Math.max(waited, millisOf(child)))

/** Adds the time since a wait began, whether it ended well or was cut short. */
export const since = (clock: Clock.Clock, startedAt: bigint): Effect.Effect<void> =>
  Effect.suspend(() => {
    const millis = elapsedMillis(clock, startedAt)
    return millis > 0 ? FiberRef.update(queueMillis, (waited) => waited + millis) : Effect.void
  })
