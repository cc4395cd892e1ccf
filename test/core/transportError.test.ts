import { describe, expect, it } from "@effect/vitest"
import * as TransportError from "../../src/core/transportError.js"

/** An error as Node makes them. */
const nodeError = (code: string, extra: object = {}): Error =>
  Object.assign(new Error(code), { code, ...extra })

/** What `fetch` rejects with. */
const fetchFailed = (cause: unknown): Error => new TypeError("fetch failed", { cause })

const aggregate = (...codes: ReadonlyArray<string>): Error =>
  Object.assign(new AggregateError(codes.map((code) => nodeError(code)), ""), { code: codes[0] })

const sent = (error: unknown) => TransportError.read(error).sent

describe("failures that prove that nothing was sent (E4)", () => {
  it.each([
    "ECONNREFUSED",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EADDRNOTAVAIL",
    "ERR_TLS_HANDSHAKE_TIMEOUT",
    "UND_ERR_CONNECT_TIMEOUT"
  ])("E4: %s, bare or as the cause that fetch gives", (code) => {
    expect([sent(nodeError(code)), sent(fetchFailed(nodeError(code)))]).toEqual(["no", "no"])
    expect(TransportError.read(fetchFailed(nodeError(code)))).toEqual({
      sent: "no",
      permanent: false,
      code
    })
  })

  it.each([
    ["EHOSTUNREACH", "connect"],
    ["ENETUNREACH", "connect"],
    ["ENETDOWN", "connect"],
    ["ETIMEDOUT", "connect"],
    ["ECONNREFUSED", "connect"],
    ["ENOTFOUND", "getaddrinfo"],
    ["ETIMEDOUT", "getaddrinfo"]
  ])("E4: %s of %s, bare, as a cause and in an aggregate", (code, syscall) => {
    const error = nodeError(code, { syscall })
    const both = new AggregateError([error, nodeError("ECONNREFUSED", { syscall: "connect" })], "")
    for (const failure of [error, fetchFailed(error), both, fetchFailed(both)]) {
      expect(TransportError.read(failure)).toEqual({ sent: "no", permanent: false, code })
    }
  })

  it("E4: HTTP/2 REFUSED_STREAM, and no other code of a stream", () => {
    const closed = (name: string) =>
      Object.assign(new Error(`Stream closed with error code ${name}`), {
        code: "ERR_HTTP2_STREAM_ERROR"
      })
    expect(sent(fetchFailed(closed("NGHTTP2_REFUSED_STREAM")))).toBe("no")
    expect(sent(fetchFailed(closed("NGHTTP2_INTERNAL_ERROR")))).toBe("unknown")
  })

  it("E4: a name with two addresses that both refuse", () => {
    expect([
      sent(aggregate("ECONNREFUSED", "ECONNREFUSED")),
      sent(fetchFailed(aggregate("ECONNREFUSED", "EAI_AGAIN")))
    ]).toEqual(["no", "no"])
  })
})

describe("failures that prove nothing (E4)", () => {
  it.each([
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
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

  it.each(["read", "write"])(
    "E4: a connection in use that fails on %s may have sent",
    (syscall) => {
      for (
        const code of [
          "EHOSTUNREACH",
          "ENETUNREACH",
          "ENETDOWN",
          "EHOSTDOWN",
          "ETIMEDOUT",
          "ECONNREFUSED",
          "EADDRNOTAVAIL"
        ]
      ) {
        const error = nodeError(code, { syscall })
        expect([sent(error), sent(fetchFailed(error))]).toEqual(["unknown", "unknown"])
      }
    }
  )

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
    expect([sent(nested("ENOTFOUND")), sent(nested("ECONNRESET"))]).toEqual(["no", "unknown"])
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

describe("limits of time of a client", () => {
  it.each([
    "ETIMEDOUT",
    "ESOCKETTIMEDOUT",
    "UND_ERR_CONNECT_TIMEOUT",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_BODY_TIMEOUT"
  ])("E4: %s", (code) => {
    expect(TransportError.isTimeout(code)).toBe(true)
  })

  it.each(["ECONNRESET", "", undefined])("E4: not %s", (code) => {
    expect(TransportError.isTimeout(code)).toBe(false)
  })
})
