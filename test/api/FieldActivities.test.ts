import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Clock,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  identity,
  Metric,
  Option,
  Random,
  Redacted,
  Schema,
  TestClock
} from "effect"
import { ApiError, Backoff, Incident, Operation, Pipeline, Playbook } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as fs from "node:fs"
import { inspect } from "node:util"
import { network } from "../support/errors.js"
import { apiErrorOf, errorOf, squashed } from "../support/exits.js"
import * as Server from "../support/fieldActivitiesServer.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"
import { eventually, turn } from "../support/turns.js"

const apiKey = Redacted.make(Server.apiKey)

const result: FieldActivities.ActivityResult = {
  commerce_external_id: "SHOP-7",
  occurred_at: "2026-03-01T10:00:00Z",
  status: "DONE",
  task_result: { result: "SOLD" }
}

const types = Server.resultTypes.map(({ code, requires_future_scheduled_at = false }) => ({
  code,
  requires_future_scheduled_at
}))

const live = Effect.provide(NodeHttpClient.layerUndici)

type Client = FieldActivities.FieldActivities

const submit = (client: Client) => client.submitResult("A-1", result)

/** A call over real HTTP in virtual time, and what the server saw of it. */
const against = <A, E>(
  script: FlakyApi.Script,
  use: (client: Client) => Effect.Effect<A, E>,
  options: Partial<FieldActivities.Options> = {},
  setting: Omit<Server.Options, "script"> = {},
  onItsWay: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest =
    identity
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ ...setting, script })
    const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey, ...options }).pipe(
      Effect.updateService(HttpClient.HttpClient, HttpClient.mapRequest(onItsWay)),
      Effect.provide(layer)
    )
    const { at, exit } = yield* run(use(client))
    const gets = yield* api.gets
    return {
      exit,
      gets,
      posts: yield* api.posts,
      // The result types are asked for first.
      waits: waits(at.slice(gets)),
      bodies: api.bodies,
      results: [...api.results]
    }
  }).pipe(Effect.scoped)

const undisturbed: FlakyApi.Script = () => FlakyApi.none

/** A client of the platform that is no server: it answers as it is told. */
const answering = (answer: (url: string) => Effect.Effect<Response>) => {
  const calls: Array<string> = []
  const client = HttpClient.make((request, url) => {
    calls.push(`${request.method} ${url.pathname}`)
    return Effect.map(
      answer(url.pathname),
      (response) => HttpClientResponse.fromWeb(request, response)
    )
  })
  const options = { baseUrl: "https://field.test", apiKey, resultTypes: types }
  return {
    calls,
    client: Effect.provideService(FieldActivities.make(options), HttpClient.HttpClient, client)
  }
}

/** Bodies are read by promises, which no virtual time moves on. */
/** The head of an answer and half of its body; the rest does not come. */
const unfinished = (status: number) =>
  new Response(
    new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("{\"activity_id\": "))
    }),
    { status }
  )

// -----------------------------------------------------------------------------
// error codes
// -----------------------------------------------------------------------------

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

// -----------------------------------------------------------------------------
// the result that is there already
// -----------------------------------------------------------------------------

