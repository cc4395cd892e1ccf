/**
 * The API of a messaging product (templated messages, one-time codes, forms): its status code
 * playbook, capped backoff with jitter, a fallback route for codes, credentials that are replaced
 * when they are refused, cooldown messages, and a record of each failure that names the key and
 * does not show it.
 *
 * Its document names no paths and no bodies; those used here can be said otherwise, and of answers
 * only what is needed is read. It says nothing about idempotency keys, and asks for retries of 5xx,
 * which leave open whether a message went out. So calls carry a key and are repeated under it. Give
 * `writes: Operation.once` for an API that ignores keys; then only what certainly was not executed
 * is repeated.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as ApiError from "../errors/ApiError.js"
import * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import * as ApiClient from "../http/ApiClient.js"
import * as Endpoint from "../http/Endpoint.js"
import type * as Idempotency from "../idempotency/Idempotency.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Operation from "../idempotency/Operation.js"
import type * as Incident from "../observability/Incident.js"
import * as Telemetry from "../observability/Telemetry.js"
import type * as CircuitBreaker from "../policies/CircuitBreaker.js"
import * as Fallback from "../policies/Fallback.js"
import type * as RetryBudget from "../retry/RetryBudget.js"
import * as Bodies from "./messaging/bodies.js"
import { type Credential, credential, keyFingerprint, type Use } from "./messaging/credential.js"
import * as Models from "./messaging/models.js"
import { type OperationName, operations, type Policy, type Rule } from "./messaging/operations.js"
import { playbook, redactedNames } from "./messaging/playbook.js"

export { keyFingerprint } from "./messaging/credential.js"
export {
  correlation,
  FormSubmitted,
  MessageSent,
  OtpSession,
  OtpVerified
} from "./messaging/models.js"
export type { FormSubmission, Message, OtpRequest, OtpSent } from "./messaging/models.js"
export { operations } from "./messaging/operations.js"
export type { OperationName, Policy, Rule } from "./messaging/operations.js"
export { incidentRules, playbook, redactedNames, userMessage } from "./messaging/playbook.js"
export type { About } from "./messaging/playbook.js"

const integration = "messaging"

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/**
 * Everything that a call can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure = ApiError.ApiError | Idempotency.UnknownOutcome | CircuitBreaker.CircuitOpen

/**
 * What the caller knows about the call, and the error does not.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogContext extends Omit<Telemetry.Context, "integration"> {
  readonly queueId?: string | undefined
  readonly keyFingerprint?: string | undefined
}

/**
 * Fields of a log line, for `Effect.annotateLogs`. Unknown fields are absent.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFields = Telemetry.Fields

const known = <A>(fields: Readonly<Record<string, A | undefined>>): Readonly<Record<string, A>> =>
  Record.filter(fields, (value) => value !== undefined)

/**
 * The fields to log about a failure: names and numbers, nothing that was sent, nothing that the API
 * wrote. The client's `record` has more.
 *
 * @since 0.1.0
 * @category failures
 */
export const logFields = (
  error: unknown,
  { keyFingerprint, queueId, ...context }: LogContext = {}
): LogFields => ({
  ...Telemetry.fields(error, { ...context, integration }),
  ...known({ queueId, keyFingerprint })
})

