import type { ApiError } from "effect-resilience"

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
