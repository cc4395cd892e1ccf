import { describe, expect, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  Fiber,
  Random,
  Schedule,
  ScheduleDecision,
  ScheduleIntervals,
  Schema,
  TestClock
} from "effect"
import { FastCheck as fc, ParseResult } from "effect"
import { Backoff } from "effect-resilience"
import { badDurations, refusal } from "../support/refusal.js"
import { runs } from "../support/runs.js"

const hour = 3_600_000
const maxTimer = 2 ** 31 - 1

const near = (actual: number, expected: number) =>
  Math.abs(actual - expected) <= 1e-6 * Math.max(1, Math.abs(expected))

const millis = (duration: Duration.Duration) => Duration.toMillis(duration)

/** Multiply step by step, the way a person would, and stop where the cap is. */
const slowExponential = (base: number, factor: number, cap: number, attempt: number) => {
  let value = base
  const steps = factor > 1 ? attempt : 0
  for (let i = 0; i < steps && value < cap; i++) value *= factor
  return Math.min(cap, value)
}

const delay = (backoff: Backoff.Backoff, attempt: number, unit: number, previousMillis = 0) =>
  Backoff.delayMillis(backoff, { attempt, previousMillis, unit })

/**
 * Delays of the first steps of a schedule, driven by hand: the time moves only by what the schedule
 * asks for.
 */
const drive = (schedule: Schedule.Schedule<unknown, unknown>, steps: number) =>
  Effect.gen(function*() {
    const delays: Array<number> = []
    let state = schedule.initial
    let now = 1000
    for (let i = 0; i < steps; i++) {
      const [next, , decision] = yield* schedule.step(now, undefined, state)
      if (ScheduleDecision.isDone(decision)) break
      const at = ScheduleIntervals.start(decision.intervals)
      delays.push(at - now)
      now = at
      state = next
    }
    return delays
  })

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const attempt = fc.oneof(fc.nat({ max: 12 }), fc.nat({ max: 1_000_000 }))
const baseAndCap = fc.tuple(fc.integer({ min: 1, max: hour }), fc.integer({ min: 1, max: hour }))
  .map(([a, b]) => ({
    base: Math.min(a, b),
    cap: Math.max(a, b)
  }))
const factor = fc.oneof(
  fc.integer({ min: 1, max: 10 }),
  fc.double({ min: 1, max: 100, noNaN: true }),
  fc.integer({ min: 1, max: hour })
)
const jitter = fc.oneof(
  fc.constantFrom(Backoff.none, Backoff.full, Backoff.equal),
  fc.integer({ min: 0, max: hour }).map((max) => Backoff.additive(max))
)
const backoffs: fc.Arbitrary<Backoff.Backoff> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: hour }), jitter).map(([d, j]) =>
    Backoff.constant(d, { jitter: j })
  ),
  fc.tuple(baseAndCap, jitter).map(([o, j]) => Backoff.linear({ ...o, jitter: j })),
  fc.tuple(baseAndCap, factor, jitter).map(([o, f, j]) =>
    Backoff.exponential({ ...o, factor: f, jitter: j })
  ),
  baseAndCap.map((o) => Backoff.decorrelated(o))
)

