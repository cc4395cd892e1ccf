/**
 * From a response that is not a success to the right `ApiError`.
 *
 * The status alone always decides a tag; the body and the headers can only make it more exact. So a
 * body that is empty, HTML, cut short or not what it says it is costs nothing but detail.
 *
 * @since 0.1.0
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as ApiError from "../errors/ApiError.js"
import * as RateLimitFields from "../core/rateLimitFields.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as Playbook from "../errors/Playbook.js"
import { withRawBody } from "../errors/rawBody.js"
import { decode, type Decoder, type ErrorBody, ofSeconds } from "./errorBody.js"
import { readFront } from "./bodyPreview.js"
import * as IdempotencyTypes from "./idempotencyTypes.js"

export { anyErrorBody, decode } from "./errorBody.js"
export { defaults } from "./bodyPreview.js"
export type { Decoder, ErrorBody, Issue } from "./errorBody.js"

/**
 * Response headers that an error keeps: what helps to understand it, nothing that could be a
 * credential.
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
 * Everything an error is made from. `scrub` removes secrets from texts that the API wrote;
 * `headers` have lower-case names.
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

const own = <A>(
  record: Readonly<Record<string, A>> | undefined,
  key: string | undefined
): A | undefined =>
  record !== undefined && key !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

/**
 * The row of the status, corrected by what the body's type and code say; and whether anybody has
 * spoken at all.
 */
const rowOf = (playbook: Playbook.Playbook, { body, status }: Answer) => {
  const byType = own(playbook.byCode, body.type)
  const byCode = own(playbook.byCode, body.code)
  const row: Playbook.Entry = { ...Playbook.lookup(playbook, status), ...byType, ...byCode }
  const spoken = Object.hasOwn(playbook.byStatus, status) ||
    (byCode?.repeat ?? byType?.repeat) !== undefined
  return { row, repeat: spoken ? row.repeat : undefined }
}

const waitInMessage = (
  playbook: Playbook.Playbook,
  message: string | undefined
): Duration.Duration | undefined => {
  const pattern = playbook.retryAfterInMessage
  if (message === undefined || pattern === undefined) return undefined
  // A copy: a pattern with the flag g remembers where it stopped, and one call must not depend on
  // the call before it.
  const seconds = Number(
    new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(message)?.[1] ?? Number.NaN
  )
  return Number.isFinite(seconds) && seconds >= 0 ? ofSeconds(seconds) : undefined
}

/**
 * Retry-After, else the rate-limit fields (they speak of limits, so only where a limit was hit),
 * else what the body says.
 */
const waitOf = (
  playbook: Playbook.Playbook,
  answer: Answer,
  limits: RateLimitFields.Fields | undefined
) => {
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
 * Whether the same request under the same key will be answered like this for ever. A replayed
 * failure is one that the server keeps (the header is that of the standard and of Stripe).
 */
const isSettled = ({ body, headers }: Answer): boolean =>
  /^\s*(?:true|\?1)\s*$/i.test(headers["idempotent-replayed"] ?? "") ||
  [body.type, body.code].some((word) => word !== undefined && IdempotencyTypes.isSettled(word))

/** The tags that carry nothing beside the common context. */
const plain = { Auth: ApiError.Auth, Policy: ApiError.Policy, NotFound: ApiError.NotFound }

/**
 * The error that an answer means, by a playbook. Total: any status and any body give one of the
 * ten. O(body).
 *
 * @since 0.1.0
 * @category constructors
 */
export const toApiError = (
  answer: Answer,
  playbook: Playbook.Playbook = Playbook.standard
): ApiError.ApiError => {
  const { body, headers, status } = answer
  const scrub = answer.scrub ?? identity
  const scrubbed = (text: string | undefined) => text === undefined ? undefined : scrub(text)
  const { repeat, row } = rowOf(playbook, answer)
  const requestId = body.requestId ??
    requestIdHeaders.map((name) => headers[name]).find((value) =>
      value !== undefined && value.trim() !== ""
    )
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
    repeat: isSettled(answer) ? "never" as const : repeat
  })
  switch (row.tag) {
    case "Validation": {
      const issues = (body.issues ?? []).map(({ message, path }) => ({
        path: scrub(path),
        message: scrub(message)
      }))
      return new ApiError.Validation({ ...context, issues })
    }
    case "Conflict": {
      const codes = playbook.inFlightCodes ?? []
      const inFlight = status === 409 &&
        [body.code, body.type].some((code) => code !== undefined && codes.includes(code))
      const retryAfter = waitOf(playbook, answer, undefined)
      return new ApiError.Conflict(
        known({
          ...context,
          repeat: inFlight ? "transient" as const : context.repeat,
          inFlight,
          retryAfter
        })
      )
    }
    case "Locked":
      return new ApiError.Locked(
        known({ ...context, retryAfter: waitOf(playbook, answer, undefined) })
      )
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
      return new plain[row.tag](context)
  }
}

/**
 * How a response is read: by which playbook and decoder, up to how many bytes, and what else is
 * known about the call.
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
 * Reads a response that is not a success and says what it means. The body's first bytes stay
 * available through `ApiError.rawBody`.
 *
 * @since 0.1.0
 * @category reading
 */
export const read = (
  response: HttpClientResponse.HttpClientResponse,
  options: ReadOptions = {}
): Effect.Effect<ApiError.ApiError> =>
  Effect.flatMap(
    readFront(response, options.maxBodyBytes),
    (bytes) => fromBytes(response, bytes, options)
  )

/**
 * The error of a response whose body has been read.
 *
 * @internal
 */
export const fromBytes = (
  response: Pick<HttpClientResponse.HttpClientResponse, "status" | "headers">,
  bytes: Uint8Array,
  options: ReadOptions
): Effect.Effect<ApiError.ApiError> =>
  Effect.zipWith(
    decode(bytes, { contentType: response.headers["content-type"], schema: options.errorBody }),
    Clock.currentTimeMillis,
    (body, nowMillis) =>
      withRawBody(
        toApiError(
          { ...options, status: response.status, headers: response.headers, body, nowMillis },
          options.playbook
        ),
        bytes
      )
  )
