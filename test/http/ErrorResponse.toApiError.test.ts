import { describe, expect, it } from "@effect/vitest"
import { Option } from "effect"
import { ApiError, Playbook } from "effect-resilience"
import { tagOf } from "../support/errors.js"
import { errorOf, nowMillis, retryAfter } from "./errorResponse.js"
import { range } from "./support.js"

describe("ErrorResponse.toApiError by status", () => {
  it("E1: every status from 100 to 599 has its tag, whatever is not in the body", () => {
    const wrong = range(100, 599)
      .filter((status) => status < 200 || status >= 300)
      .map((status) => [status, errorOf(status)._tag, tagOf(status)] as const)
      .filter(([, actual, expected]) => actual !== expected)
    expect(wrong).toEqual([])
  })

  it("E1: the status stays on the error, and only a 504 is the gateway's", () => {
    const errors = range(300, 599).map((status) => errorOf(status))
    expect(errors.map((error) => error.status)).toEqual(range(300, 599))
    expect(
      errors.filter((error) => error._tag === "Server" && error.gateway).map((error) =>
        error.status
      )
    ).toEqual([
      504
    ])
  })

  it("E1: a 408 is the server's deadline", () => {
    expect(errorOf(408)).toMatchObject({ _tag: "Timeout", deadline: "server" })
  })

  it("E2, E4: the verdict of every status", () => {
    const verdicts = range(100, 599).filter((status) => status < 200 || status >= 300).map(
      (status) => {
        const verdict = ApiError.verdict(errorOf(status))
        return [
          status,
          verdict._tag === "Transient"
            ? (verdict.ambiguous ? "unknown" : "nothing done")
            : verdict._tag
        ]
      }
    )
    const expected = (status: number) => {
      if ([408, 425, 429].includes(status)) return "nothing done"
      return status >= 500 && ![501, 505, 506, 508, 510, 511].includes(status)
        ? "unknown"
        : "Terminal"
    }
    expect(verdicts.filter(([status, verdict]) => verdict !== expected(status as number))).toEqual(
      []
    )
  })

  it("E1: an API may override the tag of a status", () => {
    const playbook = Playbook.extend(Playbook.standard, {
      byStatus: { 418: { ...Playbook.lookup(Playbook.standard, 423), tag: "Locked" } }
    })
    expect([errorOf(418, "", {}, playbook)._tag, errorOf(418)._tag]).toEqual([
      "Locked",
      "Validation"
    ])
  })
})

describe("ErrorResponse.toApiError on conflicts", () => {
  const playbook = Playbook.extend(Playbook.standard, { inFlightCodes: ["still_running"] })
  const problem = { type: "urn:effect-resilience:idempotency:in-flight", title: "still running" }
  const inFlight = (error: ApiError.ApiError) => error._tag === "Conflict" && error.inFlight

  it("E3: in flight by our middleware's type, by the well-known code, and by what a playbook adds", () => {
    const bodies = [
      problem,
      { error: { code: "idempotency_key_in_use", message: "wait" } },
      { error: { type: "conflict_error", code: "idempotency_key_in_use" } },
      { error: { type: "idempotency_key_in_use" } },
      { code: "idempotency_key_in_use" },
      { error: { code: "still_running" } },
      { type: "still_running", detail: "wait" }
    ]
    expect(bodies.map((body) => inFlight(errorOf(409, body, {}, playbook)))).toEqual(
      bodies.map(() => true)
    )
    expect(bodies.map((body) => ApiError.verdict(errorOf(409, body, {}, playbook)))).toMatchObject(
      bodies.map(() => ({ _tag: "Transient", ambiguous: false }))
    )
  })

  it("E3: what a playbook adds, it adds: the other two stay known", () => {
    expect([problem, { code: "idempotency_key_in_use" }, { code: "still_running" }].map((body) => [
      inFlight(errorOf(409, body)),
      inFlight(errorOf(409, body, {}, playbook))
    ])).toEqual([[true, true], [true, true], [false, true]])
  })

  it("E3: any other 409 is terminal, and so are the others of our middleware's problems", () => {
    const bodies = [
      "",
      "<html>conflict</html>",
      { statusCode: 409, error: "Conflict", message: "Activity already has a result" },
      { error: { type: "conflict_error", message: "idempotency_key_in_use" } },
      { message: "urn:effect-resilience:idempotency:in-flight" },
      { type: "urn:effect-resilience:idempotency:mismatch" },
      { type: "urn:effect-resilience:idempotency:in-flight:not" }
    ]
    expect(bodies.map((body) => ApiError.verdict(errorOf(409, body))._tag)).toEqual(
      bodies.map(() => "Terminal")
    )
  })

  it("E3: in flight is said of a 409: a 412, 422 or 400 with the same code is terminal", () => {
    const errors = [412, 422, 400].map((status) =>
      errorOf(status, { code: "idempotency_key_in_use" })
    )
    expect(errors.map((error) => [error._tag, ApiError.verdict(error)._tag])).toEqual([
      ["Conflict", "Terminal"],
      ["Validation", "Terminal"],
      ["Validation", "Terminal"]
    ])
  })
})

