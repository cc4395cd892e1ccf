import { Headers, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { ApiError, ErrorResponse, Playbook } from "effect-resilience"
import { Duration, Effect, FastCheck as fc, Option, Schema } from "effect"
import { tagOf } from "../support/errors.js"
import { range } from "./support.js"

const encode = (text: string) => new TextEncoder().encode(text)

const nowMillis = Date.parse("2026-10-21T07:00:00Z")

const decode = (
  body: unknown,
  options: { contentType?: string; schema?: ErrorResponse.Decoder } = {}
) =>
  Effect.runSync(ErrorResponse.decode(
    body instanceof Uint8Array
      ? body
      : encode(typeof body === "string" ? body : JSON.stringify(body)),
    { contentType: "application/json", ...options }
  ))

const errorOf = (
  status: number,
  body: unknown = "",
  headers: Record<string, string> = {},
  playbook?: Playbook.Playbook
) => ErrorResponse.toApiError({ status, headers, body: decode(body), nowMillis }, playbook)

/** Tag, code and message of an error, and whether the standard verdict repeats it. */
const said = (error: ApiError.ApiError) => [error._tag, error.code, error.message]

const retryAfter = (error: ApiError.ApiError) =>
  "retryAfter" in error && error.retryAfter !== undefined
    ? Duration.toMillis(error.retryAfter)
    : undefined

const read = (response: Response, options?: ErrorResponse.ReadOptions) =>
  ErrorResponse.read(
    HttpClientResponse.fromWeb(HttpClientRequest.get("http://api.example.com/"), response),
    options
  )

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
      return status >= 500 && status !== 501 && status !== 505 ? "unknown" : "Terminal"
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

describe("ErrorResponse.decode on the documented bodies", () => {
  it("E5: FaceSign: type, message and code; the type decides the tag", () => {
    const types = {
      authentication_error: "Auth",
      validation_error: "Validation",
      not_found_error: "NotFound",
      rate_limit_error: "RateLimit",
      server_error: "Server"
    }
    const body = (type: string) => ({
      error: { type, message: "as documented", code: "some_code" }
    })
    for (const status of [400, 401, 403, 404, 409, 429, 500]) {
      expect(Object.keys(types).map((type) => said(errorOf(status, body(type))))).toEqual(
        Object.values(types).map((tag) => [tag, "some_code", "as documented"])
      )
    }
  })

  it("E5: FaceSign: an absent or unknown type leaves it to the status", () => {
    const bodies = [
      { error: { message: "m", code: "c" } },
      { error: { type: "teapot_error", message: "m", code: "c" } },
      { error: { type: null, message: "m", code: "c" } }
    ]
    expect(bodies.map((body) => said(errorOf(404, body)))).toEqual(
      bodies.map(() => ["NotFound", "c", "m"])
    )
  })

  it("E5: FaceSign: a type more exact than its status also decides whether to repeat", () => {
    const verdict = (status: number, type: string) =>
      ApiError.verdict(errorOf(status, { error: { type } }))._tag
    expect([
      verdict(400, "rate_limit_error"),
      verdict(429, "validation_error"),
      verdict(500, "authentication_error"),
      verdict(403, "authentication_error")
    ]).toEqual(["Transient", "Terminal", "Terminal", "Terminal"])
  })

  it("E5: Field Activities: error is the code; the HTTP status counts, not the body's", () => {
    expect(
      said(
        errorOf(401, {
          statusCode: 401,
          error: "Unauthorized",
          message: "API key missing or invalid"
        })
      )
    )
      .toEqual(
        ["Auth", "Unauthorized", "API key missing or invalid"]
      )
    expect(
      said(
        errorOf(409, {
          statusCode: 409,
          error: "Conflict",
          message: "Activity already has a result"
        })
      )
    )
      .toEqual(
        ["Conflict", "Conflict", "Activity already has a result"]
      )
    expect(errorOf(500, { statusCode: 404, error: "Not Found", message: "m" })).toMatchObject({
      _tag: "Server",
      status: 500
    })
  })

  it("E5: beside a numeric statusCode, error is the code even where there is no message", () => {
    const bodies = [
      { statusCode: 409, error: "Conflict" },
      { statusCode: 409, error: "Conflict", message: 5 },
      { statusCode: 409, error: "Conflict", message: null }
    ]
    expect(bodies.map((body) => said(errorOf(409, body)))).toEqual(
      bodies.map(() => ["Conflict", "Conflict", "Conflict"])
    )
    expect(said(errorOf(409, { statusCode: "409", error: "already there" }))).toEqual([
      "Conflict",
      undefined,
      "already there"
    ])
  })

  it("E5: Site Chat: error as a string or a small object, request_id when there is one", () => {
    const bodies = [
      { error: "no such tenant" },
      { error: "no such tenant", request_id: "req-1" },
      { error: { message: "no such tenant" }, request_id: "req-1" },
      { error: { message: "no such tenant", request_id: "req-1" } },
      { error: { message: "no such tenant", code: "tenant_missing" } }
    ]
    expect(
      bodies.map((body) => errorOf(404, body)).map((error) => [...said(error), error.requestId])
    ).toEqual([
      ["NotFound", undefined, "no such tenant", undefined],
      ["NotFound", undefined, "no such tenant", "req-1"],
      ["NotFound", undefined, "no such tenant", "req-1"],
      ["NotFound", undefined, "no such tenant", "req-1"],
      ["NotFound", "tenant_missing", "no such tenant", undefined]
    ])
  })

  it("E5: RFC 9457: type is the code, detail or title the message", () => {
    const type = "https://example.com/probs/out-of-credit"
    const contentType = "application/problem+json; charset=utf-8"
    expect([
      decode({ type, title: "Out of credit", detail: "Your balance is 30", status: 403 }, {
        contentType
      }),
      decode({ type, title: "Out of credit", status: 403 }, { contentType })
    ]).toMatchObject([{ code: type, message: "Your balance is 30" }, {
      code: type,
      message: "Out of credit"
    }])
  })

  it("E5: a JSON body is read whatever it calls itself", () => {
    const types = [
      "application/json",
      "application/problem+json",
      "text/plain",
      "application/vnd.api+json"
    ]
    expect(types.map((contentType) => decode({ message: "m", code: "c" }, { contentType }).code))
      .toEqual(
        types.map(() => "c")
      )
    expect(Effect.runSync(ErrorResponse.decode(encode("{\"code\":\"c\"}"), {})).code).toBe("c")
  })
})

describe("ErrorResponse on bodies that are nothing of the kind", () => {
  const latin1 = Buffer.from("{\"error\":{\"code\":\"café\",\"message\":\"très\"}}", "latin1")
  const bodies: Record<string, string | Uint8Array> = {
    empty: "",
    spaces: "  \n",
    HTML:
      "<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "plain text": "upstream connect error",
    truncated: "{\"error\":{\"code\":\"some_code\",\"mess",
    "two documents": "{\"code\":\"a\"}{\"code\":\"b\"}",
    null: "null",
    true: "true",
    number: "42",
    string: "\"some_code\"",
    array: "[{\"code\":\"c\"}]",
    "wrong charset": latin1,
    "UTF-16": Buffer.from("{\"code\":\"c\"}", "utf16le"),
    gzip: new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56]),
    "not a number": "{\"code\":NaN}",
    deep: `${"[".repeat(20_000)}${"]".repeat(20_000)}`
  }

  it("E5: the right tag from the status, and no code", () => {
    for (const status of [400, 401, 403, 404, 409, 423, 429, 500, 503]) {
      expect(
        Object.entries(bodies).map(([name, body]) => {
          const error = errorOf(status, body)
          return [name, error._tag, error.code]
        })
      ).toEqual(Object.keys(bodies).map((name) => [name, tagOf(status), undefined]))
    }
  })

  it("E5, T1: the message is a sentence about the status, not the page", () => {
    const messages = ["HTML", "truncated", "gzip"].map((name) => errorOf(502, bodies[name]).message)
    expect(messages.filter((message) => message === "" || /[<{]|nginx|some_code/.test(message)))
      .toEqual([])
  })

  it("E5: fields of the wrong type count as absent", () => {
    const wrong = [
      { error: { type: 5, message: ["m"], code: { a: 1 } } },
      { error: [{}, {}], message: { text: "m" }, code: ["c"] },
      { error: null, message: null, code: null, request_id: null },
      { error: { error: { error: {} } } },
      { type: {}, title: [], detail: 1 },
      { statusCode: "401", error: 401, message: false },
      { issues: "none", errors: { a: 1 }, requestId: { id: 5 } }
    ]
    const errors = wrong.map((body) => errorOf(422, body))
    expect(errors.map((error) => [error._tag, error.code, error.requestId])).toEqual(
      wrong.map(() => ["Validation", undefined, undefined])
    )
    expect(
      errors.filter(({ message }) => message === "" || /object|null|undefined|\d,/.test(message))
    ).toEqual([])
  })

  it("E5: one wrong field does not cost the others", () => {
    expect(said(errorOf(400, { error: { type: 5, message: "m", code: "c" } }))).toEqual([
      "Validation",
      "c",
      "m"
    ])
    expect(said(errorOf(400, { error: { type: "x", message: 5, code: "c" } })).slice(0, 2)).toEqual(
      ["Validation", "c"]
    )
  })

  it("E5: codes that name something else in JavaScript are just codes", () => {
    const names = ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"]
    expect(names.map((code) => said(errorOf(404, { error: { code, message: "m" } })))).toEqual(
      names.map((code) => ["NotFound", code, "m"])
    )
    expect(names.map((type) => errorOf(503, { error: { type, message: "m" } })._tag)).toEqual(
      names.map(() => "Server")
    )
    expect(names.map((type) => ApiError.verdict(errorOf(503, { error: { type } }))._tag)).toEqual(
      names.map(() => "Transient")
    )
  })

  it("E5: a decoder of one's own that does not fit leaves the tag to the status", () => {
    const schema = Schema.Struct({
      code: Schema.String,
      message: Schema.String
    }) as unknown as ErrorResponse.Decoder
    const codes = [{ fault: "x" }, { code: 1, message: "m" }, { code: "c", message: "m" }, "<html>"]
      .map((body) => {
        const error = ErrorResponse.toApiError({
          status: 404,
          headers: {},
          body: decode(body, { schema }),
          nowMillis
        })
        return [error._tag, error.code]
      })
    expect(codes).toEqual([
      ["NotFound", undefined],
      ["NotFound", undefined],
      ["NotFound", "c"],
      ["NotFound", undefined]
    ])
  })

  it("E5: a decoder of one's own may say everything an error body can say", () => {
    const schema = Schema.transform(
      Schema.Struct({
        fault: Schema.String,
        wait: Schema.Number,
        bad: Schema.Array(Schema.String)
      }),
      Schema.Any as Schema.Schema<ErrorResponse.ErrorBody>,
      {
        strict: true,
        decode: ({ bad, fault, wait }) => ({
          code: fault,
          message: `says ${fault}`,
          requestId: "r",
          retryAfter: Duration.seconds(wait),
          issues: bad.map((path) => ({ path, message: "is bad" }))
        }),
        encode: () => ({ fault: "", wait: 0, bad: [] })
      }
    )
    const body = decode({ fault: "f", wait: 7, bad: ["email"] }, { schema })
    const errors = [422, 429].map((status) =>
      ErrorResponse.toApiError({ status, headers: {}, body, nowMillis })
    )
    expect(errors).toMatchObject([
      {
        _tag: "Validation",
        code: "f",
        message: "says f",
        requestId: "r",
        issues: [{ path: "email", message: "is bad" }]
      },
      { _tag: "RateLimit", code: "f", requestId: "r" }
    ])
    expect(errors.map(retryAfter)).toEqual([undefined, 7_000])
  })
})

