/**
 * Submitting the results of visits to an API that fails, loses connections and keeps one result for
 * each visit. `npx tsx examples/field-activities.ts`
 */
import {
  FetchHttpClient,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { Effect, Option, Redacted } from "effect"
import { Backoff, Operation, Pipeline } from "effect-resilience"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const registered = new Set<string>()

const refuse = (statusCode: number, error: string, message: string) =>
  HttpServerResponse.json({ statusCode, error, message }, { status: statusCode })

/**
 * The API, as far as it is needed here: it knows two result types, and overwrites a result only if
 * it is told to.
 */
const app = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/v1/configurations/result-types",
    HttpServerResponse.json([{ code: "SOLD" }, {
      code: "RESCHEDULED",
      requires_future_scheduled_at: true
    }])
  ),
  HttpRouter.post(
    "/v1/activities/:id/result",
    Effect.gen(function*() {
      const { id = "" } = yield* HttpRouter.params
      const body = yield* (yield* HttpServerRequest.HttpServerRequest).text
      if (!id.startsWith("A-")) return yield* refuse(404, "Not Found", "Activity not found")
      if (registered.has(id) && !body.includes("\"hard_override\":true")) {
        return yield* refuse(409, "Conflict", "Activity already has a result")
      }
      registered.add(id)
      return HttpServerResponse.empty({ status: 204 })
    })
  )
)

/**
 * The first visit meets a failure; of the second the answer is lost, after the result was
 * registered.
 */
const faults = [FlakyApi.serverError(), FlakyApi.none, FlakyApi.reset({ when: "after" })]
let posts = 0
const script: FlakyApi.Script = ({ method }) =>
  (method === "POST" ? faults[posts++] : undefined) ?? FlakyApi.none

const visit = (code: string, future_scheduled_at?: string): FieldActivities.ActivityResult => ({
  commerce_external_id: "SHOP-7",
  occurred_at: "2026-03-01T10:00:00Z",
  status: "DONE",
  task_result: future_scheduled_at === undefined
    ? { result: code }
    : { result: code, future_scheduled_at }
})

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({ app, script })
  const field = yield* FieldActivities.make({
    baseUrl: server.url,
    apiKey: Redacted.make("key of this tenant"),
    // For a fast example; leave it out for the waits that suit a real API.
    pipeline: yield* Pipeline.make({
      operation: Operation.idempotent,
      retry: { retries: 3, backoff: Backoff.constant("20 millis") }
    })
  })
  const told = <E>(submission: Effect.Effect<void, E>) =>
    Effect.match(submission, {
      onSuccess: () => "registered",
      onFailure: (error) =>
        FieldActivities.mayBeOurs(error)
          ? "registered, by this call or before it"
          : FieldActivities.userMessage(error)
    })

  console.log(`A-1: ${yield* told(field.submitResult("A-1", visit("SOLD")))}`)
  console.log(`A-2: ${yield* told(field.submitResult("A-2", visit("SOLD")))}`)
  console.log(
    `A-3, without a date: ${yield* told(field.submitResult("A-3", visit("RESCHEDULED")))}`
  )
  console.log(
    `A-3, with a date: ${yield* told(
      field.submitResult("A-3", visit("RESCHEDULED", "2026-04-01"))
    )}`
  )
  console.log(`A-1 again: ${yield* told(field.submitResult("A-1", visit("SOLD")))}`)
  console.log(
    `A-1, overwritten on purpose: ${yield* told(field.overrideResult("A-1", visit("SOLD")))}`
  )
  const error = yield* Effect.flip(field.submitResult("B-1", visit("SOLD")))
  console.log(`B-1: ${JSON.stringify(Option.getOrNull(FieldActivities.errorObject(error)))}`)
  console.log(
    `the server received ${
      (yield* server.received).length
    } requests and has ${registered.size} results`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
