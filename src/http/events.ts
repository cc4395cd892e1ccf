/** Reads answers that come in pieces: server-sent events, and JSON in lines. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as EventStream from "../core/eventStream.js"
import type * as ApiError from "../errors/ApiError.js"
import * as CallContext from "../runtime/callContext.js"
import * as Decoders from "./events/decoders.js"
import { Feed, type Source } from "./events/feed.js"
import { Resumption } from "./events/resumption.js"
import {
  type Event,
  type EventsOptions,
  resumptionOf,
  settingsOf,
  streamDefaults,
  type StreamOptions
} from "./events/settings.js"
import * as RequestMetadata from "./requestMetadata.js"

type Client<E, R> = HttpClient.HttpClient.With<E, R>
type Request = HttpClientRequest.HttpClientRequest

/** What a stream knows of the call it is part of. */
interface Around {
  readonly operation: { readonly _tag: string }
  readonly endpoint: string | undefined
}

const around = (request: Request, endpoint: string | undefined): Effect.Effect<Around> =>
  Effect.zipWith(
    CallContext.operation.get,
    CallContext.endpoint.get,
    (declared, template) => ({
      operation: declared ?? RequestMetadata.operationOf(request.method, false),
      endpoint: endpoint ?? template
    })
  )

/** One run of a stream: its span, and its connections, which are gone at the end. */
const feeding = <B, A, E, R, R2>(
  client: Client<E, R>,
  request: Request,
  options: StreamOptions,
  sourceOf: (around: Around) => Source<B, A, R2>
): Stream.Stream<A, ApiError.ApiError | E, R | R2> =>
  Stream.fromPull(Effect.gen(function*() {
    const context = yield* around(request, options.endpoint)
    const source = sourceOf(context)
    const { endpoint, operation } = context
    // A path may hold a secret that only the client knows: the spans of its calls show the rest.
    const path = endpoint === undefined ? "" : ` ${endpoint}`
    const span = yield* Effect.makeSpanScoped(`${source.noun}s ${request.method}${path}`, {
      captureStackTrace: false,
      attributes: {
        "http.request.method": request.method,
        "resilience.operation": operation._tag
      }
    })
    const clock = yield* Effect.clock
    const feed = new Feed(
      client,
      request,
      source,
      endpoint,
      operation,
      clock.unsafeCurrentTimeNanos(),
      span
    )
    yield* Effect.addFinalizer(() => Effect.zipRight(feed.release, feed.describe))
    return feed.pull
  }))

const shown = ({ data, event, lastId, retryMillis }: EventStream.Event): Event => ({
  ...(lastId === "" ? {} : { id: lastId }),
  event,
  data,
  ...(retryMillis === undefined ? {} : { retry: retryMillis })
})

const eventsOf = <E, R>(
  client: Client<E, R>,
  request: Request,
  options: EventsOptions = {}
): Stream.Stream<Event, ApiError.ApiError | E, R> => {
  const settings = settingsOf(options, streamDefaults.eventTypes)
  const resumption = resumptionOf(options)
  return feeding(client, request, options, ({ operation }) => {
    const state = new Resumption(request, operation, resumption, settings.totalMillis)
    return {
      noun: "event",
      accept: streamDefaults.eventTypes[0],
      settings,
      isLast: options.until,
      decoder: (response, endpoint) =>
        Decoders.events({ response, endpoint, maxBytes: settings.maxBytes }, state.lastId),
      news: (events) => state.news(events).map(shown),
      again: (broken) => state.again(broken)
    }
  })
}

const isDataFirst = (args: IArguments): boolean => !(HttpClientRequest.TypeId in args[0])

