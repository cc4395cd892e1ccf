import { describe, expect, it } from "@effect/vitest"
import * as TransportError from "../../src/core/transportError.js"

/** An error with a code, as Node makes them. */
const failure = (code: string | undefined, extra: object = {}, message = "failed"): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code }, extra)

const sent = (error: unknown) => TransportError.read(error).sent

const connecting = ["connect", "getaddrinfo"]
const other = ["read", "write", "shutdown"]

/** Whether it was sent when the code comes with each of these system calls. */
const sentBy = (code: string, syscalls: ReadonlyArray<unknown>) =>
  syscalls.map((syscall) => sent(failure(code, { syscall })))

const all = (word: string, of: ReadonlyArray<unknown>) => of.map(() => word)

describe("codes and the system calls that give them (E4)", () => {
  it.each(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA", "EADDRNOTAVAIL"])(
    "E4: %s proves that nothing was sent, unless another call than connecting gave it",
    (code) => {
      expect(sentBy(code, [undefined, ...connecting])).toEqual(["no", "no", "no"])
      expect(sentBy(code, [...other, 7, null])).toEqual(all("unknown", [...other, 7, null]))
    }
  )

  it.each([
    "EHOSTUNREACH",
    "EHOSTDOWN",
    "ENETUNREACH",
    "ENETDOWN",
    "ETIMEDOUT",
    "ECONNRESET",
    "ECONNABORTED"
  ])("E4: %s proves it only where connecting gave it", (code) => {
    expect(sentBy(code, connecting)).toEqual(["no", "no"])
    expect(sentBy(code, [undefined, ...other, 7])).toEqual(all("unknown", [undefined, ...other, 7]))
  })

  it.each([
    "UND_ERR_CONNECT_TIMEOUT",
    "ERR_SOCKET_CONNECTION_TIMEOUT",
    "ERR_TLS_HANDSHAKE_TIMEOUT"
  ])("E4: %s of a client proves it", (code) => {
    expect(TransportError.read(failure(code))).toEqual({ sent: "no", permanent: false, code })
  })

  it("E4: a code that connecting does not give proves nothing with its name either", () => {
    expect(sentBy("EPIPE", connecting)).toEqual(["unknown", "unknown"])
  })
})

describe("a TLS handshake that failed (E4)", () => {
  const phrases = [
    "wrong version number",
    "unsupported protocol",
    "tlsv1 alert protocol version",
    "sslv3 alert handshake failure",
    "tlsv1 unrecognized name",
    "tlsv1 alert no application protocol",
    "no protocols available",
    "tlsv1 alert insufficient security"
  ]
  const ended = "Client network socket disconnected before secure TLS connection was established"

  it.each(phrases)("E4: %s, as EPROTO and as an error of OpenSSL, and not as another", (phrase) => {
    const codes = ["EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER", "ECONNRESET", "MY_ERR_SSL_", "EPIPE"]
    expect(codes.map((code) => sent(failure(code, {}, `error:0A00010B:SSL: ${phrase}`)))).toEqual([
      "no",
      "no",
      "unknown",
      "unknown",
      "unknown"
    ])
  })

  it("E4: what OpenSSL says of a connection in use proves nothing", () => {
    const codes = ["EPROTO", "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC"]
    expect(codes.map((code) => sent(failure(code, {}, "bad record mac")))).toEqual([
      "unknown",
      "unknown"
    ])
  })

  it("E4: a connection that ended within the handshake is one that was reset", () => {
    const codes = ["ECONNRESET", "EPIPE", "EPROTO"]
    expect(codes.map((code) => sent(failure(code, {}, ended)))).toEqual([
      "no",
      "unknown",
      "unknown"
    ])
  })

  it("E4: a refused stream needs the code and the name", () => {
    const name = "Stream closed with error code NGHTTP2_REFUSED_STREAM"
    expect([
      sent(failure("ERR_HTTP2_STREAM_ERROR", {}, name)),
      sent(failure("ERR_HTTP2_STREAM_ERROR", { message: 7 })),
      sent(failure("ERR_HTTP2_SESSION_ERROR", {}, name))
    ]).toEqual(["no", "unknown", "unknown"])
  })
})

describe("requests that are refused for good (E4)", () => {
  const read = (code: string | undefined, message?: string) =>
    TransportError.read(failure(code, {}, message))

  it.each([
    "CERT_HAS_EXPIRED",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "HOSTNAME_MISMATCH",
    "INVALID_CA",
    "ERR_INVALID_URL"
  ])("E4: %s, and not a code in which that merely occurs", (code) => {
    expect([read(code), read(`MY_${code}`)]).toEqual([
      { sent: "no", permanent: true, code },
      { sent: "unknown", permanent: false, code: `MY_${code}` }
    ])
  })

  it.each([
    "bad port",
    "unknown scheme",
    "Request cannot be constructed from a URL that includes credentials: http://a:b@c/",
    "Request with GET/HEAD method cannot have body.",
    "RequestInit: duplex option is required when sending a body.",
    "Headers.append: \"a b\" is an invalid header name.",
    "'TRACE' HTTP method is unsupported.",
    "'A B' is not a valid HTTP method."
  ])("E4: fetch says %j without a code, at the beginning", (message) => {
    expect([
      read(undefined, message),
      read(undefined, `it said: ${message}`),
      read("MY_CODE", message)
    ]).toEqual([
      { sent: "no", permanent: true, code: undefined },
      { sent: "unknown", permanent: false, code: undefined },
      { sent: "unknown", permanent: false, code: "MY_CODE" }
    ])
  })

  it("E4: what fetch refused counts through a wrapper with a code of its own", () => {
    const wrapped = failure("MY_CODE", { cause: failure(undefined, {}, "bad port") })
    expect(TransportError.read(wrapped)).toEqual({ sent: "no", permanent: true, code: undefined })
  })
})

describe("how much is read (E4)", () => {
  it("E4: a cause that says nothing leaves its wrapper's word", () => {
    expect(TransportError.read(failure("ECONNREFUSED", { cause: new Error("why") }))).toEqual({
      sent: "no",
      permanent: false,
      code: "ECONNREFUSED"
    })
  })

  it("E4: the code is the first that any of them gives", () => {
    const errors = [failure(undefined), failure("ECONNREFUSED"), failure("ENOTFOUND")]
    expect(TransportError.read(new AggregateError(errors))).toEqual({
      sent: "unknown",
      permanent: false,
      code: "ECONNREFUSED"
    })
  })

  it("E4: of nested errors a thousand are read", () => {
    const nested = (errors: number) => {
      let error = failure("ECONNREFUSED")
      for (let depth = 1; depth < errors; depth++) error = new Error("around", { cause: error })
      return error
    }
    expect([sent(nested(1000)), sent(nested(1001))]).toEqual(["no", "unknown"])
  })
})
