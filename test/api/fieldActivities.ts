/** What the tests of Field Activities share: its calls, over real HTTP in virtual time. */
import { HttpClient, type HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, identity, Redacted } from "effect"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Server from "../support/fieldActivitiesServer.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"

export const apiKey = Redacted.make(Server.apiKey)

export const result: FieldActivities.ActivityResult = {
  commerce_external_id: "SHOP-7",
  occurred_at: "2026-03-01T10:00:00Z",
  status: "DONE",
  task_result: { result: "SOLD" }
}

export const types = Server.resultTypes.map(({ code, requires_future_scheduled_at = false }) => ({
  code,
  requires_future_scheduled_at
}))

export const live = Effect.provide(NodeHttpClient.layerUndici)

type Client = FieldActivities.FieldActivities

export const submit = (client: Client) => client.submitResult("A-1", result)

/** A call over real HTTP in virtual time, and what the server saw of it. */
export const against = <A, E>(
  script: FlakyApi.Script,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<FieldActivities.Options> = {},
  setting: Omit<Server.Options, "script"> = {},
  onItsWay: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest =
    identity
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ ...setting, script })
    const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey, ...options }).pipe(
      Effect.updateService(HttpClient.HttpClient, HttpClient.mapRequest(onItsWay)),
      Effect.provide(layer)
    )
    const { at, exit } = yield* run(use(client))
    const gets = yield* api.gets
    return {
      exit,
      gets,
      posts: yield* api.posts,
      // The result types are asked for first.
      waits: waits(at.slice(gets)),
      bodies: api.bodies,
      results: [...api.results]
    }
  }).pipe(Effect.scoped)

export const undisturbed: FlakyApi.Script = () => FlakyApi.none
