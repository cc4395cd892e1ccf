/**
 * One driver that tries again: only what may be repeated, only as often as agreed, never earlier
 * than the server asked, never into a deadline it cannot meet.
 *
 * The decision is a pure function (`decide`); this file only waits. On success it does nothing: no
 * schedule is started, no clock is read, no state is made until the first failure.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as ApiError from "../errors/ApiError.js"
import * as Backoff from "./Backoff.js"
import * as CallContext from "../runtime/callContext.js"
import * as Validate from "../runtime/validate.js"
import * as Core from "../core/retryDecision.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import type * as RetryBudget from "./RetryBudget.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import type * as Verdict from "../errors/Verdict.js"

/**
 * A retry policy, as data.
 *
 * **Details**
 *
 * - `operation`: what running it twice would mean. `keyed` demands an `IdempotencyKey`.
 * - `backoff`: the delays. Default: exponential from 200 ms, doubling, capped at 20 s, full jitter.
 * - `retries`: calls after the first. Default 2.
 * - `within`: no delay is begun that would not end before this much time has passed since the start
 *   of the first attempt. It bounds the waiting; it does not interrupt a running attempt. Default:
 *   none.
 * - `budget`: shared by all calls to one upstream; a retry takes a token, a success pays in.
 * - `retryAfterCap`: the longest wait that a server may ask for. Default 60 s. Beyond it:
 *   `beyondCap: "fail"` (default) stops, `"clamp"` waits for the cap.
 * - `waitForRejections`: whether to wait when one of our own guards turned the call away. Default
 *   false.
 *
 * @since 0.1.0
 * @category models
 */
export interface Base<R = never> {
  readonly operation: Operation.Operation<R>
  readonly backoff?: Backoff.Backoff | undefined
  readonly retries?: number | undefined
  readonly within?: Duration.DurationInput | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly retryAfterCap?: Duration.DurationInput | undefined
  readonly beyondCap?: "fail" | "clamp" | undefined
  readonly waitForRejections?: boolean | undefined
}

/**
 * A retry policy that judges errors itself. Without `verdict`, `ApiError.verdict` does: errors that
 * are not understood are not repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R = never> extends Base<R> {
  readonly verdict?: ((error: E) => Verdict.Verdict) | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  backoff: Backoff.standard,
  retries: 2,
  retryAfterCap: Duration.minutes(1),
  beyondCap: "fail",
  waitForRejections: false
} as const

/**
 * What the driver does next. `delayMillis` is finite and at most 2^31-1.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Retry"; readonly delayMillis: number }
  | { readonly _tag: "Stop"; readonly reason: StopReason }

/**
 * Why there was no further attempt.
 *
 * - `terminal`: another try would fail the same way
 * - `notRepeatable`: it may have been executed, and the operation is `once`
 * - `retries`: the agreed number has been made
 * - `deadline`: the next delay would not end in time
 * - `budget`: the shared budget is spent
 * - `rejected`: one of our guards turned the call away
 * - `retryAfter`: the server asked for a longer wait than `retryAfterCap`
 *
 * @since 0.1.0
 * @category models
 */
export type StopReason =
  | "terminal"
  | "notRepeatable"
  | "retries"
  | "deadline"
  | "budget"
  | "rejected"
  | "retryAfter"

/** Options that have been checked, in plain numbers. */
const policyOf = (options: Base<unknown>): Core.Policy => ({
  operation: options.operation._tag,
  backoff: Backoff.toCore(options.backoff ?? defaults.backoff),
  retries: Validate.integer("retries", options.retries ?? defaults.retries, 0),
  withinMillis: options.within === undefined
    ? Infinity
    : Duration.toMillis(Validate.duration("within", options.within)),
  retryAfterCapMillis: Duration.toMillis(
    Validate.duration("retryAfterCap", options.retryAfterCap ?? defaults.retryAfterCap)
  ),
  beyondCap: options.beyondCap ?? defaults.beyondCap,
  waitForRejections: options.waitForRejections ?? defaults.waitForRejections
})

const policies = new WeakMap<Base<unknown>, Core.Policy>()

/**
 * Options are immutable data: each object is checked once, however many effects are retried with
 * it.
 */
const policyFor = (options: Base<unknown>): Core.Policy => {
  let policy = policies.get(options)
  if (policy === undefined) policies.set(options, policy = policyOf(options))
  return policy
}

/** Throws the `RangeError` that retrying with these options would. */
export const check = (options: Base<unknown>): void => void policyFor(options)

/** A verdict in plain numbers, for the core. */
export const toCore = (verdict: Verdict.Verdict): Core.Verdict =>
  verdict._tag === "Terminal" ? verdict : {
    ...verdict,
    retryAfterMillis: Option.getOrUndefined(Option.map(verdict.retryAfter, Duration.toMillis))
  }

