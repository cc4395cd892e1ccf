import { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Stream, TestClock } from "effect"
import { Backoff, IdempotencyKey, Incident, Operation, Pipeline, Playbook } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import * as Server from "../support/faceSignServer.js"
import { eventually } from "../support/turns.js"
import { virtualHttp } from "../support/virtualHttp.js"
import { against, auth, create, live, settings } from "./faceSign.js"

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

describe("FaceSign: retry logic, over real HTTP", () => {
  it.effect.each(
    [
      ["a rate limit", FlakyApi.rateLimited()],
      ["a server error", FlakyApi.serverError()],
      ["a network issue", FlakyApi.reset()]
    ] as const
  )(
    "%s: three calls in all, after 1 s and 2 s, under one key",
    ([, fault]) =>
      Effect.gen(function*() {
        const { executed, keys, requests, waits } = yield* against(() => fault, create)
        expect([requests, waits, keys, executed]).toEqual([3, [1000, 2000], 1, 0])
      })
  )

  it.effect("the delays are 1 s, 2 s, 4 s and so on, at most 10 s", () =>
    Effect.sync(() => {
      const bounds = [0, 1, 2, 3, 4, 50].map((n) =>
        Backoff.envelope(FaceSign.stages.retry.backoff, n)
      )
      expect(bounds.map(({ max, min }) => [Duration.toSeconds(min), Duration.toSeconds(max)]))
        .toEqual(
          [1, 2, 4, 8, 10, 10].map((seconds) => [seconds, seconds])
        )
    }))

  it.effect("a session that was created before the connection broke is not created again", () =>
    Effect.gen(function*() {
      const { exit, keys, requests, sessions } = yield* against(
        FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.gatewayTimeout({ when: "after" })
        ]),
        create
      )
      expect([Exit.isSuccess(exit), requests, keys, sessions]).toEqual([true, 3, 1, ["user-123"]])
    }))

  it.effect("E3: a 409 whose code says that the first request with this key still runs is waited for", () =>
    Effect.gen(function*() {
      const running = Server.fault(409, undefined, "still running", "idempotency_key_in_use", {
        retryAfter: 2
      })
      const { exit, keys, requests, waits } = yield* against(FlakyApi.sequence([running]), create)
      expect([Exit.isSuccess(exit), requests, keys, waits]).toEqual([true, 2, 1, [2000]])
    }))

  it.effect("E3: other codes for it can be said", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(FaceSign.playbook, {
        inFlightCodes: ["request_in_progress"]
      })
      const running = Server.fault(409, undefined, "still running", "request_in_progress")
      const { exit, requests } = yield* against(FlakyApi.sequence([running]), create, { playbook })
      expect([Exit.isSuccess(exit), requests]).toEqual([true, 2])
    }))

  it.live("network failures are caught, too: nobody listens", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const retry = { retries: 2, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry })
      const client = yield* FaceSign.make({ baseUrl: api.url, auth, pipeline })
      const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(settings)))
      expect([
        error._tag,
        error._tag === "Network" && [error.sent, error.attempts],
        FaceSign.userMessage(error)
      ])
        .toEqual([
          "Network",
          ["no", 3],
          "The verification could not be reached. Please try again in a moment."
        ])
    }).pipe(Effect.scoped, live))

  it.effect("an attempt that does not end is cut after 15 s", () =>
    Effect.gen(function*() {
      let calls = 0
      const client = HttpClient.make(() => {
        calls++
        return Effect.never
      })
      const faceSign = yield* Effect.provide(
        FaceSign.make({ baseUrl: "https://facesign.test", auth }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const fiber = yield* Effect.fork(Effect.exit(create(faceSign)))
      yield* TestClock.adjust("15999 millis")
      const before = calls
      yield* TestClock.adjust("1 hour")
      expect([before, calls, errorOf(yield* Fiber.join(fiber))._tag]).toEqual([1, 3, "Timeout"])
    }))

  it.effect("R12: interruption during a delay ends the call", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script: () => FlakyApi.serverError() })
      const client = yield* Effect.provide(FaceSign.make({ baseUrl: api.url, auth }), layer)
      const fiber = yield* Effect.fork(create(client))
      yield* eventually(api.received, ({ length }) => length > 0)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// usage
// -----------------------------------------------------------------------------

describe("FaceSign: respecting rate limits", () => {
  it.effect("E12: a Retry-After holds back the other calls too, and nobody calls before it has passed", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 20 })])
      const { exit, requests, waits } = yield* against(
        (call) => script(call),
        (client) =>
          Effect.all([create(client), Effect.delay(create(client), "1 second")], { concurrency: 2 })
      )
      expect([Exit.isSuccess(exit), requests, waits]).toEqual([true, 3, [20_000, 0]])
    }))

  it.effect("a wait that is longer than a call waits rejects it, and the user reads so", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => FlakyApi.rateLimited({ retryAfter: 200 }),
        (client) => Effect.zipRight(Effect.exit(create(client)), create(client))
      )
      const error = errorOf(exit)
      expect(error._tag).toBe("CoolingDown")
      expect(FaceSign.userMessage(error)).toMatch(
        /^The verification is not available at the moment\./
      )
    }))

  it.effect("each rule has the route of the document, and twenty refused keys are one incident", () =>
    Effect.gen(function*() {
      expect(Object.fromEntries(FaceSign.incidentRules.map(({ name, route }) => [name, route])))
        .toMatchObject({
          unauthorized: "check that the API key is the correct one and has not been revoked",
          forbidden: "check the permissions of the API key",
          "rate-limited": "monitor your usage, throttle, respect the Retry-After header",
          "server-errors": "check the API status page; contact support with the request id",
          "validation-errors": expect.stringContaining("required parameters")
        })
      const detector = yield* Incident.make({ rules: FaceSign.incidentRules })
      const told = yield* Effect.fork(Stream.runCollect(Stream.take(detector.incidents, 1)))
      yield* Effect.yieldNow()
      yield* against(
        () => FlakyApi.status(401),
        (client) => Effect.forEach(Array(20).fill(0), () => Effect.exit(create(client))),
        { detector }
      )
      expect([...(yield* Fiber.join(told))].map(({ integration, name }) => [integration, name]))
        .toEqual([
          ["facesign", "unauthorized"]
        ])
    }))
})
