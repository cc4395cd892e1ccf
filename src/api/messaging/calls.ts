/**
 * How Messaging is called: a client for each operation, the key on every request, what a detector
 * sees of each attempt, and what is kept of a failure.
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
import * as ApiError from "../../errors/ApiError.js"
import * as Playbook from "../../errors/Playbook.js"
import * as Redaction from "../../errors/Redaction.js"
import * as ApiClient from "../../http/ApiClient.js"
import * as Endpoint from "../../http/Endpoint.js"
import * as ErrorResponse from "../../http/ErrorResponse.js"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import * as Operation from "../../idempotency/Operation.js"
import type * as Incident from "../../observability/Incident.js"
import * as Telemetry from "../../observability/Telemetry.js"
import * as Input from "../shared/input.js"
import * as PrivateTexts from "../shared/privateTexts.js"
import * as Bodies from "./bodies.js"
import type { Credential, Use } from "./credential.js"
import * as Models from "./models.js"
import { type OperationName, operations, type Rule } from "./operations.js"
import { defaults, type Failure, type Options } from "./options.js"
import { integration, playbook, redactedNames } from "./playbook.js"

/** A failure, as a detector sees it: without an id that the API may have made of what was sent. */
const seen = (
  tag: string,
  status: number | undefined,
  endpoint: string
): Exit.Exit<never, object> =>
  Exit.fail({ _tag: tag, ...(status === undefined ? {} : { status }), endpoint })

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

export type Rules = Readonly<Record<OperationName | "otherRoute", Rule>>

const rulesOf = (options: Options<unknown>): Rules => {
  const rules = Endpoint.override<OperationName, Rule>(operations, options)
  return { ...rules, otherRoute: { ...rules.sendOtp, retries: 0 } }
}

/**
 * A client for each rule. The other route has circuits of its own: it is there for when those of
 * the first are open.
 */
const clientsOf = (
  options: Options<unknown>,
  rules: Rules,
  key: Credential,
  detector: Incident.Detector | undefined
) =>
  Effect.gen(function*() {
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
        errorBody: PrivateTexts.errorBody(ErrorResponse.anyErrorBody),
        redactedNames,
        secrets: [options.apiKey]
      }).pipe(
        withKey(key),
        detector === undefined ? identity : watchedBy(detector, rules[name].path)
      ))
    return yield* ApiClient.readAll(Effect.all(clients))
  })

export const keyIn = (
  context: Context.Context<never>
): Option.Option<IdempotencyKey.IdempotencyKey> =>
  Context.getOption(context, IdempotencyKey.IdempotencyKey)

const secretNames = [...Redaction.defaultNames, ...redactedNames]

/** What a call has sent that stays private. */
const secretsOf = (
  key: Credential,
  context: Context.Context<never>,
  body: object
): ReadonlyArray<string> => [
  ...key.all(),
  ...Option.toArray(keyIn(context)).map(({ value }) => Redacted.value(value)),
  ...PrivateTexts.withLines(Redaction.secretsIn(body, secretNames))
]

type Body = Readonly<Record<string, unknown>>

/**
 * How every call is made: its input is checked, it is sent with the key in use, what came of it is
 * shown to the detector, and what was sent is kept beside the body of a failure.
 */
export interface Calls<W> {
  readonly bodies: Bodies.Bodies
  readonly call: <A, I>(
    name: keyof Rules,
    schema: Schema.Schema<A, I>,
    body: Body,
    ids?: Endpoint.Ids,
    issues?: ApiError.Validation["issues"]
  ) => Effect.Effect<A, Failure, W>
}

export const make = <W>(
  options: Options<W>,
  key: Credential,
  detector: Incident.Detector | undefined
): Effect.Effect<Calls<W>, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    // Without `writes`, `W` is the key.
    const writes = options.writes ?? Operation.keyed as Operation.Operation<W>
    const rules = rulesOf(options)
    const clients = yield* clientsOf(options, rules, key, detector)
    const bodies = Bodies.make(secretNames)
    const succeeded = () =>
      detector === undefined ? Effect.void : detector.observe(integration, Exit.void)
    const ended = (endpoint: string, body: Body) => (error: Failure) =>
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
    const checked = (name: keyof Rules, body: Body, issues: ApiError.Validation["issues"]) =>
      Input.check(
        { method: "POST", endpoint: rules[name].path },
        () => [...Models.issuesOf(name, body), ...issues]
      )

    return {
      bodies,
      call: (name, schema, body, ids = {}, issues = []) => {
        const { path } = rules[name]
        return checked(name, body, issues).pipe(
          Effect.zipRight(Endpoint.request("POST", path, ids)),
          Effect.zipLeft(Effect.suspend(() => Endpoint.checkCredential(key.current(), "POST"))),
          Effect.flatMap((request) => Input.withJson(request, path, body)),
          Effect.flatMap((request) => clients[name].execute(request)),
          Effect.flatMap(ApiClient.json(schema)),
          PrivateTexts.during(() => Redaction.secretsIn(body, redactedNames)),
          ApiClient.withEndpoint(path),
          Effect.tapBoth({ onFailure: ended(path, body), onSuccess: succeeded }),
          (self) => Effect.suspend(() => Effect.provideService(self, CurrentCall, begun())),
          ApiClient.withOperation(writes)
        )
      }
    }
  })
