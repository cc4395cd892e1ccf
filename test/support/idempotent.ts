import { Cause, Effect, Fiber, Schema, type Scope, TestClock } from "effect"
import { IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { outcomeOf, wordsFor } from "./exits.js"
import { faultyStore } from "./faultyStore.js"

export class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}
export class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

export const Receipt = Schema.Struct({ id: Schema.String })
export type Receipt = typeof Receipt.Type

export const lease = 60_000

export const defaults = { scope: ["shop", "charge"], payload: { amount: 1 }, result: Receipt }

/** Work that counts how often it is begun, and answers with the number. */
export const counting = () => {
  const counter = { begun: 0 }
  const work = Effect.sync((): Receipt => ({ id: `r-${++counter.begun}` }))
  return { counter, work }
}

/** A store, a key, and everything that runs there. */
export const settingIn = (scope?: Scope.Scope) =>
  Effect.gen(function*() {
    const faulty = yield* faultyStore
    const key = yield* IdempotencyKey.fromString("order-17")
    const store = { ...faulty.store, scope }
    const here = <A, E, R>(self: Effect.Effect<A, E, R>) =>
      self.pipe(
        IdempotencyKey.provide(key),
        Effect.provideService(IdempotencyStore.IdempotencyStore, store)
      )
    return { ...faulty, store, key, here }
  })

/** The same with a store that repeats nothing. */
export const setting = settingIn()

export type Setting = Effect.Effect.Success<typeof setting>

/** What came of it, in a word or as the value. */
export const told = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  outcomeOf(
    effect,
    wordsFor({
      cause: (cause) => Cause.isInterruptedOnly(cause) ? "interrupted" : "died"
    })
  )

/** A run that was begun and cut off: its claim stands until the lease ends. */
export const cutOff = <R>(
  run: (work: Effect.Effect<never>) => Effect.Effect<unknown, unknown, R>
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(run(Effect.never))
    yield* Effect.yieldNow()
    yield* TestClock.adjust(0)
    yield* Fiber.interrupt(fiber)
  })

/** What the next caller would be told, seen from outside. */
export const probe = ({ claims, inner }: Setting) =>
  Effect.map(
    inner.acquire({ ...claims[0]!, owner: "prober" }),
    (answer) => answer._tag === "Acquired" && answer.recovered ? "Recovered" : answer._tag
  )
