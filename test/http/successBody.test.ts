import { HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schema, TestClock } from "effect"
import { ApiClient, Backoff, IdempotencyKey, Operation, Pipeline } from "effect-resilience"
import { baseUrl, failureOf, type Reply, reply, transport } from "./support.js"

const Total = Schema.Struct({ total: Schema.Number })

/** A body of which the first part arrives, and then what `next` does. */
const body =
  (next: (controller: ReadableStreamDefaultController<Uint8Array>) => void): Reply => () =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode("{\"total\":")),
        pull: (controller) => next(controller)
      }),
      { headers: { "content-type": "application/json" } }
    )

const breaksOff = body((controller) => controller.error(new Error("reset")))

const hangs: Reply = () =>
  new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("{"))
    })
  )

/** A client over replies in memory that reads whole bodies: two retries, 1 s for each attempt. */
const reading = (replies: ReadonlyArray<Reply>) =>
  Effect.gen(function*() {
    const { layer, sent } = transport(replies)
    const pipeline = yield* Pipeline.make({
      operation: Operation.read,
      retry: { retries: 2, backoff: Backoff.constant(0) },
      attemptTimeout: "1 second"
    })
    const made = ApiClient.make({ name: "test", baseUrl, pipeline }).pipe(ApiClient.readAll)
    return { client: yield* Effect.provide(made, layer), sent }
  })

describe("readAll", () => {
  it.effect.each(
    [
      ["is no JSON", reply(200, "<html>")],
      ["breaks off", breaksOff]
    ] as const
  )(
    "a body that %s is a failed attempt, and a read is repeated",
    ([, first]) =>
      Effect.gen(function*() {
        const { client, sent } = yield* reading([first, reply(200, { total: 3 })])
        const read = yield* Effect.flatMap(client.get("/v1/total"), ApiClient.json(Total))
        expect([read, sent.length]).toEqual([{ total: 3 }, 2])
      })
  )

  it.effect("a body that cannot be read ends a keyed call, which was executed", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* reading([reply(200, "<html>")])
      const error = yield* failureOf(IdempotencyKey.provideNew(client.post("/v1/orders")))
      expect([error._tag, "code" in error && error.code, sent.length]).toEqual([
        "Server",
        "unreadable_response",
        1
      ])
    }))

  it.effect("a body that hangs is cut off by the time limit of the attempt", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* reading([hangs, reply(200, { total: 3 })])
      const call = yield* Effect.fork(
        Effect.flatMap(client.get("/v1/total"), ApiClient.json(Total))
      )
      yield* TestClock.adjust("1 second")
      expect([yield* Fiber.join(call), sent.length]).toEqual([{ total: 3 }, 2])
    }))

  it.effect.each(
    [
      ["nothing", reply(200)],
      ["white space", reply(200, " \n")],
      ["no body at all", reply(204)]
    ] as const
  )("%s is a body", ([, answer]) =>
    Effect.gen(function*() {
      const { client, sent } = yield* reading([answer])
      const read = yield* Effect.flatMap(client.get("/v1/total"), ApiClient.json(Schema.Undefined))
      expect([read, sent.length]).toEqual([undefined, 1])
    }))

  it.effect("JSON that does not fit the schema is not repeated", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* reading([reply(200, { sum: 3 })])
      const error = yield* failureOf(
        Effect.flatMap(client.get("/v1/total"), ApiClient.json(Total))
      )
      expect(["code" in error && error.code, sent.length]).toEqual(["unexpected_response", 1])
    }))

  it.effect("a response that is no success is judged by its status, whatever its body is", () =>
    Effect.gen(function*() {
      const { client, sent } = yield* reading([reply(404, "<html>")])
      const error = yield* failureOf(client.get("/v1/total"))
      expect([error._tag, sent.length]).toEqual(["NotFound", 1])
    }))
})

describe("discard", () => {
  const responseOf = (answer: Reply) => {
    const request = HttpClientRequest.get(baseUrl)
    const response = answer(request)
    return response instanceof Response
      ? Effect.succeed(HttpClientResponse.fromWeb(request, response))
      : Effect.die(response)
  }

  it.effect.each(
    [
      ["is there", reply(200, { total: 3 })],
      ["is not", reply(204)],
      ["breaks off", breaksOff]
    ] as const
  )("lets go of a body that %s", ([, answer]) =>
    Effect.gen(function*() {
      const response = yield* responseOf(answer)
      expect(yield* ApiClient.discard(response)).toBe(undefined)
    }))

  it.effect("waits for a body that hangs for one second", () =>
    Effect.gen(function*() {
      const response = yield* responseOf(hangs)
      const discarding = yield* Effect.fork(ApiClient.discard(response))
      yield* TestClock.adjust("999 millis")
      expect(discarding.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(discarding)).toBe(undefined)
    }))
})
