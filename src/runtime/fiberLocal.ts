/**
 * Writes fiber-local state without an effect.
 *
 * `Effect.locally` and `Effect.provideService` take a dozen steps each, and a call through the HTTP
 * client needs several. What already runs where nothing can interrupt writes the value, awaits the
 * end, and writes the old one back.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { whenEnded } from "./ending.js"

type Running = Fiber.RuntimeFiber<unknown, unknown>

/** What `FiberRef.set` calls; every fiber has it, though its interface does not show it. */
interface Writable {
  setFiberRef<A>(ref: FiberRef.FiberRef<A>, value: A): void
}

/** Writes a value, from within the fiber itself. O(fiber refs). */
export const write = <A>(fiber: Running, ref: FiberRef.FiberRef<A>, value: A): void =>
  (fiber as Running & Writable).setFiberRef(ref, value)

/**
 * Runs an effect with another value, and puts the old one back however the effect ends. `value` is
 * asked in the same step; `ended` when the effect has ended.
 */
export const during = <B, A, E, R>(
  self: Effect.Effect<A, E, R>,
  ref: FiberRef.FiberRef<B>,
  valueOf: (fiber: Running, before: B) => B,
  ended?: (value: B) => void
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E, R>((fiber) => {
      const before = fiber.getFiberRef(ref)
      const value = valueOf(fiber, before)
      write(fiber, ref, value)
      return whenEnded(restore(self), (exit: Exit.Exit<A, E>) => {
        ended?.(value)
        write(fiber, ref, before)
        return exit
      })
    })
  )

/** Provides a service, as `Effect.provideService` does. */
export const providing = <A, E, R, I, S>(
  self: Effect.Effect<A, E, R>,
  tag: Context.Tag<I, S>,
  service: S
): Effect.Effect<A, E, Exclude<R, I>> =>
  // The tag is in the context of the fiber that runs the effect.
  during(self, FiberRef.currentContext, (_, context) =>
    Context.add(context, tag, service) as Context.Context<never>) as Effect.Effect<
      A,
      E,
      Exclude<R, I>
    >
