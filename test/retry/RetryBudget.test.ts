import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, Fiber, Layer, Random, TestClock } from "effect"
import { Backoff, Operation, Retry, RetryBudget, Verdict } from "effect-resilience"
import { down, invalid, rateLimit } from "../support/errors.js"
import { runs } from "../support/runs.js"

const times = <A, E, R>(n: number, effect: Effect.Effect<A, E, R>) =>
  Effect.replicateEffect(effect, n)
const drain = (budget: RetryBudget.RetryBudget) =>
  Effect.repeat(budget.withdraw, { while: (taken) => taken })

const refusal = (make: () => Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(Effect.suspend(make))
    if (exit._tag === "Success") return "accepted"
    const cause = exit.cause
    expect(cause._tag).toBe("Die")
    const defect = cause._tag === "Die" ? cause.defect : undefined
    expect(defect).toBeInstanceOf(RangeError)
    return (defect as RangeError).message
  })

describe("RetryBudget tokens", () => {
  it.effect("R20: by default it is initially full with ten tokens, and the eleventh is refused", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      expect(yield* budget.available).toBe(10)
      expect(yield* times(11, budget.withdraw)).toEqual([
        ...Array.from({ length: 10 }, () => true),
        false
      ])
      expect(yield* budget.available).toBe(0)
    }))

  it.effect("R20: a refusal costs nothing: asking again and again does not go below zero", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 1, reservePerSecond: 0, ratio: 1 })
      yield* times(50, budget.withdraw)
      expect(yield* budget.available).toBe(0)
      yield* budget.deposit
      expect(yield* budget.withdraw).toBe(true)
    }))

  it.effect("R20: the reserve of one per second fills it up, to the capacity and no further", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make()
      const probes: Array<string> = []
      const look = (when: string) =>
        Effect.map(budget.available, (n) => probes.push(`${when}: ${n}`))
      yield* drain(budget)
      yield* look("drained")
      yield* TestClock.adjust("1 second")
      yield* look("1 s")
      yield* TestClock.adjust("3 seconds")
      yield* look("4 s")
      yield* TestClock.adjust("6 seconds")
      yield* look("10 s")
      yield* TestClock.adjust("1 hour")
      yield* look("1 h")
      expect(probes).toEqual(["drained: 0", "1 s: 1", "4 s: 4", "10 s: 10", "1 h: 10"])
    }))

  it.effect("R20: the time before the first call does not count twice: a full budget does not overflow", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 3, reservePerSecond: 1 })
      yield* TestClock.adjust("1 hour")
      expect(yield* times(4, budget.withdraw)).toEqual([true, true, true, false])
    }))

  it.effect("R20: fractions of a second add up", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 5, reservePerSecond: 1 })
      yield* drain(budget)
      const taken: Array<boolean> = []
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("100 millis")
        taken.push(yield* budget.withdraw)
      }
      expect(taken).toEqual([false, false, false, false, false, false, false, false, false, true])
    }))

  it.effect("R20: with a reserve of 0 time gives nothing", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 2, reservePerSecond: 0 })
      yield* drain(budget)
      yield* TestClock.adjust("1 day")
      expect(yield* budget.withdraw).toBe(false)
    }))

  it.effect("R20: a success deposits a tenth: nine are not enough, ten give exactly one token", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      yield* drain(budget)
      yield* times(9, budget.deposit)
      expect(yield* budget.withdraw).toBe(false)
      yield* budget.deposit
      expect(yield* budget.available).toBe(1)
      expect(yield* budget.withdraw).toBe(true)
      expect(yield* budget.available).toBe(0)
      expect(yield* budget.withdraw).toBe(false)
    }))

  it.effect("R20: no deposit is lost to floating point over thousands of successes", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      yield* drain(budget)
      const taken: Array<number> = []
      for (let i = 1; i <= 1000; i++) {
        yield* budget.deposit
        if (yield* budget.withdraw) taken.push(i)
      }
      expect(taken).toEqual(Array.from({ length: 100 }, (_, i) => 10 * (i + 1)))
    }))

  it.effect("R20: a hundred successes at p hundredths give exactly p tokens, for every p", () =>
    Effect.gen(function*() {
      const wrong: Array<string> = []
      for (let p = 1; p <= 100; p++) {
        const budget = yield* RetryBudget.make({
          capacity: 200,
          ratio: p / 100,
          reservePerSecond: 0
        })
        yield* drain(budget)
        yield* times(100, budget.deposit)
        const taken = (yield* times(p + 1, budget.withdraw)).filter(Boolean).length
        if (taken !== p) wrong.push(`${p / 100}: ${taken}`)
      }
      expect(wrong).toEqual([])
    }))

  it.effect("R20: a reserve below one per second adds up as well, also when it is looked at often", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 5, reservePerSecond: 0.1 })
      yield* drain(budget)
      const taken: Array<number> = []
      for (let second = 1; second <= 30; second++) {
        yield* TestClock.adjust("1 second")
        yield* budget.available
        if (yield* budget.withdraw) taken.push(second)
      }
      expect(taken).toEqual([10, 20, 30])
    }))

  it.effect("R20: deposits fill up to the capacity and no further", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 2, ratio: 1, reservePerSecond: 0 })
      yield* times(100, budget.deposit)
      expect(yield* budget.available).toBe(2)
      expect(yield* times(3, budget.withdraw)).toEqual([true, true, false])
    }))

  it.effect("R20: any sequence of steps agrees with the book kept in tenths", () =>
    Effect.gen(function*() {
      const step = fc.constantFrom("deposit", "withdraw", "available")
      const sequences = fc.sample(
        fc.tuple(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 })),
        runs(500)
      )
      for (const [capacity, steps] of sequences) {
        const budget = yield* RetryBudget.make({ capacity, ratio: 0.1, reservePerSecond: 0 })
        let tenths = capacity * 10
        for (const s of steps) {
          if (s === "deposit") {
            yield* budget.deposit
            tenths = Math.min(capacity * 10, tenths + 1)
          } else if (s === "withdraw") {
            expect(yield* budget.withdraw).toBe(tenths >= 10)
            if (tenths >= 10) tenths -= 10
          } else {
            expect(yield* budget.available).toBeCloseTo(tenths / 10, 6)
          }
        }
      }
    }))

  it.effect("DESIGN 6: options that are NaN or negative are refused, naming field and value", () =>
    Effect.gen(function*() {
      for (const field of ["ratio", "capacity", "reservePerSecond"] as const) {
        for (const bad of [NaN, -1, -Infinity]) {
          const message = yield* refusal(() => RetryBudget.make({ [field]: bad }))
          expect(message).toContain(field)
          expect(message).toContain(String(bad))
        }
      }
    }))

  it.effect("the layer provides one budget with the options given", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.RetryBudget
      const again = yield* RetryBudget.RetryBudget
      expect(budget).toBe(again)
      expect(yield* budget.available).toBe(3)
    }).pipe(Effect.provide(RetryBudget.layer({ capacity: 3 }))))

  it.effect("R22: two layers of two upstreams do not share", () =>
    Effect.gen(function*() {
      const build = Effect.provide(
        RetryBudget.RetryBudget,
        Layer.fresh(RetryBudget.layer({ reservePerSecond: 0 }))
      )
      const [a, b] = yield* Effect.all([build, build])
      yield* drain(a)
      expect([yield* a.available, yield* b.available]).toEqual([0, 10])
    }))

  it.effect("R22: concurrent callers together get exactly what is there", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      const caller = Effect.yieldNow().pipe(Effect.zipRight(budget.withdraw))
      const taken = yield* Effect.all(Array.from({ length: 200 }, () => caller), {
        concurrency: "unbounded"
      })
      expect(taken.filter(Boolean).length).toBe(10)
      expect(yield* budget.available).toBe(0)
    }))

  it.effect("an interrupted caller takes at most its own token", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      const fiber = yield* Effect.fork(
        Effect.yieldNow().pipe(Effect.zipRight(budget.withdraw), Effect.forever)
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      const left = yield* budget.available
      expect(left).toBeGreaterThanOrEqual(0)
      expect(left).toBe(Math.floor(left))
      yield* drain(budget)
      yield* times(10, budget.deposit)
      expect(yield* budget.withdraw).toBe(true)
    }))
})