/**
 * Streams the events that an API sends one after the other (server-sent events; HTML standard,
 * section 9.2.6).
 *
 * **When to use**
 *
 * For answers of the type `text/event-stream`: progress, notifications, the words of a language
 * model. For JSON in lines, `jsonLines`.
 *
 * **Details**
 *
 * - The client's pipeline makes the first connection: its retries and limits cover the head and the
 *   first event. With `start: "head"` they cover the head alone.
 * - Later, a connection that breaks off is made again with `Last-Event-ID`, after the wait that the
 *   server named with `retry` (default 3 s; jittered upwards by up to a half, at most 30 s). Only
 *   where the events have ids, and the operation may be repeated: `read` and `idempotent`, all
 *   others with `resume: true`. A resumed connection that gives no new event counts; after three in
 *   a row the stream fails. Errors of a resumption that are worth another try count the same.
 * - Events that the server repeats at the beginning of a resumed connection are left out, as far as
 *   the last 1,000.
 * - A body that ends as HTTP says it should is the end of the stream, and so is a 204. With `until`
 *   the stream ends with the event that `until` accepts, and any other end is a break.
 *   `until: () => false` is what a browser does: every end is followed by a new connection.
 * - An event is read as the HTML standard says: its `id` is the last one that was sent, its type
 *   `message` where there is none, and an event without its empty line is dropped.
 * - The body is read when the consumer wants more. When the consumer stops or is interrupted, the
 *   connection is closed before the stream ends.
 * - Fails with a `Timeout` for a silence longer than `idleTimeout`, and after `totalTimeout`; with
 *   a `Server` whose code is `unexpected_response` for another content type, and for an event
 *   larger than `maxBytes`; with one whose code is `unreadable_response` for a break that is not
 *   resumed. Each says that the call may have run.
 * - One span for the stream, with the spans of its calls in it: `resilience.events`,
 *   `resilience.resumptions`.
 * - Invalid options throw `RangeError`. O(bytes).
 *
 * **Gotchas**
 *
 * - Events without an id that came after the last event with one are sent again by a server that is
 *   asked to go on after that one.
 * - Without a pipeline nothing limits the wait for the head but `totalTimeout`.
 * - `ApiClient.readAll` reads whole bodies, so a client made with it has no streams.
 *
 * **Example** (A server that breaks off after two events)
 *
 * ```ts
 * import {
 *   FetchHttpClient,
 *   HttpClientRequest,
 *   HttpServerRequest,
 *   HttpServerResponse
 * } from "@effect/platform"
 * import { Effect, Stream } from "effect"
 * import { ApiClient } from "effect-resilience"
 * import { make, sequence, truncated } from "effect-resilience/testing/FlakyApi"
 *
 * const app = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
 *   const last = Number(headers["last-event-id"] ?? 0)
 *   const events = [1, 2, 3, 4].filter((id) => id > last).map((id) => `id: ${id}\ndata: ${id}\n\n`)
 *   return HttpServerResponse.text(events.join(""), { contentType: "text/event-stream" })
 * })
 *
 * const program = Effect.gen(function*() {
 *   const api = yield* make({ app, script: sequence([truncated]) })
 *   const client = yield* ApiClient.make({ name: "jobs", baseUrl: api.url })
 *   const events = ApiClient.events(client, HttpClientRequest.get("/v1/progress"), {
 *     retryWait: "1 millis"
 *   })
 *   return yield* Stream.mkString(Stream.map(events, ({ data }) => data))
 * })
 *
 * const run = program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
 * await Effect.runPromise(run) // => "1234"
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const events: {
  /**
   * Reads server-sent events as a stream. Client last, for `pipe`. Invalid options throw
   * `RangeError`.
   */
  (
    request: HttpClientRequest.HttpClientRequest,
    options?: EventsOptions
  ): <E, R>(
    client: HttpClient.HttpClient.With<E, R>
  ) => Stream.Stream<Event, ApiError.ApiError | E, R>
  /** Reads server-sent events as a stream. Client first. Invalid options throw `RangeError`. */
  <E, R>(
    client: HttpClient.HttpClient.With<E, R>,
    request: HttpClientRequest.HttpClientRequest,
    options?: EventsOptions
  ): Stream.Stream<Event, ApiError.ApiError | E, R>
} = dual(isDataFirst, eventsOf)

