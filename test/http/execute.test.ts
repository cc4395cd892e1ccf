import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { ApiClient, ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import { serve } from "../support/servers.js"
import { turn, until } from "../support/turns.js"
import { baseUrl, failureOf, over, reply, retrying, transport } from "./support.js"

const wires = {
  undici: NodeHttpClient.layerUndici,
  fetch: FetchHttpClient.layer,
  node: NodeHttpClient.layer
}

const Thing = Schema.Struct({ id: Schema.Number })
const thing = ApiClient.json(Thing)
const get = HttpClientRequest.get("/v1/things")
const retry = { retries: 2, backoff: Backoff.constant(0) }

class Throttled extends Schema.TaggedError<Throttled>()("Throttled", {}) {}

for (const [wire, layer] of Object.entries(wires)) {
  describe(`E28 over ${wire}`, () => {
    const make = (url: string, stages: object) =>
      Effect.flatMap(
        Pipeline.make({ operation: Operation.read, ...stages }),
        (pipeline) => ApiClient.make({ name: "test", baseUrl: url, pipeline })
      ).pipe((making) =>
        Effect.flatMap(Layer.build(layer), (built) => Effect.provide(making, built))
      )

    /** Headers, the beginning of a body, and then silence. */
    const stalling = serve((response) => {
      response.writeHead(200, { "content-type": "application/json" })
      response.write("{\"a\":")
    })

    it.scopedLive("a truncated body is asked for again, and one that stalls too", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, _, index) => {
          response.writeHead(200, { "content-length": "8" })
          if (index === 0) return void response.write("{\"id\"", () => response.destroy())
          if (index === 1) return void response.write("{\"id\"")
          response.end("{\"id\":7}")
        })
        const client = yield* make(server.url, { retry, attemptTimeout: "600 millis" })
        expect(yield* Effect.either(ApiClient.execute(client, get, thing))).toMatchObject({
          right: { id: 7 }
        })
        expect(server.requests.length).toBe(3)
      }))

    it.scopedLive("a stalled body fails with Timeout within the total, in execute and outside", () =>
      Effect.gen(function*() {
        const server = yield* stalling
        const client = yield* make(server.url, { totalTimeout: "300 millis" })
        const errors = [
          yield* failureOf(ApiClient.execute(client, get, thing)),
          yield* failureOf(Effect.flatMap(client.execute(get), thing)),
          yield* failureOf(Effect.flatMap(client.execute(get), ApiClient.text)),
          yield* failureOf(Effect.flatMap(client.execute(get), ApiClient.bytes))
        ]
        expect(errors).toMatchObject(errors.map(() => ({ _tag: "Timeout", deadline: "total" })))
        const response = yield* client.execute(get)
        expect(yield* failureOf(response.text)).toMatchObject({
          _tag: "ResponseError",
          cause: { _tag: "Timeout", deadline: "total" }
        })
      }))

    it.scopedLive("without a total the attempt's limit is the longest silence", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, { url }) => {
          response.writeHead(200)
          response.write("0")
          if (url === "/stalled") return
          let index = 0
          const timer = setInterval(() => {
            response.write(`${++index}`)
            if (index < 5) return
            clearInterval(timer)
            response.end()
          }, 100)
        })
        const client = yield* make(server.url, { attemptTimeout: "250 millis" })
        const slow = yield* client.get("/slow")
        expect(yield* slow.text).toBe("012345")
        const streamed = yield* client.get("/slow")
        expect(yield* Stream.mkString(Stream.decodeText(streamed.stream))).toBe("012345")
        const stalled = yield* client.get("/stalled")
        expect(yield* failureOf(Stream.runDrain(stalled.stream))).toMatchObject({
          _tag: "ResponseError",
          cause: { _tag: "Timeout" }
        })
        expect(yield* failureOf(Effect.flatMap(client.get("/stalled"), ApiClient.text)))
          .toMatchObject({ _tag: "Timeout" })
      }))

    it.scopedLive("the circuit breaker sees a body that breaks off", () =>
      Effect.gen(function*() {
        const server = yield* serve((response) => {
          response.writeHead(200, { "content-length": "8" })
          response.write("{\"id\"", () => response.destroy())
        })
        const client = yield* make(server.url, {
          circuitBreaker: { minimumCalls: 2, window: { _tag: "Count", size: 2 } }
        })
        const call = failureOf(ApiClient.execute(client, get, thing))
        expect([(yield* call)._tag, (yield* call)._tag, (yield* call)._tag]).toEqual(
          ["Server", "Server", "CircuitOpen"]
        )
      }))

    it.scopedLive("a read may ask for the text again, and for JSON after it, within and afterwards", () =>
      Effect.gen(function*() {
        const server = yield* serve((response) => response.end("{\"id\":7}"))
        const client = yield* make(server.url, { attemptTimeout: "5 seconds" })
        const all = (response: HttpClientResponse.HttpClientResponse) =>
          Effect.all([response.text, response.text, response.json, thing(response)])
        const whole = ["{\"id\":7}", "{\"id\":7}", { id: 7 }, { id: 7 }]
        expect(yield* ApiClient.execute(client, get, all)).toEqual(whole)
        expect(yield* Effect.flatMap(client.execute(get), all)).toEqual(whole)
      }))

    it.scopedLive("interrupting a read, or one of several things in it, ends the request", () =>
      Effect.gen(function*() {
        let closed = 0
        const server = yield* serve((response) => {
          response.on("close", () => closed++)
          response.writeHead(200)
          response.write("{")
        })
        const client = yield* make(server.url, { attemptTimeout: "20 seconds" })
        const fiber = yield* Effect.fork(ApiClient.execute(client, get, ApiClient.text))
        yield* until(() => server.requests.length === 1)
        yield* Fiber.interrupt(fiber)
        yield* until(() => closed === 1)
        const firstByte = ({ text }: HttpClientResponse.HttpClientResponse) =>
          Effect.race(Effect.exit(text), Effect.as(turn, "no text"))
        expect(yield* ApiClient.execute(client, get, firstByte)).toBe("no text")
        yield* until(() => closed === 2)
      }))

    it.scopedLive("of hedges, the value is that of the answer that counts", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, _, index) => {
          response.writeHead(200)
          response.write("{\"id\":")
          if (index > 0) response.end("2}")
        })
        const client = yield* make(server.url, { hedge: { delay: "50 millis" } })
        expect(yield* ApiClient.execute(client, get, thing)).toEqual({ id: 2 })
      }))
  })
}

