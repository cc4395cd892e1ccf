import {
  HttpClient,
  HttpClientError,
  HttpClientResponse,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Inspectable,
  Layer,
  Logger,
  Option,
  Redacted,
  Schema,
  Stream,
  TestClock,
  Tracer
} from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Incident,
  Operation,
  Pipeline,
  Playbook,
  WidgetSession
} from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { createHmac } from "node:crypto"
import { inspect } from "node:util"
import { errorOf, squashed } from "../support/exits.js"
import * as Stray from "../support/keysAndIds.js"
import { leaks } from "../support/renderings.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"
import * as Server from "../support/widgetSessionServer.js"

type User = WidgetSession.User

const secret = "prod-3f9c1e77-secret"
const devSecret = "dev-88aa01bb-secret"
const secretKey = Redacted.make(secret)

const john: User = {
  user_id: "USR-001",
  email: "john@example.com",
  name: "John Doe",
  company: { company_id: "COMP-001" },
  candidates: [{ candidate_id: "CND-001" }, { candidate_id: "CND-002" }]
}

const hmac = (key: string, text: string) =>
  createHmac("sha256", key).update(text, "utf8").digest("hex")

/** The canonical string as the document words it, without our code. */
const canonicalOf = (partnerId: string, user: User): string => {
  let ids = ""
  for (const { candidate_id } of user.candidates ?? []) {
    ids += (ids === "" ? "" : ",") + candidate_id
  }
  const company = user.company === undefined ? "" : user.company.company_id
  return `${partnerId}|${user.user_id}|${user.email}|${user.name}|${company}|${ids}`
}

/**
 * The rows of the document's table of status codes, and the tags that errors-and-http.md gives
 * them.
 */
const rows: ReadonlyArray<
  readonly [status: number, retry: "Yes" | "No", tag: ApiError.ApiError["_tag"]]
> = [
  [401, "No", "Auth"],
  [403, "No", "Policy"],
  [404, "No", "NotFound"],
  [422, "No", "Validation"],
  [429, "Yes", "RateLimit"],
  [500, "Yes", "Server"],
  [502, "Yes", "Server"],
  [503, "Yes", "Server"],
  [504, "Yes", "Server"]
]

// -----------------------------------------------------------------------------
// the document's tables and formulas
// -----------------------------------------------------------------------------

describe("playbook", () => {
  it.each(rows)("has the row %i with its answer to \"Retry?\": %s", (status, retry, tag) => {
    const row = WidgetSession.playbook.byStatus[status]
    expect([row?.tag, row?.repeat]).toEqual([tag, retry === "Yes" ? "transient" : "never"])
  })

  it("prints the table that the document prints", () => {
    const printed = Playbook.markdown(WidgetSession.playbook).split("\n").map((line) =>
      line.split(" | ")
    )
    const answers = rows.map(([status]) => {
      const row = printed.find(([first]) => first?.includes(String(status)))
      return [status, row?.[3]]
    })
    expect(answers).toEqual(rows.map(([status, retry]) => [status, retry]))
  })

  it("says of each row what the document says", () => {
    const words: ReadonlyArray<readonly [number, RegExp]> = [
      [401, /signature is invalid/i],
      [403, /domain.*not whitelisted/i],
      [404, /partner.*inactive/i],
      [422, /payload.*invalid/i],
      [429, /rate limit/i]
    ]
    expect(
      words.filter(([status, word]) => !word.test(WidgetSession.playbook.byStatus[status]!.meaning))
    ).toEqual([])
  })
})

describe("retry", () => {
  it("R4: delays of attempts 0 to 5 lie in [500 * 2^n, 500 * 2^n + 300], capped at 8000, over 10 000 draws", () => {
    const draws = 10_000
    const outside = [0, 1, 2, 3, 4, 5].flatMap((attempt) => {
      const low = Math.min(8000, 500 * 2 ** attempt)
      const high = Math.min(8000, 500 * 2 ** attempt + 300)
      const delays = Array.from(
        { length: draws },
        (_, i) =>
          Backoff.delayMillis(WidgetSession.retry.backoff!, {
            attempt,
            previousMillis: 0,
            unit: i / draws
          })
      )
      return delays.filter((delay) => !(delay >= low && delay <= high)).map((delay) => ({
        attempt,
        delay
      }))
    })
    expect(outside).toEqual([])
  })

  it("R4: the random part is all of 0 to 300, not a corner of it", () => {
    const delay = (unit: number) =>
      Backoff.delayMillis(WidgetSession.retry.backoff!, { attempt: 1, previousMillis: 0, unit })
    expect([delay(0), delay(0.5), Math.round(delay(0.999999))]).toEqual([1000, 1150, 1300])
  })

  it("R10: three retries, as the document lists three intervals", () => {
    expect(WidgetSession.retry.retries).toBe(3)
  })
})

// -----------------------------------------------------------------------------
// signing
// -----------------------------------------------------------------------------

const word = fc.stringMatching(/^[A-Za-z0-9]{1,10}$/)
const anyText = fc.oneof(
  word,
  fc.fullUnicodeString({ minLength: 1, maxLength: 12 }),
  fc.constantFrom("a|b", "李 雷", "é", "👩‍💻")
)
const anyUser: fc.Arbitrary<User> = fc.record({
  user_id: anyText,
  email: anyText,
  name: anyText,
  company: fc.option(fc.record({ company_id: anyText }), { nil: undefined }),
  candidates: fc.option(fc.array(fc.record({ candidate_id: anyText }), { maxLength: 6 }), {
    nil: undefined
  })
}).map(({ candidates, company, ...user }) => ({
  ...user,
  ...(company === undefined ? {} : { company }),
  ...(candidates === undefined ? {} : { candidates })
}))

describe("canonicalString", () => {
  it("is the example of the document", () => {
    expect(WidgetSession.canonicalString("psikologihub-1024", john)).toBe(
      "psikologihub-1024|USR-001|john@example.com|John Doe|COMP-001|CND-001,CND-002"
    )
  })

  it("keeps empty optionals as empty strings", () => {
    const { candidates, company, ...bare } = john
    expect([
      WidgetSession.canonicalString("p", bare),
      WidgetSession.canonicalString("p", { ...bare, company: company! }),
      WidgetSession.canonicalString("p", { ...bare, candidates: candidates! }),
      WidgetSession.canonicalString("p", { ...bare, candidates: [] })
    ]).toEqual([
      "p|USR-001|john@example.com|John Doe||",
      "p|USR-001|john@example.com|John Doe|COMP-001|",
      "p|USR-001|john@example.com|John Doe||CND-001,CND-002",
      "p|USR-001|john@example.com|John Doe||"
    ])
  })

  it("keeps the order of the candidates", () => {
    const candidates = ["C-9", "C-1", "C-5", "C-1"].map((candidate_id) => ({ candidate_id }))
    expect(WidgetSession.canonicalString("p", { ...john, candidates }).split("|").at(-1)).toBe(
      "C-9,C-1,C-5,C-1"
    )
  })

  it("changes nothing in the values: spaces, pipes, newlines and unicode stay", () => {
    const user = { user_id: " U 1 ", email: "Jürgen@例え.jp", name: "A | B\n👩‍💻" }
    expect(WidgetSession.canonicalString("p", user)).toBe("p| U 1 |Jürgen@例え.jp|A | B\n👩‍💻||")
  })

  it("agrees with the document's wording for any user", () => {
    fc.assert(
      fc.property(anyText, anyUser, (partnerId, user) => {
        expect(WidgetSession.canonicalString(partnerId, user)).toBe(canonicalOf(partnerId, user))
      }),
      { numRuns: 500 }
    )
  })
})

