/**
 * Work that another system does in its own time: submit it, then ask until it is done.
 *
 * Two different things can fail here, and they call for different answers. When submitting fails
 * there is no job, and submitting again may be right. When asking fails, or takes too long, the job
 * goes on without us: submitting again would do the work twice and tell the user twice. So the
 * failures are different errors, polling always ends, and whatever ends it after the submission
 * knows the request id, with which it can be resumed later.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import type * as ApiError from "../errors/ApiError.js"
import * as Backoff from "../retry/Backoff.js"
import * as Validate from "../runtime/validate.js"
import * as Deadline from "../policies/timeout/deadline.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * The work could not be submitted; `error` says why. There is no request id, so there is nothing to
 * resume.
 *
 * **Gotchas**
 *
 * It may have been accepted all the same, when the answer was lost or the budget ended first
 * (`ApiError.mayHaveRun(error)`). Submit again under the same idempotency key.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubmitFailed<E> extends Data.TaggedError("SubmitFailed")<{ readonly error: E }> {
  override get message(): string {
    return `The work could not be submitted${reasonOf(this.error)}`
  }
}

/**
 * The work was submitted, but asking how far it is failed; `error` says why. The work goes on:
 * `resume` with this `requestId`, and do not submit again.
 *
 * @since 0.1.0
 * @category errors
 */
export class PollFailed<E, S = unknown> extends Data.TaggedError("PollFailed")<{
  readonly error: E
  readonly requestId: string
  readonly lastStatus: Option.Option<S>
}> {
  override get message(): string {
    return `The work was submitted as ${this.requestId}, but asking for it failed${
      reasonOf(this.error)
    }`
  }
}

/**
 * The work was submitted and is not done within the budget. It goes on: `resume` with this
 * `requestId` later, and do not submit again.
 *
 * **Details**
 *
 * `lastStatus` is the last answer of `poll`, none when there was none in time. `elapsed` counts
 * from the start of `until` or of `resume`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PollingTimeout<S = unknown> extends Data.TaggedError("PollingTimeout")<{
  readonly requestId: string
  readonly lastStatus: Option.Option<S>
  readonly elapsed: Duration.Duration
}> {
  override get message(): string {
    return `The work was submitted as ${this.requestId} and is not done after ${
      Duration.format(this.elapsed)
    }`
  }
}

/** The tag of the error behind it: its text is somebody else's. */
const reasonOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string"
    ? ` (${error._tag})`
    : ""

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

/**
 * What a submission is answered with: the request id, or something that has it.
 *
 * @since 0.1.0
 * @category models
 */
export type Submitted = string | { readonly requestId: string } | { readonly request_id: string }

/**
 * How to ask, for how long, and how often.
 *
 * **Details**
 *
 * - `poll`: asks for the status of a request. What another try may mend is for its own retry or
 *   pipeline to mend; what it fails with ends the polling.
 * - `done`: whether a status is the last one. A type guard narrows the result.
 * - `schedule`: when to ask again; its input is the last status. Default: after 2 s, then 3 s, 4.5
 *   s and so on, at most 10 s. When it ends, so does the polling.
 * - `within`: the budget, finite: total time from the start, submission, polls and waits included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<S, E, R, R2 = never> {
  readonly poll: (requestId: string) => Effect.Effect<S, E, R>
  readonly done: (status: S) => boolean
  readonly schedule?: Schedule.Schedule<unknown, S, R2> | undefined
  readonly within: Duration.DurationInput
}

/**
 * The same for work that is not submitted yet.
 *
 * **Details**
 *
 * - `submit`: submits the work.
 * - `onSubmitted`: told the request id before the first poll, so that it can be stored. It is not
 *   interrupted: an id that exists is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface UntilOptions<S, E1, R1, E2, R2, R3 = never, R4 = never>
  extends Options<S, E2, R2, R3>
{
  readonly submit: Effect.Effect<Submitted, E1, R1>
  readonly onSubmitted?: ((requestId: string) => Effect.Effect<void, never, R4>) | undefined
}

/**
 * The same for work that was submitted before.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResumeOptions<S, E, R, R2 = never> extends Options<S, E, R, R2> {
  readonly requestId: string
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  schedule: Backoff.schedule(
    Backoff.exponential({ base: "2 seconds", factor: 1.5, cap: "10 seconds", jitter: Backoff.none })
  )
} as const

// -----------------------------------------------------------------------------
// polling
// -----------------------------------------------------------------------------

const budgetOf = (within: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration("within", Validate.positiveDuration("within", within)))

const requestIdOf = (submitted: Submitted): string => {
  if (typeof submitted === "string") return submitted
  return "requestId" in submitted ? submitted.requestId : submitted.request_id
}

/**
 * One request that is asked for: by which rules, and since when. What happens to it is `Progress`.
 */
