import { describe, expect, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import { ApiError, ErrorResponse } from "effect-resilience"
import { tagOf } from "../support/errors.js"
import { runs } from "../support/runs.js"
import { decode, errorOf, nowMillis, retryAfter, said } from "./errorResponse.js"

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

  const thousand = { numRuns: runs(1000) }

  it("E5: no JSON changes the tag of the status unless a known type is in it, and none breaks anything", () => {
    fc.assert(
      fc.property(json, status, headers, (value, status, headers) => {
        const text = JSON.stringify(value)
        const error = errorOf(status, text, headers)
        expect([isApiError(error), error.status]).toEqual([true, status])
        if (!known(text)) expect(error._tag).toBe(tagOf(status))
        ApiError.verdict(error)
      }),
      thousand
    )
  })

  it("E5: whatever the body, there is a message", () => {
    fc.assert(
      fc.property(json, status, (value, status) => {
        expect(errorOf(status, JSON.stringify(value)).message.length).toBeGreaterThan(0)
      }),
      {
        ...thousand,
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
        ...thousand,
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
      { numRuns: runs(500) }
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
      { numRuns: runs(500) }
    )
  })
})
