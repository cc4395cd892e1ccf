import { describe, expect, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Fiber, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { rateLimit, rejection } from "../support/errors.js"
import { settle } from "../support/turns.js"
import {
  call,
  calls,
  defaultsTripped,
  down,
  halfOpen,
  hold,
  holdMany,
  many,
  numbers,
  ok,
  taking,
  tripped,
  wordOf
} from "./circuitBreaker.js"

describe("half-open", () => {
  it.effect("B7: of five thousand callers three run and the rest are rejected at once", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      yield* TestClock.adjust(30_000)
      const gate = yield* Deferred.make<string>()
      let ran = 0
      const effect = Effect.zipRight(Effect.sync(() => ran++), Deferred.await(gate))
      const words = new Map<string, number>()
      const fiber = yield* Effect.fork(Effect.forEach(
        Array.from({ length: 5000 }),
        () =>
          Effect.map(Effect.exit(breaker.protect(effect)), (exit) => {
            const word = wordOf(exit).split(" ")[0] as string
            words.set(word, (words.get(word) ?? 0) + 1)
          }),
        { concurrency: "unbounded", discard: true }
      ))
      yield* settle
      const before = [ran, Object.fromEntries(words), yield* Clock.currentTimeMillis]
      yield* Deferred.succeed(gate, "ok")
      yield* Fiber.join(fiber)
      expect([
        before,
        Object.fromEntries(words),
        yield* breaker.state(),
        (yield* breaker.snapshot()).rejected
      ])
        .toEqual([[3, { CircuitOpen: 4997 }, 30_000], { CircuitOpen: 4997, ok: 3 }, "Closed", 4997])
    }))

  it.effect("B7: finished successes and running trials together never exceed the trials", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(3) })
      yield* call(breaker)
      const held = yield* holdMany(3, breaker)
      const first = yield* Effect.forEach(held, ({ now }) => now)
      yield* (held[0] as (typeof held)[number]).end(ok)
      const late = yield* hold(breaker)
      const second = [yield* breaker.state(), (yield* late.now).split(" ")[0]]
      yield* (held[1] as (typeof held)[number]).end(ok)
      expect([first.map((word) => word.split(" ")[0]), second, yield* breaker.state()]).toEqual([
        ["running", "running", "CircuitOpen"],
        ["HalfOpen", "CircuitOpen"],
        "Closed"
      ])
    }))

  it.effect("B7: the first failure reopens at once, whatever the other trials do", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(3) })
      const [a, b, c] = yield* Effect.all([hold(breaker), hold(breaker), hold(breaker)])
      yield* a.end(down)
      const states: Array<string> = [yield* breaker.state()]
      yield* b.end(ok)
      yield* c.end(down)
      states.push(yield* breaker.state(), yield* call(breaker))
      expect(states).toEqual(["Open", "Open", "CircuitOpen 30000"])
    }))

  it.effect("B7: by rate, it decides as soon as that is certain", () =>
    Effect.gen(function*() {
      const cases = [
        [4, 0.5, "SSS"],
        [4, 0.5, "FSSS"],
        [4, 0.5, "FF"],
        [4, 0.5, "SSFF"],
        [4, 0.5, "FSL"],
        [3, 1, "S"],
        [3, 1, "FFF"],
        [3, 0.01, "F"],
        [3, 0.01, "SSS"],
        [3, 0.5, "FF"],
        [3, 0.5, "SFS"],
        [1, 1, "S"],
        [1, 1, "F"]
      ] as const
      const seen: Array<string> = []
      for (const [trials, threshold, script] of cases) {
        const breaker = yield* halfOpen({
          slowCall: { duration: "1 second", rate: 1 },
          halfOpen: CircuitBreaker.rate({ trials, threshold })
        })
        const states: Array<string> = []
        for (const letter of script) {
          yield* call(breaker, letter === "S" ? ok : letter === "F" ? down : taking(1001, ok))
          states.push(yield* breaker.state())
        }
        seen.push(`${trials} ${threshold} ${script}: ${states.join(" ")}`)
      }
      const H = "HalfOpen"
      expect(seen).toEqual([
        `4 0.5 SSS: ${H} ${H} Closed`,
        `4 0.5 FSSS: ${H} ${H} ${H} Closed`,
        `4 0.5 FF: ${H} Open`,
        `4 0.5 SSFF: ${H} ${H} ${H} Open`,
        `4 0.5 FSL: ${H} ${H} Open`,
        "3 1 S: Closed",
        `3 1 FFF: ${H} ${H} Open`,
        "3 0.01 F: Open",
        `3 0.01 SSS: ${H} ${H} Closed`,
        `3 0.5 FF: ${H} Open`,
        `3 0.5 SFS: ${H} ${H} Closed`,
        "1 1 S: Closed",
        "1 1 F: Open"
      ])
    }))

  it.effect("B7: by rate, no more calls are admitted than there are trials", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({
        halfOpen: CircuitBreaker.rate({ trials: 4, threshold: 0.5 })
      })
      yield* calls(breaker, [ok, down])
      const held = yield* holdMany(3, breaker)
      expect((yield* Effect.forEach(held, ({ now }) => now)).map((word) => word.split(" ")[0]))
        .toEqual([
          "running",
          "running",
          "CircuitOpen"
        ])
    }))

  it.effect("B8: an interrupted trial frees its slot and decides nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      const words: Array<unknown> = []
      for (const _ of [1, 2, 3]) {
        const trial = yield* hold(breaker)
        const other = yield* hold(breaker)
        words.push([yield* trial.now, (yield* other.now).split(" ")[0], yield* trial.interrupt])
      }
      expect([words, yield* breaker.state(), yield* call(breaker), yield* breaker.state()]).toEqual(
        [
          many(3, ["running", "CircuitOpen", "interrupted"]),
          "HalfOpen",
          "ok",
          "Closed"
        ]
      )
    }))

  it.effect("B8: an ignored trial frees its slot and decides nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      const words = yield* calls(breaker, [
        Effect.fail(rateLimit()),
        Effect.fail(rejection()),
        Effect.fail(rateLimit())
      ])
      expect([words, yield* breaker.state(), yield* call(breaker), yield* breaker.state()]).toEqual(
        [
          ["RateLimit", "Busy", "RateLimit"],
          "HalfOpen",
          "ok",
          "Closed"
        ]
      )
    }))

  it.effect("B8: a trial that was told to come back later holds its slot until then, and decides nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ trialTimeout: "10 seconds" })
      yield* call(breaker, Effect.fail(rateLimit("20 seconds")))
      const words: Array<string> = []
      for (const millis of [0, 10_000, 9999, 1]) {
        yield* TestClock.adjust(millis)
        words.push(yield* breaker.state(), (yield* call(breaker)).split(" ")[0] as string)
      }
      expect([words, yield* breaker.state()]).toEqual([
        [
          "HalfOpen",
          "CircuitOpen",
          "HalfOpen",
          "CircuitOpen",
          "HalfOpen",
          "CircuitOpen",
          "HalfOpen",
          "ok"
        ],
        "Closed"
      ])
    }))

  it.effect("B8, B10: that time is capped by maxOpenDuration like every hint, so that it never wedges the circuit", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const hint of [Duration.hours(1), Duration.infinity]) {
        const breaker = yield* halfOpen()
        yield* call(breaker, Effect.fail(rateLimit(hint)))
        yield* TestClock.adjust(299_999)
        const before = (yield* call(breaker)).split(" ")[0]
        yield* TestClock.adjust(1)
        seen.push([before, yield* call(breaker), yield* breaker.state()])
      }
      expect(seen).toEqual(many(2, ["CircuitOpen", "ok", "Closed"]))
    }))

  it.effect("B8: the other slots stay free meanwhile, and their successes close", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(2) })
      yield* call(breaker, Effect.fail(rateLimit("20 seconds")))
      const during = [yield* call(breaker), (yield* call(breaker)).split(" ")[0]]
      yield* TestClock.adjust("20 seconds")
      expect([during, yield* call(breaker), yield* breaker.state()]).toEqual([
        ["ok", "CircuitOpen"],
        "ok",
        "Closed"
      ])
    }))

  it.effect("B8: a hung trial loses its slot after trialTimeout", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ trialTimeout: "12 seconds" })
      const hung = yield* hold(breaker)
      yield* TestClock.adjust(11_999)
      const before = (yield* call(breaker)).split(" ")[0]
      yield* TestClock.adjust(1)
      expect([yield* hung.now, before, yield* call(breaker), yield* breaker.state()]).toEqual([
        "running",
        "CircuitOpen",
        "ok",
        "Closed"
      ])
    }))

  it.effect("B8: trialTimeout is the open duration by default, at least ten seconds", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (
        const [open, timeout] of [[1000, 10_000], [10_000, 10_000], [30_000, 30_000], [
          60_000,
          60_000
        ]] as const
      ) {
        const breaker = yield* tripped({ openDuration: open })
        yield* TestClock.adjust(open)
        yield* hold(breaker)
        yield* TestClock.adjust(timeout - 1)
        const before = (yield* call(breaker)).split(" ")[0]
        yield* TestClock.adjust(1)
        seen.push([before, yield* call(breaker)])
      }
      expect(seen).toEqual(many(4, ["CircuitOpen", "ok"]))
    }))

  it.effect("B8: hung trials never wedge the circuit, and all of them count as in flight", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(3) })
      for (let i = 0; i < 4; i++) {
        yield* holdMany(3, breaker)
        yield* TestClock.adjust(30_000)
      }
      const before = yield* numbers(breaker)
      expect([before, yield* calls(breaker, [ok, ok, ok]), yield* breaker.state()]).toEqual([
        "HalfOpen: 0 calls, 0 failed, 0 slow, 12 in flight",
        ["ok", "ok", "ok"],
        "Closed"
      ])
    }))

  it.effect("B8: the late outcome of a hung trial is discarded, whether or not another has taken its place", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const replaced of [false, true]) {
        for (const outcome of [ok, down, Effect.fail(rateLimit("1 hour"))]) {
          const breaker = yield* halfOpen()
          const hung = yield* hold(breaker)
          yield* TestClock.adjust(30_000)
          const next = replaced ? yield* hold(breaker) : undefined
          yield* hung.end(outcome)
          const after = yield* breaker.state()
          seen.push([
            after,
            next === undefined ? yield* call(breaker) : yield* next.end(ok),
            yield* breaker.state()
          ])
        }
      }
      expect(seen).toEqual(many(6, ["HalfOpen", "ok", "Closed"]))
    }))

  it.effect("B8: the interruption of a hung trial does not free the slot of its successor", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      const hung = yield* hold(breaker)
      yield* TestClock.adjust(30_000)
      yield* hold(breaker)
      yield* hung.interrupt
      expect((yield* call(breaker)).split(" ")[0]).toBe("CircuitOpen")
    }))
})