describe("E28: execute", () => {
  it.effect("a read that fails with an ApiError is repeated, one with an error of its own is not", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200, { ok: false }), reply(200, { ok: true })])
      const checked = yield* ApiClient.execute(
        client,
        get,
        (response) =>
          Effect.flatMap(ApiClient.text(response), (text) =>
            text.includes("false")
              ? new ApiError.RateLimit({ message: "THROTTLED" })
              : Effect.succeed(text))
      )
      expect([checked, sent.length]).toEqual(["{\"ok\":true}", 2])
      const own = yield* over([reply(200)])
      const error = yield* failureOf(
        own.client.pipe(ApiClient.execute(get, () => new Throttled()))
      )
      expect([error instanceof Throttled, own.sent.length]).toEqual([true, 1])
    }))

  it.effect("derived clients keep it; what prepares a request is not read by it", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(200, { token: "t" }),
        reply(200, "{"),
        reply(200, { token: "t" }),
        reply(200, { id: 1 })
      ])
      const plain = client.pipe(HttpClient.mapRequest(HttpClientRequest.setHeader("x-a", "1")))
      const derived = client.pipe(HttpClient.mapRequestEffect((request) =>
        Effect.map(
          Effect.flatMap(
            client.get("/token"),
            ApiClient.json(Schema.Struct({ token: Schema.String }))
          ),
          ({ token }) => HttpClientRequest.bearerToken(request, token)
        )
      ))
      const error = yield* failureOf(
        ApiClient.execute(plain, get, ApiClient.json(Schema.Struct({ other: Schema.Number })))
      )
      expect(error).toMatchObject({ code: "unexpected_response" })
      expect(error.message).toContain("other: expected number, got nothing")
      const again = yield* over([
        reply(200, { token: "t" }),
        reply(200, "{"),
        reply(200, { id: 1 })
      ])
      const withToken = again.client.pipe(
        HttpClient.mapRequestEffect((request) => Effect.as(again.client.get("/token"), request))
      )
      expect(yield* ApiClient.execute(withToken, get, thing)).toEqual({ id: 1 })
      expect([sent.length, again.sent.length, derived === client]).toEqual([1, 3, false])
    }))

  it.effect("read has the services of its caller; text, bytes and json are reads", () =>
    Effect.gen(function*() {
      class Prefix extends Context.Tag("Prefix")<Prefix, string>() {}
      const { client } = yield* over([reply(200, { id: 1 })])
      const prefixed = (response: HttpClientResponse.HttpClientResponse) =>
        Effect.zipWith(Prefix, ApiClient.text(response), (prefix, text) => prefix + text)
      expect([
        yield* Effect.provideService(ApiClient.execute(client, get, prefixed), Prefix, ">"),
        yield* ApiClient.execute(client, get, ApiClient.text),
        new TextDecoder().decode(yield* ApiClient.execute(client, get, ApiClient.bytes)),
        yield* ApiClient.execute(client, get, thing)
      ]).toEqual([">{\"id\":1}", "{\"id\":1}", "{\"id\":1}", { id: 1 }])
    }))

  it.effect("a client that is not ours sends once and reads once", () =>
    Effect.gen(function*() {
      const { client, sent } = transport([reply(200, { id: 3 })])
      const request = HttpClientRequest.get(baseUrl)
      expect(yield* ApiClient.execute(client, request, thing)).toEqual({ id: 3 })
      expect(sent.length).toBe(1)
    }))

  it.effect("layer: what read fails with comes out as it is, and a refusal is read", () =>
    Effect.gen(function*() {
      const called = <A, E>(
        status: number,
        read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, E>
      ) =>
        Effect.gen(function*() {
          const { layer } = transport([reply(status, { id: "no" })])
          const ours = ApiClient.layer({ name: "test", baseUrl, pipeline: yield* retrying() })
          return yield* Effect.flatMap(
            HttpClient.HttpClient,
            (client) => ApiClient.execute(client, get, read)
          ).pipe(Effect.provide(Layer.provide(ours, layer)))
        })
      expect([
        yield* failureOf(called(200, thing)),
        yield* failureOf(called(200, () => new Throttled())),
        yield* called(404, (response) => Effect.succeed(response.status))
      ]).toMatchObject([
        { _tag: "Server", code: "unexpected_response" },
        { _tag: "Throttled" },
        404
      ])
    }))
})

