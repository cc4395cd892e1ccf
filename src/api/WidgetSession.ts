/**
 * The Create Session API of a widget partner: its statuses, its signature, its retry strategy and
 * its debug guide, as values.
 *
 * Its document says "max 3 attempts" and lists three intervals (about 500, 1000 and 2000 ms). We
 * read it as three retries after the first call, since three attempts have only two intervals
 * between them. It documents neither the path nor the body of a success, so both can be said.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as ApiError from "../errors/ApiError.js"
import * as ApiClient from "../http/ApiClient.js"
import * as Endpoint from "../http/Endpoint.js"
import type * as Idempotency from "../idempotency/Idempotency.js"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as UserMessage from "../observability/UserMessage.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Backoff from "../retry/Backoff.js"
import type * as Retry from "../retry/Retry.js"
import { messages, playbook, redactedNames } from "./widgetSession/errors.js"
import { canonicalString, type Draft, sign } from "./widgetSession/request.js"

export { canonicalString, Draft, Request, sign, User } from "./widgetSession/request.js"
export { debugRecord } from "./widgetSession/debug.js"
export type { DebugRecord } from "./widgetSession/debug.js"
export { diagnose401, diagnose422 } from "./widgetSession/diagnosis.js"
export type { Finding, SignedRequest } from "./widgetSession/diagnosis.js"
export { incidentRules, messages, playbook, redactedNames } from "./widgetSession/errors.js"

const integration = "widget-session"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * Everything that a call can fail with. `E` is what its pipeline can reject with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure<E = CircuitBreaker.CircuitOpen> =
  | ApiError.ApiError
  | Idempotency.UnknownOutcome
  | E

/**
 * The sentence that a user may read about a failure: safe, without technical details, in English or
 * German, otherwise general ones. See `UserMessage.of`.
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
 * The fields to log about a failure, without anything that was sent. See `SiteChat.logFields`.
 *
 * @since 0.1.0
 * @category failures
 */
export const logFields = (error: unknown, context: LogContext = {}): LogFields =>
  Telemetry.fields(error, { ...context, integration })

// -----------------------------------------------------------------------------
// policies
// -----------------------------------------------------------------------------

/**
 * The retry strategy: three retries, delays of `min(500 * 2^n + random(0..300), 8000)` ms.
 *
 * @since 0.1.0
 * @category policies
 */
export const retry: Omit<Retry.Base, "operation"> = {
  retries: 3,
  backoff: Backoff.exponential({
    base: "500 millis",
    cap: "8 seconds",
    jitter: Backoff.additive("300 millis")
  })
}

/**
 * The circuit breaker: opens for 30 s when half of the last 20 attempts failed (at least 10), or 60
 * % of them took longer than 3 s; closes after three good trials.
 *
 * @since 0.1.0
 * @category policies
 */
export const circuitBreaker: CircuitBreaker.Options = {
  window: CircuitBreaker.count(20),
  minimumCalls: 10,
  failureRate: 0.5,
  slowCall: { duration: "3 seconds", rate: 0.6 },
  openDuration: "30 seconds",
  halfOpen: CircuitBreaker.consecutive(3)
}

/**
 * How a session is created: with an idempotency key, retried by the strategy above, behind the
 * breaker above. 15 s for each call, its body included, 3 min for all of them: the document has no
 * limits of time, and a call that never ends is not retried.
 *
 * @since 0.1.0
 * @category policies
 */
export const stages = {
  operation: Operation.keyed,
  totalTimeout: "3 minutes",
  retry,
  circuitBreaker,
  attemptTimeout: "15 seconds"
} as const satisfies Pipeline.Stages

/**
 * A pipeline of these stages. Clients that should share one breaker are given the same one.
 *
 * @since 0.1.0
 * @category policies
 */
export const pipeline: Effect.Effect<
  Pipeline.Pipeline<CircuitBreaker.CircuitOpen | ApiError.Timeout, IdempotencyKey.IdempotencyKey>
