/**
 * An `HttpClient` for one API that you do not own: failures are `ApiError`s, successes are 2xx, and
 * nothing harmful is sent twice.
 *
 * There is one classifier and one loop over responses and transport failures together. (A loop over
 * responses inside a loop over errors makes nine requests where three were meant.)
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as ApiError from "../errors/ApiError.js"
import * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import { once, type Operation } from "../idempotency/Operation.js"
import { forOperation, isPipeline } from "../pipeline/built.js"
import type * as Pipeline from "../pipeline/Pipeline.js"
import type { Rejects, Stages } from "../policies/stage/definition.js"
import * as CallContext from "../runtime/callContext.js"
import type { Misnamed } from "../runtime/misnamed.js"
import * as Validate from "../runtime/validate.js"
import * as Answers from "./answers.js"
import { isOfRead, withLimits } from "./attempt.js"
import { checkedBaseUrl } from "./baseUrl.js"
import type { Call, Config } from "./call.js"
import * as ErrorResponse from "./ErrorResponse.js"
import { textOf } from "./identification.js"
import { PlainPaths } from "./plainPaths.js"
import { Refresh } from "./refresh.js"
import * as RequestExecution from "./requestExecution.js"
import * as RequestMetadata from "./requestMetadata.js"

export { events, jsonLines } from "./events.js"
export {
  type Event,
  type EventsOptions,
  streamDefaults,
  type StreamOptions
} from "./events/settings.js"
export { execute } from "./execute.js"
export { replayable } from "./requestBody.js"
export { bytes, fromClientError, fromResponse, json, text } from "./responseError.js"
export { discard, readAll } from "./successBody.js"

/**
 * What an error body can say.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorBody = ErrorResponse.ErrorBody

/**
 * - `name`: what the API is called, in spans and logs.
 * - `baseUrl`: put before every relative URL. Without user info, query and fragment.
 * - `playbook`: what its statuses mean. Default `Playbook.standard`. A function is given the
 *   request as it was sent, for a status that means something else without a credential.
 * - `errorBody`: reads its error bodies. Default `ErrorResponse.anyErrorBody`.
 * - `pipeline`: how calls are protected. Default: one attempt. Its operation is replaced by what
 *   each request is. Stages may stand in its place; see `StagesOptions`.
 * - `circuitKey`: what has a circuit of its own, where the pipeline has a breaker: the whole
 *   `origin` (default) or each `endpoint` (origin, method and template). `guardKey` says the key.
 * - `refresh`: run on a 401, followed by one more request (of a client below this one that adds the
 *   credential). At most once per call, and once for all calls that were refused with the same
 *   credential.
 * - `idempotencyHeader`: default `Idempotency-Key`. `idempotencyKeyFormat`: `bare` (default) or
 *   `quoted` (RFC 9651).
 * - `keyTimeToLive`: how long the API remembers a key. Default 24 h from its making.
 * - `redactedNames`: names of headers, query parameters and fields whose values are secret, beside
 *   `Redaction.defaultNames`.
 * - `secrets`: values to keep out of everything that is printed although they are never sent, such
 *   as a key that requests are signed with.
 * - `maxErrorBodyBytes`: how much of an error body is read. Default 65536.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never>
  extends Misnamed<{ url: "use baseUrl"; baseURL: "use baseUrl" }>
{
  /** The name of the API in spans and logs (required). */
  readonly name: string
  /** Put before every relative URL (required). Without user info, query and fragment. */
  readonly baseUrl: string
  /**
   * What the statuses mean. Default `Playbook.standard`. A function receives the request as it was
   * sent.
   */
  readonly playbook?:
    | Playbook.Playbook
    | ((sent: HttpClientRequest.HttpClientRequest) => Playbook.Playbook)
    | undefined
  /** Reads error bodies. Default `ErrorResponse.anyErrorBody`. */
  readonly errorBody?: ErrorResponse.Decoder | undefined
  /**
   * Protects the calls. Default: one attempt. The operation of each request replaces that of the
   * pipeline.
   */
  readonly pipeline?: Pipeline.Pipeline<E, unknown> | undefined
  /**
   * Gives a circuit to the whole `origin` (default) or to each `endpoint`: origin, method and
   * template.
   */
  readonly circuitKey?: "origin" | "endpoint" | undefined
  /** Runs on a 401, before one more request. At most once per call. Default: a 401 is final. */
  readonly refresh?: Effect.Effect<void, ApiError.ApiError> | undefined
  /** The header of the key. Default `Idempotency-Key`. */
  readonly idempotencyHeader?: string | undefined
  /** How the key is written: `bare` (default) or `quoted` (RFC 9651). */
  readonly idempotencyKeyFormat?: "bare" | "quoted" | undefined
  /** How long the API remembers a key. Default 24 h from its making. */
  readonly keyTimeToLive?: Duration.DurationInput | undefined
  /**
   * Names of headers, query parameters and fields whose values are secret, besides
   * `Redaction.defaultNames`.
   */
  readonly redactedNames?: Redaction.Names | undefined
  /**
   * Secrets that are never sent, such as a signing key, to keep out of everything that is printed.
   * Default: none.
   */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  /** How much of an error body is read, in bytes. Default 65,536. */
  readonly maxErrorBodyBytes?: number | undefined
}

