/**
 * Sends the body of a request, and knows whether it can be sent again.
 *
 * A body in memory can be sent any number of times. A stream can be sent once, unless its length is
 * declared or the caller says that it can be read from the start again. The question is asked
 * before each request is sent, whatever asks for it: a retry, a hedge, a refresh, another call.
 */
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Stream from "effect/Stream"
import * as ApiError from "../errors/ApiError.js"
import { Fault } from "./fault.js"

/** A stream that can be read once, and how far that has come. */
interface Source {
  /** The first chunk has been asked for. */
  begun: boolean
  /** A request that is under way may ask for it. */
  held: boolean
}

/** What has been read stays read, also for another call with the same stream. */
const sources = globalValue(
  "effect-resilience/requestBody/sources",
  () => new WeakMap<object, Source>()
)

const sourceOf = (stream: object): Source => {
  const found = sources.get(stream)
  if (found !== undefined) return found
  const source: Source = { begun: false, held: false }
  sources.set(stream, source)
  return source
}

/** Bodies that the caller has declared replayable. */
const declared = globalValue(
  "effect-resilience/requestBody/declared",
  () => new WeakSet<HttpBody.HttpBody>()
)

/** The request with another body under the headers that it has. */
const withBody = (
  request: HttpClientRequest.HttpClientRequest,
  body: HttpBody.HttpBody
): HttpClientRequest.HttpClientRequest =>
  Object.assign(Object.create(Object.getPrototypeOf(request) as object), request, { body })

/**
 * Declares that the stream in the body of a request can be read from the start any number of times,
 * so that the request may be sent again.
 *
 * **When to use**
 *
 * For a stream whose source is opened by each run, such as a file or a query. A stream with a
 * declared `contentLength` needs no declaration.
 *
 * **Gotchas**
 *
 * The declaration is not checked. It has no effect on `HttpBody.raw` with a `ReadableStream`, a
 * `Readable` or an async iterable: those can be read once. Setting another body removes it.
 *
 * **Example** (A stream that every attempt reads from its start)
 *
 * ```ts
 * import { HttpBody, HttpClientRequest } from "@effect/platform"
 * import { ApiClient } from "effect-resilience"
 * import { Stream } from "effect"
 *
 * const lines = Stream.encodeText(Stream.make("one\n", "two\n"))
 * const request = HttpClientRequest.put("/v1/lines", { body: HttpBody.stream(lines) }).pipe(
 *   ApiClient.replayable
 * )
 * request.body._tag // => "Stream"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const replayable = (
  request: HttpClientRequest.HttpClientRequest
): HttpClientRequest.HttpClientRequest => {
  const { body } = request
  if (body._tag !== "Stream") return request
  const copy = HttpBody.stream(body.stream, body.contentType, body.contentLength)
  declared.add(copy)
  return withBody(request, copy)
}

/** The code of the error where a body cannot be sent again. */
const consumedCode = "body_consumed"

export const consumedReason = "the request body is a stream that has been read"

/** How one request gets its body. `fault` is raised when the body turns out to be wrong. */
export interface Sending {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly fault: Fault<ApiError.ApiError> | undefined
  /** The request has ended. What has not asked for the body by now does not get it. */
  readonly close: () => void
}

export interface RequestBody {
  /** Whether the request cannot be sent again, because a stream has been read. */
  readonly spent: () => boolean
  /** Asked before each request. Fails when the body cannot be sent, with why. */
  readonly open: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<Sending, ApiError.Validation>
}

const wrong = (code: string, message: string): ApiError.Validation =>
  new ApiError.Validation({ message, code, repeat: "never" })

const consumed = () =>
  wrong(consumedCode, `The request was not sent: ${consumedReason}, and cannot be read again`)

/** Tests whether an error says that a body could not be sent again. */
export const isConsumed = (error: unknown): boolean =>
  ApiError.isApiError(error) && error.code === consumedCode

const inMemory: RequestBody = {
  spent: () => false,
  open: (request) => Effect.succeed({ request, fault: undefined, close: () => undefined })
}

// -----------------------------------------------------------------------------
// streams
// -----------------------------------------------------------------------------

type Bytes = Stream.Stream<Uint8Array, unknown>

/** The chunk that completes the length waits for the end: only then is the length right. */
const exactly = (stream: Bytes, length: number): Bytes =>
  Stream.suspend(() => {
    const held: Array<Uint8Array> = []
    let size = 0
    const checked = Stream.mapChunksEffect(stream, (chunk) =>
      Effect.suspend(() => {
        const passed: Array<Uint8Array> = []
        for (const bytes of chunk) {
          if (bytes.length === 0) continue
          size += bytes.length
          if (size < length) passed.push(bytes)
          else held.push(bytes)
        }
        return size > length
          ? Effect.fail(lengthFault(length, "longer"))
          : Effect.succeed(Chunk.unsafeFromArray(passed))
      }))
    const end = Stream.suspend((): Bytes =>
      size < length ? Stream.fail(lengthFault(length, "shorter")) : Stream.fromIterable(held)
    )
    return Stream.concat(checked, end)
  })

const lengthFault = (length: number, than: "longer" | "shorter") =>
  wrong(
    "body_length",
    `The request was broken off: its body is ${than} than the ${length} bytes it declares`
  )

const failed = () =>
  wrong("body_failed", "The request was broken off: its body is a stream that failed")

/**
 * A stream as the body of one request. A stream that goes wrong does not end and does not fail, it
 * waits until the request is broken off: a client may take its end for the end of the body, or
 * leave the request open.
 */
