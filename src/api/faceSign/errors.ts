/**
 * Classifies the failures of FaceSign: its statuses, its error types, the differences of its
 * development environment, and where to get help.
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ApiError from "../../errors/ApiError.js"
import * as Playbook from "../../errors/Playbook.js"
import * as ErrorResponse from "../../http/ErrorResponse.js"
import * as Incident from "../../observability/Incident.js"
import type * as UserMessage from "../../observability/UserMessage.js"

/**
 * Which environment is called. The development environment may answer 403 where production answers
 * 401.
 *
 * @since 0.1.0
 * @category models
 */
export type Environment = "production" | "development"

/**
 * The types of error that there are.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ErrorType = Schema.Literal(
  "authentication_error",
  "validation_error",
  "not_found_error",
  "rate_limit_error",
  "server_error"
)

/**
 * The `type` of an error body, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorType = typeof ErrorType.Type

/**
 * The body of every failure.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ErrorBody = Schema.Struct({
  error: Schema.Struct({ type: ErrorType, message: Schema.String, code: Schema.String })
})

const forbidden = "The API key doesn't have permissions to perform the request"

/**
 * The table of status codes, the error types and the common errors. The `type` of the body decides
 * what an error is, the status where there is none.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbook: Playbook.Playbook = Playbook.extend(Playbook.standard, {
  name: "FaceSign",
  byStatus: {
    400: Playbook.entry(400, {
      meaning: "The request was invalid or cannot be served",
      action: "Do not retry. Check the error message for details.",
      userMessage:
        "We could not start the verification with these details. Please check them and try again."
    }),
    401: Playbook.entry(401, {
      meaning: "The request requires authentication or the API key is invalid",
      action: "Do not retry. Check that you're using the correct API key and that it hasn't been " +
        "revoked.",
      userMessage: "The verification is not available at the moment. Our team has been told."
    }),
    403: Playbook.entry(403, {
      meaning: forbidden,
      action: "Do not retry. Check the permissions of the API key.",
      userMessage: "The verification is not available for your account."
    }),
    404: Playbook.entry(404, {
      meaning: "The requested resource doesn't exist",
      action: "Do not retry. Check the identifier.",
      userMessage: "We could not find this verification. Please start again."
    }),
    409: Playbook.entry(409, {
      meaning:
        "The request conflicts with another request (perhaps using the same idempotency key)",
      action:
        "Do not retry, unless the first request with this key is still running. Use a new key " +
        "for a new session.",
      userMessage: "This verification has been started already."
    }),
    429: Playbook.entry(429, {
      meaning: "Too many requests hit the API too quickly",
      action: "Retry with exponential backoff, not before Retry-After. Throttle your calls.",
      userMessage: "Many verifications are going on. Please try again in a moment."
    }),
    500: Playbook.entry(500, {
      meaning: "Something went wrong on FaceSign's end",
      action:
        "Retry with exponential backoff. If it lasts, check the API status page and contact " +
        "support.",
      userMessage: "The verification has a problem. Please try again in a moment."
    })
  },
  byCode: {
    invalid_api_key: {
      action: "Check that you're using the correct API key and that it hasn't been revoked."
    },
    parameter_missing: {
      action:
        "Ensure all required parameters are included. The message says which field is invalid."
    },
    rate_limit_exceeded: {
      action: "Implement exponential backoff and respect the Retry-After header."
    }
  },
  retryAfterInMessage: /retry after (\d+) seconds?/i
})

/**
 * The playbook of an environment: in development a 403 may be a missing authentication header, and
 * its row says so.
 *
 * @since 0.1.0
 * @category failures
 */
export const playbookFor = (environment: Environment): Playbook.Playbook =>
  environment === "production" ? playbook : Playbook.extend(playbook, {
    name: "FaceSign (development)",
    byStatus: {
      403: {
        ...Playbook.lookup(playbook, 403),
        meaning: `${forbidden}, or the authentication header is missing`,
        action:
          "Do not retry. Check that the authentication header is sent, then the permissions of " +
          "the API key."
      }
    }
  })

/** Tests whether a request was sent with a credential: a scheme, and something after it. */
const isAuthenticated = ({ headers }: HttpClientRequest.HttpClientRequest): boolean =>
  /^\s*\S+\s+\S/.test(headers["authorization"] ?? "")

/**
 * The playbook for a request as it was sent. In development a 403 to one without a credential is
 * about that, whatever its words; its type, where the body has one, still decides.
 */
