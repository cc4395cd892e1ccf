/**
 * Makes the right `ApiError` from a response that is not a success.
 *
 * The status alone decides the error class; the body and the headers can only make it more exact. A
 * body that is empty, HTML, cut short or of another type than it says costs only detail.
 *
 * @since 0.1.0
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as RateLimitFields from "../core/rateLimitFields.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as ApiError from "../errors/ApiError.js"
import * as Facts from "../errors/failureFacts.js"
import * as Playbook from "../errors/Playbook.js"
import { withRawBody } from "../errors/rawBody.js"
import { withStory } from "../errors/story.js"
import { readFront } from "./bodyPreview.js"
import { decode, type Decoder, type ErrorBody, ofSeconds } from "./errorBody.js"
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
  "retry-after-ms",
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
 * The facts that an error is made from. `scrub` removes secrets from texts that the API wrote;
 * `headers` have lower-case names.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  /** The status of the response. */
  readonly status: number
  /** The response headers, with names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** What the error body says. */
  readonly body: ErrorBody
  /** The time of the answer, in epoch milliseconds. */
  readonly nowMillis: number
  /** The HTTP method of the request. */
  readonly method?: string | undefined
  /** The template of the path. */
  readonly endpoint?: string | undefined
  /** How long the attempt took. */
  readonly latency?: Duration.Duration | undefined
  /** Removes secrets from the texts of the API. Default: leaves them as they are. */
  readonly scrub?: ((text: string) => string) | undefined
}

const own = <A>(
  record: Readonly<Record<string, A>> | undefined,
  key: string | undefined
): A | undefined =>
  record !== undefined && key !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

/** What the headers change about a row: the first `when` that matches. */
const byHeader = (
  { when }: Partial<Playbook.Entry>,
  headers: Answer["headers"]
): Partial<Playbook.Entry> =>
  when?.find(({ header, is }) =>
    headers[header.toLowerCase()]?.trim().toLowerCase() === is.trim().toLowerCase()
  )?.then ?? {}

/** A status whose standard meaning is that of the tag, for a row that only changes the tag. */
const exemplary: Partial<Readonly<Record<ApiError.ApiError["_tag"], number>>> = {
  Auth: 401,
  Policy: 403,
  Validation: 422,
  NotFound: 404,
  Conflict: 409,
  Locked: 423,
  RateLimit: 429,
  Server: 500,
  Timeout: 408
}

/** A change of the tag by a header brings the meaning of that tag, and its own word on `repeat`. */
const whole = (row: Playbook.Entry, then: Partial<Playbook.Entry>): Partial<Playbook.Entry> => {
  const status = then.tag === undefined || then.tag === row.tag ? undefined : exemplary[then.tag]
  return status === undefined ? then : { ...Playbook.entry(status), ...then }
}

/**
 * The row of the status, corrected by what the headers and then the body's type and code say;
 * whether to repeat it, where the playbook says so; and whether words of the body changed the tag.
 */
const rowOf = (playbook: Playbook.Playbook, { body, headers, status }: Answer) => {
  const base = Playbook.lookup(playbook, status)
  const seen = byHeader(base, headers)
  const words = { ...own(playbook.byCode, body.type), ...own(playbook.byCode, body.code) }
  const said = { ...words, ...byHeader(words, headers) }
  const row: Playbook.Entry = { ...base, ...whole(base, seen), ...said }
  const listed = Object.hasOwn(playbook.byStatus, status) ? base.repeat : undefined
  const changed = seen.tag !== undefined && seen.tag !== base.tag
  return {
    row,
    repeat: said.repeat ?? seen.repeat ?? (changed ? undefined : listed),
    byWords: said.tag !== undefined && said.tag !== base.tag
  }
}