describe("FieldActivities: hard_override, over real HTTP", () => {
  const overridden = { ...result, hard_override: true }

  it.effect("409: a second result is a Conflict, asked for once, and the first one stays", () =>
    Effect.gen(function*() {
      const second = { ...result, task_result: { result: "NOT_INTERESTED" } }
      const { bodies, exit, results } = yield* against(
        undisturbed,
        (client) => Effect.zipRight(submit(client), client.submitResult("A-1", second))
      )
      expect([apiErrorOf(exit)._tag, FieldActivities.mayBeOurs(apiErrorOf(exit)), bodies, results])
        .toEqual([
          "Conflict",
          false,
          [result, second],
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("409: it is overwritten by overrideResult, and by nothing else", () =>
    Effect.gen(function*() {
      const second = { ...result, task_result: { result: "NOT_INTERESTED" } }
      const { bodies, exit, results } = yield* against(
        undisturbed,
        (client) => Effect.zipRight(submit(client), client.overrideResult("A-1", second))
      )
      expect([Exit.isSuccess(exit), bodies, results]).toEqual([
        true,
        [result, { ...second, hard_override: true }],
        [["A-1", "NOT_INTERESTED"]]
      ])
    }))

  it.effect("after a 409 the flag is sent neither by the same call nor by the next", () =>
    Effect.gen(function*() {
      const { bodies } = yield* against(
        undisturbed,
        (client) => Effect.forEach(Array(5), () => Effect.ignore(submit(client)))
      )
      expect(bodies).toEqual([result, result, result, result, result])
    }))

  it.effect.each(
    [
      ["5xx", FlakyApi.serverError({ when: "after" })],
      ["broken connections", FlakyApi.reset({ when: "after" })],
      ["429", FlakyApi.rateLimited({ when: "after" })]
    ] as const
  )("repeats after %s do not carry the flag", ([, fault]) =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) => nth < 2 ? fault : FlakyApi.none)
      const { bodies, exit } = yield* against(script, submit)
      expect([
        apiErrorOf(exit)._tag,
        bodies.length > 1,
        new Set(bodies.map((body) => JSON.stringify(body))).size
      ]).toEqual(
        [
          "Conflict",
          true,
          1
        ]
      )
      expect(bodies[0]).toEqual(result)
    }))

  it.effect("a flag that came in with the result is not sent by submitResult", () =>
    Effect.gen(function*() {
      const { bodies, exit, results } = yield* against(undisturbed, (client) =>
        Effect.zipRight(
          submit(client),
          client.submitResult("A-1", { ...overridden, task_result: { result: "NOT_INTERESTED" } })
        ))
      expect([apiErrorOf(exit)._tag, JSON.stringify(bodies).includes("hard_override"), results])
        .toEqual([
          "Conflict",
          false,
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("409 after a repeat: the first attempt may have registered the result, and the error says so", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.reset({ when: "after" }) : FlakyApi.none
      )
      const { exit, posts, results } = yield* against(script, submit)
      expect([apiErrorOf(exit)._tag, FieldActivities.mayBeOurs(apiErrorOf(exit)), posts, results])
        .toEqual([
          "Conflict",
          true,
          2,
          [["A-1", "SOLD"]]
        ])
    }))

  it.effect("overrideResult is repeated with its flag, and leaves one result", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.gatewayTimeout({ when: "after" }) : FlakyApi.none
      )
      const { bodies, exit, results } = yield* against(
        script,
        (client) => client.overrideResult("A-1", result)
      )
      expect([Exit.isSuccess(exit), bodies, results]).toEqual([
        true,
        [overridden, overridden],
        [["A-1", "SOLD"]]
      ])
    }))

  it("an error that is no Conflict, or the first answer, is not ours", () => {
    const errors = [
      new ApiError.Conflict({ message: "x", attempts: 1 }),
      new ApiError.Conflict({ message: "x" }),
      new ApiError.Server({ message: "x", attempts: 3 }),
      new Error("x")
    ]
    expect(errors.map(FieldActivities.mayBeOurs)).toEqual([false, false, false, false])
  })
})

// -----------------------------------------------------------------------------
// retries and limits of time
// -----------------------------------------------------------------------------

describe("FieldActivities: retries, over real HTTP", () => {
  const { backoff } = FieldActivities.stages.retry
  const longest = (n: number) => Duration.toMillis(Backoff.envelope(backoff, n).max)

  it("the backoff is exponential: at most 500 ms, 1 s, 2 s and so on, and never more than 10 s", () => {
    expect([0, 1, 2, 3, 4, 5, 50].map(longest)).toEqual([
      500,
      1000,
      2000,
      4000,
      8000,
      10_000,
      10_000
    ])
  })

  it.effect.each([500, 502, 503, 504])(
    "R1: a %i is repeated three times, after waits within the backoff",
    (status) =>
      Effect.gen(function*() {
        const { posts, waits } = yield* against(
          Server.submissions(() => FlakyApi.status(status)),
          submit
        )
        expect([posts, waits.length, waits.map((wait, n) => wait >= 0 && wait <= longest(n))])
          .toEqual([
            4,
            3,
            [true, true, true]
          ])
      })
  )

  it.effect("R1: the waits double, wherever in its bounds each is drawn", () =>
    Effect.gen(function*() {
      const drawn = (unit: number) =>
        Effect.map(
          Effect.withRandom(
            against(Server.submissions(() => FlakyApi.serverError()), submit),
            Random.fixed([unit])
          ),
          ({ waits }) => waits
        )
      expect([yield* drawn(0.5), yield* drawn(0.25)]).toEqual([[250, 500, 1000], [125, 250, 500]])
    }))

  it.effect("E2: 501 and 505 say that the server will never do it, and are not repeated", () =>
    Effect.gen(function*() {
      const posts = yield* Effect.forEach(
        [501, 505],
        (status) =>
          Effect.map(
            against(Server.submissions(() => FlakyApi.status(status)), submit),
            ({ posts }) => posts
          )
      )
      expect(posts).toEqual([1, 1])
    }))

  it.effect("E12: a 429, which the document does not mention, is repeated, and not before Retry-After", () =>
    Effect.gen(function*() {
      const script = Server.submissions((nth) =>
        nth === 0 ? FlakyApi.rateLimited({ retryAfter: 7 }) : FlakyApi.none
      )
      const { exit, posts, waits: [wait = 0] } = yield* against(script, submit)
      expect([Exit.isSuccess(exit), posts, wait >= 7000, wait <= 7500]).toEqual([
        true,
        2,
        true,
        true
      ])
    }))

  it.effect("a result that met two failures is registered once", () =>
    Effect.gen(function*() {
      const faults = [FlakyApi.unavailable(), FlakyApi.reset()]
      const { bodies, exit, posts } = yield* against(
        Server.submissions((nth) => faults[nth] ?? FlakyApi.none),
        submit
      )
      expect([Exit.isSuccess(exit), posts, bodies]).toEqual([true, 3, [result]])
    }))

  it.effect("after enough 5xx the circuit opens, and nothing is sent", () =>
    Effect.gen(function*() {
      const { exit, gets } = yield* against(
        () => FlakyApi.unavailable(),
        (client) =>
          Effect.zipRight(
            Effect.forEach(Array(10), () => Effect.ignore(client.activity("A-1"))),
            submit(client)
          )
      )
      expect([errorOf(exit)._tag, gets, FieldActivities.userMessage(errorOf(exit))]).toEqual([
        "CircuitOpen",
        10,
        expect.stringMatching(
          /^The visit service is not available at the moment\. Please try again/
        )
      ])
    }))

  it.live("nobody listens: Network, certainly not executed", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const retry = { retries: 2, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.idempotent, retry })
      const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey, pipeline })
      const error = yield* Effect.flip(client.submitResult("A-1", result))
      expect([error._tag, error._tag === "Network" && [error.sent, error.attempts]]).toEqual([
        "Network",
        ["no", 3]
      ])
      expect(FieldActivities.userMessage(error, { locale: "de" })).toBe(
        "Der Besuchsdienst war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal."
      )
    }).pipe(Effect.scoped, live))
})

