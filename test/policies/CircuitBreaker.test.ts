import { HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import {
  ApiError,
  Backoff,
  CircuitBreaker,
  IdempotencyKey,
  Operation,
  Pipeline
} from "effect-resilience"
import { Rejection, Retry, Verdict } from "effect-resilience"
import {
  Cause,
  Chunk,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberId,
  Layer,
  Option
} from "effect"
import { Scope, Stream, Supervisor, TestClock } from "effect"
import { earlyClock, steppingClock } from "../support/clocks.js"
import { rateLimit, rejection, server } from "../support/errors.js"
import { wordsFor } from "../support/exits.js"
import { refusal, refusalOf } from "../support/refusal.js"
import { brittle } from "../support/brittle.js"
import { settle } from "../support/turns.js"

type Breaker = CircuitBreaker.CircuitBreaker

const ok = Effect.succeed("ok")
const down = Effect.fail(server())

/** Something that takes its time: the clock moves while it runs. */
const taking = <A, E>(
  duration: Duration.DurationInput,
  self: Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.zipRight(TestClock.adjust(duration), self)

const many = <A>(n: number, value: A): Array<A> => Array.from({ length: n }, () => value)

const bothOf = <A, B>(
  first: ReadonlyArray<A>,
  second: ReadonlyArray<B>
): Array<A | B> => [...first, ...second]

/** An exit in a word; for a rejection also how long to stay away. */
const wordOf = wordsFor({
  failure: (error) =>
    error instanceof CircuitBreaker.CircuitOpen
      ? `CircuitOpen ${Duration.toMillis(error.retryAfter)}`
      : undefined
})

const call = (breaker: Breaker, effect: Effect.Effect<unknown, unknown> = ok, key?: string) =>
  Effect.map(Effect.exit(breaker.protect(effect, { key })), wordOf)

const calls = (
  breaker: Breaker,
  effects: ReadonlyArray<Effect.Effect<unknown, unknown>>,
  key?: string
) => Effect.forEach(effects, (effect) => call(breaker, effect, key))

/** A call that has started and ends when told to. */
const hold = (breaker: Breaker, key?: string) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<unknown, unknown>()
    const fiber = yield* Effect.fork(breaker.protect(Deferred.await(gate), { key }))
    yield* settle
    return {
      end: (effect: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.zipRight(Deferred.complete(gate, effect), Fiber.await(fiber)), wordOf),
      interrupt: Effect.map(Fiber.interrupt(fiber), wordOf),
      now: Effect.sync(() => {
        const exit = fiber.unsafePoll()
        return exit === null ? "running" : wordOf(exit)
      })
    }
  })

const holdMany = (n: number, breaker: Breaker, key?: string) =>
  Effect.forEach(Array.from({ length: n }), () => hold(breaker, key))

const numbers = (breaker: Breaker, key?: string) =>
  Effect.map(
    breaker.snapshot(key),
    (s) =>
      `${s.state}: ${s.calls} calls, ${s.failures} failed, ${s.slow} slow, ${s.inFlight} in flight`
  )

/** Follows the transitions from here on; the effect it gives says what there was so far. */
const watch = (breaker: Breaker) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    yield* Effect.fork(
      Stream.runForEach(breaker.transitions, (t) =>
        Effect.sync(() => {
          seen.push(`${t.at} ${t.key}: ${t.from} > ${t.to}`)
        }))
    )
    yield* settle
    return Effect.map(settle, () => [...seen])
  })

const defaultsTripped = Effect.gen(function*() {
  const breaker = yield* CircuitBreaker.make()
  yield* calls(breaker, many(10, down))
  return breaker
})

const tripped = (options: CircuitBreaker.Options = {}) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.make({ ...brittle, ...options })
    yield* call(breaker, down)
    return breaker
  })

/** Open and over: the next call is a trial. */
const halfOpen = (options: CircuitBreaker.Options = {}) =>
  Effect.tap(tripped(options), () => TestClock.adjust(30_000))

const throughJson = (state: unknown): unknown => JSON.parse(JSON.stringify(state))

describe("the numbers of the document", () => {
  it.effect("B1: with the defaults nine failures of nine stay closed, the tenth opens", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const before = yield* calls(breaker, many(9, down))
      const nine = yield* breaker.state()
      yield* call(breaker, down)
      expect([before, nine, yield* breaker.state()]).toEqual([many(9, "Server"), "Closed", "Open"])
    }))

  it.effect("B1: five of ten open, four of ten do not", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const failures of [3, 4, 5, 6]) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, bothOf(many(failures, down), many(10 - failures, ok)))
        states.push(`${failures}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["3: Closed", "4: Closed", "5: Open", "6: Open"])
    }))

  it.effect("B1: the rates are evaluated after successes too: nine failures and then one success open", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, many(9, down))
      expect([yield* call(breaker, ok), yield* breaker.state()]).toEqual(["ok", "Open"])
    }))

  it.effect("B5, B6, B7: after thirty seconds three trials run and a fourth concurrent call is rejected", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      const states: Array<string> = [yield* breaker.state()]
      yield* TestClock.adjust(29_999)
      states.push(yield* breaker.state(), yield* call(breaker))
      yield* TestClock.adjust(1)
      states.push(yield* breaker.state())
      const held = yield* holdMany(4, breaker)
      const running = yield* Effect.forEach(held, ({ now }) => now)
      expect([states, running.map((word) => word.split(" ")[0])]).toEqual([
        ["Open", "Open", "CircuitOpen 1", "HalfOpen"],
        ["running", "running", "running", "CircuitOpen"]
      ])
    }))

  it.effect("B7: three successes close", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      yield* TestClock.adjust(30_000)
      const states: Array<string> = []
      for (const _ of [1, 2, 3]) {
        yield* call(breaker)
        states.push(yield* breaker.state())
      }
      expect(states).toEqual(["HalfOpen", "HalfOpen", "Closed"])
    }))

  it.effect("B7: three successes at once close", () =>
    Effect.gen(function*() {
      const breaker = yield* defaultsTripped
      yield* TestClock.adjust(30_000)
      const held = yield* holdMany(3, breaker)
      yield* Effect.forEach(held, ({ end }) => end(ok))
      expect(yield* breaker.state()).toBe("Closed")
    }))

  it.effect("B7: a failed trial reopens, also after two successes, for another thirty seconds", () =>
    Effect.gen(function*() {
      const words: Array<unknown> = []
      for (const successes of [0, 1, 2]) {
        const breaker = yield* defaultsTripped
        yield* TestClock.adjust(30_000)
        yield* calls(breaker, bothOf(many(successes, ok), [down]))
        words.push([yield* breaker.state(), yield* call(breaker)])
      }
      expect(words).toEqual(many(3, ["Open", "CircuitOpen 30000"]))
    }))

  it.effect("B1, B7: a trial of more than three seconds reopens, one of exactly three does not", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const millis of [2999, 3000, 3001]) {
        const breaker = yield* defaultsTripped
        yield* TestClock.adjust(30_000)
        yield* calls(breaker, [ok, ok, taking(millis, ok)])
        states.push(`${millis}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["2999: Closed", "3000: Closed", "3001: Open"])
    }))

  it.effect("B1: six slow calls of ten open, five do not, and exactly three seconds is not slow", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const [slow, millis] of [[5, 3001], [6, 3001], [10, 3000]] as const) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, bothOf(many(slow, taking(millis, ok)), many(10 - slow, ok)))
        states.push(`${slow} of ${millis}: ${yield* breaker.state()}`)
      }
      expect(states).toEqual(["5 of 3001: Closed", "6 of 3001: Open", "10 of 3000: Closed"])
    }))

  it.effect("B4: a call that fails and is slow counts once in each rate", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, [taking(3001, down), taking(3001, ok), down, ok])
      expect(yield* numbers(breaker)).toBe("Closed: 4 calls, 2 failed, 2 slow, 0 in flight")
    }))

  it.effect("B1: with slowCall false no call is slow", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ slowCall: false })
      yield* calls(breaker, many(10, taking("1 hour", ok)))
      expect(yield* numbers(breaker)).toBe("Closed: 10 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B1: the rates of a snapshot are there from minimumCalls on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(4, down), many(5, ok)))
      const below = yield* breaker.snapshot()
      yield* call(breaker)
      const { failureRate, slowRate } = yield* breaker.snapshot()
      expect([below.failureRate, below.slowRate, failureRate, slowRate]).toEqual([
        Option.none(),
        Option.none(),
        Option.some(0.4),
        Option.some(0)
      ])
    }))

  it.effect("a fresh snapshot says that nothing has happened, under the key \"default\"", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      expect({ ...(yield* breaker.snapshot()) }).toEqual({
        key: "default",
        state: "Closed",
        calls: 0,
        failures: 0,
        slow: 0,
        failureRate: Option.none(),
        slowRate: Option.none(),
        inFlight: 0,
        rejected: 0,
        openings: 0,
        retryAfter: Option.none()
      })
    }))
})

