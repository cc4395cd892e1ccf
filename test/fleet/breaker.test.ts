import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Fleet from "effect-resilience/fleet/Fleet"
import { join, type MemberOf, members, pass } from "./fleets.js"

const options = {
  name: "upstream",
  window: CircuitBreaker.time("30 seconds"),
  minimumCalls: 8,
  failureRate: 0.5,
  openDuration: "10 seconds",
  halfOpen: CircuitBreaker.consecutive(2)
} as const

const breakerOf = (member: MemberOf, changes: Partial<CircuitBreaker.Options> = {}) =>
  member.use(CircuitBreaker.makeShared({ ...options, ...changes }))

const fails = (breaker: CircuitBreaker.CircuitBreaker, times = 1) =>
  Effect.repeatN(Effect.ignore(breaker.protect(Effect.fail("down"))), times - 1)

const succeeds = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.either(breaker.protect(Effect.succeed("up")))

const states = (breakers: ReadonlyArray<CircuitBreaker.CircuitBreaker>) =>
  Effect.forEach(breakers, (breaker) => breaker.state())

const opened = (count: number, changes: Partial<Fleet.Options> = {}) =>
  Effect.gen(function*() {
    const { all, store } = yield* members(count, changes)
    const breakers = yield* Effect.forEach(all, (member) => breakerOf(member))
    for (const breaker of breakers) yield* fails(breaker, Math.ceil(8 / count))
    yield* pass("1 second")
    return { all, breakers, store }
  })

