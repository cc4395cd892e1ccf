import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FiberId, Random, TestClock } from "effect"
import { ApiError, Rejection } from "effect-resilience"
import * as AdaptiveThrottle from "effect-resilience/AdaptiveThrottle"
import { countedIn } from "../support/counters.js"
import { network, rateLimit, rejection, server, timeout } from "../support/errors.js"
import { wordOf } from "../support/exits.js"
import { badDurations } from "../support/refusal.js"

type Throttle = AdaptiveThrottle.AdaptiveThrottle

const ok = Effect.succeed("ok")
const down = Effect.fail("down")

const times = <A, E, R>(n: number, self: Effect.Effect<A, E, R>) =>
  Effect.replicateEffect(Effect.exit(self), n)

/** Always the same draw. */
const drawing = (unit: number) => Effect.withRandom(Random.fixed([unit]))

/** Of so many calls in a row, how many are let through. */
const sent = (throttle: Throttle, n: number, self: Effect.Effect<unknown, unknown>, key?: string) =>
  Effect.suspend(() => {
    let count = 0
    const call = Effect.zipRight(Effect.sync(() => void count++), self)
    return Effect.map(times(n, throttle.protect(call, { key })), () => count)
  })

const seen = (throttle: Throttle, key?: string) =>
  Effect.map(
    throttle.snapshot(key),
    ({ accepts, probability, requests }) => [requests, accepts, probability]
  )

const refusal = (options: AdaptiveThrottle.Options) =>
  Effect.map(Effect.exit(AdaptiveThrottle.make(options)), wordOf)

describe("AdaptiveThrottle admits", () => {
  it.effect("G20: everything as long as half is accepted", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      for (let i = 0; i < 50; i++) yield* times(1, throttle.protect(i % 2 === 0 ? ok : down))
      expect(yield* seen(throttle)).toEqual([50, 25, 0])
      expect(yield* throttle.protect(ok).pipe(drawing(0))).toBe("ok")
    }))

  it.effect("G20: everything below the minimum volume", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      expect(yield* sent(throttle, 10, down).pipe(drawing(0))).toBe(10)
      expect(yield* sent(throttle, 1, down).pipe(drawing(0))).toBe(0)
    }))

  it.effect("G20: a draw above the probability", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(10, throttle.protect(down))
      expect(yield* sent(throttle, 20, down).pipe(drawing(0.9))).toBe(20)
    }))

  it.effect("data-first and data-last do the same", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      expect(yield* throttle.protect(ok)).toBe("ok")
      expect(yield* ok.pipe(throttle.protect())).toBe("ok")
      expect(yield* ok.pipe(throttle.protect({ key: "eu" }))).toBe("ok")
      expect([yield* seen(throttle), yield* seen(throttle, "eu")]).toEqual([[2, 2, 0], [1, 1, 0]])
    }))

  it.effect("errors come out as they were", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      const error = server()
      expect(yield* Effect.flip(throttle.protect(Effect.fail(error)))).toBe(error)
    }))
})

