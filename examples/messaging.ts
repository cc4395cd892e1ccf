/**
 * One-time codes and forms against an API whose transport fails and whose keys are rotated.
 * `npx tsx examples/messaging.ts`
 */
import {
  FetchHttpClient,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { Effect, Redacted, Schema } from "effect"
import { Backoff, IdempotencyKey } from "effect-resilience"
import * as Messaging from "effect-resilience/api/Messaging"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const json = (status: number, body: object) => HttpServerResponse.json(body, { status })

/**
 * The API, as far as it is needed here: it knows one key, sends no mail directly, and its old form
 * is closed.
 */
const app = HttpRouter.empty.pipe(
  HttpRouter.post(
    "/v1/otp",
    Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (headers.authorization !== "Bearer mk_2") return yield* json(401, { message: "revoked" })
      const { route } = yield* HttpServerRequest.schemaBodyJson(
        Schema.Struct({ route: Schema.optional(Schema.String) })
      )
      return yield* route === "queued"
        ? json(202, { session_id: "otp-1", queue_id: "q-7" })
        : json(502, { message: "SMTP failure during direct OTP send" })
    })
  ),
  HttpRouter.post("/v1/otp/verify", json(200, { verified: true })),
  HttpRouter.post("/v1/forms/contact/submissions", json(202, { submission_id: "f-1" })),
  HttpRouter.post("/v1/forms/survey/submissions", json(423, { message: "closed by response cap" }))
)

/**
 * Of the first submission of a form the answer is lost, after it was taken. Later there are too
 * many.
 */
const faults = [
  FlakyApi.reset({ when: "after" }),
  FlakyApi.none,
  FlakyApi.rateLimited({ retryAfter: 45 })
]
let submissions = 0
const script: FlakyApi.Script = ({ path }) =>
  (path.startsWith("/v1/forms/contact") ? faults[submissions++] : undefined) ?? FlakyApi.none

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({ app, script })
  // For a fast example; leave the policies out for the waits of the document.
  const quick = { backoff: Backoff.constant("20 millis") }
  const messaging = yield* Messaging.make({
    baseUrl: server.url,
    apiKey: Redacted.make("mk_1"),
    renewKey: Effect.succeed(Redacted.make("mk_2")),
    policies: { sendOtp: quick, submitForm: quick }
  })

  // The key has been rotated, and mail does not go out directly: another key, then another route.
  const sent = yield* IdempotencyKey.provideNew(
    messaging.sendOtp({ to: "ada@example.com", route: "direct", fallbackRoute: "queued" })
  )
  console.log(
    `a code is on its way over the route "${sent.route}", which is the fallback: ${sent.isFallback}`
  )
  console.log(`for the support: ${JSON.stringify(Messaging.correlation(sent))}`)
  const attempt = { sessionId: sent.session_id, otp: Redacted.make("481516") }
  const { verified } = yield* IdempotencyKey.provideNew(messaging.verifyOtp(attempt))
  console.log(`signed in: ${verified}`)

  for (const formId of ["contact", "contact", "survey"]) {
    const told = yield* messaging.submitForm({ formId, fields: { name: "Ada" } }).pipe(
      IdempotencyKey.provideNew,
      Effect.match({
        onSuccess: ({ submission_id }) => `received as ${submission_id}`,
        onFailure: (error) => Messaging.userMessage(error, { support: "help@acme.example" })
      })
    )
    console.log(`${formId}: ${told}`)
  }

  const error = yield* Effect.flip(
    IdempotencyKey.provideNew(messaging.sendOtp({ to: "bob@example.com" }))
  )
  const { endpoint, keyFingerprint, message, status } = yield* messaging.record(error)
  console.log(
    `${endpoint}: ${status}, ${message}, fingerprint of the key: ${
      String(keyFingerprint).length
    } digits`
  )
  console.log(
    `executed forms: ${
      (yield* server.executed).filter(({ path }) => path.includes("contact")).length
    }`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
