/**
 * The outage of a real server, as its callers see it: `npx tsx examples/circuit-breaker.ts`
 */
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { Effect, Stream } from "effect"
import { ApiClient, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const program = Effect.gen(function*() {
  const server = yield* FlakyApi.make({ app: HttpServerResponse.json({ price: 42 }) })

  const breaker = yield* CircuitBreaker.make({
    window: CircuitBreaker.count(8),
    minimumCalls: 4,
    failureRate: 0.5,
    openDuration: "500 millis",
    halfOpen: CircuitBreaker.consecutive(2)
  })

  const client = yield* ApiClient.make({
    name: "prices",
    baseUrl: server.url,
    // No retry here: every line below is one call.
    pipeline: yield* Pipeline.make({ operation: Operation.read, circuitBreaker: breaker })
  })

  const show = (line: string) => Effect.sync(() => console.log(line))

  yield* breaker.transitions.pipe(
    Stream.runForEach(({ from, to }) => show(`    the circuit: ${from} -> ${to}`)),
    Effect.forkScoped
  )

  let number = 0
  /** One call, and what its caller sees of it. */
  const call = Effect.suspend(() => {
    const name = `call ${++number}`
    return client.get("/v1/prices/tea").pipe(
      Effect.map(({ status }) => `answered with ${status}`),
      Effect.catchTags({
        Network: () => Effect.succeed("no connection"),
        CircuitOpen: () => Effect.succeed("not sent, the circuit is open")
      }),
      Effect.tap((outcome) => show(`${name}: ${outcome}`)),
      Effect.zipRight(Effect.sleep("20 millis"))
    )
  })
  const calls = (count: number) => Effect.repeatN(call, count - 1)
  const arrived = Effect.flatMap(
    server.received,
    ({ length }) => show(`    requests that reached the server: ${length}`)
  )

  yield* calls(3)

  yield* show("--- the server goes away")
  yield* server.stop
  yield* calls(4) // three that fail are half of six; the last is not sent any more

  yield* show("--- time passes, but the server is still away")
  yield* Effect.sleep("600 millis")
  yield* calls(2) // the trial fails, which opens the circuit again

  yield* show("--- the server is back, which the circuit cannot know yet")
  yield* server.start
  yield* calls(2)
  yield* arrived

  yield* show("--- time passes")
  yield* Effect.sleep("600 millis")
  yield* calls(3) // two trials in a row succeed, which closes it
  yield* arrived
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