describe("sign", () => {
  it("is the HMAC-SHA256 that node:crypto computes, for any user and any secret, unicode included", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.string({ minLength: 60, maxLength: 200 })),
        anyText,
        anyUser,
        (key, partner, user) => {
          const text = canonicalOf(partner, user)
          expect(Redacted.value(WidgetSession.sign(Redacted.make(key), text))).toBe(hmac(key, text))
        }
      ),
      { numRuns: 500 }
    )
  })

  it("T2: a signature does not print itself", () => {
    const signature = WidgetSession.sign(secretKey, "p|u|e|n||")
    const raw = hmac(secret, "p|u|e|n||")
    expect(
      [String(signature), JSON.stringify(signature), inspect(signature)].filter((text) =>
        text.includes(raw)
      )
    )
      .toEqual([])
  })
})

// -----------------------------------------------------------------------------
// the client, in virtual time
// -----------------------------------------------------------------------------

interface Arrived {
  readonly at: number
  readonly key: string | undefined
}

type Answer = number | "refused" | "reset"

/** A platform client that gives these answers in turn (the last for ever). */
const answering = (...answers: ReadonlyArray<Answer>) => {
  const arrived: Array<Arrived> = []
  const client = HttpClient.make((request) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      const answer = answers[Math.min(arrived.length, answers.length - 1)]!
      arrived.push({ at, key: request.headers["idempotency-key"] })
      return typeof answer === "number"
        ? Effect.succeed(
          HttpClientResponse.fromWeb(
            request,
            new Response(answer < 300 ? "{}" : null, { status: answer })
          )
        )
        : new HttpClientError.RequestError({
          request,
          reason: "Transport",
          cause: Object.assign(new Error(answer), {
            code: answer === "refused" ? "ECONNREFUSED" : "ECONNRESET"
          })
        })
    })
  )
  return { arrived, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const virtual = { baseUrl: "https://api.test", partnerId: "partner-1", secretKey }

/** One logical call, to its end, under the test clock. */
const createVirtually = (layer: Layer.Layer<HttpClient.HttpClient>) =>
  Effect.gen(function*() {
    const api = yield* WidgetSession.make(virtual)
    const fiber = yield* Effect.fork(
      Effect.exit(IdempotencyKey.provideNew(api.createSession(john)))
    )
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(layer))

describe("createSession, in virtual time", () => {
  it.effect("R4, R10: a persistent 503 makes exactly four requests, with waits in the document's intervals", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      const error = errorOf(yield* createVirtually(layer))
      const waits = arrived.slice(1).map(({ at }, n) => at - arrived[n]!.at)
      expect([error._tag, arrived.length]).toEqual(["Server", 4])
      expect(
        waits.map((wait, n) => wait >= 500 * 2 ** n && wait <= 500 * 2 ** n + 300),
        waits.join()
      ).toEqual([
        true,
        true,
        true
      ])
    }))

  it.effect("E20: any mix of answers and transport failures makes four requests as well", () =>
    Effect.gen(function*() {
      const mixes: ReadonlyArray<ReadonlyArray<Answer>> = [
        ["reset", 503],
        [503, "refused", 429, "reset"],
        [500, 502, 504, "reset"],
        ["refused"]
      ]
      const made = yield* Effect.forEach(mixes, (mix) => {
        const { arrived, layer } = answering(...mix)
        return Effect.map(createVirtually(layer), () => arrived.length)
      })
      expect(made).toEqual([4, 4, 4, 4])
    }))

  it.effect.each([401, 403, 404, 422])(
    "E2: a %i makes one request",
    (status) =>
      Effect.gen(function*() {
        const { arrived, layer } = answering(status)
        yield* createVirtually(layer)
        expect(arrived.length).toBe(1)
      })
  )

  it.effect.each([429, 500, 502, 503, 504])(
    "E2: a %i is tried again and the next answer counts",
    (status) =>
      Effect.gen(function*() {
        const { arrived, layer } = answering(status, 200)
        const exit = yield* createVirtually(layer)
        expect([Exit.isSuccess(exit), arrived.length]).toEqual([true, 2])
      })
  )

  it.effect("I1: every attempt carries the same key, the next call another", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      yield* createVirtually(layer)
      yield* createVirtually(layer)
      const keys = arrived.map(({ key }) => key)
      expect([
        keys.length,
        new Set(keys.slice(0, 4)).size,
        new Set(keys.slice(4)).size,
        new Set(keys).size
      ]).toEqual([
        8,
        1,
        1,
        2
      ])
      expect(keys.includes(undefined)).toBe(false)
    }))

  it.effect("R12: interruption during a delay ends the call", () =>
    Effect.gen(function*() {
      const { arrived, layer } = answering(503)
      const api = yield* Effect.provide(WidgetSession.make(virtual), layer)
      const fiber = yield* Effect.fork(IdempotencyKey.provideNew(api.createSession(john)))
      yield* TestClock.adjust("100 millis")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect([Exit.isInterrupted(exit), arrived.length]).toEqual([true, 1])
    }))

  it.effect("E7: a success that cannot be read is final for a call with a key", () =>
    Effect.gen(function*() {
      let requests = 0
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          requests++
          return HttpClientResponse.fromWeb(request, new Response("<html>", { status: 200 }))
        })
      )
      const error = errorOf(yield* createVirtually(Layer.succeed(HttpClient.HttpClient, client)))
      expect([error._tag, "code" in error && error.code, requests]).toEqual([
        "Server",
        "unreadable_response",
        1
      ])
    }))

  /** One logical call to an API that gives this to every attempt. */
  const createdBy = (respond: () => Effect.Effect<Response>) =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const client = HttpClient.make((request) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          at.push(now)
          return Effect.map(respond(), (response) => HttpClientResponse.fromWeb(request, response))
        })
      )
      const exit = yield* createVirtually(Layer.succeed(HttpClient.HttpClient, client))
      return { at, exit }
    })

  it.effect("a head that never comes is cut after 15 s, and the call goes on", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* createdBy(() => Effect.never)
      const waits = at.slice(1).map((time, n) => time - (at[n] ?? 0))
      expect([errorOf(exit)._tag, at.length]).toEqual(["Timeout", 4])
      expect(waits.map((wait, n) => wait >= 15_000 + 500 * 2 ** n && wait <= 15_300 + 500 * 2 ** n))
        .toEqual([
          true,
          true,
          true
        ])
    }))

  it.effect("a body that never ends is cut after 15 s, and the next answer counts", () =>
    Effect.gen(function*() {
      let calls = 0
      const { at, exit } = yield* createdBy(() =>
        Effect.sync(() =>
          calls++ === 0
            ? new Response(
              new ReadableStream<Uint8Array>({
                start: (controller) =>
                  controller.enqueue(new TextEncoder().encode("{\"session_id\""))
              })
            )
            : new Response("{\"session_id\":\"SES-1\"}")
        )
      )
      expect([
        Exit.isSuccess(exit) && exit.value.session.session_id,
        at.length,
        (at[1] ?? 0) >= 15_500
      ]).toEqual([
        "SES-1",
        2,
        true
      ])
    }))

  it("all attempts together have 3 minutes", () => {
    const { attemptTimeout, totalTimeout } = WidgetSession.stages
    expect([attemptTimeout, totalTimeout]).toEqual(["15 seconds", "3 minutes"])
  })

  it.effect.each(
    [
      ["204", null, 204],
      ["an empty 200", "", 200],
      ["fields of another type", "{\"session_id\":7,\"session_token\":{\"a\":1}}", 201],
      ["a list", "[]", 200],
      ["null", "null", 200]
    ] as const
  )(
    "E7: %s is a session that says nothing of itself",
    ([, body, status]) =>
      Effect.gen(function*() {
        const { at, exit } = yield* createdBy(() =>
          Effect.sync(() => new Response(body, { status }))
        )
        expect([Exit.isSuccess(exit) && exit.value, at.length]).toEqual([{
          session: {},
          replayed: false
        }, 1])
      })
  )

  it.effect.each([["true", true], ["?1", true], ["false", false], ["?0", false]] as const)(
    "Idempotent-Replayed: %s is replayed: %s",
    ([header, replayed]) =>
      Effect.gen(function*() {
        const headers = { "idempotent-replayed": header }
        const { exit } = yield* createdBy(() => Effect.sync(() => new Response("{}", { headers })))
        expect(Exit.isSuccess(exit) && exit.value.replayed).toBe(replayed)
      })
  )
})

