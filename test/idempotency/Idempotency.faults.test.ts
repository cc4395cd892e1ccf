import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, HashMap, Logger, Metric, Option, TestClock } from "effect"
import { ApiError, Idempotency } from "effect-resilience"
import { timeout } from "../support/errors.js"
import { squashed } from "../support/exits.js"
import type { Fault, Operation } from "../support/faultyStore.js"
import {
  Busy,
  counting,
  cutOff,
  Declined,
  defaults,
  lease,
  probe,
  type Receipt,
  setting,
  told
} from "../support/idempotent.js"

/**
 * Ends within so many milliseconds of test time, or is told as `"still running"` and interrupted.
 */
const inTime = <A, E, R>(millis: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(told(effect))
    yield* TestClock.adjust(millis)
    const polled = yield* Fiber.poll(fiber)
    if (Option.isNone(polled)) {
      yield* Fiber.interruptFork(fiber)
      return "still running"
    }
    return yield* Fiber.join(fiber)
  })

/** The warnings that are logged, by what they say of the outcome. */
const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const seen: Array<unknown> = []
    const logger = Logger.make(({ annotations, logLevel }) => {
      if (logLevel._tag === "Warning") {
        seen.push(Option.getOrUndefined(HashMap.get(annotations, "idempotency.outcome")))
      }
    })
    yield* Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger))
    return seen
  })

const outages: ReadonlyArray<Fault> = ["hang", "refuse", "die"]

