import { HttpClient, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Schedule,
  Schema,
  TestClock
} from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Playbook,
  Telemetry
} from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as Bulk from "effect-resilience/Bulk"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf, squashed } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks, renderings } from "../support/renderings.js"
import * as Server from "../support/siteChatServer.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"

const key = Redacted.make(Server.apiKey)

const live = Effect.provide(NodeHttpClient.layerUndici)

type Chat = SiteChat.SiteChat<IdempotencyKey.IdempotencyKey>

const written = {
  kind: "text",
  sourceId: "page-1",
  title: "Hours",
  content: "We open at nine."
} as const

const file = {
  kind: "file",
  sourceId: "file-1",
  name: "hours.txt",
  contentType: "text/plain",
  content: new TextEncoder().encode("We open at nine.")
} as const

const question = { message: "When do you open?" }

const feedback = { eventId: "click-1", sessionId: "s-1", rating: "up" } as const

/**
 * One call of each operation, and how the document's table of retries has it: the answers to 429,
 * 5xx and timeout.
 */
const calls = {
  tenant: [(chat: Chat) => chat.tenant, "Yes", "Yes", "Yes"],
  site: [(chat: Chat) => chat.site, "Yes", "Yes", "Yes"],
  sessions: [(chat: Chat) => chat.sessions, "Yes", "Yes", "Yes"],
  statistics: [(chat: Chat) => chat.statistics, "Yes", "Yes", "Yes"],
  createDocument: [
    (chat: Chat) => chat.createDocument(written),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  uploadDocument: [
    (chat: Chat) => chat.uploadDocument(file),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  chat: [(chat: Chat) => chat.chat(question), "Yes, bounded", "Yes, bounded", "Use care"],
  submitChat: [
    (chat: Chat) => chat.submitChat(question),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  pollChat: [(chat: Chat) => chat.pollChat("req-1"), "Yes", "Yes", "Stop at timeout budget"],
  sendFeedback: [
    (chat: Chat) => chat.sendFeedback(feedback),
    "Yes, bounded",
    "Yes, bounded",
    "Use care"
  ],
  closeSession: [(chat: Chat) => chat.closeSession("s-1"), "Yes, bounded", "Yes, bounded", "Yes"]
} as const satisfies Record<
  SiteChat.OperationName,
  readonly [
    call: (chat: Chat) => Effect.Effect<unknown, SiteChat.Failure, IdempotencyKey.IdempotencyKey>,
    ...Array<string>
  ]
>

const names = Object.keys(calls) as ReadonlyArray<SiteChat.OperationName>

/** "Yes" is four further attempts, "bounded" two. */
const attemptsOf = (answer: string) => answer === "Yes" ? 5 : 3

const call = (name: SiteChat.OperationName, chat: Chat): Effect.Effect<void, SiteChat.Failure> => {
  const [make] = calls[name]
  const made: Effect.Effect<unknown, SiteChat.Failure, IdempotencyKey.IdempotencyKey> = make(chat)
  return IdempotencyKey.provideNew(Effect.asVoid(made))
}

/** A call over real HTTP in virtual time, and what the server saw of it. */
const against = (
  script: FlakyApi.Script,
  use: (chat: Chat) => Effect.Effect<unknown, unknown>,
  options: Partial<SiteChat.Options> = {},
  server: Omit<Server.Options, "script"> = {}
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ ...server, script })
    const chat = yield* Effect.provide(
      SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known, ...options }),
      layer
    )
    const { at, exit } = yield* run(use(chat))
    const received = yield* api.received
    return {
      exit: exit as Exit.Exit<unknown, SiteChat.Failure>,
      at,
      waits: waits(at),
      requests: received.length,
      keys: new Set(received.flatMap(({ key }) =>
        Option.toArray(Option.map(key, Redacted.value))
      )).size,
      executed: (yield* api.executed).length,
      records: api.records
    }
  }).pipe(Effect.scoped)

// -----------------------------------------------------------------------------
// status codes
// -----------------------------------------------------------------------------

/** The document's table of status codes: tag, whether it is retried, what the visitor reads. */
const rows: ReadonlyArray<
  readonly [status: number, tag: string, retried: boolean, meaning: RegExp, user: string]