describe("windows", () => {
  it.effect("B2: count(n) holds exactly the last n outcomes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(3),
        minimumCalls: 3,
        failureRate: 1
      })
      const seen: Array<string> = []
      for (const effect of [down, down, ok, down, down, ok, ok, ok, ok]) {
        yield* call(breaker, effect)
        const { calls, failures } = yield* breaker.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual([
        "1 of 1",
        "2 of 2",
        "2 of 3",
        "2 of 3",
        "2 of 3",
        "2 of 3",
        "1 of 3",
        "0 of 3",
        "0 of 3"
      ])
    }))

  it.effect("B2: a slow call leaves the window with the call itself", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(2),
        minimumCalls: 2
      })
      yield* calls(breaker, [taking(3001, ok), ok])
      const before = yield* numbers(breaker)
      yield* call(breaker)
      expect([before, yield* numbers(breaker)]).toEqual([
        "Closed: 2 calls, 0 failed, 1 slow, 0 in flight",
        "Closed: 2 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: a time window forgets on its own", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds", { buckets: 10 })
      })
      yield* calls(breaker, [down, down, ok])
      const seen: Array<string> = []
      for (const seconds of [0, 8, 3]) {
        yield* TestClock.adjust(seconds * 1000)
        seen.push(yield* numbers(breaker))
      }
      expect(seen).toEqual([
        "Closed: 3 calls, 2 failed, 0 slow, 0 in flight",
        "Closed: 3 calls, 2 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: what a time window has forgotten does not open, what it holds does", () =>
    Effect.gen(function*() {
      const states: Array<string> = []
      for (const pause of [5000, 11_000]) {
        const breaker = yield* CircuitBreaker.make({
          window: CircuitBreaker.time("10 seconds", { buckets: 10 })
        })
        yield* calls(breaker, many(9, down))
        yield* TestClock.adjust(pause)
        yield* call(breaker, down)
        states.push(yield* numbers(breaker))
      }
      expect(states).toEqual([
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 1 calls, 1 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B2: buckets of a time window are forgotten one after the other", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds", { buckets: 10 })
      })
      yield* calls(breaker, [down, taking(5000, ok), ok])
      const seen: Array<string> = []
      for (const seconds of [3, 3, 5]) {
        yield* TestClock.adjust(seconds * 1000)
        const { calls, failures } = yield* breaker.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual(["1 of 3", "0 of 2", "0 of 0"])
    }))

  it.effect("B2: after an idle hour nothing of a time window remains, and the circuit works on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.time("10 seconds"),
        idleTimeToLive: "1 day"
      })
      yield* calls(breaker, many(9, down))
      yield* TestClock.adjust("1 hour")
      const after = yield* numbers(breaker)
      yield* calls(breaker, many(9, down))
      const nine = yield* breaker.state()
      yield* call(breaker, down)
      expect([after, nine, yield* breaker.state()]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed",
        "Open"
      ])
    }))

  it.effect("B1: the window empties when the circuit opens, closes and is reset", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, many(10, down))
      const seen = [yield* numbers(breaker)]
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, ok, ok])
      seen.push(yield* numbers(breaker))
      yield* calls(breaker, [down, ok])
      seen.push(yield* numbers(breaker))
      yield* breaker.reset()
      seen.push(yield* numbers(breaker))
      expect(seen).toEqual([
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 2 calls, 1 failed, 0 slow, 0 in flight",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))
})

