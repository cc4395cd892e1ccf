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
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ApiError from "../ApiError.js"
import * as RateLimitFields from "../core/rateLimitFields.js"
import * as RetryAfter from "../core/retryAfter.js"
import * as Playbook from "../Playbook.js"

/**
 * What an error body can say. `type` is a coarser word beside `code`, where an API has both; it decides the tag before the status does.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorBody {
  readonly message?: string | undefined
  readonly code?: string | undefined
  readonly type?: string | undefined
  readonly requestId?: string | undefined
  readonly issues?: ReadonlyArray<Issue> | undefined
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * One thing that is wrong with a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Issue {
  readonly path: string
  readonly message: string
}

/**
 * A schema that reads error bodies, whatever they look like in JSON.
 *
 * @since 0.1.0
 * @category models
 */
export type Decoder = Schema.Schema<ErrorBody, any>

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

// ---------------------------------------------------------------------------------------------------------------------------------------------
// bodies
// ---------------------------------------------------------------------------------------------------------------------------------------------

/** A field that counts when it is what we hope for and is absent when it is not: one odd field must not cost the others. */
const lenient = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownOption(schema)
  return Schema.optionalWith(
    Schema.transform(Schema.Unknown, Schema.UndefinedOr(Schema.typeSchema(schema)), {
      strict: true,
      decode: (input) => Option.getOrUndefined(decode(input)),
      encode: identity
    }),
    { default: () => undefined }
  )
}

const Text = Schema.String.pipe(Schema.filter((text) => text.trim() !== ""))
const Code = Schema.Union(
  Text,
  Schema.transform(Schema.Number, Schema.String, { strict: true, decode: String, encode: Number })
)
const Seconds = Schema.Number.pipe(Schema.finite(), Schema.nonNegative())

const RawIssue = Schema.Struct({
  path: lenient(Schema.Union(Text, Schema.Array(Schema.Union(Schema.String, Schema.Number)))),
  pointer: lenient(Text),
  field: lenient(Text),
  message: lenient(Text),
  detail: lenient(Text)
})

/** `[{ path, message }]` in its many spellings, a list of sentences, or a map from field to sentences. */
const RawIssues = Schema.Union(
  Schema.Array(Schema.Union(Text, RawIssue)),
  Schema.Record({ key: Schema.String, value: Schema.Union(Text, Schema.Array(Text)) })
)

const common = {
  message: lenient(Schema.Union(Text, Schema.Array(Text))),
  detail: lenient(Text),
  title: lenient(Text),
  code: lenient(Code),
  type: lenient(Text),
  request_id: lenient(Code),
  requestId: lenient(Code),
  issues: lenient(RawIssues),
  errors: lenient(RawIssues),
  retry_after: lenient(Seconds),
  retryAfter: lenient(Seconds)
}

const RawBody = Schema.Struct({
  ...common,
  statusCode: lenient(Schema.Number),
  error: lenient(Schema.Union(Text, Schema.Struct(common)))
})

const issueOf = (raw: string | typeof RawIssue.Type): Issue => {
  if (typeof raw === "string") return { path: "", message: raw }
  const path = raw.path ?? raw.pointer ?? raw.field ?? ""
  return {
    path: typeof path === "string" ? path : path.join("."),
    message: raw.message ?? raw.detail ?? "is not valid"
  }
}

const issuesOf = (raw: typeof RawIssues.Type | undefined): ReadonlyArray<Issue> | undefined => {
  if (raw === undefined) return undefined
  if (isList(raw)) return raw.map(issueOf)
  return Object.entries(raw).flatMap(([path, messages]) =>
    (typeof messages === "string" ? [messages] : messages).map((message) => ({ path, message }))
  )
}

const isList = <A>(value: A): value is Extract<A, ReadonlyArray<unknown>> => Array.isArray(value)

const toBody = (raw: typeof RawBody.Type): ErrorBody => {
  const nested = typeof raw.error === "object" ? raw.error : undefined
  const said = nested ?? raw
  const sentences = said.message ?? (nested === undefined ? undefined : raw.message)
  const sentence = typeof sentences === "string" ? sentences : sentences?.join("; ")
  const problem = said.detail ?? said.title
  // `error` is the name of the error where a message stands beside it, and the message itself where none does.
  const name = typeof raw.error === "string" ? raw.error : undefined
  const message = sentence ?? problem ?? name
  const type = said.type === "about:blank" ? undefined : said.type
  const seconds = said.retry_after ?? said.retryAfter ?? raw.retry_after ?? raw.retryAfter
  return {
    message,
    code: said.code ?? (message === name ? undefined : name) ?? type,
    type: nested === undefined ? undefined : type,
    requestId: said.request_id ?? said.requestId ?? raw.request_id ?? raw.requestId,
    issues: issuesOf(said.issues ?? said.errors ?? raw.issues ?? raw.errors) ??
      (sentences !== undefined && typeof sentences !== "string" ? sentences.map(issueOf) : undefined),
    retryAfter: seconds === undefined ? undefined : Duration.seconds(seconds)
  }
}

/**
 * The default decoder of error bodies.
 *
 * **Details**
 *
 * Reads `{ error: { type, message, code } }`, `{ statusCode, error, message }`, `{ error: "..." }`, RFC 9457 problem details (`type` is the code,
 * `detail` or `title` the message) and their mixtures. A field of an unexpected type counts as absent. Decodes only: encoding fails.
 *
 * @since 0.1.0
 * @category schemas
 */
export const anyErrorBody: Schema.Schema<ErrorBody, unknown> = Schema.transformOrFail(
  Schema.Unknown,
  Schema.Unknown as Schema.Schema<ErrorBody, unknown>,
  {
    strict: true,
    decode: (input) => ParseResult.map(ParseResult.decodeUnknown(RawBody)(input), toBody),
    encode: (body, _, ast) => ParseResult.fail(new ParseResult.Forbidden(ast, body, "error bodies are only read"))
  }
)

const charsetOf = (contentType: string | undefined): string =>
  /charset\s*=\s*"?([^\s";]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8"

const textOf = (bytes: Uint8Array, contentType: string | undefined): string => {
  try {
    return new TextDecoder(charsetOf(contentType)).decode(bytes)
  } catch {
    return new TextDecoder().decode(bytes)
  }
}

/**
 * What a body says, or nothing when it is empty, not JSON or does not fit. O(body).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (
  bytes: Uint8Array,
  options: { readonly contentType?: string | undefined; readonly schema?: Decoder | undefined }
): Effect.Effect<ErrorBody> =>
  Effect.suspend(() => {
    let json: unknown
    try {
      json = JSON.parse(textOf(bytes, options.contentType))
    } catch {
      return Effect.succeed({})
    }
    return Effect.orElseSucceed(Schema.decodeUnknown(options.schema ?? anyErrorBody)(json), () => ({}))
  })

// ---------------------------------------------------------------------------------------------------------------------------------------------
// classification
// ---------------------------------------------------------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------------------------------

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