/**
 * Whether the transport behind the API failed: a 502. Another route may work then. See
 * `Fallback.orElse` for one that is not of this API.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUpstreamFailure = (error: unknown): error is ApiError.Server =>
  ApiError.isApiError(error) && error._tag === "Server" && error.status === 502

// -----------------------------------------------------------------------------
// the client
// -----------------------------------------------------------------------------

/**
 * - `apiKey`: sent as `Authorization: Bearer`. One that no header can hold is refused before it is
 *   sent, as `Auth`.
 * - `renewKey`: fetches another key when the API answers 401, once per call, and once for calls
 *   that are refused together, also when it fails; the call is then sent once more.
 * - `writes`: what calls are. Default `Operation.keyed`, which demands an idempotency key.
 * - `policies`: other retries, waits or limits of time, by operation. `paths`: other paths, with
 *   the same `:parameters`.
 * - `circuitBreaker`: one circuit for each endpoint, since a transport that is down says nothing
 *   about forms. Default: one that does not mind slow answers.
 * - `budget`: pays for the retries of all operations. Default: none.
 * - `detector`: sees the answer to every attempt, so that a trend of 429 or 503 shows although
 *   calls succeed in the end (`Incident.make({ rules: Messaging.incidentRules })`).
 * - `telemetry`: metrics, spans and logs of all operations. Default: none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<W = IdempotencyKey.IdempotencyKey> {
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted<string>
  readonly renewKey?: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError> | undefined
  readonly writes?: Operation.Operation<W> | undefined
  readonly policies?: Partial<Readonly<Record<OperationName, Partial<Policy>>>> | undefined
  readonly paths?: Partial<Readonly<Record<OperationName, string>>> | undefined
  readonly circuitBreaker?: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options | undefined
  readonly budget?: RetryBudget.RetryBudget | undefined
  readonly detector?: Incident.Detector | undefined
  readonly telemetry?: Telemetry.Telemetry | Telemetry.Options | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { circuitBreaker: { slowCall: false }, route: "direct" } as const

/**
 * The API as its callers see it. `W` is what calls demand: an idempotency key, unless `writes` says
 * otherwise.
 *
 * **Details**
 *
 * - `sendOtp`: when the route still fails with 502 after the retries, or its circuit is open, the
 *   `fallbackRoute` is tried: once, under a key of its own made of the caller's; not where it is
 *   the route that failed. When that fails too, its error is the call's. The answer says which
 *   route it was.
 * - A field that is required and absent or blank, an address that is none, and an id that cannot be
 *   in a path are a `Validation`, and nothing is sent.
 * - `keyFingerprint`: of the API key in use.
 * - `record`: what to keep of a failure for debugging: status, endpoint, the fingerprint of the key
 *   in use, the API's own message without what was sent. With `body: true` also the body of the
 *   answer, without values of this client's keys and of secret names.
 *
 * **Gotchas**
 *
 * After a 502 the first code may have gone out as well. Each has a session; the one that counts is
 * the one in the answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Messaging<W = IdempotencyKey.IdempotencyKey> {
  readonly sendMessage: (message: Models.Message) => Effect.Effect<Models.MessageSent, Failure, W>
  readonly sendOtp: (request: Models.OtpRequest) => Effect.Effect<Models.OtpSent, Failure, W>
  readonly verifyOtp: (
    attempt: { readonly sessionId: string; readonly otp: Redacted.Redacted<string> }
  ) => Effect.Effect<Models.OtpVerified, Failure, W>
  readonly submitForm: (
    submission: Models.FormSubmission
  ) => Effect.Effect<Models.FormSubmitted, Failure, W>
  readonly keyFingerprint: Effect.Effect<string>
  readonly record: (
    error: unknown,
    options?: LogContext & { readonly body?: boolean | undefined }
  ) => Effect.Effect<LogFields>
}

/** A failure, as a detector sees it: without an id that the API may have made of what was sent. */
const seen = (
  tag: string,
  status: number | undefined,
  endpoint: string
): Exit.Exit<never, object> => Exit.fail({ _tag: tag, ...known({ status }), endpoint })

/**
 * What has become of a call so far: the key that it has sent last, and whether a detector has seen
 * how that was refused.
 */
interface Progress extends Use {
  isSeen: boolean
}

const begun = (): Progress => ({ generation: 0, failures: 0, isSeen: false })

class CurrentCall extends Context.Reference<CurrentCall>()<
  "effect-resilience/Messaging/CurrentCall",
  Progress
>("effect-resilience/Messaging/CurrentCall", { defaultValue: begun }) {}

/** Gives an effect the client of the environment, changed. */
const withClient =
  (change: (client: HttpClient.HttpClient) => HttpClient.HttpClient) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, HttpClient.HttpClient | R> =>
    Effect.provideServiceEffect(
      self,
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, change)
    )

/**
 * The key in use on every request. A 401 is about the key that was sent, which may have been
 * replaced meanwhile.
 */
const withKey = (key: Credential) =>
  withClient(
    HttpClient.mapRequestInputEffect((request) =>
      Effect.map(CurrentCall, (call) => {
        call.isSeen = false
        return HttpClientRequest.bearerToken(request, key.use(call))
      })
    )
  )

