import { FetchHttpClient, HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ApiClient, Backoff, Operation, Pipeline } from "effect-resilience"
import { serve } from "../support/servers.js"
import { until } from "../support/turns.js"
import { baseUrl, range, reply, transport } from "./support.js"

const wires = {
  undici: NodeHttpClient.layerUndici,
  fetch: FetchHttpClient.layer,
  node: NodeHttpClient.layer
}

/** Two connections, so that a body that is held too long stops the next request. */
const poolOfTwo = Layer.provide(
  NodeHttpClient.layerWithoutAgent,
  NodeHttpClient.makeAgentLayer({ maxSockets: 2 })
)

const layered = (url: string, stages: object) =>
  Layer.unwrapEffect(
    Effect.map(
      Pipeline.make({ operation: Operation.read, ...stages }),
      (pipeline) => ApiClient.layer({ name: "test", baseUrl: url, pipeline })
    )
  )

const get = HttpClient.get("/v1/things")
const large = "x".repeat(1_000_000)

for (const [wire, layer] of Object.entries(wires)) {
  describe(`layer over ${wire}`, () => {
    it.scopedLive("E24: the primary's 503 is handed out although its hedge broke", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, _, index) =>
          index === 0
            ? void setTimeout(() => response.writeHead(503).end("primary"), 150)
            : void setTimeout(() => response.destroy(), 100)
        )
        const answer = yield* Effect.flatMap(
          get,
          (response) => Effect.map(response.text, (text) => [response.status, text])
        ).pipe(
          Effect.provide(
            Layer.provide(layered(server.url, { hedge: { delay: "20 millis" } }), layer)
          )
        )
        expect(answer).toEqual([503, "primary"])
      }))

    it.scopedLive("E24: each attempt of a hedge has its own answer", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, _, index) =>
          void setTimeout(
            () => response.writeHead(503).end(index === 0 ? "primary" : "hedge"),
            index === 0 ? 60 : 100
          )
        )
        const text = yield* Effect.flatMap(get, ({ text }) => text).pipe(
          Effect.provide(
            Layer.provide(layered(server.url, { hedge: { delay: "20 millis" } }), layer)
          )
        )
        expect([text, server.requests.length]).toEqual(["primary", 2])
      }))

    it.scopedLive("E26: both Set-Cookie lines arrive, of successes and of refusals", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, { url }) =>
          response.writeHead(url === "/ok" ? 200 : 404, { "set-cookie": ["a=1", "b=2"] }).end()
        )
        const cookies = yield* Effect.forEach(
          ["/ok", "/missing"],
          (path) => Effect.map(HttpClient.get(path), ({ cookies }) => Object.keys(cookies.cookies))
        ).pipe(
          Effect.provide(Layer.provide(layered(server.url, {}), layer))
        )
        expect(cookies).toEqual([["a", "b"], ["a", "b"]])
      }))

    it.scopedLive("E26: statuses 101, 600 and 999 settle", () =>
      Effect.gen(function*() {
        const server = yield* serve((response, { url }) => {
          const status = Number(url.slice(1))
          if (status !== 101) return void response.writeHead(status).end(`body of ${status}`)
          response.socket?.write(
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
          )
        })
        const seen = yield* Effect.forEach(["/600", "/999", "/101"], (path) =>
          Effect.either(
            Effect.flatMap(
              HttpClient.get(path),
              (response) => Effect.map(response.text, (text) => [response.status, text])
            )
          )).pipe(
            Effect.provide(Layer.provide(layered(server.url, { totalTimeout: "3 seconds" }), layer))
          )
        expect(seen.slice(0, 2)).toMatchObject([
          { right: [600, "body of 600"] },
          { right: [999, "body of 999"] }
        ])
        // A client may refuse a 101 that it did not ask for.
        expect(seen[2]).toMatchObject(
          wire === "node" ? { right: [101, ""] } : { left: { _tag: "RequestError" } }
        )
      }))
  })
}

it.scopedLive(
  "E24: large refusals of hedges and retries are released: a pool of two goes on",
  () =>
    Effect.gen(function*() {
      let open = 0
      const server = yield* serve((response) => {
        open++
        response.on("close", () => open--)
        response.writeHead(503)
        response.write(large)
      })
      const stages = {
        hedge: { delay: "20 millis" },
        retry: { retries: 2, backoff: Backoff.constant(0) }
      }
      const statuses = yield* Effect.forEach(range(1, 3), () =>
        Effect.flatMap(get, (response) =>
          Effect.as(ApiClient.discard(response), response.status)))
        .pipe(
          Effect.provide(Layer.provide(layered(server.url, stages), poolOfTwo)),
          Effect.timeout("15 seconds")
        )
      expect(statuses).toEqual([503, 503, 503])
      yield* until(() =>
        open === 0
      )
    }),
  20_000
)

it.effect("E26: every refused status keeps its number", () =>
  Effect.gen(function*() {
    const statuses = range(300, 599).filter((status) => status !== 304)
    const seen = yield* Effect.forEach(
      statuses,
      (status) =>
        Effect.map(get, (response) => response.status).pipe(
          Effect.provide(
            Layer.provide(layered(baseUrl, {}), transport([reply(status, "body")]).layer)
          )
        )
    )
    expect(seen).toEqual(statuses)
  }))
