import { HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Metric,
  Option,
  Random,
  Redacted,
  TestClock
} from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Messaging,
  Operation,
  Playbook,
  RetryBudget,
  Telemetry
} from "effect-resilience"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { inspect } from "node:util"
import { rateLimit } from "../support/errors.js"
import { apiErrorOf, errorOf, squashed } from "../support/exits.js"
import * as Server from "../support/messagingServer.js"
import { leaks, renderings } from "../support/renderings.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"
import { eventually, until } from "../support/turns.js"

const apiKey = Redacted.make(Server.apiKey)

const live = Effect.provide(NodeHttpClient.layerUndici)

type Client = Messaging.Messaging

const to = "ada@example.com"

const sendOtp = (client: Client, request: Partial<Messaging.OtpRequest> = {}) =>
  IdempotencyKey.provideNew(client.sendOtp({ to, ...request }))

const send = (client: Client, templateId = "welcome") =>
  IdempotencyKey.provideNew(client.sendMessage({ templateId, to }))

const submit = (client: Client, formId = "contact") =>
  IdempotencyKey.provideNew(client.submitForm({ formId, fields: { name: "Ada" } }))

const verify = (client: Client, sessionId: string, otp = Server.otp) =>
  IdempotencyKey.provideNew(client.verifyOtp({ sessionId, otp: Redacted.make(otp) }))

/** A call over real HTTP in virtual time, and what the server saw of it. */
const against = <A, E>(
  server: Server.Options,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<Messaging.Options> = {}
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make(server)
    const client = yield* Effect.provide(
      Messaging.make({ baseUrl: api.url, apiKey, ...options }),
      layer
    )
    const { at, exit } = yield* run(use(client))
    const received = yield* api.received
    return {
      exit,
      client,
      waits: waits(at),
      requests: received.length,
      paths: received.map(({ path }) => path),
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      records: api.records
    }
  }).pipe(Effect.scoped)

const always = (fault: FlakyApi.Fault): Server.Options => ({ script: () => fault })

/** Jitter that draws the middle of what it may. */
const halfway = Effect.withRandom(Random.fixed([0.5]))

// -----------------------------------------------------------------------------
// status codes
// -----------------------------------------------------------------------------

/**
 * The document's status code playbook: tag, calls, its family and meaning, the recommended
 * handling, what the person reads.
 */
const rows: ReadonlyArray<
  readonly [
    status: number,
    tag: ApiError.ApiError["_tag"],
    calls: number,
    meaning: RegExp,
    action: RegExp,
    user: string
  ]
> = [
  [
    400,
    "Validation",
    1,
    /^Validation: .*malformed/,
    /not retry blindly.*validate before sending/,
    "This address or code is not valid. Please check it and try again."
  ],
  [
    401,
    "Auth",
    1,
    /^Auth: /,
    /Refresh or rotate credentials/,
    "This could not be sent. Our team has been told."
  ],
  [
    403,
    "Policy",
    1,
    /^Policy \/ scope: /,
    /do not retry until policy is fixed/,
    "This could not be sent. Our team has been told."
  ],
  [
    404,
    "NotFound",
    1,
    /^Not found: /,
    /terminal; request a new/,
    "This code has expired. Please ask for a new one."
  ],
  [
    409,
    "Conflict",
    1,
    /^Conflict: /,
    /avoid automatic retries/,
    "This has been submitted already."
  ],
  [
    423,
    "Locked",
    1,
    /^Locked\/closed: /,
    /closed message and route to the support/,
    "This is closed at the moment."
  ],
  [
    429,
    "RateLimit",
    4,
    /^Rate \/ quota: /,
    /exponential backoff \+ jitter and user-visible cooldown/,
    "You have asked for several codes. Please try again in a moment."
  ],
  [
    500,
    "Server",
    4,
    /^Server: /,
    /Retry with backoff and log correlation id/,
    "The code could not be sent. Please try again in a moment."
  ],
  [
    502,
    "Server",
    4,
    /^Upstream: /,
    /fallback route and escalate if sustained/,
    "The code could not be sent. Please try again in a moment."
  ],
  [
    503,
    "Server",
    4,
    /^Unavailable: /,
    /Retry later and alert operations/,
    "The code could not be sent. Please try again in a moment."
  ]
]