interface Asking<S, E, R, R2> {
  readonly options: Options<S, E, R, R2>
  readonly schedule: Schedule.Schedule<unknown, S, R2>
  readonly requestId: string
  readonly budgetMillis: number
  readonly startedAt: bigint
}

interface Progress<S> {
  readonly schedule: unknown
  readonly lastStatus: Option.Option<S>
}

type Failure<S, E> = PollFailed<E, S> | PollingTimeout<S>

const giveUp = <S>(asking: Asking<S, unknown, unknown, unknown>, lastStatus: Option.Option<S>) =>
  Effect.clockWith((clock) =>
    Effect.fail(
      new PollingTimeout({
        requestId: asking.requestId,
        lastStatus,
        elapsed: Duration.millis(elapsedMillis(clock, asking.startedAt))
      })
    )
  )

/**
 * One poll, cut where the budget ends; then the wait that the schedule says, if it ends within the
 * budget.
 */
const ask = <S, E, R, R2>(
  asking: Asking<S, E, R, R2>,
  progress: Progress<S>
): Effect.Effect<S, Failure<S, E>, R | R2> => {
  const { budgetMillis, options, requestId, startedAt } = asking
  const { lastStatus } = progress
  // A poll that fails is a value here, so that what fails is the budget.
  const answer = Deadline.run(
    Effect.either(Effect.suspend(() => options.poll(requestId))),
    { attemptMillis: Infinity, totalMillis: budgetMillis },
    startedAt
  )
  return Effect.matchEffect(answer, {
    onFailure: () => giveUp(asking, lastStatus),
    onSuccess: (polled) => {
      if (polled._tag === "Left") {
        return Effect.fail(new PollFailed({ error: polled.left, requestId, lastStatus }))
      }
      return options.done(polled.right)
        ? Effect.succeed(polled.right)
        : askAgain(asking, { ...progress, lastStatus: Option.some(polled.right) }, polled.right)
    }
  })
}

const askAgain = <S, E, R, R2>(
  asking: Asking<S, E, R, R2>,
  progress: Progress<S>,
  status: S
): Effect.Effect<S, Failure<S, E>, R | R2> =>
  Effect.clockWith((clock) => {
    const now = clock.unsafeCurrentTimeMillis()
    return Effect.flatMap(
      asking.schedule.step(now, status, progress.schedule),
      ([schedule, , decision]): Effect.Effect<S, Failure<S, E>, R | R2> => {
        if (ScheduleDecision.isDone(decision)) return giveUp(asking, progress.lastStatus)
        const wait = Math.max(0, Intervals.start(decision.intervals) - now)
        if (elapsedMillis(clock, asking.startedAt) + wait >= asking.budgetMillis) {
          return giveUp(asking, progress.lastStatus)
        }
        return Effect.zipRight(sleepAtLeast(wait), ask(asking, { ...progress, schedule }))
      }
    )
  })

const start = <S, E, R, R2>(
  options: Options<S, E, R, R2>,
  requestId: string,
  budgetMillis: number,
  startedAt: bigint
): Effect.Effect<S, Failure<S, E>, R | R2> => {
  const schedule = options.schedule ?? defaults.schedule
  return ask({ options, schedule, requestId, budgetMillis, startedAt }, {
    schedule: schedule.initial,
    lastStatus: Option.none()
  })
}

