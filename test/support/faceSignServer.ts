/**
 * FaceSign, played by a real HTTP server: it checks what its document says it checks, and its
 * errors have the one format that the document shows.
 */
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Schema } from "effect"
import type * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

export const auth = "sk_test_SENTINEL-71c0"

/** A key that may look and may not create. */
export const readOnlyAuth = "sk_test_SENTINEL-readonly-22"

export const clientSecret = "cs_SENTINEL-9d3e"

export interface Options {
  readonly script?: FlakyApi.Script
  readonly environment?: FaceSign.Environment
}

/** An error in the document's format. */
const refusal = (status: number, type: string | undefined, message: string, code: string) =>
  HttpServerResponse.unsafeJson({
    error: { ...(type === undefined ? {} : { type }), message, code }
  }, {
    status,
    headers: { "x-request-id": `req_${status}_${code}` }
  })

/** The same as a fault of the wire. */
export const fault = (
  status: number,
  type: string | undefined,
  message: string,
  code: string,
  options?: FlakyApi.StatusOptions
) =>
  FlakyApi.status(status, {
    ...options,
    body: JSON.stringify({ error: { ...(type === undefined ? {} : { type }), message, code } }),
    headers: {
      "content-type": "application/json",
      "x-request-id": `req_${status}_${code}`,
      ...options?.headers
    }
  })

const Settings = Schema.Struct({ clientReferenceId: Schema.NonEmptyTrimmedString })

export const make = (options: Options = {}) =>
  Effect.gen(function*() {
    const sessions: Array<string> = []

    const authenticated = <E, R>(
      handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
    ) =>
      Effect.gen(function*() {
        const { authorization } = (yield* HttpServerRequest.HttpServerRequest).headers
        if (authorization === undefined || authorization.trim() === "Bearer") {
          // Development may say 403 here; production says 401.
          return refusal(
            options.environment === "development" ? 403 : 401,
            "authentication_error",
            "Missing authentication header.",
            "missing_api_key"
          )
        }
        if (authorization !== `Bearer ${auth}` && authorization !== `Bearer ${readOnlyAuth}`) {
          return refusal(
            401,
            "authentication_error",
            "Invalid API key provided.",
            "invalid_api_key"
          )
        }
        return yield* handler
      })

    const create = Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (request.headers.authorization === `Bearer ${readOnlyAuth}`) {
        return refusal(
          403,
          undefined,
          "The API key may not create sessions.",
          "insufficient_permissions"
        )
      }
      const settings = yield* Effect.either(HttpServerRequest.schemaBodyJson(Settings))
      if (settings._tag === "Left") {
        return refusal(
          400,
          "validation_error",
          "The 'clientReferenceId' field is required.",
          "parameter_missing"
        )
      }
      sessions.push(settings.right.clientReferenceId)
      return HttpServerResponse.unsafeJson({
        session: { id: `fs-${sessions.length}` },
        clientSecret
      }, { status: 201 })
    })

    const read = Effect.map(
      HttpRouter.params,
      ({ id = "" }) =>
        sessions.some((_, index) => id === `fs-${index + 1}`)
          ? HttpServerResponse.unsafeJson({ session: { id, status: "created" } })
          : refusal(404, "not_found_error", "No such session.", "resource_missing")
    )

    const router = HttpRouter.empty.pipe(
      HttpRouter.post("/v1/sessions", authenticated(create)),
      HttpRouter.get("/v1/sessions/:id", authenticated(read))
    )
    const api = yield* FlakyApi.make({ app: router, script: options.script })
    return { ...api, sessions }
  })
