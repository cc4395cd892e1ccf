import { describe, expect, it } from "@effect/vitest"
import {
  Chunk,
  Clock,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  Random,
  Schedule,
  ScheduleDecision,
  ScheduleIntervals,
  TestClock
} from "effect"
import {
  type ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  RetryBudget,
  Schedules
} from "effect-resilience"
import {
  conflict,
  invalid,
  locked,
  network,
  rateLimit,
  rejection,
  server,
  timeout,
  unauthorized
} from "../support/errors.js"
import { badDurations, refusal } from "../support/refusal.js"
import { runs } from "../support/runs.js"

const maxTimer = 2 ** 31 - 1

/** Drives a schedule by hand: the time moves only by what the schedule asks for. */
const drive = <I, R>(schedule: Schedule.Schedule<unknown, I, R>, inputs: ReadonlyArray<I>) =>
  Effect.gen(function*() {
    const probes: Array<number | "done"> = []
    let state = schedule.initial
    let now = 1000
    for (const input of inputs) {
      const [next, , decision] = yield* schedule.step(now, input, state)
      if (ScheduleDecision.isDone(decision)) {
        probes.push("done")
        break
      }
      const at = ScheduleIntervals.start(decision.intervals)
      probes.push(at - now)
      now = Math.max(now, at)
      state = next
    }
    return probes
  })

const many = <A>(value: A, n: number): ReadonlyArray<A> => Array.from({ length: n }, () => value)

/** Runs a failing action under Effect.retry and says when it was called, and what came out. */
const timeline = <E, R>(errors: ReadonlyArray<E>, schedule: Schedule.Schedule<unknown, E, R>) =>
  Effect.gen(function*() {
    const probes: Array<number> = []
    const action = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const error = errors[Math.min(probes.length, errors.length - 1)] as E
      probes.push(now)
      return Effect.fail(error)
    })
    const start = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.fork(Effect.exit(Effect.retry(action, schedule)))
    yield* TestClock.adjust("10 days")
    const exit = yield* Fiber.join(fiber)
    return { calls: probes.map((at) => at - start), exit }
  })

const badNumbers = [NaN, -1, -Infinity]

const second = Schedule.spaced("1 second")

