import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Supervisor, TestClock } from "effect"
import { Backoff, CircuitBreaker, Operation, Pipeline } from "effect-resilience"
import * as Bulkhead from "effect-resilience/Bulkhead"
import { vi } from "vitest"
import { down } from "../support/errors.js"
import { probing, secondly, slow } from "./pipeline.js"

describe("interruption", () => {
  it.effect("ends the attempt, and is over when its finalizers are", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const breaker = yield* CircuitBreaker.make()
      const bulkhead = yield* Bulkhead.make({ concurrency: 1 })
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        totalTimeout: "1 minute",
        retry: secondly,
        circuitBreaker: breaker,
        bulkhead,
        attemptTimeout: "10 seconds"
      })
      const call = Effect.onInterrupt(probing(probes, "call")(slow), () => Effect.sleep("1 second"))
      const fiber = yield* Effect.fork(Pipeline.protect(call, pipeline))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.fork(
        Effect.zipRight(Fiber.interrupt(fiber), Clock.currentTimeMillis)
      )
      yield* TestClock.adjust("1 minute")
      expect([
        probes,
        yield* Fiber.join(interrupting),
        (yield* bulkhead.snapshot).running,
        yield* Effect.map(breaker.snapshot(), ({ calls, inFlight }) => [calls, inFlight])
      ]).toEqual([["call", "call: interrupted"], 2000, 0, [0, 0]])
    }))
})

/** Counts the fibers that are started. */
class Counting extends Supervisor.AbstractSupervisor<number> {
  started = 0
  override readonly value = Effect.sync(() => this.started)
  override onStart(): void {
    this.started++
  }
}

describe("forks and timers", () => {
  const four = {
    operation: Operation.read,
    totalTimeout: "1 minute",
    retry: { retries: 2, backoff: Backoff.constant(0) },
    circuitBreaker: {},
    attemptTimeout: "10 seconds"
  } as const

  const forks = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const supervisor = new Counting()
      return Effect.exit(call).pipe(
        Effect.supervised(supervisor),
        Effect.zipRight(supervisor.value)
      )
    })

  const failsLater = Effect.zipRight(Effect.yieldNow(), Effect.fail(down))

  it.live("G44: one fork per attempt at most", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(four)
      const waiting = yield* Pipeline.make({
        ...four,
        rateLimiter: { limit: 9, interval: "1 second" },
        bulkhead: { concurrency: 9, queue: 9 },
        concurrency: {},
        throttle: {},
        cooldown: {}
      })
      expect([
        yield* forks(Pipeline.protect(Effect.yieldNow(), pipeline)),
        yield* forks(Pipeline.protect(failsLater, pipeline)),
        yield* forks(Pipeline.protect(Effect.yieldNow(), waiting)),
        yield* forks(Pipeline.protect(failsLater, waiting))
      ]).toEqual([1, 3, 1, 3])
    }))

  it.live("G44: without limits of time there is none", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: four.retry,
        circuitBreaker: {}
      })
      expect(yield* forks(Pipeline.protect(failsLater, pipeline))).toBe(0)
    }))

  /** The seconds of the timers that a call arms, and how many of them are left. */
  const timers = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const seen: Array<number> = []
        const armed = new Set<number>()
        vi.stubGlobal("setTimeout", (_: () => void, millis: number) => {
          // A busy machine has used up some milliseconds by then.
          armed.add(seen.push(Math.round(millis / 1000)))
          return seen.length
        })
        vi.stubGlobal("clearTimeout", (id: number) => armed.delete(id))
        return { seen, armed }
      }),
      ({ armed, seen }) => Effect.map(Effect.exit(call), () => [seen, armed.size]),
      () => Effect.sync(() => vi.unstubAllGlobals())
    )

  it.live("G44: one timer per attempt, for what ends first", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make(four)
      const shorter = yield* Pipeline.make({ ...four, totalTimeout: "10 seconds" })
      expect([
        yield* timers(Pipeline.protect(failsLater, pipeline)),
        yield* timers(Pipeline.protect(Effect.yieldNow(), shorter))
      ]).toEqual([[[10, 10, 10], 0], [[10], 0]])
    }))

  it.live("G2: a call that ends at once arms none", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ ...four, bulkhead: { concurrency: 1 } })
      expect(yield* timers(Pipeline.protect(Effect.fail(down), pipeline))).toEqual([[], 0])
    }))
})
