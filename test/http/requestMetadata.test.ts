import type { HttpClientRequest } from "@effect/platform"
import { HttpBody, HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schema, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  CircuitBreaker,
  Operation,
  Pipeline
} from "effect-resilience"
import { leaks, renderings } from "../support/renderings.js"
import { serve } from "../support/servers.js"
import { recorder } from "../support/spans.js"
import { turn } from "../support/turns.js"
import { baseUrl, failureOf, transports } from "./support.js"

const answering = (respond: (sent: number) => Response) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const http = HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, respond(requests.push(request))))
  )
  return { requests, http }
}

const client = (http: HttpClient.HttpClient) =>
  Effect.gen(function*() {
    const retry = { retries: 2, backoff: Backoff.constant(0) }
    const pipeline = yield* Pipeline.make({ operation: Operation.read, retry })
    return yield* ApiClient.make({ name: "test", baseUrl, pipeline })
  }).pipe(Effect.provideService(HttpClient.HttpClient, http))

describe("what a request carries", () => {
  it.effect("T1: every value of a form field that comes twice is scrubbed", () =>
    Effect.gen(function*() {
      const echo = Response.json({ error: "bad tokens first-1 and second-2" }, { status: 401 })
      const { http } = answering(() => echo)
      const body = HttpBody.text(
        "token=first-1&token=second-2",
        "application/x-www-form-urlencoded"
      )
      const error = yield* failureOf((yield* client(http)).post("/", { body }))
      expect(ApiError.isApiError(error) && error.message).toBe(
        "bad tokens <redacted> and <redacted>"
      )
    }))

  it.effect("T1: a credential with a backslash is scrubbed without its scheme too", () =>
    Effect.gen(function*() {
      const { http } = answering(() =>
        Response.json({ error: String.raw`not valid: a\b-c` }, { status: 401 })
      )
      const headers = { authorization: String.raw`Bearer a\b-c` }
      const error = yield* failureOf((yield* client(http)).get("/", { headers }))
      expect(ApiError.isApiError(error) && error.message).toBe("not valid: <redacted>")
    }))

  it.effect("E23: a body that does not say whether it was read is taken for read, and not sent again", () =>
    Effect.gen(function*() {
      const { http, requests } = answering(() => new Response(null, { status: 503 }))
      const body = HttpBody.raw((async function*() {
        yield new Uint8Array([1])
      })())
      const error = yield* failureOf((yield* client(http)).put("/", { body }))
      expect([requests.length, ApiError.isApiError(error) && error.repeat]).toEqual([1, "never"])
    }))
})

describe("what is read of an answer", () => {
  it.effect("E9: an unreadable success is filed under the declared template", () =>
    Effect.gen(function*() {
      const { http } = answering(() => new Response("not json"))
      const error = yield* (yield* client(http)).get("/v1/people/ada").pipe(
        Effect.flatMap(ApiClient.json(Schema.Struct({}))),
        ApiClient.withEndpoint("/v1/people/:name"),
        Effect.flip
      )
      expect([error._tag, "endpoint" in error && error.endpoint]).toEqual([
        "Server",
        "/v1/people/:name"
      ])
    }))

  it.effect("E26: a part of a body that comes after its front was given up is not lost", () =>
    Effect.gen(function*() {
      let controller: ReadableStreamDefaultController<Uint8Array> | undefined
      const text = (part: string) => new TextEncoder().encode(part)
      const stalling = new ReadableStream<Uint8Array>({
        start: (it) => {
          controller = it
          it.enqueue(text("one "))
        }
      })
      const { http } = answering(() => new Response(stalling, { status: 404 }))
      const fiber = yield* HttpClient.get("/").pipe(
        Effect.provide(ApiClient.layer({ name: "test", baseUrl })),
        Effect.provideService(HttpClient.HttpClient, http),
        Effect.fork
      )
      // The front is waited for until its time is over; the first part has to have come by then.
      yield* turn
      yield* TestClock.adjust("5 seconds")
      const response = yield* Fiber.join(fiber)
      controller?.enqueue(text("two "))
      // It arrives before the next read.
      yield* turn
      controller?.enqueue(text("three"))
      controller?.close()
      expect(yield* response.text).toBe("one two three")
    }))
})

// -----------------------------------------------------------------------------
// headers
// -----------------------------------------------------------------------------

const sentinel = "SENTINEL-header-7c20"

const clients = Object.entries(transports)

