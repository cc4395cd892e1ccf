import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Queue, Random, Ref } from "effect"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import * as Timeout from "effect-resilience/Timeout"

const inMillis = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  VirtualTime.run(Effect.zipRight(Effect.exit(effect), Clock.currentTimeMillis))

describe("VirtualTime.run", () => {
  it.live("an hour passes at once", () =>
    Effect.gen(function*() {
      const [real, virtual] = yield* Effect.timed(inMillis(Effect.sleep("1 hour")))
      expect([virtual, Duration.lessThan(real, Duration.seconds(10))]).toEqual([3_600_000, true])
    }))

  it.live("begins when it is told to", () =>
    Effect.gen(function*() {
      expect(yield* VirtualTime.run(Clock.currentTimeMillis, { startMillis: 1_700_000_000_000 }))
        .toBe(
          1_700_000_000_000
        )
    }))

  it.live("fibers meet in the order of their waits, and in their own order where these end together", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const after = (millis: number, name: string) =>
        Effect.delay(Effect.sync(() => void seen.push(name)), millis)
      yield* VirtualTime.run(
        Effect.all([after(20, "c"), after(10, "a"), after(20, "d"), after(10.5, "b")], {
          concurrency: "unbounded"
        })
      )
      expect(seen).toEqual(["a", "b", "c", "d"])
    }))

  it.live("what talks to each other before it waits is given the time to", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const queue = yield* Queue.unbounded<number>()
        const seen = yield* Ref.make<ReadonlyArray<number>>([])
        const consumer = yield* Effect.fork(Effect.forever(Effect.gen(function*() {
          const item = yield* Queue.take(queue)
          yield* Effect.yieldNow()
          const now = yield* Clock.currentTimeMillis
          yield* Ref.update(seen, (all) => [...all, now - item])
        })))
        for (let round = 0; round < 50; round++) {
          yield* Queue.offer(queue, yield* Clock.currentTimeMillis)
          yield* Effect.sleep("1 second")
        }
        yield* Fiber.interrupt(consumer)
        return yield* Ref.get(seen)
      })
      expect(new Set(yield* VirtualTime.run(program))).toEqual(new Set([0]))
    }))

  it.live("the limits of the library go by it", () =>
    Effect.gen(function*() {
      expect(yield* inMillis(Timeout.attempt(Effect.never, "90 seconds"))).toBe(90_000)
    }))

  it.live("ends as the effect does", () =>
    Effect.gen(function*() {
      expect(yield* Effect.exit(VirtualTime.run(Effect.fail("no")))).toEqual(Exit.fail("no"))
      expect(yield* Effect.exit(VirtualTime.run(Effect.die("boom")))).toEqual(Exit.die("boom"))
    }))

  it.live("real work is waited for", () =>
    Effect.gen(function*() {
      const real = Effect.async<string>((resume) => {
        const timer = setTimeout(() => resume(Effect.succeed("done")), 5)
        return Effect.sync(() => clearTimeout(timer))
      })
      expect(yield* VirtualTime.run(Effect.zip(real, Effect.sleep("1 minute")))).toEqual([
        "done",
        undefined
      ])
    }))

  it.live("an interrupted run interrupts the effect", () =>
    Effect.gen(function*() {
      let interrupted = false
      const endless = Effect.onInterrupt(Effect.forever(Effect.sleep("1 second")), () =>
        Effect.sync(() => {
          interrupted = true
        }))
      const fiber = yield* Effect.fork(VirtualTime.run(endless))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      expect(interrupted).toBe(true)
    }))

  it.live("a wait that was given up is not waited for", () =>
    Effect.gen(function*() {
      const program = Effect.race(Effect.sleep("1 day"), Effect.sleep("1 second"))
      expect(yield* inMillis(program)).toBe(1000)
    }))

  it.live("the same seed, the same run", () =>
    Effect.gen(function*() {
      const step = Effect.flatMap(Random.nextIntBetween(1, 1000), (millis) =>
        Effect.as(Effect.sleep(millis), millis))
      const program = Effect.suspend(() =>
        Effect.withRandom(Effect.replicateEffect(step, 20), Random.make("storm"))
      )
      expect(yield* VirtualTime.run(program)).toEqual(yield* VirtualTime.run(program))
    }))

  it.live.each(
    [["of a fiber", Effect.yieldNow()], [
      "of promises",
      Effect.promise(async () => {
        for (let turn = 0; turn < 10; turn++) await undefined
      })
    ]] as const
  )("V1: it does not jump over 200 turns %s", ([, turn]) =>
    Effect.gen(function*() {
      const work = Effect.zipRight(Effect.repeatN(turn, 199), Clock.currentTimeMillis)
      const program = Effect.raceFirst(work, Effect.as(Effect.sleep("1 hour"), -1))
      expect(yield* VirtualTime.run(program)).toBe(0)
    }))

  it.live("V1: it does not jump while a chain of settled promises has work for a fiber", () =>
    Effect.gen(function*() {
      const work = Effect.promise(async () => {
        for (let turn = 0; turn < 5000; turn++) await undefined
      })
      const program = Effect.raceFirst(
        Effect.zipRight(work, Clock.currentTimeMillis),
        Effect.as(Effect.sleep("1 hour"), -1)
      )
      expect(yield* VirtualTime.run(program)).toBe(0)
    }))

  it.live("V1: it does not jump while registered real work is pending, several and one after the other", () =>
    Effect.gen(function*() {
      const real = VirtualTime.real(
        Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      )
      const seen: Array<number> = []
      const look = Effect.map(Clock.currentTimeMillis, (now) => void seen.push(now))
      const requests = Effect.all([real, Effect.zipRight(real, real), real], {
        concurrency: "unbounded"
      })
      yield* VirtualTime.run(Effect.zipRight(
        Effect.fork(Effect.forever(Effect.sleep("1 hour"))),
        Effect.repeatN(
          Effect.zipRight(Effect.zipRight(requests, look), Effect.sleep("1 second")),
          2
        )
      ))
      expect(seen).toEqual([0, 1000, 2000])
    }))

  it.live("V1: within real work time is real, and what it fails with or is interrupted by lets the clock go on", () =>
    Effect.gen(function*() {
      const slow = VirtualTime.real(Effect.sleep("5 millis"))
      const failing = Effect.exit(VirtualTime.real(Effect.fail("no")))
      const hanging = Effect.timeoutOption(
        Effect.forkScoped(VirtualTime.real(Effect.never)),
        "1 minute"
      )
      const program = Effect.zipRight(
        Effect.all([slow, failing, Effect.scoped(hanging)]),
        Effect.zipRight(Effect.sleep("1 minute"), Clock.currentTimeMillis)
      )
      expect(yield* VirtualTime.run(program)).toBe(60_000)
    }))

  it.live("outside of a run, real work is what it is", () =>
    Effect.gen(function*() {
      expect(yield* VirtualTime.real(Effect.succeed(1))).toBe(1)
    }))

  it.live("a fiber that outlives the run goes on, on a clock that stands still", () =>
    Effect.gen(function*() {
      const fiber = yield* VirtualTime.run(
        Effect.forkDaemon(Effect.zipRight(
          Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5))),
          Clock.currentTimeMillis
        ))
      )
      expect(yield* Fiber.join(fiber)).toBe(0)
    }))

  it.live("finalizers that sleep end when the run is interrupted", () =>
    Effect.gen(function*() {
      let released = -1
      const held = Effect.onInterrupt(Effect.forever(Effect.sleep("1 second")), () =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 hour")
          released = yield* Clock.currentTimeMillis
        }))
      const fiber = yield* Effect.fork(VirtualTime.run(held))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(fiber)
      expect(released).toBeGreaterThanOrEqual(3_600_000)
    }))
})
