/**
 * Classifies the failures of Field Activities: for the program, for operators, and for the people
 * on site.
 */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../../errors/ApiError.js"
import * as Playbook from "../../errors/Playbook.js"
import * as Incident from "../../observability/Incident.js"
import type * as UserMessage from "../../observability/UserMessage.js"

/**
 * The body of every failure.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ErrorBody = Schema.Struct({
  /** The status of the response. */
  statusCode: Schema.Number,
  /** The error code. */
  error: Schema.String,
  /** The message. */
  message: Schema.String
})

/**
 * The body of a failure, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorBody = typeof ErrorBody.Type

/** Where to look, in the document's words. */
const routes = {
  "validation-errors":
    "check the format of the body, data types, required fields and valid result codes",
  unauthorized:
    "verify that the x-api-key header is present and that the key has not been revoked, has not " +
    "expired and has no extra characters",
  forbidden:
    "check the permissions of the key: VIEW_ACTIVITIES for queries, SUBMIT_ACTIVITY_RESULT for " +
    "submitting results; contact the tenant administrator",
  "not-found":
    "confirm that the activity_id, commerce_external_id or other identifier exists in the tenant",
  duplicates:
    "check why results are submitted twice; use hard_override: true only to overwrite the " +
    "existing result",
  "server-errors": "keep retrying with exponential backoff, watch for the recovery"
} as const

/**
 * Where to look when failures repeat, for `Incident.make({ rules })`: the solutions of the document
 * as routes. Beside the standard rules there is one for bodies that are refused and one for results
 * that are there already; there is none for polling, which this API has not.
 *
 * @since 0.1.0
 * @category failures
 */
export const incidentRules: ReadonlyArray<Incident.Rule> = [
  ...Incident.override(Incident.standardRules, {
    unauthorized: { route: routes.unauthorized },
    forbidden: { route: routes.forbidden },
    "not-found": { route: routes["not-found"] },
    "server-errors": { route: routes["server-errors"] }
  }).filter(({ name }) => name !== "polling-timeouts"),
  {
    name: "validation-errors",
    tags: ["Validation"],
    route: routes["validation-errors"],
    count: 10,
    share: 0.2
  },
  { name: "duplicates", tags: ["Conflict"], route: routes.duplicates, count: 10, share: 0.2 }
]

const serverError = (status: number): Playbook.Entry =>
  Playbook.entry(status, {
    meaning: "Server error",
    action: "Retry with exponential backoff.",
    userMessage: "The visit service has a problem. Please try again in a moment.",
    alert: routes["server-errors"]
  })

/** The document retries no 4xx without a correction, whatever HTTP says about repeating it. */
const final = (status: number): Playbook.Entry =>
  Playbook.entry(status, {
    repeat: "never",
    action: "Do not retry: the document retries no 4xx without correcting the request."
  })

/**
 * The table of error codes. No 4xx of it is retried without a change of the request; 5xx are. 408
 * and 425, which HTTP would repeat, are 4xx as well and are not. 429 alone is repeated: the
 * document does not mention it, and nothing about the request is to be corrected.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "Field Activities",
  byStatus: {
    400: Playbook.entry(400, {
      meaning: "Bad Request: validation error in the request body",
      action:
        "Do not retry. Check the format, data types, required fields and valid result codes " +
        "(validate).",
      userMessage:
        "Some of the details of this visit are not valid. Please check them and try again.",
      alert: routes["validation-errors"]
    }),
    401: Playbook.entry(401, {
      meaning: "Unauthorized: the API key is missing or invalid",
      action:
        "Do not retry. Verify that the x-api-key header is present and that the key has not been " +
        "revoked (diagnose401).",
      userMessage: "Visits are not available at the moment. Our team has been told.",
      alert: routes.unauthorized
    }),
    403: Playbook.entry(403, {
      meaning: "Forbidden: the key does not have the required permission",
      action: "Do not retry. Confirm that the key has VIEW_ACTIVITIES for queries and " +
        "SUBMIT_ACTIVITY_RESULT for submitting results; ask the tenant administrator.",
      userMessage: "Visits are not available for your account.",
      alert: routes.forbidden
    }),
    404: Playbook.entry(404, {
      meaning: "Not Found: the resource was not found",
      action:
        "Do not retry. Confirm that the activity_id, commerce_external_id or other identifier " +
        "exists in the tenant.",
      userMessage: "We could not find this visit.",
      alert: routes["not-found"]
    }),
    408: final(408),
    409: Playbook.entry(409, {
      meaning: "Conflict: the activity already has a registered result",
      action:
        "Do not retry. Overwrite the existing result only if that is meant (overrideResult sends " +
        "hard_override: true).",
      userMessage: "A result for this visit has been registered already.",
      alert: routes.duplicates
    }),
    425: final(425),
    500: serverError(500),
    502: serverError(502),
    503: serverError(503),
    504: serverError(504)
  }
})

/**
 * What users read, beside the sentences of the playbook.
 *
 * @since 0.1.0
 * @category failures
 */