export const playbookOf =
  (environment: Environment, playbook: Playbook.Playbook) =>
  (sent: HttpClientRequest.HttpClientRequest): Playbook.Playbook => {
    if (environment === "production" || isAuthenticated(sent)) return playbook
    const { alert, userMessage } = Playbook.lookup(playbook, 401)
    const row: Playbook.Entry = {
      ...Playbook.lookup(playbook, 403),
      tag: "Auth",
      repeat: "never",
      alert,
      userMessage
    }
    return Playbook.extend(playbook, { byStatus: { 403: row } })
  }

const authentication = "(authenticat|authoriz|api.?key|credential|bearer|token)"

/** Words for what is not there; what "is required" may also be a permission. */
const absent = "(missing|absent|not (?:provided|supplied|found|present|sent)|" +
  "required(?!.{0,20}(?:permission|scope|role|privilege)))"

/**
 * Words of a gateway that knows no error types. Where the credential was lost on its way, beyond
 * what the client can see, there is nothing else to go by.
 */
const missingAuthentication = new RegExp(
  `missing.{0,20}${authentication}|\\b(no|without)\\s+(\\w+\\s+)?${authentication}|` +
    `${authentication}.{0,20}${absent}|` +
    "\\b(unauthenticated|not authenticated|anonymous)\\b",
  "i"
)

/** A body without a type that speaks of missing authentication is one of that type. */
const typed = (body: ErrorResponse.ErrorBody): ErrorResponse.ErrorBody =>
  body.type === undefined && missingAuthentication.test(`${body.code ?? ""} ${body.message ?? ""}`)
    ? { ...body, type: "authentication_error" }
    : body

/** Reads error bodies as an environment writes them. */
export const errorBodyFor = (environment: Environment): ErrorResponse.Decoder =>
  environment === "production"
    ? ErrorResponse.anyErrorBody
    : Schema.transform(ErrorResponse.anyErrorBody, Schema.typeSchema(ErrorResponse.anyErrorBody), {
      strict: true,
      decode: typed,
      encode: identity
    })

/**
 * What users read, beside the sentences of the playbook.
 *
 * @since 0.1.0
 * @category failures
 */
export const messages: UserMessage.Catalogue = {
  en: {
    Timeout: "The verification is taking longer than usual. Please try again in a moment.",
    Network: "The verification could not be reached. Please try again in a moment.",
    Rejected: "The verification is not available at the moment. Please try again in a moment."
  },
  de: {
    Auth: "Die Verifizierung ist zurzeit nicht verfügbar. Unser Team ist informiert.",
    Policy: "Die Verifizierung ist für Ihr Konto nicht verfügbar.",
    Validation:
      "Mit diesen Angaben konnte die Verifizierung nicht beginnen. Bitte prüfen Sie sie und " +
      "versuchen Sie es noch einmal.",
    NotFound: "Wir konnten diese Verifizierung nicht finden. Bitte beginnen Sie von vorn.",
    Conflict: "Diese Verifizierung wurde bereits begonnen.",
    RateLimit: "Es laufen gerade viele Verifizierungen. Bitte versuchen Sie es gleich noch einmal.",
    Server: "Die Verifizierung hat ein Problem. Bitte versuchen Sie es gleich noch einmal.",
    Timeout:
      "Die Verifizierung dauert länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
    Network: "Die Verifizierung war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.",
    Rejected:
      "Die Verifizierung ist zurzeit nicht verfügbar. Bitte versuchen Sie es gleich noch einmal."
  }
}

/**
 * Where to look when failures repeat, for `Incident.make({ rules })`: the solutions of the document
 * as routes. There is none for polling, which this API has not.
 *
 * @since 0.1.0
 * @category failures
 */
export const incidentRules: ReadonlyArray<Incident.Rule> = [
  ...Incident.override(Incident.standardRules, {
    unauthorized: { route: "check that the API key is the correct one and has not been revoked" },
    forbidden: { route: "check the permissions of the API key" },
    "not-found": { route: "check the identifiers of sessions" },
    "rate-limited": { route: "monitor your usage, throttle, respect the Retry-After header" },
    "server-errors": { route: "check the API status page; contact support with the request id" }
  }).filter(({ name }) => name !== "polling-timeouts"),
  {
    name: "validation-errors",
    tags: ["Validation"],
    route:
      "ensure that all required parameters are included; the message says which field is invalid",
    count: 10,
    share: 0.2
  }
]

