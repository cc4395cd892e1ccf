import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Bulkhead from "effect-resilience/Bulkhead"
import { join, type MemberOf, members, pass } from "./fleets.js"

const bulkheadOf = (member: MemberOf, changes: Partial<Bulkhead.SharedOptions> = {}) =>
  member.use(Bulkhead.makeShared({ name: "api", concurrency: 4, queue: 100, ...changes }))

/** Counts calls that run at once over several bulkheads. */
const gauge = () => {
  const at = { now: 0, most: 0, ended: 0 }
  const call = (millis: number) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        at.now++
        at.most = Math.max(at.most, at.now)
      }),
      () => Effect.sleep(millis),
      () =>
        Effect.sync(() => {
          at.now--
          at.ended++
        })
    )
  return { at, call }
}

describe("Bulkhead.makeShared", () => {
  it.scoped("F13: at most concurrency run at once in the whole fleet, and all of it is used", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3, {}, { delay: 10 })
      const bulkheads = yield* Effect.forEach(all, (member) => bulkheadOf(member))
      const { at, call } = gauge()
      for (const bulkhead of bulkheads) {
        yield* Effect.forEach(
          Array.from({ length: 10 }),
          () => Effect.fork(bulkhead.protect(call(100)))
        )
      }
      yield* pass("5 seconds")
      expect(at).toEqual({ now: 0, most: 4, ended: 30 })
    }))

  it.scoped("F13: one that always queues keeps to its share while others want", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [greedy, late] = yield* Effect.forEach(all, (member) => bulkheadOf(member))
      const { call } = gauge()
      yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => Effect.fork(greedy!.protect(call(100)))
      )
      yield* pass("1 second")
      const mine = gauge()
      yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.fork(late!.protect(mine.call(100)))
      )
      yield* pass("1 second")
      expect(mine.at.most).toBe(2)
      yield* pass("1500 millis")
      expect(mine.at.ended).toBe(20)
    }))

  it.scoped("F13: one permit goes round", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const bulkheads = yield* Effect.forEach(
        all,
        (member) => bulkheadOf(member, { concurrency: 1 })
      )
      const gauges = bulkheads.map(() => gauge())
      for (const [n, bulkhead] of bulkheads.entries()) {
        yield* Effect.forEach(
          Array.from({ length: 50 }),
          () => Effect.fork(bulkhead.protect(gauges[n]!.call(100)))
        )
      }
      yield* pass("8 seconds")
      const ended = gauges.map(({ at }) => at.ended)
      expect(Math.min(...ended)).toBeGreaterThanOrEqual(5)
    }))

  it.scoped("F13: with no queue a call waits for the answer, and no longer", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2, {}, { delay: 50 })
      const [a, b] = yield* Effect.forEach(
        all,
        (member) => bulkheadOf(member, { queue: 0, concurrency: 1 })
      )
      const first = yield* Effect.fork(a!.protect(Effect.sleep("10 seconds")))
      yield* pass("60 millis")
      expect((yield* a!.snapshot).running).toBe(1)
      const second = yield* Effect.fork(Effect.flip(b!.protect(Effect.void)))
      yield* pass("60 millis")
      expect(yield* Fiber.join(second)).toMatchObject({ _tag: "BulkheadFull", concurrency: 1 })
      yield* Fiber.interrupt(first)
    }))

  it.scoped("F13: a dead member's permits come back after memberTimeout", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [dead, living] = yield* Effect.forEach(all, (member) => bulkheadOf(member))
      const { at, call } = gauge()
      yield* Effect.forEach(
        Array.from({ length: 4 }),
        () => Effect.fork(dead!.protect(call(60_000)))
      )
      yield* pass("100 millis")
      all[0]!.wire.freeze = true
      const waiting = yield* Effect.fork(living!.protect(Effect.void))
      yield* pass("4 seconds")
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "None" })
      yield* pass("2 seconds")
      expect(yield* Fiber.poll(waiting)).toMatchObject({ _tag: "Some" })
      expect(at.now).toBe(4)
      all[0]!.wire.freeze = false
      yield* pass("1 second")
      const after = yield* Effect.fork(living!.protect(Effect.void))
      yield* pass("1 second")
      // What still runs counts: none begins until the sum fits.
      expect(yield* Fiber.poll(after)).toMatchObject({ _tag: "None" })
    }))

  it.scoped("F13, F16: away for long, a member admits nothing on what it held", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const changes = { whenApart: "reject", queue: 0 } as const
      const [away] = yield* Effect.forEach(all, (member) => bulkheadOf(member, changes))
      const slow = yield* Effect.fork(away!.protect(Effect.sleep("60 seconds")))
      yield* pass("100 millis")
      all[0]!.wire.refuse = true
      yield* pass("10 seconds")
      const rejection = yield* Effect.flip(away!.protect(Effect.void))
      expect(rejection._tag).toBe("BulkheadFull")
      yield* Fiber.interrupt(slow)
    }))

  it.scoped("F13: apart after memberTimeout it has its share", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const [away] = yield* Effect.forEach(all, (member) => bulkheadOf(member))
      all[0]!.wire.refuse = true
      yield* pass("10 seconds")
      const { at, call } = gauge()
      yield* Effect.forEach(Array.from({ length: 6 }), () => Effect.fork(away!.protect(call(100))))
      yield* pass("1 second")
      expect(at).toEqual({ now: 0, most: 2, ended: 6 })
    }))

  it.scoped("F13: an interrupted call gives its place and its permit back", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const [bulkhead] = yield* Effect.forEach(
        all,
        (member) => bulkheadOf(member, { concurrency: 1 })
      )
      const first = yield* Effect.fork(bulkhead!.protect(Effect.never))
      const second = yield* Effect.fork(bulkhead!.protect(Effect.never))
      const third = yield* Effect.fork(bulkhead!.protect(Effect.succeed("ran")))
      yield* pass("10 millis")
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(first)
      yield* pass("300 millis")
      expect(yield* Fiber.join(third)).toBe("ran")
      expect(yield* bulkhead!.snapshot).toEqual({ running: 0, waiting: 0 })
    }))

  it.scoped("F20: a member that leaves gives its permits back at once", () =>
    Effect.gen(function*() {
      const { all, store } = yield* members(1)
      const leaving = yield* bulkheadOf(all[0]!)
      const { call } = gauge()
      yield* Effect.forEach(
        Array.from({ length: 4 }),
        () => Effect.fork(leaving.protect(call(100)))
      )
      yield* pass("150 millis")
      yield* all[0]!.leave
      const next = yield* bulkheadOf(yield* join(store, { member: "next" }), { queue: 0 })
      const calls = yield* Effect.all(
        Array.from({ length: 4 }, () => Effect.fork(next.protect(call(10))))
      )
      yield* pass("20 millis")
      yield* Effect.forEach(calls, Fiber.join)
    }))
})
