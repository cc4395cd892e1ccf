/**
 * For every API: a server that says back whatever it was sent, and a client of which everything
 * that can be looked at is looked at.
 */
import { type HttpClient, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { LibsqlClient } from "@effect/sql-libsql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Effect as Effects, Layer, Metric, Redacted, Schema } from "effect"
import {
  ApiError,
  Backoff,
  Idempotency,
  IdempotencyKey,
  Operation,
  Pipeline,
  ProblemDetails,
  Telemetry
} from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Messaging from "effect-resilience/api/Messaging"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Sql from "effect-resilience/store/Sql"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { leaks, renderings } from "../support/renderings.js"

const credential = "SENTINEL-credential-41"
const personal = "SENTINEL-personal-42@example.com"
const idempotency = "SENTINEL-idempotency-43"
const sentinels = [credential, personal, idempotency]

interface Place {
  readonly baseUrl: string
  readonly telemetry: Telemetry.Telemetry
}

type Connect = (place: Place) => Effects.Effect<
  {
    readonly client: object
    readonly call: Effects.Effect<unknown, unknown, IdempotencyKey.IdempotencyKey>
  },
  never,
  HttpClient.HttpClient
>

const quick = { retries: 1, backoff: Backoff.constant("1 millis") }

const pipelineOf = (telemetry: Telemetry.Telemetry) =>
  Pipeline.make({
    operation: Operation.keyed,
    telemetry,
    retry: quick,
    circuitBreaker: { minimumCalls: 20 }
  })

/**
 * Each API, and a call that sends a credential, and something personal where the API has a name for
 * it.
 */
const apis: Readonly<Record<string, Connect>> = {
  "Widget Session": ({ baseUrl, telemetry }) =>
    Effect.gen(function*() {
      const secretKey = Redacted.make(credential)
      const client = yield* WidgetSession.make({
        baseUrl,
        partnerId: "p-1",
        secretKey,
        pipeline: yield* pipelineOf(telemetry)
      })
      return {
        client,
        call: client.createSession({ user_id: "u-1", email: "ada@example.com", name: "Ada" })
      }
    }),
  "Site Chat": ({ baseUrl, telemetry }) =>
    Effect.gen(function*() {
      const client = yield* SiteChat.make({
        baseUrl,
        apiKey: Redacted.make(credential),
        tenantId: "acme",
        siteId: "shop",
        telemetry,
        policies: { createDocument: quick }
      })
      return {
        client,
        call: client.createDocument({
          kind: "text",
          sourceId: "page-1",
          title: "Page",
          content: personal
        })
      }
    }),
  FaceSign: ({ baseUrl, telemetry }) =>
    Effect.gen(function*() {
      const auth = Redacted.make(credential)
      const client = yield* FaceSign.make({ baseUrl, auth, pipeline: yield* pipelineOf(telemetry) })
      return {
        client,
        call: client.createSession({ clientReferenceId: "user-1", metadata: { email: personal } })
      }
    }),
  Messaging: ({ baseUrl, telemetry }) =>
    Effect.gen(function*() {
      const apiKey = Redacted.make(credential)
      const client = yield* Messaging.make({
        baseUrl,
        apiKey,
        telemetry,
        policies: { sendOtp: quick }
      })
      return { client, call: client.sendOtp({ to: personal }) }
    }),
  "Field Activities": ({ baseUrl, telemetry }) =>
    Effect.gen(function*() {
      const client = yield* FieldActivities.make({
        baseUrl,
        apiKey: Redacted.make(credential),
        resultTypes: [{ code: "SOLD", requires_future_scheduled_at: false }],
        pipeline: yield* pipelineOf(telemetry)
      })
      const result = {
        commerce_external_id: "SHOP-7",
        occurred_at: "2026-03-01T10:00:00Z",
        status: "DONE",
        task_result: { result: "SOLD" }
      }
      return { client, call: client.submitResult("A-1", result) }
    })
}

/** Says everything back that came in, in every place that an answer has. */
const echo = (status: number) =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* Effect.orDie(request.text)
    const said = [...Object.values(request.headers), request.url, body, ...sentinels].join(" | ")
    const code = said
    return HttpServerResponse.unsafeJson(
      {
        message: said,
        error: { type: said, message: said, code },
        code,
        request_id: said,
        issues: [{ path: said, message: said }]
      },
      { status, headers: { "x-request-id": said.replaceAll(/[^ -~]/g, " "), "retry-after": "0" } }
    )
  })

const metrics = Effect.map(
  Metric.snapshot,
  (pairs) => pairs.map((pair) => inspect(pair, { depth: null }))
)

const rows = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    Effect.map(
      sql.unsafe(`SELECT * FROM ${Sql.defaults.table}`),
      (rows) => rows.map((row) => inspect(row, { depth: null }))
    )
)

/** The record of a failed run, so that there is something to look into. */
const recorded = (
  call: Effects.Effect<unknown, unknown, IdempotencyKey.IdempotencyKey>,
  name: string
) =>
  Idempotency.run(Effect.asVoid(call), {
    scope: [name],
    payload: { personal },
    result: Schema.Void,
    persistFailure: ApiError.ApiError
  })

const store = Sql.layer({ secret: Redacted.make("of the store") }).pipe(
  Layer.provideMerge(LibsqlClient.layer({ url: ":memory:" }))
)

const cases = Object.keys(apis).flatMap((name) =>
  [400, 401, 403, 404, 409, 422, 429, 500, 503].map((status) => [name, status] as const)
)

describe("what is never shown, by any of the APIs", () => {
  it.live.each(cases)(
    "T1: %s, a %i: in no error, log line, span, metric, store row or problem body, inside and outside of a fiber",
    ([name, status]) =>
      Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: echo(status) })
        const integration = `sentinels ${name} ${status}`
        const telemetry = yield* Telemetry.make({ integration, environment: "test", logs: "Trace" })
        const { call, client } = yield* apis[name]!({ baseUrl: api.url, telemetry })
        const key = yield* IdempotencyKey.fromString(idempotency)

        const texts = yield* renderings(IdempotencyKey.provide(call, key))
        const error = yield* Effect.flip(IdempotencyKey.provide(call, key))
        const problem = ApiError.isApiError(error) ? ProblemDetails.fromApiError(error) : undefined
        const answer = problem === undefined ?
          "" :
          yield* Effect.promise(() =>
            HttpServerResponse.toWeb(ProblemDetails.toResponse(problem)).text()
          )
        yield* Effect.exit(IdempotencyKey.provide(recorded(call, name), key))
        const stored = yield* rows
        const counted = (yield* metrics).filter((metric) => metric.includes(integration))

        // There has been something to look into.
        expect([texts.length > 20, answer.length > 20, stored.length, counted.length > 3]).toEqual([
          true,
          true,
          1,
          true
        ])
        expect(yield* api.received).not.toEqual([])
        const looked = [
          ...texts,
          answer,
          ...stored,
          ...counted,
          inspect(client, { depth: null, showHidden: true })
        ]
        expect(
          leaks(
            looked,
            credential,
            idempotency,
            ...(name === "Widget Session" || name === "Field Activities" ? [] : [personal])
          )
        ).toEqual([])
      }).pipe(Effect.scoped, Effect.provide([store, NodeHttpClient.layerUndici]))
  )
})
