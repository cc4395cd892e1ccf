/**
 * Limits retries to a share of the successes.
 *
 * A retry policy bounds one call. It does not bound ten thousand calls that fail together: when an
 * upstream is down, each of them retries, and three attempts triple its load. A budget is shared by
 * all calls to one upstream. Each success pays in a fraction of a retry, and each retry costs a
 * whole one. A small reserve per second keeps quiet callers able to retry. In a total outage
 * nothing is paid in, so the extra load falls to the reserve.
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
 * A budget of retries. Make one per upstream and process, shared by its retries and hedges.
 *
 * **Details**
 *
 * `withdraw` takes a token for a retry, `deposit` pays in for a success, `available` reads the
 * number of tokens, fractions included. Each is atomic and O(1).
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget {
  /** Takes a token for one retry. False when there is none. O(1). */
  readonly withdraw: Effect.Effect<boolean>
  /** Pays in for one success. O(1). */
  readonly deposit: Effect.Effect<void>
  /** Reads the number of tokens, fractions included. */
  readonly available: Effect.Effect<number>
}

/**
 * The options of a retry budget.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How many tokens one success pays in. Default 0.1: in the long run at most one retry for ten
   * successes.
   */
  readonly ratio?: number | undefined
  /** How many tokens can be saved up. Default 10. The budget starts full. */
  readonly capacity?: number | undefined
  /** How many tokens flow in each second without successes. Default 1. */
  readonly reservePerSecond?: number | undefined
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `ratio`. */
  ratio: 0.1,
  /** Default of the option `capacity`. */
  capacity: 10,
  /** Default of the option `reservePerSecond`. */
  reservePerSecond: 1
} as const

/**
 * The tag of the default budget. Programs with several upstreams make several budgets with `make`.
 *
 * @since 0.1.0
 * @category tags
 */
export const RetryBudget: Context.Tag<RetryBudget, RetryBudget> = Context.GenericTag<RetryBudget>(
  "effect-resilience/RetryBudget"
)

/**
 * Makes a full budget. Invalid options die with `RangeError`.
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
 * Makes the default budget as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<RetryBudget> =>
  Layer.effect(RetryBudget, make(options))
