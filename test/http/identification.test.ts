import { HttpClient, HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect } from "effect"
import {
  ApiClient,
  ApiError,
  Backoff,
  CircuitBreaker,
  Operation,
  Pipeline,
  RateLimiter,
  RetryBudget
} from "effect-resilience"
import * as Util from "node:util"
import { baseUrl, broken, failureOf, over, reply, transport } from "./support.js"

const messageOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

const stages = (retry: Pipeline.Stages["retry"], budget?: RetryBudget.RetryBudget) =>
  Pipeline.make({ operation: Operation.read, retry, ...(budget === undefined ? {} : { budget }) })

const noWait = Backoff.constant(0)

describe("the text of an error (E31)", () => {
  it.effect("E31: names API, method, template, status, attempts and why it stopped", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(503)], { name: "billing" })
      const error = yield* failureOf(client.get("/v1/invoices/42?token=secret"))
      expect(messageOf(error)).toMatch(
        /\(HTTP 503\) \(billing GET \/v1\/invoices\/:id, 3 attempts, no retry is left\)$/
      )
    }))

  it.effect("E31: each reason for stopping in its own words", () =>
    Effect.gen(function*() {
      const spent = yield* RetryBudget.make({ ratio: 0, capacity: 0, reservePerSecond: 0 })
      const cases = [
        [yield* over([reply(404)]), "get", "another try would fail the same way"],
        [yield* over([reply(500)]), "post", "not repeated: it may have been executed"],
        [
          yield* over([reply(503)], { pipeline: yield* stages({ backoff: noWait }, spent) }),
          "get",
          "the retry budget is spent"
        ],
        [
          yield* over([reply(503, "", { "retry-after": "3600" })]),
          "get",
          "the API asks for a longer wait than is allowed"
        ],
        [
          yield* over([reply(503)], {
            pipeline: yield* stages({ backoff: Backoff.constant("2 seconds"), within: "1 second" })
          }),
          "get",
          "no time is left for a retry"
        ]
      ] as const
      for (const [{ client }, method, reason] of cases) {
        expect(messageOf(yield* failureOf(client[method]("/")))).toContain(reason)
      }
    }))

  it.effect("E31: without a retry there is no reason, and what was not sent says so", () =>
    Effect.gen(function*() {
      const bare = yield* over([broken("ECONNRESET")], { pipeline: undefined })
      expect(messageOf(yield* failureOf(bare.client.get("/v1/me")))).toMatch(
        /\(test GET \/v1\/me, 1 attempt\)$/
      )
      const unsendable = HttpClientRequest.get("/v1/me").pipe(
        HttpClientRequest.setHeader("x-name", "a\nb")
      )
      expect(messageOf(yield* failureOf(bare.client.execute(unsendable)))).toMatch(
        /\(test GET \/v1\/me, not sent\)$/
      )
    }))

  it.effect("E31: it is a single line, whatever the API is called", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)], { name: "a\nb" })
      expect(messageOf(yield* failureOf(client.get("/")))).toContain("(a\\nb GET /,")
    }))

  it.effect("E31: the words of the API stay as they came; what prints the error tells the call", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404, { message: "no such thing" })])
      const error = yield* failureOf(client.get("/v1/things/7"))
      expect(error).toMatchObject({
        _tag: "NotFound",
        message: "no such thing",
        endpoint: "/v1/things/:id",
        attempts: 1
      })
      const told = "in test GET /v1/things/:id, HTTP 404, 1 attempt, not repeated: another try " +
        "would fail the same way"
      for (const text of [Cause.pretty(Cause.fail(error)), Util.inspect(error)]) {
        expect(text.split("\n").filter((line) => line.trim() === told)).toHaveLength(1)
      }
    }))

  it.effect("E31: an error is named once, also through a second client and a second call", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(404)])
      const twice = [yield* failureOf(client.get("/")), yield* failureOf(client.get("/"))]
      expect(twice.map((error) => messageOf(error).split("test GET /").length)).toEqual([2, 2])
    }))

  it.effect("E31: of a rejection, the key and the wait", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(1),
        minimumCalls: 1,
        openDuration: "30 seconds"
      })
      const open = new ApiError.Server({ message: "down", status: 503 })
      yield* Effect.exit(breaker.protect(open, { key: "tenant 7" }))
      expect(messageOf(yield* Effect.flip(breaker.protect(open, { key: "tenant 7" })))).toBe(
        "CircuitOpen: the call was turned away before it ran (key \"tenant 7\", retry after 30s)"
      )
      yield* breaker.forceOpen("tenant 7")
      expect(messageOf(yield* Effect.flip(breaker.protect(open, { key: "tenant 7" })))).toBe(
        "CircuitOpen: the call was turned away before it ran " +
          "(key \"tenant 7\", until an operator ends it)"
      )
      const full = new RateLimiter.RateLimited({
        key: "tenant 7\n",
        retryAfter: Duration.seconds(1)
      })
      expect(full.message).toContain("key \"tenant 7\\n\"")
    }))

  it.effect("E31: under `layer` the description says the same", () =>
    Effect.gen(function*() {
      const { layer } = transport([broken("ECONNRESET")])
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
      })
      const client = ApiClient.layer({ name: "billing", baseUrl, pipeline })
      const call = HttpClient.get("/v1/invoices/42").pipe(
        Effect.flip,
        Effect.map(messageOf),
        Effect.provide(client),
        Effect.provide(layer)
      )
      expect(yield* call).toContain("billing GET /v1/invoices/:id, 1 attempt")
      expect(yield* call).toMatch(
        /billing GET \/v1\/invoices\/:id: CircuitOpen: .*key "http:\/\/api\.example\.com", retry after/
      )
    }))
})