describe("a store that fails on acquire", () => {
  it.effect("I23: fails closed in bounded time, and nothing is run", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const { faults, here } = yield* setting
        faults.acquire = fault
        const { counter, work } = counting()
        expect([fault, yield* inTime(2_000, here(Idempotency.run(work, defaults))), counter.begun])
          .toEqual([
            fault,
            "StoreUnavailable",
            0
          ])
      }
    }))

  it.effect("I23: not before the store has had its time", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "hang"
      expect(yield* inTime(1_999, here(Idempotency.run(counting().work, defaults)))).toBe(
        "still running"
      )
      const options = { ...defaults, storeTimeout: "10 millis" } as const
      expect(yield* inTime(10, here(Idempotency.run(counting().work, options)))).toBe(
        "StoreUnavailable"
      )
    }))

  it.effect("I23: a slow store is waited for", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = 1_999
      expect(yield* inTime(1_999, here(Idempotency.run(counting().work, defaults)))).toEqual({
        id: "r-1"
      })
    }))

  it.effect("I23: also where nothing can be interrupted", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "hang"
      const run = Effect.uninterruptible(here(Idempotency.run(counting().work, defaults)))
      expect(yield* inTime(2_000, run)).toBe("StoreUnavailable")
    }))

  it.effect("I23: the error says when to ask again and shows nothing of the driver", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "die"
      const error = yield* Effect.flip(here(Idempotency.run(counting().work, defaults)))
      expect(error._tag === "StoreUnavailable" && Duration.toMillis(error.retryAfter)).toBe(1_000)
      expect([error.message, JSON.stringify(error)].filter((text) => text.includes("secret")))
        .toEqual([])
      expect(ApiError.verdict(error)).toEqual({
        _tag: "Transient",
        ambiguous: false,
        retryAfter: Option.some(Duration.seconds(1))
      })
    }))

  it.effect("I23: with onStoreFailure run it runs, is marked as unprotected, and stores nothing", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const { calls, faults, here } = yield* setting
        faults.acquire = fault
        const seen: Array<boolean> = []
        const work = (run: Idempotency.Run) =>
          Effect.as(run.savepoint(1), { id: String(seen.push(run.protected)) })
        const run = here(Idempotency.run(work, { ...defaults, onStoreFailure: "run" }))
        expect(yield* inTime(2_000, run)).toEqual({ id: "1" })
        expect([seen, calls]).toEqual([[false], ["acquire"]])
      }
    }))

  it.effect("I23: an unprotected run is a warning, a span attribute and a count", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "refuse"
      const run = Effect.gen(function*() {
        yield* Idempotency.run(counting().work, { ...defaults, onStoreFailure: "run" })
        const span = yield* Effect.currentSpan
        expect(span.attributes.get("resilience.idempotency")).toBe("unprotected")
      }).pipe(Effect.withSpan("charge"))
      expect(yield* warnings(here(run))).toEqual(["unprotected"])
      const counter = Metric.tagged(
        Metric.counter("resilience.idempotency.outcomes", {
          description: "How idempotent runs ended",
          incremental: true
        }),
        "outcome",
        "unprotected"
      )
      expect((yield* Metric.value(counter)).count).toBeGreaterThan(0)
    }))

  it.effect("I23: a conflict is no outage: with onStoreFailure run a duplicate and a mismatch do not run", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      const { counter, work } = counting()
      const options = { ...defaults, onStoreFailure: "run" } as const
      expect([
        yield* told(here(Idempotency.run(work, options))),
        yield* told(here(Idempotency.run(work, { ...options, payload: 2 }))),
        counter.begun
      ]).toEqual(["InFlight", "Mismatch", 0])
    }))

  it.effect("I27: a record that the store cannot read is a CorruptRecord, also with onStoreFailure run", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "corrupt"
      const { counter, work } = counting()
      expect([
        yield* told(here(Idempotency.run(work, defaults))),
        yield* told(here(Idempotency.run(work, { ...defaults, onStoreFailure: "run" }))),
        counter.begun
      ]).toEqual(["CorruptRecord", "CorruptRecord", 0])
    }))

  it.effect("I4: an old key does not run unprotected", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "refuse"
      yield* TestClock.adjust("1 day")
      expect(
        yield* told(here(Idempotency.run(counting().work, { ...defaults, onStoreFailure: "run" })))
      ).toBe(
        "UnknownOutcome"
      )
    }))

  it.effect("I22, I23: those who wait for an unprotected run share its success", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "refuse"
      const { counter, work } = counting()
      const options = {
        ...defaults,
        onStoreFailure: "run",
        onDuplicate: { wait: "5 seconds" }
      } as const
      const run = told(here(Idempotency.run(Effect.delay(work, 1_000), options)))
      const all = yield* Effect.fork(Effect.all([run, run, run], { concurrency: "unbounded" }))
      yield* TestClock.adjust(1_000)
      expect([yield* Fiber.join(all), counter.begun]).toEqual([[{ id: "r-1" }, { id: "r-1" }, {
        id: "r-1"
      }], 1])
    }))

  it.effect("I25: a claim that is granted after it was given up is given back", () =>
    Effect.gen(function*() {
      const s = yield* setting
      s.faults.acquire = 5_000
      const { counter, work } = counting()
      const first = yield* inTime(2_000, s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(3_000)
      expect([first, counter.begun, s.calls, yield* probe(s)]).toEqual([
        "StoreUnavailable",
        0,
        ["acquire", "release"],
        "Acquired"
      ])
    }))

  it.effect("I20, I25: a takeover that is granted too late is not released, which would make the next run a first run", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      s.faults.acquire = 5_000
      yield* inTime(2_000, s.here(Idempotency.run(() => counting().work, defaults)))
      yield* TestClock.adjust(3_001)
      expect([yield* probe(s), s.calls.includes("release")]).toEqual(["Recovered", false])
    }))
})

