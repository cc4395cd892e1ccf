/** A client that is given stages builds its pipeline of them, once. */
import { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { CircuitBreaker, Idempotency } from "effect-resilience"
import { ApiClient, type ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { wordsFor } from "../support/exits.js"
import { refusalOf } from "../support/refusal.js"
import { baseUrl, reply, transport } from "./support.js"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false
const is = <_T extends true>(): void => {}

const word = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(self), wordsFor({ value: () => "ok", cause: () => "no failure" }))

const retry = { retries: 2, backoff: Backoff.constant(0) }

describe("stages in place of a pipeline", () => {
  it.effect("are built once, so all calls share the circuit, and what they reject with is typed", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503)])
      const client = yield* Effect.provide(
        ApiClient.make({ name: "test", baseUrl, pipeline: { circuitBreaker: brittle } }),
        layer
      )
      is<
        Equal<
          typeof client,
          HttpClient.HttpClient.With<
            ApiError.ApiError | CircuitBreaker.CircuitOpen | Idempotency.UnknownOutcome
          >
        >
      >()
      expect([yield* word(client.get("/a")), yield* word(client.get("/b"))]).toEqual([
        expect.stringContaining("Server"),
        expect.stringContaining("CircuitOpen")
      ])
      expect(sent.length).toBe(1)
    }))

  it.effect("each request is what its method says, whatever the operation of the stages", () =>
    Effect.gen(function*() {
      for (
        const made of [
          ApiClient.make({ name: "test", baseUrl, pipeline: { retry } }),
          ApiClient.make({ name: "test", baseUrl, pipeline: { operation: Operation.read, retry } })
        ]
      ) {
        const { layer, sent } = transport([reply(503)])
        const client = yield* Effect.provide(made, layer)
        yield* Effect.exit(client.get("/read"))
        yield* Effect.exit(client.post("/once"))
        expect(sent.map(({ method }) => method)).toEqual(["GET", "GET", "GET", "POST"])
      }
    }))

  it.effect("the standard ones too", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503), reply(200)])
      const client = yield* Effect.provide(
        ApiClient.make({
          name: "test",
          baseUrl,
          pipeline: { ...Pipeline.standard, retry }
        }),
        layer
      )
      expect((yield* client.get("/a")).status).toBe(200)
      expect(sent.length).toBe(2)
    }))

  it.effect("in a layer", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503)])
      const status = yield* Effect.provide(
        Effect.map(HttpClient.get("/a"), ({ status }) => status),
        Layer.provide(ApiClient.layer({ name: "test", baseUrl, pipeline: { retry } }), layer)
      )
      expect([status, sent.length]).toEqual([503, 3])
    }))

  it.effect("nonsense among them dies as Pipeline.make does", () =>
    Effect.gen(function*() {
      const client = ApiClient.make({ name: "test", baseUrl, pipeline: { retry: { retries: -1 } } })
      expect(yield* refusalOf(Effect.provide(client, transport([reply(200)]).layer))).toContain(
        "retries should be a whole number of at least 0, got -1"
      )
    }))
})
