import { HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, TestClock } from "effect"
import { ApiClient, Backoff, Hedge, Operation, Pipeline } from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { down } from "../support/errors.js"
import { metricsOf, observed } from "../support/telemetry.js"
import { about, failsFirst, finish, newName, twice } from "./telemetry.js"

describe("Telemetry: spans", () => {
  it.effect("T4: one for the call, one for each attempt in it", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, environment: "staging" },
        retry: twice
      })
      const call = Pipeline.protect(
        Effect.zipRight(Effect.sleep("250 millis"), Effect.fail(down)),
        pipeline,
        { about }
      )
      const { spans, tree } = yield* finish(observed(call))
      const name = `${integration} GET /v1/things/:id`
      expect(tree).toEqual([name, ...Array(3).fill(`${name} > ${integration} attempt`)])
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toEqual({
        "resilience.integration": integration,
        "resilience.environment": "staging",
        "resilience.endpoint": "/v1/things/:id",
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "resilience.attempts": 3,
        "resilience.retries": 2,
        "resilience.retry.attempts": 3,
        "resilience.retry.stop": "retries",
        "resilience.latency_ms": 2750,
        "resilience.timed_out": false,
        "resilience.verdict": "Transient",
        "resilience.error": "Server"
      })
      expect(Object.fromEntries(spans[3]?.attributes ?? [])).toEqual({
        "resilience.attempt": 3,
        "resilience.endpoint": "/v1/things/:id",
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "resilience.latency_ms": 250,
        "resilience.error": "Server",
        "resilience.verdict": "Transient",
        "resilience.ambiguous": true
      })
    }))

  it.effect("T4: a success says how many attempts it took", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration },
        retry: twice
      })
      const { spans } = yield* finish(observed(Pipeline.protect(failsFirst(1, down), pipeline)))
      expect(spans[0]?.name).toBe(`${integration} call`)
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toEqual({
        "resilience.integration": integration,
        "resilience.attempts": 2,
        "resilience.latency_ms": 1000
      })
    }))

  it.scoped("E25: the client's own spans are not doubled, and know more", () =>
    Effect.gen(function*() {
      const integration = newName()
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.empty(),
        script: FlakyApi.sequence([FlakyApi.serverError(), FlakyApi.serverError()])
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration, environment: "staging" },
        retry: { retries: 1, backoff: Backoff.constant(0) }
      })
      const client = yield* ApiClient.make({ name: "things", baseUrl: api.url, pipeline })
      const { lines, spans, tree } = yield* observed(client.get("/v1/things/17?token=SENTINEL"))
      const call = "things GET /v1/things/:id"
      expect(tree).toEqual([call, `${call} > things attempt`, `${call} > things attempt`])
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toMatchObject({
        "resilience.integration": integration,
        "resilience.environment": "staging",
        "resilience.endpoint": "/v1/things/:id",
        "resilience.attempts": 2,
        "resilience.retry.stop": "retries",
        "resilience.timed_out": false,
        "http.response.status_code": 500
      })
      expect(lines.filter(({ level }) => level === "WARN").map(({ fields }) => fields)).toEqual([
        expect.objectContaining({
          integration,
          endpoint: "/v1/things/:id",
          method: "GET",
          status: 500,
          attempts: 2,
          stopReason: "retries"
        })
      ])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("Telemetry: interruption", () => {
  it.effect("an interrupted call is counted as one, has no duration, and gives its permit back", () =>
    Effect.gen(function*() {
      const integration = newName()
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry: { integration },
        retry: twice,
        bulkhead: { concurrency: 1 },
        attemptTimeout: "1 minute"
      })
      const fiber = yield* Effect.fork(
        Pipeline.protect(Effect.never, pipeline, { about: { endpoint: "/a" } })
      )
      yield* TestClock.adjust("1 second")
      expect((yield* metricsOf(integration))["resilience.bulkhead.in_use{}"]).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect(yield* metricsOf(integration)).toEqual({
        "resilience.call.outcomes{endpoint=/a,family=interrupted,operation=read,outcome=interrupted}":
          1,
        "resilience.attempt.outcomes{endpoint=/a,family=interrupted,operation=read,outcome=interrupted}":
          1
      })
    }))

  it.effect("a hedge that loses is an interrupted attempt of one call", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        hedge: { delay: "1 second" }
      })
      let calls = 0
      const call = Effect.suspend(() => Effect.sleep(++calls === 1 ? "1 hour" : "1 second"))
      yield* finish(Pipeline.protect(call, pipeline))
      const [figures] = yield* Telemetry.figures(telemetry)
      expect([figures?.calls.succeeded, figures?.attempts.succeeded, figures?.attempts.interrupted])
        .toEqual([1, 1, 1])
      expect(Hedge.defaults.hedges).toBe(1)
    }))

  it.effect("interrupting a call ends it at once, its spans too", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({ operation: Operation.read, telemetry, retry: twice })
      const { spans } = yield* observed(
        Effect.timeoutOption(Pipeline.protect(Effect.never, pipeline), 0).pipe(
          Effect.fork,
          Effect.tap(() => TestClock.adjust("1 millis")),
          Effect.flatMap(Fiber.join)
        )
      )
      expect(spans.map(({ exit }) => exit !== undefined && Exit.isInterrupted(exit))).toEqual([
        true,
        true
      ])
    }))
})
