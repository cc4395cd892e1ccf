// The rows of a playbook have a field `then`.
/* oxlint-disable unicorn/no-thenable */
import { HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { ApiError, ErrorResponse, Playbook } from "effect-resilience"
import { show } from "../errors/apiErrors.js"
import { errorOf, nowMillis, retryAfter } from "./errorResponse.js"

const nowSeconds = nowMillis / 1000

const extended = (changes: Partial<Playbook.Playbook>) =>
  Playbook.extend(Playbook.standard, changes)

/** The wait of a 429 with these headers. */
const wait = (headers: Record<string, string>, playbook?: Playbook.Playbook) =>
  retryAfter(errorOf(429, "", headers, playbook))

describe("ErrorResponse: forms of a wait", () => {
  const byReset = extended({ resetHeaders: ["x-ratelimit-reset", "x-ratelimit-reset-requests"] })

  it("E10: decimals are rounded up, and parts of something else are no wait", () => {
    expect(
      ["2.0", "0.493", "Jan 15, 2026", "1, 000", "-5, 99", "max-age=5, 60", "1, 30"]
        .map((value) => wait({ "retry-after": value }))
    ).toEqual([2_000, 1_000, undefined, undefined, undefined, undefined, 30_000])
  })

  it("E11: a Date of 1970 or 2099 beside a date leaves it to the Clock", () => {
    const value = "Wed, 21 Oct 2026 07:00:05 GMT"
    expect(
      ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"]
        .map((date) => wait({ "retry-after": value, date }))
    ).toEqual([5_000, 5_000])
  })

  it("E13: retry-after-ms comes after Retry-After and before the rate-limit headers", () => {
    const headers = { "retry-after-ms": "1500", "ratelimit-reset": "9" }
    expect([
      wait(headers),
      wait({ ...headers, "retry-after": "1" }),
      retryAfter(errorOf(503, "", headers))
    ]).toEqual([1_500, 1_000, 1_500])
    expect(errorOf(429, "", headers).headers).toMatchObject({ "retry-after-ms": "1500" })
  })

  it("E13: durations, timestamps and moments in the reset headers of a playbook", () => {
    expect([
      wait({ "x-ratelimit-reset-requests": "6m0s" }, byReset),
      wait({ "x-ratelimit-reset-requests": "2m59.56s" }, byReset),
      wait({ "x-ratelimit-reset": "2026-10-21T07:00:30Z" }, byReset),
      wait({ "x-ratelimit-reset": `${nowSeconds + 30}` }, byReset),
      wait({ "x-ratelimit-reset": `${nowMillis + 30_000}` }, byReset),
      wait({ "x-ratelimit-reset": `${(nowMillis + 30_000) * 1000}` }, byReset),
      wait(
        { "x-left": "1500" },
        extended({
          resetHeaders: [{ name: "X-Left", unit: "milliseconds" }]
        })
      ),
      wait({ "ratelimit-reset": `${nowSeconds + 30}` })
    ]).toEqual([360_000, 179_560, 30_000, 30_000, 30_000, 30_000, 1_500, 30_000])
  })

  it("E13: of several quotas the spent one counts, and one with something left says nothing", () => {
    const playbook = extended({
      resetHeaders: ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-reset"]
    })
    expect([
      wait({
        "x-ratelimit-remaining-requests": "56",
        "x-ratelimit-reset-requests": "12",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "50"
      }, playbook),
      wait({ ratelimit: "\"a\";r=56;t=12, \"b\";r=0;t=50" }),
      wait({
        "x-ratelimit-remaining": "14463",
        "x-ratelimit-reset": `${nowSeconds + 35 * 60}`
      }, playbook)
    ]).toEqual([50_000, 50_000, undefined])
  })

  it("E13: a failure of the server waits for a quota only when that is spent", () => {
    const playbook = extended({ resetHeaders: ["x-ratelimit-reset"] })
    const of = (remaining: Record<string, string>) =>
      retryAfter(errorOf(503, "", { "x-ratelimit-reset": "50", ...remaining }, playbook))
    expect([
      of({ "x-ratelimit-remaining": "0" }),
      of({ "x-ratelimit-remaining": "5" }),
      of({}),
      retryAfter(errorOf(404, "", { ratelimit: "\"a\";r=0;t=50" }))
    ]).toEqual([50_000, undefined, undefined, undefined])
  })

  it("E13: a wait in the body: seconds as text, RetryInfo, a moment", () => {
    const info = (retryDelay: unknown) => ({
      error: {
        code: 429,
        message: "Quota exceeded",
        status: "RESOURCE_EXHAUSTED",
        details: [
          { "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [] },
          { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }
        ]
      }
    })
    const of = (body: unknown) => retryAfter(errorOf(429, body))
    expect([
      of({ retry_after: "1" }),
      of({ error: { retry_after: "1.5" } }),
      of({ retryAfter: "30s" }),
      of({ retry_after: nowSeconds + 30 }),
      of({ retry_after: nowMillis + 30_000 }),
      of({ retry_after: (nowMillis + 30_000) * 1000 }),
      of(info("34.074824224s")),
      of(info({ seconds: "3", nanos: 500_000_000 })),
      of({ details: [{ "@type": "x/google.rpc.RetryInfo", retryDelay: "7s" }] }),
      of({ retry_after: "-1" }),
      of({ retry_after: "soon" }),
      of({ retry_after: "" }),
      of(info("soon"))
    ]).toEqual([
      1_000,
      1_500,
      30_000,
      30_000,
      30_000,
      30_000,
      34_075,
      3_500,
      7_000,
      undefined,
      undefined,
      undefined,
      undefined
    ])
    expect(retryAfter(errorOf(429, info("34s"), { "retry-after": "2" }))).toBe(2_000)
  })

  it("E13: the row's own wait is the last resort", () => {
    const playbook = extended({
      byStatus: { 429: Playbook.entry(429, { wait: "30 seconds" }) },
      byCode: { slow: { wait: Duration.minutes(2) }, odd: { wait: "5 lightyears" as never } }
    })
    expect([
      wait({}, playbook),
      wait({ "retry-after": "1" }, playbook),
      wait({ "ratelimit-reset": "2" }, playbook),
      retryAfter(errorOf(429, { retry_after: 3 }, {}, playbook)),
      retryAfter(errorOf(429, { code: "slow" }, {}, playbook)),
      retryAfter(errorOf(429, { code: "odd" }, {}, playbook)),
      retryAfter(errorOf(503, "", {}, playbook))
    ]).toEqual([30_000, 1_000, 2_000, 3_000, 120_000, undefined, undefined])
    expect(show(errorOf(429, "", {}, playbook))).toBe("Transient after 30000")
  })

  it.effect("E11: of two lines on node:http the larger counts", () =>
    Effect.gen(function*() {
      const response = HttpClientResponse.fromWeb(
        HttpClientRequest.get("http://api.example.com/"),
        new Response("", { status: 503, headers: { "retry-after": "1" } })
      )
      const source = { rawHeaders: ["Retry-After", "1", "Retry-After", "30"] }
      const error = yield* ErrorResponse.fromBytes(
        Object.assign(Object.create(response) as typeof response, { source }),
        new Uint8Array(),
        {}
      )
      expect(retryAfter(error)).toBe(30_000)
    }))
})

describe("ErrorResponse: which answers are repeated", () => {
  it("E14: a 413 with Retry-After is transient and did nothing; without one it is terminal", () => {
    expect([
      show(errorOf(413, "", { "retry-after": "1" })),
      show(errorOf(413, "", { "retry-after-ms": "1500" })),
      show(errorOf(413)),
      show(errorOf(413, "", { "retry-after": "soon" }))
    ]).toEqual(["Transient after 1000", "Transient after 1500", "Terminal", "Terminal"])
  })

  it("E14: 500, 502, 504 and 529 wait as they are told", () => {
    expect([500, 502, 504, 529].map((status) => show(errorOf(status, "", { "retry-after": "1" }))))
      .toEqual([500, 502, 504, 529].map(() => "Transient ambiguous after 1000"))
  })

  it("E14: x-should-retry is honoured where the playbook names it", () => {
    const playbook = extended({ retryHeader: "X-Should-Retry" })
    const of = (status: number, value: string, named = true) =>
      show(errorOf(status, "", { "x-should-retry": value }, named ? playbook : undefined))
    expect([
      of(503, "false"),
      of(429, " FALSE "),
      of(409, "true"),
      of(400, "true"),
      of(401, "true"),
      of(501, "true"),
      of(503, "maybe"),
      of(503, "false", false),
      of(409, "true", false)
    ]).toEqual([
      "Terminal",
      "Terminal",
      "Transient ambiguous",
      "Transient ambiguous",
      "Transient",
      "Transient ambiguous",
      "Transient ambiguous",
      "Transient ambiguous",
      "Terminal"
    ])
    const inFlight = { code: "idempotency_key_in_use" }
    expect([
      show(errorOf(409, inFlight, { "x-should-retry": "false" }, playbook)),
      show(errorOf(409, inFlight, { "x-should-retry": "true" }, playbook)),
      show(
        errorOf(
          500,
          "",
          { "x-should-retry": "true", "idempotent-replayed": "true" },
          playbook
        )
      )
    ]).toEqual(["Terminal", "Transient", "Terminal"])
  })

  it("E30: a row may look at headers, and the wait stays whatever the tag", () => {
    const playbook = extended({
      resetHeaders: ["x-ratelimit-reset"],
      byStatus: {
        403: Playbook.entry(403, {
          when: [{ header: "X-RateLimit-Remaining", is: "0", then: { tag: "RateLimit" } }]
        })
      },
      byCode: {
        slow: { when: [{ header: "x-kind", is: "Soft", then: { repeat: "transient" } }] }
      }
    })
    const spent = {
      "x-ratelimit-remaining": "0",
      "x-ratelimit-limit": "60",
      "x-ratelimit-reset": `${nowSeconds + 30}`
    }
    const error = errorOf(403, "", spent, playbook)
    expect([show(error), retryAfter(error), error.message]).toEqual([
      "Transient after 30000",
      30_000,
      "Too many requests (HTTP 403)"
    ])
    expect(error).toMatchObject({ _tag: "RateLimit", status: 403, limit: 60, remaining: 0 })
    const left = errorOf(403, "", { ...spent, "x-ratelimit-remaining": "9" }, playbook)
    expect([left._tag, show(left)]).toEqual(["Policy", "Terminal"])
    const denied = errorOf(403, "", { "retry-after": "5" }, playbook)
    expect([denied._tag, retryAfter(denied), show(denied)]).toEqual(["Policy", 5_000, "Terminal"])
    expect([
      show(errorOf(400, { code: "slow" }, { "x-kind": "soft" }, playbook)),
      show(errorOf(400, { code: "slow" }, {}, playbook))
    ]).toEqual(["Transient ambiguous", "Terminal"])
  })

  it("E4: a word in the body never makes a 500 a failure that did nothing", () => {
    const words = ["rate_limit_error", "authentication_error", "not_found_error"]
    const errors = words.map((type) => errorOf(500, { error: { type } }))
    expect(errors.map((error) => [error._tag, show(error), ApiError.mayHaveRun(error)])).toEqual([
      ["RateLimit", "Transient ambiguous", true],
      ["Auth", "Terminal", true],
      ["NotFound", "Terminal", true]
    ])
    const stricter = errorOf(429, { error: { type: "server_error" } })
    expect([stricter._tag, show(stricter)]).toEqual(["Server", "Transient ambiguous"])
  })

  it("E4: an API's playbook may declare its body types authoritative", () => {
    const playbook = extended({ bodyTypesDecide: true })
    const errors = ["rate_limit_error", "authentication_error", "server_error", "unheard_of"]
      .map((type) => errorOf(500, { error: { type } }, {}, playbook))
    expect(errors.map((error) => [error._tag, show(error), ApiError.mayHaveRun(error)])).toEqual([
      ["RateLimit", "Transient", false],
      ["Auth", "Terminal", false],
      ["Server", "Transient ambiguous", true],
      ["Server", "Transient ambiguous", true]
    ])
  })
})
