import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, FastCheck as fc, Fiber, TestClock, TestContext } from "effect"
import { Rejection } from "effect-resilience"
import * as Bulkhead from "effect-resilience/Bulkhead"
import { wordsFor } from "../support/exits.js"
import { badDurations, refusalOf } from "../support/refusal.js"
import { runs } from "../support/runs.js"
import { settle } from "../support/turns.js"

/** An exit in a word; for a rejection also what it says. */
const wordOf = wordsFor({
  failure: (error) =>
    error instanceof Bulkhead.BulkheadFull
      ? `BulkheadFull ${error.concurrency} ${error.queue}`
      : undefined
})

/** A call with a name, which says when it begins and ends when it is told to. */
const caller = (bulkhead: Bulkhead.Bulkhead, log: Array<string>) => (name: string) =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<string, string>()
    const work = Effect.zipRight(Effect.sync(() => log.push(name)), Deferred.await(gate))
    const fiber = yield* Effect.fork(bulkhead.protect(work))
    yield* settle
    return {
      end: Effect.zipRight(Deferred.succeed(gate, `${name} done`), settle),
      fail: Effect.zipRight(Deferred.fail(gate, `${name} failed`), settle),
      interrupt: Effect.zipRight(Fiber.interrupt(fiber), settle),
      interruptFork: Fiber.interruptFork(fiber),
      now: Effect.sync(() => {
        const exit = fiber.unsafePoll()
        return exit === null ? "under way" : wordOf(exit)
      })
    }
  })

const open = (options: Bulkhead.Options) =>
  Effect.gen(function*() {
    const bulkhead = yield* Bulkhead.make(options)
    const log: Array<string> = []
    const numbers = Effect.map(bulkhead.snapshot, ({ running, waiting }) =>
      `${running} running, ${waiting} waiting`)
    return { bulkhead, log, call: caller(bulkhead, log), numbers }
  })

const refused = (options: Bulkhead.Options) => refusalOf(Bulkhead.make(options))

describe("admits", () => {
  it.effect("G10: as many as its concurrency run at once, as many as its queue wait", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* open({ concurrency: 2, queue: 1 })
      for (const name of ["a", "b", "c"]) yield* call(name)
      expect([log, yield* numbers]).toEqual([["a", "b"], "2 running, 1 waiting"])
    }))

  it.effect("G10: those that wait run in the order they came", () =>
    Effect.gen(function*() {
      const { call, log } = yield* open({ concurrency: 1, queue: 3 })
      const a = yield* call("a")
      const b = yield* call("b")
      yield* call("c")
      yield* a.end
      yield* call("d")
      yield* b.end
      expect(log).toEqual(["a", "b", "c"])
    }))

  it.effect("G10: what the call gives comes out as it is: value, failure and defect", () =>
    Effect.gen(function*() {
      const { bulkhead } = yield* open({ concurrency: 1 })
      const exits = yield* Effect.forEach(
        [Effect.succeed("value"), Effect.fail("failure"), Effect.die("defect")],
        (effect) => Effect.map(Effect.exit(bulkhead.protect(effect)), wordOf)
      )
      expect(exits).toEqual(["value", "failure", "defect"])
    }))

  it.effect("G10: an effect that is run twice takes a permit each time", () =>
    Effect.gen(function*() {
      const { bulkhead } = yield* open({ concurrency: 1 })
      const held = bulkhead.protect(Effect.never)
      const first = yield* Effect.fork(held)
      yield* settle
      const second = wordOf(yield* Effect.exit(held))
      yield* Fiber.interrupt(first)
      expect(second).toBe("BulkheadFull 1 0")
    }))
})