describe("a store that fails after the work", () => {
  it.effect("I21: a success stays one, in bounded time, and the lease is kept", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const s = yield* setting
        s.faults.complete = fault
        const first = yield* inTime(2_000, s.here(Idempotency.run(counting().work, defaults)))
        expect([fault, first, yield* probe(s), s.calls]).toEqual([
          fault,
          { id: "r-1" },
          "InFlight",
          ["acquire", "complete"]
        ])
      }
    }))

  it.effect("I21: and whoever comes later does not run it again", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.complete = "refuse"
      const { counter, work } = counting()
      const run = told(here(Idempotency.run(work, defaults)))
      const first = yield* run
      const within = yield* run
      yield* TestClock.adjust(lease)
      expect([first, within, yield* run, counter.begun]).toEqual([
        { id: "r-1" },
        "InFlight",
        "UnknownOutcome",
        1
      ])
    }))

  it.effect("I21: an event says so", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.complete = "refuse"
      expect(yield* warnings(here(Idempotency.run(counting().work, defaults)))).toEqual([
        "unrecorded"
      ])
    }))

  it.effect("I21: a success that was recorded although the answer was lost is replayed", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.complete = "lose"
      const { counter, work } = counting()
      const run = here(Idempotency.run(work, defaults))
      expect([yield* run, yield* run, counter.begun]).toEqual([{ id: "r-1" }, { id: "r-1" }, 1])
    }))

  it.effect("I21: a store that is slow to record is not interrupted", () =>
    Effect.gen(function*() {
      const s = yield* setting
      s.faults.complete = 5_000
      yield* inTime(2_000, s.here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(3_000)
      expect(yield* probe(s)).toBe("Completed")
    }))

  it.effect("I21: a declared failure stays the failure that it is", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.complete = "hang"
      const work = Effect.fail(new Declined({ why: "limit" }))
      expect(
        yield* inTime(2_000, here(Idempotency.run(work, { ...defaults, persistFailure: Declined })))
      ).toBe(
        "Declined"
      )
    }))

  it.effect("I20: a release that fails changes nothing for the caller, and the claim lapses", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const s = yield* setting
        s.faults.release = fault
        const first = yield* inTime(2_000, s.here(Idempotency.run(new Busy(), defaults)))
        const before = yield* probe(s)
        yield* TestClock.adjust(lease)
        expect([fault, first, before, yield* probe(s)]).toEqual([
          fault,
          "Busy",
          "InFlight",
          "Recovered"
        ])
      }
    }))

  it.effect("I14: who completes after a takeover changes nothing in the store, gives its caller the value, and says so", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const { counter, work } = counting()
      const run = s.here(Idempotency.run(Effect.delay(work, 2 * lease), defaults))
      const slow = yield* Effect.fork(
        warnings(Effect.map(run, (value) => expect(value).toEqual({ id: "r-1" })))
      )
      yield* TestClock.adjust(lease)
      const other = Idempotency.run(() => Effect.succeed({ id: "recovered" }), defaults)
      const recovered = yield* s.here(other)
      yield* TestClock.adjust(lease)
      expect([yield* Fiber.join(slow), recovered, yield* s.here(other), counter.begun]).toEqual([
        ["stale"],
        { id: "recovered" },
        { id: "recovered" },
        1
      ])
    }))
})