describe("Backoff formulas", () => {
  it("R1: without jitter the delay is min(cap, base * factor^n)", () => {
    fc.assert(
      fc.property(baseAndCap, factor, attempt, unit, (o, f, n, u) =>
        near(
          delay(Backoff.exponential({ ...o, factor: f, jitter: Backoff.none }), n, u),
          slowExponential(o.base, f, o.cap, n)
        )),
      { numRuns: runs(1000) }
    )
  })

  it("R1: full jitter is U(0, E)", () => {
    fc.assert(
      fc.property(baseAndCap, factor, attempt, unit, (o, f, n, u) =>
        near(
          delay(Backoff.exponential({ ...o, factor: f, jitter: Backoff.full }), n, u),
          slowExponential(o.base, f, o.cap, n) * u
        )),
      { numRuns: runs(1000) }
    )
  })

  it("R1: equal jitter is E/2 + U(0, E/2)", () => {
    fc.assert(
      fc.property(baseAndCap, factor, attempt, unit, (o, f, n, u) => {
        const half = slowExponential(o.base, f, o.cap, n) / 2
        return near(
          delay(Backoff.exponential({ ...o, factor: f, jitter: Backoff.equal }), n, u),
          half + half * u
        )
      }),
      { numRuns: runs(1000) }
    )
  })

  it("R1, R2: additive(m) is min(cap, E + U(0, m)), the cap comes last", () => {
    fc.assert(
      fc.property(
        baseAndCap,
        factor,
        attempt,
        unit,
        fc.integer({ min: 0, max: hour }),
        (o, f, n, u, m) =>
          near(
            delay(Backoff.exponential({ ...o, factor: f, jitter: Backoff.additive(m) }), n, u),
            Math.min(o.cap, slowExponential(o.base, f, o.cap, n) + m * u)
          )
      ),
      { numRuns: runs(1000) }
    )
  })

  it("R1, R2: decorrelated is min(cap, U(base, 3 * previous))", () => {
    fc.assert(
      fc.property(
        baseAndCap,
        fc.integer({ min: 1, max: 1_000_000 }),
        unit,
        unit,
        (o, n, u, where) => {
          const previous = o.base + (o.cap - o.base) * where
          return near(
            delay(Backoff.decorrelated(o), n, u, previous),
            Math.min(o.cap, o.base + (3 * previous - o.base) * u)
          )
        }
      ),
      { numRuns: runs(1000) }
    )
  })

  it("R3: the first decorrelated delay uses previous = base", () => {
    fc.assert(
      fc.property(
        baseAndCap,
        unit,
        (o, u) =>
          near(delay(Backoff.decorrelated(o), 0, u, 0), Math.min(o.cap, o.base + 2 * o.base * u))
      ),
      { numRuns: runs(500) }
    )
  })

  it("R3: linear is base * (n + 1), capped", () => {
    fc.assert(
      fc.property(
        baseAndCap,
        attempt,
        unit,
        (o, n, u) => near(delay(Backoff.linear(o), n, u), Math.min(o.cap, o.base * (n + 1)))
      ),
      { numRuns: runs(1000) }
    )
  })

  it("R3: constant is the same for every attempt", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: hour }),
        attempt,
        unit,
        (d, n, u) => near(delay(Backoff.constant(d), n, u), d)
      ),
      { numRuns: runs(500) }
    )
  })

  it("R1: the jitters apply to constant and linear too", () => {
    expect([
      delay(Backoff.constant(1000, { jitter: Backoff.full }), 3, 0.25),
      delay(Backoff.constant(1000, { jitter: Backoff.equal }), 3, 0.25),
      delay(Backoff.constant(1000, { jitter: Backoff.additive(400) }), 3, 0.25),
      delay(Backoff.linear({ base: 100, cap: 1000, jitter: Backoff.full }), 2, 0.5),
      delay(Backoff.linear({ base: 100, cap: 1000, jitter: Backoff.equal }), 2, 0.5),
      delay(Backoff.linear({ base: 100, cap: 1000, jitter: Backoff.additive(400) }), 2, 0.5)
    ]).toEqual([250, 625, 1100, 150, 225, 500])
  })

  it("R1: it saturates at the cap without overflow, also for the millionth attempt", () => {
    const far = [53, 64, 1023, 1024, 1_000_000]
    const at = (backoff: Backoff.Backoff) => far.map((n) => delay(backoff, n, 0.5, 8000))
    const o = { base: "500 millis", cap: "8 seconds" } as const
    expect(at(Backoff.exponential({ ...o, jitter: Backoff.none }))).toEqual(far.map(() => 8000))
    expect(at(Backoff.exponential({ ...o, jitter: Backoff.full }))).toEqual(far.map(() => 4000))
    expect(at(Backoff.exponential({ ...o, jitter: Backoff.equal }))).toEqual(far.map(() => 6000))
    expect(at(Backoff.exponential({ ...o, jitter: Backoff.additive(300) }))).toEqual(
      far.map(() => 8000)
    )
    expect(at(Backoff.exponential({ ...o, factor: 1e300, jitter: Backoff.none }))).toEqual(
      far.map(() => 8000)
    )
    expect(at(Backoff.linear(o))).toEqual(far.map(() => 8000))
    expect(at(Backoff.decorrelated(o))).toEqual(far.map(() => 8000))
  })

  it("R2, R3: every draw is finite, not negative and never above the cap", () => {
    fc.assert(
      fc.property(backoffs, attempt, unit, unit, (backoff, n, u, where) => {
        const previous = backoff._tag === "Decorrelated"
          ? millis(backoff.base) + (millis(backoff.cap) - millis(backoff.base)) * where
          : where * hour
        const value = delay(backoff, n, u, previous)
        const cap = backoff._tag === "Constant" ? Infinity : millis(backoff.cap)
        return Number.isFinite(value) && value >= 0 && value <= cap
      }),
      { numRuns: runs(2000) }
    )
  })

  it("R2: full and equal jitter still spread once the cap is reached", () => {
    const spread = (j: Backoff.Jitter) => {
      const draws = Array.from(
        { length: 1000 },
        (_, i) => delay(Backoff.exponential({ base: 100, cap: 1000, jitter: j }), 40, i / 1000)
      )
      return [
        new Set(draws).size,
        Math.min(...draws),
        Math.max(...draws) > 990,
        Math.max(...draws) <= 1000
      ]
    }
    expect(spread(Backoff.full)).toEqual([1000, 0, true, true])
    expect(spread(Backoff.equal)).toEqual([1000, 500, true, true])
  })

  it("R3: no run of zero delays: over many draws at any attempt most are above zero", () => {
    fc.assert(
      fc.property(
        backoffs,
        attempt,
        (backoff, n) => [0.25, 0.5, 0.75].every((u) => delay(backoff, n, u, 1) > 0)
      ),
      { numRuns: runs(500) }
    )
  })
})

