/**
 * Waiting without time: for other fibers, and for what the event loop brings.
 */
import { Effect } from "effect"

/** One turn of the event loop. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Lets other fibers run, so many times over. */
export const yields = (times: number): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeatN(Effect.yieldNow(), times))

/** Lets every other fiber run until it waits. */
export const settle = yields(30)

/** Asks again, turn by turn, until the operating system or another fiber has done its part. */
export const eventually = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  holds: (a: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    self,
    (a) => holds(a) ? Effect.succeed(a) : Effect.zipRight(turn, eventually(self, holds))
  )

/** Looks again, turn by turn, until something has happened. */
export const until = (happened: () => boolean): Effect.Effect<void> =>
  Effect.asVoid(eventually(Effect.sync(happened), (yes) => yes))
