/**
 * One logical call: prepared once (address, key, what kind of operation it is), then attempted as
 * often as its pipeline says.
 */
import { RequestInit } from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as ApiError from "../errors/ApiError.js"
import type * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import { singleLine } from "../errors/redaction/controls.js"
import * as Idempotency from "../idempotency/Idempotency.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as CallContext from "../runtime/callContext.js"
import * as Answers from "./answers.js"
import * as BodyPreview from "./bodyPreview.js"
import * as ErrorResponse from "./ErrorResponse.js"
import * as RequestBody from "./requestBody.js"
import * as RequestMetadata from "./requestMetadata.js"
import * as ResponseBody from "./responseBody.js"
import { fromClientError, isSuccess } from "./responseError.js"
import { discard } from "./successBody.js"

/** What the caller says that requests are, with `ApiClient.withOperation`. */
const declaredOperation = Effect.map(
  CallContext.operation.get,
  (operation) => operation as Operation.Operation<unknown> | undefined
)

/** Options that have been checked. */
export interface Config {
  readonly name: string
  readonly baseUrl: string
  readonly playbook: Playbook.Playbook
  readonly errorBody: ErrorResponse.Decoder | undefined
  readonly pipeline: Pipeline.Pipeline<unknown, unknown> | undefined
  readonly circuitKey: "origin" | "endpoint"
  readonly refresh: Effect.Effect<void, ApiError.ApiError> | undefined
  readonly idempotencyHeader: string
  readonly idempotencyKeyFormat: "bare" | "quoted"
  readonly keyTimeToLiveMillis: number
  readonly secretNames: Redaction.Names
  readonly secrets: ReadonlyArray<string>
  readonly maxErrorBodyBytes: number
}

/**
 * One logical call: the request as it will be sent on every attempt, and what has happened so far.
 */
export interface Call {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly body: RequestBody.RequestBody
  readonly operation: Operation.Operation<unknown>
  readonly endpoint: string
  /**
   * Whether the caller declared it. Of a path that was not declared, not everything may stand on a
   * metric.
   */
  readonly isDeclared: boolean
  /** The lifetime counts only for a key whose making we know. */
  readonly keyExpiresAt: number
  readonly kid: string | undefined
  sent: number
  /** Whether the last request was broken off by a limit of time. */
  cut: boolean
  refreshed: boolean
  lastEndNanos: bigint | undefined
  readonly startedNanos: bigint
  /** What a caller who wants responses may get: those that were no success, still readable. */
  readonly answers: Answers.Answers
  /** What the caller's `read` failed with. */
  readonly readFailures: Array<unknown>
}

const keyInContext = Effect.map(
  Effect.context<never>(),
  (context) => Context.getOption(context, IdempotencyKey.IdempotencyKey)
)

/**
 * What the caller said, else what the method implies. Nobody can make a call keyed that carries no
 * key.
 */
const operationOf = (
  said: Operation.Operation<unknown> | undefined,
  method: string,
  hasKey: boolean
) =>
  said === undefined || (said._tag === "Keyed" && !hasKey)
    ? RequestMetadata.operationOf(method, hasKey)
    : said

export const prepare = (
  config: Config,
  original: HttpClientRequest.HttpClientRequest
): Effect.Effect<Call> =>
  Effect.gen(function*() {
    const { request: resolved, sameOrigin } = RequestMetadata.resolve(original, config.baseUrl)
    const safe = RequestMetadata.isSafe(resolved.method)
    const onRequest = safe
      ? undefined
      : RequestMetadata.headerOf(resolved, config.idempotencyHeader)
    // A key is a word between us and this API: a request to another origin does not carry it.
    const inContext = safe || !sameOrigin ? undefined : Option.getOrUndefined(yield* keyInContext)
    const stamped = onRequest === undefined ? inContext : undefined
    const request = stamped === undefined
      ? safe ? RequestMetadata.withoutHeader(resolved, config.idempotencyHeader) : resolved
      : HttpClientRequest.setHeader(
        resolved,
        config.idempotencyHeader,
        IdempotencyKey.toHeader(stamped, config.idempotencyKeyFormat)
      )
    const declared = yield* CallContext.endpoint.get
    const endpoint = declared ?? pathOf(config, request)
    const hasKey = onRequest !== undefined || stamped !== undefined
    const key = stamped ??
      (onRequest === undefined ?
        undefined :
        yield* Effect.option(IdempotencyKey.fromHeader(onRequest)).pipe(
          Effect.map(Option.getOrUndefined)
        ))
    return {
      request,
      body: RequestBody.of(request),
      operation: operationOf(yield* declaredOperation, request.method, hasKey),
      endpoint,
      isDeclared: declared !== undefined,
      keyExpiresAt: stamped === undefined ? Infinity : stamped.madeAt + config.keyTimeToLiveMillis,
      kid: key === undefined ? undefined : yield* IdempotencyKey.kid(key),
      sent: 0,
      cut: false,
      refreshed: false,
      lastEndNanos: undefined,
      startedNanos: (yield* Effect.clock).unsafeCurrentTimeNanos(),
      answers: new Answers.Answers(),
      readFailures: []
    }
  })

