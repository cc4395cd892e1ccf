import { HttpClientRequest, HttpClientResponse, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, Redacted, Schema } from "effect"
import { ApiError, ErrorResponse } from "effect-resilience"
import * as ProblemDetails from "effect-resilience/http/ProblemDetails"
import { withRawBody } from "../../src/errors/rawBody.js"
import { runs } from "../support/runs.js"

const decode = Schema.decodeUnknownSync(ProblemDetails.ProblemDetails)

const read = (body: BodyInit | null, init: ResponseInit) =>
  Effect.runPromise(
    ProblemDetails.fromResponse(
      HttpClientResponse.fromWeb(
        HttpClientRequest.get("http://api.example.com/"),
        new Response(body, init)
      )
    )
  )

/** As it goes over the wire and comes back. */
const sent = async (problem: ProblemDetails.ProblemDetails) => {
  const response = HttpServerResponse.toWeb(ProblemDetails.toResponse(problem))
  const { headers, status } = response
  return {
    status,
    type: headers.get("content-type"),
    wait: headers.get("retry-after"),
    text: await response.text()
  }
}

describe("the document", () => {
  it("E5: members keep their values, extensions too, and the type is about:blank where none is said", () => {
    expect(
      decode({
        title: "Sold out",
        status: 409,
        detail: "tea",
        instance: "/orders/1",
        item: { id: 1 }
      })
    ).toEqual({
      type: "about:blank",
      title: "Sold out",
      status: 409,
      detail: "tea",
      instance: "/orders/1",
      item: { id: 1 }
    })
  })

  it("E5: a member of a type that it should not have counts as absent (RFC 9457 section 3.1)", () => {
    const odd = { type: 7, title: null, status: "409", detail: ["x"], instance: {}, balance: 3 }
    expect(decode(odd)).toEqual({ type: "about:blank", balance: 3 })
    expect([99, 600, 409.5, Number.NaN].map((status) => decode({ status }))).toEqual(
      Array.from({ length: 4 }, () => ({ type: "about:blank" }))
    )
  })

  it("E5: what is no object is no problem document", () => {
    const results = [null, "text", 7, ["x"]].map((json) =>
      Schema.decodeUnknownEither(ProblemDetails.ProblemDetails)(json)._tag
    )
    expect(results).toEqual(["Left", "Left", "Left", "Left"])
  })

  it("E5: any JSON object decodes, and what was decoded survives a round trip", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string().filter((name) => name !== "__proto__"), fc.jsonValue()),
        (json) => {
          const problem = decode(json)
          expect(decode(Schema.encodeSync(ProblemDetails.ProblemDetails)(problem))).toEqual(problem)
        }
      ),
      { numRuns: runs(500) }
    )
  })
})

describe("toResponse", () => {
  it("answers with the document under its status", async () => {
    const problem = { type: "urn:x", title: "No", status: 422, field: "a" }
    expect(await sent(problem)).toEqual({
      status: 422,
      type: "application/problem+json",
      wait: null,
      text: JSON.stringify(problem)
    })
  })

  it("is a 500 where the problem names no status", async () => {
    expect((await sent({ type: "about:blank" })).status).toBe(500)
  })

  it("E10: a wait is sent as a header, in whole seconds, where it is one", async () => {
    const waits = [3, 0, 1.2, -1, Number.NaN, Number.POSITIVE_INFINITY, "5"]
    const headers = await Promise.all(
      waits.map((retryAfter) => sent({ type: "urn:x", retryAfter }))
    )
    expect(headers.map(({ wait }) => wait)).toEqual(["3", "0", "2", null, null, null, null])
  })

  it("an extension that JSON cannot write costs the extensions and not the answer", async () => {
    const { status, text } = await sent({ type: "urn:x", status: 409, big: 1n })
    expect([status, text]).toEqual([409, "{\"type\":\"urn:x\",\"status\":409}"])
  })
})

describe("fromResponse", () => {
  it("E5: reads a document, whatever its media type, and fills in the status", async () => {
    const body = JSON.stringify({ type: "urn:x", detail: "d" })
    expect(
      await read(body, { status: 409, headers: { "content-type": "application/problem+json" } })
    ).toEqual({
      type: "urn:x",
      detail: "d",
      status: 409
    })
    expect((await read(body, { status: 409, headers: { "content-type": "text/plain" } })).type)
      .toBe("urn:x")
  })

  it("E5: anything else is a problem that says no more than its status", async () => {
    const bodies = [null, "", "<html>", "{\"type\":", "[1]", "null", new Uint8Array([0xff, 0xfe])]
    const problems = await Promise.all(bodies.map((body) => read(body, { status: 503 })))
    expect(problems).toEqual(
      bodies.map(() => ({ type: "about:blank", title: "Service Unavailable", status: 503 }))
    )
  })
})

