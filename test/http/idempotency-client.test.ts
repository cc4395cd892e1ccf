import {
  FetchHttpClient,
  HttpClientRequest,
  HttpRouter,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  ErrorResponse,
  IdempotencyKey,
  Operation,
  Pipeline,
  Playbook
} from "effect-resilience"
import * as IdempotencyMiddleware from "effect-resilience/http/IdempotencyMiddleware"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { serveApp } from "../support/servers.js"
import { until } from "../support/turns.js"
import { failureOf, over, type Reply, reply } from "./support.js"

const urn = "urn:effect-resilience:idempotency:"

const problem = (status: number, word: string, headers: Record<string, string> = {}): Reply =>
  reply(status, { type: `${urn}${word}`, title: word, status }, headers)

/** A keyed POST over replies in memory, with two retries: the error, and how often it was sent. */
const posted = (replies: ReadonlyArray<Reply>, options: Partial<ApiClient.Options> = {}) =>
  Effect.gen(function*() {
    const { client, sent } = yield* over(replies, options)
    const result = yield* client.post("/charges").pipe(
      Effect.map(({ status }) => status),
      Effect.catchAll((error) => Effect.succeed(error._tag)),
      IdempotencyKey.provideNew
    )
    return {
      result,
      sent: sent.length,
      keys: new Set(sent.map(({ headers }) => headers["idempotency-key"])).size
    }
  })

const errorOf = (
  status: number,
  body: ErrorResponse.ErrorBody,
  headers: Record<string, string> = {},
  playbook?: Playbook.Playbook
) => ErrorResponse.toApiError({ status, headers, body, nowMillis: 0 }, playbook)

describe("what the client makes of answers about keys", () => {
  it.effect("I45, E3: 409 in flight is repeated under the same key, by type, by code and by what a playbook adds", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(Playbook.standard, { inFlightCodes: ["busy"] })
      const bodies: ReadonlyArray<Reply> = [
        problem(409, "in-flight"),
        reply(409, { error: { code: "idempotency_key_in_use", message: "wait" } }),
        reply(409, { code: "busy" })
      ]
      const seen = yield* Effect.forEach(
        bodies,
        (first) => posted([first, reply(201)], { playbook })
      )
      expect(seen).toEqual(bodies.map(() => ({ result: 201, sent: 2, keys: 1 })))
    }))

  it("I45, E4, E14: a conflict in flight did nothing, and its wait is honoured", () => {
    const error = errorOf(409, { code: `${urn}in-flight` }, { "retry-after": "3" })
    expect(ApiError.verdict(error)).toMatchObject({ _tag: "Transient", ambiguous: false })
    const verdict = ApiError.verdict(error)
    expect(verdict._tag === "Transient" && verdict.retryAfter).toMatchObject({
      value: Duration.seconds(3)
    })
  })

  it.effect("I45, E3: any other 409 is terminal", () =>
    Effect.gen(function*() {
      const words = ["unknown-outcome", "result-unavailable", "corrupt-record"]
      const replies = [...words.map((word) => problem(409, word)), reply(409, { code: "exists" })]
      expect(yield* Effect.forEach(replies, (first) => posted([first, reply(201)]))).toEqual(
        replies.map(() => ({ result: "Conflict", sent: 1, keys: 1 }))
      )
    }))

  it.effect("I45: a mismatch is terminal, also where a playbook repeats a 422", () =>
    Effect.gen(function*() {
      const row = { ...Playbook.lookup(Playbook.standard, 422), repeat: "transient" as const }
      const playbook = Playbook.extend(Playbook.standard, { byStatus: { 422: row } })
      expect(yield* posted([problem(422, "mismatch"), reply(201)], { playbook })).toEqual(
        { result: "Validation", sent: 1, keys: 1 }
      )
      expect((yield* posted([reply(422, { code: "lagging" }), reply(201)], { playbook })).sent)
        .toBe(2)
    }))

  it.effect("I45: a replayed 5xx ends the call early; the same without the mark is repeated", () =>
    Effect.gen(function*() {
      const marks = ["true", "True", "?1"]
      const replayed = yield* Effect.forEach(
        marks,
        (mark) => posted([reply(500, {}, { "idempotent-replayed": mark }), reply(201)])
      )
      expect(replayed).toEqual(marks.map(() => ({ result: "Server", sent: 1, keys: 1 })))
      expect(yield* posted([reply(500, {}, { "idempotent-replayed": "false" }), reply(201)]))
        .toEqual(
          { result: 201, sent: 2, keys: 1 }
        )
    }))

  it.effect("I45: a replayed success is a success", () =>
    Effect.map(
      posted([reply(201, {}, { "idempotent-replayed": "true" })]),
      ({ result, sent }) => expect([result, sent]).toEqual([201, 1])
    ))

  it.effect("I45, E2: a store that is down did nothing and may be asked again", () =>
    Effect.gen(function*() {
      expect(yield* posted([problem(503, "store-unavailable", { "retry-after": "0" }), reply(201)]))
        .toEqual(
          { result: 201, sent: 2, keys: 1 }
        )
    }))
})

