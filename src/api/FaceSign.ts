/**
 * The session API of an identity verification service: its statuses and error types, the retry of
 * its document, sessions that are created once, and where to get help.
 *
 * Its document shows an SDK and no HTTP: paths and the header of the key can be said otherwise. Its
 * retry loop calls three times in all (`maxRetries = 3` counts calls) and waits once more after the
 * last one; that last wait is left out, because nothing follows it. Its loop also repeats what was
 * not found, which would be not found again; we do not.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Check from "../errors/Check.js"
import type * as Playbook from "../errors/Playbook.js"
import type * as Rejection from "../errors/Rejection.js"
import * as ApiClient from "../http/ApiClient.js"
import * as Endpoint from "../http/Endpoint.js"
import type * as Idempotency from "../idempotency/Idempotency.js"
import type * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as UserMessage from "../observability/UserMessage.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import type * as Cooldown from "../policies/Cooldown.js"
import * as Backoff from "../retry/Backoff.js"
import {
  type Environment,
  errorBodyFor,
  messages,
  playbook,
  playbookFor,
  redactedNames
} from "./faceSign/errors.js"
import { type SessionSettings, validate } from "./faceSign/request.js"

export {
  ErrorBody,
  errorObject,
  ErrorType,
  help,
  incidentRules,
  messages,
  playbook,
  playbookFor,
  redactedNames,
  supportReference
} from "./faceSign/errors.js"
export type { Environment, SupportReference } from "./faceSign/errors.js"
export { Node, SessionSettings, validate } from "./faceSign/request.js"

const integration = "facesign"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * What the default pipeline can reject with: an open circuit, or a wait after a 429 that is longer
 * than a call waits.
 *
 * @since 0.1.0
 * @category errors
 */
export type Rejects =
  | CircuitBreaker.CircuitOpen
  | Cooldown.CoolingDown
  | Rejection.QueueTimeout

/**
 * Everything that a call can fail with. `E` is what its pipeline can reject with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure<E = Rejects> = ApiError.ApiError | Idempotency.UnknownOutcome | E

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
 * The document's retry and limits of time: three calls in all, `min(1000 * 2^n, 10000)` ms between
 * them, never before the `Retry-After` of the answer or the seconds in its message; 15 s for each
 * call, 3 min for all of it. A `Retry-After` holds back all calls of the client, for up to a
 * minute.
 *
 * @since 0.1.0
 * @category policies
 */
export const stages = {
  operation: Operation.keyed,
  totalTimeout: "3 minutes",
  retry: {
    retries: 2,
    backoff: Backoff.exponential({ base: "1 second", cap: "10 seconds", jitter: Backoff.none })
  },
  circuitBreaker: {},
  cooldown: {},
  attemptTimeout: "15 seconds"
} as const satisfies Pipeline.Stages

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * What creating a session gives. `clientSecret` is for the browser of the user, and does not print
 * itself.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Created = Schema.Struct({
  session: Schema.Struct({ id: Schema.String }),
  clientSecret: Schema.optional(Schema.Redacted(Schema.String))
})

/**
 * @since 0.1.0
 * @category models
 */
export type Created = typeof Created.Type

/**
 * A session, as far as it is read here.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Session = Schema.Struct({ id: Schema.String, status: Schema.optional(Schema.String) })

/**
 * @since 0.1.0
 * @category models
 */
export type Session = typeof Session.Type

