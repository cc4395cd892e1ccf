/**
 * The server's side of an idempotency key (draft-ietf-httpapi-idempotency-key-header-07): a request
 * that is repeated under its key is answered with the response of the first, and the handler does
 * not run again.
 *
 * A client that was cut off can only send again. Without this the second request is a second
 * payment; with it, it is the receipt. What the middleware promises is at-least-once execution and
 * at most one recorded outcome. A handler that died on the way leaves an unknown outcome, and the
 * next request is told so instead of being executed on suspicion.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Validate from "../runtime/validate.js"
import { CorruptRecord } from "../errors/idempotencyErrors.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Settings from "../idempotency/settings.js"
import type * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import { idempotentRun } from "../idempotency/run.js"
import * as Settlement from "../idempotency/settlement.js"
import * as StoredOutcome from "../idempotency/storedOutcome.js"
import { Lease, type Run } from "../idempotency/lease.js"
import * as BodyBuffer from "./bodyBuffer.js"
import * as Problems from "./idempotencyProblems.js"
import * as KeyHeader from "./keyHeader.js"
import * as Recorded from "./recordedResponse.js"
import * as RequestFingerprint from "./requestFingerprint.js"

/**
 * How requests are recognised, and what becomes of their responses.
 *
 * **Details**
 *
 * - `scope`: whose key it is and for what: the tenant, the operation. From the request (its body
 *   can be read), as a list or an effect that may fail. Two tenants may use the same key; so it has
 *   to hold who asks.
 * - `required`: whether a request without a key is refused. Default: it is let through,
 *   unprotected.
 * - `methods`: default POST and PATCH. Every other request passes untouched.
 * - `storeStatuses`: statuses beside 2xx and 3xx whose responses are recorded and replayed.
 *   Default: none.
 * - `on5xx`: what becomes of the claim after a 5xx that is no 503, and after a defect: `hold`
 *   (default; it may have been executed, so nobody runs until the lease is over, and the next is
 *   told that the outcome is unknown) or `release` (the next request runs).
 * - `maxBodyBytes`: the longest body that is accepted. Default 1 MiB; it is held in memory.
 * - `fingerprint`: what stands for the body where it is too long to be read here, such as its
 *   `content-digest`. The body then goes to the handler as it comes, however long it is. Without it
 *   the body itself is fingerprinted.
 * - `recover`: what happens when an earlier run was begun and never ended: `refuse` (default; 409,
 *   the outcome is unknown) or `run` (the handler runs again, and has to look at `Recovery`).
 * - `header`: default `Idempotency-Key`. `replayedHeader`: what marks a replay, default
 *   `Idempotent-Replayed`.
 * - `replayedHeaders`: names of the response headers that a replay repeats. Default
 *   `defaults.replayedHeaders`. Cookies are never repeated.
 * - `retryAfter`: what a duplicate of a running request is told to wait at most. Default 1 s, and
 *   never less.
 * - `lease` (default 60 s), `timeToLive` (24 h), `onDuplicate`, `onStoreFailure`, `storeTimeout` (2
 *   s), `heartbeat`, `maxOutcomeBytes` (256 KiB, of the record): as for `Idempotency.run`. The
 *   lease should outlast the slowest handler; a heartbeat extends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E2 = never, R2 = never> extends Settings.Options {
  readonly scope: (
    request: HttpServerRequest.HttpServerRequest
  ) => ReadonlyArray<string> | Effect.Effect<ReadonlyArray<string>, E2, R2>
  readonly required?: boolean | undefined
  readonly methods?: ReadonlyArray<string> | undefined
  readonly storeStatuses?: ReadonlyArray<number> | undefined
  readonly on5xx?: "hold" | "release" | undefined
  readonly maxBodyBytes?: number | undefined
  readonly fingerprint?: ((request: HttpServerRequest.HttpServerRequest) => string) | undefined
  readonly recover?: "refuse" | "run" | undefined
  readonly header?: string | undefined
  readonly replayedHeader?: string | undefined
  readonly replayedHeaders?: ReadonlyArray<string> | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category defaults
 */
