import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as Cooldown from "effect-resilience/Cooldown"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { server } from "../support/errors.js"
import { settle } from "../support/turns.js"

type Protect = <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, unknown>

/** Guards that keep the next call waiting for five seconds. */
const guards: Record<string, Effect.Effect<Protect>> = {
  "a rate limiter": Effect.gen(function*() {
    const limiter = yield* RateLimiter.make({ limit: 1, interval: "5 seconds" })
    yield* Effect.orDie(limiter.protect(Effect.void))
    return (self) => limiter.protect(self)
  }),
  "a bulkhead": Effect.gen(function*() {
    const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 1 })
    yield* Effect.fork(bulkhead.protect(Effect.sleep("5 seconds")))
    yield* settle
    return (self) => bulkhead.protect(self)
  }),
  "a bulkhead with a maxWait": Effect.gen(function*() {
    const bulkhead = yield* Bulkhead.make({ concurrency: 1, queue: 1, maxWait: "1 minute" })
    yield* Effect.fork(bulkhead.protect(Effect.sleep("5 seconds")))
    yield* settle
    return (self) => bulkhead.protect(self)
  }),
  "a cooldown": Effect.gen(function*() {
    const cooldown = yield* Cooldown.make()
    yield* cooldown.hold("default", "5 seconds")
    return (self) => cooldown.protect(self)
  })
}

/** Slow above three seconds; opens at nothing, so that it only counts. */
const breaker = CircuitBreaker.make({ minimumCalls: 20 })

const counts = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(
    breaker.snapshot(),
    ({ calls, failures, slow }) => `${calls} calls, ${failures} failed, ${slow} slow`
  )

/** What a breaker counts of one call that is given a minute. */
const counted = (call: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const circuit = yield* breaker
    const fiber = yield* Effect.fork(Effect.exit(circuit.protect(call)))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    return yield* counts(circuit)
  })

const answer = (millis: number) => Effect.sleep(millis)

describe("waiting in front of a guard is not slowness", () => {
  for (const [name, guard] of Object.entries(guards)) {
    it.effect(`B3: what a call waits for ${name} does not make it slow, what it waits for the upstream does`, () =>
      Effect.gen(function*() {
        expect([
          yield* counted((yield* guard)(answer(3000))),
          yield* counted((yield* guard)(answer(3001)))
        ]).toEqual(["1 calls, 0 failed, 0 slow", "1 calls, 0 failed, 1 slow"])
      }))

    it.effect(`B3: nor where ${name} is in a fiber of its own that is joined: a timeout, a race, a fork`, () =>
      Effect.gen(function*() {
        const elsewhere: ReadonlyArray<
          (call: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>
        > = [
          Effect.timeout("30 seconds"),
          Effect.race(Effect.never),
          Effect.raceFirst(Effect.never),
          (call) => Effect.flatMap(Effect.fork(call), Fiber.join)
        ]
        const seen: Array<string> = []
        for (const inFiber of elsewhere) {
          seen.push(yield* counted(inFiber((yield* guard)(answer(3000)))))
          seen.push(yield* counted(inFiber((yield* guard)(answer(3001)))))
        }
        expect(seen).toEqual(
          elsewhere.flatMap(() => ["1 calls, 0 failed, 0 slow", "1 calls, 0 failed, 1 slow"])
        )
      }))

    it.effect(`B3: a failure after waiting for ${name} is a failure that was not slow`, () =>
      Effect.gen(function*() {
        const failing = Effect.fail(server(500))
        expect(yield* counted((yield* guard)(failing))).toBe("1 calls, 1 failed, 0 slow")
      }))

    it.effect(`B3: an interrupted call that only waited for ${name} was not slow; one that waited for the upstream was`, () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        // It waits for five seconds, and then for the upstream.
        for (const interruptedAfter of [4000, 8000, 8001]) {
          const protect = yield* guard
          const circuit = yield* breaker
          const fiber = yield* Effect.fork(circuit.protect(protect(Effect.never)))
          yield* TestClock.adjust(interruptedAfter)
          yield* Fiber.interrupt(fiber)
          seen.push(yield* counts(circuit))
        }
        expect(seen).toEqual([
          "0 calls, 0 failed, 0 slow",
          "0 calls, 0 failed, 0 slow",
          "1 calls, 0 failed, 1 slow"
        ])
      }))
  }

  it.effect("B3: waits for several guards add up", () =>
    Effect.gen(function*() {
      const all = yield* Effect.all(Object.values(guards))
      const call = all.reduce<Effect.Effect<unknown, unknown>>(
        (self, protect) => protect(self),
        answer(3000)
      )
      expect(yield* counted(call)).toBe("1 calls, 0 failed, 0 slow")
    }))

  it.effect("B3: one call's waiting is not taken off the next one's time", () =>
    Effect.gen(function*() {
      const protect = yield* guards["a rate limiter"]!
      const circuit = yield* breaker
      const fiber = yield* Effect.fork(
        Effect.zipRight(circuit.protect(protect(Effect.void)), circuit.protect(answer(3001)))
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      expect(yield* counts(circuit)).toBe("2 calls, 0 failed, 1 slow")
    }))

  it.effect("B3: calls that wait side by side inside of one call are counted once, not added up", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* guards["a cooldown"]!, yield* guards["a cooldown"]!]
      const call = Effect.all([first(answer(1)), second(answer(3001))], {
        concurrency: "unbounded"
      })
      expect(yield* counted(call)).toBe("1 calls, 0 failed, 1 slow")
    }))

  it.effect("B3: a call's own wait is not forgotten when it joins a fiber that waited less", () =>
    Effect.gen(function*() {
      const short = yield* Cooldown.make()
      yield* short.hold("default", "1 second")
      const long = yield* guards["a cooldown"]!
      const call = Effect.gen(function*() {
        const child = yield* Effect.fork(short.protect(Effect.void))
        yield* long(Effect.void)
        yield* Fiber.join(child)
      })
      expect(yield* counted(call)).toBe("1 calls, 0 failed, 0 slow")
    }))

  it.effect("B3: a sleep of the call's own is the call's own", () =>
    Effect.gen(function*() {
      const retried = Effect.retry(
        Effect.fail("down"),
        Schedule.addDelay(Schedule.recurs(1), () => "4 seconds")
      )
      expect(yield* counted(retried)).toBe("1 calls, 1 failed, 1 slow")
    }))

  it.effect("B3, B7: a trial that had to wait for a guard closes the circuit when the upstream was quick", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(1),
        halfOpen: CircuitBreaker.consecutive(1)
      })
      const protect = yield* guards["a rate limiter"]!
      yield* Effect.exit(
        circuit.protect(Effect.fail(server(500)))
      )
      yield* TestClock.adjust("30 seconds")
      yield* protect(Effect.void)
      const fiber = yield* Effect.fork(circuit.protect(protect(answer(1000))))
      yield* TestClock.adjust(Duration.seconds(10))
      yield* Fiber.join(fiber)
      expect(yield* circuit.state()).toBe("Closed")
    }))
})