describe("FieldActivities: limits of time", () => {
  it.effect("an attempt that does not end is cut after 10 s, and all of them after 30 s", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.never)
      const fiber = yield* Effect.fork(Effect.exit((yield* client).submitResult("A-1", result)))
      yield* TestClock.adjust("9999 millis")
      const first = calls.length
      yield* TestClock.adjust("601 millis")
      const second = calls.length
      yield* TestClock.adjust("19399 millis")
      const early = Option.isNone(yield* Fiber.poll(fiber))
      // The waits are drawn; their fractions of a nanosecond are rounded up.
      yield* TestClock.adjust("2 millis")
      const error = errorOf(yield* Fiber.join(fiber))
      expect([first, second, early, calls.length, error._tag === "Timeout" && error.deadline])
        .toEqual([
          1,
          2,
          true,
          3,
          "total"
        ])
      expect(FieldActivities.userMessage(error)).toBe(
        "The visit service is taking longer than usual. Please try again in a moment."
      )
    }))

  it.effect("the body of an answer counts: one that stops half way is cut, too", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.sync(() => unfinished(200)))
      const fiber = yield* (yield* client).activity("A-1").pipe(
        Effect.exit,
        Effect.zip(Clock.currentTimeMillis),
        Effect.fork
      )
      for (let seconds = 0; seconds < 40; seconds++) {
        yield* Effect.zipRight(turn, TestClock.adjust("1 second"))
      }
      const [exit, endedAt] = yield* Fiber.join(fiber)
      // The waits are drawn; their fractions of a nanosecond are rounded up.
      expect([calls.length, errorOf(exit)._tag, Math.floor(endedAt)]).toEqual([
        3,
        "Timeout",
        30_000
      ])
    }))

  it.effect("the body of a result that is registered does not: the head has said so", () =>
    Effect.gen(function*() {
      const { calls, client } = answering(() => Effect.sync(() => unfinished(201)))
      const fiber = yield* Effect.fork(Effect.exit((yield* client).submitResult("A-1", result)))
      yield* turn
      yield* TestClock.adjust("999 millis")
      yield* turn
      yield* TestClock.adjust("1 millis")
      expect([yield* Fiber.join(fiber), calls.length]).toEqual([Exit.void, 1])
    }))

  it.effect.each([["truncated", FlakyApi.truncated], ["no JSON", FlakyApi.malformed]] as const)(
    "E7: the answer to a query that is %s is an attempt that failed",
    ([, fault]) =>
      Effect.gen(function*() {
        const { exit, gets } = yield* against(FlakyApi.sequence([fault]), (client) =>
          client.activity("A-1"))
        expect([Exit.isSuccess(exit), gets]).toEqual([true, 2])
      })
  )

  it.live.each(["not JSON", "{\"broken\": "])(
    "a submission that is answered with a body of no use (%s) has succeeded, and is not sent again",
    (body) =>
      Effect.gen(function*() {
        const api = yield* Server.make({
          script: Server.submissions(() => FlakyApi.status(201, { when: "after", body }))
        })
        const client = yield* FieldActivities.make({ baseUrl: api.url, apiKey })
        yield* client.submitResult("A-1", result)
        expect(yield* api.posts).toBe(1)
      }).pipe(Effect.scoped, live)
  )
})