/**
 * What an error means for this kind of operation. A success that could not be read was executed:
 * for an unsafe operation it is final, whatever the verdict says.
 */
export const judge = <E>(
  operation: Operation.Operation<unknown>,
  verdict: (error: E) => Verdict.Verdict,
  error: E
): Core.Verdict =>
  (operation._tag === "Keyed" || operation._tag === "Once") && ApiError.isUnreadable(error)
    ? { _tag: "Terminal" }
    : toCore(verdict(error))

/**
 * The decision itself, pure: what the driver does about one failure.
 *
 * **Details**
 *
 * `attempt` counts from 0 after the first failure, `elapsedMillis` from the start of the first
 * attempt, `previousMillis` is the delay before this one, `unit` a draw from `[0, 1)`, `budgetLeft`
 * whether the budget has a token (default true). Throws a `RangeError` for nonsense options. O(1).
 *
 * **Example** (A refused connection may be tried again even without a key)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 *
 * const policy = { operation: Operation.once, backoff: Backoff.constant("1 second") }
 * const failure = { attempt: 0, elapsedMillis: 0, previousMillis: 0, unit: 0 }
 *
 * Retry.decide(policy, { ...failure, verdict: Verdict.transient({ ambiguous: false }) })._tag // => "Retry"
 * Retry.decide(policy, { ...failure, verdict: Verdict.transient({ ambiguous: true }) })._tag // => "Stop"
 * ```
 *
 * @since 0.1.0
 * @category decisions
 */
export const decide = (options: Base<unknown>, input: {
  readonly verdict: Verdict.Verdict
  readonly attempt: number
  readonly elapsedMillis: number
  readonly previousMillis: number
  readonly unit: number
  readonly budgetLeft?: boolean | undefined
}): Decision =>
  Core.decide(policyFor(options), {
    ...input,
    verdict: toCore(input.verdict),
    budgetLeft: input.budgetLeft ?? true
  })

/** What the driver has done so far; made on the first failure. */
interface Progress {
  readonly attempt: number
  readonly previousMillis: number
}

const start: Progress = { attempt: 0, previousMillis: 0 }

const decisions = Metric.counter("resilience.retry.attempts", {
  description: "What was decided after a failed attempt",
  incremental: true
})

/** The reason for stopping, where an operator looks for it. */
const report = (reason: StopReason, attempts: number): Effect.Effect<void> =>
  Effect.annotateCurrentSpan({
    "resilience.retry.stop": reason,
    "resilience.retry.attempts": attempts
  }).pipe(
    Effect.zipRight(CallContext.count(Metric.tagged(decisions, "decision", reason))),
    Effect.zipRight(CallContext.stopped(reason)),
    Effect.zipRight(
      Effect.annotateLogs(Effect.logDebug("No further attempt"), {
        "retry.stop": reason,
        "retry.attempts": attempts
      })
    )
  )

const counted = <E>(error: E, attempts: number): E =>
  ApiError.isApiError(error) && error.attempts !== attempts
    ? ApiError.annotate(error, { attempts })
    : error

/**
 * Of work that ran side by side, the parts that were interrupted because another part failed are no
 * news.
 */
const withoutSiblings = <E>(cause: Cause.Cause<E>): Cause.Cause<E> => {
  if (cause._tag !== "Parallel" && cause._tag !== "Sequential") return cause
  const left = withoutSiblings(cause.left)
  const right = withoutSiblings(cause.right)
  if (cause._tag === "Sequential") return Cause.sequential(left, right)
  if (Cause.isInterruptedOnly(left)) return right
  return Cause.isInterruptedOnly(right) ? left : Cause.parallel(left, right)
}

/** The failure that may be retried: none where there was a defect or an interruption. */
const failureOf = <E>(cause: Cause.Cause<E>): Option.Option<E> => {
  if (cause._tag === "Fail") return Option.some(cause.error)
  const news = withoutSiblings(cause)
  return Cause.isInterrupted(news) || Option.isSome(Cause.dieOption(news))
    ? Option.none()
    : Cause.failureOption(news)
}

/**
 * One retried call: what is run, and by which rules. Made once per effect; what happens to it is
 * `Progress`.
 */
interface Driver<A, E, R> {
  readonly attempt: Effect.Effect<A, E, R>
  readonly options: Options<E, unknown>
  readonly policy: Core.Policy
  readonly startedAt: bigint | undefined
}

const run = <A, E, R>(driver: Driver<A, E, R>, progress: Progress): Effect.Effect<A, E, R> =>
  Effect.catchAllCause(driver.attempt, (cause) => onFailure(driver, progress, cause))