export const defaults = {
  ...Settings.defaults,
  required: false,
  methods: ["POST", "PATCH"],
  storeStatuses: [],
  on5xx: "hold",
  maxBodyBytes: 1_048_576,
  recover: "refuse",
  header: "Idempotency-Key",
  replayedHeader: "Idempotent-Replayed",
  replayedHeaders: Recorded.keptHeaders,
  retryAfter: Duration.seconds(1)
} as const

/**
 * What a handler can know of the run it is in. With `recover: "run"` it has to look: `recovered`
 * says that an earlier run was begun and never ended, and `recoveryPoint` what that run left behind
 * with `savepoint`. Outside of the middleware, the run of somebody who runs for the first time.
 *
 * @since 0.1.0
 * @category references
 */
export class Recovery
  extends Context.Reference<Recovery>()("effect-resilience/IdempotencyMiddleware/Recovery", {
    defaultValue: (): Run => Lease.unprotected
  })
{}

const headerName = (field: string, name: string): string =>
  Validate.text(field, name, "a header name", (name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name))
    .toLowerCase()

const configOf = (options: Options<unknown, unknown>) => ({
  settings: Settings.settingsOf(options),
  required: options.required ?? defaults.required,
  methods: new Set((options.methods ?? defaults.methods).map((method) => method.toUpperCase())),
  storeStatuses: new Set<number>(
    (options.storeStatuses ?? defaults.storeStatuses).map((status) =>
      Validate.integer("storeStatuses", status, 100)
    )
  ),
  on5xx: Settings.oneOf("on5xx", options.on5xx ?? defaults.on5xx, ["hold", "release"]),
  maxBodyBytes: Validate.integer("maxBodyBytes", options.maxBodyBytes ?? defaults.maxBodyBytes, 0),
  fingerprint: options.fingerprint,
  recover: Settings.oneOf("recover", options.recover ?? defaults.recover, ["refuse", "run"]),
  shownHeader: options.header ?? defaults.header,
  header: headerName("header", options.header ?? defaults.header),
  replayedHeader: headerName("replayedHeader", options.replayedHeader ?? defaults.replayedHeader),
  replayedHeaders: (options.replayedHeaders ?? defaults.replayedHeaders).map((name) =>
    name.toLowerCase()
  ),
  retryAfter: Validate.duration("retryAfter", options.retryAfter ?? defaults.retryAfter)
})

type Config = ReturnType<typeof configOf>

/** A response, and what becomes of the record. */
interface Answer {
  readonly response: HttpServerResponse.HttpServerResponse
  readonly settlement: Settlement.Settlement
}

/** Where a response is not recorded it says so, under this name. */
const recordedHeader = "idempotent-recorded"

const settlements = { hold: Settlement.hold, release: Settlement.release } as const

/**
 * What becomes of the claim after a response that is not to be replayed; nothing for one that is.
 */
const unstored = (
  config: Config,
  status: number,
  died: boolean
): Settlement.Settlement | undefined => {
  if (died) return settlements[config.on5xx]
  if (config.storeStatuses.has(status) || (status >= 200 && status < 400)) return undefined
  if (status === 503) return Settlement.release
  if (status >= 500) return settlements[config.on5xx]
  return status >= 400 ? Settlement.release : Settlement.hold
}

const marked = HttpServerResponse.setHeader(recordedHeader, "false")

const unrecorded = (
  response: HttpServerResponse.HttpServerResponse,
  why: string
): Effect.Effect<Answer> =>
  Effect.as(Effect.logDebug(`The response cannot be replayed: ${why}`), {
    response: marked(response),
    settlement: Settlement.done
  })