describe("fromApiError", () => {
  it("says the status, the code, the issues, the request id and the wait", () => {
    const context = { message: "Too many", status: 429, code: "slow_down", requestId: "r-1" }
    expect(
      ProblemDetails.fromApiError(
        new ApiError.RateLimit({ ...context, retryAfter: Duration.millis(1500) })
      )
    )
      .toEqual({
        type: "about:blank",
        title: "Too Many Requests",
        status: 429,
        detail: "Too many",
        code: "slow_down",
        requestId: "r-1",
        retryAfter: 2
      })
    const issues = [{ path: "amount", message: "is negative" }]
    expect(ProblemDetails.fromApiError(new ApiError.Validation({ message: "Not valid", issues })))
      .toMatchObject({
        status: 422,
        issues
      })
  })

  it("a code that is a URI is the type, and a conflict in flight has the type of ours", () => {
    const type = "https://api.example.com/problems/sold-out"
    expect(ProblemDetails.fromApiError(new ApiError.Conflict({ message: "m", code: type })))
      .toMatchObject({ type })
    expect(
      ProblemDetails.fromApiError(
        new ApiError.Conflict({ message: "m", inFlight: true, code: "busy" })
      )
    )
      .toMatchObject({
        type: "urn:effect-resilience:idempotency:in-flight",
        code: "busy",
        status: 409
      })
  })

  it("a tag without a status answers with the one it stands for, and so does one with a status of no error", () => {
    const context = { message: "m" }
    const errors = [
      new ApiError.Auth(context),
      new ApiError.Policy(context),
      new ApiError.NotFound(context),
      new ApiError.Conflict(context),
      new ApiError.Locked(context),
      new ApiError.Timeout({ ...context, deadline: "attempt" }),
      new ApiError.Network({ ...context, sent: "no" }),
      new ApiError.Server({ ...context, status: 302 })
    ]
    expect(errors.map((error) => ProblemDetails.fromApiError(error).status)).toEqual(
      [401, 403, 404, 409, 423, 408, 502, 500]
    )
  })

  it("T1: nothing of our side goes along, and secrets are scrubbed", () => {
    const error = withRawBody(
      new ApiError.Server({
        message: "token s3cret is bad",
        code: "s3cret-code",
        requestId: "r-s3cret",
        endpoint: "/internal/ledger",
        method: "POST",
        attempts: 3,
        latency: Duration.seconds(1),
        headers: { server: "ledger-7" }
      }),
      new TextEncoder().encode("raw body")
    )
    const problem = ProblemDetails.fromApiError(error, { secrets: [Redacted.make("s3cret")] })
    expect(problem).toEqual({
      type: "about:blank",
      title: "Internal Server Error",
      status: 500,
      detail: "token <redacted> is bad",
      code: "<redacted>-code",
      requestId: "r-<redacted>"
    })
  })

  it("E5: what a server says of an error its client reads again", async () => {
    const errors = [
      new ApiError.Validation({
        message: "Not valid",
        status: 422,
        issues: [{ path: "a.b", message: "is odd" }]
      }),
      new ApiError.Conflict({
        message: "Wait",
        status: 409,
        code: "busy",
        inFlight: true,
        retryAfter: Duration.seconds(3)
      }),
      new ApiError.RateLimit({
        message: "Slow",
        status: 429,
        code: "slow",
        retryAfter: Duration.seconds(2)
      }),
      new ApiError.NotFound({ message: "Gone", status: 410, requestId: "r-1" })
    ]
    const read = await Promise.all(errors.map((error) => {
      const response = HttpServerResponse.toWeb(
        ProblemDetails.toResponse(ProblemDetails.fromApiError(error))
      )
      return Effect.runPromise(
        ErrorResponse.read(
          HttpClientResponse.fromWeb(HttpClientRequest.get("http://api.example.com/"), response)
        )
      )
    }))
    expect(read.map(({ _tag, message, requestId, status }) => [_tag, message, requestId, status]))
      .toEqual(
        errors.map(({ _tag, message, requestId, status }) => [_tag, message, requestId, status])
      )
    expect(read).toMatchObject([
      { issues: [{ path: "a.b", message: "is odd" }] },
      { inFlight: true, retryAfter: Duration.seconds(3) },
      { code: "slow", retryAfter: Duration.seconds(2) },
      {}
    ])
  })
})

describe("toErrorBody", () => {
  it("E5: the type is the code, detail or else title the message", () => {
    const bodies = [
      { type: "urn:x", title: "T", detail: "D" },
      { type: "urn:x", title: "T" },
      { type: "about:blank", title: "T" },
      { type: "urn:x", code: "c" }
    ].map(ProblemDetails.toErrorBody)
    expect(bodies.map(({ code, message }) => [code, message])).toEqual([
      ["urn:x", "D"],
      ["urn:x", "T"],
      [undefined, "T"],
      ["c", undefined]
    ])
  })
})
