import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { ApiError, CircuitBreaker, Operation, Pipeline, RetryBudget } from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import * as Chaos from "effect-resilience/Chaos"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { down, rateLimit } from "../support/errors.js"
import { failed } from "../support/exits.js"
import { refusalOf } from "../support/refusal.js"
import { endOf, finish, probing, secondly } from "./pipeline.js"

describe("state", () => {
  const opensAtOnce = { window: CircuitBreaker.count(1), minimumCalls: 1 }

  it.effect("G45: a breaker belongs to the pipeline, not to the call", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        circuitBreaker: opensAtOnce
      })
      const call = Effect.exit(Pipeline.protect(Effect.fail(down), pipeline))
      expect([endOf(yield* call), endOf(yield* call)]).toEqual(["Server", "CircuitOpen"])
    }))

  it.effect("G45: the same options twice make two, the same instance is shared", () =>
    Effect.gen(function*() {
      const secondEnd = (circuitBreaker: CircuitBreaker.CircuitBreaker | CircuitBreaker.Options) =>
        Effect.gen(function*() {
          const a = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
          const b = yield* Pipeline.make({
            operation: Operation.read,
            circuitBreaker,
            totalTimeout: "1 second"
          })
          yield* Effect.exit(Pipeline.protect(Effect.fail(down), a))
          return endOf(yield* Effect.exit(Pipeline.protect(Effect.fail(down), b)))
        })
      expect([
        yield* secondEnd(opensAtOnce),
        yield* secondEnd(yield* CircuitBreaker.make(opensAtOnce))
      ]).toEqual([
        "Server",
        "CircuitOpen"
      ])
    }))

  it.effect.each([["a total", { totalTimeout: "1 minute" }], ["none", {}]] as const)(
    "G45: the key of a call goes to every stage that has keys: with %s",
    ([, limits]) =>
      Effect.gen(function*() {
        const circuitBreaker = yield* CircuitBreaker.make()
        const throttle = yield* AdaptiveThrottle.make()
        const rateLimiter = yield* RateLimiter.make({ limit: 5, interval: "1 hour" })
        const concurrency = yield* AdaptiveConcurrency.make({
          limit: AdaptiveConcurrency.aimd({ initial: 10 })
        })
        const cooldown = yield* Cooldown.make()
        const busy = rateLimit(Duration.minutes(1))
        const guards = { circuitBreaker, throttle, rateLimiter, concurrency, cooldown }
        const pipeline = yield* Pipeline.make({ operation: Operation.read, ...guards, ...limits })
        yield* Effect.exit(Pipeline.protect(Effect.fail(busy), pipeline, { key: "a" }))
        yield* Effect.exit(
          Pipeline.protect(Effect.fail(down), pipeline, { key: "a" }).pipe(
            Effect.timeout(1),
            Effect.fork
          )
        )
        const seen = (key: string) =>
          Effect.all([
            Effect.map(throttle.snapshot(key), ({ requests }) => requests),
            Effect.map(rateLimiter.snapshot(key), ({ available }) => available),
            Effect.map(concurrency.snapshot(key), ({ limit }) => limit === 10),
            Effect.map(cooldown.snapshot(key), ({ state }) => state)
          ])
        expect([yield* seen("a"), yield* seen("b")]).toEqual([[1, 4, false, "Cooling"], [
          0,
          5,
          true,
          "Clear"
        ]])
      })
  )

  it.effect("R22: retries and hedges spend from the same budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, capacity: 10, reservePerSecond: 0 })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 2 },
        hedge: { delay: "100 millis" },
        budget
      })
      yield* finish(
        Pipeline.protect(Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down)), pipeline)
      )
      // Three attempts with a hedge each, and two retries.
      expect(yield* budget.available).toBe(5)
    }))

  it.effect("R20, R22: a refused hedge leaves the call alone, and successes pay in also where nothing retries", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, capacity: 1, reservePerSecond: 0 })
      yield* budget.withdraw
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        hedge: { delay: "100 millis" },
        budget
      })
      const probes: Array<string> = []
      const exit = yield* finish(
        Pipeline.protect(probing(probes, "call")(Effect.sleep("1 second")), pipeline)
      )
      expect([endOf(exit), probes, yield* budget.available]).toEqual([
        "ok",
        ["call", "call: ok"],
        0.5
      ])
    }))

  it.effect("chaos is innermost, and off unless somebody enables it", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...secondly, retries: 1 },
        chaos: { rate: 1, faults: [Chaos.failure(() => down)] }
      })
      const call = finish(Pipeline.protect(Effect.succeed("ok"), pipeline))
      const error = failed(yield* Effect.provide(call, Chaos.layerEnabled))
      expect([endOf(yield* call), ApiError.isApiError(error) && error.attempts]).toEqual(["ok", 2])
    }))

  it.effect("for another kind of operation: the same state, other repetitions", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(99),
        minimumCalls: 99
      })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "1 minute",
        retry: secondly,
        hedge: { delay: "100 millis" },
        circuitBreaker: breaker
      })
      const once = Pipeline.forOperation(pipeline, Operation.once)
      const callsOf = <E>(pipeline: Pipeline.Pipeline<E>) =>
        Effect.gen(function*() {
          const probes: Array<string> = []
          const call = Effect.zipRight(Effect.sleep("500 millis"), Effect.fail(down))
          yield* finish(Pipeline.protect(probing(probes, "call")(call), pipeline), "10 seconds")
          return probes.length / 2
        })
      expect([
        yield* callsOf(once),
        yield* callsOf(pipeline),
        yield* callsOf(Pipeline.forOperation(once, Operation.idempotent)),
        (yield* breaker.snapshot()).calls
      ]).toEqual([1, 6, 6, 13])
    }))
})

