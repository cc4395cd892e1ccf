/** Makes one attempt of a call: sends a request and judges its answer. */
import { RequestInit } from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { constTrue } from "effect/Function"
import type * as Tracer from "effect/Tracer"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import { UnknownOutcome } from "../errors/idempotencyErrors.js"
import { withStory } from "../errors/story.js"
import { clockOf } from "../runtime/clock.js"
import { whenEnded } from "../runtime/ending.js"
import * as FiberLocal from "../runtime/fiberLocal.js"
import { type Inside, useSpan } from "../runtime/span.js"
import * as Answers from "./answers.js"
import * as BodyPreview from "./bodyPreview.js"
import { type Call, type Config, scrubberOf } from "./call.js"
import * as ErrorResponse from "./ErrorResponse.js"
import { withLightText } from "./lightText.js"
import * as RequestBody from "./requestBody.js"
import * as RequestMetadata from "./requestMetadata.js"
import * as ResponseBody from "./responseBody.js"
import { fromClientError, isSuccess } from "./responseError.js"
import { discard } from "./successBody.js"

export type Reading = (response: object) => Effect.Effect<void, unknown>

/** All that the requests of one call go by. */
export interface Plan {
  readonly config: Config
  readonly call: Call
  readonly upstream: HttpClient.HttpClient
  readonly keepsResponse: boolean
  readonly read: Reading | undefined
}

/** Redirects are never followed below us, because credentials would go along unchecked. */
const manualRedirects = { redirect: "manual" } as const

const millisSince = (from: bigint, to: bigint): number => Number(to - from) / 1e6

