/**
 * Classifies the failures of API calls into ten error classes. Each says what to do next.
 *
 * Each is a `Schema.TaggedError`: it can be yielded, caught by tag, declared on an `HttpApi`
 * endpoint, sent over the wire and read back without loss. None carries a request, a response body
 * or a URL query, so none can print a secret.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Facts from "./failureFacts.js"
import {
  CorruptRecord,
  InFlight,
  ResultUnavailable,
  StoreUnavailable,
  UnknownOutcome
} from "./idempotencyErrors.js"
import { isMarked } from "./mayHaveRunMark.js"
import { copyRawBody, rawBodyOf } from "./rawBody.js"
import * as Rejection from "./Rejection.js"
import { copyStory } from "./story.js"
import * as Verdict from "./Verdict.js"

/**
 * Marks the error classes of this module at run time.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/ApiError")

/**
 * Marks the error classes of this module at run time.
 *
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

const context = {
  /** The message of the API, without the secrets that were sent. */
  message: Schema.String,
  /** The status of the response. */
  status: Schema.optional(Schema.Number),
  /** The error code of the API. */
  code: Schema.optional(Schema.String),
  /** The request id of the API, for its support. */
  requestId: Schema.optional(Schema.String),
  /** The template of the path. */
  endpoint: Schema.optional(Schema.String),
  /** The HTTP method. */
  method: Schema.optional(Schema.String),
  /** How many attempts the call made. */
  attempts: Schema.optional(Schema.Number),
  /** How long the last attempt took. */
  latency: Schema.optional(Schema.Duration),
  /** The response headers on the allow-list. */
  headers: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.String })),
  /** Overrides whether another try may succeed. */
  repeat: Schema.optional(Schema.Literal("never", "transient")),
  /** How long the server asked to wait. */
  retryAfter: Schema.optional(Schema.Duration),
  /** True when an attempt of the call may have been executed. */
  mayHaveRun: Schema.optional(Schema.Boolean)
}

/**
 * The status under which an `HttpApi` endpoint answers with an error. The symbol is the one of
 * `HttpApiSchema.AnnotationStatus` in `@effect/platform`; naming it here keeps the whole of
 * `HttpApi` out of programs that only handle errors.
 */
const respondsWith = (status: number) => ({
  [Symbol.for("@effect/platform/HttpApiSchema/AnnotationStatus")]: status
})

/**
 * 401, 407: the credential is missing, malformed, expired or revoked. Terminal: the same credential
 * fails again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Auth
  extends Schema.TaggedError<Auth>("effect-resilience/Auth")("Auth", context, respondsWith(401))
{
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 402, 403, 451: the caller is known but not allowed. Terminal until a plan, a scope or an
 * allow-list changes.
 *
 * @since 0.1.0
 * @category errors
 */
export class Policy extends Schema.TaggedError<Policy>("effect-resilience/Policy")(
  "Policy",
  context,
  respondsWith(403)
) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 400, 422 and every 4xx without a tag of its own: the request is wrong and `issues` says where,
 * when the API did. Terminal.
 *
 * @since 0.1.0
 * @category errors
 */