export const messages: UserMessage.Catalogue = {
  en: {
    RateLimit: "The visit service is busy. Please try again in a moment.",
    Timeout: "The visit service is taking longer than usual. Please try again in a moment.",
    Network: "The visit service could not be reached. Please try again in a moment.",
    Rejected: "The visit service is not available at the moment. Please try again in a moment."
  },
  de: {
    Auth: "Besuche sind zurzeit nicht verfügbar. Unser Team ist informiert.",
    Policy: "Besuche sind für Ihr Konto nicht verfügbar.",
    Validation:
      "Einige Angaben zu diesem Besuch sind nicht gültig. Bitte prüfen Sie sie und versuchen Sie " +
      "es noch einmal.",
    NotFound: "Wir konnten diesen Besuch nicht finden.",
    Conflict: "Zu diesem Besuch wurde bereits ein Ergebnis erfasst.",
    RateLimit: "Der Besuchsdienst ist ausgelastet. Bitte versuchen Sie es gleich noch einmal.",
    Server: "Der Besuchsdienst hat ein Problem. Bitte versuchen Sie es gleich noch einmal.",
    Timeout:
      "Der Besuchsdienst braucht länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
    Network: "Der Besuchsdienst war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.",
    Rejected:
      "Der Besuchsdienst ist zurzeit nicht verfügbar. Bitte versuchen Sie es gleich noch einmal."
  }
}

/**
 * Names whose values are secret, beside the defaults.
 *
 * @since 0.1.0
 * @category policies
 */
export const redactedNames: ReadonlyArray<string | RegExp> = ["x-api-key"]

/**
 * The body of an error for later diagnostics, scrubbed of what was sent as a secret. None for an
 * error that is not an answer of the API: no answer came, a guard rejected the call, or the result
 * was invalid and was not sent. `error` is absent where the body had none.
 *
 * **Gotchas**
 *
 * `ApiError.rawBody` has the bytes as they came, with everything that the API repeats.
 *
 * **Example** (What to store)
 *
 * ```ts
 * import { Option } from "effect"
 * import { ApiError } from "effect-resilience"
 * import * as FieldActivities from "effect-resilience/api/FieldActivities"
 *
 * const error = new ApiError.Conflict({
 *   message: "Activity already has a result",
 *   status: 409,
 *   code: "Conflict"
 * })
 *
 * const stored = Option.getOrUndefined(FieldActivities.errorObject(error))
 * stored // => { statusCode: 409, error: "Conflict", message: "Activity already has a result" }
 * ```
 *
 * @since 0.1.0
 * @category failures
 */
export const errorObject = (error: unknown): Option.Option<{
  readonly statusCode: number
  readonly error: string | undefined
  readonly message: string
}> =>
  ApiError.isApiError(error) && error.status !== undefined
    ? Option.some({ statusCode: error.status, error: error.code, message: error.message })
    : Option.none()

/**
 * The permission that a key needs: one for looking, one for submitting.
 *
 * @since 0.1.0
 * @category failures
 */
export const requiredPermission = (method: string): "VIEW_ACTIVITIES" | "SUBMIT_ACTIVITY_RESULT" =>
  method === "GET" || method === "HEAD" ? "VIEW_ACTIVITIES" : "SUBMIT_ACTIVITY_RESULT"

/**
 * The possible causes of a 401 in the document's order, those first that show in the key itself.
 * Nothing of the key is repeated.
 *
 * @since 0.1.0
 * @category failures
 */
export const diagnose401 = (
  apiKey: Redacted.Redacted<string> | undefined
): ReadonlyArray<string> => {
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
 * Tests whether a 409 may be about a result that an earlier attempt of the same call has
 * registered: the call had been repeated. Read the activity to find out.
 *
 * @since 0.1.0
 * @category failures
 */
export const mayBeOurs = (error: unknown): boolean =>
  ApiError.isApiError(error) && error._tag === "Conflict" && (error.attempts ?? 1) > 1
