/** What the tests of the client share: keys and requests. */
import { HttpClientRequest } from "@effect/platform"
import { Effect } from "effect"
import { IdempotencyKey } from "effect-resilience"
import { reply } from "./support.js"

export const someKey = Effect.runSync(IdempotencyKey.fromString("row-1", { madeAt: 0 }))

export const keyOf = (value: string, madeAt = 0) =>
  Effect.runSync(IdempotencyKey.fromString(value, { madeAt }))

export const keyHeader = "idempotency-key"

/**
 * The keys that a transport in memory saw, one per request, whatever the letter case of the header.
 */
export const keysSent = (
  sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>,
  name = keyHeader
) =>
  sent.map(({ headers }) =>
    Object.entries(headers).filter(([header]) => header.toLowerCase() === name).map(([, value]) =>
      value
    ).join(" and ")
  )

export const method = (name: string) => HttpClientRequest.make(name as "GET")("/v1/things")

export const conflictInFlight = reply(409, { code: "idempotency_key_in_use" })
