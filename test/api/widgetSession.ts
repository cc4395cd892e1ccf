/** What the tests of Widget Session share: a partner, users, and calls. */
import { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, FastCheck as fc, Redacted } from "effect"
import { type ApiError, Backoff, Operation, Pipeline } from "effect-resilience"
import * as WidgetSession from "effect-resilience/api/WidgetSession"
import type * as FlakyApi from "effect-resilience/testing/FlakyApi"
import { createHmac } from "node:crypto"

export type User = WidgetSession.User

export const secret = "prod-3f9c1e77-secret"
export const devSecret = "dev-88aa01bb-secret"
export const secretKey = Redacted.make(secret)

export const john: User = {
  user_id: "USR-001",
  email: "john@example.com",
  name: "John Doe",
  company: { company_id: "COMP-001" },
  candidates: [{ candidate_id: "CND-001" }, { candidate_id: "CND-002" }]
}

export const hmac = (key: string, text: string) =>
  createHmac("sha256", key).update(text, "utf8").digest("hex")

/** The canonical string as the document words it, without our code. */
export const canonicalOf = (partnerId: string, user: User): string => {
  let ids = ""
  for (const { candidate_id } of user.candidates ?? []) {
    ids += (ids === "" ? "" : ",") + candidate_id
  }
  const company = user.company === undefined ? "" : user.company.company_id
  return `${partnerId}|${user.user_id}|${user.email}|${user.name}|${company}|${ids}`
}

/**
 * The rows of the document's table of status codes, and the tags that errors-and-http.md gives
 * them.
 */
export const rows: ReadonlyArray<
  readonly [status: number, retry: "Yes" | "No", tag: ApiError.ApiError["_tag"]]
> = [
  [401, "No", "Auth"],
  [403, "No", "Policy"],
  [404, "No", "NotFound"],
  [422, "No", "Validation"],
  [429, "Yes", "RateLimit"],
  [500, "Yes", "Server"],
  [502, "Yes", "Server"],
  [503, "Yes", "Server"],
  [504, "Yes", "Server"]
]

const word = fc.stringMatching(/^[A-Za-z0-9]{1,10}$/)
export const anyText = fc.oneof(
  word,
  fc.fullUnicodeString({ minLength: 1, maxLength: 12 }),
  fc.constantFrom("a|b", "李 雷", "é", "👩‍💻")
)
export const anyUser: fc.Arbitrary<User> = fc.record({
  user_id: anyText,
  email: anyText,
  name: anyText,
  company: fc.option(fc.record({ company_id: anyText }), { nil: undefined }),
  candidates: fc.option(fc.array(fc.record({ candidate_id: anyText }), { maxLength: 6 }), {
    nil: undefined
  })
}).map(({ candidates, company, ...user }) => ({
  ...user,
  ...(company === undefined ? {} : { company }),
  ...(candidates === undefined ? {} : { candidates })
}))

export const virtual = { baseUrl: "https://api.test", partnerId: "partner-1", secretKey }

export const token = "tok-5ad2-session-token"

/**
 * The partner's server: it checks the signature with node:crypto, against the partner id of the
 * URL.
 */
export const partner = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { signature, user } = (yield* request.json) as WidgetSession.Request
  const partnerId = decodeURIComponent(request.url.split("/")[3] ?? "")
  return signature === hmac(secret, canonicalOf(partnerId, user))
    ? HttpServerResponse.unsafeJson({ session_id: "s-1", session_token: token }, { status: 200 })
    : HttpServerResponse.unsafeJson({ message: "Invalid Signature" }, { status: 401 })
})

/** The strategy of the document with its waits taken out. */
const hasty = Pipeline.make({
  operation: Operation.keyed,
  retry: { ...WidgetSession.retry, backoff: Backoff.constant("1 millis") }
})

export const connect = (
  api: FlakyApi.FlakyApi,
  options: Partial<WidgetSession.Options<never>> = {}
) =>
  Effect.flatMap(
    hasty,
    (pipeline) =>
      WidgetSession.make({
        baseUrl: api.url,
        partnerId: "partner 1|é",
        secretKey,
        pipeline,
        ...options
      })
  )

export const live = Effect.provide(NodeHttpClient.layerUndici)
