/** Reads how long a server asks to wait before the next poll. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as RetryAfter from "../../core/retryAfter.js"
import * as ApiError from "../../errors/ApiError.js"
import * as Rejection from "../../errors/Rejection.js"
import * as Validate from "../../runtime/validate.js"

/** A header of plain headers, or of the platform's own. */
const headerOf = (headers: unknown, name: string): string | undefined => {
  if (typeof headers !== "object" || headers === null) return undefined
  if (headers instanceof Headers) return headers.get(name) ?? undefined
  const found = Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1]
  return typeof found === "string" ? found : undefined
}

const durationOf = (value: unknown): number | undefined => {
  const inner = Option.isOption(value) ? Option.getOrUndefined(value) : value
  return Duration.isDuration(inner) ? Duration.toMillis(inner) : undefined
}

/** What an answer asks for by default. */
const askedByStatus = (status: unknown, nowMillis: number): number | undefined => {
  if (typeof status !== "object" || status === null) return undefined
  if ("headers" in status) {
    const { headers } = status
    const asked = RetryAfter.parse(headerOf(headers, "retry-after"), {
      nowMillis,
      dateHeader: headerOf(headers, "date")
    })
    if (asked !== undefined) return asked
  }
  return "retryAfter" in status ? durationOf(status.retryAfter) : undefined
}

/** The least wait that an answer asks for, in milliseconds: by the option, or as it says. */
export const askedMillis = <S>(
  retryAfter: ((status: S) => Duration.DurationInput | undefined) | undefined,
  status: S,
  nowMillis: number
): number => {
  if (retryAfter === undefined) return askedByStatus(status, nowMillis) ?? 0
  const asked = retryAfter(status)
  return asked === undefined ? 0 : Duration.toMillis(Validate.duration("retryAfter", asked))
}

/** Reads the wait that a failure asks for, if another poll may succeed. Zero is no wait. */
export const askedByFailure = (error: unknown): number | undefined => {
  if (!ApiError.isApiError(error) && !Rejection.isRejection(error)) return undefined
  const verdict = ApiError.verdict(error)
  if (verdict._tag === "Terminal") return undefined
  const millis = Option.match(verdict.retryAfter, { onNone: () => 0, onSome: Duration.toMillis })
  return millis > 0 ? millis : undefined
}
