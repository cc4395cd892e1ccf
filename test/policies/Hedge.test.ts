import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  Option,
  Supervisor,
  TestClock
} from "effect"
import type { Tracer } from "effect"
import {
  type ApiError,
  Backoff,
  IdempotencyKey,
  Operation,
  Retry,
  RetryBudget,
  Verdict
} from "effect-resilience"
import * as Hedge from "effect-resilience/Hedge"
import { countingClock } from "../support/clocks.js"
import { countedIn } from "../support/counters.js"
import { down, invalid, rateLimit, rejection } from "../support/errors.js"
import { firstLine, wordsFor } from "../support/exits.js"
import { badDurations, refusal } from "../support/refusal.js"

const read = { operation: Operation.read, delay: "100 millis" } as const

/**
 * Attempts that are told apart: `script` says what the n-th one does, and when each started and was
 * interrupted is written down.
 */
const scripted = <A, E, R>(script: (n: number) => Effect.Effect<A, E, R>) => {
  const probes: Array<string> = []
  let started = 0
  const attempt = Effect.clockWith((clock) =>
    Effect.suspend(() => {
      const n = started++
      const at = clock.unsafeCurrentTimeMillis()
      probes.push(`${n} at ${at}`)
      return Effect.onInterrupt(script(n), () => Effect.sync(() => probes.push(`${n} interrupted`)))
    })
  )
  return { probes, attempt }
}

const after = <A>(duration: Duration.DurationInput, value: A) =>
  Effect.as(Effect.sleep(duration), value)
const failAfter = <E>(duration: Duration.DurationInput, error: E) =>
  Effect.zipRight(Effect.sleep(duration), Effect.fail(error))

/** Runs an effect while the clock goes on for as long as is said. */
const over = <A, E, R>(duration: Duration.DurationInput, self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust(duration)
    return yield* Fiber.poll(fiber)
  })

/** What came of a call so far, in a word. */
const wordOf = Option.match({
  onNone: () => "runs",
  onSome: wordsFor({ failure: (error) => firstLine(Cause.fail(error)), cause: firstLine })
})

/** A budget that writes down what is asked of it. */
const counted = (tokens: number) => {
  const asked: Array<string> = []
  let left = tokens
  const budget: RetryBudget.RetryBudget = {
    withdraw: Effect.sync(() => {
      asked.push("withdraw")
      return left-- > 0
    }),
    deposit: Effect.sync(() => void asked.push("deposit")),
    available: Effect.sync(() => left)
  }
  return { asked, budget }
}

