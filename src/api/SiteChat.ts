/**
 * The integration API of a website chat: its statuses, its retry decision table, asynchronous
 * answers that survive a time-out, documents that are synced once, and where to look when something
 * repeats.
 *
 * Its document names no paths and describes no bodies beside those of errors. Override the paths
 * used here with `paths`; of bodies only what is needed is read. It says nothing about idempotency
 * keys either: where it says "use care", calls carry one and are repeated under it. Give
 * `writes: Operation.once` for an API that ignores keys; then only what certainly was not executed
 * is repeated.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { flow, identity } from "effect/Function"
import { hasProperty } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Check from "../errors/Check.js"
import * as ApiClient from "../http/ApiClient.js"
import * as Endpoint from "../http/Endpoint.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import * as Polling from "../jobs/Polling.js"
import * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as UserMessage from "../observability/UserMessage.js"
import * as Calls from "./siteChat/calls.js"
import * as Documents from "./siteChat/documents.js"
import {
  concluded,
  type Failure,
  isOver,
  type JobStatus,
  tell,
  type WaitFailure,
  type WaitOptions
} from "./siteChat/jobs.js"
import * as Models from "./siteChat/models.js"
import { defaults, type Options } from "./siteChat/options.js"
import { incidentRules, integration, messages, playbook } from "./siteChat/playbook.js"

export { isNews, Job, JobFailed } from "./siteChat/jobs.js"
export type { Failure, JobStatus, WaitFailure, WaitOptions } from "./siteChat/jobs.js"
export { CreatedDocument, documentSync } from "./siteChat/documents.js"
export type { Document, FileDocument, WrittenDocument } from "./siteChat/documents.js"
export { Answer, ErrorBody, Session, Site, Statistics, Tenant } from "./siteChat/models.js"
export type { Feedback, Question } from "./siteChat/models.js"
export { operations } from "./siteChat/operations.js"
export type { OperationName, Policy, Rule } from "./siteChat/operations.js"
export { defaults } from "./siteChat/options.js"
export type { Options } from "./siteChat/options.js"
export { incidentRules, messages, playbook, redactedNames } from "./siteChat/playbook.js"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * Makes the sentence that a visitor may read about a failure: safe, not technical, in English or
 * German; general sentences in other languages. See `UserMessage.of`.
 *
 * @since 0.1.0
 * @category failures
 */
export const userMessage = (
  error: unknown,
  { locale }: Pick<UserMessage.Options, "locale"> = {}
): string => UserMessage.of(error, { playbook, catalogue: messages, locale })

/**
 * What the caller knows about the call, and the error does not.
 *
 * @since 0.1.0
 * @category models
 */
export type LogContext = Omit<Telemetry.Context, "integration">

/**
 * Fields of a log line, for `Effect.annotateLogs`. Unknown fields are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFields = Telemetry.Fields

/**
 * The fields to log about a failure: integration, environment, endpoint template, method, status,
 * tenant, site, session and request id, retries, latency, whether it timed out, and what it was.
 * Nothing that was sent, nothing that the API wrote.
 *
 * **Example** (A log line)
 *
 * ```ts
 * import { ApiError } from "effect-resilience"
 * import * as SiteChat from "effect-resilience/api/SiteChat"
 *
 * const error = new ApiError.Server({
 *   message: "upstream",
 *   status: 503,
 *   requestId: "req-1",
 *   attempts: 3
 * })
 * const { requestId, retries, status, timedOut } = SiteChat.logFields(error, {
 *   environment: "production",
 *   tenantId: "acme"
 * })
 *
 * const shown = [requestId, retries, status, timedOut]
 * shown // => ["req-1", 2, 503, false]
 * ```
 *
 * @since 0.1.0
 * @category failures
 */
export const logFields = (error: unknown, context: LogContext = {}): LogFields =>
  Telemetry.fields(error, { ...context, integration })

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * An answer, or what to show in its place.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | {
    /** Names the case. */
    readonly _tag: "Answered"
    /** The answer of the API. */
    readonly answer: Models.Answer
  }
  | {
    /** Names the case. */
    readonly _tag: "Fallback"
    /** The sentence to show in its place. */
    readonly message: string
    /** The error that the sentence stands for. */
    readonly error: Failure
  }

