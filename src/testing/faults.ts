/**
 * The faults that `FlakyApi` can play, as plain data, and the scripts that deal them out, as pure
 * functions.
 *
 * They are separate from the server because they have no part in its sockets: a script looks at one
 * request and names a fault, the same one in every run, however the requests interleave. That is
 * what makes a failing test repeatable. `FlakyApi` exports all of it.
 *
 * @since 0.1.0
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as HttpDate from "../core/httpDate.js"
import * as Validate from "../runtime/validate.js"

/**
 * What one request meets instead of, or on top of, its answer. Plain data with structural equality;
 * built by the constructors below.
 *
 * **Details**
 *
 * A fault named `before` strikes when the call has not been executed, one named `after` when it has
 * been executed and its outcome recorded, so that the client cannot tell. `SlowHeaders`,
 * `SlowBody`, `Truncated` and `Malformed` always strike after.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = Data.TaggedEnum<{
  /** The answer, undisturbed. */
  None: {}
  /** An answer of another status, with the body and the headers given. */
  Status: {
    readonly status: number
    readonly when: "before" | "after"
    readonly retryAfter: RetryAfter | undefined
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  }
  /** The connection is reset (RST): before the headers, or after them and part of the body. */
  Reset: { readonly when: "before" | "after" | "afterHeaders" }
  /** The whole answer, late. */
  SlowHeaders: { readonly delay: Duration.Duration }
  /** The headers and half of the body at once, the rest late. */
  SlowBody: { readonly delay: Duration.Duration }
  /**
   * Half of the body under a `content-length` that promises more, then the end of the connection.
   */
  Truncated: {}
  /** The status of the answer, and a body that calls itself JSON and is not. */
  Malformed: {}
  /** This connection is reset before execution, and new ones are refused for a while. */
  Refused: { readonly for: Duration.Duration }
}>

const Fault = Data.taggedEnum<Fault>()

/**
 * What `Retry-After` says: a number of whole seconds, sent as digits; a `Date`, sent as an
 * HTTP-date (IMF-fixdate); or `dateIn`, an HTTP-date that far from the moment of the answer,
 * rounded up to a whole second.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryAfter = number | Date | {
  /** How far the HTTP-date lies after the moment of the answer. */
  readonly dateIn: Duration.DurationInput
}

/**
 * What may be said about a fault that is an answer of another status.
 *
 * @since 0.1.0
 * @category models
 */
export interface StatusOptions {
  /**
   * Whether the call is executed before it is answered so.
   *
   * @default "before"
   */
  readonly when?: "before" | "after" | undefined
  /**
   * Absent by default. To send something that is no valid `Retry-After`, use `headers`.
   */
  readonly retryAfter?: RetryAfter | undefined
  /**
   * Further headers. They win over the ones that the fault would send by itself.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * The body as it is sent. The default is a problem document (RFC 9457) that says the status and
   * nothing else.
   */
  readonly body?: string | undefined
}

const checkedRetryAfter = (input: RetryAfter): RetryAfter => {
  if (typeof input === "number") return Validate.integer("FlakyApi: retryAfter", input, 0)
  if (input instanceof Date) {
    return new Date(Validate.number("FlakyApi: retryAfter", input.getTime(), -Infinity))
  }
  return { dateIn: Validate.finiteDuration("FlakyApi: retryAfter.dateIn", input.dateIn) }
}

const retryAfterValue = (retryAfter: RetryAfter, now: number): string => {
  if (typeof retryAfter === "number") return String(retryAfter)
  if (retryAfter instanceof Date) return HttpDate.format(retryAfter.getTime())
  return HttpDate.format(Math.ceil((now + Duration.toMillis(retryAfter.dateIn)) / 1000) * 1000)
}

/** Makes the response of a `Status` that the client sees. */
export const responseOf = (fault: Extract<Fault, { _tag: "Status" }>) =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    HttpServerResponse.text(fault.body, {
      status: fault.status,
      headers: fault.retryAfter === undefined
        ? fault.headers
        : { "retry-after": retryAfterValue(fault.retryAfter, now), ...fault.headers }
    }))

/**
 * No fault: the request is answered as it should be.
 *
 * @since 0.1.0
 * @category faults
 */
export const none: Fault = Fault.None()

/**
 * An answer of any status from 200 to 599 in place of the right one.
 *
 * **When to use**
 *
 * For a status that has no constructor of its own, and for bodies and headers that are wrong in a
 * particular way.
 *
 * @since 0.1.0
 * @category faults
 */
