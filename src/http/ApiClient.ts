/**
 * An `HttpClient` for one API that you do not own: failures are `ApiError`s, successes are 2xx, and nothing harmful is sent twice.
 *
 * There is one classifier and one loop over responses and transport failures together. (A loop over responses inside a loop over errors makes
 * nine requests where three were meant.)
 *
 * @since 0.1.0
 */
import { RequestInit } from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Tracer from "effect/Tracer"
import * as ApiError from "../ApiError.js"
import * as Check from "../check.js"
import * as TransportError from "../core/transportError.js"
import * as Idempotency from "../Idempotency.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type * as Operation from "../Operation.js"
import * as Pipeline from "../Pipeline.js"
import * as Playbook from "../Playbook.js"
import * as Redaction from "../Redaction.js"
import * as ErrorResponse from "./ErrorResponse.js"
import * as Outgoing from "./outgoing.js"

/**
 * What an error body can say.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorBody = ErrorResponse.ErrorBody

/**
 * - `name`: what the API is called, in spans and logs.
 * - `baseUrl`: put before every relative URL.
 * - `playbook`: what its statuses mean. Default `Playbook.standard`.
 * - `errorBody`: reads its error bodies. Default `ErrorResponse.anyErrorBody`.
 * - `pipeline`: how calls are protected. Default: one attempt. Its operation is replaced by what each request is.
 * - `refresh`: run once per call on a 401, followed by one more attempt (of a client below this one that adds the credential).
 * - `idempotencyHeader`: default `Idempotency-Key`. `idempotencyKeyFormat`: `bare` (default) or `quoted` (RFC 9651).
 * - `keyTimeToLive`: how long the API remembers a key. Default 24 h from its making.
 * - `redactedNames`: names of headers, query parameters and fields whose values are secret, beside `Redaction.defaultNames`.
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
  readonly refresh?: Effect.Effect<void, ApiError.ApiError> | undefined
  readonly idempotencyHeader?: string | undefined
  readonly idempotencyKeyFormat?: "bare" | "quoted" | undefined
  readonly keyTimeToLive?: Duration.DurationInput | undefined
  readonly redactedNames?: Redaction.Names | undefined
  readonly maxErrorBodyBytes?: number | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  playbook: Playbook.standard,
  idempotencyHeader: "Idempotency-Key",
  idempotencyKeyFormat: "bare",
  keyTimeToLive: Duration.hours(24),
  maxErrorBodyBytes: ErrorResponse.defaults.maxBodyBytes
} as const

// ---------------------------------------------------------------------------------------------------------------------------------------------
// what the caller may say about a request
// ---------------------------------------------------------------------------------------------------------------------------------------------

const currentEndpoint = globalValue(
  "effect-resilience/ApiClient/currentEndpoint",
  () => FiberRef.unsafeMake<string | undefined>(undefined)
)

const currentOperation = globalValue(
  "effect-resilience/ApiClient/currentOperation",
  () => FiberRef.unsafeMake<Operation.Operation<unknown> | undefined>(undefined)
)

/**
 * Files the requests of an effect under a template, such as `/v1/sessions/:id`. Without it, the path with everything that looks like an id
 * (digits, UUIDs, long hexadecimal numbers) replaced.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withEndpoint = (template: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.locally(self, currentEndpoint, template)

/**
 * Says what the requests of an effect are, where the method says less: a POST that closes a session is `Operation.idempotent`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withOperation =
  <R2>(operation: Operation.Operation<R2>) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | R2> =>
    Effect.locally(self, currentOperation, operation)

// ---------------------------------------------------------------------------------------------------------------------------------------------
// reading answers
// ---------------------------------------------------------------------------------------------------------------------------------------------

const isSuccess = (status: number): boolean => status >= 200 && status < 300

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
        endpoint: Outgoing.endpointOf(response.request),
        scrub: Redaction.scrubber(Outgoing.secretsOf(response.request, Redaction.defaultNames))
      }),
      Effect.fail
    )

const unreadable = (
  response: HttpClientResponse.HttpClientResponse,
  where: string
): ApiError.Server =>
  new ApiError.Server({
    message: `The API answered ${response.status}, but its body could not be read: ${where}`,
    status: response.status,
    code: "unreadable_response",
    method: response.request.method,
    endpoint: Outgoing.endpointOf(response.request)
  })

/** Where a value did not fit, without the value. */
const paths = (error: ParseResult.ParseError): string => {
  const found = ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path }) => path.join("."))
  return `it does not fit at ${[...new Set(found)].map((path) => path === "" ? "the top" : path).join(", ")}`
}

