import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, FiberId, TestClock } from "effect"
import { ApiError, Rejection } from "effect-resilience"
import * as AdaptiveConcurrency from "effect-resilience/AdaptiveConcurrency"
import { countedIn } from "../support/counters.js"
import { network, rateLimit, rejection, server, timeout } from "../support/errors.js"
import { wordOf } from "../support/exits.js"
import { badDurations, refusal } from "../support/refusal.js"

type Adaptive = AdaptiveConcurrency.AdaptiveConcurrency

const { aimd, gradient, make } = AdaptiveConcurrency

const ok = Effect.succeed("ok")
const overloaded = Effect.fail(server())

const seen = (adaptive: Adaptive, key?: string) =>
  Effect.map(adaptive.snapshot(key), ({ limit, running }) => [limit, running])

/** Calls that run until the gate is opened. */
const held = (adaptive: Adaptive, n: number, after: Effect.Effect<unknown, unknown> = ok) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const call = adaptive.protect(Effect.zipRight(Deferred.await(gate), after))
    const fibers = yield* Effect.replicateEffect(Effect.fork(call), n)
    yield* TestClock.adjust(0)
    const end = Effect.zipRight(
      Deferred.succeed(gate, undefined),
      Effect.forEach(fibers, Fiber.await)
    )
    return { end }
  })

/** A round in which as many run as may, and take this long. */
const round = (adaptive: Adaptive, duration: Duration.DurationInput) =>
  Effect.gen(function*() {
    const [limit = 0] = yield* seen(adaptive)
    const { end } = yield* held(adaptive, limit)
    yield* TestClock.adjust(duration)
    yield* end
  })

describe("AdaptiveConcurrency admits", () => {
  it.effect("G21: as many calls as the limit, by default twenty", () =>
    Effect.gen(function*() {
      const adaptive = yield* make()
      const probes = [yield* seen(adaptive)]
      const { end } = yield* held(adaptive, 20)
      probes.push(yield* seen(adaptive))
      yield* end
      probes.push([(yield* adaptive.snapshot()).running])
      expect(probes).toEqual([[20, 0], [20, 20], [0]])
    }))

  it.effect("G21: AIMD grows while its limit is used, up to the maximum", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 4, max: 6 }) })
      const limits: Array<number | undefined> = []
      for (let i = 0; i < 8; i++) {
        yield* round(adaptive, "10 millis")
        limits.push((yield* seen(adaptive))[0])
      }
      expect(limits[0]).toBe(4)
      expect(limits.at(-1)).toBe(6)
      expect([...limits].sort()).toEqual(limits)
    }))

  it.effect("G21: no growth while less than half of it is used", () =>
    Effect.gen(function*() {
      for (const limit of [aimd({ initial: 10 }), gradient({ initial: 10 })]) {
        const adaptive = yield* make({ limit })
        for (let i = 0; i < 50; i++) {
          const { end } = yield* held(adaptive, 4)
          yield* end
        }
        expect(yield* seen(adaptive)).toEqual([10, 0])
      }
    }))

  it.effect("G21: the gradient grows while calls take as long as usual", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: gradient({ initial: 5, max: 30 }) })
      for (let i = 0; i < 20; i++) yield* round(adaptive, "50 millis")
      expect(yield* seen(adaptive)).toEqual([30, 0])
    }))

  it.effect("data-first and data-last do the same, and errors come out as they were", () =>
    Effect.gen(function*() {
      const adaptive = yield* make()
      expect(yield* adaptive.protect(ok)).toBe("ok")
      expect(yield* ok.pipe(adaptive.protect())).toBe("ok")
      expect(yield* ok.pipe(adaptive.protect({ key: "eu" }))).toBe("ok")
      const error = { _tag: "Mine" }
      expect(yield* Effect.flip(adaptive.protect(Effect.fail(error)))).toBe(error)
    }))
})