export class Validation
  extends Schema.TaggedError<Validation>("effect-resilience/Validation")("Validation", {
    ...context,
    /** What is wrong with the request, and where. Empty when the API does not say. */
    issues: Schema.optionalWith(
      Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String })),
      {
        default: () => []
      }
    )
  }, respondsWith(422))
{
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 404, 410: the resource does not exist, or no longer. Terminal.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotFound extends Schema.TaggedError<NotFound>("effect-resilience/NotFound")(
  "NotFound",
  context,
  respondsWith(404)
) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 409, 412: the request contradicts the state of the server. Terminal, except when `inFlight` says
 * that the first call with the same idempotency key is still running: then the same key may be
 * tried again after `retryAfter`.
 *
 * @since 0.1.0
 * @category errors
 */
export class Conflict
  extends Schema.TaggedError<Conflict>("effect-resilience/Conflict")("Conflict", {
    ...context,
    /** True when the first call with this idempotency key is still running. */
    inFlight: Schema.optionalWith(Schema.Boolean, { default: () => false })
  }, respondsWith(409))
{
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 423: the resource is locked or closed. Terminal unless a playbook says otherwise.
 *
 * @since 0.1.0
 * @category errors
 */
export class Locked extends Schema.TaggedError<Locked>("effect-resilience/Locked")(
  "Locked",
  context,
  respondsWith(423)
) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 429: too many calls. Not executed; another try may succeed after `retryAfter`.
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimit
  extends Schema.TaggedError<RateLimit>("effect-resilience/RateLimit")("RateLimit", {
    ...context,
    /** The size of the quota, in requests. */
    limit: Schema.optional(Schema.Number),
    /** How many requests of the quota are left. */
    remaining: Schema.optional(Schema.Number)
  }, respondsWith(429))
{
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * 5xx, 425, an unexpected redirect, or a success that cannot be read
 * (`code: "unreadable_response"`). `gateway` is set when a gateway gave up waiting (504).
 *
 * @since 0.1.0
 * @category errors
 */
export class Server extends Schema.TaggedError<Server>("effect-resilience/Server")("Server", {
  ...context,
  /** True when a gateway stopped waiting (504). */
  gateway: Schema.optional(Schema.Boolean)
}, respondsWith(500)) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * A deadline passed: of one attempt, of the whole call, or the server's own (408). Only the
 * deadline of the whole call is terminal.
 *
 * @since 0.1.0
 * @category errors
 */
export class Timeout extends Schema.TaggedError<Timeout>("effect-resilience/Timeout")("Timeout", {
  ...context,
  /** Whose deadline passed: of one `attempt`, of the `total` call, or of the `server` (408). */
  deadline: Schema.Literal("attempt", "total", "server")
}, respondsWith(408)) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * No answer came. `sent: "no"` means that no byte of the request left: it was not executed.
 *
 * @since 0.1.0
 * @category errors
 */
export class Network extends Schema.TaggedError<Network>("effect-resilience/Network")("Network", {
  ...context,
  /** `"no"` when no byte of the request left; `"unknown"` otherwise. */
  sent: Schema.Literal("no", "unknown")
}, respondsWith(502)) {
  /** @internal */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/** A caller that makes an error by its tag gives fields that fit the tag, and asserts it. */
const classes: Readonly<
  Record<
    ApiError["_tag"],
    new(fields: never, options: { readonly disableValidation: true }) => ApiError
  >
> = { Auth, Policy, Validation, NotFound, Conflict, Locked, RateLimit, Server, Timeout, Network }

/**
 * The Schema of all ten classes: `Schema.decodeUnknown(ApiError.ApiError)` reads back what
 * `Schema.encode` wrote.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ApiError = Schema.Union(
  Auth,
  Policy,
  Validation,
  NotFound,
  Conflict,
  Locked,
  RateLimit,
  Server,
  Timeout,
  Network
)

/**
 * Any of the ten error classes.
 *
 * @since 0.1.0
 * @category models
 */
export type ApiError = typeof ApiError.Type

/**
 * Tests whether a value is one of the ten classes. Decides by a brand and not by `_tag`: other
 * libraries have a `Conflict` too.
 *
 * @since 0.1.0
 * @category guards
 */
export const isApiError = (u: unknown): u is ApiError => hasProperty(u, TypeId)

/**
 * Tests whether the API answered with a success that could not be read. The call was executed:
 * repeat it only where a second execution is harmless.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUnreadable = (u: unknown): boolean =>
  isApiError(u) && u._tag === "Server" && u.code === Facts.unreadable

/**
 * Says what an error means for the next step.
 *
 * **Details**
 *
 * - One of the ten: what its playbook said (`repeat`), else what its tag and status imply.
 *   `ambiguous` says whether the request may have been executed: a refused connection, a 408, 425,
 *   429, a conflict in flight, 401 and 403 were certainly not.
 * - A rejection by one of our guards: `Rejected`. But a duplicate of a run that is under way
 *   (`InFlight`), and a run that could not ask its store (`StoreUnavailable`), may be asked for
 *   again: the record sees to it that nothing is executed twice.
 * - `HttpClientError` of `@effect/platform` and `TimeoutException` are understood the same way.
 * - Anything else is `Terminal`: an error without a verdict is not repeated.
 *
 * O(1).
 *
 * @since 0.1.0
 * @category verdicts
 */
export const verdict = (error: unknown): Verdict.Verdict => {
  if (isApiError(error)) return Facts.judge(error)
  if (error instanceof InFlight || error instanceof StoreUnavailable) {
    return Verdict.transient({ ambiguous: false, retryAfter: error.retryAfter })
  }
  if (Rejection.isRejection(error)) return Verdict.rejected({ retryAfter: error.retryAfter })
  if (Facts.isHttpClientError(error)) {
    const facts = Facts.ofHttpClientError(error)
    return facts === undefined ? Verdict.terminal : Facts.judge(facts)
  }
  if (Cause.isTimeoutException(error)) return Verdict.transient()
  return Verdict.terminal
}

/**
 * Tests whether the failed call may have been executed. Whether to repeat it is another question: a
 * deadline of the whole call is final, and what ran until then is unknown.
 *
 * **Details**
 *
 * - True for `Timeout` unless the server gave up, `Network` unless nothing was sent, `Server`
 *   except 425, 501 and 505, any other tag whose status is such a server failure, and everything
 *   whose verdict is ambiguous. The error's own `mayHaveRun` comes first. The same in the form of
 *   `HttpClientError` and `TimeoutException`; for an `UnknownOutcome`, `ResultUnavailable` or
 *   `CorruptRecord` of a run inside, and for work that could not keep its recovery point.
 * - True for each of our errors, rejections included, that carries `mayHaveRun: true`: an earlier
 *   attempt of the same call, or a hedge beside it, may have been executed.
 * - False for anything else: an answer of the API, a rejection, an error of the program's own.
 *
 * O(1).
 *
 * **Example** (A deadline says nothing about the server)
 *
 * ```ts
 * import { ApiError } from "effect-resilience"
 *
 * ApiError.mayHaveRun(new ApiError.Timeout({ message: "too slow", deadline: "total" })) // => true
 * ApiError.mayHaveRun(new ApiError.NotFound({ message: "no such order" })) // => false
 * ```
 *
 * @since 0.1.0
 * @category verdicts
 */
export const mayHaveRun = (error: unknown): boolean => {
  if (isMarked(error)) return true
  if (error instanceof StoreUnavailable) return error.during === "savepoint"
  if (
    Cause.isTimeoutException(error) || error instanceof UnknownOutcome ||
    error instanceof ResultUnavailable ||
    error instanceof CorruptRecord
  ) {
    return true
  }
  if (isApiError(error)) return Facts.mayHaveRun(error)
  const facts = Facts.isHttpClientError(error) ? Facts.ofHttpClientError(error) : undefined
  return facts !== undefined && Facts.mayHaveRun(facts)
}

/**
 * Reads the first bytes of the error body (at most the client's `maxErrorBodyBytes`, 64 KiB by
 * default).
 *
 * **Gotchas**
 *
 * Not scrubbed: it may hold secrets that the API repeats. It is kept beside the error and not on
 * it, so that no log prints it by accident.
 *
 * @since 0.1.0
 * @category accessors
 */
export const rawBody = (error: ApiError): Option.Option<Uint8Array> =>
  Option.fromNullable(rawBodyOf(error))

/** The frames of an error under another message. */
const stackFor = (message: string, { message: before, stack = "" }: Error): string =>
  before === message ? stack : stack.replace(before, () => message)

/**
 * Copies an error with more facts: endpoint, attempts, latency. Keeps everything else, the stack
 * trace and the raw body included.
 *
 * @since 0.1.0
 * @category combinators
 */
export const annotate = <E extends ApiError>(
  error: E,
  fields: Partial<
    Pick<
      ApiError,
      "message" | "endpoint" | "method" | "attempts" | "latency" | "repeat" | "mayHaveRun"
    >
  >
): E => {
  // The same class with the same fields makes the same kind of error.
  const copy = new classes[error._tag](
    { ...error, message: error.message, ...fields } as never,
    { disableValidation: true }
  ) as E
  if (error.stack !== undefined) {
    Object.defineProperty(copy, "stack", {
      value: stackFor(copy.message, error),
      configurable: true,
      writable: true,
      enumerable: false
    })
  }
  return copyStory(error, copyRawBody(error, copy))
}
