import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Option, Stream, TestClock } from "effect"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  Operation,
  Rejection,
  Retry,
  Verdict
} from "effect-resilience"
import { brittle } from "../support/brittle.js"
import { earlyClock, steppingClock } from "../support/clocks.js"
import { server } from "../support/errors.js"
import {
  type Breaker,
  call,
  calls,
  down,
  holdMany,
  many,
  ok,
  tripped,
  watch
} from "./circuitBreaker.js"

describe("time", () => {
  it.effect("B4: a wall clock that steps back does not prolong Open, one that leaps does not shorten it", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const jump of [-3_600_000, 3_600_000]) {
        const { on, pass, setWall } = steppingClock({ wall: 10_000_000 })
        yield* on(Effect.gen(function*() {
          const breaker = yield* tripped()
          yield* setWall(10_000_000 + jump)
          const words = [yield* call(breaker)]
          yield* pass(29_999)
          words.push(yield* call(breaker))
          yield* pass(1)
          words.push(yield* breaker.state(), yield* call(breaker))
          seen.push(words)
        }))
      }
      expect(seen).toEqual(many(2, ["CircuitOpen 30000", "CircuitOpen 1", "HalfOpen", "ok"]))
    }))

  it.effect("B4: nor does it break a time window", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const jump of [-3_600_000, 3_600_000]) {
        const { on, pass, setWall } = steppingClock({ wall: 10_000_000 })
        yield* on(Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make({
            window: CircuitBreaker.time("10 seconds", { buckets: 10 })
          })
          yield* calls(breaker, [down, down])
          yield* setWall(10_000_000 + jump)
          yield* call(breaker, down)
          const held = (yield* breaker.snapshot()).calls
          yield* pass(11_000)
          seen.push([held, (yield* breaker.snapshot()).calls])
        }))
      }
      expect(seen).toEqual(many(2, [3, 0]))
    }))

  it.effect("B4: nor does it make a call slow or quick", () =>
    Effect.gen(function*() {
      const { on, pass, setWall } = steppingClock({ wall: 10_000_000 })
      yield* on(Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make()
        yield* breaker.protect(setWall(20_000_000))
        const leapt = (yield* breaker.snapshot()).slow
        yield* breaker.protect(Effect.zipRight(pass(3001), setWall(0)))
        expect([leapt, (yield* breaker.snapshot()).slow]).toEqual([0, 1])
      }))
    }))

  it.effect("B4: Transition.at is the time on the wall", () =>
    Effect.gen(function*() {
      const { on, pass } = steppingClock({ wall: 1_700_000_000_000 })
      yield* on(Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make(brittle)
        const seen = yield* watch(breaker)
        yield* pass(5)
        yield* call(breaker, down)
        expect(yield* seen).toEqual(["1700000000005 default: Closed > Open"])
      }))
    }))

  it.effect("B5: Open rejects without running the effect, and says exactly how long", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      let ran = 0
      const counted = Effect.sync(() => ++ran)
      const words: Array<string> = []
      for (const millis of [0, 1, 12_345, 17_653]) {
        yield* TestClock.adjust(millis)
        words.push(yield* call(breaker, counted))
      }
      const { rejected, retryAfter } = yield* breaker.snapshot()
      expect([words, ran, rejected, retryAfter]).toEqual([
        ["CircuitOpen 30000", "CircuitOpen 29999", "CircuitOpen 17654", "CircuitOpen 1"],
        0,
        4,
        Option.some(Duration.millis(1))
      ])
    }))

  it.effect("B5: a rejection names the key, is one of ours and holds no stack", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      yield* call(breaker, down, "eu")
      const error = yield* Effect.flip(breaker.protect(ok, { key: "eu" }))
      expect(error).toBeInstanceOf(CircuitBreaker.CircuitOpen)
      expect([
        error._tag,
        error.key,
        Rejection.isRejection(error),
        ApiError.verdict(error),
        (error.stack ?? "").split("\n").filter((line) => line.trim().startsWith("at "))
      ]).toEqual([
        "CircuitOpen",
        "eu",
        true,
        Verdict.rejected({ retryAfter: "30 seconds" }),
        []
      ])
    }))

  it.effect("B5: one Open however many calls fail together", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const seen = yield* watch(breaker)
      const held = yield* holdMany(50, breaker)
      yield* Effect.forEach(held, ({ end }) => end(down), { concurrency: "unbounded" })
      expect([yield* seen, (yield* breaker.snapshot()).openings]).toEqual([[
        "0 default: Closed > Open"
      ], 1])
    }))

  it.effect("B6: Open is over when its time has passed, also if nobody calls", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      const states: Array<unknown> = []
      for (const millis of [29_999, 1, 1_000_000]) {
        yield* TestClock.adjust(millis)
        states.push([yield* breaker.state(), (yield* breaker.snapshot()).state])
      }
      expect(states).toEqual([
        ["Open", "Open"],
        ["HalfOpen", "HalfOpen"],
        ["HalfOpen", "HalfOpen"]
      ])
    }))
})