export const status = (code: number, options: StatusOptions = {}): Fault => {
  if (!(Number.isInteger(code) && code >= 200 && code <= 599)) {
    throw new RangeError(
      `FlakyApi: status should be a whole number between 200 and 599, got ${code}`
    )
  }
  return Fault.Status({
    status: code,
    when: options.when ?? "before",
    retryAfter: options.retryAfter === undefined
      ? undefined
      : checkedRetryAfter(options.retryAfter),
    headers: { "content-type": "application/problem+json", ...options.headers },
    body: options.body ??
      JSON.stringify({ type: "about:blank", title: `Scripted ${code}`, status: code })
  })
}

/**
 * 429, with `Retry-After` when it is given. Nothing was executed, unless `when` says otherwise.
 *
 * @since 0.1.0
 * @category faults
 */
export const rateLimited = (options?: StatusOptions): Fault => status(429, options)

/**
 * 500, before the execution or after it.
 *
 * @since 0.1.0
 * @category faults
 */
export const serverError = (options?: StatusOptions): Fault => status(500, options)

/**
 * 502, as a gateway answers when the server behind it makes no sense.
 *
 * @since 0.1.0
 * @category faults
 */
export const badGateway = (options?: StatusOptions): Fault => status(502, options)

/**
 * 503, with `Retry-After` when it is given.
 *
 * @since 0.1.0
 * @category faults
 */
export const unavailable = (options?: StatusOptions): Fault => status(503, options)

/**
 * 504, as a gateway answers when the server behind it is late. With `when: "after"` the late server
 * has done the work.
 *
 * @since 0.1.0
 * @category faults
 */
export const gatewayTimeout = (options?: StatusOptions): Fault => status(504, options)

/**
 * An HTML error page, as proxies send where JSON was expected.
 *
 * **Details**
 *
 * The default status is 502. Otherwise a `Status` like the others.
 *
 * @since 0.1.0
 * @category faults
 */
export const htmlPage = (code: number = 502, options: StatusOptions = {}): Fault =>
  status(code, {
    body: `<!DOCTYPE html>\n<html><head><title>${code}</title></head>` +
      `<body><h1>${code}</h1><hr>proxy</body></html>\n`,
    ...options,
    headers: { "content-type": "text/html; charset=utf-8", ...options.headers }
  })

/**
 * The connection is reset, so that the client sees ECONNRESET.
 *
 * **Details**
 *
 * `before` (default): without executing the call. `after`: when it has been executed.
 * `afterHeaders`: executed, and the headers and half of the body were sent already.
 *
 * **Gotchas**
 *
 * When headers and reset reach a client built on Node at the same moment, its read loop reports the
 * end of the connection in place of ECONNRESET. Both mean a body that ends too early.
 *
 * @since 0.1.0
 * @category faults
 */
export const reset = (
  options?: {
    /** When the connection is reset. Default `"before"`: the call is not executed. */
    readonly when?: "before" | "after" | "afterHeaders" | undefined
  }
): Fault => Fault.Reset({ when: options?.when ?? "before" })

/**
 * The call is executed, and nothing is heard of it until the delay has passed.
 *
 * @since 0.1.0
 * @category faults
 */
export const slowHeaders = (delay: Duration.DurationInput): Fault =>
  Fault.SlowHeaders({ delay: Validate.finiteDuration("FlakyApi: delay", delay) })

/**
 * The call is executed, the headers and half of the body come at once, and the rest when the delay
 * has passed.
 *
 * @since 0.1.0
 * @category faults
 */
export const slowBody = (delay: Duration.DurationInput): Fault =>
  Fault.SlowBody({ delay: Validate.finiteDuration("FlakyApi: delay", delay) })

/**
 * The call is executed, and the connection ends before the body is as long as its `content-length`
 * said.
 *
 * @since 0.1.0
 * @category faults
 */
export const truncated: Fault = Fault.Truncated()

/**
 * The call is executed, and the body of its answer is complete but no JSON.
 *
 * @since 0.1.0
 * @category faults
 */
export const malformed: Fault = Fault.Malformed()

/**
 * Resets the connection before the call is executed, and stops listening for a while: new
 * connections meet ECONNREFUSED.
 *
 * **Gotchas**
 *
 * The outage is shared: it also meets calls for which the script has no fault, and those never
 * arrive, so that no `maxPerKey` counts them. Keep it shorter than the clients' waits add up to.
 *
 * @since 0.1.0
 * @category faults
 */
