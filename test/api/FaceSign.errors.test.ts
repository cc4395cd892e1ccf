import { HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Option, Redacted, Schema } from "effect"
import { type ApiError, IdempotencyKey, Playbook } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { conflict, forbidden, network } from "../support/errors.js"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/faceSignServer.js"
import { against, create } from "./faceSign.js"

// -----------------------------------------------------------------------------
// status codes
// -----------------------------------------------------------------------------

/**
 * The document's table of status codes: tag, how many calls, what it means, what the user reads.
 */
const rows: ReadonlyArray<
  readonly [
    status: number,
    tag: ApiError.ApiError["_tag"],
    calls: number,
    meaning: RegExp,
    user: string
  ]
> = [
  [
    400,
    "Validation",
    1,
    /invalid or cannot be served/,
    "We could not start the verification with these details. Please check them and try again."
  ],
  [
    401,
    "Auth",
    1,
    /requires authentication or the API key is invalid/,
    "The verification is not available at the moment. Our team has been told."
  ],
  [
    403,
    "Policy",
    1,
    /doesn't have permissions/,
    "The verification is not available for your account."
  ],
  [404, "NotFound", 1, /doesn't exist/, "We could not find this verification. Please start again."],
  [
    409,
    "Conflict",
    1,
    /conflicts with another request \(perhaps using the same idempotency key\)/,
    "This verification has been started already."
  ],
  [
    429,
    "RateLimit",
    3,
    /hit the API too quickly/,
    "Many verifications are going on. Please try again in a moment."
  ],
  [
    500,
    "Server",
    3,
    /on FaceSign's end/,
    "The verification has a problem. Please try again in a moment."
  ]
]

describe("FaceSign: status codes, over real HTTP", () => {
  it.effect.each(rows)(
    "%i is %s after %i calls",
    ([status, tag, calls, meaning, user]) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(() => FlakyApi.status(status), create)
        const error = apiErrorOf(exit)
        expect([error._tag, error.status, requests, error.attempts]).toEqual([
          tag,
          status,
          calls,
          calls
        ])
        expect(FaceSign.userMessage(error)).toBe(user)
        expect(Playbook.lookup(FaceSign.playbook, status).meaning).toMatch(meaning)
      })
  )

  it.effect("201 Created: the session and its client secret, which does not print itself", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(() => FlakyApi.none, create)
      const created = Exit.isSuccess(exit) ? exit.value : undefined
      const secret = created?.clientSecret === undefined ? "" : Redacted.value(created.clientSecret)
      expect([created?.session.id, secret, requests]).toEqual(["fs-1", Server.clientSecret, 1])
      expect(inspect(created, { depth: null })).not.toContain(Server.clientSecret)
    }))

  it.effect("200 OK: reading a session", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => FlakyApi.none,
        (client) => Effect.flatMap(create(client), ({ session }) => client.session(session.id))
      )
      expect(exit).toEqual(Exit.succeed({ id: "fs-1", status: "created" }))
    }))
})

// -----------------------------------------------------------------------------
// error types
// -----------------------------------------------------------------------------

/** The document's table of error types. The status is another one on purpose: the type decides. */
const types: ReadonlyArray<readonly [type: string, tag: ApiError.ApiError["_tag"], calls: number]> =
  [
    ["authentication_error", "Auth", 1],
    ["validation_error", "Validation", 1],
    ["not_found_error", "NotFound", 1],
    ["rate_limit_error", "RateLimit", 3],
    ["server_error", "Server", 3]
  ]

