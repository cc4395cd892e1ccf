/**
 * Decides whether a request that failed below HTTP had left this machine.
 *
 * Only the transport layer knows, and it says so with the `code` of a nested error, and with the
 * system call that failed. What can only happen before there is a connection proves that no byte of
 * the request was sent; anything else proves nothing, and then the call counts as possibly
 * executed.
 */

/** System codes that name resolution and connecting alone give. */
const onlyConnecting: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "EADDRNOTAVAIL"
])

/** Codes of clients that gave up before there was a connection, or a handshake on it. */
const clientConnecting: ReadonlySet<string> = new Set([
  "UND_ERR_CONNECT_TIMEOUT",
  "ERR_SOCKET_CONNECTION_TIMEOUT",
  "ERR_TLS_HANDSHAKE_TIMEOUT"
])

/**
 * System codes that a connection in use gives as well: they prove something with the call's name.
 */
const connectingOrLater: ReadonlySet<string> = new Set([
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ETIMEDOUT",
  "ECONNRESET",
  "ECONNABORTED"
])

const connectingCalls: ReadonlySet<string> = new Set(["connect", "getaddrinfo"])

/** A certificate that does not hold today will not hold in a second. */
const certificate = new RegExp(
  "^(CERT_|ERR_TLS_CERT|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED|" +
    "HOSTNAME_MISMATCH|INVALID_CA)"
)

/** What TLS says when two ends cannot agree, in the words of OpenSSL: nothing is sent before. */
const handshake = new RegExp(
  "wrong version number|unsupported protocol|protocol version|handshake failure|" +
    "unrecognized name|no application protocol|no protocols available|insufficient security"
)

/** Node's words for a connection that ended within the handshake. */
const endedInHandshake = "before secure TLS connection was established"

/**
 * Requests that the client itself did not accept, such as one with a header that HTTP cannot hold.
 * It will not accept them in a second either.
 */
const refused: ReadonlySet<string> = new Set([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "ERR_INVALID_CHAR",
  "ERR_INVALID_HTTP_TOKEN",
  "ERR_INVALID_URL",
  "ERR_HTTP_INVALID_HEADER_VALUE"
])

/**
 * The same from `fetch`, which gives no code: the standard has it refuse these before it connects.
 */
const refusedByFetch = new RegExp(
  "^(bad port|unknown scheme|Request cannot be constructed|Request with GET/HEAD method|" +
    "RequestInit: duplex|Headers\\.append: |" +
    "'.*' (is not a valid HTTP method|HTTP method is unsupported))"
)

/**
 * `sent` is `"no"` when no byte of the request was sent; `permanent` when another try cannot help;
 * `code` is the system's own word.
 *
 * @since 0.1.0
 */
export interface TransportFailure {
  readonly sent: "no" | "unknown"
  readonly permanent: boolean
  readonly code: string | undefined
}

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null

/** What one of the innermost errors says. */
interface Facts {
  readonly code: string | undefined
  readonly unsent: boolean
  readonly permanent: boolean
}

const silent: Facts = { code: undefined, unsent: false, permanent: false }

const textOf = (u: unknown): string => typeof u === "string" ? u : ""

const isConnecting = (code: string, syscall: unknown): boolean =>
  clientConnecting.has(code) ||
  (onlyConnecting.has(code)
    ? syscall === undefined || connectingCalls.has(textOf(syscall))
    : connectingOrLater.has(code) && connectingCalls.has(textOf(syscall)))

const isHandshake = (code: string, message: string): boolean =>
  code === "EPROTO" || code.startsWith("ERR_SSL_")
    ? handshake.test(message)
    : code === "ECONNRESET" && message.includes(endedInHandshake)

/** RFC 9113 section 8.7: the stream was closed before anything was done for it. */
const isRefusedStream = (code: string, message: string): boolean =>
  code === "ERR_HTTP2_STREAM_ERROR" && message.includes("NGHTTP2_REFUSED_STREAM")

const factsOf = (error: Readonly<Record<string, unknown>>): Facts => {
  const code = typeof error.code === "string" ? error.code : undefined
  const message = textOf(error.message)
  if (code === undefined) {
    return refusedByFetch.test(message) ? { code, unsent: true, permanent: true } : silent
  }
  const permanent = certificate.test(code) || refused.has(code)
  return {
    code,
    permanent,
    unsent: permanent || isConnecting(code, error.syscall) || isHandshake(code, message) ||
      isRefusedStream(code, message)
  }
}

const saysSomething = ({ code, unsent }: Facts): boolean => code !== undefined || unsent

/**
 * What each of the innermost errors says: causes are followed, and every error of an aggregate
 * counts, also one that says nothing. An error that has been met already adds nothing.
 */
const innermost = (error: unknown, met: Set<unknown>): ReadonlyArray<Facts> => {
  if (!isRecord(error) || met.size >= 1000) return [silent]
  if (met.has(error)) return []
  met.add(error)
  if (Array.isArray(error.errors) && error.errors.length > 0) {
    const found = error.errors.flatMap((inner) => innermost(inner, met))
    return found.length > 0 ? found : [silent]
  }
  const below = innermost(error.cause, met)
  return below.some(saysSomething) ? below : [factsOf(error)]
}

/**
 * Reads what a transport failure says about itself. O(nested errors), of which a thousand are read.
 *
 * @since 0.1.0
 */
export const read = (cause: unknown): TransportFailure => {
  const found = innermost(cause, new Set())
  return {
    sent: found.every(({ unsent }) => unsent) ? "no" : "unknown",
    permanent: found.every(({ permanent }) => permanent),
    code: found.find(({ code }) => code !== undefined)?.code
  }
}

/** Limits of time that a client of HTTP, or the system below it, has of its own. */
const timeouts: ReadonlySet<string | undefined> = new Set([
  "ETIMEDOUT",
  "ESOCKETTIMEDOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT"
])

/**
 * Tests whether the code of a transport failure says that a limit of time passed: for connecting,
 * for the head of the answer, or for its body. O(1).
 *
 * @since 0.1.0
 */
export const isTimeout = (code: string | undefined): boolean => timeouts.has(code)
