/**
 * Starting identity verifications against an API that is limited, fails and loses connections.
 * `npx tsx examples/facesign.ts`
 */
import { FetchHttpClient, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Effect, Redacted, Schema } from "effect"
import { type ApiError, Backoff, IdempotencyKey, Operation, Pipeline } from "effect-resilience"
import * as FaceSign from "effect-resilience/api/FaceSign"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

let sessions = 0

/** The API, as far as it is needed here: it knows one key. */
const app = Effect.gen(function*() {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  if (headers.authorization !== "Bearer sk_test_1") {
    const error = {
      type: "authentication_error",
      message: "Invalid API key provided.",
      code: "invalid_api_key"
    }
    return HttpServerResponse.unsafeJson({ error }, {
      status: 401,
      headers: { "x-request-id": "req_401" }
    })
  }
  yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ clientReferenceId: Schema.String }))
  return HttpServerResponse.unsafeJson({
    session: { id: `fs-${++sessions}` },
    clientSecret: "cs_1"
  }, { status: 201 })
})

const limited = FlakyApi.rateLimited({
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    error: {
      type: "rate_limit_error",
      message: "Too many requests. Please retry after 60 seconds.",
      code: "rate_limit_exceeded"
    }
  })
})

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({
    app,
    script: FlakyApi.sequence([
      // The first session: a failure, then a connection that breaks after the session was created.
      FlakyApi.serverError(),
      FlakyApi.reset({ when: "after" }),
      FlakyApi.none,
      // The second is asked to come back in a minute, which is longer than this program waits.
      limited
    ])
  })
  const connect = (auth: string) =>
    Effect.gen(function*() {
      // For a fast example; leave the pipeline out for the waits of the document.
      const retry = {
        retries: 2,
        backoff: Backoff.constant("20 millis"),
        retryAfterCap: "1 second"
      } as const
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        retry,
        attemptTimeout: "5 seconds"
      })
      return yield* FaceSign.make({ baseUrl: server.url, auth: Redacted.make(auth), pipeline })
    })

  const start = (client: FaceSign.FaceSign<ApiError.Timeout>, clientReferenceId: string) =>
    client.createSession({ clientReferenceId, metadata: { source: "web-app" } }).pipe(
      IdempotencyKey.provideNew,
      Effect.match({
        onSuccess: ({ session }) => `created ${session.id}`,
        onFailure: (error) => `${error._tag}. The user reads: ${FaceSign.userMessage(error)}`
      })
    )

  const faceSign = yield* connect("sk_test_1")
  for (const user of ["user-1", "user-2", ""]) {
    console.log(`${user || "nobody"}: ${yield* start(faceSign, user)}`)
  }

  const revoked = yield* connect("sk_test_0")
  const error = yield* Effect.flip(
    IdempotencyKey.provideNew(revoked.createSession({ clientReferenceId: "user-3" }))
  )
  console.log(`user-3: ${FaceSign.userMessage(error, { locale: "de" })}`)
  for (const step of FaceSign.help(error)) console.log(`  ${step}`)

  console.log(
    `the server received ${
      (yield* server.received).length
    } requests and created ${sessions} session`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
