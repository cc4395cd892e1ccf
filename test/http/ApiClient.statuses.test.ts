import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { ApiClient, IdempotencyKey, Playbook } from "effect-resilience"
import { tagOf } from "../support/errors.js"
import { conflictInFlight, keysSent, someKey } from "./apiClient.js"
import { baseUrl, broken, failureOf, over, range, type Reply, reply, transport } from "./support.js"

describe("every status through the client", () => {
  it.effect("E1: a status that is not 2xx is an error with its tag", () =>
    Effect.gen(function*() {
      const statuses = range(300, 599)
      const errors = yield* Effect.forEach(statuses, (status) =>
        Effect.flatMap(over([reply(status)]), ({ client }) =>
          failureOf(client.get("/v1/things"))))
      expect(errors.map((error) => [error._tag, "status" in error && error.status])).toEqual(
        statuses.map((status) => [tagOf(status), status])
      )
    }))

  it.effect("E7: every 2xx is a success and passes unchanged", () =>
    Effect.gen(function*() {
      const statuses = range(200, 299)
      const responses = yield* Effect.forEach(statuses, (status) =>
        Effect.flatMap(over([reply(status, "as it was")]), ({ client }) =>
          client.get("/v1/things")))
      expect(responses.map(({ status }) =>
        status
      )).toEqual(statuses)
      const texts = yield* Effect.forEach(responses, ({ text }) => text)
      expect(texts).toEqual(
        statuses.map((status) => [204, 205].includes(status) ? "" : "as it was")
      )
    }))

  it.effect("E2, E4: which are retried, by the number of requests", () =>
    Effect.gen(function*() {
      const statuses = range(300, 599)
      const counts = yield* Effect.forEach(statuses, (status) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([reply(status)])
          yield* failureOf(client.get("/v1/things"))
          return sent.length
        }))
      const again = (status: number) =>
        [408, 425, 429].includes(status) ||
        (status >= 500 && ![501, 505, 506, 508, 510, 511].includes(status))
      expect(counts).toEqual(statuses.map((status) => again(status) ? 3 : 1))
    }))

  it.effect("E2: a transport failure is retried, whatever the socket says", () =>
    Effect.gen(function*() {
      const codes = [
        "ECONNREFUSED",
        "ENOTFOUND",
        "EAI_AGAIN",
        "ECONNRESET",
        "EPIPE",
        "ETIMEDOUT",
        "UND_ERR_SOCKET"
      ]
      const outcomes = yield* Effect.forEach(codes, (code) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([broken(code)])
          return [(yield* failureOf(client.get("/v1/things")))._tag, sent.length]
        }))
      expect(outcomes).toEqual(codes.map(() => ["Network", 3]))
    }))

  it.effect("without a pipeline there is one attempt", () =>
    Effect.gen(function*() {
      const { layer, sent } = transport([reply(503)])
      const client = yield* Effect.provide(ApiClient.make({ name: "test", baseUrl }), layer)
      yield* failureOf(client.get("/v1/things"))
      expect(sent.length).toBe(1)
    }))

  it.effect("E1: the client's playbook decides", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(Playbook.standard, {
        byStatus: {
          418: { ...Playbook.lookup(Playbook.standard, 423), tag: "Locked", repeat: "transient" }
        }
      })
      const { client, sent } = yield* over([reply(418)], { playbook })
      expect([(yield* failureOf(client.get("/")))._tag, sent.length]).toEqual(["Locked", 3])
    }))
})

describe("conflicts in flight", () => {
  const ways: ReadonlyArray<readonly [string, Reply]> = [
    [
      "our problem type",
      reply(409, { type: "urn:effect-resilience:idempotency:in-flight", status: 409 })
    ],
    ["the well-known code", conflictInFlight],
    ["a code of the playbook", reply(409, { error: { code: "still_running", message: "wait" } })]
  ]
  const playbook = Playbook.extend(Playbook.standard, { inFlightCodes: ["still_running"] })

  it.effect("E3, I45: tried again with the same key, by each of the three ways", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach(ways, ([name, inFlight]) =>
        Effect.gen(function*() {
          const { client, sent } = yield* over([inFlight, reply(201, { id: 1 })], { playbook })
          const { status } = yield* client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
          return [name, status, keysSent(sent)]
        }))
      expect(outcomes).toEqual(ways.map(([name]) => [name, 201, ["row-1", "row-1"]]))
    }))

  it.effect("E3: any other conflict is final, also with a key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(409, { error: "Conflict", message: "Activity already has a result" })
      ])
      const error = yield* failureOf(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      expect([error, sent.length]).toMatchObject([{ _tag: "Conflict", inFlight: false }, 1])
    }))

  it.effect("E14: Retry-After of a conflict in flight is waited for", () =>
    Effect.gen(function*() {
      const waiting = reply(409, { code: "idempotency_key_in_use" }, { "retry-after": "7" })
      const { client, sent } = yield* over([waiting, reply(201)])
      const fiber = yield* Effect.fork(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      yield* TestClock.adjust("6999 millis")
      const before = sent.length
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      expect([before, sent.length]).toEqual([1, 2])
    }))

  it.effect("I45: 422 is terminal, also with a key", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* over([
        reply(422, { type: "urn:effect-resilience:idempotency:mismatch" })
      ])
      const error = yield* failureOf(
        client.post("/v1/things").pipe(IdempotencyKey.provide(someKey))
      )
      expect([error._tag, sent.length]).toEqual(["Validation", 1])
    }))

  it.effect("I45: a replayed 5xx will be the same next time: stop early", () =>
    Effect.gen(function*() {
      const replayed = reply(500, { message: "broken" }, { "idempotent-replayed": "true" })
      const first = yield* over([replayed])
      const second = yield* over([reply(503), replayed])
      yield* failureOf(first.client.post("/v1/things").pipe(IdempotencyKey.provide(someKey)))
      yield* failureOf(second.client.post("/v1/things").pipe(IdempotencyKey.provide(someKey)))
      expect([first.sent.length, second.sent.length]).toEqual([1, 2])
    }))
})