describe("CircuitBreaker.makeShared", () => {
  it.scoped("F5, F6: what no member sees enough of alone, all see together", () =>
    Effect.gen(function*() {
      const { breakers } = yield* opened(4)
      expect(yield* states(breakers)).toEqual(["Open", "Open", "Open", "Open"])
      const rejected = yield* Effect.flip(breakers[0]!.protect(Effect.void))
      expect(rejected._tag).toBe("CircuitOpen")
      expect(Duration.toMillis(rejected.retryAfter)).toBeGreaterThan(8900)
    }))

  it.scoped("F6: one sick member shuts no other out", () =>
    Effect.gen(function*() {
      const { all } = yield* members(3)
      const [sick, ...well] = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* fails(sick!, 20)
      yield* pass("2 seconds")
      expect(yield* states([sick!, ...well])).toEqual(["Open", "Closed", "Closed"])
    }))

  it.scoped("F6: one sick member of eight stops calling, the other seven go on", () =>
    Effect.gen(function*() {
      const { all } = yield* members(8)
      const [sick, ...well] = yield* Effect.forEach(all, (member) => breakerOf(member))
      let answered = 0
      for (let round = 0; round < 60; round++) {
        yield* fails(sick!)
        for (const breaker of well) {
          const got = yield* succeeds(breaker)
          if (got._tag === "Right") answered++
        }
        yield* pass("100 millis")
      }
      expect(answered).toBe(7 * 60)
      expect(yield* states([sick!, ...well])).toEqual(["Open", ...Array(7).fill("Closed")])
    }))

  it.scoped("F6: a member in a crash loop keeps its one vote", () =>
    Effect.gen(function*() {
      const { all, store } = yield* members(7)
      const well = yield* Effect.forEach(all, (member) => breakerOf(member))
      let answered = 0
      for (let life = 0; life < 20; life++) {
        const looping = yield* join(store, { member: "looping" })
        yield* fails(yield* breakerOf(looping), 20)
        yield* pass("300 millis")
        // Nothing is heard of it any more, not even that it leaves.
        looping.wire.freeze = true
        for (const breaker of well) {
          const got = yield* succeeds(breaker)
          if (got._tag === "Right") answered++
        }
      }
      expect(answered).toBe(7 * 20)
      expect(yield* states(well)).toEqual(Array(7).fill("Closed"))
    }))

  it.scoped("F6: a fleet of one opens alone", () =>
    Effect.gen(function*() {
      const { breakers } = yield* opened(1)
      expect(yield* states(breakers)).toEqual(["Open"])
    }))

  it.scoped("F7: active members reject 2 intervals and 3 round trips after, without pushes", () =>
    Effect.gen(function*() {
      const { all } = yield* members(4, {}, { delay: 20, blockPushes: true })
      const breakers = yield* Effect.forEach(all, (member) => breakerOf(member))
      for (const breaker of breakers) yield* fails(breaker, 2)
      yield* pass(2 * 250 + 3 * 20)
      expect(yield* states(breakers)).toEqual(["Open", "Open", "Open", "Open"])
    }))

  it.scoped("F7: an opening is one opening, and ends for all at once", () =>
    Effect.gen(function*() {
      const { breakers } = yield* opened(4)
      const snapshots = yield* Effect.forEach(breakers, (breaker) => breaker.snapshot())
      const ends = snapshots.map(({ retryAfter }) => JSON.stringify(retryAfter))
      expect(new Set(ends).size).toBe(1)
      yield* pass("10 seconds")
      expect(yield* states(breakers)).toEqual(Array(4).fill("HalfOpen"))
    }))

  it.scoped("F8: the fleet's trials are held once, and their success closes for all", () =>
    Effect.gen(function*() {
      const { breakers } = yield* opened(4)
      yield* pass("10 seconds")
      const fibers = yield* Effect.forEach(
        breakers,
        (breaker) =>
          Effect.fork(Effect.exit(breaker.protect(Effect.as(Effect.sleep("100 millis"), "up"))))
      )
      yield* pass("50 millis")
      yield* pass("100 millis")
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      expect(exits.filter(({ _tag }) => _tag === "Success")).toHaveLength(2)
      yield* pass("250 millis")
      expect(yield* states(breakers)).toEqual(Array(4).fill("Closed"))
    }))

  it.scoped("F8: who failed a trial gets none at first; one sick member costs one opening", () =>
    Effect.gen(function*() {
      const { breakers } = yield* opened(4)
      yield* pass("10 seconds")
      yield* fails(breakers[0]!)
      yield* pass("250 millis")
      expect(yield* states(breakers)).toEqual(Array(4).fill("Open"))
      yield* pass("10 seconds")
      const sick = yield* Effect.either(breakers[0]!.protect(Effect.fail("down")))
      expect(sick).toMatchObject({ left: { _tag: "CircuitOpen" } })
      for (const breaker of breakers.slice(1, 3)) {
        expect(yield* succeeds(breaker)).toMatchObject({ right: "up" })
      }
      yield* pass("250 millis")
      expect(yield* states(breakers)).toEqual(Array(4).fill("Closed"))
    }))

  it.scoped("F8: an interrupted call that waits for a trial leaves its place to another", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1, {}, { delay: 100 })
      const [breaker] = yield* Effect.forEach(
        all,
        (member) => breakerOf(member, { halfOpen: CircuitBreaker.consecutive(1) })
      )
      yield* fails(breaker!, 8)
      yield* pass("1 second")
      yield* pass("10 seconds")
      const fiber = yield* Effect.fork(breaker!.protect(Effect.succeed("up")))
      yield* pass("50 millis")
      yield* Fiber.interrupt(fiber)
      yield* pass("300 millis")
      const next = yield* Effect.fork(succeeds(breaker!))
      yield* pass("300 millis")
      expect(yield* Fiber.join(next)).toMatchObject({ right: "up" })
    }))

  it.scoped("F10: an order is stored, obeyed by all, and by one that joins before its first call", () =>
    Effect.gen(function*() {
      const { all, store } = yield* members(2)
      const breakers = yield* Effect.forEach(all, (member) => breakerOf(member))
      for (const breaker of breakers) yield* succeeds(breaker)
      yield* breakers[0]!.fleet.forceOpen()
      yield* pass("250 millis")
      expect(yield* states(breakers)).toEqual(["ForcedOpen", "ForcedOpen"])
      const late = yield* breakerOf(yield* join(store, { member: "late" }))
      expect(yield* late.state()).toBe("ForcedOpen")
      expect(yield* succeeds(late)).toMatchObject({ left: { _tag: "CircuitOpen" } })
      yield* late.fleet.reset()
      yield* pass("250 millis")
      expect(yield* states([...breakers, late])).toEqual(["Closed", "Closed", "Closed"])
    }))

  it.scoped("F10: an isolation ends with its scope, and memberTimeout after its member's death", () =>
    Effect.gen(function*() {
      const { all } = yield* members(2)
      const breakers = yield* Effect.forEach(all, (member) => breakerOf(member))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* breakers[0]!.fleet.isolate()
        yield* pass("20 seconds")
        expect(yield* states(breakers)).toEqual(["Isolated", "Isolated"])
      }))
      yield* pass("250 millis")
      expect(yield* states(breakers)).toEqual(["Closed", "Closed"])
      yield* breakers[0]!.fleet.isolate()
      all[0]!.wire.freeze = true
      yield* pass("4 seconds")
      expect(yield* breakers[1]!.state()).toBe("Isolated")
      yield* pass("3 seconds")
      expect(yield* breakers[1]!.state()).toBe("Closed")
      all[0]!.wire.freeze = false
      yield* pass("1 second")
    }))

  it.scoped("F10: what is not stored in storeTimeout fails", () =>
    Effect.gen(function*() {
      const { all } = yield* members(1)
      const breaker = yield* breakerOf(all[0]!)
      all[0]!.wire.freeze = true
      const failed = yield* Effect.fork(Effect.flip(breaker.fleet.forceOpen()))
      yield* pass("200 millis")
      expect((yield* Fiber.join(failed))._tag).toBe("FleetStoreError")
    }))

  it.scoped("F9: apart no call fails or waits; a known opening ends and half-opens on own trials", () =>
    Effect.gen(function*() {
      const { all, breakers } = yield* opened(2)
      all[0]!.wire.refuse = true
      yield* pass("5 seconds")
      expect((yield* all[0]!.use(Fleet.status)).connected).toBe(false)
      expect(yield* breakers[0]!.state()).toBe("Open")
      yield* pass("5 seconds")
      expect(yield* succeeds(breakers[0]!)).toMatchObject({ right: "up" })
      expect(yield* succeeds(breakers[0]!)).toMatchObject({ right: "up" })
      expect(yield* breakers[0]!.state()).toBe("Closed")
      all[0]!.wire.refuse = false
      yield* pass("1 second")
      expect((yield* all[0]!.use(Fleet.status)).connected).toBe(true)
      expect(yield* states(breakers)).toEqual(["HalfOpen", "HalfOpen"])
    }))
})
