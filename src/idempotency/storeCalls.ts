/**
 * Asks a store that may never answer.
 *
 * A driver can hang in an uninterruptible region, and a timeout around the call would then hang
 * too. So each call runs in its own fiber, and the caller waits for the answer instead of the end
 * of the fiber. A call is never cancelled: its caller stops waiting. When an answer arrives after the caller has given up, the fiber passes it to
 * `late`.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import { maxTimerMillis } from "../core/backoff.js"
import { currentStoreCall, type StoreCall } from "./conflicts.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * `Failed`: the store did not answer in time. `corrupt`: it found a record that it cannot read.
 * `conflict`: it is there, and others were faster until the end of the time.
 */
export type Answer<A> =
  | { readonly _tag: "Answered"; readonly value: A }
  | { readonly _tag: "Failed"; readonly corrupt: boolean; readonly conflict: boolean }

export interface Asking<A> {
  readonly timeoutMillis: number
  /** Makes the wait, and only the wait, interruptible where the caller is. Default: no change. */
  readonly wait?: (<B>(waiting: Effect.Effect<B>) => Effect.Effect<B>) | undefined
  /** Handles an answer that arrives after the caller has given up. Default: drops it. */
  readonly late?: ((value: A) => Effect.Effect<void>) | undefined
}

const answerOf = <A>(
  exit: Exit.Exit<A, IdempotencyStore.StoreError>,
  { conflict }: StoreCall
): Answer<A> =>
  Exit.isSuccess(exit)
    ? { _tag: "Answered", value: exit.value }
    : {
      _tag: "Failed",
      corrupt: Option.exists(Cause.failureOption(exit.cause), (error) => error.corrupt === true),
      conflict
    }

/** Waits for a value, at most `millis`. The wait is interruptible in any region. */
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
 * Asks the store. Call it in an uninterruptible region. After an interruption of the wait, `late`
 * also gets an answer that had arrived before it.
 */
export const ask = <A>(
  call: () => Effect.Effect<A, IdempotencyStore.StoreError>,
  { late = () => Effect.void, timeoutMillis, wait = identity }: Asking<A>
): Effect.Effect<Answer<A>> =>
  Effect.suspend(() => {
    const answered = Deferred.unsafeMake<void>(FiberId.none)
    let answer: Answer<A> | undefined
    const current: StoreCall = { givenUp: false, conflict: false }
    const arrives = (arrived: Answer<A>): Effect.Effect<void> => {
      if (current.givenUp) return arrived._tag === "Answered" ? late(arrived.value) : Effect.void
      answer = arrived
      return Effect.asVoid(Deferred.succeed(answered, undefined))
    }
    const telling = Effect.flatMap(FiberRef.set(currentStoreCall, current), call)
    const asking = Effect.exit(Effect.interruptible(telling)).pipe(
      Effect.flatMap((exit) => Effect.suspend(() => arrives(answerOf(exit, current))))
    )
    return Effect.flatMap(Effect.forkDaemon(asking), () =>
      // A store in memory has answered after this turn, and then no timer is needed.
      Effect.flatMap(Effect.yieldNow(), () =>
        Effect.flatMap(
          Effect.exit(wait(Effect.suspend(() =>
            answer === undefined ? within(answered, timeoutMillis) : Effect.void
          ))),
          (waited): Effect.Effect<Answer<A>> => {
            if (answer === undefined) {
              current.givenUp = true
            }
            if (Exit.isSuccess(waited)) {
              return Effect.succeed(
                answer ?? { _tag: "Failed", corrupt: false, conflict: current.conflict }
              )
            }
            const left = answer?._tag === "Answered" ? late(answer.value) : Effect.void
            return Effect.zipRight(left, Effect.failCause(waited.cause))
          }
        )))
  })
