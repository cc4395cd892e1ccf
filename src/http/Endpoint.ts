/**
 * The operations of one API as data, and requests that are refused before they are sent.
 *
 * A client of an API has a handful of operations. Each has a path, retries and time limits, and
 * users of the client change some of them. The ids in a path come from elsewhere. Encoding makes
 * any id one segment of a path, with exceptions: dots stay as they are and mean the path itself or
 * the one above, servers often drop an empty segment, and half of a surrogate pair has no encoding.
 * A request with such an id would go somewhere else, so it fails before it is sent. So does a
 * request whose credential no header can hold, because `HttpClient`s fail on it in different ways,
 * some with the credential in the error.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as ApiError from "../errors/ApiError.js"
import * as Operation from "../idempotency/Operation.js"
import * as Telemetry from "../observability/Telemetry.js"
import * as Pipeline from "../pipeline/Pipeline.js"
import * as CircuitBreaker from "../policies/CircuitBreaker.js"
import type * as Backoff from "../retry/Backoff.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import * as CallContext from "../runtime/callContext.js"
import * as Validate from "../runtime/validate.js"
import * as RequestMetadata from "./requestMetadata.js"

// -----------------------------------------------------------------------------
// operations
// -----------------------------------------------------------------------------

/**
 * How the calls of one operation are repeated and limited.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  /** How many attempts follow the first. */
  readonly retries: number
  /** The delays between attempts. */
  readonly backoff: Backoff.Backoff
  /**
   * How long each attempt may take. Covers the body only in a client made with `ApiClient.readAll`.
   */
  readonly attemptTimeout: Duration.DurationInput
  /** How long all attempts may take together, waits included. */
  readonly totalTimeout: Duration.DurationInput
}

/**
 * One operation of an API: its policy, and its path as a template such as `/v1/tenants/:tenantId`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Endpoint extends Policy {
  /** The path as a template, such as `/v1/tenants/:tenantId`. */
  readonly path: string
}

/**
 * What the user of a client changes in its operations, by name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Changes<Name extends string> {
  /** Other retries, delays or time limits, by operation. Default: those of the client. */
  readonly policies?: Partial<Readonly<Record<Name, Partial<Policy>>>> | undefined
  /** Other paths with the same parameters, by operation. Default: those of the client. */
  readonly paths?: Partial<Readonly<Record<Name, string>>> | undefined
}

/**
 * Changes policies or paths of operations. A field that is `undefined` changes nothing. A blank
 * path throws `RangeError`; `pipelines` checks the policies. O(operations).
 *
 * **Example** (A user waits longer, behind a gateway)
 *
 * ```ts
 * import { Backoff, Endpoint } from "effect-resilience"
 *
 * const operations = {
 *   order: {
 *     path: "/v1/orders/:orderId",
 *     retries: 3,
 *     backoff: Backoff.exponential({ base: "500 millis", cap: "10 seconds" }),
 *     attemptTimeout: "5 seconds",
 *     totalTimeout: "30 seconds"
 *   }
 * } as const satisfies Record<string, Endpoint.Endpoint>
 *
 * const { order } = Endpoint.override(operations, {
 *   policies: { order: { attemptTimeout: "20 seconds" } },
 *   paths: { order: "/gateway/orders/:orderId" }
 * })
 *
 * const changed = [order.path, order.retries, order.attemptTimeout]
 * changed // => ["/gateway/orders/:orderId", 3, "20 seconds"]
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const override = <Name extends string, Row extends Endpoint>(
  endpoints: Readonly<Record<Name, Row>>,
  { paths, policies }: Changes<Name>
): Readonly<Record<Name, Omit<Row, keyof Endpoint> & Endpoint>> =>
  Record.map(endpoints, (endpoint: Row, name: Name) => ({
    ...endpoint,
    ...Record.filter({ ...policies?.[name] }, (value) => value !== undefined),
    path: path(`paths.${name}`, paths?.[name] ?? endpoint.path)
  }))

/**
 * The paths of an API that has no table of operations, with those that a user changes. A path that
 * is `undefined` changes nothing. Throws a `RangeError` that names `paths.<name>` for a blank one.
 * O(paths).
 *
 * @since 0.1.0
 * @category operations
 */
export const paths = <Name extends string>(
  defaults: Readonly<Record<Name, string>>,
  changes: Partial<Readonly<Record<Name, string | undefined>>> | undefined
): Readonly<Record<Name, string>> =>
  Record.map(
    defaults,
    (template: string, name: Name) => path(`paths.${name}`, changes?.[name] ?? template)
  )

