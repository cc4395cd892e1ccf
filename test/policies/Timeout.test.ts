import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberId,
  FiberRef,
  FiberStatus,
  Logger,
  LogLevel,
  Scope,
  Supervisor,
  TestClock
} from "effect"
import * as ApiError from "effect-resilience/ApiError"
import * as Timeout from "effect-resilience/Timeout"
import { vi } from "vitest"
import { standingClock } from "../support/clocks.js"
import { squashed } from "../support/exits.js"
import { badDurations, refusal } from "../support/refusal.js"

const limits = [["attempt", Timeout.attempt], ["total", Timeout.total]] as const

/** Work that never ends by itself, and says what becomes of it. */
const endless = (probes: Array<string>, release: Effect.Effect<void> = Effect.void) =>
  Effect.sync(() => probes.push("started")).pipe(
    Effect.zipRight(Effect.never),
    Effect.onInterrupt(() => Effect.zipRight(release, Effect.sync(() => probes.push("released"))))
  )

/** Runs to its end under the test clock. */
const finish = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  within: Duration.DurationInput = "1 hour"
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust(within)
    return yield* Fiber.join(fiber)
  })

/** The timers that were armed, and how they are stopped, instead of the real ones. */
const withTimers = <A, E, R>(
  use: (armed: Map<number, readonly [millis: number, () => void]>) => Effect.Effect<A, E, R>
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const armed = new Map<number, readonly [number, () => void]>()
      let id = 0
      vi.stubGlobal("setTimeout", (wake: () => void, millis: number) => {
        armed.set(++id, [millis, wake])
        return id
      })
      vi.stubGlobal("clearTimeout", (timer: number) => armed.delete(timer))
      return armed
    }),
    use,
    () => Effect.sync(() => vi.unstubAllGlobals())
  )

describe("in time", () => {
  it.effect.each(limits)(
    "G1: %s: a success comes through as it is",
    ([, limit]) =>
      Effect.gen(function*() {
        const value = {}
        expect((yield* limit(Effect.succeed(value), "1 second")) === value).toBe(true)
        const late = Effect.as(Effect.sleep("999 millis"), value)
        expect(yield* finish(limit(late, "1 second"))).toEqual(Exit.succeed(value))
      })
  )

  it.effect("G1: failures and defects come through as they are, at once or later", () =>
    Effect.gen(function*() {
      const error = { _tag: "Mine" }
      const exits = yield* Effect.all([
        finish(Timeout.attempt(Effect.fail(error), "1 second")),
        finish(Timeout.attempt(Effect.zipRight(Effect.sleep(1), Effect.fail(error)), "1 second")),
        finish(Timeout.attempt(Effect.die("bug"), "1 second")),
        finish(Timeout.attempt(Effect.zipRight(Effect.sleep(1), Effect.die("bug")), "1 second"))
      ])
      expect(exits).toEqual([Exit.fail(error), Exit.fail(error), Exit.die("bug"), Exit.die("bug")])
    }))

  it.effect("an effect can be run any number of times, each with its own time", () =>
    Effect.gen(function*() {
      const limited = Timeout.attempt(Effect.sleep("900 millis"), "1 second")
      expect(yield* finish(Effect.zip(limited, limited))).toEqual(
        Exit.succeed([undefined, undefined])
      )
    }))

  it.effect("effect first and effect last are the same", () =>
    Effect.gen(function*() {
      const exits = yield* Effect.all([
        finish(Timeout.attempt(Effect.never, "1 second")),
        finish(Effect.never.pipe(Timeout.attempt("1 second"))),
        finish(Effect.never.pipe(Timeout.attempt("1 second", { detach: true })))
      ])
      expect(exits.map((exit) => ApiError.isApiError(squashed(exit)))).toEqual([true, true, true])
    }))
})