> = [
  [
    400,
    "Validation",
    false,
    /Invalid request payload/,
    "We could not process this. Please change it and try again."
  ],
  [
    401,
    "Auth",
    false,
    /authentication/,
    "The chat is not available at the moment. Our team has been told."
  ],
  [403, "Policy", false, /not allowed/, "The chat is not available here."],
  [
    404,
    "NotFound",
    false,
    /not found in the requested scope/,
    "We could not find this conversation."
  ],
  [409, "Conflict", false, /Conflict/, "This has been sent already."],
  [429, "RateLimit", true, /Too many requests/, "The chat is busy. Please try again in a moment."],
  [500, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [502, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [503, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."],
  [504, "Server", true, /Temporary/, "The chat has a problem. Please try again in a moment."]
]

describe("SiteChat: status codes, over real HTTP", () => {
  it.effect.each(rows)(
    "%i is %s, retried: %s",
    ([status, tag, retried, meaning, user]) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(
          () => FlakyApi.status(status),
          (chat) => chat.tenant
        )
        const error = errorOf(exit) as ApiError.ApiError
        expect([error._tag, error.status, requests, error.attempts]).toEqual([
          tag,
          status,
          ...(retried ? [5, 5] : [1, 1])
        ])
        expect(SiteChat.userMessage(error)).toBe(user)
        expect(Playbook.lookup(SiteChat.playbook, status).meaning).toMatch(meaning)
      })
  )

  it("what to do about each is what the document says", () => {
    const words: ReadonlyArray<readonly [number, RegExp]> = [
      [400, /Fix request construction. Do not retry without changing the request/],
      [401, /configuration or credential incident/],
      [403, /plan, tenant access, site access, or allowed capability/],
      [404, /identifiers and ownership/],
      [409, /already exists or whether the operation is duplicated/],
      [429, /bounded exponential backoff and jitter/],
      [503, /bounded exponential backoff for safely repeatable operations/]
    ]
    expect(
      words.filter(([status, word]) =>
        !word.test(Playbook.lookup(SiteChat.playbook, status).action)
      )
    ).toEqual([])
  })

  it.effect("the server's own refusals: 400, 401, 403, 404, 409, from bodies that are texts, objects, with or without request id", () =>
    Effect.gen(function*() {
      const none: FlakyApi.Script = () => FlakyApi.none
      const refused = [
        yield* against(none, (chat) => IdempotencyKey.provideNew(chat.chat({ message: "" }))),
        yield* against(none, (chat) => chat.tenant, { apiKey: Redacted.make("SENTINEL-wrong") }),
        yield* against(none, (chat) => chat.site, { siteId: "private" }),
        yield* against(none, (chat) => chat.pollChat("req-77")),
        yield* against(none, (chat) =>
          Effect.zipRight(
            IdempotencyKey.provideNew(chat.createDocument(written)),
            IdempotencyKey.provideNew(chat.createDocument(written))
          ))
      ].map(({ exit }) => errorOf(exit) as ApiError.ApiError)
      expect(refused.map(({ _tag, code, message, requestId, status }) => [
        _tag,
        status,
        message,
        code,
        requestId === undefined ? "none" : requestId.replace(/\d+$/, "n")
      ])).toEqual([
        ["Validation", 400, "Invalid request payload", "code_400", "req-fail-n"],
        ["Auth", 401, "Missing or invalid authentication", "code_401", "req-fail-n"],
        ["Policy", 403, "This key has no access to the site", "code_403", "req-fail-n"],
        ["NotFound", 404, "Request not found", undefined, "req-fail-n"],
        ["Conflict", 409, "A document of this source exists", undefined, "none"]
      ])
    }))
})

// -----------------------------------------------------------------------------
// the retry decision table
// -----------------------------------------------------------------------------

/** Waits with full jitter from 500 ms, at most 10 s. */
const isBackoff = (waits: ReadonlyArray<number>) =>
  waits.every((wait, n) => wait >= 0 && wait <= Math.min(500 * 2 ** n, 10_000))

describe("SiteChat: the retry decision table, over real HTTP", () => {
  it.effect.each(names)(
    "%s: a persistent 429 is retried, within its bound and with backoff",
    (name) =>
      Effect.gen(function*() {
        const { exit, requests, waits } = yield* against(() => FlakyApi.rateLimited(), (chat) =>
          call(name, chat))
        expect([errorOf(exit)._tag, requests, isBackoff(waits)]).toEqual([
          "RateLimit",
          attemptsOf(calls[name][1]),
          true
        ])
      })
  )

  it.effect.each(names)(
    "%s: a persistent 5xx is retried, within its bound and with backoff",
    (name) =>
      Effect.gen(function*() {
        const { exit, requests, waits } = yield* against(() => FlakyApi.unavailable(), (chat) =>
          call(name, chat))
        expect([errorOf(exit)._tag, requests, isBackoff(waits)]).toEqual([
          "Server",
          attemptsOf(calls[name][2]),
          true
        ])
      })
  )

  it.effect.each(names)(
    "%s: a connection that breaks after the work was done is retried under the same key, and nothing is done twice",
    (name) =>
      Effect.gen(function*() {
        const operation = SiteChat.operations[name].operation._tag
        const { executed, exit, keys, requests } = yield* against(
          FlakyApi.sequence(name === "pollChat" ? [] : [FlakyApi.reset({ when: "after" })]),
          (chat) =>
            name === "pollChat" ? Effect.asVoid(Effect.either(call(name, chat))) : call(name, chat)
        )
        expect([Exit.isSuccess(exit), requests, keys]).toEqual([
          true,
          name === "pollChat" ? 1 : 2,
          operation === "Read" ? 0 : 1
        ])
        if (operation !== "Read") expect(executed).toBe(1)
      })
  )

  it.effect("every operation is declared as the table has it", () =>
    Effect.sync(() => {
      expect(names.map((name) => [name, SiteChat.operations[name].operation._tag])).toEqual([
        ["tenant", "Read"],
        ["site", "Read"],
        ["sessions", "Read"],
        ["statistics", "Read"],
        ["createDocument", "Keyed"],
        ["uploadDocument", "Keyed"],
        ["chat", "Keyed"],
        ["submitChat", "Keyed"],
        ["pollChat", "Read"],
        ["sendFeedback", "Keyed"],
        ["closeSession", "Idempotent"]
      ])
    }))

  it.effect("E12: Retry-After is a floor", () =>
    Effect.gen(function*() {
      const { exit, waits } = yield* against(
        FlakyApi.sequence([FlakyApi.rateLimited({ retryAfter: 30 })]),
        (chat) => chat.tenant
      )
      expect([Exit.isSuccess(exit), (waits[0] ?? 0) >= 30_000]).toEqual([true, true])
    }))

  const once = { writes: Operation.once } as Partial<SiteChat.Options>

  it.effect.each(names.filter((name) => SiteChat.operations[name].operation._tag === "Keyed"))(
    "E4: %s, where the API knows no keys: 429 is retried, what may have been done is not",
    (name) =>
      Effect.gen(function*() {
        const faults = [
          FlakyApi.rateLimited(),
          FlakyApi.unavailable({ when: "after" }),
          FlakyApi.gatewayTimeout({ when: "after" }),
          FlakyApi.reset({ when: "after" })
        ]
        const requests = yield* Effect.forEach(faults, (fault) =>
          Effect.map(
            against(() => fault, (chat) => call(name, chat), once),
            ({ requests }) => requests
          ))
        expect(requests).toEqual([3, 1, 1, 1])
      })
  )
})

// -----------------------------------------------------------------------------
// limits of time
// -----------------------------------------------------------------------------

/** A transport that never answers, and counts. */
const silent = () => {
  const seen: Array<string> = []
  const client = HttpClient.make((request) => {
    seen.push(request.method)
    return Effect.never
  })
  return { seen, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const virtual = { baseUrl: "https://chat.test", apiKey: key, ...Server.known }

describe("SiteChat: limits of time", () => {
  it.effect.each(names)(
    "%s: every attempt has a limit, and all of them together have one",
    (name) =>
      Effect.gen(function*() {
        const { layer, seen } = silent()
        const chat = yield* Effect.provide(SiteChat.make(virtual), layer)
        const fiber = yield* Effect.fork(Effect.exit(call(name, chat)))
        const { attemptTimeout, totalTimeout } = SiteChat.operations[name]
        yield* TestClock.adjust(Duration.sum(Duration.decode(attemptTimeout), Duration.seconds(10)))
        const second = seen.length
        yield* TestClock.adjust(totalTimeout)
        const error = errorOf(yield* Fiber.join(fiber))
        expect([second, error._tag, SiteChat.userMessage(error)]).toEqual([
          2,
          "Timeout",
          "The chat is taking longer than usual. Please try again in a moment."
        ])
      })
  )

  it.live("a body that stops half way is cut by the limit of the attempt", () =>
    Effect.gen(function*() {
      const api = yield* Server.make({ script: () => FlakyApi.slowBody("1 minute") })
      const policies = { site: { retries: 0, attemptTimeout: "100 millis" } } as const
      const chat = yield* SiteChat.make({
        baseUrl: api.url,
        apiKey: key,
        ...Server.known,
        policies
      })
      expect((yield* Effect.flip(chat.site))._tag).toBe("Timeout")
    }).pipe(Effect.scoped, live))

  it.live.each([["truncated", FlakyApi.truncated], ["malformed", FlakyApi.malformed]] as const)(
    "E7: a success that is %s is read again where that is safe, and is final under a key",
    ([, fault]) =>
      Effect.gen(function*() {
        const api = yield* Server.make({
          script: (call) => call.attempt === 1 ? fault : FlakyApi.none
        })
        const policies = { tenant: { backoff: Backoff.constant("1 millis") } }
        const chat = yield* SiteChat.make({
          baseUrl: api.url,
          apiKey: key,
          ...Server.known,
          policies
        })
        const tenant = yield* chat.tenant
        const error = yield* Effect.flip(IdempotencyKey.provideNew(chat.chat(question)))
        expect([tenant.name, ApiError.isUnreadable(error)]).toEqual(["Acme", true])
      }).pipe(Effect.scoped, live)
  )

  it.effect("policies and paths can be said, nonsense is refused", () =>
    Effect.gen(function*() {
      const policies = { tenant: { retries: 1, backoff: Backoff.constant("7 seconds") } }
      const { exit, requests, waits } = yield* against(() => FlakyApi.unavailable(), (chat) =>
        chat.tenant, {
        policies
      })
      expect([errorOf(exit)._tag, requests, waits]).toEqual(["Server", 2, [7000]])
      const refused = yield* Effect.exit(
        Effect.provide(
          SiteChat.make({ ...virtual, policies: { tenant: { retries: -1 } } }),
          silent().layer
        )
      )
      expect(squashed(refused)).toEqual(
        new RangeError("retries should be a whole number of at least 0, got -1")
      )
    }))

  const nonsense: ReadonlyArray<readonly [string, Partial<SiteChat.Options>]> = [
    ["askWithin should be a duration longer than zero, got 0", { askWithin: 0 }],
    ["askWithin should be a finite duration, got Duration(Infinity)", { askWithin: Infinity }],
    ["jobStates.done should be at least one word, got \"\"", {
      jobStates: { done: [], failed: ["failed"] }
    }],
    ["paths.tenant should be a path, got \"\"", { paths: { tenant: "" } }],
    ["paths.chat should be a path, got \" \"", { paths: { chat: " " } }]
  ]

  it.effect.each(nonsense)(
    "nonsense is refused by make: %s",
    ([message, options]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          Effect.provide(SiteChat.make({ ...virtual, ...options }), silent().layer)
        )
        const error = squashed(exit)
        expect(error).toBeInstanceOf(RangeError)
        expect(error).toMatchObject({ message: expect.stringContaining(message) })
      })
  )

  it.effect("what is undefined among policies and paths is not given", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.unavailable(),
        (chat) => chat.tenant,
        {
          policies: {
            tenant: Object.assign({}, { retries: undefined, attemptTimeout: undefined })
          } as {},
          paths: Object.assign({}, { tenant: undefined }) as {}
        }
      )
      expect([errorOf(exit)._tag, requests]).toEqual(["Server", 5])
    }))

  it.effect("a nonsense budget of one call is a defect of that call, and not thrown at its caller", () =>
    Effect.gen(function*() {
      const chat = yield* Effect.provide(SiteChat.make(virtual), silent().layer)
      const asked = chat.ask(question, { within: -1 })
      const resumed = chat.resume("req-1", { within: -1 })
      const exits = yield* Effect.all([
        Effect.exit(IdempotencyKey.provideNew(asked)),
        Effect.exit(resumed)
      ])
      expect(
        exits.map((exit) => squashed(exit) instanceof RangeError)
      ).toEqual([
        true,
        true
      ])
    }))

  it.effect.each(["OK", "", "<html>"])(
    "E7: a session is closed and feedback is there when the status says so: %j",
    (body) =>
      Effect.gen(function*() {
        const { exit, requests } = yield* against(
          () => FlakyApi.status(200, { body }),
          (chat) => Effect.all([chat.closeSession("s-1"), chat.sendFeedback(feedback)])
        )
        expect([exit, requests]).toEqual([Exit.succeed([undefined, undefined]), 2])
      })
  )

  it.effect.each(["", " "])(
    "E7: an answer that comes later, and whose request id is %j, is unreadable",
    (request_id) =>
      Effect.gen(function*() {
        const { exit } = yield* against(
          () => FlakyApi.status(202, { body: JSON.stringify({ request_id }) }),
          (chat) => IdempotencyKey.provideNew(chat.submitChat(question))
        )
        expect(ApiError.isUnreadable(errorOf(exit))).toBe(true)
      })
  )

  it.effect("E9: paths can be said, parameters are escaped, and the endpoint of an error is the template", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const client = HttpClient.make((request) => {
        seen.push(new URL(request.url).pathname)
        return Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(null, { status: 404 }))
        )
      })
      const paths = { pollChat: "/api/:siteId/jobs/:requestId" }
      const chat = yield* Effect.provide(
        SiteChat.make({ ...virtual, tenantId: "a/b", paths }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      const errors = [yield* Effect.flip(chat.tenant), yield* Effect.flip(chat.pollChat("r 1?"))]
      expect([seen, errors.map((error) => "endpoint" in error && error.endpoint)]).toEqual([
        ["/v1/tenants/a%2Fb", "/api/shop/jobs/r%201%3F"],
        ["/v1/tenants/:tenantId", "/api/:siteId/jobs/:requestId"]
      ])
    }))
})