describe("Backoff defaults", () => {
  it("R3: exponential has full jitter, factor 2 and a cap of 20 seconds", () => {
    const backoff = Backoff.exponential({ base: "1 second" })
    const envelope = (n: number) => {
      const e = Backoff.envelope(backoff, n)
      return [millis(e.min), millis(e.max)]
    }
    expect([0, 1, 2, 3, 4, 5, 6, 1_000_000].map(envelope)).toEqual([
      [0, 1000],
      [0, 2000],
      [0, 4000],
      [0, 8000],
      [0, 16000],
      [0, 20000],
      [0, 20000],
      [0, 20000]
    ])
    expect([0, 3, 9].map((n) => delay(backoff, n, 0.5))).toEqual([500, 4000, 10000])
  })

  it("R3: constant and linear have no jitter", () => {
    expect([
      delay(Backoff.constant("1 second"), 0, 0.1),
      delay(Backoff.constant("1 second"), 4, 0.9),
      delay(Backoff.linear({ base: "1 second" }), 0, 0.1),
      delay(Backoff.linear({ base: "1 second" }), 4, 0.9)
    ]).toEqual([1000, 1000, 1000, 5000])
  })

  it("DESIGN: a backoff is data: plain tags and durations that can be read back", () => {
    expect(Backoff.exponential({ base: "1 second" })).toMatchObject({
      _tag: "Exponential",
      factor: 2,
      jitter: { _tag: "Full" }
    })
    expect(Backoff.constant("1 second")).toMatchObject({
      _tag: "Constant",
      jitter: { _tag: "None" }
    })
    expect(Backoff.linear({ base: "1 second" })).toMatchObject({
      _tag: "Linear",
      jitter: { _tag: "None" }
    })
    expect(Backoff.decorrelated({ base: "1 second", cap: "2 seconds" })).toMatchObject({
      _tag: "Decorrelated"
    })
    expect([Backoff.none._tag, Backoff.full._tag, Backoff.equal._tag, Backoff.additive(1)._tag])
      .toEqual([
        "None",
        "Full",
        "Equal",
        "Additive"
      ])
  })
})

