import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Option, Redacted } from "effect"
import { type ApiError, IdempotencyKey, Playbook, Telemetry } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/messagingServer.js"
import { against, always, type Client, halfway, send, sendOtp, submit, to } from "./messaging.js"

const verify = (client: Client, sessionId: string, otp = Server.otp) =>
  IdempotencyKey.provideNew(client.verifyOtp({ sessionId, otp: Redacted.make(otp) }))

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