describe("what counts", () => {
  const request = HttpClientRequest.get("http://api.example.com/v1/things")
  const responseError = (status: number) =>
    new HttpClientError.ResponseError({
      request,
      response: HttpClientResponse.fromWeb(request, new Response(null, { status })),
      reason: "StatusCode"
    })
  const outcome = (exit: Exit.Exit<unknown, unknown>): string => {
    const found = CircuitBreaker.classify(exit)
    return found._tag === "Success" || found.retryAfter === undefined
      ? found._tag
      : `${found._tag} ${Duration.toMillis(found.retryAfter)}`
  }
  const message = { message: "m" }
  const table: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, string]> = [
    ["a value", Exit.succeed(1), "Success"],
    ["undefined", Exit.void, "Success"],
    ["Server", Exit.fail(server()), "Failure"],
    ["Server with a hint", Exit.fail(server(503, "7 seconds")), "Failure 7000"],
    [
      "Timeout of an attempt",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "attempt" })),
      "Failure"
    ],
    [
      "Timeout of the call",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "total" })),
      "Failure"
    ],
    [
      "Timeout of the server",
      Exit.fail(new ApiError.Timeout({ ...message, deadline: "server" })),
      "Failure"
    ],
    ["Network, unsent", Exit.fail(new ApiError.Network({ ...message, sent: "no" })), "Failure"],
    ["Network", Exit.fail(new ApiError.Network({ ...message, sent: "unknown" })), "Failure"],
    ["Auth", Exit.fail(new ApiError.Auth(message)), "Success"],
    ["Policy", Exit.fail(new ApiError.Policy(message)), "Success"],
    ["Validation", Exit.fail(new ApiError.Validation(message)), "Success"],
    ["NotFound", Exit.fail(new ApiError.NotFound(message)), "Success"],
    ["Conflict", Exit.fail(new ApiError.Conflict(message)), "Success"],
    ["Locked", Exit.fail(new ApiError.Locked(message)), "Success"],
    ["RateLimit", Exit.fail(rateLimit()), "Ignored"],
    ["RateLimit with a hint", Exit.fail(rateLimit("5 seconds")), "Ignored 5000"],
    ["a rejection", Exit.fail(rejection()), "Ignored"],
    [
      "an inner breaker",
      Exit.fail(new CircuitBreaker.CircuitOpen({ key: "inner", retryAfter: Duration.infinity })),
      "Ignored"
    ],
    ["a defect", Exit.die(new Error("bug")), "Failure"],
    ["interruption", Exit.interrupt(FiberId.none), "Ignored"],
    ["a failure that is not ours", Exit.fail(new Error("mine")), "Failure"],
    ["a string", Exit.fail("mine"), "Failure"],
    ["a tag that only looks like ours", Exit.fail({ _tag: "Auth", status: 401 }), "Failure"],
    ["TimeoutException", Exit.fail(new Cause.TimeoutException()), "Failure"],
    [
      "a RequestError of the transport",
      Exit.fail(
        new HttpClientError.RequestError({
          request,
          reason: "Transport",
          cause: new Error("reset")
        })
      ),
      "Failure"
    ],
    ...[400, 401, 403, 404, 409, 412, 422, 423].map((status) =>
      [`a ResponseError of ${status}`, Exit.fail(responseError(status)), "Success"] as const
    ),
    ["a ResponseError of 429", Exit.fail(responseError(429)), "Ignored"],
    ...[408, 425, 500, 501, 502, 503, 504].map((status) =>
      [`a ResponseError of ${status}`, Exit.fail(responseError(status)), "Failure"] as const
    )
  ]

  it("B3: the default classification", () => {
    expect(table.map(([name, exit]) => `${name}: ${outcome(exit)}`)).toEqual(
      table.map(([name, , expected]) => `${name}: ${expected}`)
    )
  })

  it.effect("B3: the service counts what the table says", () =>
    Effect.gen(function*() {
      const counted = yield* Effect.forEach(
        table.filter(([name]) => name !== "interruption"),
        ([name, exit]) =>
          Effect.gen(function*() {
            const breaker = yield* CircuitBreaker.make()
            yield* call(breaker, exit)
            const { calls, failures } = yield* breaker.snapshot()
            return `${name}: ${failures} of ${calls}`
          })
      )
      const expected = { Success: "0 of 1", Failure: "1 of 1", Ignored: "0 of 0" }
      expect(counted).toEqual(
        table.filter(([name]) => name !== "interruption").map(([name, , word]) =>
          `${name}: ${expected[word.split(" ")[0] as keyof typeof expected]}`
        )
      )
    }))

  it.effect("B3: what goes through comes out as it was", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        window: CircuitBreaker.count(100),
        minimumCalls: 100
      })
      const exits = yield* Effect.forEach(table.slice(0, -1), ([, exit]) =>
        Effect.exit(breaker.protect(exit)))
      expect(exits).toEqual(
        table.slice(0, -1).map(([, exit]) =>
          exit
        )
      )
    }))

  it.effect("B3: an interrupted call is ignored", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const held = yield* hold(breaker)
      expect([yield* numbers(breaker), yield* held.interrupt, yield* numbers(breaker)]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "interrupted",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B3: an interrupted call that was slow already counts as slow, one of exactly three seconds does not", () =>
    Effect.gen(function*() {
      const slow: Array<number> = []
      for (const millis of [3000, 3001]) {
        const breaker = yield* CircuitBreaker.make()
        const held = yield* hold(breaker)
        yield* TestClock.adjust(millis)
        yield* held.interrupt
        slow.push((yield* breaker.snapshot()).slow)
      }
      expect(slow).toEqual([0, 1])
    }))

  it.effect("B3: a server that never answers trips the circuit although every caller gives up", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const answers: Array<string> = []
      for (let i = 0; i < 10; i++) {
        const fiber = yield* Effect.fork(
          breaker.protect(Effect.never).pipe(
            Effect.timeoutOption("10 seconds"),
            Effect.exit,
            Effect.map((exit) =>
              Exit.isSuccess(exit) && Option.isNone(exit.value) ? "gave up" : wordOf(exit)
            )
          )
        )
        yield* TestClock.adjust("10 seconds")
        answers.push(yield* Fiber.join(fiber))
      }
      expect([answers, yield* breaker.state()]).toEqual([many(10, "gave up"), "Open"])
    }))

  it.effect("B3: classify of the breaker", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        classify: (exit) =>
          Exit.isSuccess(exit) && exit.value === "ok"
            ? CircuitBreaker.failure()
            : CircuitBreaker.success
      })
      yield* calls(breaker, [ok, ok, down, Effect.succeed("fine")])
      expect(yield* numbers(breaker)).toBe("Closed: 4 calls, 2 failed, 0 slow, 0 in flight")
    }))

  it.effect("B3: classify of a call goes before the breaker's", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ classify: () => CircuitBreaker.failure() })
      yield* breaker.protect(ok, { classify: () => CircuitBreaker.success })
      yield* ok.pipe(breaker.protect({ classify: () => CircuitBreaker.ignored }))
      yield* breaker.protect(ok)
      expect(yield* numbers(breaker)).toBe("Closed: 2 calls, 1 failed, 0 slow, 0 in flight")
    }))

  it.effect("B3: an ignored outcome neither opens nor dilutes", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(9, down), many(20, Effect.fail(rateLimit("1 hour")))))
      const before = yield* numbers(breaker)
      yield* call(breaker, down)
      expect([before, yield* breaker.state()]).toEqual([
        "Closed: 9 calls, 9 failed, 0 slow, 0 in flight",
        "Open"
      ])
    }))

  it("B3: outcomes are plain values", () => {
    expect([
      CircuitBreaker.success._tag,
      CircuitBreaker.ignored._tag,
      CircuitBreaker.failure()._tag,
      (CircuitBreaker.failure({ retryAfter: "5 seconds" }) as {
        readonly retryAfter?: Duration.Duration
      }).retryAfter
    ]).toEqual(["Success", "Ignored", "Failure", Duration.seconds(5)])
  })
})

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

describe("keys", () => {
  it.effect("B11: one circuit per key, and none is \"default\"", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      yield* call(breaker, down, "a")
      yield* call(breaker, ok, "b")
      const states = [yield* breaker.state("a"), yield* breaker.state("b"), yield* breaker.state()]
      yield* call(breaker, down)
      expect([states, yield* breaker.state("default"), (yield* breaker.snapshot("b")).key]).toEqual(
        [
          ["Open", "Closed", "Closed"],
          "Open",
          "b"
        ]
      )
    }))

  it.effect("B11: names of Object.prototype are keys like any other", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const keys = ["__proto__", "constructor", "toString", "", " "]
      yield* Effect.forEach(keys, (key) => call(breaker, down, key))
      const other = yield* CircuitBreaker.make(brittle)
      yield* other.importState(throughJson(yield* breaker.exportState))
      expect([
        yield* Effect.forEach(keys, (key) => breaker.state(key)),
        yield* Effect.forEach(keys, (key) => other.state(key)),
        yield* breaker.state("valueOf")
      ]).toEqual([many(5, "Open"), many(5, "Open"), "Closed"])
    }))

  it.effect("B11: an idle key is forgotten after idleTimeToLive, by default an hour", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (
        const [options, millis] of [
          [{}, 3_599_999],
          [{}, 3_600_001],
          [{ idleTimeToLive: "1 minute" }, 59_999],
          [{ idleTimeToLive: "1 minute" }, 60_001]
        ] as const
      ) {
        const breaker = yield* CircuitBreaker.make(options)
        yield* calls(breaker, [ok, down, ok], "a")
        yield* TestClock.adjust(millis)
        seen.push((yield* breaker.snapshot("a")).calls)
      }
      expect(seen).toEqual([3, 0, 3, 0])
    }))

  it.effect("B11: a call keeps its key alive, not the others", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* call(breaker, ok, "a")
      yield* call(breaker, ok, "b")
      yield* TestClock.adjust("40 seconds")
      yield* call(breaker, ok, "a")
      yield* TestClock.adjust("40 seconds")
      expect([(yield* breaker.snapshot("a")).calls, (yield* breaker.snapshot("b")).calls]).toEqual([
        2,
        0
      ])
    }))

  it.effect("B11: never while open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped({ idleTimeToLive: "1 minute", openDuration: "1 hour" })
      yield* TestClock.adjust("59 minutes")
      yield* call(breaker, ok, "another")
      expect(yield* call(breaker)).toBe("CircuitOpen 60000")
    }))

  it.effect("B11: never with calls in flight, whose outcomes still count", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute", slowCall: false })
      const held = yield* hold(breaker)
      yield* calls(breaker, [down, down])
      yield* TestClock.adjust("1 hour")
      yield* call(breaker, ok, "another")
      const before = yield* numbers(breaker)
      yield* held.end(down)
      expect([before, yield* numbers(breaker)]).toEqual([
        "Closed: 2 calls, 2 failed, 0 slow, 1 in flight",
        "Closed: 3 calls, 3 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B11: never half-open with a slot held, by a running trial or by one told to come back later", () =>
    Effect.gen(function*() {
      const running = yield* halfOpen({ idleTimeToLive: "1 minute", trialTimeout: "1 hour" })
      yield* hold(running)
      const waiting = yield* halfOpen({ idleTimeToLive: "1 minute" })
      yield* call(waiting, Effect.fail(rateLimit("4 minutes")))
      yield* TestClock.adjust("3 minutes")
      yield* call(running, ok, "another")
      yield* call(waiting, ok, "another")
      expect([
        yield* running.state(),
        (yield* call(running)).split(" ")[0],
        yield* waiting.state(),
        (yield* call(waiting)).split(" ")[0]
      ]).toEqual(["HalfOpen", "CircuitOpen", "HalfOpen", "CircuitOpen"])
    }))

  it.effect("B11: never under an operator's control", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* breaker.forceOpen("forced open")
      yield* breaker.forceClosed("forced closed")
      yield* breaker.disable("disabled")
      const scope = yield* Scope.make()
      yield* Scope.extend(breaker.isolate("isolated"), scope)
      yield* TestClock.adjust("1 hour")
      yield* call(breaker, ok, "another")
      const states = yield* Effect.forEach(
        ["forced open", "forced closed", "disabled", "isolated"],
        (key) => breaker.state(key)
      )
      yield* Scope.close(scope, Exit.void)
      expect([states, yield* breaker.state("isolated")]).toEqual([
        ["ForcedOpen", "ForcedClosed", "Disabled", "Isolated"],
        "Closed"
      ])
    }))

  it.effect("B11: of idle keys nothing is left, not even in an export", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ idleTimeToLive: "1 minute" })
      yield* Effect.forEach(Array.from({ length: 500 }), (_, i) => call(breaker, ok, `idle-${i}`), {
        discard: true
      })
      const full = JSON.stringify(yield* breaker.exportState)
      yield* TestClock.adjust("2 minutes")
      yield* call(breaker, ok, "fresh")
      const after = JSON.stringify(yield* breaker.exportState)
      expect([full.includes("idle-499"), after.includes("idle-"), after.includes("fresh")]).toEqual(
        [true, false, true]
      )
    }))

  it.effect("rejected counts since the key's circuit was made", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const counts: Array<number> = []
      yield* calls(breaker, [down, ok, ok])
      counts.push((yield* breaker.snapshot()).rejected)
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, down, ok])
      counts.push((yield* breaker.snapshot()).rejected, (yield* breaker.snapshot("other")).rejected)
      expect(counts).toEqual([2, 3, 0])
    }))
})