describe("Backoff.envelope", () => {
  it("R1: it is exactly what the draws can reach", () => {
    fc.assert(
      fc.property(backoffs, attempt, unit, (backoff, n, u) => {
        if (backoff._tag === "Decorrelated") return true
        const e = Backoff.envelope(backoff, n)
        const almostOne = 1 - Number.EPSILON
        return near(delay(backoff, n, 0), millis(e.min)) &&
          near(delay(backoff, n, almostOne), millis(e.max)) &&
          delay(backoff, n, u) >= millis(e.min) - 1e-3 &&
          delay(backoff, n, u) <= millis(e.max) + 1e-3
      }),
      { numRuns: runs(1000) }
    )
  })

  it("R1: decorrelated goes from base to min(cap, base * 3^(n + 1))", () => {
    const e = (n: number) => {
      const { max, min } = Backoff.envelope(Backoff.decorrelated({ base: 100, cap: 5000 }), n)
      return [millis(min), millis(max)]
    }
    expect([0, 1, 2, 3, 1_000_000].map(e)).toEqual([[100, 300], [100, 900], [100, 2700], [
      100,
      5000
    ], [100, 5000]])
  })
})

describe("Backoff refusals", () => {
  const fields: ReadonlyArray<readonly [string, string, (bad: Duration.DurationInput) => unknown]> =
    [
      ["constant delay", "delay", (bad) => Backoff.constant(bad)],
      ["linear base", "base", (bad) => Backoff.linear({ base: bad, cap: "1 minute" })],
      ["linear cap", "cap", (bad) => Backoff.linear({ base: "1 second", cap: bad })],
      ["exponential base", "base", (bad) => Backoff.exponential({ base: bad, cap: "1 minute" })],
      ["exponential cap", "cap", (bad) => Backoff.exponential({ base: "1 second", cap: bad })],
      ["decorrelated base", "base", (bad) => Backoff.decorrelated({ base: bad, cap: "1 minute" })],
      ["decorrelated cap", "cap", (bad) => Backoff.decorrelated({ base: "1 second", cap: bad })],
      ["additive maximum", "additive", (bad) => Backoff.additive(bad)]
    ]

  for (const [what, field, build] of fields) {
    it(`DESIGN 6: a NaN or negative ${what} is refused, naming field and value`, () => {
      for (const [bad, shown] of badDurations) {
        const message = refusal(() => build(bad))
        expect(message).toContain(field)
        expect(message).toContain(shown)
      }
    })
  }

  it("DESIGN 6: a factor that is NaN, negative or zero is refused, naming field and value", () => {
    for (const bad of [NaN, -1, -Infinity, 0]) {
      const message = refusal(() => Backoff.exponential({ base: "1 second", factor: bad }))
      expect(message).toContain("factor")
      expect(message).toContain(String(bad))
    }
  })

  it("R3: a base above its cap is refused, naming field and value", () => {
    for (
      const build of [
        () => Backoff.exponential({ base: 9000, cap: 8000 }),
        () => Backoff.linear({ base: 9000, cap: 8000 }),
        () => Backoff.decorrelated({ base: 9000, cap: 8000 })
      ]
    ) {
      const message = refusal(build)
      expect(message).toContain("base")
      expect(message).toMatch(/9000|9 ?s|9000ms/)
    }
  })

  it("R3: a base above the default cap of 20 seconds is refused", () => {
    expect(refusal(() => Backoff.exponential({ base: "21 seconds" }))).toContain("base")
  })

  it("R3: a base equal to its cap is accepted", () => {
    expect([
      delay(Backoff.exponential({ base: 8000, cap: 8000, jitter: Backoff.none }), 0, 0),
      delay(Backoff.linear({ base: 8000, cap: 8000 }), 0, 0),
      delay(Backoff.decorrelated({ base: 8000, cap: 8000 }), 0, 0)
    ]).toEqual([8000, 8000, 8000])
  })

  it("R11: zero is accepted when it is asked for", () => {
    expect(delay(Backoff.constant(0), 5, 0.5)).toBe(0)
  })
})