describe("savepoints", () => {
  it.effect("I29: a savepoint that is not kept is StoreUnavailable, in bounded time", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const { faults, here } = yield* setting
        faults.savepoint = fault
        const run = Idempotency.run(
          (run) => Effect.as(Effect.ignore(run.savepoint(1)), { id: "on" }),
          defaults
        )
        const strict = Idempotency.run((run) => Effect.as(run.savepoint(1), { id: "on" }), {
          ...defaults,
          scope: ["strict"]
        })
        expect([fault, yield* inTime(2_000, here(run)), yield* inTime(2_000, here(strict))])
          .toEqual([
            fault,
            { id: "on" },
            "StoreUnavailable"
          ])
      }
    }))

  it.effect("I20, I29: work that ended because of that was begun: the record is held", () =>
    Effect.gen(function*() {
      const s = yield* setting
      s.faults.savepoint = "refuse"
      yield* told(
        s.here(Idempotency.run((run) => Effect.as(run.savepoint(1), { id: "on" }), defaults))
      )
      expect(yield* probe(s)).toBe("InFlight")
    }))

  it.effect("I29: a savepoint that takes effect late does not undo a later one", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      const work = (run: Idempotency.Run) =>
        Effect.gen(function*() {
          faults.savepoint = 5_000
          yield* Effect.ignore(run.savepoint("first"))
          delete faults.savepoint
          yield* Effect.sleep(1_500)
          yield* run.savepoint("second")
          return yield* Effect.never
        })
      const fiber = yield* Effect.fork(here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(10_000)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(lease)
      const seen = yield* here(
        Idempotency.run(
          (run) => Effect.succeed({ id: String(Option.getOrNull(run.recoveryPoint)) }),
          defaults
        )
      )
      expect(seen).toEqual({ id: "second" })
    }))

  it.effect("I14, I29: a savepoint of somebody who lost the claim stops the work: UnknownOutcome", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const probes: Array<string> = []
      const work = (run: Idempotency.Run) =>
        Effect.delay(run.savepoint("late"), 2 * lease).pipe(
          Effect.zipRight(Effect.sync(() => (probes.push("went on"), { id: "r" }))),
          Effect.onInterrupt(() => Effect.sync(() => probes.push("stopped")))
        )
      const slow = yield* Effect.fork(told(here(Idempotency.run(work, defaults))))
      yield* TestClock.adjust(lease)
      yield* here(Idempotency.run(() => Effect.succeed({ id: "recovered" }), defaults))
      yield* TestClock.adjust(lease)
      expect([yield* Fiber.join(slow), probes, calls]).toEqual([
        "UnknownOutcome",
        ["stopped"],
        ["acquire", "acquire", "complete", "savepoint"]
      ])
    }))
})

