import {
  FetchHttpClient,
  Headers,
  HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  ApiClient,
  ApiError,
  Backoff,
  ErrorResponse,
  IdempotencyKey,
  Operation
} from "effect-resilience"
import { Pipeline, Playbook, Retry } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import {
  Cause,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schema
} from "effect"
import { Stream, TestClock } from "effect"
import { tagOf } from "../support/errors.js"
import { failed, squashed } from "../support/exits.js"
import { closedUrl, serve } from "../support/servers.js"
import { recorder } from "../support/spans.js"
import {
  baseUrl,
  broken,
  failureOf,
  over,
  range,
  type Reply,
  reply,
  retrying,
  transport,
  transports
} from "./support.js"
import { until } from "../support/turns.js"

const someKey = Effect.runSync(IdempotencyKey.fromString("row-1", { madeAt: 0 }))

const keyOf = (value: string, madeAt = 0) =>
  Effect.runSync(IdempotencyKey.fromString(value, { madeAt }))

const keyHeader = "idempotency-key"

/**
 * The keys that a transport in memory saw, one per request, whatever the letter case of the header.
 */
const keysSent = (sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>, name = keyHeader) =>
  sent.map(({ headers }) =>
    Object.entries(headers).filter(([header]) => header.toLowerCase() === name).map(([, value]) =>
      value
    ).join(" and ")
  )

const method = (name: string) => HttpClientRequest.make(name as "GET")("/v1/things")

const conflictInFlight = reply(409, { code: "idempotency_key_in_use" })

describe("every status through the client", () => {
  it.effect("E1: a status that is not 2xx is an error with its tag", () =>
    Effect.gen(function*() {
      const statuses = range(300, 599)
      const errors = yield* Effect.forEach(statuses, (status) =>
        Effect.flatMap(over([reply(status)]), ({ client }) =>
          failureOf(client.get("/v1/things"))))
      expect(errors.map((error) => [error._tag, "status" in error && error.status])).toEqual(
        statuses.map((status) => [tagOf(status), status])
      )
    }))

  it.effect("E7: every 2xx is a success and passes unchanged", () =>
    Effect.gen(function*() {
      const statuses = range(200, 299)
      const responses = yield* Effect.forEach(statuses, (status) =>
        Effect.flatMap(over([reply(status, "as it was")]), ({ client }) =>
          client.get("/v1/things")))
      expect(responses.map(({ status }) =>
        status
      )).toEqual(statuses)
      const texts = yield* Effect.forEach(responses, ({ text }) => text)
      expect(texts).toEqual(
        statuses.map((status) => [204, 205].includes(status) ? "" : "as it was")
      )
    }))

  it.effect("E2, E4: which are retried, by the number of requests", () =>
    Effect.gen(function*() {
      const statuses = range(300, 599)
      const counts = yield* Effect.forEach(statuses, (status) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(status)])
          yield* failureOf(client.get("/v1/things"))
          return sent.length
        }))
      const again = (status: number) =>
        [408, 425, 429].includes(status) || (status >= 500 && ![501, 505].includes(status))
      expect(counts).toEqual(statuses.map((status) => again(status) ? 3 : 1))
    }))

  it.effect("E2: a transport failure is retried, whatever the socket says", () =>
    Effect.gen(function*() {
      const codes = [
        "ECONNREFUSED",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNRESET",
        "EPIPE",
        "ETIMEDOUT",
        "UND_ERR_SOCKET"
      ]
      const outcomes = yield* Effect.forEach(codes, (code) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([broken(code)])
          return [(yield* failureOf(client.get("/v1/things")))._tag, sent.length]
        }))
      expect(outcomes).toEqual(codes.map(() => ["Network", 3]))
    }))

  it.effect("without a pipeline there is one attempt", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503)])
      const client = yield* Effect.provide(ApiClient.make({ name: "test", baseUrl }), layer)
      yield* failureOf(client.get("/v1/things"))
      expect(sent.length).toBe(1)
    }))

  it.effect("E1: the client's playbook decides", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(Playbook.standard, {
        byStatus: {
          418: { ...Playbook.lookup(Playbook.standard, 423), tag: "Locked", repeat: "transient" }
        }
      })
      const { client, sent } = yield* over([reply(418)], { playbook })
      expect([(yield* failureOf(client.get("/")))._tag, sent.length]).toEqual(["Locked", 3])
    }))
})

describe("conflicts in flight", () => {
  const ways: ReadonlyArray<readonly [string, Reply]> = [
    [
      "our problem type",
      reply(409, { type: "urn:effect-resilience:idempotency:in-flight", status: 409 })
    ],
    ["the well-known code", conflictInFlight],
    ["a code of the playbook", reply(409, { error: { code: "still_running", message: "wait" } })]
  ]
  const playbook = Playbook.extend(Playbook.standard, { inFlightCodes: ["still_running"] })

  it.effect("E3, I45: tried again with the same key, by each of the three ways", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(ways, ([name, inFlight]) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([inFlight, reply(201, { id: 1 })], { playbook })
          const { status } = yield* client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
          return [name, status, keysSent(sent)]
        }))
      expect(outcomes).toEqual(ways.map(([name]) => [name, 201, ["row-1", "row-1"]]))
    }))

  it.effect("E3: any other conflict is final, also with a key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(409, { error: "Conflict", message: "Activity already has a result" })
      ])
      const error = yield* failureOf(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      expect([error, sent.length]).toMatchObject([{ _tag: "Conflict", inFlight: false }, 1])
    }))

  it.effect("E14: Retry-After of a conflict in flight is waited for", () =>
    Effect.gen(function*() {
      const waiting = reply(409, { code: "idempotency_key_in_use" }, { "retry-after": "7" })
      const { client, sent } = yield* over([waiting, reply(201)])
      const fiber = yield* Effect.fork(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      yield* TestClock.adjust("6999 millis")
      const before = sent.length
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      expect([before, sent.length]).toEqual([1, 2])
    }))

  it.effect("I45: 422 is terminal, also with a key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(422, { type: "urn:effect-resilience:idempotency:mismatch" })
      ])
      const error = yield* failureOf(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      expect([error._tag, sent.length]).toEqual(["Validation", 1])
    }))

  it.effect("I45: a replayed 5xx will be the same next time: stop early", () =>
    Effect.gen(function*() {
      const replayed = reply(500, { message: "broken" }, { "idempotent-replayed": "true" })
      const first = yield* over([replayed])
      const second = yield* over([reply(503), replayed])
      yield* failureOf(first.client.post("/v1/things").pipe(IdempotencyKey.provide(someKey)))
      yield* failureOf(second.client.post("/v1/things").pipe(IdempotencyKey.provide(someKey)))
      expect([first.sent.length, second.sent.length]).toEqual([1, 2])
    }))
})

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