describe("FaceSign: error types, over real HTTP", () => {
  it.effect.each(types)(
    "E5: %s is %s after %i calls, whatever the status",
    ([type, tag, calls]) =>
      Effect.gen(function*() {
        const status = type === "server_error" ? 500 : 400
        const { exit, requests } = yield* against(
          () => Server.fault(status, type, "words of the API", "some_code"),
          create
        )
        const error = apiErrorOf(exit)
        expect([error._tag, error.message, error.code, error.requestId, requests]).toEqual([
          tag,
          "words of the API",
          "some_code",
          `req_${status}_some_code`,
          calls
        ])
        expect(FaceSign.errorObject(error)).toEqual(
          Option.some({ type, message: "words of the API", code: "some_code" })
        )
      })
  )

  it.effect("E5: a type that is not in the table, none at all, HTML, nothing: the status decides", () =>
    Effect.gen(function*() {
      const faults = [
        Server.fault(403, "permission_error", "no", "no_permission"),
        Server.fault(403, undefined, "no", "no_permission"),
        FlakyApi.htmlPage(404),
        FlakyApi.status(409, { body: "" })
      ]
      const tags = yield* Effect.forEach(
        faults,
        (fault) => Effect.map(against(() => fault, create), ({ exit }) => apiErrorOf(exit)._tag)
      )
      expect(tags).toEqual(["Policy", "Policy", "NotFound", "Conflict"])
    }))

  it("the schema of the body is the document's", () => {
    const body = {
      error: {
        type: "validation_error",
        message: "The 'clientReferenceId' field is required",
        code: "parameter_missing"
      }
    }
    expect(Schema.decodeUnknownSync(FaceSign.ErrorBody)(body)).toEqual(body)
    expect(() =>
      Schema.decodeUnknownSync(FaceSign.ErrorBody)({ error: { ...body.error, type: "other" } })
    ).toThrow()
  })

  it("an error that is no answer of the API has no error object", () => {
    const none = [network("no"), new Error("x"), "x"].map(
      FaceSign.errorObject
    )
    expect(none.map(Option.isNone)).toEqual([true, true, true])
  })

  it.effect("E5: an error object has no code where the body had none", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ error: { type: "validation_error", message: "no" } })
      const { exit } = yield* against(() => FlakyApi.status(400, { body }), create)
      expect(FaceSign.errorObject(apiErrorOf(exit))).toEqual(
        Option.some({ type: "validation_error", message: "no", code: undefined })
      )
    }))

  it.effect.each(
    [
      ["a page of a gateway", FlakyApi.htmlPage(502)],
      ["nothing", FlakyApi.status(500, { body: "" })],
      ["JSON without a type", Server.fault(500, undefined, "oops", "internal")],
      ["JSON with a type that is none", Server.fault(500, "outage", "oops", "internal")],
      ["a proxy's form", FlakyApi.status(503, { body: JSON.stringify({ message: "busy" }) })],
      ["a 401 of a gateway", FlakyApi.status(401, { body: "<html>" })],
      ["a 429 of a gateway", FlakyApi.status(429, { body: "slow down" })]
    ] as const
  )(
    "E5: an error object has no type where the body did not say it: %s",
    ([, fault]) =>
      Effect.gen(function*() {
        const error = apiErrorOf((yield* against(() => fault, create)).exit)
        expect([
          Option.getOrThrow(FaceSign.errorObject(error)).type,
          FaceSign.supportReference(error).summary.includes("_error")
        ]).toEqual([undefined, false])
      })
  )

  it.effect("E5: the type is in the reference for the support where the body said it", () =>
    Effect.gen(function*() {
      const fault = Server.fault(500, "server_error", "oops", "internal")
      const error = apiErrorOf((yield* against(() => fault, create)).exit)
      expect(FaceSign.supportReference(error).summary).toBe(
        "POST /v1/sessions, HTTP 500, server_error, internal, 3 attempts, request id req_500_internal"
      )
    }))

  it("a 403 and a 409 have no type in the table", () => {
    const typesOf = [
      forbidden(),
      conflict()
    ].map((error) => Option.getOrThrow(FaceSign.errorObject(error)).type)
    expect(typesOf).toEqual([undefined, undefined])
  })
})

// -----------------------------------------------------------------------------
// common errors
// -----------------------------------------------------------------------------

