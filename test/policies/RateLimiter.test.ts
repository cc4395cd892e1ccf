import { describe, expect, it } from "@effect/vitest"
import {
  Clock,
  Duration,
  Effect,
  Exit,
  FastCheck as fc,
  Fiber,
  TestClock,
  TestContext
} from "effect"
import { Rejection } from "effect-resilience"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { Limiter } from "../../src/policies/rateLimiter/limiter.js"
import { earlyClock } from "../support/clocks.js"
import { wordsFor } from "../support/exits.js"
import { badDurations, refusal, refusalOf } from "../support/refusal.js"
import { runs } from "../support/runs.js"
import { settle } from "../support/turns.js"

/** An exit in a word; for a rejection also what it says. */
const wordOf = wordsFor({
  failure: (error) =>
    error instanceof RateLimiter.RateLimited
      ? `RateLimited ${Duration.toMillis(error.retryAfter)}`
      : undefined
})

const open = (options: RateLimiter.Options) =>
  Effect.gen(function*() {
    const limiter = yield* RateLimiter.make(options)
    /** `name at millis`, in the order in which calls began. */
    const log: Array<string> = []
    const work = (name: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => log.push(`${name} at ${now}`))
    const call = (name: string, call?: RateLimiter.CallOptions) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(limiter.protect(Effect.as(work(name), "ran"), call))
        yield* settle
        return {
          interrupt: Effect.zipRight(Fiber.interrupt(fiber), settle),
          now: Effect.sync(() => {
            const exit = fiber.unsafePoll()
            return exit === null ? "waiting" : wordOf(exit)
          })
        }
      })
    const calls = (names: ReadonlyArray<string>, options?: RateLimiter.CallOptions) =>
      Effect.forEach(names, (name) => call(name, options))
    /** What a call says at once. */
    const outcome = (options?: RateLimiter.CallOptions) =>
      Effect.flatMap(call("probe", options), ({ interrupt, now }) => Effect.zipLeft(now, interrupt))
    return { limiter, log, call, calls, outcome }
  })

const refused = (options: RateLimiter.Options) => refusalOf(RateLimiter.make(options))

const rejecting = { limit: 2, interval: "1 second", mode: "reject" } as const

describe("admits", () => {
  it.effect("G15: the burst passes at once, by default the whole limit, and after that the calls are spaced", () =>
    Effect.gen(function*() {
      const { calls, log } = yield* open({ limit: 4, interval: "1 second" })
      yield* calls(["a", "b", "c", "d", "e", "f"])
      yield* TestClock.adjust("10 seconds")
      expect(log).toEqual(["a at 0", "b at 0", "c at 0", "d at 0", "e at 250", "f at 500"])
    }))

  it.effect("G15: with a burst of one every call is spaced", () =>
    Effect.gen(function*() {
      const { calls, log } = yield* open({ limit: 4, interval: "1 second", burst: 1 })
      yield* calls(["a", "b", "c"])
      yield* TestClock.adjust("1 second")
      expect(log).toEqual(["a at 0", "b at 250", "c at 500"])
    }))

  it.effect("G15: the burst may be larger than the limit", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open({ ...rejecting, burst: 3 })
      const outcomes = yield* Effect.replicateEffect(outcome(), 4)
      expect(outcomes).toEqual(["ran", "ran", "ran", "RateLimited 500"])
    }))

  it.effect("G15: a call may cost more than one unit", () =>
    Effect.gen(function*() {
      const { calls, log } = yield* open({ limit: 10, interval: "1 second" })
      yield* calls(["a", "b", "c"], { cost: 5 })
      yield* TestClock.adjust("1 second")
      expect(log).toEqual(["a at 0", "b at 0", "c at 500"])
    }))

  it.effect("G15: each key has a rate of its own", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open({ ...rejecting, limit: 1 })
      const keys = ["a", "b", "a", undefined, "default"]
      expect(yield* Effect.forEach(keys, (key) => outcome({ key }))).toEqual([
        "ran",
        "ran",
        "RateLimited 1000",
        "ran",
        "RateLimited 1000"
      ])
    }))

  it.effect("G15: what the call gives comes out as it is, effect first and effect last", () =>
    Effect.gen(function*() {
      const { limiter } = yield* open({ limit: 10, interval: "1 second" })
      const exits = yield* Effect.forEach([
        limiter.protect(Effect.succeed("first")),
        Effect.succeed("last").pipe(limiter.protect()),
        Effect.fail("failure").pipe(limiter.protect({ key: "a" })),
        limiter.protect(Effect.die("defect"), { cost: 2 })
      ], (effect) => Effect.map(Effect.exit(effect), wordOf))
      expect(exits).toEqual(["first", "last", "failure", "defect"])
    }))

  it.effect("G15: thirds of a second do not drift, and the tenth call is not late", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ limit: 3, interval: "1 second", burst: 1 })
      const times: Array<number> = []
      const call = limiter.protect(Effect.map(Clock.currentTimeMillis, (now) => times.push(now)))
      yield* Effect.fork(
        Effect.all(Array.from({ length: 10 }, () => call), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("3 seconds")
      expect(times.map((time) => Math.round(time * 1000) / 1000)).toEqual([
        0,
        333.333,
        666.667,
        1000,
        1333.333,
        1666.667,
        2000,
        2333.333,
        2666.667,
        3000
      ])
    }))

  it.effect("G15: nobody begins early on a clock whose timers do", () =>
    Effect.gen(function*() {
      const { clock } = earlyClock()
      const limiter = yield* RateLimiter.make({ limit: 1, interval: 10 })
      const time = limiter.protect(Effect.sync(() => Number(clock.unsafeCurrentTimeNanos()) / 1e6))
      const times = yield* Effect.withClock(Effect.all([time, time, time]), clock)
      expect(times.map((at, i) => at >= 10 * i)).toEqual([true, true, true])
    }))
})