describe("out of time", () => {
  it.effect.each(
    [
      ["attempt", Timeout.attempt, "The attempt did not end within 1s 500ms"],
      ["total", Timeout.total, "The call did not end within 1s 500ms"]
    ] as const
  )(
    "G1: %s fails with a Timeout that says which limit it was",
    ([deadline, limit, message]) =>
      Effect.gen(function*() {
        const error = squashed(yield* finish(limit(Effect.never, "1500 millis")))
        expect(
          error instanceof ApiError.Timeout &&
            [error.deadline, error.message, error.stack?.includes("\n")]
        ).toEqual(
          [
            deadline,
            message,
            false
          ]
        )
      })
  )

  it.effect("G1: the failure comes when the time is over, not before", () =>
    Effect.gen(function*() {
      const at: Array<number> = []
      const limited = Effect.catchAll(
        Timeout.attempt(Effect.never, "1 second"),
        () => Clock.currentTimeMillis
      )
      const fiber = yield* Effect.fork(
        Effect.tap(limited, (now) => Effect.sync(() => at.push(now)))
      )
      yield* TestClock.adjust("999 millis")
      const before = [...at]
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      expect([before, at]).toEqual([[], [1000]])
    }))

  it.effect("G1: the work is interrupted, and its finalizers have run before the caller sees the failure", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const limited = Timeout.attempt(endless(probes, Effect.sleep("5 seconds")), "1 second")
      yield* Effect.fork(
        Effect.ensuring(Effect.ignore(limited), Effect.sync(() => probes.push("caller")))
      )
      yield* TestClock.adjust("5999 millis")
      const before = [...probes]
      yield* TestClock.adjust("1 millis")
      expect([before, probes]).toEqual([["started"], ["started", "released", "caller"]])
    }))

  it.effect("G1: work that succeeds while it is being interrupted was still too late", () =>
    Effect.gen(function*() {
      const late = Effect.uninterruptible(Effect.as(Effect.sleep("2 seconds"), "late"))
      const at = Effect.zipRight(
        Effect.flip(Timeout.attempt(late, "1 second")),
        Clock.currentTimeMillis
      )
      expect(yield* finish(at)).toEqual(Exit.succeed(2000))
    }))

  it.effect("G1: a defect in a finalizer is not hidden by the failure", () =>
    Effect.gen(function*() {
      const broken = Effect.onInterrupt(Effect.never, () => Effect.die("bug"))
      const exit = yield* finish(Timeout.attempt(broken, "1 second"))
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      expect([[...Cause.failures(cause)].length, [...Cause.defects(cause)]]).toEqual([1, ["bug"]])
    }))

  it.effect("G1: detach: the caller goes on at once, the work in the background", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const work = Effect.zipRight(
        Effect.sleep("5 seconds"),
        Effect.sync(() => probes.push("done"))
      )
      const exit = yield* finish(Timeout.attempt(work, "1 second", { detach: true }), "1 second")
      const before = [...probes]
      yield* TestClock.adjust("4 seconds")
      expect([ApiError.isApiError(squashed(exit)), before, probes]).toEqual([true, [], ["done"]])
    }))

  it.effect("G1: detach: work that outlives its caller is not interrupted with it", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const work = Effect.zipRight(
        Effect.sleep("5 seconds"),
        Effect.sync(() => probes.push("done"))
      )
      const fiber = yield* Effect.fork(
        Effect.exit(Timeout.attempt(work, "1 second", { detach: true }))
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("4 seconds")
      expect(probes).toEqual(["done"])
    }))

  it.effect("a limit of zero is over at once, except for what does not wait", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const succeeds = [
        yield* Effect.isSuccess(Timeout.attempt(Effect.void, 0)),
        yield* Effect.isSuccess(Timeout.attempt(endless(probes), 0)),
        yield* Effect.isSuccess(Timeout.total(Effect.sleep(1), 0, { detach: true }))
      ]
      expect([succeeds, probes]).toEqual([[true, false, false], ["started", "released"]])
    }))

  it.effect("an infinite limit, and one longer than a timer can be, never end", () =>
    Effect.gen(function*() {
      const exits = yield* Effect.all([
        finish(Timeout.attempt(Effect.sleep("100 days"), Duration.infinity), "100 days"),
        finish(Timeout.attempt(Effect.sleep("100 days"), 2 ** 31), "100 days")
      ])
      expect(exits.map(Exit.isSuccess)).toEqual([true, true])
    }))

  it.effect("work that blocks uses up its time as well", () =>
    Effect.gen(function*() {
      const { clock, slept, time } = standingClock()
      const blocking = Effect.zipRight(Effect.sync(() => time.millis += 700), Effect.yieldNow())
      yield* Effect.withClock(Timeout.attempt(blocking, "1 second"), clock)
      expect(slept).toEqual([300])
    }))
})