/**
 * An address may hold what is also sent as a secret. The body is not searched for one on every
 * call.
 */
const pathOf = (config: Config, request: HttpClientRequest.HttpClientRequest): string =>
  Redaction.scrubber([
    ...config.secrets,
    ...RequestMetadata.headSecretsOf(request, config.secretNames)
  ])(
    RequestMetadata.endpointOf(request)
  )

const scrubberOf = (
  config: Config,
  ...requests: ReadonlyArray<HttpClientRequest.HttpClientRequest>
) => {
  const scrub = Redaction.scrubber([
    ...config.secrets,
    ...requests.flatMap((request) => RequestMetadata.secretsOf(request, config.secretNames))
  ], config.secretNames)
  return (text: string): string => singleLine(scrub(text))
}

/** Redirects are never followed below us, where nobody would look at what they carry along. */
const withManualRedirects = Effect.mapInputContext((context: Context.Context<never>) =>
  Context.add(context, RequestInit, {
    ...Option.getOrUndefined(Context.getOption(context, RequestInit)),
    redirect: "manual"
  })
)

const millisSince = (from: bigint, to: bigint): number => Number(to - from) / 1e6

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
      // What a client below this one has added (a credential, say) is secret too.
      scrub: scrubberOf(config, call.request, response.request)
    }
    if (!keepsResponse) {
      return yield* ErrorResponse.read(response, {
        ...options,
        maxBodyBytes: config.maxErrorBodyBytes
      })
    }
    const peeked = yield* BodyPreview.peek(response, config.maxErrorBodyBytes)
    yield* call.answers.add(peeked)
    return yield* ErrorResponse.fromBytes(response, peeked.bytes, options)
  })

/**
 * A body that was read cannot be sent again: what would have been repeated is final, and says why.
 */
const unrepeatable = (error: ApiError.ApiError): ApiError.ApiError =>
  ApiError.annotate(error, {
    message: `${error.message} (not repeated: ${RequestBody.consumedReason})`,
    repeat: "never"
  })

/**
 * Why nothing was sent. Where an earlier request of the call took the body, that one may have been
 * executed, and the error says so.
 */
const unsent = (call: Call, error: ApiError.Validation): ApiError.ApiError => {
  const context = { method: call.request.method, endpoint: call.endpoint, attempts: call.sent }
  if (call.sent === 0 || !RequestBody.isConsumed(error)) return ApiError.annotate(error, context)
  const { code, repeat } = error
  return call.cut
    ? new ApiError.Timeout({
      ...context,
      message: `The attempt did not end in time (not repeated: ${RequestBody.consumedReason})`,
      deadline: "attempt",
      code,
      repeat
    })
    : new ApiError.Network({ ...context, message: error.message, sent: "unknown", code, repeat })
}

/** The request under way, unless its body goes wrong first: then it is broken off. */
const watched = (
  execute: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>,
  { close, fault }: RequestBody.Sending
): Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  HttpClientError.HttpClientError | ApiError.ApiError
> =>
  Effect.ensuring(
    fault === undefined ? execute : Effect.raceFirst(execute, Deferred.await(fault)),
    Effect.sync(close)
  )

/**
 * A header that no client can send. It would be met as a failure of the network, or as a defect,
 * and be tried again for nothing.
 */
const malformed = ({ endpoint, request: { method } }: Call, path: string): ApiError.Validation =>
  new ApiError.Validation({
    message: `The request has a header that HTTP cannot hold, and was not sent: ${path}`,
    code: "malformed_header",
    method,
    endpoint,
    issues: [{ path, message: "cannot be sent" }]
  })

const describe = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) span.attribute(name, value)
  }
}

/**
 * What the caller's `read` makes of a success. An error of its own kind stays as it is; its type is
 * known where the call was made.
 */