describe("rejects", () => {
  it.effect("G15: in mode reject a call that comes too early is told exactly when to come back", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open(rejecting)
      const seen = [yield* outcome(), yield* outcome(), yield* outcome()]
      yield* TestClock.adjust(200)
      seen.push(yield* outcome())
      expect(seen).toEqual(["ran", "ran", "RateLimited 500", "RateLimited 300"])
    }))

  it.effect("G15: the rejection names the key, and is a rejection without a stack", () =>
    Effect.gen(function*() {
      const { limiter } = yield* open({ ...rejecting, limit: 1 })
      const call = limiter.protect(Effect.void, { key: "tenant 1" })
      yield* call
      const error = yield* Effect.flip(call)
      expect([
        error._tag,
        error.key,
        error.retryAfter,
        Rejection.isRejection(error),
        error.stack?.includes(" at ")
      ])
        .toEqual(["RateLimited", "tenant 1", Duration.seconds(1), true, false])
    }))

  it.effect("G15: after exactly retryAfter the call is admitted, and a millisecond earlier it is not, whatever the rate", () =>
    Effect.gen(function*() {
      const wrong: Array<string> = []
      for (const limit of [1, 2, 3, 7, 9, 11, 13, 60, 97, 333]) {
        for (const cost of [1, Math.ceil(limit / 2), limit]) {
          const { limiter } = yield* open({ ...rejecting, limit })
          const call = limiter.protect(Effect.succeed("ran"), { cost })
          yield* limiter.protect(Effect.void, { cost: limit })
          yield* TestClock.adjust(1.7)
          const { retryAfter } = yield* Effect.flip(call)
          yield* TestClock.adjust(Duration.subtract(retryAfter, "1 millis"))
          const early = wordOf(yield* Effect.exit(call))
          yield* TestClock.adjust("1 millis")
          const exact = wordOf(yield* Effect.exit(call))
          if (!early.startsWith("RateLimited") || exact !== "ran") {
            wrong.push(`${cost} of ${limit}: ${early}, ${exact}`)
          }
        }
      }
      expect(wrong).toEqual([])
    }))

  it.effect("G15: a rejected call takes nothing", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open({ ...rejecting, limit: 1 })
      yield* outcome()
      const rejected = yield* Effect.replicateEffect(outcome(), 5)
      expect(new Set(rejected)).toEqual(new Set(["RateLimited 1000"]))
    }))

  it.effect("G15: a call that would have to wait longer than maxWait is rejected at once, one that would not waits", () =>
    Effect.gen(function*() {
      const { calls } = yield* open({ limit: 1, interval: "1 second", maxWait: "2 seconds" })
      const all = yield* calls(["a", "b", "c", "d"])
      expect(yield* Effect.forEach(all, ({ now }) => now)).toEqual([
        "ran",
        "waiting",
        "waiting",
        "RateLimited 3000"
      ])
    }))

  it.effect("G15: maxWait is 30 seconds unless it is said", () =>
    Effect.gen(function*() {
      const { calls } = yield* open({ limit: 1, interval: "10 seconds" })
      const all = yield* calls(["a", "b", "c", "d", "e"])
      expect(yield* Effect.forEach(all, ({ now }) => now)).toEqual([
        "ran",
        "waiting",
        "waiting",
        "waiting",
        "RateLimited 40000"
      ])
    }))

  it.effect("G15: with an infinite maxWait everybody waits", () =>
    Effect.gen(function*() {
      const { calls, log } = yield* open({
        limit: 1,
        interval: "1 hour",
        maxWait: Duration.infinity
      })
      yield* calls(Array.from({ length: 49 }, (_, i) => String(i)))
      yield* TestClock.adjust("2 days")
      expect(log.at(-1)).toBe(`48 at ${48 * 3_600_000}`)
    }))

  it.effect("G15: a cost above the burst is refused when it is given, and so is one that is no whole number of at least 1", () =>
    Effect.gen(function*() {
      const { limiter } = yield* open({ limit: 10, interval: "1 second", burst: 5 })
      const first = (cost: number) => refusal(() => limiter.protect(Effect.void, { cost }))
      const last = (cost: number) => refusal(() => limiter.protect({ cost }))
      const costs = [5, 6, 0, -1, 1.5, NaN, Infinity]
      expect(costs.map(first)).toEqual([
        "accepted",
        "cost should be at most the burst of 5, got 6",
        "cost should be a whole number of at least 1, got 0",
        "cost should be a whole number of at least 1, got -1",
        "cost should be a whole number of at least 1, got 1.5",
        "cost should be a whole number of at least 1, got NaN",
        "cost should be a whole number of at least 1, got Infinity"
      ])
      expect(costs.map(last)).toEqual(costs.map(first))
    }))

  it.effect("G15: nonsense options are refused, naming field and value", () =>
    Effect.gen(function*() {
      const good = { limit: 1, interval: "1 second" } as const
      expect([
        yield* refused({ ...good, limit: 0 }),
        yield* refused({ ...good, limit: NaN }),
        yield* refused({ ...good, burst: 0 }),
        yield* refused({ ...good, burst: 1.5 }),
        yield* refused({ ...good, interval: 0 }),
        yield* refused({ ...good, interval: Infinity })
      ]).toEqual([
        "limit should be a whole number of at least 1, got 0",
        "limit should be a whole number of at least 1, got NaN",
        "burst should be a whole number of at least 1, got 0",
        "burst should be a whole number of at least 1, got 1.5",
        "interval should be a duration longer than zero, got 0",
        "interval should be a finite duration, got Duration(Infinity)"
      ])
      for (const field of ["interval", "maxWait"] as const) {
        for (const [bad, value] of badDurations) {
          const message = yield* refused({ ...good, [field]: bad })
          expect([message.startsWith(`${field} `), message.includes(value)]).toEqual([true, true])
        }
      }
    }))
})