const jsonLinesOf = <A, I, R2, E, R>(
  client: Client<E, R>,
  request: Request,
  schema: Schema.Schema<A, I, R2>,
  options: StreamOptions = {}
): Stream.Stream<A, ApiError.ApiError | E, R | R2> => {
  const settings = settingsOf(options, streamDefaults.lineTypes)
  const source: Source<A, A, R2> = {
    noun: "line",
    accept: "application/x-ndjson, application/jsonl, application/json;q=0.9",
    settings,
    isLast: undefined,
    decoder: (response, endpoint) =>
      Decoders.lines({ response, endpoint, maxBytes: settings.maxBytes }, schema),
    news: (items) => items,
    again: () => "lines have no ids"
  }
  return feeding(client, request, options, () => source)
}

/**
 * Streams the JSON values that an API sends one in a line (NDJSON, JSON Lines), each decoded with a
 * schema.
 *
 * **Details**
 *
 * - The client's pipeline covers the head and the first line, with `start: "head"` the head alone.
 *   After that nothing is sent again: lines have no ids.
 * - Empty lines are left out. The last line needs no line break where the body ended as HTTP says
 *   it should.
 * - A line that is no JSON, does not fit the schema or is larger than `maxBytes` fails with a
 *   `Server` whose code is `unexpected_response`, after the lines before it have been given out.
 *   The message has the number of the line, the path and the types, never a value.
 * - A body that breaks off, in the middle of a line or between two, fails with a `Server` whose
 *   code is `unreadable_response`. So does a last line without a line break that is no JSON.
 * - Limits, content types, connections and spans are as with `events`. `contentTypes` has the names
 *   of JSON Lines, and `application/json`, by default.
 * - Invalid options throw `RangeError`. O(bytes).
 *
 * **Example** (Rows of an export)
 *
 * ```ts
 * import { FetchHttpClient, HttpClientRequest, HttpServerResponse } from "@effect/platform"
 * import { Effect, Schema, Stream } from "effect"
 * import { ApiClient } from "effect-resilience"
 * import { make } from "effect-resilience/testing/FlakyApi"
 *
 * const Row = Schema.Struct({ id: Schema.Number })
 *
 * const program = Effect.gen(function*() {
 *   const contentType = "application/x-ndjson"
 *   const api = yield* make({
 *     app: HttpServerResponse.text("{\"id\":1}\n{\"id\":2}\n", { contentType })
 *   })
 *   const client = yield* ApiClient.make({ name: "exports", baseUrl: api.url })
 *   const rows = ApiClient.jsonLines(client, HttpClientRequest.get("/v1/rows"), Row)
 *   return yield* Stream.runFold(rows, 0, (sum, { id }) => sum + id)
 * }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
 *
 * await Effect.runPromise(program) // => 3
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const jsonLines: {
  /**
   * Reads JSON in lines as a stream. Client last, for `pipe`. Invalid options throw `RangeError`.
   */
  <A, I, R2>(
    request: HttpClientRequest.HttpClientRequest,
    schema: Schema.Schema<A, I, R2>,
    options?: StreamOptions
  ): <E, R>(
    client: HttpClient.HttpClient.With<E, R>
  ) => Stream.Stream<A, ApiError.ApiError | E, R | R2>
  /** Reads JSON in lines as a stream. Client first. Invalid options throw `RangeError`. */
  <E, R, A, I, R2>(
    client: HttpClient.HttpClient.With<E, R>,
    request: HttpClientRequest.HttpClientRequest,
    schema: Schema.Schema<A, I, R2>,
    options?: StreamOptions
  ): Stream.Stream<A, ApiError.ApiError | E, R | R2>
} = dual(isDataFirst, jsonLinesOf)
