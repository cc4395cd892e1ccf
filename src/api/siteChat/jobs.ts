/**
 * Asynchronous answers of Site Chat: how far one is, what the application keeps of it, and how
 * waiting for it ends.
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as ApiError from "../../errors/ApiError.js"
import type * as Idempotency from "../../idempotency/Idempotency.js"
import type * as Polling from "../../jobs/Polling.js"
import type * as CircuitBreaker from "../../policies/CircuitBreaker.js"
import type { Answer } from "./models.js"

/**
 * Everything that a call can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure = ApiError.ApiError | Idempotency.UnknownOutcome | CircuitBreaker.CircuitOpen

/**
 * Everything that waiting for an asynchronous answer can fail with. All of them know the request
 * id.
 *
 * @since 0.1.0
 * @category errors
 */
export type WaitFailure =
  | Polling.PollFailed<Failure, JobStatus>
  | Polling.PollingTimeout<JobStatus>
  | JobFailed

/**
 * The state of an asynchronous answer.
 *
 * @since 0.1.0
 * @category models
 */
export type JobStatus =
  | {
    /** Names the case. */
    readonly _tag: "Pending"
    /** The request id of the question. */
    readonly requestId: string
    /** The status as the API gives it. */
    readonly status: string
  }
  | {
    /** Names the case. */
    readonly _tag: "Done"
    /** The request id of the question. */
    readonly requestId: string
    /** The answer. */
    readonly answer: Answer
  }
  | {
    /** Names the case. */
    readonly _tag: "Failed"
    /** The request id of the question. */
    readonly requestId: string
    /** The status as the API gives it. */
    readonly status: string
  }

/**
 * Fails because the API gave up on a submitted question. Another poll does not help; submitting
 * again may.
 *
 * @since 0.1.0
 * @category errors
 */
export class JobFailed extends Data.TaggedError("JobFailed")<{
  /** The request id of the question. */
  readonly requestId: string
  /** The status as the API gives it. */
  readonly status: string
}> {
  /** Names the request id and the status. */
  override get message(): string {
    return `The answer to request ${this.requestId} will not come: its status is ${
      JSON.stringify(this.status)
    }`
  }
}

/**
 * An asynchronous answer as the application stores it: enough to resume, without private data.
 *
 * **Details**
 *
 * - `submitted`: under way. `done`: answered. `failed`: the API gave up.
 * - `timedOut`: not done within the budget; `lastStatus` is the last status. `unreachable`: a poll
 *   failed. Both can be resumed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Job = Schema.Struct({
  /** The request id of the question. */
  requestId: Schema.String,
  /** How far the question is. */
  state: Schema.Literal("submitted", "done", "failed", "timedOut", "unreachable"),
  /** The last status that the API gave. */
  lastStatus: Schema.optional(Schema.String)
})

/**
 * A submitted question, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type Job = typeof Job.Type

/**
 * Tests whether a user is to be told of a change of a job. An answer is told once, a delay once,
 * and nothing after the end.
 *
 * **Example** (A second timeout is no news)
 *
 * ```ts
 * import * as SiteChat from "effect-resilience/api/SiteChat"
 *
 * const late = { requestId: "req-1", state: "timedOut" } as const
 *
 * SiteChat.isNews(undefined, late) // => true
 * SiteChat.isNews(late, late) // => false
 * SiteChat.isNews(late, { requestId: "req-1", state: "done" }) // => true
 * ```
 *
 * @since 0.1.0
 * @category jobs
 */
export const isNews = (before: Job | undefined, after: Job): boolean => {
  if (after.state === "submitted" || before?.state === "done" || before?.state === "failed") {
    return false
  }
  const isDelay = (job: Job | undefined) =>
    job?.state === "timedOut" || job?.state === "unreachable"
  return !(isDelay(before) && isDelay(after))
}

/**
 * The options of waiting for an asynchronous answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface WaitOptions {
  /** The time budget. Default: that of the client. */
  readonly within?: Duration.DurationInput | undefined
  /** When to poll again. Default: that of `Polling`. */
  readonly schedule?: Schedule.Schedule<unknown, JobStatus> | undefined
  /** Receives every state of the job, the request id before the first poll. Store it. */
  readonly onJob?: ((job: Job) => Effect.Effect<void>) | undefined
}

export type Over = Exclude<JobStatus, { readonly _tag: "Pending" }>

export const isOver = (status: JobStatus): status is Over => status._tag !== "Pending"

/** The state in which a failure leaves the job. */
const leftAs = (error: WaitFailure): Job => {
  const { requestId } = error
  if (error._tag === "JobFailed") return { requestId, state: "failed", lastStatus: error.status }
  const state = error._tag === "PollFailed" ? "unreachable" : "timedOut"
  const last = Option.getOrUndefined(error.lastStatus)
  return {
    requestId,
    state,
    ...(last === undefined || last._tag === "Done" ? {} : { lastStatus: last.status })
  }
}

export const tell = ({ onJob }: WaitOptions, job: Job): Effect.Effect<void> =>
  onJob === undefined ? Effect.void : onJob(job)

/**
 * The answer of a job that is over. The application is told how the waiting ended; without a job
 * there is nothing to tell.
 */
export const concluded =
  (wait: WaitOptions) =>
  <E extends Polling.SubmitFailed<Failure> | WaitFailure, R>(
    self: Effect.Effect<Over, E, R>
  ): Effect.Effect<Answer, E | JobFailed, R> =>
    Effect.flatMap(
      self,
      (status): Effect.Effect<Answer, JobFailed> =>
        status._tag === "Done" ? Effect.succeed(status.answer) : new JobFailed(status)
    ).pipe(
      Effect.tapBoth({
        onFailure: (error: E | JobFailed) =>
          error._tag === "SubmitFailed" ? Effect.void : tell(wait, leftAs(error)),
        onSuccess: (answer) => tell(wait, { requestId: answer.request_id ?? "", state: "done" })
      })
    )
