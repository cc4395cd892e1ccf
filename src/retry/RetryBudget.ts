/**
 * Retries are paid for by successes.
 *
 * A retry policy bounds what one call does; it says nothing about ten thousand calls that fail
 * together. When a whole upstream is down, each of them retries, and three tries each triple the
 * load on the thing that is failing. A budget is shared by all calls to one upstream: each success
 * pays in a fraction of a retry, each retry costs a whole one, and a small reserve per second keeps
 * quiet callers able to retry. In a total outage nothing is paid in, so the extra load falls to the
 * reserve.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TokenBucket from "../core/tokenBucket.js"
import { nowMillis } from "../runtime/clock.js"
import { withBehind } from "../runtime/instances.js"
import * as Validate from "../runtime/validate.js"

/**
 * The two moves of a budget, and a look inside. Make one per upstream and process, shared by its
 * retries and hedges.
 *
 * **Details**
 *
 * `withdraw` takes a token for a retry and says whether there was one; `deposit` is called for each
 * success; `available` is the number of tokens, fractions included. Each is atomic and O(1).
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget {
  readonly withdraw: Effect.Effect<boolean>
  readonly deposit: Effect.Effect<void>
  readonly available: Effect.Effect<number>
}

/**
 * - `ratio`: what a success pays in, in retries. Default 0.1: at most one retry for ten successes,
 *   in the long run.
 * - `capacity`: how many retries can be saved up. Default 10, initially full.
 * - `reservePerSecond`: what flows in by itself. Default 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly ratio?: number | undefined
  readonly capacity?: number | undefined
  readonly reservePerSecond?: number | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { ratio: 0.1, capacity: 10, reservePerSecond: 1 } as const

/**
 * The budget of a program that talks to one upstream. Programs with several make several with
 * `make`.
 *
 * @since 0.1.0
 * @category tags
 */
export const RetryBudget: Context.Tag<RetryBudget, RetryBudget> = Context.GenericTag<RetryBudget>(
  "effect-resilience/RetryBudget"
)

/**
 * A new, full budget. Dies with a `RangeError` when an option is not a number in its range.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<RetryBudget> =>
  Effect.clockWith((clock) =>
    Effect.sync(() => {
      const ratio = Validate.number("ratio", options?.ratio ?? defaults.ratio, 0)
      const bucket: TokenBucket.TokenBucket = {
        capacity: Validate.number("capacity", options?.capacity ?? defaults.capacity, 0),
        perSecond: Validate.number(
          "reservePerSecond",
          options?.reservePerSecond ?? defaults.reservePerSecond,
          0
        )
      }
      let state = TokenBucket.full(bucket, nowMillis(clock))
      return withBehind<RetryBudget>({
        withdraw: Effect.clockWith((clock) =>
          Effect.sync(() => {
            const [granted, next] = TokenBucket.withdraw(bucket, state, nowMillis(clock))
            state = next
            return granted
          })
        ),
        deposit: Effect.sync(() => {
          state = TokenBucket.deposit(bucket, state, ratio)
        }),
        available: Effect.clockWith((clock) =>
          Effect.sync(() => (state = TokenBucket.refill(bucket, state, nowMillis(clock))).tokens)
        )
      }, { options: options ?? {} })
    })
  )

/**
 * The default budget as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<RetryBudget> =>
  Layer.effect(RetryBudget, make(options))
