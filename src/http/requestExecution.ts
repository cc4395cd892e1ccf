/** Runs one logical call, with the attempts that its pipeline allows. */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { ParentSpan } from "effect/Tracer"
import * as ApiError from "../errors/ApiError.js"
import * as CallFacts from "../errors/callFacts.js"
import type { UnknownOutcome } from "../errors/idempotencyErrors.js"
import { type Pipeline, protect } from "../pipeline/built.js"
import * as CallContext from "../runtime/callContext.js"
import { whenEnded } from "../runtime/ending.js"
import * as FiberLocal from "../runtime/fiberLocal.js"
import { useSpan } from "../runtime/span.js"
import { attempt, describe, type Plan, type Reading } from "./attempt.js"
import { type Call, type Config, prepare } from "./call.js"
import { directly, type Prepared } from "./direct.js"
import { identified } from "./identification.js"
import * as RequestMetadata from "./requestMetadata.js"

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

/** What telemetry files a call under, where there is telemetry to ask. */
const aboutOf = ({ endpoint, isDeclared, kid, request }: Call) => ({
  // Getters of its own, which a copy asks for: most calls are never asked.
  get endpoint() {
    return isDeclared ? endpoint : RequestMetadata.resourcesOf(endpoint)
  },
  method: request.method,
  get kid() {
    return kid()
  },
  traced: true
})

const guardKeyOf = (
  { circuitKey, origin }: Config,
  { endpoint, isRelative, request }: Call
): string =>
  isRelative && circuitKey === "origin"
    ? origin
    : RequestMetadata.guardKey(circuitKey, request.url, request.method, endpoint)

/** Everything a call can end with. */
export type Failure<E> = ApiError.ApiError | UnknownOutcome | E

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
  const guarded: Effect.Effect<HttpClientResponse.HttpClientResponse, Failure<E>> =
    unsendable !== undefined
      ? malformed(call, unsendable)
      : config.pipeline === undefined
      ? once
      : protect(
        once,
        config.pipelineFor(call.operation) as Pipeline<E>,
        {
          key: guardKeyOf(config, call),
          about: aboutOf(call)
        }
      )
  // A pipeline writes down how its attempts end. Without a stage the call comes back as it was.
  const protectedCall = guarded === once
    ? CallFacts.attempted(CallFacts.isUnsafe(call.operation))(once)
    : guarded
  return useSpan(
    `${config.name} ${call.request.method} ${call.endpoint}`,
    "internal",
    ({ fiber, restore, span }) => {
      const context = fiber.currentContext
      FiberLocal.write(fiber, FiberRef.currentContext, Context.add(context, ParentSpan, span))
      return whenEnded(restore(protectedCall), (exit) => {
        FiberLocal.write(fiber, FiberRef.currentContext, context)
        describe(span, {
          "resilience.attempts": call.sent,
          "resilience.endpoint": call.endpoint,
          "resilience.kid": span.sampled ? call.kid() : undefined,
          "resilience.operation": call.operation._tag
        })
        return Exit.isSuccess(exit) ? exit : failed(plan, exit.cause)
      })
    }
  )
}

/** Says of a failure which call it is about. An interrupted call hands out no answer. */
const failed = <E>(
  { call, config }: Plan,
  cause: Cause.Cause<Failure<E>>
): Effect.Effect<never, Failure<E>> => {
  const failure = Cause.failureOrCause(cause)
  if (Either.isLeft(failure)) {
    const { left: error } = failure
    return Effect.fail(ApiError.isApiError(error) ? identified(config, call, error) : error)
  }
  const ended = Effect.failCause(failure.right)
  return Cause.isInterruptedOnly(failure.right)
    ? Effect.zipRight(call.answers.releaseExcept(undefined), ended)
    : ended
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
): HttpClient.HttpClient.With<E2> => {
  const sending = (prepared: Prepared<E2>, read: Reading | undefined) =>
    Effect.flatMap(
      prepared,
      (request) =>
        Effect.withFiberRuntime<HttpClientResponse.HttpClientResponse, E2>((fiber) => {
          const call = prepare(config, request, fiber)
          return ending(run<E>({ config, call, upstream, keepsResponse, read }), call)
        })
    )
  return directly(
    (prepared: Prepared<E2>) =>
      Effect.withFiberRuntime((fiber) => {
        const read = CallContext.reading.of(fiber)
        const sent = sending(prepared, read)
        return read === undefined ? sent : CallContext.reading.during(sent, undefined)
      }),
    sending
  )
}
