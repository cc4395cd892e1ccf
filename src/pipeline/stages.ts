/**
 * What a pipeline is told: its stages as data, what each can reject with, and what may differ from
 * call to call.
 */
import type * as Duration from "effect/Duration"
import type * as AdaptiveConcurrency from "../policies/AdaptiveConcurrency.js"
import type * as AdaptiveThrottle from "../policies/AdaptiveThrottle.js"
import type * as ApiError from "../errors/ApiError.js"
import type * as Bulkhead from "../policies/Bulkhead.js"
import type * as Chaos from "../policies/Chaos.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import type * as Cooldown from "../policies/Cooldown.js"
import type * as Hedge from "../policies/Hedge.js"
import type * as Operation from "../idempotency/Operation.js"
import type * as RateLimiter from "../policies/RateLimiter.js"
import type * as Retry from "../retry/Retry.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import type * as Telemetry from "../observability/Telemetry.js"

/**
 * What a pipeline is made of. Each stage may be left out; those that are there apply in this order,
 * outermost first.
 *
 * **Details**
 *
 * - `operation`: what running the call twice would mean.
 * - `telemetry`: metrics, spans and logs about calls and attempts; see `Telemetry.Options`. Absent:
 *   none, at no cost.
 * - `totalTimeout`: how long the whole call may take, waits and all attempts included. It cuts what
 *   is running when it ends, and no wait is begun that would not end before it.
 * - `retry`: how to try again; see `Retry.Base`. Absent: one attempt.
 * - `budget`: pays for the retries and hedges of all calls through this pipeline.
 * - `hedge`: a second attempt beside one that is late; see `Hedge.Options`.
 * - `circuitBreaker`: rejects attempts with `CircuitOpen` while the upstream evidently does not
 *   work.
 * - `throttle`: turns attempts away with `Throttled` while the upstream accepts too few.
 * - `rateLimiter`: attempts wait for their time, or are rejected with `RateLimited`.
 * - `bulkhead`: so many attempts run at once; others wait for a permit, or are rejected with
 *   `BulkheadFull`.
 * - `concurrency`: a limit that learns how many may run at once, and rejects others with
 *   `ConcurrencyLimited`.
 * - `cooldown`: attempts wait until a `Retry-After` has passed, or are rejected with `CoolingDown`.
 * - `attemptTimeout`: how long each attempt may take, without the time it waited for its turn.
 * - `chaos`: faults injected on purpose, where that is enabled.
 *
 * Where an instance may be given, it is shared with whoever else has it; options make a new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stages {
  readonly operation: Operation.Operation<unknown>
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  readonly totalTimeout?: Duration.DurationInput | undefined
  readonly retry?: Omit<Retry.Options<unknown>, "operation" | "budget"> | undefined
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
  readonly hedge?: Omit<Hedge.Options, "operation" | "budget"> | undefined
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  readonly throttle?: AdaptiveThrottle.AdaptiveThrottle | AdaptiveThrottle.Options | undefined
  readonly rateLimiter?: RateLimiter.RateLimiter | RateLimiter.Options | undefined
  readonly bulkhead?: Bulkhead.Bulkhead | Bulkhead.Options | undefined
  readonly concurrency?:
    | AdaptiveConcurrency.AdaptiveConcurrency
    | AdaptiveConcurrency.Options
    | undefined
  readonly cooldown?: Cooldown.Cooldown | Cooldown.Options | undefined
  readonly attemptTimeout?: Duration.DurationInput | undefined
  readonly chaos?: Faults | undefined
}

/**
 * Faults for a pipeline: late calls, interruptions, and failures that are `ApiError`s. What a call
 * succeeds with is not the pipeline's to change.
 *
 * @since 0.1.0
 * @category models
 */
export type Faults =
  | Chaos.Chaos<never, ApiError.ApiError>
  | Chaos.Options<ReadonlyArray<Chaos.Fault<never, ApiError.ApiError>>>

/**
 * What each stage can reject a call with. A stage that is absent adds nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejects {
  readonly totalTimeout: ApiError.Timeout
  readonly circuitBreaker: CircuitBreaker.CircuitOpen
  readonly throttle: AdaptiveThrottle.Throttled
  readonly rateLimiter: RateLimiter.RateLimited
  readonly bulkhead: Bulkhead.BulkheadFull
  readonly concurrency: AdaptiveConcurrency.ConcurrencyLimited
  readonly cooldown: Cooldown.CoolingDown
  readonly attemptTimeout: ApiError.Timeout
  readonly chaos: ApiError.ApiError
}

/**
 * What the stages of any pipeline can reject with.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = Rejects[keyof Rejects]

/**
 * The stages a caller wrote down, checked to the last field: a typo at any depth does not compile.
 *
 * @since 0.1.0
 * @category models
 */
export type Input<R, K extends keyof Stages> =
  & { readonly operation: Operation.Operation<R> }
  & Pick<Stages, K>

/**
 * What may differ from call to call: `key` says whose circuit, rate, limit and cooldown the call
 * shares (default `"default"`), `about` what telemetry files it under.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  readonly key?: string | undefined
  readonly about?: Telemetry.About | undefined
}
