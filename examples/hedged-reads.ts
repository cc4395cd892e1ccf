/**
 * A server that is slow now and then, asked with and without hedges:
 * `npx tsx examples/hedged-reads.ts`
 */
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { Duration, Effect, Option } from "effect"
import { ApiClient, Operation, Pipeline } from "effect-resilience"
import * as Hedge from "effect-resilience/Hedge"
import * as FlakyApi from "effect-resilience/testing/FlakyApi"

const calls = 60
const slow = Duration.millis(700)

/** Every tenth request that arrives is answered late, whoever sent it. */
const everyTenth: FlakyApi.Script = ({ index }) =>
  index % 10 === 9 ? FlakyApi.slowHeaders(slow) : FlakyApi.none

const server = FlakyApi.make({ app: HttpServerResponse.json({ price: 42 }), script: everyTenth })

/** Asks for prices one after the other, and tells how long that took. */
const measure = <R>(
  name: string,
  guard: <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const { received, url } = yield* server
    const client = yield* ApiClient.make({
      name: "prices",
      baseUrl: url,
      pipeline: yield* Pipeline.make({ operation: Operation.read })
    })
    const call = client.get("/v1/prices/tea").pipe(
      Effect.flatMap((response) => response.json),
      guard,
      Effect.timed
    )
    const durations = (yield* Effect.replicateEffect(call, calls)).map(([duration]) => duration)
    const late = durations.filter(Duration.greaterThanOrEqualTo(slow)).length
    console.log(
      `${name}: ${calls} calls, ${late} of them slow, ${(yield* received).length} requests`
    )
    return durations
  })

const longest = (durations: ReadonlyArray<Duration.Duration>) =>
  durations.reduce((longest, each) => Duration.max(longest, each), Duration.zero)

const program = Effect.gen(function*() {
  const alone = yield* measure("without hedges", (call) => call)

  // At most one call in ten is to be hedged. Without a lower bound, a quick server would make it a
  // matter of a millisecond.
  const hedge = yield* Hedge.make({
    operation: Operation.read,
    delay: Hedge.quantile(0.9, { atLeast: "150 millis", initial: "150 millis" })
  })
  const hedged = yield* measure("with hedges", (call) => hedge.protect(call))

  const delay = Option.map(yield* hedge.delay(), Duration.format)
  console.log(`a hedge is sent after ${Option.getOrElse(delay, () => "nothing")}`)
  console.log(`the slowest call is quicker: ${Duration.lessThan(longest(hedged), longest(alone))}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
