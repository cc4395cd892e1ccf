/**
 * Calls of which nothing is needed but that they were executed.
 */
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Front from "../http/bodyPreview.js"

/**
 * It is done when the head of the answer says so, whatever the body is. That is read for the sake
 * of the connection, and not for long.
 */
export const drain = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Front.readFront(response, 0), "1 second"))
