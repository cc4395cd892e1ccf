/**
 * Bodies of failures, as far as they may be recorded.
 *
 * For debugging a body is worth more than its message, and an API may repeat anything in it. Only the client knows what it has sent, so it takes that down
 * beside the body: under the bytes themselves, which stay the same however often the error is copied, and with which it is forgotten.
 */
import * as Option from "effect/Option"
import * as ApiError from "../ApiError.js"
import * as Redaction from "../Redaction.js"

/** `textOf` is the body without the secrets of the call and without what stands under secret names; none of an error that was not taken down. */
export interface Bodies {
  readonly takeDown: (error: ApiError.ApiError, secrets: () => ReadonlyArray<string>) => void
  readonly textOf: (error: ApiError.ApiError) => string | undefined
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const make = (secretNames: Redaction.Names): Bodies => {
  const secretsOf = new WeakMap<Uint8Array, ReadonlyArray<string>>()
  return {
    takeDown: (error, secrets) => {
      const bytes = Option.getOrUndefined(ApiError.rawBody(error))
      if (bytes !== undefined) secretsOf.set(bytes, secrets())
    },
    textOf: (error) => {
      const bytes = Option.getOrUndefined(ApiError.rawBody(error))
      const sent = bytes && secretsOf.get(bytes)
      if (sent === undefined) return undefined
      const text = new TextDecoder().decode(bytes)
      return Redaction.scrubber([...sent, ...Redaction.secretsIn(parsed(text), secretNames)])(text)
    }
  }
}
