/**
 * The errors that tests fail with: those of an API, and a rejection by a guard.
 */
import { Duration } from "effect"
import { ApiError, Rejection } from "effect-resilience"

const hint = (retryAfter: Duration.DurationInput | undefined) =>
  retryAfter === undefined ? {} : { retryAfter: Duration.decode(retryAfter) }

export const server = (status = 503, retryAfter?: Duration.DurationInput) =>
  new ApiError.Server({ message: "down", status, ...hint(retryAfter) })

/** An upstream that is down: always the same value. */
export const down = server()

export const rateLimit = (retryAfter?: Duration.DurationInput) =>
  new ApiError.RateLimit({ message: "slow down", status: 429, ...hint(retryAfter) })

export const network = (sent: ApiError.Network["sent"] = "unknown") =>
  new ApiError.Network({ message: sent === "no" ? "refused" : "reset", sent })

export const timeout = (deadline: ApiError.Timeout["deadline"]) =>
  new ApiError.Timeout({
    message: "late",
    deadline,
    ...(deadline === "server" ? { status: 408 } : {})
  })

export const invalid = () => new ApiError.Validation({ message: "wrong", status: 422 })

export const unauthorized = () => new ApiError.Auth({ message: "no", status: 401 })

export const forbidden = () => new ApiError.Policy({ message: "no", status: 403 })

export const notFound = () => new ApiError.NotFound({ message: "no such thing", status: 404 })

export const conflict = (
  { inFlight = false, retryAfter }: {
    readonly inFlight?: boolean
    readonly retryAfter?: Duration.DurationInput
  } = {}
) => new ApiError.Conflict({ message: "no", status: 409, inFlight, ...hint(retryAfter) })

export const locked = (retryAfter?: Duration.DurationInput) =>
  new ApiError.Locked({ message: "locked", status: 423, ...hint(retryAfter) })

/**
 * A rejection as a guard of the toolkit would make it: nothing was sent, and it may know when to
 * come back.
 */
export class Busy
  extends Rejection.Error("Busy")<{ readonly retryAfter?: Duration.Duration | undefined }>
{}

export const rejection = (retryAfter?: Duration.Duration): Busy =>
  new Busy(retryAfter === undefined ? {} : { retryAfter })

/** E1, word by word. */
export const tagOf = (status: number): ApiError.ApiError["_tag"] => {
  switch (status) {
    case 401:
    case 407:
      return "Auth"
    case 402:
    case 403:
    case 451:
      return "Policy"
    case 404:
    case 410:
      return "NotFound"
    case 409:
    case 412:
      return "Conflict"
    case 423:
      return "Locked"
    case 429:
      return "RateLimit"
    case 408:
      return "Timeout"
    case 425:
      return "Server"
  }
  return status >= 400 && status < 500 ? "Validation" : "Server"
}
