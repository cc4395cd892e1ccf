/**
 * The integration API of a website chat: its statuses, its retry decision table, asynchronous
 * answers that survive a time-out, documents that are synced once, and where to look when something
 * repeats.
 *
 * Its document names no paths and describes no bodies beside those of errors. The paths used here
 * can be said otherwise; of bodies only what is needed is read. It says nothing about idempotency
 * keys either: where it says "use care", calls carry one and are repeated under it. Give
 * `writes: Operation.once` for an API that ignores keys; then only what certainly was not executed
 * is repeated.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { flow, identity } from "effect/Function"
import * as Record from "effect/Record"
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
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
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
import { type OperationName, operations, type Policy, type Rule } from "./siteChat/operations.js"
import { integration, messages, playbook, redactedNames } from "./siteChat/playbook.js"

export { isNews, Job, JobFailed } from "./siteChat/jobs.js"
export type { Failure, JobStatus, WaitFailure, WaitOptions } from "./siteChat/jobs.js"
export { CreatedDocument, documentSync } from "./siteChat/documents.js"
export type { Document, FileDocument, WrittenDocument } from "./siteChat/documents.js"
export { Answer, ErrorBody, Session, Site, Statistics, Tenant } from "./siteChat/models.js"
export type { Feedback, Question } from "./siteChat/models.js"
export { operations } from "./siteChat/operations.js"
export type { OperationName, Policy, Rule } from "./siteChat/operations.js"
export { incidentRules, messages, playbook, redactedNames } from "./siteChat/playbook.js"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * The sentence that a visitor may read about a failure: safe, not technical, in English or German,
 * otherwise general ones. See `UserMessage.of`.
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
 * **Details**
 *
 * - `apiKey`: sent as `Authorization: Bearer`. One that no header can hold is refused before it is
 *   sent, as `Auth`.
 * - `tenantId`, `siteId`: in the paths. One that cannot be in a path (`""`, `".."`) is refused; as
 *   the id of a call it is a `Validation`, and nothing is sent.
 * - `writes`: what creating documents, chatting and feedback are. Default `Operation.keyed`, which
 *   demands an idempotency key.
 * - `policies`: other retries, waits or limits of time, by operation. `paths`: other paths, with
 *   the same `:parameters`.
 * - `circuitBreaker`: one for all operations. Default: one that does not mind slow answers.
 *   `budget`: pays for the retries of all operations. Default: none.
 * - `jobStates`: which words for the status of an asynchronous answer are the last ones. Default:
 *   `completed`, `done`, `succeeded`; `failed`, `error`, `cancelled`. Any other is waited for.
 * - `askWithin`: the budget for an asynchronous answer. Default 2 min.
 * - `detector`: sees how every call ended, and raises incidents
 *   (`Incident.make({ rules: SiteChat.incidentRules })`). Calls are those of `site-chat`, answers
 *   that were waited for those of `site-chat jobs`.
 * - `telemetry`: metrics, spans and logs of all operations, and under `jobs` of the answers that
 *   were waited for. Default: none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<W = IdempotencyKey.IdempotencyKey> {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted<string>
  readonly tenantId: string
  readonly siteId: string
  readonly writes?: Operation.Operation<W> | undefined
  readonly policies?: Partial<Readonly<Record<OperationName, Partial<Policy>>>> | undefined
  readonly paths?: Partial<Readonly<Record<OperationName, string>>> | undefined
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly jobStates?: {
    readonly done: ReadonlyArray<string>
    readonly failed: ReadonlyArray<string>
  } | undefined
  readonly askWithin?: Duration.DurationInput | undefined
  readonly detector?: Incident.Detector | undefined
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  askWithin: "2 minutes",
  circuitBreaker: { slowCall: false },
  jobStates: { done: ["completed", "done", "succeeded"], failed: ["failed", "error", "cancelled"] }
} as const

/**
 * An answer, or what to show in its place.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | { readonly _tag: "Answered"; readonly answer: Models.Answer }
  | { readonly _tag: "Fallback"; readonly message: string; readonly error: Failure }

/**
 * The API as its callers see it. `W` is what unsafe calls demand: an idempotency key, unless
 * `writes` says otherwise.
 *
 * **Details**
 *
 * - `syncDocument`: one attempt for a document of any kind, for `Bulk.forEach`, which repeats and
 *   pauses.
 * - `chatOrFallback`: `chat` that does not fail: after the last attempt it gives the sentence to
 *   show.
 * - `ask`: submits a question and polls for the answer. A failure to submit is `SubmitFailed`, one
 *   to poll `PollFailed`; `PollingTimeout` ends the waiting and not the job. `resume` waits on, and
 *   does not submit.
 * - `sendFeedback` carries a key made of tenant, site, session and `eventId`: the same event twice
 *   is one piece of feedback.
 * - `closeSession` may be repeated: closing twice is the same as once. It and `sendFeedback` have
 *   succeeded when the status says so, whatever the body is.
 *
 * @since 0.1.0
 * @category models
 */
