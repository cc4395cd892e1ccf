/**
 * A client that may be killed at any moment and started again:
 * `npx tsx examples/payment-client.ts <url> <order> <cents> [folder]`
 *
 * Its idempotency keys are in files in the folder, one for each order.
 */
import { FetchHttpClient, HttpClientRequest } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Schema } from "effect"
import { ApiClient, Backoff, IdempotencyKey, Operation, Pipeline } from "effect-resilience"
import { keyOf } from "./payments/outbox.js"

const [url = "", order = "", cents = "", folder = "examples/out/outbox"] = process.argv.slice(2)

const Receipt = Schema.Struct({ receipt: Schema.Number })

const program = Effect.gen(function*() {
  const client = yield* ApiClient.make({
    name: "payments",
    baseUrl: url,
    pipeline: yield* Pipeline.make({
      operation: Operation.keyed,
      retry: { retries: 8, backoff: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }) }
    })
  })
  const key = yield* keyOf(folder, order)
  yield* Console.log(`${order}: sending`)

  return yield* ApiClient.execute(
    client,
    HttpClientRequest.post("/charges").pipe(
      HttpClientRequest.bodyUnsafeJson({ order, cents: Number(cents) })
    ),
    (response) =>
      Effect.map(ApiClient.json(Receipt)(response), ({ receipt }) => ({
        receipt,
        replayed: response.headers["idempotent-replayed"] === "true"
      }))
  ).pipe(
    Effect.map(({ receipt, replayed }) =>
      `${order}: receipt ${receipt}${replayed ? ", charged by an earlier attempt" : ""}`
    ),
    ApiClient.withOperation(Operation.keyed),
    IdempotencyKey.provide(key),
    Effect.catchTags({
      Validation: ({ message }) => Effect.succeed(`${order}: refused, ${message}`),
      // The server cannot say whether it charged, or has forgotten the key by now. Somebody has to
      // look.
      Conflict: ({ message }) => Effect.succeed(`${order}: not clear, ${message}`),
      UnknownOutcome: ({ message }) => Effect.succeed(`${order}: not clear, ${message}`)
    })
  )
})

NodeRuntime.runMain(
  Effect.flatMap(program, Console.log).pipe(Effect.provide(FetchHttpClient.layer))
)
