import { FetchHttpClient, HttpClient, HttpClientResponse } from "@effect/platform"
import { Clock, Effect, type Exit, Fiber, Layer, Option, TestClock } from "effect"
import { turn } from "./turns.js"

/**
 * How many turns of the event loop nothing may happen until nothing will: what is in memory by then
 * is read in a few.
 */
const quietTurns = 25

/**
 * Real HTTP in virtual time. A request takes no virtual time. Time passes when no request is under
 * way, and then up to the end of the next sleep. So waits of minutes are exact, and are over at
 * once.
 */
export const virtualHttp = Effect.gen(function*() {
  const requestedAt: Array<number> = []
  let inFlight = 0
  const upstream = yield* Effect.provide(HttpClient.HttpClient, FetchHttpClient.layer)
  const client = HttpClient.transform(
    upstream,
    (send, request) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        requestedAt.push(at)
        inFlight++
        return send.pipe(
          Effect.flatMap((response) =>
            Effect.map(response.arrayBuffer, (bytes) =>
              HttpClientResponse.fromWeb(
                request,
                new Response(bytes.byteLength === 0 ? null : bytes, {
                  status: response.status,
                  headers: response.headers
                })
              ))
          ),
          Effect.ensuring(Effect.sync(() => inFlight--))
        )
      })
  )

  const quiet = Effect.gen(function*() {
    for (let turns = 0; turns < quietTurns; turns = inFlight === 0 ? turns + 1 : 0) yield* turn
  })

  /**
   * Runs an effect to its end, and says when each request was made, in milliseconds from the first.
   */
  const run = <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<
    { readonly exit: Exit.Exit<A, E>; readonly at: ReadonlyArray<number> },
    never,
    R
  > =>
    Effect.gen(function*() {
      const from = requestedAt.length
      const fiber = yield* Effect.fork(effect)
      while (true) {
        yield* quiet
        const exit = yield* Fiber.poll(fiber)
        if (Option.isSome(exit)) {
          const [first = 0] = requestedAt.slice(from)
          return { exit: exit.value, at: requestedAt.slice(from).map((at) => at - first) }
        }
        const next = Math.min(...(yield* TestClock.sleeps()))
        if (next === Infinity) yield* turn
        else yield* TestClock.setTime(next)
      }
    })

  return { layer: Layer.succeed(HttpClient.HttpClient, client), run }
})

/** The waits between requests. */
export const waits = (at: ReadonlyArray<number>): ReadonlyArray<number> =>
  at.slice(1).map((t, n) => t - (at[n] ?? 0))