describe("rejects", () => {
  it.effect("G10: the next one is rejected at once, and does not run; by default nobody waits", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* open({ concurrency: 1 })
      yield* call("a")
      const b = yield* call("b")
      expect([log, yield* b.now, yield* numbers]).toEqual([
        ["a"],
        "BulkheadFull 1 0",
        "1 running, 0 waiting"
      ])
    }))

  it.effect("G10: the rejection names the bulkhead's limits, and is a rejection without a stack", () =>
    Effect.gen(function*() {
      const { bulkhead, call } = yield* open({ concurrency: 1, queue: 2 })
      for (const name of ["a", "b", "c"]) yield* call(name)
      const error = yield* Effect.flip(bulkhead.protect(Effect.void))
      expect([
        error._tag,
        error.concurrency,
        error.queue,
        Rejection.isRejection(error),
        error.stack?.includes(" at ")
      ])
        .toEqual(["BulkheadFull", 1, 2, true, false])
    }))

  it.effect("G10: one that has waited for maxWait is rejected, and leaves its place to others", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* open({ concurrency: 1, queue: 1, maxWait: "1 second" })
      const a = yield* call("a")
      const b = yield* call("b")
      yield* TestClock.adjust(999)
      const before = yield* b.now
      yield* TestClock.adjust(1)
      const after = yield* b.now
      yield* call("c")
      yield* a.end
      expect([before, after, log, yield* numbers]).toEqual([
        "under way",
        "BulkheadFull 1 1",
        ["a", "c"],
        "1 running, 0 waiting"
      ])
    }))

  it.effect("G10: one that got its permit in time is not rejected later: maxWait bounds the waiting only", () =>
    Effect.gen(function*() {
      const { call } = yield* open({ concurrency: 1, queue: 1, maxWait: "1 second" })
      const a = yield* call("a")
      const b = yield* call("b")
      yield* TestClock.adjust(999)
      yield* a.end
      yield* TestClock.adjust("1 hour")
      const running = yield* b.now
      yield* b.end
      expect([running, yield* b.now]).toEqual(["under way", "b done"])
    }))

  it.effect("G10: nor at hand-over, when the permit comes in the very moment at which maxWait ends", () =>
    Effect.gen(function*() {
      const { bulkhead } = yield* open({ concurrency: 1, queue: 1, maxWait: "1 second" })
      const outcomes: Array<string> = []
      const call = (name: string, work: Effect.Effect<unknown>) =>
        bulkhead.protect(Effect.as(work, name)).pipe(
          Effect.exit,
          Effect.map((exit) => outcomes.push(wordOf(exit)))
        )
      // Of two timers for the same moment the one that was set last fires first: a ends, and then b
      // has waited for a second.
      yield* Effect.fork(call("a", Effect.zipRight(Effect.sleep(500), Effect.sleep(500))))
      yield* settle
      yield* Effect.fork(call("b", Effect.void))
      yield* TestClock.adjust("1 second")
      expect(outcomes).toEqual(["a", "b"])
    }))

  it.effect("G10: nonsense options are refused, naming field and value", () =>
    Effect.gen(function*() {
      expect([
        yield* refused({ concurrency: 0 }),
        yield* refused({ concurrency: 1.5 }),
        yield* refused({ concurrency: NaN }),
        yield* refused({ concurrency: 1, queue: -1 }),
        yield* refused({ concurrency: 1, queue: Infinity })
      ]).toEqual([
        "concurrency should be a whole number of at least 1, got 0",
        "concurrency should be a whole number of at least 1, got 1.5",
        "concurrency should be a whole number of at least 1, got NaN",
        "queue should be a whole number of at least 0, got -1",
        "queue should be a whole number of at least 0, got Infinity"
      ])
      for (const [maxWait, value] of badDurations) {
        const message = yield* refused({ concurrency: 1, queue: 1, maxWait })
        expect([message.startsWith("maxWait "), message.includes(value)]).toEqual([true, true])
      }
    }))
})

