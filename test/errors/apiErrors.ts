/** What the tests of the errors share: one of each, and any at all. */
import { Duration, Option } from "effect"
import { ApiError } from "effect-resilience"

export const tags = [
  "Auth",
  "Policy",
  "Validation",
  "NotFound",
  "Conflict",
  "Locked",
  "RateLimit",
  "Server",
  "Timeout",
  "Network"
] as const

export const samples: {
  readonly [Tag in typeof tags[number]]: Extract<ApiError.ApiError, { readonly _tag: Tag }>
} = {
  Auth: new ApiError.Auth({ message: "who are you", status: 401 }),
  Policy: new ApiError.Policy({ message: "not allowed", status: 403 }),
  Validation: new ApiError.Validation({
    message: "bad input",
    status: 422,
    issues: [{ path: "email", message: "is missing" }]
  }),
  NotFound: new ApiError.NotFound({ message: "nothing here", status: 404 }),
  Conflict: new ApiError.Conflict({ message: "taken", status: 409 }),
  Locked: new ApiError.Locked({ message: "locked", status: 423, retryAfter: Duration.seconds(3) }),
  RateLimit: new ApiError.RateLimit({ message: "slow down", status: 429, limit: 10, remaining: 0 }),
  Server: new ApiError.Server({ message: "down", status: 503 }),
  Timeout: new ApiError.Timeout({ message: "too slow", deadline: "attempt" }),
  Network: new ApiError.Network({ message: "refused", sent: "no" })
}

export const show = (error: unknown): string => {
  const verdict = ApiError.verdict(error)
  if (verdict._tag === "Terminal") return "Terminal"
  const after = Option.match(verdict.retryAfter, {
    onNone: () => "",
    onSome: (d) => ` after ${Duration.isFinite(d) ? Duration.toMillis(d) : "for ever"}`
  })
  return verdict._tag + (verdict._tag === "Transient" && verdict.ambiguous ? " ambiguous" : "") +
    after
}
