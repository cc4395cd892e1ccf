/**
 * What an HTTP status means by default (RFC 9110 section 15, RFC 6585, RFC 8470).
 */

/**
 * The ten ways in which a call fails.
 *
 * @since 0.1.0
 */
export type Tag =
  | "Auth"
  | "Policy"
  | "Validation"
  | "NotFound"
  | "Conflict"
  | "Locked"
  | "RateLimit"
  | "Server"
  | "Timeout"
  | "Network"

const tags: Readonly<Record<number, Tag>> = {
  401: "Auth",
  407: "Auth",
  402: "Policy",
  403: "Policy",
  451: "Policy",
  404: "NotFound",
  410: "NotFound",
  409: "Conflict",
  412: "Conflict",
  423: "Locked",
  425: "Server",
  429: "RateLimit",
  408: "Timeout"
}

/**
 * The tag of a status: any other 4xx is `Validation`, everything else is `Server`. O(1).
 *
 * @since 0.1.0
 */
export const tagOf = (status: number): Tag =>
  tags[status] ?? (status >= 400 && status < 500 ? "Validation" : "Server")

/**
 * Tests whether a `Server` failure with this status is worth another try: 425 and the 5xx, except
 * 501 and 505, which say that the server will never do it. No status means that none was seen,
 * which may pass. O(1).
 *
 * @since 0.1.0
 */
export const isTransientServer = (status: number | undefined): boolean =>
  status === undefined || status === 425 ||
  (status >= 500 && status < 600 && status !== 501 && status !== 505)
