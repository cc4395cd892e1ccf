import { HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Option, Random, TestClock } from "effect"
import { Backoff, Operation, Pipeline, Playbook } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import * as Server from "../support/fieldActivitiesServer.js"
import { eventually, turn } from "../support/turns.js"
import { virtualHttp } from "../support/virtualHttp.js"
import { against, apiKey, live, result, submit, types } from "./fieldActivities.js"

/** A client of the platform that is no server: it answers as it is told. */
const answering = (answer: (url: string) => Effect.Effect<Response>) => {
  const calls: Array<string> = []
  const client = HttpClient.make((request, url) => {
    calls.push(`${request.method} ${url.pathname}`)
    return Effect.map(
      answer(url.pathname),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  })
  const options = { baseUrl: "https://field.test", apiKey, resultTypes: types }
  return {
    calls,
    client: Effect.provideService(FieldActivities.make(options), HttpClient.HttpClient, client)
  }
}

/** Bodies are read by promises, which no virtual time moves on. */
/** The head of an answer and half of its body; the rest does not come. */
const unfinished = (status: number) =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("{\"activity_id\": "))
    }),
    { status }
  )

describe("FieldActivities: retries, over real HTTP", () => {
  const { backoff } = FieldActivities.stages.retry
  const longest = (n: number) => Duration.toMillis(Backoff.envelope(backoff, n).max)

  it("the backoff is exponential: at most 500 ms, 1 s, 2 s and so on, and never more than 10 s", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map(longest)).toEqual([
      500,
      1000,
      2000,
      4000,
      8000,
      10_000,
      10_000
    ])
  })

  it.effect.each([500, 502, 503, 504])(
    "R1: a %i is repeated three times, after waits within the backoff",
    (status) =>
      Effect.gen(function*() {
        const { posts, waits } = yield* against(
          Server.submissions(() => FlakyApi.status(status)),
          submit
        )
        expect([posts, waits.length, waits.map((wait, n) => wait >= 0 && wait <= longest(n))])
          .toEqual([
            4,
            3,
            [true, true, true]
          ])
      })
  )

  it.effect("R1: the waits double, wherever in its bounds each is drawn", () =>
    Effect.gen(function*() {
      const drawn = (unit: number) =>
        Effect.map(
          Effect.withRandom(
            against(Server.submissions(() => FlakyApi.serverError()), submit),
            Random.fixed([unit])
          ),
          ({ waits }) => waits
        )
      expect([yield* drawn(0.5), yield* drawn(0.25)]).toEqual([[250, 500, 1000], [125, 250, 500]])
    }))

  it.effect("E2: 501 and 505 say that the server will never do it, and are not repeated", () =>
    Effect.gen(function*() {
      const posts = yield* Effect.forEach(
        [501, 505],
        (status) =>
          Effect.map(
            against(Server.submissions(() => FlakyApi.status(status)), submit),
            ({ posts }) => posts
          )
      )
      expect(posts).toEqual([1, 1])
    }))

  it.effect.each([408, 425])(
    "the document retries no 4xx: a %i is asked for once, by a submission and by a query",
    (status) =>
      Effect.gen(function*() {
        const fault = FlakyApi.status(status, { retryAfter: 1 })
        const submitted = yield* against(Server.submissions(() => fault), submit)
        const asked = yield* against(() => fault, (client) => client.activity("A-1"))
        expect([submitted.posts, asked.gets]).toEqual([1, 1])
        expect(Playbook.lookup(FieldActivities.playbook, status).repeat).toBe("never")
      })
  )

  it.effect("E12: a 429, which the document does not mention, is repeated, and not before Retry-After", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.rateLimited({ retryAfter: 7 }) : FlakyApi.none
      )
      const { exit, posts, waits: [wait = 0] } = yield* against(script, submit)
      expect([Exit.isSuccess(exit), posts, wait >= 7000, wait <= 7500]).toEqual([
        true,
        2,
        true,
        true
      ])
    }))

  it.effect("a result that met two failures is registered once", () =>
    Effect.gen(function*() {
      const faults = [FlakyApi.unavailable(), FlakyApi.reset()]
      const { bodies, exit, posts } = yield* against(
        Server.submissions((nth) => faults[nth] ?? FlakyApi.none),
        submit
      )
      expect([Exit.isSuccess(exit), posts, bodies]).toEqual([true, 3, [result]])
    }))

  it.effect("after enough 5xx the circuit opens, and nothing is sent", () =>
    Effect.gen(function*() {
      const { exit, gets } = yield* against(
        () => FlakyApi.unavailable(),
        (client) =>
          Effect.zipRight(
            Effect.forEach(Array(10), () => Effect.ignore(client.activity("A-1"))),
            submit(client)
          )
      )
      expect([errorOf(exit)._tag, gets, FieldActivities.userMessage(errorOf(exit))]).toEqual([
        "CircuitOpen",
        10,
        expect.stringMatching(
          /^The visit service is not available at the moment\. Please try again/
        )
      ])
    }))

  it.live("nobody listens: Network, certainly not executed", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const retry = { retries: 2, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.idempotent, retry })
      const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey, pipeline })
      const error = yield* Effect.flip(client.submitResult("A-1", result))
      expect([error._tag, error._tag === "Network" && [error.sent, error.attempts]]).toEqual([
        "Network",
        ["no", 3]
      ])
      expect(FieldActivities.userMessage(error, { locale: "de" })).toBe(
        "Der Besuchsdienst war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal."
      )
    }).pipe(Effect.scoped, live))
})