/**
 * Every refusal is shown to the detector. A success, and what has no answer, is shown to it where
 * the call ends.
 */
const watchedBy = (detector: Incident.Detector, endpoint: string) =>
  withClient(
    HttpClient.transformResponse(Effect.tap(({ status }) =>
      status < 300 ? Effect.void : Effect.flatMap(CurrentCall, (call) => {
        call.isSeen = true
        return detector.observe(
          integration,
          seen(Playbook.lookup(playbook, status).tag, status, endpoint)
        )
      })
    ))
  )

type Rules = Readonly<Record<OperationName | "otherRoute", Rule>>

const rulesOf = (options: Options<unknown>): Rules => {
  const rules = Endpoint.override<OperationName, Rule>(operations, options)
  return { ...rules, otherRoute: { ...rules.sendOtp, retries: 0 } }
}

/**
 * A client for each rule. The other route has circuits of its own: it is there for when those of
 * the first are open.
 */
const clientsOf = (options: Options<unknown>, rules: Rules, key: Credential) =>
  Effect.gen(function*() {
    const { detector } = options
    const { otherRoute, ...others } = rules
    const circuitBreaker = options.circuitBreaker ?? defaults.circuitBreaker
    const shared = { telemetry: yield* Telemetry.from(options.telemetry), budget: options.budget }
    const pipelines = {
      ...(yield* Endpoint.pipelines(others, { ...shared, circuitBreaker })),
      ...(yield* Endpoint.pipelines({ otherRoute }, {
        ...shared,
        circuitBreaker: "protect" in circuitBreaker ? defaults.circuitBreaker : circuitBreaker
      }))
    }
    const clients = Record.map(pipelines, (pipeline, name) =>
      ApiClient.make({
        name: integration,
        baseUrl: options.baseUrl,
        playbook,
        pipeline,
        circuitKey: "endpoint",
        refresh: key.replace && Effect.flatMap(CurrentCall, key.replace),
        redactedNames,
        secrets: [options.apiKey]
      }).pipe(
        withKey(key),
        detector === undefined ? identity : watchedBy(detector, rules[name].path)
      ))
    return yield* ApiClient.readAll(Effect.all(clients))
  })

const keyIn = (context: Context.Context<never>): Option.Option<IdempotencyKey.IdempotencyKey> =>
  Context.getOption(context, IdempotencyKey.IdempotencyKey)

/**
 * Another route is another call: under the key of the first it would be answered with what the
 * first was.
 */
