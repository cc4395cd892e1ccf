/**
 * The form of a response in a record, and the response of a replay.
 */
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { lazily } from "../../runtime/lazily.js"

/**
 * The response headers that a replay repeats by default: those of the representation and of the
 * created resource. Headers of one caller or one connection are left out.
 */
export const keptHeaders: ReadonlyArray<string> = [
  "content-type",
  "content-encoding",
  "content-language",
  "content-location",
  "content-disposition",
  "etag",
  "last-modified",
  "link",
  "location",
  "vary"
]

/** Headers that are never replayed, even if the options list them. */
const neverKept: ReadonlySet<string> = new Set([
  "set-cookie",
  "set-cookie2",
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "transfer-encoding"
])

const decoder = lazily(() =>
  Schema.decodeOption(Schema.parseJson(Schema.Struct({
    status: Schema.Int,
    headers: Schema.Record({ key: Schema.String, value: Schema.String }),
    body: Schema.NullOr(Schema.Uint8ArrayFromBase64),
    /** Whether the body was a bare text. A fetch handler gives such a body its own media type. */
    text: Schema.optional(Schema.Boolean)
  })))
)

const bytesOf = (body: unknown): Uint8Array | undefined => {
  if (typeof body === "string") return new TextEncoder().encode(body)
  if (body instanceof Uint8Array) return body
  return body instanceof ArrayBuffer ? new Uint8Array(body) : undefined
}

/**
 * Collects the body of a response. Returns the response and its body in bytes (`null` without a
 * body), or none for a body that is a stream.
 */
export const collected = (
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<
  readonly [HttpServerResponse.HttpServerResponse, Option.Option<Uint8Array | null>]
> => {
  const { body } = response
  switch (body._tag) {
    case "Empty":
      return Effect.succeed([response, Option.some(null)])
    case "Uint8Array":
      return Effect.succeed([response, Option.some(body.body)])
    case "Raw":
      return Effect.succeed([response, Option.fromNullable(bytesOf(body.body))])
    case "Stream":
      return Effect.succeed([response, Option.none()])
    case "FormData": {
      // Each encoding of a form makes a new boundary, so the form is encoded once.
      const web = new Response(body.formData)
      return Effect.map(Effect.promise(() => web.arrayBuffer()), (buffer) => {
        const bytes = new Uint8Array(buffer)
        const contentType = web.headers.get("content-type") ?? undefined
        return [
          HttpServerResponse.setBody(response, HttpBody.uint8Array(bytes, contentType)),
          Option.some(bytes)
        ] as const
      })
    }
  }
}

/** Writes a response as the text of a record, without cookies. */
export const write = (
  response: HttpServerResponse.HttpServerResponse,
  body: Uint8Array | null,
  names: ReadonlyArray<string>
): string => {
  const headers = Object.entries(response.headers).filter(([name]) =>
    names.includes(name) && !neverKept.has(name)
  )
  return JSON.stringify({
    status: response.status,
    headers: Object.fromEntries(headers),
    body: body === null ? null : Encoding.encodeBase64(body),
    ...(response.body._tag === "Raw" && typeof response.body.body === "string"
      ? { text: true }
      : {})
  })
}

/** Reads the response of a record and marks it as a replay. None for a text of another form. */
export const read = (
  text: string,
  marker: string
): Option.Option<HttpServerResponse.HttpServerResponse> =>
  Option.map(decoder()(text), ({ body, headers, status, text }) => {
    const response = HttpServerResponse.empty({ status, headers: { ...headers, [marker]: "true" } })
    const contentType = headers["content-type"]
    if (body === null) return response
    return HttpServerResponse.setBody(
      response,
      contentType === undefined
        ? HttpBody.raw(text === true ? new TextDecoder().decode(body) : body, {
          contentLength: body.length
        })
        : HttpBody.uint8Array(body, contentType)
    )
  })
