import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Option, Predicate, TestClock } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline
} from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { wordsFor } from "../support/exits.js"
import { refusal } from "../support/refusal.js"
import { baseUrl, broken, failureOf, type Reply, reply, transport } from "./support.js"

/** A client with a breaker over replies in memory; the last one is repeated. */
const over = (
  replies: ReadonlyArray<Reply>,
  options: Partial<ApiClient.Options> & {
    readonly breaker?: CircuitBreaker.Options
    readonly retries?: number
    readonly waitForRejections?: boolean
  } = {}
) =>
  Effect.gen(function*() {
    const { breaker: breakerOptions, retries = 0, waitForRejections, ...rest } = options
    const { layer, sent } = transport(replies)
    const breaker = yield* CircuitBreaker.make(breakerOptions ?? brittle)
    const pipeline = yield* Pipeline.make({
      operation: Operation.once,
      retry: { retries, backoff: Backoff.constant(0), waitForRejections },
      circuitBreaker: breaker
    })
    const client = yield* Effect.provide(
      ApiClient.make({ name: "test", baseUrl, ...rest, pipeline }),
      layer
    )
    return { breaker, client, sent }
  })

const word = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(self), wordsFor({ value: () => "ok", cause: () => "no failure" }))

const counted = (breaker: CircuitBreaker.CircuitBreaker, key: string) =>
  Effect.map(
    breaker.snapshot(key),
    ({ calls, failures, state }) => `${state}: ${failures} of ${calls}`
  )

describe("which circuit", () => {
  it.effect("B11: one circuit per origin by default", () =>
    Effect.gen(function*() {
      const { breaker, client } = yield* over([reply(200)], { breaker: {} })
      yield* client.get("/v1/things")
      yield* client.get("/v1/things/42")
      yield* client.del("/v1/other")
      expect([
        yield* counted(breaker, "http://api.example.com"),
        yield* counted(breaker, "default")
      ]).toEqual([
        "Closed: 0 of 3",
        "Closed: 0 of 0"
      ])
    }))

  it.effect("B11: the origin has the port, and neither path nor query", () =>
    Effect.gen(function*() {
      const { breaker, client } = yield* over([reply(200)], {
        breaker: {},
        baseUrl: "http://127.0.0.1:1234/base",
        circuitKey: "origin"
      })
      yield* client.get("/v1/things?secret=1")
      expect(yield* counted(breaker, "http://127.0.0.1:1234")).toBe("Closed: 0 of 1")
    }))

  it.effect("B11: one circuit per endpoint when asked for: origin, method and template", () =>
    Effect.gen(function*() {
      const { breaker, client } = yield* over([reply(200)], { breaker: {}, circuitKey: "endpoint" })
      yield* client.get("/v1/tenants/42")
      yield* client.get("/v1/tenants/43?page=2")
      yield* client.put("/v1/tenants/42")
      yield* client.get("/v1/sessions/abc").pipe(ApiClient.withEndpoint("/v1/sessions/:id"))
      const keys = [
        "GET /v1/tenants/:id",
        "PUT /v1/tenants/:id",
        "GET /v1/sessions/:id",
        "GET /v1/tenants/42"
      ]
      expect(
        yield* Effect.forEach(keys, (key) => counted(breaker, `http://api.example.com ${key}`))
      ).toEqual([
        "Closed: 0 of 2",
        "Closed: 0 of 1",
        "Closed: 0 of 1",
        "Closed: 0 of 0"
      ])
    }))

  it.effect("B11: an endpoint that is down does not take the others with it", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503), reply(200)], { circuitKey: "endpoint" })
      const words = [
        yield* word(client.get("/v1/a")),
        yield* word(client.get("/v1/a")),
        yield* word(client.get("/v1/b"))
      ]
      expect([words, sent.map(({ url }) => url)]).toEqual([
        ["Server", "CircuitOpen", "ok"],
        [`${baseUrl}/v1/a`, `${baseUrl}/v1/b`]
      ])
    }))

  it.effect("B11: one that is down by origin does", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(503), reply(200)])
      expect([yield* word(client.get("/v1/a")), yield* word(client.get("/v1/b"))]).toEqual([
        "Server",
        "CircuitOpen"
      ])
    }))
})

