import { HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { squashed } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import { canonicalOf, connect, hmac, john, live, secret, virtual } from "./widgetSession.js"

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("what is never shown (T1, T2)", () => {
  const signature = hmac(secret, canonicalOf("partner-1", john))
  const key = "key-77f1-of-row-17"

  /** Every text in which the outcome of a call under `key` could be shown. */
  const shown = (answer: FlakyApi.Fault) =>
    Effect.gen(function*() {
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty(), script: () => answer })
      const client = yield* connect(api, { partnerId: "partner-1" })
      return yield* renderings(
        IdempotencyKey.provide(
          client.createSession(john),
          yield* IdempotencyKey.fromString(key)
        )
      )
    }).pipe(Effect.scoped, live)

  /** Answers that say back what was sent, in every place from which an error takes a text. */
  const echoes = (said: string): ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> => {
    const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
      FlakyApi.status(status, {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers }
      })
    return [
      ["a message", json(401, { message: `expected other than ${said}` })],
      ["an error text", json(403, { error: said })],
      ["a nested error", json(503, { error: { type: said, code: said, message: said } })],
      ["a problem", json(422, { type: said, title: said, detail: said })],
      [
        "issues",
        json(422, {
          message: "invalid",
          issues: [{ path: said, message: said }],
          errors: { [said]: said }
        })
      ],
      ["a request id", json(404, { message: "no", request_id: said }, { "x-request-id": said })],
      [
        "headers",
        json(500, {}, {
          "server": said,
          "x-correlation-id": said,
          "etag": said,
          "retry-after": said
        })
      ],
      ["HTML", FlakyApi.htmlPage(502, { body: `<html>${said}</html>` })],
      ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })]
    ]
  }

  it.live.each(echoes(signature))(
    "T1: the signature, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* shown(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(signature.toUpperCase()))(
    "T1: the signature in capitals, in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* shown(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(key))(
    "I5: the idempotency key, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* shown(fault), key)).toEqual([])
      })
  )

  it.live.each(echoes(secret))(
    "T1, T2: the secretKey, when the server says it in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* shown(fault), secret)).toEqual([])
      })
  )

  it.live("T1: the rest of the API's message is kept", () =>
    Effect.gen(function*() {
      const texts = yield* shown(FlakyApi.status(401, {
        body: JSON.stringify({ message: `signature ${signature} does not match` })
      }))
      expect(leaks(texts, "does not match").length).toBeGreaterThan(5)
    }))

  it.live("T1: no secret when nobody answers", () =>
    Effect.gen(function*() {
      const texts = yield* shown(FlakyApi.reset())
      expect([...leaks(texts, secret), ...leaks(texts, signature), ...leaks(texts, key)]).toEqual(
        []
      )
    }))
})

// -----------------------------------------------------------------------------
// what is not sent
// -----------------------------------------------------------------------------

describe("what cannot be sent", () => {
  it.effect.each(["", " ", "\t"])(
    "a path of %j is refused by make",
    (path) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          WidgetSession.make({ ...virtual, path }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(`path should be a path, got ${JSON.stringify(path)}`)
        )
      })
  )

  it.effect.each(Stray.strayIds.map((id) => [id] as const))(
    "a partnerId of %j is refused by make",
    ([partnerId]) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          WidgetSession.make({ ...virtual, partnerId }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(
            `partnerId should be an id that can be in a path, got ${JSON.stringify(partnerId)}`
          )
        )
      })
  )

  it.effect("a domain that no header holds is Validation, and nothing is sent", () =>
    Effect.gen(function*() {
      const http = Stray.nobodyAsked()
      const client = yield* Effect.provide(
        WidgetSession.make({ ...virtual, domain: "https://shop.example\r\nx-evil: 1" }),
        http.layer
      )
      const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
      expect([
        error._tag,
        error._tag === "Validation" && error.issues.map(({ path }) => path),
        http.asked
      ]).toEqual([
        "Validation",
        ["headers.origin"],
        []
      ])
    }))
})
