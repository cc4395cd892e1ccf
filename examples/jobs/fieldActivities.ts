/**
 * The result of each visit. Some results have a code that nobody knows, and some visits are not in
 * the tenant.
 */
import { Effect, Redacted } from "effect"
import * as FieldActivities from "effect-resilience/api/FieldActivities"
import * as Server from "../../test/support/fieldActivitiesServer.js"
import type { Partner } from "./partner.js"
import { weather } from "./weather.js"

interface Visit {
  readonly activityId: string
  readonly code: string
}

const rows: ReadonlyArray<Visit> = Array.from({ length: 100 }, (_, index) => ({
  activityId: `A-${index + 1}`,
  code: index % 33 === 5 ? "UNKNOWN" : "SOLD"
}))

const activities = rows.map(({ activityId }) => activityId).filter((_, index) => index % 30 !== 17)

export const fieldActivities: Partner<Visit> = {
  name: "field-activities",
  what: "results",
  rows,
  connect: Effect.gen(function*() {
    const server = yield* Server.make({ script: weather("field-activities"), activities })
    const field = yield* FieldActivities.make({
      baseUrl: server.url,
      apiKey: Redacted.make(Server.apiKey)
    })
    return {
      server,
      carryOut: ({ activityId, code }) =>
        field.submitResult(activityId, {
          commerce_external_id: "SHOP-7",
          occurred_at: "2026-03-01T10:00:00Z",
          status: "DONE",
          task_result: { result: code }
        }).pipe(
          // An earlier attempt had registered it, and its answer was lost.
          Effect.catchIf(FieldActivities.mayBeOurs, () => Effect.void)
        ),
      userMessage: FieldActivities.userMessage,
      created: Effect.sync(() => [...server.results.keys()])
    }
  })
}