describe("FaceSign: common errors and their solutions, over real HTTP", () => {
  it.effect("an invalid key: Auth, not retried, and the solution is the document's", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(() => FlakyApi.none, create, {
        auth: Redacted.make("sk_test_revoked")
      })
      const error = apiErrorOf(exit)
      expect([error._tag, error.message, error.code, requests]).toEqual([
        "Auth",
        "Invalid API key provided.",
        "invalid_api_key",
        1
      ])
      expect(FaceSign.playbook.byCode?.["invalid_api_key"]?.action).toMatch(
        /correct API key and that it hasn't been revoked/
      )
    }))

  it.effect("a missing parameter: refused here, in the API's words, and nothing is sent", () =>
    Effect.gen(function*() {
      // As a program without types would send it.
      const incomplete: FaceSign.SessionSettings = JSON.parse("{ \"metadata\": {}, \"flow\": [] }")
      const { exit, requests } = yield* against(
        () => FlakyApi.none,
        (client) => IdempotencyKey.provideNew(client.createSession(incomplete))
      )
      const error = apiErrorOf(exit)
      expect([error._tag, error.message, error.code, error.endpoint, requests]).toEqual([
        "Validation",
        "The 'clientReferenceId' field is required",
        "parameter_missing",
        "/v1/sessions",
        0
      ])
      expect(error._tag === "Validation" && error.issues).toEqual([
        { path: "clientReferenceId", message: "The 'clientReferenceId' field is required" }
      ])
    }))

  it.effect("a missing parameter that the API finds: the same tag and code, not retried", () =>
    Effect.gen(function*() {
      const fault = Server.fault(
        400,
        "validation_error",
        "The 'clientReferenceId' field is required.",
        "parameter_missing"
      )
      const { exit, requests } = yield* against(() => fault, create)
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).code, requests]).toEqual([
        "Validation",
        "parameter_missing",
        1
      ])
      expect(FaceSign.playbook.byCode?.["parameter_missing"]?.action).toMatch(
        /all required parameters are included/
      )
    }))

  const sixty = (options?: FlakyApi.StatusOptions) =>
    Server.fault(
      429,
      "rate_limit_error",
      "Too many requests. Please retry after 60 seconds.",
      "rate_limit_exceeded",
      options
    )

  it.effect("E13: a rate limit: the seconds of the message are waited for, and the user is told them", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* against(() => sixty(), create)
      const error = apiErrorOf(exit)
      expect([error._tag, error._tag === "RateLimit" && error.retryAfter, waits]).toEqual([
        "RateLimit",
        Duration.seconds(60),
        [60_000, 60_000]
      ])
      expect([FaceSign.userMessage(error), FaceSign.userMessage(error, { locale: "de" })]).toEqual([
        "Many verifications are going on. Please try again in 60 seconds.",
        "Es laufen gerade viele Verifizierungen. Bitte versuchen Sie es in 60 Sekunden noch einmal."
      ])
    }))

  it.effect("E13: the Retry-After header goes before the message", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* against(FlakyApi.sequence([sixty({ retryAfter: 7 })]), create)
      expect([Exit.isSuccess(exit), waits]).toEqual([true, [7000]])
    }))

  it.effect("a key without the permission is Policy", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(() => FlakyApi.none, create, {
        auth: Redacted.make(Server.readOnlyAuth)
      })
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).status, requests]).toEqual(["Policy", 403, 1])
    }))

  it.effect("a session that is not there is NotFound", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(() => FlakyApi.none, (client) =>
        client.session("fs-77"))
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).endpoint, requests]).toEqual([
        "NotFound",
        "/v1/sessions/:id",
        1
      ])
    }))
})