describe("Messaging: the status code playbook, over real HTTP", () => {
  const waitsOf = (calls: number) => [250, 500, 1000].slice(0, calls - 1)

  it.effect.each(rows)(
    "%i is %s after %i calls",
    ([status, tag, calls, meaning, action, user]) =>
      Effect.gen(function*() {
        const { exit, keys, requests, waits } = yield* halfway(
          against(always(FlakyApi.status(status)), sendOtp)
        )
        const error = apiErrorOf(exit)
        expect([error._tag, error.status, requests, error.attempts, keys, waits]).toEqual([
          tag,
          status,
          calls,
          calls,
          1,
          waitsOf(calls)
        ])
        expect(Messaging.userMessage(error)).toBe(user)
        const row = Playbook.lookup(Messaging.playbook, status)
        expect([row.tag, row.repeat, row.meaning, row.action]).toEqual([
          tag,
          calls === 1 ? "never" : "transient",
          expect.stringMatching(meaning),
          expect.stringMatching(action)
        ])
      })
  )

  /** The common triggers of the document, as the server finds them. */
  const triggers: ReadonlyArray<
    readonly [
      trigger: string,
      call: (client: Client) => Effect.Effect<unknown, Messaging.Failure>,
      tag: ApiError.ApiError["_tag"],
      key?: string
    ]
  > = [
    [
      "an email format that only the API finds invalid",
      (client) => sendOtp(client, { to: "ada@nowhere" }),
      "Validation"
    ],
    ["an expired or revoked key", sendOtp, "Auth", "mk_live_revoked"],
    ["the wrong key scope", sendOtp, "Policy", Server.narrowKey],
    ["an unknown templateId", (client) => send(client, "x"), "NotFound"],
    ["an expired OTP session", (client) => verify(client, "gone"), "NotFound"],
    [
      "a duplicate form submission",
      (client) => Effect.zipRight(submit(client), submit(client)),
      "Conflict"
    ],
    ["an inactive form", (client) => submit(client, "inactive"), "Locked"],
    ["a form closed by its response cap", (client) => submit(client, "full"), "Locked"]
  ]
  it.effect.each(triggers)("%s is final at once", ([, call, tag, key]) =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        {},
        call,
        key === undefined ? {} : { apiKey: Redacted.make(key) }
      )
      expect([apiErrorOf(exit)._tag, requests]).toEqual([tag, tag === "Conflict" ? 2 : 1])
    }))

  const unsent: ReadonlyArray<
    readonly [
      what: string,
      issue: string,
      call: (client: Client) => Effect.Effect<unknown, Messaging.Failure>
    ]
  > = [
    [
      "an address that is none",
      "to is not a valid email address",
      (client) => sendOtp(client, { to: "SENTINEL" })
    ],
    ["no address", "to is required", (client) => sendOtp(client, { to: " " })],
    ["no templateId", "template_id is required", (client) => send(client, "")],
    ["no session", "session_id is required", (client) => verify(client, "")],
    ["no code", "otp is required", (client) => verify(client, "otp-1", "")]
  ]
  it.effect.each(unsent)(
    "what the document names as a trigger of a 400 is not sent: %s",
    ([, issue, call]) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against({}, call)
        const { _tag, code, message } = apiErrorOf(exit)
        expect([_tag, code, message, requests]).toEqual([
          "Validation",
          "invalid_request",
          `The request was not sent: ${issue}`,
          0
        ])
      })
  )

  /** As from JavaScript: whatever is left out, or is of another type. */
  const untyped = (given: unknown) => given as never

  it.effect.each<readonly [string, (client: Client) => Effect.Effect<unknown, Messaging.Failure>]>([
    [
      "template_id is required; to is required",
      (client) => IdempotencyKey.provideNew(client.sendMessage(untyped({})))
    ],
    ["template_id is required", (client) => send(client, untyped(7))],
    ["to is required", (client) => sendOtp(client, { to: untyped(null) })],
    [
      "session_id is required; otp is required",
      (client) => IdempotencyKey.provideNew(client.verifyOtp(untyped({})))
    ],
    [
      "fields is required; formId is required",
      (client) => IdempotencyKey.provideNew(client.submitForm(untyped({})))
    ],
    [
      "fields is required",
      (client) => IdempotencyKey.provideNew(client.submitForm(untyped({ formId: "f", fields: [] })))
    ],
    ["fallbackRoute is required", (client) => sendOtp(client, { fallbackRoute: " " })]
  ])("what is absent or no text is not sent: %s", ([issue, call]) =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({}, call)
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).message, requests]).toEqual([
        "Validation",
        `The request was not sent: ${issue}`,
        0
      ])
    }))

  it.effect("an address is refused only where it surely is none", () =>
    Effect.gen(function*() {
      const sent = (to: string) =>
        Effect.map(against({}, (client) => sendOtp(client, { to })), ({ requests }) => requests)
      const some = [
        "\"john doe\"@example.com",
        "\"a@b\"@example.com",
        "zoë@exämple.com",
        "a@localhost"
      ]
      const none = [
        "ada",
        "@example.com",
        "ada@",
        "ada@ ",
        "ada@example.com\n",
        "a\u0000@example.com"
      ]
      expect([yield* Effect.forEach(some, sent), yield* Effect.forEach(none, sent)]).toEqual([
        some.map(() => 1),
        none.map(() => 0)
      ])
    }))

  it.effect.each(
    [
      ["204", 204, "", {}],
      ["an empty body", 200, "", {}],
      ["fields of other types", 200, "{\"submission_id\":7,\"queue_id\":\"q-1\"}", {
        queue_id: "q-1"
      }],
      ["no object", 200, "[]", {}]
    ] as const
  )(
    "E7: a form that was taken is a success: %s",
    ([, status, body, expected]) =>
      Effect.gen(function*() {
        const { exit } = yield* against(
          always(FlakyApi.status(status, { body })),
          (client) => submit(client)
        )
        expect(exit).toEqual(Exit.succeed(expected))
      })
  )

  it.effect("T6: success rate, p95, 4xx and 5xx apart, for each endpoint", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "messaging-test", logs: false })
      const { requests } = yield* against(
        { script: FlakyApi.sequence([FlakyApi.unavailable(), FlakyApi.none, FlakyApi.none]) },
        (client) => Effect.all([sendOtp(client), Effect.exit(send(client, "x"))]),
        { telemetry }
      )
      const figures = yield* Telemetry.figures(telemetry)
      const told = figures.map(({ attempts, calls, endpoint, method }) => [
        `${method} ${endpoint}`,
        Option.getOrNull(calls.successRate),
        Option.isSome(calls.p95),
        calls.clientErrors,
        attempts.serverErrors
      ])
      expect([requests, told]).toEqual([3, [
        ["POST /v1/messages", 0, true, 1, 0],
        ["POST /v1/otp", 1, true, 0, 1]
      ]])
    }))

  it.effect("the four calls, when all is well", () =>
    Effect.gen(function*() {
      const { exit, records } = yield* against({}, (client) =>
        Effect.all([
          send(client),
          sendOtp(client),
          verify(client, "otp-1"),
          submit(client)
        ]))
      expect(exit).toEqual(Exit.succeed([
        { queue_id: "q-1" },
        { session_id: "otp-1", queue_id: "q-1", route: "direct", isFallback: false },
        { verified: true },
        { submission_id: "f-1", queue_id: "q-1" }
      ]))
      expect(records).toEqual({
        messages: [to],
        otps: [`${to} over direct`],
        forms: [JSON.stringify({ name: "Ada" })]
      })
    }))
})

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

