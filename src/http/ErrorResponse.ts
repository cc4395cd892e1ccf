/**
 * From a response that is not a success to the right `ApiError`.
 *
 * The status alone always decides a tag; the body and the headers can only make it more exact. So a body that is empty, HTML, cut short or not
 * what it says it is costs nothing but detail.
 *
 * @since 0.1.0
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Stream from "effect/Stream"
import * as ApiError from "../ApiError.js"
import * as RateLimitFields from "../core/rateLimitFields.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as Playbook from "../Playbook.js"
import { decode, type Decoder, type ErrorBody } from "./errorBody.js"

export { anyErrorBody, decode } from "./errorBody.js"
export type { Decoder, ErrorBody, Issue } from "./errorBody.js"

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** How much of an error body is read. */
  maxBodyBytes: 65_536,
  /** How much more is read and thrown away so that the connection can be used again; beyond it the body is cancelled. */
  drainBytes: 65_536,
  /** How long a body may take to arrive before the error is made without the rest. */
  bodyTimeout: Duration.seconds(5)
} as const

/**
 * Response headers that an error keeps: what helps to understand it, nothing that could be a credential.
 *
 * @since 0.1.0
 * @category defaults
 */
export const keptHeaders: ReadonlyArray<string | RegExp> = [
  "content-type",
  "date",
  "etag",
  "retry-after",
  "server",
  "via",
  "idempotent-replayed",
  "x-request-id",
  "request-id",
  "x-correlation-id",
  "traceparent",
  "cf-ray",
  /^(x-)?ratelimit(-|$)/
]

/** Where a request id is looked for when the body has none. */
const requestIdHeaders = ["x-request-id", "request-id", "x-correlation-id", "traceparent"] as const

/**
 * Everything an error is made from. `scrub` removes secrets from texts that the API wrote; `headers` have lower-case names.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: ErrorBody
  readonly nowMillis: number
  readonly method?: string | undefined
  readonly endpoint?: string | undefined
  readonly latency?: Duration.Duration | undefined
  readonly scrub?: ((text: string) => string) | undefined
}

const own = <A>(record: Readonly<Record<string, A>> | undefined, key: string | undefined): A | undefined =>
  record !== undefined && key !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

/** The row of the status, corrected by what the body's type and code say; and whether anybody has spoken at all. */
const rowOf = (playbook: Playbook.Playbook, { body, status }: Answer) => {
  const byType = own(playbook.byCode, body.type)
  const byCode = own(playbook.byCode, body.code)
  const row: Playbook.Entry = { ...Playbook.lookup(playbook, status), ...byType, ...byCode }
  const spoken = Object.hasOwn(playbook.byStatus, status) || (byCode?.repeat ?? byType?.repeat) !== undefined
  return { row, repeat: spoken ? row.repeat : undefined }
}