describe("how long it stays open", () => {
  const growing = Backoff.exponential({
    base: "1 second",
    factor: 2,
    cap: "1 hour",
    jitter: Backoff.none
  })

  /** Fails every trial as soon as there is one; how long the circuit was open each time. */
  const openings = (breaker: Breaker, n: number, failure: Effect.Effect<unknown, unknown> = down) =>
    Effect.forEach(Array.from({ length: n }), () =>
      Effect.gen(function*() {
        yield* call(breaker, failure)
        const { openings, retryAfter } = yield* breaker.snapshot()
        const millis = Duration.toMillis(Option.getOrThrow(retryAfter))
        yield* TestClock.adjust(millis)
        return `${openings}: ${millis}`
      }))

  it.effect("B10: a plain duration is the same each time", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      expect(yield* openings(breaker, 3)).toEqual(["1: 30000", "2: 30000", "3: 30000"])
    }))

  it.effect("B10: the count of consecutive openings drives a backoff", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: growing })
      expect(yield* openings(breaker, 4)).toEqual(["1: 1000", "2: 2000", "3: 4000", "4: 8000"])
    }))

  it.effect("B10: growth is capped by maxOpenDuration, by default five minutes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...brittle,
        openDuration: growing,
        maxOpenDuration: "3 seconds"
      })
      const long = yield* CircuitBreaker.make({
        ...brittle,
        openDuration: Backoff.exponential({
          base: "2 minutes",
          factor: 2,
          cap: "1 hour",
          jitter: Backoff.none
        })
      })
      expect([yield* openings(breaker, 3), yield* openings(long, 3)]).toEqual([
        ["1: 1000", "2: 2000", "3: 3000"],
        ["1: 120000", "2: 240000", "3: 300000"]
      ])
    }))

  it.effect("B10: a plain duration is taken as given, also beyond maxOpenDuration", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: "10 minutes" })
      const other = yield* CircuitBreaker.make({
        ...brittle,
        openDuration: "10 minutes",
        maxOpenDuration: "1 minute"
      })
      expect([yield* openings(breaker, 1), yield* openings(other, 1)]).toEqual([["1: 600000"], [
        "1: 600000"
      ]])
    }))

  it.effect("B10: the count survives a close, and is forgotten once closed as long as last open", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const closedFor of [0, 1999, 2000, 10_000]) {
        const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: growing })
        yield* openings(breaker, 2)
        yield* call(breaker)
        const closed = yield* breaker.state()
        yield* TestClock.adjust(closedFor)
        seen.push([closedFor, closed, yield* openings(breaker, 1)])
      }
      expect(seen).toEqual([
        [0, "Closed", ["3: 4000"]],
        [1999, "Closed", ["3: 4000"]],
        [2000, "Closed", ["1: 1000"]],
        [10_000, "Closed", ["1: 1000"]]
      ])
    }))

  it.effect("B10: a hint on the failure that opens lengthens, never shortens, and is capped", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (
        const hint of [
          "10 seconds",
          "30 seconds",
          "1 minute",
          "5 minutes",
          "1 hour",
          Duration.infinity
        ] as const
      ) {
        const breaker = yield* CircuitBreaker.make(brittle)
        seen.push(...yield* openings(breaker, 1, Effect.fail(server(503, hint))))
      }
      const capped = yield* CircuitBreaker.make({ ...brittle, maxOpenDuration: "45 seconds" })
      const beyond = yield* CircuitBreaker.make({ ...brittle, openDuration: "10 minutes" })
      seen.push(...yield* openings(capped, 1, Effect.fail(server(503, "1 minute"))))
      seen.push(...yield* openings(beyond, 1, Effect.fail(server(503, "1 hour"))))
      expect(seen).toEqual([
        "1: 30000",
        "1: 30000",
        "1: 60000",
        "1: 300000",
        "1: 300000",
        "1: 300000",
        "1: 45000",
        "1: 600000"
      ])
    }))

  it.effect("B10: so does a hint on a failed trial, for this opening only", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: growing })
      const seen = yield* openings(breaker, 1)
      seen.push(...yield* openings(breaker, 1, Effect.fail(server(503, "1 minute"))))
      seen.push(...yield* openings(breaker, 1))
      expect(seen).toEqual(["1: 1000", "2: 60000", "3: 4000"])
    }))

  it.effect("B10: a hint on a failure that does not open is not kept", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...brittle,
        window: CircuitBreaker.count(2),
        minimumCalls: 2
      })
      yield* call(breaker, Effect.fail(server(503, "2 minutes")))
      expect(yield* openings(breaker, 1)).toEqual(["1: 30000"])
    }))

  it.effect("B10: a hint from a classification of one's own counts too", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...brittle,
        classify: () => CircuitBreaker.failure({ retryAfter: "40 seconds" })
      })
      expect(yield* openings(breaker, 1, ok)).toEqual(["1: 40000"])
    }))
})

describe("timers that fire early", () => {
  it.effect("R15: a retry that waits for an open circuit does not come while it is still open", () =>
    Effect.gen(function*() {
      const { clock, slept } = earlyClock()
      const found = yield* Effect.gen(function*() {
        const breaker = yield* tripped({ openDuration: "30 millis" })
        return yield* Retry.retry(breaker.protect(ok), {
          operation: Operation.read,
          retries: 1,
          backoff: Backoff.constant(0),
          waitForRejections: true
        })
      }).pipe(Effect.withClock(clock))
      expect([found, slept]).toEqual(["ok", [30, 1]])
    }))

  it.effect("B6, B15: the end of an opening is told although the timer fired before it", () =>
    Effect.gen(function*() {
      const { clock } = earlyClock()
      const seen = yield* Effect.gen(function*() {
        const breaker = yield* tripped({ openDuration: "30 millis" })
        return yield* Effect.map(
          Stream.runHead(breaker.transitions),
          Option.map(({ from, to }) => `${from} > ${to}`)
        )
      }).pipe(Effect.withClock(clock))
      expect(seen).toEqual(Option.some("Open > HalfOpen"))
    }))
})