describe("Hedge admits", () => {
  it.effect("G25: a primary that succeeds at once is the only attempt", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => Effect.succeed("done"))
      expect(yield* Hedge.hedge(attempt, read)).toBe("done")
      yield* TestClock.adjust("1 hour")
      expect(probes).toEqual(["0 at 0"])
    }))

  it.effect("G25: a primary that is faster than the delay is the only attempt", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => after("99 millis", "done"))
      expect(wordOf(yield* over("1 hour", Hedge.hedge(attempt, read)))).toBe("done")
      expect(probes).toEqual(["0 at 0"])
    }))

  it.effect("G25: after the delay one hedge is sent, by default only one, and the first success wins", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) => after(n === 0 ? "1 hour" : "5 seconds", n))
      expect(wordOf(yield* over("5100 millis", Hedge.hedge(attempt, read)))).toBe("1")
      expect(probes).toEqual(["0 at 0", "1 at 100", "0 interrupted"])
    }))

  it.effect("G25: the primary still wins when it answers before its hedge, and the hedge is interrupted", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) => after(n === 0 ? "150 millis" : "1 second", n))
      expect(wordOf(yield* over("150 millis", Hedge.hedge(attempt, read)))).toBe("0")
      expect(probes).toEqual(["0 at 0", "1 at 100", "1 interrupted"])
    }))

  it.effect("G25: the k-th hedge starts at k times the delay, not all at once", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => Effect.never)
      yield* over("1 hour", Hedge.hedge(attempt, { ...read, hedges: 3 }))
      expect(probes).toEqual(["0 at 0", "1 at 100", "2 at 200", "3 at 300"])
    }))

  it.effect("G25: a delay of zero sends all of them at the start", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) => n === 2 ? Effect.succeed(n) : Effect.never)
      expect(yield* Hedge.hedge(attempt, { ...read, delay: 0, hedges: 2 })).toBe(2)
      expect(probes).toEqual(["0 at 0", "1 at 0", "2 at 0", "0 interrupted", "1 interrupted"])
    }))

  it.effect("G25: an infinite delay sends none by time", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => Effect.never)
      yield* over("365 days", Hedge.hedge(attempt, { ...read, delay: Duration.infinity }))
      expect(probes).toEqual(["0 at 0"])
    }))

  it.effect("G25: with no hedges the effect is what it was", () =>
    Effect.sync(() => {
      const self = Effect.succeed(1)
      expect(Hedge.hedge(self, { ...read, hedges: 0 })).toBe(self)
    }))

  it.effect("G25: read, idempotent and keyed are hedged; once passes through unhedged", () =>
    Effect.gen(function*() {
      const counts: Array<string> = []
      const { idempotent, keyed, once, read } = Operation
      for (const operation of [read, idempotent, keyed, once]) {
        const { attempt, probes } = scripted(() => Effect.never)
        const hedged = Hedge.hedge(attempt, { operation, delay: "100 millis", hedges: 2 })
        yield* over("1 second", IdempotencyKey.provideNew(hedged))
        counts.push(`${operation._tag} ${probes.length}`)
      }
      expect(counts).toEqual(["Read 3", "Idempotent 3", "Keyed 3", "Once 1"])
    }))

  it.effect("G25: once is not hedged when it fails either", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => Effect.fail("down"))
      expect(yield* Effect.flip(Hedge.hedge(attempt, { ...read, operation: Operation.once }))).toBe(
        "down"
      )
      expect(probes).toEqual(["0 at 0"])
    }))

  it.effect("G25: all hedges of a keyed call carry the same key", () =>
    Effect.gen(function*() {
      const keys: Array<IdempotencyKey.IdempotencyKey> = []
      const charge = Effect.flatMap(IdempotencyKey.IdempotencyKey, (key) => {
        keys.push(key)
        return Effect.never
      })
      const hedged = charge.pipe(
        Hedge.hedge({ ...read, operation: Operation.keyed }),
        IdempotencyKey.provideNew
      )
      yield* over("1 second", hedged)
      expect(keys.length).toBe(2)
      expect(keys[0]).toBe(keys[1])
    }))

  it.effect("R18: provideNew inside of a keyed hedge would mint a key for each, and dies", () =>
    Effect.gen(function*() {
      const inside = IdempotencyKey.provideNew(Effect.asVoid(IdempotencyKey.IdempotencyKey))
      const exit = yield* inside.pipe(
        Hedge.hedge({ ...read, operation: Operation.keyed }),
        IdempotencyKey.provideNew,
        Effect.exit
      )
      expect(wordOf(Option.some(exit))).toContain("IdempotencyKey.provideNew inside an attempt")
    }))

  it.effect("data-first, data-last and a made one do the same", () =>
    Effect.gen(function*() {
      const slow = () => scripted((n) => n === 0 ? Effect.never : Effect.succeed(n)).attempt
      const made = yield* Hedge.make(read)
      const results = [
        yield* over("1 second", Hedge.hedge(slow(), read)),
        yield* over("1 second", slow().pipe(Hedge.hedge(read))),
        yield* over("1 second", made.protect(slow())),
        yield* over("1 second", slow().pipe(made.protect()))
      ]
      expect(results.map(wordOf)).toEqual(["1", "1", "1", "1"])
    }))
})

