import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Either, HashMap, Layer, List, Logger, Option, Redacted } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { counting, defaults, setting, told } from "../support/idempotent.js"

/** What a second call with the same key and another payload is told. */
const second = (first: unknown, other: unknown) =>
  Effect.gen(function*() {
    const { here } = yield* setting
    const { counter, work } = counting()
    const run = (payload: unknown) => told(here(Idempotency.run(work, { ...defaults, payload })))
    yield* run(first)
    return [yield* run(other), counter.begun]
  })

class Hidden {
  readonly #card: string
  constructor(card: string) {
    this.#card = card
  }
  get last(): string {
    return this.#card.slice(-4)
  }
}

describe("payloads", () => {
  it.effect("I17: payloads that differ in what is redacted are different", () =>
    Effect.gen(function*() {
      const [answer, executions] = yield* second(
        { card: Redacted.make("4242") },
        { card: Redacted.make("9999") }
      )
      expect([answer, executions]).toEqual(["Mismatch", 1])
    }))

  it.effect("I17: payloads with the same redacted value are the same", () =>
    Effect.gen(function*() {
      const card = () => ({ card: Redacted.make({ number: "4242" }) })
      expect(yield* second(card(), card())).toEqual([{ id: "r-1" }, 1])
    }))

  it.effect("I17: a redacted value counts inside of an Option, an Either and a Chunk too, whose toJSON masks it", () =>
    Effect.gen(function*() {
      const card = (number: string) => Redacted.make(number)
      const around: ReadonlyArray<(secret: Redacted.Redacted<string>) => unknown> = [
        (secret) => Option.some(secret),
        (secret) => ({ card: Option.some([secret]) }),
        (secret) => Either.right(secret),
        (secret) => Either.left({ secret }),
        (secret) => Chunk.of(Option.some(secret)),
        (secret) => Redacted.make(secret)
      ]
      for (const payload of around) {
        expect(yield* second(payload(card("4242")), payload(card("9999")))).toEqual(["Mismatch", 1])
        expect(yield* second(payload(card("4242")), payload(card("4242")))).toEqual([
          { id: "r-1" },
          1
        ])
      }
    }))

  it.effect("I17: a redacted value that a toJSON masks has no fingerprint, and nothing runs", () =>
    Effect.gen(function*() {
      const card = Redacted.make("4242")
      for (
        const payload of [
          HashMap.make(["card", card]),
          { cards: List.of(card) },
          { card: { toJSON: () => `card ${String(card)}` } }
        ]
      ) {
        expect(yield* second(payload, payload)).toEqual(["FingerprintError", 0])
      }
      expect(yield* second(HashMap.make(["a", 1]), HashMap.make(["a", 1]))).toEqual([
        { id: "r-1" },
        1
      ])
    }))

  it.effect("I17: an object that shows JSON nothing has no fingerprint, and nothing runs", () =>
    Effect.gen(function*() {
      class Cart extends Map<string, number> {
        readonly kind = "cart"
      }
      for (
        const payload of [
          new Hidden("4242"),
          [new Hidden("4242")],
          { card: new Map() },
          new Cart([["a", 1]]),
          { toJSON: () => new Hidden("4242") }
        ]
      ) {
        expect(yield* second(payload, payload)).toEqual(["FingerprintError", 0])
      }
    }))

  it.effect("I17: an empty object without a class is a payload, with or without a prototype", () =>
    Effect.gen(function*() {
      expect(yield* second({ a: {} }, { a: Object.create(null) as unknown })).toEqual([
        { id: "r-1" },
        1
      ])
    }))
})

describe("secrets", () => {
  const secrets = { secret: Redacted.make("of the store"), previousSecrets: [] }

  const inProcess = <A, E>(
    store: IdempotencyStore.Service,
    self: Effect.Effect<A, E, IdempotencyStore.IdempotencyStore>,
    secret: string
  ) =>
    self.pipe(
      Effect.provideService(IdempotencyStore.IdempotencyStore, store),
      Effect.provideService(IdempotencyKey.Secret, Redacted.make(secret))
    )

  it.effect("I32: two processes that are given the service name keys alike", () =>
    Effect.gen(function*() {
      const { key, store } = yield* setting
      const { counter, work } = counting()
      const run = Idempotency.run(work, defaults).pipe(IdempotencyKey.provide(key))
      yield* inProcess({ ...store, secrets }, run, "one")
      yield* inProcess({ ...store, secrets }, run, "other")
      expect(counter.begun).toBe(1)
    }))

  it.effect("I32: a shared store whose secret was never set warns once, and one that has it or needs none does not", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ message }) => void lines.push(String(message)))
      )
      const { key, store } = yield* setting
      const memory = yield* IdempotencyStore.IdempotencyStore
      const run = (store: IdempotencyStore.Service) =>
        Idempotency.run(counting().work, defaults).pipe(
          IdempotencyKey.provide(key),
          Effect.provideService(IdempotencyStore.IdempotencyStore, store),
          Effect.provide(Layer.merge(Logger.add(Logger.none), logger))
        )
      const shared = { ...store, secrets: "program" } as const
      yield* run(shared)
      yield* run(shared)
      yield* run(store)
      yield* run({ ...store, secrets })
      yield* run(memory)
      expect(lines.filter((line) => line.includes("secret")).length).toBe(1)
    }).pipe(Effect.provide(IdempotencyStore.layerStoreMemory)))
})