const sendingOf = (
  request: HttpClientRequest.HttpClientRequest,
  body: Pick<HttpBody.Stream, "contentType" | "contentLength">,
  stream: Bytes,
  onClose: () => void
): Effect.Effect<Sending> =>
  Effect.sync(() => {
    const fault = new Fault<ApiError.ApiError>()
    let closed = false
    const watched = Stream.catchAllCause(
      Stream.suspend(() => closed ? Stream.fail(consumed()) : stream),
      (cause): Bytes => {
        if (Cause.isInterruptedOnly(cause)) return Stream.failCause(cause)
        const failure = Cause.squash(cause)
        const error = ApiError.isApiError(failure) ? failure : failed()
        return Stream.fromEffect(
          Effect.zipRight(
            Effect.sync(() => fault.raise(error)),
            Effect.suspend(() => closed ? Effect.fail(error) : Effect.never)
          )
        )
      }
    )
    return {
      request: withBody(request, HttpBody.stream(watched, body.contentType, body.contentLength)),
      fault,
      close: () => {
        if (closed) return
        closed = true
        onClose()
      }
    }
  })

const many = (body: HttpBody.Stream, stream: Bytes): RequestBody => ({
  spent: () => false,
  open: (request) => sendingOf(request, body, stream, () => undefined)
})

/**
 * `key` is what two bodies have in common that read the same source. `said`: whether the source
 * says that it has been read. One that never says so is taken for read once a client had it.
 */
const once = (
  body: Pick<HttpBody.Stream, "contentType" | "contentLength">,
  key: object,
  stream: Bytes,
  said: (() => boolean) | "nothing"
): RequestBody => {
  const source = sourceOf(key)
  if (said !== "nothing" && said()) source.begun = true
  const claimed = Stream.suspend((): Bytes => {
    if (source.begun) return Stream.fail(consumed())
    source.begun = true
    return stream
  })
  return {
    spent: () => source.begun,
    open: (request) =>
      Effect.suspend(() => {
        if (source.begun || source.held) return consumed()
        source.held = true
        return sendingOf(request, body, claimed, () => {
          source.held = false
          source.begun ||= said === "nothing"
        })
      })
  }
}

// -----------------------------------------------------------------------------
// what a body can be
// -----------------------------------------------------------------------------

const isLength = (length: number | undefined): length is number =>
  length !== undefined && Number.isSafeInteger(length) && length >= 0

const ofStream = (body: HttpBody.Stream): RequestBody => {
  const { contentLength } = body
  const stream = isLength(contentLength) ? exactly(body.stream, contentLength) : body.stream
  return isLength(contentLength) || declared.has(body)
    ? many(body, stream)
    : once(body, body.stream, stream, () => false)
}

const isObject = (u: unknown): u is object => typeof u === "object" && u !== null

type Iterating = AsyncIterable<unknown> | Iterable<unknown>

/** What can only be iterated once, or may be: an iterator, a stream, any async iterable. */
const isIterating = (u: object): u is Iterating =>
  Symbol.asyncIterator in u || (Symbol.iterator in u && "next" in u)

const bytesOf = (chunk: unknown): Uint8Array =>
  chunk instanceof Uint8Array ? chunk : new TextEncoder().encode(String(chunk))

async function* chunksOf(source: Iterating): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) yield bytesOf(chunk)
}

/** What a source says of itself: that it has been read, or is being read, by other code. */
const saidBy = (source: object): (() => boolean) | "nothing" =>
  "locked" in source
    ? () => source.locked === true
    : "readableDidRead" in source
    ? () => source.readableDidRead === true
    : "nothing"

const ofRaw = (body: HttpBody.Raw): RequestBody => {
  const raw = body.body
  if (!isObject(raw)) return inMemory
  if (raw instanceof FormData) return ofForm(raw)
  const { contentLength, contentType } = body
  const stream = raw instanceof ReadableStream
    ? Stream.map(
      Stream.fromReadableStream<unknown, unknown>(() => raw, (cause) => cause),
      bytesOf
    )
    : isIterating(raw)
    ? Stream.fromAsyncIterable(chunksOf(raw), (cause) => cause)
    : undefined
  if (stream === undefined) return inMemory
  return once(
    { contentType: contentType ?? "application/octet-stream", contentLength },
    raw,
    isLength(contentLength) ? exactly(stream, contentLength) : stream,
    saidBy(raw)
  )
}

/** Written when it is first sent: the boundary is drawn once per call. */
const ofForm = (form: FormData): RequestBody => {
  let written: Promise<HttpBody.Uint8Array> | undefined
  const write = async () => {
    const response = new Response(form)
    const bytes = new Uint8Array(await response.arrayBuffer())
    return HttpBody.uint8Array(bytes, response.headers.get("content-type") ?? undefined)
  }
  return {
    spent: () => false,
    open: (request) =>
      Effect.map(
        Effect.interruptible(Effect.tryPromise({ try: () => written ??= write(), catch: failed })),
        (body) => ({
          request: HttpClientRequest.setBody(request, body),
          fault: undefined,
          close: () => undefined
        })
      )
  }
}

/** Collects what a client has to know about the body of one call. */
export const of = ({ body }: HttpClientRequest.HttpClientRequest): RequestBody => {
  switch (body._tag) {
    case "Stream":
      return ofStream(body)
    case "Raw":
      return ofRaw(body)
    case "FormData":
      return ofForm(body.formData)
    default:
      return inMemory
  }
}