describe("the heartbeat", () => {
  const beating = { ...defaults, lease: "3 seconds", heartbeat: true } as const
  const long = (millis: number) => Effect.delay(Effect.succeed<Receipt>({ id: "r" }), millis)

  it.effect("I24: extends every third of the lease and stops with the work", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const fiber = yield* Effect.fork(here(Idempotency.run(long(3_500), beating)))
      const seen: Array<number> = []
      for (const millis of [999, 1, 999, 1, 1_000, 500]) {
        yield* TestClock.adjust(millis)
        seen.push(calls.filter((call) => call === "extend").length)
      }
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 minute")
      expect([seen, calls]).toEqual([[0, 1, 1, 2, 3, 3], [
        "acquire",
        "extend",
        "extend",
        "extend",
        "complete"
      ]])
    }))

  it.effect("I24: work that runs longer than its lease keeps its claim, and without a heartbeat does not", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const heartbeat of [true, false]) {
        const s = yield* setting
        yield* Effect.fork(s.here(Idempotency.run(long(10_000), { ...beating, heartbeat })))
        yield* TestClock.adjust(5_000)
        seen.push(yield* probe(s))
      }
      expect(seen).toEqual(["InFlight", "Recovered"])
    }))

  it.effect("I24: when the claim is lost, the work is interrupted, its finalizers run, and the caller gets UnknownOutcome", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const probes: Array<string> = []
      const work = Effect.onInterrupt(
        Effect.never,
        () => Effect.sync(() => probes.push("finalized"))
      )
      const fiber = yield* Effect.fork(told(s.here(Idempotency.run(work, beating))))
      yield* TestClock.adjust(1)
      yield* s.inner.release({ ...s.claims[0]!, generation: 1 })
      const taken = yield* probe(s)
      yield* TestClock.adjust(1_000)
      expect([taken, yield* Fiber.join(fiber), probes, s.calls]).toEqual([
        "Acquired",
        "UnknownOutcome",
        ["finalized"],
        ["acquire", "extend"]
      ])
    }))

  it.effect("I24: work that cannot be interrupted is waited for", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const fiber = yield* Effect.fork(
        told(s.here(Idempotency.run(Effect.uninterruptible(long(1_500)), beating)))
      )
      yield* TestClock.adjust(1)
      yield* s.inner.release({ ...s.claims[0]!, generation: 1 })
      yield* TestClock.adjust(1_498)
      const before = yield* Fiber.poll(fiber)
      yield* TestClock.adjust(1)
      expect([before._tag, yield* Fiber.join(fiber), s.calls]).toEqual([
        "None",
        "UnknownOutcome",
        ["acquire", "extend"]
      ])
    }))

  it.effect("I24: a store that does not answer does not stop the work", () =>
    Effect.gen(function*() {
      for (const fault of outages) {
        const { faults, here } = yield* setting
        faults.extend = fault
        const fiber = yield* Effect.fork(told(here(Idempotency.run(long(20_000), beating))))
        yield* TestClock.adjust(20_000)
        expect([fault, yield* Fiber.join(fiber)]).toEqual([fault, { id: "r" }])
      }
    }))

  it.effect("I24: interruption of the caller reaches the work, waits for its finalizers, and stops the heartbeat", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const probes: Array<string> = []
      const work = Effect.onInterrupt(
        Effect.never,
        () => Effect.delay(Effect.sync(() => probes.push("finalized")), 100)
      )
      const fiber = yield* Effect.fork(s.here(Idempotency.run(work, beating)))
      yield* TestClock.adjust(1_500)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust(50)
      const before = yield* Fiber.poll(interrupting)
      yield* TestClock.adjust(50)
      const exit = yield* Fiber.join(interrupting)
      yield* TestClock.adjust("1 minute")
      expect([before._tag, Exit.isInterrupted(exit), probes, s.calls]).toEqual([
        "None",
        true,
        ["finalized"],
        ["acquire", "extend"]
      ])
    }))

  it.effect("I24: it stops at once also while the store hangs", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.extend = "hang"
      const fiber = yield* Effect.fork(told(here(Idempotency.run(long(1_001), beating))))
      yield* TestClock.adjust(1_001)
      expect((yield* Fiber.poll(fiber))._tag).toBe("Some")
    }))
})