const classify = (
  config: Config,
  call: Call,
  response: HttpClientResponse.HttpClientResponse,
  { keepsResponse, limit }: { readonly keepsResponse: boolean; readonly limit: Duration.Duration }
) =>
  Effect.gen(function*() {
    const options = {
      playbook: config.playbookOf(response.request),
      errorBody: config.errorBody,
      method: call.request.method,
      endpoint: call.endpoint,
      // What a client below this one has added (a credential, say) is secret too.
      scrub: scrubberOf(config, call.request, response.request)
    }
    if (!keepsResponse) {
      const bytes = yield* BodyPreview.readFront(response, config.maxErrorBodyBytes, limit)
      return yield* ErrorResponse.fromBytes(response, bytes, options)
    }
    const peeked = yield* BodyPreview.peek(response, config.maxErrorBodyBytes, limit)
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

export const describe = (
  span: Tracer.Span,
  attributes: Readonly<Record<string, unknown>>
): void => {
  for (const name in attributes) {
    if (attributes[name] !== undefined) span.attribute(name, attributes[name])
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
  Effect.matchEffect(read(response), {
    onFailure: (error) => {
      call.readFailures.push(error)
      // Of a body that has been read there is nothing to let go of, which may take time to show.
      return Effect.zipRight(
        Effect.zipRight(
          // An error of the caller's own kind does not say that it came after a success.
          ApiError.isApiError(error) ? Effect.void : CallFacts.executed(call.operation),
          Effect.forkDaemon(discard(response))
        ),
        Effect.fail(asToldBy(error) as ApiError.ApiError)
      )
    },
    onSuccess: () => Effect.succeed(response)
  })

/** The codes of what our own ways of reading fail with. */
const ownCodes: ReadonlySet<string | undefined> = new Set([
  "unreadable_response",
  "unexpected_response"
])

/** The words of the caller's own errors stay as they are. */
const asToldBy = (error: unknown): unknown =>
  ApiError.isApiError(error) && error._tag !== "Timeout" && !ownCodes.has(error.code)
    ? withStory(ApiError.annotate(error, {}), { quotes: true })
    : error

/**
 * Tests whether a call ended with what `read` failed with. An `ApiError` has been copied on its
 * way.
 */
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
) => {
  const light = withLightText(response)
  return read === undefined
    ? Effect.succeed(discreet(config, withLimits(config, call, light)))
    : readWithin(call, discreet(config, light), read)
}

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

/** Where tracing is off, there is a span that says nothing, and no trace to go on with. */
const isTraced = ({ traceId }: Tracer.Span): boolean => traceId !== "noop"

/** The request with what the server needs to go on with the trace. */
const withTrace = (
  request: HttpClientRequest.HttpClientRequest,
  { fiber, span }: Inside
): HttpClientRequest.HttpClientRequest =>
  isTraced(span) && fiber.getFiberRef(HttpClient.currentTracerPropagation)
    ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span))
    : request

const withManualRedirects = (context: Context.Context<never>): Context.Context<never> => {
  const init: object | undefined = context.unsafeMap.get(RequestInit.key)
  return Context.add(
    context,
    RequestInit,
    init === undefined ? manualRedirects : { ...init, ...manualRedirects }
  )
}

/**
 * Sends a request. The client below follows no redirect and makes no span of its own; what it needs
 * for that is written to the fiber, and put back when the head of the answer is there.
 */
const exchange = (
  upstream: HttpClient.HttpClient,
  sending: RequestBody.Sending,
  inside: Inside
): Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  HttpClientError.HttpClientError | ApiError.ApiError
> =>
  Effect.suspend(() => {
    const { fiber, restore, span } = inside
    const { fault, request } = sending
    const sent = upstream.execute(withTrace(request, inside))
    const context = fiber.currentContext
    const disabledWhen = fiber.getFiberRef(HttpClient.currentTracerDisabledWhen)
    FiberLocal.write(fiber, FiberRef.currentContext, withManualRedirects(context))
    FiberLocal.write(fiber, HttpClient.currentTracerDisabledWhen, constTrue)
    // A request whose body goes wrong first is broken off.
    return whenEnded(restore(fault === undefined ? sent : fault.breaksOff(sent)), (exit) => {
      FiberLocal.write(fiber, HttpClient.currentTracerDisabledWhen, disabledWhen)
      FiberLocal.write(fiber, FiberRef.currentContext, context)
      if (Exit.isSuccess(exit)) span.attribute("http.response.status_code", exit.value.status)
      return exit
    })
  })

/** One request under way. */
class Attempt {
  private startNanos = BigInt(0)

  constructor(
    private readonly plan: Plan,
    private readonly inside: Inside,
    private readonly clock: Clock.Clock
  ) {}

  send(sending: RequestBody.Sending): Sent {
    const { clock, inside, plan: { call, upstream } } = this
    if (clock.unsafeCurrentTimeMillis() >= call.keyExpiresAt) {
      sending.close()
      return new UnknownOutcome()
    }
    const now = this.startNanos = clock.unsafeCurrentTimeNanos()
    call.sent += 1
    call.cut = false
    describe(inside.span, {
      "resilience.attempt": call.sent,
      "resilience.delay_ms": call.lastEndNanos === undefined
        ? 0
        : millisSince(call.lastEndNanos, now),
      "resilience.endpoint": call.endpoint,
      "resilience.kid": inside.span.sampled ? call.kid() : undefined,
      "http.request.method": call.request.method
    })
    const exchanged = exchange(upstream, sending, inside)
    return whenEnded(
      call.answers.isEmpty
        ? exchanged
        : Effect.zipRight(inside.restore(call.answers.replaced), exchanged),
      (exit) => {
        // What has not asked for the body by now does not get it.
        sending.close()
        return Exit.isSuccess(exit) ? this.answered(exit.value) : this.failed(exit.cause, true)
      }
    )
  }

  private answered(response: HttpClientResponse.HttpClientResponse): Sent {
    const { plan: { call, config, keepsResponse, read }, inside: { restore } } = this
    return isSuccess(response.status)
      ? whenEnded(
        restore(succeeded(config, call, response, read)),
        (exit) => Exit.isSuccess(exit) ? exit : this.failed(exit.cause, false)
      )
      : whenEnded(
        restore(classify(config, call, response, { keepsResponse, limit: this.errorBodyLimit() })),
        (exit) => Exit.isSuccess(exit) ? this.judged(exit.value) : this.failed(exit.cause, false)
      )
  }

  /**
   * How long an error body may take: no more than half of the time that is left, so that a body
   * that never comes leaves time to say what its status says.
   */
  private errorBodyLimit(): Duration.Duration {
    const { clock, plan: { call, config }, startNanos } = this
    const { attemptMillis, totalMillis } = Answers.limitsOf(config.pipeline)
    const now = clock.unsafeCurrentTimeNanos()
    const left = Math.min(
      attemptMillis - millisSince(startNanos, now),
      totalMillis - millisSince(call.startedNanos, now)
    )
    const limit = Duration.millis(Math.max(0, left / 2))
    return Duration.min(limit, BodyPreview.defaults.bodyTimeout)
  }

  /** `isOfClient`: the client below failed, and not what read its answer. */
  private failed(cause: Cause.Cause<unknown>, isOfClient: boolean): Sent {
    const failure = Cause.failureOrCause(cause)
    if (Either.isRight(failure)) {
      if (Cause.isInterruptedOnly(failure.right)) this.plan.call.cut = true
      return Effect.failCause(failure.right)
    }
    const { left: error } = failure
    return this.judged(
      isOfClient && HttpClientError.isHttpClientError(error) ? fromClientError(error) : error
    )
  }

  private judged(error: unknown): Sent {
    const { clock, inside: { span }, plan: { call }, startNanos } = this
    const endNanos = call.lastEndNanos = clock.unsafeCurrentTimeNanos()
    if (!ApiError.isApiError(error)) return Effect.fail(error as never)
    const judged = ApiError.annotate(error, {
      endpoint: call.endpoint,
      latency: Duration.millis(millisSince(startNanos, endNanos)),
      attempts: call.sent
    })
    const found = call.body.spent() ? unrepeatable(judged) : judged
    describeFailure(span, found)
    return Effect.fail(found)
  }
}

type Sent = Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  ApiError.ApiError | UnknownOutcome
>

/** One request, and what its answer means. */
const send = (plan: Plan): Sent => {
  const { call, config } = plan
  return useSpan(`${config.name} attempt`, "client", (inside) => {
    const attempt = new Attempt(plan, inside, clockOf(inside.fiber))
    return Effect.matchEffect(call.body.open(call.request), {
      onFailure: (error) => {
        const found = unsent(call, error)
        describeFailure(inside.span, found)
        return Effect.fail(found)
      },
      onSuccess: (sending) => attempt.send(sending)
    })
  })
}

const describeFailure = (span: Tracer.Span, error: ApiError.ApiError): void => {
  const verdict = ApiError.verdict(error)
  describe(span, {
    "resilience.error": error._tag,
    "resilience.verdict": verdict._tag,
    "resilience.ambiguous": verdict._tag === "Transient" ? verdict.ambiguous : undefined
  })
}

/**
 * One attempt as the pipeline sees it. A credential that has expired is renewed once per call, and
 * the request sent once more.
 */
export const attempt = (
  plan: Plan
): Sent => {
  const { call, config: { refresh } } = plan
  const once = send(plan)
  return refresh === undefined
    ? once
    : refresh.whenRefused(once, {
      isRefused: (error) => error._tag === "Auth" && error.status === 401 && !call.body.spent(),
      call
    })
}