describe("Hedge rejects", () => {
  it.effect("G25: a failed primary starts the next hedge at once", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) =>
        n === 0 ? failAfter("10 millis", "down") : after("5 millis", n)
      )
      expect(wordOf(yield* over("15 millis", Hedge.hedge(attempt, read)))).toBe("1")
      expect(probes).toEqual(["0 at 0", "1 at 10"])
    }))

  it.effect("G25: a failed primary starts one hedge at once, not all of them", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) =>
        n === 0 ? failAfter("10 millis", "down") : Effect.never
      )
      yield* over("1 second", Hedge.hedge(attempt, { ...read, hedges: 3 }))
      expect(probes).toEqual(["0 at 0", "1 at 10", "2 at 200", "3 at 300"])
    }))

  it.effect("G25: if all fail it is the primary's failure, although it came first", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) => Effect.fail(`failure ${n}`))
      expect(yield* Effect.flip(Hedge.hedge(attempt, { ...read, hedges: 2 }))).toBe("failure 0")
      expect(probes).toEqual(["0 at 0", "1 at 0", "2 at 0"])
    }))

  it.effect("G25: if all fail it is the primary's failure, although it came last", () =>
    Effect.gen(function*() {
      const { attempt } = scripted((n) =>
        failAfter(n === 0 ? "500 millis" : "10 millis", `failure ${n}`)
      )
      const exit = yield* over("500 millis", Hedge.hedge(attempt, { ...read, hedges: 2 }))
      expect(wordOf(exit)).toBe("Error: failure 0")
    }))

  it.effect("G25: the primary's failure comes out as the very same value", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Hedge.hedge(Effect.fail(down), read))
      expect(error).toBe(down)
    }))

  it.effect("G25: a failed hedge leaves the running primary untouched, and the next one comes in its time", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) =>
        n === 1 ? Effect.fail("down") : after("500 millis", n)
      )
      expect(wordOf(yield* over("500 millis", Hedge.hedge(attempt, { ...read, hedges: 2 })))).toBe(
        "0"
      )
      expect(probes).toEqual(["0 at 0", "1 at 100", "2 at 200", "2 interrupted"])
    }))

  it.effect("G25: when nothing runs any more the next hedge does not wait for its time", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) =>
        n === 2 ? Effect.succeed(n) : failAfter("10 millis", "down")
      )
      expect(wordOf(yield* over("20 millis", Hedge.hedge(attempt, { ...read, hedges: 2 })))).toBe(
        "2"
      )
      expect(probes).toEqual(["0 at 0", "1 at 10", "2 at 20"])
    }))

  const forbidding: ReadonlyArray<
    readonly [string, ApiError.ApiError | ReturnType<typeof rejection>]
  > = [
    ["what the API has judged", invalid()],
    [
      "what asks to wait",
      rateLimit(Duration.seconds(1))
    ],
    ["a rejection by a guard", rejection()]
  ]
  for (const [name, error] of forbidding) {
    it.effect(`G25: ${name} starts no hedge`, () =>
      Effect.gen(function*() {
        const { attempt, probes } = scripted(() => Effect.fail(error))
        expect(yield* Effect.flip(Hedge.hedge(attempt, { ...read, hedges: 2 }))).toBe(error)
        expect(probes).toEqual(["0 at 0"])
      }))
  }

  it.effect("G25: a hedge that already runs may still win after such a failure of the primary", () =>
    Effect.gen(function*() {
      const limited = rateLimit(Duration.seconds(1))
      const { attempt, probes } = scripted((n) =>
        n === 0 ? failAfter("150 millis", limited) : after("1 second", n)
      )
      expect(wordOf(yield* over("2 seconds", Hedge.hedge(attempt, { ...read, hedges: 3 })))).toBe(
        "1"
      )
      expect(probes).toEqual(["0 at 0", "1 at 100"])
    }))

  it.effect("R16: a defect of the primary ends the call at once, and its hedge is interrupted", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) =>
        n === 0
          ? Effect.zipRight(Effect.sleep("150 millis"), Effect.dieMessage("bug"))
          : Effect.never
      )
      expect(wordOf(yield* over("150 millis", Hedge.hedge(attempt, read)))).toContain("bug")
      expect(probes).toEqual(["0 at 0", "1 at 100", "1 interrupted"])
    }))

  it.effect("G25: a defect of a hedge leaves the primary untouched", () =>
    Effect.gen(function*() {
      const { attempt } = scripted((n) =>
        n === 0 ? after("150 millis", n) : Effect.dieMessage("bug")
      )
      expect(wordOf(yield* over("150 millis", Hedge.hedge(attempt, read)))).toBe("0")
    }))

  it.effect("G25: each hedge takes one token, the primary none, and nothing is paid in", () =>
    Effect.gen(function*() {
      const { asked, budget } = counted(10)
      const { attempt } = scripted((n) => n === 2 ? after("50 millis", n) : Effect.never)
      expect(wordOf(yield* over("1 second", Hedge.hedge(attempt, { ...read, hedges: 2, budget }))))
        .toBe("2")
      expect(yield* Hedge.hedge(Effect.succeed("at once"), { ...read, budget })).toBe("at once")
      expect(asked).toEqual(["withdraw", "withdraw"])
    }))

  it.effect("R22: a refused hedge still delivers the primary's result, and the budget is not asked again", () =>
    Effect.gen(function*() {
      const { asked, budget } = counted(0)
      const { attempt, probes } = scripted((n) => after("1 second", n))
      expect(wordOf(yield* over("1 second", Hedge.hedge(attempt, { ...read, hedges: 3, budget }))))
        .toBe("0")
      expect(probes).toEqual(["0 at 0"])
      expect(asked).toEqual(["withdraw"])
    }))

  it.effect("R22: a refused hedge of a failed primary gives the primary's failure at once", () =>
    Effect.gen(function*() {
      const { budget } = counted(0)
      expect(yield* Effect.flip(Hedge.hedge(Effect.fail("down"), { ...read, hedges: 3, budget })))
        .toBe("down")
    }))

  it.effect("R22: one budget is shared by retries and hedges", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ capacity: 3, reservePerSecond: 0 })
      const { attempt, probes } = scripted(() => Effect.fail("down"))
      const call = attempt.pipe(
        Hedge.hedge({ ...read, budget }),
        Retry.retry({
          operation: Operation.read,
          retries: 10,
          budget,
          backoff: Backoff.constant("1 second"),
          verdict: () => Verdict.transient()
        })
      )
      expect(wordOf(yield* over("1 minute", call))).toBe("Error: down")
      // A hedge, a retry, its hedge; then there is no token left.
      expect(probes).toEqual(["0 at 0", "1 at 0", "2 at 1000", "3 at 1000"])
    }))

  it("nonsense options are refused when they are given, by field and value", () => {
    expect(refusal(() => Hedge.hedge({ ...read, hedges: -1 }))).toBe(
      "hedges should be a whole number of at least 0, got -1"
    )
    expect(refusal(() => Hedge.hedge({ ...read, hedges: 1.5 }))).toBe(
      "hedges should be a whole number of at least 0, got 1.5"
    )
    expect(
      badDurations.map(([delay]) => refusal(() => Hedge.hedge({ ...read, delay })).split(" ")[0])
    ).toEqual(
      badDurations.map(() => "delay")
    )
    expect(refusal(() => Hedge.hedge(Effect.void, { ...read, delay: NaN }))).toContain("NaN")
    expect([
      refusal(() => Hedge.quantile(95)),
      refusal(() => Hedge.quantile(0)),
      refusal(() => Hedge.quantile(0.9, { samples: 0 })),
      refusal(() => Hedge.quantile(0.9, { samples: 10, minimumCalls: 11 })),
      refusal(() => Hedge.quantile(0.9, { atLeast: "2 seconds", atMost: "1 second" }))
    ]).toEqual([
      "quantile should be a number above 0 and at most 1, got 95",
      "quantile should be a number above 0 and at most 1, got 0",
      "samples should be a whole number of at least 1, got 0",
      "minimumCalls should be at most the 10 samples, got 11",
      "atLeast should be at most atMost (1s), got 2s"
    ])
  })

  it.effect("make dies with nonsense options when it is run", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Hedge.make({ ...read, hedges: NaN }))
      expect(wordOf(Option.some(exit))).toBe(
        "RangeError: hedges should be a whole number of at least 0, got NaN"
      )
    }))
})

