/**
 * The session API of an identity verification service: its statuses and error types, the retry of
 * its document, sessions that are created once, and where to get help.
 *
 * Its document shows an SDK and no HTTP: override the paths with `paths`. Its retry loop calls
 * three times in all (`maxRetries = 3` counts calls) and waits once more after the last one; that
 * last wait is left out, because nothing follows it. Its loop also repeats what was not found,
 * which would be not found again; we do not.
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
import * as Redaction from "../errors/Redaction.js"
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
  incidentRules,
  messages,
  playbook,
  playbookFor,
  playbookOf,
  redactedNames
} from "./faceSign/errors.js"
import { type SessionSettings, validate } from "./faceSign/request.js"
import * as Input from "./shared/input.js"
import * as PrivateTexts from "./shared/privateTexts.js"

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
 * The document's retry and limits of time: three calls in all, `min(1000 * 2^n, 10000)` ms between
 * them, never before the `Retry-After` of the answer or the seconds in its message; 15 s for each
 * call, 3 min for all of it. A `Retry-After` holds back all calls of the client, for up to a
 * minute.
 *
 * @since 0.1.0
 * @category policies
 */
export const stages = {
  /** Demands an idempotency key. */
  operation: Operation.keyed,
  /** Limits the whole call to 3 min. */
  totalTimeout: "3 minutes",
  /** Retries twice. */
  retry: {
    /** How many attempts follow the first. */
    retries: 2,
    /** Waits `min(1000 * 2^n, 10000)` ms between attempts. */
    backoff: Backoff.exponential({ base: "1 second", cap: "10 seconds", jitter: Backoff.none })
  },
  /** A breaker with its defaults. */
  circuitBreaker: {},
  /** Holds back all calls after a `Retry-After`. */
  cooldown: {},
  /** Limits each attempt to 15 s. */
  attemptTimeout: "15 seconds"
} as const satisfies Pipeline.Stages

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * The answer to a creation. `clientSecret` is for the browser of the user, and is redacted.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Created = Schema.Struct({
  /** The created session. */
  session: Schema.Struct({ id: Schema.String }),
  /** The secret for the browser of the user, redacted. */
  clientSecret: Schema.optional(Schema.Redacted(Schema.String))
})

/**
 * A created session, decoded.
 *
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
export const Session = Schema.Struct({
  /** The id of the session. */
  id: Schema.String,
  /** The status of the session, where the API gives it. */
  status: Schema.optional(Schema.String)
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
export interface Options<E = Rejects> {
  /** The address of the API (required). */
  readonly baseUrl: string
  /**
   * The API key, sent as `Authorization: Bearer` (required). A key that no header can hold fails
   * with `Auth` before it is sent.
   */
  readonly auth: Redacted.Redacted<string>
  /**
   * The environment that is called. Default `production`. In `development` a 403 may be a missing
   * authentication header.
   */
  readonly environment?: Environment | undefined
  /** Other paths. Default `defaults.paths`. */
  readonly paths?: Partial<typeof defaults.paths> | undefined
  /**
   * What the statuses mean. Default: the playbook of the environment. Extend it for codes of a 409
   * that mean "still running" (`inFlightCodes`).
   */
  readonly playbook?: Playbook.Playbook | undefined
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
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `environment`. */
  environment: "production" as Environment,
  /** Default of the option `paths`. */
  paths: {
    /** The path that sessions are created at. */
    sessions: "/v1/sessions",
    /** The path of one session. */
    session: "/v1/sessions/:id"
  }
}

/**
 * The API as its callers see it.
 *
 * **Details**
 *
 * `createSession` validates before it sends. Invalid settings fail with a `Validation` whose
 * `issues` say where, without a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaceSign<E = Rejects> {
  /**
   * Creates a session under the idempotency key of the environment. Invalid settings fail with
   * `Validation` and are not sent.
   */
  readonly createSession: (
    settings: SessionSettings
  ) => Effect.Effect<Created, Failure<E>, IdempotencyKey.IdempotencyKey>
  /** Reads a session. An id that cannot be in a path fails with `Validation`. */
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
 * Makes a client of the API. Invalid options die with `RangeError`.
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
      playbook: playbookOf(environment, options.playbook ?? playbookFor(environment)),
      errorBody: PrivateTexts.errorBody(errorBodyFor(environment)),
      // Without a pipeline, `E` is what this one rejects with.
      pipeline: options.pipeline ??
        (yield* Pipeline.make({ ...stages, telemetry: options.telemetry })) as Pipeline.Pipeline<
          E,
          unknown
        >,
      redactedNames,
      secrets: [options.auth]
    }))
    const watched = Incident.watch(
      yield* Incident.from(options.detector, incidentRules),
      integration
    )
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
          return Effect.flatMap(
            Input.withJson(HttpClientRequest.post(paths.sessions), paths.sessions, settings),
            (request) =>
              send(request, paths.sessions, Created)
          ).pipe(PrivateTexts.during(() =>
            Redaction.secretsIn(settings, redactedNames)
          ))
        }).pipe(ApiClient.withOperation(Operation.keyed)),
      session: (id) =>
        Endpoint.request("GET", paths.session, { id }).pipe(
          Effect.flatMap((request) =>
            send(request, paths.session, Schema.Struct({ session: Session }))
          ),
          Effect.map(({ session }) => session)
        )
    }
  })
