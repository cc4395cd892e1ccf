/** Prepares one logical call, once: its address, its key and its operation. */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Playbook from "../errors/Playbook.js"
import * as Redaction from "../errors/Redaction.js"
import { singleLine } from "../errors/redaction/controls.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import { kidUnder } from "../idempotency/keyHash.js"
import { isKeyText, unquoted } from "../idempotency/keyText.js"
import type * as Operation from "../idempotency/Operation.js"
import type * as Pipeline from "../pipeline/Pipeline.js"
import * as CallContext from "../runtime/callContext.js"
import { clockOf } from "../runtime/clock.js"
import * as Answers from "./answers.js"
import type * as ErrorResponse from "./ErrorResponse.js"
import type { PlainPaths } from "./plainPaths.js"
import type { Refresh } from "./refresh.js"
import * as RequestBody from "./requestBody.js"
import * as RequestMetadata from "./requestMetadata.js"

/** Options that have been checked. */
export interface Config {
  readonly name: string
  readonly baseUrl: string
  readonly playbookOf: (sent: HttpClientRequest.HttpClientRequest) => Playbook.Playbook
  readonly errorBody: ErrorResponse.Decoder | undefined
  readonly pipeline: Pipeline.Pipeline<unknown, unknown> | undefined
  /** The pipeline for a kind of operation, where there is one. */
  readonly pipelineFor: (
    operation: Operation.Operation<unknown>
  ) => Pipeline.Pipeline<unknown, unknown> | undefined
  readonly circuitKey: "origin" | "endpoint"
  readonly refresh: Refresh | undefined
  readonly idempotencyHeader: string
  readonly idempotencyKeyFormat: "bare" | "quoted"
  readonly keyTimeToLiveMillis: number
  readonly secretNames: Redaction.Names
  readonly secrets: ReadonlyArray<string>
  /** Tells which paths can hold no secret. */
  readonly plain: PlainPaths
  /** The scheme, host and port of `baseUrl`. */
  readonly origin: string
  readonly maxErrorBodyBytes: number
}

/**
 * One logical call: the request as it will be sent on every attempt, and what has happened so far.
 */
export interface Call {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly body: RequestBody.RequestBody
  readonly operation: Operation.Operation<unknown>
  readonly endpoint: string
  /**
   * Whether the caller declared it. Of a path that was not declared, not everything may stand on a
   * metric.
   */
  readonly isDeclared: boolean
  /** Whether the caller left the origin to the client. */
  readonly isRelative: boolean
  /** The lifetime counts only for a key whose making we know. */
  readonly keyExpiresAt: number
  /** The fingerprint of the key, made when it is asked for: a hash costs what a stage does. */
  readonly kid: () => string | undefined
  sent: number
  /** Whether the last request was broken off by a limit of time. */
  cut: boolean
  /** The generation of the credential for which this call has had a new one. */
  refreshedFrom: number | undefined
  lastEndNanos: bigint | undefined
  readonly startedNanos: bigint
  /** What a caller who wants responses may get: those that were no success, still readable. */
  readonly answers: Answers.Answers
  /** What the caller's `read` failed with. */
  readonly readFailures: Array<unknown>
}

/**
 * What the caller said, else what the method implies. A call without a key cannot be made keyed.
 */
const operationOf = (
  said: Operation.Operation<unknown> | undefined,
  method: string,
  hasKey: boolean
) =>
  said === undefined || (said._tag === "Keyed" && !hasKey)
    ? RequestMetadata.operationOf(method, hasKey)
    : said

/** The fingerprint of the key that a request carries; none where that is no key. */
const kidOf = (
  secret: Redacted.Redacted<string>,
  text: string | undefined
): Call["kid"] => {
  let made: string | undefined
  return () => text === undefined || !isKeyText(text) ? undefined : made ??= kidUnder(secret, text)
}

/** To be called by the fiber that makes the call. */
export const prepare = (
  config: Config,
  original: HttpClientRequest.HttpClientRequest,
  fiber: Fiber.RuntimeFiber<unknown, unknown>
): Call => {
  const context = fiber.currentContext
  const { isRelative, request: resolved } = RequestMetadata.resolve(original, config.baseUrl)
  const safe = RequestMetadata.isSafe(resolved.method)
  const onRequest = safe
    ? undefined
    : RequestMetadata.headerOf(resolved, config.idempotencyHeader)
  // A key is a word between us and this API: a request to another origin does not carry it.
  const inContext = safe || onRequest !== undefined ||
      !(isRelative || RequestMetadata.isSameOrigin(resolved.url, config.baseUrl))
    ? undefined
    : Option.getOrUndefined(Context.getOption(context, IdempotencyKey.IdempotencyKey))
  const request = inContext === undefined
    ? safe ? RequestMetadata.withoutHeader(resolved, config.idempotencyHeader) : resolved
    : HttpClientRequest.setHeader(
      resolved,
      config.idempotencyHeader,
      IdempotencyKey.toHeader(inContext, config.idempotencyKeyFormat)
    )
  const declared = CallContext.endpoint.of(fiber)
  const key = inContext === undefined
    ? onRequest === undefined ? undefined : unquoted(onRequest)
    : Redacted.value(inContext.value)
  const said = CallContext.operation.of(fiber) as Operation.Operation<unknown> | undefined
  return {
    request,
    body: RequestBody.of(request),
    operation: operationOf(said, request.method, key !== undefined),
    endpoint: declared ?? pathOf(config, request, key),
    isDeclared: declared !== undefined,
    keyExpiresAt: inContext === undefined
      ? Infinity
      : inContext.madeAt + config.keyTimeToLiveMillis,
    kid: kidOf(Context.get(context, IdempotencyKey.Secret), key),
    isRelative,
    sent: 0,
    cut: false,
    refreshedFrom: undefined,
    lastEndNanos: undefined,
    startedNanos: clockOf(fiber).unsafeCurrentTimeNanos(),
    answers: new Answers.Answers(),
    readFailures: []
  }
}

/**
 * An address may hold what is also sent as a secret. The body is not searched for one on every
 * call.
 */
const pathOf = (
  config: Config,
  request: HttpClientRequest.HttpClientRequest,
  key: string | undefined
): string => {
  const path = RequestMetadata.pathOf(request)
  const template = RequestMetadata.templateOf(path)
  return config.plain.shows(request, path, key) ? template : Redaction.scrubber([
    ...config.secrets,
    ...RequestMetadata.headSecretsOf(request, config.secretNames)
  ])(template)
}

/** Removes the secrets of a call from text, and makes it a single line. */
export const scrubberOf = (
  config: Config,
  ...requests: ReadonlyArray<HttpClientRequest.HttpClientRequest>
) => {
  const scrub = Redaction.scrubber([
    ...config.secrets,
    ...requests.flatMap((request) => RequestMetadata.secretsOf(request, config.secretNames))
  ], config.secretNames)
  return (text: string): string => singleLine(scrub(text))
}
