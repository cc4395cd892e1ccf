/**
 * Runs the handler: in the environment of its request, and with every failure as a response.
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import { Lease, type Run } from "../../idempotency/lease.js"
import type { Keyed } from "./request.js"

/**
 * The run that a handler is in. With `recover: "run"` the handler has to read it: `recovered` is
 * true when an earlier run started and did not end, and `recoveryPoint` is the last `savepoint` of
 * that run. Outside of the middleware: an unprotected first run.
 *
 * @since 0.1.0
 * @category references
 */
export class Recovery
  extends Context.Reference<Recovery>()("effect-resilience/IdempotencyMiddleware/Recovery", {
    defaultValue: (): Run => Lease.unprotected
  })
{}

/** Gives the handler its request with a readable body, the key and the run. */
export const inside = <E, R>(
  app: HttpApp.Default<E, R>,
  { key, request }: Keyed,
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

/** Tests whether there is a defect. A response thrown as a defect only ends the handler early. */
const hasDied = <E>(cause: Cause.Cause<E>): boolean =>
  Chunk.some(Cause.defects(cause), (defect) => !HttpServerResponse.isServerResponse(defect))

/** The platform's response to a cause. Logs the cause, because the response hides it. */
const responseOf = <E>(
  cause: Cause.Cause<E>
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.flatMap(HttpServerError.causeResponse(cause), ([response, left]) => {
    if (Cause.isEmpty(left)) return Effect.succeed(response)
    const log = response.status >= 500 ? Effect.logError : Effect.logDebug
    return Effect.as(log(`The handler failed, answered with ${response.status}`, cause), response)
  })

/**
 * Passes the response of the handler to `then`, and whether it stands for a defect. Failures and
 * defects become responses; an interruption stays an interruption.
 */
export const responding = <E, R, A>(
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
