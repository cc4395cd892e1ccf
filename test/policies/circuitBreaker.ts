/** What the tests of the circuit breaker share: calls as words, and breakers in a state. */
import { Deferred, Duration, Effect, Fiber, Stream, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { server } from "../support/errors.js"
import { wordsFor } from "../support/exits.js"
import { settle } from "../support/turns.js"

export type Breaker = CircuitBreaker.CircuitBreaker

export const ok = Effect.succeed("ok")
export const down = Effect.fail(server())

/** Something that takes its time: the clock moves while it runs. */
export const taking = <A, E>(
  duration: Duration.DurationInput,
  self: Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.zipRight(TestClock.adjust(duration), self)

export const many = <A>(n: number, value: A): Array<A> => Array.from({ length: n }, () => value)

export const bothOf = <A, B>(
  first: ReadonlyArray<A>,
  second: ReadonlyArray<B>
): Array<A | B> => [...first, ...second]

/** An exit in a word; for a rejection also how long to stay away. */
export const wordOf = wordsFor({
  failure: (error) =>
    error instanceof CircuitBreaker.CircuitOpen
      ? `CircuitOpen ${Duration.toMillis(error.retryAfter)}`
      : undefined
})

export const call = (
  breaker: Breaker,
  effect: Effect.Effect<unknown, unknown> = ok,
  key?: string
) => Effect.map(Effect.exit(breaker.protect(effect, { key })), wordOf)

export const calls = (
  breaker: Breaker,
  effects: ReadonlyArray<Effect.Effect<unknown, unknown>>,
  key?: string
) => Effect.forEach(effects, (effect) => call(breaker, effect, key))

/** A call that has started and ends when told to. */
export const hold = (breaker: Breaker, key?: string) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<unknown, unknown>()
    const fiber = yield* Effect.fork(breaker.protect(Deferred.await(gate), { key }))
    yield* settle
    return {
      end: (effect: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.zipRight(Deferred.complete(gate, effect), Fiber.await(fiber)), wordOf),
      interrupt: Effect.map(Fiber.interrupt(fiber), wordOf),
      now: Effect.sync(() => {
        const exit = fiber.unsafePoll()
        return exit === null ? "running" : wordOf(exit)
      })
    }
  })

export const holdMany = (n: number, breaker: Breaker, key?: string) =>
  Effect.forEach(Array.from({ length: n }), () => hold(breaker, key))

export const numbers = (breaker: Breaker, key?: string) =>
  Effect.map(
    breaker.snapshot(key),
    (s) =>
      `${s.state}: ${s.calls} calls, ${s.failures} failed, ${s.slow} slow, ${s.inFlight} in flight`
  )

/** Follows the transitions from here on; the effect it gives says what there was so far. */
export const watch = (breaker: Breaker) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    yield* Effect.fork(
      Stream.runForEach(breaker.transitions, (t) =>
        Effect.sync(() => {
          seen.push(`${t.at} ${t.key}: ${t.from} > ${t.to}`)
        }))
    )
    yield* settle
    return Effect.map(settle, () => [...seen])
  })

export const defaultsTripped = Effect.gen(function*() {
  const breaker = yield* CircuitBreaker.make()
  yield* calls(breaker, many(10, down))
  return breaker
})

export const tripped = (options: CircuitBreaker.Options = {}) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.make({ ...brittle, ...options })
    yield* call(breaker, down)
    return breaker
  })

/** Open and over: the next call is a trial. */
export const halfOpen = (options: CircuitBreaker.Options = {}) =>
  Effect.tap(tripped(options), () => TestClock.adjust(30_000))

export const throughJson = (state: unknown): unknown => JSON.parse(JSON.stringify(state))
