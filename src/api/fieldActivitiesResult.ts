/**
 * The result of an activity, and what the API would refuse about it.
 */
import * as Schema from "effect/Schema"

/**
 * A result as it is sent. Whether it is valid also depends on the result types of the tenant; `validate` knows both.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ActivityResult = Schema.Struct({
  commerce_external_id: Schema.String,
  occurred_at: Schema.String,
  status: Schema.String,
  task_result: Schema.Struct({
    result: Schema.String,
    future_scheduled_at: Schema.optional(Schema.String)
  })
})

/**
 * @since 0.1.0
 * @category models
 */
export type ActivityResult = typeof ActivityResult.Type

/**
 * One valid result code, and whether it asks for the date of a further visit.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResultType {
  readonly code: string
  readonly requires_future_scheduled_at: boolean
}

const iso8601 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/

const isDate = (text: string): boolean => iso8601.test(text) && !Number.isNaN(Date.parse(text))

interface Issue {
  readonly path: string
  readonly message: string
}

const required = (path: string, value: string | undefined): ReadonlyArray<Issue> =>
  value === undefined || value.trim() === "" ? [{ path, message: "is required" }] : []

const date = (path: string, value: string | undefined): ReadonlyArray<Issue> =>
  value === undefined || value.trim() === "" || isDate(value)
    ? []
    : [{ path, message: "must be a date of ISO 8601 with its offset" }]

const resultCode = (result: string, types: ReadonlyArray<ResultType>): ReadonlyArray<Issue> =>
  result.trim() === "" || types.some(({ code }) => code === result)
    ? []
    : [{ path: "task_result.result", message: "must be a valid result type code" }]

/**
 * What the API would answer with 400: missing required fields, a result code that is none, a missing date of the next visit where the result type asks for
 * one, dates that are not ISO 8601. Empty when there is nothing to say. O(types).
 *
 * **Example** (A result type that asks for another visit)
 *
 * ```ts
 * import { FieldActivities } from "effect-resilience"
 *
 * const types = [{ code: "RESCHEDULED", requires_future_scheduled_at: true }]
 * const result = {
 *   commerce_external_id: "SHOP-7",
 *   occurred_at: "2026-03-01T10:00:00Z",
 *   status: "DONE",
 *   task_result: { result: "RESCHEDULED" }
 * }
 *
 * FieldActivities.validate(result, types) // => [{ path: "task_result.future_scheduled_at", message: "is required by this result type" }]
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (result: ActivityResult, types: ReadonlyArray<ResultType>): ReadonlyArray<Issue> => {
  const { commerce_external_id, occurred_at, status, task_result } = result
  const type = types.find(({ code }) => code === task_result.result)
  const missingDate = type?.requires_future_scheduled_at === true &&
    required("task_result.future_scheduled_at", task_result.future_scheduled_at).length > 0
  return [
    ...required("commerce_external_id", commerce_external_id),
    ...required("occurred_at", occurred_at),
    ...date("occurred_at", occurred_at),
    ...required("status", status),
    ...required("task_result.result", task_result.result),
    ...resultCode(task_result.result, types),
    ...(missingDate ? [{ path: "task_result.future_scheduled_at", message: "is required by this result type" }] : []),
    ...date("task_result.future_scheduled_at", task_result.future_scheduled_at)
  ]
}
