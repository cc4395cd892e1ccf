import { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, TestClock } from "effect"
import { ApiError, Backoff, Operation, RetryBudget } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { apiErrorOf, errorOf, squashed } from "../support/exits.js"
import * as Server from "../support/messagingServer.js"
import { eventually } from "../support/turns.js"
import { virtualHttp } from "../support/virtualHttp.js"
import {
  against,
  always,
  apiKey,
  type Client,
  halfway,
  live,
  send,
  sendOtp,
  submit,
  to
} from "./messaging.js"

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

describe("Messaging: retries, over real HTTP", () => {
  it.effect.each([429, 500, 502, 503])(
    "R1: a %i is repeated after waits below 500, 1000 and 2000 ms, with jitter, under one key",
    (status) =>
      Effect.gen(function*() {
        const { keys, requests, waits } = yield* against(always(FlakyApi.status(status)), sendOtp)
        expect([requests, keys]).toEqual([4, 1])
        expect(waits.map((wait, n) => wait >= 0 && wait <= 500 * 2 ** n)).toEqual([
          true,
          true,
          true
        ])
      })
  )

  it("the backoff is exponential, capped, and has full jitter", () => {
    const { backoff } = Messaging.operations.sendMessage
    const envelopes = [0, 1, 10, 1000].map((n) => Backoff.envelope(backoff, n))
    expect(envelopes.map(({ max }) => Duration.toMillis(max))).toEqual([500, 1000, 20_000, 20_000])
    expect(envelopes.map(({ min }) => Duration.toMillis(min))).toEqual([0, 0, 0, 0])
  })

  it.effect("a message is repeated more patiently than what somebody waits for", () =>
    Effect.gen(function*() {
      const { requests, waits } = yield* halfway(
        against(always(FlakyApi.unavailable()), (client) => send(client))
      )
      expect([requests, waits]).toEqual([6, [250, 500, 1000, 2000, 4000]])
    }))

  it.effect("E12: Retry-After is a floor", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 7 })])
      const { exit, waits } = yield* against({ script }, sendOtp)
      expect([Exit.isSuccess(exit), waits]).toEqual([true, [7000]])
    }))

  it.effect("a Retry-After that ends after the call's limit of time is not waited for", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        always(FlakyApi.rateLimited({ retryAfter: 45 })),
        sendOtp
      )
      expect([apiErrorOf(exit)._tag, requests]).toEqual(["RateLimit", 1])
    }))

  it.effect("a budget pays for the retries of all operations", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 2, ratio: 0, reservePerSecond: 0 })
      const { requests } = yield* against(
        always(FlakyApi.serverError()),
        (client) => Effect.all([Effect.exit(sendOtp(client)), Effect.exit(send(client))]),
        { budget }
      )
      expect(requests).toBe(2 + 2)
    }))

  it.effect("a message that went out before the connection broke does not go out again", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([
        FlakyApi.reset({ when: "after" }),
        FlakyApi.serverError({ when: "after" })
      ])
      const { exit, keys, records, requests } = yield* against({ script }, (client) => send(client))
      expect([Exit.isSuccess(exit), requests, keys, records.messages]).toEqual([true, 3, 1, [to]])
    }))

  it.effect("with writes: once, only what certainly was not executed is repeated", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const requests: Array<number> = []
      for (const status of [429, 500, 502, 503]) {
        const api = yield* Server.make(always(FlakyApi.status(status)))
        const options = { baseUrl: api.url, apiKey, writes: Operation.once }
        const client = yield* Effect.provide(Messaging.make(options), layer)
        yield* run(client.sendOtp({ to }))
        requests.push((yield* api.received).length)
      }
      expect(requests).toEqual([4, 1, 1, 1])
    }).pipe(Effect.scoped))

  it.effect("an attempt is cut after 10 s, and the call after 30 s", () =>
    Effect.gen(function*() {
      let calls = 0
      const client = HttpClient.make(() => {
        calls++
        return Effect.never
      })
      const messaging = yield* Effect.provide(
        Messaging.make({ baseUrl: "https://messaging.test", apiKey }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const fiber = yield* Effect.fork(Effect.exit(sendOtp(messaging)))
      yield* TestClock.adjust("9999 millis")
      const before = calls
      yield* TestClock.adjust("20 seconds")
      const isOver = Option.isSome(yield* Fiber.poll(fiber))
      // A wait that is no whole number of milliseconds is rounded up.
      yield* TestClock.adjust("2 millis")
      const exit = Option.getOrUndefined(yield* Fiber.poll(fiber))
      expect([before, calls > 1, isOver]).toEqual([1, true, false])
      expect(exit && errorOf(Exit.flatten(exit))._tag).toBe("Timeout")
    }))

  it.live("an answer whose body comes too slowly is cut, and asked for again under the same key", () =>
    Effect.gen(function*() {
      const api = yield* Server.make({
        script: FlakyApi.sequence([FlakyApi.slowBody("20 seconds")])
      })
      const policies = {
        sendMessage: { backoff: Backoff.constant("1 millis"), attemptTimeout: "500 millis" }
      } as const
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey, policies })
      const answer = yield* send(client)
      expect([answer, (yield* api.received).length, api.records.messages]).toEqual([
        { queue_id: "q-1" },
        2,
        [to]
      ])
    }).pipe(Effect.scoped, live))

  it.live("E7: an answer that breaks off was a success that cannot be read, and is not asked for again", () =>
    Effect.gen(function*() {
      const api = yield* Server.make(always(FlakyApi.truncated))
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey })
      const error = yield* Effect.flip(send(client))
      expect([ApiError.isUnreadable(error), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped, live))

  it.effect("R12: interruption during a wait ends the call", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make(always(FlakyApi.serverError()))
      const policies = {
        sendOtp: { backoff: Backoff.constant("1 minute"), totalTimeout: "1 hour" }
      } as const
      const client = yield* Effect.provide(
        Messaging.make({ baseUrl: api.url, apiKey, policies }),
        layer
      )
      const fiber = yield* Effect.fork(sendOtp(client))
      yield* eventually(api.received, ({ length }) => length === 1)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped))

  it.effect("a circuit that is open for one endpoint lets the others through", () =>
    Effect.gen(function*() {
      const script: FlakyApi.Script = ({ path }) =>
        path === "/v1/otp" ? FlakyApi.serverError() : FlakyApi.none
      const { exit } = yield* against(
        { script },
        (client) =>
          Effect.all([
            Effect.exit(sendOtp(client)),
            Effect.exit(sendOtp(client)),
            Effect.exit(submit(client))
          ]),
        { circuitBreaker: { minimumCalls: 4, slowCall: false } }
      )
      const [, second, form] = Exit.isSuccess(exit) ? exit.value : []
      expect([second && errorOf(second)._tag, form && Exit.isSuccess(form)]).toEqual([
        "CircuitOpen",
        true
      ])
    }))
})

