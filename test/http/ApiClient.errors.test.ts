import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, FastCheck as fc, Fiber, Option, Schema, TestClock } from "effect"
import { ApiClient, ApiError, Playbook } from "effect-resilience"
import { runs } from "../support/runs.js"
import { baseUrl, failureOf, over, type Reply, reply, transport } from "./support.js"

describe("what an error knows", () => {
  it.effect("E8, R14: headers, request id, method, attempts, latency and the raw body on request", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(503),
        reply(429, { error: "slow down" }, {
          "retry-after": "0",
          "x-request-id": "req-1",
          "set-cookie": "session=1",
          "ratelimit-limit": "100",
          "ratelimit-remaining": "0"
        })
      ])
      const error = yield* failureOf(client.get("/v1/things/7"))
      expect(error).toMatchObject({
        _tag: "RateLimit",
        status: 429,
        message: "slow down",
        requestId: "req-1",
        endpoint: "/v1/things/:id",
        method: "GET",
        attempts: 3,
        limit: 100,
        remaining: 0
      })
      if (!ApiError.isApiError(error)) throw new Error("ours")
      expect(error.headers).toMatchObject({ "retry-after": "0", "x-request-id": "req-1" })
      expect(error.headers).not.toHaveProperty("set-cookie")
      expect(Duration.isDuration(error.latency)).toBe(true)
      const raw = Option.map(ApiError.rawBody(error), (bytes) => new TextDecoder().decode(bytes))
      expect(raw).toEqual(Option.some("{\"error\":\"slow down\"}"))
    }))

  it.effect("E9: an undeclared endpoint is the path, ids replaced, without the query", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const endpoint = (url: string) =>
        Effect.map(
          failureOf(client.get(url)),
          (error) => ApiError.isApiError(error) && error.endpoint
        )
      const paths = [
        "/v1/sessions/123",
        "/v1/sessions/123/items/550e8400-e29b-41d4-a716-446655440000",
        "/v1/sessions/550E8400-E29B-41D4-A716-446655440000",
        "/v1/files/0123456789abcdef0123456789abcdef",
        "/v1/files/5f2b6c1de4b0a1a2b3c4d5e6/raw",
        "/v1/sessions",
        "/v1/sessions?token=secret&id=123",
        "/v1/sessions/123?token=secret#fragment",
        "/v2/facade/beef",
        "/"
      ]
      expect(yield* Effect.forEach(paths, endpoint)).toEqual([
        "/v1/sessions/:id",
        "/v1/sessions/:id/items/:id",
        "/v1/sessions/:id",
        "/v1/files/:id",
        "/v1/files/:id/raw",
        "/v1/sessions",
        "/v1/sessions",
        "/v1/sessions/:id",
        "/v2/facade/beef",
        "/"
      ])
    }))

  it.effect("E9: a declared endpoint is the declared template, for this effect only", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const call = failureOf(
        client.get("/v1/sessions/alice/items/bob", { urlParams: { token: "secret" } })
      )
      const declared = yield* call.pipe(ApiClient.withEndpoint("/v1/sessions/:id/items/:item"))
      expect([declared, yield* call]).toMatchObject([
        { endpoint: "/v1/sessions/:id/items/:item" },
        { endpoint: "/v1/sessions/alice/items/bob" }
      ])
    }))

  it.effect("E9: never the query, of a declared template neither", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const call = failureOf(client.get("/v1/sessions/alice"))
      const endpoints = yield* Effect.forEach(
        ["/v1/sessions/:id?token=secret", "/v1/sessions/:id#token=secret", "/v1/sessions/:id?"],
        (template) => ApiClient.withEndpoint(template)(call)
      )
      expect(endpoints).toMatchObject(
        Array.from({ length: 3 }, () => ({ endpoint: "/v1/sessions/:id" }))
      )
    }))

  it("E9: never the query, whatever the path", async () => {
    const part = fc.stringMatching(/^[a-z0-9._~!$&'()*+,;=:@-]{0,12}$/)
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), (parts) =>
        Effect.gen(function*() {
          const { client } = yield* over([reply(404)])
          const error = yield* failureOf(
            client.get(`/${parts.join("/")}?q=QUERY`, { urlParams: { also: "QUERY" } })
          )
          expect(JSON.stringify(error)).not.toContain("QUERY")
          if (ApiError.isApiError(error)) expect(error.endpoint).not.toContain("?")
        }).pipe(Effect.runPromise)),
      { numRuns: runs(500) }
    )
  })

  it.effect("E12: a wait equal to the cap is honoured, one above it stops and shows the hint", () =>
    Effect.gen(function*() {
      const atCap = yield* over([reply(429, "", { "retry-after": "60" }), reply(200)])
      const fiber = yield* Effect.fork(atCap.client.get("/"))
      yield* TestClock.adjust("59999 millis")
      const before = atCap.sent.length
      yield* TestClock.adjust("1 millis")
      expect([before, (yield* Fiber.join(fiber)).status, atCap.sent.length]).toEqual([1, 200, 2])
      const above = yield* over([reply(429, "", { "retry-after": "61" }), reply(200)])
      const error = yield* failureOf(above.client.get("/"))
      expect([error, above.sent.length]).toMatchObject([{ retryAfter: Duration.seconds(61) }, 1])
    }))

  it.effect("R12: interruption while waiting ends the call at that moment, without another request", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503, "", { "retry-after": "30" })])
      const fiber = yield* Effect.fork(client.get("/"))
      yield* TestClock.adjust("10 seconds")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      expect([Exit.isInterrupted(exit), sent.length]).toEqual([true, 1])
    }))

  it.effect("E14: Retry-After on a 500 is waited for", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(500, "", { "retry-after": "30" })])
      const fiber = yield* Effect.fork(failureOf(client.get("/")))
      yield* TestClock.adjust("29 seconds")
      const early = sent.length
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      expect([early, sent.length]).toEqual([1, 3])
    }))

  it.effect("E11: a date counts from the response's own Date, else from the Clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-10-21T07:00:00Z"))
      const hint = (headers: Record<string, string>) =>
        Effect.gen(function*() {
          const { layer } = transport([reply(429, "", headers)])
          const client = yield* Effect.provide(ApiClient.make({ name: "test", baseUrl }), layer)
          const error = yield* failureOf(client.get("/"))
          return error._tag === "RateLimit" ? error.retryAfter : error
        })
      const at = "Wed, 21 Oct 2026 07:00:10 GMT"
      expect([
        yield* hint({ "retry-after": at }),
        yield* hint({ "retry-after": at, date: "Wed, 21 Oct 2026 07:00:04 GMT" }),
        yield* hint({ "retry-after": at, date: "Wed, 21 Oct 2026 07:00:30 GMT" }),
        yield* hint({ "retry-after": "-5" })
      ]).toEqual([Duration.seconds(10), Duration.seconds(6), Duration.zero, undefined])
    }))

  it.effect("E13: reset headers and the pattern in the message, as the playbook says", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(Playbook.standard, {
        resetHeaders: ["X-RateLimit-Reset"],
        retryAfterInMessage: /retry after (\d+) seconds/
      })
      const body = {
        error: { type: "rate_limit_error", message: "Please retry after 120 seconds." }
      }
      const hint = (answer: Reply, options: Partial<ApiClient.Options>) =>
        Effect.gen(function*() {
          const { client } = yield* over([answer], options)
          const error = yield* failureOf(client.get("/"))
          return error._tag === "RateLimit" && error.retryAfter
        })
      const reset = reply(429, body, { "x-ratelimit-reset": "90" })
      expect([
        yield* hint(reply(429, body), {}),
        yield* hint(reply(429, body), { playbook }),
        yield* hint(reset, {}),
        yield* hint(reset, { playbook })
      ]).toEqual([undefined, Duration.seconds(120), undefined, Duration.seconds(90)])
    }))

  it.effect("E5: a decoder of the user's reads the bodies, and one that does not fit costs only detail", () =>
    Effect.gen(function*() {
      const errorBody = Schema.transform(
        Schema.Struct({ fault: Schema.String }),
        Schema.Any as Schema.Schema<ApiClient.ErrorBody>,
        { strict: true, decode: ({ fault }) => ({ code: fault }), encode: () => ({ fault: "" }) }
      )
      const codes = yield* Effect.forEach(
        [{ fault: "f" }, { error: { code: "c" } }, "<html>"],
        (body) =>
          Effect.gen(function*() {
            const { client } = yield* over([reply(404, body)], { errorBody })
            const error = yield* failureOf(client.get("/"))
            return [error._tag, ApiError.isApiError(error) && error.code]
          })
      )
      expect(codes).toEqual([["NotFound", "f"], ["NotFound", undefined], ["NotFound", undefined]])
    }))

  it.effect("E5: maxErrorBodyBytes bounds what is read", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404, { code: "c", filler: "x".repeat(100) })], {
        maxErrorBodyBytes: 50
      })
      const error = yield* failureOf(client.get("/"))
      if (!ApiError.isApiError(error)) throw new Error("ours")
      expect([error.code, Option.map(ApiError.rawBody(error), ({ length }) => length)]).toEqual([
        undefined,
        Option.some(50)
      ])
    }))
})
