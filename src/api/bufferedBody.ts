/**
 * An answer has come when all of it has come.
 *
 * The platform's client hands out a response as soon as its head is there. A body that then comes
 * slowly, breaks off or is no JSON would be met outside of the retry and of every limit of time.
 * Reading it where the request is made puts it inside: a slow one is cut, and a broken one is an
 * attempt that failed.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"

/** The text is kept on the response, so that reading it again costs nothing. */
const whole = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.ResponseError> =>
  response.status < 200 || response.status > 299
    ? Effect.succeed(response)
    : Effect.flatMap(response.text, (text) => {
      try {
        if (text.trim() !== "") JSON.parse(text)
        return Effect.succeed(response)
      } catch {
        return Effect.fail(
          new HttpClientError.ResponseError({
            request: response.request,
            response,
            reason: "Decode"
          })
        )
      }
    })

/** The client of the environment, whose successes are complete and JSON. */
export const wholeBody = Effect.provideServiceEffect(
  HttpClient.HttpClient,
  Effect.map(HttpClient.HttpClient, HttpClient.transformResponse(Effect.flatMap(whole)))
)
