/**
 * Problem details for HTTP APIs (RFC 9457): one JSON document that says what went wrong, written by
 * servers and read by clients.
 *
 * A status is too coarse for a program, and a sentence is too vague. The `type` of a problem is a
 * word that a program can rely on. Everything else in the document is for people, or an extension
 * that belongs to the type.
 *
 * @since 0.1.0
 */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Redaction from "../errors/Redaction.js"
import { readFront } from "./bodyPreview.js"
import * as ErrorBody from "./errorBody.js"
import { typeOf } from "./idempotencyTypes.js"

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** A problem that says no more than its status (RFC 9457 section 4.2.1). */
  type: "about:blank",
  /** The status of a problem that names none. */
  status: 500,
  /** The media type of a problem document (RFC 9457). */
  contentType: "application/problem+json"
} as const

const isStatus = (value: number): boolean => Number.isInteger(value) && value >= 100 && value <= 599

const Document = Schema.Struct(
  {
    /** The type of the problem, a URI. `about:blank` says no more than the status. */
    type: Schema.String,
    /** A short summary of the type. */
    title: Schema.optional(Schema.String),
    /** The status of the response. */
    status: Schema.optional(Schema.Number.pipe(Schema.filter(isStatus))),
    /** What went wrong this time, in words. */
    detail: Schema.optional(Schema.String),
    /** A URI of this occurrence. */
    instance: Schema.optional(Schema.String)
  },
  { key: Schema.String, value: Schema.Unknown }
)

/**
 * One problem. `type` is a URI reference that names the kind, `title` says the kind in words and is
 * the same for every problem of it, `detail` says what happened this time, `instance` names this
 * occurrence. Other members are extensions.
 *
 * @since 0.1.0
 * @category models
 */
export type ProblemDetails = typeof Document.Type

const texts = ["type", "title", "detail", "instance"] as const

/** RFC 9457 section 3.1: a member whose value is of the wrong type is ignored, and so is a null. */
const read = (json: Readonly<Record<string, unknown>>): ProblemDetails => {
  const { detail: _d, instance: _i, status, title: _t, type: _y, ...extensions } = json
  const said = texts.flatMap((name) =>
    typeof json[name] === "string" ? [[name, json[name]] as const] : []
  )
  return {
    ...extensions,
    type: defaults.type,
    ...(typeof status === "number" && isStatus(status) ? { status } : {}),
    ...Object.fromEntries(said)
  }
}

/**
 * The document as a Schema.
 *
 * **Details**
 *
 * Reads leniently, as RFC 9457 section 3.1 asks of readers: a member of an unexpected type counts
 * as absent, a missing `type` is `about:blank`, and extensions are kept as they are. Fails only on
 * what is no JSON object.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ProblemDetails: Schema.Schema<ProblemDetails, { readonly [name: string]: unknown }> =
  Schema.transform(
    Schema.Record({ key: Schema.String, value: Schema.Unknown }),
    Schema.typeSchema(Document),
    { strict: true, decode: read, encode: identity }
  )

/**
 * Status phrases (RFC 9110 section 15, RFC 6585), the titles of problems that have no type of their
 * own.
 */
const phrases: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  423: "Locked",
  425: "Too Early",
  428: "Precondition Required",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout"
}

/**
 * Makes a problem that says no more than its status, with the status phrase as its title.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofStatus = (status: number, detail?: string): ProblemDetails => ({
  type: defaults.type,
  ...(phrases[status] === undefined ? {} : { title: phrases[status] }),
  status,
  ...(detail === undefined ? {} : { detail })
})

const isUri = (code: string | undefined): code is string =>
  code !== undefined && /^[a-z][a-z0-9+.-]*:\S+$/i.test(code)

/**
 * What the tag alone answers with; an unexpected 1xx or 3xx from upstream is no status of an error.
 */
const statusOf = (error: ApiError.ApiError): number => {
  if (error.status !== undefined && error.status >= 400 && isStatus(error.status)) {
    return error.status
  }
  const Class = ApiError.ApiError.members.find((member) => error instanceof member)
  return Class === undefined ? defaults.status : HttpApiSchema.getStatusErrorAST(Class.ast)
}

/** Whole seconds, and none too early. */
const seconds = (wait: Duration.Duration): number =>
  Math.min(Math.ceil(Duration.toSeconds(wait)), Number.MAX_SAFE_INTEGER)

