/**
 * How Site Chat is called: a client for each rule of the retry decision table, the checks before a
 * call, and what is seen of how it ended.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type * as ApiError from "../../errors/ApiError.js"
import * as Redaction from "../../errors/Redaction.js"
import * as ApiClient from "../../http/ApiClient.js"
import * as Endpoint from "../../http/Endpoint.js"
import * as ErrorResponse from "../../http/ErrorResponse.js"
import * as Incident from "../../observability/Incident.js"
import type * as Telemetry from "../../observability/Telemetry.js"
import * as Input from "../shared/input.js"
import * as PrivateTexts from "../shared/privateTexts.js"
import type { Failure } from "./jobs.js"
import { type OperationName, operations, type Rule } from "./operations.js"
import { defaults, type Options } from "./options.js"
import { integration, playbook, redactedNames } from "./playbook.js"

/** One attempt: `Bulk` repeats it. */
const single = (rule: Rule): Rule => ({ ...rule, retries: 0 })

type Rules = Readonly<Record<OperationName | "syncFile" | "syncText", Rule>>

const rulesOf = (options: Options<unknown>): Rules => {
  const rules = Endpoint.override<OperationName, Rule>(operations, options)
  return {
    ...rules,
    syncText: single(rules.createDocument),
    syncFile: single(rules.uploadDocument)
  }
}

/** Operations of whose answer nothing is read but its status. */
const unread: ReadonlySet<string> = new Set<OperationName>(["sendFeedback", "closeSession"])

/**
 * A client for each rule. All of them share one breaker, except for those of bulk work, which
 * pauses by itself.
 */
const clientsOf = (
  options: Options<unknown>,
  rules: Rules,
  telemetry: Telemetry.Telemetry | undefined
) =>
  Effect.gen(function*() {
    const { syncFile, syncText, ...others } = rules
    const shared = { telemetry, budget: options.budget }
    const pipelines = {
      ...(yield* Endpoint.pipelines(others, {
        ...shared,
        circuitBreaker: options.circuitBreaker ?? defaults.circuitBreaker
      })),
      ...(yield* Endpoint.pipelines({ syncFile, syncText }, shared))
    }
    return yield* Effect.all(
      Record.map(pipelines, (pipeline, name) => {
        const client = ApiClient.make({
          name: integration,
          baseUrl: options.baseUrl,
          playbook,
          errorBody: PrivateTexts.errorBody(ErrorResponse.anyErrorBody),
          pipeline,
          redactedNames,
          secrets: [options.apiKey]
        })
        return unread.has(name) ? client : ApiClient.readAll(client)
      })
    )
  })

/** What a call sends beside the ids of its path. `texts` are what no error may repeat of it. */
interface Sent {
  readonly issues?: () => ApiError.Validation["issues"]
  readonly body?: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, ApiError.Validation>
  readonly texts?: () => ReadonlyArray<string>
}

/**
 * How every call is made: its input is checked, it is sent by the client of its rule, and what came
 * of it is shown to the detector.
 */
export interface Calls {
  readonly rules: Rules
  readonly call: <A>(
    name: keyof Rules,
    read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, Failure>,
    ids?: Endpoint.Ids,
    sent?: Sent
  ) => Effect.Effect<A, Failure>
  readonly post: <A, B extends object>(
    name: keyof Rules,
    read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, Failure>,
    input: {
      readonly issuesOf: (value: unknown) => ApiError.Validation["issues"]
      readonly value: B
    },
    bodyOf: (value: B) => object
  ) => Effect.Effect<A, Failure>
}

const unchanged = Effect.succeed<HttpClientRequest.HttpClientRequest>

export const make = (
  options: Options<unknown>,
  { detector, here, telemetry }: {
    readonly here: Endpoint.Ids
    readonly detector: Incident.Detector | undefined
    readonly telemetry: Telemetry.Telemetry | undefined
  }
): Effect.Effect<Calls, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const rules = rulesOf(options)
    const clients = yield* clientsOf(options, rules, telemetry)
    const withKey = HttpClientRequest.bearerToken(options.apiKey)
    const watched = Incident.watch(detector, integration)

    const call: Calls["call"] = (name, read, ids = {}, sent = {}) => {
      const { method, path } = rules[name]
      const { body = unchanged, issues = () => [], texts = () => [] } = sent
      const send = (request: HttpClientRequest.HttpClientRequest) =>
        Effect.zipRight(
          Endpoint.checkCredential(options.apiKey, method),
          clients[name].execute(withKey(request))
        ).pipe(
          Effect.flatMap(read),
          PrivateTexts.during(texts),
          ApiClient.withEndpoint(path),
          watched
        )
      return Input.check({ method, endpoint: path }, issues).pipe(
        Effect.zipRight(Endpoint.request(method, path, { ...here, ...ids })),
        Effect.flatMap(body),
        Effect.flatMap(send)
      )
    }
    return {
      rules,
      call,
      post: (name, read, { issuesOf, value }, bodyOf) =>
        call(name, read, {}, {
          issues: () => issuesOf(value),
          body: (request) => Input.withJson(request, rules[name].path, bodyOf(value)),
          texts: () => Redaction.secretsIn(bodyOf(value), redactedNames)
        })
    }
  })