// -----------------------------------------------------------------------------
// duplicates and options
// -----------------------------------------------------------------------------

describe("Messaging: forms that are sent twice", () => {
  const twice = (client: Client) => Effect.zipRight(submit(client), submit(client))

  it.effect("duplicate mode reject: the second submission is a conflict, and is not repeated", () =>
    Effect.gen(function*() {
      const { exit, records, requests } = yield* against({ duplicates: "reject" }, twice)
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).attempts, requests, records.forms.length])
        .toEqual([
          "Conflict",
          1,
          2,
          1
        ])
    }))

  it.effect("duplicate mode accept: both are taken", () =>
    Effect.gen(function*() {
      const { exit, records } = yield* against({ duplicates: "accept" }, (client) =>
        Effect.zipRight(twice(client), submit(client)))
      expect([Exit.isSuccess(exit), records.forms.length]).toEqual([true, 3])
    }))

  it.effect("a submission whose answer was lost is no duplicate of itself", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.reset({ when: "after" })])
      const { exit, keys, records, requests } = yield* against(
        { script },
        (client) => submit(client)
      )
      expect([Exit.isSuccess(exit), requests, keys, records.forms.length]).toEqual([true, 2, 1, 1])
    }))
})

describe("Messaging.make: options", () => {
  it.effect("other paths, with the same parameters", () =>
    Effect.gen(function*() {
      const { exit, paths } = yield* against({}, (client) => submit(client, "a/b"), {
        paths: { submitForm: "/forms/:formId" }
      })
      expect([apiErrorOf(exit).endpoint, paths]).toEqual(["/forms/:formId", ["/forms/a%2Fb"]])
    }))

  it.effect("an id that cannot be in a path is not sent", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({}, (client) => submit(client, ".."))
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).code, requests]).toEqual([
        "Validation",
        "invalid_id",
        0
      ])
    }))

  it.effect("nonsense is refused, and the message names field and value", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Messaging.make({
          baseUrl: "https://messaging.test",
          apiKey,
          policies: { sendOtp: { retries: -1 } }
        })
      )
      const defect = squashed(exit)
      expect([defect instanceof RangeError, String(defect)]).toEqual([
        true,
        expect.stringMatching(/retries.*-1/)
      ])
    }).pipe(live))
})