// -----------------------------------------------------------------------------
// the client, over real HTTP
// -----------------------------------------------------------------------------

const token = "tok-5ad2-session-token"

/**
 * The partner's server: it checks the signature with node:crypto, against the partner id of the
 * URL.
 */
const partner = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { signature, user } = (yield* request.json) as WidgetSession.Request
  const partnerId = decodeURIComponent(request.url.split("/")[3] ?? "")
  return signature === hmac(secret, canonicalOf(partnerId, user))
    ? HttpServerResponse.unsafeJson({ session_id: "s-1", session_token: token }, { status: 200 })
    : HttpServerResponse.unsafeJson({ message: "Invalid Signature" }, { status: 401 })
})

/** The strategy of the document with its waits taken out. */
const hasty = Pipeline.make({
  operation: Operation.keyed,
  retry: { ...WidgetSession.retry, backoff: Backoff.constant("1 millis") }
})

const connect = (api: FlakyApi.FlakyApi, options: Partial<WidgetSession.Options<never>> = {}) =>
  Effect.flatMap(
    hasty,
    (pipeline) =>
      WidgetSession.make({
        baseUrl: api.url,
        partnerId: "partner 1|é",
        secretKey,
        pipeline,
        ...options
      })
  )

const live = Effect.provide(NodeHttpClient.layerUndici)

const create = (
  faults: ReadonlyArray<FlakyApi.Fault> | FlakyApi.Script,
  options: Partial<WidgetSession.Options<never>> = {}
) =>
  Effect.gen(function*() {
    const api = yield* FlakyApi.make({
      app: Effect.orDie(partner),
      script: typeof faults === "function" ? faults : FlakyApi.sequence(faults)
    })
    const client = yield* connect(api, options)
    const exit = yield* Effect.exit(IdempotencyKey.provideNew(client.createSession(john)))
    const received = yield* api.received
    return {
      exit,
      requests: received.length,
      keys: new Set(
        received.map(({ key }) => Option.getOrUndefined(Option.map(key, Redacted.value)))
      ),
      executed: (yield* api.executed).length
    }
  }).pipe(Effect.scoped, live)

/** What a user reads, by status. */
const sentences: Readonly<Record<number, readonly [en: string, de: RegExp]>> = {
  401: ["The widget could not be opened. Our team has been told.", /informiert/],
  403: ["The widget is not available on this site.", /auf dieser Seite/],
  404: ["The widget is not available at the moment.", /zurzeit nicht/],
  422: ["Some of the details are not valid. Please check them and try again.", /Angaben/],
  429: ["We are a little busy. Please try again in a moment.", /gefragt/],
  500: ["A partner service has a problem. Please try again in a moment.", /Problem/],
  502: ["A partner service has a problem. Please try again in a moment.", /Problem/],
  503: ["A partner service has a problem. Please try again in a moment.", /Problem/],
  504: ["A partner service has a problem. Please try again in a moment.", /Problem/]
}

/** A client of the server of this API, over real HTTP in virtual time. */
const against = <A, E>(
  script: FlakyApi.Script,
  use: (client: WidgetSession.WidgetSession) => Effect.Effect<A, E>,
  options: Partial<WidgetSession.Options> = {}
) =>
  Effect.gen(function*() {
    const { layer, run } = yield* virtualHttp
    const api = yield* Server.make({ script })
    const client = yield* Effect.provide(
      WidgetSession.make({ baseUrl: api.url, ...Server.partner, ...options }),
      layer
    )
    const { at, exit } = yield* run(use(client))
    return { exit, waits: waits(at), requests: (yield* api.received).length }
  }).pipe(Effect.scoped)

const createNew = (client: WidgetSession.WidgetSession) =>
  IdempotencyKey.provideNew(client.createSession(john))

describe("the table of the document, over real HTTP in virtual time", () => {
  it.effect.each(rows)(
    "%i, retry: %s, is %s: requests, waits, and what the user reads",
    ([status, retry, tag]) =>
      Effect.gen(function*() {
        const { exit, requests, waits } = yield* against(() => FlakyApi.status(status), createNew)
        const error = errorOf(exit)
        const [en, de] = sentences[status] ?? ["", /^$/]
        expect([error._tag, requests]).toEqual([tag, retry === "Yes" ? 4 : 1])
        const late = [[500, 801], [1000, 1301], [2000, 2301]].slice(0, requests - 1)
        expect(late.map(([from = 0, to = 0], n) => waits[n]! >= from && waits[n]! <= to)).toEqual(
          late.map(() => true)
        )
        expect(WidgetSession.userMessage(error)).toBe(en)
        expect(WidgetSession.userMessage(error, { locale: "de" })).toMatch(de)
      })
  )

  /** What the server finds by itself. */
  const found: ReadonlyArray<
    readonly [
      what: string,
      tag: string,
      options: Partial<WidgetSession.Options>,
      user: WidgetSession.Draft
    ]
  > = [
    ["an invalid signature", "Auth", { secretKey: Redacted.make("of another environment") }, john],
    ["a domain that is not whitelisted", "Policy", { domain: "https://elsewhere.example" }, john],
    ["a partner that is inactive", "NotFound", { partnerId: "partner-0" }, john],
    ["a payload that is invalid", "Validation", {}, { ...john, email: "john" }]
  ]
  it.effect.each(found)("%s is %s at once", ([, tag, options, user]) =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(
        () => FlakyApi.none,
        (client) => IdempotencyKey.provideNew(client.createSession(user)),
        options
      )
      expect([errorOf(exit)._tag, requests]).toEqual([tag, 1])
    }))

  it.effect("200: a session, once", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* against(() => FlakyApi.none, createNew)
      expect([Exit.isSuccess(exit) && exit.value.session.session_id, requests]).toEqual([
        `SES-${john.user_id}`,
        1
      ])
    }))
})

