// @effect-diagnostics *:off
// What must not compile is written as a statement here, so only the compiler's own errors count.
import type { Layer, ParseResult, Scope } from "effect"
import { Effect } from "effect"
import type { IdempotencyKey } from "effect-resilience"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Cooldown from "effect-resilience/Cooldown"
import type * as Fleet from "effect-resilience/fleet/Fleet"
import type * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as Operation from "effect-resilience/Operation"
import * as Pipeline from "effect-resilience/Pipeline"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { describe, expect, test } from "tstyche"

type Made<A> = Effect.Effect<A, never, Fleet.Fleet>

const rate = { limit: 10, interval: "1 second" } as const

describe("makeShared", () => {
  test("needs a fleet and never fails", () => {
    expect(CircuitBreaker.makeShared({ name: "a" })).type.toBe<Made<CircuitBreaker.Shared>>()
    expect(RateLimiter.makeShared({ name: "a", ...rate })).type.toBe<
      Made<RateLimiter.RateLimiter>
    >()
    expect(Cooldown.makeShared({ name: "a" })).type.toBe<Made<Cooldown.Cooldown>>()
    expect(Bulkhead.makeShared({ name: "a", concurrency: 2 })).type.toBe<
      Made<Bulkhead.Bulkhead>
    >()
  })

  test("the name is required", () => {
    expect(CircuitBreaker.makeShared).type.not.toBeCallableWith({ minimumCalls: 2 })
    expect(RateLimiter.makeShared).type.not.toBeCallableWith(rate)
    expect(Cooldown.makeShared).type.not.toBeCallableWith({})
    expect(Bulkhead.makeShared).type.not.toBeCallableWith({ concurrency: 2 })
  })

  test("options of a shared guard are not those of a local one", () => {
    expect(RateLimiter.makeShared).type.toBeCallableWith({
      name: "a",
      ...rate,
      strict: true,
      leaseTime: "1 second",
      whenApart: "reject"
    })
    expect(RateLimiter.make).type.not.toBeCallableWith({ ...rate, strict: true })
    expect(Bulkhead.makeShared).type.not.toBeCallableWith({
      name: "a",
      concurrency: 2,
      whenApart: "close"
    })
  })

  test("a shared breaker is a breaker, and its orders fail with a StoreError", () => {
    expect<CircuitBreaker.Shared>().type.toBeAssignableTo<CircuitBreaker.CircuitBreaker>()
    const opened = Effect.flatMap(
      CircuitBreaker.makeShared({ name: "a" }),
      ({ fleet }) => fleet.forceOpen()
    )
    expect(opened).type.toBe<Effect.Effect<void, FleetStore.StoreError, Fleet.Fleet>>()
    const isolated = Effect.flatMap(
      CircuitBreaker.makeShared({ name: "a" }),
      ({ fleet }) => fleet.isolate("key")
    )
    expect(isolated).type.toBe<
      Effect.Effect<void, FleetStore.StoreError, Fleet.Fleet | Scope.Scope>
    >()
  })
})

describe("layerShared", () => {
  class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
  class Quota extends RateLimiter.Tag("Quota")<Quota>() {}
  class Pause extends Cooldown.Tag("Pause")<Pause>() {}
  class Pool extends Bulkhead.Tag("Pool")<Pool>() {}

  test("provides the tag, and needs a fleet", () => {
    expect(Payments.layerShared({ name: "a" })).type.toBe<
      Layer.Layer<Payments, never, Fleet.Fleet>
    >()
    expect(Quota.layerShared({ name: "a", ...rate })).type.toBe<
      Layer.Layer<Quota, never, Fleet.Fleet>
    >()
    expect(Pause.layerShared({ name: "a" })).type.toBe<Layer.Layer<Pause, never, Fleet.Fleet>>()
    expect(Pool.layerShared({ name: "a", concurrency: 2 })).type.toBe<
      Layer.Layer<Pool, never, Fleet.Fleet>
    >()
  })

  test("the name is required", () => {
    expect(Payments.layerShared).type.not.toBeCallableWith({})
    expect(Quota.layerShared).type.not.toBeCallableWith(rate)
  })
})

describe("fromConfigShared", () => {
  const json: unknown = { circuitBreaker: { shared: "payments" } }

  test("needs a fleet, which fromConfig does not", () => {
    expect(Pipeline.fromConfigShared(json)).type.toBe<
      Effect.Effect<
        Pipeline.Pipeline<Pipeline.Rejection, IdempotencyKey.IdempotencyKey>,
        ParseResult.ParseError,
        Fleet.Fleet
      >
    >()
    expect(Pipeline.fromConfig(json)).type.toBe<
      Effect.Effect<
        Pipeline.Pipeline<Pipeline.Rejection, IdempotencyKey.IdempotencyKey>,
        ParseResult.ParseError
      >
    >()
  })

  test("a known operation says what it needs", () => {
    expect(Pipeline.fromConfigShared(json, { operation: Operation.read })).type.toBe<
      Effect.Effect<
        Pipeline.Pipeline<Pipeline.Rejection, never>,
        ParseResult.ParseError,
        Fleet.Fleet
      >
    >()
  })

  test("stages in code are not shared by a name", () => {
    expect(Pipeline.make).type.not.toBeCallableWith({
      operation: Operation.read,
      circuitBreaker: { shared: "payments" }
    })
  })
})
