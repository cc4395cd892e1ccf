/**
 * Reads an incoming request: its key, its body and its fingerprint, all before the first call of
 * the store.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type { Digest } from "../../idempotency/fingerprint.js"
import type * as IdempotencyKey from "../../idempotency/IdempotencyKey.js"
import * as ContentCoding from "../contentCoding.js"
import * as KeyHeader from "../keyHeader.js"
import * as RequestFingerprint from "../requestFingerprint.js"
import * as BodyBuffer from "./bodyBuffer.js"
import type { Config } from "./options.js"
import * as Problems from "./problems.js"

/** A request under a key, its body readable. */
export interface Keyed {
  readonly _tag: "Keyed"
  readonly request: HttpServerRequest.HttpServerRequest
  readonly key: IdempotencyKey.IdempotencyKey
  readonly payload: Digest
}

/** `Unkeyed`: a request that runs unprotected. `Refused`: the response to an invalid request. */
export type Incoming =
  | Keyed
  | { readonly _tag: "Unkeyed" }
  | { readonly _tag: "Refused"; readonly response: HttpServerResponse.HttpServerResponse }

const unkeyed: Incoming = { _tag: "Unkeyed" }

const refused = (response: HttpServerResponse.HttpServerResponse): Incoming => ({
  _tag: "Refused",
  response
})

const readKeyed = (
  config: Config,
  request: HttpServerRequest.HttpServerRequest,
  key: IdempotencyKey.IdempotencyKey
): Effect.Effect<Incoming> =>
  Effect.suspend(() => {
    if (config.fingerprint !== undefined) {
      const present = RequestFingerprint.ofWord(request, config.fingerprint(request))
      const payload: Digest = { present, earlier: () => [present] }
      return Effect.succeed<Incoming>({ _tag: "Keyed", request, key, payload })
    }
    // There is no claim yet, so a client that closes its connection may interrupt the read.
    return Effect.interruptible(
      Effect.flatMap(BodyBuffer.read(request, config.maxBodyBytes), (body) => {
        if (body._tag === "TooLarge") {
          return Effect.succeed(refused(Problems.tooLarge(config.maxBodyBytes)))
        }
        if (body._tag === "Broken") return Effect.succeed(refused(Problems.unreadable))
        const encoding = request.headers["content-encoding"]
        return Effect.map(
          ContentCoding.contentOf(encoding, body.bytes, config.maxBodyBytes),
          (content): Incoming => ({
            _tag: "Keyed",
            request: BodyBuffer.withBody(request, body.bytes),
            key,
            payload: {
              present: RequestFingerprint.ofBody(request, body.bytes, content),
              earlier: () => [RequestFingerprint.ofBodyV1(request, body.bytes)]
            }
          })
        )
      })
    )
  })

/** Checks method and key, then reads the body. O(body). */
export const read = (
  config: Config,
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<Incoming> => {
  if (!config.methods.has(request.method)) return Effect.succeed(unkeyed)
  return Effect.flatMap(KeyHeader.read(request, config.header), (found) => {
    switch (found._tag) {
      case "Invalid":
        return Effect.succeed(refused(Problems.keyInvalid(found.reason)))
      case "Missing":
        return Effect.succeed(
          config.required ? refused(Problems.keyMissing(config.shownHeader)) : unkeyed
        )
      case "Key":
        return readKeyed(config, request, found.key)
    }
  })
}
