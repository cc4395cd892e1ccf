/**
 * Makes and combines schedules, each a plain Effect `Schedule`.
 *
 * For programs that use `Schedule` already (`Effect.retry`, `Effect.repeat`, `Stream.retry`). Where
 * only a retry is needed, use `Retry.retry`: it is one value, costs nothing on success, and sees
 * successes, which a schedule does not.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Interval from "effect/ScheduleInterval"
import * as Intervals from "effect/ScheduleIntervals"
import { maxTimerMillis } from "../core/backoff.js"
import * as Decision from "../core/retryDecision.js"
import * as ApiError from "../errors/ApiError.js"
import type * as Operation from "../idempotency/Operation.js"
import * as Validate from "../runtime/validate.js"
import * as Backoff from "./Backoff.js"
import * as Policy from "./policy.js"
import type * as RetryBudget from "./RetryBudget.js"

/**
 * Changes when a schedule continues or how long it waits, and keeps its types.
 *
 * @since 0.1.0
 * @category models
 */
export type Combinator = <O, I, R>(self: Schedule.Schedule<O, I, R>) => Schedule.Schedule<O, I, R>

/**
 * The one shape of every combinator here: let the inner schedule speak, and where it continues,
 * keep its delay, lengthen it, or end. `undefined` ends the schedule.
 */
const refine = <O, I, R, S, R2 = never>(
  self: Schedule.Schedule<O, I, R>,
  initial: S,
  f: (
    step: { readonly now: number; readonly input: I; readonly delayMillis: number },
    state: S
  ) => Effect.Effect<
    readonly [delayMillis: number | undefined, state: S],
    never,
    R2
  >
): Schedule.Schedule<O, I, R | R2> =>
  Schedule.makeWithState(
    [self.initial, initial] as readonly [unknown, S],
    (now, input: I, [inner, state]) =>
      Effect.flatMap(self.step(now, input, inner), ([inner, out, decision]) => {
        if (ScheduleDecision.isDone(decision)) {
          return Effect.succeed([[inner, state], out, decision])
        }
        const asked = Math.max(0, Intervals.start(decision.intervals) - now)
        return Effect.map(f({ now, input, delayMillis: asked }, state), ([delay, state]) => {
          if (delay === undefined) return [[inner, state], out, ScheduleDecision.done]
          const kept = delay === asked && delay <= maxTimerMillis
          return [
            [inner, state],
            out,
            kept
              ? decision
              : ScheduleDecision.continueWith(Interval.after(now + Math.min(delay, maxTimerMillis)))
          ]
        })
      })
  )

/**
 * Waits with exponential backoff and full jitter, the default for contending clients: `base` 200
 * ms, factor 2, `cap` 20 s. Endless; bound it.
 *
 * **Details**
 *
 * Jitter is drawn below the cap, so delays still spread once the cap is reached. Invalid options
 * throw `RangeError`.
 *
 * @since 0.1.0
 * @category schedules
 */
export const cappedJitter = (options?: {
  /** The first delay before jitter. Default 200 ms. */
  readonly base?: Duration.DurationInput | undefined
  /** The longest delay. Default 20 s. */
  readonly cap?: Duration.DurationInput | undefined
}): Schedule.Schedule<Duration.Duration> =>
  Backoff.schedule(
    Backoff.exponential({ base: options?.base ?? Backoff.defaults.base, cap: options?.cap })
  )

/**
 * Waits at least as long as the failed call asked for: `Retry-After`, other rate-limit headers, or
 * the time until a circuit admits calls.
 *
 * **Details**
 *
 * The wait is a floor: the schedule may wait longer, never shorter. A wait equal to `cap` (default
 * 60 s) is honoured; beyond it the schedule ends (`beyondCap: "fail"`, the default) or waits for
 * the cap (`"clamp"`). Apply it after the backoff it lifts.
 *
 * @since 0.1.0
 * @category combinators
 */
