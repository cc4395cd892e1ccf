import {
  FetchHttpClient,
  HttpClient,
  HttpClientError,
  type HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { ApiClient, Backoff, Operation, Pipeline } from "effect-resilience"
import { Effect, type Exit, Layer, Option, type Scope, Tracer } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/**
 * What a transport in memory says to one request: a response, or the cause of a transport failure.
 */
export type Reply = (request: HttpClientRequest.HttpClientRequest) => Response | Error

export const reply =
  (status: number, body?: unknown, headers: Record<string, string> = {}): Reply => () => {
    const bodiless = [101, 204, 205, 304].includes(status) || body === undefined
    const text = typeof body === "string" ? body : JSON.stringify(body)
    const type = typeof body === "string" ? {} : { "content-type": "application/json" }
    return new Response(bodiless ? null : text, {
      status,
      headers: bodiless ? headers : { ...type, ...headers }
    })
  }

/** A failure as Node's sockets report it. */
export const broken = (code: string): Reply => () =>
  Object.assign(new Error(`socket says ${code}`), { code })

/** A transport in memory that keeps what was sent. The last reply is repeated. */
export const transport = (replies: ReadonlyArray<Reply>) => {
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const next = replies[Math.min(sent.length, replies.length - 1)] ?? reply(200)
      sent.push(request)
      const answer = next(request)
      return answer instanceof Response
        ? Effect.succeed(HttpClientResponse.fromWeb(request, answer))
        : Effect.fail(
          new HttpClientError.RequestError({ request, reason: "Transport", cause: answer })
        )
    })
  )
  return { sent, client, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

export const baseUrl = "http://api.example.com"

/**
 * Retries without waiting. The operation is the wrong one for most requests, on purpose: the client
 * knows better.
 */
export const retrying = (retries = 2) =>
  Pipeline.make({ operation: Operation.once, retry: { retries, backoff: Backoff.constant(0) } })

/** A client of ours over replies in memory, with two retries that do not wait. */
export const over = (replies: ReadonlyArray<Reply>, options: Partial<ApiClient.Options> = {}) =>
  Effect.gen(function*() {
    const { layer, sent } = transport(replies)
    const pipeline = yield* retrying()
    const client = yield* Effect.provide(
      ApiClient.make({ name: "test", baseUrl, pipeline, ...options }),
      layer
    )
    return { client, sent }
  })

/** The failure of a call that must fail. */
export const failureOf = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.catchAll(
    Effect.flip(self),
    () => Effect.dieMessage("the call was expected to fail")
  )

export const transports = {
  undici: NodeHttpClient.layerUndici,
  fetch: FetchHttpClient.layer
}

export interface WireRequest {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: string
}

export interface Wire {
  readonly url: string
  readonly port: number
  readonly requests: ReadonlyArray<WireRequest>
  readonly connections: () => number
}

export type Handler = (response: Http.ServerResponse, request: WireRequest, index: number) => void

/**
 * A plain server on the loopback that answers as told, and is gone with its scope, connections and
 * all.
 */
export const serve = (handler: Handler): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Http.Server; readonly wire: Wire }>((resume) => {
      const requests: Array<WireRequest> = []
      let connections = 0
      const server = Http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("error", () => response.destroy())
        response.on("error", () => response.destroy())
        request.on("end", () => {
          const { headers, method = "", rawHeaders, url = "" } = request
          const arrived = {
            method,
            url,
            headers,
            rawHeaders,
            body: Buffer.concat(chunks).toString("utf8")
          }
          requests.push(arrived)
          handler(response, arrived, requests.length - 1)
        })
      })
      server.on("connection", () => connections++)
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const wire = {
          url: `http://127.0.0.1:${port}`,
          port,
          requests,
          connections: () => connections
        }
        resume(Effect.succeed({ server, wire }))
      })
    }),
    ({ server }) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  ).pipe(Effect.map(({ wire }) => wire))

/** A port of the loopback on which nobody listens. */
export const nobody: Effect.Effect<string> = Effect.scoped(
  Effect.map(serve(() => undefined), ({ url }) => url)
)

export interface Recorded {
  readonly name: string
  readonly spanId: string
  readonly traceId: string
  readonly parent: string | undefined
  readonly kind: Tracer.SpanKind
  readonly attributes: Map<string, unknown>
  readonly events: Array<readonly [string, Record<string, unknown> | undefined]>
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** A tracer that keeps its spans. */
export const recorder = () => {
  const spans: Array<Recorded> = []
  let next = 0
  const tracer = Tracer.make({
    span(name, parent, context, links, startTime, kind) {
      const spanId = (++next).toString(16).padStart(16, "0")
      const traceId = Option.match(parent, {
        onNone: () => next.toString(16).padStart(32, "0"),
        onSome: (span) => span.traceId
      })
      const attributes = new Map<string, unknown>()
      const parentId = Option.getOrUndefined(Option.map(parent, (span) => span.spanId))
      const recorded: Recorded = {
        name,
        spanId,
        traceId,
        parent: parentId,
        kind,
        attributes,
        events: [],
        exit: undefined
      }
      spans.push(recorded)
      return {
        _tag: "Span",
        name,
        spanId,
        traceId,
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (_endTime, exit) => void (recorded.exit = exit),
        attribute: (key, value) => void attributes.set(key, value),
        event: (key, _startTime, fields) => void recorded.events.push([key, fields]),
        addLinks: () => undefined
      }
    },
    context: (f) => f()
  })
  return { tracer, spans }
}

export const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)
