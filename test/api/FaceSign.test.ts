import { HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  Exit,
  Fiber,
  identity,
  Layer,
  Option,
  Redacted,
  Schema,
  Stream,
  TestClock
} from "effect"
import {
  ApiError,
  Backoff,
  IdempotencyKey,
  Incident,
  Operation,
  Pipeline,
  Playbook
} from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { conflict, forbidden, network } from "../support/errors.js"
import { apiErrorOf, errorOf, squashed } from "../support/exits.js"
import * as Server from "../support/faceSignServer.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"
import { eventually } from "../support/turns.js"

const auth = Redacted.make(Server.auth)

const settings: FaceSign.SessionSettings = {
  clientReferenceId: "user-123",
  metadata: { source: "web-app" },
  flow: [{ id: "start", type: "start", outcome: "end" }, { id: "end", type: "end" }]
}

const live = Effect.provide(NodeHttpClient.layerUndici)

type Client = FaceSign.FaceSign

const create = (client: Client) => IdempotencyKey.provideNew(client.createSession(settings))

/** A call over real HTTP in virtual time, and what the server saw of it. */
const against = <A, E>(
  script: FlakyApi.Script,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<FaceSign.Options> = {},
  onItsWay: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest =
    identity
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ script, environment: options.environment ?? "production" })
    const client = yield* FaceSign.make({ baseUrl: api.url, auth, ...options }).pipe(
      Effect.updateService(HttpClient.HttpClient, HttpClient.mapRequest(onItsWay)),
      Effect.provide(layer)
    )
    const { at, exit } = yield* run(use(client))
    const received = yield* api.received
    return {
      exit,
      waits: waits(at),
      requests: received.length,
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      executed: (yield* api.executed).length,
      sessions: api.sessions
    }
  }).pipe(Effect.scoped)

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

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