describe("Hedge recovers", () => {
  /** Calls that take this long, one after the other. */
  const calls = (hedge: Hedge.Hedge, millis: ReadonlyArray<number>, key?: string) =>
    Effect.forEach(millis, (each) => over(each, hedge.protect(after(each, "done"), { key })), {
      discard: true
    })

  const delayOf = (hedge: Hedge.Hedge, key?: string) =>
    Effect.map(hedge.delay(key), Option.match({ onNone: () => "none", onSome: Duration.format }))

  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)

  it.effect("G25: the delay is a quantile of the latencies measured so far, once enough are known", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make({
        operation: Operation.read,
        delay: Hedge.quantile(0.9, { minimumCalls: 10 })
      })
      const probes = [yield* delayOf(hedge)]
      yield* calls(hedge, numbers(1, 9))
      probes.push(yield* delayOf(hedge))
      yield* calls(hedge, [10])
      probes.push(yield* delayOf(hedge))
      yield* calls(hedge, numbers(11, 100))
      probes.push(yield* delayOf(hedge))
      expect(probes).toEqual(["none", "none", "9ms", "90ms"])
    }))

  it.effect("G25: while too little is known, nothing is hedged by time unless there is an initial delay", () =>
    Effect.gen(function*() {
      const attempts: Array<number> = []
      for (const options of [{}, { initial: "50 millis" }] as const) {
        const { attempt, probes } = scripted(() => Effect.never)
        const hedge = yield* Hedge.make({ ...read, delay: Hedge.quantile(0.9, options) })
        yield* over("1 hour", hedge.protect(attempt))
        attempts.push(probes.length)
      }
      expect(attempts).toEqual([1, 2])
    }))

  it.effect("G25: a hedge is sent when a call takes longer than the learned delay", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make({
        operation: Operation.read,
        delay: Hedge.quantile(0.5, { minimumCalls: 3 })
      })
      yield* calls(hedge, [10, 20, 30])
      const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const { attempt, probes } = scripted(() => Effect.never)
      yield* over("1 second", hedge.protect(attempt))
      expect(probes).toEqual([`0 at ${start}`, `1 at ${start + 20}`])
    }))

  it.effect("G25: the learned delay stays within its bounds", () =>
    Effect.gen(function*() {
      const delay = Hedge.quantile(0.5, {
        minimumCalls: 1,
        atLeast: "20 millis",
        atMost: "1 second"
      })
      const hedge = yield* Hedge.make({ operation: Operation.read, delay })
      yield* calls(hedge, [3])
      const probes = [yield* delayOf(hedge)]
      yield* calls(hedge, [5000, 5000, 5000], "slow")
      probes.push(yield* delayOf(hedge, "slow"))
      expect(probes).toEqual(["20ms", "1s"])
    }))

  it.effect("G25: one key's latencies are not another's", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make({
        operation: Operation.read,
        delay: Hedge.quantile(1, { minimumCalls: 1 })
      })
      yield* calls(hedge, [5], "a")
      yield* calls(hedge, [500], "b")
      expect([yield* delayOf(hedge, "a"), yield* delayOf(hedge, "b"), yield* delayOf(hedge)])
        .toEqual([
          "5ms",
          "500ms",
          "none"
        ])
    }))

  it.effect("G25: when everything becomes slower, hedging learns it although hedges win", () =>
    Effect.gen(function*() {
      const delay = Hedge.quantile(0.9, { minimumCalls: 10, samples: 20 })
      const hedge = yield* Hedge.make({ operation: Operation.read, delay })
      yield* calls(hedge, Array(20).fill(10))
      const probes = [yield* delayOf(hedge)]
      // Each hedge would answer 5 ms after it was sent, so no primary ever comes to its end.
      for (let i = 0; i < 20; i++) {
        const { attempt } = scripted((n) => after(n === 0 ? "1 second" : "5 millis", n))
        yield* over("2 seconds", hedge.protect(attempt))
      }
      probes.push(yield* delayOf(hedge))
      expect(probes[0]).toBe("10ms")
      expect(Duration.toMillis(Option.getOrThrow(yield* hedge.delay()))).toBeGreaterThanOrEqual(20)
    }))

  it.effect("G25: quick failures do not make the delay shorter", () =>
    Effect.gen(function*() {
      const delay = Hedge.quantile(0.5, { minimumCalls: 1, samples: 4 })
      const hedge = yield* Hedge.make({ operation: Operation.read, delay, hedges: 0 })
      const active = yield* Hedge.make({ operation: Operation.read, delay })
      yield* calls(active, [100, 100])
      const failing = active.protect(Effect.fail("down"))
      for (let i = 0; i < 10; i++) yield* Effect.exit(failing)
      expect([yield* delayOf(active), yield* delayOf(hedge)]).toEqual(["100ms", "none"])
    }))

  it("a delay that is learned needs a hedge that is made once", () => {
    const options = { ...read, delay: Hedge.quantile(1) as unknown as Duration.DurationInput }
    const message = "delay should be a duration here, got a quantile: " +
      "what is learned needs a hedge that is made once, with Hedge.make"
    expect([
      refusal(() => Hedge.hedge(options)),
      refusal(() => Hedge.hedge(Effect.void, options))
    ]).toEqual([message, message])
  })
})