/**
 * Reads a JSON body. The way to decode a success: what cannot be read fails with a `Server` error whose code is `unreadable_response`, which a
 * retry repeats for `read` and `idempotent` and never for `keyed` and `once`.
 *
 * **Details**
 *
 * An empty body (204, 205 or simply nothing) is decoded as `undefined`. The error says where the body did not fit and repeats none of it.
 *
 * @since 0.1.0
 * @category decoding
 */
export const json = <A, I, R>(schema: Schema.Schema<A, I, R>) => {
  const decode = Schema.decodeUnknown(schema)
  return (response: HttpClientResponse.HttpClientResponse): Effect.Effect<A, ApiError.ApiError, R> =>
    response.text.pipe(
      Effect.mapError((error) => unreadable(response, error.reason === "EmptyBody" ? "it is empty" : "it broke off")),
      Effect.flatMap((text) =>
        text.trim() === ""
          ? Effect.succeed(undefined)
          : Effect.try({ try: (): unknown => JSON.parse(text), catch: () => unreadable(response, "it is not JSON") })
      ),
      Effect.flatMap((body) => Effect.mapError(decode(body), (error) => unreadable(response, paths(error))))
    )
}

const networkError = (error: HttpClientError.RequestError, context: Partial<ApiError.Network>): ApiError.ApiError => {
  if (error.reason !== "Transport") {
    return new ApiError.Validation({
      ...context,
      message: error.reason === "Encode" ? "The request body could not be encoded" : "The request URL is not valid"
    })
  }
  const { code, permanent, sent } = TransportError.read(error.cause)
  return new ApiError.Network({
    ...context,
    message: `${sent === "no" ? "The API could not be reached" : "The connection broke before an answer came"}${
      code === undefined ? "" : ` (${code})`
    }`,
    sent,
    ...(code === undefined ? {} : { code }),
    ...(permanent ? { repeat: "never" as const } : {})
  })
}

/**
 * What an error of the platform's client means. A response that was refused for its status is judged by the status alone: its body has not
 * been read.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromClientError = (error: HttpClientError.HttpClientError): ApiError.ApiError => {
  const context = { method: error.request.method, endpoint: Outgoing.endpointOf(error.request) }
  if (error._tag === "RequestError") return networkError(error, context)
  if (error.reason !== "StatusCode") return unreadable(error.response, "it broke off or does not fit")
  const { headers, status } = error.response
  return ErrorResponse.toApiError({ ...context, status, headers, body: {}, nowMillis: Number.NaN })
}

// ---------------------------------------------------------------------------------------------------------------------------------------------
// the client
// ---------------------------------------------------------------------------------------------------------------------------------------------

/** Options that have been checked. */
interface Config {
  readonly name: string
  readonly baseUrl: string
  readonly playbook: Playbook.Playbook
  readonly errorBody: ErrorResponse.Decoder | undefined
  readonly pipeline: Pipeline.Pipeline<unknown, unknown> | undefined
  readonly refresh: Effect.Effect<void, ApiError.ApiError> | undefined
  readonly idempotencyHeader: string
  readonly idempotencyKeyFormat: "bare" | "quoted"
  readonly keyTimeToLiveMillis: number
  readonly secretNames: Redaction.Names
  readonly maxErrorBodyBytes: number
}

