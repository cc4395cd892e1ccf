import { describe, expect, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { ApiError } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import { apiErrorOf } from "../support/exits.js"
import * as Server from "../support/faceSignServer.js"
import { against, create, settings } from "./faceSign.js"

// -----------------------------------------------------------------------------
// validation
// -----------------------------------------------------------------------------

describe("FaceSign.validate", () => {
  it.each<readonly [string, unknown, ReadonlyArray<string>]>([
    ["settings of the document", settings, []],
    ["only the required field", { clientReferenceId: "u" }, []],
    ["a field that is missing", { metadata: {} }, ["clientReferenceId"]],
    ["a field that is blank", { clientReferenceId: " " }, ["clientReferenceId"]],
    ["a field that is a number", { clientReferenceId: 17 }, ["clientReferenceId"]],
    ["metadata that is a text", { clientReferenceId: "u", metadata: "x" }, ["metadata"]],
    ["a flow that is an object", { clientReferenceId: "u", flow: {} }, ["flow"]],
    ["a step without id", { clientReferenceId: "u", flow: [{ type: "end" }] }, ["flow.0.id"]],
    ["a step that is a text", { clientReferenceId: "u", flow: ["end"] }, ["flow.0"]],
    ["nothing", undefined, [""]]
  ])("%s", (_, input, paths) => {
    expect(FaceSign.validate(input).map(({ path }) => path)).toEqual(paths)
  })

  it("T1: it repeats nothing of what was sent", () => {
    const issues = FaceSign.validate({
      clientReferenceId: { SENTINEL: 1 },
      metadata: "SENTINEL",
      flow: ["SENTINEL"]
    })
    expect([issues.length, JSON.stringify(issues).includes("SENTINEL")]).toEqual([3, false])
  })
})

// -----------------------------------------------------------------------------
// help
// -----------------------------------------------------------------------------

describe("FaceSign: getting help", () => {
  it.effect("the request id of the error response, over real HTTP", () =>
    Effect.gen(function*() {
      const { exit } = yield* against(
        () => Server.fault(500, "server_error", "oops", "internal"),
        create
      )
      const error = apiErrorOf(exit)
      expect(FaceSign.supportReference(error)).toEqual({
        requestId: Option.some("req_500_internal"),
        summary:
          "POST /v1/sessions, HTTP 500, server_error, internal, 3 attempts, request id req_500_internal"
      })
      expect(FaceSign.help(error)).toEqual([
        "Check the API status page for any ongoing issues.",
        `Contact support with the request id req_500_internal (${
          FaceSign.supportReference(error).summary
        }).`
      ])
    }))

  it("of a validation error: the parameters first, and not the status page", () => {
    const [first, ...rest] = FaceSign.help(new ApiError.Validation({ message: "x", status: 400 }))
    expect([first, rest]).toEqual([
      "Review the request parameters against the API documentation.",
      ["Contact support (HTTP 400, no request id)."]
    ])
  })

  it("of anything else: everything", () => {
    expect(FaceSign.help("?")).toEqual([
      "Check the API status page for any ongoing issues.",
      "Review the request parameters against the API documentation.",
      "Contact support (No answer of the API, no request id)."
    ])
  })

  it("T4: fields to log", () => {
    const error = new ApiError.Auth({
      message: "x",
      status: 401,
      attempts: 1,
      endpoint: "/v1/sessions",
      method: "POST"
    })
    expect(FaceSign.logFields(error, { environment: "production" })).toEqual({
      integration: "facesign",
      environment: "production",
      attempts: 1,
      endpoint: "/v1/sessions",
      method: "POST",
      status: 401,
      retries: 0,
      timedOut: false,
      verdict: "Terminal",
      error: "Auth"
    })
  })
})
