/**
 * Maps each status of an API to its error class, whether another try may help, what the integrator
 * should do, and what the user should read, as data.
 *
 * The error pages of APIs are tables. A playbook is such a table in a form that a program can
 * follow and a person can print.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as HttpStatus from "../core/httpStatus.js"
import type * as RateLimitFields from "../core/rateLimitFields.js"
import type * as ApiError from "./ApiError.js"

/**
 * One row of a playbook.
 *
 * **Details**
 *
 * - `repeat`: whether the same request may be tried again.
 * - `alert`: where to route it when it repeats.
 * - `wait`: how long to wait before another try, where the API documents it and sends no wait.
 * - `when`: what the value of a response header changes about the row. The first match counts;
 *   names and values are compared without letter case. A `then` that changes the tag and names no
 *   `repeat` is repeated as its tag is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  /** The error class. */
  readonly tag: ApiError.ApiError["_tag"]
  /** Whether the same request may be tried again. */
  readonly repeat: "never" | "transient"
  /** What the status means, in words. */
  readonly meaning: string
  /** What the caller should do, in words. */
  readonly action: string
  /** A sentence that is safe to show to an end user. */
  readonly userMessage: string
  /** Where to route the failure when it repeats. */
  readonly alert?: string | undefined
  /** How long to wait before another try, for an API that documents a wait and sends none. */
  readonly wait?: Duration.DurationInput | undefined
  /** Changes the row by the value of a response header. The first match counts. */
  readonly when?:
    | ReadonlyArray<
      { readonly header: string; readonly is: string; readonly then: Partial<Entry> }
    >
    | undefined
}

/**
 * A header that says when a quota resets, with or without the unit of its number.
 *
 * @since 0.1.0
 * @category models
 */
export type ResetHeader = RateLimitFields.ResetHeader

/**
 * A table for one API.
 *
 * **Details**
 *
 * - `byStatus`: the rows. A status without one gets the meaning that HTTP gives it.
 * - `byCode`: what a code or type in the error body changes about the row of its status.
 * - `inFlightCodes`: codes of a 409 which say that the first call with the same idempotency key is
 *   still running.
 * - `resetHeaders`: headers such as `X-RateLimit-Reset` that this API fills in: a name, or a name
 *   and the unit of its number. Without a unit, form and magnitude decide: seconds, a duration such
 *   as `6m0s`, a date, or a moment in seconds, milliseconds or microseconds since the epoch.
 * - `retryHeader`: a header such as `x-should-retry`. `false` stops; `true` repeats what the
 *   operation allows.
 * - `bodyTypesDecide`: whether the types and codes of the body also decide if the request may have
 *   been executed. Without it a 500 stays ambiguous whatever its body calls it.
 * - `retryAfterInMessage`: finds seconds in the message; its first group is the number.
 *
 * @since 0.1.0
 * @category models
 */
export interface Playbook {
  /** The name of the API. */
  readonly name: string
  /** The rows by status. A status without a row has its HTTP meaning. */
  readonly byStatus: Readonly<Record<number, Entry>>
  /** What a code or type in the error body changes in the row of its status. */
  readonly byCode?: Readonly<Record<string, Partial<Entry>>> | undefined
  /** Codes of a 409 that mean: the first call with this idempotency key is still running. */
  readonly inFlightCodes?: ReadonlyArray<string> | undefined
  /** Headers that say when the quota resets, such as `X-RateLimit-Reset`. */
  readonly resetHeaders?: ReadonlyArray<ResetHeader> | undefined
  /** A header such as `x-should-retry`. `false` stops; `true` repeats what the operation allows. */
  readonly retryHeader?: string | undefined
  /**
   * Lets types and codes of the body decide whether the request may have been executed. Default
   * false.
   */
  readonly bodyTypesDecide?: boolean | undefined
  /** Finds a wait in the message; its first group is the number of seconds. */
  readonly retryAfterInMessage?: RegExp | undefined
}

/**
 * What each tag asks of the integrator and tells the user, where nothing more particular is known.
 */
const texts: Readonly<
  Record<ApiError.ApiError["_tag"], Pick<Entry, "action" | "userMessage" | "alert">>