describe("recovers", () => {
  it.effect("G11: a permit is there again after a success, a failure, a defect and an interruption", () =>
    Effect.gen(function*() {
      const { bulkhead, call, numbers } = yield* open({ concurrency: 1 })
      const seen: Array<string> = []
      yield* (yield* call("a")).end
      seen.push(yield* numbers)
      yield* (yield* call("b")).fail
      seen.push(yield* numbers)
      yield* Effect.exit(bulkhead.protect(Effect.die("defect")))
      seen.push(yield* numbers)
      yield* (yield* call("c")).interrupt
      seen.push(yield* numbers)
      expect(seen).toEqual(Array.from({ length: 4 }, () => "0 running, 0 waiting"))
    }))

  it.effect("G10: a newcomer does not take the permit that was handed to one who waits", () =>
    Effect.gen(function*() {
      const { bulkhead, log } = yield* open({ concurrency: 1, queue: 1 })
      const gate = yield* Deferred.make<void>()
      const note = (name: string) => Effect.sync(() => log.push(name))
      const first = yield* Effect.fork(bulkhead.protect(Deferred.await(gate)))
      yield* settle
      const second = yield* Effect.fork(bulkhead.protect(note("waited")))
      yield* settle
      // In the same turn in which the first ends, before the second has woken up.
      const third = yield* Fiber.join(first).pipe(
        Effect.zipRight(Effect.exit(bulkhead.protect(note("came later")))),
        Effect.fork
      )
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.zipRight(Fiber.join(second), Fiber.join(third))
      expect(log).toEqual(["waited", "came later"])
    }))
})

describe("interruption releases", () => {
  it.effect("G11: an interrupted waiter leaves at once and frees its place", () =>
    Effect.gen(function*() {
      const { call, log, numbers } = yield* open({ concurrency: 1, queue: 1 })
      const a = yield* call("a")
      const b = yield* call("b")
      yield* b.interrupt
      const left = [yield* b.now, yield* numbers]
      yield* call("c")
      yield* a.end
      expect([left, log]).toEqual([["interrupted", "1 running, 0 waiting"], ["a", "c"]])
    }))

  it.effect("G11: also one with a maxWait", () =>
    Effect.gen(function*() {
      const { call, numbers } = yield* open({ concurrency: 1, queue: 1, maxWait: "1 second" })
      yield* call("a")
      const b = yield* call("b")
      yield* b.interrupt
      expect([yield* b.now, yield* numbers]).toEqual(["interrupted", "1 running, 0 waiting"])
    }))

  it.effect("G11: the permit is held until the finalizers of an interrupted call have run", () =>
    Effect.gen(function*() {
      const { bulkhead, numbers } = yield* open({ concurrency: 1 })
      const cleaning = yield* Deferred.make<void>()
      const cleaned = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        bulkhead.protect(
          Effect.onInterrupt(
            Effect.never,
            () => Effect.zipRight(Deferred.succeed(cleaning, undefined), Deferred.await(cleaned))
          )
        )
      )
      yield* settle
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Deferred.await(cleaning)
      const during = [yield* numbers, wordOf(yield* Effect.exit(bulkhead.protect(Effect.void)))]
      yield* Deferred.succeed(cleaned, undefined)
      yield* Fiber.join(interrupting)
      expect([during, yield* numbers]).toEqual([
        ["1 running, 0 waiting", "BulkheadFull 1 0"],
        "0 running, 0 waiting"
      ])
    }))

  for (const order of ["released, then interrupted", "interrupted, then released"] as const) {
    it.effect(`G11: a permit handed to a waiter that is interrupted in the same moment goes on: ${order}`, () =>
      Effect.gen(function*() {
        const { call, log, numbers } = yield* open({ concurrency: 1, queue: 2 })
        const a = yield* call("a")
        const b = yield* call("b")
        const c = yield* call("c")
        // Both reach b before it runs again.
        if (order === "released, then interrupted") {
          yield* Effect.zipRight(a.interruptFork, b.interruptFork)
        } else yield* Effect.zipRight(b.interruptFork, a.interruptFork)
        yield* settle
        const seen = [log, yield* b.now, yield* c.now, yield* numbers]
        yield* c.end
        expect([seen, yield* numbers]).toEqual([
          [["a", "c"], "interrupted", "under way", "1 running, 0 waiting"],
          "0 running, 0 waiting"
        ])
      }))
  }

  it.effect("G11: a waiter that may not be interrupted waits on", () =>
    Effect.gen(function*() {
      const { bulkhead, call, log } = yield* open({ concurrency: 1, queue: 1 })
      const a = yield* call("a")
      const b = yield* Effect.fork(
        Effect.uninterruptible(bulkhead.protect(Effect.sync(() => log.push("b"))))
      )
      yield* settle
      yield* Fiber.interruptFork(b)
      yield* settle
      yield* a.end
      yield* Fiber.await(b)
      expect(log).toEqual(["a", "b"])
    }))
})

