import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option, Stream, TestClock } from "effect"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import type * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Machine from "../../src/core/fleetStore.js"
import { settle } from "../support/turns.js"
import { join, type MemberOf, members, memoryStore, pass } from "./fleets.js"

const breakerOf = (member: MemberOf) =>
  member.use(CircuitBreaker.makeShared({
    name: "upstream",
    minimumCalls: 2,
    openDuration: "10 seconds"
  }))

const opens = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.zipRight(
    Effect.repeatN(Effect.ignore(breaker.protect(Effect.fail("down"))), 3),
    pass("1 second")
  )

describe("times of a fleet", () => {
  it.scoped("F3: wall clocks that step change nothing", () =>
    Effect.gen(function*() {
      const real = yield* Effect.clock
      let step = 0
      const stepping: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => real.unsafeCurrentTimeMillis() + step,
        unsafeCurrentTimeNanos: () => real.unsafeCurrentTimeNanos(),
        currentTimeMillis: Effect.map(real.currentTimeMillis, (millis) => millis + step),
        currentTimeNanos: real.currentTimeNanos,
        sleep: (duration) => real.sleep(duration)
      }
      const store = yield* memoryStore
      const member = yield* Effect.withClock(join(store, { member: "a" }), stepping)
      const breaker = yield* breakerOf(member)
      yield* opens(breaker)
      for (const by of [-1e9, 1e9]) {
        step += by
        yield* pass("2 seconds")
        expect(yield* Effect.withClock(breaker.state(), stepping)).toBe("Open")
        expect((yield* member.use(Fleet.status)).connected).toBe(true)
      }
      yield* pass("5300 millis")
      expect(yield* Effect.withClock(breaker.state(), stepping)).toBe("HalfOpen")
    }))

  it.scoped("F16: after a standstill no lease is used that has ended meanwhile", () =>
    Effect.gen(function*() {
      const real = yield* Effect.clock
      let stood = 0
      const standing: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => real.unsafeCurrentTimeMillis() + stood,
        unsafeCurrentTimeNanos: () => real.unsafeCurrentTimeNanos() + BigInt(stood) * 1_000_000n,
        currentTimeMillis: Effect.map(real.currentTimeMillis, (millis) => millis + stood),
        currentTimeNanos: Effect.map(
          real.currentTimeNanos,
          (nanos) => nanos + BigInt(stood) * 1_000_000n
        ),
        sleep: (duration) => real.sleep(duration)
      }
      const member = yield* Effect.withClock(
        join(yield* memoryStore, { member: "a" }),
        standing
      )
      const bulkhead = yield* member.use(
        Bulkhead.makeShared({ name: "b", concurrency: 4, queue: 9 })
      )
      const limiter = yield* member.use(
        RateLimiter.makeShared({ name: "l", limit: 1000, interval: "1 second" })
      )
      const here = Effect.withClock(standing)
      const call = here(Effect.zipRight(
        bulkhead.protect(Effect.void),
        limiter.protect(Effect.void)
      ))
      const available = Effect.map(here(limiter.snapshot()), ({ available }) => available)
      for (let n = 0; n < 60 && (yield* available) < 3; n++) {
        yield* Effect.fork(call)
        yield* pass("20 millis")
      }
      expect(yield* available).toBeGreaterThanOrEqual(3)
      expect(yield* here(bulkhead.protect(Effect.succeed("at once")))).toBe("at once")
      // A question is under way, and then the process stands still.
      member.wire.freeze = true
      yield* pass("100 millis")
      stood = 20_000
      expect(yield* available).toBe(0)
      const permit = yield* Effect.fork(here(bulkhead.protect(Effect.void)))
      yield* Effect.yieldNow()
      expect(Option.isNone(yield* Fiber.poll(permit))).toBe(true)
      member.wire.freeze = false
      yield* pass("2 seconds")
      expect(Option.isSome(yield* Fiber.poll(permit))).toBe(true)
    }))

  it.scoped("F21: a store whose clock steps back or ahead keeps no circuit open or closed", () =>
    Effect.gen(function*() {
      const state = Machine.make()
      let step = 0
      const store: FleetStore.Service = {
        name: (text) => text,
        pushes: Stream.empty,
        exchange: (batch) =>
          Effect.map(
            Clock.currentTimeMillis,
            (now) => Machine.exchange(state, now + step, batch)[0]
          )
      }
      const member = yield* join(store, { member: "a" })
      const breaker = yield* breakerOf(member)
      yield* opens(breaker)
      step -= 3_600_000
      yield* pass("9300 millis")
      expect(yield* breaker.state()).toBe("HalfOpen")
      // The store's time stood still since the exchange before the step.
      for (let n = 0; n < 10; n++) {
        yield* Effect.fork(breaker.protect(Effect.void))
        yield* pass("300 millis")
      }
      expect(yield* breaker.state()).toBe("Closed")
      yield* opens(breaker)
      step += 3_600_000
      yield* pass("5 seconds")
      // What is known to be open is open until its end.
      expect(yield* breaker.state()).toBe("Open")
      yield* pass("5300 millis")
      expect(yield* breaker.state()).toBe("HalfOpen")
    }))
})

describe("interruption", () => {
  it.scoped("a command that is interrupted before it is sent is not sent", () =>
    Effect.gen(function*() {
      const { all: [member] } = yield* members(1, {}, { delay: 100 })
      const breaker = yield* breakerOf(member!)
      yield* breaker.protect(Effect.void)
      const other = yield* Effect.fork(breaker.fleet.forceOpen("other"))
      yield* pass("10 millis")
      const order = yield* Effect.fork(breaker.fleet.forceOpen())
      yield* pass("10 millis")
      yield* Fiber.interrupt(order)
      yield* pass("1 second")
      yield* Fiber.join(other)
      expect(yield* breaker.state()).toBe("Closed")
      const orders = member!.wire.sent.flatMap(({ commands }) => commands)
        .filter(({ op }) => op === "order")
      expect(orders).toHaveLength(1)
    }))

  it.scoped("a member that is interrupted while it joins leaves nothing behind", () =>
    Effect.gen(function*() {
      const store = yield* memoryStore
      let running = 0
      const slow: FleetStore.Service = {
        ...store,
        exchange: () =>
          Effect.ensuring(
            Effect.zipRight(
              Effect.sync(() => {
                running++
              }),
              Effect.never
            ),
            Effect.sync(() => {
              running--
            })
          )
      }
      const joining = yield* Effect.fork(Effect.scoped(join(slow, { member: "a" })))
      yield* settle
      expect(running).toBe(1)
      const leaving = yield* Effect.fork(Fiber.interrupt(joining))
      yield* pass("1 second")
      yield* Fiber.join(leaving)
      expect(running).toBe(0)
      expect(yield* TestClock.sleeps()).toHaveLength(0)
    }))
})
