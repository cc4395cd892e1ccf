/** Streams the changes of the state that callers meet. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Stream from "effect/Stream"
import { maxTimerMillis } from "../../core/backoff.js"
import { nowMillis } from "../../runtime/clock.js"
import type { Cell, Circuits, Transition } from "./registry.js"

/**
 * Every transition from now on. While the stream is listened to, the end of an opening is told when
 * it comes; the fibers that wait for it belong to the listener's scope.
 */
export const transitionsOf = (circuits: Circuits): Stream.Stream<Transition> =>
  Stream.asyncPush<Transition>((emit) =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const clock = yield* Effect.clock
      const fork = Runtime.runFork(yield* Effect.runtime<never>())
      const look = (key: string): Effect.Effect<void> =>
        Effect.suspend(() => {
          const now = nowMillis(clock)
          const cell = circuits.find(key, clock, now)
          const until = cell === undefined ? undefined : circuits.openUntil(cell)
          // A timer may fire a little early: then the circuit is still open, and there is a little
          // left to wait.
          return until === undefined ? Effect.void : lookAfter(key, until - now)
        })
      const lookAfter = (key: string, millis: number): Effect.Effect<void> =>
        Effect.delay(look(key), Duration.millis(Math.min(Math.max(1, millis), maxTimerMillis)))
      const watch = (cell: Cell): void => {
        const until = circuits.openUntil(cell)
        if (until !== undefined) {
          fork(lookAfter(cell.key, until - nowMillis(clock)), { scope })
        }
      }
      const listener = (transition: Transition) => {
        emit.single(transition)
        const cell = circuits.cells.peek(transition.key)
        if (transition.to === "Open" && cell !== undefined) watch(cell)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => circuits.listeners.add(listener)),
        () => Effect.sync(() => circuits.listeners.delete(listener))
      )
      for (const cell of circuits.cells.values()) watch(cell)
    }), { bufferSize: "unbounded" })