/**
 * Makes the problem for a failure of an upstream API, for an answer of your own server.
 *
 * **Details**
 *
 * The status is the one that the API answered with, else the one that the tag stands for. A code
 * that is a URI becomes the type, any other the extension `code`. Issues, the request id and the
 * wait go along as `issues`, `requestId` and `retryAfter` (seconds). Stack, headers, raw body, the
 * address and everything else that an `ApiError` knows about our side stays here. The message is
 * the client's, which has scrubbed it of what it sent; `secrets` are scrubbed in addition.
 *
 * **Gotchas**
 *
 * It repeats the API's message. For a document that end users see, replace `detail` by a sentence
 * of your own.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromApiError = (
  error: ApiError.ApiError,
  options: {
    /**
     * Values to remove from the texts, besides those that the client has removed. Default: none.
     */
    readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  } = {}
): ProblemDetails => {
  const scrub = Redaction.scrubber((options.secrets ?? []).map(Redacted.value))
  const code = error.code === undefined ? undefined : scrub(error.code)
  const wait = "retryAfter" in error ? error.retryAfter : undefined
  const running = error._tag === "Conflict" && error.inFlight && !isUri(code)
    ? typeOf("in-flight")
    : undefined
  const type = running ?? (isUri(code) ? code : undefined)
  return {
    ...ofStatus(statusOf(error), scrub(error.message)),
    ...(type === undefined ? {} : { type }),
    ...(code === undefined || code === type ? {} : { code }),
    ...(error.requestId === undefined ? {} : { requestId: scrub(error.requestId) }),
    ...(wait === undefined ? {} : { retryAfter: seconds(wait) }),
    ...(error._tag === "Validation" && error.issues.length > 0
      ? {
        issues: error.issues.map(({ message, path }) => ({
          path: scrub(path),
          message: scrub(message)
        }))
      }
      : {})
  }
}

/** An extension that JSON cannot write costs the extensions and not the answer. */
const written = (problem: ProblemDetails): string => {
  try {
    return JSON.stringify(problem)
  } catch {
    const { detail, instance, status, title, type } = problem
    return JSON.stringify({ type, title, status, detail, instance })
  }
}

/**
 * Makes the response of a server: the problem as `application/problem+json` under its status, 500
 * where it has none.
 *
 * **Details**
 *
 * A wait in the extension `retryAfter` (seconds) is also sent as `Retry-After`.
 *
 * **Example** (An answer that says what is wrong)
 *
 * ```ts
 * import { HttpServerResponse } from "@effect/platform"
 * import { ProblemDetails } from "effect-resilience"
 *
 * const response = HttpServerResponse.toWeb(ProblemDetails.toResponse({
 *   type: "https://shop.example/problems/sold-out",
 *   title: "The item is sold out",
 *   status: 409,
 *   item: "tea"
 * }))
 *
 * response.status // => 409
 * response.headers.get("content-type") // => "application/problem+json"
 * const { item } = await response.json()
 * item // => "tea"
 * ```
 *
 * @since 0.1.0
 * @category conversions
 */
export const toResponse = (
  problem: ProblemDetails,
  options: {
    /** Headers to add. They override those of the problem. */
    readonly headers?: Readonly<Record<string, string>> | undefined
  } = {}
): HttpServerResponse.HttpServerResponse => {
  const wait = problem["retryAfter"]
  return HttpServerResponse.text(written(problem), {
    status: problem.status ?? defaults.status,
    contentType: defaults.contentType,
    headers: {
      ...(typeof wait === "number" && wait >= 0 && Number.isFinite(wait)
        ? { "retry-after": `${Math.ceil(wait)}` }
        : {}),
      ...options.headers
    }
  })
}

/**
 * The problem in a response that is not a success. Never fails: a response without a document that
 * can be read is a problem that says no more than its status. Reads at most the first 64 KiB of the
 * body.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromResponse = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<ProblemDetails> =>
  Effect.map(
    readFront(response),
    (bytes) =>
      ErrorBody.jsonOf(bytes, response.headers["content-type"]).pipe(
        Option.flatMap(Schema.decodeUnknownOption(ProblemDetails)),
        Option.match({
          onNone: () => ofStatus(response.status),
          onSome: (problem) => ({ status: response.status, ...problem })
        })
      )
  )

/**
 * What the client reads out of a problem: `type` is the code unless there is a `code`, `detail` or
 * `title` the message.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toErrorBody: (problem: ProblemDetails) => ErrorBody.ErrorBody = ErrorBody.ofJson