describe("operators", () => {
  it.effect("B12: forceOpen and isolate reject everything, with an infinite retryAfter", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      let ran = 0
      const counted = Effect.sync(() => ++ran)
      yield* breaker.forceOpen("a")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* breaker.isolate("b")
        yield* TestClock.adjust("10 days")
        expect([
          yield* call(breaker, counted, "a"),
          yield* call(breaker, counted, "b"),
          yield* breaker.state("a"),
          yield* breaker.state("b"),
          ran,
          yield* call(breaker, counted, "c")
        ]).toEqual([
          "CircuitOpen Infinity",
          "CircuitOpen Infinity",
          "ForcedOpen",
          "Isolated",
          0,
          "1"
        ])
      }))
    }))

  it.effect("B12: forceClosed passes everything and never opens", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* breaker.forceClosed()
      expect([yield* calls(breaker, many(20, down)), yield* breaker.state()]).toEqual([
        many(20, "Server"),
        "ForcedClosed"
      ])
    }))

  it.effect("B12: disable passes everything and counts nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* breaker.disable()
      expect([yield* calls(breaker, many(20, down)), yield* numbers(breaker)]).toEqual([
        many(20, "Server"),
        "Disabled: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B12: reset is the way out of forceOpen, forceClosed, disable and Open: Closed and empty", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const commands = ["forceOpen", "forceClosed", "disable", "state"] as const
      for (const command of commands) {
        const breaker = yield* CircuitBreaker.make()
        yield* calls(breaker, many(command === "state" ? 10 : 9, down))
        yield* breaker[command]()
        yield* calls(breaker, many(9, down))
        yield* breaker.reset()
        seen.push(yield* numbers(breaker), yield* call(breaker))
      }
      expect(seen).toEqual(many(4, ["Closed: 0 calls, 0 failed, 0 slow, 0 in flight", "ok"]).flat())
    }))

  it.effect("B12: the last of those commands wins", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const states: Array<string> = []
      for (
        const command of [
          "forceOpen",
          "disable",
          "forceOpen",
          "forceClosed",
          "disable",
          "forceClosed",
          "reset"
        ] as const
      ) {
        yield* breaker[command]()
        states.push(yield* breaker.state())
      }
      expect(states).toEqual([
        "ForcedOpen",
        "Disabled",
        "ForcedOpen",
        "ForcedClosed",
        "Disabled",
        "ForcedClosed",
        "Closed"
      ])
    }))

  it.effect("B12: isolation is counted, each handle once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const a = yield* Scope.make()
      const b = yield* Scope.make()
      yield* Scope.extend(breaker.isolate(), a)
      yield* Scope.extend(breaker.isolate(), b)
      const states = [yield* breaker.state()]
      yield* Scope.close(a, Exit.void)
      yield* Scope.close(a, Exit.void)
      states.push(yield* breaker.state())
      yield* Scope.close(b, Exit.void)
      expect([states, yield* breaker.state(), yield* call(breaker)]).toEqual([
        ["Isolated", "Isolated"],
        "Closed",
        "ok"
      ])
    }))

  it.effect("B12: isolation outranks the commands, and ends with its handles alone", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const commands = [["forceOpen"], ["forceClosed"], ["disable"], [
        "forceOpen",
        "reset"
      ]] as const
      for (const given of commands) {
        for (const when of ["before", "during"]) {
          const breaker = yield* CircuitBreaker.make()
          const scope = yield* Scope.make()
          const command = Effect.forEach(given, (name) => breaker[name]())
          if (when === "before") yield* command
          yield* Scope.extend(breaker.isolate(), scope)
          if (when === "during") yield* command
          const isolated = [yield* breaker.state(), yield* call(breaker)]
          yield* Scope.close(scope, Exit.void)
          seen.push([...isolated, yield* breaker.state()])
        }
      }
      expect(seen).toEqual(
        ["ForcedOpen", "ForcedClosed", "Disabled", "Closed"].flatMap((state) =>
          many(2, ["Isolated", "CircuitOpen Infinity", state])
        )
      )
    }))

  it.effect("B12, B6: under an isolation the open time runs on", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const millis of [10_000, 30_000]) {
        const breaker = yield* tripped()
        yield* Effect.scoped(Effect.zipRight(breaker.isolate(), TestClock.adjust(millis)))
        seen.push([yield* breaker.state(), yield* call(breaker)])
      }
      expect(seen).toEqual([["Open", "CircuitOpen 20000"], ["HalfOpen", "ok"]])
    }))

  it.effect("B12, B9: what began under a command does not count after the reset", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      for (const command of ["forceClosed", "disable"] as const) {
        const breaker = yield* CircuitBreaker.make(brittle)
        yield* breaker[command]()
        const held = yield* hold(breaker)
        yield* breaker.reset()
        yield* held.end(down)
        seen.push(yield* numbers(breaker))
      }
      expect(seen).toEqual(many(2, "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"))
    }))

  it.effect("B12: while disabled, calls from before count nothing either", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const held = yield* hold(breaker)
      yield* breaker.disable()
      yield* held.end(down)
      expect(yield* numbers(breaker)).toBe("Disabled: 0 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B12: an interrupted holder of an isolation gives it back", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const fiber = yield* Effect.fork(
        Effect.scoped(Effect.zipRight(breaker.isolate(), Effect.never))
      )
      yield* settle
      const during = yield* breaker.state()
      yield* Fiber.interrupt(fiber)
      expect([during, yield* breaker.state()]).toEqual(["Isolated", "Closed"])
    }))

  it.effect("B12, B15: each command is visible in transitions, once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const seen = yield* watch(breaker)
      for (
        const command of [
          "forceOpen",
          "forceOpen",
          "forceClosed",
          "disable",
          "reset",
          "reset"
        ] as const
      ) {
        yield* breaker[command]("a")
        yield* TestClock.adjust(1)
      }
      yield* Effect.scoped(
        Effect.zipRight(breaker.isolate("a"), Effect.scoped(breaker.isolate("a")))
      )
      expect(yield* seen).toEqual([
        "0 a: Closed > ForcedOpen",
        "2 a: ForcedOpen > ForcedClosed",
        "3 a: ForcedClosed > Disabled",
        "4 a: Disabled > Closed",
        "6 a: Closed > Isolated",
        "6 a: Isolated > Closed"
      ])
    }))
})