describe("ErrorResponse and request ids", () => {
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
  const ids = {
    "x-request-id": "a",
    "request-id": "b",
    "x-correlation-id": "c",
    traceparent: trace
  }

  it("E6: from the body first, then from the headers in this order", () => {
    const names = Object.keys(ids)
    const without = (n: number) => Object.fromEntries(Object.entries(ids).slice(n))
    expect(errorOf(500, { error: "e", request_id: "body" }, ids).requestId).toBe("body")
    expect([0, 1, 2].map((n) => errorOf(500, "", without(n)).requestId)).toEqual(["a", "b", "c"])
    expect(errorOf(500, "", without(3)).requestId).toContain("4bf92f3577b34da6a3ce929d0e0e4736")
    expect(errorOf(500, "", without(names.length)).requestId).toBeUndefined()
  })

  it("E6: an id in the body counts wherever the body is otherwise unreadable by type", () => {
    expect(errorOf(500, { error: 5, request_id: "body" }, ids).requestId).toBe("body")
    expect(errorOf(500, { error: "e", request_id: { id: 5 } }, ids).requestId).toBe("a")
  })

  it("E6: an empty header is no id", () => {
    expect(errorOf(500, "", { ...ids, "x-request-id": "" }).requestId).toBe("b")
  })
})

