import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, TestClock } from "effect"
import type { Tracer } from "effect"
import { Backoff, Operation, Retry } from "effect-resilience"
import * as Chaos from "effect-resilience/Chaos"
import { countedIn } from "../support/counters.js"
import { server } from "../support/errors.js"
import { wordOf } from "../support/exits.js"
import { badDurations, refusal } from "../support/refusal.js"

const failing = Chaos.failure(() => server())
const ok = Effect.succeed("ok")

const enabled = Effect.provide(Chaos.layerEnabled)

const times = <A, E, R>(n: number, self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.replicateEffect(Effect.exit(self), n), (exits) => exits.map(wordOf))

const always = <const F extends Chaos.Fault<unknown, unknown>>(fault: F) =>
  Chaos.make({ rate: 1, faults: [fault] })

describe("Chaos admits", () => {
  it.effect("G35: it is off unless a service enables it", () =>
    Effect.gen(function*() {
      const chaos = yield* always(failing)
      const probes = [
        yield* times(2, chaos.protect(ok)),
        yield* times(2, chaos.protect(ok)).pipe(Effect.provideService(Chaos.Enabled, false)),
        yield* times(2, chaos.protect(ok)).pipe(Effect.provideService(Chaos.Enabled, true)),
        yield* times(2, chaos.protect(ok)).pipe(enabled)
      ]
      expect(probes).toEqual([["ok", "ok"], ["ok", "ok"], ["Server", "Server"], [
        "Server",
        "Server"
      ]])
    }))

  it.effect("G35: calls count only while it is enabled", () =>
    Effect.gen(function*() {
      const faults = [failing]
      const first = yield* Chaos.make({ seed: 5, rate: 0.5, faults })
      const second = yield* Chaos.make({ seed: 5, rate: 0.5, faults })
      yield* times(7, first.protect(ok))
      expect(yield* times(50, first.protect(ok)).pipe(enabled)).toEqual(
        yield* times(50, second.protect(ok)).pipe(enabled)
      )
    }))

  it.effect("G35: at a rate of 0 nothing is injected", () =>
    Effect.gen(function*() {
      const chaos = yield* Chaos.make({ rate: 0, faults: [failing] })
      expect(new Set(yield* times(100, chaos.protect(ok)).pipe(enabled))).toEqual(new Set(["ok"]))
    }))
})

describe("Chaos injects", () => {
  it.effect("G35: a failure, made anew each time, instead of the call", () =>
    Effect.gen(function*() {
      let ran = false
      const chaos = yield* always(failing)
      const call = chaos.protect(Effect.sync(() => void (ran = true))).pipe(enabled, Effect.flip)
      const [first, second] = yield* Effect.all([call, call])
      expect([first._tag, first.status, first === second, ran]).toEqual([
        "Server",
        503,
        false,
        false
      ])
    }))

  it.effect("G35: an outcome instead of the call", () =>
    Effect.gen(function*() {
      const chaos = yield* always(Chaos.outcome(() => "stale"))
      expect(yield* chaos.protect(Effect.die("does not run")).pipe(enabled)).toBe("stale")
    }))

  it.effect("G35: interruption instead of the call", () =>
    Effect.gen(function*() {
      const chaos = yield* always(Chaos.interruption)
      expect(yield* times(1, chaos.protect(Effect.die("does not run"))).pipe(enabled)).toEqual([
        "interrupted"
      ])
    }))

  it.effect("G35: latency, and then the call runs", () =>
    Effect.gen(function*() {
      const chaos = yield* always(Chaos.latency("2 seconds"))
      const fiber = yield* Effect.fork(enabled(chaos.protect(ok)))
      yield* TestClock.adjust("1999 millis")
      const before = yield* Fiber.poll(fiber)
      yield* TestClock.adjust("1 millis")
      expect([before, wordOf(yield* Fiber.join(fiber).pipe(Effect.exit))]).toEqual([
        Option.none(),
        "ok"
      ])
    }))

  it.effect("G35: the same seed gives the same faults, another seed others", () =>
    Effect.gen(function*() {
      const days = yield* Effect.forEach([1, 1, 2], (seed) =>
        Effect.gen(function*() {
          const faults = [failing, Chaos.interruption, Chaos.outcome(() => "stale")]
          const chaos = yield* Chaos.make({ seed, rate: 0.5, faults })
          return (yield* times(100, chaos.protect(ok))).join()
        }))
      expect([days[0] === days[1], days[0] === days[2]]).toEqual([true, false])
      expect(new Set(days[0]?.split(","))).toEqual(
        new Set(["ok", "Server", "interrupted", "stale"])
      )
    }).pipe(enabled))

  it.effect("G35: about as many calls meet a fault as the rate says; by default one in ten", () =>
    Effect.gen(function*() {
      const chaos = yield* Chaos.make({ faults: [failing] })
      const outcomes = yield* times(2000, chaos.protect(ok))
      const share = outcomes.filter((outcome) => outcome === "Server").length / 2000
      expect(Math.abs(share - 0.1)).toBeLessThan(0.03)
    }).pipe(enabled))

  it.effect("G35: what was injected can be looked at, and the memory for it is bounded", () =>
    Effect.gen(function*() {
      const chaos = yield* Chaos.make({ seed: 9, rate: 0.5, faults: [failing] })
      const outcomes = yield* times(20, chaos.protect(ok))
      expect(yield* chaos.injected).toEqual(
        outcomes.map((outcome) => outcome === "ok" ? "none" : "failure")
      )
      yield* times(5000, chaos.protect(ok))
      expect((yield* chaos.injected).length).toBe(1000)
    }).pipe(enabled))

  it.effect("G35: it says what it did on the span and in the metric", () =>
    Effect.gen(function*() {
      const chaos = yield* always(Chaos.latency(0))
      const spans: Array<Tracer.Span> = []
      const call = Effect.tap(chaos.protect(ok), () =>
        Effect.map(Effect.currentSpan, (span) => spans.push(span)))
      const run = Effect.withSpan(call, "call")
      expect(yield* countedIn("resilience.chaos.injected", "fault", run)).toEqual({ latency: 1 })
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toEqual({
        "resilience.chaos.fault": "latency"
      })
    }).pipe(enabled))

  it("nonsense options are refused, by field and value", () => {
    expect(
      badDurations.every(([duration]) =>
        refusal(() => Chaos.latency(duration)).startsWith("duration should be")
      )
    )
      .toBe(true)
    expect(refusal(() => Chaos.latency(Infinity))).toBe(
      "duration should be a finite duration, got Infinity"
    )
  })

  it.effect("make dies with nonsense options", () =>
    Effect.gen(function*() {
      const faults = [failing]
      const options = [{ faults: [] }, { faults, rate: 1.5 }, { faults, rate: NaN }, {
        faults,
        seed: 0.5
      }]
      const messages = yield* Effect.forEach(options, (each) =>
        Effect.map(Effect.exit(Chaos.make(each)), wordOf))
      expect(messages).toEqual([
        "RangeError: faults should be at least one fault, got none",
        "RangeError: rate should be a number between 0 and 1, got 1.5",
        "RangeError: rate should be a number between 0 and 1, got NaN",
        "RangeError: seed should be a whole number of at least -9007199254740991, got 0.5"
      ])
    }))
})

