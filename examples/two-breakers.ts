/**
 * Two upstreams, a breaker for each: one is down, the other does not notice.
 * `npx tsx examples/two-breakers.ts`
 */
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { Effect, Layer } from "effect"
import { ApiClient, ApiError, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

/** Payments open early: a failed payment is dear. */
class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
const payments = Payments.layer({
  window: CircuitBreaker.count(10),
  minimumCalls: 3,
  failureRate: 0.3
})

/** For search the defaults will do. */
class Search extends CircuitBreaker.Tag("Search")<Search>() {}
const search = Search.layer()

/** A client of one API behind the breaker it is given. */
const clientOf = (name: string, baseUrl: string, circuitBreaker: CircuitBreaker.CircuitBreaker) =>
  Effect.flatMap(
    Pipeline.make({ operation: Operation.read, circuitBreaker }),
    (pipeline) => ApiClient.make({ name, baseUrl, pipeline })
  )

const program = Effect.gen(function*() {
  const paymentsServer = yield* FlakyApi.make({
    app: HttpServerResponse.empty({ status: 204 }),
    script: () => FlakyApi.unavailable()
  })
  const searchServer = yield* FlakyApi.make({ app: HttpServerResponse.json(["tea", "rice"]) })

  const paymentsClient = yield* clientOf("payments", paymentsServer.url, yield* Payments)
  const searchClient = yield* clientOf("search", searchServer.url, yield* Search)

  /** A page needs the search, and shows the balance where it can be had. */
  const page = Effect.gen(function*() {
    const found = yield* searchClient.get("/v1/search").pipe(
      Effect.map(({ status }) => `found (${status})`)
    )
    const balance = yield* paymentsClient.get("/v1/balance").pipe(
      Effect.as("balance"),
      Effect.catchTag("CircuitOpen", () => Effect.succeed("no balance, not asked")),
      Effect.catchIf(ApiError.isApiError, ({ status }) => Effect.succeed(`no balance (${status})`))
    )
    return `${found}, ${balance}`
  })

  for (let number = 1; number <= 5; number++) console.log(`page ${number}: ${yield* page}`)

  // Anything else can go through the same circuit: its key is the origin that the client calls.
  const other = yield* Effect.succeed("paid").pipe(
    Payments.protect({ key: paymentsServer.url }),
    Effect.catchTag("CircuitOpen", ({ _tag }) => Effect.succeed(_tag))
  )
  console.log(`another call to payments: ${other}`)

  console.log(`payments: ${yield* (yield* Payments).state(paymentsServer.url)}`)
  console.log(`search: ${yield* (yield* Search).state(searchServer.url)}`)
  const received = Effect.map(paymentsServer.received, ({ length }) => length)
  console.log(
    `payments received ${yield* received} requests, search ${(yield* searchServer.received).length}`
  )
})

await Effect.runPromise(program.pipe(
  Effect.scoped,
  Effect.provide([Layer.merge(payments, search), FetchHttpClient.layer])
))