describe("FaceSign: retry logic, over real HTTP", () => {
  it.effect.each(
    [
      ["a rate limit", FlakyApi.rateLimited()],
      ["a server error", FlakyApi.serverError()],
      ["a network issue", FlakyApi.reset()]
    ] as const
  )(
    "%s: three calls in all, after 1 s and 2 s, under one key",
    ([, fault]) =>
      Effect.gen(function*() {
        const { executed, keys, requests, waits } = yield* against(() => fault, create)
        expect([requests, waits, keys, executed]).toEqual([3, [1000, 2000], 1, 0])
      })
  )

  it.effect("the delays are 1 s, 2 s, 4 s and so on, at most 10 s", () =>
    Effect.sync(() => {
      const bounds = [0, 1, 2, 3, 4, 50].map((n) =>
        Backoff.envelope(FaceSign.stages.retry.backoff, n)
      )
      expect(bounds.map(({ max, min }) => [Duration.toSeconds(min), Duration.toSeconds(max)]))
        .toEqual(
          [1, 2, 4, 8, 10, 10].map((seconds) => [seconds, seconds])
        )
    }))

  it.effect("a session that was created before the connection broke is not created again", () =>
    Effect.gen(function*() {
      const { exit, keys, requests, sessions } = yield* against(
        FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.gatewayTimeout({ when: "after" })
        ]),
        create
      )
      expect([Exit.isSuccess(exit), requests, keys, sessions]).toEqual([true, 3, 1, ["user-123"]])
    }))

  it.effect("E3: a 409 whose code says that the first request with this key still runs is waited for", () =>
    Effect.gen(function*() {
      const running = Server.fault(409, undefined, "still running", "idempotency_key_in_use", {
        retryAfter: 2
      })
      const { exit, keys, requests, waits } = yield* against(FlakyApi.sequence([running]), create)
      expect([Exit.isSuccess(exit), requests, keys, waits]).toEqual([true, 2, 1, [2000]])
    }))

  it.effect("E3: other codes for it can be said", () =>
    Effect.gen(function*() {
      const playbook = Playbook.extend(FaceSign.playbook, {
        inFlightCodes: ["request_in_progress"]
      })
      const running = Server.fault(409, undefined, "still running", "request_in_progress")
      const { exit, requests } = yield* against(FlakyApi.sequence([running]), create, { playbook })
      expect([Exit.isSuccess(exit), requests]).toEqual([true, 2])
    }))

  it.live("network failures are caught, too: nobody listens", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const retry = { retries: 2, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.keyed, retry })
      const client = yield* FaceSign.make({ baseUrl: api.url, auth, pipeline })
      const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(settings)))
      expect([
        error._tag,
        error._tag === "Network" && [error.sent, error.attempts],
        FaceSign.userMessage(error)
      ])
        .toEqual([
          "Network",
          ["no", 3],
          "The verification could not be reached. Please try again in a moment."
        ])
    }).pipe(Effect.scoped, live))

  it.effect("an attempt that does not end is cut after 15 s", () =>
    Effect.gen(function*() {
      let calls = 0
      const client = HttpClient.make(() => {
        calls++
        return Effect.never
      })
      const faceSign = yield* Effect.provide(
        FaceSign.make({ baseUrl: "https://facesign.test", auth }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const fiber = yield* Effect.fork(Effect.exit(create(faceSign)))
      yield* TestClock.adjust("15999 millis")
      const before = calls
      yield* TestClock.adjust("1 hour")
      expect([before, calls, errorOf(yield* Fiber.join(fiber))._tag]).toEqual([1, 3, "Timeout"])
    }))

  it.effect("R12: interruption during a delay ends the call", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script: () => FlakyApi.serverError() })
      const client = yield* Effect.provide(FaceSign.make({ baseUrl: api.url, auth }), layer)
      const fiber = yield* Effect.fork(create(client))
      yield* eventually(api.received, ({ length }) => length > 0)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// validation
// -----------------------------------------------------------------------------

describe("FaceSign.validate", () => {
  it.each<readonly [string, unknown, ReadonlyArray<string>]>([
    ["settings of the document", settings, []],
    ["only the required field", { clientReferenceId: "u" }, []],
    ["a field that is missing", { metadata: {} }, ["clientReferenceId"]],
    ["a field that is blank", { clientReferenceId: " " }, ["clientReferenceId"]],
    ["a field that is a number", { clientReferenceId: 17 }, ["clientReferenceId"]],
    ["metadata that is a text", { clientReferenceId: "u", metadata: "x" }, ["metadata"]],
    ["a flow that is an object", { clientReferenceId: "u", flow: {} }, ["flow"]],
    ["a step without id", { clientReferenceId: "u", flow: [{ type: "end" }] }, ["flow.0.id"]],
    ["a step that is a text", { clientReferenceId: "u", flow: ["end"] }, ["flow.0"]],
    ["nothing", undefined, [""]]
  ])("%s", (_, input, paths) => {
    expect(FaceSign.validate(input).map(({ path }) => path)).toEqual(paths)
  })

  it("T1: it repeats nothing of what was sent", () => {
    const issues = FaceSign.validate({
      clientReferenceId: { SENTINEL: 1 },
      metadata: "SENTINEL",
      flow: ["SENTINEL"]
    })
    expect([issues.length, JSON.stringify(issues).includes("SENTINEL")]).toEqual([3, false])
  })
})

// -----------------------------------------------------------------------------
// help
// -----------------------------------------------------------------------------

describe("FaceSign: getting help", () => {
  it.effect("the request id of the error response, over real HTTP", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => Server.fault(500, "server_error", "oops", "internal"),
        create
      )
      const error = apiErrorOf(exit)
      expect(FaceSign.supportReference(error)).toEqual({
        requestId: Option.some("req_500_internal"),
        summary:
          "POST /v1/sessions, HTTP 500, server_error, internal, 3 attempts, request id req_500_internal"
      })
      expect(FaceSign.help(error)).toEqual([
        "Check the API status page for any ongoing issues.",
        `Contact support with the request id req_500_internal (${
          FaceSign.supportReference(error).summary
        }).`
      ])
    }))

  it("of a validation error: the parameters first, and not the status page", () => {
    const [first, ...rest] = FaceSign.help(new ApiError.Validation({ message: "x", status: 400 }))
    expect([first, rest]).toEqual([
      "Review the request parameters against the API documentation.",
      ["Contact support (HTTP 400, validation_error, no request id)."]
    ])
  })

  it("of anything else: everything", () => {
    expect(FaceSign.help("?")).toEqual([
      "Check the API status page for any ongoing issues.",
      "Review the request parameters against the API documentation.",
      "Contact support (No answer of the API, no request id)."
    ])
  })

  it("T4: fields to log", () => {
    const error = new ApiError.Auth({
      message: "x",
      status: 401,
      attempts: 1,
      endpoint: "/v1/sessions",
      method: "POST"
    })
    expect(FaceSign.logFields(error, { environment: "production" })).toEqual({
      integration: "facesign",
      environment: "production",
      attempts: 1,
      endpoint: "/v1/sessions",
      method: "POST",
      status: 401,
      retries: 0,
      timedOut: false,
      verdict: "Terminal",
      error: "Auth"
    })
  })
})

