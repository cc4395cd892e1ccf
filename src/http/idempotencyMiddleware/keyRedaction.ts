/**
 * Keeps the idempotency key out of spans and logs.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"

/** Overwrites the header on the current span, where the platform's tracer has recorded it. */
const redactSpan = (
  header: string
): Effect.Effect<void, never, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      request.headers[header] === undefined
        ? Effect.void
        : Effect.annotateCurrentSpan(`http.request.header.${header}`, "<redacted>")
  )

/** Redacts the header on the current span, and in all headers that the effect prints. */
export const redactingKey = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  header: string
): Effect.Effect<A, E, R | HttpServerRequest.HttpServerRequest> =>
  Effect.zipRight(
    redactSpan(header),
    Effect.locallyWith(self, Headers.currentRedactedNames, (names) => [...names, header])
  )
