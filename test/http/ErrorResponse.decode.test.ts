import { Headers, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Option, Schema } from "effect"
import { ApiError, ErrorResponse } from "effect-resilience"
import { tagOf } from "../support/errors.js"
import { decode, encode, errorOf, nowMillis, retryAfter, said } from "./errorResponse.js"

const read = (response: Response, options?: ErrorResponse.ReadOptions) =>
  ErrorResponse.read(
    HttpClientResponse.fromWeb(HttpClientRequest.get("http://api.example.com/"), response),
    options
  )

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

describe("ErrorResponse.decode: issues and codes", () => {
  const issues = (body: unknown) => decode(body).issues

  it("E5: a list of { loc, msg } in detail becomes issues", () => {
    const body = {
      detail: [
        { loc: ["body", "items", 0, "name"], msg: "field required", type: "value_error.missing" },
        { type: "missing", loc: ["query", "q"], msg: "Field required", input: null }
      ]
    }
    expect(issues(body)).toEqual([
      { path: "body.items.0.name", message: "field required" },
      { path: "query.q", message: "Field required" }
    ])
    expect(errorOf(422, body)).toMatchObject({ _tag: "Validation", issues: issues(body) })
    expect(decode({ detail: "Not found." })).toMatchObject({ message: "Not found." })
    expect(decode({ error: { detail: [{ loc: "q", msg: "m" }], message: "bad" } })).toMatchObject({
      message: "bad",
      issues: [{ path: "q", message: "m" }]
    })
  })

  it("E5: a map from fields to lists of sentences becomes issues, nested or not", () => {
    expect([
      issues({ email: ["Enter a valid email address."], non_field_errors: ["a", "b"] }),
      issues({ title: ["This field is required."] }),
      issues({ profile: { age: ["too young"] }, items: [{}, { name: ["is missing"] }] })
    ]).toEqual([
      [
        { path: "email", message: "Enter a valid email address." },
        { path: "non_field_errors", message: "a" },
        { path: "non_field_errors", message: "b" }
      ],
      [{ path: "title", message: "This field is required." }],
      [
        { path: "profile.age", message: "too young" },
        { path: "items.1.name", message: "is missing" }
      ]
    ])
    expect([
      issues({ email: ["a"], count: 5 }),
      issues({ email: "a" }),
      issues({}),
      issues({ email: [] }),
      issues([["a"]])
    ]).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  it("E5: pointers of JSON:API become paths", () => {
    expect(issues({
      errors: [
        { status: "422", source: { pointer: "/data/attributes/email" }, title: "Invalid" },
        { source: { parameter: "include" }, title: "Invalid", detail: "is not known" },
        { source: { header: "accept" } },
        { source: "odd", detail: "d" }
      ]
    })).toEqual([
      { path: "/data/attributes/email", message: "Invalid" },
      { path: "include", message: "is not known" },
      { path: "accept", message: "is not valid" },
      { path: "", message: "d" }
    ])
  })

  it("E5: the text of a status is no code", () => {
    expect([
      said(errorOf(404, { status: 404, error: "Not Found", message: "no such order" })),
      said(errorOf(500, { code: "Internal Server Error", message: "m" })),
      said(errorOf(503, { error: { type: "service unavailable", message: "m" } })),
      said(errorOf(404, { status: 404, error: "order_missing", message: "no such order" })),
      said(errorOf(404, { error: "Not Found" })),
      said(errorOf(409, { statusCode: 409, error: "Conflict", message: "m" }))
    ]).toEqual([
      ["NotFound", undefined, "no such order"],
      ["Server", undefined, "m"],
      ["Server", undefined, "m"],
      ["NotFound", "order_missing", "no such order"],
      ["NotFound", undefined, "Not Found"],
      ["Conflict", "Conflict", "m"]
    ])
  })

  it("E5: the name of a status beside its number is the code", () => {
    expect(decode({ error: { code: 429, message: "m", status: "RESOURCE_EXHAUSTED" } }).code).toBe(
      "RESOURCE_EXHAUSTED"
    )
    expect(decode({ error: { code: 1042, message: "m", status: "FAILED" } }).code).toBe("1042")
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
    expect(errors.map(retryAfter)).toEqual([7_000, 7_000])
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