describe("recovers", () => {
  it.effect("G15: after a rest the whole burst is there again, and no more than that", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open(rejecting)
      yield* Effect.replicateEffect(outcome(), 2)
      yield* TestClock.adjust("1 hour")
      expect(yield* Effect.replicateEffect(outcome(), 3)).toEqual(["ran", "ran", "RateLimited 500"])
    }))

  it.effect("G15: exactly limit units flow in within an interval", () =>
    Effect.gen(function*() {
      const { outcome } = yield* open({ ...rejecting, limit: 3 })
      yield* Effect.replicateEffect(outcome(), 3)
      yield* TestClock.adjust(999)
      const before = yield* Effect.replicateEffect(outcome(), 3)
      yield* TestClock.adjust(1)
      expect([before, yield* Effect.replicateEffect(outcome(), 2)]).toEqual([
        ["ran", "ran", "RateLimited 1"],
        ["ran", "RateLimited 333.333334"]
      ])
    }))

  it("G16: keys that are idle are forgotten while others are used, those that count something are not", () => {
    const limiter = new Limiter({ limit: 1n, intervalNanos: 1_000_000_000n, burst: 1 }, 0n)
    let now = 0n
    const clock = { ...Effect.runSync(Effect.clock), unsafeCurrentTimeNanos: () => now }
    const call = (key: string, atSeconds: number) => {
      now = BigInt(atSeconds) * 1_000_000_000n
      return limiter.enter(limiter.rate(key, clock, now), 1, now)
    }
    for (let i = 0; i < 100; i++) call(`key ${i}`, 0)
    const before = limiter.rates.size
    call("fresh", 10)
    for (let i = 0; i < 102; i++) call("busy", 10)
    expect([before, [...limiter.rates.values()].map(({ key }) => key)]).toEqual([100, [
      "fresh",
      "busy"
    ]])
  })

  it.effect("the snapshot says how many would run at once, and how many wait", () =>
    Effect.gen(function*() {
      const { calls, limiter } = yield* open({ limit: 4, interval: "1 second" })
      const seen = [yield* limiter.snapshot()]
      yield* calls(["a", "b", "c"])
      seen.push(yield* limiter.snapshot())
      yield* calls(["d", "e"])
      seen.push(yield* limiter.snapshot(), yield* limiter.snapshot("other"))
      expect(seen).toEqual([
        { key: "default", available: 4, waiting: 0 },
        { key: "default", available: 1, waiting: 0 },
        { key: "default", available: 0, waiting: 1 },
        { key: "other", available: 4, waiting: 0 }
      ])
    }))
})