describe("Backoff schema", () => {
  const encode = Schema.encodeUnknownSync(Backoff.Backoff)
  const decode = Schema.decodeUnknownEither(Backoff.Backoff)

  it("DESIGN 3: decoding what was encoded, through JSON, behaves the same", () => {
    fc.assert(
      fc.property(backoffs, attempt, unit, (backoff, n, u) => {
        const back = decode(JSON.parse(JSON.stringify(encode(backoff))))
        if (back._tag === "Left") throw back.left
        expect(back.right._tag).toBe(backoff._tag)
        return delay(back.right, n, u, 5000) === delay(backoff, n, u, 5000)
      }),
      { numRuns: runs(500) }
    )
  })

  const failure = (input: unknown) => {
    const result = decode(input)
    if (result._tag === "Right") return "accepted"
    expect(ParseResult.isParseError(result.left)).toBe(true)
    return result.left.message
  }

  it("DESIGN 6: decoded configuration fails with a ParseError that names the path", () => {
    const encoded = encode(Backoff.exponential({ base: 500, cap: 8000 })) as Record<string, unknown>
    expect(Object.keys(encoded)).toEqual(expect.arrayContaining(["base", "cap", "factor"]))
    expect(failure({ ...encoded, base: -5 })).toContain("base")
    expect(failure({ ...encoded, base: "-5 millis" })).toContain("base")
    expect(failure({ ...encoded, base: "soon" })).toContain("base")
    expect(failure({ ...encoded, cap: NaN })).toContain("cap")
    expect(failure({ ...encoded, factor: -1 })).toContain("factor")
    expect(failure({ ...encoded, factor: NaN })).toContain("factor")
  })

  it("R3: a decoded base above its cap is refused", () => {
    const { base, cap, ...rest } = encode(Backoff.exponential({ base: 500, cap: 8000 })) as Record<
      string,
      unknown
    >
    expect(failure({ ...rest, base: cap, cap: base })).toContain("base")
  })

  it("DESIGN 6: nonsense is a ParseError, not a crash", () => {
    for (
      const input of [undefined, null, 3, "exponential", [], {}, { _tag: "Cubic" }, {
        _tag: "Exponential"
      }]
    ) {
      expect(failure(input)).not.toBe("accepted")
    }
  })
})

describe("Widget Session formula", () => {
  const widget = Backoff.exponential({
    base: "500 millis",
    cap: "8 seconds",
    jitter: Backoff.additive("300 millis")
  })
  const low = (n: number) => Math.min(500 * 2 ** n, 8000)
  const high = (n: number) => Math.min(500 * 2 ** n + 300, 8000)

  it("R4: attempts 0..5 lie in [500*2^n, 500*2^n + 300] capped at 8000, over 10 000 draws", () => {
    fc.assert(
      fc.property(fc.nat({ max: 5 }), unit, (n, u) => {
        const value = delay(widget, n, u)
        return value >= low(n) && value <= high(n) &&
          near(value, Math.min(500 * 2 ** n + 300 * u, 8000))
      }),
      { numRuns: runs(10_000) }
    )
  })

  it.effect("R4: the schedule draws the same numbers", () =>
    Effect.gen(function*() {
      for (let run = 0; run < runs(1700); run++) {
        const delays = yield* drive(Backoff.schedule(widget), 6)
        expect(delays.length).toBe(6)
        for (let n = 0; n <= 5; n++) {
          expect(delays[n]).toBeGreaterThanOrEqual(low(n) - 0.5)
          expect(delays[n]).toBeLessThanOrEqual(high(n) + 0.5)
        }
      }
    }))

  it("R4: its envelope says so", () => {
    expect([0, 1, 2, 3, 4, 5].map((n) => {
      const e = Backoff.envelope(widget, n)
      return [millis(e.min), millis(e.max)]
    })).toEqual([[500, 800], [1000, 1300], [2000, 2300], [4000, 4300], [8000, 8000], [8000, 8000]])
  })
})

