import {
  FetchHttpClient,
  HttpBody,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ApiClient, ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import { until } from "../support/turns.js"
import { failureOf } from "./support.js"

const wires = {
  undici: NodeHttpClient.layerUndici,
  fetch: FetchHttpClient.layer,
  node: NodeHttpClient.layer
}

interface Arrived {
  readonly headers: Http.IncomingHttpHeaders
  body: string
  /** Whether the whole request came, as HTTP frames it. */
  complete: boolean
  ended: boolean
}

type Answer = (response: Http.ServerResponse, index: number, request: Arrived) => void

/** A server that sees each request from its head on, also those that are never completed. */
const listening = (answer: Answer) =>
  Effect.acquireRelease(
    Effect.async<{ url: string; arrived: Array<Arrived>; server: Http.Server }>((resume) => {
      const arrived: Array<Arrived> = []
      const server = Http.createServer((request, response) => {
        const one: Arrived = { headers: request.headers, body: "", complete: false, ended: false }
        const index = arrived.push(one) - 1
        request.on("data", (chunk: Buffer) => one.body += chunk.toString("latin1"))
        request.on("error", () => undefined)
        request.on("close", () => one.ended = true)
        request.on("end", () => {
          one.complete = true
          answer(response, index, one)
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, arrived, server }))
      })
    }),
    ({ server }) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

const status = (code: number): Answer => (response) => response.writeHead(code).end()

const chunk = (text: string) => new TextEncoder().encode(text)

/** A source that gives its bytes to the first who reads it, and nothing to any later reader. */
const oneShot = () => {
  const source = new Blob(["once only"]).stream()
  let given = false
  return Stream.suspend(() => {
    if (given) return Stream.empty
    given = true
    return Stream.fromReadableStream(() => source, (cause) => cause)
  })
}

async function* generated() {
  yield chunk("once ")
  yield chunk("only")
}

const oneShots: Readonly<Record<string, () => HttpBody.HttpBody>> = {
  "an Effect stream": () => HttpBody.stream(oneShot()),
  "a ReadableStream": () => HttpBody.raw(new Blob(["once only"]).stream()),
  "a Readable": () => HttpBody.raw(Readable.from([chunk("once "), chunk("only")])),
  "a generator": () => HttpBody.raw(generated())
}

const retry = { retries: 1, backoff: Backoff.constant(0) }

for (const [wire, layer] of Object.entries(wires)) {
  describe(`E23 over ${wire}`, () => {
    const make = (url: string, stages: object = { retry }, options: object = {}) =>
      Effect.flatMap(
        Pipeline.make({ operation: Operation.read, ...stages }),
        (pipeline) => ApiClient.make({ name: "test", baseUrl: url, pipeline, ...options })
      ).pipe((making) =>
        Effect.flatMap(Layer.build(layer), (built) => Effect.provide(making, built))
      )

    it.scopedLive("a one-shot stream that was read by an attempt that timed out is not sent again", () =>
      Effect.gen(function*() {
        const server = yield* listening((response, index) =>
          index === 0
            ? void setTimeout(() => response.writeHead(201).end(), 800)
            : response.writeHead(201).end()
        )
        const client = yield* make(server.url, { attemptTimeout: "200 millis", retry })
        const error = yield* failureOf(client.put("/f", { body: HttpBody.stream(oneShot()) }))
        expect(error).toMatchObject({ _tag: "Timeout", code: "body_consumed", attempts: 1 })
        expect(String(error)).toMatch(/the request body is a stream that has been read/)
        expect([ApiError.verdict(error)._tag, ApiError.mayHaveRun(error)]).toEqual([
          "Terminal",
          true
        ])
        yield* Effect.sleep("300 millis")
        expect(server.arrived.map(({ body }) => body)).toEqual(["once only"])
      }))

    for (const [name, body] of Object.entries(oneShots)) {
      it.scopedLive(`${name} is sent once: after a 503, a 401 with refresh, a reset, as a hedge`, () =>
        Effect.gen(function*() {
          const seen = yield* Effect.forEach(
            [
              { answer: status(503), stages: { retry }, options: {} },
              { answer: status(401), stages: { retry }, options: { refresh: Effect.void } },
              {
                answer: ((response) => response.destroy()) as Answer,
                stages: { retry },
                options: {}
              },
              {
                answer: ((response) =>
                  void setTimeout(() =>
                    response.writeHead(503).end(), 100)) as Answer,
                stages: { hedge: { delay: "20 millis" } },
                options: {}
              }
            ],
            ({ answer, options, stages }) =>
              Effect.gen(function*() {
                const server = yield* listening(answer)
                const client = yield* make(server.url, stages, options)
                const error = yield* failureOf(client.put("/f", { body: body() }))
                return [
                  ApiError.verdict(error)._tag,
                  /stream that has been read/.test(String(error)),
                  server.arrived.map((request) => request.body)
                ]
              })
          )
          expect(seen).toEqual(seen.map(() => ["Terminal", true, ["once only"]]))
        }))

      it.scopedLive(`${name} that one call has read is not sent by another`, () =>
        Effect.gen(function*() {
          const server = yield* listening(status(503))
          const client = yield* make(server.url, {})
          const request = HttpClientRequest.setBody(HttpClientRequest.put("/f"), body())
          yield* failureOf(client.execute(request))
          expect(yield* failureOf(client.execute(request))).toMatchObject({
            _tag: "Validation",
            code: "body_consumed"
          })
          expect(server.arrived.map((request) => request.body)).toEqual(["once only"])
        }))
    }

    it.scopedLive("layer: the last answer is handed out, and nothing is sent again", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(503))
        const ours = ApiClient.layer({
          name: "test",
          baseUrl: server.url,
          pipeline: yield* Pipeline.make({ operation: Operation.read, retry })
        })
        const answer = yield* Effect.flatMap(
          HttpClient.HttpClient,
          (client) => client.put("/f", { body: HttpBody.stream(oneShot()) })
        ).pipe(Effect.provide(Layer.provide(ours, layer)))
        expect([answer.status, server.arrived.map(({ body }) => body)]).toEqual([503, [
          "once only"
        ]])
      }))

    it.scopedLive("a declared length and replayable are sent again, whole", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(503))
        const client = yield* make(server.url)
        const stream = Stream.make(chunk("again "), chunk("and again"))
        yield* failureOf(
          client.put("/f", { body: HttpBody.stream(stream, "text/plain", 15) })
        )
        yield* failureOf(
          client.execute(
            HttpClientRequest.put("/f", { body: HttpBody.stream(stream, "text/plain") }).pipe(
              ApiClient.replayable,
              HttpClientRequest.setHeader("x-later", "1")
            )
          )
        )
        expect(server.arrived.map(({ body, complete }) => [body, complete])).toEqual(
          Array.from({ length: 4 }, () => ["again and again", true])
        )
      }))

    it.scopedLive("a body of another length than declared is broken off, never completed", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(201))
        const client = yield* make(server.url)
        const texts = [["too short"], ["exactly 20 bytes yes", "!"], [
          "much, much longer than this"
        ]]
        const errors = yield* Effect.forEach(texts, (parts) =>
          failureOf(
            client.put("/f", {
              body: HttpBody.stream(Stream.fromIterable(parts.map(chunk)), "text/plain", 20)
            })
          ))
        expect(errors.map((error) => ["code" in error && error.code, ApiError.verdict(error)._tag]))
          .toEqual(errors.map(() => ["body_length", "Terminal"]))
        yield* until(() => server.arrived.every(({ ended }) => ended))
        expect(server.arrived.map(({ complete }) => complete)).not.toContain(true)
      }))

    it.scopedLive("a second run that yields less is broken off", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(503))
        const client = yield* make(server.url)
        const error = yield* failureOf(
          client.put("/f", { body: HttpBody.stream(oneShot(), "text/plain", 9) })
        )
        expect(error).toMatchObject({ code: "body_length" })
        yield* until(() => server.arrived.every(({ ended }) => ended))
        expect(server.arrived.filter(({ complete }) => complete).length).toBe(1)
      }))

    it.scopedLive("a stream that fails is broken off and final", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(201))
        const client = yield* make(server.url)
        const body = HttpBody.stream(
          Stream.concat(Stream.make(chunk("half")), Stream.fail("disk error")),
          "text/plain",
          9
        )
        expect(yield* failureOf(client.put("/f", { body }))).toMatchObject({ code: "body_failed" })
        yield* until(() => server.arrived.every(({ ended }) => ended))
        expect(server.arrived.map(({ complete }) => complete)).not.toContain(true)
      }))

    it.scopedLive("a form has the same bytes and boundary on every attempt", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(503))
        const client = yield* make(server.url)
        const form = new FormData()
        form.set("name", "value")
        form.set("file", new Blob(["contents"]), "a.txt")
        yield* failureOf(client.put("/f", { body: HttpBody.formData(form) }))
        const [first, second] = server.arrived
        expect(server.arrived.length).toBe(2)
        expect(first?.headers["content-type"]).toMatch(/^multipart\/form-data; ?boundary=/)
        expect([second?.headers["content-type"], second?.body]).toEqual([
          first?.headers["content-type"],
          first?.body
        ])
        expect(first?.body).toMatch(/contents/)
      }))

    it.scopedLive("text, bytes, URL parameters and a Blob are sent again", () =>
      Effect.gen(function*() {
        const server = yield* listening(status(503))
        const client = yield* make(server.url)
        const bodies = [
          HttpBody.text("text"),
          HttpBody.uint8Array(chunk("bytes")),
          HttpBody.raw("raw"),
          HttpBody.fileWeb(new File(["blob"], "a.txt"))
        ]
        yield* Effect.forEach(bodies, (body) => failureOf(client.put("/f", { body })))
        expect(server.arrived.map(({ body }) => body)).toEqual(
          ["text", "text", "bytes", "bytes", "raw", "raw", "blob", "blob"]
        )
      }))
  })
}

it.effect("E23: two requests never read one stream at the same time", () =>
  Effect.gen(function*() {
    let sent = 0
    const below = HttpClient.make((request) =>
      Effect.suspend(() => {
        sent++
        return request.body._tag === "Stream"
          ? Effect.as(
            Effect.orDie(Stream.runDrain(request.body.stream)),
            HttpClientResponse.fromWeb(request, new Response(""))
          )
          : Effect.die("a stream was expected")
      })
    )
    const client = yield* Effect.provideService(
      ApiClient.make({ name: "test", baseUrl: "http://api.example.com" }),
      HttpClient.HttpClient,
      below
    )
    const request = HttpClientRequest.put("/f", { body: HttpBody.stream(oneShot()) })
    const both = yield* Effect.all(
      [Effect.either(client.execute(request)), Effect.either(client.execute(request))],
      { concurrency: 2 }
    )
    expect([both.map(({ _tag }) => _tag), sent]).toEqual([["Right", "Left"], 1])
  }))