describe("Messaging: retries, over real HTTP", () => {
  it.effect.each([429, 500, 502, 503])(
    "R1: a %i is repeated after waits below 500, 1000 and 2000 ms, with jitter, under one key",
    (status) =>
      Effect.gen(function*() {
        const { keys, requests, waits } = yield* against(always(FlakyApi.status(status)), sendOtp)
        expect([requests, keys]).toEqual([4, 1])
        expect(waits.map((wait, n) => wait >= 0 && wait <= 500 * 2 ** n)).toEqual([
          true,
          true,
          true
        ])
      })
  )

  it("the backoff is exponential, capped, and has full jitter", () => {
    const { backoff } = Messaging.operations.sendMessage
    const envelopes = [0, 1, 10, 1000].map((n) => Backoff.envelope(backoff, n))
    expect(envelopes.map(({ max }) => Duration.toMillis(max))).toEqual([500, 1000, 20_000, 20_000])
    expect(envelopes.map(({ min }) => Duration.toMillis(min))).toEqual([0, 0, 0, 0])
  })

  it.effect("a message is repeated more patiently than what somebody waits for", () =>
    Effect.gen(function*() {
      const { requests, waits } = yield* halfway(
        against(always(FlakyApi.unavailable()), (client) => send(client))
      )
      expect([requests, waits]).toEqual([6, [250, 500, 1000, 2000, 4000]])
    }))

  it.effect("E12: Retry-After is a floor", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 7 })])
      const { exit, waits } = yield* against({ script }, sendOtp)
      expect([Exit.isSuccess(exit), waits]).toEqual([true, [7000]])
    }))

  it.effect("a Retry-After that ends after the call's limit of time is not waited for", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        always(FlakyApi.rateLimited({ retryAfter: 45 })),
        sendOtp
      )
      expect([apiErrorOf(exit)._tag, requests]).toEqual(["RateLimit", 1])
    }))

  it.effect("a budget pays for the retries of all operations", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 2, ratio: 0, reservePerSecond: 0 })
      const { requests } = yield* against(
        always(FlakyApi.serverError()),
        (client) => Effect.all([Effect.exit(sendOtp(client)), Effect.exit(send(client))]),
        { budget }
      )
      expect(requests).toBe(2 + 2)
    }))

  it.effect("a message that went out before the connection broke does not go out again", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([
        FlakyApi.reset({ when: "after" }),
        FlakyApi.serverError({ when: "after" })
      ])
      const { exit, keys, records, requests } = yield* against({ script }, (client) => send(client))
      expect([Exit.isSuccess(exit), requests, keys, records.messages]).toEqual([true, 3, 1, [to]])
    }))

  it.effect("with writes: once, only what certainly was not executed is repeated", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const requests: Array<number> = []
      for (const status of [429, 500, 502, 503]) {
        const api = yield* Server.make(always(FlakyApi.status(status)))
        const options = { baseUrl: api.url, apiKey, writes: Operation.once }
        const client = yield* Effect.provide(Messaging.make(options), layer)
        yield* run(client.sendOtp({ to }))
        requests.push((yield* api.received).length)
      }
      expect(requests).toEqual([4, 1, 1, 1])
    }).pipe(Effect.scoped))

  it.effect("an attempt is cut after 10 s, and the call after 30 s", () =>
    Effect.gen(function*() {
      let calls = 0
      const client = HttpClient.make(() => {
        calls++
        return Effect.never
      })
      const messaging = yield* Effect.provide(
        Messaging.make({ baseUrl: "https://messaging.test", apiKey }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const fiber = yield* Effect.fork(Effect.exit(sendOtp(messaging)))
      yield* TestClock.adjust("9999 millis")
      const before = calls
      yield* TestClock.adjust("20 seconds")
      const isOver = Option.isSome(yield* Fiber.poll(fiber))
      // A wait that is no whole number of milliseconds is rounded up.
      yield* TestClock.adjust("2 millis")
      const exit = Option.getOrUndefined(yield* Fiber.poll(fiber))
      expect([before, calls > 1, isOver]).toEqual([1, true, false])
      expect(exit && errorOf(Exit.flatten(exit))._tag).toBe("Timeout")
    }))

  it.live("an answer whose body comes too slowly is cut, and asked for again under the same key", () =>
    Effect.gen(function*() {
      const api = yield* Server.make({
        script: FlakyApi.sequence([FlakyApi.slowBody("20 seconds")])
      })
      const policies = {
        sendMessage: { backoff: Backoff.constant("1 millis"), attemptTimeout: "500 millis" }
      } as const
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey, policies })
      const answer = yield* send(client)
      expect([answer, (yield* api.received).length, api.records.messages]).toEqual([
        { queue_id: "q-1" },
        2,
        [to]
      ])
    }).pipe(Effect.scoped, live))

  it.live("E7: an answer that breaks off was a success that cannot be read, and is not asked for again", () =>
    Effect.gen(function*() {
      const api = yield* Server.make(always(FlakyApi.truncated))
      const client = yield* Messaging.make({ baseUrl: api.url, apiKey })
      const error = yield* Effect.flip(send(client))
      expect([ApiError.isUnreadable(error), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped, live))

  it.effect("R12: interruption during a wait ends the call", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make(always(FlakyApi.serverError()))
      const policies = {
        sendOtp: { backoff: Backoff.constant("1 minute"), totalTimeout: "1 hour" }
      } as const
      const client = yield* Effect.provide(
        Messaging.make({ baseUrl: api.url, apiKey, policies }),
        layer
      )
      const fiber = yield* Effect.fork(sendOtp(client))
      yield* eventually(api.received, ({ length }) => length === 1)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), (yield* api.received).length]).toEqual([true, 1])
    }).pipe(Effect.scoped))

  it.effect("a circuit that is open for one endpoint lets the others through", () =>
    Effect.gen(function*() {
      const script: FlakyApi.Script = ({ path }) =>
        path === "/v1/otp" ? FlakyApi.serverError() : FlakyApi.none
      const { exit } = yield* against(
        { script },
        (client) =>
          Effect.all([
            Effect.exit(sendOtp(client)),
            Effect.exit(sendOtp(client)),
            Effect.exit(submit(client))
          ]),
        { circuitBreaker: { minimumCalls: 4, slowCall: false } }
      )
      const [, second, form] = Exit.isSuccess(exit) ? exit.value : []
      expect([second && errorOf(second)._tag, form && Exit.isSuccess(form)]).toEqual([
        "CircuitOpen",
        true
      ])
    }))
})

