import { HttpClient, HttpClientRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as TransportError from "../../src/core/transportError.js"
import { closedPort } from "../support/servers.js"

const sent = (error: unknown) => TransportError.read(error).sent

/** What a request of `node:http` fails with. */
const httpFailure = (options: Http.RequestOptions) =>
  failureOf(Http.request({ agent: false, ...options }))

const fetchFailure = (url: string, init?: RequestInit) =>
  Effect.flip(Effect.tryPromise({ try: () => fetch(url, init), catch: (error) => error }))

const failureOf = (request: Http.ClientRequest) =>
  Effect.async<unknown>((resume) => {
    request.on("error", (error) => resume(Effect.succeed(error))).end()
  })

const listening = (server: Net.Server) =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed((server.address() as Net.AddressInfo).port))
      })
    }),
    () => Effect.sync(() => server.close())
  )

const undiciFailure = (url: string) =>
  HttpClient.get(url).pipe(
    Effect.flip,
    Effect.map((error) => error._tag === "RequestError" ? error.cause : error),
    Effect.provide(NodeHttpClient.layerUndici)
  )

const resetting = FlakyApi.make({
  app: HttpServerResponse.empty(),
  script: () => FlakyApi.reset()
})

describe("failures that prove that nothing was sent (E4)", () => {
  it.live("E4: TLS with a server that speaks none, and with one that ends the connection", () =>
    Effect.gen(function*() {
      const closing = yield* listening(
        Net.createServer((socket) => socket.once("data", () => socket.end()))
      )
      const plain = yield* listening(Http.createServer())
      for (const port of [closing, plain]) {
        const url = `https://127.0.0.1:${port}`
        const failures = [
          yield* fetchFailure(url),
          yield* undiciFailure(url),
          yield* failureOf(Https.request(url, { agent: false }))
        ]
        expect(failures.map((error) => TransportError.read(error))).toEqual(
          failures.map(() => ({ sent: "no", permanent: false, code: expect.any(String) }))
        )
      }
    }).pipe(Effect.scoped))

  it.each<readonly [string, string, RequestInit]>([
    ["a port that is blocked", "http://127.0.0.1:1/", {}],
    ["an unknown scheme", "foo://x", {}],
    ["no URL", "http://", {}],
    ["credentials in the URL", "http://a:b@127.0.0.1/", {}],
    ["a body on GET", "http://127.0.0.1/", { method: "GET", body: "x" }],
    ["a method that is forbidden", "http://127.0.0.1/", { method: "TRACE" }],
    ["a method that is none", "http://127.0.0.1/", { method: "A B" }],
    ["a header name that is none", "http://127.0.0.1/", { headers: { "a b": "x" } }],
    ["a header value with a line break", "http://127.0.0.1/", { headers: { a: "x\n y" } }],
    ["a stream without duplex", "http://127.0.0.1/", {
      method: "POST",
      body: new ReadableStream()
    }]
  ])("E4: fetch refuses %s before sending, for good", (_, url, init) =>
    Effect.gen(function*() {
      const error = yield* fetchFailure(url, init)
      expect(TransportError.read(error)).toMatchObject({ sent: "no", permanent: true })
    }).pipe(Effect.runPromise))

  it.live("E4: node:http against a closed port", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      expect(TransportError.read(yield* httpFailure({ host: "127.0.0.1", port }))).toEqual({
        sent: "no",
        permanent: false,
        code: "ECONNREFUSED"
      })
    }))

  it.live("E4: node:http against a name with two addresses, an AggregateError", () =>
    Effect.gen(function*() {
      const port = yield* closedPort
      const lookup: Net.LookupFunction = (_, __, found) =>
        found(null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.2", family: 4 }])
      const options = { host: "two.test", port, lookup, autoSelectFamily: true }
      const error = yield* httpFailure(options)
      expect(error).toBeInstanceOf(AggregateError)
      expect(TransportError.read(error)).toEqual({
        sent: "no",
        permanent: false,
        // A loaded machine may take longer than Node waits for the first address.
        code: expect.stringMatching(/^E(CONNREFUSED|TIMEDOUT)$/)
      })
    }))

  it.live("E4: node:http when the name does not resolve", () =>
    Effect.gen(function*() {
      const lookup: Net.LookupFunction = (host, _, found) =>
        found(
          Object.assign(new Error(host), { code: "ENOTFOUND", syscall: "getaddrinfo" }),
          ""
        )
      expect(sent(yield* httpFailure({ host: "nobody.test", port: 80, lookup }))).toBe("no")
    }))

  it.live("E4: fetch against a closed port", () =>
    Effect.gen(function*() {
      const error = yield* fetchFailure(`http://127.0.0.1:${yield* closedPort}`)
      expect(TransportError.read(error)).toEqual({
        sent: "no",
        permanent: false,
        code: "ECONNREFUSED"
      })
    }))

  it.live("E4: the undici client against a closed port", () =>
    Effect.gen(function*() {
      const error = yield* undiciFailure(`http://127.0.0.1:${yield* closedPort}`)
      expect(TransportError.read(error)).toEqual({
        sent: "no",
        permanent: false,
        code: "ECONNREFUSED"
      })
    }))
})

describe("failures that prove nothing (E4)", () => {
  it.live("E4: node:http, fetch and the undici client after a reset", () =>
    Effect.gen(function*() {
      const api = yield* resetting
      const failures = [
        yield* httpFailure({ host: "127.0.0.1", port: api.port }),
        yield* fetchFailure(api.url),
        yield* undiciFailure(api.url)
      ]
      expect(failures.map(sent)).toEqual(["unknown", "unknown", "unknown"])
    }).pipe(Effect.scoped))
})

describe("failures that another try cannot help", () => {
  it.live("E4: a header that the undici client does not accept", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty() })
      const request = HttpClientRequest.setHeader(
        HttpClientRequest.get(api.url),
        "x-api-key",
        "a\nb"
      )
      const error = yield* HttpClient.execute(request).pipe(
        Effect.flip,
        Effect.provide(NodeHttpClient.layerUndici)
      )
      expect(TransportError.read(error)).toEqual({
        sent: "no",
        permanent: true,
        code: "UND_ERR_INVALID_ARG"
      })
      expect(yield* api.received).toEqual([])
    }).pipe(Effect.scoped))

  it.live("E4: a header that fetch takes and what is below it does not", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty() })
      const call = Effect.tryPromise({
        try: () => fetch(api.url, { headers: { "x-api-key": "a\u0001b" } }),
        catch: (error) => error
      })
      expect(TransportError.read(yield* Effect.flip(call))).toEqual({
        sent: "no",
        permanent: true,
        code: "UND_ERR_INVALID_ARG"
      })
    }).pipe(Effect.scoped))
})
