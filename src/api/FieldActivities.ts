/**
 * The integration API of a field-activities product: its errors, its permissions, results that are validated before they are sent, and the one way in which a
 * result may be overwritten.
 *
 * Its document names no paths; those used here can be said otherwise. It does not mention 429, which keeps the meaning HTTP gives it: not executed, worth
 * another try. It documents no idempotency keys, but answers a second result for the same activity with 409, so a repeat does no harm.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../ApiError.js"
import * as Backoff from "../Backoff.js"
import type * as CircuitBreaker from "../CircuitBreaker.js"
import * as ApiClient from "../http/ApiClient.js"
import type * as Idempotency from "../Idempotency.js"
import * as Operation from "../Operation.js"
import * as Pipeline from "../Pipeline.js"
import * as Playbook from "../Playbook.js"
import { type ActivityResult, validate } from "./fieldActivitiesResult.js"
import { row } from "./row.js"

export { ActivityResult, validate } from "./fieldActivitiesResult.js"
export type { ResultType } from "./fieldActivitiesResult.js"

// ---------------------------------------------------------------------------------------------------------------------------------------------
// failures
// ---------------------------------------------------------------------------------------------------------------------------------------------

/**
 * The table of error codes. No 4xx of it is retried without a change of the request; 5xx are.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "Field Activities",
  byStatus: {
    400: row(400, {
      meaning: "Bad Request: validation error in the request body",
      action: "Do not retry. Check the format, data types, required fields and valid result codes (validate).",
      userMessage: "Some of the details of this visit are not valid. Please check them and try again."
    }),
    401: row(401, {
      meaning: "Unauthorized: the API key is missing or invalid",
      action:
        "Do not retry. Verify that the x-api-key header is present and that the key has not been revoked (diagnose401).",
      alert: "check key rotation, deployment configuration, revoked keys"
    }),
    403: row(403, {
      meaning: "Forbidden: the key does not have the required permission",
      action:
        "Do not retry. Confirm that the key has VIEW_ACTIVITIES for queries and SUBMIT_ACTIVITY_RESULT for submitting results; ask the tenant administrator.",
      alert: "check the permissions of the key with the tenant administrator"
    }),
    404: row(404, {
      meaning: "Not Found: the resource was not found",
      action:
        "Do not retry. Confirm that the activity_id, commerce_external_id or other identifier exists in the tenant.",
      userMessage: "We could not find this visit."
    }),
    409: row(409, {
      meaning: "Conflict: the activity already has a registered result",
      action:
        "Do not retry. Overwrite the existing result only if that is meant (overrideResult sends hard_override: true).",
      userMessage: "A result for this visit has been registered already."
    })
  }
})

/**
 * Exponential backoff for 5xx: three retries from 500 ms, doubling, at most 10 s, full jitter, from a budget; 10 s for each attempt, 30 s in all.
 *
 * @since 0.1.0
 * @category policies
 */
export const stages = {
  operation: Operation.idempotent,
  totalTimeout: Duration.seconds(30),
  retry: { retries: 3, backoff: Backoff.exponential({ base: "500 millis", cap: "10 seconds" }) },
  budget: {},
  circuitBreaker: {},
  attemptTimeout: Duration.seconds(10)
} as const satisfies Pipeline.Stages

/**
 * Names whose values are secret, beside the defaults.
 *
 * @since 0.1.0
 * @category policies
 */
export const redactedNames: ReadonlyArray<string | RegExp> = ["x-api-key"]

/**
 * The permission that a key needs: one for looking, one for submitting.
 *
 * @since 0.1.0
 * @category failures
 */
export const requiredPermission = (method: string): "VIEW_ACTIVITIES" | "SUBMIT_ACTIVITY_RESULT" =>
  method === "GET" || method === "HEAD" ? "VIEW_ACTIVITIES" : "SUBMIT_ACTIVITY_RESULT"

/**
 * The possible causes of a 401 in the document's order, those first that show in the key itself. Nothing of the key is repeated.
 *
 * @since 0.1.0
 * @category failures
 */
export const diagnose401 = (apiKey: Redacted.Redacted<string> | undefined): ReadonlyArray<string> => {
  const key = apiKey === undefined ? "" : Redacted.value(apiKey)
  if (key === "") return ["The x-api-key header is not present in the request"]
  const unseen = [
    "The key was revoked from the administration panel",
    "The key has passed its expiration date"
  ]
  return /^[\x21-\x7e]+$/.test(key)
    ? unseen
    : ["The key has a formatting error: spaces or extra characters", ...unseen]
}

/**
 * Whether a 409 may be about a result that an earlier attempt of the same call has registered: the call had been repeated, so nobody can say without
 * looking.
 *
 * @since 0.1.0
 * @category failures
 */
export const mayBeOurs = (error: unknown): boolean =>
  ApiError.isApiError(error) && error._tag === "Conflict" && (error.attempts ?? 1) > 1