const record = (
  config: Config,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<Answer> =>
  Effect.flatMap(Recorded.collected(response), ([response, body]) => {
    if (Option.isNone(body)) return unrecorded(response, "it is a stream")
    const outcome = Recorded.write(response, body.value, config.replayedHeaders)
    return StoredOutcome.isWithin(StoredOutcome.kept(outcome), config.settings.maxOutcomeBytes)
      ? Effect.succeed({ response, settlement: Settlement.store(outcome) })
      : unrecorded(response, "it is longer than maxOutcomeBytes")
  })

const answerOf = (
  config: Config,
  response: HttpServerResponse.HttpServerResponse,
  died: boolean
): Effect.Effect<Answer> => {
  const settlement = unstored(config, response.status, died)
  return settlement === undefined
    ? record(config, response)
    : Effect.succeed({ response, settlement })
}

const hasDied = <E>(cause: Cause.Cause<E>): boolean =>
  Chunk.some(Cause.defects(cause), (defect) => !HttpServerResponse.isServerResponse(defect))

/** As the platform answers it. Nobody sees the cause after this, so it is logged here. */
const responseOf = <E>(
  cause: Cause.Cause<E>
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.flatMap(HttpServerError.causeResponse(cause), ([response, left]) => {
    if (Cause.isEmpty(left)) return Effect.succeed(response)
    const log = response.status >= 500 ? Effect.logError : Effect.logDebug
    return Effect.as(log(`The handler failed, answered with ${response.status}`, cause), response)
  })

/** Failures and defects become responses. An interruption stays one: it is nobody's answer. */
const responding = <E, R, A>(
  app: HttpApp.Default<E, R>,
  then: (response: HttpServerResponse.HttpServerResponse, died: boolean) => Effect.Effect<A>
): HttpApp.HttpApp<A, never, R> =>
  Effect.matchCauseEffect(app, {
    onSuccess: (response) => then(response, false),
    onFailure: (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.failCause(Cause.flatMap(cause, Cause.die))
        : Effect.flatMap(responseOf(cause), (response) => then(response, hasDied(cause)))
  })

/**
 * A request with everything that was fixed before the store is asked; or the answer, where it is
 * refused.
 */
type Subject =
  | {
    readonly _tag: "Asked"
    readonly request: HttpServerRequest.HttpServerRequest
    readonly fingerprint: string
  }
  | { readonly _tag: "Refused"; readonly response: HttpServerResponse.HttpServerResponse }

const refused = (response: HttpServerResponse.HttpServerResponse): Subject => ({
  _tag: "Refused",
  response
})

const subjectOf = (
  config: Config,
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<Subject> =>
  Effect.suspend(() => {
    if (config.fingerprint !== undefined) {
      const fingerprint = RequestFingerprint.ofWord(request, config.fingerprint(request))
      return Effect.succeed<Subject>({ _tag: "Asked", request, fingerprint })
    }
    // Nothing has been claimed: a client that goes away now may take everything with it.
    return Effect.map(
      Effect.interruptible(BodyBuffer.read(request, config.maxBodyBytes)),
      (body): Subject => {
        if (body._tag === "TooLarge") return refused(Problems.tooLarge(config.maxBodyBytes))
        if (body._tag === "Broken") return refused(Problems.unreadable)
        const fingerprint = RequestFingerprint.ofBody(request, body.bytes)
        return { _tag: "Asked", request: BodyBuffer.withBody(request, body.bytes), fingerprint }
      }
    )
  })

/**
 * The handler in the environment of its request: the body readable, the key and the run at hand,
 * the key kept out of what is printed.
 */
const inside = <E, R>(
  app: HttpApp.Default<E, R>,
  request: HttpServerRequest.HttpServerRequest,
  key: IdempotencyKey.IdempotencyKey,
  run: Run
): HttpApp.Default<E, R> => {
  const extras = Context.make(HttpServerRequest.HttpServerRequest, request).pipe(
    Context.add(IdempotencyKey.IdempotencyKey, key),
    Context.add(Recovery, run)
  )
  return Effect.mapInputContext(
    app,
    (context: Context.Context<R | HttpServerRequest.HttpServerRequest>) =>
      Context.merge(context, extras)
  )
}

/**
 * The middleware: `make(options)(app)`, around a whole app, around one route's handler, or with
 * `HttpRouter.use`.
 *
 * **When to use**
 *
 * In front of every handler that must not run twice for one operation, with clients that send
 * `Idempotency-Key`. Where a route demands the key and another does not, each has a middleware of
 * its own.
 *
 * **Details**
 *
 * Checked in this order: the key is missing (400, where it is required) or invalid (400); the body
 * is too long (413); the same key came with another request (422); the first request is still
 * running (409 with `Retry-After`); then the recorded response is replayed, or the handler runs.
 * Each refusal is a problem document (RFC 9457) of type `urn:effect-resilience:idempotency:` with
 * `key-missing`, `key-invalid`, `mismatch`, `in-flight`, `store-unavailable` (503),
 * `unknown-outcome`, `result-unavailable` or `corrupt-record` (all three 409: a client must find
 * out, and neither repeat nor make a new key).
 *
 * The same request means: same method, path and query, media type and body. JSON bodies are
 * compared as values, in canonical form, where parsing loses nothing; others byte by byte. So the
 * same key on two routes of one scope is a mismatch on the second.
 *
 * Responses are recorded by status: 2xx and 3xx (a redirect after a POST is its outcome) and
 * `storeStatuses` are; a 503 and every other 4xx release the claim, so that the next request runs;
 * another 5xx and a defect hold it (`on5xx`). Failures and defects of the handler become responses
 * first, as the platform would answer them. An interruption, such as by a client that goes away,
 * holds the claim.
 *
 * A replay has the status, the body byte by byte, the listed headers, and
 * `Idempotent-Replayed: true`. It never has cookies. A response that is a stream or too long is not
 * kept: it says `Idempotent-Recorded: false`, and a repeated request gets 409 `result-unavailable`
 * and is not executed.
 *
 * The handler can read its body however it likes, any number of times. Its environment also holds
 * the parsed key: `Effect.serviceOption` of `IdempotencyKey.IdempotencyKey`, from which it
 * `derive`s the keys of its own calls. `Recovery` tells of an earlier run that died.
 *
 * Time and store calls as in `Idempotency.run`. O(body) for the fingerprint. Throws a `RangeError`
 * for nonsense options.
 *
 * **Gotchas**
 *
 * - `HttpApp.toHandled` runs an app uninterruptibly, and `HttpRouter` makes each route
 *   interruptible again. So a client that goes away stops a route's handler and leaves its claim
 *   held. Mark routes `uninterruptible` that should rather end and be recorded.
 * - Compress outside of the middleware. `Content-Encoding` is replayed, but a client that repeats
 *   may accept other encodings.
 * - The platform's tracer records request headers before any middleware runs. The key is
 *   overwritten on the span that is current here; add the header to `Headers.currentRedactedNames`
 *   around the server if another tracer or logger prints headers.
 * - A field that was sent twice is refused. Where the lines of a request cannot be counted (a fetch
 *   handler), a bare key with a comma is refused, too.
 *
 * **Example** (A payment that is sent twice)
 *
 * ```ts
 * import { HttpApp, HttpServerResponse } from "@effect/platform"
 * import { IdempotencyMiddleware, IdempotencyStore } from "effect-resilience"
 * import { Effect, ManagedRuntime } from "effect"
 *
 * let charged = 0
 * const charge = Effect.suspend(() =>
 *   HttpServerResponse.json({ receipt: ++charged }, { status: 201 })
 * )
 *
 * const app = charge.pipe(
 *   IdempotencyMiddleware.make({ scope: () => ["acme", "charge"], required: true })
 * )
 *
 * const runtime = ManagedRuntime.make(IdempotencyStore.layerStoreMemory)
 * const handler = HttpApp.toWebHandlerRuntime(await runtime.runtime())(app)
 * const post = () =>
 *   handler(
 *     new Request("http://shop.example/charge", {
 *       method: "POST",
 *       body: "9 EUR",
 *       headers: { "idempotency-key": "order-1" }
 *     })
 *   )
 *
 * const first = await (await post()).text()
 * const second = await post()
 * const receipts = [first, await second.text()]
 * receipts // => ['{"receipt":1}', '{"receipt":1}']
 * second.headers.get("idempotent-replayed") // => "true"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E2 = never, R2 = never>(
  options: Options<E2, R2>
): <E, R>(
  app: HttpApp.Default<E, R>
) => HttpApp.Default<E2, R | R2 | IdempotencyStore.IdempotencyStore> => {
  const config = configOf(options)

  const scopeOf = (
    request: HttpServerRequest.HttpServerRequest
  ): Effect.Effect<ReadonlyArray<string>, E2, R2> =>
    Effect.suspend(() => {
      const scope = options.scope(request)
      return Effect.isEffect(scope) ? scope : Effect.succeed(scope)
    })

  const keyed = <E, R>(
    app: HttpApp.Default<E, R>,
    request: HttpServerRequest.HttpServerRequest,
    key: IdempotencyKey.IdempotencyKey
  ): HttpApp.Default<E2, R | R2 | IdempotencyStore.IdempotencyStore> =>
    Effect.flatMap(subjectOf(config, request), (subject) => {
      if (subject._tag === "Refused") return Effect.succeed(subject.response)
      const { fingerprint, request } = subject
      return Effect.flatMap(scopeOf(request), (scope) => {
        const execution = idempotentRun(
          {
            key,
            scope: [...scope],
            fingerprint,
            settings: config.settings,
            reruns: config.recover === "run",
            settle: (exit: Exit.Exit<Answer>) =>
              Effect.succeed(Exit.isSuccess(exit) ? exit.value.settlement : Settlement.hold),
            replay: (outcome) =>
              Option.match(Recorded.read(outcome, config.replayedHeader), {
                onNone: () => Effect.fail(new CorruptRecord()),
                onSome: (response) =>
                  Effect.succeed<Answer>({ response, settlement: Settlement.done })
              })
          },
          (run) =>
            responding(
              inside(app, request, key, run),
              (response, died) =>
                Effect.map(answerOf(config, response, died), (answer) =>
                  run.protected ? answer : { ...answer, response: marked(answer.response) })
            )
        )
        return Effect.match(execution, {
          onSuccess: ({ response }) => response,
          onFailure: (error) => Problems.of(error, config.retryAfter)
        })
      })
    })

  return <E, R>(app: HttpApp.Default<E, R>) => {
    const unkeyed = responding(app, Effect.succeed)
    const protectedApp = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      if (!config.methods.has(request.method)) return unkeyed
      return Effect.flatMap(
        KeyHeader.read(request, config.header),
        (found): HttpApp.Default<E2, R | R2 | IdempotencyStore.IdempotencyStore> => {
          switch (found._tag) {
            case "Invalid":
              return Effect.succeed(Problems.keyInvalid(found.reason))
            case "Missing":
              return config.required
                ? Effect.succeed(Problems.keyMissing(config.shownHeader))
                : unkeyed
            case "Key":
              return keyed(app, request, found.key)
          }
        }
      )
    })
    return Effect.zipRight(
      hideKey(config.header),
      Effect.locallyWith(
        protectedApp,
        Headers.currentRedactedNames,
        (names) => [...names, config.header]
      )
    )
  }
}

/** The platform's tracer has put the request headers on its span by now. */
const hideKey = (header: string): Effect.Effect<void, never, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      request.headers[header] === undefined
        ? Effect.void
        : Effect.annotateCurrentSpan(`http.request.header.${header}`, "<redacted>")
  )