describe("interruption", () => {
  it.effect("reaches the work, and is over when its finalizers are", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const fiber = yield* Effect.fork(
        Timeout.attempt(endless(probes, Effect.sleep("5 seconds")), "1 minute")
      )
      yield* TestClock.adjust("1 second")
      yield* Effect.fork(
        Effect.zipRight(Fiber.interrupt(fiber), Effect.sync(() => probes.push("interrupted")))
      )
      yield* TestClock.adjust("4999 millis")
      const before = [...probes]
      yield* TestClock.adjust("1 millis")
      expect([before, probes, Exit.isInterrupted(yield* Fiber.await(fiber))]).toEqual([
        ["started"],
        ["started", "released", "interrupted"],
        true
      ])
    }))

  it.effect("waits for work that cannot be interrupted", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const work = Effect.uninterruptible(
        Effect.zipRight(Effect.sleep("5 seconds"), Effect.sync(() => probes.push("done")))
      )
      const fiber = yield* Effect.fork(Timeout.attempt(work, "1 minute"))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("4 seconds")
      expect([probes, Exit.isInterrupted(yield* Fiber.join(interrupting))]).toEqual([
        ["done"],
        true
      ])
    }))

  it.effect("is no failure: nothing of a deadline is in the exit, although it passes meanwhile", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Timeout.attempt(endless([], Effect.sleep("1 hour")), "1 minute")
      )
      yield* TestClock.adjust("1 second")
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2 hours")
      const exit = yield* Fiber.await(fiber)
      expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
    }))

  it.effect("by the work itself, before it waits for anything, loses nothing", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const caller = yield* Deferred.make<Fiber.RuntimeFiber<unknown, unknown>>()
      const work = Effect.zipRight(
        Effect.flatMap(
          Deferred.await(caller),
          (fiber) => Effect.sync(() => fiber.unsafeInterruptAsFork(FiberId.none))
        ),
        endless(probes)
      )
      const fiber = yield* Effect.fork(
        Effect.withFiberRuntime<never, unknown>((fiber) => {
          Deferred.unsafeDone(caller, Effect.succeed(fiber))
          return Timeout.attempt(work, "1 minute")
        })
      )
      const exit = yield* Fiber.await(fiber)
      expect([Exit.isInterrupted(exit), probes]).toEqual([true, ["started", "released"]])
    }))

  it.effect("work that interrupts its caller and ends at once leaves nothing behind", () =>
    Effect.gen(function*() {
      const work = (fiber: Fiber.RuntimeFiber<unknown, unknown>) =>
        Effect.sync(() => fiber.unsafeInterruptAsFork(FiberId.none))
      const fiber = yield* Effect.fork(
        Effect.withFiberRuntime<void, unknown>((fiber) => Timeout.attempt(work(fiber), "1 minute"))
      )
      expect(Exit.isInterrupted(yield* Fiber.await(fiber))).toBe(true)
    }))

  it.effect("reaches what can be interrupted, also where the caller cannot be", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const fiber = yield* Effect.fork(
        Effect.uninterruptible(Timeout.attempt(Effect.interruptible(endless(probes)), "1 minute"))
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      expect(probes).toEqual(["started", "released"])
    }))

  it.effect("in a finalizer of an interrupted fiber the limit still holds, and the work is not interrupted at once", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const cleanup = Effect.interruptible(endless(probes))
      const fiber = yield* Effect.fork(
        Effect.onInterrupt(Effect.never, () => Effect.ignore(Timeout.attempt(cleanup, "1 second")))
      )
      yield* Effect.yieldNow()
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      const before = [...probes]
      yield* TestClock.adjust("1 millis")
      expect([before, probes]).toEqual([["started"], ["started", "released"]])
    }))

  it.effect("a limit inside of one: each interrupts its own", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const inner = Effect.catchTag(
        Timeout.attempt(endless(probes), "1 second"),
        "Timeout",
        ({ deadline }) => Effect.zipRight(Effect.sync(() => probes.push(deadline)), Effect.never)
      )
      const exit = yield* finish(Timeout.total(inner, "3 seconds"))
      expect([probes, squashed(exit)]).toEqual([
        ["started", "released", "attempt"],
        expect.objectContaining({ deadline: "total" })
      ])
    }))
})

