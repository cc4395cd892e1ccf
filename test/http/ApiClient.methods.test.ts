import type { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, FastCheck as fc } from "effect"
import { ApiClient, IdempotencyKey, Operation } from "effect-resilience"
import { runs } from "../support/runs.js"
import { keysSent, method, someKey } from "./apiClient.js"
import { broken, failureOf, over, range, type Reply, reply, retrying } from "./support.js"

describe("one loop", () => {
  it("E20: two retries over any mix of 503 and transport errors make exactly three requests", async () => {
    const answers = [
      reply(503),
      broken("ECONNRESET"),
      broken("ECONNREFUSED"),
      broken("UND_ERR_SOCKET"),
      reply(429)
    ]
    const answer = fc.constantFrom(...answers)
    const request = fc.constantFrom("GET", "PUT", "DELETE", "POST")
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { minLength: 12, maxLength: 12 }),
        request,
        (replies, name) =>
          Effect.gen(function*() {
            const { client, sent } = yield* over(replies)
            yield* failureOf(client.execute(method(name)).pipe(IdempotencyKey.provideNew))
            expect(sent.length).toBe(3)
          }).pipe(Effect.runPromise)
      ),
      { numRuns: runs(500) }
    )
  })

  it("E20: n retries make n + 1 requests, or one more than the failures before the success", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 0, max: 8 }),
        (retries, failures) =>
          Effect.gen(function*() {
            const pipeline = yield* retrying(retries)
            const replies = range(1, failures).map((n) =>
              n % 2 === 0 ? reply(503) : broken("ECONNRESET")
            )
            const { client, sent } = yield* over([...replies, reply(200)], { pipeline })
            const exit = yield* Effect.exit(client.get("/"))
            expect([sent.length, Exit.isSuccess(exit)]).toEqual([
              Math.min(failures, retries) + 1,
              failures <= retries
            ])
          }).pipe(Effect.runPromise)
      ),
      { numRuns: runs(500) }
    )
  })
})

describe("what each method is", () => {
  const attempts = (name: string, answer: Reply, key?: IdempotencyKey.IdempotencyKey) =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([answer])
      const call = failureOf(client.execute(method(name)))
      yield* key === undefined ? call : IdempotencyKey.provide(call, key)
      return sent.length
    })

  it.effect("E21: on a 503, whatever the operation of the pipeline", () =>
    Effect.gen(function*() {
      const methods = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH"]
      expect(yield* Effect.forEach(methods, (name) => attempts(name, reply(503)))).toEqual([
        3,
        3,
        3,
        3,
        3,
        3,
        1,
        1
      ])
      expect(yield* Effect.forEach(methods, (name) => attempts(name, reply(503), someKey))).toEqual(
        [3, 3, 3, 3, 3, 3, 3, 3]
      )
    }))

  it.effect("E1: a HEAD has no body, and its status is enough", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(404)])
      expect([(yield* failureOf(client.head("/v1/things")))._tag, sent.length]).toEqual([
        "NotFound",
        1
      ])
    }))

  it.effect("E21: a method nobody knows is not repeated on a 503", () =>
    Effect.gen(function*() {
      expect(yield* attempts("FROBNICATE", reply(503))).toBe(1)
    }))

  it.effect("E21: a key already in the header makes a POST keyed", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(client.post("/v1/things", { headers: { "Idempotency-Key": "mine" } }))
      expect(keysSent(sent)).toEqual(["mine", "mine", "mine"])
    }))

  it.effect("E21: a key in a header of another name does not", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)], { idempotencyHeader: "X-Request-Key" })
      yield* failureOf(client.post("/v1/things", { headers: { "Idempotency-Key": "mine" } }))
      expect(sent.length).toBe(1)
    }))

  it.effect("E27: withOperation overrides what the method implies, for this effect only", () =>
    Effect.gen(function*() {
      const count = (
        use: (client: HttpClient.HttpClient.With<unknown>) => Effect.Effect<unknown, unknown>
      ) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(503)])
          yield* failureOf(use(client))
          return sent.length
        })
      expect([
        yield* count((client) =>
          client.post("/close").pipe(ApiClient.withOperation(Operation.idempotent))
        ),
        yield* count((client) =>
          client.post("/search").pipe(ApiClient.withOperation(Operation.read))
        ),
        yield* count((client) =>
          client.get("/expensive").pipe(ApiClient.withOperation(Operation.once))
        ),
        yield* count((client) =>
          client.put("/append").pipe(ApiClient.withOperation(Operation.once))
        ),
        yield* count((client) =>
          client.post("/close").pipe(
            Effect.ignore,
            ApiClient.withOperation(Operation.once),
            Effect.zipRight(client.post("/close"))
          )
        )
      ]).toEqual([3, 3, 1, 1, 2])
    }))

  it.effect("E27: withOperation(keyed) sends the key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(503)])
      yield* failureOf(
        client.post("/v1/things").pipe(
          ApiClient.withOperation(Operation.keyed),
          IdempotencyKey.provide(someKey)
        )
      )
      expect(keysSent(sent)).toEqual(["row-1", "row-1", "row-1"])
    }))
})