> = {
  Auth: {
    action:
      "Do not retry. Check the credential, its expiry and its environment; rotate it if it leaked.",
    userMessage: "We could not reach a partner service. Our team has been told.",
    alert: "credentials"
  },
  Policy: {
    action: "Do not retry. Check plan, scope, allow-lists and tenant access.",
    userMessage: "This is not available for your account.",
    alert: "access"
  },
  Validation: {
    action: "Do not retry unchanged. Correct the request; validate before sending.",
    userMessage: "Some of the details are not valid. Please check them and try again."
  },
  NotFound: {
    action: "Do not retry. Check the identifiers, or ask for a new resource.",
    userMessage: "We could not find what you asked for."
  },
  Conflict: {
    action:
      "Do not retry. Check whether the resource exists already or the operation was sent twice.",
    userMessage: "This has been submitted already."
  },
  Locked: {
    action: "Do not retry. Show that it is closed and offer another way.",
    userMessage: "This is closed at the moment."
  },
  RateLimit: {
    action: "Retry with capped exponential backoff and jitter, not before Retry-After. " +
      "Reduce concurrency.",
    userMessage: "We are a little busy. Please try again in a moment.",
    alert: "capacity"
  },
  Server: {
    action: "Retry with capped exponential backoff and jitter where a repeat is safe.",
    userMessage: "A partner service has a problem. Please try again in a moment.",
    alert: "partner-outage"
  },
  Timeout: {
    action: "Retry with capped exponential backoff and jitter where a repeat is safe.",
    userMessage: "This is taking longer than usual. Please try again in a moment.",
    alert: "partner-outage"
  },
  Network: {
    action: "Retry with capped exponential backoff and jitter where a repeat is safe.",
    userMessage: "We could not reach a partner service. Please try again in a moment.",
    alert: "partner-outage"
  }
}

const rowOf = (
  tag: Entry["tag"],
  repeat: Entry["repeat"],
  meaning: string,
  overrides?: Partial<Entry>
): Entry => ({ tag, repeat, meaning, ...texts[tag], ...overrides })

/** Retrying is pointless although the tag is one that usually passes. */
const unsupported = { action: "Do not retry. The server will never do this; change the request." }

/**
 * The meanings that HTTP gives to statuses (RFC 9110, RFC 6585, RFC 8470).
 *
 * **Details**
 *
 * Transient: 408, 425, 429, every 5xx except 501, 505, 506, 508, 510 and 511, and a 413 with
 * `Retry-After`. It also knows the error types of bodies such as
 * `{ "error": { "type": "rate_limit_error" } }`, where the type is more exact than the status.
 *
 * @since 0.1.0
 * @category playbooks
 */
export const standard: Playbook = {
  name: "standard",
  byStatus: {
    400: rowOf("Validation", "never", "The request is malformed"),
    401: rowOf("Auth", "never", "The credential is missing or invalid"),
    402: rowOf("Policy", "never", "A payment or a higher plan is required"),
    403: rowOf("Policy", "never", "The caller is known but not allowed"),
    404: rowOf("NotFound", "never", "The resource does not exist"),
    407: rowOf("Auth", "never", "A proxy wants a credential"),
    408: rowOf("Timeout", "transient", "The server gave up waiting for the request"),
    409: rowOf("Conflict", "never", "The request conflicts with the state of the server"),
    410: rowOf("NotFound", "never", "The resource is gone for good"),
    412: rowOf("Conflict", "never", "A precondition does not hold"),
    413: rowOf("Validation", "never", "The request body is too large"),
    414: rowOf("Validation", "never", "The URL is too long"),
    415: rowOf("Validation", "never", "The server does not read this media type"),
    422: rowOf("Validation", "never", "The payload is well formed but not valid"),
    423: rowOf("Locked", "never", "The resource is locked or closed"),
    425: rowOf("Server", "transient", "Too early: the server will not risk a replay of early data"),
    428: rowOf("Validation", "never", "The request must be conditional"),
    429: rowOf("RateLimit", "transient", "Too many requests"),
    431: rowOf("Validation", "never", "The request headers are too large"),
    451: rowOf("Policy", "never", "Unavailable for legal reasons"),
    500: rowOf("Server", "transient", "The server failed unexpectedly"),
    501: rowOf("Server", "never", "The server does not implement this", unsupported),
    502: rowOf("Server", "transient", "A gateway got an invalid answer"),
    503: rowOf("Server", "transient", "The service is temporarily unavailable"),
    504: rowOf("Server", "transient", "A gateway gave up waiting"),
    505: rowOf("Server", "never", "The server does not speak this HTTP version", unsupported)
  },
  byCode: {
    authentication_error: rowOf("Auth", "never", "The credential is missing or invalid"),
    validation_error: rowOf("Validation", "never", "The request is not valid"),
    not_found_error: rowOf("NotFound", "never", "The resource does not exist"),
    rate_limit_error: rowOf("RateLimit", "transient", "Too many requests"),
    server_error: { tag: "Server" }
  },
  inFlightCodes: ["urn:effect-resilience:idempotency:in-flight", "idempotency_key_in_use"]
}