describe("headers that HTTP cannot hold", () => {
  const headers: ReadonlyArray<
    readonly [what: string, where: string, headers: Record<string, string>]
  > = [
    ["a line break in it", "headers.authorization", {
      authorization: `Bearer ${sentinel}\r\nx-evil: ${sentinel}`
    }],
    ["a line break at its end", "headers.authorization", { authorization: `Bearer ${sentinel}\n` }],
    ["a control character in it", "headers.x-own", { "x-own": `${sentinel}\u0001` }],
    ["a null character in it", "headers.x-own", { "x-own": `${sentinel}\u0000` }],
    ["letters that are not Latin", "headers.x-api-key", { "x-api-key": `${sentinel}ключ` }],
    ["half of a surrogate pair", "headers.x-api-key", { "x-api-key": `${sentinel}\ud800` }],
    ["a name that is a value", "headers", { [`bearer ${sentinel}`]: "1" }]
  ]
  const cases = headers.flatMap((row) =>
    clients.map(([name, layer]) => [row[0], name, row[1], row[2], layer] as const)
  )

  it.live.each(cases)(
    "T1, E2: one with %s, over %s, is Validation without an attempt, and in nothing that is printed",
    ([, , where, headers, layer]) =>
      Effect.gen(function*() {
        const server = yield* serve((response) => response.end())
        const { spans, tracer } = recorder()
        const retry = { retries: 2, backoff: Backoff.constant(0) }
        const pipeline = yield* Pipeline.make({ operation: Operation.read, retry })
        const client = yield* ApiClient.make({ name: "test", baseUrl: server.url, pipeline })
        const call = client.get("/v1/things/1", { headers })
        const error = yield* Effect.withTracer(failureOf(call), tracer)
        const issues = error._tag === "Validation" &&
          [error.code, error.endpoint, ...error.issues.map(({ path }) => path)]
        expect([error._tag, issues, ApiError.verdict(error)._tag]).toEqual([
          "Validation",
          ["malformed_header", "/v1/things/:id", where],
          "Terminal"
        ])
        expect([server.connections(), spans.map(({ name }) => name)]).toEqual([0, [
          "test GET /v1/things/:id"
        ]])
        expect(leaks(yield* renderings(call), sentinel)).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live.each(clients)(
    "E2: what HTTP does hold is sent, over %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const server = yield* serve((response) => response.end())
        const client = yield* ApiClient.make({ name: "test", baseUrl: server.url })
        const header = "a\tb !#$%&'*+.^_`|~\"é\u00a0ÿ"
        yield* client.get("/", { headers: { "x-own": header, "x-empty": "" } })
        const seen = server.requests.map(({ headers }) => [headers["x-own"], headers["x-empty"]])
        expect(seen).toEqual([[header, ""]])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("B3: they are no call of the breaker: an open circuit does not hide them, and they say nothing to it", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(1),
        minimumCalls: 1
      })
      const { http, requests } = answering(() => new Response(null, { status: 503 }))
      const pipeline = yield* Pipeline.make({ operation: Operation.read, circuitBreaker: breaker })
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline }).pipe(
        Effect.provideService(HttpClient.HttpClient, http)
      )
      const tags = [
        (yield* failureOf(client.get("/")))._tag,
        (yield* failureOf(client.get("/", { headers: { "x-own": "a\nb" } })))._tag,
        (yield* failureOf(client.get("/")))._tag
      ]
      expect([tags, requests.length]).toEqual([["Server", "Validation", "CircuitOpen"], 1])
    }))

  it.effect("E26: through the layer they are a RequestError that knows the failure, and repeats nothing", () =>
    Effect.gen(function*() {
      const { http, requests } = answering(() => new Response())
      const headers = { authorization: `Bearer ${sentinel}\n` }
      const call = HttpClient.get("/", { headers }).pipe(
        Effect.provide(ApiClient.layer({ name: "test", baseUrl })),
        Effect.provideService(HttpClient.HttpClient, http)
      )
      const error = yield* Effect.flip(call)
      expect([
        error._tag,
        error.reason,
        ApiError.isApiError(error.cause) && error.cause._tag,
        requests.length
      ]).toEqual(
        [
          "RequestError",
          "Transport",
          "Validation",
          0
        ]
      )
      expect(leaks(yield* renderings(call), sentinel)).toEqual([])
    }))
})

describe("white space around a header, which it loses on its way", () => {
  const echoed = (
    headers: Record<string, string>,
    layer: (typeof clients)[number][1],
    secrets: Array<string> = []
  ) =>
    Effect.gen(function*() {
      const server = yield* serve((response, { headers }) => {
        const said = headers.authorization ?? headers["x-api-key"]?.toString() ??
          String(headers["x-own"])
        response.writeHead(401, { "content-type": "application/json" })
        response.end(
          JSON.stringify({ message: `${said} | ${said.replaceAll(/^(Bearer|Basic) +|"/g, "")}` })
        )
      })
      const options = {
        name: "test",
        baseUrl: server.url,
        secrets: secrets.map((secret) => Redacted.make(secret))
      }
      const client = yield* ApiClient.make(options)
      const error = yield* failureOf(client.get("/", { headers }))
      return ApiError.isApiError(error) ? error.message : ""
    }).pipe(Effect.scoped, Effect.provide(layer))

  it.live.each(clients)(
    "T1: its secret is scrubbed as it came back, over %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const said = [
          yield* echoed({ "x-api-key": `  ${sentinel} two\t` }, layer),
          yield* echoed({ authorization: `Bearer   ${sentinel}  ` }, layer),
          yield* echoed({ authorization: ` "${sentinel}" ` }, layer)
        ]
        expect(said).toEqual(said.map(() => "<redacted> | <redacted>"))
      })
  )

  it.live.each(clients)(
    "T1: and so is one of the option `secrets`, over %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const secret = ` ${sentinel} `
        expect(yield* echoed({ "x-own": secret }, layer, [secret])).toBe("<redacted> | <redacted>")
      })
  )
})