describe("successes and their bodies", () => {
  const Thing = Schema.Struct({ id: Schema.Number })

  it.effect("E7: 204, 205 and an empty 200 are successes without a body", () =>
    Effect.gen(function*() {
      const bodies = yield* Effect.forEach(
        [reply(204), reply(205), reply(200), reply(201, "")],
        (answer) =>
          Effect.gen(function*() {
            const { client } = yield* over([answer])
            return yield* Effect.flatMap(client.get("/"), ApiClient.json(Schema.Undefined))
          })
      )
      expect(bodies).toEqual([undefined, undefined, undefined, undefined])
    }))

  it.effect("E7: a success whose body does not decode is a Server error with its own code", () =>
    Effect.gen(function*() {
      const answers = [
        reply(200, { id: "not a number, and a secret" }),
        reply(201, "<html>login page</html>"),
        reply(200, "{\"id\": "),
        reply(200),
        reply(204)
      ]
      const errors = yield* Effect.forEach(answers, (answer) =>
        Effect.gen(function*() {
          const { client } = yield* over([answer])
          return yield* failureOf(Effect.flatMap(client.get("/"), ApiClient.json(Thing)))
        }))
      expect(errors.map((error) => [error._tag, "code" in error && error.code])).toEqual(
        answers.map(() => ["Server", "unreadable_response"])
      )
      expect(JSON.stringify(errors)).not.toMatch(/a secret|login page/)
      expect(errors.map((error) => "status" in error && error.status)).toEqual([
        200,
        201,
        200,
        200,
        204
      ])
    }))

  it.effect("E7: repeated for read and idempotent, final for keyed and once", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200, "garbage")])
      const call = Effect.flatMap(client.get("/"), ApiClient.json(Thing))
      const counts: Array<number> = []
      for (
        const operation of [Operation.read, Operation.idempotent, Operation.keyed, Operation.once]
      ) {
        const before = sent.length
        yield* failureOf(
          Retry.retry(call, { operation, retries: 2, backoff: Backoff.constant(0) }).pipe(
            IdempotencyKey.provide(someKey)
          )
        )
        counts.push(sent.length - before)
      }
      expect(counts).toEqual([3, 3, 1, 1])
    }))

  it.effect("E7: and so it is in a pipeline around the call", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200, "garbage")])
      const call = Effect.flatMap(client.get("/"), ApiClient.json(Thing))
      const retry = { retries: 2, backoff: Backoff.constant(0) }
      const read = yield* Pipeline.make({ operation: Operation.read, retry })
      const once = yield* Pipeline.make({ operation: Operation.once, retry })
      yield* failureOf(Pipeline.protect(call, read))
      const afterRead = sent.length
      yield* failureOf(Pipeline.protect(call, once))
      expect([afterRead, sent.length - afterRead]).toEqual([3, 1])
    }))

  it.effect("E7: a body that decodes is decoded", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200, { id: 7 })])
      expect(yield* Effect.flatMap(client.get("/"), ApiClient.json(Thing))).toEqual({ id: 7 })
    }))

  it.effect("fromResponse passes a 2xx and fails with what any other response means", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.get(baseUrl)
      const web = (status: number, body?: string) =>
        HttpClientResponse.fromWeb(request, new Response(body, { status }))
      const ok = web(204)
      expect(yield* ApiClient.fromResponse(ok)).toBe(ok)
      const playbook = Playbook.extend(Playbook.standard, {
        byStatus: { 404: { ...Playbook.lookup(Playbook.standard, 404), tag: "Policy" } }
      })
      const errors = [
        yield* failureOf(ApiClient.fromResponse(web(404, "{\"error\":\"gone\"}"))),
        yield* failureOf(ApiClient.fromResponse(web(404), playbook)),
        yield* failureOf(ApiClient.fromResponse(web(302)))
      ]
      expect(errors).toMatchObject([
        { _tag: "NotFound", message: "gone" },
        { _tag: "Policy" },
        { _tag: "Server", status: 302 }
      ])
    }))

  it("fromClientError: a transport failure is Network, a refused status goes by that status", () => {
    const request = HttpClientRequest.get("http://api.example.com/v1/things?token=hidden")
    const transportError = (code: string) =>
      new HttpClientError.RequestError({
        request,
        reason: "Transport",
        cause: Object.assign(new Error(), { code })
      })
    const response = HttpClientResponse.fromWeb(request, new Response("", { status: 429 }))
    const errors = [
      ApiClient.fromClientError(transportError("ECONNREFUSED")),
      ApiClient.fromClientError(transportError("ECONNRESET")),
      ApiClient.fromClientError(
        new HttpClientError.ResponseError({ request, response, reason: "StatusCode" })
      )
    ]
    expect(errors).toMatchObject([
      { _tag: "Network", sent: "no" },
      { _tag: "Network", sent: "unknown" },
      { _tag: "RateLimit", status: 429 }
    ])
    expect(errors.map((error) => `${error} ${JSON.stringify(error)}`).join()).not.toContain(
      "hidden"
    )
  })
})