describe("one fiber for what it sees", () => {
  const seen = FiberRef.unsafeMake("before")
  const fresh = () => FiberRef.unsafeMake("before")

  it.effect("what the work writes to fiber refs stays, on success and on failure, at once or later", () =>
    Effect.gen(function*() {
      const works = (ref: FiberRef.FiberRef<string>) => [
        FiberRef.set(ref, "written"),
        Effect.zipRight(FiberRef.set(ref, "written"), Effect.fail("no" as const)),
        Effect.zipRight(FiberRef.set(ref, "written"), Effect.yieldNow()),
        Effect.zipRight(
          FiberRef.set(ref, "written"),
          Effect.zipRight(Effect.yieldNow(), Effect.die("bug"))
        )
      ]
      const values = yield* Effect.forEach([0, 1, 2, 3], (index) => {
        const ref = fresh()
        return Effect.zipRight(
          Effect.exit(Timeout.attempt(works(ref)[index]!, "1 second")),
          FiberRef.get(ref)
        )
      })
      expect(values).toEqual(["written", "written", "written", "written"])
    }))

  it.effect("what the work set and put back, or what began anew in its fiber, is no write", () =>
    Effect.gen(function*() {
      const joins: Array<string> = []
      const join = (name: string) => (_: number, value: number) => {
        joins.push(name)
        return value
      }
      const restored = FiberRef.unsafeMake(0, { join: join("restored") })
      const anew = FiberRef.unsafeMake(0, { fork: () => 7, join: join("anew") })
      const written = FiberRef.unsafeMake(0, { join: join("written") })
      const values = Effect.all([restored, anew, written].map((ref) => FiberRef.get(ref)))
      const run = (work: Effect.Effect<void>) =>
        Effect.fork(
          FiberRef.set(anew, 1).pipe(
            Effect.zipRight(Timeout.attempt(work, "1 second")),
            Effect.zipRight(values)
          )
        ).pipe(Effect.flatMap(Fiber.await), Effect.flatten)
      const quiet = Effect.zipRight(FiberRef.set(restored, 1), FiberRef.set(restored, 0))
      expect([yield* run(Effect.zipRight(Effect.yieldNow(), quiet)), [...joins]]).toEqual([
        [0, 1, 0],
        []
      ])
      expect((yield* run(FiberRef.set(written, 1)))[2]).toBe(1)
      expect(joins).toContain("written")
    }))

  it.effect("what it found there it sees, and a write of work that ran out of time does not stay", () =>
    Effect.gen(function*() {
      yield* FiberRef.set(seen, "caller's")
      const values: Array<string> = []
      const work = FiberRef.get(seen).pipe(
        Effect.tap((value) => Effect.sync(() => values.push(value))),
        Effect.zipRight(FiberRef.set(seen, "late")),
        Effect.zipRight(Effect.never)
      )
      const fiber = yield* Effect.fork(
        Effect.zipRight(Effect.exit(Timeout.attempt(work, "1 second")), FiberRef.get(seen))
      )
      yield* TestClock.adjust("1 second")
      expect([values, yield* Fiber.join(fiber)]).toEqual([["caller's"], "caller's"])
    }))

  it.effect("the scope and the context are the caller's", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const scope = yield* Scope.make()
      const work = Effect.acquireRelease(Effect.yieldNow(), () =>
        Effect.sync(() => probes.push("closed")))
      yield* Timeout.attempt(work, "1 second").pipe(Scope.extend(scope))
      const before = [...probes]
      yield* Scope.close(scope, Exit.void)
      expect([before, probes]).toEqual([[], ["closed"]])
    }))

  it.effect("failures and defects of the work are not logged as unhandled", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const works = [
        Effect.fail("no"),
        Effect.zipRight(Effect.sleep(1), Effect.fail("no")),
        Effect.zipRight(Effect.sleep(1), Effect.die("bug")),
        Effect.onInterrupt(Effect.never, () => Effect.die("bug"))
      ]
      yield* Effect.forEach(works, (work) => finish(Timeout.attempt(work, "1 second")), {
        discard: true
      }).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
      expect(logged).toEqual([])
    }))
})