const configOf = (options: Options<unknown>): Config => ({
  name: options.name,
  baseUrl: Check.text("baseUrl", options.baseUrl, "an absolute http or https URL", isHttpUrl),
  playbook: options.playbook ?? defaults.playbook,
  errorBody: options.errorBody,
  pipeline: options.pipeline,
  refresh: options.refresh,
  idempotencyHeader: Check.text(
    "idempotencyHeader",
    options.idempotencyHeader ?? defaults.idempotencyHeader,
    "a header name",
    (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name)
  ).toLowerCase(),
  idempotencyKeyFormat: options.idempotencyKeyFormat ?? defaults.idempotencyKeyFormat,
  keyTimeToLiveMillis: Duration.toMillis(
    Check.positiveDuration("keyTimeToLive", options.keyTimeToLive ?? defaults.keyTimeToLive)
  ),
  secretNames: [
    ...Redaction.defaultNames,
    ...(options.idempotencyHeader === undefined ? [] : [options.idempotencyHeader]),
    ...(options.redactedNames ?? [])
  ],
  maxErrorBodyBytes: Check.integer("maxErrorBodyBytes", options.maxErrorBodyBytes ?? defaults.maxErrorBodyBytes, 0)
})

const isHttpUrl = (url: string): boolean => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)

/** One logical call: the request as it will be sent on every attempt, and what has happened so far. */
interface Call {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly consumed: () => boolean
  readonly operation: Operation.Operation<unknown>
  readonly endpoint: string
  /** The lifetime counts only for a key whose making we know. */
  readonly keyExpiresAt: number
  readonly kid: string | undefined
  readonly scrub: (text: string) => string
  sent: number
  refreshed: boolean
  lastEndNanos: bigint | undefined
  /** What a caller who wants responses gets: the last one that was not a success, its body still readable. */
  response: HttpClientResponse.HttpClientResponse | undefined
}

const keyInContext = Effect.map(
  Effect.context<never>(),
  (context) => Context.getOption(context, IdempotencyKey.IdempotencyKey)
)

const prepare = (config: Config, original: HttpClientRequest.HttpClientRequest): Effect.Effect<Call> =>
  Effect.gen(function*() {
    const { request: resolved, sameOrigin } = Outgoing.resolve(original, config.baseUrl)
    const { consumed, request: tracked } = Outgoing.trackBody(resolved)
    const safe = Outgoing.isSafe(tracked.method)
    const onRequest = safe ? undefined : Outgoing.headerOf(tracked, config.idempotencyHeader)
    // A key is a word between us and this API: a request to another origin does not carry it.
    const inContext = safe || !sameOrigin ? undefined : Option.getOrUndefined(yield* keyInContext)
    const stamped = onRequest === undefined ? inContext : undefined
    const request = stamped === undefined
      ? safe ? Outgoing.withoutHeader(tracked, config.idempotencyHeader) : tracked
      : HttpClientRequest.setHeader(
        tracked,
        config.idempotencyHeader,
        IdempotencyKey.toHeader(stamped, config.idempotencyKeyFormat)
      )
    const hasKey = onRequest !== undefined || stamped !== undefined
    const key = stamped ??
      (onRequest === undefined ? undefined : yield* Effect.option(IdempotencyKey.fromHeader(onRequest)).pipe(
        Effect.map(Option.getOrUndefined)
      ))
    return {
      request,
      consumed,
      operation: (yield* FiberRef.get(currentOperation)) ?? Outgoing.operationOf(request.method, hasKey),
      endpoint: (yield* FiberRef.get(currentEndpoint)) ?? Outgoing.endpointOf(request),
      keyExpiresAt: stamped === undefined ? Infinity : stamped.madeAt + config.keyTimeToLiveMillis,
      kid: key === undefined ? undefined : yield* IdempotencyKey.kid(key),
      scrub: lazily(() => Redaction.scrubber(Outgoing.secretsOf(request, config.secretNames))),
      sent: 0,
      refreshed: false,
      lastEndNanos: undefined,
      response: undefined
    }
  })

/** Secrets are gathered when there is something to scrub, which is not on success. */
const lazily = (make: () => (text: string) => string): (text: string) => string => {
  let scrub: ((text: string) => string) | undefined
  return (text) => (scrub ??= make())(text)
}

/** Redirects are never followed below us, where nobody would look at what they carry along. */
const withManualRedirects = Effect.mapInputContext((context: Context.Context<never>) =>
  Context.add(context, RequestInit, {
    ...Option.getOrUndefined(Context.getOption(context, RequestInit)),
    redirect: "manual"
  })
)