describe("ErrorResponse and waiting", () => {
  const inFive = "Wed, 21 Oct 2026 07:00:05 GMT"

  it("E10: seconds or one of the three forms of a date", () => {
    const values = [
      "0",
      "5",
      " 5 ",
      "007",
      inFive,
      "Wednesday, 21-Oct-26 07:00:05 GMT",
      "Wed Oct 21 07:00:05 2026"
    ]
    expect(values.map((value) => retryAfter(errorOf(429, "", { "retry-after": value })))).toEqual(
      [0, 5_000, 5_000, 7_000, 5_000, 5_000, 5_000]
    )
  })

  it("E10: anything else is ignored", () => {
    const values = [
      "-5",
      ".5",
      "",
      " ",
      "soon",
      "5s",
      "+5",
      "1e3",
      "0x10",
      "2026-10-21T07:00:05Z",
      "NaN",
      "٥"
    ]
    expect(values.map((value) => retryAfter(errorOf(429, "", { "retry-after": value })))).toEqual(
      values.map(() => undefined)
    )
  })

  it("E11: a past date means now", () => {
    expect(retryAfter(errorOf(503, "", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }))).toBe(0)
  })

  it("E11: a date counts from the response's own Date when it is sane, else from the Clock", () => {
    const at = (date: string) => retryAfter(errorOf(429, "", { "retry-after": inFive, date }))
    expect([at("Wed, 21 Oct 2026 07:00:02 GMT"), at("yesterday"), at("")]).toEqual([
      3_000,
      5_000,
      5_000
    ])
  })

  it("E11: of two fields the larger counts", () => {
    const values = ["5, 10", "10, 5", `3, ${inFive}`, `${inFive}, 7`, "2.0, 4"]
    expect(values.map((value) => retryAfter(errorOf(429, "", { "retry-after": value })))).toEqual(
      [10_000, 10_000, 5_000, 7_000, 4_000]
    )
  })

  it("E13: RateLimit, then RateLimit-Reset, and only when there is no Retry-After", () => {
    const all = { "retry-after": "1", ratelimit: "\"default\";r=0;t=2", "ratelimit-reset": "3" }
    const without = (n: number) => Object.fromEntries(Object.entries(all).slice(n))
    expect([0, 1, 2, 3].map((n) => retryAfter(errorOf(429, "", without(n))))).toEqual([
      1_000,
      2_000,
      3_000,
      undefined
    ])
  })

  it("E13: an ignored Retry-After is an absent one", () => {
    expect(retryAfter(errorOf(429, "", { "retry-after": "-5", "ratelimit-reset": "3" }))).toBe(
      3_000
    )
  })

  it("E13: X-RateLimit-Reset by opt-in only, decided by magnitude", () => {
    const playbook = Playbook.extend(Playbook.standard, { resetHeaders: ["X-RateLimit-Reset"] })
    const values = ["30", `${nowMillis / 1000 + 30}`, `${nowMillis + 30_000}`]
    const by = (playbook?: Playbook.Playbook) =>
      values.map((value) => retryAfter(errorOf(429, "", { "x-ratelimit-reset": value }, playbook)))
    expect([by(), by(playbook)]).toEqual([[undefined, undefined, undefined], [
      30_000,
      30_000,
      30_000
    ]])
  })

  it("E13: seconds in the message when the playbook names the pattern", () => {
    const playbook = Playbook.extend(Playbook.standard, {
      retryAfterInMessage: /retry after (\d+) seconds/i
    })
    const body = {
      error: {
        type: "rate_limit_error",
        message: "Too many requests. Please retry after 60 seconds.",
        code: "c"
      }
    }
    expect([
      retryAfter(errorOf(429, body)),
      retryAfter(errorOf(429, body, {}, playbook)),
      retryAfter(errorOf(429, body, { "retry-after": "2" }, playbook)),
      retryAfter(errorOf(429, { message: "slow down" }, {}, playbook))
    ]).toEqual([undefined, 60_000, 2_000, undefined])
  })

  it("E13: the pattern gives the same answer every time, whatever its flags", () => {
    const playbook = Playbook.extend(Playbook.standard, { retryAfterInMessage: /after (\d+)/g })
    const once = () => retryAfter(errorOf(429, { message: "after 9" }, {}, playbook))
    expect([once(), once(), once()]).toEqual([9_000, 9_000, 9_000])
  })

  it("E14: honoured on every answer that is worth another try, and kept on all", () => {
    const statuses = range(300, 599)
    const errors = statuses.map((status) =>
      errorOf(status, status === 409 ? { code: "idempotency_key_in_use" } : "", {
        "retry-after": "5"
      })
    )
    const honoured = statuses.filter((_, index) => {
      const verdict = ApiError.verdict(errors[index])
      return verdict._tag === "Transient" && Option.isSome(verdict.retryAfter)
    })
    const permanent = [501, 505, 506, 508, 510, 511]
    expect(honoured).toEqual(
      [408, 409, 413, 425, 429, ...range(500, 599)].filter((status) => !permanent.includes(status))
    )
    expect(errors.map(retryAfter)).toEqual(statuses.map(() => 5_000))
  })

  it("a rate limit says its limit and what is left", () => {
    expect([
      errorOf(429, "", {
        "ratelimit-limit": "100",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "5"
      }),
      errorOf(429, "", { "ratelimit-limit": "many", "ratelimit-remaining": "-1" })
    ]).toMatchObject([{ limit: 100, remaining: 0 }, { _tag: "RateLimit" }])
    expect(errorOf(429, "", { "ratelimit-limit": "many" })).not.toHaveProperty("limit", NaN)
    expect(errorOf(429, "", { ratelimit: "\"default\";r=0;t=5" })).toMatchObject({ remaining: 0 })
  })
})