// -----------------------------------------------------------------------------
// asynchronous answers
// -----------------------------------------------------------------------------

const pace = { schedule: Schedule.spaced("2 seconds") } as const

describe("SiteChat.ask, over real HTTP", () => {
  it.effect("R30: submits once, polls until it is answered, and tells the application each state", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const { at, exit, records } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob }))
      )
      expect(exit).toEqual(
        Exit.succeed({ answer: "We open at nine.", session_id: undefined, request_id: "req-1" })
      )
      expect([at, records.asked.length, jobs]).toEqual([
        [0, 0, 2000, 4000],
        1,
        [{ requestId: "req-1", state: "submitted" }, { requestId: "req-1", state: "done" }]
      ])
    }))

  it.effect("R30: a failure to submit is not a failure to poll", () =>
    Effect.gen(function*() {
      const submitting: FlakyApi.Script = ({ method }) =>
        method === "POST" ? FlakyApi.status(403) : FlakyApi.none
      const polling: FlakyApi.Script = ({ method }) =>
        method === "GET" ? FlakyApi.status(403) : FlakyApi.none
      const outcomes = yield* Effect.forEach([submitting, polling], (script) =>
        Effect.gen(function*() {
          const jobs: Array<SiteChat.Job["state"]> = []
          const onJob = ({ state }: SiteChat.Job) =>
            Effect.sync(() => void jobs.push(state))
          const { exit } = yield* against(
            script,
            (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob }))
          )
          const error: unknown = errorOf(exit)
          return [
            (error as { _tag: string })._tag,
            (error as { error: ApiError.ApiError }).error._tag,
            jobs
          ]
        }))
      expect(outcomes).toEqual([["SubmitFailed", "Policy", []], ["PollFailed", "Policy", [
        "submitted",
        "unreachable"
      ]]])
    }))

  it.effect("R30: transient failures of polls are retried, and a lost submission is repeated under its key", () =>
    Effect.gen(function*() {
      const { exit, records, requests } = yield* against(
        FlakyApi.sequence([
          FlakyApi.reset({ when: "after" }),
          FlakyApi.none,
          FlakyApi.unavailable(),
          FlakyApi.rateLimited({ retryAfter: 1 })
        ]),
        (chat) => IdempotencyKey.provideNew(chat.ask(question, pace))
      )
      expect([Exit.isSuccess(exit), records.asked.length, requests]).toEqual([true, 1, 7])
    }))

  it.effect("R30: polling stops at the time budget, marks the job as timed out and keeps its request id; resume does not submit", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const messages: Array<string> = []
      const { exit, records } = yield* against(
        () => FlakyApi.none,
        (chat) =>
          IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "5 seconds", onJob }))
            .pipe(
              Effect.tapError((error) =>
                Effect.sync(() => void messages.push(SiteChat.userMessage(error)))
              ),
              Effect.catchTag(
                "PollingTimeout",
                ({ requestId }) => chat.resume(requestId, { ...pace, onJob })
              )
            ),
        {},
        { job: (poll) => poll < 4 ? "running" : "completed" }
      )
      expect([Exit.isSuccess(exit), records.asked.length, messages]).toEqual([
        true,
        1,
        ["Your answer is taking longer than usual. We are still working on it."]
      ])
      expect(jobs).toEqual([
        { requestId: "req-1", state: "submitted" },
        { requestId: "req-1", state: "timedOut", lastStatus: "running" },
        { requestId: "req-1", state: "done" }
      ])
    }))

  it.effect("R30: never for ever, by default two minutes", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question)),
        {},
        { job: () => "running" }
      )
      const last = at.at(-1) ?? 0
      expect([(errorOf(exit) as { _tag: string })._tag, last > 105_000 && last < 120_000]).toEqual([
        "PollingTimeout",
        true
      ])
    }))

  it.effect("T6: answers that were waited for are counted beside the requests, so that the share of time-outs shows", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.make({ integration: "site-chat-test", logs: false })
      yield* against(
        () => FlakyApi.none,
        (chat) =>
          IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "5 seconds" })).pipe(
            Effect.catchTag("PollingTimeout", ({ requestId }) => chat.resume(requestId, pace))
          ),
        { telemetry },
        { job: (poll) => poll < 4 ? "running" : "completed" }
      )
      const figures = yield* Telemetry.figures(telemetry)
      expect(figures.map(({ calls, endpoint }) => [endpoint, calls.succeeded, calls.failed]))
        .toEqual([
          [SiteChat.operations.submitChat.path, 1, 0],
          [SiteChat.operations.pollChat.path, 5, 0],
          ["jobs", 1, 1]
        ])
    }))

  it.effect("an answer that the API gave up on is JobFailed, and its words can be said", () =>
    Effect.gen(function*() {
      const jobs: Array<SiteChat.Job> = []
      const onJob = (job: SiteChat.Job) => Effect.sync(() => void jobs.push(job))
      const { exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.ask(question, { ...pace, onJob })),
        { jobStates: { done: ["ok"], failed: ["dropped"] } },
        { job: () => "dropped" }
      )
      const error: unknown = errorOf(exit)
      expect(error).toBeInstanceOf(SiteChat.JobFailed)
      expect([SiteChat.userMessage(error), jobs.at(-1)]).toEqual([
        "Something went wrong. Please try again later.",
        { requestId: "req-1", state: "failed", lastStatus: "dropped" }
      ])
    }))

  it("a job is stored as JSON and read back", () => {
    const job: SiteChat.Job = { requestId: "req-1", state: "timedOut", lastStatus: "running" }
    expect(
      Schema.decodeUnknownSync(SiteChat.Job)(
        JSON.parse(JSON.stringify(Schema.encodeSync(SiteChat.Job)(job)))
      )
    )
      .toEqual(job)
  })

  it("a user is told of an answer once, of a delay once, and of nothing after the end", () => {
    const states = [
      "submitted",
      "timedOut",
      "unreachable",
      "timedOut",
      "done",
      "done",
      "timedOut"
    ] as const
    const jobs = states.map((state): SiteChat.Job => ({ requestId: "r", state }))
    expect(jobs.map((job, index) => SiteChat.isNews(jobs[index - 1], job))).toEqual([
      false,
      true,
      false,
      false,
      true,
      false,
      false
    ])
  })
})