describe("FieldActivities: limits of time", () => {
  it.effect("an attempt that does not end is cut after 10 s, and all of them after 30 s", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.never)
      const fiber = yield* Effect.fork(Effect.exit((yield* client).submitResult("A-1", result)))
      yield* TestClock.adjust("9999 millis")
      const first = calls.length
      yield* TestClock.adjust("601 millis")
      const second = calls.length
      yield* TestClock.adjust("19399 millis")
      const early = Option.isNone(yield* Fiber.poll(fiber))
      // The waits are drawn; their fractions of a nanosecond are rounded up.
      yield* TestClock.adjust("2 millis")
      const error = errorOf(yield* Fiber.join(fiber))
      expect([first, second, early, calls.length, error._tag === "Timeout" && error.deadline])
        .toEqual([
          1,
          2,
          true,
          3,
          "total"
        ])
      expect(FieldActivities.userMessage(error)).toBe(
        "The visit service is taking longer than usual. Please try again in a moment."
      )
    }))

  it.effect("the body of an answer counts: one that stops half way is cut, too", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.sync(() => unfinished(200)))
      const fiber = yield* (yield* client).activity("A-1").pipe(
        Effect.exit,
        Effect.zip(Clock.currentTimeMillis),
        Effect.fork
      )
      for (let seconds = 0; seconds < 40; seconds++) {
        yield* Effect.zipRight(turn, TestClock.adjust("1 second"))
      }
      const [exit, endedAt] = yield* Fiber.join(fiber)
      // The waits are drawn; their fractions of a nanosecond are rounded up.
      expect([calls.length, errorOf(exit)._tag, Math.floor(endedAt)]).toEqual([
        3,
        "Timeout",
        30_000
      ])
    }))

  it.effect("the body of a result that is registered does not: the head has said so", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.sync(() => unfinished(201)))
      const fiber = yield* Effect.fork(Effect.exit((yield* client).submitResult("A-1", result)))
      yield* turn
      yield* TestClock.adjust("999 millis")
      yield* turn
      yield* TestClock.adjust("1 millis")
      expect([yield* Fiber.join(fiber), calls.length]).toEqual([Exit.void, 1])
    }))

  it.effect.each([["truncated", FlakyApi.truncated], ["no JSON", FlakyApi.malformed]] as const)(
    "E7: the answer to a query that is %s is an attempt that failed",
    ([, fault]) =>
      Effect.gen(function*() {
        const { exit, gets } = yield* against(FlakyApi.sequence([fault]), (client) =>
          client.activity("A-1"))
        expect([Exit.isSuccess(exit), gets]).toEqual([true, 2])
      })
  )

  it.live.each(["not JSON", "{\"broken\": "])(
    "a submission that is answered with a body of no use (%s) has succeeded, and is not sent again",
    (body) =>
      Effect.gen(function*() {
        const api = yield* Server.make({
          script: Server.submissions(() => FlakyApi.status(201, { when: "after", body }))
        })
        const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey })
        yield* client.submitResult("A-1", result)
        expect(yield* api.posts).toBe(1)
      }).pipe(Effect.scoped, live)
  )
})

describe("FieldActivities: interruption", () => {
  it.effect("R12: during a delay it ends the call, and nothing more is sent", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script: Server.submissions(() => FlakyApi.serverError()) })
      const client = yield* Effect.provide(
        FieldActivities.make({ baseUrl: api.url, apiKey }),
        layer
      )
      const fiber = yield* Effect.fork(submit(client))
      yield* eventually(api.posts, (posts) => posts > 0)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), yield* api.posts]).toEqual([true, 1])
    }).pipe(Effect.scoped))

  it.effect("R12: during a request it ends the call, and the request with it", () =>
    Effect.gen(function*() {
      let ended = 0
      const { calls, client } = answering(() =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
      )
      const fiber = yield* Effect.fork((yield* client).submitResult("A-1", result))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), calls.length, ended]).toEqual([true, 1, 1])
    }))

  it.effect("R12: while the result types are asked for, it is not kept: whoever comes next asks again", () =>
    Effect.gen(function*() {
      const script: FlakyApi.Script = ({ index }) =>
        index === 0 ? FlakyApi.serverError() : FlakyApi.none
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script })
      const client = yield* Effect.provide(
        FieldActivities.make({ baseUrl: api.url, apiKey }),
        layer
      )
      const first = yield* Effect.fork(submit(client))
      yield* eventually(api.gets, (gets) => gets > 0)
      const waiting = yield* Effect.fork(submit(client))
      yield* Effect.yieldNow()
      const interrupted = yield* Fiber.interrupt(first)
      yield* Fiber.join(waiting)
      expect([Exit.isInterrupted(interrupted), yield* api.gets, yield* api.posts]).toEqual([
        true,
        2,
        1
      ])
    }).pipe(Effect.scoped))
})
