import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { CircuitBreaker, Cooldown, Snapshot } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { down } from "../support/errors.js"

/** Through JSON and back. */
const there = <A, I>(schema: Schema.Schema<A, I>, value: A) =>
  Effect.flatMap(
    Schema.encode(schema)(value),
    (encoded) =>
      Effect.map(
        Schema.decodeUnknown(schema)(JSON.parse(JSON.stringify(encoded))),
        (back) => [encoded, back] as const
      )
  )

describe("snapshots in JSON", () => {
  it.effect("G46: an open circuit comes back as it was, with its rates and the time that is left", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      yield* Effect.exit(breaker.protect(Effect.fail(down)))
      const snapshot = yield* breaker.snapshot()
      const [encoded, back] = yield* there(Snapshot.circuitBreaker, snapshot)
      expect([encoded.state, encoded.failureRate, encoded.retryAfter]).toEqual([
        "Open",
        null,
        "30000 millis"
      ])
      expect(back).toEqual(snapshot)
    }))

  it.effect("G46: an infinite wait is said in words, since JSON has no number for it", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.forceOpenAll
      const snapshot = yield* breaker.snapshot("any")
      const [encoded, back] = yield* there(Snapshot.circuitBreaker, snapshot)
      expect(encoded.retryAfter).toBe("Infinity")
      expect(back).toEqual(snapshot)
    }))

  it.effect("G46: a cooldown, and one that is clear", () =>
    Effect.gen(function*() {
      const cooldown = yield* Cooldown.make()
      yield* cooldown.hold("a", Duration.minutes(1))
      for (const key of ["a", "b"]) {
        const snapshot = yield* cooldown.snapshot(key)
        expect((yield* there(Snapshot.cooldown, snapshot))[1]).toEqual(snapshot)
      }
    }))

  it.effect("what is no snapshot is refused", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(
        Schema.decodeUnknown(Snapshot.bulkhead)({ key: "a", running: -1, waiting: 0 })
      )
      expect(refused.message).toContain("running")
    }))
})
