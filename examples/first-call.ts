/**
 * A first call, over real HTTP, against a server that misbehaves on purpose:
 * `npx tsx examples/first-call.ts`
 */
import {
  FetchHttpClient,
  HttpClientRequest,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { Duration, Effect, Schema } from "effect"
import { ApiClient, Backoff, IdempotencyKey, Operation, Pipeline } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const Order = Schema.Struct({ item: Schema.String })

/** The API that is being called. It knows what it wants: an item that it has. */
const shop = HttpServerRequest.schemaBodyJson(Order).pipe(
  Effect.flatMap(({ item }) =>
    item === "tea"
      ? HttpServerResponse.json({ orderId: "ORD-1" }, { status: 201 })
      : HttpServerResponse.json({
        message: "The order is not valid",
        errors: [{ field: "item", message: "is not sold here" }]
      }, { status: 422 })
  )
)

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({
    app: shop,
    script: FlakyApi.sequence([
      // The first order: one refusal, and one connection that breaks after the order was executed.
      FlakyApi.unavailable(),
      FlakyApi.reset({ when: "after" }),
      FlakyApi.none,
      // The second is answered at once. The third is asked to come back in two minutes.
      FlakyApi.none,
      FlakyApi.rateLimited({ retryAfter: 120 })
    ])
  })

  const client = yield* ApiClient.make({
    name: "shop",
    baseUrl: server.url,
    pipeline: yield* Pipeline.make({
      operation: Operation.keyed,
      retry: { retries: 3, backoff: Backoff.exponential({ base: "20 millis", cap: "1 second" }) }
    })
  })

  const order = (item: string) =>
    ApiClient.execute(
      client,
      HttpClientRequest.post("/v1/orders").pipe(HttpClientRequest.bodyUnsafeJson({ item })),
      ApiClient.json(Schema.Struct({ orderId: Schema.String }))
    ).pipe(
      Effect.map(({ orderId }) => `created ${orderId}`),
      // Says that every attempt carries a key; from here on the key is demanded by the type.
      ApiClient.withOperation(Operation.keyed),
      // One key for all attempts of this order. Without this line the program does not compile.
      IdempotencyKey.provideNew,
      Effect.catchTags({
        Validation: ({ issues }) =>
          Effect.succeed(
            `not valid: ${issues.map(({ message, path }) => `${path} ${message}`).join(", ")}`
          ),
        RateLimit: ({ retryAfter }) =>
          Effect.succeed(`too busy, come back in ${Duration.format(retryAfter ?? Duration.zero)}`),
        Network: ({ attempts }) => Effect.succeed(`no answer after ${attempts} attempts`)
      })
    )

  for (const item of ["tea", "sand", "tea"]) console.log(`${item}: ${yield* order(item)}`)

  const created = (yield* server.executed).filter(({ status }) => status === 201)
  console.log(
    `the server received ${
      (yield* server.received).length
    } requests and created ${created.length} order`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