describe("FieldActivities: interruption", () => {
  it.effect("R12: during a delay it ends the call, and nothing more is sent", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script: Server.submissions(() => FlakyApi.serverError()) })
      const client = yield* Effect.provide(
        FieldActivities.make({ baseUrl: api.url, apiKey }),
        layer
      )
      const fiber = yield* Effect.fork(submit(client))
      yield* eventually(api.posts, (posts) => posts > 0)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), yield* api.posts]).toEqual([true, 1])
    }).pipe(Effect.scoped))

  it.effect("R12: during a request it ends the call, and the request with it", () =>
    Effect.gen(function*() {
      let ended = 0
      const { calls, client } = answering(() =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
      )
      const fiber = yield* Effect.fork((yield* client).submitResult("A-1", result))
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), calls.length, ended]).toEqual([true, 1, 1])
    }))

  it.effect("R12: while the result types are asked for, it is not kept: whoever comes next asks again", () =>
    Effect.gen(function*() {
      const script: FlakyApi.Script = ({ index }) =>
        index === 0 ? FlakyApi.serverError() : FlakyApi.none
      const { layer } = yield* virtualHttp
      const api = yield* Server.make({ script })
      const client = yield* Effect.provide(
        FieldActivities.make({ baseUrl: api.url, apiKey }),
        layer
      )
      const first = yield* Effect.fork(submit(client))
      yield* eventually(api.gets, (gets) => gets > 0)
      const waiting = yield* Effect.fork(submit(client))
      yield* Effect.yieldNow()
      const interrupted = yield* Fiber.interrupt(first)
      yield* Fiber.join(waiting)
      expect([Exit.isInterrupted(interrupted), yield* api.gets, yield* api.posts]).toEqual([
        true,
        2,
        1
      ])
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// validation
// -----------------------------------------------------------------------------

describe("FieldActivities.validate", () => {
  const task = (changes: object) => ({
    ...result,
    task_result: { result: "RESCHEDULED", ...changes }
  })
  const next = "task_result.future_scheduled_at"

  it.each<readonly [string, unknown, ReadonlyArray<string>]>([
    ["a result", result, []],
    [
      "nothing",
      undefined,
      ["commerce_external_id", "occurred_at", "status", "task_result.result"]
    ],
    [
      "blanks",
      { commerce_external_id: "", occurred_at: " ", status: "\t", task_result: { result: "" } },
      ["commerce_external_id", "occurred_at", "status", "task_result.result"]
    ],
    ["no commerce_external_id", { ...result, commerce_external_id: undefined }, [
      "commerce_external_id"
    ]],
    ["no occurred_at", { ...result, occurred_at: null }, ["occurred_at"]],
    ["no status", { ...result, status: undefined }, ["status"]],
    ["no task_result", { ...result, task_result: undefined }, ["task_result.result"]],
    ["no task_result.result", { ...result, task_result: {} }, ["task_result.result"]],
    ["a number for a text", { ...result, commerce_external_id: 7 }, ["commerce_external_id"]],
    ["an invalid result code", { ...result, task_result: { result: "GONE" } }, [
      "task_result.result"
    ]],
    ["a result code in other letters", { ...result, task_result: { result: "sold" } }, [
      "task_result.result"
    ]],
    ["no date where the type asks for one", task({}), [next]],
    ["a blank date where the type asks for one", task({ future_scheduled_at: " " }), [next]],
    [
      "a date where the type asks for one",
      task({ future_scheduled_at: "2026-04-01T09:00:00+02:00" }),
      []
    ],
    [
      "a wrong date where the type asks for none",
      task({ result: "SOLD", future_scheduled_at: "soon" }),
      [next]
    ],
    ["no date where the type asks for none", task({ result: "NOT_INTERESTED" }), []]
  ])("%s", (_, input, paths) => {
    expect(FieldActivities.validate(input, types).map(({ path }) => path)).toEqual(paths)
  })

  it.each([
    "2026-03-01",
    "2024-02-29",
    "2026-03-01T10:00",
    "2026-03-01T10:00:00",
    "2026-03-01T10:00Z",
    "2026-03-01T23:59:59.123456789Z",
    "2026-03-01T10:00:00+02:00",
    "2026-03-01T10:00:00-0530",
    "2026-03-01T10:00:00+02"
  ])("%s is ISO 8601", (occurred_at) => {
    expect(FieldActivities.validate({ ...result, occurred_at }, types)).toEqual([])
  })

  it.each([
    "yesterday",
    "01.03.2026",
    "2026-3-1",
    "1772359200",
    "2026-02-30",
    "2025-02-29T10:00:00Z",
    "1900-02-29",
    "2026-13-01",
    "2026-00-10",
    "2026-04-31",
    "2026-03-01T24:30:00Z",
    "2026-03-01T10:60Z",
    "2026-03-01 10:00:00",
    "2026-03-01T10:00:00Zulu",
    "Sun, 01 Mar 2026 10:00:00 GMT",
    "-5"
  ])("%s is not", (occurred_at) => {
    expect(FieldActivities.validate({ ...result, occurred_at }, types)).toEqual([
      { path: "occurred_at", message: "must be a date of ISO 8601" }
    ])
  })

  it("what a program writes as ISO 8601 is ISO 8601", () => {
    const dates = fc.date({
      min: new Date(0),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true
    })
    fc.assert(
      fc.property(
        dates,
        (date) =>
          FieldActivities.validate({ ...result, occurred_at: date.toISOString() }, types).length ===
            0
      ),
      { numRuns: 500 }
    )
  })

  it("T1: it repeats nothing of what was sent", () => {
    const input = {
      commerce_external_id: { SENTINEL: 1 },
      occurred_at: "SENTINEL",
      task_result: { result: "SENTINEL" }
    }
    const issues = FieldActivities.validate(input, types)
    expect([issues.length, JSON.stringify(issues).includes("SENTINEL")]).toEqual([4, false])
  })
})

describe("FieldActivities: the result types, over real HTTP", () => {
  it.effect("they are asked for once, by however many at once, and again when they are old", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(undisturbed, (client) => {
        const many = Effect.forEach(["A-1", "A-2"], (id) => client.overrideResult(id, result), {
          concurrency: "unbounded"
        })
        return many.pipe(
          Effect.zipRight(Effect.sleep("9 minutes")),
          Effect.zipRight(many),
          Effect.zipRight(Effect.sleep("2 minutes")),
          Effect.zipRight(many)
        )
      })
      expect([Exit.isSuccess(exit), gets, posts]).toEqual([true, 2, 6])
    }))

  it.effect("a failure to get them is not kept, and no result is sent without them", () =>
    Effect.gen(function*() {
      const { exit, gets, posts } = yield* against(
        ({ index }) => index === 0 ? FlakyApi.status(404) : FlakyApi.none,
        (client) => Effect.zip(Effect.flip(submit(client)), submit(client))
      )
      expect([Exit.map(exit, ([error]) => error._tag), gets, posts]).toEqual([
        Exit.succeed("NotFound"),
        2,
        1
      ])
    }))

  it.effect("those that say nothing of a further visit ask for none", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(undisturbed, (client) => client.resultTypes)
      expect(exit).toEqual(Exit.succeed(types))
    }))

  it.effect("a time to live that is none is refused when the client is made", () =>
    Effect.gen(function*() {
      const { layer } = yield* virtualHttp
      const exit = yield* FieldActivities.make({
        baseUrl: "https://field.test",
        apiKey,
        resultTypesTimeToLive: 0
      })
        .pipe(Effect.provide(layer), Effect.exit)
      expect(squashed(exit)).toEqual(
        expect.objectContaining({
          name: "RangeError",
          message: expect.stringMatching(/^resultTypesTimeToLive should/)
        })
      )
    }))

  it.effect.each(["resultTypes", "activity", "result"] as const)(
    "a blank path of %s is refused",
    (name) =>
      Effect.gen(function*() {
        const { layer } = yield* virtualHttp
        const exit = yield* FieldActivities.make({
          baseUrl: "https://field.test",
          apiKey,
          paths: { [name]: " " }
        })
          .pipe(Effect.provide(layer), Effect.exit)
        expect(squashed(exit)).toEqual(
          new RangeError(`paths.${name} should be a path, got " "`)
        )
      })
  )

  it.effect("a path that is undefined is not given", () =>
    Effect.gen(function*() {
      const paths = Object.assign({}, { result: undefined })
      const { exit } = yield* against(undisturbed, submit, { paths: Object.assign(paths) })
      expect(Exit.isSuccess(exit)).toBe(true)
    }))

  it("the defaults are those that are documented", () => {
    expect([
      FieldActivities.defaults.paths,
      Duration.toMinutes(FieldActivities.defaults.resultTypesTimeToLive)
    ])
      .toEqual([
        {
          resultTypes: "/v1/configurations/result-types",
          activity: "/v1/activities/:id",
          result: "/v1/activities/:id/result"
        },
        10
      ])
  })
})