export const honourRetryAfter = (options?: {
  /** The longest wait that a server may ask for. Default 60 s. */
  readonly cap?: Duration.DurationInput | undefined
  /** A longer wait ends the schedule (`"fail"`, the default) or is cut to the cap (`"clamp"`). */
  readonly beyondCap?: "fail" | "clamp" | undefined
}): Combinator => {
  const policy = {
    retryAfterCapMillis: Duration.toMillis(
      Validate.duration("cap", options?.cap ?? Policy.defaults.retryAfterCap)
    ),
    beyondCap: options?.beyondCap ?? Policy.defaults.beyondCap
  }
  return (self) =>
    refine(self, undefined, ({ delayMillis, input }, state) => {
      const verdict = Policy.toCore(ApiError.verdict(input))
      if (verdict._tag === "Terminal") return Effect.succeed([delayMillis, state])
      const floor = Decision.floorMillis(verdict, policy)
      return Effect.succeed([floor === undefined ? undefined : Math.max(floor, delayMillis), state])
    })
}

/**
 * Continues only while the failure may be repeated for this operation: not on terminal failures or
 * rejections, and for `Operation.once` not when the call may have been executed. `Operation.keyed`
 * puts `IdempotencyKey` into the environment.
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileTransient =
  <R2>(operation: Operation.Operation<R2>) =>
  <O, I, R>(self: Schedule.Schedule<O, I, R>): Schedule.Schedule<O, I, R | R2> =>
    refine(self, undefined, ({ delayMillis, input }, state) => {
      const verdict = Policy.judge(operation, ApiError.verdict, input)
      const refused = Decision.refusal(operation._tag, verdict, false)
      return Effect.succeed([refused === undefined ? delayMillis : undefined, state])
    })

/**
 * Allows at most `n` attempts after the first. `retries(2)` and `attempts(3)` are the same. Invalid
 * numbers throw `RangeError`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const retries = (n: number): Combinator => {
  const limit = Validate.integer("retries", n, 0)
  return (self) =>
    refine(
      self,
      0,
      ({ delayMillis }, taken) =>
        Effect.succeed([taken < limit ? delayMillis : undefined, taken + 1])
    )
}

/**
 * Allows at most `n` attempts, the first one included. Invalid numbers throw `RangeError`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const attempts = (n: number): Combinator => retries(Validate.integer("attempts", n, 1) - 1)

/**
 * Ends the schedule when the next delay would end later than `total` after the first question.
 *
 * **Gotchas**
 *
 * A schedule is first asked when the first attempt has failed, and does not know how long that
 * took. `Retry.retry({ within })` counts from the start of the first attempt. Apply it last, when
 * the delay is final.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within = (total: Duration.DurationInput): Combinator => {
  const millis = Duration.toMillis(Validate.duration("within", total))
  return (self) =>
    refine(
      self,
      undefined as number | undefined,
      ({ delayMillis, now }, start = now) =>
        Effect.succeed([now - start + delayMillis < millis ? delayMillis : undefined, start])
    )
}

/**
 * Pays for every retry from a budget, and ends when the budget is spent. A rejection by a guard
 * costs nothing.
 *
 * **Gotchas**
 *
 * A schedule does not see successes, so it cannot pay in: run `budget.deposit` after each success
 * (`Effect.tap`), or use `Retry.retry`, which does. Apply it last, so that it is asked only for
 * retries that will happen.
 *
 * @since 0.1.0
 * @category combinators
 */
export const budgeted = (budget: RetryBudget.RetryBudget): Combinator => (self) =>
  refine(
    self,
    undefined,
    ({ delayMillis, input }, state) =>
      ApiError.verdict(input)._tag === "Rejected"
        ? Effect.succeed([delayMillis, state])
        : Effect.map(budget.withdraw, (granted) => [granted ? delayMillis : undefined, state])
  )

/**
 * Polls at a steady pace, once in `every`, for at most `within`. Its output counts the polls, from
 * 0. Invalid durations throw `RangeError`.
 *
 * @since 0.1.0
 * @category schedules
 */
export const poll = (options: {
  /** The time between two polls (required). */
  readonly every: Duration.DurationInput
  /** Stops polling after this long (required). */
  readonly within: Duration.DurationInput
}): Schedule.Schedule<number> =>
  Schedule.spaced(Validate.positiveDuration("every", options.every)).pipe(within(options.within))
