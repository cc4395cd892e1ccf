/**
 * What callers that are not type-checked give to the five clients: it is a typed failure of the
 * call, never thrown at the caller and never a defect, and nothing is sent.
 */
import type { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { ApiError, IdempotencyKey } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Messaging from "effect-resilience/api/Messaging"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"

type Method = (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>

const secret = Redacted.make("SENTINEL-credential-7")
const baseUrl = "https://partner.test"
const sentinel = "SENTINEL-value-8"

/** Values that JSON does not hold, though their types may allow for them. */
const circular: Record<string, unknown> = { value: sentinel }
circular["self"] = circular
const unwritable = [circular, { value: 1n }]

const result = {
  commerce_external_id: "SHOP-7",
  occurred_at: "2026-03-01T10:00:00Z",
  status: "DONE",
  task_result: { result: "SOLD" }
}

const john = { user_id: "u", email: "a@b.example", name: "Ada" }

const clients: Readonly<
  Record<string, Effect.Effect<unknown, never, HttpClient.HttpClient>>
> = {
  WidgetSession: WidgetSession.make({ baseUrl, partnerId: "p", secretKey: secret }),
  FaceSign: FaceSign.make({ baseUrl, auth: secret }),
  SiteChat: SiteChat.make({ baseUrl, apiKey: secret, tenantId: "t", siteId: "s" }),
  Messaging: Messaging.make({ baseUrl, apiKey: secret }),
  FieldActivities: FieldActivities.make({
    baseUrl,
    apiKey: secret,
    resultTypes: [{ code: "SOLD", requires_future_scheduled_at: false }]
  })
}

const nothing = [undefined, null, 7, sentinel, [sentinel]]

/** Of each call: what it is given. */
const inputs: ReadonlyArray<
  readonly [client: string, method: string, inputs: ReadonlyArray<ReadonlyArray<unknown>>]
> = [
  [
    "WidgetSession",
    "createSession",
    [
      ...nothing,
      { ...john, user_id: 7 },
      { ...john, name: [sentinel] },
      { ...john, company: sentinel },
      { ...john, candidates: sentinel },
      { ...john, candidates: [{ candidate_id: 7 }] },
      { ...john, candidates: [null] },
      ...unwritable.map((extra) => ({ ...john, extra }))
    ].map((user) => [user])
  ],
  [
    "FaceSign",
    "createSession",
    [
      ...nothing,
      { clientReferenceId: 7 },
      ...unwritable.map((metadata) => ({ clientReferenceId: "u", metadata }))
    ].map((settings) => [settings])
  ],
  ["FaceSign", "session", [[undefined], [null], [7], [{}]]],
  [
    "SiteChat",
    "createDocument",
    [
      ...nothing,
      { kind: "text", sourceId: "a", title: 7, content: sentinel },
      { kind: "other", sourceId: "a" },
      { kind: "qa", sourceId: "a", question: sentinel, answer: 1n }
    ].map((document) => [document])
  ],
  [
    "SiteChat",
    "uploadDocument",
    [
      ...nothing,
      { kind: "file", sourceId: "a", name: Symbol("x"), contentType: "text/plain", content: "x" },
      { kind: "file", sourceId: "a", name: "x", contentType: "text/plain", content: sentinel }
    ].map((document) => [document])
  ],
  ["SiteChat", "syncDocument", nothing.map((document) => [document])],
  ["SiteChat", "chat", [...nothing, { message: 1n }, { message: circular }].map((q) => [q])],
  ["SiteChat", "submitChat", nothing.map((question) => [question])],
  ["SiteChat", "pollChat", [[undefined], [7]]],
  ["SiteChat", "closeSession", [[undefined], [7]]],
  [
    "SiteChat",
    "sendFeedback",
    [
      ...nothing,
      { eventId: "e", sessionId: "s", rating: 7 },
      { eventId: 1n, sessionId: "s", rating: "up" }
    ].map((feedback) => [feedback])
  ],
  [
    "Messaging",
    "sendMessage",
    [
      ...nothing,
      ...unwritable.map((variables) => ({ templateId: "t", to: "a@b.example", variables }))
    ].map((message) => [message])
  ],
  ["Messaging", "sendOtp", nothing.map((request) => [request])],
  ["Messaging", "verifyOtp", nothing.map((attempt) => [attempt])],
  [
    "Messaging",
    "submitForm",
    [
      ...nothing,
      ...unwritable.map((fields) => ({ formId: "f", fields }))
    ].map((submission) => [submission])
  ],
  ["FieldActivities", "activity", [[undefined], [null], [7]]],
  ["FieldActivities", "submitResult", [
    ["A-1", undefined],
    ["A-1", null],
    [7, result],
    ...unwritable.map((extra) => ["A-1", { ...result, extra }])
  ]],
  ["FieldActivities", "overrideResult", [["A-1", undefined], [7, result]]]
]

const cases = inputs.flatMap(([client, method, all]) =>
  all.map((args, index) => [client, method, index, args] as const)
)

describe("what is not type-checked", () => {
  it.effect.each(cases)(
    "%s.%s, input %i: a Validation of the call, nothing is sent, and no value is repeated",
    ([client, method, , args]) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const made = yield* Effect.provide(clients[client]!, http.layer)
        // As a program without types would call it.
        const call = Effect.suspend((made as Record<string, Method>)[method]!.bind(made, ...args))
        // What the method throws, it throws at its caller.
        expect(() => (made as Record<string, Method>)[method]!(...args)).not.toThrow()
        const texts = yield* renderings(IdempotencyKey.provideNew(call))
        const error = yield* Effect.flip(IdempotencyKey.provideNew(call))
        expect([
          ApiError.isApiError(error) && error._tag,
          http.asked,
          leaks(texts, sentinel, Redacted.value(secret))
        ]).toEqual(["Validation", [], []])
      })
  )

  it.effect.each([[undefined], [null], [7], [{}]])(
    "SiteChat.ask(%j) is a failure to submit, and is not thrown",
    ([question]) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const made = yield* Effect.provide(clients["SiteChat"]!, http.layer)
        const { ask, chatOrFallback, resume } = made as Record<string, Method>
        const failed = yield* Effect.flip(IdempotencyKey.provideNew(ask!(question)))
        const resumed = yield* Effect.flip(resume!(question))
        const reply = yield* IdempotencyKey.provideNew(chatOrFallback!(question))
        expect([failed, resumed, reply, http.asked]).toMatchObject([
          { _tag: "SubmitFailed", error: { _tag: "Validation" } },
          { _tag: "PollFailed", error: { _tag: "Validation" } },
          { _tag: "Fallback", error: { _tag: "Validation" } },
          []
        ])
      })
  )
})