// -----------------------------------------------------------------------------
// visitors
// -----------------------------------------------------------------------------

describe("SiteChat: visitors", () => {
  it.effect("a sync chat gives a fallback on final failure, after its retries", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.unavailable(),
        (chat) => IdempotencyKey.provideNew(chat.chatOrFallback(question, { locale: "de-AT" }))
      )
      const reply = (Exit.isSuccess(exit) ? exit.value : undefined) as SiteChat.Reply | undefined
      expect([
        reply?._tag,
        reply?._tag === "Fallback" && [reply.message, reply.error._tag],
        requests
      ]).toEqual([
        "Fallback",
        ["Der Chat hat ein Problem. Bitte versuchen Sie es gleich noch einmal.", "Server"],
        3
      ])
    }))

  it.effect("and the answer where there is one", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => FlakyApi.none,
        (chat) => IdempotencyKey.provideNew(chat.chatOrFallback(question))
      )
      expect(Exit.isSuccess(exit) && (exit.value as SiteChat.Reply)._tag).toBe("Answered")
    }))

  it.effect("feedback: the same event of the user interface is one piece of feedback, another is another", () =>
    Effect.gen(function*() {
      const { exit, keys, records } = yield* against(
        () => FlakyApi.none,
        (chat) =>
          Effect.all([
            chat.sendFeedback(feedback),
            chat.sendFeedback(feedback),
            chat.sendFeedback({ ...feedback, eventId: "click-2", comment: "Thanks" })
          ])
      )
      expect([Exit.isSuccess(exit), records.feedback, keys]).toEqual([
        true,
        ["click-1", "click-2"],
        2
      ])
    }))

  it.effect("I1: the same event in another session or of another site is other feedback", () =>
    Effect.gen(function*() {
      const keys: Array<string | undefined> = []
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          keys.push(request.headers["idempotency-key"])
          return HttpClientResponse.fromWeb(request, new Response(null, { status: 204 }))
        })
      )
      const send = (options: Partial<SiteChat.Options>, sessionId: string) =>
        Effect.flatMap(
          SiteChat.make({ ...virtual, ...options }),
          (chat) => chat.sendFeedback({ ...feedback, sessionId })
        )
      yield* Effect.all([
        send({}, "s-1"),
        send({}, "s-1"),
        send({}, "s-2"),
        send({ siteId: "other" }, "s-1"),
        send({ tenantId: "other" }, "s-1")
      ]).pipe(Effect.provideService(HttpClient.HttpClient, client))
      expect([keys.length, new Set(keys).size, keys[0] === keys[1]]).toEqual([5, 4, true])
    }))

  it.effect("T8: safe sentences, with the time to wait", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(() => FlakyApi.rateLimited({ retryAfter: 300 }), (chat) =>
        chat.tenant)
      const error = errorOf(exit)
      expect([SiteChat.userMessage(error), SiteChat.userMessage(error, { locale: "de" })]).toEqual([
        "The chat is busy. Please try again in 5 minutes.",
        "Der Chat ist ausgelastet. Bitte versuchen Sie es in 5 Minuten noch einmal."
      ])
    }))
})