describe("Schedules.cappedJitter", () => {
  it.effect("R2, R5: the delays spread over (0, min(cap, base * 2^n)), also once the cap is reached", () =>
    Effect.gen(function*() {
      const schedule = Schedules.cappedJitter({ base: 100, cap: 1000 })
      const runs = yield* Effect.replicateEffect(drive(schedule, many(undefined, 8)), 1000)
      for (let n = 0; n < 8; n++) {
        const e = Math.min(1000, 100 * 2 ** n)
        const column = runs.map((run) => run[n] as number)
        expect(Math.max(...column)).toBeLessThanOrEqual(e)
        expect(Math.min(...column)).toBeGreaterThanOrEqual(0)
        expect(Math.max(...column)).toBeGreaterThan(0.9 * e)
        expect(Math.min(...column)).toBeLessThan(0.1 * e)
        const mean = column.reduce((a, b) => a + b, 0) / column.length
        expect(Math.abs(mean - e / 2)).toBeLessThan(0.06 * e)
      }
    }))

  it.effect("R3, R5: by default full jitter with a cap of 20 seconds", () =>
    Effect.gen(function*() {
      const half = yield* drive(Schedules.cappedJitter(), many(undefined, 40)).pipe(
        Effect.withRandom(Random.fixed([0.5]))
      )
      const first = half[0] as number
      expect(first).toBeGreaterThan(0)
      expect(half).toEqual(Array.from({ length: 40 }, (_, n) => Math.min(10_000, first * 2 ** n)))
    }))

  it.effect("E of each attempt is that of the exponential backoff with the same numbers", () =>
    Effect.gen(function*() {
      const backoff = Backoff.exponential({ base: 250, cap: 3000, jitter: Backoff.full })
      const fixed = Effect.withRandom(Random.fixed([0.25, 0.75, 0.5]))
      const a = yield* drive(Schedules.cappedJitter({ base: 250, cap: 3000 }), many(undefined, 9))
        .pipe(fixed)
      const b = yield* drive(Backoff.schedule(backoff), many(undefined, 9)).pipe(fixed)
      expect(a).toEqual(b)
    }))

  it.effect("it outputs the delay", () =>
    Effect.gen(function*() {
      const outputs = yield* Schedule.run(
        Schedules.cappedJitter({ base: 100, cap: 1000 }).pipe(Schedules.retries(3)),
        0,
        many(undefined, 3)
      ).pipe(Effect.withRandom(Random.fixed([0.5])))
      expect(Chunk.toReadonlyArray(Chunk.map(outputs, Duration.toMillis))).toEqual([50, 100, 200])
    }))

  it("DESIGN 6: durations that are NaN or negative are refused, naming field and value", () => {
    for (const field of ["base", "cap"] as const) {
      for (const [bad, shown] of badDurations) {
        const message = refusal(() => Schedules.cappedJitter({ [field]: bad }))
        expect(message).toContain(field)
        expect(message).toContain(shown)
      }
    }
  })

  it("R3: a base above its cap is refused", () => {
    expect(refusal(() => Schedules.cappedJitter({ base: 2000, cap: 1000 }))).toContain("base")
    expect(refusal(() => Schedules.cappedJitter({ base: "21 seconds" }))).toContain("base")
  })

  it.effect("it is a plain schedule: Schedule.driver drives it and the clock shows its waits", () =>
    Effect.gen(function*() {
      const driver = yield* Schedule.driver(
        Schedules.cappedJitter({ base: 100, cap: 150 }).pipe(Schedules.attempts(4))
      )
      const probes: Array<string> = []
      const fiber = yield* Effect.fork(
        driver.next(undefined).pipe(
          Effect.zipRight(Clock.currentTimeMillis),
          Effect.tap((now) => Effect.sync(() => probes.push(`at ${now}`))),
          Effect.forever,
          Effect.catchAll(() => Effect.sync(() => probes.push("done")))
        )
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      expect(probes).toEqual(["at 50", "at 125", "at 200", "done"])
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))
})

describe("Schedules.retries and attempts", () => {
  it.effect("R10: retries(2) is two further attempts, attempts(3) is the same", () =>
    Effect.gen(function*() {
      const a = yield* timeline([server(503)], second.pipe(Schedules.retries(2)))
      const b = yield* timeline([server(503)], second.pipe(Schedules.attempts(3)))
      expect([a.calls, b.calls]).toEqual([[0, 1000, 2000], [0, 1000, 2000]])
    }))

  it.effect("R10: they agree for every n", () =>
    Effect.gen(function*() {
      for (let n = 0; n <= 20; n++) {
        const a = yield* drive(second.pipe(Schedules.retries(n)), many(undefined, 30))
        const b = yield* drive(second.pipe(Schedules.attempts(n + 1)), many(undefined, 30))
        expect([a, b]).toEqual(many([...many(1000, n), "done"], 2))
      }
    }))

  it.effect("R10: retries(0) and attempts(1) call once", () =>
    Effect.gen(function*() {
      const a = yield* timeline(["x"], second.pipe(Schedules.retries(0)))
      const b = yield* timeline(["x"], second.pipe(Schedules.attempts(1)))
      expect([a.calls, b.calls, a.exit]).toEqual([[0], [0], Exit.fail("x")])
    }))

  it.effect("they keep the output and the delays of the schedule they stand on", () =>
    Effect.gen(function*() {
      const outputs = yield* Schedule.run(
        Schedule.exponential("100 millis").pipe(Schedules.retries(3)),
        0,
        many(undefined, 3)
      )
      expect(Chunk.toReadonlyArray(Chunk.map(outputs, Duration.toMillis))).toEqual([100, 200, 400])
    }))

  it("DESIGN 6: numbers that are NaN or negative are refused, naming the value", () => {
    for (const bad of badNumbers) {
      const a = refusal(() => Schedules.retries(bad))
      const b = refusal(() => Schedules.attempts(bad))
      expect(a).toContain("retries")
      expect(a).toContain(String(bad))
      expect(b).toContain("attempts")
      expect(b).toContain(String(bad))
    }
  })

  it("DESIGN 7: attempts counts all calls, so there are no zero attempts", () => {
    expect(refusal(() => Schedules.attempts(0))).toContain("0")
  })
})

describe("Schedules.within", () => {
  it.effect("R13: it stops when the next delay would not end before the deadline, without waiting", () =>
    Effect.gen(function*() {
      const { calls } = yield* timeline([server(503)], second.pipe(Schedules.within("3500 millis")))
      expect(calls).toEqual([0, 1000, 2000, 3000])
    }))

  it.effect("R13: a delay that ends exactly at the deadline does not end before it", () =>
    Effect.gen(function*() {
      const at = (total: number) => drive(second.pipe(Schedules.within(total)), many(undefined, 9))
      expect([yield* at(2999), yield* at(3000), yield* at(3001)]).toEqual([
        [1000, 1000, "done"],
        [1000, 1000, "done"],
        [1000, 1000, 1000, "done"]
      ])
    }))

  it.effect("R13: a first delay that is too long is not begun", () =>
    Effect.gen(function*() {
      expect(yield* drive(Schedule.spaced("1 minute").pipe(Schedules.within("1 minute")), [1, 2]))
        .toEqual(["done"])
    }))

  it.effect("R13: a Retry-After beyond the deadline stops at once", () =>
    Effect.gen(function*() {
      const schedule = second.pipe(Schedules.honourRetryAfter(), Schedules.within("10 seconds"))
      expect(yield* drive(schedule, [rateLimit("4 seconds"), rateLimit("30 seconds")])).toEqual([
        4000,
        "done"
      ])
    }))

  it.effect("R13: time spent in the attempts counts", () =>
    Effect.gen(function*() {
      const probes: Array<number> = []
      const action = Effect.tap(
        Clock.currentTimeMillis,
        (now) => Effect.sync(() => probes.push(now))
      ).pipe(
        Effect.zipRight(Effect.sleep("2 seconds")),
        Effect.zipRight(Effect.fail("down"))
      )
      const fiber = yield* Effect.fork(
        Effect.exit(Effect.retry(action, second.pipe(Schedules.within("5 seconds"))))
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      expect(probes).toEqual([0, 3000, 6000])
    }))

  it("DESIGN 6: a duration that is NaN or negative is refused, naming the value", () => {
    for (const [bad, shown] of badDurations) {
      expect(refusal(() => Schedules.within(bad))).toContain(shown)
    }
  })

  it.effect("any constant delay agrees with counting by hand", () =>
    Effect.gen(function*() {
      const cases = fc.sample(
        fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 500 })),
        { numRuns: runs(500), seed: 13 }
      )
      for (const [every, total] of cases) {
        let n = 0
        while ((n + 1) * every < total) n++
        const delays = yield* drive(
          Schedule.spaced(every).pipe(Schedules.within(total)),
          many(undefined, n + 5)
        )
        expect(delays).toEqual([...many(every, n), "done"])
      }
    }))
})