describe("a tag", () => {
  class Reads extends Pipeline.Tag("Reads")<Reads>()({
    operation: Operation.read,
    totalTimeout: "5 seconds",
    circuitBreaker: { window: CircuitBreaker.count(1), minimumCalls: 1 }
  }) {}

  it.effect("G45: provides one pipeline to all calls of a program, and another to another program", () =>
    Effect.gen(function*() {
      const call = Effect.map(Effect.exit(Reads.protect(Effect.fail(down))), endOf)
      const program = Effect.provide(Effect.all([call, call]), Reads.layer)
      expect([yield* program, yield* program]).toEqual([["Server", "CircuitOpen"], [
        "Server",
        "CircuitOpen"
      ]])
    }))

  it.effect("protects an effect that is a tag itself", () =>
    Effect.gen(function*() {
      const layer = Layer.merge(Reads.layer, RetryBudget.layer())
      const budget = yield* Effect.provide(Reads.protect(RetryBudget.RetryBudget), layer)
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "5 seconds"
      })
      const same = yield* Effect.provide(Pipeline.protect(RetryBudget.RetryBudget, pipeline), layer)
      expect([yield* budget.available, yield* same.available]).toEqual([10, 10])
    }))

  it.effect("is an effect that gives the pipeline, for calls with a key", () =>
    Effect.gen(function*() {
      const call = (key: string) =>
        Effect.flatMap(
          Reads,
          (pipeline) => Effect.exit(Pipeline.protect(Effect.fail(down), pipeline, { key }))
        )
      const ends = Effect.map(
        Effect.all([call("a"), call("b"), call("a")]),
        (exits) => exits.map(endOf)
      )
      expect(yield* Effect.provide(ends, Reads.layer)).toEqual(["Server", "Server", "CircuitOpen"])
    }))

  it.effect("its layer dies where a pipeline would", () =>
    Effect.gen(function*() {
      class Broken extends Pipeline.Tag("Broken")<Broken>()({
        operation: Operation.read,
        retry: { retries: -1 }
      }) {}
      expect(yield* refusalOf(Effect.provide(Broken.protect(Effect.void), Broken.layer))).toContain(
        "retries"
      )
    }))
})
