import { HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { ApiClient, ApiError, Operation, Pipeline } from "effect-resilience"
import { serveRaw } from "./fuzz/server.js"
import { failureOf, transports } from "./support.js"

const wires = { ...transports, node: NodeHttpClient.layer }

const answering = (head: string, body = "", end: "keep" | "end" | "stall" = "end") =>
  Effect.map(
    serveRaw(() => ({ parts: [Buffer.from(`HTTP/1.1 ${head}\r\n\r\n${body}`)], end })),
    ({ port }) => `http://127.0.0.1:${port}`
  )

for (const [wire, layer] of Object.entries(wires)) {
  describe(`heads over ${wire}`, () => {
    it.scopedLive("E11: of two lines of Retry-After the larger counts", () =>
      Effect.gen(function*() {
        const baseUrl = yield* answering("503 A\r\nRetry-After: 1\r\nRETRY-AFTER: 30")
        const client = yield* ApiClient.make({ name: "test", baseUrl })
        const error = yield* failureOf(client.get("/"))
        expect(error).toMatchObject({ retryAfter: Duration.seconds(30) })

        const http = yield* HttpClient.HttpClient
        const refused = yield* failureOf(HttpClient.filterStatusOk(http).get(baseUrl))
        expect(ApiError.verdict(refused)).toMatchObject({
          retryAfter: { value: Duration.seconds(30) }
        })
      }).pipe(Effect.provide(layer)))

    it.scopedLive("E7: a 204 or 205 is a success without a body, whatever follows its head", () =>
      Effect.gen(function*() {
        const lines = ["Content-Length: 9", "Content-Length: 5", "Transfer-Encoding: chunked"]
        const found = yield* Effect.forEach(
          [204, 205],
          (status) =>
            Effect.forEach(lines, (line) =>
              Effect.gen(function*() {
                const baseUrl = yield* answering(`${status} A\r\n${line}`, "no JSON")
                const client = yield* ApiClient.make({ name: "test", baseUrl })
                const request = HttpClientRequest.get("/")
                const nothing = ApiClient.json(Schema.Undefined)
                return [
                  yield* ApiClient.execute(client, request, ApiClient.text),
                  (yield* ApiClient.execute(client, request, ApiClient.bytes)).length,
                  yield* ApiClient.execute(client, request, nothing)
                ]
              }))
        )
        expect(found.flat()).toEqual(Array.from({ length: 6 }, () => ["", 0, undefined]))
      }).pipe(Effect.provide(layer)))

    it.scopedLive("E5: a body that never comes leaves time for what the status says", () =>
      Effect.gen(function*() {
        for (const limit of ["attemptTimeout", "totalTimeout"] as const) {
          const baseUrl = yield* answering("429 A\r\nContent-Length: 99", "{\"message\":", "stall")
          const options = {
            name: "test",
            baseUrl,
            pipeline: yield* Pipeline.make({ operation: Operation.once, [limit]: "400 millis" })
          }
          const client = yield* ApiClient.make(options)
          const error = yield* failureOf(client.post("/"))
          expect([error._tag, ApiError.mayHaveRun(error)]).toEqual(["RateLimit", false])

          const { status } = yield* Effect.provide(HttpClient.post("/"), ApiClient.layer(options))
          expect(status).toBe(429)
        }
      }).pipe(Effect.provide(layer)))

    it.scopedLive("E9: a limit of time says of which call it is", () =>
      Effect.gen(function*() {
        const baseUrl = yield* answering("200 A\r\nContent-Length: 9", "", "stall")
        const pipeline = yield* Pipeline.make({
          operation: Operation.read,
          attemptTimeout: "50 millis"
        })
        const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline })
        const call = ApiClient.execute(
          client,
          HttpClientRequest.get("/v1/things/7"),
          ApiClient.text
        )
        expect(yield* failureOf(call)).toMatchObject({
          _tag: "Timeout",
          endpoint: "/v1/things/:id",
          method: "GET"
        })
      }).pipe(Effect.provide(layer)))
  })
}