describe("what an error knows", () => {
  it.effect("E8, R14: headers, request id, method, attempts, latency and the raw body on request", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(503),
        reply(429, { error: "slow down" }, {
          "retry-after": "0",
          "x-request-id": "req-1",
          "set-cookie": "session=1",
          "ratelimit-limit": "100",
          "ratelimit-remaining": "0"
        })
      ])
      const error = yield* failureOf(client.get("/v1/things/7"))
      expect(error).toMatchObject({
        _tag: "RateLimit",
        status: 429,
        message: "slow down",
        requestId: "req-1",
        endpoint: "/v1/things/:id",
        method: "GET",
        attempts: 3,
        limit: 100,
        remaining: 0
      })
      if (!ApiError.isApiError(error)) throw new Error("ours")
      expect(error.headers).toMatchObject({ "retry-after": "0", "x-request-id": "req-1" })
      expect(error.headers).not.toHaveProperty("set-cookie")
      expect(Duration.isDuration(error.latency)).toBe(true)
      const raw = Option.map(ApiError.rawBody(error), (bytes) => new TextDecoder().decode(bytes))
      expect(raw).toEqual(Option.some("{\"error\":\"slow down\"}"))
    }))

  it.effect("E9: an undeclared endpoint is the path, ids replaced, without the query", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const endpoint = (url: string) =>
        Effect.map(
          failureOf(client.get(url)),
          (error) => ApiError.isApiError(error) && error.endpoint
        )
      const paths = [
        "/v1/sessions/123",
        "/v1/sessions/123/items/550e8400-e29b-41d4-a716-446655440000",
        "/v1/sessions/550E8400-E29B-41D4-A716-446655440000",
        "/v1/files/0123456789abcdef0123456789abcdef",
        "/v1/files/5f2b6c1de4b0a1a2b3c4d5e6/raw",
        "/v1/sessions",
        "/v1/sessions?token=secret&id=123",
        "/v1/sessions/123?token=secret#fragment",
        "/v2/facade/beef",
        "/"
      ]
      expect(yield* Effect.forEach(paths, endpoint)).toEqual([
        "/v1/sessions/:id",
        "/v1/sessions/:id/items/:id",
        "/v1/sessions/:id",
        "/v1/files/:id",
        "/v1/files/:id/raw",
        "/v1/sessions",
        "/v1/sessions",
        "/v1/sessions/:id",
        "/v2/facade/beef",
        "/"
      ])
    }))

  it.effect("E9: a declared endpoint is the declared template, for this effect only", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const call = failureOf(
        client.get("/v1/sessions/alice/items/bob", { urlParams: { token: "secret" } })
      )
      const declared = yield* call.pipe(ApiClient.withEndpoint("/v1/sessions/:id/items/:item"))
      expect([declared, yield* call]).toMatchObject([
        { endpoint: "/v1/sessions/:id/items/:item" },
        { endpoint: "/v1/sessions/alice/items/bob" }
      ])
    }))

  it("E9: never the query, whatever the path", async () => {
    const part = fc.stringMatching(/^[a-z0-9._~!$&'()*+,;=:@-]{0,12}$/)
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), (parts) =>
        Effect.gen(function*() {
          const { client } = yield* over([reply(404)])
          const error = yield* failureOf(
            client.get(`/${parts.join("/")}?q=QUERY`, { urlParams: { also: "QUERY" } })
          )
          expect(JSON.stringify(error)).not.toContain("QUERY")
          if (ApiError.isApiError(error)) expect(error.endpoint).not.toContain("?")
        }).pipe(Effect.runPromise)),
      { numRuns: 500 }
    )
  })

  it.effect("E12: a wait equal to the cap is honoured, one above it stops and shows the hint", () =>
    Effect.gen(function*() {
      const atCap = yield* over([reply(429, "", { "retry-after": "60" }), reply(200)])
      const fiber = yield* Effect.fork(atCap.client.get("/"))
      yield* TestClock.adjust("59999 millis")
      const before = atCap.sent.length
      yield* TestClock.adjust("1 millis")
      expect([before, (yield* Fiber.join(fiber)).status, atCap.sent.length]).toEqual([1, 200, 2])
      const above = yield* over([reply(429, "", { "retry-after": "61" }), reply(200)])
      const error = yield* failureOf(above.client.get("/"))
      expect([error, above.sent.length]).toMatchObject([{ retryAfter: Duration.seconds(61) }, 1])
    }))

  it.effect("R12: interruption while waiting ends the call at that moment, without another request", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503, "", { "retry-after": "30" })])
      const fiber = yield* Effect.fork(client.get("/"))
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      expect([Exit.isInterrupted(exit), sent.length]).toEqual([true, 1])
    }))

  it.effect("E14: Retry-After on a 500 is not waited for", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(500, "", { "retry-after": "30" })])
      yield* failureOf(client.get("/"))
      expect(sent.length).toBe(3)
    }))

  it.effect("E11: a date counts from the response's own Date, else from the Clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-10-21T07:00:00Z"))
      const hint = (headers: Record<string, string>) =>
        Effect.gen(function*() {
          const { layer } = transport([reply(429, "", headers)])
          const client = yield* Effect.provide(ApiClient.make({ name: "test", baseUrl }), layer)
          const error = yield* failureOf(client.get("/"))
          return error._tag === "RateLimit" ? error.retryAfter : error
        })
      const at = "Wed, 21 Oct 2026 07:00:10 GMT"
      expect([
        yield* hint({ "retry-after": at }),
        yield* hint({ "retry-after": at, date: "Wed, 21 Oct 2026 07:00:04 GMT" }),
        yield* hint({ "retry-after": at, date: "Wed, 21 Oct 2026 07:00:30 GMT" }),
        yield* hint({ "retry-after": "-5" })
      ]).toEqual([Duration.seconds(10), Duration.seconds(6), Duration.zero, undefined])
    }))

  it.effect("E13: reset headers and the pattern in the message, as the playbook says", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(Playbook.standard, {
        resetHeaders: ["X-RateLimit-Reset"],
        retryAfterInMessage: /retry after (\d+) seconds/
      })
      const body = {
        error: { type: "rate_limit_error", message: "Please retry after 120 seconds." }
      }
      const hint = (answer: Reply, options: Partial<ApiClient.Options>) =>
        Effect.gen(function*() {
          const { client } = yield* over([answer], options)
          const error = yield* failureOf(client.get("/"))
          return error._tag === "RateLimit" && error.retryAfter
        })
      const reset = reply(429, body, { "x-ratelimit-reset": "90" })
      expect([
        yield* hint(reply(429, body), {}),
        yield* hint(reply(429, body), { playbook }),
        yield* hint(reset, {}),
        yield* hint(reset, { playbook })
      ]).toEqual([undefined, Duration.seconds(120), undefined, Duration.seconds(90)])
    }))

  it.effect("E5: a decoder of the user's reads the bodies, and one that does not fit costs only detail", () =>
    Effect.gen(function*() {
      const errorBody = Schema.transform(
        Schema.Struct({ fault: Schema.String }),
        Schema.Any as Schema.Schema<ApiClient.ErrorBody>,
        { strict: true, decode: ({ fault }) => ({ code: fault }), encode: () => ({ fault: "" }) }
      )
      const codes = yield* Effect.forEach(
        [{ fault: "f" }, { error: { code: "c" } }, "<html>"],
        (body) =>
          Effect.gen(function*() {
            const { client } = yield* over([reply(404, body)], { errorBody })
            const error = yield* failureOf(client.get("/"))
            return [error._tag, ApiError.isApiError(error) && error.code]
          })
      )
      expect(codes).toEqual([["NotFound", "f"], ["NotFound", undefined], ["NotFound", undefined]])
    }))

  it.effect("E5: maxErrorBodyBytes bounds what is read", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404, { code: "c", filler: "x".repeat(100) })], {
        maxErrorBodyBytes: 50
      })
      const error = yield* failureOf(client.get("/"))
      if (!ApiError.isApiError(error)) throw new Error("ours")
      expect([error.code, Option.map(ApiError.rawBody(error), ({ length }) => length)]).toEqual([
        undefined,
        Option.some(50)
      ])
    }))
})

