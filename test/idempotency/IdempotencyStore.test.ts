import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Option, TestClock } from "effect"
import { IdempotencyStore, layerStoreMemory, StoreError } from "effect-resilience/IdempotencyStore"
import type { Claim, Service } from "effect-resilience/IdempotencyStore"
import { suite } from "../suites/idempotencyStore.js"
import { steppingClock } from "../support/clocks.js"

suite("layerStoreMemory", layerStoreMemory)

const second = 1000
const day = 86_400 * second

const claim = (keyHash: string, owner = "a", changes: Partial<Claim> = {}): Claim => ({
  scope: "scope",
  keyHash,
  fingerprint: "payload",
  owner,
  leaseMillis: 60 * second,
  timeToLiveMillis: day,
  ...changes
})

/** Claims a key and completes it at once. */
const completed = (store: Service, keyHash: string, timeToLiveMillis: number) =>
  Effect.flatMap(
    store.acquire(claim(keyHash)),
    (answer) =>
      answer._tag === "Acquired"
        ? store.complete(
          { ...claim(keyHash), generation: answer.generation },
          "done",
          timeToLiveMillis
        )
        : Effect.dieMessage(answer._tag)
  )

const withStore = <A, E>(body: (store: Service) => Effect.Effect<A, E>) =>
  Effect.flatMap(IdempotencyStore, body).pipe(Effect.provide(layerStoreMemory))

describe("layerStoreMemory: memory", () => {
  it.effect("I12: however many records come and go, about as many expired ones are kept as there are live ones", () => {
    const { on, time } = steppingClock()
    return withStore((store) =>
      Effect.gen(function*() {
        for (let n = 0; n < 5000; n++) {
          yield* completed(store, `key-${n}`, second)
          time.monotonic += 1
        }
        // A thousand are alive at any time.
        expect(yield* store.sweep(Infinity)).toBeLessThanOrEqual(1100)
      })
    ).pipe(on)
  })

  it.effect("I12: what is left of released records goes with the sweep and does not count", () =>
    withStore((store) =>
      Effect.gen(function*() {
        const answer = yield* store.acquire(claim("released"))
        const generation = answer._tag === "Acquired" ? answer.generation : 0
        yield* store.release({ ...claim("released"), generation })
        yield* completed(store, "completed", second)
        yield* TestClock.adjust(60 * second)
        expect([yield* store.sweep(1), yield* store.sweep(1)]).toEqual([1, 0])
      })
    ))

  it.effect("I20: an unfinished record is swept a day after its lease, and not before", () =>
    withStore((store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("abandoned", "a", { timeToLiveMillis: 1 }))
        yield* TestClock.adjust(60 * second + day - 1)
        const before = yield* store.sweep(10)
        yield* TestClock.adjust(1)
        expect([before, yield* store.sweep(10)]).toEqual([0, 1])
      })
    ))

  it.effect("each build of the layer is a store of its own", () =>
    Effect.gen(function*() {
      const one = Effect.flatMap(IdempotencyStore, (store) => store.acquire(claim("key")))
      const answers = [
        yield* Effect.provide(one, layerStoreMemory),
        yield* Effect.provide(one, layerStoreMemory)
      ]
      expect(answers.map(({ _tag }) => _tag)).toEqual(["Acquired", "Acquired"])
    }))
})

describe("layerStoreMemory: time", () => {
  it.effect("I11, I28: a wall clock that steps neither ends a lease nor prolongs it", () => {
    const { on, time } = steppingClock()
    return withStore((store) =>
      Effect.gen(function*() {
        yield* store.acquire(claim("key"))
        time.wall += day
        const stepped = yield* store.acquire(claim("key", "b"))
        time.wall -= 2 * day
        time.monotonic += 60 * second
        const passed = yield* store.acquire(claim("key", "b"))
        expect([stepped, passed]).toEqual([
          { _tag: "InFlight", retryAfterMillis: 60 * second },
          { _tag: "Acquired", generation: 2, recovered: true, recoveryPoint: Option.none() }
        ])
      })
    ).pipe(on)
  })
})

describe("layerStoreMemory: interruption", () => {
  it.effect("I25: a claim that is interrupted before it began leaves nothing behind", () =>
    withStore((store) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(store.acquire(claim("key")))
        yield* Fiber.interrupt(fiber)
        expect(yield* store.acquire(claim("key", "b"))).toEqual({
          _tag: "Acquired",
          generation: 1,
          recovered: false,
          recoveryPoint: Option.none()
        })
      })
    ))
})

describe("StoreError", () => {
  it("says what could not be done, and whether the record is at fault", () => {
    expect([
      new StoreError({ operation: "acquire" }).message,
      new StoreError({ operation: "complete", corrupt: true }).message
    ]).toEqual([
      "The idempotency store could not acquire",
      "The idempotency store could not complete: the record cannot be read"
    ])
  })
})