/**
 * Makes a playbook for one API: the rows that differ, and everything else from a base.
 *
 * **Details**
 *
 * Rows are replaced by status, `byCode` by code; `inFlightCodes` and `resetHeaders` add to the
 * base's; the rest is replaced.
 *
 * @since 0.1.0
 * @category combinators
 */
export const extend = (base: Playbook, overrides: Partial<Playbook>): Playbook => ({
  ...base,
  ...overrides,
  byStatus: { ...base.byStatus, ...overrides.byStatus },
  byCode: { ...base.byCode, ...overrides.byCode },
  inFlightCodes: union(base.inFlightCodes, overrides.inFlightCodes),
  resetHeaders: unionByName(base.resetHeaders, overrides.resetHeaders)
})

const nameOf = (header: ResetHeader): string =>
  (typeof header === "string" ? header : header.name).toLowerCase()

/** Each name once, in the place where it came first, with the unit that was said last. */
const unionByName = (
  a: ReadonlyArray<ResetHeader> = [],
  b: ReadonlyArray<ResetHeader> = []
): ReadonlyArray<ResetHeader> => [
  ...new Map([...a, ...b].map((header) => [nameOf(header), header])).values()
]

const union = (
  a: ReadonlyArray<string> = [],
  b: ReadonlyArray<string> = []
): ReadonlyArray<string> => [
  ...new Set([...a, ...b])
]

/** Server failures without a row above that are permanent. */
const permanent: ReadonlySet<number> = new Set([506, 508, 510, 511])

const unlisted = (status: number): Entry => {
  if (status >= 200 && status < 300) {
    return rowOf("Server", "never", "A success; only its body can be wrong")
  }
  if (status >= 400 && status < 500) {
    return rowOf(HttpStatus.tagOf(status), "never", "The request is not acceptable")
  }
  if (status >= 500) {
    return HttpStatus.isTransientServer(status) && !permanent.has(status)
      ? rowOf("Server", "transient", "The server failed")
      : rowOf("Server", "never", "The server failed", unsupported)
  }
  return rowOf(
    "Server",
    "never",
    status >= 300 ? "A redirect that is not followed" : "Not a final answer",
    unsupported
  )
}

/**
 * Finds the row of a status. Total over 100 to 599: a status without a row gets the meaning of its
 * class.
 *
 * **Details**
 *
 * A missing row sets nothing: the error of such a status carries no `repeat`, and the status alone
 * decides its verdict (a 520 is transient and ambiguous).
 *
 * @since 0.1.0
 * @category accessors
 */
export const lookup = (playbook: Playbook, status: number): Entry =>
  playbook.byStatus[status] ?? unlisted(status)

/**
 * Makes a row: that of HTTP for the status, with the changes of one API.
 *
 * **Details**
 *
 * Starts from `Playbook.standard`; fields that `changes` leaves out keep the standard value. Total
 * over 100 to 599. O(1).
 *
 * **Example** (A table of one row)
 *
 * ```ts
 * import { Playbook } from "effect-resilience"
 *
 * const playbook = Playbook.extend(Playbook.standard, {
 *   name: "payments",
 *   byStatus: { 423: Playbook.entry(423, { meaning: "The account is being settled" }) }
 * })
 *
 * const { meaning, repeat, tag } = Playbook.lookup(playbook, 423)
 * const row = [tag, repeat, meaning]
 * row // => ["Locked", "never", "The account is being settled"]
 * ```
 *
 * @see {@link extend} to put the rows into a playbook.
 * @since 0.1.0
 * @category constructors
 */
export const entry = (status: number, changes: Partial<Entry> = {}): Entry => ({
  ...lookup(standard, status),
  ...changes
})

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ")

/**
 * Prints the table as Markdown: status, tag, meaning, whether to retry, what to do.
 *
 * @since 0.1.0
 * @category rendering
 */
export const markdown = (playbook: Playbook): string => {
  const rows = Object.entries(playbook.byStatus).flatMap(([status, row]) => [
    columnsOf(`\`${status}\``, row),
    ...(row.when ?? []).map(({ header, is, then }) =>
      columnsOf(`\`${status}\`, \`${cell(header)}: ${cell(is)}\``, { ...row, ...then })
    )
  ])
  return [
    ["Status", "Tag", "Meaning", "Retry?", "What to do"],
    ["---", "---", "---", "---", "---"],
    ...rows
  ]
    .map((columns) => `| ${columns.join(" | ")} |`)
    .join("\n")
}

const columnsOf = (name: string, row: Entry): ReadonlyArray<string> => [
  name,
  row.tag,
  cell(row.meaning),
  row.repeat === "transient" ? "Yes" : "No",
  cell(row.action)
]
