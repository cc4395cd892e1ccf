/**
 * Reading error bodies, in every format that APIs use, without ever failing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/**
 * What an error body can say. `type` is a coarser word beside `code`, where an API has both; it
 * decides the tag before the status does.
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
// A schema is invariant in what it encodes to, and here that is nobody's business.
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

/**
 * Seconds as a duration that can be written down: an API may name more of them than a whole number
 * of milliseconds can count.
 */
export const ofSeconds = (seconds: number): Duration.Duration =>
  Duration.millis(Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER))

const toBody = (raw: typeof RawBody.Type): ErrorBody => {
  const nested = typeof raw.error === "object" ? raw.error : undefined
  const said = nested ?? raw
  const sentences = said.message ?? (nested === undefined ? undefined : raw.message)
  const sentence = typeof sentences === "string" ? sentences : sentences?.join("; ") || undefined
  const problem = said.detail ?? said.title
  // `error` is the name of the error where a message stands beside it, and the message itself where
  // none does.
  const name = typeof raw.error === "string" ? raw.error : undefined
  // Beside `statusCode` there should be a message, and where there is none the name is both.
  const isName = name !== undefined && raw.statusCode !== undefined
  const message = sentence ?? problem ?? name
  const type = said.type === "about:blank" ? undefined : said.type
  const seconds = said.retry_after ?? said.retryAfter ?? raw.retry_after ?? raw.retryAfter
  return {
    message,
    code: said.code ?? (message === name && !isName ? undefined : name) ?? type,
    // Where there is nothing else, the type is the code.
    type: nested === undefined && said.code === undefined ? undefined : type,
    requestId: said.request_id ?? said.requestId ?? raw.request_id ?? raw.requestId,
    issues: issuesOf(said.issues ?? said.errors ?? raw.issues ?? raw.errors) ??
      (sentences !== undefined && typeof sentences !== "string"
        ? sentences.map(issueOf)
        : undefined),
    retryAfter: seconds === undefined ? undefined : ofSeconds(seconds)
  }
}

/**
 * The default decoder of error bodies.
 *
 * **Details**
 *
 * Reads `{ error: { type, message, code } }`, `{ statusCode, error, message }`, `{ error: "..." }`,
 * RFC 9457 problem details (`type` is the code, `detail` or `title` the message) and their
 * mixtures. A field of an unexpected type counts as absent. Decodes only: encoding fails.
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
    encode: (body, _, ast) =>
      ParseResult.fail(new ParseResult.Forbidden(ast, body, "error bodies are only read"))
  }
)

const charsetOf = (contentType: string | undefined): string =>
  /charset\s*=\s*"?([^\s";]+)/i.exec(contentType ?? "")?.[1] ?? "utf-8"

/**
 * Fails on bytes that are not of the encoding they are said to be. An encoding that nobody knows is
 * taken for UTF-8.
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
    const json = jsonOf(bytes, options.contentType)
    if (Option.isNone(json)) return Effect.succeed({})
    return Effect.orElseSucceed(
      Schema.decodeUnknown(options.schema ?? anyErrorBody)(json.value),
      () => ({})
    )
  })