describe("fencing", () => {
  it.effect("B9: a late outcome from before the trip changes nothing, in Open, HalfOpen and Closed", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const outcome of [ok, down]) {
        const breaker = yield* CircuitBreaker.make(brittle)
        const [a, b, c] = yield* Effect.all([hold(breaker), hold(breaker), hold(breaker)])
        yield* call(breaker, down)
        yield* TestClock.adjust(10_000)
        yield* a.end(outcome)
        const open = [yield* numbers(breaker), yield* call(breaker)]
        yield* TestClock.adjust(20_000)
        yield* b.end(outcome)
        const half = yield* numbers(breaker)
        yield* call(breaker)
        yield* c.end(outcome)
        seen.push([...open, half, yield* numbers(breaker)])
      }
      expect(seen).toEqual(many(2, [
        "Open: 0 calls, 0 failed, 0 slow, 2 in flight",
        "CircuitOpen 20000",
        "HalfOpen: 0 calls, 0 failed, 0 slow, 1 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ]))
    }))

  it.effect("B9: nor does a late outcome of an earlier half-open", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const outcome of [ok, down]) {
        const breaker = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(2) })
        const late = yield* hold(breaker)
        yield* call(breaker, down)
        yield* TestClock.adjust(30_000)
        yield* call(breaker)
        yield* late.end(outcome)
        const after = yield* breaker.state()
        yield* call(breaker)
        seen.push([after, yield* breaker.state()])
      }
      expect(seen).toEqual(many(2, ["HalfOpen", "Closed"]))
    }))

  it.effect("B9: nor does an interruption from before the trip free a slot of the half-open", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const early = yield* hold(breaker)
      yield* call(breaker, down)
      yield* TestClock.adjust(30_000)
      yield* hold(breaker)
      yield* early.interrupt
      expect([(yield* call(breaker)).split(" ")[0], yield* numbers(breaker)]).toEqual([
        "CircuitOpen",
        "HalfOpen: 0 calls, 0 failed, 0 slow, 1 in flight"
      ])
    }))

  it.effect("B9: an outcome from before a reset does not enter the empty window", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const early = yield* hold(breaker)
      yield* call(breaker, down)
      yield* breaker.reset()
      yield* early.end(down)
      expect(yield* numbers(breaker)).toBe("Closed: 0 calls, 0 failed, 0 slow, 0 in flight")
    }))
})