describe("interruption", () => {
  it.effect("I25: while the store hangs the caller leaves at once", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.acquire = "hang"
      const fiber = yield* Effect.fork(here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(1)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }))

  it.effect("I25: during acquire it leaves no lease behind, and the work is not begun", () =>
    Effect.gen(function*() {
      const s = yield* setting
      s.faults.acquire = 1_000
      const { counter, work } = counting()
      const fiber = yield* Effect.fork(s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(500)
      expect([counter.begun, s.calls, yield* probe(s)]).toEqual([
        0,
        ["acquire", "release"],
        "Acquired"
      ])
    }))

  it.effect("I25: whenever it comes, either the work was begun or no lease is left", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      for (const heartbeat of [false, true]) {
        for (let turns = 0; turns < 20; turns++) {
          const s = yield* setting
          const { counter, work } = counting()
          const run = s.here(
            Idempotency.run(Effect.zipRight(work, Effect.never), { ...defaults, heartbeat })
          )
          const fiber = yield* Effect.fork(run)
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow()
          yield* Fiber.interrupt(fiber)
          for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow()
          seen.add(`${counter.begun} ${s.claims.length === 0 ? "Acquired" : yield* probe(s)}`)
        }
      }
      expect([...seen].sort()).toEqual(["0 Acquired", "1 InFlight"])
    }))

  it.effect("I25: also where others get a turn after every few steps", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      for (let steps = 12; steps < 24; steps++) {
        for (let turns = 0; turns < 60; turns++) {
          const s = yield* setting
          let begun = 0
          // Its very first step counts.
          const work = Effect.suspend(() => {
            begun++
            return Effect.never
          })
          const run = s.here(Idempotency.run(work, defaults))
          const fiber = yield* Effect.fork(Effect.withMaxOpsBeforeYield(run, steps))
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow()
          yield* Fiber.interrupt(fiber)
          for (let turn = 0; turn < 60; turn++) yield* Effect.yieldNow()
          seen.add(`${begun} ${s.claims.length === 0 ? "Acquired" : yield* probe(s)}`)
        }
      }
      expect([...seen].sort()).toEqual(["0 Acquired", "1 InFlight"])
    }))

  it.effect("I25: a takeover that is interrupted before the work is not forgotten", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      s.faults.acquire = 1_000
      const fiber = yield* Effect.fork(s.here(Idempotency.run(() => counting().work, defaults)))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust(501)
      expect(yield* probe(s)).toBe("Recovered")
    }))

  it.effect("I20: of the work holds the record and asks nothing more of the store", () =>
    Effect.gen(function*() {
      const s = yield* setting
      const fiber = yield* Effect.fork(s.here(Idempotency.run(Effect.never, defaults)))
      yield* TestClock.adjust(1)
      const exit = yield* Fiber.interrupt(fiber)
      expect([Exit.isInterrupted(exit), s.calls, yield* probe(s)]).toEqual([
        true,
        ["acquire"],
        "InFlight"
      ])
    }))

  it.effect("I20: while the outcome is being recorded it is recorded all the same", () =>
    Effect.gen(function*() {
      const s = yield* setting
      s.faults.complete = 1_000
      const fiber = yield* Effect.fork(s.here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(500)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust(500)
      yield* Fiber.join(interrupting)
      expect(yield* probe(s)).toBe("Completed")
    }))

  it.effect("I25: of a waiter that polls stops the polling", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
      const fiber = yield* Effect.fork(
        s.here(
          Idempotency.run(counting().work, { ...defaults, onDuplicate: { wait: "30 seconds" } })
        )
      )
      yield* TestClock.adjust(100)
      yield* Fiber.interrupt(fiber)
      const asked = s.calls.length
      yield* TestClock.adjust("1 hour")
      expect(s.calls.length).toBe(asked)
    }))
})

describe("waits where nothing can be interrupted", () => {
  it.effect("I23: every call of the store ends the wait when it answers, and not when its time is over", () =>
    Effect.gen(function*() {
      const long = { ...defaults, storeTimeout: "30 seconds", lease: "5 minutes" } as const
      const work = (run: Idempotency.Run) => Effect.as(run.savepoint(1), { id: "r" })
      for (const operation of ["acquire", "savepoint", "complete"] as const) {
        const s = yield* setting
        s.faults[operation] = 100
        const run = Effect.uninterruptible(s.here(Idempotency.run(work, long)))
        expect([operation, yield* inTime(100, run)]).toEqual([operation, { id: "r" }])
      }
    }))

  it.effect("I22: a duplicate ends its wait with the run that it waits for", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const options = { ...defaults, onDuplicate: { wait: "50 seconds" } } as const
      const first = yield* Effect.fork(here(Idempotency.run(Effect.delay(work, 100), options)))
      yield* TestClock.adjust(1)
      const waiting = Effect.uninterruptible(here(Idempotency.run(work, options)))
      expect([yield* inTime(99, waiting), counter.begun]).toEqual([{ id: "r-1" }, 1])
      yield* Fiber.join(first)
    }))

  it.effect("I22: a duplicate that is interrupted leaves at once, and the run goes on", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { work } = counting()
      const options = { ...defaults, onDuplicate: { wait: "50 seconds" } } as const
      const first = yield* Effect.fork(here(Idempotency.run(Effect.delay(work, 100), options)))
      yield* TestClock.adjust(1)
      for (let turns = 0; turns < 12; turns++) {
        const waiting = yield* Effect.fork(here(Idempotency.run(work, options)))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow()
        expect(Exit.isInterrupted(yield* Fiber.interrupt(waiting))).toBe(true)
      }
      yield* TestClock.adjust(99)
      expect(yield* Fiber.join(first)).toEqual({ id: "r-1" })
    }))

  it.effect("I24: a heartbeat whose store hangs holds up neither the end of the work nor an interruption", () =>
    Effect.gen(function*() {
      const beating = { ...defaults, lease: "3 seconds", heartbeat: true } as const
      for (let millis = 900; millis < 4_000; millis += 100) {
        const s = yield* setting
        s.faults.extend = "hang"
        const fiber = yield* Effect.fork(s.here(Idempotency.run(Effect.never, beating)))
        yield* TestClock.adjust(millis)
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust(0)
        expect([millis, (yield* Fiber.poll(interrupting))._tag]).toEqual([millis, "Some"])
      }
    }))
})