describe("AdaptiveConcurrency rejects", () => {
  it.effect("G21: with ConcurrencyLimited, which is a rejection and says key and limit; the call does not run", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 1 }) })
      let ran = false
      const call = adaptive.protect(Effect.sync(() => void (ran = true)), { key: "eu" })
      const error = yield* Effect.flip(adaptive.protect(call, { key: "eu" }))
      expect([error._tag, error.key, error.limit, Rejection.isRejection(error)]).toEqual([
        "ConcurrencyLimited",
        "eu",
        1,
        true
      ])
      expect(ApiError.verdict(error)._tag).toBe("Rejected")
      expect(ran).toBe(false)
    }))

  it.effect("G21: the call above the limit, at once, and it does not count as running", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 3 }) })
      const { end } = yield* held(adaptive, 3)
      const exits = yield* Effect.replicateEffect(Effect.exit(adaptive.protect(ok)), 5)
      expect(exits.map(wordOf)).toEqual(Array.from({ length: 5 }, () => "ConcurrencyLimited"))
      expect(yield* seen(adaptive)).toEqual([3, 3])
      yield* end
      expect((yield* seen(adaptive))[1]).toBe(0)
    }))

  it.effect("G21: a drop leaves the backoff ratio of the limit, down to the minimum", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 16, min: 3, backoffRatio: 0.5 }) })
      const limits: Array<number | undefined> = []
      for (let i = 0; i < 4; i++) {
        yield* Effect.exit(adaptive.protect(overloaded))
        limits.push((yield* seen(adaptive))[0])
      }
      expect(limits).toEqual([8, 4, 3, 3])
    }))

  it.effect("G21: a burst of drops decreases once", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 16, backoffRatio: 0.5 }) })
      const { end } = yield* held(adaptive, 16, overloaded)
      yield* end
      expect(yield* seen(adaptive)).toEqual([8, 0])
    }))

  it.effect("G21: what runs above a limit that has shrunk goes on, and nothing is let in until it fits", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 4, backoffRatio: 0.5 }) })
      const { end } = yield* held(adaptive, 3)
      yield* Effect.exit(adaptive.protect(overloaded))
      const probes: Array<unknown> = [
        yield* seen(adaptive),
        wordOf(yield* Effect.exit(adaptive.protect(ok)))
      ]
      yield* end
      probes.push(wordOf(yield* Effect.exit(adaptive.protect(ok))))
      expect(probes).toEqual([[2, 3], "ConcurrencyLimited", "ok"])
    }))

  it.effect("G21: AIMD with a timeout takes a late success for a drop", () =>
    Effect.gen(function*() {
      const limits: Array<number | undefined> = []
      for (const timeout of ["1 second", "2 seconds"] as const) {
        const adaptive = yield* make({ limit: aimd({ initial: 10, backoffRatio: 0.5, timeout }) })
        const { end } = yield* held(adaptive, 1)
        yield* TestClock.adjust("1500 millis")
        yield* end
        limits.push((yield* seen(adaptive))[0])
      }
      expect(limits).toEqual([5, 10])
    }))

  it.effect("G21: the gradient gives way when calls take longer than they used to", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: gradient({ initial: 20, max: 20 }) })
      for (let i = 0; i < 20; i++) yield* round(adaptive, "50 millis")
      const [before = 0] = yield* seen(adaptive)
      for (let i = 0; i < 3; i++) yield* round(adaptive, "500 millis")
      const [after = 0] = yield* seen(adaptive)
      expect(before).toBe(20)
      expect(after).toBeLessThan(15)
    }))

  it.effect("T5: calls that were turned away are counted", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 2 }) })
      yield* held(adaptive, 2)
      const calls = Effect.replicateEffect(Effect.exit(adaptive.protect(ok)), 3)
      expect(yield* countedIn("resilience.concurrency.rejected", "none", calls)).toEqual({ "": 3 })
    }))

  it("nonsense options are refused when they are given, by field and value", () => {
    expect([
      refusal(() => aimd({ min: 0 })),
      refusal(() => aimd({ min: 10, max: 5 })),
      refusal(() => aimd({ initial: 300 })),
      refusal(() => aimd({ backoffRatio: 1 })),
      refusal(() => aimd({ backoffRatio: 0 })),
      refusal(() => aimd({ max: 2.5 })),
      refusal(() => gradient({ smoothing: 2 })),
      refusal(() => gradient({ tolerance: 0.9 })),
      refusal(() => gradient({ headroom: -1 })),
      refusal(() => gradient({ longWindow: 0 }))
    ]).toEqual([
      "min should be a whole number of at least 1, got 0",
      "min should be at most max (5), got 10",
      "initial should be between min (1) and max (200), got 300",
      "backoffRatio should be below 1, got 1",
      "backoffRatio should be a number above 0 and at most 1, got 0",
      "max should be a whole number of at least 1, got 2.5",
      "smoothing should be a number above 0 and at most 1, got 2",
      "tolerance should be a number of at least 1, got 0.9",
      "headroom should be a number of at least 0, got -1",
      "longWindow should be a whole number of at least 1, got 0"
    ])
    expect(
      badDurations.every(([timeout]) =>
        refusal(() => aimd({ timeout })).startsWith("timeout should be")
      )
    ).toBe(
      true
    )
  })

  it.effect("a limit that was written down by hand is checked by make", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(make({ limit: { ...aimd(), min: -3 } }))
      const idle = yield* Effect.exit(make({ idleTimeToLive: 0 }))
      expect([wordOf(exit), wordOf(idle)]).toEqual([
        "RangeError: min should be a whole number of at least 1, got -3",
        "RangeError: idleTimeToLive should be a duration longer than zero, got 0"
      ])
    }))
})