export interface SiteChat<W = IdempotencyKey.IdempotencyKey> {
  readonly tenant: Effect.Effect<typeof Models.Tenant.Type, Failure>
  readonly site: Effect.Effect<typeof Models.Site.Type, Failure>
  readonly sessions: Effect.Effect<ReadonlyArray<typeof Models.Session.Type>, Failure>
  readonly statistics: Effect.Effect<typeof Models.Statistics.Type, Failure>
  readonly createDocument: (
    document: Documents.WrittenDocument
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  readonly uploadDocument: (
    document: Documents.FileDocument
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  readonly syncDocument: (
    document: Documents.Document
  ) => Effect.Effect<Documents.CreatedDocument, Failure, W>
  readonly chat: (question: Models.Question) => Effect.Effect<Models.Answer, Failure, W>
  readonly chatOrFallback: (
    question: Models.Question,
    options?: { readonly locale?: UserMessage.Options["locale"] }
  ) => Effect.Effect<Reply, never, W>
  readonly submitChat: (
    question: Models.Question
  ) => Effect.Effect<{ readonly request_id: string }, Failure, W>
  readonly pollChat: (requestId: string) => Effect.Effect<JobStatus, Failure>
  readonly ask: (
    question: Models.Question,
    options?: WaitOptions
  ) => Effect.Effect<Models.Answer, Polling.SubmitFailed<Failure> | WaitFailure, W>
  readonly resume: (
    requestId: string,
    options?: WaitOptions
  ) => Effect.Effect<Models.Answer, WaitFailure>
  readonly sendFeedback: (feedback: Models.Feedback) => Effect.Effect<void, Failure>
  readonly closeSession: (sessionId: string) => Effect.Effect<void, Failure>
}

/** One attempt: `Bulk` repeats it. */
const single = (rule: Rule): Rule => ({ ...rule, retries: 0 })

type Rules = Readonly<Record<OperationName | "syncFile" | "syncText", Rule>>

const rulesOf = (options: Options<unknown>): Rules => {
  const rules = Endpoint.override<OperationName, Rule>(operations, options)
  return {
    ...rules,
    syncText: single(rules.createDocument),
    syncFile: single(rules.uploadDocument)
  }
}

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

const unreadable = (endpoint: string): ApiError.Server =>
  new ApiError.Server({
    message: "The API says that the answer is done, and does not give it",
    status: 200,
    code: "unreadable_response",
    method: "GET",
    endpoint
  })

/** Names of events may be counted anew in each session. */
const keyOfEvent = (...event: ReadonlyArray<string>) =>
  Effect.map(Clock.currentTimeMillis, (madeAt) =>
    IdempotencyKey.derive({
      [IdempotencyKey.TypeId]: IdempotencyKey.TypeId,
      value: Redacted.make("effect-resilience/SiteChat feedback"),
      madeAt
    }, JSON.stringify(event)))

/** Operations of whose answer nothing is read but its status. */
const unread: ReadonlySet<string> = new Set<OperationName>(["sendFeedback", "closeSession"])

/**
 * A client for each rule. All of them share one breaker, except for those of bulk work, which
 * pauses by itself.
 */
const clientsOf = (
  options: Options<unknown>,
  rules: Rules,
  telemetry: Telemetry.Telemetry | undefined
) =>
  Effect.gen(function*() {
    const { syncFile, syncText, ...others } = rules
    const shared = { telemetry, budget: options.budget }
    const pipelines = {
      ...(yield* Endpoint.pipelines(others, {
        ...shared,
        circuitBreaker: options.circuitBreaker ?? defaults.circuitBreaker
      })),
      ...(yield* Endpoint.pipelines({ syncFile, syncText }, shared))
    }
    return yield* Effect.all(
      Record.map(pipelines, (pipeline, name) => {
        const client = ApiClient.make({
          name: integration,
          baseUrl: options.baseUrl,
          playbook,
          pipeline,
          redactedNames,
          secrets: [options.apiKey]
        })
        return unread.has(name) ? client : ApiClient.readAll(client)
      })
    )
  })

/**
 * A client of the API.
 *
 * **Details**
 *
 * Every call has a limit of time for each attempt, its body included, and one for all attempts.
 * Dies with a `RangeError` for nonsense options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <W = IdempotencyKey.IdempotencyKey>(
  options: Options<W>
): Effect.Effect<SiteChat<W>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { detector } = options
    const rules = rulesOf(options)
    const telemetry = yield* Telemetry.from(options.telemetry)
    const clients = yield* clientsOf(options, rules, telemetry)
    // Without `writes`, `W` is the key.
    const writes = options.writes ?? Operation.keyed as Operation.Operation<W>
    const states = options.jobStates ?? defaults.jobStates
    Check.text("jobStates.done", states.done.join(), "at least one word", (words) =>
      words.trim() !== "")
    const askWithin = Check.finiteDuration(
      "askWithin",
      Check.positiveDuration("askWithin", options.askWithin ?? defaults.askWithin)
    )
    const here = {
      tenantId: Endpoint.id("tenantId", options.tenantId),
      siteId: Endpoint.id("siteId", options.siteId)
    }
    const withKey = HttpClientRequest.bearerToken(options.apiKey)
    const watched = Incident.watch(detector, integration)
    // Polls are many, and would make the share of the answers that time out look small.
    const watchedJob = flow(
      Incident.watch(detector, `${integration} jobs`),
      telemetry === undefined ? identity : Telemetry.observe(telemetry, { endpoint: "jobs" })
    )

    const call = <A>(
      name: keyof Rules,
      read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, Failure>,
      ids: Endpoint.Ids = {},
      body: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest =
        identity,
      scrubbed: (self: Effect.Effect<A, Failure>) => Effect.Effect<A, Failure> = identity
    ): Effect.Effect<A, Failure> => {
      const { method, path } = rules[name]
      const send = (request: HttpClientRequest.HttpClientRequest) =>
        Effect.zipRight(
          Endpoint.checkCredential(options.apiKey, method),
          clients[name].execute(withKey(body(request)))
        ).pipe(
          Effect.flatMap(read),
          scrubbed,
          ApiClient.withEndpoint(path),
          watched
        )
      return Effect.flatMap(Endpoint.request(method, path, { ...here, ...ids }), send)
    }
    const write = <A, I>(
      name: keyof Rules,
      schema: Schema.Schema<A, I>,
      body: object
    ): Effect.Effect<A, Failure, W> =>
      call(name, ApiClient.json(schema), {}, HttpClientRequest.bodyUnsafeJson(body)).pipe(
        ApiClient.withOperation(writes)
      )
    const upload = (name: keyof Rules, document: Documents.FileDocument) =>
      call(
        name,
        ApiClient.json(Documents.CreatedDocument),
        {},
        HttpClientRequest.bodyFormData(Documents.formOf(document)),
        Documents.withoutContent(document)
      ).pipe(ApiClient.withOperation(writes))

    const questionBody = ({ message, sessionId }: Models.Question) => ({
      message,
      ...(sessionId === undefined ? {} : { session_id: sessionId })
    })
    const chat = (question: Models.Question) =>
      write("chat", Models.Answer, questionBody(question))
    const submitChat = (question: Models.Question) =>
      write("submitChat", Models.SubmittedChat, questionBody(question))

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
        write("createDocument", Documents.CreatedDocument, Documents.bodyOf(document)),
      uploadDocument: (document) =>
        upload("uploadDocument", document),
      syncDocument: (document) =>
        finalIfOpen(writes)(
          document.kind === "file"
            ? upload("syncFile", document)
            : write("syncText", Documents.CreatedDocument, Documents.bodyOf(document))
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
              : (requestId: string) =>
                tell(wait, { requestId, state: "submitted" })
          })
        ).pipe(concluded(wait), watchedJob),
      resume: (requestId, wait = {}) =>
        Effect.suspend(() => Polling.resume({ ...waiting(wait), requestId })).pipe(
          concluded(wait),
          watchedJob
        ),
      sendFeedback: ({ comment, eventId, rating, sessionId }) =>
        Effect.flatMap(keyOfEvent(here.tenantId, here.siteId, sessionId, eventId), (key) =>
          call(
            "sendFeedback",
            ApiClient.discard,
            {},
            HttpClientRequest.bodyUnsafeJson({
              event_id: eventId,
              session_id: sessionId,
              rating,
              ...(comment === undefined ? {} : { comment })
            })
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
