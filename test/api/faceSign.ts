/** What the tests of FaceSign share: its calls, over real HTTP in virtual time. */
import { HttpClient, type HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, identity, Option, Redacted } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import type * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Server from "../support/faceSignServer.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"

export const auth = Redacted.make(Server.auth)

export const settings: FaceSign.SessionSettings = {
  clientReferenceId: "user-123",
  metadata: { source: "web-app" },
  flow: [{ id: "start", type: "start", outcome: "end" }, { id: "end", type: "end" }]
}

export const live = Effect.provide(NodeHttpClient.layerUndici)

type Client = FaceSign.FaceSign

export const create = (client: Client) => IdempotencyKey.provideNew(client.createSession(settings))

/** A call over real HTTP in virtual time, and what the server saw of it. */
export const against = <A, E>(
  script: FlakyApi.Script,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<FaceSign.Options> = {},
  onItsWay: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest =
    identity
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ script, environment: options.environment ?? "production" })
    const client = yield* FaceSign.make({ baseUrl: api.url, auth, ...options }).pipe(
      Effect.updateService(HttpClient.HttpClient, HttpClient.mapRequest(onItsWay)),
      Effect.provide(layer)
    )
    const { at, exit } = yield* run(use(client))
    const received = yield* api.received
    return {
      exit,
      waits: waits(at),
      requests: received.length,
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      executed: (yield* api.executed).length,
      sessions: api.sessions
    }
  }).pipe(Effect.scoped)
