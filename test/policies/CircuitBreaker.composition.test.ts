import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, TestClock } from "effect"
import {
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline,
  Retry
} from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { refusalOf } from "../support/refusal.js"
import { down, many, numbers, ok, tripped, wordOf } from "./circuitBreaker.js"

describe("with retry", () => {
  const thrice = { operation: Operation.read, backoff: Backoff.constant(0), retries: 2 } as const

  it.effect("R17: retry outside the breaker: it sees every attempt", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.exit(Retry.retry(breaker.protect(down), thrice))
      expect(yield* numbers(breaker)).toBe("Closed: 3 calls, 3 failed, 0 slow, 0 in flight")
    }))

  it.effect("R17: breaker outside retry: it sees one outcome per call", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.exit(down.pipe(Retry.retry(thrice), breaker.protect()))
      expect(yield* numbers(breaker)).toBe("Closed: 1 calls, 1 failed, 0 slow, 0 in flight")
    }))

  it.effect("R15: CircuitOpen is not retried by default", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      const word = wordOf(yield* Effect.exit(Retry.retry(breaker.protect(ok), thrice)))
      expect([word, (yield* breaker.snapshot()).rejected]).toEqual(["CircuitOpen 30000", 1])
    }))

  it.effect("R15: a circuit that opens in the middle ends the retries", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...brittle,
        window: CircuitBreaker.count(2),
        minimumCalls: 2
      })
      let ran = 0
      const effect = Effect.zipRight(Effect.sync(() => ran++), down)
      const word = wordOf(
        yield* Effect.exit(Retry.retry(breaker.protect(effect), { ...thrice, retries: 9 }))
      )
      expect([word, ran]).toEqual(["CircuitOpen 30000", 2])
    }))

  it.effect("R15: waitForRejections waits until the circuit lets calls through", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* TestClock.adjust(10_000)
      const fiber = yield* Effect.fork(
        Effect.zip(
          Retry.retry(breaker.protect(ok), { ...thrice, waitForRejections: true }),
          Clock.currentTimeMillis
        )
      )
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(fiber)).toEqual(["ok", 30_000])
    }))

  it.effect("R15: it does not wait for an operator", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.forceOpen()
      const word = wordOf(
        yield* Effect.exit(Retry.retry(breaker.protect(ok), { ...thrice, waitForRejections: true }))
      )
      expect([word, (yield* breaker.snapshot()).rejected]).toEqual(["CircuitOpen Infinity", 1])
    }))
})

describe("in a pipeline", () => {
  const retry = { retries: 2, backoff: Backoff.constant(0) } as const

  it.effect("G40: the breaker is inside retry", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* CircuitBreaker.make()
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, circuitBreaker })
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Effect.exit(down.pipe(Pipeline.protect(pipeline, { key: "a" })))
      expect([yield* numbers(circuitBreaker), yield* numbers(circuitBreaker, "a")]).toEqual(
        many(2, "Closed: 3 calls, 3 failed, 0 slow, 0 in flight")
      )
    }))

  it.effect("G40: a breaker without retry", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.once, circuitBreaker: brittle })
      const words = yield* Effect.forEach(
        [down, ok],
        (effect) => Effect.map(Effect.exit(Pipeline.protect(effect, pipeline)), wordOf)
      )
      expect(words).toEqual(["Server", "CircuitOpen 30000"])
    }))

  it.effect("G40: the key chooses the circuit, in both styles", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, circuitBreaker: brittle })
      yield* Effect.exit(Pipeline.protect(down, pipeline, { key: "a" }))
      const a = yield* Effect.flip(ok.pipe(Pipeline.protect(pipeline, { key: "a" })))
      expect([
        a.key,
        yield* Pipeline.protect(ok, pipeline, { key: "b" }),
        yield* Pipeline.protect(ok, pipeline)
      ])
        .toEqual(["a", "ok", "ok"])
    }))

  it.effect("G45: the state belongs to the pipeline, sharing is explicit", () =>
    Effect.gen(function*() {
      const options = { operation: Operation.read, circuitBreaker: brittle } as const
      const a = yield* Pipeline.make(options)
      const b = yield* Pipeline.make(options)
      yield* Effect.exit(Pipeline.protect(down, a))
      const apart = yield* Effect.forEach(
        [a, b],
        (p) => Effect.map(Effect.exit(Pipeline.protect(ok, p)), wordOf)
      )
      const circuitBreaker = yield* CircuitBreaker.make(brittle)
      const c = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
      const d = yield* Pipeline.make({ operation: Operation.once, circuitBreaker })
      yield* Effect.exit(Pipeline.protect(down, c))
      const shared = yield* Effect.forEach(
        [c, d],
        (p) => Effect.map(Effect.exit(Pipeline.protect(ok, p)), wordOf)
      )
      expect([apart, shared]).toEqual([["CircuitOpen 30000", "ok"], many(2, "CircuitOpen 30000")])
    }))

  it.effect("R15: a pipeline retries CircuitOpen only when told to wait", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* tripped()
      const stages = { operation: Operation.read, circuitBreaker } as const
      const hasty = yield* Pipeline.make({ ...stages, retry })
      const patient = yield* Pipeline.make({
        ...stages,
        retry: { ...retry, waitForRejections: true }
      })
      const word = wordOf(yield* Effect.exit(Pipeline.protect(ok, hasty)))
      const fiber = yield* Effect.fork(
        Effect.zip(Pipeline.protect(ok, patient), Clock.currentTimeMillis)
      )
      yield* TestClock.adjust("1 minute")
      expect([word, yield* Fiber.join(fiber)]).toEqual(["CircuitOpen 30000", ["ok", 30_000]])
    }))

  it.effect("R15: waiting for the circuit costs no budget", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...retry, waitForRejections: true },
        budget: { capacity: 1, ratio: 0.1, reservePerSecond: 0 },
        circuitBreaker: brittle
      })
      const ran: Array<number> = []
      const effect = Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.zipRight(Effect.sync(() => ran.push(now)), down))
      const fiber = yield* Effect.fork(Effect.exit(Pipeline.protect(effect, pipeline)))
      yield* TestClock.adjust("2 minutes")
      expect([wordOf(yield* Fiber.join(fiber)), ran]).toEqual(["Server", [0, 30_000]])
    }))

  it.effect("a keyed pipeline still wants its key", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        retry,
        circuitBreaker: brittle
      })
      expect(yield* ok.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew)).toBe("ok")
    }))

  it.effect("it dies with the RangeError of a nonsense option", () =>
    Effect.gen(function*() {
      const message = yield* refusalOf(
        Pipeline.make({ operation: Operation.read, circuitBreaker: { ...brittle, failureRate: 2 } })
      )
      expect([message.includes("failureRate"), message.includes("2")]).toEqual([true, true])
    }))
})