// -----------------------------------------------------------------------------
// help
// -----------------------------------------------------------------------------

describe("FieldActivities: diagnostics", () => {
  it("401: the causes of the document, those first that show in the key", () => {
    const unseen = [
      "The key was revoked from the administration panel",
      "The key has passed its expiration date"
    ]
    const malformed = ["The key has a formatting error: spaces or extra characters", ...unseen]
    const causesOf = (key: string) => FieldActivities.diagnose401(Redacted.make(key))
    expect(FieldActivities.diagnose401(undefined)).toEqual([
      "The x-api-key header is not present in the request"
    ])
    expect(["", "key", " key", "key ", "k ey", "key\n", "kéy"].map(causesOf)).toEqual([
      ["The x-api-key header is not present in the request"],
      unseen,
      malformed,
      malformed,
      malformed,
      malformed,
      malformed
    ])
  })

  it("403: each call has its permission", () => {
    expect(["GET", "HEAD", "POST"].map(FieldActivities.requiredPermission)).toEqual([
      "VIEW_ACTIVITIES",
      "VIEW_ACTIVITIES",
      "SUBMIT_ACTIVITY_RESULT"
    ])
  })

  it("docs/field-activities.md shows the rows and the routes that the code has", () => {
    const cells = (line: string) => line.split("|").map((cell) => cell.trim())
    const document = fs.readFileSync(
      new URL("../../docs/field-activities.md", import.meta.url),
      "utf8"
    )
    const lines = document.split("\n").map(cells)
    const isRow = ([, status, tag]: ReadonlyArray<string>) =>
      /^`\d{3}`$/.test(status ?? "") && /^[A-Z]/.test(tag ?? "")
    const shown = lines.filter(isRow)
    const printed = Playbook.markdown(FieldActivities.playbook).split("\n").map(cells)
    expect(shown.map(([, status]) => status).join()).toBe("`400`,`401`,`403`,`404`,`409`,`500`")
    expect(shown).toEqual(
      printed.filter(([, status]) => shown.some(([, other]) => other === status))
    )

    const names = [
      "validation-errors",
      "unauthorized",
      "forbidden",
      "not-found",
      "duplicates",
      "server-errors"
    ]
    const routes = lines.flatMap(([, , name, route]) =>
      names.some((rule) => name === `\`${rule}\``) ? [[name, route]] : []
    )
    expect(routes).toEqual(
      names.map((
        name
      ) => [`\`${name}\``, FieldActivities.incidentRules.find((rule) => rule.name === name)?.route])
    )
  })

  it("T8: a locale without sentences of its own is answered in general ones", () => {
    const error = new ApiError.Conflict({ message: "SENTINEL", status: 409 })
    const texts = ["fr", "xx"].map((locale) => FieldActivities.userMessage(error, { locale }))
    expect(texts).toEqual([
      "Ceci a déjà été envoyé.",
      "A result for this visit has been registered already."
    ])
  })

  it("T8: what the document does not mention has its sentences, too, without a word of the API", () => {
    const message = "SENTINEL"
    const errors = [
      new ApiError.RateLimit({ message, status: 429, retryAfter: Duration.seconds(30) }),
      new ApiError.RateLimit({ message, status: 429 }),
      new ApiError.Timeout({ message, deadline: "total" }),
      new ApiError.Network({ message, sent: "no" })
    ]
    const inLocale = (locale: string) =>
      errors.map((error) => FieldActivities.userMessage(error, { locale }))
    expect([inLocale("en"), inLocale("de")]).toEqual([
      [
        "The visit service is busy. Please try again in 30 seconds.",
        "The visit service is busy. Please try again in a moment.",
        "The visit service is taking longer than usual. Please try again in a moment.",
        "The visit service could not be reached. Please try again in a moment."
      ],
      [
        "Der Besuchsdienst ist ausgelastet. Bitte versuchen Sie es in 30 Sekunden noch einmal.",
        "Der Besuchsdienst ist ausgelastet. Bitte versuchen Sie es gleich noch einmal.",
        "Der Besuchsdienst braucht länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
        "Der Besuchsdienst war nicht erreichbar. Bitte versuchen Sie es gleich noch einmal."
      ]
    ])
  })

  it.effect("T4: fields to log, over real HTTP", () =>
    Effect.gen(function*() {
      const headers = { "x-request-id": "req-7" }
      const script = Server.submissions(() =>
        Server.fault(503, "Service Unavailable", "SENTINEL", { headers })
      )
      const { exit } = yield* against(script, submit)
      const context = { environment: "production", tenantId: "acme" }
      const fields = FieldActivities.logFields(apiErrorOf(exit), context)
      expect(fields).toMatchObject({
        integration: "field-activities",
        environment: "production",
        endpoint: "/v1/activities/:id/result",
        method: "POST",
        status: 503,
        tenantId: "acme",
        requestId: "req-7",
        retries: 3,
        timedOut: false,
        error: "Server"
      })
      expect(leaks([JSON.stringify(fields)], "SENTINEL", "SHOP-7", "A-1")).toEqual([])
    }))
})