describe("E32: a success of another form", () => {
  it.effect("unexpected_response: final, with path and types, without values", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({
        id: Schema.Number,
        tags: Schema.Array(Schema.Struct({ name: Schema.String })),
        size: Schema.Union(Schema.Number, Schema.Null),
        count: Schema.NumberFromString,
        rest: Schema.Positive
      })
      const { client, sent } = yield* over([
        reply(200, {
          id: "SENTINEL",
          tags: [{ name: 7 }],
          size: "SENTINEL",
          count: "SENTINEL",
          rest: -4242
        })
      ])
      const error = yield* failureOf(ApiClient.execute(client, get, ApiClient.json(schema)))
      expect([error, ApiError.verdict(error), ApiError.mayHaveRun(error), sent.length])
        .toMatchObject([
          { _tag: "Server", status: 200, code: "unexpected_response" },
          { _tag: "Terminal" },
          true,
          1
        ])
      expect(error.message).toContain("id: expected number, got string")
      expect(`${error} ${JSON.stringify(error)}`).not.toMatch(/SENTINEL|4242/)
      const all = yield* over([
        reply(200, { id: 1, tags: [{ name: 7 }], size: "a", count: "1", rest: 1 })
      ])
      expect((yield* failureOf(
        ApiClient.execute(
          all.client,
          get,
          (response) =>
            Effect.flatMap(
              response.text,
              (text) =>
                ApiClient.json(
                  Schema.Struct({ size: schema.fields.size, tags: schema.fields.tags })
                )(
                  HttpClientResponse.fromWeb(get, new Response(text))
                )
            )
        )
      )).toString()).toMatch(
        /size: expected number \| null, got string|size: expected number or null, got string/
      )
    }))
})