describe("Hedge: interruption releases", () => {
  it.effect("G25: interrupting the caller interrupts all attempts, and they have ended before it has", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const { attempt, probes } = scripted((n) =>
        Effect.onInterrupt(
          Effect.never,
          () =>
            Effect.zipRight(
              Effect.sleep("1 second"),
              Effect.sync(() => ended.push(`${n} released`))
            )
        )
      )
      const fiber = yield* Effect.fork(Hedge.hedge(attempt, { ...read, hedges: 2 }))
      yield* TestClock.adjust("250 millis")
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      expect(yield* Fiber.poll(interrupting)).toEqual(Option.none())
      yield* TestClock.adjust("1 millis")
      expect(Option.isSome(yield* Fiber.poll(interrupting))).toBe(true)
      expect(ended.sort()).toEqual(["0 released", "1 released", "2 released"])
      expect(probes.length).toBe(6)
    }))

  it.effect("G25: nothing starts after an interruption", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted(() => Effect.never)
      const fiber = yield* Effect.fork(Hedge.hedge(attempt, { ...read, hedges: 5 }))
      yield* TestClock.adjust("150 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      expect(probes).toEqual(["0 at 0", "1 at 100", "0 interrupted", "1 interrupted"])
    }))

  it.effect("G25: no timer and no fiber is left behind, whoever wins and whatever becomes of the caller", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const { clock, counts } = countingClock(yield* Effect.clock)
      const winning = (winner: number) =>
        scripted((n) => n === winner ? after("150 millis", n) : Effect.never).attempt
      const hedged = [0, 1, 9].map((winner) => Hedge.hedge(winning(winner), { ...read, hedges: 5 }))
      const probes: Array<number> = []
      const program = Effect.gen(function*() {
        for (const each of hedged) {
          const fiber = yield* Effect.fork(Effect.withClock(each, clock))
          yield* TestClock.adjust("350 millis")
          probes.push(counts.sleeping)
          yield* Fiber.interrupt(fiber)
        }
        yield* Hedge.hedge(Effect.succeed("at once"), read)
      })
      yield* Effect.supervised(program, supervisor)
      yield* TestClock.adjust(0)
      expect(probes).toEqual([0, 0, 1])
      expect([counts.sleeping, (yield* supervisor.value).length]).toEqual([0, 0])
    }))

  it.effect("G25: losers have been released when the caller goes on", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const held = (n: number) =>
        Effect.acquireUseRelease(
          Effect.sync(() => log.push(`${n} acquired`)),
          () => n === 0 ? Effect.never : after("10 millis", n),
          () => Effect.sync(() => log.push(`${n} released`))
        )
      const { attempt } = scripted(held)
      yield* over(
        "1 second",
        Effect.tap(Hedge.hedge(attempt, read), () => Effect.sync(() => log.push("caller goes on")))
      )
      expect(log).toEqual([
        "0 acquired",
        "1 acquired",
        "1 released",
        "0 released",
        "caller goes on"
      ])
    }))

  it.effect("G25: the winner does not wait for a loser that cannot be interrupted", () =>
    Effect.gen(function*() {
      const { attempt } = scripted((n) =>
        n === 0 ? Effect.uninterruptible(Effect.never) : Effect.succeed(n)
      )
      expect(wordOf(yield* over("100 millis", Hedge.hedge(attempt, read)))).toBe("1")
    }))

  it.effect("G25: the winner does not wait for the finalizer of a loser, which still runs to its end", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { attempt } = scripted((n) =>
        n > 0 ?
          Effect.succeed(n) :
          Effect.onInterrupt(Effect.never, () =>
            Effect.zipRight(Effect.sleep("1 minute"), Effect.sync(() => log.push("released"))))
      )
      const exit = yield* over("100 millis", Hedge.hedge(attempt, read))
      log.push(wordOf(exit))
      yield* TestClock.adjust("1 minute")
      expect(log).toEqual(["1", "released"])
    }))

  it.effect("G25: an attempt can be interrupted although the caller cannot", () =>
    Effect.gen(function*() {
      const { attempt, probes } = scripted((n) => n === 0 ? Effect.never : Effect.succeed(n))
      expect(wordOf(yield* over("100 millis", Effect.uninterruptible(Hedge.hedge(attempt, read)))))
        .toBe("1")
      expect(probes).toEqual(["0 at 0", "1 at 100", "0 interrupted"])
    }))

  it.effect("G25: a primary that interrupts its caller while it starts is not left behind", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const caller = yield* Deferred.make<Fiber.RuntimeFiber<unknown, unknown>>()
      const attempt = Effect.flatMap(
        Deferred.await(caller),
        (fiber) =>
          Effect.onInterrupt(
            Effect.zipRight(Fiber.interruptFork(fiber), Effect.never),
            () => Effect.sync(() => log.push("released"))
          )
      )
      const fiber = yield* Effect.fork(Hedge.hedge(attempt, read))
      yield* Deferred.succeed(caller, fiber)
      yield* TestClock.adjust(0)
      log.push(wordOf(yield* Fiber.poll(fiber)))
      expect(log).toEqual(["released", "All fibers interrupted without errors."])
    }))
})

