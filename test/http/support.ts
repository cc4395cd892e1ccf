import {
  FetchHttpClient,
  HttpClient,
  HttpClientError,
  type HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { ApiClient, Backoff, Operation, Pipeline } from "effect-resilience"

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

export const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i)
