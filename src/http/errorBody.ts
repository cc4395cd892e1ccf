/** Reads error bodies of any format, without failing. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as RetryAfter from "../core/retryAfter.js"
import { lazily } from "../runtime/lazily.js"

/**
 * The facts of an error body. `type` is a coarser word beside `code`, where an API has both; it
 * decides the error class before the status does.
 *
 * @since 0.1.0
 * @category models
 */
export interface ErrorBody {
  /** The message of the API. */
  readonly message?: string | undefined
  /** The error code of the API. */
  readonly code?: string | undefined
  /** A coarser word beside `code`. It decides the error class before the status does. */
  readonly type?: string | undefined
  /** The request id of the API. */
  readonly requestId?: string | undefined
  /** What is wrong with the request, and where. */
  readonly issues?: ReadonlyArray<Issue> | undefined
  /** How long the API asks to wait. */
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * One thing that is wrong with a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Issue {
  /** Where the request is wrong. */
  readonly path: string
  /** What is wrong there. */
  readonly message: string
}

/**
 * A schema that reads error bodies, whatever they look like in JSON.
 *
 * @since 0.1.0
 * @category models
 */
// A schema is invariant in what it encodes to, and no caller needs that type.
// oxlint-disable-next-line typescript/no-explicit-any
export type Decoder = Schema.Schema<ErrorBody, any>

/**
 * A field that counts when it is what we hope for and is absent when it is not: one odd field must
 * not cost the others.
 */
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

const isNumber = (text: string): boolean => /^\d+(?:\.\d+)?$/.test(text)

/** The schemas of an error body. A program whose calls all succeed builds none of them. */
const shapes = lazily(() => {
  const Text = Schema.String.pipe(Schema.filter((text) => text.trim() !== ""))
  const Code = Schema.Union(
    Text,
    Schema.transform(Schema.Number, Schema.String, { strict: true, decode: String, encode: Number })
  )

  /** A number of seconds, as a number or as text, or a duration such as `30s`. */
  const Seconds = Schema.Union(
    Schema.Number,
    Schema.transform(Schema.String, Schema.Number, {
      strict: true,
      decode: (text) => {
        const trimmed = text.trim()
        return isNumber(trimmed)
          ? Number(trimmed)
          : (RetryAfter.durationOf(trimmed) ?? Number.NaN) / 1000
      },
      encode: String
    })
  ).pipe(Schema.finite(), Schema.nonNegative())

  /** A duration of a protocol buffer in JSON, as text or as an object. */
  const ProtoDuration = Schema.Union(
    Seconds,
    Schema.transform(
      Schema.Struct({ seconds: lenient(Seconds), nanos: lenient(Seconds) }),
      Schema.Number,
      {
        strict: true,
        decode: ({ nanos = 0, seconds = 0 }) => seconds + nanos / 1e9,
        encode: (seconds) => ({ seconds, nanos: 0 })
      }
    )
  )

  const RetryInfo = Schema.Struct({
    "@type": Schema.String.pipe(Schema.pattern(/(?:^|[./])RetryInfo$/)),
    retryDelay: ProtoDuration
  })

  const Path = Schema.Union(Text, Schema.Array(Schema.Union(Schema.String, Schema.Number)))

  const RawIssue = Schema.Struct({
    path: lenient(Path),
    loc: lenient(Path),
    pointer: lenient(Text),
    source: lenient(Schema.Struct({
      pointer: lenient(Text),
      parameter: lenient(Text),
      header: lenient(Text)
    })),
    field: lenient(Text),
    message: lenient(Text),
    msg: lenient(Text),
    detail: lenient(Text),
    title: lenient(Text)
  })

  /**
   * `[{ path, message }]` in its many spellings, a list of sentences, or a map from field to
   * sentences.
   */
  const RawIssues = Schema.Union(
    Schema.Array(Schema.Union(Text, RawIssue)),
    Schema.Record({ key: Schema.String, value: Schema.Union(Text, Schema.Array(Text)) })
  )

  const common = {
    message: lenient(Schema.Union(Text, Schema.Array(Text))),
    detail: lenient(Schema.Union(Text, Schema.Array(Schema.Union(Text, RawIssue)))),
    title: lenient(Text),
    code: lenient(Code),
    type: lenient(Text),
    request_id: lenient(Code),
    requestId: lenient(Code),
    issues: lenient(RawIssues),
    errors: lenient(RawIssues),
    retry_after: lenient(Seconds),
    retryAfter: lenient(Seconds),
    status: lenient(Code),
    details: lenient(Schema.Array(Schema.Union(RetryInfo, Schema.Unknown)))
  }

  const RawBody = Schema.Struct({
    ...common,
    statusCode: lenient(Schema.Number),
    error: lenient(Schema.Union(Text, Schema.Struct(common)))
  })

  return {
    RawBody,
    RawIssue,
    RawIssues,
    decode: ParseResult.decodeUnknown(RawBody),
    isRetryInfo: Schema.is(Schema.typeSchema(RetryInfo)),
    isTexts: Schema.is(Schema.NonEmptyArray(Text))
  }
})

type Shapes = ReturnType<typeof shapes>
type RawBody = Shapes["RawBody"]["Type"]
type RawIssue = Shapes["RawIssue"]["Type"]
type RawIssues = Shapes["RawIssues"]["Type"]

/** The texts that HTTP puts beside a status number: they repeat the number and name no error. */
const statusTexts: ReadonlySet<string> = new Set(
  [
    "Bad Request",
    "Unauthorized",
    "Payment Required",
    "Forbidden",
    "Not Found",
    "Method Not Allowed",
    "Not Acceptable",
    "Proxy Authentication Required",
    "Request Timeout",
    "Conflict",
    "Gone",
    "Length Required",
    "Precondition Failed",
    "Payload Too Large",
    "Content Too Large",
    "Request Entity Too Large",
    "URI Too Long",
    "Unsupported Media Type",
    "Range Not Satisfiable",
    "Expectation Failed",
    "I'm a teapot",
    "Misdirected Request",
    "Unprocessable Entity",
    "Unprocessable Content",
    "Locked",
    "Failed Dependency",
    "Too Early",
    "Upgrade Required",
    "Precondition Required",
    "Too Many Requests",
    "Request Header Fields Too Large",
    "Unavailable For Legal Reasons",
    "Internal Server Error",
    "Not Implemented",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
    "HTTP Version Not Supported",
    "Variant Also Negotiates",
    "Insufficient Storage",
    "Loop Detected",
    "Not Extended",
    "Network Authentication Required"
  ].map((text) => text.toLowerCase())
)

/** A word for the error, unless it only repeats the status in words. */
const codeIn = (text: string | undefined): string | undefined =>
  text === undefined || statusTexts.has(text.trim().toLowerCase()) ? undefined : text

/** The name of a status beside its number: `{ code: 429, status: "RESOURCE_EXHAUSTED" }`. */
const codeOf = (said: RawBody): string | undefined =>
  /^[1-5]\d\d$/.test(said.code ?? "") && /^[A-Z]+(?:_[A-Z]+)*$/.test(said.status ?? "")
    ? said.status
    : codeIn(said.code)

const issueOf = (raw: string | RawIssue): Issue => {
  if (typeof raw === "string") return { path: "", message: raw }
  const { source } = raw
  const path = raw.path ?? raw.loc ?? raw.pointer ?? source?.pointer ?? source?.parameter ??
    source?.header ?? raw.field ?? ""
  return {
    path: typeof path === "string" ? path : path.join("."),
    message: raw.message ?? raw.msg ?? raw.detail ?? raw.title ?? "is not valid"
  }
}

const issuesOf = (raw: RawIssues | undefined): ReadonlyArray<Issue> | undefined => {
  if (raw === undefined) return undefined
  if (isList(raw)) return raw.map(issueOf)
  return Object.entries(raw).flatMap(([path, messages]) =>
    (typeof messages === "string" ? [messages] : messages).map((message) => ({ path, message }))
  )
}

const isList = <A>(value: A): value is Extract<A, ReadonlyArray<unknown>> => Array.isArray(value)

/**
 * Seconds as a duration that can be written down: an API may name more of them than a whole number
 * of milliseconds can count. Microseconds since the epoch become seconds, which fit.
 */
export const ofSeconds = (seconds: number): Duration.Duration =>
  Duration.millis(
    Math.min((seconds < 1e14 ? seconds : seconds / 1e6) * 1000, Number.MAX_SAFE_INTEGER)
  )

const waitIn = (...all: ReadonlyArray<Partial<RawBody>>): number | undefined => {
  for (const said of all) {
    const seconds = said.retry_after ?? said.retryAfter
    if (seconds !== undefined) return seconds
  }
  return all.flatMap(({ details }) => details ?? []).find(shapes().isRetryInfo)?.retryDelay
}

const toBody = (raw: RawBody): ErrorBody => {
  const nested = typeof raw.error === "object" ? raw.error : undefined
  const said: RawBody = nested === undefined
    ? raw
    : { ...nested, statusCode: undefined, error: undefined }
  const sentences = said.message ?? (nested === undefined ? undefined : raw.message)
  const sentence = typeof sentences === "string" ? sentences : sentences?.join("; ") || undefined
  const listed = typeof said.detail === "object" ? said.detail : undefined
  const problem = typeof said.detail === "string" ? said.detail : said.title
  // `error` is the name of the error where a message stands beside it, and the message itself where
  // none does.
  const name = typeof raw.error === "string" ? raw.error : undefined
  // Beside `statusCode` there should be a message, and where there is none the name is both.
  const isName = name !== undefined && raw.statusCode !== undefined
  const message = sentence ?? problem ?? name
  const type = said.type === "about:blank" ? undefined : codeIn(said.type)
  const code = codeOf(said)
  const seconds = waitIn(said, raw)
  return {
    message,
    code: code ?? (isName ? name : message === name ? undefined : codeIn(name)) ?? type,
    // Where there is nothing else, the type is the code.
    type: nested === undefined && code === undefined ? undefined : type,
    requestId: said.request_id ?? said.requestId ?? raw.request_id ?? raw.requestId,
    issues: issuesOf(said.issues ?? said.errors ?? raw.issues ?? raw.errors ?? listed) ??
      (sentences !== undefined && typeof sentences !== "string"
        ? sentences.map(issueOf)
        : undefined),
    retryAfter: seconds === undefined ? undefined : ofSeconds(seconds)
  }
}

const isObject = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/** How deep a map of fields is read. */
const maxDepth = 8

/**
 * The issues of a map from fields to lists of sentences, which may be nested:
 * `{ email: ["Enter a valid email address."], items: [{}, { name: ["..."] }] }`. Nothing when any
 * value is of another kind.
 */
const fieldIssues = (
  value: unknown,
  path: string,
  depth: number
): ReadonlyArray<Issue> | undefined => {
  if (shapes().isTexts(value)) return value.map((message) => ({ path, message }))
  if (depth > maxDepth || !(isObject(value) || (depth > 0 && Array.isArray(value)))) {
    return undefined
  }
  const below = Object.entries(value).map(([key, inner]) =>
    fieldIssues(inner, path === "" ? key : `${path}.${key}`, depth + 1)
  )
  return below.every((issues) => issues !== undefined) ? below.flat() : undefined
}

/** A body that is nothing but a map of fields says its issues, and nothing else. */
const orFields = (input: unknown, body: ErrorBody): ErrorBody => {
  if (body.message !== undefined || body.code !== undefined || body.issues !== undefined) {
    return body
  }
  const issues = isObject(input) ? fieldIssues(input, "", 0) : undefined
  return issues === undefined || issues.length === 0 ? body : { ...body, issues }
}

/**
 * The default decoder of error bodies.
 *
 * **Details**
 *
 * Reads `{ error: { type, message, code } }`, `{ statusCode, error, message }`, `{ error: "..." }`,
 * RFC 9457 problem details (`type` is the code, `detail` or `title` the message) and their
 * mixtures. A field of an unexpected type counts as absent. The text of a status, such as
 * `Not Found`, is no code, except as the `error` beside `statusCode`. Decodes only: encoding fails.
 *
 * Issues are lists of `{ path, message }` in their spellings (`loc` and `msg`, `source.pointer` and
 * `detail`, and others) in `issues`, `errors` or `detail`, and a body that is nothing but a map
 * from fields to lists of sentences. A wait is `retry_after` or `retryAfter` in seconds, as a
 * number or as text, or the `retryDelay` of a `RetryInfo` in `details`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const anyErrorBody: Schema.Schema<ErrorBody, unknown> = Schema.transformOrFail(
  Schema.Unknown,
  Schema.Unknown as Schema.Schema<ErrorBody, unknown>,
  {
    strict: true,
    decode: (input) =>
      ParseResult.map(
        shapes().decode(input),
        (raw) => orFields(input, toBody(raw))
      ),
    encode: (body, _, ast) =>
      ParseResult.fail(new ParseResult.Forbidden(ast, body, "error bodies are only read"))
  }
)

const charsetOf = (contentType: string | undefined): string =>
  /charset\s*=\s*"?([^\s";]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8"

/**
 * Fails on bytes that are not of the encoding they are said to be. An unknown encoding is read as
 * UTF-8.
 */
const textOf = (bytes: Uint8Array, contentType: string | undefined): string => {
  const decoderOf = (charset: string) => new TextDecoder(charset, { fatal: true })
  let decoder: TextDecoder
  try {
    decoder = decoderOf(charsetOf(contentType))
  } catch {
    decoder = decoderOf("utf-8")
  }
  return decoder.decode(bytes)
}

/** The JSON in a body, or nothing when it is empty, cut short, or not what it says it is. */
export const jsonOf = (
  bytes: Uint8Array,
  contentType: string | undefined
): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(textOf(bytes, contentType)))
  } catch {
    return Option.none()
  }
}

/** What a JSON value says, by the default decoder; nothing when it does not fit. */
export const ofJson: (json: unknown) => ErrorBody = (json) =>
  Option.getOrElse(Schema.decodeUnknownOption(anyErrorBody)(json), () => ({}))

/**
 * Decodes an error body. Empty when the body is empty, not JSON or of another form. O(body).
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (
  bytes: Uint8Array,
  options: {
    /** The `Content-Type` of the body, for its charset. Default UTF-8. */
    readonly contentType?: string | undefined
    /** Reads the body. Default `anyErrorBody`. */
    readonly schema?: Decoder | undefined
  }
): Effect.Effect<ErrorBody> =>
  Effect.suspend(() => {
    const json = jsonOf(bytes, options.contentType)
    if (Option.isNone(json)) return Effect.succeed({})
    return Effect.orElseSucceed(
      Schema.decodeUnknown(options.schema ?? anyErrorBody)(json.value),
      () => ({})
    )
  })