describe("Schedules.honourRetryAfter", () => {
  const honour = (options?: Parameters<typeof Schedules.honourRetryAfter>[0]) =>
    second.pipe(Schedules.honourRetryAfter(options))

  it.effect("E12: it is a floor for the next delay", () =>
    Effect.gen(function*() {
      const delays = yield* drive(honour(), [
        rateLimit("5 seconds"),
        rateLimit("200 millis"),
        rateLimit(0),
        rateLimit(),
        server(503, "3 seconds"),
        server(500),
        "anything",
        undefined
      ])
      expect(delays).toEqual([5000, 1000, 1000, 1000, 3000, 1000, 1000, 1000])
    }))

  it.effect("E12: jitter may add, never subtract", () =>
    Effect.gen(function*() {
      const schedule = Schedules.cappedJitter({ base: 4000, cap: 8000 }).pipe(
        Schedules.honourRetryAfter()
      )
      const runs = yield* Effect.replicateEffect(
        drive(schedule, many(rateLimit("2 seconds"), 6)),
        200
      )
      const all = runs.flat() as Array<number>
      expect(Math.min(...all)).toBeCloseTo(2000, 6)
      expect(Math.max(...all)).toBeLessThanOrEqual(8000.001)
      expect(all.filter((d) => d > 2001).length).toBeGreaterThan(500)
    }))

  it.effect("E14: it is honoured on every answer that is worth another try, and on nothing else", () =>
    Effect.gen(function*() {
      const retryAfter = Duration.seconds(5)
      const taken = (inFlight: boolean) => conflict({ inFlight, retryAfter })
      const delays = yield* drive(honour(), [
        rateLimit(retryAfter),
        server(503, retryAfter),
        taken(true),
        taken(false),
        server(500, retryAfter),
        server(502, retryAfter),
        locked(retryAfter)
      ])
      expect(delays).toEqual([5000, 5000, 5000, 1000, 5000, 5000, 1000])
    }))

  it.effect("E12: a wait equal to the cap is honoured, one above it stops by default", () =>
    Effect.gen(function*() {
      expect([
        yield* drive(honour(), [rateLimit("60 seconds"), rateLimit(60_001)]),
        yield* drive(honour({ cap: "10 seconds" }), [rateLimit("10 seconds"), rateLimit(10_001)]),
        yield* drive(honour({ beyondCap: "fail" }), [rateLimit("1 hour")]),
        yield* drive(honour(), [rateLimit(Duration.infinity)])
      ]).toEqual([[60_000, "done"], [10_000, "done"], ["done"], ["done"]])
    }))

  it.effect("E12: above the cap with clamp it waits the cap", () =>
    Effect.gen(function*() {
      expect([
        yield* drive(honour({ beyondCap: "clamp" }), [rateLimit("1 hour"), rateLimit("2 seconds")]),
        yield* drive(honour({ cap: "10 seconds", beyondCap: "clamp" }), [rateLimit("11 seconds")]),
        yield* drive(honour({ beyondCap: "clamp" }), [rateLimit(Duration.infinity)])
      ]).toEqual([[60_000, 2000], [10_000], [60_000]])
    }))

  it.effect("E12: a clamp to a cap below the schedule's own delay keeps that delay", () =>
    Effect.gen(function*() {
      expect(yield* drive(honour({ cap: 10, beyondCap: "clamp" }), [rateLimit("1 hour")])).toEqual([
        1000
      ])
    }))

  it.effect("E12: never an unfireable timer", () =>
    Effect.gen(function*() {
      expect(yield* drive(honour({ cap: "60 days" }), [rateLimit("40 days")])).toEqual([maxTimer])
    }))

  it.effect("E12: when it stops, the last error comes out with its hint", () =>
    Effect.gen(function*() {
      const { calls, exit } = yield* timeline([rateLimit("2 minutes")], honour())
      const hint = Exit.match(exit, {
        onSuccess: () => "success",
        onFailure: (cause) =>
          cause._tag === "Fail" ? Duration.toSeconds(cause.error.retryAfter ?? 0) : cause._tag
      })
      expect([calls, hint]).toEqual([[0], 120])
    }))

  it.effect("E12: under the clock the waits are those asked for", () =>
    Effect.gen(function*() {
      const errors = [rateLimit("7 seconds"), server(503), server(503, "2 seconds"), server(500)]
      const { calls } = yield* timeline(errors, honour().pipe(Schedules.retries(4)))
      expect(calls).toEqual([0, 7000, 8000, 10_000, 11_000])
    }))

  it("DESIGN 6: a cap that is NaN or negative is refused, naming field and value", () => {
    for (const [bad, shown] of badDurations) {
      const message = refusal(() => Schedules.honourRetryAfter({ cap: bad }))
      expect(message).toMatch(/cap/i)
      expect(message).toContain(shown)
    }
  })
})

