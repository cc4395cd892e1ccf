import { HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Inspectable, Logger, Schema, Tracer } from "effect"
import { ApiError, IdempotencyKey } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { squashed } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { canonicalOf, connect, hmac, john, live, secret, virtual } from "./widgetSession.js"

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("what is never shown (T1, T2)", () => {
  const signature = hmac(secret, canonicalOf("partner-1", john))
  const key = "key-77f1-of-row-17"

  /**
   * Every way in which the outcome of a call can be printed: inside a fiber, outside, as a log
   * line, in a span.
   */
  const renderings = (answer: FlakyApi.Fault) =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const logger = Logger.make(({ cause, message }) =>
        texts.push(inspect(message, { depth: null }), Cause.pretty(cause))
      )
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const span: Tracer.Span = {
            _tag: "Span",
            name,
            spanId: "1".repeat(16),
            traceId: "2".repeat(32),
            parent,
            context,
            links,
            kind,
            sampled: true,
            status: { _tag: "Started", startTime },
            attributes: new Map(),
            attribute: (name, value) => texts.push(`${name}=${inspect(value, { depth: null })}`),
            event: (name, _, attributes) =>
              texts.push(`${name} ${inspect(attributes, { depth: null })}`),
            addLinks: () => {},
            end: (_, exit) => texts.push(name, Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
          }
          return span
        },
        context: (f) => f()
      })
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty(), script: () => answer })
      const client = yield* connect(api, { partnerId: "partner-1" })
      const call = IdempotencyKey.provide(
        client.createSession(john),
        yield* IdempotencyKey.fromString(key)
      )
      const cause = yield* call.pipe(
        Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
        Effect.sandbox,
        Effect.flip,
        Effect.withTracer(tracer),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const error = Cause.squash(cause)
      const outside = yield* Effect.promise(() =>
        Effect.runPromise(Effect.failCause(cause)).catch((error: unknown) => error)
      )
      for (const value of [error, outside, cause]) {
        texts.push(
          String(value),
          JSON.stringify(value),
          inspect(value, { depth: null, showHidden: true }),
          Inspectable.toStringUnknown(value),
          Inspectable.format(value)
        )
      }
      texts.push(
        Cause.pretty(cause, { renderErrorCause: true }),
        (error as Error).stack ?? "",
        (error as Error).message,
        ApiError.isApiError(error)
          ? JSON.stringify(Schema.encodeSync(ApiError.ApiError)(error))
          : ""
      )
      return texts
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

  const leaks = (texts: ReadonlyArray<string | undefined>, value: string) =>
    texts.filter((text) => text?.toLowerCase().includes(value.toLowerCase()))

  it.live.each(echoes(signature))(
    "T1: the signature, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(signature.toUpperCase()))(
    "T1: the signature in capitals, in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(key))(
    "I5: the idempotency key, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), key)).toEqual([])
      })
  )

  it.live.each(echoes(secret))(
    "T1, T2: the secretKey, when the server says it in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), secret)).toEqual([])
      })
  )

  it.live("T1: the rest of the API's message is kept", () =>
    Effect.gen(function*() {
      const texts = yield* renderings(FlakyApi.status(401, {
        body: JSON.stringify({ message: `signature ${signature} does not match` })
      }))
      expect(leaks(texts, "does not match").length).toBeGreaterThan(5)
    }))

  it.live("T1: no secret when nobody answers", () =>
    Effect.gen(function*() {
      const texts = yield* renderings(FlakyApi.reset())
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
