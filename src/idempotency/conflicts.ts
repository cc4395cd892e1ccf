/**
 * Repeats store calls that lost a conflict between two transactions, for as long as the caller
 * waits. A conflict is not an outage.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Random from "effect/Random"

/** What the caller of a store and the store tell each other about one call. */
export interface StoreCall {
  /** Whether the caller has stopped waiting. */
  givenUp: boolean
  /** Whether the last thing that the store met was a conflict. */
  conflict: boolean
  /** Whether the store has certainly not made the step. */
  refused: boolean
}

/** The call that a store is in. Undefined where the store is called directly. */
export const currentStoreCall: FiberRef.FiberRef<StoreCall | undefined> = globalValue(
  "effect-resilience/currentStoreCall",
  () => FiberRef.unsafeMake<StoreCall | undefined>(undefined)
)

/** Whether the caller has stopped waiting: what has not begun is not worth its cost any more. */
export const isGivenUp: Effect.Effect<boolean> = Effect.map(
  FiberRef.get(currentStoreCall),
  (call) => call?.givenUp === true
)

/** How long a store that is called directly repeats what was in conflict. */
const directMillis = 2000

/** Full jitter: the longest pause doubles from the first to the last. */
const firstPauseMillis = 4
const lastPauseMillis = 100

/**
 * Repeats what failed with a conflict, until the caller stops waiting. The pauses are those of the
 * real clock, because the database does not follow the clock of the program.
 */
export const retrying = <A, E>(
  self: Effect.Effect<A, E>,
  isConflict: (error: E) => boolean
): Effect.Effect<A, E> =>
  Effect.flatMap(FiberRef.get(currentStoreCall), (current) => {
    const clock = Clock.make()
    const call = current ?? { givenUp: false, conflict: false, refused: false }
    const nowMillis = () => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
    const endMillis = current === undefined ? nowMillis() + directMillis : Infinity
    const attempt = (longestMillis: number): Effect.Effect<A, E> =>
      Effect.catchAll(self, (error) => {
        call.conflict = isConflict(error)
        if (!call.conflict || call.givenUp || nowMillis() >= endMillis) return Effect.fail(error)
        return Effect.flatMap(Random.next, (share) =>
          Effect.zipRight(
            Effect.withClock(Effect.sleep(Duration.millis(share * longestMillis)), clock),
            Effect.suspend(() =>
              call.givenUp
                ? Effect.fail(error)
                : attempt(Math.min(2 * longestMillis, lastPauseMillis))
            )
          ))
      })
    return attempt(firstPauseMillis)
  })
