/**
 * Reads the text of a platform's response without the platform's cache around it.
 *
 * That cache is an effect of its own for each body: a fiber, a deferred and a lock, as dear as the
 * whole pipeline. What is read here is a promise of the body, which is a cache already.
 */
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import { hasProperty } from "effect/Predicate"

type Response = HttpClientResponse.HttpClientResponse

/** The platform's responses keep their text in a field that their interface does not show. */
interface Held extends Response {
  readonly source: unknown
  textBody?: Effect.Effect<string, HttpClientError.ResponseError> | undefined
}

const isText = (u: unknown): u is () => Promise<string> => typeof u === "function"

/** How the source of a response reads its text: that of undici, and that of fetch. */
const readerOf = (source: unknown): (() => Promise<string>) | undefined => {
  const body = source instanceof globalThis.Response
    ? source
    : hasProperty(source, "statusCode") && hasProperty(source, "body")
    ? source.body
    : undefined
  return hasProperty(body, "text") && isText(body.text) ? body.text.bind(body) : undefined
}

/** The response of the platform within what breaks it off on interruption. */
const heldBy = (response: Response): Held | undefined => {
  if (!Object.hasOwn(response, "original") || !hasProperty(response, "original")) return undefined
  const { original } = response
  return hasProperty(original, "source") && hasProperty(original, "text") &&
      Object.hasOwn(original, "request")
    ? original as Held
    : undefined
}

const textOf = (
  response: Held,
  read: () => Promise<string>
): Effect.Effect<string, HttpClientError.ResponseError> => {
  let text: Promise<string> | undefined
  const broken = (cause: unknown) =>
    new HttpClientError.ResponseError({
      request: response.request,
      response,
      reason: "Decode",
      cause
    })
  return Effect.async((resume) => {
    try {
      text ??= read()
    } catch (cause) {
      return resume(broken(cause))
    }
    text.then(
      (whole) => resume(Effect.succeed(whole)),
      (cause) => resume(broken(cause))
    )
  })
}

/**
 * The same response, which reads its text in one step. One that is not known to be the platform's,
 * or whose text has been asked for already, stays as it is.
 */
export const withLightText = (response: Response): Response => {
  const held = heldBy(response)
  if (held === undefined || held.textBody !== undefined) return response
  const read = readerOf(held.source)
  if (read !== undefined) held.textBody = textOf(held, read)
  return response
}
