/**
 * One logical call: prepared once (address, key, what kind of operation it is), then attempted as
 * often as its pipeline says.
 */
import { RequestInit } from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as ApiError from "../errors/ApiError.js"
import * as Idempotency from "../idempotency/Idempotency.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import type * as Operation from "../idempotency/Operation.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import type * as Playbook from "../errors/Playbook.js"
import * as CallContext from "../runtime/callContext.js"
import * as Redaction from "../errors/Redaction.js"
import { singleLine } from "../errors/redaction/controls.js"
import { fromClientError, isSuccess } from "./responseError.js"
import * as ErrorResponse from "./ErrorResponse.js"
import * as BodyPreview from "./bodyPreview.js"
import * as RequestMetadata from "./requestMetadata.js"

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
  readonly consumed: () => boolean
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
  refreshed: boolean
  lastEndNanos: bigint | undefined
  /**
   * What a caller who wants responses gets: the last one that was not a success, its body still
   * readable.
   */
  answer: BodyPreview.Peeked | undefined
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
    const { consumed, request: tracked } = RequestMetadata.trackBody(resolved)
    const safe = RequestMetadata.isSafe(tracked.method)
    const onRequest = safe ? undefined : RequestMetadata.headerOf(tracked, config.idempotencyHeader)
    // A key is a word between us and this API: a request to another origin does not carry it.
    const inContext = safe || !sameOrigin ? undefined : Option.getOrUndefined(yield* keyInContext)
    const stamped = onRequest === undefined ? inContext : undefined
    const request = stamped === undefined
      ? safe ? RequestMetadata.withoutHeader(tracked, config.idempotencyHeader) : tracked
      : HttpClientRequest.setHeader(
        tracked,
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
      consumed,
      operation: operationOf(yield* declaredOperation, request.method, hasKey),
      endpoint,
      isDeclared: declared !== undefined,
      keyExpiresAt: stamped === undefined ? Infinity : stamped.madeAt + config.keyTimeToLiveMillis,
      kid: key === undefined ? undefined : yield* IdempotencyKey.kid(key),
      sent: 0,
      refreshed: false,
      lastEndNanos: undefined,
      answer: undefined
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
    call.answer = peeked
    return yield* ErrorResponse.fromBytes(response, peeked.bytes, options)
  })

/**
 * A body that was read cannot be sent again: what would have been repeated is final, and says why.
 */
const unrepeatable = (error: ApiError.ApiError): ApiError.ApiError =>
  ApiError.annotate(error, {
    message: `${error.message} (not repeated: the request body is a stream that has been read)`,
    repeat: "never"
  })

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

/** Lets go of an answer that another attempt will replace. */
export const release = (call: Call): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { answer } = call
    call.answer = undefined
    return answer === undefined ? Effect.void : answer.release
  })

/** One request, and what its answer means. */
const send = (
  config: Config,
  call: Call,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean
): Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  ApiError.ApiError | Idempotency.UnknownOutcome
> =>
  Effect.useSpan(
    `${config.name} attempt`,
    { kind: "client", captureStackTrace: false },
    (span) =>
      Effect.gen(function*() {
        const clock = yield* Effect.clock
        if (clock.unsafeCurrentTimeMillis() >= call.keyExpiresAt) {
          return yield* new Idempotency.UnknownOutcome()
        }
        const startNanos = clock.unsafeCurrentTimeNanos()
        call.sent += 1
        yield* release(call)
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
          ? HttpClientRequest.setHeaders(call.request, HttpTraceContext.toHeaders(span))
          : call.request
        const outcome = yield* Effect.either(withManualRedirects(upstream.execute(request)))
        if (outcome._tag === "Right") {
          describe(span, { "http.response.status_code": outcome.right.status })
          if (isSuccess(outcome.right.status)) {
            return RequestMetadata.discreet(outcome.right, config.secretNames, config.secrets)
          }
        }
        const error = outcome._tag === "Left"
          ? fromClientError(outcome.left)
          : yield* classify(config, call, outcome.right, keepsResponse)
        const endNanos = clock.unsafeCurrentTimeNanos()
        call.lastEndNanos = endNanos
        const judged = ApiError.annotate(error, {
          endpoint: call.endpoint,
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

/**
 * One attempt as the pipeline sees it. A credential that has expired is refreshed once per call,
 * and the request sent once more.
 */
const attempt = (
  config: Config,
  call: Call,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean
) => {
  const once = send(config, call, upstream, keepsResponse)
  const refresh = config.refresh
  if (refresh === undefined) return once
  return Effect.catchIf(
    once,
    (error) => error._tag === "Auth" && error.status === 401 && !call.refreshed && !call.consumed(),
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
export const run = <E>(
  config: Config,
  call: Call,
  upstream: HttpClient.HttpClient,
  keepsResponse: boolean
): Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>> => {
  const once = attempt(config, call, upstream, keepsResponse)
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
        Effect.onInterrupt(() => release(call)),
        Effect.withParentSpan(span)
      )
  )
}
