/**
 * Reads the time. Guards read the monotonic clock, so that a step of the wall clock changes nothing
 * that they have learned.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** The clock of a program that provides none of its own. */
export const liveClock: Clock.Clock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** The clock of a fiber, without an effect. */
export const clockOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Clock.Clock =>
  Context.get(fiber.currentDefaultServices, Clock.Clock)

/** Monotonic milliseconds. */
export const nowMillis = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos()) / 1e6

/** Milliseconds since a moment in monotonic nanoseconds. */
export const elapsedMillis = (clock: Clock.Clock, startedAt: bigint): number =>
  Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e6

/** Something that happens in one turn of the event loop, at one moment. */
export const turn = <A>(f: (clock: Clock.Clock, now: number) => A): Effect.Effect<A> =>
  Effect.clockWith((clock) => Effect.sync(() => f(clock, nowMillis(clock))))
