import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { CircuitBreaker, IdempotencyKey, Playbook } from "effect-resilience"
import * as SiteChat from "effect-resilience/api/SiteChat"
import * as Incident from "effect-resilience/Incident"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { errorOf } from "../support/exits.js"
import { against, type Chat, pace, question } from "./siteChat.js"

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