describe("Hedge: concurrent callers", () => {
  it.effect("G25: a hundred callers are hedged each on their own", () =>
    Effect.gen(function*() {
      let attempts = 0
      const call = (caller: number) => {
        let mine = 0
        return Effect.suspend(() => {
          attempts++
          return mine++ === 0 && caller % 2 === 0 ? Effect.never : after("50 millis", caller)
        })
      }
      const hedge = yield* Hedge.make(read)
      const callers = Array.from({ length: 100 }, (_, i) => i)
      const all = Effect.forEach(callers, (caller) => hedge.protect(call(caller)), {
        concurrency: "unbounded"
      })
      const exit = yield* over("150 millis", all)
      expect(exit).toEqual(Option.some(Exit.succeed(callers)))
      expect(attempts).toBe(150)
    }))

  it.effect("R22: callers that share a budget send no more hedges than it has tokens", () =>
    Effect.gen(function*() {
      let attempts = 0
      const call = Effect.suspend(() => {
        attempts++
        return after("1 second", "done")
      })
      const budget = yield* RetryBudget.make({ capacity: 7, reservePerSecond: 0 })
      const all = Effect.replicateEffect(Hedge.hedge(call, { ...read, budget }), 50, {
        concurrency: "unbounded"
      })
      const exit = yield* over("1 second", all)
      expect(Option.isSome(exit)).toBe(true)
      expect(attempts).toBe(57)
    }))

  it.effect("G25: the fiber refs of the attempt whose answer counts are the caller's", () =>
    Effect.gen(function*() {
      const ref = FiberRef.unsafeMake("untouched")
      const writing = (n: number) =>
        Effect.zipRight(FiberRef.set(ref, `by ${n}`), n === 0 ? Effect.never : after(5, n))
      const { attempt } = scripted(writing)
      const seen = yield* over(
        "1 second",
        Effect.zipRight(Hedge.hedge(attempt, read), FiberRef.get(ref))
      )
      const atOnce = yield* Effect.zipRight(
        Hedge.hedge(FiberRef.set(ref, "at once"), read),
        FiberRef.get(ref)
      )
      expect([wordOf(seen), atOnce]).toEqual(["by 1", "at once"])
    }))

  it.effect("G25: services and scope of the caller are those of every attempt", () =>
    Effect.gen(function*() {
      const closed: Array<string> = []
      const { attempt } = scripted((n) =>
        Effect.zipRight(
          Effect.addFinalizer(() => Effect.sync(() => closed.push(`${n} closed`))),
          n === 0 ? Effect.never : Effect.succeed(n)
        )
      )
      const scoped = Effect.scoped(
        Effect.tap(Hedge.hedge(attempt, read), () => Effect.sync(() => closed.push("used")))
      )
      yield* over("1 second", scoped)
      expect(closed).toEqual(["used", "1 closed", "0 closed"])
    }))
})