describe("Chaos recovers", () => {
  it.effect("G40: innermost, so a retry sees each attempt's fault and gets through", () =>
    Effect.gen(function*() {
      const chaos = yield* Chaos.make({ seed: 3, rate: 0.5, faults: [failing] })
      const backoff = Backoff.constant(0)
      const call = chaos.protect(ok).pipe(
        Retry.retry({ operation: Operation.read, retries: 20, backoff })
      )
      expect(new Set(yield* times(50, call))).toEqual(new Set(["ok"]))
      expect((yield* chaos.injected).filter((fault) => fault === "failure").length).toBeGreaterThan(
        20
      )
    }).pipe(enabled))
})

describe("Chaos: interruption releases", () => {
  it.effect("G35: injected latency ends when the call is interrupted, and the call does not run", () =>
    Effect.gen(function*() {
      let ran = false
      const chaos = yield* always(Chaos.latency("1 hour"))
      const fiber = yield* Effect.fork(chaos.protect(Effect.sync(() => void (ran = true))))
      yield* TestClock.adjust("1 minute")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("2 hours")
      expect([wordOf(exit), ran]).toEqual(["interrupted", false])
    }).pipe(enabled))
})

describe("Chaos: concurrent callers", () => {
  it.effect("G35: side by side, as many calls meet the same faults as one after the other", () =>
    Effect.gen(function*() {
      const day = (concurrency: number) =>
        Effect.gen(function*() {
          const chaos = yield* Chaos.make({
            seed: 8,
            rate: 0.3,
            faults: [failing, Chaos.latency(0)]
          })
          const call = Effect.exit(chaos.protect(Effect.zipRight(Effect.yieldNow(), ok)))
          yield* Effect.replicateEffect(call, 200, { concurrency })
          return yield* chaos.injected
        })
      const all = yield* Effect.fork(Effect.all([day(1), day(50)]))
      yield* TestClock.adjust("1 second")
      const [alone, together] = yield* Fiber.join(all)
      expect(together).toEqual(alone)
    }).pipe(enabled))

  it.effect("layerEnabled enables whatever it is provided to, together with other layers", () =>
    Effect.gen(function*() {
      const chaos = yield* always(failing)
      const call = Effect.provide(chaos.protect(ok), Layer.merge(Chaos.layerEnabled, Layer.empty))
      expect(yield* times(1, call)).toEqual(["Server"])
    }))
})