describe("export and import", () => {
  it.effect("B13: the window travels through JSON, key by key", () =>
    Effect.gen(function*() {
      const first = yield* CircuitBreaker.make()
      yield* calls(first, bothOf(many(4, down), many(5, ok)), "a")
      yield* calls(first, [taking(3001, ok)], "b")
      const second = yield* CircuitBreaker.make()
      yield* second.importState(throughJson(yield* first.exportState))
      const before = [
        yield* numbers(second, "a"),
        yield* numbers(second, "b"),
        yield* numbers(second, "c")
      ]
      yield* call(second, down, "a")
      expect([before, yield* second.state("a"), yield* second.state("b"), yield* first.state("a")])
        .toEqual([
          [
            "Closed: 9 calls, 4 failed, 0 slow, 0 in flight",
            "Closed: 1 calls, 0 failed, 1 slow, 0 in flight",
            "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
          ],
          "Open",
          "Closed",
          "Closed"
        ])
    }))

  it.effect("B13, B2: an imported count window still forgets the oldest first", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.count(3), minimumCalls: 3, failureRate: 1 }
      const first = yield* CircuitBreaker.make(options)
      yield* calls(first, [ok, ok, down, ok, down])
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(throughJson(yield* first.exportState))
      const seen: Array<string> = []
      for (const effect of [ok, ok, ok]) {
        yield* call(second, effect)
        const { calls, failures } = yield* second.snapshot()
        seen.push(`${failures} of ${calls}`)
      }
      expect(seen).toEqual(["1 of 3", "1 of 3", "0 of 3"])
    }))

  it.effect("B13: a time window travels too", () =>
    Effect.gen(function*() {
      const options = { window: CircuitBreaker.time("10 seconds", { buckets: 10 }) }
      const first = yield* CircuitBreaker.make(options)
      yield* calls(first, many(9, down))
      yield* TestClock.adjust("2 seconds")
      const state = throughJson(yield* first.exportState)
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(state)
      const third = yield* CircuitBreaker.make(options)
      yield* third.importState(state)
      yield* call(second, down)
      yield* TestClock.adjust("11 seconds")
      expect([yield* second.state(), yield* numbers(third)]).toEqual([
        "Open",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B13: the open time that remains is kept, less the wall time between export and import", () =>
    Effect.gen(function*() {
      const old = steppingClock({ wall: 1_000_000 })
      const state = yield* old.on(Effect.gen(function*() {
        const breaker = yield* tripped()
        yield* old.pass(10_000)
        return throughJson(yield* breaker.exportState)
      }))
      const seen: Array<unknown> = []
      for (const wallLater of [0, 5000, 19_999, 20_000, 3_600_000, -1, -3_600_000]) {
        const fresh = steppingClock({ wall: 1_010_000 + wallLater, monotonic: 987_654 })
        yield* fresh.on(Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make(brittle)
          yield* breaker.importState(state)
          const words = [wallLater, yield* call(breaker)]
          yield* fresh.pass(20_000)
          seen.push([...words, yield* call(breaker)])
        }))
      }
      expect(seen).toEqual([
        [0, "CircuitOpen 20000", "ok"],
        [5000, "CircuitOpen 15000", "ok"],
        [19_999, "CircuitOpen 1", "ok"],
        [20_000, "ok", "ok"],
        [3_600_000, "ok", "ok"],
        [-1, "CircuitOpen 20000", "ok"],
        [-3_600_000, "CircuitOpen 20000", "ok"]
      ])
    }))

  it.effect("B13: HalfOpen comes back as: the next call is a trial", () =>
    Effect.gen(function*() {
      const first = yield* halfOpen({ halfOpen: CircuitBreaker.consecutive(2) })
      yield* call(first)
      yield* hold(first)
      const state = throughJson(yield* first.exportState)
      const seen: Array<unknown> = []
      for (const effects of [[ok, ok], [down]]) {
        const second = yield* CircuitBreaker.make({
          ...brittle,
          halfOpen: CircuitBreaker.consecutive(2)
        })
        yield* second.importState(state)
        seen.push([yield* numbers(second), yield* calls(second, effects), yield* second.state()])
      }
      const HalfOpen = "HalfOpen: 0 calls, 0 failed, 0 slow, 0 in flight"
      expect(seen).toEqual([[HalfOpen, ["ok", "ok"], "Closed"], [HalfOpen, ["Server"], "Open"]])
    }))

  it.effect("B13, B10: the count of openings travels", () =>
    Effect.gen(function*() {
      const options = {
        ...brittle,
        openDuration: Backoff.exponential({
          base: "1 second",
          factor: 2,
          cap: "1 hour",
          jitter: Backoff.none
        })
      }
      const first = yield* CircuitBreaker.make(options)
      yield* call(first, down)
      yield* TestClock.adjust("1 second")
      yield* call(first, down)
      const second = yield* CircuitBreaker.make(options)
      yield* second.importState(throughJson(yield* first.exportState))
      yield* TestClock.adjust("2 seconds")
      yield* call(second, down)
      expect([(yield* second.snapshot()).openings, yield* call(second)]).toEqual([
        3,
        "CircuitOpen 4000"
      ])
    }))

  it.effect("B13: an export through JSON and back is the same export", () =>
    Effect.gen(function*() {
      const first = yield* CircuitBreaker.make()
      yield* calls(first, [ok, down, taking(3001, down)], "a")
      yield* calls(first, many(10, down), "b")
      const state = yield* first.exportState
      const second = yield* CircuitBreaker.make()
      yield* second.importState(throughJson(state))
      expect([throughJson(state), yield* second.exportState]).toEqual([state, state])
    }))

  it.effect("B13, B14: calls in flight over an import stay in flight, and their outcomes change nothing", () =>
    Effect.gen(function*() {
      const other = yield* CircuitBreaker.make(brittle)
      yield* call(other)
      const breaker = yield* CircuitBreaker.make(brittle)
      const held = yield* hold(breaker)
      yield* breaker.importState(throughJson(yield* other.exportState))
      const during = yield* numbers(breaker)
      yield* held.end(down)
      expect([during, yield* numbers(breaker)]).toEqual([
        "Closed: 1 calls, 0 failed, 0 slow, 1 in flight",
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B13: a foreign or newer state is a ParseError and changes nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* calls(breaker, bothOf(many(4, down), many(3, ok)), "a")
      yield* calls(breaker, many(10, down), "b")
      const before = yield* breaker.exportState
      const good = throughJson(before) as Record<string, unknown>
      const version = Object.keys(good).find((name) => /^v(ersion)?$/i.test(name)) ?? "no version"
      const replaced = (from: RegExp, to: string) =>
        JSON.parse(JSON.stringify(good).replace(from, to))
      const foreign: ReadonlyArray<unknown> = [
        undefined,
        null,
        true,
        1,
        "state",
        JSON.stringify(good),
        [],
        {},
        [good],
        { circuits: {} },
        { version: 1 },
        { ...good, [version]: 1_000_000 },
        { ...good, [version]: "1" },
        { ...good, [version]: undefined },
        ...Object.keys(good).map((name) => ({ ...good, [name]: null })),
        ...Object.keys(good).filter((name) => typeof good[name] === "string").map((name) => ({
          ...good,
          [name]: "x"
        })),
        ...Object.keys(good).map((name) =>
          Object.fromEntries(Object.entries(good).filter(([other]) => other !== name))
        ),
        replaced(/"Open"/, "\"Ajar\""),
        replaced(/\d+/g, "\"many\""),
        replaced(/\d+/g, "-1")
      ]
      const words = yield* Effect.forEach(
        foreign,
        (state) => Effect.map(Effect.exit(breaker.importState(state)), wordOf)
      )
      expect([words, yield* breaker.exportState, yield* breaker.state("b")]).toEqual([
        foreign.map(() => "ParseError"),
        before,
        "Open"
      ])
    }))
})

describe("concurrency", () => {
  it.effect("B14: what was admitted succeeded, failed, was ignored or is in flight; rejected calls never run", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      let ran = 0
      const counted = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.zipRight(Effect.sync(() => ran++), effect)
      const held = yield* holdMany(4, breaker)
      yield* calls(breaker, [ok, down, rateLimit(), Effect.interrupt].map(counted))
      const closed = yield* numbers(breaker)
      yield* calls(breaker, many(10, counted(down)))
      yield* calls(breaker, many(5, counted(ok)))
      const { inFlight, rejected, state } = yield* breaker.snapshot()
      yield* Effect.forEach(held, ({ end }) => end(ok))
      expect([closed, state, inFlight, ran, rejected, (yield* breaker.snapshot()).inFlight])
        .toEqual([
          "Closed: 2 calls, 1 failed, 0 slow, 4 in flight",
          "Open",
          4,
          12,
          7,
          0
        ])
    }))

  it.effect("B14: an interruption reaches the call and releases it, at once", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const log: Array<string> = []
      const effect = Effect.onInterrupt(
        Effect.never,
        () => Effect.sync(() => log.push("interrupted"))
      )
      const fiber = yield* Effect.fork(breaker.protect(effect))
      yield* settle
      log.push(yield* numbers(breaker))
      yield* Fiber.interrupt(fiber)
      log.push(yield* numbers(breaker))
      expect(log).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "interrupted",
        "Closed: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B14: calls that lose a race are released", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.raceAll([breaker.protect(ok), ...many(10, breaker.protect(Effect.never))])
      expect((yield* breaker.snapshot()).inFlight).toBe(0)
    }))

  it.effect("an uninterruptible call stays uninterruptible inside", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const gate = yield* Deferred.make<string>()
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(breaker.protect(Deferred.await(gate)))
      )
      yield* settle
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* settle
      const during = yield* numbers(breaker)
      yield* Deferred.succeed(gate, "done")
      yield* Fiber.join(interrupting)
      expect([during, yield* numbers(breaker)]).toEqual([
        "Closed: 0 calls, 0 failed, 0 slow, 1 in flight",
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("B14: a classification that throws releases its call, and its slot", () =>
    Effect.gen(function*() {
      const classify = (): CircuitBreaker.Outcome => {
        throw new Error("bug")
      }
      const closed = yield* CircuitBreaker.make(brittle)
      const half = yield* halfOpen()
      const words = yield* Effect.forEach(
        [closed, half],
        (breaker) => Effect.map(Effect.exit(breaker.protect(ok, { classify })), wordOf)
      )
      expect([words, (yield* closed.snapshot()).inFlight, (yield* half.snapshot()).inFlight])
        .toEqual([
          ["defect", "defect"],
          0,
          0
        ])
      yield* TestClock.adjust("1 minute")
      expect(yield* call(half)).toBe("ok")
    }))

  it.effect("B14: a call inside a call is two calls", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.protect(breaker.protect(ok))
      expect(yield* numbers(breaker)).toBe("Closed: 2 calls, 0 failed, 0 slow, 0 in flight")
    }))

  it.effect("B7, B14: an inner call that is turned away while its caller is the trial does not decide", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      expect([
        (yield* call(breaker, breaker.protect(ok))).split(" ")[0],
        yield* breaker.state(),
        yield* call(breaker)
      ])
        .toEqual(["CircuitOpen", "HalfOpen", "ok"])
    }))
})