/**
 * What all operations of an API share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shared extends Pick<Pipeline.Stages, "circuitBreaker" | "telemetry"> {
  /** Pays for the retries of all operations. Default: none. */
  readonly budget?: RetryBudget.RetryBudget | undefined
}

const breakerOf = (
  breaker: Shared["circuitBreaker"]
): Effect.Effect<CircuitBreaker.CircuitBreaker | undefined> =>
  breaker === undefined || "protect" in breaker
    ? Effect.succeed(breaker)
    : CircuitBreaker.make(breaker)

/**
 * Makes one pipeline for each operation. All of them share one circuit breaker and one retry
 * budget.
 *
 * **Details**
 *
 * Give each pipeline to a client of its own (`pipeline` of `ApiClient.make`), which knows what each
 * request is. Used elsewhere, a pipeline takes calls for `Operation.once`; `Pipeline.forOperation`
 * changes that. Invalid policies, and fields that contradict each other, die with `RangeError`.
 * O(operations).
 *
 * **Example** (A failed read rejects writes, too)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ApiError, Backoff, CircuitBreaker, Endpoint, Pipeline } from "effect-resilience"
 *
 * const policy: Endpoint.Policy = {
 *   retries: 0,
 *   backoff: Backoff.exponential({ base: "500 millis" }),
 *   attemptTimeout: "5 seconds",
 *   totalTimeout: "30 seconds"
 * }
 *
 * const program = Effect.gen(function*() {
 *   const { read, write } = yield* Endpoint.pipelines({ read: policy, write: policy }, {
 *     circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
 *   })
 *   const down = Effect.fail(new ApiError.Server({ message: "down", status: 503 }))
 *   yield* Effect.ignore(Pipeline.protect(down, read))
 *   const { _tag } = yield* Effect.flip(Pipeline.protect(Effect.succeed("written"), write))
 *   return _tag
 * })
 *
 * await Effect.runPromise(program) // => "CircuitOpen"
 * ```
 *
 * @see {@link override} to let users change the policies first.
 * @since 0.1.0
 * @category operations
 */
export const pipelines = <Name extends string>(
  policies: Readonly<Record<Name, Policy>>,
  shared: Shared = {}
): Effect.Effect<
  Readonly<Record<Name, Pipeline.Pipeline<ApiError.Timeout | CircuitBreaker.CircuitOpen>>>
> =>
  Effect.gen(function*() {
    const stages = {
      operation: Operation.once,
      telemetry: yield* Telemetry.from(shared.telemetry),
      budget: shared.budget,
      circuitBreaker: yield* breakerOf(shared.circuitBreaker)
    }
    const made = yield* Effect.forEach(
      Record.toEntries(policies),
      ([name, { attemptTimeout, backoff, retries, totalTimeout }]) =>
        Effect.map(
          Pipeline.make({ ...stages, totalTimeout, retry: { retries, backoff }, attemptTimeout }),
          (pipeline) => [name, pipeline] as const
        )
    )
    // One entry for each name.
    return Object.fromEntries(made) as Record<Name, typeof made[number][1]>
  })

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

/**
 * White space and dots that a server takes for another path, half of a surrogate pair, and what is
 * no text: callers that are not type-checked give anything.
 */
const isId = (value: unknown): boolean =>
  typeof value === "string" && value.isWellFormed() && !/^\s*\.{0,2}\s*$/.test(value)

/**
 * Checks an id among the options of a client. Throws a `RangeError` that names field and value for
 * an id that cannot be in a path: blank, `.`, `..`, or not well-formed. O(id).
 *
 * @see {@link request} for the ids of a call, which fail as a value.
 * @since 0.1.0
 * @category options
 */
export const id = (field: string, value: string): string =>
  Validate.text(field, value, "an id that can be in a path", isId)

/**
 * Checks a path among the options of a client. Throws a `RangeError` that names field and value for
 * a blank path, which would call the address of the API itself. O(path).
 *
 * @since 0.1.0
 * @category options
 */
export const path = (field: string, value: string): string =>
  Validate.text(field, value, "a path", (text) => text.trim() !== "")

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

/**
 * The ids of a path, by the name of their parameter.
 *
 * @since 0.1.0
 * @category models
 */
export type Ids = Readonly<Record<string, string>>

type Issues = ApiError.Validation["issues"]

/**
 * The ids that cannot be in a path, by name and without their values. Empty when all of them can.
 * O(ids).
 *
 * @since 0.1.0
 * @category requests
 */
