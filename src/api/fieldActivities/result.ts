/**
 * The result of an activity, and what the API would refuse about it.
 */
import { constTrue } from "effect/Function"
import { hasProperty } from "effect/Predicate"
import * as Schema from "effect/Schema"

/**
 * A result as it is sent. Whether it is valid also depends on the result types of the tenant;
 * `validate` knows both.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ActivityResult = Schema.Struct({
  /** The external id of the commerce. */
  commerce_external_id: Schema.String,
  /** When the activity took place. */
  occurred_at: Schema.String,
  /** The status of the activity. */
  status: Schema.String,
  /** The result code, and the date of a further visit where the code requires one. */
  task_result: Schema.Struct({
    result: Schema.String,
    future_scheduled_at: Schema.optional(Schema.String)
  })
})

/**
 * A result, decoded.
 *
 * @since 0.1.0
 * @category models
 */
export type ActivityResult = typeof ActivityResult.Type

/**
 * A valid result code, and whether it requires the date of a further visit.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResultType {
  /** The result code. */
  readonly code: string
  /** True when the code requires the date of a further visit. */
  readonly requires_future_scheduled_at: boolean
}

const iso8601 = new RegExp(
  [
    /^(\d{4})-(\d{2})-(\d{2})/,
    /(?:T(\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?:Z|[+-](\d{2})(?::?(\d{2}))?)?)?$/
  ].map(({ source }) => source).join("")
)

const daysIn = (year: number, month: number): number => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return [4, 6, 9, 11].includes(month) ? 30 : 31
}

/** A date, or a date and a time, that exists. */
const isDate = (text: string): boolean => {
  const match = iso8601.exec(text)
  if (match === null) return false
  const [
    year = 0,
    month = 0,
    day = 0,
    hour = 0,
    minute = 0,
    second = 0,
    offsetHours = 0,
    offsetMinutes = 0
  ] = match
    .slice(1).map((digits) => Number(digits ?? 0))
  return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) &&
    hour <= 23 && minute <= 59 && second <= 59 && offsetHours <= 23 && offsetMinutes <= 59
}

interface Issue {
  readonly path: string
  readonly message: string
}

const fieldOf = (value: unknown, name: string): unknown =>
  hasProperty(value, name) ? value[name] : undefined

const isMissing = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === "string" && value.trim() === "")

/** A text that has to be there, and what else has to be true of it. */
const text = (
  path: string,
  value: unknown,
  message = "",
  isRight: (text: string) => boolean = constTrue
): ReadonlyArray<Issue> => {
  if (isMissing(value)) return [{ path, message: "is required" }]
  if (typeof value !== "string") return [{ path, message: "must be a text" }]
  return isRight(value) ? [] : [{ path, message }]
}

const date = (path: string, value: unknown): ReadonlyArray<Issue> =>
  text(path, value, "must be a date of ISO 8601", isDate)

/**
 * Lists what the API would answer with 400: missing required fields, an unknown result code, a
 * missing date of the next visit where the result type requires one, dates that are not ISO 8601.
 * Empty for a valid result. Names what was expected, and never what was given. O(types).
 *
 * **Details**
 *
 * Dates are those of the calendar in the extended format: `2026-03-01`, or `2026-03-01T10:00:00`
 * with or without fractions and an offset. A day has to exist.
 *
 * **Gotchas**
 *
 * A time without an offset is valid ISO 8601, and only the API knows which hour it means. Send the
 * offset, or `Z`.
 *
 * **Example** (A result type that asks for another visit)
 *
 * ```ts
 * import * as FieldActivities from "effect-resilience/api/FieldActivities"
 *
 * const types = [{ code: "RESCHEDULED", requires_future_scheduled_at: true }]
 * const result = {
 *   commerce_external_id: "SHOP-7",
 *   occurred_at: "2026-03-01T10:00:00Z",
 *   status: "DONE",
 *   task_result: { result: "RESCHEDULED" }
 * }
 *
 * const issues = FieldActivities.validate(result, types)
 * issues.map(({ path }) => path) // => ["task_result.future_scheduled_at"]
 * issues.map(({ message }) => message) // => ["is required by this result type"]
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (
  result: unknown,
  types: ReadonlyArray<ResultType>
): ReadonlyArray<Issue> => {
  const task = fieldOf(result, "task_result")
  const type = types.find(({ code }) => code === fieldOf(task, "result"))
  const next = fieldOf(task, "future_scheduled_at")
  const nextPath = "task_result.future_scheduled_at"
  const nextIssues = isMissing(next)
    ? type?.requires_future_scheduled_at === true
      ? [{ path: nextPath, message: "is required by this result type" }]
      : []
    : date(nextPath, next)
  return [
    ...text("commerce_external_id", fieldOf(result, "commerce_external_id")),
    ...date("occurred_at", fieldOf(result, "occurred_at")),
    ...text("status", fieldOf(result, "status")),
    ...text(
      "task_result.result",
      fieldOf(task, "result"),
      "must be a valid result type code",
      (code) => types.some((type) => type.code === code)
    ),
    ...nextIssues
  ]
}
