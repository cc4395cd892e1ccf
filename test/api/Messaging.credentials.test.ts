import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted } from "effect"
import { ApiError, CircuitBreaker } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { apiErrorOf, errorOf } from "../support/exits.js"
import * as Server from "../support/messagingServer.js"
import { leaks, renderings } from "../support/renderings.js"
import { eventually, until } from "../support/turns.js"
import { virtualHttp } from "../support/virtualHttp.js"
import { against, always, apiKey, live, sendOtp, to } from "./messaging.js"

// -----------------------------------------------------------------------------
// the fallback route
// -----------------------------------------------------------------------------

describe("Messaging: the fallback route", () => {
  it.effect("a direct route that fails with 502 after its retries goes to the other one, once, under a key of its own", () =>
    Effect.gen(function*() {
      const { exit, keys, records, requests } = yield* against(
        { broken: ["direct"] },
        (client) => sendOtp(client, { fallbackRoute: "queued" })
      )
      expect(exit).toEqual(
        Exit.succeed({ session_id: "otp-1", queue_id: "q-1", route: "queued", isFallback: true })
      )
      expect([requests, keys, records.otps]).toEqual([5, 2, [`${to} over queued`]])
    }))

  it.effect("the other route is tried once, and its error is the call's", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        { broken: ["direct", "queued"] },
        (client) => sendOtp(client, { fallbackRoute: "queued" })
      )
      const error = apiErrorOf(exit)
      expect([error._tag, error.status, error.attempts, requests]).toEqual(["Server", 502, 1, 5])
    }))

  it.effect("without one, the 502 is the call's", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({ broken: ["direct"] }, sendOtp)
      expect([Messaging.isUpstreamFailure(errorOf(exit)), requests]).toEqual([true, 4])
    }))

  it.effect.each([400, 401, 403, 404, 409, 423, 429, 500, 503])(
    "a %i does not go there",
    (status) =>
      Effect.gen(function*() {
        const { exit, keys } = yield* against(
          always(FlakyApi.status(status)),
          (client) => sendOtp(client, { fallbackRoute: "queued" })
        )
        expect([apiErrorOf(exit).status, keys]).toEqual([status, 1])
      })
  )

  it.effect.each([[undefined, "direct"], ["queued", "queued"]] as const)(
    "the route in use is no other one: %s, then %s",
    ([route, fallbackRoute]) =>
      Effect.gen(function*() {
        const { exit, keys, requests } = yield* against(
          { broken: ["direct", "queued"] },
          (client) => sendOtp(client, { route, fallbackRoute })
        )
        expect([apiErrorOf(exit).status, requests, keys]).toEqual([502, 4, 1])
      })
  )

  it.effect("a direct route that is left alone goes there at once", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({ broken: ["direct"] }, (client) => {
        const call = sendOtp(client, { fallbackRoute: "queued" })
        return Effect.all([call, call])
      }, { circuitBreaker: { minimumCalls: 4, slowCall: false } })
      expect([Exit.isSuccess(exit) && exit.value.map(({ isFallback }) => isFallback), requests])
        .toEqual([
          [true, true],
          4 + 1 + 1
        ])
    }))
})

// -----------------------------------------------------------------------------
// credentials
// -----------------------------------------------------------------------------