describe("interruption releases", () => {
  it.effect("G16: a cancelled waiter gives its reservation back: the next to come is not the later for it", () =>
    Effect.gen(function*() {
      const { call, log } = yield* open({ limit: 1, interval: "1 second", maxWait: "2 seconds" })
      yield* call("a")
      const b = yield* call("b")
      const c = yield* call("c")
      const full = yield* (yield* call("d")).now
      yield* b.interrupt
      const e = yield* call("e")
      yield* TestClock.adjust("2 seconds")
      const outcomes = yield* Effect.forEach([b, c, e], ({ now }) => now)
      expect([full, outcomes, log]).toEqual([
        "RateLimited 3000",
        ["interrupted", "ran", "ran"],
        ["a at 0", "c at 1000", "e at 2000"]
      ])
    }))

  it.effect("G16: many cancelled waiters give back no more than they had: the rate is kept", () =>
    Effect.gen(function*() {
      const { calls, log } = yield* open({ limit: 2, interval: "1 second" })
      yield* calls(["a", "b"])
      const cancelled = yield* calls(["c", "d", "e", "f"])
      yield* calls(["g", "h"])
      yield* Effect.forEach(cancelled, ({ interrupt }) => interrupt)
      yield* calls(["i", "j", "k"])
      yield* TestClock.adjust("1 minute")
      expect(log).toEqual([
        "a at 0",
        "b at 0",
        "g at 500",
        "h at 1000",
        "i at 1500",
        "j at 2000",
        "k at 2500"
      ])
    }))

  it.effect("G16: a cancelled waiter leaves at once, and those behind it go on", () =>
    Effect.gen(function*() {
      const { call, limiter } = yield* open({ limit: 1, interval: "1 second" })
      yield* call("a")
      const b = yield* call("b")
      const c = yield* call("c")
      yield* c.interrupt
      const { waiting } = yield* limiter.snapshot()
      yield* TestClock.adjust("1 second")
      expect([yield* c.now, waiting, yield* b.now]).toEqual(["interrupted", 1, "ran"])
    }))

  it.effect("G16: one that is cancelled in the moment in which its turn comes takes nothing", () =>
    Effect.gen(function*() {
      const { call, limiter } = yield* open({ limit: 1, interval: "1 second" })
      yield* call("a")
      const b = yield* Effect.fork(limiter.protect(Effect.void))
      yield* settle
      // This timer was set last, so it fires first.
      yield* Effect.fork(Effect.zipRight(Effect.sleep("1 second"), Fiber.interrupt(b)))
      yield* settle
      yield* TestClock.adjust("1 second")
      expect([wordOf(yield* Fiber.await(b)), yield* limiter.snapshot()]).toEqual([
        "interrupted",
        { key: "default", available: 1, waiting: 0 }
      ])
    }))

  it.effect("G15: interrupting a call that runs changes nothing: the rate counts beginnings", () =>
    Effect.gen(function*() {
      const { limiter, outcome } = yield* open({ ...rejecting, limit: 1 })
      const fiber = yield* Effect.fork(limiter.protect(Effect.never))
      yield* settle
      yield* Fiber.interrupt(fiber)
      expect(yield* outcome()).toBe("RateLimited 1000")
    }))
})