describe("AdaptiveThrottle rejects", () => {
  it.effect("G20: with Throttled, which is a rejection and says key and probability; the call does not run", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(10, throttle.protect(down, { key: "eu" }))
      let ran = false
      const call = Effect.sync(() => void (ran = true))
      const error = yield* Effect.flip(throttle.protect(call, { key: "eu" })).pipe(drawing(0.5))
      expect([error._tag, error.key, error.probability, Rejection.isRejection(error)]).toEqual([
        "Throttled",
        "eu",
        0.9,
        true
      ])
      expect(ApiError.verdict(error)._tag).toBe("Rejected")
      expect(ran).toBe(false)
    }))

  it.effect("G20: what was turned away counts as a request and not as accepted", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make({ maxRejection: 1 })
      yield* times(5, throttle.protect(ok))
      yield* times(20, throttle.protect(down))
      expect(yield* seen(throttle)).toEqual([25, 5, 15 / 26])
      expect(yield* sent(throttle, 5, ok).pipe(drawing(0))).toBe(0)
      expect(yield* seen(throttle)).toEqual([30, 5, 20 / 31])
    }))

  it.effect("G20: never more than nine in ten", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      const count = yield* sent(throttle, 2000, down).pipe(
        Effect.withRandom(Random.make("a total outage"))
      )
      expect(yield* seen(throttle)).toEqual([2000, 0, 0.9])
      expect(count).toBeGreaterThan(150)
      expect(count).toBeLessThan(260)
    }))

  it.effect("G20: what is counted is what ended: calls in flight are excluded", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      const gate = yield* Deferred.make<void>()
      const waiting = Effect.zipRight(Deferred.await(gate), down)
      const fibers = yield* Effect.replicateEffect(Effect.fork(throttle.protect(waiting)), 50)
      yield* TestClock.adjust(0)
      const inFlight = yield* seen(throttle)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(fibers, Fiber.await)
      expect([inFlight, yield* seen(throttle)]).toEqual([[0, 0, 0], [50, 0, 0.9]])
    }))

  it.effect("G20: a larger multiplier lets the upstream see more", () =>
    Effect.gen(function*() {
      const probabilities: Array<unknown> = []
      for (const multiplier of [1, 2, 3]) {
        const throttle = yield* AdaptiveThrottle.make({ multiplier })
        for (let i = 0; i < 4; i++) yield* times(1, throttle.protect(ok))
        yield* times(15, throttle.protect(down)).pipe(drawing(0.99))
        probabilities.push((yield* seen(throttle))[2])
      }
      expect(probabilities).toEqual([15 / 20, 11 / 20, 7 / 20])
    }))

  it.effect("T5: calls that were turned away are counted", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(10, throttle.protect(down))
      const calls = times(7, throttle.protect(down)).pipe(drawing(0))
      expect(yield* countedIn("resilience.throttle.rejected", "none", calls)).toEqual({ "": 7 })
    }))

  it.effect("nonsense options are refused, by field and value", () =>
    Effect.gen(function*() {
      expect(
        yield* Effect.forEach([
          { multiplier: 0.5 },
          { multiplier: NaN },
          { minimumCalls: 0 },
          { maxRejection: 1.1 },
          { window: 0 },
          { window: Infinity },
          { idleTimeToLive: 0 }
        ], refusal)
      ).toEqual([
        "RangeError: multiplier should be a number of at least 1, got 0.5",
        "RangeError: multiplier should be a number of at least 1, got NaN",
        "RangeError: minimumCalls should be a whole number of at least 1, got 0",
        "RangeError: maxRejection should be a number between 0 and 1, got 1.1",
        "RangeError: window should be a duration longer than zero, got 0",
        "RangeError: window should be a finite duration, got Duration(Infinity)",
        "RangeError: idleTimeToLive should be a duration longer than zero, got 0"
      ])
      const windows = yield* Effect.forEach(badDurations, ([window]) => refusal({ window }))
      expect(windows.every((message) => message.startsWith("RangeError: window should be"))).toBe(
        true
      )
    }))
})

describe("AdaptiveThrottle recovers", () => {
  it.effect("G20: what is older than two minutes is forgotten", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(20, throttle.protect(down)).pipe(drawing(0.99))
      const probes = [yield* seen(throttle)]
      yield* TestClock.adjust("115 seconds")
      probes.push(yield* seen(throttle))
      yield* TestClock.adjust("5 seconds")
      probes.push(yield* seen(throttle))
      expect(probes).toEqual([[20, 0, 0.9], [20, 0, 0.9], [0, 0, 0]])
    }))

  it.effect("G20: an upstream that is back is sent everything again within the window", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      let isUp = false
      const call = Effect.suspend(() => isUp ? ok : down)
      const minute = Effect.gen(function*() {
        let count = 0
        for (let second = 0; second < 60; second++) {
          count += yield* sent(throttle, 10, call)
          yield* TestClock.adjust("1 second")
        }
        return count
      })
      const probes: Array<number> = []
      yield* Effect.gen(function*() {
        probes.push(yield* minute, yield* minute, yield* minute)
        isUp = true
        probes.push(yield* minute, yield* minute, yield* minute, yield* minute, yield* minute)
      }).pipe(Effect.withRandom(Random.make("an outage of three minutes")))
      expect(probes.slice(1, 3).every((count) => count < 120)).toBe(true)
      expect(probes.at(-1)).toBe(600)
    }))

  it.effect("a key that nobody uses is forgotten after an hour", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make({ window: "1 day" })
      yield* times(20, throttle.protect(down)).pipe(drawing(0.99))
      yield* TestClock.adjust("59 minutes")
      const before = yield* seen(throttle)
      yield* TestClock.adjust("1 minutes")
      expect([before, yield* seen(throttle)]).toEqual([[20, 0, 0.9], [0, 0, 0]])
    }))
})