describe("when calls go on failing", () => {
  it("each rule has the route of the document", () => {
    expect(Object.fromEntries(WidgetSession.incidentRules.map(({ name, route }) => [name, route])))
      .toMatchObject({
        unauthorized: expect.stringContaining("diagnose401"),
        forbidden: "have the domain whitelisted for tokenized widget access",
        "not-found": "check the partner id, and that the partner is active",
        "validation-errors": expect.stringContaining("diagnose422")
      })
  })

  it.effect("twenty invalid signatures are one incident", () =>
    Effect.gen(function*() {
      const detector = yield* Incident.make({ rules: WidgetSession.incidentRules })
      const raised = yield* Effect.fork(Stream.runCollect(Stream.take(detector.incidents, 1)))
      yield* Effect.yieldNow()
      const { requests } = yield* against(
        () => FlakyApi.none,
        (client) => Effect.forEach(Array(20).fill(0), () => Effect.exit(createNew(client))),
        { detector, secretKey: Redacted.make("of another environment") }
      )
      const [incident] = yield* Fiber.join(raised)
      expect([requests, incident?.name, incident?.integration, incident?.endpoint]).toEqual([
        20,
        "unauthorized",
        "widget-session",
        "/v1/partners/:partnerId/sessions"
      ])
    }))

  it.effect("T4: the fields of the last error, to be logged and forwarded", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(() => FlakyApi.unavailable(), createNew)
      expect(WidgetSession.logFields(errorOf(exit), { environment: "production" })).toMatchObject({
        integration: "widget-session",
        environment: "production",
        endpoint: "/v1/partners/:partnerId/sessions",
        status: 503,
        attempts: 4,
        retries: 3,
        error: "Server"
      })
    }))
})

describe("debugRecord", () => {
  const request = {
    urlPartnerId: "partner-1024",
    user: { ...john, candidates: [{ candidate_id: "CND-1" }, { candidate_id: "CND-2" }] },
    secretKey: Server.partner.secretKey
  }
  const right = WidgetSession.sign(
    request.secretKey,
    WidgetSession.canonicalString(request.urlPartnerId, request.user)
  )

  it.effect("a signature that matches: equal fingerprints, a canonical string without its values", () =>
    Effect.gen(function*() {
      const record = yield* WidgetSession.debugRecord({ ...request, signature: right })
      const { generatedSignature, requestSignature, ...rest } = record
      expect(rest).toEqual({
        partnerId: "partner-1024",
        canonical: "partner-1024|***|***|***|***|***,***",
        matchSignature: true
      })
      expect([generatedSignature === requestSignature, generatedSignature]).toEqual([
        true,
        expect.stringMatching(/^[0-9a-f]{16}$/)
      ])
    }))

  it.effect("one that does not: other fingerprints; white space and a wrong partner show", () =>
    Effect.gen(function*() {
      const canonical = "partner-2| USR-001|a@b.example |Ada||"
      const signature = WidgetSession.sign(request.secretKey, canonical)
      const record = yield* WidgetSession.debugRecord({ ...request, canonical, signature })
      expect([
        record.canonical,
        record.matchSignature,
        record.generatedSignature === record.requestSignature
      ]).toEqual([
        "***| ***|*** |***||",
        false,
        false
      ])
    }))

  it.effect("T1, T3: neither secret nor signatures nor anything about the user", () =>
    Effect.gen(function*() {
      const record = JSON.stringify(
        yield* WidgetSession.debugRecord({ ...request, signature: right })
      )
      const secrets = [
        Redacted.value(request.secretKey),
        Redacted.value(right),
        john.email ?? "",
        john.name ?? "",
        "CND-1"
      ]
      expect(leaks([record], ...secrets)).toEqual([])
    }))
})

describe("the circuit breaker of the document", () => {
  it("has the document's numbers", () => {
    expect(WidgetSession.stages.circuitBreaker).toEqual({
      window: CircuitBreaker.count(20),
      minimumCalls: 10,
      failureRate: 0.5,
      slowCall: { duration: "3 seconds", rate: 0.6 },
      openDuration: "30 seconds",
      halfOpen: CircuitBreaker.consecutive(3)
    })
    expect(Pipeline.describe(WidgetSession.stages).worstCaseCalls).toBe(4)
  })

  it.effect("B1: after ten failed attempts calls fail without a request, for 30 s; three successes close it", () =>
    Effect.gen(function*() {
      const { layer, run } = yield* virtualHttp
      const api = yield* FlakyApi.make({
        app: Effect.orDie(partner),
        script: FlakyApi.sequence(Array(10).fill(FlakyApi.unavailable()))
      })
      const client = yield* Effect.provide(
        WidgetSession.make({ baseUrl: api.url, partnerId: "partner 1|é", secretKey }),
        layer
      )
      const requests = Effect.map(api.received, ({ length }) => length)
      const create = Effect.map(
        run(IdempotencyKey.provideNew(client.createSession(john))),
        ({ exit }) => Exit.isSuccess(exit) ? "created" : errorOf(exit)._tag
      )
      // Four attempts, four more, and two.
      expect([yield* create, yield* create, yield* create, yield* requests]).toEqual([
        "Server",
        "Server",
        "CircuitOpen",
        10
      ])
      expect([yield* create, yield* requests]).toEqual(["CircuitOpen", 10])
      yield* TestClock.adjust("30 seconds")
      expect([yield* create, yield* create, yield* create, yield* create, yield* requests]).toEqual(
        [
          ...Array(4).fill("created"),
          14
        ]
      )
    }).pipe(Effect.scoped))
})

