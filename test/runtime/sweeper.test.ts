import { describe, expect, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import { Sweeper } from "../../src/runtime/sweeper.js"

describe("the sweeper", () => {
  it("comes round although every call adds an entry", () => {
    const map = new Map<string, number>()
    const sweeper = new Sweeper(map)
    for (let call = 0; call < 10_000; call++) {
      map.set(`key-${call}`, call)
      // What is older than a hundred calls is idle.
      sweeper.sweep((born) => {
        if (born < call - 100) map.delete(`key-${born}`)
      })
    }
    expect(map.size).toBeLessThan(400)
  })

  it("looks at everything that stays", () => {
    const map = new Map(Array.from({ length: 10 }, (_, index) => [`key-${index}`, index]))
    const sweeper = new Sweeper(map)
    const seen = new Set<number>()
    for (let call = 0; call < 6; call++) sweeper.sweep((value) => seen.add(value))
    expect(seen.size).toBe(10)
  })
})

describe("a circuit breaker whose callers use a new key each time", () => {
  it.effect("B11: forgets the idle ones", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      for (let round = 0; round < 10; round++) {
        for (let call = 0; call < 200; call++) {
          yield* breaker.protect(Effect.void, { key: `${round}-${call}` })
        }
        yield* TestClock.adjust("2 minutes")
      }
      const state = (yield* breaker.exportState) as { readonly circuits: ReadonlyArray<unknown> }
      expect(state.circuits.length).toBe(0)
    }))
})
