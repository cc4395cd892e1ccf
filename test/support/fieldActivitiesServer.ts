/**
 * Field Activities, played by a real HTTP server: it checks what its document says it checks, in
 * this order: the key, its permission, the body, the identifiers, and whether there is a result
 * already. Its errors have the one format that the document shows.
 */
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Option, Schema } from "effect"
import type * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

type Permission = ReturnType<typeof FieldActivities.requiredPermission>

interface Key {
  readonly permissions: ReadonlyArray<Permission>
  readonly state: "valid" | "revoked" | "expired"
}

const everything: ReadonlyArray<Permission> = ["VIEW_ACTIVITIES", "SUBMIT_ACTIVITY_RESULT"]

/** The keys that the administration panel knows. */
export const keys = {
  full: "SENTINEL-field-key-77aa",
  viewOnly: "SENTINEL-field-view-31c9",
  submitOnly: "SENTINEL-field-submit-0d4e",
  revoked: "SENTINEL-field-revoked-5b12",
  expired: "SENTINEL-field-expired-9e70"
} as const

export const apiKey = keys.full

const registered = new Map<string, Key>([
  [keys.full, { permissions: everything, state: "valid" }],
  [keys.viewOnly, { permissions: ["VIEW_ACTIVITIES"], state: "valid" }],
  [keys.submitOnly, { permissions: ["SUBMIT_ACTIVITY_RESULT"], state: "valid" }],
  [keys.revoked, { permissions: everything, state: "revoked" }],
  [keys.expired, { permissions: everything, state: "expired" }]
])

/** The result types of the tenant. The first says nothing about a further visit. */
export const resultTypes = [
  { code: "SOLD" },
  { code: "NOT_INTERESTED", requires_future_scheduled_at: false },
  { code: "RESCHEDULED", requires_future_scheduled_at: true }
]

const names = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict"
} as const

/** An error in the document's format. */
const refusal = (statusCode: keyof typeof names, message: string) =>
  HttpServerResponse.unsafeJson({ statusCode, error: names[statusCode], message }, {
    status: statusCode
  })

/** The same as a fault of the wire, for any status. */
export const fault = (
  statusCode: number,
  error: string,
  message: string,
  options?: FlakyApi.StatusOptions
) =>
  FlakyApi.status(statusCode, {
    ...options,
    body: JSON.stringify({ statusCode, error, message }),
    headers: { "content-type": "application/json", ...options?.headers }
  })

/** A fault for submissions alone: the result types are answered as they should be. */
export const submissions = (faults: (nth: number) => FlakyApi.Fault): FlakyApi.Script => {
  let posts = 0
  return ({ method }) => method === "POST" ? faults(posts++) : FlakyApi.none
}

export interface Options {
  readonly script?: FlakyApi.Script | undefined
  readonly activities?: ReadonlyArray<string> | undefined
  /** The external ids of the tenant's shops. */
  readonly commerces?: ReadonlyArray<string> | undefined
}

const required = Schema.NonEmptyTrimmedString
const Body = Schema.Struct({
  commerce_external_id: required,
  occurred_at: required,
  status: required,
  task_result: Schema.Struct({
    result: required,
    future_scheduled_at: Schema.optional(Schema.String)
  }),
  hard_override: Schema.optional(Schema.Boolean)
})

const isIso8601 = (text: string) =>
  /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?$/.test(text) && !isNaN(Date.parse(text))

/** What the document calls a validation error, in its words. */
const problemOf = ({ occurred_at, task_result }: typeof Body.Type): string | undefined => {
  const type = resultTypes.find(({ code }) => code === task_result.result)
  if (type === undefined) return "task_result.result must be a valid result type code"
  if (!isIso8601(occurred_at)) return "occurred_at must be a valid ISO 8601 date string"
  const { future_scheduled_at } = task_result
  if (type.requires_future_scheduled_at === true && future_scheduled_at === undefined) {
    return "task_result.future_scheduled_at is required for this result type"
  }
  return future_scheduled_at === undefined || isIso8601(future_scheduled_at)
    ? undefined
    : "task_result.future_scheduled_at must be a valid ISO 8601 date string"
}

const requested = Effect.map(HttpRouter.params, ({ id = "" }) => id)

export const make = (options: Options = {}) =>
  Effect.gen(function*() {
    const activities = options.activities ?? ["A-1", "A-2"]
    const commerces = options.commerces ?? ["SHOP-7"]
    const results = new Map<string, unknown>()
    const bodies: Array<unknown> = []

    const permitted = <E, R>(
      permission: Permission,
      handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
    ) =>
      Effect.gen(function*() {
        const sent = (yield* HttpServerRequest.HttpServerRequest).headers["x-api-key"]
        const key = sent === undefined ? undefined : registered.get(sent)
        // It repeats the key, as some servers do.
        if (key?.state !== "valid") return refusal(401, `API key missing or invalid: ${sent ?? ""}`)
        return key.permissions.includes(permission)
          ? yield* handler
          : refusal(403, "Insufficient permissions")
      })

    const read = Effect.map(requested, (id) =>
      activities.includes(id)
        ? HttpServerResponse.unsafeJson({
          activity_id: id,
          status: results.has(id) ? "DONE" : "OPEN"
        })
        : refusal(404, "Activity not found"))

    const submit = Effect.gen(function*() {
      const id = yield* requested
      const json = yield* Effect.option((yield* HttpServerRequest.HttpServerRequest).json)
      if (Option.isNone(json)) return refusal(400, "The body is not JSON")
      bodies.push(json.value)
      const body = yield* Effect.either(Schema.decodeUnknown(Body)(json.value))
      if (body._tag === "Left") {
        return refusal(
          400,
          "commerce_external_id, occurred_at, status, task_result.result are required"
        )
      }
      const problem = problemOf(body.right)
      if (problem !== undefined) {
        return refusal(400, problem)
      }
      if (!activities.includes(id)) return refusal(404, "Activity not found")
      if (!commerces.includes(body.right.commerce_external_id)) {
        return refusal(404, "Commerce not found")
      }
      if (results.has(id) && body.right.hard_override !== true) {
        return refusal(409, "Activity already has a result")
      }
      results.set(id, body.right.task_result.result)
      return HttpServerResponse.empty({ status: 204 })
    })

    const router = HttpRouter.empty.pipe(
      HttpRouter.get(
        "/v1/configurations/result-types",
        permitted("VIEW_ACTIVITIES", HttpServerResponse.json(resultTypes))
      ),
      HttpRouter.get("/v1/activities/:id", permitted("VIEW_ACTIVITIES", read)),
      HttpRouter.post("/v1/activities/:id/result", permitted("SUBMIT_ACTIVITY_RESULT", submit))
    )
    const api = yield* FlakyApi.make({ app: router, script: options.script })
    return {
      ...api,
      /** The registered result of each activity. */
      results,
      /** Every body that was sent with a valid key that may submit. */
      bodies,
      /** How many submissions arrived, and how many questions. */
      posts: Effect.map(
        api.received,
        (all) => all.filter(({ method }) => method === "POST").length
      ),
      gets: Effect.map(api.received, (all) => all.filter(({ method }) => method === "GET").length)
    }
  })