// -----------------------------------------------------------------------------
// bulk
// -----------------------------------------------------------------------------

const documents = (count: number): ReadonlyArray<SiteChat.Document> =>
  Array.from({ length: count }, (_, index) =>
    index % 5 === 4
      ? { ...file, sourceId: `file-${index}` }
      : { ...written, sourceId: `page-${index}` })

const sync = SiteChat.documentSync({ ...Server.known })

describe("SiteChat.documentSync, over real HTTP", () => {
  it.effect("a second run sends nothing that has succeeded, and the log is from source to document", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make()
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const all = documents(6)
      const job = (items: ReadonlyArray<SiteChat.Document>) =>
        Bulk.forEach(items, chat.syncDocument, sync)
      const { exit } = yield* run(
        Effect.provide(
          Effect.all([job(all.slice(0, 4)), job(all)]),
          IdempotencyStore.layerStoreMemory
        )
      )
      const runs = Exit.isSuccess(exit) ? exit.value : []
      expect(runs.map(({ done, failed, skipped }) => [done, skipped, failed])).toEqual([[4, 0, 0], [
        2,
        4,
        0
      ]])
      expect(runs.at(-1)?.results.map((result) => "value" in result && result.value.document_id))
        .toHaveLength(6)
      expect(api.records.documents.length).toBe(6)
    }).pipe(Effect.scoped))

  it.effect("pauses when the error rate increases, goes on, and no document is created twice", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make({
        script: ({ index }) =>
          index >= 10 && index < 30 ? FlakyApi.unavailable({ when: "after" }) : FlakyApi.none
      })
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const { exit } = yield* run(
        Effect.provide(
          Bulk.forEach(documents(40), chat.syncDocument, { ...sync, concurrency: 2, retries: 20 }),
          IdempotencyStore.layerStoreMemory
        )
      )
      const summary = Exit.isSuccess(exit) ? exit.value : undefined
      expect([summary?.done, summary?.failed, (summary?.pauses ?? 0) > 0]).toEqual([40, 0, true])
      expect([api.records.documents.length, new Set(api.records.documents).size]).toEqual([40, 40])
    }).pipe(Effect.scoped))

  it.effect.each([401, 403])(
    "a %i ends the job instead of a storm",
    (status) =>
      Effect.gen(function*() {
        const { layer, run } = yield* virtualHttp
        const api = yield* Server.make({ script: () => FlakyApi.status(status) })
        const chat = yield* Effect.provide(
          SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
          layer
        )
        const { exit } = yield* run(
          Effect.provide(
            Bulk.forEach(documents(50), chat.syncDocument, { ...sync, concurrency: 1 }),
            IdempotencyStore.layerStoreMemory
          )
        )
        expect([
          Exit.isSuccess(exit) && Option.isSome(exit.value.stopped),
          (yield* api.received).length
        ]).toEqual([
          true,
          1
        ])
      }).pipe(Effect.scoped)
  )

  it.effect("E4: without keys, a document that may have been created is not sent again", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make({ script: () => FlakyApi.unavailable({ when: "after" }) })
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known, writes: Operation.once }),
        layer
      )
      const demandsNoKey: Effect.Effect<SiteChat.CreatedDocument, SiteChat.Failure> = chat
        .createDocument(written)
      expect(Effect.isEffect(demandsNoKey)).toBe(true)
      yield* run(Bulk.forEach(documents(3), chat.syncDocument, { pauseWhen: false }))
      expect([(yield* api.received).length, api.records.documents.length]).toEqual([3, 3])
    }).pipe(Effect.scoped))

  it.effect("other content under the same source and revision is a mismatch, another revision is another document", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* Server.make()
      const chat = yield* Effect.provide(
        SiteChat.make({ baseUrl: api.url, apiKey: key, ...Server.known }),
        layer
      )
      const changed: ReadonlyArray<SiteChat.Document> = [
        file,
        { ...file, content: new TextEncoder().encode("We open at ten.") }
      ]
      const { exit } = yield* run(
        Effect.provide(
          Bulk.forEach(changed, chat.syncDocument, { ...sync, concurrency: 1 }),
          IdempotencyStore.layerStoreMemory
        )
      )
      const results = Exit.isSuccess(exit) ? exit.value.results : []
      expect(results.map((result) => result._tag === "Failed" ? result.error._tag : result._tag))
        .toEqual([
          "Done",
          "Mismatch"
        ])
      expect(sync.syncLog.id({ ...file, revision: "2" })).not.toBe(sync.syncLog.id(file))
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// incidents and logs
// -----------------------------------------------------------------------------

describe("SiteChat: incident routing", () => {
  const routes: ReadonlyArray<readonly [status: number, words: RegExp]> = [
    [401, /key rotation, deployment configuration, revoked keys/],
    [403, /plan level, tenant access, site access, enabled capability/],
    [404, /tenant_id, site_id, request_id or document id/],
    [429, /reduce concurrency, add backoff, inspect traffic spikes/],
    [500, /bounded retries, monitor recovery, pause non-critical bulk jobs/],
    [503, /bounded retries, monitor recovery, pause non-critical bulk jobs/]
  ]

  it.effect.each(routes)(
    "repeated %i: one incident, with the document's route",
    ([status, words]) =>
      Effect.gen(function*() {
        const raised: Array<Incident.Incident> = []
        const detector = yield* Incident.make({ rules: SiteChat.incidentRules })
        const seeing: Incident.Detector = {
          ...detector,
          observe: (integration, exit) =>
            Effect.tap(detector.observe(integration, exit), (found) =>
              Effect.sync(() => raised.push(...found)))
        }
        const { requests } = yield* against(
          () =>
            FlakyApi.status(status),
          (chat) => Effect.forEach(Array(30), () => Effect.ignore(chat.tenant)),
          {
            detector: seeing,
            policies: { tenant: { retries: 0 } },
            circuitBreaker: { minimumCalls: 1000, window: CircuitBreaker.count(1000) }
          }
        )
        expect([requests, raised.length, words.test(raised[0]?.route ?? "")]).toEqual([30, 1, true])
        expect(Playbook.lookup(SiteChat.playbook, status).alert).toBe(raised[0]?.route)
      })
  )

  it.effect("polling timeouts: one incident, however many polls there were", () =>
    Effect.gen(function*() {
      const raised: Array<Incident.Incident> = []
      const detector = yield* Incident.make({ rules: SiteChat.incidentRules })
      const seeing: Incident.Detector = {
        ...detector,
        observe: (integration, exit) =>
          Effect.tap(
            detector.observe(integration, exit),
            (found) => Effect.sync(() => raised.push(...found))
          )
      }
      const ask = (chat: Chat) =>
        Effect.ignore(
          IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "9 seconds" }))
        )
      yield* against(() => FlakyApi.none, (chat) => Effect.forEach(Array(8), () => ask(chat)), {
        detector: seeing
      }, {
        job: () => "running"
      })
      expect(raised.map(({ integration, route }) => [integration, route])).toEqual([
        ["site-chat jobs", "check async job volume, user timeout budget, worker concurrency"]
      ])
    }))

  it.effect("5xx: after enough of them the circuit opens and nothing is sent", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.unavailable(),
        (chat) =>
          Effect.zipRight(Effect.forEach([1, 2], () => Effect.ignore(chat.tenant)), chat.site)
      )
      expect([errorOf(exit)._tag, requests]).toEqual(["CircuitOpen", 10])
    }))
})