describe("createSession, over real HTTP", () => {
  it.live("signs so that a server with node:crypto accepts it, and reads the session", () =>
    Effect.gen(function*() {
      const { executed, exit, requests } = yield* create([])
      const created = Exit.isSuccess(exit) ? exit.value : undefined
      expect([created?.session.session_id, created?.replayed, requests, executed]).toEqual([
        "s-1",
        false,
        1,
        1
      ])
      expect(
        created?.session.session_token === undefined
          ? ""
          : Redacted.value(created.session.session_token)
      ).toBe(
        token
      )
      expect(inspect(created, { depth: null })).not.toContain(token)
    }))

  it.live("the secret of another environment is an Auth", () =>
    Effect.gen(function*() {
      const { exit, requests } = yield* create([], { secretKey: Redacted.make(devSecret) })
      expect([errorOf(exit)._tag, errorOf(exit).message, requests]).toEqual([
        "Auth",
        "Invalid Signature",
        1
      ])
    }))

  it.live.each(rows)("E1: %i (retry: %s) is %s", ([status, retry, tag]) =>
    Effect.gen(function*() {
      const { executed, exit, requests } = yield* create(() => FlakyApi.status(status))
      const error = errorOf(exit) as ApiError.ApiError
      expect([error._tag, error.status, error.attempts, requests, executed]).toEqual([
        tag,
        status,
        ...(retry === "Yes" ? [4, 4] : [1, 1]),
        0
      ])
    }))

  it.live("E1: a 504 says that it was a gateway", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* create(() => FlakyApi.gatewayTimeout())).exit)
      expect(error._tag === "Server" && error.gateway).toBe(true)
    }))

  it.live("E9: the endpoint is the template and does not show the partner", () =>
    Effect.gen(function*() {
      const error = errorOf((yield* create(() => FlakyApi.status(404))).exit) as ApiError.ApiError
      expect([error.endpoint, error.method]).toEqual(["/v1/partners/:partnerId/sessions", "POST"])
    }))

  it.live("I1: a reset after the work was done: the same key again, one execution, recognised as replayed", () =>
    Effect.gen(function*() {
      const faults = [
        FlakyApi.unavailable(),
        FlakyApi.reset({ when: "after" }),
        FlakyApi.gatewayTimeout({ when: "after" })
      ]
      const { executed, exit, keys, requests } = yield* create(faults)
      const created = Exit.isSuccess(exit) ? exit.value : undefined
      expect([created?.replayed, created?.session.session_id, requests, keys.size, executed])
        .toEqual([
          true,
          "s-1",
          4,
          1,
          1
        ])
    }))

  it.live("E4: a server that is not there is a Network error that was not sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: Effect.orDie(partner) })
        yield* api.stop
        const client = yield* connect(api)
        return yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
      }).pipe(Effect.scoped, live)
      expect([
        error._tag,
        error._tag === "Network" && error.sent,
        "attempts" in error && error.attempts
      ]).toEqual([
        "Network",
        "no",
        4
      ])
    }))

  it.live("the domain is sent as Origin, the path can be said", () =>
    Effect.gen(function*() {
      const seen = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: HttpServerResponse.unsafeJson({}) })
        const client = yield* connect(api, {
          domain: "https://shop.example",
          path: "/api/create-session"
        })
        yield* IdempotencyKey.provideNew(client.createSession(john))
        return yield* api.received
      }).pipe(Effect.scoped, live)
      expect(seen.map(({ headers, method, path }) => [method, path, headers["origin"]])).toEqual([
        ["POST", "/api/create-session", "https://shop.example"]
      ])
    }))

  it.live("E9: a path that is said has the partner filled in, and is the endpoint of errors", () =>
    Effect.gen(function*() {
      const [seen, endpoint] = yield* Effect.gen(function*() {
        const api = yield* FlakyApi.make({ app: HttpServerResponse.empty({ status: 404 }) })
        const client = yield* connect(api, { path: "/v2/:partnerId/widget" })
        const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
        return [yield* api.received, "endpoint" in error && error.endpoint] as const
      }).pipe(Effect.scoped, live)
      expect([seen.map(({ path }) => path), endpoint]).toEqual([
        [`/v2/${encodeURIComponent("partner 1|é")}/widget`],
        "/v2/:partnerId/widget"
      ])
    }))
})

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("what is never shown (T1, T2)", () => {
  const signature = hmac(secret, canonicalOf("partner-1", john))
  const key = "key-77f1-of-row-17"

  /**
   * Every way in which the outcome of a call can be printed: inside a fiber, outside, as a log
   * line, in a span.
   */
  const renderings = (answer: FlakyApi.Fault) =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const logger = Logger.make(({ cause, message }) =>
        texts.push(inspect(message, { depth: null }), Cause.pretty(cause))
      )
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const span: Tracer.Span = {
            _tag: "Span",
            name,
            spanId: "1".repeat(16),
            traceId: "2".repeat(32),
            parent,
            context,
            links,
            kind,
            sampled: true,
            status: { _tag: "Started", startTime },
            attributes: new Map(),
            attribute: (name, value) => texts.push(`${name}=${inspect(value, { depth: null })}`),
            event: (name, _, attributes) =>
              texts.push(`${name} ${inspect(attributes, { depth: null })}`),
            addLinks: () => {},
            end: (_, exit) => texts.push(name, Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
          }
          return span
        },
        context: (f) => f()
      })
      const api = yield* FlakyApi.make({ app: HttpServerResponse.empty(), script: () => answer })
      const client = yield* connect(api, { partnerId: "partner-1" })
      const call = IdempotencyKey.provide(
        client.createSession(john),
        yield* IdempotencyKey.fromString(key)
      )
      const cause = yield* call.pipe(
        Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
        Effect.sandbox,
        Effect.flip,
        Effect.withTracer(tracer),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const error = Cause.squash(cause)
      const outside = yield* Effect.promise(() =>
        Effect.runPromise(Effect.failCause(cause)).catch((error: unknown) => error)
      )
      for (const value of [error, outside, cause]) {
        texts.push(
          String(value),
          JSON.stringify(value),
          inspect(value, { depth: null, showHidden: true }),
          Inspectable.toStringUnknown(value),
          Inspectable.format(value)
        )
      }
      texts.push(
        Cause.pretty(cause, { renderErrorCause: true }),
        (error as Error).stack ?? "",
        (error as Error).message,
        ApiError.isApiError(error)
          ? JSON.stringify(Schema.encodeSync(ApiError.ApiError)(error))
          : ""
      )
      return texts
    }).pipe(Effect.scoped, live)

  /** Answers that say back what was sent, in every place from which an error takes a text. */
  const echoes = (said: string): ReadonlyArray<readonly [name: string, fault: FlakyApi.Fault]> => {
    const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
      FlakyApi.status(status, {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers }
      })
    return [
      ["a message", json(401, { message: `expected other than ${said}` })],
      ["an error text", json(403, { error: said })],
      ["a nested error", json(503, { error: { type: said, code: said, message: said } })],
      ["a problem", json(422, { type: said, title: said, detail: said })],
      [
        "issues",
        json(422, {
          message: "invalid",
          issues: [{ path: said, message: said }],
          errors: { [said]: said }
        })
      ],
      ["a request id", json(404, { message: "no", request_id: said }, { "x-request-id": said })],
      [
        "headers",
        json(500, {}, {
          "server": said,
          "x-correlation-id": said,
          "etag": said,
          "retry-after": said
        })
      ],
      ["HTML", FlakyApi.htmlPage(502, { body: `<html>${said}</html>` })],
      ["a success that is no JSON", FlakyApi.status(200, { body: `${said} {` })]
    ]
  }

  const leaks = (texts: ReadonlyArray<string | undefined>, value: string) =>
    texts.filter((text) => text?.toLowerCase().includes(value.toLowerCase()))

  it.live.each(echoes(signature))(
    "T1: the signature, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(signature.toUpperCase()))(
    "T1: the signature in capitals, in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), signature)).toEqual([])
      })
  )

  it.live.each(echoes(key))(
    "I5: the idempotency key, when the server says it back in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), key)).toEqual([])
      })
  )

  it.live.each(echoes(secret))(
    "T1, T2: the secretKey, when the server says it in %s",
    ([, fault]) =>
      Effect.gen(function*() {
        expect(leaks(yield* renderings(fault), secret)).toEqual([])
      })
  )

  it.live("T1: the rest of the API's message is kept", () =>
    Effect.gen(function*() {
      const texts = yield* renderings(FlakyApi.status(401, {
        body: JSON.stringify({ message: `signature ${signature} does not match` })
      }))
      expect(leaks(texts, "does not match").length).toBeGreaterThan(5)
    }))

  it.live("T1: no secret when nobody answers", () =>
    Effect.gen(function*() {
      const texts = yield* renderings(FlakyApi.reset())
      expect([...leaks(texts, secret), ...leaks(texts, signature), ...leaks(texts, key)]).toEqual(
        []
      )
    }))
})

// -----------------------------------------------------------------------------
// diagnose401
// -----------------------------------------------------------------------------

/**
 * What was done wrongly, item by item of the checklist, on the way from a user to a signed string.
 */
interface Mistakes {
  readonly partnerId?: string
  readonly fieldOrder?: ReadonlyArray<number>
  readonly delimiter?: string
  readonly emptyOptionals?: true
  readonly whitespace?: (text: string) => string
  readonly environment?: true
  readonly candidateOrder?: (ids: ReadonlyArray<string>) => ReadonlyArray<string>
}

type Item = keyof Mistakes

const partnerId = "partner-1"

/** Without a company, so that leaving out what is empty makes a difference. */
const jane: User = {
  user_id: "USR-002",
  email: "jane@example.com",
  name: "Jane Roe",
  candidates: ["CND-003", "CND-001", "CND-002"].map((candidate_id) => ({ candidate_id }))
}