// -----------------------------------------------------------------------------
// duplicates and options
// -----------------------------------------------------------------------------

describe("Messaging: forms that are sent twice", () => {
  const twice = (client: Client) => Effect.zipRight(submit(client), submit(client))

  it.effect("duplicate mode reject: the second submission is a conflict, and is not repeated", () =>
    Effect.gen(function*() {
      const { exit, records, requests } = yield* against({ duplicates: "reject" }, twice)
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).attempts, requests, records.forms.length])
        .toEqual([
          "Conflict",
          1,
          2,
          1
        ])
    }))

  it.effect("duplicate mode accept: both are taken", () =>
    Effect.gen(function*() {
      const { exit, records } = yield* against({ duplicates: "accept" }, (client) =>
        Effect.zipRight(twice(client), submit(client)))
      expect([Exit.isSuccess(exit), records.forms.length]).toEqual([true, 3])
    }))

  it.effect("a submission whose answer was lost is no duplicate of itself", () =>
    Effect.gen(function*() {
      const script = FlakyApi.sequence([FlakyApi.reset({ when: "after" })])
      const { exit, keys, records, requests } = yield* against(
        { script },
        (client) => submit(client)
      )
      expect([Exit.isSuccess(exit), requests, keys, records.forms.length]).toEqual([true, 2, 1, 1])
    }))
})