/**
 * The options of a client that builds its pipeline itself, once, of these stages. `operation` may
 * be left out: each request has its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface StagesOptions<K extends keyof Stages> extends Omit<Options, "pipeline"> {
  /**
   * How calls are protected, as `Pipeline.make` takes it. What the stages reject with is in the
   * type of the client.
   */
  readonly pipeline:
    & {
      /** Replaced by what each request is. Default `Operation.once`. */
      readonly operation?: Operation<unknown> | undefined
    }
    & Pick<Stages, K>
}

/**
 * The default options.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  /** Default of the option `playbook`. */
  playbook: Playbook.standard,
  /** Default of the option `circuitKey`. */
  circuitKey: "origin",
  /** Default of the option `idempotencyHeader`. */
  idempotencyHeader: "Idempotency-Key",
  /** Default of the option `idempotencyKeyFormat`. */
  idempotencyKeyFormat: "bare",
  /** Default of the option `keyTimeToLive`. */
  keyTimeToLive: Duration.hours(24),
  /** Default of the option `maxErrorBodyBytes`. */
  maxErrorBodyBytes: ErrorResponse.defaults.maxBodyBytes
} as const

/**
 * Files the requests of an effect under a template, such as `/v1/sessions/:id`. Without it, the
 * path with everything that looks like an id (digits, UUIDs, long hexadecimal numbers) replaced. A
 * query or a fragment of the template is left out.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withEndpoint =
  (template: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    CallContext.endpoint.during(self, RequestMetadata.withoutQuery(template))

/**
 * Says what the requests of an effect are, where the method says less: a POST that closes a session
 * is `Operation.idempotent`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withOperation =
  <R2>(operation: Operation<R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | R2> =>
    CallContext.operation.during(self, operation)

/**
 * The key under which a client files requests in the guards of its pipeline: what an operator gives
 * to the controls of a breaker. The origin of the API, or with `circuitKey: "endpoint"` the origin,
 * the method and the template of the endpoint.
 *
 * **Example** (Opening the circuit that a client uses)
 *
 * ```ts
 * import { ApiClient, CircuitBreaker } from "effect-resilience"
 * import { Effect } from "effect"
 *
 * const options = { baseUrl: "https://api.example.com/v1", circuitKey: "endpoint" } as const
 * const key = ApiClient.guardKey(options, { method: "GET", endpoint: "/v1/sites/:id" })
 * key // => "https://api.example.com GET /v1/sites/:id"
 *
 * const maintenance = Effect.flatMap(CircuitBreaker.CircuitBreaker, (breaker) =>
 *   breaker.forceOpen(key))
 * await Effect.runPromise(Effect.exit(Effect.provide(maintenance, CircuitBreaker.layer())))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const guardKey = (
  options: Pick<Options, "baseUrl" | "circuitKey">,
  request: {
    /** The HTTP method. Default `GET`. */
    readonly method?: HttpMethod.HttpMethod | undefined
    /** The template of the path. Required with `circuitKey: "endpoint"`. */
    readonly endpoint?: string | undefined
  } = {}
): string => {
  const circuitKey = options.circuitKey ?? defaults.circuitKey
  const { endpoint = "", method = "GET" } = request
  if (circuitKey === "endpoint") {
    Validate.text("endpoint", endpoint, "the template of an endpoint", (text) => text !== "")
  }
  return RequestMetadata.guardKey(circuitKey, options.baseUrl, method, endpoint)
}

const playbookOf = (
  playbook: Options["playbook"] = defaults.playbook
): Config["playbookOf"] => typeof playbook === "function" ? playbook : () => playbook