describe("FaceSign: missing authentication", () => {
  // The client does not send an empty key, so the header is lost on its way.
  const lost = HttpClientRequest.setHeader("authorization", "Bearer")

  it.effect.each(["production", "development"] as const)(
    "in %s it is Auth, whether it is a 401 or a 403",
    (environment) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(
          () => FlakyApi.none,
          create,
          { environment },
          lost
        )
        expect([apiErrorOf(exit)._tag, apiErrorOf(exit).status, requests]).toEqual([
          "Auth",
          environment === "development" ? 403 : 401,
          1
        ])
        expect(FaceSign.userMessage(apiErrorOf(exit))).toBe(
          "The verification is not available at the moment. Our team has been told."
        )
      })
  )

  const gateway = FlakyApi.status(403, {
    body: JSON.stringify({ message: "Missing Authentication Token" }),
    headers: { "content-type": "application/json" }
  })

  it.effect("in development, a 403 of a gateway that knows no types and speaks of it is Auth, any other is Policy", () =>
    Effect.gen(function*() {
      const environment = "development"
      const tags = yield* Effect.forEach(
        [gateway, FlakyApi.status(403)],
        (fault) =>
          Effect.map(
            against(() => fault, create, { environment }),
            ({ exit }) => apiErrorOf(exit)._tag
          )
      )
      expect(tags).toEqual(["Auth", "Policy"])
    }))

  const words = [
    "Access denied",
    "Forbidden: who are you?",
    "Zugriff verweigert",
    "No bearer was given",
    "The API key does not have the required permission"
  ]
  const inWords = (message: string, body?: string) =>
    FlakyApi.status(403, {
      body: body ?? JSON.stringify({ error: { message, code: "forbidden" } }),
      headers: { "content-type": body === undefined ? "application/json" : "text/html" }
    })

  it.effect.each([
    ...words.map((word) => [word, inWords(word)] as const),
    [
      "a page",
      inWords("", "<html><h1>403</h1></html>")
    ] as const,
    ["nothing", inWords("", "")] as const
  ])(
    "in development, a 403 to a request without a credential is Auth, whatever the words: %s",
    ([, fault]) =>
      Effect.gen(function*() {
        const environment = "development"
        const stripped = [lost, HttpClientRequest.setHeader("authorization", "")]
        const errors = yield* Effect.forEach(
          stripped,
          (onItsWay) =>
            Effect.map(
              against(() => fault, create, { environment }, onItsWay),
              ({ exit, requests }) => [apiErrorOf(exit)._tag, apiErrorOf(exit).status, requests]
            )
        )
        expect(errors).toEqual([["Auth", 403, 1], ["Auth", 403, 1]])
      })
  )

  it.effect.each(
    [
      ["The API key does not have the required permission", "Policy"],
      ["This token requires the role admin", "Policy"],
      ["You have no permission for this", "Policy"],
      ["No API key found in request", "Auth"],
      ["Full authentication is required to access this resource", "Auth"],
      ["Request is unauthenticated", "Auth"]
    ] as const
  )(
    "in development, a 403 to a request with a credential goes by its words: %s is %s",
    ([message, tag]) =>
      Effect.gen(function*() {
        const { exit } = yield* against(() => inWords(message), create, {
          environment: "development"
        })
        expect(apiErrorOf(exit)._tag).toBe(tag)
      })
  )

  it.effect("in production a 403 without a credential stays Policy, and in development a type decides", () =>
    Effect.gen(function*() {
      const production = yield* against(() => inWords("Access denied"), create, {}, lost)
      const typed = yield* against(
        () => Server.fault(403, "validation_error", "no", "x"),
        create,
        { environment: "development" },
        lost
      )
      expect([apiErrorOf(production.exit)._tag, apiErrorOf(typed.exit)._tag]).toEqual([
        "Policy",
        "Validation"
      ])
    }))

  it.effect("a playbook of one's own has the rule of the environment, too", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(FaceSign.playbook, {
        inFlightCodes: ["request_in_progress"]
      })
      const { exit } = yield* against(
        () => inWords("Access denied"),
        create,
        { environment: "development", playbook },
        lost
      )
      expect(apiErrorOf(exit)._tag).toBe("Auth")
    }))

  it.effect("production consistently returns 401 for it: there a 403 without a type is Policy", () =>
    Effect.gen(function*() {
      expect(apiErrorOf((yield* against(() => gateway, create)).exit)._tag).toBe("Policy")
    }))

  it("the row of development says so", () => {
    const [production, development] = (["production", "development"] as const).map((environment) =>
      Playbook.lookup(FaceSign.playbookFor(environment), 403)
    )
    expect([
      /header is missing/.test(production?.meaning ?? ""),
      /header is missing/.test(development?.meaning ?? "")
    ])
      .toEqual([false, true])
  })
})
