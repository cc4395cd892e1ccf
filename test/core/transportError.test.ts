import { HttpClient, HttpClientRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Http from "node:http"
import type * as Net from "node:net"
import * as TransportError from "../../src/core/transportError.js"
import { closedPort } from "../support/servers.js"

/** An error as Node makes them. */
const nodeError = (code: string, extra: object = {}): Error =>
  Object.assign(new Error(code), { code, ...extra })

/** What `fetch` rejects with. */
const fetchFailed = (cause: unknown): Error => new TypeError("fetch failed", { cause })

const aggregate = (...codes: ReadonlyArray<string>): Error =>
  Object.assign(new AggregateError(codes.map((code) => nodeError(code)), ""), { code: codes[0] })

const sent = (error: unknown) => TransportError.read(error).sent

/** What a request of `node:http` fails with. */
const httpFailure = (options: Http.RequestOptions) =>
  Effect.async<unknown>((resume) => {
    Http.request({ agent: false, ...options }).on("error", (error) => resume(Effect.succeed(error)))
      .end()
  })

const fetchFailure = (url: string) =>
  Effect.flip(Effect.tryPromise({ try: () => fetch(url), catch: (error) => error }))

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
  it.each([
    "ECONNREFUSED",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "UND_ERR_CONNECT_TIMEOUT"
  ])("E4: %s, bare or as the cause that fetch gives", (code) => {
    expect([sent(nodeError(code)), sent(fetchFailed(nodeError(code)))]).toEqual(["no", "no"])
    expect(TransportError.read(fetchFailed(nodeError(code)))).toEqual({
      sent: "no",
      permanent: false,
      code
    })
  })

  it("E4: a name with two addresses that both refuse", () => {
    expect([
      sent(aggregate("ECONNREFUSED", "ECONNREFUSED")),
      sent(fetchFailed(aggregate("ECONNREFUSED", "ENETUNREACH")))
    ]).toEqual(["no", "no"])
  })

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
        code: "ECONNREFUSED"
      })
    }))

  it.live("E4: node:http when the name does not resolve", () =>
    Effect.gen(function*() {
      const lookup: Net.LookupFunction = (host, _, found) =>
        found(nodeError("ENOTFOUND", { syscall: "getaddrinfo", hostname: host }), "")
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
  it.each([
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "UND_ERR_SOCKET",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_BODY_TIMEOUT",
    "UND_ERR_ABORTED",
    "SOMETHING_NEW"
  ])("E4: %s may have been sent", (code) => {
    expect([sent(nodeError(code)), sent(fetchFailed(nodeError(code)))]).toEqual([
      "unknown",
      "unknown"
    ])
  })

  it("E4: when in doubt, ambiguous: no code, no error, no object", () => {
    const doubtful = [
      undefined,
      null,
      "ECONNREFUSED",
      42,
      {},
      new Error("ECONNREFUSED"),
      { code: 61 },
      { code: undefined, cause: null },
      new DOMException("aborted", "AbortError"),
      () => "ECONNREFUSED"
    ]
    expect(doubtful.map(sent)).toEqual(doubtful.map(() => "unknown"))
  })

  it("E4: one address that refused does not speak for another that was reset", () => {
    expect([
      sent(aggregate("ECONNREFUSED", "ECONNRESET")),
      sent(aggregate("ECONNRESET", "ECONNREFUSED")),
      sent(fetchFailed(aggregate("ECONNREFUSED", "ECONNRESET")))
    ]).toEqual(["unknown", "unknown", "unknown"])
  })

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
  it.each([
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "ERR_TLS_CERT_ALTNAME_INVALID"
  ])("%s is permanent, and nothing was sent", (code) => {
    expect(TransportError.read(fetchFailed(nodeError(code)))).toEqual({
      sent: "no",
      permanent: true,
      code
    })
  })

  it.each([
    "UND_ERR_INVALID_ARG",
    "UND_ERR_NOT_SUPPORTED",
    "ERR_INVALID_CHAR",
    "ERR_INVALID_HTTP_TOKEN",
    "ERR_HTTP_INVALID_HEADER_VALUE"
  ])(
    "E4: %s, a request that the client did not accept, is permanent, and nothing was sent",
    (code) => {
      const read = { sent: "no", permanent: true, code }
      expect([nodeError(code), fetchFailed(nodeError(code))].map(TransportError.read)).toEqual([
        read,
        read
      ])
    }
  )

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

  it("a certificate at one address and a refusal at another are not", () => {
    expect(TransportError.read(aggregate("CERT_HAS_EXPIRED", "ECONNREFUSED")).permanent).toBe(false)
  })
})

describe("how deep it looks", () => {
  it("the innermost error counts, through any wrapping", () => {
    const wrapped = {
      _tag: "RequestError",
      cause: fetchFailed({ code: "UND_ERR", cause: nodeError("ENOTFOUND") })
    }
    expect(TransportError.read(wrapped)).toEqual({
      sent: "no",
      permanent: false,
      code: "ENOTFOUND"
    })
  })

  it("E4: a wrapper that says refused around a reset does not hide the reset", () => {
    expect(sent(Object.assign(nodeError("ECONNREFUSED"), { cause: nodeError("ECONNRESET") }))).toBe(
      "unknown"
    )
  })

  it("aggregates within aggregates count to the last of them", () => {
    const nested = (code: string) =>
      new AggregateError([aggregate("ECONNREFUSED", code), nodeError("ECONNREFUSED")])
    expect([sent(nested("ENETUNREACH")), sent(nested("ECONNRESET"))]).toEqual(["no", "unknown"])
  })

  it("an aggregate of nothing is as good as its own code and cause", () => {
    expect([
      sent(Object.assign(new AggregateError([]), { code: "ECONNREFUSED" })),
      sent(new AggregateError([], "", { cause: nodeError("ECONNREFUSED") })),
      sent(new AggregateError([]))
    ]).toEqual(["no", "no", "unknown"])
  })

  it("E4: an aggregate in which one error says nothing is in doubt", () => {
    expect(sent(new AggregateError([nodeError("ECONNREFUSED"), new Error("who knows")]))).toBe(
      "unknown"
    )
  })

  it("an error that is its own cause is read, not followed for ever", () => {
    const self = nodeError("ECONNRESET")
    self.cause = self
    const a = nodeError("ECONNREFUSED")
    const b = nodeError("ECONNREFUSED")
    a.cause = b
    b.cause = a
    expect([TransportError.read(self).code, TransportError.read(a).code]).toEqual([
      "ECONNRESET",
      "ECONNREFUSED"
    ])
  })

  it("an aggregate that holds itself many times over is read once", () => {
    const self = new AggregateError([])
    const errors = [nodeError("ECONNREFUSED"), self, self, self, self]
    let reads = 0
    Object.defineProperty(self, "errors", { get: () => (reads++, errors) })
    expect(TransportError.read(self)).toEqual({
      sent: "no",
      permanent: false,
      code: "ECONNREFUSED"
    })
    // Whether there are any, how many, and then each.
    expect(reads).toBe(3)
  })

  it("an aggregate of nothing but itself says nothing", () => {
    const self = new AggregateError([])
    self.errors = [self]
    expect(TransportError.read(self)).toEqual({
      sent: "unknown",
      permanent: false,
      code: undefined
    })
  })
})