describe("observation", () => {
  it.effect("B15: transitions has the legal edges and nothing else", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const seen = yield* watch(breaker)
      yield* calls(breaker, [ok, down, ok])
      yield* TestClock.adjust(30_000)
      yield* breaker.state()
      yield* call(breaker, down)
      yield* TestClock.adjust(30_000)
      yield* calls(breaker, [ok, ok])
      expect(yield* seen).toEqual([
        "0 default: Closed > Open",
        "30000 default: Open > HalfOpen",
        "30000 default: HalfOpen > Open",
        "60000 default: Open > HalfOpen",
        "60000 default: HalfOpen > Closed"
      ])
    }))

  it.effect("B15: every subscriber sees what happens from then on", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const first = yield* watch(breaker)
      yield* call(breaker, down, "a")
      const second = yield* watch(breaker)
      yield* call(breaker, down, "b")
      expect([yield* first, yield* second]).toEqual([
        ["0 a: Closed > Open", "0 b: Closed > Open"],
        ["0 b: Closed > Open"]
      ])
    }))

  it.effect("B15: a subscriber that does not keep up stops nobody", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...brittle, openDuration: "1 milli" })
      yield* Effect.fork(Stream.runForEach(breaker.transitions, () => Effect.never))
      yield* settle
      for (let i = 0; i < 500; i++) yield* Effect.zipRight(breaker.forceOpen(), breaker.reset())
      expect(yield* call(breaker)).toBe("ok")
    }))

  it.effect("B6, B15: a listener hears of HalfOpen when it is due, although nobody calls or asks", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      const seen = yield* watch(breaker)
      yield* call(breaker, down, "a")
      yield* TestClock.adjust("10 seconds")
      yield* call(breaker, down, "b")
      yield* TestClock.adjust("1 hour")
      expect(yield* seen).toEqual([
        "0 a: Closed > Open",
        "10000 b: Closed > Open",
        "30000 a: Open > HalfOpen",
        "40000 b: Open > HalfOpen"
      ])
    }))

  it.effect("B15: no fiber and no timer at rest, in any state", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const rest = Effect.map(
        Effect.zip(Effect.zipRight(settle, supervisor.value), TestClock.sleeps()),
        ([fibers, sleeps]) => `${fibers.length} fibers, ${Chunk.size(sleeps)} timers`
      )
      const supervised = Effect.supervised(supervisor)
      const breaker = yield* supervised(CircuitBreaker.make(brittle))
      yield* supervised(calls(breaker, [ok, down, ok]))
      yield* supervised(call(breaker, ok, "a"))
      yield* supervised(breaker.forceOpen("b"))
      yield* supervised(breaker.state())
      const open = yield* rest
      yield* TestClock.adjust(30_000)
      yield* supervised(call(breaker, Effect.fail(rateLimit("1 minute"))))
      const half = yield* rest
      yield* TestClock.adjust("1 minute")
      yield* supervised(call(breaker))
      expect([open, half, yield* rest, yield* breaker.state()]).toEqual([
        ...many(3, "0 fibers, 0 timers"),
        "Closed"
      ])
    }))

  it.effect("B15: a listener that has left leaves no fiber behind", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const breaker = yield* tripped()
      const fiber = yield* Effect.fork(
        Effect.supervised(Stream.runDrain(breaker.transitions), supervisor)
      )
      yield* settle
      yield* call(breaker, down, "a")
      yield* Fiber.interrupt(fiber)
      yield* call(breaker, down, "b")
      yield* settle
      expect((yield* supervisor.value).length).toBe(0)
    }))

  it("B15, B16: a synchronous effect stays synchronous", () => {
    const breaker = Effect.runSync(CircuitBreaker.make())
    expect([
      Effect.runSync(breaker.protect(ok)),
      wordOf(Effect.runSyncExit(breaker.protect(down))),
      Effect.runSync(breaker.state()),
      Effect.runSync(breaker.snapshot()).calls
    ]).toEqual(["ok", "Server", "Closed", 2])
  })

  it.effect("B16: what a circuit remembers does not grow with its calls", () =>
    Effect.gen(function*() {
      const sizes: Array<unknown> = []
      for (
        const window of [
          CircuitBreaker.count(20),
          CircuitBreaker.time("10 seconds", { buckets: 10 })
        ]
      ) {
        const breaker = yield* CircuitBreaker.make({ window, failureRate: 1 })
        const size = Effect.map(
          breaker.exportState,
          (state) => JSON.stringify(state).replaceAll(/\d+/g, "0").length
        )
        const thousand = Effect.repeatN(calls(breaker, [ok, Effect.ignore(down), ok, ok]), 249)
        yield* thousand
        const early = yield* size
        yield* Effect.repeatN(thousand, 3)
        sizes.push(early === (yield* size))
      }
      expect(sizes).toEqual([true, true])
    }))
})

