/**
 * The Create Session API of a widget partner: its statuses, its signature, its retry strategy and
 * its debug guide, as values.
 *
 * Its document says "max 3 attempts" and lists three intervals (about 500, 1000 and 2000 ms). We
 * read it as three retries after the first call, since three attempts have only two intervals
 * between them. It documents neither the path nor the body of a success.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
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
import * as Input from "./shared/input.js"
import { incidentRules, messages, playbook, redactedNames } from "./widgetSession/errors.js"
import { canonicalString, type Draft, sign, validate } from "./widgetSession/request.js"

export { canonicalString, Draft, Request, sign, User, validate } from "./widgetSession/request.js"
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
 * Makes the sentence that a user may read about a failure: safe, without technical details, in
 * English or German; general sentences in other languages. See `UserMessage.of`.
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
 * Collects the fields to log about a failure, without anything that was sent. See
 * `SiteChat.logFields`.
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
  /** Demands an idempotency key. */
  operation: Operation.keyed,
  /** Limits the whole call to 3 min. */
  totalTimeout: "3 minutes",
  /** Retries by the strategy of the document. */
  retry,
  /** The breaker of the document. */
  circuitBreaker,
  /** Limits each attempt to 15 s, its body included. */
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
 * A success, as far as it is read here. The document does not describe it. Fields of another type
 * are left out; the session was created all the same.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({
  /** The id of the session, where the answer has one. */
  session_id: Schema.optional(Schema.String),
  /** The token of the session, redacted, where the answer has one. */
  session_token: Schema.optional(Schema.Redacted(Schema.String))
})

/**
 * A session, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type Session = typeof Session.Type

/**
 * The options of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = CircuitBreaker.CircuitOpen> {
  /** The address of the API (required). */
  readonly baseUrl: string
  /**
   * The partner id, of the same environment as `secretKey` (required). One that cannot be in a path
   * (`""`, `".."`) is refused.
   */
  readonly partnerId: string
  /** The key that requests are signed with (required). */
  readonly secretKey: Redacted.Redacted<string>
  /**
   * The path that sessions are created at, and the endpoint of errors and telemetry. Its
   * `:partnerId` is filled in. Default `/v1/partners/:partnerId/sessions`.
   */
  readonly path?: string | undefined
  /** Sent as `Origin`, for tokenized widget access. Default: not sent. */
  readonly domain?: string | undefined
  /** Protects the calls. Default: one made of `stages` and `telemetry`. */
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  /** Metrics, spans and logs of the default pipeline. Default: none. */
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  /**
   * Sees how every call ended and raises incidents. Default: logs those of `incidentRules`.
   * `false`: none.
   */
  readonly detector?: Incident.Detector | false | undefined
}

/**
 * A created session, and whether the server had created it for an earlier attempt with the same
 * key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created {
  /** The created session. */
  readonly session: Session
  /** True when the server had created the session for an earlier attempt with the same key. */
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
  /** Creates a session for a user, under the idempotency key of the environment. */
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
 * Makes a client of the API. It signs each request, sends it with the key of the environment, and
 * retries what the document says may be retried. Invalid options die with `RangeError`.
 *
 * **Gotchas**
 *
 * Before sending it refuses only what `validate` finds: a value of another type, and one that would
 * give two payloads one signature. The API decides what else is valid;
 * `Schema.decodeUnknown(WidgetSession.User)` checks it before a call.
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
    const watched = Incident.watch(
      yield* Incident.from(options.detector, incidentRules),
      integration
    )
    const create = { method: "POST", endpoint: template } as const
    const request = (user: Draft) => {
      const signature = Redacted.value(sign(options.secretKey, canonicalString(partnerId, user)))
      return Effect.map(
        Input.withJson(HttpClientRequest.post(path), template, { user, signature }),
        options.domain === undefined
          ? identity
          : HttpClientRequest.setHeader("origin", options.domain)
      )
    }
    return {
      createSession: (user) =>
        Input.check(create, () => validate(user)).pipe(
          Effect.zipRight(Effect.suspend(() => request(user))),
          Effect.flatMap((request) => client.execute(request)),
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
  })