const waitInMessage = (playbook: Playbook.Playbook, message: string | undefined): Duration.Duration | undefined => {
  const found = message === undefined ? null : message.match(playbook.retryAfterInMessage ?? /(?!)/)
  const seconds = Number(found?.[1] ?? NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? Duration.seconds(seconds) : undefined
}

/** Retry-After, else the rate-limit fields (they speak of limits, so only where a limit was hit), else what the body says. */
const waitOf = (playbook: Playbook.Playbook, answer: Answer, limits: RateLimitFields.Fields | undefined) => {
  const context = { nowMillis: answer.nowMillis, dateHeader: answer.headers.date }
  const millis = RetryAfter.parse(answer.headers["retry-after"], context) ?? limits?.resetMillis
  // A date cannot be read as a wait where nobody says what time it is.
  return millis === undefined || Number.isNaN(millis)
    ? answer.body.retryAfter ?? waitInMessage(playbook, answer.body.message)
    : Duration.millis(millis)
}

/** Without the fields that nobody knows, so that an error prints what it says and no more. */
const known = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

const isKept = (name: string): boolean =>
  keptHeaders.some((kept) => typeof kept === "string" ? kept === name : name.search(kept) !== -1)

/**
 * The error that an answer means, by a playbook. Total: any status and any body give one of the ten. O(body).
 *
 * @since 0.1.0
 * @category constructors
 */
export const toApiError = (answer: Answer, playbook: Playbook.Playbook = Playbook.standard): ApiError.ApiError => {
  const { body, headers, status } = answer
  const scrub = answer.scrub ?? identity
  const scrubbed = (text: string | undefined) => text === undefined ? undefined : scrub(text)
  const { repeat, row } = rowOf(playbook, answer)
  const requestId = body.requestId ?? requestIdHeaders.map((name) => headers[name]).find((value) => value !== undefined)
  const context = known({
    message: scrubbed(body.message) ?? `${row.meaning} (HTTP ${status})`,
    status,
    code: scrubbed(body.code),
    requestId: scrubbed(requestId),
    endpoint: scrubbed(answer.endpoint),
    method: answer.method,
    latency: answer.latency,
    headers: Object.fromEntries(
      Object.entries(headers).flatMap(([name, value]) =>
        value !== undefined && isKept(name) ? [[name, scrub(value)] as const] : []
      )
    ),
    // A replayed failure will be replayed again: the server keeps the outcome, and this key will never get another.
    repeat: headers["idempotent-replayed"] === "true" && status >= 500 ? "never" as const : repeat
  })
  switch (row.tag) {
    case "Validation": {
      const issues = (body.issues ?? []).map(({ message, path }) => ({ path: scrub(path), message: scrub(message) }))
      return new ApiError.Validation({ ...context, issues })
    }
    case "Conflict": {
      const codes = playbook.inFlightCodes ?? []
      const inFlight = [body.code, body.type].some((code) => code !== undefined && codes.includes(code))
      const retryAfter = waitOf(playbook, answer, undefined)
      return new ApiError.Conflict(
        known({ ...context, repeat: inFlight ? "transient" as const : context.repeat, inFlight, retryAfter })
      )
    }
    case "Locked":
      return new ApiError.Locked(known({ ...context, retryAfter: waitOf(playbook, answer, undefined) }))
    case "RateLimit": {
      const limits = RateLimitFields.parse(headers, {
        nowMillis: answer.nowMillis,
        dateHeader: headers.date,
        resetHeaders: playbook.resetHeaders
      })
      return new ApiError.RateLimit(
        known({
          ...context,
          retryAfter: waitOf(playbook, answer, limits),
          limit: limits.limit,
          remaining: limits.remaining
        })
      )
    }
    case "Server":
      return new ApiError.Server(
        known({
          ...context,
          retryAfter: waitOf(playbook, answer, undefined),
          gateway: status === 504 ? true : undefined
        })
      )
    case "Timeout":
      return new ApiError.Timeout({ ...context, deadline: "server" })
    case "Network":
      return new ApiError.Network({ ...context, sent: "unknown" })
    case "Auth":
    case "Policy":
    case "NotFound":
      return new ApiError[row.tag](context)
  }
}

/** Bytes of the front of a body, and whether there was more. */
interface Front {
  readonly bytes: Uint8Array
  readonly complete: boolean
}

/**
 * The first `maxBytes` of a body. A small rest is drained so that the connection can be used again; a large one is cancelled. A body that
 * breaks off or takes too long gives what had arrived.
 *
 * @since 0.1.0
 * @category reading
 */
export const readFront = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number = defaults.maxBodyBytes
): Effect.Effect<Front> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    let ended = false
    const read = Stream.runForEachWhile(response.stream, (chunk) =>
      Effect.sync(() => {
        if (size < maxBytes) chunks.push(chunk.subarray(0, maxBytes - size))
        size += chunk.length
        return size <= maxBytes + defaults.drainBytes
      }))
    return read.pipe(
      Effect.tap(() => Effect.sync(() => void (ended = size <= maxBytes))),
      Effect.timeoutOption(defaults.bodyTimeout),
      Effect.ignore,
      Effect.map(() => ({ bytes: concat(chunks), complete: ended }))
    )
  })

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0))
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}

/**
 * How a response is read: by which playbook and decoder, up to how many bytes, and what else is known about the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReadOptions extends Pick<Answer, "method" | "endpoint" | "latency" | "scrub"> {
  readonly playbook?: Playbook.Playbook | undefined
  readonly errorBody?: Decoder | undefined
  readonly maxBodyBytes?: number | undefined
}

/**
 * Reads a response that is not a success and says what it means. The body's first bytes stay available through `ApiError.rawBody`.
 *
 * @since 0.1.0
 * @category reading
 */
export const read = (
  response: HttpClientResponse.HttpClientResponse,
  options: ReadOptions = {}
): Effect.Effect<ApiError.ApiError> =>
  Effect.flatMap(readFront(response, options.maxBodyBytes), ({ bytes }) => fromBytes(response, bytes, options))

/** The error of a response whose body has been read. */
export const fromBytes = (
  response: Pick<HttpClientResponse.HttpClientResponse, "status" | "headers">,
  bytes: Uint8Array,
  options: ReadOptions
): Effect.Effect<ApiError.ApiError> =>
  Effect.zipWith(
    decode(bytes, { contentType: response.headers["content-type"], schema: options.errorBody }),
    Clock.currentTimeMillis,
    (body, nowMillis) =>
      ApiError.withRawBody(
        toApiError(
          { ...options, status: response.status, headers: response.headers, body, nowMillis },
          options.playbook
        ),
        bytes
      )
  )
