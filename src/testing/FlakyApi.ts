/**
 * Serves an API on a real HTTP server and breaks its answers on purpose.
 *
 * A stubbed client cannot show what happens when the connection is reset after the server did the
 * work, when the body stops half way, or when the server does not listen for a moment. Here an
 * ordinary `HttpApp` is served on a loopback port, and a script disturbs its answers on the wire.
 * The server honours idempotency keys, and counts the requests it received and the calls it
 * executed. A test can then check that the work was done once, however often the client asked.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServerError from "@effect/platform/HttpServerError"
import { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Fiber from "effect/Fiber"
import { constTrue, constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as HttpDate from "../core/httpDate.js"
import * as IdempotencyKey from "../idempotency/IdempotencyKey.js"
import * as Validate from "../runtime/validate.js"
import type { Arrival, Fault, Script } from "./faults.js"
import { identity, none } from "./faults.js"
import { host, listen } from "./flakyApi/listener.js"
import { play, resetConnection } from "./flakyApi/wire.js"
import { collected, replay } from "./recorded.js"

export type { Arrival, Fault, RetryAfter, Script, StatusOptions } from "./faults.js"
export {
  badGateway,
  gatewayTimeout,
  htmlPage,
  malformed,
  none,
  rateLimited,
  refused,
  reset,
  seeded,
  sequence,
  serverError,
  slowBody,
  slowHeaders,
  status,
  truncated,
  unavailable
} from "./faults.js"

/**
 * A request that arrived, and the fault that the script had for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Received extends Arrival {
  /** The fault that the script had for the request. */
  readonly fault: Fault
}

/**
 * One run of the handler that came to its end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Executed extends Pick<Arrival, "method" | "path" | "key"> {
  /** What the handler answered, which is not always what the client was told. */
  readonly status: number
}

/**
 * A server that runs until the scope it was made in closes.
 *
 * @since 0.1.0
 * @category models
 */
export interface FlakyApi {
  /** `http://127.0.0.1:port`, without a slash at the end. */
  readonly url: string
  /** The port that the server listens on. */
  readonly port: number
  /**
   * Every request that arrived so far, in order. Requests that were refused while it did not listen
   * did not arrive.
   */
  readonly received: Effect.Effect<ReadonlyArray<Received>>
  /** Every run of the handler so far, in order of completion. A replayed answer is not a run. */
  readonly executed: Effect.Effect<ReadonlyArray<Executed>>
  /**
   * Stops listening: new connections are refused, idle ones are closed, requests in progress are
   * still answered.
   */
  readonly stop: Effect.Effect<void>
  /** Listens again, on the same port. */
  readonly start: Effect.Effect<void>
  /**
   * Stops listening and returns; when the time is over the server listens again by itself. Of two
   * outages at once the longer counts. The wait runs in the scope of the server.
   */
  readonly down: (duration: Duration.DurationInput) => Effect.Effect<void>
}

/**
 * The options of the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R> {
  /**
   * The API being played: it executes the calls. A failure becomes the response the platform has
   * for it, or 500.
   */
  readonly app: HttpApp.Default<E, R>
  /**
   * Which request meets which fault. A plain function; see `sequence` and `seeded`.
   *
   * @default no faults
   */
  readonly script?: Script | undefined
  /**
   * The header of the idempotency key.
   *
   * @default "Idempotency-Key"
   */
  readonly idempotencyHeader?: string | undefined
  /**
   * 0 takes any free port.
   *
   * @default 0
   */
  readonly port?: number | undefined
}

const defaults = { script: (): Fault => none, idempotencyHeader: "Idempotency-Key", port: 0 }

const problem = (status: number, type: string, title: string, headers?: Headers.Input) =>
  HttpServerResponse.text(
    JSON.stringify({ type: `urn:effect-resilience:idempotency:${type}`, title, status }),
    { status, headers, contentType: "application/problem+json" }
  )

const keyInvalid = problem(400, "key-invalid", "The idempotency key is not valid")

const inFlight = problem(409, "in-flight", "The first request with this key is still running", {
  "retry-after": "1"
})