describe("timers", () => {
  it.live("G2: a call that ends at once makes none", () =>
    withTimers((armed) =>
      Effect.gen(function*() {
        yield* Timeout.attempt(Effect.succeed(1), "1 second")
        yield* Effect.exit(Timeout.total(Effect.fail("no"), "1 second"))
        expect(armed.size).toBe(0)
      })
    ))

  it.live("G2, G3: any other makes one, with the global function of the moment, and takes it back", () =>
    withTimers((armed) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(Timeout.attempt(Deferred.await(gate), "1 second"))
        yield* Effect.yieldNow()
        const millis = [...armed.values()].map(([millis]) => millis)
        yield* Deferred.succeed(gate, void 0)
        yield* Fiber.join(fiber)
        expect([millis, armed.size]).toEqual([[1000], 0])
      })
    ))

  it.live("G3: under the live clock it is that timer that ends the work", () =>
    withTimers((armed) =>
      Effect.gen(function*() {
        const probes: Array<string> = []
        const fiber = yield* Effect.fork(Effect.exit(Timeout.total(endless(probes), "1 second")))
        yield* Effect.yieldNow()
        for (const [, wake] of armed.values()) wake()
        const exit = yield* Fiber.join(fiber)
        expect([squashed(exit), probes]).toEqual([
          expect.objectContaining({ _tag: "Timeout", deadline: "total" }),
          ["started", "released"]
        ])
      })
    ))

  it.live("an interrupted call takes its timer back, also before its finalizers have run", () =>
    withTimers((armed) =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          Timeout.attempt(endless([], Deferred.await(gate)), "1 second")
        )
        yield* Effect.yieldNow()
        const before = armed.size
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.yieldNow()
        yield* Effect.yieldNow()
        const during = armed.size
        yield* Deferred.succeed(gate, void 0)
        yield* Fiber.join(interrupting)
        expect([before, during]).toEqual([1, 0])
      })
    ))

  it.live("an infinite limit, and one longer than a timer can be, make none", () =>
    withTimers((armed) =>
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach([Duration.infinity, 2 ** 31], (duration) =>
          Effect.fork(Timeout.attempt(Effect.never, duration)))
        yield* Effect.yieldNow()
        const size = armed.size
        yield* Fiber.interruptAll(fibers)
        expect(size).toBe(0)
      })
    ))

  it.live(
    "G2: a hundred thousand timed calls leave no timers and no fibers",
    () =>
      Effect.gen(function*() {
        const supervisor = yield* Supervisor.track
        const timers = () =>
          process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
        const before = timers()
        yield* Timeout.attempt(Effect.yieldNow(), "1 hour").pipe(
          Effect.repeatN(99_999),
          Effect.supervised(supervisor)
        )
        expect([timers() - before, (yield* supervisor.value).length]).toEqual([0, 0])
      }),
    60_000
  )

  it.effect("G2, G3: under a test clock no fiber is left either", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      yield* Timeout.attempt(Effect.yieldNow(), "1 hour").pipe(
        Effect.repeatN(99),
        Effect.supervised(supervisor)
      )
      // A sleeper is told to stop, and stops in its next turn.
      yield* Effect.yieldNow()
      expect((yield* supervisor.value).map((fiber) => fiber.id())).toEqual([])
    }))

  it.effect("G2: the time of one call never touches another", () =>
    Effect.gen(function*() {
      const at = (duration: Duration.DurationInput) =>
        Effect.zipRight(
          Effect.ignore(Timeout.attempt(Effect.never, duration)),
          Clock.currentTimeMillis
        )
      const long = Effect.zipRight(
        Timeout.attempt(Effect.sleep("5 seconds"), "10 seconds"),
        Clock.currentTimeMillis
      )
      const exit = yield* finish(
        Effect.all([at("3 seconds"), long, at("1 second"), at("2 seconds")], {
          concurrency: "unbounded"
        })
      )
      expect(exit).toEqual(Exit.succeed([3000, 5000, 1000, 2000]))
    }))

  it.effect("G2: one call in a group of siblings is cut alone", () =>
    Effect.gen(function*() {
      const probes: Array<string> = []
      const sibling = yield* Effect.fork(endless(probes))
      yield* finish(Timeout.attempt(Effect.never, "1 second"), "1 second")
      const status = yield* sibling.status
      expect([FiberStatus.isSuspended(status), probes]).toEqual([true, ["started"]])
    }))
})