describe("nothing is executed twice in silence", () => {
  it.effect("I20: a run that recovered and failed leaves the outcome as unknown as it was", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff(() =>
        s.here(
          Idempotency.run((run) => Effect.zipRight(run.savepoint("half"), Effect.never), defaults)
        )
      )
      yield* TestClock.adjust(lease)
      yield* told(s.here(Idempotency.run(() => Effect.fail(new Busy()), defaults)))
      const seen: Array<unknown> = []
      const { counter, work } = counting()
      seen.push(yield* told(s.here(Idempotency.run(work, defaults))))
      const again = (run: Idempotency.Run) =>
        Effect.sync(
          () => (seen.push(run.recovered, Option.getOrNull(run.recoveryPoint)), { id: "r" })
        )
      yield* s.here(Idempotency.run(again, defaults))
      expect([seen, counter.begun]).toEqual([["UnknownOutcome", true, "half"], 0])
    }))

  it.effect(
    "I20, I21, I23: whatever fails at whichever call, a plain effect runs at most once",
    () =>
      Effect.gen(function*() {
        const operations: ReadonlyArray<Operation> = ["acquire", "complete", "extend"]
        const faults: ReadonlyArray<Fault> = ["hang", "refuse", "lose", 5_000]
        const works: ReadonlyArray<Effect.Effect<Receipt, ApiError.ApiError>> = [
          Effect.delay(Effect.succeed({ id: "r" }), 4_000),
          Effect.fail(timeout("total"))
        ]
        for (const operation of operations) {
          for (const fault of faults) {
            for (const outcome of works) {
              const s = yield* setting
              s.faults[operation] = fault
              let begun = 0
              const work = Effect.suspend(() => (begun++, outcome))
              const options = { ...defaults, heartbeat: true, lease: "3 seconds" } as const
              for (let caller = 0; caller < 3; caller++) {
                yield* inTime(10_000, s.here(Idempotency.run(work, options)))
                if (caller === 1) delete s.faults[operation]
              }
              // A claim that was granted, with the answer lost, lapses: its outcome is unknown.
              const expected = operation === "acquire" && fault === "lose" ? 0 : 1
              expect([operation, fault, begun]).toEqual([operation, fault, expected])
            }
          }
        }
      }),
    30_000
  )

  it.effect("the failure of the work is never replaced by one of the store", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      for (const operation of ["complete", "release"] as const) {
        for (const fault of ["hang", "refuse", "die", "lose"] as const) {
          const s = yield* setting
          s.faults[operation] = fault
          const died = yield* Effect.fork(
            Effect.exit(s.here(Idempotency.run(Effect.die("boom"), defaults)))
          )
          const failed = inTime(
            2_000,
            s.here(Idempotency.run(new Busy(), { ...defaults, scope: ["other"] }))
          )
          yield* TestClock.adjust(2_000)
          const exit = yield* Fiber.join(died)
          seen.push([squashed(exit), yield* failed])
        }
      }
      expect(seen).toEqual(Array.from({ length: 8 }, () => ["boom", "Busy"]))
    }))
})