describe("AdaptiveThrottle: interruption releases", () => {
  it.effect("G20: an interrupted call counts for nothing", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      const fibers = yield* Effect.replicateEffect(Effect.fork(throttle.protect(Effect.never)), 30)
      yield* TestClock.adjust(0)
      yield* Fiber.interruptAll(fibers)
      expect(yield* seen(throttle)).toEqual([0, 0, 0])
    }))

  it.effect("what interrupts itself counts for nothing either", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(30, throttle.protect(Effect.interrupt))
      expect(yield* seen(throttle)).toEqual([0, 0, 0])
    }))
})

describe("AdaptiveThrottle: concurrent callers", () => {
  it.effect("G20: callers that end together are all counted", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      const call = (i: number) =>
        throttle.protect(Effect.zipRight(Effect.yieldNow(), i % 4 === 0 ? ok : down))
      const callers = Array.from({ length: 200 }, (_, i) => i)
      yield* Effect.forEach(callers, (i) => Effect.exit(call(i)), { concurrency: "unbounded" })
      expect(yield* seen(throttle)).toEqual([200, 50, 100 / 201])
    }))

  it.effect("G20: one key's failures turn nobody else away", () =>
    Effect.gen(function*() {
      const throttle = yield* AdaptiveThrottle.make()
      yield* times(20, throttle.protect(down, { key: "eu" }))
      expect(yield* sent(throttle, 20, ok, "us").pipe(drawing(0))).toBe(20)
      expect(yield* sent(throttle, 20, ok, "eu").pipe(drawing(0))).toBe(0)
    }))
})

describe("AdaptiveThrottle.classify", () => {
  const judged = (exit: Exit.Exit<unknown, unknown>) => AdaptiveThrottle.classify(exit)._tag

  it("G20: a refusal for overload, a failure of the upstream and a failure nobody has judged are not accepted", () => {
    const errors = [
      rateLimit(),
      server(),
      timeout("attempt"),
      network("no"),
      "down"
    ]
    expect([...errors.map((error) => judged(Exit.fail(error))), judged(Exit.die("bug"))]).toEqual(
      Array.from({ length: 6 }, () => "Failure")
    )
  })

  it("G20: success and failures that are answers are accepted", () => {
    const errors = [
      new ApiError.Auth({ message: "" }),
      new ApiError.Policy({ message: "" }),
      new ApiError.Validation({ message: "" }),
      new ApiError.NotFound({ message: "" }),
      new ApiError.Conflict({ message: "" }),
      new ApiError.Locked({ message: "" })
    ]
    expect([...errors.map((error) => judged(Exit.fail(error))), judged(Exit.succeed(1))]).toEqual(
      Array.from({ length: 7 }, () => "Success")
    )
  })

  it("G20: interruption and our own rejections say nothing", () => {
    expect([judged(Exit.interrupt(FiberId.none)), judged(Exit.fail(rejection()))])
      .toEqual(["Ignored", "Ignored"])
  })

  it.effect("a classify of one's own decides, and one that throws is a defect", () =>
    Effect.gen(function*() {
      const outcomes = ["Success", "Failure", "Ignored"] as const
      const counts = yield* Effect.forEach(outcomes, (_tag) =>
        Effect.gen(function*() {
          const throttle = yield* AdaptiveThrottle.make({ classify: () => ({ _tag }) })
          yield* times(3, throttle.protect(down))
          return yield* seen(throttle)
        }))
      expect(counts).toEqual([[3, 3, 0], [3, 0, 0], [0, 0, 0]])
      const throwing = yield* AdaptiveThrottle.make({
        classify: () => {
          throw new Error("bug")
        }
      })
      expect(wordOf(yield* Effect.exit(throwing.protect(ok)))).toBe("Error: bug")
    }))
})
