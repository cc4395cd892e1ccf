/**
 * The integration API of a field-activities product: its errors, its permissions, results that are
 * validated before they are sent, and the one way in which a result may be overwritten.
 *
 * Its document names no paths; override those used here with `paths`. It retries no 4xx without a
 * correction, so 408 and 425 are final here, although HTTP would repeat them. It does not mention
 * 429, which keeps the meaning HTTP gives it: not executed, worth another try. It documents no
 * idempotency keys, but answers a second result for the same activity with 409, so a repeat does no
 * harm.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Check from "../errors/Check.js"
import * as ApiClient from "../http/ApiClient.js"
import * as Endpoint from "../http/Endpoint.js"
import type * as Idempotency from "../idempotency/Idempotency.js"
import * as Operation from "../idempotency/Operation.js"
import * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as UserMessage from "../observability/UserMessage.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Backoff from "../retry/Backoff.js"
import { incidentRules, messages, playbook, redactedNames } from "./fieldActivities/errors.js"
import { type ActivityResult, type ResultType, validate } from "./fieldActivities/result.js"
import * as Input from "./shared/input.js"

export {
  diagnose401,
  ErrorBody,
  errorObject,
  incidentRules,
  mayBeOurs,
  messages,
  playbook,
  redactedNames,
  requiredPermission
} from "./fieldActivities/errors.js"
export { ActivityResult, validate } from "./fieldActivities/result.js"
export type { ResultType } from "./fieldActivities/result.js"

const integration = "field-activities"

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
 * `SiteChat.logFields`; for the error body, `errorObject`.
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
 * Exponential backoff for 5xx: three retries from 500 ms, doubling, at most 10 s, full jitter; 10 s
 * for each attempt, 30 s in all.
 *
 * @since 0.1.0
 * @category policies
 */
export const stages = {
  /** Allows a second attempt after any failure that may pass. */
  operation: Operation.idempotent,
  /** Limits the whole call to 30 s. */
  totalTimeout: Duration.seconds(30),
  /** Retries three times. */
  retry: {
    /** How many attempts follow the first. */
    retries: 3,
    /** From 500 ms, factor 2, cap 10 s, full jitter. */
    backoff: Backoff.exponential({ base: "500 millis", cap: "10 seconds" })
  },
  /** A breaker with its defaults. */
  circuitBreaker: {},
  /** Limits each attempt to 10 s. */
  attemptTimeout: Duration.seconds(10)
} as const satisfies Pipeline.Stages

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

const ResultTypes = Schema.Array(
  Schema.Struct({
    code: Schema.String,
    requires_future_scheduled_at: Schema.optionalWith(Schema.Boolean, { default: () => false })
  })
)

/**
 * An activity, as far as it is read here.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Activity = Schema.Struct({
  /** The id of the activity. */
  activity_id: Schema.String,
  /** The status of the activity, where the API gives it. */
  status: Schema.optional(Schema.String)
})

/**
 * An activity, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type Activity = typeof Activity.Type

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
   * The API key, sent as `x-api-key` (required). A key that no header can hold fails with `Auth`
   * before it is sent.
   */
  readonly apiKey: Redacted.Redacted<string>
  /** Other paths. Default `defaults.paths`. */
  readonly paths?: Partial<typeof defaults.paths> | undefined
  /** The valid result codes, for a key that may not query them. Default: asks the API. */
  readonly resultTypes?: ReadonlyArray<ResultType> | undefined
  /**
   * How long the valid result codes are kept. Default 10 min. A newer code is refused until then.
   */
  readonly resultTypesTimeToLive?: Duration.DurationInput | undefined
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
  /** Default of the option `paths`. */
  paths: {
    /** The path of the valid result codes. */
    resultTypes: "/v1/configurations/result-types",
    /** The path of one activity. */
    activity: "/v1/activities/:id",
    /** The path that results are sent to. */
    result: "/v1/activities/:id/result"
  },
  /** Default of the option `resultTypesTimeToLive`. */
  resultTypesTimeToLive: Duration.minutes(10)
}

/**
 * The API as its callers see it.
 *
 * **Details**
 *
 * - `resultTypes` asks for the valid result codes once and keeps them.
 * - `submitResult` validates before it sends. An invalid result fails with a `Validation` whose
 *   `issues` say where, and is not sent. The head of the answer decides about success; the body is
 *   ignored. A call that also reads the result types takes two time limits.
 * - `overrideResult` does the same and replaces a result that is there (`hard_override: true`). No
 *   other call sends that flag, and no retry adds it after a 409.
 *
 * @since 0.1.0
 * @category models
 */
