import { type HttpApp, HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Net from "node:net"
import * as HttpDate from "../../src/core/httpDate.js"
import { eventually } from "../support/turns.js"
import { ask, created, createdBody, keys, outcome, serve } from "./flakyApi.js"

describe("a good day", () => {
  it.scopedLive("the app answers, and the server keeps count", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      const seen = yield* ask(api, { path: "/v1/things?secret=1", key: "row-1" })
      expect(seen).toMatchObject({ status: 201, body: createdBody, error: undefined })
      expect(seen.headers["content-type"]).toBe("application/json")
      expect(yield* api.received).toMatchObject([
        { index: 0, attempt: 1, method: "POST", path: "/v1/things", fault: FlakyApi.none }
      ])
      expect(yield* api.executed).toMatchObject([{
        method: "POST",
        path: "/v1/things",
        status: 201
      }])
      expect(keys(yield* api.received)).toEqual(["row-1"])
      expect(keys(yield* api.executed)).toEqual(["row-1"])
    }))

  it.scopedLive("keys appear in no rendering of the records", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "a-secret-key" })
      expect(JSON.stringify([yield* api.received, yield* api.executed])).not.toContain(
        "a-secret-key"
      )
    }))

  it.scopedLive("a router, its services and its scope are an app like any other", () => {
    class Greeting extends Context.Tag("Greeting")<Greeting, string>() {}
    const closed: Array<string> = []
    const app = HttpRouter.empty.pipe(
      HttpRouter.get(
        "/greeting",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.sync(() => closed.push("closed")))
          return HttpServerResponse.stream(
            Stream.make("Hello", yield* Greeting).pipe(Stream.encodeText),
            {
              contentType: "text/plain"
            }
          )
        })
      )
    )
    return Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app })
      expect(yield* ask(api, { method: "GET", path: "/greeting" })).toMatchObject({
        status: 200,
        body: "Hello world"
      })
      expect(closed).toEqual(["closed"])
      expect(yield* ask(api, { method: "GET", path: "/elsewhere" })).toMatchObject({ status: 404 })
    }).pipe(Effect.provideService(Greeting, " world"))
  })

  it.scopedLive("a handler that fails or dies is a 500, and the server goes on", () =>
    Effect.gen(function*() {
      const exits: Array<HttpApp.Default<unknown>> = [
        Effect.fail("no"),
        Effect.die("never"),
        created
      ]
      const api = yield* FlakyApi.make({ app: Effect.suspend(() => exits.shift() ?? created) })
      expect([outcome(yield* ask(api)), outcome(yield* ask(api)), outcome(yield* ask(api))])
        .toEqual([500, 500, 201])
      expect((yield* api.executed).map(({ status }) => status)).toEqual([500, 500, 201])
    }))

  it.scopedLive("the handler reads the request", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          Effect.map(request.text, (text) => HttpServerResponse.text(text.toUpperCase())))
      })
      expect(yield* ask(api, { body: "hello" })).toMatchObject({ status: 200, body: "HELLO" })
    }))
})