/**
 * Submits work and asks for it until it is done.
 *
 * **When to use**
 *
 * Where an API answers a request with an id and wants to be asked for the result.
 *
 * **Details**
 *
 * - The first poll follows the submission at once, the next ones after the delays of `schedule`. No
 *   delay is begun that would not end within the budget.
 * - Fails with `SubmitFailed` (no job), `PollFailed` (a job, asking failed) or `PollingTimeout` (a
 *   job that is not done); the caller's own errors are in their `error`, by type. A submission that
 *   is still under way when the budget ends is interrupted, and fails with `SubmitFailed` of an
 *   `ApiError.Timeout` whose deadline is `total`. A poll is interrupted there too, and its
 *   finalizers have run before the failure is seen.
 * - Interruption ends it at that moment. The remote work goes on; `onSubmitted` has its id.
 * - Time is the `Clock`'s. Throws a `RangeError` when `within` is not longer than zero and finite.
 *
 * **Gotchas**
 *
 * Do not retry the whole: that submits again. `resume` does not.
 *
 * **Example** (Too slow today, done tomorrow, submitted once)
 *
 * ```ts
 * import { Polling } from "effect-resilience"
 * import { Effect, Schedule } from "effect"
 *
 * let polls = 0
 * const poll = (requestId: string) =>
 *   Effect.sync(() => `${requestId} ${++polls < 5 ? "running" : "done"}`)
 * const rules = {
 *   poll,
 *   done: (status: string) => status.endsWith("done"),
 *   schedule: Schedule.spaced("10 millis"),
 *   within: "25 millis"
 * } as const
 *
 * const program = Polling.until({ ...rules, submit: Effect.succeed("req-1"), within: "1 millis" })
 *   .pipe(
 *     Effect.catchTag(
 *       "PollingTimeout",
 *       ({ requestId }) => Polling.resume({ ...rules, requestId, within: "1 minute" })
 *     )
 *   )
 *
 * await Effect.runPromise(program) // => "req-1 done"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const until: {
  <S, D extends S, E1, R1, E2, R2, R3 = never, R4 = never>(
    options: Omit<UntilOptions<S, E1, R1, E2, R2, R3, R4>, "done"> & {
      readonly done: (status: S) => status is D
    }
  ): Effect.Effect<
    D,
    SubmitFailed<E1 | ApiError.Timeout> | PollFailed<E2, S> | PollingTimeout<S>,
    R1 | R2 | R3 | R4
  >
  <S, E1, R1, E2, R2, R3 = never, R4 = never>(
    options: UntilOptions<S, E1, R1, E2, R2, R3, R4>
  ): Effect.Effect<
    S,
    SubmitFailed<E1 | ApiError.Timeout> | PollFailed<E2, S> | PollingTimeout<S>,
    R1 | R2 | R3 | R4
  >
} = <S, E1, R1, E2, R2, R3, R4>(
  options: UntilOptions<S, E1, R1, E2, R2, R3, R4>
): Effect.Effect<
  never,
  SubmitFailed<E1 | ApiError.Timeout> | PollFailed<E2, S> | PollingTimeout<S>,
  R1 | R2 | R3 | R4
> => {
  const budgetMillis = budgetOf(options.within)
  const { onSubmitted } = options
  return Effect.clockWith((clock) => {
    const startedAt = clock.unsafeCurrentTimeNanos()
    const submit = Deadline.run(options.submit, {
      attemptMillis: Infinity,
      totalMillis: budgetMillis
    }, startedAt).pipe(
      Effect.mapBoth({ onFailure: (error) => new SubmitFailed({ error }), onSuccess: requestIdOf })
    )
    const submitted = onSubmitted === undefined
      ? submit
      : Effect.uninterruptibleMask((restore) =>
        Effect.tap(restore(submit), (requestId) => onSubmitted(requestId))
      )
    // What `done` says yes to is what its type says.
    return Effect.flatMap(
      submitted,
      (requestId) =>
        start(options, requestId, budgetMillis, startedAt) as Effect.Effect<
          never,
          Failure<S, E2>,
          R2 | R3
        >
    )
  })
}

/**
 * Asks for work that was submitted before, with a budget of its own. It does not submit.
 *
 * **When to use**
 *
 * After a `PollingTimeout` or a `PollFailed`, now or in another process: all it needs is the
 * request id.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resume: {
  <S, D extends S, E, R, R2 = never>(
    options: Omit<ResumeOptions<S, E, R, R2>, "done"> & {
      readonly done: (status: S) => status is D
    }
  ): Effect.Effect<D, PollFailed<E, S> | PollingTimeout<S>, R | R2>
  <S, E, R, R2 = never>(
    options: ResumeOptions<S, E, R, R2>
  ): Effect.Effect<S, PollFailed<E, S> | PollingTimeout<S>, R | R2>
} = <S, E, R, R2>(
  options: ResumeOptions<S, E, R, R2>
): Effect.Effect<never, PollFailed<E, S> | PollingTimeout<S>, R | R2> => {
  const budgetMillis = budgetOf(options.within)
  return Effect.clockWith((clock) =>
    // What `done` says yes to is what its type says.
    start(
      options,
      options.requestId,
      budgetMillis,
      clock.unsafeCurrentTimeNanos()
    ) as Effect.Effect<
      never,
      Failure<S, E>,
      R | R2
    >
  )
}
