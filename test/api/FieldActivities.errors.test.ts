import { HttpClientRequest } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Option, Redacted, Schema } from "effect"
import { ApiError, Playbook } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { network } from "../support/errors.js"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/fieldActivitiesServer.js"
import * as Stray from "../support/keysAndIds.js"
import { against, result, submit, types, undisturbed } from "./fieldActivities.js"

/**
 * The document's table, and its recommendation for 5xx: tag, how many submissions, what it means
 * and what to do about it, what the user reads.
 */
const rows: ReadonlyArray<
  readonly [
    status: number,
    name: string,
    tag: ApiError.ApiError["_tag"],
    posts: number,
    meaning: RegExp,
    action: RegExp,
    en: string,
    de: string
  ]
> = [
  [
    400,
    "Bad Request",
    "Validation",
    1,
    /validation error in the request body/,
    /format, data types, required fields and valid result codes/,
    "Some of the details of this visit are not valid. Please check them and try again.",
    "Einige Angaben zu diesem Besuch sind nicht gültig. Bitte prüfen Sie sie und versuchen Sie es noch einmal."
  ],
  [
    401,
    "Unauthorized",
    "Auth",
    1,
    /API key is missing or invalid/,
    /x-api-key header is present and that the key has not been revoked/,
    "Visits are not available at the moment. Our team has been told.",
    "Besuche sind zurzeit nicht verfügbar. Unser Team ist informiert."
  ],
  [
    403,
    "Forbidden",
    "Policy",
    1,
    /does not have the required permission/,
    /VIEW_ACTIVITIES for queries and SUBMIT_ACTIVITY_RESULT for submitting results; ask the tenant administrator/,
    "Visits are not available for your account.",
    "Besuche sind für Ihr Konto nicht verfügbar."
  ],
  [
    404,
    "Not Found",
    "NotFound",
    1,
    /resource was not found/,
    /activity_id, commerce_external_id or other identifier exists in the tenant/,
    "We could not find this visit.",
    "Wir konnten diesen Besuch nicht finden."
  ],
  [
    409,
    "Conflict",
    "Conflict",
    1,
    /already has a registered result/,
    /hard_override: true/,
    "A result for this visit has been registered already.",
    "Zu diesem Besuch wurde bereits ein Ergebnis erfasst."
  ],
  ...[500, 502, 503, 504].map((status) =>
    [
      status,
      "Server Error",
      "Server",
      4,
      /Server error/,
      /Retry with exponential backoff/,
      "The visit service has a problem. Please try again in a moment.",
      "Der Besuchsdienst hat ein Problem. Bitte versuchen Sie es gleich noch einmal."
    ] as const
  )
]

describe("FieldActivities: error codes, over real HTTP", () => {
  it.effect.each(rows)(
    "E1, T8: %i %s is %s after %i submissions, and has a sentence in English and German",
    ([status, name, tag, posts, meaning, action, en, de]) =>
      Effect.gen(function*() {
        const script = Server.submissions(() => Server.fault(status, name, "words of the API"))
        const run = yield* against(script, submit)
        const error = apiErrorOf(run.exit)
        expect([error._tag, error.status, error.code, error.message, run.posts, error.attempts])
          .toEqual([
            tag,
            status,
            name,
            "words of the API",
            posts,
            posts
          ])
        expect([
          FieldActivities.userMessage(error),
          FieldActivities.userMessage(error, { locale: "de-AT" })
        ]).toEqual([
          en,
          de
        ])
        const row = Playbook.lookup(FieldActivities.playbook, status)
        expect([meaning.test(row.meaning), action.test(row.action)]).toEqual([true, true])
      })
  )

  it.effect.each(rows)(
    "E1: %i %s is the same for a query",
    ([status, name, tag, calls]) =>
      Effect.gen(function*() {
        const run = yield* against(
          () => Server.fault(status, name, "x"),
          (client) => client.activity("A-1")
        )
        expect([apiErrorOf(run.exit)._tag, run.gets]).toEqual([tag, calls])
      })
  )

  it.effect("E5: HTML, an empty body and a body that breaks off: the status decides", () =>
    Effect.gen(function*() {
      const faults = [
        FlakyApi.htmlPage(403),
        FlakyApi.status(404, { body: "" }),
        FlakyApi.status(409, { body: "{\"statusCode\": 409, \"err" })
      ]
      const found = yield* Effect.forEach(
        faults,
        (fault) =>
          Effect.map(
            against(Server.submissions(() => fault), submit),
            ({ exit }) => apiErrorOf(exit)
          )
      )
      expect(found.map(({ _tag, code }) => [_tag, code])).toEqual([
        ["Policy", undefined],
        ["NotFound", undefined],
        ["Conflict", undefined]
      ])
    }))

  it("E5: the schema of the body is the document's", () => {
    const body = { statusCode: 401, error: "Unauthorized", message: "API key missing or invalid" }
    expect(Schema.decodeUnknownSync(FieldActivities.ErrorBody)(body)).toEqual(body)
    expect(() =>
      Schema.decodeUnknownSync(FieldActivities.ErrorBody)({ ...body, statusCode: "401" })
    ).toThrow()
  })

  it.effect("E8: the body of an error can be stored: in its three fields, and as it came", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        undisturbed,
        (client) => Effect.zipRight(submit(client), submit(client))
      )
      const body = { statusCode: 409, error: "Conflict", message: "Activity already has a result" }
      expect(FieldActivities.errorObject(apiErrorOf(exit))).toEqual(Option.some(body))
      const raw = Option.map(
        ApiError.rawBody(apiErrorOf(exit)),
        (bytes) => JSON.parse(new TextDecoder().decode(bytes))
      )
      expect(raw).toEqual(Option.some(body))
    }))

  it("an error that is no answer of the API has no body", () => {
    const none = [network("no"), new Error("x"), "x"]
    expect(none.map(FieldActivities.errorObject).map(Option.isNone)).toEqual([true, true, true])
  })
})