describe("Messaging: credentials", () => {
  it.effect("a key that is refused is replaced, and the call is sent once more; later calls carry the new one", () =>
    Effect.gen(function*() {
      let renewed = 0
      const renewKey = Effect.sync(() => {
        renewed++
        return Redacted.make(Server.rotatedKey)
      })
      const { exit, requests } = yield* against(
        { keys: () => [Server.rotatedKey] },
        (client) => Effect.all([sendOtp(client), sendOtp(client)]),
        { renewKey }
      )
      expect([Exit.isSuccess(exit), requests, renewed]).toEqual([true, 3, 1])
    }))

  it.effect("calls that are refused together replace the key once", () =>
    Effect.gen(function*() {
      let renewed = 0
      const renewKey = Effect.delay(
        Effect.sync(() => {
          renewed++
          return Redacted.make(Server.rotatedKey)
        }),
        "1 second"
      )
      const { exit } = yield* against(
        { keys: () => [Server.rotatedKey] },
        (client) => Effect.forEach(Array(5), () => sendOtp(client), { concurrency: "unbounded" }),
        { renewKey }
      )
      expect([Exit.isSuccess(exit), renewed]).toEqual([true, 1])
    }))

  it.live("a call that is refused late, with a key that has been replaced meanwhile, does not replace it again", () =>
    Effect.gen(function*() {
      const api = yield* Server.make({
        keys: () => [Server.rotatedKey],
        script: FlakyApi.sequence([FlakyApi.none, FlakyApi.slowHeaders("200 millis")])
      })
      const fetched: Array<string> = []
      const renewKey = Effect.sync(() => {
        fetched.push(fetched.length === 0 ? Server.rotatedKey : "mk_live_another")
        return Redacted.make(fetched.at(-1) ?? "")
      })
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey, renewKey })
      const late = Effect.zipRight(
        eventually(api.received, ({ length }) => length > 0),
        sendOtp(client)
      )
      const sent = yield* Effect.all([sendOtp(client), late], { concurrency: 2 })
      expect([sent.length, fetched]).toEqual([2, [Server.rotatedKey]])
    }).pipe(Effect.scoped, live))

  it.effect("interruption of a call that waits for another key leaves the turn to the next one", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make({ keys: () => [Server.rotatedKey] })
      let renewals = 0
      const renewKey = Effect.suspend(() =>
        ++renewals === 1 ? Effect.never : Effect.succeed(Redacted.make(Server.rotatedKey))
      )
      const client = yield* Effect.provide(
        Messaging.make({ baseUrl: api.url, apiKey, renewKey }),
        layer
      )
      const first = yield* Effect.fork(sendOtp(client))
      yield* until(() => renewals === 1)
      const interrupted = yield* Fiber.interrupt(first)
      const { exit } = yield* run(sendOtp(client))
      expect([Exit.isInterrupted(interrupted), Exit.isSuccess(exit), renewals]).toEqual([
        true,
        true,
        2
      ])
    }).pipe(Effect.scoped))

  it.effect("a key that is refused again is final", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({ keys: () => [] }, sendOtp, {
        renewKey: Effect.succeed(Redacted.make(Server.rotatedKey))
      })
      expect([apiErrorOf(exit)._tag, requests]).toEqual(["Auth", 2])
    }))

  /** Thirty calls at once with a key that is refused, and how often another was fetched. */
  const storm = (
    good: ReadonlyArray<string>,
    renewal: Effect.Effect<Redacted.Redacted<string>, ApiError.ApiError>
  ) =>
    Effect.gen(function*() {
      let renewed = 0
      const renewKey = Effect.suspend(() => {
        renewed++
        return renewal
      })
      const { exit, requests } = yield* against(
        { keys: () => good },
        (client) =>
          Effect.forEach(Array(30), () => Effect.exit(sendOtp(client)), {
            concurrency: "unbounded"
          }),
        {
          renewKey,
          circuitBreaker: {
            window: CircuitBreaker.count(1000),
            minimumCalls: 1000,
            slowCall: false
          }
        }
      )
      const exits = Exit.isSuccess(exit) ? exit.value : []
      const ends = exits.map((exit) => Exit.isSuccess(exit) ? "sent" : apiErrorOf(exit)._tag)
      return [renewed, requests, ends.length, [...new Set(ends)]]
    })

  const rotated = Effect.succeed(Redacted.make(Server.rotatedKey))
  const noVault = Effect.suspend(() => new ApiError.Server({ message: "no vault", status: 503 }))
  it.effect.each(
    [
      ["succeeds", [Server.rotatedKey], rotated, [1, 60, 30, ["sent"]]],
      ["succeeds after a while", [Server.rotatedKey], Effect.delay(rotated, "1 second"), [
        1,
        60,
        30,
        ["sent"]
      ]],
      ["fails", [], noVault, [1, 30, 30, ["Server"]]],
      ["fails after a while", [], Effect.delay(noVault, "1 second"), [1, 30, 30, ["Server"]]],
      ["gives a key that is refused too", [], rotated, [1, 60, 30, ["Auth"]]],
      ["gives a key that is refused too, after a while", [], Effect.delay(rotated, "1 second"), [
        1,
        60,
        30,
        ["Auth"]
      ]]
    ] as const
  )(
    "30 calls that are refused together renew the key once when that %s",
    ([, good, renewal, expected]) =>
      Effect.gen(function*() {
        expect(yield* storm(good, renewal)).toEqual(expected)
      })
  )

  it.effect("a renewal that fails ends the call with its own error", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({ keys: () => [] }, sendOtp, {
        renewKey: Effect.fail(new ApiError.Server({ message: "no vault", status: 503 }))
      })
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).message, requests]).toEqual([
        "Server",
        "no vault",
        1
      ])
    }))

  it.effect("a key that no header can hold is not sent, whether it was given or fetched", () =>
    Effect.gen(function*() {
      const broken = Redacted.make(`${Server.rotatedKey}\n`)
      const given = yield* against({}, sendOtp, { apiKey: broken })
      const fetched = yield* against({ keys: () => [] }, sendOtp, {
        renewKey: Effect.succeed(broken)
      })
      const about = ({ exit, requests }: typeof given) => [
        apiErrorOf(exit)._tag,
        apiErrorOf(exit).code,
        apiErrorOf(exit).endpoint,
        requests
      ]
      expect([about(given), about(fetched)]).toEqual([
        ["Auth", "malformed_api_key", "/v1/otp", 0],
        ["Auth", "malformed_api_key", "/v1/otp", 1]
      ])
      const texts = yield* renderings(given.exit)
      expect(leaks(texts, Server.rotatedKey)).toEqual([])
    }))

  it.effect("T3: the fingerprint is the same for the same key, another for another, and follows the key in use", () =>
    Effect.gen(function*() {
      const { client, exit } = yield* against(
        { keys: () => [Server.rotatedKey] },
        (client) => Effect.zipRight(sendOtp(client), client.keyFingerprint),
        { renewKey: Effect.succeed(Redacted.make(Server.rotatedKey)) }
      )
      const first = yield* Messaging.keyFingerprint(apiKey)
      const rotated = yield* Messaging.keyFingerprint(Redacted.make(Server.rotatedKey))
      expect(first).toMatch(/^[0-9a-f]{16}$/)
      expect([exit, yield* client.keyFingerprint, first === rotated]).toEqual([
        Exit.succeed(rotated),
        rotated,
        false
      ])
    }))
})
