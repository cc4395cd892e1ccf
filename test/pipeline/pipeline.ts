/** What the tests of the pipeline share: actions that fail, and how a call ended. */
import { Clock, type Duration, Effect, Fiber, TestClock } from "effect"
import { ApiError, Backoff, Pipeline } from "effect-resilience"
import { down } from "../support/errors.js"
import { wordsFor } from "../support/exits.js"

export const secondly = { backoff: Backoff.constant("1 second") }

/** An action that fails for ever, and says when it was called. */
export const failing = <E>(error: E) => {
  const calls: Array<number> = []
  const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    calls.push(now)
    return Effect.fail(error)
  })
  return { calls, action }
}

/** Runs to its end under the test clock. */
export const finish = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "1 day"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** How many calls one logical call becomes when it fails for ever. */
export const callsThrough = (pipeline: Pipeline.Pipeline) =>
  Effect.gen(function*() {
    const { action, calls } = failing(down)
    yield* finish(Pipeline.protect(action, pipeline), "1 minute")
    return calls.length
  })

/** How a call ended, in a word; of a timeout, whose it was and after how many attempts. */
export const endOf = wordsFor({
  value: () => "ok",
  failure: (error) =>
    error instanceof ApiError.Timeout
      ? `${error.deadline} timeout after ${error.attempts}`
      : undefined
})

/** Says when something begins, and when and how it ends. */
export const probing =
  (probes: Array<string>, name: string) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.sync(() => probes.push(name)).pipe(
      Effect.zipRight(self),
      Effect.onExit((exit) => Effect.sync(() => probes.push(`${name}: ${endOf(exit)}`)))
    )

/** How a call through a pipeline ends, and when. */
export const endAt = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.exit(call),
    (exit) => Effect.map(Clock.currentTimeMillis, (now) => [endOf(exit), now] as const)
  )

/** The same for calls that are made at the same time, with plenty of time to end. */
export const endsAt = <A, E, R>(calls: ReadonlyArray<Effect.Effect<A, E, R>>) =>
  Effect.flatten(finish(Effect.all(calls.map(endAt), { concurrency: "unbounded" })))

export const slow = Effect.sleep("1 hour")