describe("FieldActivities: what the API refuses, over real HTTP", () => {
  it.effect("a result is registered with one request, after one for the result types", () =>
    Effect.gen(function*() {
      const run = yield* against(undisturbed, submit)
      expect([Exit.isSuccess(run.exit), run.gets, run.posts, run.results]).toEqual([true, 1, 1, [[
        "A-1",
        "SOLD"
      ]]])
    }))

  it.effect.each(
    [
      ["no key", ""],
      ["a key that was revoked", Server.keys.revoked],
      ["a key that has expired", Server.keys.expired],
      ["a key with an extra character", `${Server.apiKey}.`],
      ["a key with a space", Server.apiKey.replace("-", " ")]
    ] as const
  )("401: %s is Auth, asked for once", ([, key]) =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(
        undisturbed,
        submit,
        {},
        {},
        // The client does not send an empty key, so the header is changed on its way.
        HttpClientRequest.setHeader("x-api-key", key)
      )
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).status, apiErrorOf(exit).code, gets, posts])
        .toEqual([
          "Auth",
          401,
          "Unauthorized",
          1,
          0
        ])
    }))

  it.effect.each(
    [
      ["a line break", `${Server.apiKey}\nx`],
      ["letters that are not Latin", `${Server.apiKey}ключ`],
      ["a control character", `${Server.apiKey}\u0000`],
      ["a line break at its end, as a file has one", `${Server.apiKey}\n`]
    ] as const
  )("401: a key with %s is not sent at all", ([, key]) =>
    Effect.gen(function*() {
      const { exit, gets } = yield* against(undisturbed, (client) => client.activity("A-1"), {
        apiKey: Redacted.make(key)
      })
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).code, gets]).toEqual([
        "Auth",
        "malformed_api_key",
        0
      ])
      expect(FieldActivities.diagnose401(Redacted.make(key))[0]).toMatch(/formatting error/)
    }))

  it.effect("403: a key that may only look cannot submit", () =>
    Effect.gen(function*() {
      const { exit, posts, results } = yield* against(undisturbed, submit, {
        apiKey: Redacted.make(Server.keys.viewOnly)
      })
      expect([
        apiErrorOf(exit)._tag,
        apiErrorOf(exit).message,
        apiErrorOf(exit).method,
        posts,
        results
      ])
        .toEqual([
          "Policy",
          "Insufficient permissions",
          "POST",
          1,
          []
        ])
    }))

  it.effect("403: a key that may only submit cannot look, not even for the result types", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(undisturbed, submit, {
        apiKey: Redacted.make(Server.keys.submitOnly)
      })
      const { _tag, endpoint, method = "" } = apiErrorOf(exit)
      expect([_tag, endpoint, FieldActivities.requiredPermission(method), gets, posts]).toEqual([
        "Policy",
        "/v1/configurations/result-types",
        "VIEW_ACTIVITIES",
        1,
        0
      ])
    }))

  it.effect("a key that may only submit does so, when it is told the result types", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(undisturbed, submit, {
        apiKey: Redacted.make(Server.keys.submitOnly),
        resultTypes: types
      })
      expect([Exit.isSuccess(exit), gets, posts]).toEqual([true, 0, 1])
    }))

  const wrong: ReadonlyArray<readonly [name: string, message: RegExp, changes: object]> = [
    ["a missing commerce_external_id", /required/, { commerce_external_id: undefined }],
    ["a missing occurred_at", /required/, { occurred_at: undefined }],
    ["a missing status", /required/, { status: undefined }],
    ["a missing task_result.result", /required/, { task_result: {} }],
    ["an invalid result code", /valid result type code/, { task_result: { result: "GONE" } }],
    ["a missing future_scheduled_at", /future_scheduled_at is required/, {
      task_result: { result: "RESCHEDULED" }
    }],
    ["a date that is not ISO 8601", /ISO 8601/, { occurred_at: "01.03.2026" }]
  ]

  it.effect.each(wrong)(
    "400: %s is refused before it is sent",
    ([, , changes]) =>
      Effect.gen(function*() {
        // As a program without types would send it.
        const body: FieldActivities.ActivityResult = JSON.parse(
          JSON.stringify({ ...result, ...changes })
        )
        const { exit, posts } = yield* against(
          undisturbed,
          (client) => client.submitResult("A-1", body)
        )
        const error = apiErrorOf(exit)
        expect([error._tag, error._tag === "Validation" && error.issues.length, error.code, posts])
          .toEqual([
            "Validation",
            1,
            "invalid_result",
            0
          ])
      })
  )

  it.effect.each(wrong)(
    "400: %s would be refused by the API, too",
    ([, message, changes]) =>
      Effect.gen(function*() {
        const api = yield* Server.make()
        const body = JSON.stringify({ ...result, ...changes })
        const headers = { "x-api-key": Server.apiKey, "content-type": "application/json" }
        const answer: { statusCode: number; message: string } = yield* Effect.promise(() =>
          fetch(`${api.url}/v1/activities/A-1/result`, { method: "POST", body, headers }).then((
            response
          ) => response.json())
        )
        expect([answer.statusCode, message.test(answer.message)]).toEqual([400, true])
      }).pipe(Effect.scoped)
  )

  it.effect("400: a result code that the API does not know any more is Validation, in its words", () =>
    Effect.gen(function*() {
      const body = { ...result, task_result: { result: "GONE" } }
      const { exit, posts } = yield* against(
        undisturbed,
        (client) => client.submitResult("A-1", body),
        {
          resultTypes: [{ code: "GONE", requires_future_scheduled_at: false }]
        }
      )
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).status, apiErrorOf(exit).message, posts])
        .toEqual([
          "Validation",
          400,
          "task_result.result must be a valid result type code",
          1
        ])
    }))

  it.effect("404: an activity_id that is not in the tenant", () =>
    Effect.gen(function*() {
      const query = yield* against(undisturbed, (client) => client.activity("A-77"))
      const submission = yield* against(
        undisturbed,
        (client) => client.submitResult("A-77", result)
      )
      expect(
        [query.exit, submission.exit].map(apiErrorOf).map((
          { _tag, endpoint, message }
        ) => [_tag, endpoint, message])
      )
        .toEqual([
          ["NotFound", "/v1/activities/:id", "Activity not found"],
          ["NotFound", "/v1/activities/:id/result", "Activity not found"]
        ])
    }))

  it.effect("404: a commerce_external_id that is not in the tenant", () =>
    Effect.gen(function*() {
      const { exit, posts } = yield* against(
        undisturbed,
        (client) => client.submitResult("A-1", { ...result, commerce_external_id: "SHOP-8" })
      )
      expect([apiErrorOf(exit)._tag, apiErrorOf(exit).message, posts]).toEqual([
        "NotFound",
        "Commerce not found",
        1
      ])
    }))

  it.effect("an id is one segment of the path, and one that would leave it is not sent", () =>
    Effect.gen(function*() {
      const activities = ["a/b ?#%:id$&"]
      const inside = yield* against(undisturbed, (client) => client.activity("a/b ?#%:id$&"), {}, {
        activities
      })
      expect(Exit.map(inside.exit, ({ activity_id }) => activity_id)).toEqual(
        Exit.succeed("a/b ?#%:id$&")
      )
      const outside = yield* Effect.forEach(Stray.strayIds, (id) =>
        Effect.all([
          against(undisturbed, (client) => client.activity(id)),
          against(undisturbed, (client) => client.submitResult(id, result), { resultTypes: types })
        ]))
      const seen = outside.flat().map((
        { exit, gets, posts }
      ) => [apiErrorOf(exit)._tag, gets + posts])
      expect(seen).toEqual(seen.map(() => ["Validation", 0]))
    }))

  it.effect("E9: ids are in no endpoint", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(undisturbed, (client) => client.activity("unlike-an-id"))
      expect(JSON.stringify(apiErrorOf(exit))).not.toContain("unlike-an-id")
    }))
})
