import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { CircuitBreaker, IdempotencyKey } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import * as Server from "../support/messagingServer.js"
import { against, always, apiKey, sendOtp, to } from "./messaging.js"

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
