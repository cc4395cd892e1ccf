import { HttpBody, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ApiClient } from "effect-resilience"
import { leaks, renderings } from "../support/renderings.js"
import { serve } from "../support/servers.js"
import { failureOf, over, reply, transports } from "./support.js"

const sentinel = "SENTINEL-4d5e6f70"

const wires = { ...transports, node: NodeHttpClient.layer }

/** The secret in the address, in a header and in the body. */
const request = HttpClientRequest.post(`/v1/things?api_key=${sentinel}#token=${sentinel}-2`, {
  headers: { authorization: `Bearer ${sentinel}-3`, "x-own": "kept" },
  body: HttpBody.unsafeJson({ password: `${sentinel}-4` })
})

const leaksOf = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(renderings(call), (texts) => leaks(texts, sentinel))

for (const [wire, layer] of Object.entries(wires)) {
  /** A server that answers with all that it was sent, in a body that is no JSON. */
  const echoing = (status: number) =>
    serve((response, { body, headers, url }) => {
      response.writeHead(status, {
        "content-type": "text/plain",
        [`x-${sentinel}`]: "a",
        "x-echo": `${url} ${headers.authorization} ${body}`
      })
      response.end(`${sentinel}-4 ${sentinel}`)
    })

  describe(`a response over ${wire}`, () => {
    it.scopedLive("T9: layer's refusal shows no secret, read or not, nor does its status error", () =>
      Effect.gen(function*() {
        const { url } = yield* echoing(422)
        const client = yield* Effect.provide(
          HttpClient.HttpClient,
          ApiClient.layer({ name: "test", baseUrl: url })
        )
        const response = yield* client.execute(request)
        expect(yield* leaksOf(Effect.succeed(response))).toEqual([])
        expect(yield* leaksOf(HttpClientResponse.filterStatusOk(response))).toEqual([])
        expect(yield* response.text).toBe(`${sentinel}-4 ${sentinel}`)
        expect(yield* leaksOf(Effect.succeed(response))).toEqual([])
      }).pipe(Effect.provide(layer)))

    it.scopedLive("E26: the request of layer's refusal is the one that was asked for", () =>
      Effect.gen(function*() {
        const { url } = yield* echoing(422)
        const client = yield* Effect.provide(
          HttpClient.HttpClient,
          ApiClient.layer({ name: "test", baseUrl: url })
        )
        const { request: sent } = yield* client.execute(request)
        expect(sent).toMatchObject({
          method: "POST",
          url: `${url}/v1/things`,
          urlParams: [["api_key", sentinel]],
          hash: { value: `token=${sentinel}-2` },
          headers: { authorization: `Bearer ${sentinel}-3`, "x-own": "kept" },
          body: { _tag: "Uint8Array" }
        })
      }).pipe(Effect.provide(layer)))

    it.scopedLive("T1: the error of reading a success quotes neither its body nor its address", () =>
      Effect.gen(function*() {
        const { url } = yield* echoing(200)
        const client = yield* ApiClient.make({ name: "test", baseUrl: url })
        const response = yield* client.execute(request)
        const error = yield* failureOf(response.json)
        expect(error).toMatchObject({ _tag: "ResponseError", reason: "Decode" })
        expect(yield* leaksOf(Effect.fail(error))).toEqual([])
        expect(yield* leaksOf(Effect.succeed(response))).toEqual([])
      }).pipe(Effect.provide(layer)))
  })
}

describe("names that the other side chooses", () => {
  it.effect("T1, E32: a name in the path of a misfit is scrubbed", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200, { [`${sentinel}-3`]: "a" })])
      const Numbers = ApiClient.json(Schema.Record({ key: Schema.String, value: Schema.Number }))
      const error = yield* failureOf(ApiClient.execute(client, request, Numbers))
      expect(error).toMatchObject({ code: "unexpected_response" })
      expect(String(error)).toContain("form: <redacted>: expected number, got string")
      expect(yield* leaksOf(Effect.fail(error))).toEqual([])
    }))

  it.effect("T1: it is scrubbed before it is cut short", () =>
    Effect.gen(function*() {
      const escaped = [...`${sentinel}-3`].map((unit) => `&#x${unit.charCodeAt(0).toString(16)};`)
      const { client } = yield* over([reply(200, { [escaped.join("")]: "a" })])
      const Numbers = ApiClient.json(Schema.Record({ key: Schema.String, value: Schema.Number }))
      const error = yield* failureOf(ApiClient.execute(client, request, Numbers))
      expect(String(error)).toContain("form: <redacted>: expected number")
    }))

  it.effect("T1: a header whose name repeats a secret is not kept", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(500, "", { [`x-ratelimit-${sentinel}-3`]: "a", "x-ratelimit-limit": "7" })
      ])
      const error = yield* failureOf(client.execute(request))
      expect(error).toMatchObject({ headers: { "x-ratelimit-limit": "7" } })
      expect(yield* leaksOf(Effect.fail(error))).toEqual([])
    }))

  it.effect("T9: the base64 of a cookie that was sent percent-encoded is scrubbed whole", () =>
    Effect.gen(function*() {
      const cookie = `${sentinel}-5/;${sentinel}`
      const { client } = yield* over([
        reply(400, { message: `no ${Buffer.from(cookie).toString("base64")} here` })
      ])
      const error = yield* failureOf(
        client.get("/", { headers: { cookie: `sid=${encodeURIComponent(cookie)}` } })
      )
      expect(String(error)).toContain("no <redacted> here")
    }))
})