const underOwnKey =
  (route: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.contextWithEffect((context: Context.Context<never>): Effect.Effect<A, E, R> =>
      Option.match(keyIn(context), {
        onNone: () => self,
        onSome: (key) => IdempotencyKey.provide(self, IdempotencyKey.derive(key, `route ${route}`))
      })
    )

/** What the API would refuse anyway is not sent. */
const valid = (
  endpoint: string,
  issues: ApiError.Validation["issues"]
): Effect.Effect<void, ApiError.Validation> =>
  issues.length === 0
    ? Effect.void
    : Endpoint.notSent({ method: "POST", endpoint, code: "invalid_request", issues })

const secretNames = [...Redaction.defaultNames, ...redactedNames]

/** What a call has sent that stays private. */
const secretsOf = (
  key: Credential,
  context: Context.Context<never>,
  body: object
): ReadonlyArray<string> => [
  ...key.all(),
  ...Option.toArray(keyIn(context)).map(({ value }) => Redacted.value(value)),
  ...Redaction.secretsIn(body, secretNames)
]

/**
 * A client of the API.
 *
 * **Details**
 *
 * Every call has a limit of time for each attempt, its body included, and one for all attempts.
 * Dies with a `RangeError` for nonsense options.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <W = IdempotencyKey.IdempotencyKey>(
  options: Options<W>
): Effect.Effect<Messaging<W>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { detector } = options
    const rules = rulesOf(options)
    const key = yield* credential(options.apiKey, options.renewKey)
    const clients = yield* clientsOf(options, rules, key)
    // Without `writes`, `W` is the key.
    const writes = options.writes ?? Operation.keyed as Operation.Operation<W>
    const fingerprint = Effect.suspend(() => keyFingerprint(key.current()))

    const bodies = Bodies.make(secretNames)
    const succeeded = () =>
      detector === undefined ? Effect.void : detector.observe(integration, Exit.void)
    const ended = (endpoint: string, body: object) => (error: Failure) =>
      Effect.contextWithEffect((context: Context.Context<never>) => {
        const api = ApiError.isApiError(error) ? error : undefined
        if (api !== undefined) bodies.recordOutcome(api, () => secretsOf(key, context, body))
        return detector === undefined ? Effect.void : Effect.flatMap(
          CurrentCall,
          ({ isSeen }) =>
            isSeen
              ? Effect.void
              : detector.observe(integration, seen(error._tag, api?.status, endpoint))
        )
      })

    const call = <A, I>(
      name: keyof Rules,
      schema: Schema.Schema<A, I>,
      body: Readonly<Record<string, unknown>>,
      ids: Endpoint.Ids = {},
      issues: ApiError.Validation["issues"] = []
    ): Effect.Effect<A, Failure, W> =>
      Effect.suspend(() => valid(rules[name].path, [...Models.issuesOf(name, body), ...issues]))
        .pipe(
          Effect.zipRight(Endpoint.request("POST", rules[name].path, ids)),
          Effect.zipLeft(Effect.suspend(() => Endpoint.checkCredential(key.current(), "POST"))),
          Effect.flatMap((request) =>
            clients[name].execute(HttpClientRequest.bodyUnsafeJson(request, body))
          ),
          Effect.flatMap(ApiClient.json(schema)),
          ApiClient.withEndpoint(rules[name].path),
          Effect.tapBoth({ onFailure: ended(rules[name].path, body), onSuccess: succeeded }),
          (self) => Effect.suspend(() => Effect.provideService(self, CurrentCall, begun())),
          ApiClient.withOperation(writes)
        )

    const sendOver = (
      name: "sendOtp" | "otherRoute",
      to: string,
      route: string | undefined,
      issues?: ApiError.Validation["issues"]
    ) =>
      Effect.map(
        call(
          name,
          Models.OtpSession,
          { to, ...(route === undefined ? {} : { route }) },
          {},
          issues
        ),
        (session): Models.OtpSent => ({
          ...session,
          route: route ?? defaults.route,
          isFallback: name === "otherRoute"
        })
      )

    return {
      sendMessage: ({ templateId, to, variables }) =>
        call("sendMessage", Models.MessageSent, {
          template_id: templateId,
          to,
          ...(variables === undefined ? {} : { variables })
        }),
      sendOtp: ({ fallbackRoute, route, to }) => {
        const issues = fallbackRoute === undefined ? [] : Models.missing({ fallbackRoute })
        const first = sendOver("sendOtp", to, route, issues)
        // Over the same route it would be one more try of what has been given up.
        return fallbackRoute === undefined || fallbackRoute === (route ?? defaults.route) ?
          first :
          Fallback.orElse(first, {
            when: (error) => isUpstreamFailure(error) || error._tag === "CircuitOpen",
            orElse: () => underOwnKey(fallbackRoute)(sendOver("otherRoute", to, fallbackRoute))
          })
      },
      verifyOtp: ({ otp, sessionId }) =>
        call("verifyOtp", Models.OtpVerified, {
          session_id: sessionId,
          otp: Redacted.isRedacted(otp) ? Redacted.value(otp) : otp
        }),
      submitForm: ({ fields, formId }) =>
        call(
          "submitForm",
          Models.FormAnswer,
          { fields },
          { formId },
          typeof formId === "string" ? [] : Models.missing({ formId })
        ),
      keyFingerprint: fingerprint,
      record: (error, { body, ...context } = {}) =>
        Effect.map(fingerprint, (keyFingerprint) => {
          const api = ApiError.isApiError(error) ? error : undefined
          const text = body === true && api !== undefined ? bodies.textOf(api) : undefined
          return {
            ...logFields(error, { keyFingerprint, ...context }),
            ...known({ code: api?.code, message: api?.message, body: text })
          }
        })
    }
  })
