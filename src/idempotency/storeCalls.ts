/**
 * Asking a store that may never answer.
 *
 * A driver can hang where nothing interrupts it, and then a timeout around the call would wait for
 * it. So the call runs in a fiber of its own, the caller waits for its answer and not for its end,
 * and what a call brings after it was given up is handed to `late` by the call's own fiber.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import { maxTimerMillis } from "../core/backoff.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * `Failed`: there is no answer, or none in time. `corrupt`: the store found a record that it cannot
 * read.
 */
export type Answer<A> =
  | { readonly _tag: "Answered"; readonly value: A }
  | { readonly _tag: "Failed"; readonly corrupt: boolean }

export interface Asking<A> {
  readonly timeoutMillis: number
  /**
   * How to wait: makes the waiting interruptible where the caller is. The rest is not. Default: as
   * it is.
   */
  readonly wait?: (<B>(waiting: Effect.Effect<B>) => Effect.Effect<B>) | undefined
  /** What to do about an answer that nobody waits for any more. */
  readonly late?: ((value: A) => Effect.Effect<void>) | undefined
  /** Whether a call that was given up is interrupted. Default: it may go on, and take effect. */
  readonly drop?: boolean | undefined
}

const silent: Answer<never> = { _tag: "Failed", corrupt: false }

const answerOf = <A>(exit: Exit.Exit<A, IdempotencyStore.StoreError>): Answer<A> =>
  Exit.isSuccess(exit)
    ? { _tag: "Answered", value: exit.value }
    : {
      _tag: "Failed",
      corrupt: Option.exists(Cause.failureOption(exit.cause), (error) => error.corrupt === true)
    }

/**
 * Waits for a value, but not longer than this. Both sides can be interrupted, wherever this is
 * called.
 */
export const within = <A>(
  deferred: Deferred.Deferred<A>,
  millis: number
): Effect.Effect<Option.Option<A>> => {
  const value = Effect.asSome(Effect.interruptible(Deferred.await(deferred)))
  return millis > maxTimerMillis
    ? value
    : Effect.raceFirst(
      value,
      Effect.as(Effect.interruptible(Effect.sleep(Duration.millis(millis))), Option.none())
    )
}

/**
 * Asks the store. To be called where nothing interrupts. When the waiting is interrupted, an answer
 * that has come meanwhile is handed to `late`, too.
 */
export const ask = <A>(
  call: () => Effect.Effect<A, IdempotencyStore.StoreError>,
  { drop = false, late = () => Effect.void, timeoutMillis, wait = identity }: Asking<A>
): Effect.Effect<Answer<A>> =>
  Effect.suspend(() => {
    const answered = Deferred.unsafeMake<void>(FiberId.none)
    let answer: Answer<A> | undefined
    let givenUp = false
    const arrives = (arrived: Answer<A>): Effect.Effect<void> => {
      if (givenUp) return arrived._tag === "Answered" ? late(arrived.value) : Effect.void
      answer = arrived
      return Effect.asVoid(Deferred.succeed(answered, undefined))
    }
    const giveUp = (fiber: Fiber.Fiber<void>): Effect.Effect<void> => {
      givenUp = true
      return drop ? Fiber.interruptFork(fiber) : Effect.void
    }
    const asking = Effect.exit(Effect.interruptible(Effect.suspend(call))).pipe(
      Effect.flatMap((exit) => Effect.suspend(() => arrives(answerOf(exit))))
    )
    return Effect.flatMap(Effect.forkDaemon(asking), (fiber) =>
      // After this turn a store in memory has answered, and no timer is needed.
      Effect.flatMap(Effect.yieldNow(), () =>
        Effect.flatMap(
          Effect.exit(wait(Effect.suspend(() =>
            answer === undefined ? within(answered, timeoutMillis) : Effect.void
          ))),
          (waited): Effect.Effect<Answer<A>> => {
            if (Exit.isSuccess(waited)) {
              return answer === undefined
                ? Effect.as(giveUp(fiber), silent)
                : Effect.succeed(answer)
            }
            const left = answer === undefined
              ? giveUp(fiber)
              : answer._tag === "Answered"
              ? late(answer.value)
              : Effect.void
            return Effect.zipRight(left, Effect.failCause(waited.cause))
          }
        )))
  })