const wrongly = (user: User, mistakes: Mistakes): string => {
  const ids = (user.candidates ?? []).map(({ candidate_id }) => candidate_id)
  const fields = [
    mistakes.partnerId ?? partnerId,
    user.user_id,
    user.email,
    user.name,
    user.company?.company_id ?? "",
    (mistakes.candidateOrder ?? ((ids) => ids))(ids).join(",")
  ]
  const ordered = (mistakes.fieldOrder ?? [0, 1, 2, 3, 4, 5]).map((index) => fields[index]!)
  const kept = mistakes.emptyOptionals === true ? ordered.filter((field) => field !== "") : ordered
  return (mistakes.whitespace ?? ((text) => text))(kept.join(mistakes.delimiter ?? "|"))
}

const requestOf = (
  user: User,
  mistakes: Mistakes
): WidgetSession.SignedRequest & { readonly canonical: string } => {
  const canonical = wrongly(user, mistakes)
  return {
    urlPartnerId: partnerId,
    user,
    secretKey,
    otherSecrets: { development: Redacted.make(devSecret) },
    signature: hmac(mistakes.environment === true ? devSecret : secret, canonical),
    canonical
  }
}

const itemsOf = (findings: ReadonlyArray<WidgetSession.Finding>) =>
  findings.map(({ item }) => item).toSorted()

const known = (user: User, mistakes: Mistakes) =>
  itemsOf(WidgetSession.diagnose401(requestOf(user, mistakes)))

/** The canonical string is not known: it has to be found. */
const guessed = (user: User, mistakes: Mistakes) => {
  const { canonical: _, ...request } = requestOf(user, mistakes)
  return itemsOf(WidgetSession.diagnose401(request))
}

const reversed = (ids: ReadonlyArray<string>) => ids.toReversed()

const typical: Required<Mistakes> = {
  partnerId: "Partner-1".toUpperCase(),
  fieldOrder: [0, 2, 1, 3, 4, 5],
  delimiter: ";",
  emptyOptionals: true,
  whitespace: (text) => `${text}\n`,
  environment: true,
  candidateOrder: reversed
}

const items = Object.keys(typical) as ReadonlyArray<Item>
const only = (...items: ReadonlyArray<Item>): Mistakes =>
  Object.fromEntries(items.map((item) => [item, typical[item]]))
const pairs = items.flatMap((a, index) => items.slice(index + 1).map((b) => [a, b] as const))

/**
 * How long something takes, in milliseconds: by the clock or by the processor, whichever is less.
 */
const busy = (work: () => unknown): number => {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  work()
  const { system, user } = process.cpuUsage(before)
  return Math.min(performance.now() - startedAt, (system + user) / 1000)
}

describe("diagnose401: each item of the checklist", () => {
  const single: ReadonlyArray<readonly [item: Item, what: string, mistakes: Mistakes]> = [
    ["partnerId", "another letter case", { partnerId: "PARTNER-1" }],
    ["fieldOrder", "email before user_id", { fieldOrder: [0, 2, 1, 3, 4, 5] }],
    ["fieldOrder", "partnerId last", { fieldOrder: [1, 2, 3, 4, 5, 0] }],
    ["fieldOrder", "candidates before company", { fieldOrder: [0, 1, 2, 3, 5, 4] }],
    ["fieldOrder", "all of it backwards", { fieldOrder: [5, 4, 3, 2, 1, 0] }],
    ["delimiter", "a comma", { delimiter: "," }],
    ["delimiter", "a colon", { delimiter: ":" }],
    ["delimiter", "nothing at all", { delimiter: "" }],
    ["delimiter", "a pipe between the candidates", { candidateOrder: (ids) => [ids.join("|")] }],
    ["delimiter", "a semicolon between the candidates", {
      candidateOrder: (ids) => [ids.join(";")]
    }],
    ["emptyOptionals", "the company left out", { emptyOptionals: true }],
    ["whitespace", "a newline at the end", { whitespace: (text) => `${text}\n` }],
    ["whitespace", "a space in front", { whitespace: (text) => ` ${text}` }],
    ["whitespace", "spaces around the delimiter", {
      whitespace: (text) => text.replaceAll("|", " | ")
    }],
    ["whitespace", "a byte order mark", { whitespace: (text) => `\uFEFF${text}` }],
    ["whitespace", "a hidden character at the end", { whitespace: (text) => `${text}\u200B` }],
    ["environment", "the secret of development", { environment: true }],
    ["candidateOrder", "backwards", { candidateOrder: reversed }],
    ["candidateOrder", "sorted", { candidateOrder: (ids) => ids.toSorted() }],
    ["candidateOrder", "the first two swapped", { candidateOrder: ([a, b, c]) => [b!, a!, c!] }]
  ]

  it.each(single)("%s: %s, with the canonical string", (item, _, mistakes) => {
    expect(known(jane, mistakes)).toEqual([item])
  })

  it.each(single)("%s: %s, without it", (item, _, mistakes) => {
    expect(guessed(jane, mistakes)).toEqual([item])
  })

  const onlyKnown: ReadonlyArray<readonly [item: Item, what: string, mistakes: Mistakes]> = [
    ["partnerId", "of another partner", { partnerId: "acme-7" }],
    ["partnerId", "with a space in it", { partnerId: "partner 1" }],
    ["partnerId", "left empty", { partnerId: "" }],
    ["whitespace", "a space too many within the name", {
      whitespace: (text) => text.replace("Jane Roe", "Jane  Roe")
    }],
    ["whitespace", "a newline within the name", {
      whitespace: (text) => text.replace("Jane Roe", "Jane\n Roe")
    }],
    ["whitespace", "a space within the user id", {
      whitespace: (text) => text.replace("USR-002", "USR -002")
    }],
    ["whitespace", "a hidden character within the email", {
      whitespace: (text) => text.replace("@", "\u200B@")
    }],
    ["whitespace", "a soft hyphen", { whitespace: (text) => text.replace("Jane", "Ja\u00ADne") }],
    ["whitespace", "a carriage return after one field", {
      whitespace: (text) => text.replace("Roe|", "Roe\r|")
    }]
  ]

  it.each(onlyKnown)("%s: %s, with the canonical string", (item, _, mistakes) => {
    expect(known(jane, mistakes)).toEqual([item])
  })

  it("partnerId: percent-encoded in the URL, plain in the string", () => {
    const user = jane
    const signature = hmac(secret, canonicalOf("acme inc", user))
    const findings = WidgetSession.diagnose401({
      urlPartnerId: "acme%20inc",
      user,
      signature,
      secretKey
    })
    expect(itemsOf(findings)).toEqual(["partnerId"])
  })

  it("environment: the message names the environment whose secret was used", () => {
    const { canonical: _, ...request } = requestOf(jane, { environment: true })
    const otherSecrets = {
      staging: Redacted.make("staging-1234-secret"),
      development: Redacted.make(devSecret)
    }
    const findings = WidgetSession.diagnose401({ ...request, otherSecrets })
    expect(
      findings.map((
        { item, message }
      ) => [item, /development/.test(message), /staging/.test(message)])
    ).toEqual([
      ["environment", true, false]
    ])
  })

  it("a mistake that is ours alone is not blamed on the environment as well", () => {
    const { canonical: _, ...request } = requestOf(jane, { emptyOptionals: true })
    const otherSecrets = { first: Redacted.make(devSecret), second: Redacted.make("x") }
    expect(itemsOf(WidgetSession.diagnose401({ ...request, otherSecrets }))).toEqual([
      "emptyOptionals"
    ])
  })

  it("the signature may be redacted", () => {
    const { canonical: _, signature, ...request } = requestOf(jane, { emptyOptionals: true })
    const findings = WidgetSession.diagnose401({
      ...request,
      signature: Redacted.make(signature as string)
    })
    expect(itemsOf(findings)).toEqual(["emptyOptionals"])
  })

  it("candidateOrder: one swap among many, with the canonical string", () => {
    const candidates = Array.from({ length: 12 }, (_, i) => ({ candidate_id: `CND-${i}` }))
    const swapped = (ids: ReadonlyArray<string>) => [ids[1]!, ids[0]!, ...ids.slice(2)]
    expect(known({ ...jane, candidates }, { candidateOrder: swapped })).toEqual(["candidateOrder"])
  })

  it.each(
    [["sorted", (ids: ReadonlyArray<string>) => ids.toSorted()], ["backwards", reversed]] as const
  )(
    "candidateOrder: many, %s, without the canonical string",
    (_, candidateOrder) => {
      const candidates = Array.from(
        { length: 12 },
        (_, i) => ({ candidate_id: `CND-${(i * 5) % 12}` })
      )
      expect(guessed({ ...jane, candidates }, { candidateOrder })).toEqual(["candidateOrder"])
    }
  )
})