describe("nonsense is refused, by field and value", () => {
  it.each(limits)("%s", (_, limit) => {
    for (const [duration, shown] of badDurations) {
      const messages = [refusal(() => limit(Effect.void, duration)), refusal(() => limit(duration))]
      expect(messages.map((message) => message.includes("duration") && message.includes(shown)))
        .toEqual([true, true])
    }
  })
})

describe("Timeout: nesting", () => {
  it.live.each([["at once", Effect.succeed(1)], ["later", Effect.as(Effect.sleep(1), 1)]] as const)(
    "two thousand inside each other do not overflow the stack when the work ends %s",
    ([, work]) =>
      Effect.gen(function*() {
        let nested: Effect.Effect<number, ApiError.Timeout> = work
        for (let depth = 0; depth < 2000; depth++) nested = Timeout.attempt(nested, "1 minute")
        expect(yield* nested).toBe(1)
      })
  )

  it.effect("two thousand inside each other end with the first deadline, and release what they hold", () =>
    Effect.gen(function*() {
      let released = 0
      let nested: Effect.Effect<number, ApiError.Timeout> = Effect.never
      for (let depth = 0; depth < 2000; depth++) {
        nested = Timeout.total(
          Effect.ensuring(nested, Effect.sync(() => released++)),
          Duration.seconds(depth + 1)
        )
      }
      const exit = yield* finish(nested)
      expect([squashed(exit), released]).toMatchObject([{ _tag: "Timeout" }, 2000])
    }))

  it.effect("two thousand inside each other are interrupted together", () =>
    Effect.gen(function*() {
      let released = 0
      let nested: Effect.Effect<number, ApiError.Timeout> = Effect.never
      for (let depth = 0; depth < 2000; depth++) {
        nested = Timeout.attempt(
          Effect.ensuring(nested, Effect.sync(() => released++)),
          "1 minute"
        )
      }
      const fiber = yield* Effect.fork(nested)
      for (let turn = 0; turn < 500; turn++) yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(fiber)
      expect([Exit.isInterrupted(exit), released]).toEqual([true, 2000])
    }))
})
