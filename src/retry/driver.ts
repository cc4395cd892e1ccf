/**
 * The loop behind `Retry.retry`: it runs an attempt, asks the policy about a failure, and waits.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Core from "../core/retryDecision.js"
import * as ApiError from "../errors/ApiError.js"
import * as CallContext from "../runtime/callContext.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import { judge, type Options, policyFor, type StopReason } from "./policy.js"

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
