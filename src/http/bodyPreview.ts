/** Reads the front of an error body: enough to understand it, and never all of a large one. */
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Timeout from "../policies/Timeout.js"
import * as RequestMetadata from "./requestMetadata.js"
import { withMembers } from "./responseBody.js"

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** How much of an error body is read. */
  maxBodyBytes: 65_536,
  /**
   * How much more is read and thrown away so that the connection can be used again; beyond it the
   * body is cancelled.
   */
  drainBytes: 65_536,
  /** How long a body may take to arrive before the error is made without the rest. */
  bodyTimeout: Duration.seconds(5)
} as const

const concat = (chunks: ReadonlyArray<Uint8Array>, maxBytes: number): Uint8Array => {
  const size = Math.min(maxBytes, chunks.reduce((size, chunk) => size + chunk.length, 0))
  const bytes = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk.subarray(0, size - offset), offset)
    offset += chunk.length
    if (offset >= size) break
  }
  return bytes
}

/**
 * A stream that fails is read in a fiber that fails, which the runtime would log with all that the
 * platform's error holds of the request.
 */
const unlogged = Effect.withUnhandledErrorLogLevel(Option.none())

/** Breaks off what takes longer, also where the caller cannot be interrupted. */
export const atMost = (limit: Duration.Duration) => (self: Effect.Effect<void>) =>
  Effect.ignore(Timeout.total(Effect.interruptible(self), limit))

/** Whatever goes wrong with a body, or takes too long, the error is made of what had arrived. */
const asFarAsItGoes =
  (limit: Duration.Duration) => <A, E>(reading: Effect.Effect<A, E>): Effect.Effect<void> =>
    reading.pipe(
      Effect.ignore,
      Effect.catchAllDefect(() => Effect.void),
      atMost(limit),
      unlogged
    )

/**
 * Reads the first `maxBytes` of a body (default 64 KiB). A small rest is drained so that the
 * connection can be used again; a large one is cancelled. A body that breaks off, takes too long
 * (default 5 s) or has been read already gives what there was.
 */
export const readFront = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number = defaults.maxBodyBytes,
  limit: Duration.Duration = defaults.bodyTimeout
): Effect.Effect<Uint8Array> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    const reading = Stream.runForEachWhile(response.stream, (chunk) =>
      Effect.sync(() => {
        if (size < maxBytes) chunks.push(chunk)
        size += chunk.length
        return size <= maxBytes + defaults.drainBytes
      }))
    return Effect.map(asFarAsItGoes(limit)(reading), () => concat(chunks, maxBytes))
  })

/**
 * The front of a body, and a response from which the whole of it can still be read. `release` lets
 * go of what has not been read.
 */
export interface Peeked {
  readonly bytes: Uint8Array
  readonly response: HttpClientResponse.HttpClientResponse
  readonly release: Effect.Effect<void>
}

/** Statuses whose responses have no body at all (RFC 9110 section 6.4.1). */
const isBodiless = (status: number): boolean => status < 200 || status === 204 || status === 304

/**
 * Looks at the front of a body without taking it away: the response that comes back gives the front
 * again and then the rest, as it arrives.
 */
export const peek = (
  response: HttpClientResponse.HttpClientResponse,
  maxBytes: number,
  limit: Duration.Duration
): Effect.Effect<Peeked> =>
  isBodiless(response.status) ?
    withoutBody(response, limit) :
    Effect.flatMap(unlogged(Stream.toReadableStreamEffect(response.stream)), (stream) => {
      const rest = new Rest(stream.getReader())
      const chunks: Array<Uint8Array> = []
      let size = 0
      const front = Effect.promise(() => rest.next()).pipe(
        Effect.repeat({
          until: (chunk) => {
            rest.taken()
            if (chunk === undefined) return true
            chunks.push(chunk)
            size += chunk.length
            return size >= maxBytes
          }
        })
      )
      const release = Effect.promise(() => rest.cancel())
      return asFarAsItGoes(limit)(front).pipe(
        Effect.onInterrupt(() => release),
        Effect.map(() => {
          const unread = [...chunks]
          const body = new ReadableStream<Uint8Array>({
            pull: async (controller) => {
              const chunk = unread.shift() ?? (await rest.take())
              if (chunk !== undefined) return controller.enqueue(chunk)
              return rest.failure === undefined
                ? controller.close()
                : controller.error(rest.failure)
            },
            cancel: () => rest.cancel()
          })
          const empty = size === 0 && rest.ended
          return {
            bytes: concat(chunks, maxBytes),
            response: replaced(response, empty ? null : body),
            release
          }
        })
      )
    })

/** What arrives on its connection is no body, such as another protocol after a 101. */
const withoutBody = (
  response: HttpClientResponse.HttpClientResponse,
  limit: Duration.Duration
): Effect.Effect<Peeked> =>
  Effect.as(asFarAsItGoes(limit)(Stream.runDrain(Stream.take(response.stream, 0))), {
    bytes: new Uint8Array(),
    response: replaced(response, null),
    release: Effect.void
  })

/**
 * What has not been read of a body. A chunk that arrived after its reader stopped waiting goes to
 * the next reader.
 */
class Rest {
  ended = false
  failure: unknown
  #coming: Promise<Uint8Array | undefined> | undefined

  constructor(readonly reader: ReadableStreamDefaultReader<Uint8Array>) {}

  /** The next chunk, which stays the next one until it is taken. */
  next(): Promise<Uint8Array | undefined> {
    return this.#coming ??= this.#read()
  }

  taken(): void {
    this.#coming = undefined
  }

  async take(): Promise<Uint8Array | undefined> {
    const chunk = await this.next()
    this.taken()
    return chunk
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await this.reader.read()
      this.ended ||= done
      return value
    } catch (error) {
      this.ended = true
      this.failure = error
      return undefined
    }
  }

  async cancel(): Promise<void> {
    this.ended = true
    await this.reader.cancel().catch(() => undefined)
  }
}

/** The response with this body. Its errors name a request of nothing but method and address. */
const replaced = (
  response: HttpClientResponse.HttpClientResponse,
  body: ReadableStream<Uint8Array> | null
): HttpClientResponse.HttpClientResponse => {
  const contentType = response.headers["content-type"]
  const readable = HttpClientResponse.fromWeb(
    RequestMetadata.bare(response.request),
    // The constructor takes neither all statuses nor a body with all that it takes.
    new Response(
      body,
      contentType === undefined ? {} : { headers: { "content-type": contentType } }
    )
  )
  return withMembers(readable, {
    status: response.status,
    headers: response.headers,
    cookies: response.cookies,
    request: response.request,
    remoteAddress: response.remoteAddress
  })
}