describe("concurrent callers", () => {
  type Command = { readonly do: "call" } | {
    readonly do: "end" | "interrupt"
    readonly which: number
  } | {
    readonly do: "advance"
    readonly millis: number
  } | { readonly do: "end and interrupt"; readonly which: number }

  const which = fc.nat({ max: 9 })
  const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant<Command>({ do: "call" }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("end" as const), which }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("interrupt" as const), which }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("end and interrupt" as const), which }) },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("advance" as const),
          millis: fc.constantFrom(1, 40, 100)
        })
      }
    ),
    { minLength: 1, maxLength: 30 }
  )
  const options = fc.record({
    concurrency: fc.integer({ min: 1, max: 3 }),
    queue: fc.integer({ min: 0, max: 3 }),
    maxWait: fc.constantFrom(undefined, 100)
  })

  /** One of each kind: chance alone may leave one out. */
  const eachKind: ReadonlyArray<Command> = [
    ...Array.from({ length: 4 }, (): Command => ({ do: "call" })),
    { do: "end and interrupt", which: 0 },
    { do: "interrupt", which: 1 },
    { do: "call" },
    { do: "advance", millis: 100 },
    { do: "interrupt", which: 0 }
  ]

  /** Who runs and who waits since when, in two lists. */
  const run = (
    options: { concurrency: number; queue: number; maxWait: number | undefined },
    all: ReadonlyArray<Command>
  ) =>
    Effect.gen(function*() {
      const { bulkhead, call, log, numbers } = yield* open(options)
      const calls: Array<Effect.Effect.Success<ReturnType<typeof call>>> = []
      let running: Array<number> = []
      let waiting: Array<{ readonly name: number; readonly since: number }> = []
      const ran: Array<string> = []
      const expected: Array<string> = []
      let now = 0
      const seen = new Set<string>()
      const begin = (name: number) => {
        running.push(name)
        ran.push(String(name))
      }
      const goOn = () => {
        const next = waiting.shift()
        if (next !== undefined) begin(next.name)
      }
      for (const command of all) {
        if (command.do === "call") {
          const name = calls.length
          if (running.length < options.concurrency) begin(name)
          else if (waiting.length < options.queue) waiting.push({ name, since: now })
          else expected[name] = `BulkheadFull ${options.concurrency} ${options.queue}`
          calls.push(yield* call(String(name)))
        } else if (command.do === "advance") {
          now += command.millis
          const stays = waiting.filter(({ since }) =>
            options.maxWait === undefined || now - since < options.maxWait
          )
          for (const { name } of waiting) {
            if (stays.every((other) => other.name !== name)) {
              expected[name] = `BulkheadFull ${options.concurrency} ${options.queue}`
              seen.add("waited too long")
            }
          }
          waiting = stays
          yield* TestClock.adjust(command.millis)
          yield* settle
        } else if (command.do === "interrupt") {
          const those = [...running, ...waiting.map(({ name }) => name)]
          const name = those[command.which % Math.max(1, those.length)]
          if (name === undefined) continue
          expected[name] = "interrupted"
          seen.add(running.includes(name) ? "interrupted running" : "interrupted waiting")
          if (running.includes(name)) {
            running = running.filter((other) => other !== name)
            goOn()
          } else waiting = waiting.filter((other) => other.name !== name)
          yield* calls[name]!.interrupt
        } else {
          const name = running[command.which % Math.max(1, running.length)]
          if (name === undefined) continue
          running = running.filter((other) => other !== name)
          if (command.do === "end") {
            expected[name] = `${name} done`
            goOn()
            yield* calls[name]!.end
          } else {
            // The permit goes to the first in line, who is interrupted before it can run.
            const first = waiting.shift()
            expected[name] = "interrupted"
            yield* calls[name]!.interruptFork
            if (first !== undefined) {
              seen.add("interrupted at hand-over")
              expected[first.name] = "interrupted"
              yield* calls[first.name]!.interruptFork
            }
            goOn()
            yield* settle
          }
        }
        expect(log).toEqual(ran)
        expect(yield* numbers).toBe(`${running.length} running, ${waiting.length} waiting`)
        const states = yield* Effect.forEach(calls, ({ now }) => now)
        expect(states).toEqual(calls.map((_, name) => expected[name] ?? "under way"))
      }
      yield* Effect.forEach(calls, ({ interrupt }) => interrupt, { discard: true })
      expect(yield* bulkhead.snapshot).toEqual({ running: 0, waiting: 0 })
      return seen
    })

  it(
    "G10, G11: for any order of arrivals, ends, interruptions and clock moves: first come first served, no permit lost or made up",
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
        { numRuns: runs(300), examples: [[{ concurrency: 1, queue: 3, maxWait: 100 }, eachKind]] }
      )
      expect([...seen].sort()).toEqual([
        "interrupted at hand-over",
        "interrupted running",
        "interrupted waiting",
        "waited too long"
      ])
    }
  )

  it.effect("G10: a thousand callers at once: never more than may run, and all of them come through", () =>
    Effect.gen(function*() {
      const { bulkhead } = yield* open({ concurrency: 7, queue: 1000 })
      let running = 0
      let most = 0
      const work = Effect.sync(() => most = Math.max(most, ++running)).pipe(
        Effect.zipRight(Effect.yieldNow()),
        Effect.ensuring(Effect.sync(() => running--))
      )
      yield* Effect.all(Array.from({ length: 1000 }, () => bulkhead.protect(work)), {
        concurrency: "unbounded",
        discard: true
      })
      expect([most, running, yield* bulkhead.snapshot]).toEqual([7, 0, { running: 0, waiting: 0 }])
    }))

  it.effect("G10: at rest there is no timer, and none while calls wait without a maxWait", () =>
    Effect.gen(function*() {
      const { call } = yield* open({ concurrency: 1, queue: 1 })
      yield* call("a")
      yield* call("b")
      expect((yield* TestClock.sleeps()).length).toBe(0)
    }))
})

describe("Tag", () => {
  class Payments extends Bulkhead.Tag("Payments")<Payments>() {}
  class Reports extends Bulkhead.Tag("Reports")<Reports>() {}

  it.effect("the layer gives one bulkhead, and two tags share nothing", () =>
    Effect.gen(function*() {
      const payment = yield* Effect.fork(Payments.protect(Effect.never))
      yield* settle
      const outcomes = [
        wordOf(yield* Effect.exit(Payments.protect(Effect.succeed("paid")))),
        wordOf(yield* Effect.exit(Reports.protect(Effect.succeed("written"))))
      ]
      yield* Fiber.interrupt(payment)
      expect(outcomes).toEqual(["BulkheadFull 1 0", "written"])
    }).pipe(
      Effect.provide([Payments.layer({ concurrency: 1 }), Reports.layer({ concurrency: 1 })])
    ))
})