const readWithin = (
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  read: Reading
): Effect.Effect<HttpClientResponse.HttpClientResponse, ApiError.ApiError> =>
  Effect.catchAll(Effect.as(read(response), response), (error) => {
    call.readFailures.push(error)
    // Of a body that has been read there is nothing to let go of, which may take its time to show.
    return Effect.zipRight(
      Effect.forkDaemon(discard(response)),
      Effect.fail(error as ApiError.ApiError)
    )
  })

/** Whether a call ended with what `read` failed with. An `ApiError` has been copied on its way. */
export const isOfRead = ({ readFailures }: Call, error: unknown): boolean =>
  readFailures.some((failure) =>
    failure === error ||
    (ApiError.isApiError(failure) && ApiError.isApiError(error) &&
      failure._tag === error._tag && error.message.startsWith(failure.message))
  )

/** The response of a success, read where the caller said how, else with limits on its body. */
const succeeded = (
  config: Config,
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  read: Reading | undefined
) =>
  read === undefined
    ? Effect.succeed(discreet(config, withLimits(config, call, response)))
    : readWithin(call, discreet(config, response), read)

/** A response that shows no credential when it is printed. */
const discreet = (
  { secretNames, secrets }: Config,
  response: HttpClientResponse.HttpClientResponse
): HttpClientResponse.HttpClientResponse => RequestMetadata.discreet(response, secretNames, secrets)

/** A response with what is left of the call's limits. */
export const withLimits = (
  config: Config,
  { startedNanos }: Call,
  response: HttpClientResponse.HttpClientResponse
): HttpClientResponse.HttpClientResponse =>
  ResponseBody.limited(response, { ...Answers.limitsOf(config.pipeline), startedNanos })

/** One request, and what its answer means. */
const send = (
  { call, config, keepsResponse, read, upstream }: Plan
): Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  ApiError.ApiError | Idempotency.UnknownOutcome
> =>
  Effect.useSpan(
    `${config.name} attempt`,
    { kind: "client", captureStackTrace: false },
    (span) => {
      const sent = (sending: RequestBody.Sending) =>
        Effect.gen(function*() {
          const clock = yield* Effect.clock
          if (clock.unsafeCurrentTimeMillis() >= call.keyExpiresAt) {
            return yield* new Idempotency.UnknownOutcome()
          }
          const startNanos = clock.unsafeCurrentTimeNanos()
          call.sent += 1
          call.cut = false
          yield* call.answers.replaced
          describe(span, {
            "resilience.attempt": call.sent,
            "resilience.delay_ms": call.lastEndNanos === undefined
              ? 0
              : millisSince(call.lastEndNanos, startNanos),
            "resilience.endpoint": call.endpoint,
            "resilience.kid": call.kid,
            "http.request.method": call.request.method
          })
          const propagates = yield* FiberRef.get(HttpClient.currentTracerPropagation)
          const request = propagates
            ? HttpClientRequest.setHeaders(sending.request, HttpTraceContext.toHeaders(span))
            : sending.request
          const answered = yield* Effect.either(
            watched(withManualRedirects(upstream.execute(request)), sending)
          )
          if (answered._tag === "Right") {
            describe(span, { "http.response.status_code": answered.right.status })
          }
          const outcome = answered._tag === "Right" && isSuccess(answered.right.status)
            ? yield* Effect.either(succeeded(config, call, answered.right, read))
            : answered
          if (outcome._tag === "Right" && isSuccess(outcome.right.status)) return outcome.right
          const error = outcome._tag === "Right"
            ? yield* classify(config, call, outcome.right, keepsResponse)
            : HttpClientError.isHttpClientError(outcome.left) && answered._tag === "Left"
            ? fromClientError(outcome.left)
            : outcome.left
          const endNanos = clock.unsafeCurrentTimeNanos()
          call.lastEndNanos = endNanos
          if (!ApiError.isApiError(error)) return yield* Effect.fail(error as never)
          const judged = ApiError.annotate(error, {
            endpoint: call.endpoint,
            latency: Duration.millis(millisSince(startNanos, endNanos)),
            attempts: call.sent
          })
          return yield* Effect.fail(call.body.spent() ? unrepeatable(judged) : judged)
        })
      return Effect.acquireUseRelease(
        Effect.mapError(call.body.open(call.request), (error) => unsent(call, error)),
        sent,
        ({ close }) => Effect.sync(close)
      ).pipe(
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            call.cut = true
          })
        ),
        Effect.tapError((error) => Effect.sync(() => describeFailure(span, error)))
      )
    }
  )

