/** What the tests of telemetry share: names, and calls that fail at first. */
import { Duration, Effect, Fiber, Option, TestClock } from "effect"
import { Backoff } from "effect-resilience"
import { notFound } from "../support/errors.js"

let integrations = 0

/** A name of its own for each test, since metrics belong to the process. */
export const newName = (): string => `telemetry-test-${++integrations}`

export const missing = notFound()

export const twice = { retries: 2, backoff: Backoff.constant("1 second") }

export const about = { endpoint: "/v1/things/:id", method: "GET" }

/** Runs to its end under the test clock. */
export const finish = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "1 day"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** Fails so many times, then succeeds. */
export const failsFirst = <E>(times: number, error: E) => {
  let left = times
  return Effect.suspend(() => left-- > 0 ? Effect.fail(error) : Effect.succeed("done"))
}

export const seconds = (duration: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(duration, Duration.toSeconds))