describe("AdaptiveConcurrency recovers", () => {
  it.effect("G21: AIMD grows again after a drop, step by step", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 8, max: 8, backoffRatio: 0.5 }) })
      yield* Effect.exit(adaptive.protect(overloaded))
      const [low] = yield* seen(adaptive)
      for (let i = 0; i < 12; i++) yield* round(adaptive, "10 millis")
      expect([low, (yield* seen(adaptive))[0]]).toEqual([4, 8])
    }))

  it.effect("G21: the gradient grows again when latencies are what they were", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: gradient({ initial: 20, max: 20 }) })
      for (let i = 0; i < 10; i++) yield* round(adaptive, "50 millis")
      for (let i = 0; i < 3; i++) yield* round(adaptive, "500 millis")
      const [low = 0] = yield* seen(adaptive)
      for (let i = 0; i < 40; i++) yield* round(adaptive, "50 millis")
      expect(low).toBeLessThan(20)
      expect((yield* seen(adaptive))[0]).toBe(20)
    }))

  it.effect("a key that nobody uses is forgotten after an hour, but not while a call runs", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 8, backoffRatio: 0.5 }) })
      yield* Effect.exit(adaptive.protect(overloaded))
      const { end } = yield* held(adaptive, 1)
      yield* TestClock.adjust("2 hours")
      const probes = [yield* seen(adaptive)]
      yield* end
      probes.push(yield* seen(adaptive))
      expect(probes).toEqual([[4, 1], [8, 0]])
    }))
})