describe("an API that is down", () => {
  it.effect("B5: an open circuit sends nothing, and the failure names key and time", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* word(client.get("/v1/things"))
      yield* TestClock.adjust(12_000)
      const error = yield* failureOf(client.get("/v1/things"))
      expect(sent.length).toBe(1)
      expect(error).toBeInstanceOf(CircuitBreaker.CircuitOpen)
      expect(error).toMatchObject({
        key: "http://api.example.com",
        retryAfter: Duration.seconds(18)
      })
    }))

  it.effect("B6, B7: it is tried again after the open duration, and closes", () =>
    Effect.gen(function*() {
      const { breaker, client, sent } = yield* over([reply(503), reply(200)])
      yield* word(client.get("/v1/things"))
      yield* TestClock.adjust(30_000)
      const state = yield* breaker.state("http://api.example.com")
      expect([
        state,
        yield* word(client.get("/v1/things")),
        yield* breaker.state("http://api.example.com"),
        sent.length
      ]).toEqual(["HalfOpen", "ok", "Closed", 2])
    }))

  it.effect("B10: its Retry-After lengthens the opening", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      for (const seconds of ["2", "120", "100000"]) {
        const { client } = yield* over([reply(503, undefined, { "retry-after": seconds })])
        yield* word(client.get("/v1/things"))
        const error = yield* failureOf(client.get("/v1/things"))
        seen.push(
          Predicate.isTagged(error, "CircuitOpen")
            ? Duration.toMillis(error.retryAfter as Duration.Duration)
            : -1
        )
      }
      expect(seen).toEqual([30_000, 120_000, 300_000])
    }))

  it.effect("R17: the breaker sees every attempt, and a circuit that opens in the middle ends them", () =>
    Effect.gen(function*() {
      const origin = "http://api.example.com"
      const wide = yield* over([reply(503)], { breaker: {}, retries: 2 })
      const words = [
        yield* word(wide.client.get("/v1/things")),
        yield* counted(wide.breaker, origin)
      ]
      const narrow = yield* over([reply(503)], { retries: 5 })
      words.push(
        yield* word(narrow.client.get("/v1/things")),
        yield* counted(narrow.breaker, origin)
      )
      expect([words, wide.sent.length, narrow.sent.length]).toEqual([
        ["Server", "Closed: 3 of 3", "CircuitOpen", "Open: 0 of 0"],
        3,
        1
      ])
    }))

  it.effect("R15: waitForRejections waits for the circuit", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503), reply(200)], {
        retries: 2,
        waitForRejections: true
      })
      const fiber = yield* Effect.fork(
        Effect.zip(word(client.get("/v1/things")), Clock.currentTimeMillis)
      )
      yield* TestClock.adjust("1 minute")
      expect([yield* Fiber.join(fiber), sent.length]).toEqual([["ok", 30_000], 2])
    }))

  it.effect("R15: a POST that was turned away was not sent, so it may be tried again", () =>
    Effect.gen(function*() {
      const { breaker, client, sent } = yield* over([reply(200)], {
        retries: 2,
        waitForRejections: true
      })
      yield* Effect.exit(
        breaker.protect(Effect.fail(new ApiError.Server({ message: "down" })), {
          key: "http://api.example.com"
        })
      )
      const fiber = yield* Effect.fork(word(client.post("/v1/things")))
      yield* TestClock.adjust("1 minute")
      expect([yield* Fiber.join(fiber), sent.length]).toEqual(["ok", 1])
    }))
})

describe("what counts", () => {
  it.effect("B3: every status and a broken socket", () =>
    Effect.gen(function*() {
      const failures = [408, 425, 500, 502, 503, 504]
      const answers = [200, 204, 400, 401, 403, 404, 409, 412, 422, 423]
      const seen = yield* Effect.forEach([...failures, ...answers, 429, 0], (status) =>
        Effect.gen(function*() {
          const { breaker, client } = yield* over([
            status === 0 ? broken("ECONNRESET") : reply(status)
          ], {
            breaker: {}
          })
          yield* word(client.get("/v1/things"))
          return `${status} ${yield* counted(breaker, "http://api.example.com")}`
        }))
      expect(seen).toEqual([
        ...failures.map((status) =>
          `${status} Closed: 1 of 1`
        ),
        ...answers.map((status) => `${status} Closed: 0 of 1`),
        "429 Closed: 0 of 0",
        "0 Closed: 1 of 1"
      ])
    }))

  it.effect("B3: each attempt counts by itself", () =>
    Effect.gen(function*() {
      const { breaker, client } = yield* over([
        reply(503),
        reply(429),
        broken("ECONNRESET"),
        reply(200)
      ], {
        breaker: {},
        retries: 3
      })
      expect([
        yield* word(client.get("/v1/things")),
        yield* counted(breaker, "http://api.example.com")
      ]).toEqual([
        "ok",
        "Closed: 2 of 3"
      ])
    }))

  it.effect("B8: a trial answered with 429 holds its slot as long as the API asked", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(503),
        reply(429, undefined, { "retry-after": "20" }),
        reply(200)
      ])
      const words = [yield* word(client.get("/v1/things"))]
      for (const millis of [30_000, 19_999, 1]) {
        yield* TestClock.adjust(millis)
        words.push(yield* word(client.get("/v1/things")))
      }
      expect([words, sent.length]).toEqual([["Server", "RateLimit", "CircuitOpen", "ok"], 3])
    }))

  it.effect("B3: an interrupted request is ignored and released", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const pipeline = yield* Pipeline.make({ operation: Operation.read, circuitBreaker: breaker })
      const client = yield* ApiClient.make({ name: "test", baseUrl, pipeline }).pipe(
        Effect.provideService(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
      )
      const fiber = yield* Effect.fork(client.get("/v1/things"))
      yield* TestClock.adjust(1)
      const during = (yield* breaker.snapshot("http://api.example.com")).inFlight
      yield* Fiber.interrupt(fiber)
      const { calls, inFlight } = yield* breaker.snapshot("http://api.example.com")
      expect([during, inFlight, calls]).toEqual([1, 0, 0])
    }))

  it.effect("a keyed POST goes through the breaker with one key", () =>
    Effect.gen(function*() {
      const { breaker, client, sent } = yield* over([reply(503), reply(200)], {
        breaker: {},
        retries: 1
      })
      yield* client.post("/v1/things").pipe(IdempotencyKey.provideNew)
      expect([new Set(sent.map(({ headers }) => headers["idempotency-key"])).size, sent.length])
        .toEqual([1, 2])
      expect(yield* counted(breaker, "http://api.example.com")).toBe("Closed: 1 of 2")
    }))
})