export const issues = (ids: Ids): Issues =>
  Object.entries(ids).flatMap(([path, value]) =>
    isId(value) ? [] : [{ path, message: "should be an id" }]
  )

/**
 * A template with an encoded id in the place of each `:parameter`. A parameter without an id stays
 * as it is. Does not check the ids; `request` does. O(template).
 *
 * @since 0.1.0
 * @category requests
 */
export const fill = (template: string, ids: Ids): string =>
  template.replaceAll(
    /:(\w+)/g,
    (whole, name: string) => Object.hasOwn(ids, name) ? encodeURIComponent(ids[name] ?? "") : whole
  )

/**
 * Makes the error of a request that was not sent, because the API would refuse it. Its message says
 * where the request is wrong. Never put a value into an issue.
 *
 * @since 0.1.0
 * @category errors
 */
export const notSent = (options: {
  /** The HTTP method of the request. */
  readonly method: HttpMethod.HttpMethod
  /** The template of the path. */
  readonly endpoint: string
  /** The error code. */
  readonly code: string
  /** What is wrong with the request, and where. Never put a value into an issue. */
  readonly issues: Issues
}): ApiError.Validation =>
  new ApiError.Validation({
    ...options,
    message: `The request was not sent: ${
      options.issues.map(({ message, path }) => `${path} ${message}`).join("; ")
    }`
  })

/**
 * A request for a template with ids in it.
 *
 * **Details**
 *
 * Fails with a `Validation` whose code is `invalid_id` when an id cannot be in a path: blank, `.`,
 * `..`, or not well-formed. Its issues name the parameters and not the ids. O(template).
 *
 * **Example** (An id that would call another path)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Endpoint } from "effect-resilience"
 *
 * const urlOf = (orderId: string) =>
 *   Endpoint.request("GET", "/v1/orders/:orderId", { orderId }).pipe(
 *     Effect.map(({ url }) => url),
 *     Effect.catchTag("Validation", ({ message }) => Effect.succeed(message))
 *   )
 *
 * await Effect.runPromise(urlOf("A/7")) // => "/v1/orders/A%2F7"
 * await Effect.runPromise(urlOf("..")) // => "The request was not sent: orderId should be an id"
 * ```
 *
 * @since 0.1.0
 * @category requests
 */
export const request = (
  method: HttpMethod.HttpMethod,
  template: string,
  ids: Ids = {}
): Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError.Validation> =>
  Effect.suspend(() => {
    const found = issues(ids)
    return found.length === 0
      ? Effect.succeed(HttpClientRequest.make(method)(fill(template, ids)))
      : notSent({ method, endpoint: template, code: "invalid_id", issues: found })
  })

const problemOf = (credential: string): string | undefined => {
  if (credential.trim() === "") return "is empty"
  return RequestMetadata.isFieldValue(credential)
    ? undefined
    : "has characters that no header can hold"
}

/**
 * Checks an API key before a request is made with it.
 *
 * **When to use**
 *
 * On each call, in front of the client. An environment variable that is not set gives an empty key,
 * a key that was read from a file ends with a line break, and a key that was copied from a page has
 * letters that no header holds.
 *
 * **Details**
 *
 * Fails with an `Auth` whose code is `malformed_api_key` when the key is blank or no header can
 * hold it (RFC 9110 section 5.5), in the same words with every `HttpClient`. The key is no part of
 * the error. `method` and the template of `ApiClient.withEndpoint` are. O(key).
 *
 * **Example** (A variable that is not set)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { ApiClient, Endpoint } from "effect-resilience"
 *
 * const program = Endpoint.checkCredential(Redacted.make(""), "GET").pipe(
 *   ApiClient.withEndpoint("/v1/orders"),
 *   Effect.flip,
 *   Effect.map(({ endpoint, message }) => `${endpoint}: ${message}`)
 * )
 *
 * await Effect.runPromise(program) // => "/v1/orders: The API key is empty, and was not sent"
 * ```
 *
 * @since 0.1.0
 * @category requests
 */
export const checkCredential = (
  apiKey: Redacted.Redacted<string>,
  method?: HttpMethod.HttpMethod
): Effect.Effect<void, ApiError.Auth> =>
  Effect.suspend(() => {
    const problem = problemOf(Redacted.value(apiKey))
    return problem === undefined ? Effect.void : Effect.flatMap(
      CallContext.endpoint.get,
      (endpoint) =>
        new ApiError.Auth({
          message: `The API key ${problem}, and was not sent`,
          code: "malformed_api_key",
          method,
          endpoint
        })
    )
  })