describe("ErrorResponse is total", () => {
  const special = [
    "__proto__",
    "constructor",
    "toString",
    "",
    " ",
    "\u0000",
    "urn:x",
    "42",
    "2026-01-01"
  ]
  const types = [
    "authentication_error",
    "validation_error",
    "not_found_error",
    "rate_limit_error",
    "server_error"
  ]
  const word = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom(...special),
    fc.constantFrom(...types)
  )
  const name = fc.constantFrom(
    ..."error type message code statusCode request_id requestId title detail issues errors path status"
      .split(" "),
    "retryAfter",
    "retry_after",
    "__proto__"
  )
  const { json } = fc.letrec<{ json: unknown; leaf: unknown }>((tie) => ({
    leaf: fc.oneof(word, fc.double(), fc.integer(), fc.boolean(), fc.constant(null)),
    json: fc.oneof(
      { maxDepth: 3 },
      tie("leaf"),
      fc.array(tie("json"), { maxLength: 3 }),
      fc.dictionary(
        fc.oneof({ weight: 4, arbitrary: name }, { weight: 1, arbitrary: word }),
        tie("json"),
        {
          maxKeys: 6
        }
      )
    )
  }))
  const status = fc.oneof(
    fc.integer({ min: 100, max: 199 }),
    fc.integer({ min: 300, max: 599 }),
    fc.constantFrom(400, 401, 409, 422, 429, 500, 503)
  )
  const headers = fc.dictionary(
    fc.constantFrom(
      "retry-after",
      "ratelimit",
      "ratelimit-reset",
      "x-request-id",
      "date",
      "traceparent",
      "content-type"
    ),
    fc.oneof(word, fc.constantFrom("-5", "1.5", "99999999999999999999", "Infinity", "60"))
  )
  const known = (text: string) => types.some((type) => text.includes(type))
  const isApiError = Schema.is(ApiError.ApiError)

  const runs = { numRuns: 1000 }

  it("E5: no JSON changes the tag of the status unless a known type is in it, and none breaks anything", () => {
    fc.assert(
      fc.property(json, status, headers, (value, status, headers) => {
        const text = JSON.stringify(value)
        const error = errorOf(status, text, headers)
        expect([isApiError(error), error.status]).toEqual([true, status])
        if (!known(text)) expect(error._tag).toBe(tagOf(status))
        ApiError.verdict(error)
      }),
      runs
    )
  })

  it("E5: whatever the body, there is a message", () => {
    fc.assert(
      fc.property(json, status, (value, status) => {
        expect(errorOf(status, JSON.stringify(value)).message.length).toBeGreaterThan(0)
      }),
      {
        ...runs,
        examples: [[{ message: [] }, 400], [{ message: "" }, 400], [{ error: "" }, 400], [{
          detail: ""
        }, 400]]
      }
    )
  })

  it("DESIGN 3: whatever the body and the headers, the error goes through its Schema without loss", () => {
    fc.assert(
      fc.property(json, status, headers, (value, status, headers) => {
        const error = errorOf(status, JSON.stringify(value), headers)
        const again = Schema.decodeSync(ApiError.ApiError)(
          Schema.encodeSync(ApiError.ApiError)(error)
        )
        expect([...said(again), retryAfter(again)]).toEqual([...said(error), retryAfter(error)])
      }),
      {
        ...runs,
        examples: [
          [{ retryAfter: 2 ** 53 / 1000 }, 429, {}],
          [{ retryAfter: 1e300 }, 503, {}],
          [{ retry_after: 0.0001 }, 429, {}],
          [{ retryAfter: -1 }, 409, {}],
          [{}, 429, { "retry-after": "9007199254740993" }],
          [{}, 429, { "retry-after": "9".repeat(400) }],
          [{}, 429, { "ratelimit-reset": "9007199254740993" }]
        ]
      }
    )
  })

  it("E5: no bytes do either", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        status,
        fc.option(word, { nil: undefined }),
        (bytes, status, type) => {
          const options = type === undefined ? {} : { contentType: type }
          const error = ErrorResponse.toApiError({
            status,
            headers: {},
            body: decode(bytes, options),
            nowMillis
          })
          expect(error._tag).toBe(tagOf(status))
        }
      ),
      { numRuns: 500 }
    )
  })

  it("E5: a JSON body cut short anywhere still yields the tag of its status", () => {
    fc.assert(
      fc.property(
        json,
        status,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (value, status, share) => {
          const text = JSON.stringify({ error: value })
          const error = errorOf(status, text.slice(0, Math.floor(share * text.length)))
          expect([error._tag, error.code]).toEqual([
            share === 1 && known(text) ? error._tag : tagOf(status),
            share === 1 ? error.code : undefined
          ])
        }
      ),
      { numRuns: 500 }
    )
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
      "1.5",
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
    const values = ["5, 10", "10, 5", `3, ${inFive}`, `${inFive}, 7`, "junk, 4"]
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

  it("E14: honoured on 429, 503 and a conflict in flight, by no other status", () => {
    const honoured = range(300, 599).filter((status) => {
      const verdict = ApiError.verdict(
        errorOf(status, status === 409 ? { code: "idempotency_key_in_use" } : "", {
          "retry-after": "5"
        })
      )
      return verdict._tag === "Transient" && Option.isSome(verdict.retryAfter)
    })
    expect(honoured).toEqual([409, 429, 503])
    expect(ApiError.verdict(errorOf(413, "", { "retry-after": "5" }))._tag).toBe("Terminal")
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

describe("ErrorResponse.read", () => {
  it.effect("E8: keeps allow-listed headers, and no credential", () =>
    Effect.gen(function*() {
      const error = yield* read(
        new Response("", {
          status: 429,
          headers: {
            "retry-after": "5",
            "x-request-id": "r",
            "set-cookie": "session=1",
            authorization: "Bearer x",
            "x-api-key": "k",
            "x-session-token": "t",
            "x-signature": "s",
            "x-unheard-of": "u",
            location: "/elsewhere?token=1"
          }
        })
      )
      expect(error.headers).toMatchObject({ "retry-after": "5", "x-request-id": "r" })
      const names = Object.keys(error.headers ?? {})
      const kept = (name: string) =>
        ErrorResponse.keptHeaders.some((rule) =>
          typeof rule === "string" ? rule.toLowerCase() === name : rule.test(name)
        )
      expect(names.filter((name) => !kept(name))).toEqual([])
      const secret = [
        "set-cookie",
        "authorization",
        "x-api-key",
        "x-session-token",
        "x-signature",
        "x-unheard-of"
      ]
      expect(names.filter((name) => secret.includes(name))).toEqual([])
      expect(JSON.stringify(error)).not.toContain("token=1")
    }))

  it.effect("E8: the raw body on request, and nowhere on the error", () =>
    Effect.gen(function*() {
      const text = "{\"code\":\"c\",\"extra\":\"only in the raw body\"}"
      const error = yield* read(
        new Response(text, { status: 400, headers: { "content-type": "application/json" } })
      )
      expect(Option.map(ApiError.rawBody(error), (bytes) => new TextDecoder().decode(bytes)))
        .toEqual(Option.some(text))
      expect(JSON.stringify(error)).not.toContain("only in the raw body")
      expect(Object.values(error).filter((value) => value instanceof Uint8Array)).toEqual([])
    }))

  it.effect("E5: reads at most 64 KiB", () =>
    Effect.gen(function*() {
      let pulled = 0
      let cancelled = false
      const chunk = new Uint8Array(16_384).fill(0x20)
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled += chunk.length
          if (pulled > 10_000_000) controller.close()
          else controller.enqueue(chunk)
        },
        cancel() {
          cancelled = true
        }
      })
      const error = yield* read(new Response(body, { status: 502 }))
      expect([error._tag, error.code]).toEqual(["Server", undefined])
      expect(Option.getOrThrow(ApiError.rawBody(error)).length).toBeLessThanOrEqual(65_536)
      expect([cancelled, pulled < 1_000_000]).toEqual([true, true])
    }))

  it.effect("E5: or as little as it is told", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ code: "c", filler: "x".repeat(100) })
      const errors = yield* Effect.forEach([body.length, body.length - 1, 1, 0], (maxBodyBytes) =>
        read(new Response(body, { status: 404 }), { maxBodyBytes }))
      expect(errors.map((error) => [error._tag, error.code])).toEqual([
        ["NotFound", "c"],
        ["NotFound", undefined],
        ["NotFound", undefined],
        ["NotFound", undefined]
      ])
    }))

  it.effect("E5: a body of exactly 64 KiB is read whole, one byte more is not", () =>
    Effect.gen(function*() {
      const sized = (size: number) => {
        const [front, back] = ["{\"code\":\"c\",\"filler\":\"", "\"}"] as const
        return front + "x".repeat(size - front.length - back.length) + back
      }
      const errors = yield* Effect.forEach(
        [65_536, 65_537],
        (size) => read(new Response(sized(size), { status: 404 }))
      )
      expect(errors.map((error) => error.code)).toEqual(["c", undefined])
    }))

  it.effect("E5: a body that breaks off yields what its status says", () =>
    Effect.gen(function*() {
      let first = true
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (first) controller.enqueue(encode("{\"code\":"))
          else controller.error(new Error("connection lost"))
          first = false
        }
      })
      expect(said(yield* read(new Response(body, { status: 403 }))).slice(0, 2)).toEqual([
        "Policy",
        undefined
      ])
    }))

  it.effect("E5: a body that was read already yields what its status says", () =>
    Effect.gen(function*() {
      const response = new Response("{\"code\":\"c\"}", { status: 404 })
      yield* Effect.promise(() => response.text())
      expect((yield* read(response))._tag).toBe("NotFound")
    }))

  it("E8: headers are read whatever their letter case when a platform made them", () => {
    const headers = Headers.fromInput({ "Retry-After": "5", "X-Request-Id": "r" })
    const error = ErrorResponse.toApiError({ status: 429, headers, body: {}, nowMillis })
    expect([error.requestId, retryAfter(error)]).toEqual(["r", 5_000])
  })
})