// ---------------------------------------------------------------------------------------------------------------------------------------------
// the client
// ---------------------------------------------------------------------------------------------------------------------------------------------

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
 * - `apiKey`: sent as `x-api-key`.
 * - `paths`: of the three calls. Default: `/v1/configurations/result-types`, `/v1/activities/:id` and `/v1/activities/:id/result`.
 * - `resultTypesTimeToLive`: how long the list of valid result codes is kept. Default 10 min.
 * - `pipeline`: how calls are protected. Default: one made of `stages`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = CircuitBreaker.CircuitOpen> {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted<string>
  readonly paths?: Partial<typeof defaultPaths> | undefined
  readonly resultTypesTimeToLive?: Duration.DurationInput | undefined
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
}

const defaultPaths = {
  resultTypes: "/v1/configurations/result-types",
  activity: "/v1/activities/:id",
  result: "/v1/activities/:id/result"
}

/**
 * Everything that a call can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure<E = CircuitBreaker.CircuitOpen> = ApiError.ApiError | Idempotency.UnknownOutcome | E

/**
 * The API as its callers see it.
 *
 * **Details**
 *
 * - `resultTypes`: the valid result codes, asked for once and kept.
 * - `submitResult` validates before it sends: a result that would be refused fails with a `Validation` whose `issues` say where, and no request for it is made.
 * - `overrideResult` does the same and replaces a result that is there (`hard_override: true`). Nothing else sends that flag, least of all by itself after a 409.
 *
 * @since 0.1.0
 * @category models
 */
export interface FieldActivities<E = CircuitBreaker.CircuitOpen> {
  readonly resultTypes: Effect.Effect<ReadonlyArray<typeof ResultTypes.Type[number]>, Failure<E>>
  readonly activity: (activityId: string) => Effect.Effect<Activity, Failure<E>>
  readonly submitResult: (activityId: string, result: ActivityResult) => Effect.Effect<void, Failure<E>>
  readonly overrideResult: (activityId: string, result: ActivityResult) => Effect.Effect<void, Failure<E>>
}

const refuse = (issues: ApiError.Validation["issues"], endpoint: string): Effect.Effect<never, ApiError.Validation> =>
  new ApiError.Validation({
    message: `The result is not valid and was not sent: ${
      issues.map(({ message, path }) => `${path} ${message}`).join("; ")
    }`,
    code: "invalid_result",
    method: "POST",
    endpoint,
    issues
  })

/**
 * A client of the API.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = CircuitBreaker.CircuitOpen>(
  options: Options<E>
): Effect.Effect<FieldActivities<E>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    // Whoever names no pipeline has the default for `E`, which is what these stages reject with.
    const byDefault: Pipeline.Pipeline<unknown, unknown> = yield* Pipeline.make(stages)
    const client = yield* ApiClient.make<E>({
      name: "field-activities",
      baseUrl: options.baseUrl,
      playbook,
      pipeline: options.pipeline ?? byDefault as Pipeline.Pipeline<E, unknown>,
      redactedNames,
      secrets: [options.apiKey]
    })
    const paths = { ...defaultPaths, ...options.paths }
    const at = (template: string, activityId: string) => template.replace(":id", encodeURIComponent(activityId))
    const withKey = HttpClientRequest.setHeader("x-api-key", Redacted.value(options.apiKey))
    const get = <A, I>(template: string, path: string, schema: Schema.Schema<A, I>) =>
      client.execute(withKey(HttpClientRequest.get(path))).pipe(
        Effect.flatMap(ApiClient.json(schema)),
        ApiClient.withEndpoint(template)
      )

    const [cached, invalidate] = yield* Effect.cachedInvalidateWithTTL(
      get(paths.resultTypes, paths.resultTypes, ResultTypes),
      options.resultTypesTimeToLive ?? Duration.minutes(10)
    )
    const resultTypes = Effect.tapErrorCause(cached, () => invalidate)

    const send = (activityId: string, body: object) =>
      client.execute(
        withKey(HttpClientRequest.post(at(paths.result, activityId)).pipe(HttpClientRequest.bodyUnsafeJson(body)))
      )
        .pipe(
          Effect.asVoid,
          ApiClient.withEndpoint(paths.result),
          // A second result is refused with 409, so sending it twice is the same as once.
          ApiClient.withOperation(Operation.idempotent)
        )

    const submit = (activityId: string, result: ActivityResult, extra: object) =>
      Effect.flatMap(resultTypes, (types) => {
        const issues = validate(result, types)
        return issues.length > 0 ? refuse(issues, paths.result) : send(activityId, { ...result, ...extra })
      })

    return {
      resultTypes,
      activity: (activityId) => get(paths.activity, at(paths.activity, activityId), Activity),
      submitResult: (activityId, result) => submit(activityId, result, {}),
      overrideResult: (activityId, result) => submit(activityId, result, { hard_override: true })
    }
  })