describe("Hedge telemetry", () => {
  it.effect("T5: a call whose hedge was due is counted by whose answer it ended with, others are not", () =>
    Effect.gen(function*() {
      const { budget } = counted(0)
      const slow = (winner: number) =>
        scripted((n) => n === winner ? after("150 millis", n) : Effect.never).attempt
      const calls = Effect.gen(function*() {
        yield* over("1 second", Hedge.hedge(slow(0), read))
        yield* over("1 second", Hedge.hedge(slow(1), read))
        yield* over("1 second", Effect.exit(Hedge.hedge(failAfter("150 millis", "down"), read)))
        yield* over("1 second", Hedge.hedge(slow(0), { ...read, budget }))
        yield* Hedge.hedge(Effect.succeed("at once"), read)
      })
      expect(yield* countedIn("resilience.hedge.calls", "outcome", calls)).toEqual({
        primary: 1,
        hedge: 1,
        failed: 1,
        refused: 1
      })
    }))

  it.effect("the span says how many hedges there were and how it ended", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const { attempt } = scripted((n) => n === 0 ? Effect.never : Effect.succeed(n))
      const call = Effect.tap(
        Hedge.hedge(attempt, read),
        () => Effect.map(Effect.currentSpan, (span) => spans.push(span))
      )
      yield* over("1 second", Effect.withSpan(call, "call"))
      expect(Object.fromEntries(spans[0]?.attributes ?? [])).toMatchObject({
        "resilience.hedge.hedges": 1,
        "resilience.hedge.outcome": "hedge"
      })
    }))
})
