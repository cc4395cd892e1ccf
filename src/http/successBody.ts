/**
 * Reads the body of a success within the attempt, or drops it.
 *
 * The platform's client hands out a response as soon as its head has arrived. A body that then
 * comes slowly, breaks off or is no JSON would fail outside the retry and outside every time limit.
 * Reading it where the request is made puts it inside: a slow body is cut off, and a broken one is
 * a failed attempt.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as BodyPreview from "./bodyPreview.js"
import { keepsText } from "./responseBody.js"
import { isSuccess } from "./responseError.js"

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The response keeps the text, so reading it again costs nothing. */
const whole = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.ResponseError> =>
  isSuccess(response.status)
    ? Effect.flatMap(response.text, (text) =>
      text.trim() === "" || isJson(text)
        ? Effect.succeed(keepsText(response))
        : new HttpClientError.ResponseError({
          request: response.request,
          response,
          reason: "Decode"
        }))
    : Effect.succeed(response)

/**
 * Makes a client that reads the whole JSON body of each success within the attempt, so that the
 * client's time limits, retry and circuit breaker cover the body too.
 *
 * **When to use**
 *
 * For an API whose answers are JSON and fit into memory. Leave it out for streams, for bodies that
 * are no JSON, and for answers of which only the status matters (see `discard`).
 *
 * **Details**
 *
 * Wraps the making of a client, `ApiClient.make(options).pipe(ApiClient.readAll)`, and changes the
 * `HttpClient` below it. A body that breaks off or is no JSON fails the attempt with a `Server`
 * error whose code is `unreadable_response`; a retry repeats it for `read` and `idempotent` and
 * never for `keyed` and `once`. An empty body passes. Responses that are no success are not
 * touched. O(body).
 *
 * **Gotchas**
 *
 * Decoding stays outside the attempt: a body that is JSON and does not fit the schema of `json` is
 * not repeated.
 *
 * **Example** (A body that broke off is read again)
 *
 * ```ts
 * import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
 * import { Effect, Schema } from "effect"
 * import { ApiClient, Backoff, Operation, Pipeline } from "effect-resilience"
 * import * as FlakyApi from "effect-resilience/testing/FlakyApi"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* FlakyApi.make({
 *     app: HttpServerResponse.json({ total: 3 }),
 *     script: FlakyApi.sequence([FlakyApi.truncated, FlakyApi.malformed])
 *   })
 *   const client = yield* ApiClient.make({
 *     name: "statistics",
 *     baseUrl: server.url,
 *     pipeline: yield* Pipeline.make({
 *       operation: Operation.read,
 *       retry: { backoff: Backoff.constant("1 millis") }
 *     })
 *   }).pipe(ApiClient.readAll)
 *   const { total } = yield* Effect.flatMap(
 *     client.get("/v1/total"),
 *     ApiClient.json(Schema.Struct({ total: Schema.Number }))
 *   )
 *   return [total, (yield* server.received).length]
 * })
 *
 * const run = program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
 * await Effect.runPromise(run) // => [3, 3]
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const readAll: <A, E, R>(
  make: Effect.Effect<A, E, R>
) => Effect.Effect<A, E, HttpClient.HttpClient | Exclude<R, HttpClient.HttpClient>> = Effect
  .provideServiceEffect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, HttpClient.transformResponse(Effect.flatMap(whole)))
  )

/** How long a discarded body may hold up the call. */
const discardTime = Duration.seconds(1)

/**
 * Drops a body. For calls that need only the status: they succeed when the head of the answer does,
 * whatever the body is.
 *
 * **Details**
 *
 * Reads and drops up to 64 KiB, for at most 1 s, so that the connection can be used again; cancels
 * a larger body. Never fails.
 *
 * @since 0.1.0
 * @category decoding
 */
export const discard = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  BodyPreview.atMost(discardTime)(Effect.asVoid(BodyPreview.readFront(response, 0)))
