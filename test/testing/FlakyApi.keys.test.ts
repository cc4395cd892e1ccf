import { HttpRouter, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { eventually } from "../support/turns.js"
import { ask, created, createdBody, keys, outcome, serve } from "./flakyApi.js"

describe("idempotency keys", () => {
  const counting = (respond: (run: number) => HttpServerResponse.HttpServerResponse) => {
    let runs = 0
    return Effect.sync(() => respond(++runs))
  }

  it.scopedLive("I41: a known key is answered with the same status and bytes, and without cookies", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: counting((run) =>
          HttpServerResponse.text(`run ${run}`, {
            status: 202,
            headers: {
              location: "/v1/things/1",
              "x-run": String(run),
              "content-type": "text/plain; charset=latin1"
            }
          }).pipe(HttpServerResponse.unsafeSetCookie("session", "s1"))
        )
      })
      const first = yield* ask(api, { key: "row-1" })
      expect(first.headers).toMatchObject({ "set-cookie": ["session=s1"], "x-run": "1" })
      expect(first.headers["idempotent-replayed"]).toBe(undefined)
      const second = yield* ask(api, { key: "row-1" })
      expect([second.status, second.body]).toEqual([first.status, first.body])
      expect(second.headers).toMatchObject({
        "content-type": first.headers["content-type"],
        location: "/v1/things/1",
        "idempotent-replayed": "true"
      })
      expect(second.headers["set-cookie"]).toBe(undefined)
      expect(second.headers["x-run"]).toBe(undefined)
      expect(yield* api.executed).toHaveLength(1)
      expect((yield* api.received).map(({ attempt }) => attempt)).toEqual([1, 2])
    }))

  it.scopedLive("an answer without a body is replayed without one", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: Effect.succeed(HttpServerResponse.empty()) })
      yield* ask(api, { key: "row-1" })
      const second = yield* ask(api, { key: "row-1" })
      expect(second).toMatchObject({ status: 204, body: "", error: undefined })
      expect(second.headers["idempotent-replayed"]).toBe("true")
    }))

  it.scopedLive("I2: bare and quoted are the same key", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "row-1" })
      expect((yield* ask(api, { key: "\"row-1\"" })).headers["idempotent-replayed"]).toBe("true")
      expect(keys(yield* api.received)).toEqual(["row-1", "row-1"])
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("another method, path or key is another call, and without a key every request is one", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      yield* ask(api, { key: "row-1" })
      yield* ask(api, { key: "row-1", method: "PATCH" })
      yield* ask(api, { key: "row-1", path: "/v1/others" })
      yield* ask(api, { key: "row-2" })
      yield* ask(api)
      yield* ask(api)
      expect(yield* api.executed).toHaveLength(6)
      expect((yield* api.received).map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1, 2])
    }))

  it.scopedLive("I40: a key that is not valid is a 400, and not executed", () =>
    Effect.gen(function*() {
      const api = yield* serve([])
      const seen = yield* ask(api, { key: "x".repeat(256) })
      expect(seen.status).toBe(400)
      expect(seen.headers["content-type"]).toBe("application/problem+json")
      expect(JSON.parse(seen.body)).toMatchObject({
        type: "urn:effect-resilience:idempotency:key-invalid"
      })
      expect(yield* api.executed).toEqual([])
      expect(keys(yield* api.received)).toEqual([undefined])
    }))

  it.scopedLive("a validation answer and a 500 are executed again; only a 2xx is recorded", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({
        app: counting((run) =>
          HttpServerResponse.empty({ status: [422, 500, 200][run - 1] ?? 200 })
        )
      })
      const statuses = yield* Effect.replicateEffect(
        Effect.map(ask(api, { key: "row-1" }), outcome),
        4
      )
      expect(statuses).toEqual([422, 500, 200, 200])
      expect((yield* api.executed).map(({ status }) => status)).toEqual([422, 500, 200])
    }))

  it.scopedLive("I40: while the first is running the second is a 409 that says so", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const api = yield* FlakyApi.make({
        app: Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Deferred.await(finish)),
          Effect.zipRight(created)
        )
      })
      const first = yield* Effect.fork(ask(api, { key: "row-1" }))
      yield* Deferred.await(started)
      const second = yield* ask(api, { key: "row-1" })
      expect(second.status).toBe(409)
      expect(second.headers).toMatchObject({
        "retry-after": "1",
        "content-type": "application/problem+json"
      })
      expect(JSON.parse(second.body)).toMatchObject({
        type: "urn:effect-resilience:idempotency:in-flight",
        status: 409
      })
      yield* Deferred.succeed(finish, undefined)
      expect(outcome(yield* Fiber.join(first))).toBe(201)
      expect((yield* ask(api, { key: "row-1" })).headers["idempotent-replayed"]).toBe("true")
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("a client that goes away does not stop the handler, and finds its answer when it comes back", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const handler = Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Deferred.await(finish)),
        Effect.zipRight(created)
      )
      const api = yield* FlakyApi.make({
        app: HttpRouter.empty.pipe(HttpRouter.post("/v1/things", handler))
      })
      const first = yield* Effect.fork(ask(api, { key: "row-1" }))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(first)
      expect(outcome(yield* ask(api, { key: "row-1" }))).toBe(409)
      yield* Deferred.succeed(finish, undefined)
      yield* eventually(api.executed, (executed) => executed.length > 0)
      expect(yield* ask(api, { key: "row-1" })).toMatchObject({ status: 201, body: createdBody })
      expect(yield* api.executed).toHaveLength(1)
    }))

  it.scopedLive("the header may have another name", () =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: created, idempotencyHeader: "X-Request-Key" })
      const post = Effect.promise(() =>
        fetch(api.url, { method: "POST", headers: { "x-request-key": "row-1" } })
      )
      yield* post
      expect((yield* post).headers.get("idempotent-replayed")).toBe("true")
      const [first] = yield* api.received
      expect(first?.headers).not.toHaveProperty("x-request-key")
      expect(first?.headers).toHaveProperty("host")
    }))
})
