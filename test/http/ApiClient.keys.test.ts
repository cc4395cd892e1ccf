import { Headers, HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { ApiClient, IdempotencyKey } from "effect-resilience"
import { keyHeader, keyOf, keysSent, method, someKey } from "./apiClient.js"
import { baseUrl, broken, failureOf, over, range, reply, retrying, transport } from "./support.js"

describe("idempotency keys", () => {
  it.effect("E22, I1: stamped once: every attempt carries the same, the next call another", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const call = failureOf(client.post("/v1/things")).pipe(IdempotencyKey.provideNew)
      yield* call
      yield* call
      const keys = keysSent(sent)
      expect([keys.length, new Set(keys.slice(0, 3)).size, new Set(keys).size]).toEqual([6, 1, 2])
    }))

  it.effect("a POST without a key carries none and is sent once on 503 or reset", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(
        [reply(503), broken("ECONNRESET")],
        (answer) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over([answer])
            yield* failureOf(client.post("/v1/things"))
            return keysSent(sent)
          })
      )
      expect(outcomes).toEqual([[""], [""]])
    }))

  it.effect("E22: a key already on the request wins, whatever its letter case", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      for (const name of ["idempotency-key", "Idempotency-Key", "IDEMPOTENCY-KEY"]) {
        const request = HttpClientRequest.post("/v1/things")
        const raw: HttpClientRequest.HttpClientRequest = Object.assign(
          Object.create(Object.getPrototypeOf(request)),
          {
            ...request,
            headers: Headers.unsafeFromRecord({ [name]: "mine" })
          }
        )
        yield* failureOf(client.execute(raw).pipe(IdempotencyKey.provide(someKey)))
      }
      expect(keysSent(sent)).toEqual(range(1, 9).map(() => "mine"))
    }))

  it.effect("E22: not sent on safe methods, sent on all others", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PATCH", "PUT", "DELETE"]
      yield* Effect.forEach(methods, (name) => client.execute(method(name))).pipe(
        IdempotencyKey.provide(someKey)
      )
      expect(keysSent(sent)).toEqual(["", "", "", "", "row-1", "row-1", "row-1", "row-1"])
    }))

  it.effect("E22, I2: bare by default, quoted by option, under any header name", () =>
    Effect.gen(function*() {
      const key = keyOf("a \"b\" \\c")
      const first = (options: Partial<ApiClient.Options>, name?: string) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(200)], options)
          yield* client.post("/").pipe(IdempotencyKey.provide(key))
          return [keysSent(sent, name), keysSent(sent)]
        })
      expect([
        yield* first({}),
        yield* first({ idempotencyKeyFormat: "quoted" }),
        yield* first({ idempotencyHeader: "X-Request-Key" }, "x-request-key")
      ]).toEqual([
        [["a \"b\" \\c"], ["a \"b\" \\c"]],
        [["\"a \\\"b\\\" \\\\c\""], ["\"a \\\"b\\\" \\\\c\""]],
        [["a \"b\" \\c"], [""]]
      ])
    }))

  it.effect("E22: a key under a header of another name wins as well", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)], { idempotencyHeader: "X-Request-Key" })
      yield* failureOf(
        client.post("/", { headers: { "x-REQUEST-key": "mine" } }).pipe(
          IdempotencyKey.provide(someKey)
        )
      )
      expect(keysSent(sent, "x-request-key")).toEqual(["mine", "mine", "mine"])
    }))

  it.effect("E22: not sent to another origin, and a call without its key is not repeated there", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      const urls = [
        "http://other.example.com/",
        "https://api.example.com/",
        "http://api.example.com:8080/"
      ]
      yield* Effect.forEach(urls, (url) => failureOf(client.post(url))).pipe(
        IdempotencyKey.provide(someKey)
      )
      expect([keysSent(sent), sent.map(({ url }) => url)]).toEqual([["", "", ""], urls])
    }))

  it.effect("E22: an absolute address of the same origin is the same API", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(client.post(`${baseUrl}:80/v1/things`).pipe(IdempotencyKey.provide(someKey)))
      expect(keysSent(sent)).toEqual(["row-1", "row-1", "row-1"])
    }))

  it.effect("E22: mapping effects on our client run once per call, not once per attempt", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      let mapped = 0
      const mapping = client.pipe(
        HttpClient.mapRequestEffect((request) =>
          Effect.sync(() => HttpClientRequest.setHeader(request, keyHeader, `minted-${++mapped}`))
        )
      )
      yield* failureOf(mapping.post("/"))
      yield* failureOf(mapping.post("/"))
      expect([mapped, keysSent(sent)]).toEqual([
        2,
        ["minted-1", "minted-1", "minted-1", "minted-2", "minted-2", "minted-2"]
      ])
    }))

  it.effect("E22: one made around the transport runs per attempt and sees the same key each time", () =>
    Effect.gen(function*() {
      const { client: below, sent } = transport([reply(503)])
      let mapped = 0
      const signing = HttpClient.mapRequestEffect(
        below,
        (request) =>
          Effect.sync(() => HttpClientRequest.setHeader(request, "x-attempt", `${++mapped}`))
      )
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline: yield* retrying() })
        .pipe(
          Effect.provideService(HttpClient.HttpClient, signing)
        )
      yield* failureOf(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      expect([mapped, keysSent(sent)]).toEqual([3, ["row-1", "row-1", "row-1"]])
    }))

  it.effect("I4: a key past its lifetime is an UnknownOutcome and nothing is sent; <= means over", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const { client, sent } = yield* over([reply(200)], { keyTimeToLive: "10 seconds" })
      const outcome = (madeAt: number) =>
        Effect.map(
          Effect.either(client.post("/").pipe(IdempotencyKey.provide(keyOf("k", madeAt)))),
          (either) => either._tag === "Left" ? either.left._tag : either.right.status
        )
      expect(yield* Effect.forEach([1_000_000, 990_001, 990_000, 989_999, 0], outcome)).toEqual(
        [200, 200, "UnknownOutcome", "UnknownOutcome", "UnknownOutcome"]
      )
      expect(sent.length).toBe(2)
    }))

  it.effect("I4: the lifetime is 24 hours unless it is said", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(200)])
      const call = Effect.either(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      yield* TestClock.setTime(24 * 3_600_000 - 1)
      const before = yield* call
      yield* TestClock.setTime(24 * 3_600_000)
      const after = yield* call
      expect([before._tag, after._tag, after._tag === "Left" && after.left._tag, sent.length])
        .toEqual(
          ["Right", "Left", "UnknownOutcome", 1]
        )
    }))

  it.effect("I4: a key that dies while a retry waits is an UnknownOutcome, not a second request", () =>
    Effect.gen(function*() {
      const answers = [reply(503, "", { "retry-after": "20" }), reply(201)]
      const { client, sent } = yield* over(answers, { keyTimeToLive: "20 seconds" })
      const fiber = yield* Effect.fork(
        Effect.either(client.post("/").pipe(IdempotencyKey.provide(someKey)))
      )
      yield* TestClock.adjust("1 minute")
      const outcome = yield* Fiber.join(fiber)
      expect([outcome._tag === "Left" && outcome.left._tag, sent.length]).toEqual([
        "UnknownOutcome",
        1
      ])
    }))

  it.effect("I4: an old key does not keep a GET from being sent", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(48 * 3_600_000)
      const { client } = yield* over([reply(200)])
      expect((yield* client.get("/").pipe(IdempotencyKey.provide(someKey))).status).toBe(200)
    }))
})