export const refused = (forDuration: Duration.DurationInput): Fault =>
  Fault.Refused({ for: Validate.finiteDuration("FlakyApi: refused", forDuration) })

/**
 * A request as it arrived, before anything was done with it: what a script decides by.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrival {
  /** Which request this is, of all: 0, 1, 2... */
  readonly index: number
  /**
   * Which one it is with its key, method and path (without a key: with its method and path): 1, 2,
   * 3...
   */
  readonly attempt: number
  /** The HTTP method. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** The idempotency key; none when the request carried none, or one that is not valid. */
  readonly key: Option.Option<Redacted.Redacted<string>>
  /**
   * As they were sent, credentials included, without the one of the idempotency key. Names in lower
   * case.
   */
  readonly headers: Headers.Headers
}

/**
 * Names the fault that a request meets. A plain function, so that any rule can be a script.
 *
 * **When to use**
 *
 * Write one yourself for a test about one request among many:
 * `(call) => call.path === "/v1/sessions" ? FlakyApi.reset() : FlakyApi.none`.
 *
 * **Details**
 *
 * It is asked once per request, in order of arrival, before the call is executed.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = (call: Arrival) => Fault

/**
 * The name of one logical call as far as the server can tell. Attempts are counted and outcomes are
 * kept under it.
 */
export const identity = (call: Pick<Arrival, "method" | "path" | "key">): string =>
  [call.method, call.path, ...Option.toArray(Option.map(call.key, Redacted.value))].join(" ")

/**
 * Plays one fault per request in order of arrival, and none when they are used up.
 *
 * **When to use**
 *
 * For a test with one call at a time. Where requests interleave, `seeded` gives each its own
 * faults.
 *
 * @since 0.1.0
 * @category scripts
 */
export const sequence = (faults: Iterable<Fault>): Script => {
  const list = Array.from(faults)
  return (call) => list[call.index] ?? none
}

/**
 * A number in [0, 1) that depends on every character of the text: FNV-1a, then the mixing steps of
 * MurmurHash3.
 */
const unit = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}

/**
 * Makes faults at a rate, the same ones in every run.
 *
 * **When to use**
 *
 * For many calls at once, as in a load test or a demonstration.
 *
 * **Details**
 *
 * What a request meets depends on `seed`, on its idempotency key with method and path, and on which
 * attempt it is, and on nothing else: not on the order of arrival, not on time. `rate` is the share
 * of attempts that meet a fault, between 0 and 1; each fault of the list is as likely as the
 * others, and one that is listed twice is twice as likely. After `maxPerKey` faults (default: no
 * limit) a call meets none, so that one that is repeated often enough succeeds. O(attempts so far)
 * with `maxPerKey`, else O(1).
 *
 * **Gotchas**
 *
 * Requests without a key are told apart by method and path only: they count as attempts of one
 * call, and share its `maxPerKey`.
 *
 * @since 0.1.0
 * @category scripts
 */
export const seeded = (options: {
  /** The same seed gives the same faults (required). */
  readonly seed: string | number
  /** The share of attempts that get a fault, from 0 to 1 (required). */
  readonly rate: number
  /** The faults, each equally likely (required). */
  readonly faults: ReadonlyArray<Fault>
  /** How many faults one call gets at most. Default: no limit. */
  readonly maxPerKey?: number | undefined
}): Script => {
  const { faults, maxPerKey } = options
  const rate = Validate.number("FlakyApi.seeded: rate", options.rate, 0, 1)
  if (typeof options.seed === "number") {
    Validate.number("FlakyApi.seeded: seed", options.seed, -Infinity)
  }
  if (maxPerKey !== undefined) Validate.integer("FlakyApi.seeded: maxPerKey", maxPerKey, 0)
  if (faults.length === 0) {
    throw new RangeError("FlakyApi.seeded: faults should be a list of at least one, got []")
  }
  return (call) => {
    const draw = (attempt: number, what: string) =>
      unit([options.seed, identity(call), attempt, what].join("\n"))
    const struck = (attempt: number) => draw(attempt, "struck") < rate
    if (!struck(call.attempt)) return none
    if (maxPerKey !== undefined) {
      let earlier = 0
      for (let attempt = 1; attempt < call.attempt && earlier < maxPerKey; attempt++) {
        if (struck(attempt)) earlier++
      }
      if (earlier >= maxPerKey) return none
    }
    return faults[Math.floor(draw(call.attempt, "which") * faults.length)] ?? none
  }
}