const millisSince = (from: bigint, to: bigint): number => Number(to - from) / 1e6

/** A response whose body has been read, in a form that can be read again. */
const replayable = (
  response: HttpClientResponse.HttpClientResponse,
  bytes: Uint8Array<ArrayBuffer>,
  call: Call
): HttpClientResponse.HttpClientResponse =>
  response.status < 200 || response.status > 599
    ? response
    : HttpClientResponse.fromWeb(
      Outgoing.bare(call.request),
      new Response(bytes.length === 0 ? null : bytes, { status: response.status, headers: { ...response.headers } })
    )

const classify = (
  config: Config,
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  keepsResponse: boolean
) =>
  Effect.gen(function*() {
    const options = {
      playbook: config.playbook,
      errorBody: config.errorBody,
      method: call.request.method,
      endpoint: call.endpoint,
      scrub: call.scrub
    }
    if (!keepsResponse) {
      return yield* ErrorResponse.read(response, { ...options, maxBodyBytes: config.maxErrorBodyBytes })
    }
    const bytes = new Uint8Array(yield* Effect.orElseSucceed(response.arrayBuffer, () => new ArrayBuffer(0)))
    call.response = replayable(response, bytes, call)
    return yield* ErrorResponse.fromBytes(response, bytes.subarray(0, config.maxErrorBodyBytes), options)
  })

/** A body that was read cannot be sent again: what would have been repeated is final, and says why. */
const unrepeatable = (error: ApiError.ApiError): ApiError.ApiError =>
  ApiError.annotate(error, {
    message: `${error.message} (not repeated: the request body is a stream that has been read)`,
    repeat: "never"
  })

const describe = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) span.attribute(name, value)
}

/** One request, and what its answer means. */
const send = (
  config: Config,
  call: Call,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean
): Effect.Effect<HttpClientResponse.HttpClientResponse, ApiError.ApiError | Idempotency.UnknownOutcome> =>
  Effect.useSpan(
    `${config.name} attempt`,
    { kind: "client", captureStackTrace: false },
    (span) =>
      Effect.gen(function*() {
        const clock = yield* Effect.clock
        if (clock.unsafeCurrentTimeMillis() >= call.keyExpiresAt) return yield* new Idempotency.UnknownOutcome()
        const startNanos = clock.unsafeCurrentTimeNanos()
        call.sent += 1
        call.response = undefined
        describe(span, {
          "resilience.attempt": call.sent,
          "resilience.delay_ms": call.lastEndNanos === undefined ? 0 : millisSince(call.lastEndNanos, startNanos),
          "resilience.endpoint": call.endpoint,
          "resilience.kid": call.kid,
          "http.request.method": call.request.method
        })
        const propagates = yield* FiberRef.get(HttpClient.currentTracerPropagation)
        const request = propagates
          ? HttpClientRequest.setHeaders(call.request, HttpTraceContext.toHeaders(span))
          : call.request
        const outcome = yield* Effect.either(withManualRedirects(upstream.execute(request)))
        if (outcome._tag === "Right") {
          describe(span, { "http.response.status_code": outcome.right.status })
          if (isSuccess(outcome.right.status)) return outcome.right
        }
        const error = outcome._tag === "Left"
          ? fromClientError(outcome.left)
          : yield* classify(config, call, outcome.right, keepsResponse)
        const endNanos = clock.unsafeCurrentTimeNanos()
        call.lastEndNanos = endNanos
        const judged = ApiError.annotate(error, {
          endpoint: call.scrub(call.endpoint),
          latency: Duration.millis(millisSince(startNanos, endNanos)),
          attempts: call.sent
        })
        const final = call.consumed() ? unrepeatable(judged) : judged
        const verdict = ApiError.verdict(final)
        describe(span, {
          "resilience.error": final._tag,
          "resilience.verdict": verdict._tag,
          "resilience.ambiguous": verdict._tag === "Transient" ? verdict.ambiguous : undefined
        })
        return yield* Effect.fail(final)
      })
  )