const describeFailure = (
  span: Tracer.Span,
  error: ApiError.ApiError | Idempotency.UnknownOutcome
): void => {
  if (!ApiError.isApiError(error)) return
  const verdict = ApiError.verdict(error)
  describe(span, {
    "resilience.error": error._tag,
    "resilience.verdict": verdict._tag,
    "resilience.ambiguous": verdict._tag === "Transient" ? verdict.ambiguous : undefined
  })
}

type Reading = (response: object) => Effect.Effect<void, unknown>

/** All that the requests of one call go by. */
interface Plan {
  readonly config: Config
  readonly call: Call
  readonly upstream: HttpClient.HttpClient
  readonly keepsResponse: boolean
  readonly read: Reading | undefined
}

/**
 * One attempt as the pipeline sees it. A credential that has expired is refreshed once per call,
 * and the request sent once more.
 */
const attempt = (plan: Plan) => {
  const { call, config: { refresh } } = plan
  const once = send(plan)
  if (refresh === undefined) return once
  return Effect.catchIf(
    once,
    (error) =>
      error._tag === "Auth" && error.status === 401 && !call.refreshed && !call.body.spent(),
    () => {
      call.refreshed = true
      // The refresh has its own policy; its failure ends the call.
      return Effect.zipRight(
        Effect.mapError(refresh, (error) => ApiError.annotate(error, { repeat: "never" })),
        once
      )
    }
  )
}

/** What telemetry files a call under, where there is telemetry to ask. */
const aboutOf = ({ endpoint, isDeclared, kid, request }: Call) => ({
  get endpoint() {
    return isDeclared ? endpoint : RequestMetadata.resourcesOf(endpoint)
  },
  method: request.method,
  kid,
  traced: true
})

const guardKeyOf = ({ circuitKey }: Config, { endpoint, request }: Call): string =>
  RequestMetadata.guardKey(circuitKey, request.url, request.method, endpoint)

/** Everything a call can end with. */
export type Failure<E> = ApiError.ApiError | Idempotency.UnknownOutcome | E

/**
 * A call through its pipeline, in a span of its own. What cannot be sent is met by no guard: it
 * says nothing about the API.
 */
const run = <E>(
  plan: Plan
): Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>> => {
  const { call, config } = plan
  const once = attempt(plan)
  const unsendable = RequestMetadata.malformedHeader(call.request)
  const protectedCall: Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>> =
    unsendable !== undefined
      ? malformed(call, unsendable)
      : config.pipeline === undefined
      ? once
      : Pipeline.protect(
        once,
        Pipeline.forOperation(config.pipeline as Pipeline.Pipeline<E, unknown>, call.operation),
        {
          key: guardKeyOf(config, call),
          about: aboutOf(call)
        }
      )
  return Effect.useSpan(
    `${config.name} ${call.request.method} ${call.endpoint}`,
    { captureStackTrace: false },
    (span) =>
      protectedCall.pipe(
        // A refreshed credential costs a request that the pipeline did not count.
        Effect.mapError((error): Failure<E> =>
          ApiError.isApiError(error) && call.sent > 0
            ? ApiError.annotate(error, { attempts: call.sent })
            : error
        ),
        Effect.ensuring(Effect.sync(() =>
          describe(span, {
            "resilience.attempts": call.sent,
            "resilience.endpoint": call.endpoint,
            "resilience.kid": call.kid,
            "resilience.operation": call.operation._tag
          })
        )),
        Effect.onInterrupt(() => call.answers.releaseExcept(undefined)),
        Effect.withParentSpan(span)
      )
  )
}

/** How a client ends a call: with what its run ended with, or with a response after all. */
export type Ending<E, E2> = (
  run: Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>>,
  call: Call
) => Effect.Effect<HttpClientResponse.HttpClientResponse, E2>

/**
 * A client of the platform that makes calls. What prepares a request, and what refreshes a
 * credential, may send requests of its own: only the request itself is read by the caller's `read`.
 */
export const client = <E, E2>(
  config: Config,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean,
  ending: Ending<E, E2>
): HttpClient.HttpClient.With<E2> =>
  HttpClient.makeWith<E2, never, E2, never>(
    (prepared) =>
      Effect.flatMap(CallContext.reading.get, (read) =>
        CallContext.reading.during(
          Effect.flatMap(prepared, (request) =>
            Effect.flatMap(prepare(config, request), (call) =>
              ending(run<E>({ config, call, upstream, keepsResponse, read }), call))),
          undefined
        )),
    Effect.succeed
  )
