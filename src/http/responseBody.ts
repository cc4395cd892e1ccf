/**
 * Limits the reading of a response that has been handed out.
 *
 * The client's own limits end with the call. What is left of them goes on for the body, so that a
 * server that stops in the middle of one holds up no caller for ever.
 */
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Stream from "effect/Stream"
import { maxTimerMillis } from "../core/backoff.js"
import * as ApiError from "../errors/ApiError.js"
import * as Timeout from "../policies/Timeout.js"

type Response = HttpClientResponse.HttpClientResponse

/** A response like this one, but for some of its members. */
export const withMembers = (
  response: Response,
  members: Partial<Response> & { readonly statusText?: string }
): Response => Object.create(response, Object.getOwnPropertyDescriptors(members)) as Response

/** Responses whose text is in memory. */
const inMemory = globalValue(
  "effect-resilience/responseBody/inMemory",
  () => new WeakSet<Response>()
)

/** Says that the text of a response has been read, and that the response keeps it. */
export const keepsText = (response: Response): Response => {
  inMemory.add(response)
  return response
}

/** The limits of the call that a response belongs to, in milliseconds, and when it began. */
export interface Limits {
  readonly attemptMillis: number
  readonly totalMillis: number
  readonly startedNanos: bigint
}

const timedOut = (response: Response, millis: number) =>
  new HttpClientError.ResponseError({
    request: response.request,
    response,
    reason: "Decode",
    cause: new ApiError.Timeout({
      message: `The body did not arrive within ${Duration.format(Duration.millis(millis))}`,
      deadline: "total",
      status: response.status,
      method: response.request.method
    })
  })

const broken = (response: Response) => (cause: unknown) =>
  new HttpClientError.ResponseError({
    request: response.request,
    response,
    reason: "Decode",
    cause
  })

type Reading<A> = Effect.Effect<A, HttpClientError.ResponseError>

/**
 * The response with limits on its body. Read as a whole it has what is left of the total, at least
 * the attempt's limit; where there is no total, and for a stream, the attempt's limit is the
 * longest silence.
 */
export const limited = (response: Response, limits: Limits): Response => {
  const { attemptMillis, startedNanos, totalMillis } = limits
  const idleMillis = Math.min(attemptMillis, totalMillis)
  if (idleMillis > maxTimerMillis || inMemory.has(response)) return response
  const stream = () =>
    Stream.timeoutFail(
      response.stream,
      () => timedOut(response, idleMillis),
      Duration.millis(idleMillis)
    )
  if (totalMillis > maxTimerMillis) return withoutTotal(response, stream)
  const atLeast = attemptMillis > maxTimerMillis ? 0 : attemptMillis
  const whole = <A>(body: Reading<A>): Reading<A> =>
    Effect.flatMap(Effect.clock, (clock) => {
      const elapsed = Number(clock.unsafeCurrentTimeNanos() - startedNanos) / 1e6
      const millis = Math.max(atLeast, totalMillis - elapsed)
      return Effect.catchTag(
        Timeout.total(body, Duration.millis(millis)),
        "Timeout",
        () => Effect.fail(timedOut(response, millis))
      )
    })
  return withMembers(response, {
    get stream() {
      return stream()
    },
    get text() {
      return whole(response.text)
    },
    get json() {
      return whole(response.json)
    },
    get arrayBuffer() {
      return whole(response.arrayBuffer)
    },
    get urlParamsBody() {
      return whole(response.urlParamsBody)
    },
    get formData() {
      return whole(response.formData)
    }
  })
}

/** Bytes in one piece. */
const joined = (chunks: Iterable<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const parts = [...chunks]
  const bytes = new Uint8Array(parts.reduce((size, { length }) => size + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const withoutTotal = (
  response: Response,
  stream: () => Stream.Stream<Uint8Array, HttpClientError.ResponseError>
): Response => {
  const bytes = Effect.runSync(Effect.cached(
    Stream.runCollect(Stream.suspend(stream)).pipe(
      Effect.map(joined),
      Effect.catchIf(
        ({ reason }) => reason === "EmptyBody",
        () => Effect.succeed(new Uint8Array())
      )
    )
  ))
  const text = Effect.map(bytes, (whole) => new TextDecoder().decode(whole))
  const parsed = <A>(parse: (text: string) => A): Reading<A> =>
    Effect.tryMap(text, { try: parse, catch: broken(response) })
  return withMembers(response, {
    get stream() {
      return stream()
    },
    text,
    json: parsed((text): unknown => text === "" ? null : JSON.parse(text)),
    arrayBuffer: Effect.map(bytes, (whole) => whole.slice().buffer),
    urlParamsBody: parsed((text) => UrlParams.fromInput(new URLSearchParams(text))),
    formData: Effect.flatMap(bytes, (whole) =>
      Effect.tryPromise({
        try: () =>
          new Response(whole, {
            headers: { "content-type": response.headers["content-type"] ?? "" }
          }).formData(),
        catch: broken(response)
      }))
  })
}
