/**
 * The integration API of a field-activities product: its errors, its permissions, results that are
 * validated before they are sent, and the one way in which a result may be overwritten.
 *
 * Its document names no paths; those used here can be said otherwise. It does not mention 429,
 * which keeps the meaning HTTP gives it: not executed, worth another try. It documents no
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
import { messages, playbook, redactedNames } from "./fieldActivities/errors.js"
import { type ActivityResult, type ResultType, validate } from "./fieldActivities/result.js"

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
 * The fields to log about a failure, without anything that was sent. See `SiteChat.logFields`; for
 * the error body, `errorObject`.
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
  operation: Operation.idempotent,
  totalTimeout: Duration.seconds(30),
  retry: { retries: 3, backoff: Backoff.exponential({ base: "500 millis", cap: "10 seconds" }) },
  circuitBreaker: {},
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
  activity_id: Schema.String,
  status: Schema.optional(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type Activity = typeof Activity.Type

/**
 * - `apiKey`: sent as `x-api-key`. One that no header can hold is refused before it is sent, as
 *   `Auth`.
 * - `paths`: of the three calls. Default: `/v1/configurations/result-types`, `/v1/activities/:id`
 *   and `/v1/activities/:id/result`.
 * - `resultTypes`: the valid result codes, for a key that may not query them. Default: they are
 *   asked for.
 * - `resultTypesTimeToLive`: how long the list of valid result codes is kept. Default 10 min. A
 *   code that is younger is refused until then.
 * - `pipeline`: how calls are protected. Default: one made of `stages` and `telemetry`.
 * - `telemetry`: metrics, spans and logs of the default pipeline. Default: none.
 * - `detector`: sees how every call ended, and raises incidents
 *   (`Incident.make({ rules: FieldActivities.incidentRules })`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = CircuitBreaker.CircuitOpen> {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted<string>
  readonly paths?: Partial<typeof defaults.paths> | undefined
  readonly resultTypes?: ReadonlyArray<ResultType> | undefined
  readonly resultTypesTimeToLive?: Duration.DurationInput | undefined
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
  readonly detector?: Incident.Detector | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  paths: {
    resultTypes: "/v1/configurations/result-types",
    activity: "/v1/activities/:id",
    result: "/v1/activities/:id/result"
  },
  resultTypesTimeToLive: Duration.minutes(10)
}

/**
 * The API as its callers see it.
 *
 * **Details**
 *
 * - `resultTypes`: the valid result codes, asked for once and kept.
 * - `submitResult` validates before it sends: a result that would be refused fails with a
 *   `Validation` whose `issues` say where, and no request for it is made. It has succeeded when the
 *   head of the answer says so, whatever becomes of the body. With the question for the result
 *   types it takes two limits of time.
 * - `overrideResult` does the same and replaces a result that is there (`hard_override: true`).
 *   Nothing else sends that flag, least of all by itself after a 409.
 *
 * @since 0.1.0
 * @category models
 */
export interface FieldActivities<E = CircuitBreaker.CircuitOpen> {
  readonly resultTypes: Effect.Effect<ReadonlyArray<ResultType>, Failure<E>>
  readonly activity: (activityId: string) => Effect.Effect<Activity, Failure<E>>
  readonly submitResult: (
    activityId: string,
    result: ActivityResult
  ) => Effect.Effect<void, Failure<E>>
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
 * A client of the API. Dies with a `RangeError` for nonsense options.
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
    const { detector } = options
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
    const watched = Incident.watch(detector, integration)

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
      execute(
        writer,
        HttpClientRequest.post(Endpoint.fill(paths.result, { id: activityId })).pipe(
          HttpClientRequest.bodyUnsafeJson(body)
        )
      ).pipe(
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
