import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Redacted } from "effect"
import { Backoff, IdempotencyKey, Operation, Pipeline } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { squashed } from "../support/exits.js"
import * as Server from "../support/faceSignServer.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import { against, auth, create, live, settings } from "./faceSign.js"

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("FaceSign: what is never shown (T1, T2)", () => {
  const secret = "SENTINEL-of-a-user-4f"
  const idempotency = "SENTINEL-key-of-row-9"
  const said = [Server.auth, `Bearer ${Server.auth}`, secret, idempotency].join(" | ")

  const answers: ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> = [
    ...[400, 401, 403, 404, 409, 429, 500].map((status) =>
      [
        `a ${status}`,
        FlakyApi.status(status, {
          body: JSON.stringify({
            error: { type: said, message: said, code: said },
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
      FlakyApi.status(200, { body: JSON.stringify({ session: { [said]: said } }) })
    ],
    ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })],
    ["a reset", FlakyApi.reset()]
  ]

  it.live.each(answers)(
    "T1: %s: neither key, nor idempotency key, nor metadata, in errors, logs and spans",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({ script: () => fault })
        const retry = { retries: 1, backoff: Backoff.constant("1 millis") }
        const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry })
        const client = yield* FaceSign.make({ baseUrl: api.url, auth, pipeline })
        const call = client.createSession({ ...settings, metadata: { email: secret } })
        const texts = yield* renderings(
          IdempotencyKey.provide(call, yield* IdempotencyKey.fromString(idempotency))
        )
        expect(texts.length).toBeGreaterThan(20)
        expect(leaks(texts, Server.auth, secret, idempotency)).toEqual([])
      }).pipe(Effect.scoped, live)
  )

  it.live("T1: nor the client secret of a session that was created", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      const client = yield* FaceSign.make({ baseUrl: api.url, auth })
      expect(
        leaks(
          yield* renderings(IdempotencyKey.provideNew(client.createSession(settings))),
          Server.clientSecret,
          Server.auth
        )
      )
        .toEqual([])
    }).pipe(Effect.scoped, live))

  it.live("T1: nor what validation refused", () =>
    Effect.gen(function*() {
      const client = yield* FaceSign.make({ baseUrl: "http://127.0.0.1:1", auth })
      const texts = yield* renderings(
        IdempotencyKey.provideNew(
          client.createSession({ ...settings, clientReferenceId: " ", metadata: { x: secret } })
        )
      )
      expect(leaks(texts, Server.auth, secret)).toEqual([])
    }).pipe(live))
})

// -----------------------------------------------------------------------------
// what is not sent
// -----------------------------------------------------------------------------

describe("FaceSign: keys and ids that cannot be sent", () => {
  const readWith = (baseUrl: string, key: string) =>
    Effect.flatMap(
      FaceSign.make({ baseUrl, auth: Redacted.make(key) }),
      (client) => client.session("fs-1")
    )

  it.live.each(Stray.unsendableKeys)(
    "T1: a key with %s, over %s: Auth without a request, and in nothing that is printed",
    Stray.isNotSent(readWith, { method: "GET", endpoint: "/v1/sessions/:id" })
  )

  it.live.each(Stray.paddedKeys)(
    "T1: a key with %s, over %s, that the API repeats as it came is in nothing that is printed",
    Stray.isNotShown(readWith)
  )

  it.effect.each(["", " "])(
    "a key of %j is Auth, and nothing is sent",
    (key) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const error = yield* Effect.flip(
          Effect.provide(readWith("https://face.test", key), http.layer)
        )
        expect([error._tag, error.message, http.asked]).toEqual([
          "Auth",
          "The API key is empty, and was not sent",
          []
        ])
      })
  )

  const nonsense: ReadonlyArray<readonly [string, Partial<FaceSign.Options>]> = [
    ["environment should be \"production\" or \"development\", got \"staging\"", {
      environment: "staging" as FaceSign.Environment
    }],
    ["paths.session should be a path, got \" \"", { paths: { session: " " } }],
    ["paths.sessions should be a path, got \"\"", { paths: { sessions: "" } }]
  ]

  it.effect.each(nonsense)(
    "nonsense is refused by make: %s",
    ([message, options]) =>
      Effect.gen(function*() {
        const made = FaceSign.make({ baseUrl: "https://face.test", auth, ...options })
        const exit = yield* Effect.exit(Effect.provide(made, Stray.nobodyAsked().layer))
        expect(squashed(exit)).toEqual(new RangeError(message))
      })
  )

  it.effect("a path that is undefined is not given", () =>
    Effect.gen(function*() {
      const paths: Partial<typeof FaceSign.defaults.paths> = JSON.parse("{}")
      const { exit } = yield* against(() => FlakyApi.none, create, {
        paths: Object.assign(paths, { sessions: undefined })
      })
      expect(Exit.isSuccess(exit)).toBe(true)
    }))

  it.effect.each(Stray.strayIds.map((id) => [id] as const))(
    "an id of %j is Validation, and nothing is sent",
    ([id]) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const client = yield* Effect.provide(
          FaceSign.make({ baseUrl: "https://face.test", auth }),
          http.layer
        )
        const error = yield* Effect.flip(client.session(id))
        expect([
          error._tag,
          error._tag === "Validation" && error.issues.map(({ path }) => path),
          http.asked
        ]).toEqual([
          "Validation",
          ["id"],
          []
        ])
      })
  )
})
