import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric, Option, Redacted } from "effect"
import { Backoff, IdempotencyKey } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import * as Server from "../support/messagingServer.js"
import { leaks, renderings } from "../support/renderings.js"
import { always, apiKey, type Client, live } from "./messaging.js"

describe("Messaging: what is never shown (T1, T2)", () => {
  const secret = "SENTINEL-person@example.com"
  const idempotency = "SENTINEL-row-77"
  const all = [Server.apiKey, Server.rotatedKey, secret, Server.otp, idempotency]
  const said = [`Bearer ${Server.apiKey}`, ...all].join(" | ")

  const answers: ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> = [
    ...[400, 401, 403, 404, 409, 423, 429, 500, 502, 503].map((status) =>
      [
        `a ${status}`,
        FlakyApi.status(status, {
          body: JSON.stringify({ message: said, code: said, request_id: said }),
          headers: {
            "content-type": "application/json",
            "x-request-id": said,
            server: said,
            "retry-after": "0"
          }
        })
      ] as const
    ),
    ["HTML", FlakyApi.htmlPage(502, { body: said })],
    ["a success that cannot be read", FlakyApi.status(200, { body: JSON.stringify(said) })],
    ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })],
    ["a reset", FlakyApi.reset()]
  ]

  /** Calls, and what they send that must not be seen. The server repeats all of it, and more. */
  const calls: ReadonlyArray<
    readonly [
      call: (
        client: Client
      ) => Effect.Effect<unknown, Messaging.Failure, IdempotencyKey.IdempotencyKey>,
      ...sent: ReadonlyArray<string>
    ]
  > = [
    [
      (client) =>
        client.sendMessage({ templateId: "welcome", to: secret, variables: { code: Server.otp } }),
      secret,
      Server.otp
    ],
    [(client) => client.sendOtp({ to: secret }), secret],
    [
      (client) => client.verifyOtp({ sessionId: "otp-1", otp: Redacted.make(Server.otp) }),
      Server.otp
    ],
    [
      (client) => client.submitForm({ formId: "f", fields: { mail: secret, code: Server.otp } }),
      secret,
      Server.otp
    ]
  ]

  const quick = { backoff: Backoff.constant("1 millis"), retries: 1 }
  const policies = { sendMessage: quick, sendOtp: quick, verifyOtp: quick, submitForm: quick }
  const renewKey = Effect.succeed(Redacted.make(Server.rotatedKey))

  /**
   * What could be printed of a call, its incidents and its records with and without a body
   * included.
   */
  const printed = (
    client: Client,
    call: Effect.Effect<unknown, Messaging.Failure, IdempotencyKey.IdempotencyKey>
  ) =>
    Effect.gen(function*() {
      const logged = Effect.tapError(
        IdempotencyKey.provide(call, yield* IdempotencyKey.fromString(idempotency)),
        (error) =>
          Effect.gen(function*() {
            yield* Effect.annotateLogs(Effect.logError("failed"), Messaging.logFields(error))
            yield* Effect.annotateLogs(
              Effect.logError("failed"),
              yield* client.record(error, { body: true })
            )
            yield* Effect.logError(Messaging.userMessage(error))
          })
      )
      const texts = yield* renderings(logged)
      return [
        ...texts,
        inspect(yield* Metric.snapshot, { depth: null, maxArrayLength: null }),
        inspect(client, { depth: null })
      ]
    })

  it.live.each(answers)(
    "T1: %s: no API key, no idempotency key, no address, no code, in errors, logs, spans, metrics, records and incidents",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make(always(fault))
        const found: Array<string> = []
        for (const [call, ...sent] of calls) {
          const raised: Array<string> = []
          const rules = Messaging.incidentRules.map((rule) => ({ ...rule, count: 1 }))
          const { incidents, observe } = yield* Incident.make({ rules })
          const detector: Incident.Detector = {
            incidents,
            observe: (integration, exit) =>
              Effect.tap(observe(integration, exit), (incidents) =>
                Effect.sync(() => raised.push(inspect(incidents))))
          }
          const client = yield* Messaging.make({
            baseUrl: api.url,
            apiKey,
            renewKey,
            policies,
            detector
          })
          const texts = yield* printed(client, call(client))
          expect(texts.length).toBeGreaterThan(20)
          found.push(...leaks([...texts, ...raised], Server.apiKey, idempotency, ...sent))
        }
        expect(found).toEqual([])
      }).pipe(Effect.scoped, live)
  )

  it.live("T1: the fallback route: nor the idempotency keys of the two, where each answer repeats its own", () =>
    Effect.gen(function*() {
      const repeating: FlakyApi.Script = ({ key }) => {
        const own = Option.getOrElse(Option.map(key, Redacted.value), () => "no key")
        return FlakyApi.status(502, {
          body: JSON.stringify({ message: `${own} | ${Server.apiKey} | ${secret}` })
        })
      }
      const api = yield* Server.make({ script: repeating })
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey, policies })
      const texts = yield* printed(client, client.sendOtp({ to: secret, fallbackRoute: "queued" }))
      const keys = (yield* api.received).flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )
      expect(new Set(keys).size).toBe(2)
      expect(leaks(texts, ...keys, Server.apiKey, secret)).toEqual([])
    }).pipe(Effect.scoped, live))

  it.live("T1: a success shows no key, no code and no address", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey })
      const session = client.sendOtp({ to: secret })
      const otp = Redacted.make(Server.otp)
      const texts = [
        ...yield* printed(client, session),
        ...yield* printed(client, client.verifyOtp({ sessionId: "otp-1", otp }))
      ]
      expect(leaks(texts, Server.apiKey, secret, Server.otp, idempotency)).toEqual([])
    }).pipe(Effect.scoped, live))

  it.live("T1: a key that replaced another is not shown either, and neither is the one that was replaced", () =>
    Effect.gen(function*() {
      const keys = [Server.apiKey]
      const script = () =>
        FlakyApi.status(401, {
          body: JSON.stringify({ message: `none of ${keys}`, code: `${keys}` }),
          headers: { "content-type": "application/json", "x-request-id": `${keys}` }
        })
      const renewKey = Effect.sync(() => {
        keys.push(Server.rotatedKey)
        return Redacted.make(Server.rotatedKey)
      })
      const api = yield* Server.make({ script })
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey, renewKey })
      const texts = yield* printed(client, client.sendOtp({ to: secret }))
      expect((yield* api.received).length).toBe(2)
      expect(leaks(texts, Server.apiKey, Server.rotatedKey)).toEqual([])
    }).pipe(Effect.scoped, live))
})