describe("Messaging.make: options", () => {
  it.effect("other paths, with the same parameters", () =>
    Effect.gen(function*() {
      const { exit, paths } = yield* against({}, (client) => submit(client, "a/b"), {
        paths: { submitForm: "/forms/:formId" }
      })
      expect([apiErrorOf(exit).endpoint, paths]).toEqual(["/forms/:formId", ["/forms/a%2Fb"]])
    }))

  it.effect("an id that cannot be in a path is not sent", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against({}, (client) => submit(client, ".."))
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).code, requests]).toEqual([
        "Validation",
        "invalid_id",
        0
      ])
    }))

  it.effect("nonsense is refused, and the message names field and value", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Messaging.make({
          baseUrl: "https://messaging.test",
          apiKey,
          policies: { sendOtp: { retries: -1 } }
        })
      )
      const defect = squashed(exit)
      expect([defect instanceof RangeError, String(defect)]).toEqual([
        true,
        expect.stringMatching(/retries.*-1/)
      ])
    }).pipe(live))
})

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

// -----------------------------------------------------------------------------
// what is recorded
// -----------------------------------------------------------------------------

describe("Messaging: what is recorded of a failure", () => {
  const talkative = FlakyApi.status(400, {
    body: JSON.stringify({
      message: `bad: ${to}`,
      to,
      otp: Server.otp,
      key: Server.apiKey,
      hint: "format"
    }),
    headers: { "content-type": "application/json", "x-request-id": "req-9" }
  })

  it.effect("T4: status, endpoint, fingerprint of the key, request id, and the API's message without what was sent", () =>
    Effect.gen(function*() {
      const { client, exit } = yield* against(always(talkative), sendOtp)
      const record = yield* client.record(errorOf(exit), { environment: "test", queueId: "q-1" })
      expect(record).toMatchObject({
        integration: "messaging",
        environment: "test",
        status: 400,
        endpoint: "/v1/otp",
        method: "POST",
        requestId: "req-9",
        queueId: "q-1",
        keyFingerprint: yield* Messaging.keyFingerprint(apiKey),
        message: "bad: <redacted>"
      })
      expect("body" in record).toBe(false)
    }))

  it.effect("E8: the body only on request, and then without keys and secret values", () =>
    Effect.gen(function*() {
      const { client, exit } = yield* against(always(talkative), sendOtp)
      const { body } = yield* client.record(errorOf(exit), { body: true })
      expect(JSON.parse(String(body))).toEqual({
        message: "bad: <redacted>",
        to: "<redacted>",
        otp: "<redacted>",
        key: "<redacted>",
        hint: "format"
      })
    }))

  it.effect("E8: what was sent is taken out of the body wherever the API repeats it, also where it is no JSON", () =>
    Effect.gen(function*() {
      const page = FlakyApi.htmlPage(502, { body: `<h1>${to}, ${Server.apiKey}, x</h1>` })
      const { client, exit } = yield* against(always(page), sendOtp)
      expect((yield* client.record(errorOf(exit), { body: true }))["body"]).toBe(
        "<h1><redacted>, <redacted>, x</h1>"
      )
    }))

  /** The body that is recorded of a form with these fields that was answered with this text. */
  const recorded = (
    text: string,
    fields: Record<string, string> = { name: "Zoë/Ünal & <Söhne>" }
  ) =>
    Effect.gen(function*() {
      const { client, exit } = yield* against(
        always(FlakyApi.status(400, { body: text })),
        (client) => IdempotencyKey.provideNew(client.submitForm({ formId: "f", fields }))
      )
      return String((yield* client.record(errorOf(exit), { body: true }))["body"])
    })

  it.effect.each([
    "{\"error\":\"bad Zo\\u00eb/\\u00DCnal & <S\\u00f6hne>\"}",
    "{\"error\":\"bad Zo\\u00eb\\/\\u00dcnal \\u0026 \\u003cS\\u00f6hne\\u003e\"}",
    "{\"error\":\"bad Zoë\\/Ünal & <Söhne>\"}",
    "{\"error\":\"bad Zo&#235;/&#220;nal &amp; &lt;S&#246;hne&gt;\"}"
  ])(
    "E8: what was sent is taken out of a JSON body however it is spelled: %s",
    (text) =>
      Effect.gen(function*() {
        expect(yield* recorded(text)).toBe("{\"error\":\"bad <redacted>\"}")
      })
  )

  it.effect.each([
    "<p>bad Zoë/Ünal &amp; &lt;Söhne&gt;</p>",
    "<p>bad Zo&#235;/&#220;nal &amp; &lt;S&#246;hne&gt;</p>",
    "<p>bad Zo\\u00eb\\/\\u00dcnal & <S\\u00f6hne></p>"
  ])(
    "E8: what was sent is taken out of a page however it is spelled: %s",
    (text) =>
      Effect.gen(function*() {
        expect(yield* recorded(text)).toBe("<p>bad <redacted></p>")
      })
  )

  it.effect("E8: whatever stands under a secret name of a JSON body goes: texts, numbers, objects; other names say it no more", () =>
    Effect.gen(function*() {
      const body = {
        otp: 123_456,
        email: { local: "eve", tags: [1] },
        tokens: ["t-1"],
        phone: null,
        hint: "eve, t-1, 0123456",
        list: [{ password: "" }, 123_456, 7, true],
        eve: "x",
        nested: "{\"otp\": \"9-9\"}"
      }
      expect(JSON.parse(yield* recorded(JSON.stringify(body)))).toEqual({
        otp: "<redacted>",
        email: "<redacted>",
        tokens: "<redacted>",
        phone: null,
        hint: "<redacted>, <redacted>, 0<redacted>",
        list: [{ password: "<redacted>" }, "<redacted>", 7, true],
        "<redacted>": "x",
        nested: "{\"otp\": \"<redacted>\"}"
      })
    }))

  it.effect("E8: a number that was sent as a text is taken out however it is written", () =>
    Effect.gen(function*() {
      const fields = { account: "49151123456789012345", pin: "00481516" }
      expect(yield* recorded("{\"a\":49151123456789012345,\"b\":481516.0,\"c\":4}", fields)).toBe(
        "{\"a\":\"<redacted>\",\"b\":\"<redacted>\",\"c\":4}"
      )
    }))

  it.effect.each(
    [
      ["{\"hint\":\"h\",\"otp\":\"4815", "{\"hint\":\"h\",\"otp\":\"<redacted>\""],
      [
        "{\"otp\" : 4815, \"hint\":\"h\", \"n\":",
        "{\"otp\" : \"<redacted>\", \"hint\":\"h\", \"n\":"
      ],
      ["{\"email\":{\"a\":\"}\",\"b\":[\"eve\"]},\"hint\":", "{\"email\":\"<redacted>\",\"hint\":"],
      ["{\"email\":{\"a\":\"x\\\"\",\"b\":[\"eve", "{\"email\":\"<redacted>\""],
      ["{\"\\u006ftp\":\"4815\\\"16\",", "{\"\\u006ftp\":\"<redacted>\","],
      [
        "{\"log\":\"{\\\"otp\\\":\\\"4815\\\",\\\"n\\\":1",
        "{\"log\":\"{\\\"otp\\\":\\\"<redacted>\\\",\\\"n\\\":1"
      ],
      [
        "<pre>{&quot;otp&quot;: &quot;4815&quot;, &quot;n&quot;: 1}</pre>",
        "<pre>{&quot;otp&quot;: &quot;<redacted>&quot;, &quot;n&quot;: 1}</pre>"
      ],
      [
        "<script>{'otp': '48 15', 'n': 1}</script>",
        "<script>{'otp': '<redacted>', 'n': 1}</script>"
      ]
    ] as const
  )(
    "E8: what stands under a secret name goes where the body is no JSON or was cut off: %s",
    ([text, expected]) =>
      Effect.gen(function*() {
        expect(yield* recorded(text)).toBe(expected)
      })
  )

  it.effect("E8: a body that is too deep to be written anew is recorded as a text", () =>
    Effect.gen(function*() {
      const deep = `${"[".repeat(20_000)}{"otp":"4815"}${"]".repeat(20_000)}`
      expect((yield* recorded(deep)).replaceAll(/[[\]]/g, "")).toBe("{\"otp\":\"<redacted>\"}")
    }))

  it.effect("the body is recorded by the client that made the call, which knows what was sent, and by no other", () =>
    Effect.gen(function*() {
      const one = yield* against(always(talkative), sendOtp)
      const other = yield* against(always(talkative), sendOtp)
      expect("body" in (yield* other.client.record(errorOf(one.exit), { body: true }))).toBe(false)
    }))

  it.effect("the record of what is no answer has no message and no body", () =>
    Effect.gen(function*() {
      const { client } = yield* against({}, sendOtp)
      const record = yield* client.record(
        new CircuitBreaker.CircuitOpen({ key: "x", retryAfter: Duration.zero }),
        {
          body: true
        }
      )
      expect(["message" in record, "body" in record, record["error"]]).toEqual([
        false,
        false,
        "CircuitOpen"
      ])
    }))

  it.effect("logFields: the same without anything that the API wrote, with what the caller knows", () =>
    Effect.gen(function*() {
      const { client, exit } = yield* against(
        always(FlakyApi.status(503, { headers: { "x-request-id": "r-1" } })),
        sendOtp
      )
      const keyFingerprint = yield* client.keyFingerprint
      expect(
        Messaging.logFields(errorOf(exit), { queueId: "q-1", sessionId: "otp-1", keyFingerprint })
      ).toMatchObject({
        integration: "messaging",
        status: 503,
        endpoint: "/v1/otp",
        requestId: "r-1",
        attempts: 4,
        queueId: "q-1",
        sessionId: "otp-1",
        keyFingerprint
      })
      expect(Object.keys(Messaging.logFields(errorOf(exit)))).not.toContain("message")
    }))

  it("queue id and session id of an answer", () => {
    expect([
      Messaging.correlation({ queue_id: "q-1" }),
      Messaging.correlation({ queue_id: "q-1", session_id: "otp-1" }),
      Messaging.correlation({})
    ]).toEqual([{ queueId: "q-1" }, { queueId: "q-1", sessionId: "otp-1" }, {}])
  })
})

