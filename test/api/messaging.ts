/** What the tests of Messaging share: its calls, over real HTTP in virtual time. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Option, Random, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import type * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Server from "../support/messagingServer.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"

export const apiKey = Redacted.make(Server.apiKey)

export const live = Effect.provide(NodeHttpClient.layerUndici)

export type Client = Messaging.Messaging

export const to = "ada@example.com"

export const sendOtp = (client: Client, request: Partial<Messaging.OtpRequest> = {}) =>
  IdempotencyKey.provideNew(client.sendOtp({ to, ...request }))

export const send = (client: Client, templateId = "welcome") =>
  IdempotencyKey.provideNew(client.sendMessage({ templateId, to }))

export const submit = (client: Client, formId = "contact") =>
  IdempotencyKey.provideNew(client.submitForm({ formId, fields: { name: "Ada" } }))

/** A call over real HTTP in virtual time, and what the server saw of it. */
export const against = <A, E>(
  server: Server.Options,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<Messaging.Options> = {}
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make(server)
    const client = yield* Effect.provide(
      Messaging.make({ baseUrl: api.url, apiKey, ...options }),
      layer
    )
    const { at, exit } = yield* run(use(client))
    const received = yield* api.received
    return {
      exit,
      client,
      waits: waits(at),
      requests: received.length,
      paths: received.map(({ path }) => path),
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      records: api.records
    }
  }).pipe(Effect.scoped)

export const always = (fault: FlakyApi.Fault): Server.Options => ({ script: () => fault })

/** Jitter that draws the middle of what it may. */
export const halfway = Effect.withRandom(Random.fixed([0.5]))