/**
 * - `auth`: the API key, sent as `Authorization: Bearer`. One that no header can hold is refused
 *   before it is sent, as `Auth`.
 * - `environment`: default `production`. In `development` a 403 may be a missing authentication
 *   header.
 * - `paths`: default `/v1/sessions` and `/v1/sessions/:id`.
 * - `playbook`: default that of the environment. Extend it for codes of a 409 that say "still
 *   running" (`inFlightCodes`).
 * - `pipeline`: how calls are protected. Default: one made of `stages` and `telemetry`.
 * - `telemetry`: metrics, spans and logs of the default pipeline. Default: none.
 * - `detector`: sees how every call ended, and raises incidents
 *   (`Incident.make({ rules: FaceSign.incidentRules })`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = Rejects> {
  readonly baseUrl: string
  readonly auth: Redacted.Redacted<string>
  readonly environment?: Environment | undefined
  readonly paths?: Partial<typeof defaults.paths> | undefined
  readonly playbook?: Playbook.Playbook | undefined
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  readonly detector?: Incident.Detector | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  environment: "production" as Environment,
  paths: { sessions: "/v1/sessions", session: "/v1/sessions/:id" }
}

/**
 * The API as its callers see it.
 *
 * **Details**
 *
 * `createSession` validates before it sends: settings that would be refused fail with a
 * `Validation` whose `issues` say where, and no request is made. It is sent under the idempotency
 * key of the environment. `session` reads one; an id that cannot be in a path is a `Validation`,
 * too.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaceSign<E = Rejects> {
  readonly createSession: (
    settings: SessionSettings
  ) => Effect.Effect<Created, Failure<E>, IdempotencyKey.IdempotencyKey>
  readonly session: (id: string) => Effect.Effect<Session, Failure<E>>
}

const refuse = (issues: ApiError.Validation["issues"], endpoint: string): ApiError.Validation =>
  new ApiError.Validation({
    message: issues.map(({ message }) => message).join("; "),
    code: issues.every(({ message }) => message.endsWith("is required"))
      ? "parameter_missing"
      : "parameter_invalid",
    method: "POST",
    endpoint,
    issues
  })

const environments: ReadonlySet<string> = new Set<Environment>(["production", "development"])

/**
 * A client of the API. Dies with a `RangeError` for nonsense options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = Rejects>(
  options: Options<E>
): Effect.Effect<FaceSign<E>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const environment = options.environment ?? defaults.environment
    Check.text("environment", environment, `"production" or "development"`, (text) =>
      environments.has(text))
    const paths = Endpoint.paths(defaults.paths, options.paths)
    const client = yield* ApiClient.readAll(ApiClient.make<E>({
      name: integration,
      baseUrl: options.baseUrl,
      playbook: options.playbook ?? playbookFor(environment),
      errorBody: errorBodyFor(environment),
      // Without a pipeline, `E` is what this one rejects with.
      pipeline: options.pipeline ??
        (yield* Pipeline.make({ ...stages, telemetry: options.telemetry })) as Pipeline.Pipeline<
          E,
          unknown
        >,
      redactedNames,
      secrets: [options.auth]
    }))
    const watched = Incident.watch(options.detector, integration)
    const send = <A, I>(
      request: HttpClientRequest.HttpClientRequest,
      endpoint: string,
      schema: Schema.Schema<A, I>
    ) =>
      Effect.zipRight(
        Endpoint.checkCredential(options.auth, request.method),
        client.execute(HttpClientRequest.bearerToken(request, options.auth))
      ).pipe(
        Effect.flatMap(ApiClient.json(schema)),
        watched,
        ApiClient.withEndpoint(endpoint)
      )
    return {
      createSession: (settings) =>
        Effect.suspend(() => {
          const issues = validate(settings)
          if (issues.length > 0) {
            return refuse(issues, paths.sessions)
          }
          const request = HttpClientRequest.post(paths.sessions).pipe(
            HttpClientRequest.bodyUnsafeJson(settings)
          )
          return send(request, paths.sessions, Created)
        }).pipe(ApiClient.withOperation(Operation.keyed)),
      session: (id) =>
        Endpoint.request("GET", paths.session, { id }).pipe(
          Effect.flatMap((request) =>
            send(request, paths.session, Schema.Struct({ session: Session }))
          ),
          Effect.map(({ session }) =>
            session
          )
        )
    }
  })