describe("Schedules.whileTransient", () => {
  const key = IdempotencyKey.provideNew
  const first = <R>(operation: Operation.Operation<R>, error: unknown) =>
    Effect.map(
      drive(second.pipe(Schedules.whileTransient(operation)), [error]),
      (delays) => delays[0] === "done" ? "stop" : "again"
    )
  const errors = {
    "429": rateLimit(),
    "503": server(503),
    "425": server(425),
    "501": server(501),
    "422": invalid(),
    "401": unauthorized(),
    "409": conflict(),
    "409 in flight": conflict({ inFlight: true }),
    "408": timeout("server"),
    "attempt timeout": timeout("attempt"),
    "total timeout": timeout("total"),
    "refused": network("no"),
    "reset": network(),
    "a stranger": { _tag: "RateLimit", status: 429 },
    "rejection": "rejection"
  }
  const rows = <R>(operation: Operation.Operation<R>) =>
    Effect.forEach(
      Object.entries(errors),
      ([name, error]) =>
        Effect.map(
          first(operation, error === "rejection" ? rejection(Duration.zero) : error),
          (r) => `${name}: ${r}`
        )
    )
  const repeatable = [
    "401: stop",
    "408: again",
    "409 in flight: again",
    "409: stop",
    "422: stop",
    "425: again",
    "429: again",
    "501: stop",
    "503: again",
    "a stranger: stop",
    "attempt timeout: again",
    "refused: again",
    "rejection: stop",
    "reset: again",
    "total timeout: stop"
  ]

  it.effect("E2, E4, R15: read, idempotent and keyed go on after every transient failure, and only then", () =>
    Effect.gen(function*() {
      expect([
        (yield* rows(Operation.read)).toSorted(),
        (yield* rows(Operation.idempotent)).toSorted(),
        (yield* rows(Operation.keyed)).toSorted()
      ]).toEqual([repeatable, repeatable, repeatable])
    }).pipe(key))

  it.effect("E4: once goes on only after what was certainly not executed", () =>
    Effect.gen(function*() {
      expect((yield* rows(Operation.once)).toSorted()).toEqual([
        "401: stop",
        "408: again",
        "409 in flight: again",
        "409: stop",
        "422: stop",
        "425: again",
        "429: again",
        "501: stop",
        "503: stop",
        "a stranger: stop",
        "attempt timeout: stop",
        "refused: again",
        "rejection: stop",
        "reset: stop",
        "total timeout: stop"
      ])
    }))

  it.effect("it stops in the middle when the failure changes", () =>
    Effect.gen(function*() {
      const errors = [
        server(503),
        rateLimit("2 seconds"),
        unauthorized()
      ]
      const { calls, exit } = yield* timeline<ApiError.ApiError, never>(
        errors,
        second.pipe(
          Schedules.honourRetryAfter(),
          Schedules.whileTransient(Operation.read),
          Schedules.retries(5)
        )
      )
      expect([calls, Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error._tag])
        .toEqual([
          [0, 1000, 3000],
          "Auth"
        ])
    }))

  it.effect("I1: with keyed the key is asked for from the context, and one key serves all attempts", () =>
    Effect.gen(function*() {
      const seen = new Set<unknown>()
      const action = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        seen.add(key)
        return Effect.fail(server(503))
      })
      const policy = Schedule.recurs(3).pipe(Schedules.whileTransient(Operation.keyed))
      yield* Effect.exit(Effect.retry(action, policy)).pipe(key)
      expect(seen.size).toBe(1)
    }))
})

