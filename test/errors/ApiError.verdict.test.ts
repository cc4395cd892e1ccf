import {
  HttpApiError,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, Cause, Duration, FastCheck as fc, Option, Schema } from "effect"
import { ApiError, Idempotency, Playbook } from "effect-resilience"
import { runs } from "../support/runs.js"
import { samples, show, tags } from "./apiErrors.js"

/** Every status that E2 names. */
const statuses = [
  400,
  401,
  403,
  404,
  408,
  409,
  410,
  412,
  422,
  423,
  425,
  429,
  500,
  501,
  502,
  503,
  504,
  505
]

describe("ApiError.verdict", () => {
  it("E2, E4: the ten tags", () => {
    expect(Object.fromEntries(tags.map((tag) => [tag, show(samples[tag])]))).toEqual({
      Auth: "Terminal",
      Policy: "Terminal",
      Validation: "Terminal",
      NotFound: "Terminal",
      Conflict: "Terminal",
      Locked: "Terminal",
      RateLimit: "Transient",
      Server: "Transient ambiguous",
      Timeout: "Transient ambiguous",
      Network: "Transient"
    })
  })

  it("E3: a conflict is terminal unless the same key is still in flight, which is not ambiguous", () => {
    expect([
      show(new ApiError.Conflict({ message: "", status: 409 })),
      show(new ApiError.Conflict({ message: "", status: 412 })),
      show(new ApiError.Conflict({ message: "", status: 409, retryAfter: Duration.seconds(1) })),
      show(new ApiError.Conflict({ message: "", status: 409, inFlight: true })),
      show(
        new ApiError.Conflict({
          message: "",
          status: 409,
          inFlight: true,
          retryAfter: Duration.seconds(2)
        })
      )
    ]).toEqual(["Terminal", "Terminal", "Terminal", "Transient", "Transient after 2000"])
  })

  it("E4: the verdict of a server error goes by status", () => {
    const statuses = [
      undefined,
      100,
      103,
      301,
      304,
      425,
      500,
      501,
      502,
      503,
      504,
      505,
      507,
      520,
      599
    ]
    expect(
      statuses.map((status) =>
        `${status}: ${
          show(new ApiError.Server({ message: "", ...(status === undefined ? {} : { status }) }))
        }`
      )
    ).toEqual([
      "undefined: Transient ambiguous",
      "100: Terminal",
      "103: Terminal",
      "301: Terminal",
      "304: Terminal",
      "425: Transient",
      "500: Transient ambiguous",
      "501: Terminal",
      "502: Transient ambiguous",
      "503: Transient ambiguous",
      "504: Transient ambiguous",
      "505: Terminal",
      "507: Transient ambiguous",
      "520: Transient ambiguous",
      "599: Transient ambiguous"
    ])
  })

  it("E4: timeouts: the total one is terminal, a 408 did nothing, an attempt's outcome is unknown", () => {
    expect([
      show(new ApiError.Timeout({ message: "", deadline: "total" })),
      show(new ApiError.Timeout({ message: "", deadline: "server", status: 408 })),
      show(new ApiError.Timeout({ message: "", deadline: "attempt" }))
    ]).toEqual(["Terminal", "Transient", "Transient ambiguous"])
  })

  it("E4: only the transport knows whether anything was sent; in doubt, ambiguous", () => {
    expect([
      show(new ApiError.Network({ message: "", sent: "no" })),
      show(new ApiError.Network({ message: "", sent: "unknown" }))
    ]).toEqual(["Transient", "Transient ambiguous"])
  })

  it("E14: Retry-After is honoured on every answer that is worth another try", () => {
    const retryAfter = Duration.seconds(5)
    expect([
      show(new ApiError.RateLimit({ message: "", status: 429, retryAfter })),
      show(new ApiError.RateLimit({ message: "", status: 429, retryAfter: Duration.zero })),
      show(new ApiError.RateLimit({ message: "", status: 429, retryAfter: Duration.infinity })),
      show(new ApiError.Server({ message: "", status: 503, retryAfter })),
      show(new ApiError.Server({ message: "", status: 500, retryAfter })),
      show(new ApiError.Server({ message: "", status: 502, retryAfter })),
      show(new ApiError.Server({ message: "", status: 504, retryAfter })),
      show(new ApiError.Server({ message: "", status: 425, retryAfter })),
      show(new ApiError.Conflict({ message: "", status: 409, inFlight: true, retryAfter })),
      show(new ApiError.Timeout({ message: "", status: 408, deadline: "server", retryAfter })),
      show(new ApiError.Server({ message: "", status: 529, retryAfter })),
      show(new ApiError.Server({ message: "", status: 501, retryAfter })),
      show(new ApiError.Policy({ message: "", status: 403, repeat: "transient", retryAfter })),
      show(new ApiError.Locked({ message: "", status: 423, retryAfter }))
    ]).toEqual([
      "Transient after 5000",
      "Transient after 0",
      "Transient after for ever",
      "Transient ambiguous after 5000",
      "Transient ambiguous after 5000",
      "Transient ambiguous after 5000",
      "Transient ambiguous after 5000",
      "Transient after 5000",
      "Transient after 5000",
      "Transient after 5000",
      "Transient ambiguous after 5000",
      "Terminal",
      "Transient after 5000",
      "Terminal"
    ])
  })

  it("E14: a 413 with a wait is transient and did nothing; without one it is terminal", () => {
    expect([
      show(new ApiError.Validation({ message: "", status: 413, retryAfter: Duration.seconds(1) })),
      show(new ApiError.Validation({ message: "", status: 413 })),
      show(new ApiError.Validation({ message: "", status: 422, retryAfter: Duration.seconds(1) }))
    ]).toEqual(["Transient after 1000", "Terminal", "Terminal"])
  })

  it("E2: every 5xx except 501, 505, 506, 508, 510 and 511 is worth another try", () => {
    const statuses = Array.from({ length: 100 }, (_, index) => 500 + index)
    expect(
      statuses.filter((status) =>
        ApiError.verdict(new ApiError.Server({ message: "", status }))._tag === "Terminal"
      )
    ).toEqual([501, 505, 506, 508, 510, 511])
  })

  it("E4, E32: an unexpected response is terminal whatever its status, and may have run", () => {
    const code = "unexpected_response"
    const errors = [undefined, 200, 425, 500, 501, 503].map((status) =>
      new ApiError.Server({ message: "", code, ...(status === undefined ? {} : { status }) })
    )
    expect(errors.map(show)).toEqual(errors.map(() => "Terminal"))
    expect(errors.map(ApiError.mayHaveRun)).toEqual(errors.map(() => true))
    expect(show(new ApiError.Server({ message: "", code, status: 200, repeat: "transient" }))).toBe(
      "Terminal"
    )
  })

  it("E4: a status that leaves open what happened is ambiguous whatever the tag", () => {
    const status = 500
    const repeat = "transient"
    const errors = [
      new ApiError.RateLimit({ message: "", status }),
      new ApiError.Auth({ message: "", status, repeat }),
      new ApiError.Policy({ message: "", status, repeat }),
      new ApiError.Conflict({ message: "", status, inFlight: true }),
      new ApiError.Timeout({ message: "", status: 504, deadline: "server" }),
      new ApiError.NotFound({ message: "", status, repeat })
    ]
    expect(errors.map(show)).toEqual(errors.map(() => "Transient ambiguous"))
    const final = [
      new ApiError.Auth({ message: "", status }),
      new ApiError.Validation({ message: "", status: 303 }),
      new ApiError.NotFound({ message: "", status: 599 })
    ]
    expect(final.map(show)).toEqual(final.map(() => "Terminal"))
    expect([...errors, ...final].map(ApiError.mayHaveRun)).toEqual(
      [...errors, ...final].map(() => true)
    )
  })

  it("E4: what an error itself says of having run decides", () => {
    expect([true, false].map((mayHaveRun) =>
      [
        new ApiError.RateLimit({ message: "", status: 429, mayHaveRun }),
        new ApiError.Server({ message: "", status: 503, mayHaveRun }),
        new ApiError.Auth({ message: "", status: 401, mayHaveRun })
      ].map((error) => [show(error), ApiError.mayHaveRun(error)])
    )).toEqual([
      [["Transient ambiguous", true], ["Transient ambiguous", true], ["Terminal", true]],
      [["Transient", false], ["Transient", false], ["Terminal", false]]
    ])
  })

  it("E7: an unreadable response is transient, and the request was executed or may have been", () => {
    expect(show(new ApiError.Server({ message: "", status: 200, code: "unreadable_response" })))
      .toBe(
        "Transient ambiguous"
      )
  })

  it("E1, E2: the standard playbook and the verdict agree on every status E2 names", () => {
    const make = {
      Auth: (status: number) => new ApiError.Auth({ message: "", status }),
      Policy: (status: number) => new ApiError.Policy({ message: "", status }),
      Validation: (status: number) => new ApiError.Validation({ message: "", status }),
      NotFound: (status: number) => new ApiError.NotFound({ message: "", status }),
      Conflict: (status: number) => new ApiError.Conflict({ message: "", status }),
      Locked: (status: number) => new ApiError.Locked({ message: "", status }),
      RateLimit: (status: number) => new ApiError.RateLimit({ message: "", status }),
      Server: (status: number) => new ApiError.Server({ message: "", status }),
      Timeout: (status: number) =>
        new ApiError.Timeout({ message: "", status, deadline: "server" }),
      Network: () => new ApiError.Network({ message: "", sent: "unknown" })
    }
    const rows = statuses.map((status) => {
      const entry = Playbook.lookup(Playbook.standard, status)
      return `${status}: ${entry.repeat === "never" ? "Terminal" : "Transient"}`
    })
    expect(statuses.map((status) => {
      const { tag } = Playbook.lookup(Playbook.standard, status)
      return `${status}: ${ApiError.verdict(make[tag](status))._tag}`
    })).toEqual(rows)
  })

  it("the playbook's word wins: never is terminal, transient is transient", () => {
    const never = tags.map((tag) => ApiError.verdict(withRepeat(samples[tag], "never"))._tag)
    expect(never).toEqual(tags.map(() => "Terminal"))
    const transient = tags.map((tag) =>
      ApiError.verdict(withRepeat(samples[tag], "transient"))._tag
    )
    expect(transient).toEqual(tags.map(() => "Transient"))
    expect(show(new ApiError.Server({ message: "", status: 501, repeat: "transient" }))).toMatch(
      /^Transient/
    )
    expect(show(new ApiError.Server({ message: "", status: 503, repeat: "never" }))).toBe(
      "Terminal"
    )
  })

  it("E4: what the playbook calls transient keeps its ambiguity", () => {
    const repeat = "transient"
    expect([
      show(new ApiError.Server({ message: "", status: 503, repeat })),
      show(
        new ApiError.RateLimit({
          message: "",
          status: 429,
          repeat,
          retryAfter: Duration.seconds(1)
        })
      ),
      show(new ApiError.Network({ message: "", sent: "no", repeat })),
      show(new ApiError.Auth({ message: "", status: 401, repeat })),
      show(new ApiError.Policy({ message: "", status: 403, repeat }))
    ]).toEqual([
      "Transient ambiguous",
      "Transient after 1000",
      "Transient",
      "Transient",
      "Transient"
    ])
  })

  it("it is total: anything else is terminal", () => {
    const strangers: ReadonlyArray<unknown> = [
      undefined,
      null,
      0,
      "503",
      new Error("down"),
      { _tag: "RateLimit", status: 429 },
      { _tag: "TimeoutException" },
      { _tag: "RequestError", reason: "Transport" },
      new HttpApiError.ServiceUnavailable(),
      new HttpApiError.Conflict(),
      Object.create(null),
      new Proxy({}, {})
    ]
    expect(strangers.map(show)).toEqual(strangers.map(() => "Terminal"))
    fc.assert(fc.property(fc.anything(), (value) => show(value) === "Terminal"), {
      numRuns: runs(500)
    })
  })

  it("DESIGN 3: Effect's TimeoutException is understood: the outcome is unknown", () => {
    expect(show(new Cause.TimeoutException())).toBe("Transient ambiguous")
  })

  describe("HttpClientError", () => {
    const request = HttpClientRequest.get("https://api.example.com/v1")
    const transport = (cause?: unknown) =>
      new HttpClientError.RequestError({ request, reason: "Transport", cause })
    const response = (
      status: number,
      reason: "StatusCode" | "Decode" | "EmptyBody" = "StatusCode"
    ) =>
      new HttpClientError.ResponseError({
        request,
        response: HttpClientResponse.fromWeb(request, new Response(null, { status })),
        reason
      })
    const coded = (code: string) => Object.assign(new Error(code), { code })

    it("E2, E4: a transport failure is transient; refused and unknown host did nothing, the rest is ambiguous", () => {
      expect([
        show(transport()),
        show(transport(coded("ECONNREFUSED"))),
        show(transport(coded("ENOTFOUND"))),
        show(transport(coded("EAI_AGAIN"))),
        show(transport(new TypeError("fetch failed", { cause: coded("ECONNREFUSED") }))),
        show(transport(new TypeError("fetch failed", { cause: coded("ECONNRESET") }))),
        show(transport(coded("ECONNRESET"))),
        show(transport(coded("ETIMEDOUT"))),
        show(transport(coded("UND_ERR_SOCKET"))),
        show(transport("ECONNREFUSED"))
      ]).toEqual([
        "Transient ambiguous",
        "Transient",
        "Transient",
        "Transient",
        "Transient",
        "Transient ambiguous",
        "Transient ambiguous",
        "Transient ambiguous",
        "Transient ambiguous",
        "Transient ambiguous"
      ])
    })

    it("E13, E14: the wait of a refused status is read, in each of its headers", () => {
      const refused = (status: number, headers: Record<string, string>, source?: unknown) =>
        new HttpClientError.ResponseError({
          request,
          reason: "StatusCode",
          response: Object.assign(
            Object.create(
              HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
            ),
            source === undefined ? {} : { source }
          )
        })
      const rawHeaders = ["Retry-After", "1", "Retry-After", "30"]
      expect([
        show(refused(529, { "retry-after": "1" })),
        show(refused(413, { "retry-after": "1" })),
        show(refused(413, {})),
        show(refused(429, { "retry-after-ms": "1500" })),
        show(refused(503, { "retry-after": "1" }, { rawHeaders }))
      ]).toEqual([
        "Transient ambiguous after 1000",
        "Transient after 1000",
        "Terminal",
        "Transient after 1500",
        "Transient ambiguous after 30000"
      ])
    })

    it("E2: a request that could not be built is terminal", () => {
      expect([
        show(new HttpClientError.RequestError({ request, reason: "Encode" })),
        show(new HttpClientError.RequestError({ request, reason: "InvalidUrl" }))
      ]).toEqual(["Terminal", "Terminal"])
    })

    it("E2, E4: a refused status goes by that status", () => {
      expect(statuses.map((status) => `${status}: ${show(response(status))}`)).toEqual([
        "400: Terminal",
        "401: Terminal",
        "403: Terminal",
        "404: Terminal",
        "408: Transient",
        "409: Terminal",
        "410: Terminal",
        "412: Terminal",
        "422: Terminal",
        "423: Terminal",
        "425: Transient",
        "429: Transient",
        "500: Transient ambiguous",
        "501: Terminal",
        "502: Transient ambiguous",
        "503: Transient ambiguous",
        "504: Transient ambiguous",
        "505: Terminal"
      ])
    })
  })
})

