/**
 * What goes wrong with keys and ids before anything is sent, for every API: keys that no header
 * holds, white space around a key, ids that change a path.
 */
import {
  FetchHttpClient,
  HttpClient,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { expect } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ApiError } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { leaks, renderings } from "./renderings.js"

export const key = "SENTINEL-key-5e1f"

/** Keys that no header holds. */
const unsendable = [
  ["a line break in it", `${key}\r\nx-evil: ${key}`],
  ["a line break at its end, as a file has one", `${key}\n`],
  ["a control character", `${key}\u0000`],
  ["letters that are not Latin", `${key}ключ`]
] as const

/** Keys that lose something on their way. */
const padded = [
  ["spaces around it", `  ${key}  `],
  ["a tab at its end", `${key}\t`],
  ["spaces in it and around it", ` ${key} two ${key} `]
] as const

const transports = [["undici", NodeHttpClient.layerUndici], [
  "fetch",
  FetchHttpClient.layer
]] as const

const overAll = (keys: ReadonlyArray<readonly [name: string, key: string]>) =>
  keys.flatMap(([name, key]) =>
    transports.map(([client, layer]) => [name, client, key, layer] as const)
  )

export const unsendableKeys = overAll(unsendable)

export const paddedKeys = overAll(padded)

/** Ids that encoding leaves as another path, or has no encoding for. */
export const strayIds = ["", ".", "..", " ", "\t.", " .. ", "\ud800"]

/** Refuses every call, and repeats the key. */
export const tellTale = Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
  const said = headers["authorization"] ?? headers["x-api-key"] ?? ""
  return HttpServerResponse.unsafeJson(
    { message: `not a key: ${said}, ${said.replace(/^Bearer\s+/, "")}` },
    { status: 401 }
  )
})

/** A client that takes down how many requests it was given. */
export const counting = (layer: Layer.Layer<HttpClient.HttpClient>) => {
  let requests = 0
  const counted = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      HttpClient.HttpClient,
      HttpClient.mapRequest((request) => {
        requests++
        return request
      })
    )
  )
  return { requests: () => requests, layer: Layer.provide(counted, layer) }
}

/** A client that must not be asked. */
export const nobodyAsked = () => {
  const asked: Array<string> = []
  const client = HttpClient.make((request) => {
    asked.push(request.url)
    return Effect.dieMessage("nothing should be sent")
  })
  return { asked, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

type Case = readonly [
  name: string,
  client: string,
  key: string,
  layer: Layer.Layer<HttpClient.HttpClient>
]

type Call = (
  baseUrl: string,
  key: string
) => Effect.Effect<unknown, unknown, HttpClient.HttpClient>

/** The test of one key that no header holds: `Auth`, no request, and nothing printed. */
export const isNotSent =
  (call: Call, where: { readonly method: string; readonly endpoint: string }) =>
  ([, , sent, layer]: Case) =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: tellTale })
      const http = counting(layer)
      const made = Effect.provide(call(api.url, sent), http.layer)
      const error = yield* Effect.flip(made)
      const { _tag, code, endpoint, method } = error as ApiError.ApiError
      expect([_tag, code, { method, endpoint }, http.requests()]).toEqual([
        "Auth",
        "malformed_api_key",
        where,
        0
      ])
      expect(leaks(yield* renderings(made), key)).toEqual([])
    }).pipe(Effect.scoped)

/** The test of one key that loses something on its way, and that the API repeats as it came. */
export const isNotShown = (call: Call) => ([, , sent, layer]: Case) =>
  Effect.gen(function*() {
    const api = yield* FlakyApi.make({ app: tellTale })
    const made = Effect.provide(call(api.url, sent), layer)
    const error = yield* Effect.flip(made)
    expect(ApiError.isApiError(error) && error.message).toBe("not a key: <redacted>, <redacted>")
    expect(leaks(yield* renderings(made), key)).toEqual([])
  }).pipe(Effect.scoped)