describe("ways to use it", () => {
  class Payments extends CircuitBreaker.Tag("Payments")<Payments>() {}
  class Search extends CircuitBreaker.Tag("Search")<Search>() {}

  it.effect("both call styles of protect are the same", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const seen = [
        yield* breaker.protect(ok),
        yield* breaker.protect(ok, {}),
        yield* ok.pipe(breaker.protect()),
        yield* ok.pipe(breaker.protect({})),
        yield* breaker.protect(ok, { key: "a" }),
        yield* ok.pipe(breaker.protect({ key: "a" })),
        yield* ok.pipe(breaker.protect({ key: "a", classify: () => CircuitBreaker.failure() }))
      ]
      expect([seen, yield* numbers(breaker), yield* numbers(breaker, "a")]).toEqual([
        many(7, "ok"),
        "Closed: 4 calls, 0 failed, 0 slow, 0 in flight",
        "Closed: 3 calls, 1 failed, 0 slow, 0 in flight"
      ])
    }))

  it.effect("a protected effect is a value: each run of it is a call", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(brittle)
      let ran = 0
      const effect = breaker.protect(Effect.suspend(() => ++ran === 2 ? Effect.fail(server()) : ok))
      const words = yield* Effect.forEach([1, 2, 3], () => Effect.map(Effect.exit(effect), wordOf))
      yield* TestClock.adjust(30_000)
      expect([words, yield* effect, ran]).toEqual([["ok", "Server", "CircuitOpen 30000"], "ok", 3])
    }))

  it.effect("two breakers of one program know nothing of each other", () =>
    Effect.gen(function*() {
      yield* Effect.exit(Payments.protect(down))
      yield* Effect.exit(down.pipe(Search.protect({ key: "eu" })))
      const payments = yield* Payments
      const search = yield* Search
      const word = Effect.map(Effect.exit(ok.pipe(Payments.protect())), wordOf)
      expect([
        yield* payments.state(),
        yield* search.state(),
        yield* search.state("eu"),
        yield* word,
        yield* Search.protect(ok)
      ]).toEqual(["Open", "Closed", "Closed", "CircuitOpen 30000", "ok"])
    }).pipe(Effect.provide(Layer.mergeAll(Payments.layer(brittle), Search.layer()))))

  it.effect("the default tag: layer, protect in both styles", () =>
    Effect.gen(function*() {
      yield* CircuitBreaker.protect(ok)
      yield* ok.pipe(CircuitBreaker.protect({ key: "a" }))
      yield* Effect.exit(CircuitBreaker.protect(down, { key: "a" }))
      const breaker = yield* CircuitBreaker.CircuitBreaker
      expect([yield* numbers(breaker), yield* numbers(breaker, "a")]).toEqual([
        "Closed: 1 calls, 0 failed, 0 slow, 0 in flight",
        "Open: 0 calls, 0 failed, 0 slow, 0 in flight"
      ])
    }).pipe(
      Effect.provide(
        CircuitBreaker.layer({ ...brittle, window: CircuitBreaker.count(2), failureRate: 0.5 })
      )
    ))

  it.effect("each layer that is built has a state of its own", () =>
    Effect.gen(function*() {
      const layer = CircuitBreaker.layer(brittle)
      const once = Effect.provide(
        Effect.map(Effect.exit(CircuitBreaker.protect(down)), wordOf),
        layer
      )
      expect([yield* once, yield* once]).toEqual(["Server", "Server"])
    }))
})

describe("with retry", () => {
  const thrice = { operation: Operation.read, backoff: Backoff.constant(0), retries: 2 } as const

  it.effect("R17: retry outside the breaker: it sees every attempt", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.exit(Retry.retry(breaker.protect(down), thrice))
      expect(yield* numbers(breaker)).toBe("Closed: 3 calls, 3 failed, 0 slow, 0 in flight")
    }))

  it.effect("R17: breaker outside retry: it sees one outcome per call", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* Effect.exit(down.pipe(Retry.retry(thrice), breaker.protect()))
      expect(yield* numbers(breaker)).toBe("Closed: 1 calls, 1 failed, 0 slow, 0 in flight")
    }))

  it.effect("R15: CircuitOpen is not retried by default", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      const word = wordOf(yield* Effect.exit(Retry.retry(breaker.protect(ok), thrice)))
      expect([word, (yield* breaker.snapshot()).rejected]).toEqual(["CircuitOpen 30000", 1])
    }))

  it.effect("R15: a circuit that opens in the middle ends the retries", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        ...brittle,
        window: CircuitBreaker.count(2),
        minimumCalls: 2
      })
      let ran = 0
      const effect = Effect.zipRight(Effect.sync(() => ran++), down)
      const word = wordOf(
        yield* Effect.exit(Retry.retry(breaker.protect(effect), { ...thrice, retries: 9 }))
      )
      expect([word, ran]).toEqual(["CircuitOpen 30000", 2])
    }))

  it.effect("R15: waitForRejections waits until the circuit lets calls through", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped()
      yield* TestClock.adjust(10_000)
      const fiber = yield* Effect.fork(
        Effect.zip(
          Retry.retry(breaker.protect(ok), { ...thrice, waitForRejections: true }),
          Clock.currentTimeMillis
        )
      )
      yield* TestClock.adjust("1 hour")
      expect(yield* Fiber.join(fiber)).toEqual(["ok", 30_000])
    }))

  it.effect("R15: it does not wait for an operator", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* breaker.forceOpen()
      const word = wordOf(
        yield* Effect.exit(Retry.retry(breaker.protect(ok), { ...thrice, waitForRejections: true }))
      )
      expect([word, (yield* breaker.snapshot()).rejected]).toEqual(["CircuitOpen Infinity", 1])
    }))
})

describe("in a pipeline", () => {
  const retry = { retries: 2, backoff: Backoff.constant(0) } as const

  it.effect("G40: the breaker is inside retry", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* CircuitBreaker.make()
      const pipeline = yield* Pipeline.make({ operation: Operation.read, retry, circuitBreaker })
      yield* Effect.exit(Pipeline.protect(down, pipeline))
      yield* Effect.exit(down.pipe(Pipeline.protect(pipeline, { key: "a" })))
      expect([yield* numbers(circuitBreaker), yield* numbers(circuitBreaker, "a")]).toEqual(
        many(2, "Closed: 3 calls, 3 failed, 0 slow, 0 in flight")
      )
    }))

  it.effect("G40: a breaker without retry", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.once, circuitBreaker: brittle })
      const words = yield* Effect.forEach(
        [down, ok],
        (effect) => Effect.map(Effect.exit(Pipeline.protect(effect, pipeline)), wordOf)
      )
      expect(words).toEqual(["Server", "CircuitOpen 30000"])
    }))

  it.effect("G40: the key chooses the circuit, in both styles", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({ operation: Operation.read, circuitBreaker: brittle })
      yield* Effect.exit(Pipeline.protect(down, pipeline, { key: "a" }))
      const a = yield* Effect.flip(ok.pipe(Pipeline.protect(pipeline, { key: "a" })))
      expect([
        a.key,
        yield* Pipeline.protect(ok, pipeline, { key: "b" }),
        yield* Pipeline.protect(ok, pipeline)
      ])
        .toEqual(["a", "ok", "ok"])
    }))

  it.effect("G45: the state belongs to the pipeline, sharing is explicit", () =>
    Effect.gen(function*() {
      const options = { operation: Operation.read, circuitBreaker: brittle } as const
      const a = yield* Pipeline.make(options)
      const b = yield* Pipeline.make(options)
      yield* Effect.exit(Pipeline.protect(down, a))
      const apart = yield* Effect.forEach(
        [a, b],
        (p) => Effect.map(Effect.exit(Pipeline.protect(ok, p)), wordOf)
      )
      const circuitBreaker = yield* CircuitBreaker.make(brittle)
      const c = yield* Pipeline.make({ operation: Operation.read, circuitBreaker })
      const d = yield* Pipeline.make({ operation: Operation.once, circuitBreaker })
      yield* Effect.exit(Pipeline.protect(down, c))
      const shared = yield* Effect.forEach(
        [c, d],
        (p) => Effect.map(Effect.exit(Pipeline.protect(ok, p)), wordOf)
      )
      expect([apart, shared]).toEqual([["CircuitOpen 30000", "ok"], many(2, "CircuitOpen 30000")])
    }))

  it.effect("R15: a pipeline retries CircuitOpen only when told to wait", () =>
    Effect.gen(function*() {
      const circuitBreaker = yield* tripped()
      const stages = { operation: Operation.read, circuitBreaker } as const
      const hasty = yield* Pipeline.make({ ...stages, retry })
      const patient = yield* Pipeline.make({
        ...stages,
        retry: { ...retry, waitForRejections: true }
      })
      const word = wordOf(yield* Effect.exit(Pipeline.protect(ok, hasty)))
      const fiber = yield* Effect.fork(
        Effect.zip(Pipeline.protect(ok, patient), Clock.currentTimeMillis)
      )
      yield* TestClock.adjust("1 minute")
      expect([word, yield* Fiber.join(fiber)]).toEqual(["CircuitOpen 30000", ["ok", 30_000]])
    }))

  it.effect("R15: waiting for the circuit costs no budget", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.read,
        retry: { ...retry, waitForRejections: true },
        budget: { capacity: 1, ratio: 0.1, reservePerSecond: 0 },
        circuitBreaker: brittle
      })
      const ran: Array<number> = []
      const effect = Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.zipRight(Effect.sync(() => ran.push(now)), down))
      const fiber = yield* Effect.fork(Effect.exit(Pipeline.protect(effect, pipeline)))
      yield* TestClock.adjust("2 minutes")
      expect([wordOf(yield* Fiber.join(fiber)), ran]).toEqual(["Server", [0, 30_000]])
    }))

  it.effect("a keyed pipeline still wants its key", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.make({
        operation: Operation.keyed,
        retry,
        circuitBreaker: brittle
      })
      expect(yield* ok.pipe(Pipeline.protect(pipeline), IdempotencyKey.provideNew)).toBe("ok")
    }))

  it.effect("it dies with the RangeError of a nonsense option", () =>
    Effect.gen(function*() {
      const message = yield* refusalOf(
        Pipeline.make({ operation: Operation.read, circuitBreaker: { ...brittle, failureRate: 2 } })
      )
      expect([message.includes("failureRate"), message.includes("2")]).toEqual([true, true])
    }))
})

