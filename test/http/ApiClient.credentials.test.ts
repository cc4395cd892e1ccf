import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { ApiError, IdempotencyKey } from "effect-resilience"
import { keysSent, method, someKey } from "./apiClient.js"
import { failureOf, over, type Reply, reply } from "./support.js"

describe("refreshing a credential", () => {
  const refreshing = (
    replies: ReadonlyArray<Reply>,
    result: Effect.Effect<void, ApiError.ApiError> = Effect.void
  ) =>
    Effect.gen(function*() {
      let refreshed = 0
      const refresh = Effect.zipRight(Effect.sync(() => refreshed++), result)
      const { client, sent } = yield* over(replies, { refresh })
      return { client, seen: () => [refreshed, sent.length] as const }
    })

  it.effect("E2: on a 401 the refresh runs and one more attempt is made, also for a POST without a key", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(["GET", "POST"], (name) =>
        Effect.gen(function*() {
          const { client, seen } = yield* refreshing([reply(401), reply(200)])
          return [(yield* client.execute(method(name))).status, ...seen()]
        }))
      expect(outcomes).toEqual([[200, 1, 2], [200, 1, 2]])
    }))

  it.effect("E2: once per call: a second 401 is an Auth error", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing([reply(401)])
      expect((yield* failureOf(client.get("/")))._tag).toBe("Auth")
      expect(seen()).toEqual([1, 2])
      yield* failureOf(client.get("/"))
      expect(seen()).toEqual([2, 4])
    }))

  it.effect("E2: once per call, also when other failures come between", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing([reply(503), reply(401), reply(401), reply(200)])
      expect((yield* failureOf(client.get("/")))._tag).toBe("Auth")
      expect(seen()).toEqual([1, 3])
    }))

  it.effect("E2: without a refresh there is no second request", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(401)])
      expect([(yield* failureOf(client.get("/")))._tag, sent.length]).toEqual(["Auth", 1])
    }))

  it.effect("E2: other refusals do not refresh", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach([403, 404, 407, 503], (status) =>
        Effect.gen(function*() {
          const { client, seen } = yield* refreshing([reply(status)])
          yield* failureOf(client.get("/"))
          return seen()[0]
        }))
      expect(outcomes).toEqual([0, 0, 0, 0])
    }))

  it.effect("E2: a refresh that fails ends the call with an error of ours", () =>
    Effect.gen(function*() {
      const { client, seen } = yield* refreshing(
        [reply(401), reply(200)],
        new ApiError.Auth({ message: "the refresh token expired" })
      )
      expect([(yield* failureOf(client.get("/")))._tag, ...seen()]).toEqual(["Auth", 1, 1])
    }))

  it.effect("E2, E22: the attempt after the refresh carries the same key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([reply(401), reply(200)], { refresh: Effect.void })
      yield* client.post("/").pipe(IdempotencyKey.provide(someKey))
      expect(keysSent(sent)).toEqual(["row-1", "row-1"])
    }))
})
