/**
 * Reads the body of a request before the handler does, and gives it back.
 *
 * After one of the platform's readers has run, the others hang or find nothing. So the handler gets
 * a request whose readers all work on the buffered bytes, any number of times.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpServerError from "@effect/platform/HttpServerError"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Multipart from "@effect/platform/Multipart"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export type Body =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
  | { readonly _tag: "TooLarge" }
  | { readonly _tag: "Broken" }

const tooLarge: Body = { _tag: "TooLarge" }

/**
 * How many bytes beyond `maxBytes` are read and dropped. A client that can finish sending can read
 * the response.
 */
const drainBytes = 1_048_576

const concat = (chunks: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}

/** Tests whether a fetch request has no body. The platform's stream fails on such a request. */
const isBodiless = ({ source }: HttpServerRequest.HttpServerRequest): boolean =>
  source instanceof Request && source.body === null

/** Reads the body and keeps at most `maxBytes` of it, even if `content-length` is wrong. */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  maxBytes: number
): Effect.Effect<Body> =>
  Effect.suspend(() => {
    if (Number(request.headers["content-length"]) > maxBytes) return Effect.succeed(tooLarge)
    if (isBodiless(request)) return Effect.succeed<Body>({ _tag: "Bytes", bytes: new Uint8Array() })
    const chunks: Array<Uint8Array> = []
    let size = 0
    return Stream.runForEachWhile(request.stream, (chunk) =>
      Effect.sync(() => {
        size += chunk.length
        if (size <= maxBytes) chunks.push(chunk)
        return size <= maxBytes + drainBytes
      })).pipe(
        Effect.map((): Body =>
          size > maxBytes ? tooLarge : { _tag: "Bytes", bytes: concat(chunks, size) }
        ),
        Effect.catchAll(() => Effect.succeed<Body>({ _tag: "Broken" }))
      )
  })

const value = <A>(get: () => A): PropertyDescriptor => ({
  get,
  enumerable: false,
  configurable: true
})

/** Restores the body of a fetch request, for a handler that passes it to code without Effect. */
const sourceWith = (source: unknown, bytes: Uint8Array<ArrayBuffer>): unknown =>
  source instanceof Request && source.body !== null
    ? new Request(source, { method: source.method, body: bytes })
    : source

/** Makes the same request with its body in memory. */
export const withBody = (
  request: HttpServerRequest.HttpServerRequest,
  body: Uint8Array
): HttpServerRequest.HttpServerRequest => {
  // A handler that changes its copy does not change the buffer.
  const copy = () => Uint8Array.from(body)
  // The message of a parser would repeat the text.
  const reading = <A>(read: () => A, description: string) =>
    Effect.try({
      try: read,
      catch: () =>
        new HttpServerError.RequestError({ request: buffered, reason: "Decode", description })
    })
  const text = () => new TextDecoder().decode(body)
  const parts = () =>
    Stream.pipeThroughChannel(
      Stream.make(copy()),
      Multipart.makeChannel<never>(Headers.fromInput(request.headers))
    )
  const buffered: HttpServerRequest.HttpServerRequest = Object.create(request, {
    text: value(() => Effect.sync(text)),
    json: value(() =>
      reading((): unknown => {
        const json = text()
        return json === "" ? null : JSON.parse(json)
      }, "The request body is not JSON")
    ),
    urlParamsBody: value(() => Effect.sync(() => UrlParams.fromInput(new URLSearchParams(text())))),
    arrayBuffer: value(() => Effect.sync(() => copy().buffer)),
    stream: value(() => body.length === 0 ? Stream.empty : Stream.sync(copy)),
    multipartStream: value(parts),
    multipart: value(() => Multipart.toPersisted(parts())),
    source: value(() => sourceWith(request.source, copy())),
    // The platform's `toJSON` shows the body and the headers, the key among them.
    toJSON: {
      value: () => ({
        _id: "@effect/platform/HttpServerRequest",
        method: request.method,
        url: request.url.replace(/\?.*/s, "")
      })
    },
    modify: {
      value: (options: Parameters<HttpServerRequest.HttpServerRequest["modify"]>[0]) =>
        withBody(request.modify(options), body)
    }
  })
  return buffered
}
