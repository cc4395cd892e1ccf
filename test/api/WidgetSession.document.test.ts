import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Stream, TestClock } from "effect"
import {
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Incident,
  Pipeline,
  Playbook
} from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import { leaks } from "../support/renderings.js"
import { virtualHttp, waits } from "../support/virtualHttp.js"
import * as Server from "../support/widgetSessionServer.js"
import { john, partner, rows, secretKey } from "./widgetSession.js"

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