// -----------------------------------------------------------------------------
// usage
// -----------------------------------------------------------------------------

describe("FaceSign: respecting rate limits", () => {
  it.effect("E12: a Retry-After holds back the other calls too, and nobody calls before it has passed", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 20 })])
      const { exit, requests, waits } = yield* against(
        (call) => script(call),
        (client) =>
          Effect.all([create(client), Effect.delay(create(client), "1 second")], { concurrency: 2 })
      )
      expect([Exit.isSuccess(exit), requests, waits]).toEqual([true, 3, [20_000, 0]])
    }))

  it.effect("a wait that is longer than a call waits rejects it, and the user reads so", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => FlakyApi.rateLimited({ retryAfter: 200 }),
        (client) => Effect.zipRight(Effect.exit(create(client)), create(client))
      )
      const error = errorOf(exit)
      expect(error._tag).toBe("CoolingDown")
      expect(FaceSign.userMessage(error)).toMatch(
        /^The verification is not available at the moment\./
      )
    }))

  it.effect("each rule has the route of the document, and twenty refused keys are one incident", () =>
    Effect.gen(function*() {
      expect(Object.fromEntries(FaceSign.incidentRules.map(({ name, route }) => [name, route])))
        .toMatchObject({
          unauthorized: "check that the API key is the correct one and has not been revoked",
          forbidden: "check the permissions of the API key",
          "rate-limited": "monitor your usage, throttle, respect the Retry-After header",
          "server-errors": "check the API status page; contact support with the request id",
          "validation-errors": expect.stringContaining("required parameters")
        })
      const detector = yield* Incident.make({ rules: FaceSign.incidentRules })
      const told = yield* Effect.fork(Stream.runCollect(Stream.take(detector.incidents, 1)))
      yield* Effect.yieldNow()
      yield* against(
        () => FlakyApi.status(401),
        (client) => Effect.forEach(Array(20).fill(0), () => Effect.exit(create(client))),
        { detector }
      )
      expect([...(yield* Fiber.join(told))].map(({ integration, name }) => [integration, name]))
        .toEqual([
          ["facesign", "unauthorized"]
        ])
    }))
})

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
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* Server.make()
        const http = Stray.counting(layer)
        const call = Effect.provide(readWith(api.url, key), http.layer)
        const error = yield* Effect.flip(call)
        const { code, endpoint, method } = error as ApiError.ApiError
        const texts = yield* renderings(call)
        expect([error._tag, code, method, endpoint, http.requests(), leaks(texts, Stray.key)])
          .toEqual([
            "Auth",
            "malformed_api_key",
            "GET",
            "/v1/sessions/:id",
            0,
            []
          ])
      }).pipe(Effect.scoped)
  )

  it.live.each(Stray.paddedKeys)(
    "T1: a key with %s, over %s, that the API repeats as it came is in nothing that is printed",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: Stray.tellTale })
        const call = Effect.provide(readWith(api.url, key), layer)
        const error = yield* Effect.flip(call)
        expect(ApiError.isApiError(error) && error.message).toBe(
          "not a key: <redacted>, <redacted>"
        )
        expect(leaks(yield* renderings(call), Stray.key)).toEqual([])
      }).pipe(Effect.scoped)
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
