/**
 * Submits work to another system, and polls until it is done.
 *
 * Two different things can fail, and they need different answers. When the submission fails there
 * is no job, and submitting again may be right. When a poll fails or takes too long, the job goes
 * on: submitting again would do the work twice. So these failures are different errors. Polling
 * always ends, and every error after the submission has the request id, with which it can be
 * resumed.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import type * as ApiError from "../errors/ApiError.js"
import * as Deadline from "../policies/timeout/deadline.js"
import * as Backoff from "../retry/Backoff.js"
import { elapsedMillis } from "../runtime/clock.js"
import { sleepAtLeast } from "../runtime/sleep.js"
import * as Validate from "../runtime/validate.js"
import { askedByFailure, askedMillis } from "./polling/asked.js"
import { PollFailed, PollingTimeout, SubmitFailed } from "./polling/errors.js"

export { PollFailed, PollingTimeout, SubmitFailed } from "./polling/errors.js"

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

/**
 * The answer to a submission: the request id, or an object that has it.
 *
 * @since 0.1.0
 * @category models
 */
export type Submitted = string | {
  /** The request id. */
  readonly requestId: string
} | {
  /** The request id. */
  readonly request_id: string
}

/**
 * The options of polling.
 *
 * **Details**
 *
 * `poll` should have its own retry or pipeline: a failure of it ends the polling, unless it is an
 * `ApiError` or a rejection that says when to ask again, within the budget. When `schedule` ends,
 * so does the polling. The next poll is never earlier than `retryAfter`, which by default reads the
 * `Retry-After` header of a status with `headers`, or a `retryAfter` that is a `Duration` or an
 * `Option` of one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<S, E, R, R2 = never> {
  /** Asks for the status of a request (required). Put a retry or pipeline inside it. */
  readonly poll: (requestId: string) => Effect.Effect<S, E, R>
  /** Says whether a status is the last one (required). A type guard narrows the result. */
  readonly done: (status: S) => boolean
  /**
   * When to poll again; its input is the last status. Default: after 2 s, then 3 s, 4.5 s and so
   * on, at most 10 s.
   */
  readonly schedule?: Schedule.Schedule<unknown, S, R2> | undefined
  /** How long after the submission, or after `resume`, the first poll is made. Default: none. */
  readonly initialDelay?: Duration.DurationInput | undefined
  /**
   * Reads how long a status asks to wait. Default: its `Retry-After` header, or its `retryAfter`.
   */
  readonly retryAfter?: ((status: S) => Duration.DurationInput | undefined) | undefined
  /** The time budget, finite, from the start: submission, polls and waits included (required). */
  readonly within: Duration.DurationInput
}

/**
 * The options for work that is not submitted yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface UntilOptions<S, E1, R1, E2, R2, R3 = never, R4 = never>
  extends Options<S, E2, R2, R3>
{
  /** Submits the work (required). */
  readonly submit: Effect.Effect<Submitted, E1, R1>
  /** Receives the request id before the first poll, to store it. It is not interrupted. */
  readonly onSubmitted?: ((requestId: string) => Effect.Effect<void, never, R4>) | undefined
}

/**
 * The options for work that was submitted before.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResumeOptions<S, E, R, R2 = never> extends Options<S, E, R, R2> {
  /** The request id of the submission (required). */
  readonly requestId: string
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `schedule`. */
  schedule: Backoff.schedule(
    Backoff.exponential({ base: "2 seconds", factor: 1.5, cap: "10 seconds", jitter: Backoff.none })
  ),
  /** Default of the option `initialDelay`. */
  initialDelay: Duration.zero
} as const

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
 * Submits work and polls until it is done.
 *
 * **When to use**
 *
 * For an API that answers a request with an id, under which the result can be asked for later.
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
 * - Interruption ends the polling at once. The remote work goes on; `onSubmitted` has received its
 *   id.
 * - Time is the `Clock`'s. A `within` that is not positive and finite throws `RangeError`.
 *
 * **Gotchas**
 *
 * Do not retry `until`: that submits again. `resume` does not.
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
  /** Submits work and polls until `done` narrows the status. */
  <S, D extends S, E1, R1, E2, R2, R3 = never, R4 = never>(
    options: Omit<UntilOptions<S, E1, R1, E2, R2, R3, R4>, "done"> & {
      /** Says whether a status is the last one, as a type guard. */
      readonly done: (status: S) => status is D
    }
  ): Effect.Effect<
    D,
    SubmitFailed<E1 | ApiError.Timeout> | PollFailed<E2, S> | PollingTimeout<S>,
    R1 | R2 | R3 | R4
  >
  /** Submits work and polls until `done` accepts the status. */
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
 * Polls for work that was submitted before, with a budget of its own. Does not submit.
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
  /** Polls submitted work until `done` narrows the status. */
  <S, D extends S, E, R, R2 = never>(
    options: Omit<ResumeOptions<S, E, R, R2>, "done"> & {
      /** Says whether a status is the last one, as a type guard. */
      readonly done: (status: S) => status is D
    }
  ): Effect.Effect<D, PollFailed<E, S> | PollingTimeout<S>, R | R2>
  /** Polls submitted work until `done` accepts the status. */
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