const retrying = Pipeline.make({
  operation: Operation.keyed,
  retry: { retries: 10, backoff: Backoff.constant("20 millis"), retryAfterCap: "5 seconds" }
})

const clientOf = (url: string) =>
  Effect.flatMap(
    retrying,
    (pipeline) => ApiClient.make({ name: "charges", baseUrl: url, pipeline })
  )

const live = Layer.mergeAll(
  FetchHttpClient.layer,
  IdempotencyStore.layerStoreMemory,
  Logger.remove(Logger.defaultLogger)
)

const protect = IdempotencyMiddleware.make({
  scope: () => ["acme"],
  required: true,
  storeStatuses: [500]
})

describe("over real HTTP", () => {
  it.live("I45: a call that meets its own first attempt in flight waits and gets the recorded response", () =>
    Effect.gen(function*() {
      let runs = 0
      const slow = Effect.sleep("300 millis").pipe(
        Effect.map(() => HttpServerResponse.unsafeJson({ receipt: ++runs }, { status: 201 }))
      )
      const client = yield* clientOf(yield* serveApp(protect(slow)))
      const key = yield* IdempotencyKey.make
      const post = client.post("/charges").pipe(
        Effect.flatMap((response) =>
          Effect.map(response.text, (body) => [body, response.headers["idempotent-replayed"]])
        ),
        IdempotencyKey.provide(key)
      )
      const [first, second] = yield* Effect.all([post, Effect.delay(post, "50 millis")], {
        concurrency: 2
      })
      expect([first, second, runs]).toEqual([["{\"receipt\":1}", undefined], [
        "{\"receipt\":1}",
        "true"
      ], 1])
    }).pipe(Effect.scoped, Effect.provide(live)))

  it.live("I45: a recorded 500 is not asked for over and over", () =>
    Effect.gen(function*() {
      let runs = 0
      let requests = 0
      const failing = protect(Effect.sync(() => {
        runs++
        return HttpServerResponse.empty({ status: 500 })
      }))
      const client = yield* clientOf(
        yield* serveApp(Effect.zipRight(Effect.sync(() => requests++), failing))
      )
      const error = yield* failureOf(client.post("/charges").pipe(IdempotencyKey.provideNew))
      expect([error._tag, "repeat" in error && error.repeat, runs, requests]).toEqual([
        "Server",
        "never",
        1,
        2
      ])
    }).pipe(Effect.scoped, Effect.provide(live)))

  it.live("I45: the same key for another payload fails at once, and is executed once", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = Effect.sync(() => HttpServerResponse.unsafeJson(++runs))
      const client = yield* clientOf(
        yield* serveApp(HttpRouter.empty.pipe(HttpRouter.post("/charges", protect(app))))
      )
      const key = yield* IdempotencyKey.make
      const post = (amount: number) =>
        HttpClientRequest.post("/charges").pipe(
          HttpClientRequest.bodyUnsafeJson({ amount }),
          client.execute,
          IdempotencyKey.provide(key)
        )
      yield* post(1)
      const error = yield* failureOf(post(2))
      expect([
        error._tag,
        "code" in error && error.code,
        "attempts" in error && error.attempts,
        runs
      ]).toEqual(
        ["Validation", `${urn}mismatch`, 1, 1]
      )
    }).pipe(Effect.scoped, Effect.provide(live)))

  it.live("I1, I45: connections that break after the work was done cost no second execution", () =>
    Effect.gen(function*() {
      let runs = 0
      const app = Effect.sync(() =>
        HttpServerResponse.unsafeJson({ receipt: ++runs }, { status: 201 })
      )
      const api = yield* FlakyApi.make({
        app: protect(app),
        // Read from another header, so that the server in front of the middleware has no opinion on
        // keys.
        idempotencyHeader: "x-unused",
        script: FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.gatewayTimeout({ when: "after" }),
          FlakyApi.truncated
        ])
      })
      const client = yield* clientOf(api.url)
      const body = yield* client.post("/charges").pipe(
        Effect.flatMap((response) => response.text),
        Effect.retry({ times: 3 }),
        IdempotencyKey.provideNew
      )
      expect([body, runs, (yield* api.received).length]).toEqual(["{\"receipt\":1}", 1, 4])
    }).pipe(Effect.scoped, Effect.provide(live)))

  it.live("I44, I45: a client that gives up and asks again finds the record of the run that went on", () =>
    Effect.gen(function*() {
      let runs = 0
      const slow = Effect.sleep("200 millis").pipe(
        Effect.map(() => HttpServerResponse.unsafeJson(++runs))
      )
      const client = yield* clientOf(yield* serveApp(protect(slow)))
      const key = yield* IdempotencyKey.make
      const post = Effect.flatMap(client.post("/charges"), (response) => response.text).pipe(
        IdempotencyKey.provide(key)
      )
      const first = yield* Effect.fork(post)
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(first)
      expect([yield* post, runs]).toEqual(["1", 1])
      yield* until(() => runs === 1)
    }).pipe(Effect.scoped, Effect.provide(live)))
})