describe("SiteChat.logFields", () => {
  const context = { environment: "production", tenantId: "acme", siteId: "shop", sessionId: "s-1" }

  it.effect("T4: the recommended fields, over real HTTP", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ error: { message: "upstream" }, request_id: "req-503" })
      const { exit } = yield* against(() => FlakyApi.unavailable({ body }), (chat) => chat.site)
      const { latencyMillis, ...fields } = SiteChat.logFields(errorOf(exit), context)
      expect(fields).toEqual({
        integration: "site-chat",
        environment: "production",
        attempts: 5,
        endpoint: "/v1/tenants/:tenantId/sites/:siteId",
        method: "GET",
        status: 503,
        tenantId: "acme",
        siteId: "shop",
        sessionId: "s-1",
        requestId: "req-503",
        retries: 4,
        timedOut: false,
        verdict: "Transient",
        error: "Server"
      })
      expect(typeof latencyMillis).toBe("number")
    }))

  it.effect("T4: of a polling error, its request id and what is behind it; of a timeout, the flag", () =>
    Effect.gen(function*() {
      const ask = (chat: Chat) =>
        IdempotencyKey.provideNew(chat.ask(question, { ...pace, within: "3 seconds" }))
      const late = yield* against(() => FlakyApi.none, ask, {}, { job: () => "running" })
      const failed = yield* against(
        ({ method }) => method === "GET" ? FlakyApi.status(403) : FlakyApi.none,
        ask
      )
      const fields = [late, failed].map(({ exit }) => SiteChat.logFields(errorOf(exit)))
      expect(
        fields.map(({ error, reason, requestId, timedOut }) => [error, reason, requestId, timedOut])
      ).toEqual([
        ["PollingTimeout", undefined, "req-1", true],
        ["PollFailed", "Policy", "req-1", false]
      ])
    }))

  it("T4: of anything else, that it is unknown", () => {
    expect(SiteChat.logFields(new Error("SENTINEL"))).toEqual({
      integration: "site-chat",
      timedOut: false,
      verdict: "Terminal",
      error: "Unknown"
    })
  })
})

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("SiteChat: what is never shown (T1, T2)", () => {
  const secrets = {
    message: "SENTINEL visitor asks 1a",
    content: "SENTINEL document text 2b",
    answer: "SENTINEL document answer 3c",
    comment: "SENTINEL comment 4d"
  }
  const all = [Server.apiKey, ...Object.values(secrets)]

  /** A server that says back whatever it was sent, and its own key. */
  const echo = (status: number): FlakyApi.Fault => {
    const said = all.join(" | ")
    return FlakyApi.status(status, {
      body: JSON.stringify({
        error: { message: said, code: said },
        request_id: said,
        issues: [{ path: said, message: said }]
      }),
      headers: { "content-type": "application/json", "x-request-id": said, server: said }
    })
  }

  const sent: Record<
    string,
    (chat: Chat) => Effect.Effect<unknown, unknown, IdempotencyKey.IdempotencyKey>
  > = {
    chat: (chat) => chat.chat({ message: secrets.message }),
    ask: (chat) => chat.ask({ message: secrets.message }),
    createDocument: (chat) => chat.createDocument({ ...written, content: secrets.content }),
    "a question and its answer": (chat) =>
      chat.createDocument({
        kind: "qa",
        sourceId: "q",
        question: secrets.content,
        answer: secrets.answer
      }),
    sendFeedback: (chat) => chat.sendFeedback({ ...feedback, comment: secrets.comment })
  }

  /** What each call sends; of the rest the client cannot know that it is secret. */
  const ofCall: Record<string, ReadonlyArray<string>> = {
    chat: [secrets.message],
    ask: [secrets.message],
    createDocument: [secrets.content],
    "a question and its answer": [secrets.content, secrets.answer],
    sendFeedback: [secrets.comment]
  }

  it.live.each(Object.keys(sent))(
    "T1: %s: neither the key nor what was sent, inside and outside of a fiber, in logs and spans",
    (name) =>
      Effect.gen(function*() {
        for (const status of [400, 401, 404, 409, 503]) {
          const api = yield* Server.make({ script: () => echo(status) })
          const backoff = Backoff.constant("1 millis")
          const policies = {
            chat: { backoff },
            submitChat: { backoff },
            createDocument: { backoff },
            sendFeedback: { backoff }
          }
          const chat = yield* SiteChat.make({
            baseUrl: api.url,
            apiKey: key,
            ...Server.known,
            policies
          })
          const texts = yield* renderings(IdempotencyKey.provideNew(sent[name]!(chat)))
          expect(texts.length).toBeGreaterThan(20)
          expect(leaks(texts, Server.apiKey, ...ofCall[name]!)).toEqual([])
        }
      }).pipe(Effect.scoped, live)
  )

  it.live.each(["uploadDocument", "syncDocument"] as const)(
    "T1: %s: nor the content of the file, nor a line of it, in an error whose API repeats it",
    (name) =>
      Effect.gen(function*() {
        const lines = ["SENTINEL first line", "short", "SENTINEL second line"]
        const text = lines.join("\r\n")
        const said = `refused: ${text} and ${lines[2]}`
        const body = JSON.stringify({
          message: said,
          code: lines[0],
          issues: [{ path: lines[0], message: said }]
        })
        const client = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status: 400 })))
        )
        const chat = yield* Effect.provideService(
          SiteChat.make(virtual),
          HttpClient.HttpClient,
          client
        )
        const content = new TextEncoder().encode(text)
        const error = yield* Effect.flip(
          IdempotencyKey.provideNew(chat[name]({ ...file, content }))
        )
        expect([
          error.message,
          error._tag === "Validation" && [error.code, error.issues, error.endpoint]
        ]).toEqual([
          "refused: <redacted> and <redacted>",
          [
            "<redacted>",
            [{ path: "<redacted>", message: "refused: <redacted> and <redacted>" }],
            SiteChat.operations.uploadDocument.path
          ]
        ])
      }).pipe(Effect.scoped, live)
  )

  it.live("T1: a long file of many lines is taken out, too, and one that is no text changes nothing", () =>
    Effect.gen(function*() {
      const lines = Array.from({ length: 5000 }, (_, n) => `line % ${n} é`)
      const message = `${lines[10]}; ${lines[2999]}`
      const client = HttpClient.make((request) =>
        Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(JSON.stringify({ message }), { status: 400 })
          )
        )
      )
      const chat = yield* Effect.provideService(
        SiteChat.make(virtual),
        HttpClient.HttpClient,
        client
      )
      const messageOf = (content: Uint8Array<ArrayBuffer>) =>
        Effect.map(
          Effect.flip(IdempotencyKey.provideNew(chat.uploadDocument({ ...file, content }))),
          (e) => e.message
        )
      const text = yield* messageOf(new TextEncoder().encode(lines.join("\n")))
      const binary = yield* messageOf(new Uint8Array([0xff, 0xfe, 0x80]))
      expect([text, binary]).toEqual(["<redacted>; <redacted>", message])
    }).pipe(Effect.scoped, live))

  it.live("T1: nor the file that was uploaded, when nobody answers", () =>
    Effect.gen(function*() {
      const api = yield* Server.make()
      yield* api.stop
      const policies = { uploadDocument: { retries: 0 } }
      const chat = yield* SiteChat.make({
        baseUrl: api.url,
        apiKey: key,
        ...Server.known,
        policies
      })
      const content = new TextEncoder().encode(secrets.content)
      const texts = yield* renderings(
        IdempotencyKey.provideNew(chat.uploadDocument({ ...file, content }))
      )
      expect(leaks(texts, Server.apiKey, secrets.content)).toEqual([])
    }).pipe(Effect.scoped, live))

  it.effect("T1: fields of a log and sentences for visitors hold nothing of it", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => echo(400),
        (chat) => IdempotencyKey.provideNew(chat.chat(question))
      )
      const error = errorOf(exit)
      const { requestId, ...fields } = SiteChat.logFields(error)
      expect(
        leaks(
          [JSON.stringify(fields), SiteChat.userMessage(error), String(requestId)],
          Server.apiKey
        )
      ).toEqual([])
    }))

  it("T2: the names of the document's list are secret", () => {
    const named = (name: string) =>
      SiteChat.redactedNames.some((secret) =>
        typeof secret === "string" ? secret === name : secret.test(name)
      )
    expect(
      ["api_key", "apiKey", "config", "configuration", "customer", "content", "question", "answer"]
        .filter((name) => !named(name))
    ).toEqual([])
  })
})

