/**
 * Whether a request that failed below HTTP had left this machine.
 *
 * Only the transport layer knows, and it says so with the `code` of a nested error. A code on the
 * list proves that no byte of the request was sent; anything else proves nothing, and then the call
 * counts as possibly executed.
 */

/** Failures before a connection exists: name resolution, connecting, the TLS handshake. */
const beforeSending: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "EADDRNOTAVAIL",
  "UND_ERR_CONNECT_TIMEOUT"
])

/** A certificate that does not hold today will not hold in a second. */
const certificate =
  /^(CERT_|ERR_TLS_CERT|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA)/

/**
 * Requests that the client itself did not accept, such as one with a header that HTTP cannot hold.
 * It will not accept them in a second either.
 */
const refused: ReadonlySet<string> = new Set([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "ERR_INVALID_CHAR",
  "ERR_INVALID_HTTP_TOKEN",
  "ERR_HTTP_INVALID_HEADER_VALUE"
])

const isPermanent = (code: string | undefined): boolean =>
  code !== undefined && (certificate.test(code) || refused.has(code))

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

/**
 * What each of the innermost errors calls itself: causes are followed, and every error of an
 * aggregate counts, also one that says nothing. An error that has been met already adds nothing.
 */
const codes = (error: unknown, met: Set<unknown>): ReadonlyArray<string | undefined> => {
  if (!isRecord(error) || met.size >= 1000) return [undefined]
  if (met.has(error)) return []
  met.add(error)
  if (Array.isArray(error.errors) && error.errors.length > 0) {
    const found = error.errors.flatMap((inner) => codes(inner, met))
    return found.length > 0 ? found : [undefined]
  }
  const below = error.cause === undefined ? [] : codes(error.cause, met)
  const own = typeof error.code === "string" ? error.code : undefined
  return below.some((code) => code !== undefined) ? below : [own]
}

/**
 * Reads what a transport failure says about itself. O(nested errors), of which a thousand are read.
 *
 * @since 0.1.0
 */
export const read = (cause: unknown): TransportFailure => {
  const found = codes(cause, new Set())
  const permanent = found.every(isPermanent)
  const unsent = found.every((code) => code !== undefined && beforeSending.has(code))
  return {
    sent: unsent || permanent ? "no" : "unknown",
    permanent,
    code: found.find((code) => code !== undefined)
  }
}