/** One attempt as the pipeline sees it. A credential that has expired is refreshed once per call, and the request sent once more. */
const attempt = (config: Config, call: Call, upstream: HttpClient.HttpClient, keepsResponse: boolean) => {
  const once = send(config, call, upstream, keepsResponse)
  const refresh = config.refresh
  if (refresh === undefined) return once
  return Effect.catchIf(
    once,
    (error) => error._tag === "Auth" && error.status === 401 && !call.refreshed && !call.consumed(),
    () => {
      call.refreshed = true
      // The refresh has its own policy; its failure ends the call.
      return Effect.zipRight(Effect.mapError(refresh, (error) => ApiError.annotate(error, { repeat: "never" })), once)
    }
  )
}

type Failure<E> = ApiError.ApiError | Idempotency.UnknownOutcome | E

const run = <E>(
  config: Config,
  call: Call,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean
): Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>> => {
  const once = attempt(config, call, upstream, keepsResponse)
  const protectedCall = config.pipeline === undefined
    ? once
    : Pipeline.protect(once, Pipeline.forOperation(config.pipeline as Pipeline.Pipeline<E, unknown>, call.operation))
  return Effect.useSpan(
    `${config.name} ${call.request.method} ${call.endpoint}`,
    { captureStackTrace: false },
    (span) =>
      protectedCall.pipe(
        // A refreshed credential costs a request that the pipeline did not count.
        Effect.mapError((error): Failure<E> =>
          ApiError.isApiError(error) && call.sent > 0 ? ApiError.annotate(error, { attempts: call.sent }) : error
        ),
        Effect.ensuring(Effect.sync(() =>
          describe(span, {
            "resilience.attempts": call.sent,
            "resilience.endpoint": call.endpoint,
            "resilience.kid": call.kid,
            "resilience.operation": call.operation._tag
          })
        )),
        Effect.withParentSpan(span)
      )
  )
}

const upstreamOf = Effect.map(HttpClient.HttpClient, HttpClient.withTracerDisabledWhen(() => true))

/**
 * A client for one API.
 *
 * **When to use**
 *
 * In code that wants to handle failures by tag. For code written against `HttpClient` that knows nothing of us, `layer`.
 *
 * **Details**
 *
 * - GET, HEAD and OPTIONS are `read`, PUT and DELETE `idempotent`; POST and PATCH are `keyed` when there is an idempotency key (in the
 *   environment or already on the request) and `once` otherwise.
 * - The key is put on the request once per call, outside the retry loop; a key already on the request wins; safe methods carry none.
 * - Sent after `keyTimeToLive`, a call fails with `UnknownOutcome` instead.
 * - Redirects are not followed: a 3xx is a `Server` error with its status.
 * - Spans of our own replace the platform's, which record headers and the full URL: one per call, one per attempt.
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
 *   const api = yield* make({ app: HttpServerResponse.json({ error: "no such tenant" }, { status: 404 }) })
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
): Effect.Effect<HttpClient.HttpClient.With<Failure<E>>, never, HttpClient.HttpClient> =>
  Effect.map(upstreamOf, (upstream) => {
    const config = configOf(options)
    return HttpClient.makeWith<Failure<E>, never, Failure<E>, never>(
      Effect.flatMap((request) =>
        Effect.flatMap(prepare(config, request), (call) => run<E>(config, call, upstream, false))
      ),
      Effect.succeed
    )
  })

/**
 * The same client as a drop-in `HttpClient`, for code that knows nothing of us (such as `HttpApiClient`).
 *
 * **Details**
 *
 * Retries, breaks and redacts; then a response that is not a success is handed through as a response, its body readable, for the caller to
 * judge. A transport failure or a rejection becomes a `RequestError` with reason `Transport`, the typed failure its `cause`, and a request
 * that shows method and address only.
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
      const config = configOf(options)
      return HttpClient.makeWith<HttpClientError.HttpClientError, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) =>
          Effect.flatMap(prepare(config, request), (call) =>
            Effect.catchAll(run<E>(config, call, upstream, true), (error) =>
              call.response === undefined || !ApiError.isApiError(error)
                ? new HttpClientError.RequestError({
                  request: Outgoing.bare(call.request),
                  reason: "Transport",
                  cause: error
                })
                : Effect.succeed(call.response)))
        ),
        Effect.succeed
      )
    })
  )
