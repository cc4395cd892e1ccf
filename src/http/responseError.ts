/**
 * Reads answers: a response that is not a success, a success in JSON, an error of the platform's
 * client.
 */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as TransportError from "../core/transportError.js"
import * as ApiError from "../errors/ApiError.js"
import type * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import * as CallContext from "../runtime/callContext.js"
import * as BodyPreview from "./bodyPreview.js"
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

/** Makes the error of a success that could not be read to its end. */
export const unreadable = (
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

/** A body that the client below gave up waiting for, by a limit of its own. */
const late = (
  { request, response }: HttpClientError.ResponseError,
  code: string | undefined,
  endpoint: string | undefined
): ApiError.Timeout =>
  new ApiError.Timeout({
    message: `The API answered ${response.status}, but its body did not arrive in time`,
    deadline: "attempt",
    status: response.status,
    code,
    method: request.method,
    endpoint
  })

/** What an error of reading a body means: out of time, or broken off. */
const ofReading = (
  error: HttpClientError.ResponseError,
  declared: string | undefined
): ApiError.ApiError => {
  const endpoint = declared ?? RequestMetadata.endpointOf(error.request)
  if (ApiError.isApiError(error.cause)) return ApiError.annotate(error.cause, { endpoint })
  const { code } = TransportError.read(error.cause)
  return TransportError.isTimeout(code)
    ? late(error, code, endpoint)
    : unreadable(error.response, "it broke off", endpoint)
}

/** Successes that have no body, whatever follows their head (RFC 9110 sections 15.3.5 and 6). */
const isBodiless = (status: number): boolean => status === 204 || status === 205

/**
 * Reads a body in one way and goes on with it; an empty one is `empty`, whatever the client takes
 * it for.
 */
const whole = <A, B, E, R>(
  response: HttpClientResponse.HttpClientResponse,
  body: (
    response: HttpClientResponse.HttpClientResponse
  ) => Effect.Effect<A, HttpClientError.ResponseError>,
  empty: () => A,
  use: (body: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, ApiError.ApiError | E, R> =>
  isBodiless(response.status)
    // What a server writes all the same is let go of beside the call.
    ? Effect.zipRight(
      Effect.forkDaemon(BodyPreview.readFront(response, 0)),
      Effect.suspend(() => use(empty()))
    )
    : Effect.matchEffect(body(response), {
      onFailure: (error): Effect.Effect<B, ApiError.ApiError | E, R> =>
        error.reason === "EmptyBody"
          ? use(empty())
          : failing((endpoint) => ofReading(error, endpoint)),
      onSuccess: use
    })

/** Fails with what the template of the call is part of. */
const failing = <E>(error: (endpoint: string | undefined) => E): Effect.Effect<never, E> =>
  Effect.flatMap(CallContext.endpoint.get, (endpoint) => Effect.fail(error(endpoint)))

const textOf = (response: HttpClientResponse.HttpClientResponse) => response.text

const noText = (): string => ""

/**
 * Reads the body as text. A body that breaks off fails with a `Server` error whose code is
 * `unreadable_response`, one that does not arrive in time with a `Timeout`.
 *
 * @since 0.1.0
 * @category decoding
 */
export const text = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, ApiError.ApiError> => whole(response, textOf, noText, Effect.succeed)

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
  whole(
    response,
    ({ arrayBuffer }) => arrayBuffer,
    () => new ArrayBuffer(0),
    (buffer) => Effect.succeed(new Uint8Array(buffer))
  )

/** Makes the error of a success that does not fit the contract. */
export const unexpected = (
  response: HttpClientResponse.HttpClientResponse,
  where: string,
  endpoint = RequestMetadata.endpointOf(response.request)
): ApiError.Server =>
  new ApiError.Server({
    message: `The API answered ${response.status}, but its body is not of the expected form: ${
      RequestMetadata.scrubberFor(response.request)(where)
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
  ): Effect.Effect<A, ApiError.ApiError, R> => {
    const unfit = ({ issue }: ParseResult.ParseError) =>
      failing((endpoint) =>
        unexpected(
          response,
          misfits(issue, RequestMetadata.scrubberFor(response.request)),
          endpoint
        )
      )
    return whole(response, textOf, noText, (text): Effect.Effect<A, ApiError.ApiError, R> => {
      let body: unknown
      try {
        body = text.trim() === "" ? undefined : JSON.parse(text)
      } catch {
        return failing((endpoint) => unreadable(response, "it is not JSON", endpoint))
      }
      const decoded = decode(body)
      // A schema that waits for nothing has decoded it by now.
      return Either.isEither(decoded)
        ? Either.match(decoded as Either.Either<A, ParseResult.ParseError>, {
          onLeft: unfit,
          onRight: (value): Effect.Effect<A, ApiError.ApiError> => Effect.succeed(value)
        })
        : Effect.catchAll(decoded, unfit)
    })
  }
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
 * Makes the error that an error of the platform's client means. A response that was refused for its
 * status is judged by the status alone: its body has not been read.
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
    const { code } = TransportError.read(error.cause)
    if (TransportError.isTimeout(code)) return late(error, code, context.endpoint)
    return unreadable(error.response, "it broke off or does not fit")
  }
  const { headers, status } = error.response
  return ErrorResponse.toApiError({ ...context, status, headers, body: {}, nowMillis: Number.NaN })
}
