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
import * as RetryAfter from "../core/retryAfter.js"
import * as ApiError from "../errors/ApiError.js"
import * as Rejection from "../errors/Rejection.js"
import * as Deadline from "../policies/timeout/deadline.js"
import * as Backoff from "../retry/Backoff.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import * as Validate from "../runtime/validate.js"

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

/** The tag of the error behind it: its text may hold what is not to be shown. */
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
 *   pipeline to mend; what it fails with ends the polling, unless it is an `ApiError` or a rejection
 *   that says when to ask again: then that is waited for, if it ends within the budget.
 * - `done`: whether a status is the last one. A type guard narrows the result.
 * - `schedule`: when to ask again; its input is the last status. Default: after 2 s, then 3 s, 4.5
 *   s and so on, at most 10 s. When it ends, so does the polling.
 * - `initialDelay`: how long after the submission, or after `resume`, the first poll is made.
 *   Default: none.
 * - `retryAfter`: how long a status asks to wait; the next poll is not earlier. Default: its
 *   `Retry-After` header where it has `headers`, as a response has, or its `retryAfter` where that is
 *   a `Duration` or an `Option` of one.
 * - `within`: the budget, finite: total time from the start, submission, polls and waits included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<S, E, R, R2 = never> {
  readonly poll: (requestId: string) => Effect.Effect<S, E, R>
  readonly done: (status: S) => boolean
  readonly schedule?: Schedule.Schedule<unknown, S, R2> | undefined
  readonly initialDelay?: Duration.DurationInput | undefined
  readonly retryAfter?: ((status: S) => Duration.DurationInput | undefined) | undefined
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
  ),
  initialDelay: Duration.zero
} as const

// -----------------------------------------------------------------------------
// how long the server asks to wait
// -----------------------------------------------------------------------------

/** A header of plain headers, or of the platform's own. */
const headerOf = (headers: unknown, name: string): string | undefined => {
  if (typeof headers !== "object" || headers === null) return undefined
  if (headers instanceof Headers) return headers.get(name) ?? undefined
  const found = Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1]
  return typeof found === "string" ? found : undefined
}

const durationOf = (value: unknown): number | undefined => {
  const inner = Option.isOption(value) ? Option.getOrUndefined(value) : value
  return Duration.isDuration(inner) ? Duration.toMillis(inner) : undefined
}

/** What an answer asks for by default. */
const askedByStatus = (status: unknown, nowMillis: number): number | undefined => {
  if (typeof status !== "object" || status === null) return undefined
  if ("headers" in status) {
    const { headers } = status
    const asked = RetryAfter.parse(headerOf(headers, "retry-after"), {
      nowMillis,
      dateHeader: headerOf(headers, "date")
    })
    if (asked !== undefined) return asked
  }
  return "retryAfter" in status ? durationOf(status.retryAfter) : undefined
}

const askedMillis = <S>(
  retryAfter: ((status: S) => Duration.DurationInput | undefined) | undefined,
  status: S,
  nowMillis: number
): number => {
  if (retryAfter === undefined) return askedByStatus(status, nowMillis) ?? 0
  const asked = retryAfter(status)
  return asked === undefined ? 0 : Duration.toMillis(Validate.duration("retryAfter", asked))
}

/** What a failure asks for, of those that asking again may mend. Now is no time to wait for. */
const askedByFailure = (error: unknown): number | undefined => {
  if (!ApiError.isApiError(error) && !Rejection.isRejection(error)) return undefined
  const verdict = ApiError.verdict(error)
  if (verdict._tag === "Terminal") return undefined
  const millis = Option.match(verdict.retryAfter, { onNone: () => 0, onSome: Duration.toMillis })
  return millis > 0 ? millis : undefined
}

// -----------------------------------------------------------------------------
// polling
// -----------------------------------------------------------------------------

const budgetOf = (within: Duration.DurationInput): number =>
  Duration.toMillis(Validate.finiteDuration("within", Validate.positiveDuration("within", within)))

/** The options that are times, in milliseconds. */
interface Times {
  readonly budgetMillis: number
  readonly initialMillis: number
}

