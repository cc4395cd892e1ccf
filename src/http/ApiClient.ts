/**
 * An `HttpClient` for one API that you do not own: failures are `ApiError`s, successes are 2xx, and
 * nothing harmful is sent twice.
 *
 * There is one classifier and one loop over responses and transport failures together. (A loop over
 * responses inside a loop over errors makes nine requests where three were meant.)
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as ApiError from "../errors/ApiError.js"
import * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import type * as Operation from "../idempotency/Operation.js"
import type * as Pipeline from "../pipeline/Pipeline.js"
import * as CallContext from "../runtime/callContext.js"
import * as Validate from "../runtime/validate.js"
import * as Answers from "./answers.js"
import * as ErrorResponse from "./ErrorResponse.js"
import * as RequestExecution from "./requestExecution.js"
import * as RequestMetadata from "./requestMetadata.js"

export { execute } from "./execute.js"
export { replayable } from "./requestBody.js"
export { bytes, fromClientError, fromResponse, json, text } from "./responseError.js"
export { discard, readAll } from "./successBody.js"

/**
 * What an error body can say.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorBody = ErrorResponse.ErrorBody

/**
 * - `name`: what the API is called, in spans and logs.
 * - `baseUrl`: put before every relative URL. Without user info, query and fragment.
 * - `playbook`: what its statuses mean. Default `Playbook.standard`.
 * - `errorBody`: reads its error bodies. Default `ErrorResponse.anyErrorBody`.
 * - `pipeline`: how calls are protected. Default: one attempt. Its operation is replaced by what
 *   each request is.
 * - `circuitKey`: what has a circuit of its own, where the pipeline has a breaker: the whole
 *   `origin` (default) or each `endpoint` (origin, method and template). `guardKey` says the key.
 * - `refresh`: run once per call on a 401, followed by one more attempt (of a client below this one
 *   that adds the credential).
 * - `idempotencyHeader`: default `Idempotency-Key`. `idempotencyKeyFormat`: `bare` (default) or
 *   `quoted` (RFC 9651).
 * - `keyTimeToLive`: how long the API remembers a key. Default 24 h from its making.
 * - `redactedNames`: names of headers, query parameters and fields whose values are secret, beside
 *   `Redaction.defaultNames`.
 * - `secrets`: values to keep out of everything that is printed although they are never sent, such
 *   as a key that requests are signed with.
 * - `maxErrorBodyBytes`: how much of an error body is read. Default 65536.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  readonly name: string
  readonly baseUrl: string
  readonly playbook?: Playbook.Playbook | undefined
  readonly errorBody?: ErrorResponse.Decoder | undefined
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  readonly circuitKey?: "origin" | "endpoint" | undefined
  readonly refresh?: Effect.Effect<void, ApiError.ApiError> | undefined
  readonly idempotencyHeader?: string | undefined
  readonly idempotencyKeyFormat?: "bare" | "quoted" | undefined
  readonly keyTimeToLive?: Duration.DurationInput | undefined
  readonly redactedNames?: Redaction.Names | undefined
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  readonly maxErrorBodyBytes?: number | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  playbook: Playbook.standard,
  circuitKey: "origin",
  idempotencyHeader: "Idempotency-Key",
  idempotencyKeyFormat: "bare",
  keyTimeToLive: Duration.hours(24),
  maxErrorBodyBytes: ErrorResponse.defaults.maxBodyBytes
} as const

/**
 * Files the requests of an effect under a template, such as `/v1/sessions/:id`. Without it, the
 * path with everything that looks like an id (digits, UUIDs, long hexadecimal numbers) replaced.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withEndpoint =
  (template: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    CallContext.endpoint.during(self, template)

/**
 * Says what the requests of an effect are, where the method says less: a POST that closes a session
 * is `Operation.idempotent`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withOperation =
  <R2>(operation: Operation.Operation<R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | R2> =>
    CallContext.operation.during(self, operation)

/**
 * The key under which a client files requests in the guards of its pipeline: what an operator gives
 * to the controls of a breaker. The origin of the API, or with `circuitKey: "endpoint"` the origin,
 * the method and the template of the endpoint.
 *
 * **Example** (Opening the circuit that a client uses)
 *
 * ```ts
 * import { ApiClient, CircuitBreaker } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const options = { baseUrl: "https://api.example.com/v1", circuitKey: "endpoint" } as const
 * const key = ApiClient.guardKey(options, { method: "GET", endpoint: "/v1/sites/:id" })
 * key // => "https://api.example.com GET /v1/sites/:id"
 *
 * const maintenance = Effect.flatMap(CircuitBreaker.CircuitBreaker, (breaker) =>
 *   breaker.forceOpen(key))
 * await Effect.runPromise(Effect.exit(Effect.provide(maintenance, CircuitBreaker.layer())))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const guardKey = (
  options: Pick<Options, "baseUrl" | "circuitKey">,
  request: {
    readonly method?: HttpMethod.HttpMethod | undefined
    readonly endpoint?: string | undefined
  } = {}
): string => {
  const circuitKey = options.circuitKey ?? defaults.circuitKey
  const { endpoint = "", method = "GET" } = request
  if (circuitKey === "endpoint") {
    Validate.text("endpoint", endpoint, "the template of an endpoint", (text) => text !== "")
  }
  return RequestMetadata.guardKey(circuitKey, options.baseUrl, method, endpoint)
}

const configOf = (options: Options<unknown>): RequestExecution.Config => ({
  name: options.name,
  baseUrl: checkedBaseUrl(options.baseUrl),
  playbook: options.playbook ?? defaults.playbook,
  errorBody: options.errorBody,
  pipeline: options.pipeline,
  circuitKey: options.circuitKey ?? defaults.circuitKey,
  refresh: options.refresh,
  idempotencyHeader: Validate.text(
    "idempotencyHeader",
    options.idempotencyHeader ?? defaults.idempotencyHeader,
    "a header name",
    (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name)
  ).toLowerCase(),
  idempotencyKeyFormat: options.idempotencyKeyFormat ?? defaults.idempotencyKeyFormat,
  keyTimeToLiveMillis: Duration.toMillis(
    Validate.positiveDuration("keyTimeToLive", options.keyTimeToLive ?? defaults.keyTimeToLive)
  ),
  secretNames: [
    ...Redaction.defaultNames,
    ...(options.idempotencyHeader === undefined ? [] : [options.idempotencyHeader]),
    ...(options.redactedNames ?? [])
  ],
  secrets: (options.secrets ?? []).map(Redacted.value),
  maxErrorBodyBytes: Validate.integer(
    "maxErrorBodyBytes",
    options.maxErrorBodyBytes ?? defaults.maxErrorBodyBytes,
    0
  )
})

/** What is wrong with a base URL, in words that repeat none of it: it may hold a password. */
const faultOf = (text: string): string | undefined => {
  if (!URL.canParse(text)) {
    return /^[\w\s./-]{0,16}$/.test(text) ? JSON.stringify(text) : "a text that is no URL"
  }
  const { password, protocol, username } = new URL(text)
  if (!/^https?:$/.test(protocol)) {
    // What stands before the colon of any other text may be the name of a user.
    return /^(file|s?ftp|wss?):$/.test(protocol)
      ? `one that begins with "${protocol}"`
      : "one of another scheme"
  }
  if (username !== "" || password !== "" || /^[^/?#]*[/\\]*[^/\\?#]*@/.test(text)) {
    return "one with user info"
  }
  if (/\?/.test(text.replace(/#.*$/s, ""))) return "one with a query"
  return text.includes("#") ? "one with a fragment" : undefined
}

const checkedBaseUrl = (text: string): string => {
  const fault = faultOf(text)
  if (fault === undefined) return text
  throw new RangeError(
    `baseUrl should be an absolute http or https URL without user info, query and fragment, ` +
      `got ${fault}`
  )
}

const upstreamOf = Effect.map(HttpClient.HttpClient, HttpClient.withTracerDisabledWhen(() => true))

/**
 * A client for one API.
 *
 * **When to use**
 *
 * In code that wants to handle failures by tag. For code written against `HttpClient` that knows
 * nothing of us, `layer`.
 *
 * **Details**
 *
 * - GET, HEAD and OPTIONS are `read`, PUT and DELETE `idempotent`; POST and PATCH are `keyed` when
 *   there is an idempotency key (in the environment or already on the request) and `once`
 *   otherwise.
 * - The key is put on the request once per call, outside the retry loop; a key already on the
 *   request wins; safe methods carry none.
 * - Sent after `keyTimeToLive`, a call fails with `UnknownOutcome` instead.
 * - Redirects are not followed: a 3xx is a `Server` error with its status.
 * - A header that HTTP cannot hold is a `Validation` with the code `malformed_header`, and nothing
 *   is sent.
 * - Spans of our own replace the platform's, which record headers and the full URL: one per call,
 *   one per attempt.
 * - Dies with a `RangeError` for nonsense options.
 *
 * **Example** (A call that fails with a tagged value)
 *
 * ```ts
 * import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
 * import { ApiClient } from "effect-resilience"
 * import { make } from "effect-resilience/testing/FlakyApi"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const api = yield* make({
 *     app: HttpServerResponse.json({ error: "no such tenant" }, { status: 404 })
 *   })
 *   const client = yield* ApiClient.make({ name: "tenants", baseUrl: api.url })
 *   return yield* client.get("/v1/tenants/42").pipe(
 *     Effect.as("found"),
 *     Effect.catchTag("NotFound", (error) => Effect.succeed(`${error.endpoint}: ${error.message}`))
 *   )
 * })
 *
 * await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(FetchHttpClient.layer))) // => "/v1/tenants/:id: no such tenant"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E = never>(
  options: Options<E>
): Effect.Effect<
  HttpClient.HttpClient.With<RequestExecution.Failure<E>>,
  never,
  HttpClient.HttpClient
> =>
  Effect.map(upstreamOf, (upstream) => {
    const config = configOf(options)
    return RequestExecution.client<E, RequestExecution.Failure<E>>(
      config,
      upstream,
      false,
      (run) => run
    )
  })

/**
 * The same client as a drop-in `HttpClient`, for code that knows nothing of us (such as
 * `HttpApiClient`).
 *
 * **Details**
 *
 * Retries, breaks and redacts; then a response that is not a success is handed through as a
 * response, its body readable, for the caller to judge. A transport failure or a rejection becomes
 * a `RequestError` with reason `Transport`, the typed failure its `cause`, and a request that shows
 * method and address only.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never>(
  options: Options<E>
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(upstreamOf, (upstream) => {
      const config = configOf({
        ...options,
        pipeline: options.pipeline === undefined ? undefined : Answers.inRounds(options.pipeline)
      })
      return RequestExecution.client<E, HttpClientError.HttpClientError>(
        config,
        upstream,
        true,
        (run, call) =>
          Effect.matchEffect(run, {
            onSuccess: (response) => Effect.as(call.answers.releaseExcept(undefined), response),
            onFailure: (error) => {
              const answer = call.answers.of(error)
              return Effect.zipRight(
                call.answers.releaseExcept(answer),
                answer === undefined
                  ? withoutAnswer(call, error)
                  : Effect.succeed(RequestExecution.withLimits(config, call, answer.response))
              )
            }
          })
      )
    })
  )

/** What a caller's `read` fails with has a type that the caller knows. */
const withoutAnswer = (
  call: RequestExecution.Call,
  error: unknown
): Effect.Effect<never, HttpClientError.HttpClientError> =>
  RequestExecution.isOfRead(call, error)
    ? Effect.fail(error as HttpClientError.HttpClientError)
    : new HttpClientError.RequestError({
      request: RequestMetadata.bare(call.request),
      reason: "Transport",
      cause: error
    })