/**
 * Names whose values are secret, beside the defaults: the key of the SDK, the client secret of a
 * session, what an application knows about its users.
 *
 * @since 0.1.0
 * @category policies
 */
export const redactedNames: ReadonlyArray<string | RegExp> = [
  "auth",
  /^client_?secret$/i,
  "metadata"
]

const isType = Schema.is(ErrorType)

const saysType = Schema.decodeUnknownOption(
  Schema.parseJson(Schema.Struct({ error: Schema.Struct({ type: ErrorType }) }))
)

/** The type that the body of an error had; none where it had none, or is not known any more. */
const typeOf = (error: ApiError.ApiError): ErrorType | undefined =>
  ApiError.rawBody(error).pipe(
    Option.flatMap((bytes) => saysType(new TextDecoder().decode(bytes))),
    Option.map(({ error }) => error.type),
    Option.getOrElse(() => isType(error.code) ? error.code : undefined)
  )

/**
 * The `type`, `message` and `code` of an error, as the API words them, scrubbed of what was sent.
 * None for an error that is not an answer of the API: no answer came, or a guard rejected the call.
 * `type` is absent where the body had none of the document's types: a page of a gateway, a 403, a
 * 409. `code` is absent where the body had none.
 *
 * **Gotchas**
 *
 * An error that was written as JSON and read back has lost its body, and its type beside a code.
 *
 * @since 0.1.0
 * @category failures
 */
export const errorObject = (error: unknown): Option.Option<{
  readonly type: ErrorType | undefined
  readonly message: string
  readonly code: string | undefined
}> =>
  ApiError.isApiError(error) && error.status !== undefined
    ? Option.some({
      type: typeOf(error),
      message: error.message,
      // An error whose body had no code has the type in its place.
      code: isType(error.code) ? undefined : error.code
    })
    : Option.none()

/**
 * The facts for the support: the request id of the error response, and a summary of the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface SupportReference {
  /** The request id of the error response, if there was one. */
  readonly requestId: Option.Option<string>
  /** What the call was about. */
  readonly summary: string
}

/**
 * The reference for a question to the support. The summary holds no secret and nothing that was
 * sent.
 *
 * **Example** (What the support asks for)
 *
 * ```ts
 * import { ApiError } from "effect-resilience"
 * import * as FaceSign from "effect-resilience/api/FaceSign"
 *
 * const error = new ApiError.Server({
 *   message: "oops",
 *   status: 500,
 *   code: "internal",
 *   requestId: "req_7",
 *   endpoint: "/v1/sessions",
 *   method: "POST"
 * })
 *
 * const { summary } = FaceSign.supportReference(error)
 * summary // => "POST /v1/sessions, HTTP 500, internal, request id req_7"
 * ```
 *
 * @since 0.1.0
 * @category help
 */
export const supportReference = (error: unknown): SupportReference => {
  if (!ApiError.isApiError(error)) {
    return { requestId: Option.none(), summary: "No answer of the API, no request id" }
  }
  const { attempts, code, endpoint, method, requestId, status } = error
  const said = [
    endpoint === undefined ? undefined : `${method ?? ""} ${endpoint}`.trim(),
    status === undefined ? "no answer" : `HTTP ${status}`,
    typeOf(error),
    isType(code) ? undefined : code,
    attempts === undefined || attempts < 2 ? undefined : `${attempts} attempts`,
    requestId === undefined ? "no request id" : `request id ${requestId}`
  ]
  return {
    requestId: Option.fromNullable(requestId),
    summary: said.filter((part) => part !== undefined).join(", ")
  }
}

/**
 * Advises on an error that persists, in the order of the document: the status page, the request
 * parameters, the support with the request id.
 *
 * @since 0.1.0
 * @category help
 */
export const help = (error: unknown): ReadonlyArray<string> => {
  const isTheirs = ApiError.isApiError(error) &&
    ["Server", "Timeout", "Network"].includes(error._tag)
  const isOurs = ApiError.isApiError(error) &&
    ["Validation", "NotFound", "Conflict"].includes(error._tag)
  const { requestId, summary } = supportReference(error)
  return [
    ...(isOurs ? [] : ["Check the API status page for any ongoing issues."]),
    ...(isTheirs ? [] : ["Review the request parameters against the API documentation."]),
    Option.isSome(requestId)
      ? `Contact support with the request id ${requestId.value} (${summary}).`
      : `Contact support (${summary}).`
  ]
}