const withRepeat = (error: ApiError.ApiError, repeat: "never" | "transient"): ApiError.ApiError =>
  Schema.decodeUnknownSync(ApiError.ApiError)({
    ...Schema.encodeSync(ApiError.ApiError)(error),
    repeat
  })

describe("ApiError.verdict of an idempotent run", () => {
  it("a duplicate in flight and a store that does not answer may be asked for again, after the wait", () => {
    const retryAfter = Duration.seconds(7)
    const transient = { _tag: "Transient", ambiguous: false, retryAfter: Option.some(retryAfter) }
    expect([
      ApiError.verdict(new Idempotency.InFlight({ retryAfter })),
      ApiError.verdict(new Idempotency.StoreUnavailable({ retryAfter }))
    ]).toEqual([transient, transient])
  })

  it("the others are final", () => {
    const errors = [
      new Idempotency.Mismatch(),
      new Idempotency.ResultUnavailable(),
      new Idempotency.CorruptRecord(),
      new Idempotency.UnknownOutcome(),
      new Idempotency.FingerprintError({ path: "payload", reason: "NaN" })
    ]
    expect(errors.map((error) => ApiError.verdict(error)._tag)).toEqual(
      errors.map(() => "Terminal")
    )
  })
})

describe("ApiError.mayHaveRun", () => {
  const request = HttpClientRequest.post("https://api.test/charges")
  const answered = (status: number, reason: "StatusCode" | "Decode" | "EmptyBody" = "StatusCode") =>
    new HttpClientError.ResponseError({
      request,
      reason,
      response: HttpClientResponse.fromWeb(request, new Response(null, { status }))
    })
  const judged = (errors: ReadonlyArray<unknown>) => errors.map(ApiError.mayHaveRun)
  const all = (value: boolean, errors: ReadonlyArray<unknown>) =>
    expect(judged(errors)).toEqual(errors.map(() => value))

  it("I20: whatever nobody can say was not executed, also when it is not to be repeated", () => {
    all(true, [
      new ApiError.Timeout({ message: "late", deadline: "attempt" }),
      new ApiError.Timeout({ message: "late", deadline: "total" }),
      new ApiError.Network({ message: "reset", sent: "unknown" }),
      new ApiError.Network({ message: "reset", sent: "unknown", repeat: "never" }),
      ...[500, 502, 503, 504, 507, 511, 599].map((status) =>
        new ApiError.Server({ message: "oops", status })
      ),
      new ApiError.Server({ message: "oops" }),
      new ApiError.Server({ message: "oops", status: 500, repeat: "never" }),
      new ApiError.Server({ message: "see other", status: 303 }),
      new ApiError.Server({ message: "unreadable", status: 201, code: "unreadable_response" }),
      new Cause.TimeoutException("late")
    ])
  })

  it("I20: an answer of the API says that it was not, and so does a request that never left", () => {
    all(false, [
      ...tags.filter((tag) => !["Server", "Timeout", "Network"].includes(tag)).map((tag) =>
        samples[tag]
      ),
      new ApiError.Network({ message: "refused", sent: "no" }),
      new ApiError.Timeout({ message: "gave up", deadline: "server", status: 408 }),
      ...[425, 501, 505].map((status) => new ApiError.Server({ message: "no", status })),
      new ApiError.Conflict({ message: "in flight", inFlight: true })
    ])
  })

  it("I20: what a playbook calls worth another try and ambiguous is so here", () => {
    all(true, [
      new ApiError.Conflict({ message: "try again", status: 409, repeat: "transient" }),
      new ApiError.Validation({ message: "try again", status: 422, repeat: "transient" })
    ])
  })

  it("I20: the platform's errors are understood the same way", () => {
    all(true, [
      answered(500),
      answered(200, "Decode"),
      answered(201, "EmptyBody"),
      new HttpClientError.RequestError({ request, reason: "Transport" })
    ])
    all(false, [
      answered(404),
      answered(408),
      answered(501),
      new HttpClientError.RequestError({
        request,
        reason: "Transport",
        cause: { code: "ECONNREFUSED" }
      }),
      new HttpClientError.RequestError({ request, reason: "Encode" }),
      new HttpClientError.RequestError({ request, reason: "InvalidUrl" })
    ])
  })

  it("I20: of the errors of a run inside, those after which nobody can be sure", () => {
    const retryAfter = Duration.seconds(1)
    all(true, [
      new Idempotency.UnknownOutcome(),
      new Idempotency.ResultUnavailable(),
      new Idempotency.CorruptRecord(),
      new Idempotency.StoreUnavailable({ retryAfter, during: "savepoint" })
    ])
    all(false, [
      new Idempotency.InFlight({ retryAfter }),
      new Idempotency.Mismatch(),
      new Idempotency.FingerprintError({ path: "payload", reason: "NaN" }),
      new Idempotency.StoreUnavailable({ retryAfter, during: "acquire" })
    ])
  })

  it("I20: an error that is not understood is one of the business", () => {
    all(false, [
      new Error("boom"),
      "timeout",
      undefined,
      null,
      { _tag: "Timeout", deadline: "total" },
      new HttpApiError.Conflict()
    ])
  })

  it("I20: whatever has an ambiguous verdict may have run", () => {
    fc.assert(
      fc.property(Arbitrary.make(ApiError.ApiError), (error) => {
        const verdict = ApiError.verdict(error)
        if (verdict._tag === "Transient" && verdict.ambiguous) {
          expect(ApiError.mayHaveRun(error)).toBe(true)
        }
      }),
      { numRuns: runs(500) }
    )
  })
})