describe("diagnose401: two mistakes", () => {
  it.each(pairs)("%s and %s, with the canonical string", (a, b) => {
    expect(known(jane, only(a, b))).toEqual([a, b].toSorted())
  })

  it.each(pairs)("%s and %s, without it", (a, b) => {
    expect(guessed(jane, only(a, b))).toEqual([a, b].toSorted())
  })

  it.each(["fieldOrder", "delimiter"] as const)(
    "the id of another partner and %s, with the canonical string",
    (item) => {
      expect(known(jane, { ...only(item), partnerId: "acme-7" })).toEqual(
        ["partnerId", item].toSorted()
      )
    }
  )

  it("the id of another partner that is not in front, with the canonical string", () => {
    expect(known(jane, { partnerId: "acme-7", fieldOrder: [1, 0, 2, 3, 4, 5] })).toEqual([
      "fieldOrder",
      "partnerId"
    ])
  })
})

describe("diagnose401: nothing to find", () => {
  it("no mistake at all: nothing in the string is blamed, only the environment is left", () => {
    expect([...known(jane, {}), ...guessed(jane, {})].filter((item) => item !== "environment"))
      .toEqual([])
    expect([...known(john, {}), ...guessed(john, {})].filter((item) => item !== "environment"))
      .toEqual([])
  })

  it("a signature that nothing explains is said to be unexplained", () => {
    const { canonical: _, ...request } = requestOf(jane, {})
    const findings = WidgetSession.diagnose401({
      ...request,
      signature: hmac("nobody's secret", "something else")
    })
    expect(findings.length).toBeGreaterThan(0)
    expect(itemsOf(findings).filter((item) => items.includes(item as Item))).toEqual([])
  })

  it("values of another payload are no item of the checklist", () => {
    const findings = known(jane, {
      whitespace: (text) => text.replace("jane@example.com", "jane@example.org")
    })
    expect(findings.filter((item) => items.includes(item as Item))).toEqual([])
    expect(findings.length).toBeGreaterThan(0)
  })
})

describe("diagnose401: data that looks like mistakes", () => {
  const odd: ReadonlyArray<readonly [what: string, user: User]> = [
    ["spaces within values", { ...jane, user_id: "USR 002", name: "Jane  Q.  Roe" }],
    ["spaces at the edges of values", { ...jane, name: " Jane " }],
    ["pipes", { ...jane, name: "Jane | Roe", user_id: "a|b" }],
    ["commas in candidate ids", {
      ...jane,
      candidates: [{ candidate_id: "a,b" }, { candidate_id: "c" }]
    }],
    ["unicode", { ...jane, name: "Åsa 李 👩‍💻", user_id: "é" }],
    ["hidden characters", { ...jane, name: "Jane\u200BRoe\u00A0" }],
    ["equal values", { user_id: "x", email: "x", name: "x" }],
    ["no optionals", { user_id: "u", email: "e@x.io", name: "n" }]
  ]

  it.each(odd)("%s: no mistake is made of them", (_, user) => {
    expect([...known(user, {}), ...guessed(user, {})].filter((item) => item !== "environment"))
      .toEqual([])
  })

  it.each(odd)("%s: a newline at the end is still found", (_, user) => {
    expect([known(user, only("whitespace")), guessed(user, only("whitespace"))]).toEqual([[
      "whitespace"
    ], [
      "whitespace"
    ]])
  })

  it.each(odd)("%s: another environment is still found", (_, user) => {
    expect([known(user, only("environment")), guessed(user, only("environment"))]).toEqual([
      ["environment"],
      ["environment"]
    ])
  })
})

describe("diagnose401: any user", () => {
  /** Values that no mistake turns into one another. */
  const plainUser: fc.Arbitrary<User> = fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{2,8}$/), {
    minLength: 7,
    maxLength: 7
  }).chain(([user_id, email, name, surname, company_id, ...ids]) =>
    fc.record({
      user_id: fc.constant(user_id!),
      email: fc.constant(`${email}@example.com`),
      name: fc.constantFrom(name!, `${name} ${surname}`, `${name} 李 ${surname}`),
      company: fc.constantFrom(undefined, { company_id: company_id! }),
      candidates: fc.constantFrom(undefined, ids.map((candidate_id) => ({ candidate_id })))
    })
  ).map(({ candidates, company, ...user }) => ({
    ...user,
    ...(company === undefined ? {} : { company }),
    ...(candidates === undefined ? {} : { candidates })
  }))

  const single: fc.Arbitrary<Mistakes> = fc.oneof(
    fc.constantFrom<Mistakes>(
      { partnerId: "PARTNER-1" },
      { emptyOptionals: true },
      { environment: true },
      { candidateOrder: reversed }
    ),
    fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }).map((fieldOrder) => ({ fieldOrder })),
    fc.constantFrom(",", ";", ":").map((delimiter) => ({ delimiter })),
    fc.constantFrom<(text: string) => string>(
      (text) => `${text}\n`,
      (text) => ` ${text}`,
      (text) => `\uFEFF${text}`,
      (text) => text.replaceAll("|", " | ")
    ).map((whitespace) => ({ whitespace }))
  )

  const found = (user: User, mistakes: Mistakes, diagnose: typeof known) => {
    const item = Object.keys(mistakes)[0]!
    const changed = wrongly(user, mistakes) !== wrongly(user, {}) || item === "environment"
    fc.pre(changed)
    expect(diagnose(user, mistakes)).toContain(item)
  }

  it("a single mistake is among the findings, with the canonical string", () => {
    fc.assert(fc.property(plainUser, single, (user, mistakes) => found(user, mistakes, known)), {
      numRuns: 300
    })
  })

  it("a single mistake is among the findings, without it", () => {
    fc.assert(fc.property(plainUser, single, (user, mistakes) => found(user, mistakes, guessed)), {
      numRuns: 100
    })
  })

  it("no mistake, no item of the string, whatever the values are", () => {
    fc.assert(
      fc.property(anyUser, (user) => {
        expect([...known(user, {}), ...guessed(user, {})].filter((item) => item !== "environment"))
          .toEqual([])
      }),
      { numRuns: 500 }
    )
  })

  it("T1: whatever was sent, it answers without a secret and without a signature", () => {
    const sent = fc.fullUnicodeString({ maxLength: 12 })
    fc.assert(
      fc.property(
        sent,
        anyUser,
        single,
        fc.option(sent, { nil: undefined }),
        (urlPartnerId, user, mistakes, other) => {
          const { canonical, ...request } = requestOf(
            { ...user, candidates: (user.candidates ?? []).slice(0, 2) },
            mistakes
          )
          const findings = WidgetSession.diagnose401({
            ...request,
            urlPartnerId,
            canonical: other ?? canonical
          })
          const printed = JSON.stringify(findings) + inspect(findings)
          expect(
            [secret, devSecret, request.signature as string].filter((value) =>
              printed.includes(value)
            )
          ).toEqual([])
        }
      ),
      { numRuns: 50 }
    )
  })

  it("half a surrogate pair in a partner id is a mistake like others, and no defect", () => {
    const { canonical: _, ...request } = requestOf(jane, {})
    expect(() => WidgetSession.diagnose401({ ...request, urlPartnerId: "partner-\uD800" })).not
      .toThrow()
  })
})