describe("one loop", () => {
  it("E20: two retries over any mix of 503 and transport errors make exactly three requests", async () => {
    const answers = [
      reply(503),
      broken("ECONNRESET"),
      broken("ECONNREFUSED"),
      broken("UND_ERR_SOCKET"),
      reply(429)
    ]
    const answer = fc.constantFrom(...answers)
    const request = fc.constantFrom("GET", "PUT", "DELETE", "POST")
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { minLength: 12, maxLength: 12 }),
        request,
        (replies, name) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over(replies)
            yield* failureOf(client.execute(method(name)).pipe(IdempotencyKey.provideNew))
            expect(sent.length).toBe(3)
          }).pipe(Effect.runPromise)
      ),
      { numRuns: 500 }
    )
  })

  it("E20: n retries make n + 1 requests, or one more than the failures before the success", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 0, max: 8 }),
        (retries, failures) =>
          Effect.gen(function*() {
            const pipeline = yield* retrying(retries)
            const replies = range(1, failures).map((n) =>
              n % 2 === 0 ? reply(503) : broken("ECONNRESET")
            )
            const { client, sent } = yield* over([...replies, reply(200)], { pipeline })
            const exit = yield* Effect.exit(client.get("/"))
            expect([sent.length, Exit.isSuccess(exit)]).toEqual([
              Math.min(failures, retries) + 1,
              failures <= retries
            ])
          }).pipe(Effect.runPromise)
      ),
      { numRuns: 500 }
    )
  })
})

describe("what each method is", () => {
  const attempts = (name: string, answer: Reply, key?: IdempotencyKey.IdempotencyKey) =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([answer])
      const call = failureOf(client.execute(method(name)))
      yield* key === undefined ? call : IdempotencyKey.provide(call, key)
      return sent.length
    })

  it.effect("E21: on a 503, whatever the operation of the pipeline", () =>
    Effect.gen(function*() {
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH"]
      expect(yield* Effect.forEach(methods, (name) => attempts(name, reply(503)))).toEqual([
        3,
        3,
        3,
        3,
        3,
        3,
        1,
        1
      ])
      expect(yield* Effect.forEach(methods, (name) => attempts(name, reply(503), someKey))).toEqual(
        [3, 3, 3, 3, 3, 3, 3, 3]
      )
    }))

  it.effect("E1: a HEAD has no body, and its status is enough", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(404)])
      expect([(yield* failureOf(client.head("/v1/things")))._tag, sent.length]).toEqual([
        "NotFound",
        1
      ])
    }))

  it.effect("E21: a method nobody knows is not repeated on a 503", () =>
    Effect.gen(function*() {
      expect(yield* attempts("FROBNICATE", reply(503))).toBe(1)
    }))

  it.effect("E21: a key already in the header makes a POST keyed", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(client.post("/v1/things", { headers: { "Idempotency-Key": "mine" } }))
      expect(keysSent(sent)).toEqual(["mine", "mine", "mine"])
    }))

  it.effect("E21: a key in a header of another name does not", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)], { idempotencyHeader: "X-Request-Key" })
      yield* failureOf(client.post("/v1/things", { headers: { "Idempotency-Key": "mine" } }))
      expect(sent.length).toBe(1)
    }))

  it.effect("E27: withOperation overrides what the method implies, for this effect only", () =>
    Effect.gen(function*() {
      const count = (
        use: (client: HttpClient.HttpClient.With<unknown>) => Effect.Effect<unknown, unknown>
      ) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(503)])
          yield* failureOf(use(client))
          return sent.length
        })
      expect([
        yield* count((client) =>
          client.post("/close").pipe(ApiClient.withOperation(Operation.idempotent))
        ),
        yield* count((client) =>
          client.post("/search").pipe(ApiClient.withOperation(Operation.read))
        ),
        yield* count((client) =>
          client.get("/expensive").pipe(ApiClient.withOperation(Operation.once))
        ),
        yield* count((client) =>
          client.put("/append").pipe(ApiClient.withOperation(Operation.once))
        ),
        yield* count((client) =>
          client.post("/close").pipe(
            Effect.ignore,
            ApiClient.withOperation(Operation.once),
            Effect.zipRight(client.post("/close"))
          )
        )
      ]).toEqual([3, 3, 1, 1, 2])
    }))

  it.effect("E27: withOperation(keyed) sends the key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(
        client.post("/v1/things").pipe(
          ApiClient.withOperation(Operation.keyed),
          IdempotencyKey.provide(someKey)
        )
      )
      expect(keysSent(sent)).toEqual(["row-1", "row-1", "row-1"])
    }))
})

