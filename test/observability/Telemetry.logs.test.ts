import { HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Option, Redacted } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Pipeline,
  Polling,
  Retry,
  Verdict
} from "effect-resilience"
import * as Telemetry from "effect-resilience/Telemetry"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { leaks, renderings } from "../support/renderings.js"
import { metricsOf, observed } from "../support/telemetry.js"
import { about, finish, newName, twice } from "./telemetry.js"

describe("Telemetry: logs", () => {
  it.effect("T4: one line for a call that failed, with its fields and no texts", () =>
    Effect.gen(function*() {
      const integration = newName()
      const telemetry = yield* Telemetry.make({ integration, environment: "staging" })
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, telemetry, retry: twice })
      const error = new ApiError.Server({
        message: "text-SENTINEL",
        status: 503,
        requestId: "req-7"
      })
      const call = Pipeline.protect(Effect.fail(error), pipeline, {
        about: { ...about, kid: "0a1b2c" }
      }).pipe(
        IdempotencyKey.provideNew,
        Telemetry.withContext({ tenantId: "acme", siteId: "shop", sessionId: "s-1" })
      )
      const { lines } = yield* finish(observed(call))
      expect(lines.filter(({ level }) => level === "WARN")).toEqual([{
        level: "WARN",
        message: "Call failed",
        fields: {
          integration,
          environment: "staging",
          endpoint: "/v1/things/:id",
          method: "GET",
          status: 503,
          tenantId: "acme",
          siteId: "shop",
          sessionId: "s-1",
          requestId: "req-7",
          kid: "0a1b2c",
          attempts: 3,
          retries: 2,
          latencyMillis: 2000,
          timedOut: false,
          verdict: "Transient",
          stopReason: "retries",
          error: "Server"
        }
      }])
    }))

  it.effect("T4: a time-out says so", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        telemetry,
        attemptTimeout: "2 seconds"
      })
      const { lines } = yield* finish(observed(Pipeline.protect(Effect.never, pipeline)))
      expect(lines.map(({ fields }) => [fields.timedOut, fields.error, fields.latencyMillis]))
        .toEqual([[
          true,
          "Timeout",
          2000
        ]])
    }))

  it.effect("T4: the reason for stopping of a retry outside of a pipeline", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName(), logs: "Error" })
      const call = Effect.fail("busy").pipe(
        Retry.retry({ operation: Operation.read, retries: 0, verdict: () => Verdict.transient() }),
        Telemetry.observe(telemetry)
      )
      const { lines } = yield* observed(call)
      expect(lines.filter(({ level }) => level === "ERROR").map(({ fields }) => fields.stopReason))
        .toEqual(["retries"])
    }))

  it.effect("nothing for a success, and nothing for an interruption", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: newName() })
      const { lines } = yield* observed(Effect.exit(Effect.zipRight(
        Telemetry.observe(Effect.void, telemetry),
        Telemetry.observe(Effect.interrupt, telemetry)
      )))
      expect(lines).toEqual([])
    }))
})

describe("Telemetry: secrets", () => {
  it.scoped("T1: nothing that was sent is in metrics, spans or logs", () =>
    Effect.gen(function*() {
      const integration = newName()
      const sentinels = ["SENTINEL-token", "SENTINEL-query", "SENTINEL-body", "SENTINEL-key"]
      const api = yield* FlakyApi.make({
        app: HttpServerResponse.empty(),
        script: () =>
          FlakyApi.status(503, { body: JSON.stringify({ error: `down for ${sentinels.join()}` }) })
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        telemetry: { integration, logs: "Trace" },
        retry: { retries: 1, backoff: Backoff.constant(0) },
        circuitBreaker: {},
        bulkhead: { concurrency: 1 }
      })
      const client = yield* ApiClient.make({
        name: "things",
        baseUrl: api.url,
        pipeline,
        secrets: sentinels.map((secret) => Redacted.make(secret)),
        circuitKey: "endpoint"
      })
      const key = yield* Effect.orDie(IdempotencyKey.fromString("SENTINEL-key"))
      const call = client.post("/v1/things?token=SENTINEL-query", {
        headers: { authorization: "Bearer SENTINEL-token" }
      }).pipe(
        IdempotencyKey.provide(key)
      )
      expect(leaks(yield* renderings(call), ...sentinels)).toEqual([])
      expect(leaks(Object.keys(yield* metricsOf(integration)), "SENTINEL")).toEqual([])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it("T4: of a polling error, its tag and request id, and the fields of the failure behind it", () => {
    const error = new ApiError.Server({
      message: "down",
      status: 503,
      requestId: "req-1",
      endpoint: "/v1/jobs/:id",
      attempts: 3
    })
    const lastStatus = Option.none()
    const context = { integration: "jobs", tenantId: "acme" }
    const behind = Telemetry.fields(error, context)
    const submitFailed = new Polling.SubmitFailed({ error })
    const pollFailed = new Polling.PollFailed({ error, requestId: "job-7", lastStatus })
    expect(Telemetry.fields(submitFailed, context)).toEqual({
      ...behind,
      error: "SubmitFailed",
      reason: "Server"
    })
    expect(Telemetry.fields(pollFailed, context)).toEqual({
      ...behind,
      error: "PollFailed",
      requestId: "job-7",
      reason: "Server"
    })
  })

  it("T4: of a job that ran out of time, that it timed out", () => {
    const late = new Polling.PollingTimeout({
      requestId: "job-7",
      lastStatus: Option.none(),
      elapsed: Duration.seconds(3)
    })
    expect(Telemetry.fields(late)).toEqual({
      requestId: "job-7",
      timedOut: true,
      verdict: "Terminal",
      error: "PollingTimeout"
    })
  })
})
