import type { HttpClientRequest } from "@effect/platform"
import { HttpBody, HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schema, TestClock } from "effect"
import { ApiClient, ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import { baseUrl, failureOf } from "./support.js"

const answering = (respond: (sent: number) => Response) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const http = HttpClient.make((request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, respond(requests.push(request))))
  )
  return { requests, http }
}

const client = (http: HttpClient.HttpClient) =>
  Effect.gen(function*() {
    const retry = { retries: 2, backoff: Backoff.constant(0) }
    const pipeline = yield* Pipeline.make({ operation: Operation.read, retry })
    return yield* ApiClient.make({ name: "test", baseUrl, pipeline })
  }).pipe(Effect.provideService(HttpClient.HttpClient, http))

describe("what a request carries", () => {
  it.effect("T1: every value of a form field that comes twice is scrubbed", () =>
    Effect.gen(function*() {
      const echo = Response.json({ error: "bad tokens first-1 and second-2" }, { status: 401 })
      const { http } = answering(() => echo)
      const body = HttpBody.text("token=first-1&token=second-2", "application/x-www-form-urlencoded")
      const error = yield* failureOf((yield* client(http)).post("/", { body }))
      expect(ApiError.isApiError(error) && error.message).toBe("bad tokens <redacted> and <redacted>")
    }))

  it.effect("T1: a credential with a backslash is scrubbed without its scheme too", () =>
    Effect.gen(function*() {
      const { http } = answering(() => Response.json({ error: String.raw`not valid: a\b-c` }, { status: 401 }))
      const headers = { authorization: String.raw`Bearer a\b-c` }
      const error = yield* failureOf((yield* client(http)).get("/", { headers }))
      expect(ApiError.isApiError(error) && error.message).toBe("not valid: <redacted>")
    }))

  it.effect("E23: a body that does not say whether it was read is taken for read, and not sent again", () =>
    Effect.gen(function*() {
      const { http, requests } = answering(() => new Response(null, { status: 503 }))
      const body = HttpBody.raw((async function*() {
        yield new Uint8Array([1])
      })())
      const error = yield* failureOf((yield* client(http)).put("/", { body }))
      expect([requests.length, ApiError.isApiError(error) && error.repeat]).toEqual([1, "never"])
    }))
})

describe("what is read of an answer", () => {
  it.effect("E9: an unreadable success is filed under the declared template", () =>
    Effect.gen(function*() {
      const { http } = answering(() => new Response("not json"))
      const error = yield* (yield* client(http)).get("/v1/people/ada").pipe(
        Effect.flatMap(ApiClient.json(Schema.Struct({}))),
        ApiClient.withEndpoint("/v1/people/:name"),
        Effect.flip
      )
      expect([error._tag, "endpoint" in error && error.endpoint]).toEqual(["Server", "/v1/people/:name"])
    }))

  it.effect("E26: a part of a body that comes after its front was given up is not lost", () =>
    Effect.gen(function*() {
      let controller: ReadableStreamDefaultController<Uint8Array> | undefined
      const text = (part: string) => new TextEncoder().encode(part)
      const stalling = new ReadableStream<Uint8Array>({
        start: (it) => {
          controller = it
          it.enqueue(text("one "))
        }
      })
      const { http } = answering(() => new Response(stalling, { status: 404 }))
      const fiber = yield* HttpClient.get("/").pipe(
        Effect.provide(ApiClient.layer({ name: "test", baseUrl })),
        Effect.provideService(HttpClient.HttpClient, http),
        Effect.fork
      )
      // The front is waited for until its time is over; the first part has to have come by then.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("5 seconds")
      const response = yield* Fiber.join(fiber)
      controller?.enqueue(text("two "))
      // It arrives while nobody reads.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      controller?.enqueue(text("three"))
      controller?.close()
      expect(yield* response.text).toBe("one two three")
    }))
})