describe("FieldActivities: incidents, over real HTTP", () => {
  const routes: ReadonlyArray<readonly [status: number, name: string, words: RegExp]> = [
    [
      400,
      "validation-errors",
      /format of the body, data types, required fields and valid result codes/
    ],
    [401, "unauthorized", /x-api-key header is present and that the key has not been revoked/],
    [
      403,
      "forbidden",
      /VIEW_ACTIVITIES for queries, SUBMIT_ACTIVITY_RESULT for submitting results.*tenant administrator/
    ],
    [
      404,
      "not-found",
      /activity_id, commerce_external_id or other identifier exists in the tenant/
    ],
    [409, "duplicates", /hard_override: true only to overwrite the existing result/],
    [500, "server-errors", /exponential backoff/],
    [504, "server-errors", /exponential backoff/]
  ]

  /** A detector, and what it has raised. */
  const watching = Effect.map(
    Incident.make({ rules: FieldActivities.incidentRules }),
    (detector) => {
      const raised: Array<Incident.Incident> = []
      const seeing: Incident.Detector = {
        ...detector,
        observe: (integration, exit) =>
          Effect.tap(
            detector.observe(integration, exit),
            (found) => Effect.sync(() => raised.push(...found))
          )
      }
      return { raised, detector: seeing }
    }
  )

  it.effect.each(routes)(
    "repeated %i: one incident, %s, with the document's solution as its route",
    ([status, name, words]) =>
      Effect.gen(function*() {
        const { detector, raised } = yield* watching
        const pipeline = yield* Pipeline.make({ operation: Operation.idempotent })
        const { posts } = yield* against(
          Server.submissions(() => FlakyApi.status(status)),
          (client) => Effect.forEach(Array(30), () => Effect.ignore(submit(client))),
          { detector, pipeline }
        )
        expect([posts, raised.map(({ name }) => name), words.test(raised[0]?.route ?? "")]).toEqual(
          [30, [name], true]
        )
        expect(raised[0]).toMatchObject({
          integration: "field-activities",
          endpoint: "/v1/activities/:id/result"
        })
        expect(Playbook.lookup(FieldActivities.playbook, status).alert).toBe(raised[0]?.route)
      })
  )

  it.effect("a few failures among many calls are none", () =>
    Effect.gen(function*() {
      const { detector, raised } = yield* watching
      const script: FlakyApi.Script = ({ index }) =>
        index % 10 === 9 ? FlakyApi.status(404) : FlakyApi.none
      yield* against(script, (client) =>
        Effect.forEach(Array(40), () => Effect.ignore(client.activity("A-1"))), {
        detector
      })
      expect(raised).toEqual([])
    }))

  it("the rules can be used by a detector, and none is about polling", () => {
    const names = FieldActivities.incidentRules.map(({ name }) => name)
    expect([
      new Set(names).size,
      names.includes("polling-timeouts"),
      names.includes("rate-limited")
    ]).toEqual([
      names.length,
      false,
      true
    ])
  })
})

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("FieldActivities: what is never shown (T1, T2)", () => {
  const said = `${Server.apiKey} | x-api-key: ${Server.apiKey} | "${
    encodeURIComponent(Server.apiKey)
  }"`
  const metrics = Effect.map(Metric.snapshot, (pairs) => inspect(pairs, { depth: null }))

  /** Everything that could be printed of a call, the metrics included. */
  const printed = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.zipWith(renderings(call), metrics, (texts, metrics) => [...texts, metrics])

  const telemetry = { integration: "field-activities secrets", logs: "Trace" } as const

  const clientOf = (url: string, key: string) =>
    Effect.gen(function*() {
      const retry = { retries: 1, backoff: Backoff.constant("1 millis") }
      const pipeline = yield* Pipeline.make({ operation: Operation.idempotent, retry, telemetry })
      return yield* FieldActivities.make({
        baseUrl: url,
        apiKey: Redacted.make(key),
        pipeline,
        resultTypes: types
      })
    })

  const answers: ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> = [
    ...[400, 401, 403, 404, 409, 429, 500, 502, 503, 504].map((status) =>
      [
        `a ${status}`,
        FlakyApi.status(status, {
          body: JSON.stringify({
            statusCode: status,
            error: said,
            message: said,
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
      FlakyApi.status(200, { body: JSON.stringify({ [said]: said }) })
    ],
    ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })],
    ["a reset", FlakyApi.reset()]
  ]

  it.live.each(answers)(
    "T1: %s that repeats the key: it is in no error, log line, span or metric",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({ script: () => fault })
        const client = yield* clientOf(api.url, Server.apiKey)
        const texts = yield* Effect.map(
          Effect.all([
            printed(client.activity("A-1")),
            printed(client.submitResult("A-1", result))
          ]),
          (texts) => texts.flat()
        )
        expect(texts.length).toBeGreaterThan(40)
        expect(leaks(texts, Server.apiKey)).toEqual([])
      }).pipe(Effect.scoped, live)
  )

  const malformed: ReadonlyArray<readonly [name: string, key: string]> = [
    ["spaces around it", "  SENTINEL-malformed  "],
    ["a line break at its end", "SENTINEL-malformed\n"],
    ["a space in it", "SENTINEL-malformed two"],
    ["a line break in it", "SENTINEL-malformed\r\nx-evil: SENTINEL-malformed"],
    ["a control character in it", "SENTINEL-malformed\u0000\u0007"],
    ["letters that no header holds", "SENTINEL-malformed-ключ"],
    ["an accent", "SENTINEL-malformed-é"],
    ["quotes", "\"SENTINEL-malformed\""]
  ]
  const clients = [["undici", NodeHttpClient.layerUndici], [
    "fetch",
    FetchHttpClient.layer
  ]] as const

  it.live.each(
    malformed.flatMap(([name, key]) =>
      clients.map(([client, layer]) => [name, client, key, layer] as const)
    )
  )(
    "T1: a key with %s, over %s: it is Auth, and in nothing that is printed",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* Server.make()
        const client = yield* clientOf(api.url, key)
        const texts = yield* printed(client.activity("A-1"))
        const error = yield* Effect.flip(client.activity("A-1"))
        expect([error._tag, texts.length > 20, leaks(texts, "SENTINEL-malformed")]).toEqual([
          "Auth",
          true,
          []
        ])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live.each(Stray.paddedKeys)(
    "T1: a key with %s, over %s, that the API repeats as it came is in nothing that is printed",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: Stray.tellTale })
        const client = yield* clientOf(api.url, key)
        const error = yield* Effect.flip(client.activity("A-1"))
        expect(ApiError.isApiError(error) && error.message).toBe(
          "not a key: <redacted>, <redacted>"
        )
        expect(leaks(yield* printed(client.activity("A-1")), Stray.key)).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live.each(Stray.unsendableKeys)(
    "T1: a key with %s is not even given to %s",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const http = Stray.counting(layer)
        const client = yield* Effect.provide(clientOf("http://127.0.0.1:1", key), http.layer)
        const errors = yield* Effect.forEach(
          [client.activity("A-1"), client.submitResult("A-1", result)],
          (call) => Effect.flip<unknown, unknown, never>(call)
        )
        expect([
          errors.map((error) => ApiError.isApiError(error) && [error.code, error.endpoint]),
          http.requests()
        ])
          .toEqual([
            [
              ["malformed_api_key", "/v1/activities/:id"],
              ["malformed_api_key", "/v1/activities/:id/result"]
            ],
            0
          ])
      })
  )

  it.live("T1: nor in what a result that was not sent, or an id that was not used, fails with", () =>
    Effect.gen(function*() {
      const client = yield* clientOf("http://127.0.0.1:1", Server.apiKey)
      const wrong = { ...result, commerce_external_id: " ", occurred_at: "SENTINEL-occurred" }
      const texts = [
        ...(yield* printed(client.submitResult("A-1", wrong))),
        ...(yield* printed(client.activity("..")))
      ]
      expect(leaks(texts, Server.apiKey, "SENTINEL-occurred")).toEqual([])
    }).pipe(live))

  it.effect("T7: the default pipeline has telemetry when it is asked for, without the key, and otherwise none", () =>
    Effect.gen(function*() {
      const integration = "field-activities default"
      const count = Effect.map(metrics, (text) => text.split(integration).length - 1)
      yield* against(Server.submissions(() => FlakyApi.serverError()), submit)
      const before = yield* count
      yield* against(Server.submissions(() => FlakyApi.serverError()), submit, {
        telemetry: { integration }
      })
      expect([before, (yield* count) > 0, leaks([yield* metrics], Server.apiKey, "A-1")]).toEqual([
        0,
        true,
        []
      ])
    }))

  it.live("T1: nor in the client itself", () =>
    Effect.gen(function*() {
      const client = yield* clientOf("http://127.0.0.1:1", Server.apiKey)
      expect(
        leaks(
          [inspect(client, { depth: null, showHidden: true }), JSON.stringify(client)],
          Server.apiKey
        )
      )
        .toEqual([])
    }).pipe(live))
})
