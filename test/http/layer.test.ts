import {
  FetchHttpClient,
  HttpApi,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Stream, TestClock } from "effect"
import { ApiClient, ApiError, Idempotency, IdempotencyKey, Operation } from "effect-resilience"
import * as Util from "node:util"
import { closedUrl, serve } from "../support/servers.js"
import { until } from "../support/turns.js"
import {
  baseUrl,
  broken,
  failureOf,
  range,
  type Reply,
  reply,
  retrying,
  transport,
  transports
} from "./support.js"

/** Code written against `HttpClient` that knows nothing of us, run over the layer. */
const under = <A, E>(
  replies: ReadonlyArray<Reply>,
  code: Effect.Effect<A, E, HttpClient.HttpClient>,
  options: Partial<ApiClient.Options> = {}
) =>
  Effect.gen(function*() {
    const { layer, sent } = transport(replies)
    const ours = ApiClient.layer({ name: "test", baseUrl, pipeline: yield* retrying(), ...options })
    const result = yield* Effect.either(Effect.provide(code, Layer.provide(ours, layer)))
    return { result, sent }
  })

const get = (url: string) => Effect.flatMap(HttpClient.HttpClient, (client) => client.get(url))
const post = (url: string) => Effect.flatMap(HttpClient.HttpClient, (client) => client.post(url))

const requestError = (error: unknown): HttpClientError.RequestError => {
  if (error instanceof HttpClientError.RequestError) return error
  throw new Error(`a RequestError was expected, got ${String(error)}`)
}