// -----------------------------------------------------------------------------
// alerts
// -----------------------------------------------------------------------------

describe("Messaging: alerts", () => {
  /** A detector, and what it has raised. */
  const watching = Effect.map(Incident.make({ rules: Messaging.incidentRules }), (detector) => {
    const raised: Array<string> = []
    const observe: Incident.Detector["observe"] = (integration, exit) =>
      Effect.tap(
        detector.observe(integration, exit),
        (incidents) =>
          Effect.sync(() =>
            raised.push(...incidents.map(({ endpoint, name }) => `${name} ${endpoint}`))
          )
      )
    return { detector: { ...detector, observe }, raised }
  })

  /** A circuit that opens would hide what comes later. */
  const closed = {
    circuitBreaker: { window: CircuitBreaker.count(1000), minimumCalls: 1000, slowCall: false }
  } as const

  const raisedBy = (status: number, calls: number) =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      yield* against(
        always(FlakyApi.status(status)),
        (client) => Effect.forEach(Array(calls), () => Effect.exit(sendOtp(client))),
        { detector, ...closed }
      )
      return raised
    })

  it.effect.each(
    [
      [401, 5, "unauthorized"],
      [403, 5, "forbidden"],
      [429, 3, "rate-limited"],
      [502, 3, "upstream-sustained"],
      [503, 2, "smtp-outage"]
    ] as const
  )("repeated %i in %i calls: one incident, %s", ([status, calls, name]) =>
    Effect.gen(function*() {
      expect(yield* raisedBy(status, calls - 1)).toEqual([])
      expect(yield* raisedBy(status, calls + 5)).toEqual([`${name} /v1/otp`])
    }))

  it.effect.each([400, 404, 409, 423, 500])(
    "repeated %i: none",
    (status) =>
      Effect.gen(function*() {
        expect(yield* raisedBy(status, 12)).toEqual([])
      })
  )

  it.effect("502s that a fallback made good are seen all the same", () =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const { exit } = yield* against(
        { broken: ["direct"] },
        (client) => Effect.forEach(Array(3), () => sendOtp(client, { fallbackRoute: "queued" })),
        { detector, ...closed }
      )
      expect([Exit.isSuccess(exit), raised]).toEqual([true, ["upstream-sustained /v1/otp"]])
    }))

  it.effect("429s that a retry made good are seen all the same, and a call without an answer is seen once", () =>
    Effect.gen(function*() {
      const observed: Array<string> = []
      const { detector } = yield* watching
      const observe: Incident.Detector["observe"] = (integration, exit) => {
        observed.push(
          Exit.match(exit, {
            onSuccess: () => "Success",
            onFailure: (cause) => inspect(Cause.squash(cause))
          })
        )
        return detector.observe(integration, exit)
      }
      const script = FlakyApi.sequence([
        FlakyApi.rateLimited(),
        FlakyApi.none,
        ...Array(4).fill(FlakyApi.reset())
      ])
      yield* against(
        { script },
        (client) => Effect.zipRight(sendOtp(client), Effect.exit(sendOtp(client))),
        { detector: { ...detector, observe } }
      )
      expect(observed).toEqual([
        expect.stringContaining("RateLimit"),
        "Success",
        expect.stringContaining("Network")
      ])
    }))

  const observedOf = (
    script: FlakyApi.Script,
    calls: number,
    options: Partial<Messaging.Options> = {}
  ) =>
    Effect.gen(function*() {
      const observed: Array<string> = []
      const { detector } = yield* watching
      const observe: Incident.Detector["observe"] = (_, exit) => {
        observed.push(
          Exit.isSuccess(exit) ? "Success" : (Cause.squash(exit.cause) as ApiError.ApiError)._tag
        )
        return Effect.succeed([])
      }
      yield* against(
        { script },
        (client) => Effect.forEach(Array(calls), () => Effect.exit(sendOtp(client))),
        { detector: { ...detector, observe }, ...options }
      )
      return observed
    })

  it.effect("an open circuit is seen, and a refusal that was seen is not seen twice", () =>
    Effect.gen(function*() {
      const observed = yield* observedOf(() => FlakyApi.serverError(), 2, {
        circuitBreaker: { minimumCalls: 4, slowCall: false }
      })
      expect(observed).toEqual(["Server", "Server", "Server", "Server", "CircuitOpen"])
    }))

  it.effect.each(["{}", "[", "\"x\""])(
    "a success that cannot be read is seen once, as a failure: %s",
    (body) =>
      Effect.gen(function*() {
        expect(yield* observedOf(() => FlakyApi.status(200, { body }), 1)).toEqual(["Server"])
      })
  )

  it.effect("a key whose lifetime is over is seen", () =>
    Effect.gen(function*() {
      const observed: Array<unknown> = []
      const detector: Incident.Detector = {
        ...(yield* watching).detector,
        observe: (_, exit) => Effect.sync(() => [void observed.push(exit)]).pipe(Effect.as([]))
      }
      const late = (client: Client) =>
        Effect.gen(function*() {
          const key = yield* IdempotencyKey.fromString("row-1")
          yield* TestClock.adjust("25 hours")
          return yield* IdempotencyKey.provide(client.sendOtp({ to }), key)
        }).pipe(Effect.catchTag("ParseError", Effect.die))
      yield* against({}, late, { detector })
      expect(observed).toEqual([Exit.fail({ _tag: "UnknownOutcome", endpoint: "/v1/otp" })])
    }))

  const refusals = (status: number, tag: string, failures: number, calls: number) =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const failed = Exit.fail({ _tag: tag, status, endpoint: "/v1/otp" })
      for (let n = 0; n < calls; n++) {
        yield* detector.observe("messaging", n < calls - failures ? Exit.void : failed)
      }
      return { detector, raised, failed }
    })

  it.effect.each(
    [[401, "Auth", 5], [403, "Policy", 5], [429, "RateLimit", 10], [503, "Server", 5]] as const
  )("a few %i among many successes are none", ([status, tag, count]) =>
    Effect.gen(function*() {
      expect((yield* refusals(status, tag, count, count * 100)).raised).toEqual([])
    }))

  it.effect("429s are a trend: as many as before are none, twice as many are one", () =>
    Effect.gen(function*() {
      const { detector, failed, raised } = yield* refusals(429, "RateLimit", 9, 9)
      yield* TestClock.adjust("6 minutes")
      for (let n = 0; n < 17; n++) yield* detector.observe("messaging", failed)
      const before = [...raised]
      yield* detector.observe("messaging", failed)
      expect([before, raised]).toEqual([[], ["rate-limited /v1/otp"]])
    }))

  it("each alert of the playbook is the route of a rule", () => {
    const alerts = [401, 403, 429, 502, 503].map((status) =>
      Playbook.lookup(Messaging.playbook, status).alert
    )
    expect(alerts).toEqual(
      ["unauthorized", "forbidden", "rate-limited", "upstream-sustained", "smtp-outage"].map((
        name
      ) => Messaging.incidentRules.find((rule) => rule.name === name)?.route)
    )
  })
})

