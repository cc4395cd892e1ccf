/** What the tests of streams share: servers that send pieces of a body, and what came of them. */
import { FetchHttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, Stream } from "effect"
import { ApiClient, Operation, Pipeline } from "effect-resilience"
import type * as Http from "node:http"
import { type Handler, serve } from "../support/servers.js"

export const wires = {
  undici: NodeHttpClient.layerUndici,
  fetch: FetchHttpClient.layer,
  node: NodeHttpClient.layer
}

type Wire = typeof wires[keyof typeof wires]

export const get = HttpClientRequest.get("/v1/feed")

export const sse = "text/event-stream"

export const ndjson = "application/x-ndjson"

export const event = (id: number, data = `e${id}`): string => `id: ${id}\ndata: ${data}\n\n`

/** Sends a head and a piece of a body, which ends as HTTP says it should. */
export const whole = (response: Http.ServerResponse, body: string, type = sse): void => {
  response.writeHead(200, { "content-type": type })
  response.end(body)
}

/** Sends a piece of a body, and closes the connection when it has left. */
export const broken = (response: Http.ServerResponse, body: string, type = sse): void => {
  response.writeHead(200, { "content-type": type })
  response.write(body, () => response.socket?.end(() => response.destroy()))
}

/** Sends a piece of a body, and nothing more. */
export const silent = (response: Http.ServerResponse, body: string, type = sse): void => {
  response.writeHead(200, { "content-type": type })
  if (body === "") response.flushHeaders()
  else response.write(body)
}

/** A client of ours for one address. Without stages it has no pipeline. */
export const clientFor = (wire: Wire, baseUrl: string, stages?: object) =>
  Effect.gen(function*() {
    const built = yield* Layer.build(wire)
    const pipeline = stages === undefined
      ? undefined
      : yield* Pipeline.make({ operation: Operation.once, ...stages })
    return yield* Effect.provide(
      ApiClient.make({ name: "feed", baseUrl, ...(pipeline === undefined ? {} : { pipeline }) }),
      built
    )
  })

/** A server and a client for it, and whether each of its connections has been closed. */
export const between = (wire: Wire, handler: Handler, stages?: object) =>
  Effect.gen(function*() {
    const closed: Array<number> = []
    const server = yield* serve((response, request, index) => {
      response.on("close", () => closed.push(index))
      handler(response, request, index)
    })
    return { server, closed, client: yield* clientFor(wire, server.url, stages) }
  })

/** What a stream gave out until its end, and the error that it ended with. */
export const collected = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.gen(function*() {
    const items: Array<A> = []
    const exit = yield* Effect.either(
      Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item)))
    )
    return { items, error: exit._tag === "Left" ? exit.left : undefined }
  })

export const dataOf = (items: ReadonlyArray<ApiClient.Event>): string =>
  items.map(({ data }) => data).join(" ")