describe("AdaptiveConcurrency: interruption releases", () => {
  it.effect("G21: interrupted calls give their places back and change no limit", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 5 }) })
      const fibers = yield* Effect.replicateEffect(Effect.fork(adaptive.protect(Effect.never)), 5)
      yield* TestClock.adjust(0)
      const before = yield* seen(adaptive)
      yield* Fiber.interruptAll(fibers)
      expect([before, yield* seen(adaptive)]).toEqual([[5, 5], [5, 0]])
    }))

  it.effect("G21: a place is given back when the call has really ended, finalizers included", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 1 }) })
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      const fiber = yield* Effect.fork(adaptive.protect(slow))
      yield* TestClock.adjust(0)
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      const during = wordOf(yield* Effect.exit(adaptive.protect(ok)))
      yield* TestClock.adjust("1 millis")
      expect([during, wordOf(yield* Effect.exit(adaptive.protect(ok)))]).toEqual([
        "ConcurrencyLimited",
        "ok"
      ])
    }))

  it.effect("G21: failures and defects give their places back", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 1 }) })
      yield* Effect.exit(adaptive.protect(Effect.fail("no")))
      yield* Effect.exit(adaptive.protect(Effect.dieMessage("bug")))
      yield* Effect.exit(adaptive.protect(Effect.interrupt))
      expect(yield* seen(adaptive)).toEqual([1, 0])
    }))

  it.effect("a classify that throws is a defect, and still the place is given back", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({
        classify: () => {
          throw new Error("bug")
        }
      })
      expect(wordOf(yield* Effect.exit(adaptive.protect(ok)))).toBe("Error: bug")
      expect(yield* seen(adaptive)).toEqual([20, 0])
    }))
})

describe("AdaptiveConcurrency: concurrent callers", () => {
  it.effect("G21: never more run than may, whatever the limit does meanwhile, and all places come back", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 10, max: 40 }) })
      let running = 0
      let most = 0
      const call = (i: number) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            running++
            most = Math.max(most, running)
          }),
          () =>
            Effect.zipRight(
              Effect.sleep(`${10 + (i * 7) % 50} millis`),
              i % 11 === 0 ? overloaded : ok
            ),
          () => Effect.sync(() => void running--)
        )
      const outcomes = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 500 }, (_, i) => i),
          (i) => Effect.delay(Effect.exit(adaptive.protect(call(i))), Duration.millis(i * 2)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("10 seconds")
      const tags = (yield* Fiber.join(outcomes)).map(wordOf)
      expect(tags.filter((tag) => tag === "ok").length).toBeGreaterThan(100)
      expect(tags.filter((tag) => tag === "ConcurrencyLimited").length).toBeGreaterThan(0)
      expect(most).toBeLessThanOrEqual(40)
      expect([running, (yield* seen(adaptive))[1]]).toEqual([0, 0])
    }))

  it.effect("G21: each key has a limit of its own", () =>
    Effect.gen(function*() {
      const adaptive = yield* make({ limit: aimd({ initial: 1 }) })
      const inner = adaptive.protect(ok, { key: "us" })
      expect(yield* adaptive.protect(inner, { key: "eu" })).toBe("ok")
    }))
})

describe("AdaptiveConcurrency.classify", () => {
  const judged = (exit: Exit.Exit<unknown, unknown>) => AdaptiveConcurrency.classify(exit)._tag

  it("G21: drops are 429, timeouts, 503 and 504", () => {
    const errors = [
      rateLimit(),
      timeout("attempt"),
      server(),
      server(504),
      new Cause.TimeoutException()
    ]
    expect(errors.map((error) => judged(Exit.fail(error)))).toEqual(
      Array.from({ length: 5 }, () => "Failure")
    )
  })

  it("G21: other failures, defects, interruption and our own rejections say nothing about the load", () => {
    const exits = [
      Exit.fail(server(500)),
      Exit.fail(new ApiError.Server({ message: "" })),
      Exit.fail(network("no")),
      Exit.fail(new ApiError.Validation({ message: "" })),
      Exit.fail("mine"),
      Exit.fail(rejection()),
      Exit.die(new Cause.TimeoutException()),
      Exit.interrupt(FiberId.none)
    ]
    expect(exits.map(judged)).toEqual(Array.from({ length: 8 }, () => "Ignored"))
    expect(judged(Exit.succeed(1))).toBe("Success")
  })
})