describe("idempotency keys", () => {
  it.effect("E22, I1: stamped once: every attempt carries the same, the next call another", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const call = failureOf(client.post("/v1/things")).pipe(IdempotencyKey.provideNew)
      yield* call
      yield* call
      const keys = keysSent(sent)
      expect([keys.length, new Set(keys.slice(0, 3)).size, new Set(keys).size]).toEqual([6, 1, 2])
    }))

  it.effect("a POST without a key carries none and is sent once on 503 or reset", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(
        [reply(503), broken("ECONNRESET")],
        (answer) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over([answer])
            yield* failureOf(client.post("/v1/things"))
            return keysSent(sent)
          })
      )
      expect(outcomes).toEqual([[""], [""]])
    }))

  it.effect("E22: a key already on the request wins, whatever its letter case", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      for (const name of ["idempotency-key", "Idempotency-Key", "IDEMPOTENCY-KEY"]) {
        const request = HttpClientRequest.post("/v1/things")
        const raw: HttpClientRequest.HttpClientRequest = Object.assign(
          Object.create(Object.getPrototypeOf(request)),
          {
            ...request,
            headers: Headers.unsafeFromRecord({ [name]: "mine" })
          }
        )
        yield* failureOf(client.execute(raw).pipe(IdempotencyKey.provide(someKey)))
      }
      expect(keysSent(sent)).toEqual(range(1, 9).map(() => "mine"))
    }))

  it.effect("E22: not sent on safe methods, sent on all others", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PATCH", "PUT", "DELETE"]
      yield* Effect.forEach(methods, (name) => client.execute(method(name))).pipe(
        IdempotencyKey.provide(someKey)
      )
      expect(keysSent(sent)).toEqual(["", "", "", "", "row-1", "row-1", "row-1", "row-1"])
    }))

  it.effect("E22, I2: bare by default, quoted by option, under any header name", () =>
    Effect.gen(function*() {
      const key = keyOf("a \"b\" \\c")
      const first = (options: Partial<ApiClient.Options>, name?: string) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(200)], options)
          yield* client.post("/").pipe(IdempotencyKey.provide(key))
          return [keysSent(sent, name), keysSent(sent)]
        })
      expect([
        yield* first({}),
        yield* first({ idempotencyKeyFormat: "quoted" }),
        yield* first({ idempotencyHeader: "X-Request-Key" }, "x-request-key")
      ]).toEqual([
        [["a \"b\" \\c"], ["a \"b\" \\c"]],
        [["\"a \\\"b\\\" \\\\c\""], ["\"a \\\"b\\\" \\\\c\""]],
        [["a \"b\" \\c"], [""]]
      ])
    }))

  it.effect("E22: a key under a header of another name wins as well", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)], { idempotencyHeader: "X-Request-Key" })
      yield* failureOf(
        client.post("/", { headers: { "x-REQUEST-key": "mine" } }).pipe(
          IdempotencyKey.provide(someKey)
        )
      )
      expect(keysSent(sent, "x-request-key")).toEqual(["mine", "mine", "mine"])
    }))

  it.effect("E22: not sent to another origin, and a call without its key is not repeated there", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const urls = [
        "http://other.example.com/",
        "https://api.example.com/",
        "http://api.example.com:8080/"
      ]
      yield* Effect.forEach(urls, (url) => failureOf(client.post(url))).pipe(
        IdempotencyKey.provide(someKey)
      )
      expect([keysSent(sent), sent.map(({ url }) => url)]).toEqual([["", "", ""], urls])
    }))

  it.effect("E22: an absolute address of the same origin is the same API", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(client.post(`${baseUrl}:80/v1/things`).pipe(IdempotencyKey.provide(someKey)))
      expect(keysSent(sent)).toEqual(["row-1", "row-1", "row-1"])
    }))

  it.effect("E22: mapping effects on our client run once per call, not once per attempt", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      let mapped = 0
      const mapping = client.pipe(
        HttpClient.mapRequestEffect((request) =>
          Effect.sync(() => HttpClientRequest.setHeader(request, keyHeader, `minted-${++mapped}`))
        )
      )
      yield* failureOf(mapping.post("/"))
      yield* failureOf(mapping.post("/"))
      expect([mapped, keysSent(sent)]).toEqual([
        2,
        ["minted-1", "minted-1", "minted-1", "minted-2", "minted-2", "minted-2"]
      ])
    }))

  it.effect("E22: one made around the transport runs per attempt and sees the same key each time", () =>
    Effect.gen(function*() {
      const { client: below, sent } = transport([reply(503)])
      let mapped = 0
      const signing = HttpClient.mapRequestEffect(
        below,
        (request) =>
          Effect.sync(() => HttpClientRequest.setHeader(request, "x-attempt", `${++mapped}`))
      )
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, signing)
        )
      yield* failureOf(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      expect([mapped, keysSent(sent)]).toEqual([3, ["row-1", "row-1", "row-1"]])
    }))

  it.effect("I4: a key past its lifetime is an UnknownOutcome and nothing is sent; <= means over", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const { client, sent } = yield* over([reply(200)], { keyTimeToLive: "10 seconds" })
      const outcome = (madeAt: number) =>
        Effect.map(
          Effect.either(client.post("/").pipe(IdempotencyKey.provide(keyOf("k", madeAt)))),
          (either) => either._tag === "Left" ? either.left._tag : either.right.status
        )
      expect(yield* Effect.forEach([1_000_000, 990_001, 990_000, 989_999, 0], outcome)).toEqual(
        [200, 200, "UnknownOutcome", "UnknownOutcome", "UnknownOutcome"]
      )
      expect(sent.length).toBe(2)
    }))

  it.effect("I4: the lifetime is 24 hours unless it is said", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      const call = Effect.either(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      yield* TestClock.setTime(24 * 3_600_000 - 1)
      const before = yield* call
      yield* TestClock.setTime(24 * 3_600_000)
      const after = yield* call
      expect([before._tag, after._tag, after._tag === "Left" && after.left._tag, sent.length])
        .toEqual(
          ["Right", "Left", "UnknownOutcome", 1]
        )
    }))

  it.effect("I4: a key that dies while a retry waits is an UnknownOutcome, not a second request", () =>
    Effect.gen(function*() {
      const answers = [reply(503, "", { "retry-after": "20" }), reply(201)]
      const { client, sent } = yield* over(answers, { keyTimeToLive: "20 seconds" })
      const fiber = yield* Effect.fork(
        Effect.either(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      )
      yield* TestClock.adjust("1 minute")
      const outcome = yield* Fiber.join(fiber)
      expect([outcome._tag === "Left" && outcome.left._tag, sent.length]).toEqual([
        "UnknownOutcome",
        1
      ])
    }))

  it.effect("I4: an old key does not keep a GET from being sent", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(48 * 3_600_000)
      const { client } = yield* over([reply(200)])
      expect((yield* client.get("/").pipe(IdempotencyKey.provide(someKey))).status).toBe(200)
    }))
})

