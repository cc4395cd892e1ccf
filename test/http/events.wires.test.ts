import { HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { ApiClient, ApiError, Backoff, CircuitBreaker } from "effect-resilience"
import { serve } from "../support/servers.js"
import { turn, until } from "../support/turns.js"
import {
  between,
  broken,
  collected,
  dataOf,
  event,
  get,
  silent,
  sse,
  whole,
  wires
} from "./events.js"

const fast = { retryWait: "1 millis" } as const
const retry = { retries: 2, backoff: Backoff.constant(0) }

for (const [name, wire] of Object.entries(wires)) {
  describe(`events over ${name}`, () => {
    it.scopedLive("a server that breaks off after two events: nothing lost, nothing twice", () =>
      Effect.gen(function*() {
        const { client, server } = yield* between(wire, (response, { headers }) => {
          const last = Number(headers["last-event-id"] ?? 0)
          const two = event(last + 1) + event(last + 2)
          if (last < 8) broken(response, `${two}id: 99\ndata: half`)
          else whole(response, two)
        })
        const { error, items } = yield* collected(ApiClient.events(client, get, fast))
        expect([dataOf(items), error]).toEqual(["e1 e2 e3 e4 e5 e6 e7 e8 e9 e10", undefined])
        expect(items[2]).toEqual({ id: "3", event: "message", data: "e3" })
        expect(server.requests.map(({ headers }) => headers["last-event-id"])).toEqual(
          [undefined, "2", "4", "6", "8"]
        )
        expect(server.requests[0]?.headers.accept).toBe(sse)
      }))

    it.scopedLive("an idle stream ends by its limit, and its connection is closed", () =>
      Effect.gen(function*() {
        const { client, closed } = yield* between(wire, (response) => silent(response, event(1)))
        const { error, items } = yield* collected(
          ApiClient.events(client, get, { idleTimeout: "100 millis" })
        )
        expect(dataOf(items)).toBe("e1")
        expect(error).toMatchObject({
          _tag: "Timeout",
          deadline: "attempt",
          message: "The stream was silent for 100ms (GET /v1/feed, after 1 event)",
          endpoint: "/v1/feed",
          method: "GET",
          status: 200
        })
        expect(ApiError.mayHaveRun(error)).toBe(true)
        yield* until(() => closed.length === 1)
      }))

    it.scopedLive("comments keep an idle stream alive, until the total", () =>
      Effect.gen(function*() {
        const { client } = yield* between(wire, (response) => {
          silent(response, event(1))
          const timer = setInterval(() => response.write(":\n"), 40)
          response.on("close", () => clearInterval(timer))
        })
        const { error } = yield* collected(
          ApiClient.events(client, get, { idleTimeout: "250 millis", totalTimeout: "700 millis" })
        )
        expect(error).toMatchObject({
          _tag: "Timeout",
          deadline: "total",
          message: "The stream did not end within 700ms (GET /v1/feed, after 1 event)"
        })
      }))

    it.scopedLive("the pipeline tries again until the first event, and its breaker sees why", () =>
      Effect.gen(function*() {
        const { client, closed, server } = yield* between(wire, (response, _, index) => {
          if (index === 0) return void response.writeHead(503).end()
          if (index === 1) return broken(response, "data: half\n")
          if (index === 2) return silent(response, "data: half\n")
          whole(response, event(1))
        }, { retry: { ...retry, retries: 3 }, attemptTimeout: "300 millis" })
        const { error, items } = yield* collected(ApiClient.events(client, get))
        expect([dataOf(items), error, server.requests.length]).toEqual(["e1", undefined, 4])
        yield* until(() => closed.includes(2))
        const guarded = yield* between(wire, (response) => broken(response, ":"), {
          circuitBreaker: { minimumCalls: 2, window: CircuitBreaker.count(2) }
        })
        const call = collected(ApiClient.events(guarded.client, get))
        const tags = [yield* call, yield* call, yield* call].map(({ error }) => error?._tag)
        expect(tags).toEqual(["Server", "Server", "CircuitOpen"])
      }))

    it.scopedLive("a connection that is gone right after its head is never a silent end", () =>
      Effect.gen(function*() {
        const { client } = yield* between(wire, (response, { url }) => {
          if (url === "/comment") return broken(response, ":")
          response.writeHead(200, { "content-type": sse }).flushHeaders()
          if (url === "/now") response.destroy()
          else setImmediate(() => response.destroy())
        })
        for (const path of ["/comment", "/now", "/soon"]) {
          for (const start of ["first", "head"] as const) {
            for (let n = 0; n < 10; n++) {
              const { error } = yield* collected(
                ApiClient.events(client, HttpClientRequest.get(path), { start, resume: false })
              )
              expect(["Server", "Network"]).toContain(error?._tag)
            }
          }
        }
      }))

    it.scopedLive("a connection that is gone before its body is read is no silent end either", () =>
      Effect.gen(function*() {
        let gone = 0
        const server = yield* serve((response) => {
          response.on("close", () => gone++)
          broken(response, event(1))
        })
        const upstream = yield* Effect.provide(HttpClient.HttpClient, yield* Layer.build(wire))
        const late = Effect.zipRight(until(() => gone > 0), Effect.repeatN(turn, 50))
        const client = yield* Effect.provideService(
          ApiClient.make({ name: "feed", baseUrl: server.url }),
          HttpClient.HttpClient,
          HttpClient.transformResponse(upstream, Effect.tap(late))
        )
        const { error } = yield* collected(ApiClient.events(client, get, { resume: false }))
        expect(error).toMatchObject({ _tag: "Server", code: "unreadable_response" })
      }))

    it.scopedLive("a consumer that stops early closes the connection before it goes on", () =>
      Effect.gen(function*() {
        const { client, closed } = yield* between(
          wire,
          (response) => silent(response, event(1) + event(2))
        )
        const first = yield* Stream.runHead(ApiClient.events(client, get))
        expect(first).toMatchObject({ _tag: "Some", value: { data: "e1" } })
        yield* until(() => closed.length === 1)
      }))

    it.scopedLive("a consumer that is interrupted closes the connection: reading, waiting, opening", () =>
      Effect.gen(function*() {
        const { client, closed, server } = yield* between(wire, (response, { url }) => {
          if (url === "/opening") return silent(response, "")
          if (url === "/waiting") return broken(response, event(1))
          silent(response, event(1))
        })
        const interrupted = (path: string, given: boolean) =>
          Effect.gen(function*() {
            const before = server.requests.length
            const got = yield* Deferred.make<void>()
            const fiber = yield* Effect.fork(Stream.runForEach(
              ApiClient.events(client, HttpClientRequest.get(path)),
              () => Deferred.succeed(got, undefined)
            ))
            yield* given
              ? Deferred.await(got)
              : until(() => server.requests.length > before)
            yield* turn
            yield* Fiber.interrupt(fiber)
            yield* until(() => closed.length === before + 1)
          })
        yield* interrupted("/reading", true)
        yield* interrupted("/waiting", true)
        yield* interrupted("/opening", false)
        expect(server.requests.length).toBe(3)
      }))

    it.scopedLive("the end: of the body, of `until`, a 204; another content type is no stream", () =>
      Effect.gen(function*() {
        const { client, closed, server } = yield* between(wire, (response, { url }, index) => {
          if (url === "/204") return void response.writeHead(204).end()
          if (url === "/html") return silent(response, "<p>SENTINEL", "text/html; charset=utf-8")
          if (url === "/none") return whole(response, "")
          if (url === "/until") return silent(response, event(1) + "data: [DONE]\n\n" + event(2))
          if (index > 4) return void response.writeHead(204).end()
          whole(response, event(1))
        }, { retry })
        const run = (path: string, options: ApiClient.EventsOptions = fast) =>
          collected(ApiClient.events(client, HttpClientRequest.get(path), options))
        const done = { until: ({ data }: ApiClient.Event) => data === "[DONE]", ...fast }
        expect(yield* run("/204", done)).toEqual({ items: [], error: undefined })
        expect(yield* run("/none")).toEqual({ items: [], error: undefined })
        const ended = yield* run("/until", done)
        expect([dataOf(ended.items), ended.error]).toEqual(["e1 [DONE]", undefined])
        yield* until(() => closed.includes(2))
        const html = yield* run("/html")
        expect(html.error).toMatchObject({
          _tag: "Server",
          code: "unexpected_response",
          message: "The API answered 200, but its body is not of the expected form: " +
            "its content type is text/html (feed GET /html, HTTP 200, 1 attempt, " +
            "not repeated: another try would fail the same way)"
        })
        expect([ApiError.verdict(html.error)._tag, ApiError.mayHaveRun(html.error)]).toEqual(
          ["Terminal", true]
        )
        yield* until(() => closed.includes(3))
        // Every end is a break; the 204 is the server's own end.
        const all = yield* run("/feed", { until: () => false, ...fast })
        expect([dataOf(all.items), all.error, server.requests.length]).toEqual(["e1", undefined, 6])
      }))

    it.scopedLive("the body is read when the consumer wants more", () =>
      Effect.gen(function*() {
        const all = 100_000_000
        let sent = 0
        let blockedTurns = 0
        const { client } = yield* between(wire, (response) => {
          response.writeHead(200, { "content-type": sse })
          const piece = event(1, "x".repeat(64_000))
          const more = (): void => {
            if (sent >= all) return
            sent += piece.length
            if (response.write(piece)) return void setImmediate(more)
            const watch = setInterval(() => blockedTurns++, 1)
            response.once("drain", () => {
              clearInterval(watch)
              blockedTurns = 0
              more()
            })
            response.on("close", () => clearInterval(watch))
          }
          more()
        })
        yield* Stream.runForEachWhile(
          ApiClient.events(client, get),
          () => Effect.as(until(() => blockedTurns > 100 || sent >= all), false)
        )
        // What fits into the buffers of two sockets is sent ahead, and no more.
        expect(sent).toBeLessThan(all / 4)
      }))

    it.scopedLive("of hedges one is read, and the other is closed", () =>
      Effect.gen(function*() {
        const { client, closed, server } = yield* between(wire, (response, _, index) => {
          if (index === 0) return silent(response, ":\n")
          whole(response, event(2))
        }, { hedge: { delay: "50 millis" } })
        const { error, items } = yield* collected(ApiClient.events(client, get))
        expect([dataOf(items), error, server.requests.length]).toEqual(["e2", undefined, 2])
        yield* until(() => closed.includes(0))
      }))
  })
}