// -----------------------------------------------------------------------------
// what is not sent
// -----------------------------------------------------------------------------

describe("SiteChat: keys and ids that cannot be sent", () => {
  const askWith = (baseUrl: string, key: string) =>
    Effect.flatMap(
      SiteChat.make({ baseUrl, apiKey: Redacted.make(key), ...Server.known }),
      (chat) => IdempotencyKey.provideNew(chat.chat(question))
    )

  it.live.each(Stray.unsendableKeys)(
    "T1: a key with %s, over %s: Auth without a request, and in nothing that is printed",
    ([, , key, layer]) =>
      Effect.gen(function*() {
        const api = yield* Server.make()
        const http = Stray.counting(layer)
        const call = Effect.provide(askWith(api.url, key), http.layer)
        const error = yield* Effect.flip(call)
        const { code, endpoint, method } = error as ApiError.ApiError
        const texts = yield* renderings(call)
        expect([error._tag, code, method, endpoint, http.requests(), leaks(texts, Stray.key)])
          .toEqual([
            "Auth",
            "malformed_api_key",
            "POST",
            SiteChat.operations.chat.path,
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
        const call = Effect.provide(askWith(api.url, key), layer)
        const error = yield* Effect.flip(call)
        expect(ApiError.isApiError(error) && error.message).toBe(
          "not a key: <redacted>, <redacted>"
        )
        expect(leaks(yield* renderings(call), Stray.key)).toEqual([])
      }).pipe(Effect.scoped)
  )

  it.effect("a key that cannot be sent is an incident like one that is refused", () =>
    Effect.gen(function*() {
      const raised: Array<string> = []
      const detector = yield* Incident.make({ rules: SiteChat.incidentRules })
      const seeing: Incident.Detector = {
        ...detector,
        observe: (integration, exit) =>
          Effect.tap(
            detector.observe(integration, exit),
            (found) => Effect.sync(() => raised.push(...found.map(({ name }) => name)))
          )
      }
      const http = Stray.nobodyAsked()
      const options = { ...virtual, apiKey: Redacted.make("a\nb"), detector: seeing }
      const chat = yield* Effect.provide(SiteChat.make(options), http.layer)
      yield* Effect.forEach(Array(30), () => Effect.ignore(chat.tenant))
      expect([raised, http.asked]).toEqual([["unauthorized"], []])
    }))

  it.effect.each(Stray.strayIds.map((id) => [id] as const))(
    "an id of %j is Validation, and nothing is sent",
    ([id]) =>
      Effect.gen(function*() {
        const http = Stray.nobodyAsked()
        const chat = yield* Effect.provide(SiteChat.make(virtual), http.layer)
        const poll = yield* Effect.flip(chat.pollChat(id))
        const close = yield* Effect.flip(chat.closeSession(id))
        const resumed = yield* Effect.flip(chat.resume(id))
        const inside = resumed._tag === "PollFailed" ? resumed.error : undefined
        expect([
          [poll, close, inside].map((error) =>
            error?._tag === "Validation" && error.issues.map(({ path }) => path)
          ),
          http.asked
        ]).toEqual([[["requestId"], ["sessionId"], ["requestId"]], []])
      })
  )

  it.effect.each(Stray.strayIds.flatMap((id) => [["tenantId", id], ["siteId", id]] as const))(
    "a %s of %j is refused when the client is made",
    ([field, id]) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          SiteChat.make({ ...virtual, [field]: id }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(
            `${field} should be an id that can be in a path, got ${JSON.stringify(id)}`
          )
        )
      })
  )
})