describe("bodies that cannot be replayed", () => {
  /** Takes the body as a socket would, then answers. */
  const consuming = (replies: ReadonlyArray<Reply>, options: Partial<ApiClient.Options> = {}) =>
    Effect.gen(function*() {
      const { client: below, sent } = transport(replies)
      const taking = HttpClient.transform(below, (response, { body }) => {
        if (body._tag === "Stream") {
          return Effect.zipRight(Effect.orDie(Stream.runDrain(body.stream)), response)
        }
        if (body._tag !== "Raw") return response
        return Effect.zipRight(
          Effect.promise(() => new Response(body.body as BodyInit).text()),
          response
        )
      })
      const client = yield* ApiClient.make({
        name: "test",
        baseUrl,
        pipeline: yield* retrying(),
        ...options
      }).pipe(
        Effect.provideService(HttpClient.HttpClient, taking)
      )
      return { client, sent }
    })
  const bytes = () => new Blob(["once only"]).stream()
  const consumed = () => {
    const readable = bytes()
    return HttpBody.stream(Stream.fromReadableStream(() => readable, (cause) => cause))
  }

  it.effect("E23: raw streams are not repeated either, raw text is", () =>
    Effect.gen(function*() {
      const bodies = [HttpBody.raw(bytes()), HttpBody.raw("text")]
      const counts = yield* Effect.forEach(bodies, (body) =>
        Effect.gen(function*() {
          const { client, sent } = yield* consuming([reply(503)])
          expect(yield* failureOf(client.put("/", { body }))).toMatchObject({
            _tag: "Server",
            status: 503
          })
          return sent.length
        }))
      expect(counts).toEqual([1, 3])
    }))

  it.effect("E23: also not on a 429 or on a 401 with a refresh: bytes were sent", () =>
    Effect.gen(function*() {
      const limited = yield* consuming([reply(429)])
      const refused = yield* consuming([reply(401)], { refresh: Effect.void })
      expect(yield* failureOf(limited.client.put("/", { body: consumed() }))).toMatchObject({
        _tag: "RateLimit"
      })
      expect(yield* failureOf(refused.client.put("/", { body: consumed() }))).toMatchObject({
        _tag: "Auth"
      })
      expect([limited.sent.length, refused.sent.length]).toEqual([1, 1])
    }))

  it.effect("E23: a refused connection took nothing of it, so it is sent whole by the next attempt", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const below = HttpClient.make((request) =>
        refusals++ === 0
          ? Effect.fail(
            new HttpClientError.RequestError({
              request,
              reason: "Transport",
              cause: Object.assign(new Error(), { code: "ECONNREFUSED" })
            })
          )
          : request.body._tag === "Stream"
          ? request.body.stream.pipe(
            Stream.decodeText(),
            Stream.mkString,
            Effect.orDie,
            Effect.map((text) => {
              texts.push(text)
              return HttpClientResponse.fromWeb(request, new Response(""))
            })
          )
          : Effect.die("a stream was expected")
      )
      let refusals = 0
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, below)
        )
      yield* client.put("/", { body: consumed() })
      expect([refusals, texts]).toEqual([2, ["once only"]])
    }))

  it.effect("E23: form data is in memory and is sent again", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const form = new FormData()
      form.set("name", "value")
      yield* failureOf(client.put("/", { body: HttpBody.formData(form) }))
      expect(sent.length).toBe(3)
    }))
})

