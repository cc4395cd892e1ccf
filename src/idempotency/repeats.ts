/**
 * Repeats, in the scope of a store's layer, what failed or was lost on the way to the store: claims
 * that no run uses are given back, and outcomes are recorded.
 *
 * A repeat ends when the store has answered, when the lease ends, or when the scope closes. Each
 * store has a few calls of this kind under way at a time, and so many that wait: a store that comes
 * back after an outage is not met by all that has failed meanwhile. What a store is still doing is
 * not asked of it again for one more timeout, then for two, and then for four: a store that is slow
 * would never catch up.
 */
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { nowMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import type * as IdempotencyStore from "./IdempotencyStore.js"
import type { Answer, LeftBehind } from "./storeCalls.js"

/** Full jitter: the longest pause doubles from the first to the last. */
const firstPauseMillis = 50
const lastPauseMillis = 2000

/** How long a call that was given up is waited for at most, in timeouts. */
const timeoutsOfPatience = 4

/** How many repeats of one kind ask a store at once: outcomes do not wait for claims. */
const concurrency = 8

/** How many claims, and how many outcomes, of one store wait to be repeated. */
const maxWaiting = 1000

/** What is repeated: a claim that is given back, or the end of a run. */
export type Kind = "claim" | "outcome"

interface Waiting {
  readonly permits: Effect.Semaphore
  count: number
}

const waiting = globalValue(
  "effect-resilience/repeats",
  () => new WeakMap<Scope.Scope, Record<Kind, Waiting>>()
)

const none = (): Waiting => ({ permits: Effect.unsafeMakeSemaphore(concurrency), count: 0 })

const waitingOf = (scope: Scope.Scope, kind: Kind): Waiting => {
  const all = waiting.get(scope) ?? { claim: none(), outcome: none() }
  waiting.set(scope, all)
  return all[kind]
}

/** Limits of one try. The wait is interruptible; whole milliseconds, at least one. */
export interface Try {
  readonly timeoutMillis: number
  readonly wait: <B>(waiting: Effect.Effect<B>) => Effect.Effect<B>
  /** Until the lease ends. */
  readonly leftMillis: number
}

export interface Repeat<A> {
  readonly kind: Kind
  /** When the lease ends; monotonic. */
  readonly untilMillis: number
  readonly timeoutMillis: number
  /** The call that failed or was lost, where it is still under way. */
  readonly leftBehind: LeftBehind | undefined
  /**
   * Whether only what took effect is repeated: a call that was left behind and then certainly was
   * not made ends the repeat. Default: no.
   */
  readonly onlyIfMade?: boolean
  /** An answer that comes after its timeout ends the repeat; it has been handled by then. */
  readonly ask: (limits: Try) => Effect.Effect<Answer<A>>
  /** Runs after an answer. Default: nothing. */
  readonly answered?: ((value: A) => Effect.Effect<void>) | undefined
}

/** Repeats until there is an answer that counts, or no time. */
const repeating = <A>(
  { answered, ask, leftBehind, onlyIfMade = false, timeoutMillis, untilMillis }: Repeat<A>,
  { permits }: Waiting
): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    const left = () => Math.floor(untilMillis - nowMillis(clock))
    const underWay: Array<LeftBehind> = []
    // What it has asked itself may have taken effect, whatever became of the call before.
    let hasAsked = false
    const isOver = ({ end }: LeftBehind): boolean =>
      end?._tag === "Answered" || (onlyIfMade && !hasAsked && end?.lost === false)
    const asking = Effect.suspend((): Effect.Effect<Answer<A> | undefined> => {
      const leftMillis = left()
      if (leftMillis < 1 || underWay.some(isOver)) return Effect.succeed(undefined)
      hasAsked = true
      return ask({
        timeoutMillis: Math.min(timeoutMillis, leftMillis),
        wait: Effect.interruptible,
        leftMillis
      })
    })
    const next = (longestMillis: number): Effect.Effect<void> =>
      Effect.flatMap(Random.next, (share) => {
        const leftMillis = left()
        if (leftMillis < 1) return Effect.void
        // Several tries fit into what is left, however the pauses are drawn.
        const longest = Math.max(firstPauseMillis, Math.min(longestMillis, leftMillis / 4))
        return sleepAtLeast(Math.min(leftMillis, Math.ceil(share * longest))).pipe(
          Effect.zipRight(permits.withPermits(1)(Effect.uninterruptible(asking))),
          Effect.flatMap((answer) => {
            if (answer === undefined || (answer._tag === "Failed" && answer.corrupt)) {
              return Effect.void
            }
            if (answer._tag === "Failed") {
              return afterEnd(answer.leftBehind, Math.min(2 * longestMillis, lastPauseMillis))
            }
            return answered === undefined ? Effect.void : answered(answer.value)
          })
        )
      })
    /** Waits for a call that is under way, longer for each other that still is. */
    const afterEnd = (
      before: LeftBehind | undefined,
      longestMillis: number
    ): Effect.Effect<void> => {
      if (before === undefined) return next(longestMillis)
      const others = underWay.filter(({ end }) => end === undefined).length
      const patienceMillis = timeoutMillis * Math.min(2 ** others, timeoutsOfPatience)
      underWay.push(before)
      return Effect.zipRight(
        before.wait(Math.min(left(), patienceMillis)),
        Effect.suspend(() => isOver(before) ? Effect.void : next(longestMillis))
      )
    }
    return afterEnd(leftBehind, firstPauseMillis)
  })

/** Starts to repeat. Does nothing for a store without a scope, and where too many wait already. */
export const start = <A>(
  { scope }: IdempotencyStore.Service,
  repeat: Repeat<A>
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (scope === undefined) return Effect.void
    const all = waitingOf(scope, repeat.kind)
    if (all.count >= maxWaiting) return Effect.void
    all.count++
    const counted = Effect.ensuring(
      Effect.interruptible(repeating(repeat, all)),
      Effect.sync(() => all.count--)
    )
    return Effect.asVoid(Effect.forkIn(counted, scope))
  })
