/**
 * API keys that cannot be sent.
 *
 * A variable of the environment that is not set gives an empty key, a key that was read from a file
 * ends with a line break, a key that was copied from a page has letters that no header holds. The
 * API would not accept it, so it is refused as a credential, and in the same words with every
 * client of HTTP.
 */
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Redacted from "effect/Redacted"
import * as ApiError from "../errors/ApiError.js"
import * as Outgoing from "../http/requestMetadata.js"

const problemOf = (apiKey: string): string | undefined => {
  if (apiKey.trim() === "") return "is empty"
  return Outgoing.isFieldValue(apiKey) ? undefined : "has characters that no header can hold"
}

/**
 * Fails with `Auth`, of which the key is no part, where no header can hold the key or there is
 * none. The endpoint is that of `ApiClient.withEndpoint`.
 */
export const check = (
  apiKey: Redacted.Redacted<string>,
  method?: string
): Effect.Effect<void, ApiError.Auth> =>
  Effect.suspend(() => {
    const problem = problemOf(Redacted.value(apiKey))
    return problem === undefined
      ? Effect.void
      : Effect.flatMap(
        FiberRef.get(Outgoing.currentEndpoint),
        (endpoint) =>
          new ApiError.Auth({
            message: `The API key ${problem}, and was not sent`,
            code: "malformed_api_key",
            method,
            endpoint
          })
      )
  })
