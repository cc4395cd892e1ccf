/** What the tests of retry share: actions that fail, to their end. */
import { Clock, Effect, Fiber, TestClock } from "effect"
import { Backoff, Operation } from "effect-resilience"

export const maxTimer = 2 ** 31 - 1

export const secondly = {
  operation: Operation.read,
  backoff: Backoff.constant("1 second")
} as const

/**
 * An action that fails with each error in turn (the last for ever), and says when it was called.
 */
export const failing = <E>(...errors: ReadonlyArray<E>) => {
  const calls: Array<number> = []
  const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const error = errors[Math.min(calls.length, errors.length - 1)] as E
    calls.push(now)
    return Effect.fail(error)
  })
  return { calls, action }
}

/** Runs to its end under the test clock: when it ended, and how. */
export const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(
      Effect.exit(effect).pipe(Effect.zip(Clock.currentTimeMillis))
    )
    yield* TestClock.adjust("30 days")
    const [exit, at] = yield* Fiber.join(fiber)
    return { exit, at }
  })

export const many = <A>(n: number, value: A): ReadonlyArray<A> =>
  Array.from({ length: n }, () => value)
