import { FetchHttpClient, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import type * as ApiError from "effect-resilience/ApiError"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Backoff from "effect-resilience/Backoff"
import * as Operation from "effect-resilience/Operation"
import * as Pipeline from "effect-resilience/Pipeline"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"
import * as UserMessage from "effect-resilience/UserMessage"
import { inspect } from "node:util"

const apiKey = "SENTINEL-field-key-77aa"

const result: FieldActivities.ActivityResult = {
  commerce_external_id: "SHOP-7",
  occurred_at: "2026-03-01T10:00:00Z",
  status: "DONE",
  task_result: { result: "SOLD" }
}

const types = [
  { code: "SOLD", requires_future_scheduled_at: false },
  { code: "RESCHEDULED", requires_future_scheduled_at: true }
]

/** The API: it knows its key and its result types, and keeps one result for each activity unless it is told to overwrite it. */
const api = (script?: FlakyApi.Script) => {
  const bodies: Array<unknown> = []
  const refuse = (statusCode: number, error: string, message: string) =>
    HttpServerResponse.unsafeJson({ statusCode, error, message }, { status: statusCode })
  const app = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    if (request.headers["x-api-key"] !== apiKey) {
      return refuse(401, "Unauthorized", `API key missing or invalid: ${request.headers["x-api-key"]}`)
    }
    if (request.url.includes("result-types")) return yield* HttpServerResponse.json(types)
    if (request.method === "GET") return yield* HttpServerResponse.json({ activity_id: "A-1", status: "OPEN" })
    const body = yield* request.json
    const overrides = typeof body === "object" && body !== null && "hard_override" in body &&
      body.hard_override === true
    if (bodies.length > 0 && !overrides) return refuse(409, "Conflict", "Activity already has a result")
    bodies.push(body)
    return HttpServerResponse.empty({ status: 204 })
  })
  return Effect.gen(function*() {
    const server = yield* FlakyApi.make(script === undefined ? { app } : { app, script })
    const pipeline = yield* Pipeline.make({
      operation: Operation.idempotent,
      retry: { ...FieldActivities.stages.retry, backoff: Backoff.constant("1 millis") }
    })
    const client = (key = apiKey) =>
      FieldActivities.make({ baseUrl: server.url, apiKey: Redacted.make(key), pipeline }).pipe(
        Effect.provide(FetchHttpClient.layer)
      )
    const submissions = Effect.map(server.received, (all) => all.filter(({ method }) => method === "POST").length)
    return { bodies, client, server, submissions }
  })
}

const onlySubmissions = (fault: FlakyApi.Fault): FlakyApi.Script => ({ method }) =>
  method === "POST" ? fault : FlakyApi.none

const rows: ReadonlyArray<readonly [status: number, tag: ApiError.ApiError["_tag"], requests: number, user: string]> = [
  [400, "Validation", 1, "Some of the details of this visit are not valid. Please check them and try again."],
  [401, "Auth", 1, "We could not reach a partner service. Our team has been told."],
  [403, "Policy", 1, "This is not available for your account."],
  [404, "NotFound", 1, "We could not find this visit."],
  [409, "Conflict", 1, "A result for this visit has been registered already."],
  [500, "Server", 4, "A partner service has a problem. Please try again in a moment."],
  [503, "Server", 4, "A partner service has a problem. Please try again in a moment."]
]

