/**
 * Reading what came back: a response that is not a success, a success that should be JSON, an error
 * of the platform's client.
 */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as CallContext from "../runtime/callContext.js"
import * as TransportError from "../core/transportError.js"
import type * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import * as ErrorResponse from "./ErrorResponse.js"
import * as RequestMetadata from "./requestMetadata.js"

/** 2xx (RFC 9110 section 15.3). */
export const isSuccess = (status: number): boolean => status >= 200 && status < 300

/**
 * Passes a 2xx through and fails with the `ApiError` that any other response means.
 *
 * @since 0.1.0
 * @category decoding
 */
export const fromResponse = (
  response: HttpClientResponse.HttpClientResponse,
  playbook?: Playbook.Playbook
): Effect.Effect<HttpClientResponse.HttpClientResponse, ApiError.ApiError> =>
  isSuccess(response.status)
    ? Effect.succeed(response)
    : Effect.flatMap(
      ErrorResponse.read(response, {
        playbook,
        method: response.request.method,
        endpoint: RequestMetadata.endpointOf(response.request),
        scrub: Redaction.scrubber(
          RequestMetadata.secretsOf(response.request, Redaction.defaultNames)
        )
      }),
      Effect.fail
    )

const unreadable = (
  response: HttpClientResponse.HttpClientResponse,
  where: string,
  endpoint = RequestMetadata.endpointOf(response.request)
): ApiError.Server =>
  new ApiError.Server({
    message: `The API answered ${response.status}, but its body could not be read: ${where}`,
    status: response.status,
    code: "unreadable_response",
    method: response.request.method,
    endpoint
  })

/** Where a value did not fit, without the value. */
const paths = (error: ParseResult.ParseError): string => {
  const found = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) => path.join("."))
  return `it does not fit at ${
    [...new Set(found)].map((path) => path === "" ? "the top" : path).join(", ")
  }`
}

/**
 * Reads a JSON body. The way to decode a success: what cannot be read fails with a `Server` error
 * whose code is `unreadable_response`, which a retry repeats for `read` and `idempotent` and never
 * for `keyed` and `once`.
 *
 * **Details**
 *
 * An empty body (204, 205 or simply nothing) is decoded as `undefined`. The error says where the
 * body did not fit and repeats none of it.
 *
 * @since 0.1.0
 * @category decoding
 */
export const json = <A, I, R>(schema: Schema.Schema<A, I, R>) => {
  const decode = Schema.decodeUnknown(schema)
  return (
    response: HttpClientResponse.HttpClientResponse
  ): Effect.Effect<A, ApiError.ApiError, R> =>
    response.text.pipe(
      Effect.mapError((error) => error.reason === "EmptyBody" ? "it is empty" : "it broke off"),
      Effect.flatMap((text) =>
        text.trim() === ""
          ? Effect.succeed(undefined)
          : Effect.try({ try: (): unknown => JSON.parse(text), catch: () => "it is not JSON" })
      ),
      Effect.flatMap((body) => Effect.mapError(decode(body), paths)),
      Effect.catchAll((where) =>
        Effect.flatMap(
          CallContext.endpoint.get,
          (endpoint) => unreadable(response, where, endpoint)
        )
      )
    )
}

const networkError = (
  error: HttpClientError.RequestError,
  context: Partial<ApiError.Network>
): ApiError.ApiError => {
  if (error.reason !== "Transport") {
    return new ApiError.Validation({
      ...context,
      message: error.reason === "Encode"
        ? "The request body could not be encoded"
        : "The request URL is not valid"
    })
  }
  const { code, permanent, sent } = TransportError.read(error.cause)
  return new ApiError.Network({
    ...context,
    message: `${
      sent === "no" ? "The API could not be reached" : "The connection broke before an answer came"
    }${code === undefined ? "" : ` (${code})`}`,
    sent,
    ...(code === undefined ? {} : { code }),
    ...(permanent ? { repeat: "never" as const } : {})
  })
}

/**
 * What an error of the platform's client means. A response that was refused for its status is
 * judged by the status alone: its body has not been read.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromClientError = (error: HttpClientError.HttpClientError): ApiError.ApiError => {
  const context = {
    method: error.request.method,
    endpoint: RequestMetadata.endpointOf(error.request)
  }
  if (error._tag === "RequestError") return networkError(error, context)
  if (error.reason !== "StatusCode") {
    return unreadable(error.response, "it broke off or does not fit")
  }
  const { headers, status } = error.response
  return ErrorResponse.toApiError({ ...context, status, headers, body: {}, nowMillis: Number.NaN })
}