> = Pipeline.make(stages)

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * What a success says. The document does not describe it; these are read when they are there, and
 * absent when they are something else. The session was created all the same.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({
  session_id: Schema.optional(Schema.String),
  session_token: Schema.optional(Schema.Redacted(Schema.String))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Session = typeof Session.Type

/**
 * - `partnerId`, `secretKey`: of the same environment. A `partnerId` that cannot be in a path
 *   (`""`, `".."`) is refused.
 * - `path`: where sessions are created. Default `/v1/partners/:partnerId/sessions`; its
 *   `:partnerId` is filled in. It is the endpoint of errors and telemetry.
 * - `domain`: sent as `Origin`, for tokenized widget access.
 * - `pipeline`: how calls are protected. Default: one made of `stages` and `telemetry`.
 * - `telemetry`: metrics, spans and logs of the default pipeline. Default: none.
 * - `detector`: sees how every call ended, and raises incidents
 *   (`Incident.make({ rules: WidgetSession.incidentRules })`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = CircuitBreaker.CircuitOpen> {
  readonly baseUrl: string
  readonly partnerId: string
  readonly secretKey: Redacted.Redacted<string>
  readonly path?: string | undefined
  readonly domain?: string | undefined
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  readonly detector?: Incident.Detector | undefined
}

/**
 * A created session, and whether the server had created it for an earlier attempt with the same
 * key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created {
  readonly session: Session
  readonly replayed: boolean
}

/**
 * The API as its callers see it. A session is created under an idempotency key, so the environment
 * must hold one.
 *
 * @since 0.1.0
 * @category models
 */
export interface WidgetSession<E = CircuitBreaker.CircuitOpen> {
  readonly createSession: (
    user: Draft
  ) => Effect.Effect<Created, Failure<E>, IdempotencyKey.IdempotencyKey>
}

const defaultPath = "/v1/partners/:partnerId/sessions"

const textOf = (body: unknown, name: string): string | undefined =>
  Predicate.hasProperty(body, name) && Predicate.isString(body[name]) ? body[name] : undefined

/**
 * The session was created whatever the body says of it, and another attempt would not say it
 * better.
 */
const sessionOf = (body: unknown): Session => {
  const id = textOf(body, "session_id")
  const token = textOf(body, "session_token")
  return {
    ...(id === undefined ? {} : { session_id: id }),
    ...(token === undefined ? {} : { session_token: Redacted.make(token) })
  }
}

const read = ApiClient.json(Schema.Unknown)

/** `?1` is how a header says yes (RFC 9651 section 3.3.6). */
const saysReplayed = (header: string | undefined): boolean => header === "true" || header === "?1"

/**
 * A client of the API. Signs each request, sends it with the key of the environment, retries what
 * the document says may be retried. Dies with a `RangeError` for nonsense options.
 *
 * **Gotchas**
 *
 * It does not validate before sending: what is valid is the API's business.
 * `Schema.decodeUnknown(WidgetSession.User)` does, for who wants it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = CircuitBreaker.CircuitOpen>(
  options: Options<E>
): Effect.Effect<WidgetSession<E>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const partnerId = Endpoint.id("partnerId", options.partnerId)
    const template = Endpoint.path("path", options.path ?? defaultPath)
    const client = yield* ApiClient.readAll(ApiClient.make<E>({
      name: integration,
      baseUrl: options.baseUrl,
      playbook,
      // Without a pipeline, `E` is what this one rejects with.
      pipeline: options.pipeline ??
        (yield* Pipeline.make({ ...stages, telemetry: options.telemetry })) as Pipeline.Pipeline<
          E,
          unknown
        >,
      redactedNames,
      secrets: [options.secretKey]
    }))
    const path = Endpoint.fill(template, { partnerId })
    const watched = Incident.watch(options.detector, integration)
    return {
      createSession: (user) => {
        const signature = Redacted.value(sign(options.secretKey, canonicalString(partnerId, user)))
        const request = HttpClientRequest.post(path).pipe(
          HttpClientRequest.bodyUnsafeJson({ user, signature }),
          options.domain === undefined
            ? (self) => self
            : HttpClientRequest.setHeader("origin", options.domain)
        )
        return client.execute(request).pipe(
          Effect.flatMap((response) =>
            Effect.map(read(response), (body) => ({
              session: sessionOf(body),
              replayed: saysReplayed(response.headers["idempotent-replayed"])
            }))
          ),
          watched,
          ApiClient.withEndpoint(template),
          ApiClient.withOperation(Operation.keyed)
        )
      }
    }
  })