describe("Backoff.schedule", () => {
  const fixed = (u: number) => Effect.withRandom(Random.fixed([u]))

  it.effect("R1: it waits what the formula says, for ever", () =>
    Effect.gen(function*() {
      const delays = yield* drive(
        Backoff.schedule(Backoff.exponential({ base: 100, cap: 1000, jitter: Backoff.none })),
        7
      )
      expect(delays).toEqual([100, 200, 400, 800, 1000, 1000, 1000])
    }))

  it.effect("R1: it draws from the Random service", () =>
    Effect.gen(function*() {
      const delays = yield* drive(
        Backoff.schedule(Backoff.exponential({ base: 100, cap: 1000 })),
        5
      ).pipe(fixed(0.5))
      expect(delays).toEqual([50, 100, 200, 400, 500])
    }))

  it.effect("R1, R3: decorrelated remembers the previous delay", () =>
    Effect.gen(function*() {
      const delays = yield* drive(
        Backoff.schedule(Backoff.decorrelated({ base: 100, cap: 800 })),
        5
      ).pipe(fixed(0.5))
      expect(delays).toEqual([200, 350, 575, 800, 800])
    }))

  it.effect("it outputs the delay it chose", () =>
    Effect.gen(function*() {
      const schedule = Backoff.schedule(Backoff.linear({ base: 100, cap: 250 }))
      const outputs = yield* Schedule.run(
        schedule.pipe(Schedule.intersect(Schedule.recurs(4))),
        0,
        [1, 2, 3, 4]
      )
      expect(Array.from(outputs, ([out]) => millis(out))).toEqual([100, 200, 250, 250])
    }))

  it.effect("E12: a delay is never longer than a timer can fire", () =>
    Effect.gen(function*() {
      const delays = yield* drive(Backoff.schedule(Backoff.constant("60 days")), 2)
      expect(delays).toEqual([maxTimer, maxTimer])
    }))

  it.effect("one value serves many callers: each starts at its own first attempt", () =>
    Effect.gen(function*() {
      const schedule = Backoff.schedule(Backoff.decorrelated({ base: 100, cap: 800 }))
      const [first, second] = yield* Effect.all([drive(schedule, 3), drive(schedule, 3)], {
        concurrency: 2
      }).pipe(
        fixed(0.5)
      )
      expect([first, second]).toEqual([[200, 350, 575], [200, 350, 575]])
    }))

  it.effect("it composes with Effect.retry under the clock", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.clockWith((clock) => clock.currentTimeMillis).pipe(
        Effect.tap((now) => Effect.sync(() => probes.push(`call at ${now}`))),
        Effect.zipRight(Effect.fail("down"))
      )
      const policy = Backoff.schedule(
        Backoff.exponential({ base: 100, cap: 300, jitter: Backoff.none })
      ).pipe(
        Schedule.intersect(Schedule.recurs(3))
      )
      const fiber = yield* Effect.fork(Effect.exit(Effect.retry(action, policy)))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      expect(probes).toEqual(["call at 0", "call at 100", "call at 300", "call at 600"])
    }))

  it.effect("R12: interruption during a delay: the action is not run again", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const action = Effect.suspend(() => {
        probes.push("call")
        return Effect.fail("down")
      })
      const fiber = yield* Effect.fork(
        Effect.retry(action, Backoff.schedule(Backoff.constant("1 second")))
      )
      yield* TestClock.adjust("1500 millis")
      yield* Fiber.interrupt(fiber)
      probes.push("interrupted")
      yield* TestClock.adjust("1 minute")
      expect(probes).toEqual(["call", "call", "interrupted"])
    }))
})
