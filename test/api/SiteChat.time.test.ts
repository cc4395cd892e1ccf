import { HttpClient, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, TestClock } from "effect"
import { ApiError, Backoff, IdempotencyKey } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf, squashed } from "../support/exits.js"
import * as Server from "../support/siteChatServer.js"
import { against, call, feedback, key, live, names, question, virtual } from "./siteChat.js"

/** A transport that never answers, and counts. */
const silent = () => {
  const seen: Array<string> = []
  const client = HttpClient.make((request) => {
    seen.push(request.method)
    return Effect.never
  })
  return { seen, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

describe("SiteChat: limits of time", () => {
  it.effect.each(names)(
    "%s: every attempt has a limit, and all of them together have one",
    (name) =>
      Effect.gen(function*() {
        const { layer, seen } = silent()
        const chat = yield* Effect.provide(SiteChat.make(virtual), layer)
        const fiber = yield* Effect.fork(Effect.exit(call(name, chat)))
        const { attemptTimeout, totalTimeout } = SiteChat.operations[name]
        yield* TestClock.adjust(Duration.sum(Duration.decode(attemptTimeout), Duration.seconds(10)))
        const second = seen.length
        yield* TestClock.adjust(totalTimeout)
        const error = errorOf(yield* Fiber.join(fiber))
        expect([second, error._tag, SiteChat.userMessage(error)]).toEqual([
          2,
          "Timeout",
          "The chat is taking longer than usual. Please try again in a moment."
        ])
      })
  )

  it.live("a body that stops half way is cut by the limit of the attempt", () =>
    Effect.gen(function*() {
      const api = yield* Server.make({ script: () => FlakyApi.slowBody("1 minute") })
      const policies = { site: { retries: 0, attemptTimeout: "100 millis" } } as const
      const chat = yield* SiteChat.make({
        baseUrl: api.url,
        apiKey: key,
        ...Server.known,
        policies
      })
      expect((yield* Effect.flip(chat.site))._tag).toBe("Timeout")
    }).pipe(Effect.scoped, live))

  it.live.each([["truncated", FlakyApi.truncated], ["malformed", FlakyApi.malformed]] as const)(
    "E7: a success that is %s is read again where that is safe, and is final under a key",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({
          script: (call) => call.attempt === 1 ? fault : FlakyApi.none
        })
        const policies = { tenant: { backoff: Backoff.constant("1 millis") } }
        const chat = yield* SiteChat.make({
          baseUrl: api.url,
          apiKey: key,
          ...Server.known,
          policies
        })
        const tenant = yield* chat.tenant
        const error = yield* Effect.flip(IdempotencyKey.provideNew(chat.chat(question)))
        expect([tenant.name, ApiError.isUnreadable(error)]).toEqual(["Acme", true])
      }).pipe(Effect.scoped, live)
  )

  it.effect("policies and paths can be said, nonsense is refused", () =>
    Effect.gen(function*() {
      const policies = { tenant: { retries: 1, backoff: Backoff.constant("7 seconds") } }
      const { exit, requests, waits } = yield* against(() => FlakyApi.unavailable(), (chat) =>
        chat.tenant, {
        policies
      })
      expect([errorOf(exit)._tag, requests, waits]).toEqual(["Server", 2, [7000]])
      const refused = yield* Effect.exit(
        Effect.provide(
          SiteChat.make({ ...virtual, policies: { tenant: { retries: -1 } } }),
          silent().layer
        )
      )
      expect(squashed(refused)).toEqual(
        new RangeError("retries should be a whole number of at least 0, got -1")
      )
    }))

  const nonsense: ReadonlyArray<readonly [string, Partial<SiteChat.Options>]> = [
    ["askWithin should be a duration longer than zero, got 0", { askWithin: 0 }],
    ["askWithin should be a finite duration, got Duration(Infinity)", { askWithin: Infinity }],
    ["jobStates.done should be at least one word, got \"\"", {
      jobStates: { done: [], failed: ["failed"] }
    }],
    ["paths.tenant should be a path, got \"\"", { paths: { tenant: "" } }],
    ["paths.chat should be a path, got \" \"", { paths: { chat: " " } }]
  ]

  it.effect.each(nonsense)(
    "nonsense is refused by make: %s",
    ([message, options]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          Effect.provide(SiteChat.make({ ...virtual, ...options }), silent().layer)
        )
        const error = squashed(exit)
        expect(error).toBeInstanceOf(RangeError)
        expect(error).toMatchObject({ message: expect.stringContaining(message) })
      })
  )

  it.effect("what is undefined among policies and paths is not given", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.unavailable(),
        (chat) => chat.tenant,
        {
          policies: {
            tenant: Object.assign({}, { retries: undefined, attemptTimeout: undefined })
          } as {},
          paths: Object.assign({}, { tenant: undefined }) as {}
        }
      )
      expect([errorOf(exit)._tag, requests]).toEqual(["Server", 5])
    }))

  it.effect("a nonsense budget of one call is a defect of that call, and not thrown at its caller", () =>
    Effect.gen(function*() {
      const chat = yield* Effect.provide(SiteChat.make(virtual), silent().layer)
      const asked = chat.ask(question, { within: -1 })
      const resumed = chat.resume("req-1", { within: -1 })
      const exits = yield* Effect.all([
        Effect.exit(IdempotencyKey.provideNew(asked)),
        Effect.exit(resumed)
      ])
      expect(
        exits.map((exit) => squashed(exit) instanceof RangeError)
      ).toEqual([
        true,
        true
      ])
    }))

  it.effect.each(["OK", "", "<html>"])(
    "E7: a session is closed and feedback is there when the status says so: %j",
    (body) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(
          () => FlakyApi.status(200, { body }),
          (chat) => Effect.all([chat.closeSession("s-1"), chat.sendFeedback(feedback)])
        )
        expect([exit, requests]).toEqual([Exit.succeed([undefined, undefined]), 2])
      })
  )

  it.effect.each(["", " "])(
    "E32: an answer that comes later, and whose request id is %j, is unexpected",
    (request_id) =>
      Effect.gen(function*() {
        const { exit } = yield* against(
          () => FlakyApi.status(202, { body: JSON.stringify({ request_id }) }),
          (chat) => IdempotencyKey.provideNew(chat.submitChat(question))
        )
        expect(errorOf(exit)).toMatchObject({ _tag: "Server", code: "unexpected_response" })
      })
  )

  it.effect("E9: paths can be said, parameters are escaped, and the endpoint of an error is the template", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const client = HttpClient.make((request) => {
        seen.push(new URL(request.url).pathname)
        return Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(null, { status: 404 }))
        )
      })
      const paths = { pollChat: "/api/:siteId/jobs/:requestId" }
      const chat = yield* Effect.provide(
        SiteChat.make({ ...virtual, tenantId: "a/b", paths }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const errors = [yield* Effect.flip(chat.tenant), yield* Effect.flip(chat.pollChat("r 1?"))]
      expect([seen, errors.map((error) => "endpoint" in error && error.endpoint)]).toEqual([
        ["/v1/tenants/a%2Fb", "/api/shop/jobs/r%201%3F"],
        ["/v1/tenants/:tenantId", "/api/:siteId/jobs/:requestId"]
      ])
    }))
})
