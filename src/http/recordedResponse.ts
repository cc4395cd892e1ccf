/**
 * A response as it is kept in a record, and as it is said again.
 */
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * Headers of a response that a replay repeats: those that belong to the representation and to what
 * was created. Nothing that belongs to one caller or one connection.
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

/** Never replayed, whatever a program lists. */
const neverKept: ReadonlySet<string> = new Set([
  "set-cookie",
  "set-cookie2",
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "transfer-encoding"
])

const Kept = Schema.parseJson(Schema.Struct({
  status: Schema.Int,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  body: Schema.NullOr(Schema.Uint8ArrayFromBase64),
  /** Whether the body was a bare text, to which a fetch handler adds a media type of its own. */
  text: Schema.optional(Schema.Boolean)
}))

const decode = Schema.decodeOption(Kept)

const bytesOf = (body: unknown): Uint8Array | undefined => {
  if (typeof body === "string") return new TextEncoder().encode(body)
  if (body instanceof Uint8Array) return body
  return body instanceof ArrayBuffer ? new Uint8Array(body) : undefined
}

/**
 * The response with its body in bytes where it is in memory, and those bytes; nothing for a body
 * that is a stream.
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
      // The boundary is made when the form is written, so it is written once.
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

/** The text of a record. Cookies are not in it. */
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

/** The response of a record, marked as a replay; nothing where the text cannot be read. */
export const read = (
  text: string,
  marker: string
): Option.Option<HttpServerResponse.HttpServerResponse> =>
  Option.map(decode(text), ({ body, headers, status, text }) => {
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
