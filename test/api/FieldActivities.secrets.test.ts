import { FetchHttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric, Redacted } from "effect"
import { ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import * as Server from "../support/fieldActivitiesServer.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import { against, live, result, submit, types } from "./fieldActivities.js"

describe("FieldActivities: what is never shown (T1, T2)", () => {
  const said = `${Server.apiKey} | x-api-key: ${Server.apiKey} | "${
    encodeURIComponent(Server.apiKey)
  }"`
  const metrics = Effect.map(
    Metric.snapshot,
    (pairs) => inspect(pairs, { depth: null, maxArrayLength: null })
  )

  /** Everything that could be printed of a call, the metrics included. */
  const printed = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.zipWith(renderings(call), metrics, (texts, metrics) => [...texts, metrics])

  const telemetry = { integration: "field-activities secrets", logs: "Trace" } as const

  const clientOf = (url: string, key: string) =>
    Effect.gen(function*() {
      const retry = { retries: 1, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.idempotent, retry, telemetry })
      return yield* FieldActivities.make({
        baseUrl: url,
        apiKey: Redacted.make(key),
        pipeline,
        resultTypes: types
      })
    })

  const answers: ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> = [
    ...[400, 401, 403, 404, 409, 429, 500, 502, 503, 504].map((status) =>
      [
        `a ${status}`,
        FlakyApi.status(status, {
          body: JSON.stringify({
            statusCode: status,
            error: said,
            message: said,
            request_id: said
          }),
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
    [
      "a success that cannot be read",
      FlakyApi.status(200, { body: JSON.stringify({ [said]: said }) })
    ],
    ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })],
    ["a reset", FlakyApi.reset()]
  ]

  it.live.each(answers)(
    "T1: %s that repeats the key: it is in no error, log line, span or metric",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({ script: () => fault })
        const client = yield* clientOf(api.url, Server.apiKey)
        const texts = yield* Effect.map(
          Effect.all([
            printed(client.activity("A-1")),
            printed(client.submitResult("A-1", result))
          ]),
          (texts) => texts.flat()
        )
        expect(texts.length).toBeGreaterThan(40)
        expect(leaks(texts, Server.apiKey)).toEqual([])
      }).pipe(Effect.scoped, live)
  )

  const malformed: ReadonlyArray<readonly [name: string, key: string]> = [
    ["spaces around it", "  SENTINEL-malformed  "],
    ["a line break at its end", "SENTINEL-malformed\n"],
    ["a space in it", "SENTINEL-malformed two"],
    ["a line break in it", "SENTINEL-malformed\r\nx-evil: SENTINEL-malformed"],
    ["a control character in it", "SENTINEL-malformed\u0000\u0007"],
    ["letters that no header holds", "SENTINEL-malformed-ключ"],
    ["an accent", "SENTINEL-malformed-é"],
    ["quotes", "\"SENTINEL-malformed\""]
  ]
  const clients = [["undici", NodeHttpClient.layerUndici], [
    "fetch",
    FetchHttpClient.layer
  ]] as const

  it.live.each(
    malformed.flatMap(([name, key]) =>
      clients.map(([client, layer]) => [name, client, key, layer] as const)
    )
  )(
    "T1: a key with %s, over %s: it is Auth, and in nothing that is printed",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* Server.make()
        const client = yield* clientOf(api.url, key)
        const texts = yield* printed(client.activity("A-1"))
        const error = yield* Effect.flip(client.activity("A-1"))
        expect([error._tag, texts.length > 20, leaks(texts, "SENTINEL-malformed")]).toEqual([
          "Auth",
          true,
          []
        ])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live.each(Stray.paddedKeys)(
    "T1: a key with %s, over %s, that the API repeats as it came is in nothing that is printed",
    Stray.isNotShown((baseUrl, key) =>
      Effect.flatMap(clientOf(baseUrl, key), (client) => client.activity("A-1"))
    )
  )

  it.live.each(Stray.unsendableKeys)(
    "T1: a key with %s is not even given to %s",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const http = Stray.counting(layer)
        const client = yield* Effect.provide(clientOf("http://127.0.0.1:1", key), http.layer)
        const errors = yield* Effect.forEach(
          [client.activity("A-1"), client.submitResult("A-1", result)],
          (call) => Effect.flip<unknown, unknown, never>(call)
        )
        expect([
          errors.map((error) => ApiError.isApiError(error) && [error.code, error.endpoint]),
          http.requests()
        ])
          .toEqual([
            [
              ["malformed_api_key", "/v1/activities/:id"],
              ["malformed_api_key", "/v1/activities/:id/result"]
            ],
            0
          ])
      })
  )

  it.live("T1: nor in what a result that was not sent, or an id that was not used, fails with", () =>
    Effect.gen(function*() {
      const client = yield* clientOf("http://127.0.0.1:1", Server.apiKey)
      const wrong = { ...result, commerce_external_id: " ", occurred_at: "SENTINEL-occurred" }
      const texts = [
        ...(yield* printed(client.submitResult("A-1", wrong))),
        ...(yield* printed(client.activity("..")))
      ]
      expect(leaks(texts, Server.apiKey, "SENTINEL-occurred")).toEqual([])
    }).pipe(live))

  it.effect("T7: the default pipeline has telemetry when it is asked for, without the key, and otherwise none", () =>
    Effect.gen(function*() {
      const integration = "field-activities default"
      const count = Effect.map(metrics, (text) => text.split(integration).length - 1)
      yield* against(Server.submissions(() => FlakyApi.serverError()), submit)
      const before = yield* count
      yield* against(Server.submissions(() => FlakyApi.serverError()), submit, {
        telemetry: { integration }
      })
      expect([before, (yield* count) > 0, leaks([yield* metrics], Server.apiKey, "A-1")]).toEqual([
        0,
        true,
        []
      ])
    }))

  it.live("T1: nor in the client itself", () =>
    Effect.gen(function*() {
      const client = yield* clientOf("http://127.0.0.1:1", Server.apiKey)
      expect(
        leaks(
          [inspect(client, { depth: null, showHidden: true }), JSON.stringify(client)],
          Server.apiKey
        )
      )
        .toEqual([])
    }).pipe(live))
})
