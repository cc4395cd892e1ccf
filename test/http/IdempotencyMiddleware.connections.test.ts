import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, TestClock } from "effect"
import * as Net from "node:net"
import { serveApp } from "../support/servers.js"
import { until } from "../support/turns.js"
import { gated, half, memory, protect, watched } from "./idempotencyMiddleware.js"
import { answerOf, counting, created, problemOf, send, withCookie } from "./idempotentApp.js"

describe("interruption", () => {
  it.effect("I44: an interrupted handler leaves its claim held, and the next is not a second run", () =>
    Effect.gen(function*() {
      const { app, begun, runs } = yield* gated
      const short = protect({ lease: "10 seconds" })(app)
      const first = yield* Effect.fork(send(short, { key: "k" }))
      yield* begun
      yield* Fiber.interrupt(first)
      expect(problemOf(yield* send(short, { key: "k" })).type).toBe("in-flight")
      yield* TestClock.adjust("10 seconds")
      expect(problemOf(yield* send(short, { key: "k" })).type).toBe("unknown-outcome")
      expect(runs).toEqual([])
    }).pipe(Effect.provide(memory), Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("I25: interrupted while the body is read, nothing is claimed", () => {
    const { calls, layer } = watched()
    return Effect.gen(function*() {
      const { app } = counting()
      const body = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) })
      const request = new Request("http://shop.example/", {
        method: "POST",
        body,
        headers: { "idempotency-key": "k" },
        ...half
      })
      const sending = yield* Effect.fork(
        Effect.uninterruptible(protect()(app)).pipe(
          Effect.provideService(
            HttpServerRequest.HttpServerRequest,
            HttpServerRequest.fromWeb(request)
          )
        )
      )
      yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(sending)
      expect([Exit.isInterrupted(exit), calls]).toEqual([true, []])
    }).pipe(Effect.provide(layer))
  })

  /** A raw client that sends a request and goes away. */
  const sendAndLeave = (url: string, path: string, key: string) =>
    Effect.async<Net.Socket>((resume) => {
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`
        )
        resume(Effect.succeed(socket))
      })
    })

  const post = (url: string, key: string) =>
    Effect.promise(() =>
      fetch(url, { method: "POST", headers: { "idempotency-key": key } }).then(answerOf)
    )

  it.live("I44: a client that goes away stops an interruptible route, and the claim is held", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const slow = Effect.sync(() => events.push("begun")).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => events.push("stopped")))
      )
      const router = HttpRouter.empty.pipe(HttpRouter.post("/slow", protect()(slow)))
      const url = yield* serveApp(router)
      const socket = yield* sendAndLeave(url, "/slow", "k")
      yield* until(() => events.includes("begun"))
      socket.destroy()
      yield* until(() => events.includes("stopped"))
      expect(problemOf(yield* post(`${url}/slow`, "k")).type).toBe("in-flight")
      expect(events).toEqual(["begun", "stopped"])
    }).pipe(
      Effect.scoped,
      Effect.provide(memory),
      Effect.provide(Logger.remove(Logger.defaultLogger))
    ))

  it.live("I44: a handler that is not interruptible runs to its end, and the next request is a replay", () =>
    Effect.gen(function*() {
      const { app, begun, open, runs } = yield* gated
      const url = yield* serveApp(protect()(app))
      const socket = yield* sendAndLeave(url, "/", "k")
      yield* begun
      socket.destroy()
      yield* open
      yield* until(() => runs.length === 1)
      yield* Effect.yieldNow()
      const answer = yield* post(url, "k")
      expect([answer.status, answer.replayed, runs]).toEqual([201, "true", [1]])
    }).pipe(Effect.scoped, Effect.provide(memory)))
})

describe("a real server", () => {
  it.live("I40, I41: the same POST fifty times at once is executed once, and every answer is the first, a replay or 409", () =>
    Effect.gen(function*() {
      const { app, runs } = counting((run) => withCookie(created(run)))
      const slow = Effect.zipLeft(app, Effect.sleep("50 millis"))
      const url = yield* serveApp(
        HttpRouter.empty.pipe(HttpRouter.post("/charge", protect()(slow)))
      )
      const post = Effect.promise(() =>
        fetch(`${url}/charge`, {
          method: "POST",
          body: "{\"amount\":1}",
          headers: { "idempotency-key": "order-1" }
        })
          .then(answerOf)
      )
      const burst = yield* Effect.all(Effect.replicate(post, 50), { concurrency: "unbounded" })
      const first = burst.filter(({ replayed, status }) => status === 201 && replayed === null)
      const late = yield* post
      expect(runs).toEqual([1])
      expect(first.map(({ body, cookies }) => [body, cookies])).toEqual([["{\"receipt\":1}", [
        "session=s1; Path=/"
      ]]])
      expect(
        burst.filter(({ status }) => status !== 201).every((answer) =>
          problemOf(answer).type === "in-flight"
        )
      )
        .toBe(true)
      expect([late.status, late.body, late.replayed, late.cookies, late.headers.get("location")])
        .toEqual(
          [201, "{\"receipt\":1}", "true", [], "/receipts/1"]
        )
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I22: fifty at once that wait are all answered with the one receipt", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const slow = Effect.zipLeft(app, Effect.sleep("50 millis"))
      const url = yield* serveApp(protect({ onDuplicate: { wait: "10 seconds" } })(slow))
      const post = Effect.promise(() =>
        fetch(url, { method: "POST", body: "1", headers: { "idempotency-key": "order-1" } }).then(
          answerOf
        )
      )
      const burst = yield* Effect.all(Effect.replicate(post, 50), { concurrency: "unbounded" })
      expect(runs).toEqual([1])
      expect(new Set(burst.map(({ body, status }) => `${status} ${body}`))).toEqual(
        new Set(["201 {\"receipt\":1}"])
      )
      expect(burst.filter(({ replayed }) => replayed === null)).toHaveLength(1)
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I40: a key that is sent twice is refused, and one with a comma is a key", () =>
    Effect.gen(function*() {
      const { app, runs } = counting()
      const url = yield* serveApp(protect()(app))
      const statusOf = (lines: ReadonlyArray<string>) =>
        Effect.async<string>((resume) => {
          const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
            socket.write(
              [
                "POST / HTTP/1.1",
                "Host: x",
                ...lines,
                "Connection: close",
                "Content-Length: 0",
                "",
                ""
              ].join("\r\n")
            )
          })
          let text = ""
          socket.on("data", (data: Buffer) => text += data.toString())
          socket.on("close", () => resume(Effect.succeed(text.slice(9, 12))))
        })
      expect(
        yield* Effect.all([
          statusOf(["Idempotency-Key: a", "idempotency-key: a"]),
          statusOf(["Idempotency-Key: a", "Idempotency-Key: b"]),
          statusOf(["Idempotency-Key: a, b"]),
          statusOf(["Idempotency-Key:"])
        ])
      ).toEqual(["400", "400", "201", "400"])
      expect(runs).toEqual([1])
    }).pipe(Effect.scoped, Effect.provide(memory)))

  it.live("I43: the handler still reaches Node's own request and response", () =>
    Effect.gen(function*() {
      const app = Effect.map(
        HttpServerRequest.HttpServerRequest,
        (request) =>
          HttpServerResponse.unsafeJson([
            NodeHttpServerRequest.toIncomingMessage(request).httpVersion,
            NodeHttpServerRequest.toServerResponse(request).headersSent
          ])
      )
      const url = yield* serveApp(protect()(app))
      expect(
        (yield* Effect.promise(() =>
          fetch(url, { method: "POST", headers: { "idempotency-key": "k" } }).then(answerOf)
        )).body
      ).toBe("[\"1.1\",false]")
    }).pipe(Effect.scoped, Effect.provide(memory)))
})