describe("the client as a layer", () => {
  it.effect("B5: CircuitOpen is the cause of a RequestError, and no answer of before is handed out", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503)])
      const pipeline = yield* Pipeline.make({ operation: Operation.once, circuitBreaker: brittle })
      const program = Effect.gen(function*() {
        const client = yield* HttpClient.HttpClient
        const first = yield* client.get("/v1/things")
        const second = yield* Effect.flip(client.get("/v1/things"))
        return { first, second }
      })
      const { first, second } = yield* Effect.provide(
        program,
        ApiClient.layer({ name: "test", baseUrl, pipeline })
      ).pipe(Effect.provide(layer))
      expect(second).toBeInstanceOf(HttpClientError.RequestError)
      const cause = second._tag === "RequestError" ? second.cause : undefined
      expect(cause).toBeInstanceOf(CircuitBreaker.CircuitOpen)
      expect([first.status, second.reason, sent.length, ApiError.verdict(cause)]).toEqual([
        503,
        "Transport",
        1,
        { _tag: "Rejected", retryAfter: Option.some(Duration.seconds(30)) }
      ])
    }))
})

describe("a kept answer", () => {
  it.effect("E24, E26: the layer lets go of it when a later attempt is rejected", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const endless = () =>
        new ReadableStream<Uint8Array>({
          pull: (controller) => controller.enqueue(new Uint8Array(16_384)),
          cancel: () => void cancelled++
        })
      const upstream = HttpClient.make((request) =>
        Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(endless(), { status: 503 }))
        )
      )
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { retries: 1, backoff: Backoff.constant(0) },
        circuitBreaker: brittle
      })
      const error = yield* HttpClient.get("/v1/things").pipe(
        Effect.flip,
        Effect.provide(ApiClient.layer({ name: "test", baseUrl, pipeline })),
        Effect.provideService(HttpClient.HttpClient, upstream)
      )
      expect([error._tag, cancelled]).toEqual(["RequestError", 1])
    }))
})

describe("the key under which a client files its requests", () => {
  it.effect.each(["origin", "endpoint"] as const)(
    "G46: guardKey says it, and an operator who uses it reaches the client: %s",
    (circuitKey) =>
      Effect.gen(function*() {
        const { breaker, client, sent } = yield* over([reply(200)], { breaker: {}, circuitKey })
        const get = client.get("/v1/things/7").pipe(ApiClient.withEndpoint("/v1/things/:id"), word)
        const key = ApiClient.guardKey({ baseUrl, circuitKey }, {
          method: "GET",
          endpoint: "/v1/things/:id"
        })
        const first = yield* get
        expect(yield* breaker.keys).toEqual([key])
        yield* breaker.forceOpen(key)
        expect([first, yield* get, sent.length]).toEqual(["ok", "CircuitOpen", 1])
      })
  )

  it.effect("G46: commands for all keys reach it as well", () =>
    Effect.gen(function*() {
      const { breaker, client, sent } = yield* over([reply(200)], { breaker: {} })
      yield* breaker.forceOpenAll
      expect([yield* word(client.get("/v1/things")), sent.length]).toEqual(["CircuitOpen", 0])
    }))

  it("G46: with a circuit for each endpoint the endpoint has to be said", () => {
    const options = { baseUrl, circuitKey: "endpoint" } as const
    expect(refusal(() => ApiClient.guardKey(options))).toBe(
      "endpoint should be the template of an endpoint, got \"\""
    )
    expect(refusal(() => ApiClient.guardKey({ baseUrl }))).toBe("accepted")
  })
})
