import { HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, TestClock } from "effect"
import { ApiClient, IdempotencyKey } from "effect-resilience"
import { serve } from "../support/servers.js"
import { recorder } from "../support/spans.js"
import { someKey } from "./apiClient.js"
import { failureOf, over, range, type Reply, reply, retrying, transports } from "./support.js"

describe("spans", () => {
  const traced = (replies: ReadonlyArray<Reply>, request: HttpClientRequest.HttpClientRequest) =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { client, sent } = yield* over(replies)
      const exit = yield* client.execute(request).pipe(
        IdempotencyKey.provide(someKey),
        Effect.exit,
        Effect.withTracer(tracer),
        Effect.withTracerEnabled(true)
      )
      return { spans, sent, exit }
    })
  const values = (attributes: Map<string, unknown>) => Array.from(attributes.values())
  const named = (attributes: Map<string, unknown>, name: RegExp) =>
    Array.from(attributes).filter(([key]) => name.test(key)).map(([, value]) => value)

  it.effect("E25: one span for the call and one for each attempt, and none of the platform's", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        [reply(503), reply(503), reply(200)],
        HttpClientRequest.get("/v1/things/7?a=1")
      )
      const [call, ...attempts] = spans
      expect(spans.filter(({ name }) => name.startsWith("http.client "))).toEqual([])
      expect(attempts.map(({ parent }) => parent)).toEqual(range(1, 3).map(() => call?.spanId))
      expect(spans.map(({ exit }) => exit !== undefined)).toEqual([true, true, true, true])
      const forbidden = /^(url\.|http\.request\.header|http\.response\.header|server\.)/
      expect(
        spans.flatMap(({ attributes }) => Array.from(attributes.keys())).filter((key) =>
          forbidden.test(key)
        )
      )
        .toEqual([])
    }))

  it.effect("E25: number, template, status and verdict on each attempt, the total on the call", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        [reply(503), reply(429), reply(404)],
        HttpClientRequest.get("/v1/things/7")
      )
      const [call, ...attempts] = spans
      expect(attempts.map(({ attributes }) => named(attributes, /attempt/i))).toEqual([[1], [2], [
        3
      ]])
      for (const { attributes } of spans) expect(values(attributes)).toContain("/v1/things/:id")
      expect(attempts.map(({ attributes }) => named(attributes, /verdict/i).length)).toEqual([
        1,
        1,
        1
      ])
      const verdicts = attempts.map(({ attributes }) =>
        String(named(attributes, /verdict/i)[0]).toLowerCase()
      )
      expect(verdicts.map((verdict) => /transient|terminal/.exec(verdict)?.[0])).toEqual(
        ["transient", "transient", "terminal"]
      )
      expect(attempts.map(({ attributes }) => named(attributes, /status/i))).toEqual([
        [503],
        [429],
        [404]
      ])
      expect(named(call!.attributes, /attempts/i)).toContain(3)
    }))

  it.effect("E25: the delay on the attempt", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { client } = yield* over([reply(429, "", { "retry-after": "3" }), reply(200)])
      const fiber = yield* Effect.fork(
        client.get("/").pipe(Effect.withTracer(tracer), Effect.withTracerEnabled(true))
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      const delays = spans.flatMap(({ attributes }) => named(attributes, /delay/i))
      expect(delays.map(String).some((delay) => /^3(000)?(ms|s)?$/.test(delay))).toBe(true)
    }))

  it.effect("E25, T3: the key as its fingerprint, the same on every attempt", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced([reply(503)], HttpClientRequest.post("/v1/things"))
      const kids = spans.slice(1).map(({ attributes }) => named(attributes, /kid|key/i))
      expect(kids.flat().length).toBe(3)
      expect(new Set(kids.flat()).size).toBe(1)
      expect(kids[0]?.[0]).toMatch(/^[0-9a-f]{16,}$/)
      expect(JSON.stringify(spans.map(({ attributes }) => values(attributes)))).not.toContain(
        "row-1"
      )
    }))

  it.effect("R14: the reason for stopping is on the call", () =>
    Effect.gen(function*() {
      const reason = (
        replies: ReadonlyArray<Reply>,
        request: HttpClientRequest.HttpClientRequest
      ) =>
        Effect.map(
          traced(replies, request),
          ({ spans }) => spans.flatMap(({ attributes }) => values(attributes))
        )
      expect(yield* reason([reply(404)], HttpClientRequest.get("/"))).toContain("terminal")
      expect(yield* reason([reply(503)], HttpClientRequest.get("/"))).toContain("retries")
      expect(yield* reason([reply(429, "", { "retry-after": "999" })], HttpClientRequest.get("/")))
        .toContain(
          "retryAfter"
        )
    }))

  it.effect("E25, T1: no query, no credential, no body in any attribute or event", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.post("/v1/things?token=SENTINEL-1").pipe(
        HttpClientRequest.setHeaders({
          authorization: "Bearer SENTINEL-2",
          cookie: "a=SENTINEL-3"
        }),
        HttpClientRequest.setUrlParam("plain", "SENTINEL-4"),
        HttpClientRequest.bodyUnsafeJson({ name: "SENTINEL-5" })
      )
      const { exit, spans } = yield* traced(
        [reply(503, { error: "SENTINEL-2" }, { "set-cookie": "a=SENTINEL-6" })],
        request
      )
      expect(Exit.isFailure(exit)).toBe(true)
      const seen = spans.map(({ attributes, events, exit, name }) => [
        name,
        Array.from(attributes),
        events,
        JSON.stringify(exit),
        exit && Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
      ])
      expect(JSON.stringify(seen)).not.toMatch(/SENTINEL/)
    }))

  for (const [name, layer] of Object.entries(transports)) {
    it.scopedLive(`E25: the trace goes on at the server, with ${name}, under the span of each attempt`, () =>
      Effect.gen(function*() {
        const { spans, tracer } = recorder()
        const wire = yield* serve((response) => response.writeHead(503).end())
        const client = yield* ApiClient.make({
          name: "test",
          baseUrl: wire.url,
          pipeline: yield* retrying()
        })
        yield* failureOf(client.get("/v1/things")).pipe(Effect.withTracer(tracer))
        const [, ...attempts] = spans
        expect(
          wire.requests.map(({ headers }) => String(headers["traceparent"]).split("-").slice(1, 3))
        ).toEqual(
          attempts.map(({ spanId, traceId }) => [traceId, spanId])
        )
        expect(attempts.length).toBe(3)
      }).pipe(Effect.provide(layer)))
  }
})
