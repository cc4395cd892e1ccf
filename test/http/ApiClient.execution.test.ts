import {
  FetchHttpClient,
  Headers,
  HttpBody,
  HttpClientRequest,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Redacted, Schema, Stream } from "effect"
import { ApiClient, ApiError, IdempotencyKey } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { tagOf } from "../support/errors.js"
import { closedUrl, serve } from "../support/servers.js"
import { until } from "../support/turns.js"
import { conflictInFlight, keyHeader, keyOf } from "./apiClient.js"
import {
  broken,
  failureOf,
  over,
  range,
  type Reply,
  reply,
  retrying,
  transports
} from "./support.js"

describe("what may have been executed", () => {
  it.effect("E4: without a key, only what certainly was not executed is repeated", () =>
    Effect.gen(function*() {
      const replies: Record<string, Reply> = {
        refused: broken("ECONNREFUSED"),
        "no such host": broken("ENOTFOUND"),
        "no name service": broken("EAI_AGAIN"),
        408: reply(408),
        425: reply(425),
        429: reply(429),
        "409 in flight": conflictInFlight,
        reset: broken("ECONNRESET"),
        "other side closed": broken("UND_ERR_SOCKET"),
        "timed out": broken("ETIMEDOUT"),
        unheard: () => new Error("something else"),
        500: reply(500),
        502: reply(502),
        503: reply(503),
        504: reply(504),
        401: reply(401),
        403: reply(403)
      }
      const counts = yield* Effect.forEach(
        Object.entries(replies),
        ([name, answer]) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over([answer])
            yield* failureOf(client.post("/v1/things"))
            return [name, sent.length] as const
          })
      )
      const nothingDone = [
        "refused",
        "no such host",
        "no name service",
        "408",
        "425",
        "429",
        "409 in flight"
      ]
      expect(counts).toEqual(
        Object.keys(replies).map((name) => [name, nothingDone.includes(name) ? 3 : 1])
      )
    }))

  it.effect("E4: a transport failure says whether anything was sent", () =>
    Effect.gen(function*() {
      const codes = [
        "ECONNREFUSED",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNRESET",
        "EPIPE",
        "UND_ERR_SOCKET",
        "EWHATEVER"
      ]
      const errors = yield* Effect.forEach(codes, (code) =>
        Effect.flatMap(over([broken(code)]), ({ client }) =>
          failureOf(client.get("/v1/things"))))
      expect(errors.map((error) =>
        error._tag === "Network" && error.sent
      )).toEqual(
        ["no", "no", "no", "unknown", "unknown", "unknown", "unknown"]
      )
    }))

  for (const [name, layer] of Object.entries(transports)) {
    describe(`on the wire, with ${name}`, () => {
      const clientFor = (url: string) =>
        Effect.gen(function*() {
          return yield* ApiClient.make({ name: "test", baseUrl: url, pipeline: yield* retrying() })
        })

      it.scopedLive("E4: refused: nothing was sent, so even a POST without a key is tried again", () =>
        Effect.gen(function*() {
          const client = yield* clientFor(yield* closedUrl)
          const errors = [
            yield* failureOf(client.get("/v1/things")),
            yield* failureOf(client.post("/v1/things"))
          ]
          expect(errors).toMatchObject([
            { _tag: "Network", sent: "no", attempts: 3 },
            { _tag: "Network", sent: "no", attempts: 3 }
          ])
          expect(errors.map(ApiError.verdict)).toMatchObject([
            { _tag: "Transient", ambiguous: false },
            { _tag: "Transient", ambiguous: false }
          ])
          for (const { message } of errors) expect(message).toMatch(/refused|connect|reach/i)
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E4: a host that is not there", () =>
        Effect.gen(function*() {
          const client = yield* clientFor("http://nowhere.invalid")
          expect(yield* failureOf(client.get("/v1/things"))).toMatchObject({
            _tag: "Network",
            sent: "no",
            attempts: 3
          })
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E4: a reset is ambiguous: a GET is tried again, a POST without a key is not", () =>
        Effect.gen(function*() {
          const api = yield* FlakyApi.make({
            app: HttpServerResponse.json({ id: 1 }, { status: 201 }),
            script: ({ method }) => FlakyApi.reset({ when: method === "POST" ? "after" : "before" })
          })
          const client = yield* clientFor(api.url)
          const errors = [
            yield* failureOf(client.get("/v1/things")),
            yield* failureOf(client.post("/v1/things"))
          ]
          expect(errors).toMatchObject([
            { _tag: "Network", sent: "unknown", attempts: 3 },
            { _tag: "Network", sent: "unknown", attempts: 1 }
          ])
          expect((yield* api.received).map(({ method }) => method)).toEqual([
            "GET",
            "GET",
            "GET",
            "POST"
          ])
          expect((yield* api.executed).length).toBe(1)
        }).pipe(Effect.provide(layer)))

      it.scopedLive("with a key a POST is tried again after a reset, with the same key, and executed once", () =>
        Effect.gen(function*() {
          const api = yield* FlakyApi.make({
            app: HttpServerResponse.json({ id: 1 }, { status: 201 }),
            script: FlakyApi.sequence([FlakyApi.reset({ when: "after" }), FlakyApi.unavailable()])
          })
          const client = yield* clientFor(api.url)
          const response = yield* client.post("/v1/things", { body: HttpBody.unsafeJson({ a: 1 }) })
            .pipe(
              IdempotencyKey.provideNew
            )
          expect([response.status, yield* response.json]).toEqual([201, { id: 1 }])
          const keys = (yield* api.received).map(({ key }) =>
            Option.getOrUndefined(Option.map(key, Redacted.value))
          )
          expect([keys.length, new Set(keys).size, typeof keys[0]]).toEqual([3, 1, "string"])
          expect((yield* api.executed).length).toBe(1)
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E4, E7: a reset after the headers is a success that cannot be read", () =>
        Effect.gen(function*() {
          const api = yield* FlakyApi.make({
            app: HttpServerResponse.json({ id: 1, name: "thing" }, { status: 201 }),
            script: () => FlakyApi.reset({ when: "afterHeaders" })
          })
          const client = yield* ApiClient.make({ name: "test", baseUrl: api.url })
          const error = yield* failureOf(
            Effect.flatMap(client.post("/v1/things"), ApiClient.json(Schema.Unknown))
          )
          expect([error._tag === "Network" || error._tag === "Server", ApiError.verdict(error)])
            .toMatchObject(
              [true, { _tag: "Transient", ambiguous: true }]
            )
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E5: HTML, truncated and empty error bodies yield the tag of the status", () =>
        Effect.gen(function*() {
          const replies: ReadonlyArray<readonly [number, Record<string, string>, string]> = [
            [502, { "content-type": "text/html" }, "<html><body>Bad Gateway</body></html>"],
            [404, { "content-type": "application/json" }, ""],
            [
              422,
              { "content-type": "application/json", "content-length": "500", connection: "close" },
              "{\"code\":\"c\""
            ],
            [
              403,
              { "content-type": "application/json", "content-encoding": "gzip" },
              "{\"code\":\"c\"}"
            ],
            [401, { "content-type": "application/json; charset=nonsense" }, "nonsense"],
            [429, {}, "slow down"]
          ]
          const wire = yield* serve((response, _, index) => {
            const [status, headers, body] = replies[index]!
            response.writeHead(status, headers)
            response.write(
              body,
              () => headers["content-length"] ? response.destroy() : response.end()
            )
          })
          const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url })
          const errors = yield* Effect.forEach(replies, () => failureOf(client.get("/v1/things")))
          expect(errors.map((error) => error._tag)).toEqual(
            replies.map(([status]) => tagOf(status))
          )
          const codes = errors.map((error) => error._tag !== "UnknownOutcome" && error.code)
          expect(codes.filter((code, index) => index !== 3 && code !== undefined)).toEqual([])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E5: of 10 MB at most a little is read, and the server sees the end of it", () =>
        Effect.gen(function*() {
          const size = 10_000_000
          let accepted = 0
          let closed = false
          const wire = yield* serve((response, { url }) => {
            if (url === "/small") return void response.writeHead(200).end("ok")
            response.writeHead(500, {
              "content-type": "application/json",
              "content-length": String(size)
            })
            response.on("close", () => closed = true)
            const chunk = Buffer.alloc(65_536, 0x20)
            const push = () => {
              if (closed) return
              if (accepted >= size) return void response.end()
              const next = chunk.subarray(0, size - accepted)
              accepted += next.length
              if (response.write(next)) setImmediate(push)
              else response.once("drain", push)
            }
            push()
          })
          const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url })
          const error = yield* failureOf(client.get("/large"))
          expect(error).toMatchObject({ _tag: "Server", status: 500 })
          yield* until(() => closed)
          expect(accepted).toBeLessThan(size)
          expect(yield* Effect.flatMap(client.get("/small"), ({ text }) => text)).toBe("ok")
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E5: after a small rest the connection is used again", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response) => response.writeHead(500).end("x".repeat(70_000)))
          const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url })
          yield* Effect.forEach(range(1, 20), () => failureOf(client.get("/v1/things")))
          expect([wire.requests.length, wire.connections() <= 2]).toEqual([20, true])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E11: of two Retry-After fields the larger counts", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response) =>
            response.writeHead(429, ["retry-after", "3", "retry-after", "61"]).end()
          )
          const client = yield* clientFor(wire.url)
          const error = yield* failureOf(client.get("/v1/things"))
          expect(error._tag === "RateLimit" && error.retryAfter).toEqual(Duration.seconds(61))
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E20: any mix of 503 and broken connections makes exactly three requests", () =>
        Effect.gen(function*() {
          const faults = [
            FlakyApi.unavailable(),
            FlakyApi.reset(),
            FlakyApi.reset({ when: "after" })
          ]
          for (const a of faults) {
            for (const b of faults) {
              for (const c of faults) {
                const api = yield* FlakyApi.make({
                  app: HttpServerResponse.empty(),
                  script: FlakyApi.sequence([a, b, c])
                })
                const client = yield* clientFor(api.url)
                yield* failureOf(client.get("/v1/things"))
                expect([a._tag, b._tag, c._tag, (yield* api.received).length]).toEqual([
                  a._tag,
                  b._tag,
                  c._tag,
                  3
                ])
              }
            }
          }
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E22: a redirect is not followed: the other server never hears of it", () =>
        Effect.gen(function*() {
          const other = yield* serve((response) => response.writeHead(200).end("caught"))
          const statuses = [301, 302, 303, 307, 308]
          const wire = yield* serve((response, _, index) =>
            response.writeHead(statuses[index]!, { location: `${other.url}/v1/things` }).end()
          )
          const client = yield* clientFor(wire.url)
          const errors = yield* Effect.forEach(statuses, () =>
            failureOf(
              client.post("/v1/things", {
                headers: { authorization: "Bearer x" },
                body: HttpBody.unsafeJson({})
              }).pipe(
                IdempotencyKey.provideNew
              )
            ))
          expect(errors.map((error) => [error._tag, "status" in error && error.status])).toEqual(
            statuses.map((status) => ["Server", status])
          )
          expect([wire.requests.length, other.requests.length]).toEqual([5, 0])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E22: one key field on the wire, also when it was there in another letter case", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response) => response.writeHead(503).end())
          const client = yield* clientFor(wire.url)
          const request = HttpClientRequest.post("/v1/things")
          const own = {
            ...request,
            headers: Headers.unsafeFromRecord({ "IDEMPOTENCY-Key": "mine" })
          }
          const raw = Object.assign(Object.create(Object.getPrototypeOf(request)), own)
          yield* failureOf(
            client.execute(raw).pipe(IdempotencyKey.provide(keyOf("from context", Date.now())))
          )
          const fields = wire.requests.map(({ rawHeaders }) =>
            rawHeaders.filter((_, i) =>
              i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === keyHeader
            )
          )
          expect(fields).toEqual([["mine"], ["mine"], ["mine"]])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E23: a body that cannot be replayed is sent once, whole, and the failure is told", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response) => response.writeHead(503).end())
          const client = yield* clientFor(wire.url)
          const bytes = new TextEncoder().encode("once only")
          const consumed = () =>
            new ReadableStream<Uint8Array>({
              start(controller) {
                controller.enqueue(bytes)
                controller.close()
              }
            })
          const readable = consumed()
          const stream = HttpBody.stream(
            Stream.fromReadableStream(() => readable, (cause) => cause)
          )
          const errors = [
            yield* failureOf(client.put("/v1/stream", { body: stream })),
            yield* failureOf(
              client.post("/v1/stream", { body: stream }).pipe(IdempotencyKey.provideNew)
            )
          ]
          expect(wire.requests.map(({ body }) => body)).toEqual(["once only"])
          expect(errors[0]).toMatchObject({ _tag: "Server", status: 503 })
          for (const error of errors) expect(ApiError.isApiError(error)).toBe(true)
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E23: a body in memory is sent again, whole", () =>
        Effect.gen(function*() {
          const wire = yield* serve((response) => response.writeHead(503).end())
          const client = yield* clientFor(wire.url)
          yield* failureOf(client.put("/v1/things", { body: HttpBody.unsafeJson({ a: 1 }) }))
          yield* failureOf(client.put("/v1/things", { body: HttpBody.text("text") }))
          expect(wire.requests.map(({ body }) => body)).toEqual(
            ["{\"a\":1}", "{\"a\":1}", "{\"a\":1}", "text", "text", "text"]
          )
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E24: interrupting a slow call ends the request, and the client stays usable", () =>
        Effect.gen(function*() {
          let arrived = false
          let closed = false
          const wire = yield* serve((response, { url }) => {
            if (url === "/fast") return void response.writeHead(200).end("ok")
            arrived = true
            response.on("close", () => closed = true)
          })
          const client = yield* clientFor(wire.url)
          const fiber = yield* Effect.fork(client.get("/slow"))
          yield* until(() => arrived)
          const exit = yield* Fiber.interrupt(fiber)
          yield* until(() => closed)
          expect(Exit.isInterrupted(exit)).toBe(true)
          expect(yield* Effect.flatMap(client.get("/fast"), ({ text }) => text)).toBe("ok")
          expect(wire.requests.map(({ url }) => url)).toEqual(["/slow", "/fast"])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E24: interrupting while an error body arrives ends the request as well", () =>
        Effect.gen(function*() {
          let arrived = false
          let closed = false
          const wire = yield* serve((response) => {
            response.writeHead(500, { "content-type": "application/json" })
            response.write("{\"code\":", () => arrived = true)
            response.on("close", () => closed = true)
          })
          const client = yield* clientFor(wire.url)
          const fiber = yield* Effect.fork(client.get("/slow"))
          yield* until(() => arrived)
          const exit = yield* Fiber.interrupt(fiber)
          yield* until(() => closed)
          expect([Exit.isInterrupted(exit), wire.requests.length]).toEqual([true, 1])
        }).pipe(Effect.provide(layer)))

      it.scopedLive("E24: the body of the answer that counts is readable after failed attempts", () =>
        Effect.gen(function*() {
          const api = yield* FlakyApi.make({
            app: HttpServerResponse.text("x".repeat(200_000)),
            script: FlakyApi.sequence([
              FlakyApi.unavailable({ body: "y".repeat(200_000) }),
              FlakyApi.reset()
            ])
          })
          const client = yield* clientFor(api.url)
          const text = yield* Effect.flatMap(client.get("/v1/things"), ({ text }) => text)
          expect(text).toBe("x".repeat(200_000))
        }).pipe(Effect.provide(layer)))
    })
  }

  it.scopedLive("E22: what a user asks of fetch still holds, and redirects are not followed", () =>
    Effect.gen(function*() {
      const other = yield* serve((response) => response.writeHead(200).end())
      const wire = yield* serve((response) =>
        response.writeHead(307, { location: other.url }).end()
      )
      const client = yield* ApiClient.make({ name: "test", baseUrl: wire.url })
      const error = yield* failureOf(
        client.post("/v1/things").pipe(
          Effect.provideService(FetchHttpClient.RequestInit, { headers: { "x-extra": "1" } })
        )
      )
      expect(error).toMatchObject({ _tag: "Server", status: 307 })
      expect([wire.requests[0]?.headers["x-extra"], other.requests.length]).toEqual(["1", 0])
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})