describe("ApiClient.layer", () => {
  it.effect("E26: a success is the response", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* under(
        [reply(503), reply(200, { id: 1 })],
        Effect.flatMap(
          get("/v1/things"),
          HttpClientResponse.schemaBodyJson(Schema.Struct({ id: Schema.Number }))
        )
      )
      expect([result, sent.length]).toMatchObject([{ _tag: "Right", right: { id: 1 } }, 2])
    }))

  it.effect("E26: any final status that is not 2xx is handed through as a response, with headers and body", () =>
    Effect.gen(function*() {
      const statuses = range(300, 599)
      const seen = yield* Effect.forEach(statuses, (status) =>
        Effect.map(
          under(
            [reply(status, `body of ${status}`, { "x-own": "kept" })],
            Effect.flatMap(get("/v1/things"), (response) =>
              Effect.map(
                response.text,
                (text) => [response.status, response.headers["x-own"], text]
              ))
          ),
          ({ result }) => result._tag === "Right" ? result.right : result.left
        ))
      expect(seen).toEqual(
        statuses.map((status) => [status, "kept", status === 304 ? "" : `body of ${status}`])
      )
    }))

  it.effect("E26, E20: retried before, in one loop", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<ReadonlyArray<Reply>> = [
        [reply(503)],
        [reply(503), broken("ECONNRESET"), reply(429)],
        [broken("ECONNRESET"), reply(503), broken("ECONNREFUSED")],
        [reply(404)],
        [reply(503), reply(404)]
      ]
      const counts = yield* Effect.forEach(cases, (replies) =>
        Effect.map(under(replies, get("/v1/things")), ({ sent }) => sent.length))
      expect(counts).toEqual([3, 3, 3, 1, 2])
    }))

  it.effect("E26, E21: a POST without a key is sent once on 503, and the response handed through", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* under(
        [reply(503, "down")],
        Effect.map(post("/"), ({ status }) => status)
      )
      expect([result, sent.length]).toMatchObject([{ right: 503 }, 1])
    }))

  it.effect("E26, E22: the key in the environment is sent, the same on every attempt", () =>
    Effect.gen(function*() {
      const { sent } = yield* under([reply(503)], post("/").pipe(IdempotencyKey.provideNew))
      expect([sent.length, new Set(sent.map(({ headers }) => headers["idempotency-key"])).size])
        .toEqual([3, 1])
    }))

  it.effect("E26, E27: withOperation holds for the layer's client too", () =>
    Effect.gen(function*() {
      const { sent } = yield* under(
        [reply(503)],
        post("/").pipe(ApiClient.withOperation(Operation.idempotent))
      )
      expect(sent.length).toBe(3)
    }))

  it.effect("E26: the body is readable in every way, whatever its size", () =>
    Effect.gen(function*() {
      const text = JSON.stringify({ filler: "x".repeat(300_000) })
      const read = <A, E>(
        use: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, E>
      ) =>
        Effect.map(
          under([reply(422, text)], Effect.flatMap(get("/"), use)),
          ({ result }) => result._tag === "Right" ? result.right : result.left
        )
      expect([
        yield* read(({ text }) => Effect.map(text, ({ length }) => length)),
        yield* read(({ json }) => Effect.map(json, (json) => JSON.stringify(json).length)),
        yield* read(({ arrayBuffer }) => Effect.map(arrayBuffer, ({ byteLength }) => byteLength)),
        yield* read(({ stream }) => Stream.runFold(stream, 0, (sum, chunk) => sum + chunk.length))
      ]).toEqual([text.length, text.length, text.length, text.length])
    }))

  it.effect("E26: what works on a response of the platform works on this one", () =>
    Effect.gen(function*() {
      const { result } = yield* under(
        [reply(404, { why: "gone" })],
        Effect.flatMap(get("/"), HttpClientResponse.filterStatusOk)
      )
      expect(result).toMatchObject({
        left: { _tag: "ResponseError", reason: "StatusCode", response: { status: 404 } }
      })
      const matched = yield* under(
        [reply(404, { why: "gone" })],
        Effect.flatMap(
          get("/"),
          HttpClientResponse.matchStatus({
            404: HttpClientResponse.schemaBodyJson(Schema.Struct({ why: Schema.String })),
            orElse: () => Effect.die("another status")
          })
        )
      )
      expect(matched.result).toMatchObject({ right: { why: "gone" } })
    }))

  it.effect("E26: a transport failure is a RequestError with our error as its cause", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* under([broken("ECONNREFUSED")], get("/v1/things"))
      const error = requestError(result._tag === "Left" && result.left)
      expect([error.reason, error.cause, ApiError.isApiError(error.cause), sent.length])
        .toMatchObject([
          "Transport",
          { _tag: "Network", sent: "no", attempts: 3 },
          true,
          3
        ])
    }))

  it.effect("E26, I4: so is a call that must not be repeated", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.fromString("old", { madeAt: 0 })
      yield* TestClock.setTime(25 * 3_600_000)
      const { result, sent } = yield* under(
        [reply(200)],
        post("/").pipe(IdempotencyKey.provide(key))
      )
      const error = requestError(result._tag === "Left" && result.left)
      expect([error.reason, error.cause instanceof Idempotency.UnknownOutcome, sent.length])
        .toEqual(
          ["Transport", true, 0]
        )
    }))

  it.effect("E26, T1: the request on that error shows method and address, no credential, query or body", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.post("/v1/things?token=SENTINEL-1").pipe(
        HttpClientRequest.setHeaders({
          authorization: "Bearer SENTINEL-2",
          "x-partner-code": "SENTINEL-3"
        }),
        HttpClientRequest.setUrlParam("token", "SENTINEL-4"),
        HttpClientRequest.bodyUnsafeJson({ name: "SENTINEL-5" })
      )
      const key = yield* IdempotencyKey.fromString("SENTINEL-6")
      const { result } = yield* under(
        [broken("ECONNRESET")],
        Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(request)).pipe(
          IdempotencyKey.provide(key)
        ),
        { redactedNames: ["x-partner-code"] }
      )
      const error = requestError(result._tag === "Left" && result.left)
      const renderings = [
        String(error),
        error.message,
        error.stack,
        JSON.stringify(error),
        JSON.stringify(error.request),
        Util.inspect(error, { depth: 10, showHidden: true })
      ]
      expect(renderings.map((text) => /SENTINEL-./.exec(text ?? "")?.[0])).toEqual(
        renderings.map(() => undefined)
      )
      expect([error.request.method, new URL(error.request.url).pathname]).toEqual([
        "POST",
        "/v1/things"
      ])
    }))

  it.effect("E26: 401 with a refresh: one more attempt, then the response", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* under(
        [reply(401, "no")],
        Effect.flatMap(get("/"), ({ text }) => text),
        {
          refresh: Effect.void
        }
      )
      expect([result, sent.length]).toMatchObject([{ right: "no" }, 2])
    }))

  it.effect("E26: defects and interruption stay what they are", () =>
    Effect.gen(function*() {
      const below = HttpClient.make(() => Effect.never)
      const ours = Layer.provide(
        ApiClient.layer({ name: "test", baseUrl, pipeline: yield* retrying() }),
        Layer.succeed(HttpClient.HttpClient, below)
      )
      const fiber = yield* Effect.fork(Effect.provide(get("/"), ours))
      yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(fiber)
      expect(Exit.isInterrupted(exit)).toBe(true)
    }))

  class Taken extends Schema.TaggedError<Taken>()("Taken", { name: Schema.String }) {}
  const Api = HttpApi.make("api").add(
    HttpApiGroup.make("things")
      .add(
        HttpApiEndpoint.put("create", "/v1/things")
          .setPayload(Schema.Struct({ name: Schema.String }))
          .addSuccess(Schema.Struct({ id: Schema.Number }), { status: 201 })
          .addError(Taken, { status: 409 })
          .addError(ApiError.NotFound)
      )
  )
  const create = (url: string) =>
    Effect.flatMap(
      HttpApiClient.make(Api, { baseUrl: url }),
      (api) => api.things.create({ payload: { name: "a" } })
    )

  it.effect("E26: HttpApiClient decodes its declared errors and successes", () =>
    Effect.gen(function*() {
      const taken = yield* under(
        [reply(503), reply(409, { _tag: "Taken", name: "a" })],
        create(baseUrl)
      )
      const missing = yield* under(
        [reply(404, { _tag: "NotFound", message: "no such tenant" })],
        create(baseUrl)
      )
      const created = yield* under([broken("ECONNRESET"), reply(201, { id: 1 })], create(baseUrl))
      const down = yield* under([broken("ECONNRESET")], create(baseUrl))
      expect([taken.result, missing.result, created.result, down.result]).toMatchObject([
        { left: { _tag: "Taken", name: "a" } },
        { left: { _tag: "NotFound", message: "no such tenant" } },
        { right: { id: 1 } },
        { left: { _tag: "RequestError", reason: "Transport" } }
      ])
      expect([taken, missing, created, down].map(({ sent }) => sent.length)).toEqual([2, 1, 2, 3])
    }))

  for (const [name, layer] of Object.entries(transports)) {
    describe(`on the wire, with ${name}`, () => {
      it.scopedLive("E26: retried, then the last response with its whole body", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response, _, index) =>
            response.writeHead(503, { "content-type": "text/plain" }).end(
              `${index}`.repeat(300_000)
            )
          )
          const ours = ApiClient.layer({
            name: "test",
            baseUrl: wire.url,
            pipeline: yield* retrying()
          })
          const text = yield* Effect.flatMap(get("/"), ({ text }) => text).pipe(
            Effect.provide(Layer.provide(ours, layer))
          )
          expect([wire.requests.length, text === "2".repeat(300_000)]).toEqual([3, true])
        }))

      it.scopedLive("E26: nobody listens", () =>
        Effect.gen(function*() {
          const ours = ApiClient.layer({
            name: "test",
            baseUrl: yield* closedUrl,
            pipeline: yield* retrying()
          })
          const error = yield* failureOf(
            Effect.provide(get("/v1/things?token=hidden"), Layer.provide(ours, layer))
          )
          expect(error).toMatchObject({
            _tag: "RequestError",
            reason: "Transport",
            cause: { _tag: "Network", sent: "no" }
          })
          expect(Util.inspect(error, { depth: 10, showHidden: true })).not.toContain("hidden")
        }))

      it.scopedLive("E26: a large body that never ends does not hold up the response, and is let go when it was read enough", () =>
        Effect.gen(function*() {
          let closed = false
          const wire = yield* serve((response) => {
            response.writeHead(404, { "content-type": "text/plain" })
            response.on("close", () => closed = true)
            response.write("x".repeat(1_000_000))
          })
          const ours = ApiClient.layer({
            name: "test",
            baseUrl: wire.url,
            pipeline: yield* retrying()
          })
          const first = Effect.flatMap(
            get("/"),
            ({ stream }) => Stream.runCollect(Stream.take(stream, 1))
          )
          const chunks = yield* Effect.provide(first, Layer.provide(ours, layer))
          yield* until(() => closed)
          expect([chunks.length, wire.requests.length]).toEqual([1, 1])
        }))
    })
  }

  it.scopedLive("E26: the layer can be built over fetch without anything else", () =>
    Effect.gen(function*() {
      const wire = yield* serve((response) => response.writeHead(200).end("ok"))
      const ours = Layer.provide(
        ApiClient.layer({ name: "test", baseUrl: wire.url }),
        FetchHttpClient.layer
      )
      expect(yield* Effect.provide(Effect.flatMap(get("/"), ({ text }) => text), ours)).toBe("ok")
    }))
})
