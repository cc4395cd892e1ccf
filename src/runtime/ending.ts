/** Observes how a call ends, however it ends. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * Runs a call and then `ended` with its exit, whose result takes the place of it. Whether an
 * interruption can come between is for the caller to decide: a guard that holds something runs this
 * where nothing can interrupt, and restores the call alone. O(1).
 */
export const whenEnded = <A, E, R, A2, E2, R2>(
  call: Effect.Effect<A, E, R>,
  ended: (exit: Exit.Exit<A, E>) => Effect.Effect<A2, E2, R2>
): Effect.Effect<A2, E2, R | R2> =>
  Effect.matchCauseEffect(call, {
    onFailure: (cause) => ended(Exit.failCause(cause)),
    onSuccess: (value) => ended(Exit.succeed(value))
  })