describe("bad input", () => {
  const nonsense: ReadonlyArray<readonly [string, CircuitBreaker.Options, string]> = [
    ...[0, -0.1, 1.1, NaN, Infinity, 50].flatMap((value) =>
      [
        ["failureRate", { failureRate: value }, String(value)],
        ["rate", { slowCall: { duration: "1 second", rate: value } }, String(value)],
        ["threshold", { halfOpen: { _tag: "Rate", trials: 3, threshold: value } }, String(value)]
      ] as const
    ),
    ...[0, -1, 1.5, NaN, Infinity].flatMap((value) =>
      [
        ["minimumCalls", { minimumCalls: value }, String(value)],
        ["size", { minimumCalls: 1, window: { _tag: "Count", size: value } }, String(value)],
        [
          "buckets",
          { window: { _tag: "Time", duration: Duration.seconds(10), buckets: value } },
          String(value)
        ],
        ["trials", { halfOpen: { _tag: "Consecutive", trials: value } }, String(value)],
        ["trials", { halfOpen: { _tag: "Rate", trials: value, threshold: 0.5 } }, String(value)]
      ] as const
    ),
    ...[0, -1, NaN].flatMap((value) =>
      [
        ["duration", { slowCall: { duration: value, rate: 0.5 } }, String(value)],
        ["openDuration", { openDuration: value }, String(value)],
        ["maxOpenDuration", { maxOpenDuration: value }, String(value)],
        ["trialTimeout", { trialTimeout: value }, String(value)],
        ["idleTimeToLive", { idleTimeToLive: value }, String(value)]
      ] as const
    ),
    ["minimumCalls", { window: CircuitBreaker.count(5), minimumCalls: 6 }, "6"]
  ]

  it.effect("B3: make dies with a RangeError that names field and value", () =>
    Effect.gen(function*() {
      const messages = yield* Effect.forEach(
        nonsense,
        ([field, options, value]) =>
          Effect.map(
            refusalOf(CircuitBreaker.make(options)),
            (message) =>
              message.includes(field) && message.includes(value)
                ? "refused"
                : `${field} ${value}: ${message}`
          )
      )
      expect(messages).toEqual(nonsense.map(() => "refused"))
    }))

  it.effect("B3: making the effect throws nothing, and the layer dies too", () =>
    Effect.gen(function*() {
      const layer = CircuitBreaker.layer({ minimumCalls: 0 })
      const message = yield* refusalOf(Effect.provide(CircuitBreaker.CircuitBreaker, layer))
      expect(message).toContain("minimumCalls")
    }))

  it("B3: the plain constructors throw the RangeError", () => {
    const cases: ReadonlyArray<readonly [string, unknown, () => unknown]> = [
      ...[0, -1, 1.5, NaN, Infinity].flatMap((value) =>
        [
          ["size", value, () => CircuitBreaker.count(value)],
          ["buckets", value, () => CircuitBreaker.time("1 second", { buckets: value })],
          ["trials", value, () => CircuitBreaker.consecutive(value)],
          ["trials", value, () => CircuitBreaker.rate({ trials: value, threshold: 0.5 })]
        ] as const
      ),
      ...[0, -0.5, 1.01, NaN].map((value) =>
        ["threshold", value, () => CircuitBreaker.rate({ trials: 3, threshold: value })] as const
      ),
      ...[0, -1, NaN].map((value) =>
        ["duration", value, () => CircuitBreaker.time(value)] as const
      ),
      ...[-1, NaN].map((value) =>
        ["retryAfter", value, () => CircuitBreaker.failure({ retryAfter: value })] as const
      )
    ]
    expect(cases.map(([field, value, build]) => {
      const message = refusal(build)
      return message.includes(field) && message.includes(String(value))
        ? "refused"
        : `${field} ${value}: ${message}`
    })).toEqual(cases.map(() => "refused"))
  })

  it.effect("B2: what is just within the bounds is accepted", () =>
    Effect.gen(function*() {
      const within: ReadonlyArray<CircuitBreaker.Options> = [
        { window: CircuitBreaker.count(1), minimumCalls: 1, failureRate: 1 },
        { window: CircuitBreaker.count(6), minimumCalls: 6, failureRate: 0.0001 },
        { window: CircuitBreaker.time("1 milli", { buckets: 1 }), minimumCalls: 1_000_000 },
        {
          slowCall: { duration: 1, rate: 1 },
          openDuration: 1,
          maxOpenDuration: 1,
          trialTimeout: 1,
          idleTimeToLive: 1
        },
        { halfOpen: CircuitBreaker.rate({ trials: 1, threshold: 1 }) }
      ]
      expect(yield* Effect.forEach(within, (options) => refusalOf(CircuitBreaker.make(options))))
        .toEqual(
          within.map(() => "accepted")
        )
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

describe("keys that are idle for a shorter time than they are open", () => {
  const short = { openDuration: "60 millis", idleTimeToLive: "30 millis" } as const

  it.effect("B6, B11: are half-open when the opening is over, and not forgotten for having been open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      yield* TestClock.adjust(60)
      const after = yield* breaker.state()
      yield* TestClock.adjust(29)
      const later = yield* breaker.state()
      yield* TestClock.adjust(1)
      expect([after, later, yield* breaker.state()]).toEqual(["HalfOpen", "HalfOpen", "Closed"])
    }))

  it.effect("B15: a half-open circuit that is forgotten is told as closed", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      const seen = yield* watch(breaker)
      yield* TestClock.adjust(60)
      yield* TestClock.adjust(30)
      yield* breaker.state()
      expect(yield* seen).toEqual(["60 default: Open > HalfOpen", "90 default: HalfOpen > Closed"])
    }))

  it.effect("B10, B11: a closed circuit is remembered for as long as it was last open", () =>
    Effect.gen(function*() {
      const breaker = yield* tripped(short)
      yield* TestClock.adjust(60)
      yield* call(breaker)
      yield* TestClock.adjust(59)
      const before = (yield* breaker.snapshot()).openings
      yield* TestClock.adjust(1)
      expect([before, (yield* breaker.snapshot()).openings]).toEqual([1, 0])
    }))
})