describe("RetryBudget and Retry", () => {
  const failing = () => {
    const probes: Array<string> = []
    const call = Effect.suspend(() => {
      probes.push("call")
      return Effect.fail(down)
    })
    return { probes, call }
  }
  const policy = (budget: RetryBudget.RetryBudget, retries: number) => ({
    operation: Operation.read,
    backoff: Backoff.constant(0),
    retries,
    budget
  })

  it.effect("R20: each retry spends one token; first attempts are never counted", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      const { call, probes } = failing()
      yield* Effect.exit(Retry.retry(call, policy(budget, 3)))
      expect([probes.length, yield* budget.available]).toEqual([4, 7])
    }))

  it.effect("R20: first attempts are never refused, also by an empty budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      yield* drain(budget)
      const { call, probes } = failing()
      const exits = yield* times(5, Effect.exit(Retry.retry(call, policy(budget, 3))))
      expect(exits.map((exit) => exit._tag)).toEqual(Array.from({ length: 5 }, () => "Failure"))
      expect(probes.length).toBe(5)
      expect(yield* Retry.retry(Effect.succeed("fine"), policy(budget, 3))).toBe("fine")
    }))

  it.effect("R20: a refused retry returns the last error", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 1, reservePerSecond: 0 })
      const { call, probes } = failing()
      const error = yield* Effect.flip(Retry.retry(call, policy(budget, 5)))
      expect([probes.length, error._tag, error.status, error.attempts]).toEqual([
        2,
        "Server",
        503,
        2
      ])
    }))

  it.effect("R21: only a success deposits: a total outage leaves the reserve alone", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 10, ratio: 1, reservePerSecond: 0 })
      yield* drain(budget)
      const { call } = failing()
      yield* times(20, Effect.exit(Retry.retry(call, policy(budget, 0))))
      expect(yield* budget.available).toBe(0)
      yield* times(3, Retry.retry(Effect.void, policy(budget, 0)))
      expect(yield* budget.available).toBe(3)
    }))

  it.effect("R20: a success after a retry deposits as well, once", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 10, ratio: 0.5, reservePerSecond: 0 })
      let calls = 0
      const call = Effect.suspend(() => ++calls === 1 ? Effect.fail(down) : Effect.void)
      yield* Retry.retry(call, policy(budget, 2))
      expect(yield* budget.available).toBe(9.5)
    }))

  it.effect("R20: a failure that is not retried spends nothing", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      const probes: Array<string> = []
      const left = (what: string) =>
        Effect.map(budget.available, (n) => probes.push(`${what}: ${n}`))
      const terminal = invalid()
      yield* Effect.exit(Retry.retry(Effect.fail(terminal), policy(budget, 3)))
      yield* left("terminal")
      yield* Effect.exit(
        Retry.retry(Effect.fail(down), { ...policy(budget, 3), operation: Operation.once })
      )
      yield* left("not repeatable")
      yield* Effect.exit(Retry.retry(Effect.fail(down), policy(budget, 0)))
      yield* left("retries")
      yield* Effect.exit(
        Retry.retry(Effect.fail(down), {
          ...policy(budget, 3),
          backoff: Backoff.constant("1 second"),
          within: "1 second"
        })
      )
      yield* left("deadline")
      const later = rateLimit(Duration.hours(1))
      yield* Effect.exit(Retry.retry(Effect.fail(later), policy(budget, 3)))
      yield* left("retry-after above the cap")
      yield* Effect.exit(Retry.retry(Effect.die("bug"), policy(budget, 3)))
      yield* left("defect")
      expect(probes).toEqual([
        "terminal: 10",
        "not repeatable: 10",
        "retries: 10",
        "deadline: 10",
        "retry-after above the cap: 10",
        "defect: 10"
      ])
    }))

  it.effect("R22: a hundred concurrent callers share one budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ reservePerSecond: 0 })
      const { call, probes } = failing()
      yield* Effect.all(
        Array.from({ length: 100 }, () =>
          Effect.exit(Retry.retry(Effect.zipRight(Effect.yieldNow(), call), policy(budget, 5)))),
        { concurrency: "unbounded" }
      )
      expect(probes.length).toBe(110)
    }))

  it.effect(
    "R23: with a saturated budget the load is 1 + r*s and the success share s = (1-f)/(1-r(1-f))",
    () =>
      Effect.gen(function*() {
        const worlds = fc.sample(
          fc.record({
            f: fc.double({ min: 0.4, max: 0.95, noNaN: true }),
            r: fc.double({ min: 0.05, max: 0.4, noNaN: true }),
            seed: fc.integer()
          }),
          { numRuns: runs(40), seed: 23 }
        )
        for (const { f, r, seed } of worlds) {
          const calls = 1500
          const budget = yield* RetryBudget.make({ ratio: r, capacity: 10, reservePerSecond: 0 })
          yield* drain(budget)
          const random = Random.make(seed)
          let attempts = 0
          const attempt = Effect.flatMap(random.next, (draw) => {
            attempts++
            return draw < f ? Effect.fail("down") : Effect.void
          })
          const once = Retry.retry(attempt, {
            ...policy(budget, 1000),
            verdict: () => Verdict.transient()
          })
          const exits = yield* times(calls, Effect.exit(once))
          const share = exits.filter((exit) => exit._tag === "Success").length / calls
          const s = (1 - f) / (1 - r * (1 - f))
          expect(Math.abs(share - s), `success share at f=${f}, r=${r}`).toBeLessThan(0.07)
          expect(Math.abs(attempts / calls - (1 + r * s)), `load at f=${f}, r=${r}`).toBeLessThan(
            0.04
          )
        }
      }),
    60_000
  )
})