/**
 * Starts a server that lives as long as its scope.
 *
 * **When to use**
 *
 * In tests of code that calls an API over HTTP, with the client that the code uses in production.
 *
 * **Details**
 *
 * The server listens on 127.0.0.1 and nowhere else. Closing the scope closes the listener and every
 * connection at once and interrupts handlers that are still running. Time is the `Clock` of the
 * caller, so under a `TestClock` the delays of faults pass when the test says so. Nothing is sent
 * to a tracer.
 *
 * A request with an idempotency key (bare or quoted, both are the same key) belongs to the call of
 * that method, path and key. When the call has been answered with 2xx, the answer is repeated: same
 * status, same body, no cookies, and `Idempotent-Replayed: true`. While it is running: 409 of type
 * `urn:effect-resilience:idempotency:in-flight` with `Retry-After: 1`. Any other answer is not
 * recorded, and the next request is executed again. A key that is not valid:
 * 400. A client that goes away does not stop the handler, as it would not stop a real server.
 *
 * Records and outcomes are kept until the scope closes. O(1) per request.
 *
 * **Gotchas**
 *
 * A port that is taken is a defect, and so is a script that throws. The headers in `received` are
 * shown as they were sent: do not print those of requests with real credentials.
 *
 * **Example** (The server did the work, and the client cannot know)
 *
 * ```ts
 * import { HttpServerResponse } from "@effect/platform"
 * import { Effect } from "effect"
 * import * as FlakyApi from "effect-resilience/testing/FlakyApi"
 *
 * const program = Effect.gen(function*() {
 *   const api = yield* FlakyApi.make({
 *     app: HttpServerResponse.json({ id: 1 }, { status: 201 }),
 *     script: FlakyApi.sequence([FlakyApi.gatewayTimeout({ when: "after" })])
 *   })
 *   const post = Effect.promise(() =>
 *     fetch(api.url, { method: "POST", headers: { "idempotency-key": "row-1" } })
 *   )
 *   const first = yield* post
 *   const second = yield* post
 *   return {
 *     answers: [first.status, second.status],
 *     replayed: second.headers.get("idempotent-replayed"),
 *     executed: (yield* api.executed).length
 *   }
 * })
 *
 * const seen = await Effect.runPromise(Effect.scoped(program))
 * seen // => { answers: [504, 201], replayed: "true", executed: 1 }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E, R>(
  options: Options<E, R>
): Effect.Effect<FlakyApi, never, Scope.Scope | Exclude<R, HttpServerRequest | Scope.Scope>> => {
  const script = options.script ?? defaults.script
  const header = (options.idempotencyHeader ?? defaults.idempotencyHeader).toLowerCase()
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(header)) {
    throw new RangeError(
      `FlakyApi: idempotencyHeader should be a header name, got ${JSON.stringify(header)}`
    )
  }
  const wanted = Validate.integer("FlakyApi: port", options.port ?? defaults.port, 0)
  if (wanted > 65_535) throw new RangeError(`FlakyApi: port should be at most 65535, got ${wanted}`)

  return Effect.gen(function*() {
    const received: Array<Received> = []
    const executed: Array<Executed> = []
    const attempts = new Map<string, number>()
    const outcomes = new Map<string, "running" | HttpServerResponse.HttpServerResponse>()
    // Older than the listener, so that it closes after it: a server that goes down does not
    // apologise first.
    const handlers = yield* Effect.flatMap(
      Effect.scope,
      (scope) => Scope.fork(scope, ExecutionStrategy.parallel)
    )
    const context = yield* Effect.context<Exclude<R, HttpServerRequest | Scope.Scope>>()
    const { down, isListening, platform, port, start, stop } = yield* listen(wanted)

    const arrive = (request: HttpServerRequest, key: Received["key"]): Received => {
      const call = {
        index: received.length,
        method: request.method,
        path: request.url.split("?", 1).join(),
        key,
        headers: Headers.remove(Headers.fromInput(request.headers), header)
      }
      const attempt = (attempts.get(identity(call)) ?? 0) + 1
      attempts.set(identity(call), attempt)
      const entry = { ...call, attempt, fault: script({ ...call, attempt }) }
      received.push(entry)
      return entry
    }

    // The handler runs in a fiber of its own: the client that asked for it may be gone before it
    // ends.
    const execute = (
      call: Received,
      settle: (response: HttpServerResponse.HttpServerResponse) => void
    ) =>
      options.app.pipe(
        Effect.flatMap(collected),
        Effect.scoped,
        Effect.mapInputContext((request: Context.Context<HttpServerRequest>) =>
          Context.merge(context, request) as Context.Context<
            Exclude<R | HttpServerRequest, Scope.Scope>
          >
        ),
        Effect.tapErrorCause((cause) => Effect.logDebug("FlakyApi: the handler failed", cause)),
        Effect.catchAllCause((cause) =>
          Effect.map(HttpServerError.causeResponse(cause), ([response]) => response)
        ),
        Effect.tap((response) => {
          executed.push({
            method: call.method,
            path: call.path,
            key: call.key,
            status: response.status
          })
          settle(response)
        }),
        Effect.interruptible,
        Effect.forkIn(handlers),
        Effect.flatMap((fiber) => Effect.interruptible(Fiber.join(fiber)))
      )

    // What a good API does with a call that carries a key.
    const once = (call: Received) => {
      const name = identity(call)
      const outcome = outcomes.get(name)
      if (outcome !== undefined) {
        return Effect.succeed(outcome === "running" ? inFlight : replay(outcome))
      }
      outcomes.set(name, "running")
      return execute(call, (response) => {
        if (response.status >= 200 && response.status < 300) outcomes.set(name, response)
        else outcomes.delete(name)
      })
    }

    const app = Effect.gen(function*() {
      const request = yield* HttpServerRequest
      // A connection that outlived the listener.
      if (!isListening()) return yield* resetConnection
      const value = request.headers[header]
      const key = value === undefined
        ? undefined
        : yield* Effect.option(IdempotencyKey.fromHeader(value))
      const call = arrive(
        request,
        Option.map(Option.flatten(Option.fromNullable(key)), (key) => key.value)
      )
      const answer = Effect.suspend(() => {
        if (key === undefined) return execute(call, constVoid)
        return Option.isNone(key) ? Effect.succeed(keyInvalid) : once(call)
      }).pipe(Effect.uninterruptible)
      const response = yield* play(call.fault, answer, down)
      const now = yield* Clock.currentTimeMillis
      return HttpServerResponse.setHeaders(response, {
        date: HttpDate.format(now),
        ...(isListening() ? {} : { connection: "close" })
      })
    })

    yield* platform.serve(Effect.interruptible(app)).pipe(
      Effect.locally(HttpMiddleware.currentTracerDisabledWhen, constTrue)
    )
    return {
      url: `http://${host}:${port}`,
      port,
      received: Effect.sync(() => received.slice()),
      executed: Effect.sync(() => executed.slice()),
      stop,
      start,
      down
    }
  })
}
