import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option } from "effect"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { join, type MemberOf, members, pass } from "./fleets.js"

const options = { name: "api", limit: 100, interval: "1 second", burst: 10 } as const

const limiterOf = (member: MemberOf, changes: Partial<RateLimiter.SharedOptions> = {}) =>
  member.use(RateLimiter.makeShared({ ...options, ...changes }))

/** Starts calls, one each so many milliseconds, and says when each began. */
const load = (limiter: RateLimiter.RateLimiter, every: number, times: number) =>
  Effect.gen(function*() {
    const began: Array<number> = []
    const call = Effect.map(Clock.currentTimeMillis, (at) => {
      began.push(at)
    })
    const start = Effect.forEach(
      Array.from({ length: times }),
      () => Effect.zipRight(Effect.fork(Effect.ignore(limiter.protect(call))), Effect.sleep(every)),
      { discard: true }
    )
    // The calls end with the fiber that started them.
    const fiber = yield* Effect.fork(Effect.zipRight(start, Effect.never))
    return { began, fiber }
  })

/** By how much more than the rate and the burst ever began in any stretch of time. */
const mostOver = (began: ReadonlyArray<number>, perMilli: number): number => {
  const sorted = [...began].sort((a, b) => a - b)
  let most = 0
  sorted.forEach((from, first) => {
    sorted.slice(first).forEach((to, after) => {
      most = Math.max(most, after + 1 - perMilli * (to - from))
    })
  })
  return most
}