/**
 * The API as its callers see it. `W` is what unsafe calls demand: an idempotency key, unless
 * `writes` overrides it.
 *
 * **Details**
 *
 * - `syncDocument`: one attempt for a document of any kind, for `Bulk.forEach`, which repeats and
 *   pauses.
 * - `chatOrFallback` does not fail: after the last attempt it gives the sentence to show.
 * - `ask`: submits a question and polls for the answer. A failed submission is `SubmitFailed`, a
 *   failed poll `PollFailed`. `PollingTimeout` ends the waiting and not the job. `resume` polls on
 *   without submitting.
 * - `sendFeedback` carries a key made of tenant, site, session and `eventId`: the same event twice
 *   is one piece of feedback.
 * - `closeSession` may be repeated: closing twice is the same as once. The status alone decides
 *   about its success, and about that of `sendFeedback`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SiteChat<W = IdempotencyKey.IdempotencyKey> {
  /** Reads the tenant. */
  readonly tenant: Effect.Effect<typeof Models.Tenant.Type, Failure>
  /** Reads the site. */
  readonly site: Effect.Effect<typeof Models.Site.Type, Failure>
  /** Lists the sessions of the site. */
  readonly sessions: Effect.Effect<ReadonlyArray<typeof Models.Session.Type>, Failure>
  /** Reads the statistics of the site. */
  readonly statistics: Effect.Effect<typeof Models.Statistics.Type, Failure>
  /** Creates a document from text. */
  readonly createDocument: (
    document: Documents.WrittenDocument
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  /** Creates a document from a file. */
  readonly uploadDocument: (
    document: Documents.FileDocument
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  /** Creates a document of any kind in one attempt, for `Bulk.forEach`, which repeats. */
  readonly syncDocument: (
    document: Documents.Document
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  /** Asks a question and waits for the answer. */
  readonly chat: (question: Models.Question) => Effect.Effect<Models.Answer, Failure, W>
  /** Asks a question. After the last attempt it gives a sentence to show instead of failing. */
  readonly chatOrFallback: (
    question: Models.Question,
    options?: {
      /** The language of the sentence. Default `en`. */
      readonly locale?: UserMessage.Options["locale"]
    }
  ) => Effect.Effect<Reply, never, W>
  /** Submits a question and answers its request id. */
  readonly submitChat: (
    question: Models.Question
  ) => Effect.Effect<{ readonly request_id: string }, Failure, W>
  /** Reads how far a submitted question is. */
  readonly pollChat: (requestId: string) => Effect.Effect<JobStatus, Failure>
  /**
   * Submits a question and polls for the answer. Fails with `SubmitFailed`, `PollFailed` or
   * `PollingTimeout`.
   */
  readonly ask: (
    question: Models.Question,
    options?: WaitOptions
  ) => Effect.Effect<Models.Answer, Polling.SubmitFailed<Failure> | WaitFailure, W>
  /** Polls for the answer to a submitted question. Does not submit. */
  readonly resume: (
    requestId: string,
    options?: WaitOptions
  ) => Effect.Effect<Models.Answer, WaitFailure>
  /** Sends feedback. The same event in the same session counts once. */
  readonly sendFeedback: (feedback: Models.Feedback) => Effect.Effect<void, Failure>
  /** Closes a session. Closing twice is the same as once. */
  readonly closeSession: (sessionId: string) => Effect.Effect<void, Failure>
}

const unreadable = (endpoint: string): ApiError.Server =>
  new ApiError.Server({
    message: "The API says that the answer is done, and does not give it",
    status: 200,
    code: "unreadable_response",
    method: "GET",
    endpoint
  })

/** Names of events may be counted anew in each session. */
const keyOfEvent = (
  { siteId, tenantId }: { readonly tenantId: string; readonly siteId: string },
  feedback: Partial<Models.Feedback> | undefined
) =>
  Effect.map(Clock.currentTimeMillis, (madeAt) =>
    IdempotencyKey.derive({
      [IdempotencyKey.TypeId]: IdempotencyKey.TypeId,
      value: Redacted.make("effect-resilience/SiteChat feedback"),
      madeAt
      // What is no text is refused before it is sent.
    }, JSON.stringify([tenantId, siteId, String(feedback?.sessionId), String(feedback?.eventId)])))

/**
 * `Bulk` repeats the calls of a job and takes them for keyed. A call that may have been executed
 * without a key is final.
 */
const finalIfOpen =
  (operation: Operation.Operation<unknown>) => <A, R>(self: Effect.Effect<A, Failure, R>) =>
    operation._tag === "Once"
      ? Effect.mapError(
        self,
        (error) =>
          ApiError.isApiError(error) && ApiError.mayHaveRun(error)
            ? ApiError.annotate(error, { repeat: "never" })
            : error
      )
      : self

/** The same event of the user interface, and what was thought of it. */
const eventOf = ({ comment, eventId, rating, sessionId }: Models.Feedback) => ({
  event_id: eventId,
  session_id: sessionId,
  rating,
  ...(comment === undefined ? {} : { comment })
})

const questionOf = ({ message, sessionId }: Models.Question) => ({
  message,
  ...(sessionId === undefined ? {} : { session_id: sessionId })
})

/**
 * Makes a client of the API.
 *
 * **Details**
 *
 * Every call has a time limit for each attempt, its body included, and one for all attempts.
 * Invalid options die with `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <W = IdempotencyKey.IdempotencyKey>(
  options: Options<W>
): Effect.Effect<SiteChat<W>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const detector = yield* Incident.from(options.detector, incidentRules)
    const telemetry = yield* Telemetry.from(options.telemetry)
    const here = {
      tenantId: Endpoint.id("tenantId", options.tenantId),
      siteId: Endpoint.id("siteId", options.siteId)
    }
    const { call, post, rules } = yield* Calls.make(options, { here, detector, telemetry })
    // Without `writes`, `W` is the key.
    const writes = options.writes ?? Operation.keyed as Operation.Operation<W>
    const states = options.jobStates ?? defaults.jobStates
    Check.text("jobStates.done", states.done.join(), "at least one word", (words) =>
      words.trim() !== "")
    const askWithin = Check.finiteDuration(
      "askWithin",
      Check.positiveDuration("askWithin", options.askWithin ?? defaults.askWithin)
    )
    // Polls are many, and would make the share of the answers that time out look small.
    const watchedJob = flow(
      Incident.watch(detector, `${integration} jobs`),
      telemetry === undefined ? identity : Telemetry.observe(telemetry, { endpoint: "jobs" })
    )

    const write = (name: "createDocument" | "syncText", value: Documents.WrittenDocument) =>
      post(
        name,
        ApiClient.json(Documents.CreatedDocument),
        { issuesOf: Documents.issuesOf, value },
        Documents.bodyOf
      ).pipe(ApiClient.withOperation(writes))
    const upload = (name: "uploadDocument" | "syncFile", document: Documents.FileDocument) =>
      call(name, ApiClient.json(Documents.CreatedDocument), {}, Documents.upload(document)).pipe(
        ApiClient.withOperation(writes)
      )
    const asked = <A, I>(
      name: "chat" | "submitChat",
      answer: Schema.Schema<A, I>,
      value: Models.Question
    ) =>
      post(name, ApiClient.json(answer), { issuesOf: Models.issuesOfQuestion, value }, questionOf)
        .pipe(
          ApiClient.withOperation(writes)
        )
    const chat = (question: Models.Question) =>
      asked("chat", Models.Answer, question)
    const submitChat = (question: Models.Question) =>
      asked("submitChat", Models.SubmittedChat, question)

    const pollChat = (requestId: string): Effect.Effect<JobStatus, Failure> =>
      Effect.flatMap(
        call("pollChat", ApiClient.json(Models.PolledChat), { requestId }),
        ({ answer, session_id, status }): Effect.Effect<JobStatus, Failure> => {
          if (states.failed.includes(status)) {
            return Effect.succeed({ _tag: "Failed", requestId, status })
          }
          if (!states.done.includes(status)) {
            return Effect.succeed({ _tag: "Pending", requestId, status })
          }
          return answer === undefined
            ? unreadable(rules.pollChat.path)
            : Effect.succeed({
              _tag: "Done",
              requestId,
              answer: { answer, session_id, request_id: requestId }
            })
        }
      )

    const waiting = ({ schedule, within }: WaitOptions) => ({
      poll: pollChat,
      done: isOver,
      schedule,
      within: within ?? askWithin
    })

    return {
      tenant: call("tenant", ApiClient.json(Models.Tenant)),
      site: call("site", ApiClient.json(Models.Site)),
      sessions: call("sessions", ApiClient.json(Schema.Array(Models.Session))),
      statistics: call("statistics", ApiClient.json(Models.Statistics)),
      createDocument: (document) =>
        write("createDocument", document),
      uploadDocument: (document) =>
        upload("uploadDocument", document),
      syncDocument: (document) =>
        finalIfOpen(writes)(
          hasProperty(document, "kind") && document.kind === "file"
            ? upload("syncFile", document)
            : write("syncText", document)
        ),
      chat,
      chatOrFallback: (question, { locale } = {}) =>
        Effect.match(chat(question), {
          onFailure: (error): Reply => ({
            _tag: "Fallback",
            message: userMessage(error, { locale }),
            error
          }),
          onSuccess: (answer): Reply => ({ _tag: "Answered", answer })
        }),
      submitChat,
      pollChat,
      ask: (question, wait = {}) =>
        Effect.suspend(() =>
          Polling.until({
            ...waiting(wait),
            submit: submitChat(question),
            onSubmitted: wait.onJob === undefined
              ? undefined
              : (requestId: string) => tell(wait, { requestId, state: "submitted" })
          })
        ).pipe(concluded(wait), watchedJob),
      resume: (requestId, wait = {}) =>
        Effect.suspend(() => Polling.resume({ ...waiting(wait), requestId })).pipe(
          concluded(wait),
          watchedJob
        ),
      sendFeedback: (feedback) =>
        Effect.flatMap(keyOfEvent(here, feedback), (key) =>
          post(
            "sendFeedback",
            ApiClient.discard,
            { issuesOf: Models.issuesOfFeedback, value: feedback },
            eventOf
          ).pipe(
            ApiClient.withOperation(writes._tag === "Once" ? Operation.once : Operation.keyed),
            IdempotencyKey.provide(key)
          )),
      closeSession: (sessionId) =>
        call("closeSession", ApiClient.discard, { sessionId }).pipe(
          ApiClient.withOperation(Operation.idempotent)
        )
    }
  })
