/**
 * One declared value protects every call to an API: `npx tsx examples/pipeline.ts`
 */
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { Effect } from "effect"
import { ApiClient, Backoff, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

/** What holds for every call, in one place. It applies in the same order always. */
const stages = {
  operation: Operation.read,
  totalTimeout: "5 seconds",
  retry: { retries: 2, backoff: Backoff.constant("20 millis") },
  circuitBreaker: { window: CircuitBreaker.count(6), minimumCalls: 6, slowCall: false },
  attemptTimeout: "1 second"
} as const satisfies Pipeline.Stages

class Catalogue extends Pipeline.Tag("Catalogue")<Catalogue>()(stages) {}

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({
    app: HttpServerResponse.json({ item: "tea" }),
    script: FlakyApi.sequence([
      FlakyApi.none,
      // The second call meets a bad moment and is answered at its third attempt.
      FlakyApi.unavailable(),
      FlakyApi.reset(),
      FlakyApi.none,
      // Then the server is down.
      ...Array.from({ length: 9 }, () => FlakyApi.unavailable())
    ])
  })
  const client = yield* ApiClient.make({
    name: "catalogue",
    baseUrl: server.url,
    pipeline: yield* Catalogue
  })

  for (let call = 1; call <= 5; call++) {
    const outcome = yield* client.get("/v1/items/1").pipe(
      Effect.map(({ status }) => `answered with ${status}`),
      Effect.catchTags({
        Server: ({ attempts, status }) => Effect.succeed(`${status} after ${attempts} attempts`),
        CircuitOpen: () => Effect.succeed("not sent, the circuit is open")
      })
    )
    console.log(`call ${call}: ${outcome}`)
  }
  console.log(`the server received ${(yield* server.received).length} requests`)
})

await Effect.runPromise(
  program.pipe(
    Effect.scoped,
    Effect.provide(Catalogue.layer),
    Effect.provide(FetchHttpClient.layer)
  )
)
console.log(Pipeline.describe(stages).text)