describe("refreshing a credential", () => {
  const refreshing = (
    replies: ReadonlyArray<Reply>,
    result: Effect.Effect<void, ApiError.ApiError> = Effect.void
  ) =>
    Effect.gen(function*() {
      let refreshed = 0
      const refresh = Effect.zipRight(Effect.sync(() => refreshed++), result)
      const { client, sent } = yield* over(replies, { refresh })
      return { client, seen: () => [refreshed, sent.length] as const }
    })

  it.effect("E2: on a 401 the refresh runs and one more attempt is made, also for a POST without a key", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(["GET", "POST"], (name) =>
        Effect.gen(function*() {
          const { client, seen } = yield* refreshing([reply(401), reply(200)])
          return [(yield* client.execute(method(name))).status, ...seen()]
        }))
      expect(outcomes).toEqual([[200, 1, 2], [200, 1, 2]])
    }))

  it.effect("E2: once per call: a second 401 is an Auth error", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing([reply(401)])
      expect((yield* failureOf(client.get("/")))._tag).toBe("Auth")
      expect(seen()).toEqual([1, 2])
      yield* failureOf(client.get("/"))
      expect(seen()).toEqual([2, 4])
    }))

  it.effect("E2: once per call, also when other failures come between", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing([reply(503), reply(401), reply(401), reply(200)])
      expect((yield* failureOf(client.get("/")))._tag).toBe("Auth")
      expect(seen()).toEqual([1, 3])
    }))

  it.effect("E2: without a refresh there is no second request", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(401)])
      expect([(yield* failureOf(client.get("/")))._tag, sent.length]).toEqual(["Auth", 1])
    }))

  it.effect("E2: other refusals do not refresh", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach([403, 404, 407, 503], (status) =>
        Effect.gen(function*() {
          const { client, seen } = yield* refreshing([reply(status)])
          yield* failureOf(client.get("/"))
          return seen()[0]
        }))
      expect(outcomes).toEqual([0, 0, 0, 0])
    }))

  it.effect("E2: a refresh that fails ends the call with an error of ours", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing(
        [reply(401), reply(200)],
        new ApiError.Auth({ message: "the refresh token expired" })
      )
      expect([(yield* failureOf(client.get("/")))._tag, ...seen()]).toEqual(["Auth", 1, 1])
    }))

  it.effect("E2, E22: the attempt after the refresh carries the same key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(401), reply(200)], { refresh: Effect.void })
      yield* client.post("/").pipe(IdempotencyKey.provide(someKey))
      expect(keysSent(sent)).toEqual(["row-1", "row-1"])
    }))
})

describe("spans", () => {
  const traced = (replies: ReadonlyArray<Reply>, request: HttpClientRequest.HttpClientRequest) =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { client, sent } = yield* over(replies)
      const exit = yield* client.execute(request).pipe(
        IdempotencyKey.provide(someKey),
        Effect.exit,
        Effect.withTracer(tracer),
        Effect.withTracerEnabled(true)
      )
      return { spans, sent, exit }
    })
  const values = (attributes: Map<string, unknown>) => Array.from(attributes.values())
  const named = (attributes: Map<string, unknown>, name: RegExp) =>
    Array.from(attributes).filter(([key]) => name.test(key)).map(([, value]) => value)

  it.effect("E25: one span for the call and one for each attempt, and none of the platform's", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        [reply(503), reply(503), reply(200)],
        HttpClientRequest.get("/v1/things/7?a=1")
      )
      const [call, ...attempts] = spans
      expect(spans.filter(({ name }) => name.startsWith("http.client "))).toEqual([])
      expect(attempts.map(({ parent }) => parent)).toEqual(range(1, 3).map(() => call?.spanId))
      expect(spans.map(({ exit }) => exit !== undefined)).toEqual([true, true, true, true])
      const forbidden = /^(url\.|http\.request\.header|http\.response\.header|server\.)/
      expect(
        spans.flatMap(({ attributes }) => Array.from(attributes.keys())).filter((key) =>
          forbidden.test(key)
        )
      )
        .toEqual([])
    }))

  it.effect("E25: number, template, status and verdict on each attempt, the total on the call", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        [reply(503), reply(429), reply(404)],
        HttpClientRequest.get("/v1/things/7")
      )
      const [call, ...attempts] = spans
      expect(attempts.map(({ attributes }) => named(attributes, /attempt/i))).toEqual([[1], [2], [
        3
      ]])
      for (const { attributes } of spans) expect(values(attributes)).toContain("/v1/things/:id")
      expect(attempts.map(({ attributes }) => named(attributes, /verdict/i).length)).toEqual([
        1,
        1,
        1
      ])
      const verdicts = attempts.map(({ attributes }) =>
        String(named(attributes, /verdict/i)[0]).toLowerCase()
      )
      expect(verdicts.map((verdict) => /transient|terminal/.exec(verdict)?.[0])).toEqual(
        ["transient", "transient", "terminal"]
      )
      expect(attempts.map(({ attributes }) => named(attributes, /status/i))).toEqual([
        [503],
        [429],
        [404]
      ])
      expect(named(call!.attributes, /attempts/i)).toContain(3)
    }))

  it.effect("E25: the delay on the attempt", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { client } = yield* over([reply(429, "", { "retry-after": "3" }), reply(200)])
      const fiber = yield* Effect.fork(
        client.get("/").pipe(Effect.withTracer(tracer), Effect.withTracerEnabled(true))
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      const delays = spans.flatMap(({ attributes }) => named(attributes, /delay/i))
      expect(delays.map(String).some((delay) => /^3(000)?(ms|s)?$/.test(delay))).toBe(true)
    }))

  it.effect("E25, T3: the key as its fingerprint, the same on every attempt", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced([reply(503)], HttpClientRequest.post("/v1/things"))
      const kids = spans.slice(1).map(({ attributes }) => named(attributes, /kid|key/i))
      expect(kids.flat().length).toBe(3)
      expect(new Set(kids.flat()).size).toBe(1)
      expect(kids[0]?.[0]).toMatch(/^[0-9a-f]{16,}$/)
      expect(JSON.stringify(spans.map(({ attributes }) => values(attributes)))).not.toContain(
        "row-1"
      )
    }))

  it.effect("R14: the reason for stopping is on the call", () =>
    Effect.gen(function*() {
      const reason = (
        replies: ReadonlyArray<Reply>,
        request: HttpClientRequest.HttpClientRequest
      ) =>
        Effect.map(
          traced(replies, request),
          ({ spans }) => spans.flatMap(({ attributes }) => values(attributes))
        )
      expect(yield* reason([reply(404)], HttpClientRequest.get("/"))).toContain("terminal")
      expect(yield* reason([reply(503)], HttpClientRequest.get("/"))).toContain("retries")
      expect(yield* reason([reply(429, "", { "retry-after": "999" })], HttpClientRequest.get("/")))
        .toContain(
          "retryAfter"
        )
    }))

  it.effect("E25, T1: no query, no credential, no body in any attribute or event", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.post("/v1/things?token=SENTINEL-1").pipe(
        HttpClientRequest.setHeaders({
          authorization: "Bearer SENTINEL-2",
          cookie: "a=SENTINEL-3"
        }),
        HttpClientRequest.setUrlParam("plain", "SENTINEL-4"),
        HttpClientRequest.bodyUnsafeJson({ name: "SENTINEL-5" })
      )
      const { exit, spans } = yield* traced(
        [reply(503, { error: "SENTINEL-2" }, { "set-cookie": "a=SENTINEL-6" })],
        request
      )
      expect(Exit.isFailure(exit)).toBe(true)
      const seen = spans.map(({ attributes, events, exit, name }) => [
        name,
        Array.from(attributes),
        events,
        JSON.stringify(exit),
        exit && Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
      ])
      expect(JSON.stringify(seen)).not.toMatch(/SENTINEL/)
    }))

  for (const [name, layer] of Object.entries(transports)) {
    it.scopedLive(`E25: the trace goes on at the server, with ${name}, under the span of each attempt`, () =>
      Effect.gen(function*() {
        const { spans, tracer } = recorder()
        const wire = yield* serve((response) => response.writeHead(503).end())
        const client = yield* ApiClient.make({
          name: "test",
          baseUrl: wire.url,
          pipeline: yield* retrying()
        })
        yield* failureOf(client.get("/v1/things")).pipe(Effect.withTracer(tracer))
        const [, ...attempts] = spans
        expect(
          wire.requests.map(({ headers }) => String(headers["traceparent"]).split("-").slice(1, 3))
        ).toEqual(
          attempts.map(({ spanId, traceId }) => [traceId, spanId])
        )
        expect(attempts.length).toBe(3)
      }).pipe(Effect.provide(layer)))
  }
})

