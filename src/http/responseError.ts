/**
 * Reading what came back: a response that is not a success, a success that should be JSON, an error
 * of the platform's client.
 */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as TransportError from "../core/transportError.js"
import * as ApiError from "../errors/ApiError.js"
import type * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import * as CallContext from "../runtime/callContext.js"
import * as ErrorResponse from "./ErrorResponse.js"
import { misfits } from "./misfits.js"
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

/** What an error of reading a body means: out of time, or broken off. */
const ofReading = (
  error: HttpClientError.ResponseError,
  endpoint: string | undefined
): ApiError.ApiError =>
  ApiError.isApiError(error.cause)
    ? ApiError.annotate(error.cause, {
      endpoint: endpoint ?? RequestMetadata.endpointOf(error.request)
    })
    : unreadable(error.response, "it broke off", endpoint)

/** Reads a body in one way; an empty one is `empty`, whatever the client takes it for. */
const whole = <A>(
  body: Effect.Effect<A, HttpClientError.ResponseError>,
  empty: () => A
): Effect.Effect<A, ApiError.ApiError> =>
  Effect.catchAll(body, (error) =>
    error.reason === "EmptyBody"
      ? Effect.sync(empty)
      : Effect.flatMap(
        CallContext.endpoint.get,
        (endpoint) => Effect.fail(ofReading(error, endpoint))
      ))

/**
 * Reads the body as text. A body that breaks off fails with a `Server` error whose code is
 * `unreadable_response`, one that does not arrive in time with a `Timeout`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const text = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, ApiError.ApiError> => whole(response.text, () => "")

/**
 * Reads the body as bytes. A body that breaks off fails with a `Server` error whose code is
 * `unreadable_response`, one that does not arrive in time with a `Timeout`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const bytes = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Uint8Array, ApiError.ApiError> =>
  Effect.map(
    whole(response.arrayBuffer, () => new ArrayBuffer(0)),
    (buffer) => new Uint8Array(buffer)
  )

const unexpected = (
  response: HttpClientResponse.HttpClientResponse,
  error: ParseResult.ParseError,
  endpoint = RequestMetadata.endpointOf(response.request)
): ApiError.Server =>
  new ApiError.Server({
    message: `The API answered ${response.status}, but its body is not of the expected form: ${
      misfits(error.issue)
    }`,
    status: response.status,
    code: "unexpected_response",
    method: response.request.method,
    endpoint,
    repeat: "never"
  })

/**
 * Reads a JSON body. The way to decode a success.
 *
 * **Details**
 *
 * - A body that broke off or is no JSON fails with a `Server` error whose code is
 *   `unreadable_response`, which a retry repeats for `read` and `idempotent` and never for `keyed`
 *   and `once`.
 * - A body that is JSON and does not fit the schema fails with a `Server` error whose code is
 *   `unexpected_response`: the API has changed, and another try does not help. The message has the
 *   path, the expected and the actual type, never the value.
 * - A body that does not arrive in time fails with a `Timeout`.
 * - An empty body (204, 205 or simply nothing) is decoded as `undefined`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const json = <A, I, R>(schema: Schema.Schema<A, I, R>) => {
  const decode = Schema.decodeUnknown(schema)
  return (
    response: HttpClientResponse.HttpClientResponse
  ): Effect.Effect<A, ApiError.ApiError, R> =>
    Effect.flatMap(
      Effect.zip(text(response), CallContext.endpoint.get),
      ([text, endpoint]) =>
        Effect.flatMap(
          text.trim() === "" ? Effect.succeed(undefined) : Effect.try({
            try: (): unknown => JSON.parse(text),
            catch: () => unreadable(response, "it is not JSON", endpoint)
          }),
          (body) => Effect.mapError(decode(body), (error) => unexpected(response, error, endpoint))
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
    if (ApiError.isApiError(error.cause)) return ApiError.annotate(error.cause, context)
    return unreadable(error.response, "it broke off or does not fit")
  }
  const { headers, status } = error.response
  return ErrorResponse.toApiError({ ...context, status, headers, body: {}, nowMillis: Number.NaN })
}