const timesOf = (options: {
  readonly within: Duration.DurationInput
  readonly initialDelay?: Duration.DurationInput | undefined
}): Times => ({
  budgetMillis: budgetOf(options.within),
  initialMillis: Duration.toMillis(
    Validate.finiteDuration(
      "initialDelay",
      Validate.duration("initialDelay", options.initialDelay ?? defaults.initialDelay)
    )
  )
})

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
        const failed = Effect.fail(new PollFailed({ error: polled.left, requestId, lastStatus }))
        const asked = askedByFailure(polled.left)
        if (asked === undefined) return failed
        return Option.match(lastStatus, {
          onNone: () => askAfter(asking, progress, asked, failed),
          onSome: (status) => askAgain(asking, progress, status, { millis: asked, failed })
        })
      }
      return options.done(polled.right)
        ? Effect.succeed(polled.right)
        : askAgain(asking, { ...progress, lastStatus: Option.some(polled.right) }, polled.right)
    }
  })
}

/** What a poll that failed asks for, and what it is when there is no time for that. */
interface Asked<E> {
  readonly millis: number
  readonly failed: Effect.Effect<never, E>
}

/** The next poll when the schedule says, and not before the server does. */
const askAgain = <S, E, R, R2>(
  asking: Asking<S, E, R, R2>,
  progress: Progress<S>,
  status: S,
  asked?: Asked<Failure<S, E>>
): Effect.Effect<S, Failure<S, E>, R | R2> =>
  Effect.clockWith((clock) => {
    const now = clock.unsafeCurrentTimeMillis()
    const leastMillis = asked?.millis ?? askedMillis(asking.options.retryAfter, status, now)
    const otherwise = asked?.failed ?? giveUp(asking, progress.lastStatus)
    return Effect.flatMap(
      asking.schedule.step(now, status, progress.schedule),
      ([schedule, , decision]): Effect.Effect<S, Failure<S, E>, R | R2> => {
        if (ScheduleDecision.isDone(decision)) return otherwise
        const wait = Math.max(leastMillis, Intervals.start(decision.intervals) - now)
        return askAfter(asking, { ...progress, schedule }, wait, otherwise)
      }
    )
  })

/** The next poll after a wait, if that ends within the budget. */
const askAfter = <S, E, R, R2>(
  asking: Asking<S, E, R, R2>,
  progress: Progress<S>,
  millis: number,
  otherwise: Effect.Effect<never, Failure<S, E>>
): Effect.Effect<S, Failure<S, E>, R | R2> =>
  Effect.clockWith((clock) =>
    elapsedMillis(clock, asking.startedAt) + millis >= asking.budgetMillis
      ? otherwise
      : Effect.zipRight(sleepAtLeast(millis), ask(asking, progress))
  )

const start = <S, E, R, R2>(
  options: Options<S, E, R, R2>,
  requestId: string,
  { budgetMillis, initialMillis }: Times,
  startedAt: bigint
): Effect.Effect<S, Failure<S, E>, R | R2> => {
  const schedule = options.schedule ?? defaults.schedule
  const asking = { options, schedule, requestId, budgetMillis, startedAt }
  const progress = { schedule: schedule.initial, lastStatus: Option.none() }
  return initialMillis === 0
    ? ask(asking, progress)
    : askAfter(asking, progress, initialMillis, giveUp(asking, progress.lastStatus))
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
 * - The first poll follows the submission at once or after `initialDelay`, the next ones after the
 *   delays of `schedule`. A `Retry-After` of an answer, or of a failure that another poll may mend,
 *   is a floor for the next delay. No delay is begun that would not end within the budget.
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
  const times = timesOf(options)
  const { budgetMillis } = times
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
        start(options, requestId, times, startedAt) as Effect.Effect<
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
  const times = timesOf(options)
  return Effect.clockWith((clock) =>
    // What `done` says yes to is what its type says.
    start(
      options,
      options.requestId,
      times,
      clock.unsafeCurrentTimeNanos()
    ) as Effect.Effect<
      never,
      Failure<S, E>,
      R | R2
    >
  )
}
