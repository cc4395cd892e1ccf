import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Random } from "effect"
import { Backoff, IdempotencyKey, Operation, Retry, RetryBudget, Verdict } from "effect-resilience"
import { countingClock } from "../support/clocks.js"
import { rejection, server } from "../support/errors.js"
import { errorOf } from "../support/exits.js"
import { failing, finish, secondly } from "./retry.js"

describe("Retry.retry defects, interruption, success", () => {
  it.effect("R16: a defect is never retried and stays the same defect", () =>
    Effect.gen(function*() {
      const bug = new Error("bug")
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.die(bug)
      })
      const { exit } = yield* finish(
        Retry.retry(action, { ...secondly, verdict: () => Verdict.transient() })
      )
      expect([calls, exit]).toEqual([1, Exit.die(bug)])
    }))

  it.effect("R16: a failure together with a defect is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const cause = Cause.parallel(Cause.fail(server()), Cause.die("bug"))
      const action = Effect.suspend(() => {
        calls++
        return Effect.failCause(cause)
      })
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect([calls, Exit.isFailure(exit) && Array.from(Cause.defects(exit.cause))]).toEqual([1, [
        "bug"
      ]])
    }))

  it.effect("R16: a failure together with an interruption is not retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.fail(server()).pipe(Effect.ensuring(Effect.interrupt))
      })
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect([calls, Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)]).toEqual([1, true])
    }))

  it.effect("R16: interruption of the action itself is never retried", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.interrupt
      })
      const { exit } = yield* finish(
        Retry.retry(action, { ...secondly, verdict: () => Verdict.transient() })
      )
      expect([calls, Exit.isInterrupted(exit)]).toEqual([1, true])
    }))

  it.effect("R16: success makes no clock read unless within is given", () =>
    Effect.gen(function*() {
      const { clock, counts } = countingClock(Clock.make())
      const asked = (options: Partial<Retry.Base>) =>
        Retry.retry(Effect.succeed(1), { operation: Operation.read, ...options }).pipe(
          Effect.withClock(clock)
        )
      yield* asked({})
      expect(counts.uses).toBe(0)
      yield* asked({
        backoff: Backoff.decorrelated({ base: 1, cap: 2 }),
        retries: 7,
        retryAfterCap: "1 second"
      })
      expect(counts.uses).toBe(0)
      yield* asked({ waitForRejections: true })
      expect(counts.uses).toBe(0)
      yield* asked({ within: "1 second" })
      expect(counts.uses).toBeGreaterThanOrEqual(0)
    }))

  it.effect("R16: success makes no clock read with a budget either", () =>
    Effect.gen(function*() {
      const { clock, counts } = countingClock(Clock.make())
      const budget = yield* RetryBudget.make()
      yield* Retry.retry(Effect.succeed(1), { operation: Operation.read, budget }).pipe(
        Effect.withClock(clock)
      )
      expect(counts.uses).toBe(0)
    }))

  it.effect("R16: success draws no random number", () =>
    Effect.gen(function*() {
      const refuse = new Proxy(Random.make("x"), {
        get: (target, property, receiver) => {
          if (typeof property === "string" && property.startsWith("next")) {
            throw new Error(`read ${property}`)
          }
          return Reflect.get(target, property, receiver)
        }
      })
      expect(
        yield* Retry.retry(Effect.succeed(1), { operation: Operation.read }).pipe(
          Effect.withRandom(refuse)
        )
      ).toBe(1)
    }))
})