const onFailure = <A, E, R>(
  driver: Driver<A, E, R>,
  progress: Progress,
  cause: Cause.Cause<E>
): Effect.Effect<A, E, R> => {
  const failure = failureOf(cause)
  if (Option.isNone(failure)) return Effect.failCause(cause)
  const { options, policy, startedAt } = driver
  const verdict = judge(options.operation, options.verdict ?? ApiError.verdict, failure.value)
  const attempts = progress.attempt + 1
  return Effect.clockWith((clock) =>
    Effect.flatMap(Random.next, (unit) => {
      const decision = Core.decide(policy, {
        ...progress,
        verdict,
        unit,
        elapsedMillis: startedAt === undefined ? 0 : elapsedMillis(clock, startedAt),
        budgetLeft: true
      })
      if (decision._tag === "Stop") return stop(cause, decision.reason, attempts)
      const again = Effect.zipRight(
        wait(decision.delayMillis),
        Effect.suspend(() =>
          // A timer may come late, and then the deadline has passed.
          startedAt !== undefined && elapsedMillis(clock, startedAt) >= policy.withinMillis
            ? stop(cause, "deadline", attempts)
            : run(driver, { attempt: attempts, previousMillis: decision.delayMillis })
        )
      )
      return options.budget === undefined || verdict._tag === "Rejected"
        ? again
        : Effect.flatMap(options.budget.withdraw, (granted) =>
          granted ? again : stop(cause, "budget", attempts))
    })
  )
}

const stop = <E>(
  cause: Cause.Cause<E>,
  reason: StopReason,
  attempts: number
): Effect.Effect<never, E> =>
  Effect.zipRight(
    report(reason, attempts),
    Effect.failCause(Cause.map(cause, (error) => counted(error, attempts)))
  )

const wait = (delayMillis: number): Effect.Effect<void> =>
  Effect.zipRight(
    CallContext.count(Metric.tagged(decisions, "decision", "retry")),
    delayMillis > 0 ? sleepAtLeast(delayMillis) : Effect.void
  )

/** Retries a call whose beginning is known, in monotonic nanoseconds: `within` counts from then. */
export const retryFrom = <A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  options: Options<E, unknown>,
  from: bigint | undefined
): Effect.Effect<A, E, R> => {
  const policy = policyFor(options)
  const retried = from !== undefined || policy.withinMillis === Infinity
    ? run({ attempt, options, policy, startedAt: from }, start)
    : Effect.clockWith((clock) =>
      run({ attempt, options, policy, startedAt: clock.unsafeCurrentTimeNanos() }, start)
    )
  return options.budget === undefined ? retried : Effect.zipLeft(retried, options.budget.deposit)
}

const retryWith = <A, E, R, R2>(
  self: Effect.Effect<A, E, R>,
  options: Options<E, R2>
): Effect.Effect<A, E, R | R2> =>
  retryFrom(
    options.operation._tag === "Keyed" ? IdempotencyKey.insideAttempt(self) : self,
    options,
    undefined
  )

/** Options that come before the effect are checked when they come, not when the effect does. */
const isDataFirst = (args: IArguments): boolean => {
  const dataFirst = Effect.isEffect(args[0])
  if (!dataFirst) policyFor(args[0])
  return dataFirst
}

/**
 * Runs an effect and tries again after failures that another try may mend.
 *
 * **When to use**
 *
 * Around one call to an API, on any effect with any error type. Inside a pipeline or the HTTP
 * client it is already there; do not nest it: three tries of three tries are nine.
 *
 * **Details**
 *
 * - The last error is returned as it is; one of our `ApiError`s gets `attempts`, the number of
 *   calls made.
 * - The reason for stopping is on the current span (`resilience.retry.stop`), in the debug log and
 *   in the metric `resilience.retry.attempts`.
 * - Defects and interruption end the call at once. Interruption during a delay runs nothing
 *   further.
 * - Throws a `RangeError` for nonsense options. O(1) per attempt; nothing on success, unless
 *   `within` (one clock read) or `budget` (one deposit).
 *
 * **Example** (Any effect, any error)
 *
 * ```ts
 * import { Backoff, Operation, Retry, Verdict } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * let calls = 0
 * const flaky = Effect.suspend(() =>
 *   ++calls < 3 ? Effect.fail("busy" as const) : Effect.succeed(calls)
 * )
 *
 * const program = flaky.pipe(
 *   Retry.retry({
 *     operation: Operation.read,
 *     backoff: Backoff.constant("1 millis"),
 *     verdict: () => Verdict.transient()
 *   })
 * )
 *
 * await Effect.runPromise(program) // => 3
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const retry: {
  <R2 = never>(
    options: Base<R2> & { readonly verdict?: undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <E, R2 = never>(
    options: Base<R2> & { readonly verdict: (error: NoInfer<E>) => Verdict.Verdict }
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    options: Options<E, R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(isDataFirst, retryWith)