describe("concurrent callers", () => {
  type Command =
    | { readonly do: "call"; readonly cost: number }
    | { readonly do: "interrupt"; readonly which: number }
    | { readonly do: "advance"; readonly millis: number }

  const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant("call" as const),
          cost: fc.constantFrom(1, 1, 1, 2, 3)
        })
      },
      {
        weight: 2,
        arbitrary: fc.record({ do: fc.constant("interrupt" as const), which: fc.nat({ max: 9 }) })
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("advance" as const),
          millis: fc.constantFrom(1, 9, 10, 35)
        })
      }
    ),
    { minLength: 1, maxLength: 25 }
  )
  const options = fc.record({
    burst: fc.integer({ min: 1, max: 3 }),
    /** Milliseconds for a unit. */
    unit: fc.constantFrom(10, 25),
    maxWait: fc.constantFrom(0, 30, 1000)
  })

  /**
   * The rule itself, millisecond by millisecond: who is first in line runs when that fits into
   * every window.
   */
  class SlowLimiter {
    readonly ran: Array<{ readonly name: string; readonly at: number; readonly cost: number }> = []
    line: Array<{ readonly name: string; readonly cost: number }> = []
    constructor(readonly burst: number, readonly unit: number) {}
    fits(cost: number, at: number): boolean {
      return this.ran.every((from, i) => {
        const since = this.ran.slice(i).reduce((sum, other) => sum + other.cost, cost)
        return since <= this.burst + (at - from.at) / this.unit
      })
    }
    look(at: number): void {
      for (
        let first = this.line[0];
        first !== undefined && this.fits(first.cost, at);
        first = this.line[0]
      ) {
        this.ran.push({ ...first, at })
        this.line.shift()
      }
    }
    /** When a call at the end of the line would run. */
    wait(cost: number, at: number): number {
      const ahead = new SlowLimiter(this.burst, this.unit)
      ahead.ran.push(...this.ran)
      ahead.line = [...this.line, { name: "probe", cost }]
      let time = at
      for (ahead.look(time); ahead.line.length > 0; ahead.look(time)) time++
      return time - at
    }
  }

  const run = (
    options: { burst: number; unit: number; maxWait: number },
    all: ReadonlyArray<Command>
  ) =>
    Effect.gen(function*() {
      const { call, limiter, log } = yield* open({
        limit: 4,
        interval: 4 * options.unit,
        burst: options.burst,
        maxWait: options.maxWait
      })
      const slow = new SlowLimiter(options.burst, options.unit)
      const calls: Array<Effect.Effect.Success<ReturnType<typeof call>>> = []
      const expected = new Map<number, string>()
      const seen = new Set<string>()
      let now = 0
      for (const command of all) {
        if (command.do === "call" && command.cost <= options.burst) {
          const wait = slow.wait(command.cost, now)
          if (wait > options.maxWait) expected.set(calls.length, `RateLimited ${wait}`)
          else {
            slow.line.push({ name: String(calls.length), cost: command.cost })
            slow.look(now)
          }
          calls.push(yield* call(String(calls.length), { cost: command.cost }))
        } else if (command.do === "interrupt") {
          const place = slow.line[command.which % Math.max(1, slow.line.length)]
          if (place === undefined) continue
          seen.add("interrupted")
          slow.line = slow.line.filter((other) => other !== place)
          expected.set(Number(place.name), "interrupted")
          slow.look(now)
          yield* calls[Number(place.name)]!.interrupt
        } else if (command.do === "advance") {
          for (let i = 0; i < command.millis; i++) slow.look(++now)
          yield* TestClock.adjust(command.millis)
          yield* settle
        }
        for (const { name } of slow.ran) expected.set(Number(name), "ran")
        expect(log).toEqual(slow.ran.map(({ at, name }) => `${name} at ${at}`))
        expect((yield* limiter.snapshot()).waiting).toBe(slow.line.length)
        const outcomes = yield* Effect.forEach(calls, ({ now }) => now)
        expect(outcomes).toEqual(calls.map((_, i) => expected.get(i) ?? "waiting"))
        for (const outcome of outcomes) seen.add(outcome.replace(/ .*/, ""))
      }
      yield* Effect.forEach(calls, ({ interrupt }) => interrupt, { discard: true })
      expect((yield* limiter.snapshot()).waiting).toBe(0)
      return seen
    })

  it(
    "G15, G16: for any order of arrivals, interruptions and clock moves it runs what the rule allows, when it allows it, in order",
    { timeout: 120_000 },
    async () => {
      const seen = new Set<string>()
      await fc.assert(
        fc.asyncProperty(options, commands, async (options, commands) => {
          const kinds = await Effect.runPromise(
            Effect.provide(run(options, commands), TestContext.TestContext)
          )
          for (const kind of kinds) seen.add(kind)
        }),
        { numRuns: runs(300) }
      )
      expect([...seen].sort()).toEqual(["RateLimited", "interrupted", "ran", "waiting"])
    }
  )

  it.effect("G15: of a thousand callers at once exactly the burst runs", () =>
    Effect.gen(function*() {
      const limiter = yield* RateLimiter.make({ limit: 10, interval: "1 second", mode: "reject" })
      const call = Effect.zipRight(Effect.yieldNow(), limiter.protect(Effect.void))
      const exits = yield* Effect.all(Array.from({ length: 1000 }, () => Effect.exit(call)), {
        concurrency: "unbounded"
      })
      expect(exits.filter(Exit.isSuccess).length).toBe(10)
    }))

  it.effect("G15: however many wait for a key there is one timer, and none at rest", () =>
    Effect.gen(function*() {
      const { calls } = yield* open({ limit: 1, interval: "1 second" })
      const timers = Effect.map(TestClock.sleeps(), (sleeps) => sleeps.length)
      yield* calls(["a"])
      const atRest = yield* timers
      yield* calls(["b", "c", "d", "e"])
      expect([atRest, yield* timers]).toEqual([0, 1])
    }))
})

describe("Tag", () => {
  class Geocoder extends RateLimiter.Tag("Geocoder")<Geocoder>() {}
  class Mailer extends RateLimiter.Tag("Mailer")<Mailer>() {}

  it.effect("the layer gives one limiter, and two tags share nothing", () =>
    Effect.gen(function*() {
      const outcome = <A, E, R>(self: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(self), wordOf)
      const outcomes = yield* Effect.all([
        outcome(Geocoder.protect(Effect.succeed("found"))),
        outcome(Effect.succeed("found").pipe(Geocoder.protect({ cost: 1 }))),
        outcome(Effect.succeed("sent").pipe(Mailer.protect()))
      ])
      expect(outcomes).toEqual(["found", "RateLimited 1000", "sent"])
    }).pipe(
      Effect.provide([
        Geocoder.layer({ limit: 1, interval: "1 second", mode: "reject" }),
        Mailer.layer({ limit: 1, interval: "1 second" })
      ])
    ))
})