describe("Schedules.budgeted", () => {
  const budgetOf = (capacity: number) => RetryBudget.make({ capacity, reservePerSecond: 0 })

  it.effect("R20: each recurrence spends a token, and without one the schedule is done", () =>
    Effect.gen(function*() {
      const budget = yield* budgetOf(3)
      const { calls } = yield* timeline([server(503)], second.pipe(Schedules.budgeted(budget)))
      expect([calls, yield* budget.available]).toEqual([[0, 1000, 2000, 3000], 0])
    }))

  it.effect("R20: a schedule that is done anyway spends nothing", () =>
    Effect.gen(function*() {
      const budget = yield* budgetOf(3)
      yield* timeline([server(503)], second.pipe(Schedules.retries(1), Schedules.budgeted(budget)))
      expect(yield* budget.available).toBe(2)
    }))

  it.effect("R22: concurrent callers of one budget", () =>
    Effect.gen(function*() {
      const budget = yield* budgetOf(10)
      let calls = 0
      const action = Effect.suspend(() => {
        calls++
        return Effect.zipRight(Effect.yieldNow(), Effect.fail("down"))
      })
      const policy = Schedule.recurs(5).pipe(Schedules.budgeted(budget))
      yield* Effect.all(
        Array.from({ length: 50 }, () => Effect.exit(Effect.retry(action, policy))),
        {
          concurrency: "unbounded"
        }
      )
      expect(calls).toBe(60)
    }))
})