/** What a header such as `x-should-retry` says. */
const shouldRetry = (playbook: Playbook.Playbook, headers: Answer["headers"]) => {
  const value = headers[playbook.retryHeader?.toLowerCase() ?? ""]?.trim().toLowerCase()
  return value === "true" || value === "?1" ?
    true
    : value === "false" || value === "?0"
    ? false
    : undefined
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

/** A wait that the body gives in seconds, or as a moment where it is too long for a wait. */
const bodyWait = (
  duration: Duration.Duration | undefined,
  now: RetryAfter.Now
): number | undefined => {
  if (duration === undefined) return undefined
  const millis = Duration.toMillis(duration)
  return Number.isFinite(millis)
    ? RetryAfter.anyForm((millis / 1000).toFixed(6), now, "seconds")
    : millis
}

/** Rate-limit fields speak of limits: where none was hit, only a quota that is spent counts. */
const limitsOf = (
  playbook: Playbook.Playbook,
  { headers, nowMillis }: Answer,
  onlySpent: boolean
) =>
  RateLimitFields.parse(headers, {
    nowMillis,
    dateHeader: headers.date,
    resetHeaders: playbook.resetHeaders,
    onlySpent
  })

/**
 * The wait that the server sent: Retry-After, else `retry-after-ms`, else the rate-limit fields,
 * else what the body says; and without any of them what the row says.
 */
const waitOf = (playbook: Playbook.Playbook, answer: Answer, row: Playbook.Entry) => {
  const { body, headers, nowMillis } = answer
  const now = { nowMillis, dateHeader: headers.date }
  const limits = (): number | undefined =>
    ["RateLimit", "Server", "Timeout"].includes(row.tag)
      ? limitsOf(playbook, answer, row.tag !== "RateLimit").resetMillis
      : undefined
  const sources = [
    () => RetryAfter.ofHeaders(headers, nowMillis),
    limits,
    () => bodyWait(body.retryAfter, now),
    () => bodyWait(waitInMessage(playbook, body.message), now)
  ]
  for (const source of sources) {
    const millis = source()
    // A date cannot be read as a wait where no clock is known.
    if (millis !== undefined && !Number.isNaN(millis)) return Duration.millis(millis)
  }
  return row.wait === undefined
    ? undefined
    : Option.getOrUndefined(Duration.decodeUnknown(row.wait))
}

/** Drops unknown fields, so that an error prints only what is known. */
const known = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

const isKept = (name: string): boolean =>
  keptHeaders.some((kept) => typeof kept === "string" ? kept === name : name.search(kept) !== -1)

/**
 * Tests whether the same request under the same key will be answered like this for ever. A replayed
 * failure is one that the server keeps (the header is that of the standard and of Stripe).
 */
const isSettled = ({ body, headers }: Answer): boolean =>
  /^\s*(?:true|\?1)\s*$/i.test(headers["idempotent-replayed"] ?? "") ||
  [body.type, body.code].some((word) => word !== undefined && IdempotencyTypes.isSettled(word))

/**
 * Tests whether to repeat, by the strictest word first: a stored failure, the API's header, what
 * the playbook says. A 413 with a wait in its headers is left to the verdict: it passes.
 */
const repeatOf = (
  playbook: Playbook.Playbook,
  answer: Answer,
  repeat: Playbook.Entry["repeat"] | undefined
): Playbook.Entry["repeat"] | undefined => {
  if (isSettled(answer)) return "never"
  const told = shouldRetry(playbook, answer.headers)
  if (told !== undefined) return told ? "transient" : "never"
  const passes = answer.status === 413 &&
    RetryAfter.ofHeaders(answer.headers, answer.nowMillis) !== undefined
  return passes ? undefined : repeat
}

/** The tags that carry nothing beside the common context. */
const plain = { Auth: ApiError.Auth, Policy: ApiError.Policy, NotFound: ApiError.NotFound }

/**
 * Makes the error that an answer means, by a playbook. Total: any status and any body give one of
 * the ten classes. O(body).
 *
 * @since 0.1.0
 * @category constructors
 */
export const toApiError = (
  answer: Answer,
  playbook: Playbook.Playbook = Playbook.standard
): ApiError.ApiError => {
  const error = errorOf(answer, playbook)
  return answer.body.message === undefined ? error : withStory(error, { quotes: true })
}

const errorOf = (answer: Answer, playbook: Playbook.Playbook): ApiError.ApiError => {
  const { body, headers, status } = answer
  const scrub = answer.scrub ?? identity
  const scrubbed = (text: string | undefined) => text === undefined ? undefined : scrub(text)
  const { byWords, repeat, row } = rowOf(playbook, answer)
  const told = shouldRetry(playbook, headers)
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
        // A name of the server's own may repeat a secret as well.
        value !== undefined && isKept(name) && scrub(name) === name
          ? [[name, scrub(value)] as const]
          : []
      )
    ),
    repeat: repeatOf(playbook, answer, repeat),
    retryAfter: waitOf(playbook, answer, row),
    // Where the API's own words decide, they also say that the server did nothing.
    mayHaveRun: playbook.bodyTypesDecide === true && byWords && Facts.leavesOpen(status) &&
        !["Server", "Timeout", "Network"].includes(row.tag)
      ? false
      : undefined
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
      return new ApiError.Conflict(
        known({
          ...context,
          repeat: inFlight && told !== false ? "transient" as const : context.repeat,
          inFlight
        })
      )
    }
    case "Locked":
      return new ApiError.Locked(context)
    case "RateLimit": {
      const { limit, remaining } = limitsOf(playbook, answer, false)
      return new ApiError.RateLimit(known({ ...context, limit, remaining }))
    }
    case "Server":
      return new ApiError.Server(
        known({ ...context, gateway: status === 504 ? true : undefined })
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
 * The options of reading a response: playbook, decoder, size limit, and what else is known about
 * the call.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReadOptions extends Pick<Answer, "method" | "endpoint" | "latency" | "scrub"> {
  /** What the statuses mean. Default `Playbook.standard`. */
  readonly playbook?: Playbook.Playbook | undefined
  /** Reads the error body. Default `anyErrorBody`. */
  readonly errorBody?: Decoder | undefined
  /** How much of the body is read, in bytes. Default 65,536. */
  readonly maxBodyBytes?: number | undefined
}

/**
 * Reads a response that is not a success and makes its error. The first bytes of the body stay
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
 * Makes the error of a response whose body has been read.
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
          {
            ...options,
            status: response.status,
            headers: RetryAfter.headersOf(response),
            body,
            nowMillis
          },
          options.playbook
        ),
        bytes
      )
  )
