/**
 * The calls of the HTTP benchmark: through the platform's client, and through ours.
 */
import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Schema, Scope } from "effect"
import { ApiClient, IdempotencyKey, Pipeline } from "effect-resilience"
import { Agent } from "undici"
import type { Kind } from "./settings.js"

const Thing = Schema.Struct({
  id: Schema.Number,
  name: Schema.String,
  tags: Schema.Array(Schema.String),
  createdAt: Schema.String,
  price: Schema.Struct({ amount: Schema.Number, currency: Schema.String })
})

const order = { item: "tea", amount: 3, note: "the green one" }

/** A client with connections of its own, at most so many. Default: as many as there are calls. */
export const upstream = (connections?: number): Promise<HttpClient.HttpClient> => {
  const layer = connections === undefined
    ? NodeHttpClient.layerUndici
    : Layer.provide(
      NodeHttpClient.layerUndiciWithoutDispatcher,
      Layer.succeed(NodeHttpClient.Dispatcher, new Agent({ connections }))
    )
  return Effect.runPromise(Effect.map(
    Effect.flatMap(Scope.make(), (scope) => Layer.buildWithScope(layer, scope)),
    Context.get(HttpClient.HttpClient)
  ))
}

const getOf = (url: string) => HttpClientRequest.get(url)
const postOf = (url: string) => HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), order)

/** As the platform's documentation has it: send, then decode the response. */
export const platform = async (
  kind: Kind,
  baseUrl: string,
  client: HttpClient.HttpClient
): Promise<Effect.Effect<unknown, unknown>> => {
  const decode = HttpClientResponse.schemaBodyJson(Thing)
  const requestOf = kind === "post" ? postOf : getOf
  return Effect.suspend(() =>
    Effect.flatMap(client.execute(requestOf(`${baseUrl}/v1/things`)), decode)
  )
}

/** As the README has it: `ApiClient.execute` with the standard pipeline. */
export const ours = async (
  kind: Kind,
  baseUrl: string,
  upstream: HttpClient.HttpClient
): Promise<Effect.Effect<unknown, unknown>> => {
  const options = { name: "things", baseUrl }
  const making = kind === "bare"
    ? ApiClient.make(options)
    : ApiClient.make({ ...options, pipeline: Pipeline.standard })
  const client: HttpClient.HttpClient.With<unknown> = await Effect.runPromise(
    Effect.provideService(making, HttpClient.HttpClient, upstream)
  )
  const decode = ApiClient.json(Thing)
  const requestOf = kind === "post" ? postOf : getOf
  const call = Effect.suspend(() => ApiClient.execute(client, requestOf("/v1/things"), decode))
  return kind === "post" ? IdempotencyKey.provideNew(call) : call
}