describe("Schedules.poll", () => {
  const polls = (
    options: { readonly every: Duration.DurationInput; readonly within: Duration.DurationInput }
  ) =>
    Effect.gen(function*() {
      const probes: Array<number> = []
      const action = Effect.tap(
        Clock.currentTimeMillis,
        (now) => Effect.sync(() => probes.push(now))
      )
      const fiber = yield* Effect.fork(Effect.repeat(action, Schedules.poll(options)))
      yield* TestClock.adjust("1 day")
      yield* Fiber.join(fiber)
      return probes
    })

  it.effect("R30: it asks again every so often and never for ever: the budget is total time", () =>
    Effect.gen(function*() {
      expect(yield* polls({ every: "1 second", within: "3500 millis" })).toEqual([
        0,
        1000,
        2000,
        3000
      ])
    }))

  it.effect("R30: an interval longer than the budget does not poll again", () =>
    Effect.gen(function*() {
      expect(yield* polls({ every: "10 seconds", within: "3 seconds" })).toEqual([0])
    }))

  it.effect("R30: it ends early with Effect.repeat's own conditions", () =>
    Effect.gen(function*() {
      let status = 0
      const fiber = yield* Effect.fork(
        Effect.repeat(Effect.sync(() => ++status), {
          schedule: Schedules.poll({ every: "1 second", within: "1 hour" }),
          until: (n) => n === 4
        })
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      expect(status).toBe(4)
    }))

  it.effect("R12: interruption between two polls: not polled again", () =>
    Effect.gen(function*() {
      let polled = 0
      const fiber = yield* Effect.fork(
        Effect.repeat(
          Effect.sync(() => ++polled),
          Schedules.poll({ every: "1 second", within: "1 hour" })
        )
      )
      yield* TestClock.adjust("2500 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect(polled).toBe(3)
    }))

  it("DESIGN 6: durations that are NaN or negative are refused, naming field and value", () => {
    for (const [bad, shown] of badDurations) {
      const every = refusal(() => Schedules.poll({ every: bad, within: "1 minute" }))
      const within = refusal(() => Schedules.poll({ every: "1 second", within: bad }))
      expect(every).toContain("every")
      expect(every).toContain(shown)
      expect(within).toContain("within")
      expect(within).toContain(shown)
    }
  })
})

describe("Schedules together", () => {
  it.effect("they compose with Effect's own combinators", () =>
    Effect.gen(function*() {
      const policy = Schedules.cappedJitter({ base: 1000, cap: 4000 }).pipe(
        Schedules.honourRetryAfter(),
        Schedules.whileTransient(Operation.read),
        Schedules.retries(10),
        Schedule.upTo("20 seconds")
      )
      const { calls } = yield* timeline([rateLimit("5 seconds")], policy).pipe(
        Effect.withRandom(Random.fixed([0.5]))
      )
      expect(calls.slice(0, 4)).toEqual([0, 5000, 10_000, 15_000])
      expect(calls.length).toBeLessThanOrEqual(6)
    }))

  it.effect("R12: interruption during a delay: the action is not run again", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.suspend(() => {
        probes.push("call")
        return Effect.fail(rateLimit("10 seconds"))
      })
      const policy = second.pipe(
        Schedules.honourRetryAfter(),
        Schedules.whileTransient(Operation.read)
      )
      const fiber = yield* Effect.fork(Effect.retry(action, policy))
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.interrupt(fiber)
      probes.push("interrupted")
      yield* TestClock.adjust("1 hour")
      expect(probes).toEqual(["call", "call", "interrupted"])
    }))

  it.effect("one stored policy serves many callers, each with its own count", () =>
    Effect.gen(function*() {
      const policy = second.pipe(Schedules.retries(2), Schedules.within("1 minute"))
      const runs = yield* Effect.all([timeline(["a"], policy), timeline(["b"], policy)])
      expect(runs.map((run) => run.calls)).toEqual([[0, 1000, 2000], [0, 1000, 2000]])
    }))
})