// -----------------------------------------------------------------------------
// what people read
// -----------------------------------------------------------------------------

describe("Messaging.userMessage", () => {
  const throttled = rateLimit(Duration.seconds(45))

  it.each(
    [
      ["otp", "en", "You have asked for several codes. Please try again in 45 seconds."],
      ["form", "en", "This form has been sent several times. Please try again in 45 seconds."],
      ["message", "en", "This has been used a lot just now. Please try again in 45 seconds."],
      [
        "otp",
        "de",
        "Sie haben mehrere Codes angefordert. Bitte versuchen Sie es in 45 Sekunden noch einmal."
      ],
      [
        "form",
        "de",
        "Dieses Formular wurde mehrmals gesendet. Bitte versuchen Sie es in 45 Sekunden noch einmal."
      ]
    ] as const
  )("T8: the cooldown of %s in %s", (about, locale, text) => {
    expect(Messaging.userMessage(throttled, { about, locale })).toBe(text)
  })

  it.effect("T8: throttled over HTTP: the wait of the API, rounded up, for the code and for the form", () =>
    Effect.gen(function*() {
      const throttled = always(FlakyApi.rateLimited({ retryAfter: 90 }))
      const code = apiErrorOf((yield* against(throttled, sendOtp)).exit)
      const form = apiErrorOf((yield* against(throttled, (client) => submit(client))).exit)
      expect([
        Messaging.userMessage(code),
        Messaging.userMessage(form),
        Messaging.userMessage(form, { locale: "de-AT" }),
        Messaging.userMessage(form, { locale: "fr" })
      ]).toEqual([
        "You have asked for several codes. Please try again in 90 seconds.",
        "This form has been sent several times. Please try again in 90 seconds.",
        "Dieses Formular wurde mehrmals gesendet. Bitte versuchen Sie es in 90 Sekunden noch einmal.",
        "Nous sommes un peu occupés. Veuillez réessayer dans 90\u00a0secondes."
      ])
    }))

  it.effect("a form that is closed says so and names the support; one that was sent twice says so", () =>
    Effect.gen(function*() {
      const support = "help@acme.example"
      const closed = apiErrorOf((yield* against({}, (client) => submit(client, "inactive"))).exit)
      const twice = apiErrorOf(
        (yield* against({}, (client) => Effect.zipRight(submit(client), submit(client)))).exit
      )
      expect([
        Messaging.userMessage(closed),
        Messaging.userMessage(closed, { support }),
        Messaging.userMessage(closed, { support, locale: "de" }),
        Messaging.userMessage(twice)
      ]).toEqual([
        "This form is closed at the moment.",
        "This form is closed at the moment. If you have questions, please contact help@acme.example.",
        "Dieses Formular ist zurzeit geschlossen. Bei Fragen wenden Sie sich bitte an help@acme.example.",
        "This form has been sent already."
      ])
    }))
})

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

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

  /** Calls, and what they send that nobody may see. The server repeats all of it, and more. */
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
        inspect(yield* Metric.snapshot, { depth: null }),
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