describe("Retry.retry and rejections", () => {
  it.effect("R15: a rejection is not retried by default, and comes back as the very same value", () =>
    Effect.gen(function*() {
      const busy = rejection(Duration.seconds(1))
      const { action, calls } = failing(busy)
      const { exit } = yield* finish(Retry.retry(action, secondly))
      expect(calls.length).toBe(1)
      expect(errorOf(exit)).toBe(busy)
    }))

  it.effect("R15: opted in, it waits retryAfter, then tries; such a wait counts as a retry", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(5)))
      yield* finish(Retry.retry(action, { ...secondly, retries: 2, waitForRejections: true }))
      expect(calls).toEqual([0, 5000, 10_000])
    }))

  it.effect("R15: a rejection without a time uses the backoff", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection())
      yield* finish(Retry.retry(action, { ...secondly, retries: 2, waitForRejections: true }))
      expect(calls).toEqual([0, 1000, 2000])
    }))

  it.effect("R11, R15: a rejection that says now does not make a hot loop: the delay is the policy's", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.zero))
      yield* finish(Retry.retry(action, { ...secondly, waitForRejections: true }))
      expect(calls).toEqual([0, 1000, 2000])
    }))

  it.effect("R15: one with an infinite time stops, whatever beyondCap says", () =>
    Effect.gen(function*() {
      const a = failing(rejection(Duration.infinity))
      const b = failing(rejection(Duration.infinity))
      yield* finish(Retry.retry(a.action, { ...secondly, waitForRejections: true }))
      yield* finish(
        Retry.retry(b.action, { ...secondly, waitForRejections: true, beyondCap: "clamp" })
      )
      expect([a.calls.length, b.calls.length]).toEqual([1, 1])
    }))

  it.effect("R15: one above the cap stops, one equal to it is waited for", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(
        rejection(Duration.seconds(60)),
        rejection(Duration.millis(60_001))
      )
      const { at } = yield* finish(
        Retry.retry(action, { ...secondly, retries: 9, waitForRejections: true })
      )
      expect([calls, at]).toEqual([[0, 60_000], 60_000])
    }))

  it.effect("R15: one above the cap stops, also where a server's Retry-After would be clamped", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.minutes(2)))
      yield* finish(
        Retry.retry(action, { ...secondly, waitForRejections: true, beyondCap: "clamp" })
      )
      expect(calls).toEqual([0])
    }))

  it.effect("R15: it costs no budget, by default or opted in, also when the budget is empty", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 1, reservePerSecond: 0 })
      const { action, calls } = failing(rejection(Duration.seconds(1)))
      yield* finish(Retry.retry(action, { ...secondly, budget }))
      expect([calls.length, yield* budget.available]).toEqual([1, 1])
      yield* finish(
        Retry.retry(action, { ...secondly, budget, retries: 5, waitForRejections: true })
      )
      expect([calls.length, yield* budget.available]).toEqual([7, 1])
      yield* budget.withdraw
      yield* finish(
        Retry.retry(action, { ...secondly, budget, retries: 2, waitForRejections: true })
      )
      expect([calls.length, yield* budget.available]).toEqual([10, 0])
    }))

  it.effect("R13, R15: such a wait respects the deadline", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(5)))
      const { at } = yield* finish(
        Retry.retry(action, {
          ...secondly,
          retries: 9,
          within: "10 seconds",
          waitForRejections: true
        })
      )
      expect([calls, at]).toEqual([[0, 5000], 5000])
    }))

  it.effect("R15: opted in, once waits too: nothing was executed", () =>
    Effect.gen(function*() {
      const { action, calls } = failing(rejection(Duration.seconds(1)))
      yield* finish(
        Retry.retry(action, { ...secondly, operation: Operation.once, waitForRejections: true })
      )
      expect(calls.length).toBe(3)
    }))
})

describe("Retry.retry and keys", () => {
  it.effect("I1: keyed: every attempt sees the same key, two logical calls see different ones", () =>
    Effect.gen(function*() {
      const seen: Array<IdempotencyKey.IdempotencyKey> = []
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        seen.push(key)
        return Effect.fail(server())
      })
      const call = Retry.retry(action, { operation: Operation.keyed, backoff: Backoff.constant(0) })
        .pipe(
          Effect.exit,
          IdempotencyKey.provideNew
        )
      yield* call
      yield* call
      expect(seen.length).toBe(6)
      expect([new Set(seen.slice(0, 3)).size, new Set(seen.slice(3)).size, new Set(seen).size])
        .toEqual([1, 1, 2])
    }))

  it.effect("R18: a key minted inside a keyed attempt dies with a message that says where to put it", () =>
    Effect.gen(function*() {
      let calls = 0
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, () => {
        calls++
        return Effect.fail(server())
      }).pipe(IdempotencyKey.provideNew)
      const exit = yield* Effect.exit(
        Retry.retry(action, { operation: Operation.keyed, backoff: Backoff.constant(0) })
      ).pipe(IdempotencyKey.provideNew)
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      const [defect] = Exit.isFailure(exit) ? Array.from(Cause.defects(exit.cause)) : []
      const message = defect instanceof Error ? defect.message : String(defect)
      expect(message).toContain("provideNew")
      expect(message).toMatch(/outside|around|after|above/i)
      expect(calls).toBe(0)
    }))

  it.effect("R18: provideNew inside the attempts of the other operations is harmless", () =>
    Effect.gen(function*() {
      const action = Effect.as(IdempotencyKey.IdempotencyKey, "fine").pipe(
        IdempotencyKey.provideNew
      )
      const results = yield* Effect.all([
        Retry.retry(action, { operation: Operation.read }),
        Retry.retry(action, { operation: Operation.idempotent }),
        Retry.retry(action, { operation: Operation.once })
      ])
      expect(results).toEqual(["fine", "fine", "fine"])
    }))

  it.effect("R18: provideNew outside, and after the driver has ended, works", () =>
    Effect.gen(function*() {
      const call = Retry.retry(Effect.as(IdempotencyKey.IdempotencyKey, "fine"), {
        operation: Operation.keyed
      })
      const results = yield* Effect.all([
        call.pipe(IdempotencyKey.provideNew),
        call.pipe(IdempotencyKey.provideNew, Effect.zipLeft(call.pipe(IdempotencyKey.provideNew)))
      ])
      expect(results).toEqual(["fine", "fine"])
    }))
})
