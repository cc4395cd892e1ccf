/** The loop behind `Retry.retry`: runs an attempt, asks the policy about a failure, and waits. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Core from "../core/retryDecision.js"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import type { Attempts } from "../runtime/attempts.js"
import * as CallContext from "../runtime/callContext.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import { tellOfNesting, tellOfUnknown } from "./mistakes.js"
import { judge, type Options, policyFor, type StopReason } from "./policy.js"
import type * as RetryBudget from "./RetryBudget.js"

/** What the driver has done so far; made on the first failure. */
interface Progress {
  readonly attempt: number
  readonly previousMillis: number
  /** Whether an attempt so far may have been executed. */
  readonly mayHaveRun: boolean
}

const start: Progress = { attempt: 0, previousMillis: 0, mayHaveRun: false }

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
  /** Where what is around the call asks about its attempts. */
  readonly record: Attempts | undefined
}

const run = <A, E, R>(driver: Driver<A, E, R>, progress: Progress): Effect.Effect<A, E, R> =>
  Effect.catchAllCause(driver.attempt, (cause) => onFailure(driver, progress, cause))

/** A further attempt: what retries inside of it multiplies. */
const again = <A, E, R>(driver: Driver<A, E, R>, progress: Progress): Effect.Effect<A, E, R> =>
  Effect.catchAllCause(
    CallContext.retrying.during(driver.attempt, retryingOf(driver)),
    (cause) => onFailure(driver, progress, cause)
  )

const retryingOf = <A, E, R>(
  { options, policy }: Driver<A, E, R>
): CallContext.Retrying => ({
  policy,
  attempts: policy.retries + 1,
  isAllowed: options.nested === "allow"
})

/** What is said in the log the first time that it is met. */
const mistakes = <A, E, R>(
  driver: Driver<A, E, R>,
  { attempt }: Progress,
  error: E
): Effect.Effect<void> => {
  const { options, policy } = driver
  const unknown = options.verdict === undefined ? tellOfUnknown(error) : Effect.void
  return attempt === 0 && policy.retries > 0
    ? Effect.zipRight(unknown, tellOfNesting(retryingOf(driver)))
    : unknown
}

const onFailure = <A, E, R>(
  driver: Driver<A, E, R>,
  progress: Progress,
  cause: Cause.Cause<E>
): Effect.Effect<A, E, R> => {
  const failure = failureOf(cause)
  if (Option.isNone(failure)) return Effect.failCause(cause)
  const { options, policy, record, startedAt } = driver
  const verdict = judge(options.operation, options.verdict ?? ApiError.verdict, failure.value)
  const attempt = progress.attempt + 1
  const isOpen = CallFacts.isAmbiguous(verdict) || CallFacts.isLeftOpen(cause)
  // Before anything else: whatever happens from here on, the attempt is not forgotten.
  if (isOpen) record?.add(CallFacts.isUnsafe(options.operation))
  const made: Made = {
    attempts: attempt,
    mayHaveRun: progress.mayHaveRun || isOpen || record?.mayHaveRun === true,
    budget: options.budget
  }
  const decided = Effect.clockWith((clock) =>
    Effect.flatMap(Random.next, (unit) => {
      const decision = Core.decide(policy, {
        ...progress,
        verdict,
        unit,
        elapsedMillis: startedAt === undefined ? 0 : elapsedMillis(clock, startedAt),
        budgetLeft: true
      })
      if (decision._tag === "Stop") return stop(cause, decision.reason, made)
      const further = Effect.zipRight(
        wait(decision.delayMillis, record),
        Effect.suspend(() =>
          // A timer may come late, and then the deadline has passed.
          startedAt !== undefined && elapsedMillis(clock, startedAt) >= policy.withinMillis
            ? stop(cause, "deadline", made)
            : again(driver, {
              attempt,
              previousMillis: decision.delayMillis,
              mayHaveRun: made.mayHaveRun
            })
        )
      )
      return options.budget === undefined || verdict._tag === "Rejected"
        ? further
        : Effect.flatMap(options.budget.withdraw, (granted) =>
          granted ? further : stop(cause, "budget", made))
    })
  )
  return Effect.zipRight(mistakes(driver, progress, failure.value), decided)
}

/** What a call has done by its end. */
interface Made extends CallFacts.Call {
  readonly attempts: number
  readonly budget: RetryBudget.RetryBudget | undefined
}

const stop = <E>(
  cause: Cause.Cause<E>,
  reason: StopReason,
  made: Made
): Effect.Effect<never, E> => {
  const ended = Effect.zipRight(
    report(reason, made.attempts),
    Effect.failCause(
      Cause.map(cause, (error) => CallFacts.ofCall(error, { ...made, stopReason: reason }))
    )
  )
  // An upstream that judges the request works, as one that answers with a success does.
  return made.budget !== undefined && Option.exists(failureOf(cause), CallFacts.isAnswer)
    ? Effect.zipRight(made.budget.deposit, ended)
    : ended
}

const wait = (delayMillis: number, record: Attempts | undefined): Effect.Effect<void> => {
  const delay = Effect.zipRight(
    CallContext.count(Metric.tagged(decisions, "decision", "retry")),
    delayMillis > 0 ? sleepAtLeast(delayMillis) : Effect.void
  )
  if (record === undefined) return delay
  record.isResting = true
  return Effect.zipRight(delay, Effect.sync(() => void (record.isResting = false)))
}

/** Retries a call whose beginning is known, in monotonic nanoseconds: `within` counts from then. */
export const retryFrom = <A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  options: Options<E, unknown>,
  from: bigint | undefined
): Effect.Effect<A, E, R> => {
  const policy = policyFor(options)
  const driven = (record: Attempts | undefined): Effect.Effect<A, E, R> =>
    from !== undefined || policy.withinMillis === Infinity
      ? run({ attempt, options, policy, startedAt: from, record }, start)
      : Effect.clockWith((clock) =>
        run(
          { attempt, options, policy, startedAt: clock.unsafeCurrentTimeNanos(), record },
          start
        )
      )
  const retried = CallContext.attempting(CallFacts.isUnsafe(options.operation), driven)
  return options.budget === undefined ? retried : Effect.zipLeft(retried, options.budget.deposit)
}