const keyHeaderOf = (name: string = defaults.idempotencyHeader): string =>
  Validate.text(
    "idempotencyHeader",
    name,
    "a header name",
    (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name)
  ).toLowerCase()

const secretNamesOf = ({ idempotencyHeader, redactedNames }: Options<unknown>): Redaction.Names => [
  ...Redaction.defaultNames,
  ...(idempotencyHeader === undefined ? [] : [idempotencyHeader]),
  ...(redactedNames ?? [])
]

/** The pipeline for each kind of operation, made once. */
const pipelinesOf = (
  pipeline: Pipeline.Pipeline<unknown, unknown> | undefined
): Config["pipelineFor"] => {
  const made = new Map<string, Pipeline.Pipeline<unknown, unknown>>()
  return (operation) => {
    const found = made.get(operation._tag)
    if (found !== undefined || pipeline === undefined) return found
    const like = forOperation(pipeline, operation)
    made.set(operation._tag, like)
    return like
  }
}

const configOf = (options: Options<unknown>): Config => {
  const baseUrl = checkedBaseUrl(options.baseUrl)
  const idempotencyHeader = keyHeaderOf(options.idempotencyHeader)
  const secretNames = secretNamesOf(options)
  const secrets = (options.secrets ?? []).map(Redacted.value)
  return {
    name: Validate.text(
      "name",
      options.name,
      "a text that is not empty",
      (name) => typeof name === "string" && name !== ""
    ),
    baseUrl,
    origin: RequestMetadata.originOf(baseUrl),
    playbookOf: playbookOf(options.playbook),
    errorBody: options.errorBody,
    pipeline: options.pipeline,
    circuitKey: Validate.oneOf(
      "circuitKey",
      options.circuitKey ?? defaults.circuitKey,
      ["origin", "endpoint"]
    ),
    refresh: options.refresh === undefined ? undefined : new Refresh(options.refresh),
    idempotencyHeader,
    idempotencyKeyFormat: Validate.oneOf(
      "idempotencyKeyFormat",
      options.idempotencyKeyFormat ?? defaults.idempotencyKeyFormat,
      ["bare", "quoted"]
    ),
    keyTimeToLiveMillis: Duration.toMillis(
      Validate.positiveDuration("keyTimeToLive", options.keyTimeToLive ?? defaults.keyTimeToLive)
    ),
    secretNames,
    secrets,
    plain: new PlainPaths(secretNames, secrets, idempotencyHeader),
    pipelineFor: pipelinesOf(options.pipeline),
    maxErrorBodyBytes: Validate.integer(
      "maxErrorBodyBytes",
      options.maxErrorBodyBytes ?? defaults.maxErrorBodyBytes,
      0
    )
  }
}

/**
 * Makes a client for one API.
 *
 * **When to use**
 *
 * In code that handles failures by tag. For code written against the platform's `HttpClient`, use
 * `layer`.
 *
 * **Details**
 *
 * - GET, HEAD and OPTIONS are `read`, PUT and DELETE `idempotent`; POST and PATCH are `keyed` when
 *   there is an idempotency key (in the environment or already on the request) and `once`
 *   otherwise.
 * - The key is put on the request once per call, outside the retry loop; a key already on the
 *   request wins; safe methods carry none.
 * - Sent after `keyTimeToLive`, a call fails with `UnknownOutcome` instead.
 * - Redirects are not followed: a 3xx is a `Server` error with its status.
 * - A header that HTTP cannot hold is a `Validation` with the code `malformed_header`, and nothing
 *   is sent.
 * - Spans of our own replace the platform's, which record headers and the full URL: one per call,
 *   one per attempt.
 * - Invalid options die with `RangeError`.
 *
 * **Example** (A call that fails with a tagged value)
 *
 * ```ts
 * import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
 * import { ApiClient } from "effect-resilience"
 * import { make } from "effect-resilience/testing/FlakyApi"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const api = yield* make({
 *     app: HttpServerResponse.json({ error: "no such tenant" }, { status: 404 })
 *   })
 *   const client = yield* ApiClient.make({ name: "tenants", baseUrl: api.url })
 *   return yield* client.get("/v1/tenants/42").pipe(
 *     Effect.as("found"),
 *     Effect.catchTag("NotFound", (error) => Effect.succeed(`${error.endpoint}: ${error.message}`))
 *   )
 * })
 *
 * const answer = Effect.scoped(program).pipe(Effect.provide(FetchHttpClient.layer))
 * await Effect.runPromise(answer) // => "/v1/tenants/:id: no such tenant"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  /** Makes a client over a built pipeline, or without one. */
  <E = never>(
    options: Options<E>
  ): Effect.Effect<
    HttpClient.HttpClient.With<RequestExecution.Failure<E>>,
    never,
    HttpClient.HttpClient
  >
  /** Makes a client that builds its pipeline of these stages. */
  <K extends keyof Stages>(
    options: StagesOptions<K>
  ): Effect.Effect<
    HttpClient.HttpClient.With<RequestExecution.Failure<Rejects[K & keyof Rejects]>>,
    never,
    HttpClient.HttpClient
  >
} = <E>(options: AnyOptions<E>) =>
  Effect.zipWith(withPipeline(options), HttpClient.HttpClient, (built, upstream) => {
    const config = configOf(built)
    return RequestExecution.client<E, RequestExecution.Failure<E>>(
      config,
      upstream,
      false,
      (run) => run
    )
  })