describe("FieldActivities, over real HTTP", () => {
  it.scopedLive.each(rows)("%i is %s, in %i requests", ([status, tag, requests, user]) =>
    Effect.gen(function*() {
      const { client, submissions } = yield* api(onlySubmissions(FlakyApi.status(status)))
      const error = yield* Effect.flip((yield* client()).submitResult("A-1", result))
      expect([error._tag, yield* submissions, UserMessage.of(error, { playbook: FieldActivities.playbook })]).toEqual([
        tag,
        requests,
        user
      ])
    }))

  it.scopedLive("E5: the error's name is its code, its message is kept", () =>
    Effect.gen(function*() {
      const { client } = yield* api()
      const field = yield* client()
      yield* field.submitResult("A-1", result)
      const error = yield* Effect.flip(field.submitResult("A-1", result))
      expect(error).toMatchObject({ _tag: "Conflict", code: "Conflict", message: "Activity already has a result" })
    }))

  it.scopedLive("a result is overwritten only by overrideResult", () =>
    Effect.gen(function*() {
      const { bodies, client } = yield* api()
      const field = yield* client()
      yield* field.submitResult("A-1", result)
      yield* Effect.flip(field.submitResult("A-1", result))
      yield* field.overrideResult("A-1", result)
      expect(bodies).toEqual([result, { ...result, hard_override: true }])
    }))

  it.scopedLive("what would be refused is not sent, and says where it is wrong", () =>
    Effect.gen(function*() {
      const { client, submissions } = yield* api()
      const wrong = { ...result, occurred_at: "yesterday", task_result: { result: "GONE" } }
      const error = yield* Effect.flip((yield* client()).submitResult("A-1", wrong))
      expect([error._tag, error._tag === "Validation" ? error.issues.map(({ path }) => path) : [], yield* submissions])
        .toEqual(["Validation", ["occurred_at", "task_result.result"], 0])
    }))

  it.scopedLive("result types are asked for once; a failure to get them is not kept", () =>
    Effect.gen(function*() {
      const { client, server } = yield* api(({ index }) => index === 0 ? FlakyApi.status(404) : FlakyApi.none)
      const field = yield* client()
      yield* Effect.flip(field.submitResult("A-1", result))
      yield* field.submitResult("A-1", result)
      yield* Effect.flip(field.submitResult("A-1", result))
      const asked = (yield* server.received).filter(({ method }) => method === "GET")
      expect(asked.length).toBe(2)
    }))

  it.scopedLive("a 409 after a repeat may be about our own result", () =>
    Effect.gen(function*() {
      let posts = 0
      const lost: FlakyApi.Script = ({ method }) =>
        method === "POST" && posts++ === 0 ? FlakyApi.reset({ when: "after" }) : FlakyApi.none
      const { client } = yield* api(lost)
      const error = yield* Effect.flip((yield* client()).submitResult("A-1", result))
      expect([error._tag, FieldActivities.mayBeOurs(error)]).toEqual(["Conflict", true])
    }))

  it.scopedLive("E9: an activity is read, and filed under its template", () =>
    Effect.gen(function*() {
      const { client } = yield* api(({ index }) => index === 1 ? FlakyApi.status(404) : FlakyApi.none)
      const field = yield* client()
      expect(yield* field.activity("A-1")).toEqual({ activity_id: "A-1", status: "OPEN" })
      const error = yield* Effect.flip(field.activity("SECRET-ID"))
      expect(error).toMatchObject({ endpoint: "/v1/activities/:id" })
    }))

  it.scopedLive("T1: the key is in no error, although the API repeats it", () =>
    Effect.gen(function*() {
      const wrong = "SENTINEL-revoked-key"
      const { client } = yield* api()
      const error = yield* Effect.flip((yield* client(wrong)).activity("A-1"))
      expect(error._tag).toBe("Auth")
      expect(`${String(error)} ${JSON.stringify(error)} ${inspect(error, { depth: 9 })}`).not.toContain(wrong)
    }))
})

describe("FieldActivities", () => {
  it("a missing date of the next visit is found", () => {
    const rescheduled = { ...result, task_result: { result: "RESCHEDULED" } }
    expect(FieldActivities.validate(rescheduled, types).map(({ path }) => path)).toEqual([
      "task_result.future_scheduled_at"
    ])
    const dated = {
      ...result,
      task_result: { result: "RESCHEDULED", future_scheduled_at: "2026-04-01T09:00:00+02:00" }
    }
    expect(FieldActivities.validate(dated, types)).toEqual([])
  })

  it("each required field is missed", () => {
    const empty = { commerce_external_id: "", occurred_at: " ", status: "", task_result: { result: "" } }
    expect(FieldActivities.validate(empty, types).map(({ path }) => path)).toEqual([
      "commerce_external_id",
      "occurred_at",
      "status",
      "task_result.result"
    ])
  })

  it("a 401 is looked for in the key first", () => {
    expect(FieldActivities.diagnose401(undefined)).toEqual(["The x-api-key header is not present in the request"])
    expect(FieldActivities.diagnose401(Redacted.make("key with space"))[0]).toContain("formatting error")
    expect(FieldActivities.diagnose401(Redacted.make("key")).length).toBe(2)
  })

  it("each call has its permission", () => {
    expect(["GET", "POST"].map(FieldActivities.requiredPermission)).toEqual([
      "VIEW_ACTIVITIES",
      "SUBMIT_ACTIVITY_RESULT"
    ])
  })
})
