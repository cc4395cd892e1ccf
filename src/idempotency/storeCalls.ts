/**
 * Asks a store that may never answer.
 *
 * A driver can hang in an uninterruptible region, and a timeout around the call would then hang
 * too. So each call runs in a fiber of its own. It starts at once, on the caller's turn: a call
 * that has ended by then needs no timer. For any other the caller waits for the answer instead of
 * the end of the fiber, with one timer. A call is never cancelled: its caller stops waiting.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRefs from "effect/FiberRefs"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import { whenEnded } from "../runtime/ending.js"
import { forkFrom } from "../runtime/fork.js"
import { Signal } from "../runtime/signal.js"
import { isAtOnce } from "./atOnce.js"
import { currentStoreCall, type StoreCall } from "./conflicts.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"

/**
 * `Failed`: the store did not answer in time. `corrupt`: it found a record that it cannot read.
 * `conflict`: it is there, and others were faster until the end of the time. `lost`: the call may
 * have taken effect all the same, or may do so later. `leftBehind`: it is still under way, after
 * its whole timeout or in a conflict.
 */
export type Answer<A> =
  | { readonly _tag: "Answered"; readonly value: A }
  | Failed

export interface Failed {
  readonly _tag: "Failed"
  readonly corrupt: boolean
  readonly conflict: boolean
  readonly lost: boolean
  readonly leftBehind?: LeftBehind | undefined
}

/** A call that its caller has given up, and how it ended, once it has. */
export class LeftBehind {
  readonly #signal = new Signal()
  #end: Answer<unknown> | undefined

  get end(): Answer<unknown> | undefined {
    return this.#end
  }

  ends(end: Answer<unknown>): void {
    this.#end = end
    this.#signal.notify()
  }

  /** Waits for its end, for so long at most. */
  wait(millis: number): Effect.Effect<void> {
    return this.#signal.wait(millis)
  }
}

export interface Asking<A> {
  readonly timeoutMillis: number
  /** Makes the wait, and only the wait, interruptible where the caller is. Default: no change. */
  readonly wait?: (<B>(waiting: Effect.Effect<B>) => Effect.Effect<B>) | undefined
  /** Handles an answer that arrives after the caller has given up. Default: drops it. */
  readonly late?: ((value: A) => Effect.Effect<void>) | undefined
  /**
   * Runs where the call may have taken effect and its answer does not reach the caller: after an
   * interruption of the wait, and after a call that was given up has failed. Default: nothing.
   * After a timeout or a failure the caller is told, and decides.
   */
  readonly lost?: ((failed: Failed) => Effect.Effect<void>) | undefined
}

const answerOf = <A>(
  exit: Exit.Exit<A, IdempotencyStore.StoreError>,
  { conflict, refused }: StoreCall
): Answer<A> => {
  if (Exit.isSuccess(exit)) return { _tag: "Answered", value: exit.value }
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  const corrupt = error?.corrupt === true
  const lost = !corrupt && !conflict && !refused
  return { _tag: "Failed", corrupt, conflict, lost }
}

/** A call without conflicts, which its caller has not given up. */
const untroubled: StoreCall = { givenUp: false, conflict: false, refused: false }

const unheeded = (): Effect.Effect<void> => Effect.void

/** One call under way. */
class Call<A> {
  readonly signal = new Signal()
  readonly current: StoreCall = { givenUp: false, conflict: false, refused: false }
  answer: Answer<A> | undefined
  #leftBehind: LeftBehind | undefined

  constructor(readonly asking: Asking<A>) {}

  /** Starts the call on the turn of a fiber. It goes as far as it can at once. */
  start(
    caller: Fiber.RuntimeFiber<unknown, unknown>,
    call: () => Effect.Effect<A, IdempotencyStore.StoreError>
  ): void {
    forkFrom(caller, whenEnded(Effect.suspend(call), (exit) => this.#arrives(exit)), {
      refs: (refs, fiberId) =>
        FiberRefs.updateAs(refs, { fiberId, fiberRef: currentStoreCall, value: this.current })
    })
  }

  #arrives(exit: Exit.Exit<A, IdempotencyStore.StoreError>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const answer = answerOf(exit, this.current)
      if (this.current.givenUp) {
        this.#leftBehind?.ends(answer)
        return this.#comesLate(answer)
      }
      this.answer = answer
      this.signal.notify()
      return Effect.void
    })
  }

  #comesLate(answer: Answer<A>): Effect.Effect<void> {
    const { late = unheeded, lost = unheeded } = this.asking
    if (answer._tag === "Answered") return late(answer.value)
    return answer.lost ? lost(answer) : Effect.void
  }

  /** No answer, in a time in which there may have been conflicts. The call is still under way. */
  #none(hasHadItsTime: boolean): Answer<A> {
    const { conflict } = this.current
    // Another question would be no quicker where the store is slow, or where others are faster.
    if (hasHadItsTime || conflict) this.#leftBehind = new LeftBehind()
    return { _tag: "Failed", corrupt: false, conflict, lost: true, leftBehind: this.#leftBehind }
  }

  /** Waits for the answer, and gives up when the time is over. */
  get wait(): Effect.Effect<Answer<A>> {
    const { timeoutMillis, wait = identity } = this.asking
    return Effect.flatMap(
      Effect.exit(wait(this.signal.wait(timeoutMillis))),
      (waited): Effect.Effect<Answer<A>> => {
        const { answer } = this
        if (answer === undefined) this.current.givenUp = true
        if (Exit.isSuccess(waited)) {
          return Effect.succeed(answer ?? this.#none(true))
        }
        // Interrupted: the call has not had its time, and may be quick.
        const told = answer ?? this.#none(false)
        return Effect.zipRight(this.#comesLate(told), Effect.failCause(waited.cause))
      }
    )
  }
}

/**
 * Asks the store. Call it in an uninterruptible region. After an interruption of the wait, `late`
 * also gets an answer that had arrived before it.
 */
export const ask = <A>(
  store: IdempotencyStore.Service,
  call: (store: IdempotencyStore.Service) => Effect.Effect<A, IdempotencyStore.StoreError>,
  asking: Asking<A>
): Effect.Effect<Answer<A>> => {
  if (isAtOnce(store)) {
    return whenEnded(call(store), (exit) => Effect.succeed(answerOf(exit, untroubled)))
  }
  return Effect.withFiberRuntime((fiber) => {
    const asked = new Call(asking)
    asked.start(fiber, () => call(store))
    return asked.answer === undefined ? asked.wait : Effect.succeed(asked.answer)
  })
}
