import { HttpBody, HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import { ApiClient, ApiError, IdempotencyKey } from "effect-resilience"
import * as Util from "node:util"
import { serve } from "../support/servers.js"
import { failureOf, over, reply, transports } from "./support.js"

const sentinel = "SENTINEL-4d5e6f70"

const key = Effect.runSync(IdempotencyKey.fromString(`key-${sentinel}`, { madeAt: 0 }))

const printed = (value: unknown): string =>
  [
    Util.inspect(value, { depth: 10, showHidden: true }),
    Util.format("%s %o %O %j", value, value, value, value),
    String(value),
    JSON.stringify(value)
  ].join("\n")

describe("a response that is printed", () => {
  it.live.each(Object.entries(transports))(
    "T9: shows no stamped key and no credential, over %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const server = yield* serve((response) => {
          response.writeHead(200, {
            "content-type": "application/json",
            "set-cookie": `sid=${sentinel}`,
            "x-echo": `of ${sentinel}`
          })
          response.end("{\"ok\":true}")
        })
        const ask = (http: HttpClient.HttpClient.With<unknown>) =>
          http.post(`/v1/things?api_key=${sentinel}`, {
            headers: { authorization: `Bearer ${sentinel}`, "x-own": "kept" }
          }).pipe(IdempotencyKey.provide(key))
        const options = {
          name: "test",
          baseUrl: server.url,
          keyTimeToLive: "100000 days"
        } as const
        const responses = [
          yield* ask(yield* ApiClient.make(options)),
          yield* Effect.flatMap(HttpClient.HttpClient, ask).pipe(
            Effect.provide(ApiClient.layer(options))
          )
        ]
        const texts = [...responses, ...responses.map(({ request }) => request)].map(printed)
        // Outside of a fiber, where no setting of the fiber says what is secret.
        const outside = yield* Effect.async<string>((resume) => {
          setImmediate(() => resume(Effect.succeed(responses.map(printed).join("\n"))))
        })
        expect([...texts, outside].filter((text) => text.includes(sentinel))).toEqual([])
        expect(texts.every((text) => text.includes("kept") && text.includes("/v1/things")))
          .toBe(true)
        // It is all there for those who ask.
        expect(responses.map(({ request }) => request.headers["authorization"])).toEqual(
          responses.map(() => `Bearer ${sentinel}`)
        )
        expect(yield* Effect.forEach(responses, (response) => response.json)).toEqual(
          responses.map(() => ({ ok: true }))
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("T9: and neither does the error of reading it", () =>
    Effect.gen(function*() {
      const { client } = yield* over([reply(200, "no JSON", { "set-cookie": sentinel })])
      const error = yield* client.get("/", { headers: { "x-api-key": sentinel } }).pipe(
        IdempotencyKey.provide(key),
        Effect.flatMap((response) => response.json),
        Effect.flip
      )
      const texts = [printed(error), Cause.pretty(Cause.fail(error), { renderErrorCause: true })]
      expect(texts.filter((text) => text.includes(sentinel))).toEqual([])
    }))
})

describe("text of the other side in an error", () => {
  it.effect("E31: control characters are escaped, so that no line of a log can be forged", () =>
    Effect.gen(function*() {
      const forged = "no\r\n2026-11-29 level=INFO all is well\u001b[2K\u0000\u0085\u2028\u202e\tend"
      const { client } = yield* over([
        reply(422, { message: forged, code: "a\nb", issues: [{ path: "a\nb", message: forged }] })
      ])
      const error = yield* failureOf(client.get("/"))
      const escaped = "no\\r\\n2026-11-29 level=INFO all is well\\u001b[2K\\u0000\\u0085\\u2028" +
        "\\u202e\\tend"
      expect(error).toMatchObject({
        message: escaped,
        code: "a\\nb",
        issues: [{ path: "a\\nb", message: escaped }]
      })
    }))

  it.effect("T9: a secret with a line break is found before that", () =>
    Effect.gen(function*() {
      const secret = `${sentinel}\nsecond line`
      const { client } = yield* over([
        reply(400, { message: `no ${secret}, no ${JSON.stringify(secret)}` })
      ])
      const body = JSON.stringify({ private_key: secret })
      const error = yield* failureOf(
        client.post("/", { body: HttpBody.text(body, "application/json") })
      )
      expect(ApiError.isApiError(error) && error.message).toBe("no <redacted>, no \"<redacted>\"")
    }))

  it.effect("T10: its session tokens and signatures are scrubbed by name", () =>
    Effect.gen(function*() {
      const { client } = yield* over([
        reply(500, {
          message: `session_token=${sentinel}1&id=7 {"signature":"${sentinel}2","n":1}`,
          code: "invalid_token",
          request_id: "req:1",
          issues: [{ path: "body.token", message: `x-session-token: ${sentinel}3, a: b` }]
        }),
        reply(422, {
          message: `partner code: p1, X-Partner-Code: ${sentinel}4`,
          issues: [{ path: "body.token", message: `x-session-token: ${sentinel}3, a: b` }]
        })
      ], { redactedNames: ["X-Partner-Code"] })
      const first = yield* failureOf(client.post("/"))
      const second = yield* failureOf(client.post("/"))
      expect([first, second]).toMatchObject([
        {
          message: "session_token=<redacted>&id=7 {\"signature\":\"<redacted>\",\"n\":1}",
          code: "invalid_token",
          requestId: "req:1"
        },
        {
          message: "partner code: p1, X-Partner-Code: <redacted>",
          issues: [{ path: "body.token", message: "x-session-token: <redacted>, a: b" }]
        }
      ])
    }))
})
