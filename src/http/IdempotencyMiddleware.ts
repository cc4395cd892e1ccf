/**
 * The server's side of an idempotency key (draft-ietf-httpapi-idempotency-key-header-07): a request
 * that is repeated under its key gets the response of the first request, and the handler does not
 * run again.
 *
 * A client that loses its connection can only send its request again. Without the middleware the
 * second request is a second payment; with it, the second request gets the receipt. Execution is at
 * least once, with at most one recorded outcome. A handler that died leaves an unknown outcome; the
 * next request gets a 409 instead of a second execution.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as IdempotencyStore from "../idempotency/IdempotencyStore.js"
import { idempotentRun } from "../idempotency/run.js"
import * as Settlement from "../idempotency/settlement.js"
import * as Handler from "./idempotencyMiddleware/handler.js"
import { redactingKey } from "./idempotencyMiddleware/keyRedaction.js"
import { configOf, type Options } from "./idempotencyMiddleware/options.js"
import * as Problems from "./idempotencyMiddleware/problems.js"
import * as IncomingRequest from "./idempotencyMiddleware/request.js"
import * as SettledResponse from "./idempotencyMiddleware/response.js"

export { Recovery } from "./idempotencyMiddleware/handler.js"
export { defaults } from "./idempotencyMiddleware/options.js"
export type { Options } from "./idempotencyMiddleware/options.js"

/**
 * Makes the middleware. Apply it to a whole app or to the handler of one route,
 * `make(options)(app)`, or pass it to `HttpRouter.use`.
 *
 * **When to use**
 *
 * In front of every handler that must not run twice for one operation, with clients that send
 * `Idempotency-Key`. Routes with different options (such as `required`) need a middleware each.
 *
 * **Details**
 *
 * The middleware checks in this order: the key is missing (400, if `required`) or invalid (400);
 * the body is too long (413); the key came before with another request (422); an earlier request
 * has the key (409 with `Retry-After`). Then it replays the recorded response or runs the handler.
 * Each refusal is a problem document (RFC 9457) of type `urn:effect-resilience:idempotency:` with
 * `key-missing`, `key-invalid`, `mismatch`, `in-flight`, `store-unavailable` (503),
 * `unknown-outcome`, `result-unavailable` or `corrupt-record`. The last three are 409: the client
 * must find out what happened, and must not repeat the request or make a new key.
 *
 * Two requests are the same if they have the same method, path and query, media type and content.
 * So the same key on two routes of one scope is a mismatch on the second. The content is compared
 * by its media type:
 *
 * - JSON (`application/json` and `+json`) as a value, in canonical form, if parsing loses nothing
 *   and it has at most 100,000 values and 1000 levels; else byte by byte.
 * - `multipart/*` as the list of its parts, each with its headers, and the parameters of the media
 *   type but for `boundary`: clients draw a new boundary for each attempt. Preamble and epilogue do
 *   not count. A body that is not well-formed counts byte by byte, with its boundary.
 * - Any other content byte by byte.
 *
 * A body with `Content-Encoding` (`gzip`, `deflate`, `br`, `zstd` from Node 22.15 on, and lists of
 * up to three) counts by its content, so a client may compress a repeated request differently, or
 * not at all. Where the content cannot be read, the body counts by codings and bytes: with an
 * unknown coding, with broken data, with a content longer than `maxBodyBytes`, and in a runtime
 * without `node:zlib` or before Node 20.16. The same bytes are then the same request, and at most
 * `maxBodyBytes` are ever decoded. The handler gets the body as it was sent.
 *
 * The status decides what is recorded: 2xx, 3xx (a redirect after a POST is its outcome) and
 * `storeStatuses` are. A 503 and any other 4xx release the claim, so that the next request runs.
 * Any other 5xx and a defect hold it (`on5xx`): a repeated request is told so, with a `Retry-After`
 * of what is left of the lease. Failures and defects of the handler first become the responses that
 * the platform would send. An interruption, such as by a client that closes its connection, holds
 * the claim.
 *
 * A replay has the status, the body byte by byte, the listed headers, and
 * `Idempotent-Replayed: true`. It never has cookies. A response that is a stream or too long is not
 * kept: it carries `Idempotent-Recorded: false`, and a repeated request gets 409
 * `result-unavailable` without a second execution.
 *
 * The handler can read its body with any reader, any number of times. Its environment also holds
 * the parsed key (`Effect.serviceOption` of `IdempotencyKey.IdempotencyKey`), from which it can
 * `derive` the keys of its own calls, and `Recovery`, which reports an earlier run that died.
 *
 * Time and store calls as in `Idempotency.run`. O(body) for the fingerprint. Invalid options throw
 * `RangeError`.
 *
 * **Gotchas**
 *
 * - `HttpApp.toHandled` runs an app uninterruptibly, and `HttpRouter` makes each route
 *   interruptible again. So a client that closes its connection stops the handler of a route, and
 *   the claim stays held. Mark a route `uninterruptible` to let it end and be recorded.
 * - Compress outside of the middleware. `Content-Encoding` is replayed, but a repeated request may
 *   accept other encodings.
 * - The platform's tracer records request headers before any middleware runs. The middleware
 *   overwrites the key on the current span. If another tracer or logger prints headers, add the
 *   header to `Headers.currentRedactedNames` around the server.
 * - A request that carries the header twice is refused. In a fetch handler, which hides the lines
 *   of a request, a bare key with a comma is refused too.
 *
 * **Example** (A payment that a client sends twice)
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
    incoming: IncomingRequest.Keyed
  ): HttpApp.Default<E2, R | R2 | IdempotencyStore.IdempotencyStore> =>
    Effect.flatMap(scopeOf(incoming.request), (scope) => {
      const execution = idempotentRun(
        {
          key: incoming.key,
          scope: [...scope],
          payload: incoming.payload,
          settings: config.settings,
          reruns: config.recover === "run",
          settle: (exit: Exit.Exit<SettledResponse.Settled>) =>
            Effect.succeed(Exit.isSuccess(exit) ? exit.value.settlement : Settlement.hold),
          replay: (outcome) => SettledResponse.replay(config, outcome)
        },
        (run) =>
          Handler.responding(
            Handler.inside(app, incoming, run),
            (response, died) =>
              Effect.map(SettledResponse.settle(config, response, died), (settled) =>
                run.protected
                  ? settled
                  : { ...settled, response: SettledResponse.markUnrecorded(settled.response) })
          )
      )
      return Effect.matchEffect(execution, {
        onSuccess: ({ response }) => Effect.succeed(response),
        onFailure: (error) =>
          Effect.map(
            Clock.currentTimeMillis,
            (now) => Problems.of(error, config.retryAfter, now)
          )
      })
    })

  return <E, R>(app: HttpApp.Default<E, R>) => {
    const unkeyed = Handler.responding(app, Effect.succeed)
    const protectedApp = Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      (request) =>
        Effect.flatMap(
          IncomingRequest.read(config, request),
          (incoming): HttpApp.Default<E2, R | R2 | IdempotencyStore.IdempotencyStore> => {
            switch (incoming._tag) {
              case "Unkeyed":
                return unkeyed
              case "Refused":
                return Effect.succeed(incoming.response)
              case "Keyed":
                return keyed(app, incoming)
            }
          }
        )
    )
    return redactingKey(protectedApp, config.header)
  }
}