describe("RateLimiter.makeShared", () => {
  it.scoped("F11: a fleet keeps to the rate, and uses it", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3, {}, { delay: 10 })
      const limiters = yield* Effect.forEach(all, (member) =>
        limiterOf(member, { limit: 40, burst: 4 }))
      const loads = yield* Effect.forEach(limiters, (limiter) =>
        load(limiter, 60, 40))
      yield* pass("2500 millis")
      const began = loads.flatMap((each) => each.began)
      const from = Math.min(...began)
      const later = began.filter((at) => at >= from + 500 && at < from + 2000)
      expect(later.length).toBeGreaterThan(0.9 * 60)
      expect(mostOver(began, 0.04)).toBeLessThanOrEqual(4 + 0.04 * 500)
      for (const { fiber } of loads) yield* Fiber.interrupt(fiber)
    }))

  it.scoped("F11: each member gets its turn", () =>
    Effect.gen(function*() {
      const { all } = yield* members(4, {}, { delay: 10 })
      const slow = { limit: 20, burst: 2, maxWait: "1 minute" } as const
      const limiters = yield* Effect.forEach(all, (member) => limiterOf(member, slow))
      const greedy = yield* Effect.forEach(limiters.slice(0, 3), (limiter) => load(limiter, 1, 30))
      yield* pass("500 millis")
      const waiting = yield* Effect.fork(limiters[3]!.protect(Effect.void))
      yield* pass(3 * 250 + 4 * 50 + 20)
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "Some" })
      for (const { fiber } of greedy) yield* Fiber.interrupt(fiber)
    }))

  it.scoped("F1: no call waits while tokens are leased", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const limiter = yield* limiterOf(all[0]!)
      for (let n = 0; n < 40; n++) {
        yield* Effect.fork(limiter.protect(Effect.void))
        yield* pass("20 millis")
      }
      const sent = all[0]!.wire.sent.length
      let waited = 0
      for (let n = 0; n < 100; n++) {
        const call = yield* Effect.fork(limiter.protect(Effect.void))
        yield* Effect.yieldNow()
        if ((yield* Fiber.poll(call))._tag === "None") waited++
        yield* pass("20 millis")
      }
      expect(waited).toBeLessThanOrEqual(10)
      expect(all[0]!.wire.sent.length - sent).toBeLessThanOrEqual(8 + waited + 1)
    }))

  it.scoped("F11: mode reject asks once, and is rejected with an estimate", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(
        all,
        (member) =>
          limiterOf(member, { limit: 1, interval: "10 seconds", burst: 1, mode: "reject" })
      )
      yield* a!.protect(Effect.void)
      const rejection = yield* Effect.flip(b!.protect(Effect.void))
      expect(rejection).toMatchObject({ _tag: "RateLimited" })
      expect(JSON.stringify(rejection.retryAfter)).toContain("10000")
    }))

  it.scoped("F11: mode reject does not wait for tokens that come due", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1, {}, { delay: 10 })
      const limiter = yield* limiterOf(all[0]!, { mode: "reject", burst: 2 })
      const calls = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () => Effect.fork(Effect.either(limiter.protect(Effect.void)))
      )
      yield* pass("30 millis")
      const ends = yield* Effect.forEach(calls, (call) => Fiber.poll(call))
      expect(ends.every(Option.isSome)).toBe(true)
      const now = yield* Effect.fork(Effect.either(limiter.protect(Effect.void)))
      yield* pass("20 millis")
      expect(yield* Fiber.poll(now)).toMatchObject({ _tag: "Some" })
    }))

  it.scoped("F11: a line longer than the burst is waited for to its end", () =>
    Effect.gen(function*() {
      const { all } = yield* members(5, {}, { delay: 10 })
      const limiters = yield* Effect.forEach(
        all,
        (member) => limiterOf(member, { limit: 1, burst: 1, maxWait: "1 minute" })
      )
      const began: Array<number> = []
      const call = Effect.map(Clock.currentTimeMillis, (at) => {
        began.push(at)
      })
      for (const { protect } of limiters) yield* Effect.fork(protect(call))
      yield* pass("6 seconds")
      expect(began).toHaveLength(5)
      expect(mostOver(began, 0.001)).toBeLessThanOrEqual(1 + 0.001 * 500)
    }))

  it.scoped("F11: strict asks for each call and leases nothing", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [a, b] = yield* Effect.forEach(all, (member) => limiterOf(member, { strict: true }))
      for (let n = 0; n < 5; n++) yield* a!.protect(Effect.void)
      const before = all[0]!.wire.sent.length
      for (let n = 0; n < 4; n++) yield* a!.protect(Effect.void)
      expect(all[0]!.wire.sent.length - before).toBe(4)
      yield* b!.protect(Effect.void)
      const blocked = yield* Effect.fork(b!.protect(Effect.void))
      yield* pass("9 millis")
      expect(yield* Fiber.poll(blocked)).toMatchObject({ _tag: "None" })
      yield* pass("2 millis")
      expect(yield* Fiber.poll(blocked)).toMatchObject({ _tag: "Some" })
    }))

  it.scoped("F11: apart it is a share that begins empty, or rejects", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [sharing, rejecting] = yield* Effect.forEach(
        ["share", "reject"] as const,
        (whenApart) => limiterOf(all[0]!, { whenApart, name: whenApart } as never)
      )
      all[0]!.wire.refuse = true
      yield* pass("10 seconds")
      expect((yield* all[0]!.use(Fleet.status)).connected).toBe(false)
      const rejection = yield* Effect.flip(rejecting!.protect(Effect.void))
      expect(rejection._tag).toBe("RateLimited")
      const { began, fiber } = yield* load(sharing!, 10, 60)
      yield* pass("1 second")
      expect(began.length).toBeGreaterThanOrEqual(45)
      expect(mostOver(began, 0.05)).toBeLessThanOrEqual(6)
      yield* Fiber.interrupt(fiber)
    }))

  it.scoped("F11: an interrupted call in line leaves its place to the next", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const limiter = yield* limiterOf(all[0]!, { limit: 1, interval: "1 second", burst: 1 })
      yield* limiter.protect(Effect.void)
      const first = yield* Effect.fork(limiter.protect(Effect.void))
      const second = yield* Effect.fork(limiter.protect(Effect.void))
      yield* pass("100 millis")
      yield* Fiber.interrupt(first)
      yield* pass("1 second")
      expect(yield* Fiber.poll(second)).toMatchObject({ _tag: "Some" })
      expect((yield* limiter.snapshot()).waiting).toBe(0)
    }))

  it.scoped("F20: a member that leaves gives its tokens back at once", () =>
    Effect.gen(function*() {
      const { all, store } = yield* members(1)
      const slow = { limit: 10, interval: "100 seconds", burst: 10 } as const
      const limiter = yield* limiterOf(all[0]!, slow)
      for (let n = 0; n < 3; n++) yield* limiter.protect(Effect.void)
      yield* all[0]!.leave
      const next = yield* join(store, { member: "next" })
      const other = yield* limiterOf(next, slow)
      for (let n = 0; n < 7; n++) yield* other.protect(Effect.void)
    }))

  it.scoped("F18: one name is one guard where all numbers are equal, and a RangeError otherwise", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      expect(yield* limiterOf(all[0]!)).toBe(yield* limiterOf(all[0]!))
      const defect = yield* Effect.catchAllDefect(limiterOf(all[0]!, { limit: 5 }), Effect.succeed)
      expect(defect).toBeInstanceOf(RangeError)
      expect(String(defect)).toContain("name")
    }))
})