/** What both forms have in common: a pipeline that is built, or stages to build one of. */
type AnyOptions<E> = Options<E> | StagesOptions<never>

/**
 * The options with a built pipeline. The stages of the library are loaded when a client is made of
 * some, so that a program which brings none or a built pipeline does not load them all.
 */
const withPipeline = <E>(options: AnyOptions<E>): Effect.Effect<Options<E>> => {
  const { pipeline, ...rest } = options
  if (pipeline === undefined) return Effect.succeed(rest)
  if (isPipeline<E>(pipeline)) return Effect.succeed({ ...rest, pipeline })
  return Effect.flatMap(
    Effect.promise(() => import("../pipeline/Pipeline.js")),
    ({ make }) =>
      // The overloads say which rejections these are.
      Effect.map(make({ ...pipeline, operation: pipeline.operation ?? once }), (built) => ({
        ...rest,
        pipeline: built as Pipeline.Pipeline<unknown, unknown> as Pipeline.Pipeline<E, unknown>
      }))
  )
}

/**
 * Makes the same client as a drop-in `HttpClient`, for code written against the platform (such as
 * `HttpApiClient`).
 *
 * **Details**
 *
 * Retries, breaks and redacts; then a response that is not a success is handed through as a
 * response, its body readable, for the caller to judge. A transport failure or a rejection becomes
 * a `RequestError` with reason `Transport`, the typed failure its `cause`, and a request that shows
 * method and address only.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: {
  /** Provides a client over a built pipeline, or without one. */
  <E = never>(
    options: Options<E>
  ): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient>
  /** Provides a client that builds its pipeline of these stages. */
  <K extends keyof Stages>(
    options: StagesOptions<K>
  ): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient>
} = <E>(options: AnyOptions<E>) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.zipWith(withPipeline(options), HttpClient.HttpClient, (built, upstream) => {
      const config = configOf({
        ...built,
        pipeline: built.pipeline === undefined ? undefined : Answers.inRounds(built.pipeline)
      })
      return RequestExecution.client<E, HttpClientError.HttpClientError>(
        config,
        upstream,
        true,
        (run, call) =>
          Effect.matchEffect(run, {
            onSuccess: (response) => Effect.as(call.answers.releaseExcept(undefined), response),
            onFailure: (error) => {
              const answer = call.answers.of(error)
              return Effect.zipRight(
                call.answers.releaseExcept(answer),
                answer === undefined
                  ? withoutAnswer(config, call, error)
                  : Effect.succeed(handedOut(config, call, answer.response))
              )
            }
          })
      )
    })
  )

/** What it was answered, as a success is handed out: with limits on its body, and discreet. */
const handedOut = (
  config: Config,
  call: Call,
  response: HttpClientResponse.HttpClientResponse
): HttpClientResponse.HttpClientResponse =>
  RequestMetadata.discreet(
    withLimits(config, call, response),
    config.secretNames,
    config.secrets
  )

/** What a caller's `read` fails with has a type that the caller knows. */
const withoutAnswer = (
  config: Config,
  call: Call,
  error: unknown
): Effect.Effect<never, HttpClientError.HttpClientError> =>
  isOfRead(call, error)
    ? Effect.fail(error as HttpClientError.HttpClientError)
    : new HttpClientError.RequestError({
      request: RequestMetadata.bare(call.request),
      reason: "Transport",
      description: textOf(config, call, error),
      cause: error
    })