export interface FieldActivities<E = CircuitBreaker.CircuitOpen> {
  /** Reads the valid result codes, once, and keeps them. */
  readonly resultTypes: Effect.Effect<ReadonlyArray<ResultType>, Failure<E>>
  /** Reads an activity. */
  readonly activity: (activityId: string) => Effect.Effect<Activity, Failure<E>>
  /** Submits a result. An invalid one fails with `Validation` and is not sent. */
  readonly submitResult: (
    activityId: string,
    result: ActivityResult
  ) => Effect.Effect<void, Failure<E>>
  /** Submits a result in place of an earlier one (`hard_override: true`). */
  readonly overrideResult: (
    activityId: string,
    result: ActivityResult
  ) => Effect.Effect<void, Failure<E>>
}

type Issues = ApiError.Validation["issues"]

const refuse = (
  subject: string,
  method: string,
  endpoint: string,
  issues: Issues
): ApiError.Validation =>
  new ApiError.Validation({
    message: `The ${subject} is not valid and was not sent: ${
      issues.map(({ message, path }) => `${path} ${message}`).join("; ")
    }`,
    code: `invalid_${subject}`,
    method,
    endpoint,
    issues
  })

const issuesOfId = (activityId: string): Issues => Endpoint.issues({ activity_id: activityId })

/**
 * Makes a client of the API. Invalid options die with `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = CircuitBreaker.CircuitOpen>(
  options: Options<E>
): Effect.Effect<FieldActivities<E>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const timeToLive = Check.positiveDuration(
      "resultTypesTimeToLive",
      options.resultTypesTimeToLive ?? defaults.resultTypesTimeToLive
    )
    const paths = Endpoint.paths(defaults.paths, options.paths)
    // Without a pipeline, `E` is what this one rejects with.
    const byDefault: Pipeline.Pipeline<unknown, unknown> = yield* Pipeline.make({
      ...stages,
      telemetry: options.telemetry
    })
    const settings: ApiClient.Options<E> = {
      name: integration,
      baseUrl: options.baseUrl,
      playbook,
      pipeline: options.pipeline ?? byDefault as Pipeline.Pipeline<E, unknown>,
      redactedNames,
      secrets: [options.apiKey]
    }
    const reader = yield* ApiClient.readAll(ApiClient.make(settings))
    const writer = yield* ApiClient.make(settings)
    const watched = Incident.watch(
      yield* Incident.from(options.detector, incidentRules),
      integration
    )

    const execute = (client: typeof writer, request: HttpClientRequest.HttpClientRequest) =>
      Effect.zipRight(
        Endpoint.checkCredential(options.apiKey, request.method),
        client.execute(
          HttpClientRequest.setHeader(request, "x-api-key", Redacted.value(options.apiKey))
        )
      )

    const get = <A, I>(endpoint: string, path: string, schema: Schema.Schema<A, I>) =>
      execute(reader, HttpClientRequest.get(path)).pipe(
        Effect.flatMap(ApiClient.json(schema)),
        ApiClient.withEndpoint(endpoint),
        watched
      )

    const [cached, invalidate] = yield* Effect.cachedInvalidateWithTTL(
      get(paths.resultTypes, paths.resultTypes, ResultTypes),
      timeToLive
    )
    const resultTypes = options.resultTypes === undefined
      ? Effect.tapErrorCause(cached, () => invalidate)
      : Effect.succeed(options.resultTypes)

    const send = (activityId: string, body: object) =>
      Input.withJson(
        HttpClientRequest.post(Endpoint.fill(paths.result, { id: activityId })),
        paths.result,
        body
      ).pipe(
        Effect.flatMap((request) => execute(writer, request)),
        watched,
        Effect.flatMap(ApiClient.discard),
        ApiClient.withEndpoint(paths.result),
        // A second result is refused with 409, so sending it twice is the same as once.
        ApiClient.withOperation(Operation.idempotent)
      )

    const submit = (activityId: string, result: ActivityResult, overrides: boolean) =>
      Effect.flatMap(resultTypes, (types): Effect.Effect<void, Failure<E>> => {
        const issues = [...issuesOfId(activityId), ...validate(result, types)]
        return issues.length > 0
          ? refuse("result", "POST", paths.result, issues)
          // What is undefined is left out of JSON, and so is a flag that came in with the result.
          : send(activityId, { ...result, hard_override: overrides ? true : undefined })
      })

    return {
      resultTypes,
      activity: (activityId) => {
        const issues = issuesOfId(activityId)
        return issues.length > 0
          ? refuse("query", "GET", paths.activity, issues)
          : get(paths.activity, Endpoint.fill(paths.activity, { id: activityId }), Activity)
      },
      submitResult: (activityId, result) => submit(activityId, result, false),
      overrideResult: (activityId, result) => submit(activityId, result, true)
    }
  })