describe("options and addresses", () => {
  const defect = (options: Partial<ApiClient.Options>) =>
    Effect.map(Effect.exit(over([reply(200)], options)), (exit) => {
      if (Exit.isSuccess(exit) || failed(exit) !== undefined) return "accepted"
      const error = Cause.squash(exit.cause)
      return error instanceof RangeError ? error.message : error
    })

  it.effect("DESIGN 6: nonsense is refused when the client is built, by field and value", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Partial<ApiClient.Options>, ReadonlyArray<string>]> = [
        [{ baseUrl: "not an address" }, ["baseUrl", "not an address"]],
        [{ baseUrl: "" }, ["baseUrl"]],
        [{ baseUrl: "/v1" }, ["baseUrl", "/v1"]],
        [{ baseUrl: "ftp://api.example.com" }, ["baseUrl", "ftp"]],
        [{ keyTimeToLive: NaN }, ["keyTimeToLive", "NaN"]],
        [{ keyTimeToLive: -5 }, ["keyTimeToLive", "-5"]],
        [{ keyTimeToLive: 0 }, ["keyTimeToLive", "0"]],
        [{ maxErrorBodyBytes: -1 }, ["maxErrorBodyBytes", "-1"]],
        [{ maxErrorBodyBytes: NaN }, ["maxErrorBodyBytes", "NaN"]],
        [{ maxErrorBodyBytes: 1.5 }, ["maxErrorBodyBytes", "1.5"]],
        [{ idempotencyHeader: "" }, ["idempotencyHeader"]],
        [{ idempotencyHeader: "no spaces" }, ["idempotencyHeader", "no spaces"]]
      ]
      const messages = yield* Effect.forEach(cases, ([options]) => defect(options))
      const missing = cases.map(([, words], index) =>
        words.filter((word) => !String(messages[index]).includes(word))
      )
      expect(messages.map((message, index) => [message, missing[index]])).toEqual(
        messages.map((message) => [message, []])
      )
    }))

  it.effect("DESIGN 6: the layer refuses the same", () =>
    Effect.gen(function*() {
      const { layer } = transport([reply(200)])
      const exit = yield* Effect.exit(
        Effect.provide(
          Effect.void,
          Layer.provide(ApiClient.layer({ name: "test", baseUrl: "nowhere" }), layer)
        )
      )
      expect(squashed(exit)).toBeInstanceOf(RangeError)
    }))

  it.effect("the base address is put before relative ones, slashes or not", () =>
    Effect.gen(function*() {
      const urls = yield* Effect.forEach(
        [["http://h", "/v1"], ["http://h/", "/v1"], ["http://h/api", "/v1"], [
          "http://h/api/",
          "v1"
        ]],
        ([base, path]) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over([reply(200)], { baseUrl: base! })
            yield* client.get(path!)
            return new URL(sent[0]!.url).href
          })
      )
      expect(urls).toEqual(["http://h/v1", "http://h/v1", "http://h/api/v1", "http://h/api/v1"])
    }))

  it.effect("R16: a defect of the transport and an interruption are passed on, once", () =>
    Effect.gen(function*() {
      let runs = 0
      const dying = HttpClient.make(() => Effect.suspend(() => (runs++, Effect.die("bug"))))
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, dying)
        )
      const exit = yield* Effect.exit(client.get("/"))
      expect([squashed(exit), runs]).toEqual(["bug", 1])
    }))

  it.effect("concurrent calls through one client do not mix", () =>
    Effect.gen(function*() {
      const echo: Reply = ({ url }) =>
        new Response(new URL(url).pathname, { status: url.endsWith("7") ? 404 : 200 })
      const { client } = yield* over([echo])
      const outcomes = yield* Effect.forEach(range(1, 20), (n) =>
        client.get(`/${n}`).pipe(
          Effect.flatMap(({ text }) => text),
          Effect.catchTag("NotFound", ({ endpoint }) => Effect.succeed(`${endpoint} is missing`)),
          ApiClient.withEndpoint(`/n/${n}`)
        ), { concurrency: "unbounded" })
      expect(outcomes).toEqual(
        range(1, 20).map((n) => n % 10 === 7 ? `/n/${n} is missing` : `/${n}`)
      )
    }))

  it("the default bound on error bodies is 64 KiB", () => {
    expect([ApiClient.defaults.maxErrorBodyBytes, ErrorResponse.defaults.maxBodyBytes]).toEqual([
      65_536,
      65_536
    ])
  })
})