describe("faults on the wire", () => {
  const statuses: ReadonlyArray<readonly [string, FlakyApi.Fault, number]> = [
    ["rateLimited", FlakyApi.rateLimited(), 429],
    ["serverError", FlakyApi.serverError(), 500],
    ["badGateway", FlakyApi.badGateway(), 502],
    ["unavailable", FlakyApi.unavailable(), 503],
    ["gatewayTimeout", FlakyApi.gatewayTimeout(), 504],
    ["status", FlakyApi.status(418), 418]
  ]
  for (const [name, fault, status] of statuses) {
    it.scopedLive(`${name} is a ${status} problem document, and nothing was executed`, () =>
      Effect.gen(function*() {
        const api = yield* serve([fault])
        const seen = yield* ask(api)
        expect(seen.status).toBe(status)
        expect(seen.headers["content-type"]).toBe("application/problem+json")
        expect(seen.headers["retry-after"]).toBe(undefined)
        expect(JSON.parse(seen.body)).toMatchObject({ status })
        expect(yield* api.executed).toEqual([])
      }))
  }

  it.scopedLive("a status after the execution hides that the call was executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.gatewayTimeout({ when: "after" })])
      expect(outcome(yield* ask(api, { key: "row-1" }))).toBe(504)
      expect(yield* api.executed).toMatchObject([{ status: 201 }])
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({ status: 201, body: createdBody })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scoped("E10: Retry-After is digits, an HTTP-date, or an HTTP-date that far from the Clock's now", () =>
    Effect.gen(function*() {
      const api = yield* serve([
        FlakyApi.rateLimited({ retryAfter: 7 }),
        FlakyApi.unavailable({ retryAfter: new Date(784_111_777_000) }),
        FlakyApi.unavailable({ retryAfter: { dateIn: "1500 millis" } }),
        FlakyApi.rateLimited({ retryAfter: 7, headers: { "Retry-After": "-5" } })
      ])
      yield* TestClock.setTime(1_000_000)
      const values = [yield* ask(api), yield* ask(api), yield* ask(api), yield* ask(api)].map((
        { headers }
      ) => headers)
      expect(values.map((headers) => headers["retry-after"])).toEqual([
        "7",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Thu, 01 Jan 1970 00:16:42 GMT",
        "-5"
      ])
      expect(HttpDate.parse(values[1]?.["retry-after"] ?? "", 0)).toBe(784_111_777_000)
      // 1000 s and 1.5 s, rounded up: never sooner than it was meant.
      expect(HttpDate.parse(values[2]?.["retry-after"] ?? "", 0)).toBe(1_002_000)
      expect(HttpDate.parse(values[2]?.date ?? "", 0)).toBe(1_000_000)
    }))

  it.scopedLive("a body and headers of one's own", () =>
    Effect.gen(function*() {
      const api = yield* serve([
        FlakyApi.status(400, {
          body: "<no>",
          headers: { "Content-Type": "text/xml", "x-request-id": "r1" }
        })
      ])
      const seen = yield* ask(api)
      expect(seen).toMatchObject({ status: 400, body: "<no>" })
      expect(seen.headers).toMatchObject({ "content-type": "text/xml", "x-request-id": "r1" })
    }))

  it.scopedLive("htmlPage is HTML where JSON was expected", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.htmlPage(), FlakyApi.htmlPage(503, { retryAfter: 1 })])
      const first = yield* ask(api)
      expect(first).toMatchObject({ status: 502, body: expect.stringMatching(/^<!DOCTYPE html>/) })
      expect(first.headers["content-type"]).toBe("text/html; charset=utf-8")
      const second = yield* ask(api)
      expect([second.status, second.headers["retry-after"]]).toEqual([503, "1"])
    }))

  it.scopedLive("reset before: ECONNRESET, not executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset()])
      expect(yield* ask(api)).toMatchObject({ status: undefined, error: "ECONNRESET" })
      expect(yield* api.executed).toEqual([])
      expect(yield* ask(api)).toMatchObject({ status: 201 })
    }))

  it.scopedLive("reset after: ECONNRESET, executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset({ when: "after" })])
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({
        status: undefined,
        error: "ECONNRESET"
      })
      expect(yield* api.executed).toHaveLength(1)
      expect((yield* ask(api, { key: "row-1" })).headers["idempotent-replayed"]).toBe("true")
    }))

  it.scopedLive("reset afterHeaders: status and half of the body, then ECONNRESET", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset({ when: "afterHeaders" })])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({
        status: 201,
        error: "ECONNRESET",
        body: createdBody.slice(0, 12)
      })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("a reset is an RST and no orderly end", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.reset(), FlakyApi.reset({ when: "after" })])
      const events = Effect.async<ReadonlyArray<string>>((resume) => {
        const seen: Array<string> = []
        const socket = Net.connect(api.port, "127.0.0.1")
        socket.on("data", () => seen.push("data")).on("end", () => seen.push("end"))
        socket.on("error", (error: NodeJS.ErrnoException) => seen.push(String(error.code)))
        socket.on("close", () => resume(Effect.succeed(seen)))
        socket.write("GET / HTTP/1.1\r\nHost: here\r\n\r\n")
      })
      expect(yield* events).toEqual(["ECONNRESET"])
      expect(yield* events).toEqual(["ECONNRESET"])
    }))

  it.scopedLive("truncated: the connection ends before the body is as long as promised", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.truncated])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({ status: 201, error: "ECONNRESET" })
      expect(Number(seen.headers["content-length"])).toBeGreaterThan(seen.body.length)
      expect(createdBody.startsWith(seen.body)).toBe(true)
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("an answer without a body can be truncated too", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: Effect.succeed(HttpServerResponse.empty({ status: 200 })),
        script: FlakyApi.sequence([FlakyApi.truncated, FlakyApi.reset({ when: "afterHeaders" })])
      })
      expect(yield* ask(api)).toMatchObject({ status: 200, error: "ECONNRESET" })
      expect(yield* ask(api)).toMatchObject({ status: 200, error: "ECONNRESET" })
    }))

  it.scopedLive("malformed: complete, of the right status, and no JSON", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.malformed])
      const seen = yield* ask(api, { key: "row-1" })
      expect(seen).toMatchObject({ status: 201, error: undefined })
      expect(seen.headers["content-type"]).toBe("application/json")
      expect(() => JSON.parse(seen.body) as unknown).toThrow(SyntaxError)
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scoped("slowHeaders: executed at once, answered when the delay has passed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.slowHeaders("1 hour")])
      const fiber = yield* Effect.fork(ask(api))
      yield* eventually(TestClock.sleeps(), (sleeps) => Chunk.isNonEmpty(sleeps))
      expect(yield* api.executed).toHaveLength(1)
      expect(yield* Fiber.poll(fiber)).toEqual(Option.none())
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(fiber)).toMatchObject({ status: 201, body: createdBody })
    }))

  it.scoped("slowBody: the headers and half of the body at once, the rest when the delay has passed", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.slowBody("1 hour")])
      const response = yield* Effect.promise(() =>
        fetch(`${api.url}/v1/things`, { method: "POST" })
      )
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      const read = Effect.promise(async () => (await reader?.read())?.value)
      expect(yield* read).toBe(createdBody.slice(0, 12))
      yield* eventually(TestClock.sleeps(), (sleeps) => Chunk.isNonEmpty(sleeps))
      yield* TestClock.adjust("1 hour")
      expect(yield* read).toBe(createdBody.slice(12))
      expect(yield* read).toBe(undefined)
    }))

  it.scopedLive("refused: this connection is reset, the next are refused, and then all is well", () =>
    Effect.gen(function*() {
      const api = yield* serve([FlakyApi.refused("50 millis")])
      expect(outcome(yield* ask(api))).toBe("ECONNRESET")
      expect(outcome(yield* ask(api))).toBe("ECONNREFUSED")
      expect(outcome(yield* eventually(ask(api), (seen) => seen.status !== undefined))).toBe(201)
      expect((yield* api.received).map(({ fault }) => fault._tag).slice(0, 2)).toEqual([
        "Refused",
        "None"
      ])
    }))
})