describe("diagnose401: how long it takes", () => {
  const { canonical: _, ...request } = requestOf(jane, {})
  const otherSecrets = {
    development: Redacted.make(devSecret),
    staging: Redacted.make("staging-1234-secret")
  }
  const unexplained = {
    ...request,
    otherSecrets,
    signature: hmac("nobody's secret", "something else")
  }
  const ids = (length: number) => Array.from({ length }, (_, i) => ({ candidate_id: `CND-${i}` }))

  it.each([2, 5, 20])(
    "a signature that nothing explains, with %i candidates and three environments: under two seconds",
    (length) => {
      const user = { ...jane, candidates: ids(length) }
      expect(busy(() => WidgetSession.diagnose401({ ...unexplained, user }))).toBeLessThan(2000)
    }
  )

  it.each([5, 200])(
    "a string that nothing explains, with %i candidates: under two seconds",
    (length) => {
      const user = { ...jane, candidates: ids(length) }
      const canonical = "nothing like it"
      expect(busy(() => WidgetSession.diagnose401({ ...unexplained, user, canonical })))
        .toBeLessThan(2000)
    }
  )
})

// -----------------------------------------------------------------------------
// diagnose422
// -----------------------------------------------------------------------------

describe("diagnose422", () => {
  const body = { user: john, signature: "0".repeat(64) }
  const without = (field: keyof User) => {
    const { [field]: _, ...user } = john
    return { ...body, user }
  }
  const withUser = (changes: object) => ({ ...body, user: { ...john, ...changes } })

  const cases: ReadonlyArray<readonly [what: string, body: unknown, items: ReadonlyArray<string>]> =
    [
      ["a valid body", body, []],
      ["a valid body without optionals", {
        ...body,
        user: { user_id: "u", email: "e@x.io", name: "n" }
      }, []],
      ["no candidates", withUser({ candidates: [] }), []],
      ["user_id missing", without("user_id"), ["user.user_id"]],
      ["email missing", without("email"), ["user.email"]],
      ["name missing", without("name"), ["user.name"]],
      ["signature missing", { user: john }, ["signature"]],
      ["user missing", { signature: "x" }, ["user"]],
      ["user_id empty", withUser({ user_id: "" }), ["user.user_id"]],
      ["name blank", withUser({ name: "  " }), ["user.name"]],
      ["signature empty", { ...body, signature: "" }, ["signature"]],
      ["an email without @", withUser({ email: "john.example.com" }), ["user.email"]],
      ["an email without a domain", withUser({ email: "john@" }), ["user.email"]],
      ["an email with a space", withUser({ email: "john doe@example.com" }), ["user.email"]],
      ["a user_id that is a number", withUser({ user_id: 17 }), ["user.user_id"]],
      ["a company that is a text", withUser({ company: "COMP-001" }), ["user.company"]],
      ["a company without company_id", withUser({ company: {} }), ["user.company.company_id"]],
      ["candidates that are an object", withUser({ candidates: { candidate_id: "a" } }), [
        "user.candidates"
      ]],
      ["a candidate that is a text", withUser({ candidates: ["CND-001"] }), ["user.candidates.0"]],
      [
        "a candidate without candidate_id",
        withUser({ candidates: [{ candidate_id: "a" }, {}] }),
        ["user.candidates.1.candidate_id"]
      ],
      [
        "everything at once",
        { user: { email: "john", company: {}, candidates: [{}] } },
        [
          "user.user_id",
          "user.email",
          "user.name",
          "user.company.company_id",
          "user.candidates.0.candidate_id",
          "signature"
        ]
      ]
    ]

  it.each(cases)("%s", (_, body, expected) => {
    const found = itemsOf(WidgetSession.diagnose422(body))
    expect(expected.filter((item) => !found.includes(item))).toEqual([])
    // What holds a field that fails may be named along with it, nothing else.
    expect(
      found.filter((item) => !expected.some((path) => path === item || path.startsWith(`${item}.`)))
    ).toEqual([])
  })

  it.each([null, undefined, "{}", 17, []].map((body) => [body]))(
    "a body that is %j is said to be no object",
    (body) => {
      const findings = WidgetSession.diagnose422(body)
      expect(findings.map(({ message }) => /object/.test(message))).toEqual([true])
    }
  )

  it("every finding says what was expected", () => {
    const silent = cases.flatMap(([what, body]) =>
      WidgetSession.diagnose422(body).filter(({ message }) => message.trim().length < 10).map(() =>
        what
      )
    )
    expect(silent).toEqual([])
  })

  it("T1: it repeats nothing that was sent", () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.anything(),
        fc.constantFrom("user_id", "email", "company", "candidates"),
        (a, b, field) => {
          const signature = "9f".repeat(32)
          const findings = WidgetSession.diagnose422({
            user: { ...john, [field]: a, name: { leak: "value-4711" } },
            signature: [signature, b],
            "value-4712": "value-4713"
          })
          expect(findings.length).toBeGreaterThan(0)
          expect(JSON.stringify(findings)).not.toMatch(/9f9f|value-47/)
        }
      ),
      { numRuns: 500 }
    )
  })
})

// -----------------------------------------------------------------------------
// what is not sent
// -----------------------------------------------------------------------------

describe("what cannot be sent", () => {
  it.effect.each(["", " ", "\t"])(
    "a path of %j is refused by make",
    (path) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          WidgetSession.make({ ...virtual, path }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(`path should be a path, got ${JSON.stringify(path)}`)
        )
      })
  )

  it.effect.each(Stray.strayIds.map((id) => [id] as const))(
    "a partnerId of %j is refused by make",
    ([partnerId]) =>
      Effect.gen(function*() {
        const made = Effect.provide(
          WidgetSession.make({ ...virtual, partnerId }),
          Stray.nobodyAsked().layer
        )
        const exit = yield* Effect.exit(made)
        expect(squashed(exit)).toEqual(
          new RangeError(
            `partnerId should be an id that can be in a path, got ${JSON.stringify(partnerId)}`
          )
        )
      })
  )

  it.effect("a domain that no header holds is Validation, and nothing is sent", () =>
    Effect.gen(function*() {
      const http = Stray.nobodyAsked()
      const client = yield* Effect.provide(
        WidgetSession.make({ ...virtual, domain: "https://shop.example\r\nx-evil: 1" }),
        http.layer
      )
      const error = yield* Effect.flip(IdempotencyKey.provideNew(client.createSession(john)))
      expect([
        error._tag,
        error._tag === "Validation" && error.issues.map(({ path }) => path),
        http.asked
      ]).toEqual([
        "Validation",
        ["headers.origin"],
        []
      ])
    }))
})
