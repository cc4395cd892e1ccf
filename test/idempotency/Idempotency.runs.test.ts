import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, FiberRef, Option, Schema, TestClock } from "effect"
import { ApiError, Idempotency, Operation, Retry } from "effect-resilience"
import {
  conflict,
  invalid,
  network,
  rateLimit,
  rejection,
  server,
  timeout
} from "../support/errors.js"
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

describe("UnknownOutcome", () => {
  it("says that the outcome is unknown and that nothing was sent again", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([error._tag, error.name]).toEqual(["UnknownOutcome", "UnknownOutcome"])
    expect(error.message).toMatch(/unknown/)
    expect(error.message).toMatch(/not sent again/)
  })

  it("is neither an ApiError nor worth another try", () => {
    const error = new Idempotency.UnknownOutcome()
    expect([ApiError.isApiError(error), ApiError.verdict(error)._tag]).toEqual([false, "Terminal"])
  })

  it.effect("can be yielded and caught by its tag", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        yield* new Idempotency.UnknownOutcome()
        return "sent"
      })
      const caught = yield* Effect.catchTag(program, "UnknownOutcome", () =>
        Effect.succeed("look it up"))
      expect(caught).toBe("look it up")
    }))

  it.effect("R14: a retry hands it back as the very same value, after one attempt", () =>
    Effect.gen(function*() {
      const error = new Idempotency.UnknownOutcome()
      let calls = 0
      const call = Effect.suspend(() => {
        calls++
        return Effect.fail(error)
      })
      const failed = yield* Effect.flip(
        Retry.retry(call, { operation: Operation.read, retries: 5 })
      )
      expect([failed === error, calls]).toEqual([true, 1])
    }))
})

describe("a first run", () => {
  it.effect("I20: gives what the work gives, and claims before it runs", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const work = Effect.sync(() => {
        expect(calls).toEqual(["acquire"])
        return { id: "r-1" }
      })
      expect(yield* here(Idempotency.run(work, defaults))).toEqual({ id: "r-1" })
      expect(calls).toEqual(["acquire", "complete"])
    }))

  it.effect("I20: is replayed through the schema of the result, without a second run", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const options = {
        ...defaults,
        result: Schema.Struct({ at: Schema.Date, note: Schema.optional(Schema.String) })
      }
      let begun = 0
      const work = Effect.sync(() => ({ at: new Date(++begun) }))
      const run = here(Idempotency.run(work, options))
      expect([yield* run, yield* run, begun]).toEqual([{ at: new Date(1) }, { at: new Date(1) }, 1])
    }))

  it.effect("I20: a result that is nothing at all is replayed, too", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      let begun = 0
      const work = Effect.sync(() => {
        begun++
      })
      const run = here(Idempotency.run(work, { ...defaults, result: Schema.Void }))
      expect([yield* run, yield* run, begun]).toEqual([undefined, undefined, 1])
    }))

  it.effect("the function form is told that nothing was recovered", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const run = Idempotency.run(
        (run) =>
          Effect.succeed({ id: [run.recovered, run.recoveryPoint._tag, run.protected].join() }),
        defaults
      )
      expect(yield* here(run)).toEqual({ id: "false,None,true" })
    }))

  it.effect("effect first and effect last are the same", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const first = yield* here(Idempotency.run(work, defaults))
      const last = yield* here(work.pipe(Idempotency.run(defaults)))
      const byFunction = yield* here(Idempotency.run(defaults)(() => work))
      expect([first, last, byFunction, counter.begun]).toEqual([{ id: "r-1" }, { id: "r-1" }, {
        id: "r-1"
      }, 1])
    }))

  it.effect("what the work changes in fiber refs stays changed, with a heartbeat as without", () =>
    Effect.gen(function*() {
      for (const heartbeat of [false, true]) {
        const { here } = yield* setting
        const ref = FiberRef.unsafeMake(0)
        yield* here(
          Idempotency.run(Effect.as(FiberRef.set(ref, 1), { id: "r" }), { ...defaults, heartbeat })
        )
        expect(yield* FiberRef.get(ref)).toBe(1)
      }
    }))
})

describe("payloads", () => {
  it.effect("I16: what has no canonical JSON is refused before any claim, with the place and without the value", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, work } = counting()
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      const bad: ReadonlyArray<readonly [unknown, string]> = [
        [NaN, "payload"],
        [{ amount: Infinity }, "payload.amount"],
        [[1, 2n], "payload[1]"],
        [cycle, "payload.self"]
      ]
      for (const [payload, path] of bad) {
        const error = yield* Effect.flip(here(Idempotency.run(work, { ...defaults, payload })))
        expect([error._tag, "path" in error && error.path]).toEqual(["FingerprintError", path])
      }
      expect([calls, counter.begun]).toEqual([[], 0])
    }))

  it.effect("I13: another payload under the same key is a mismatch, completed, in flight or lapsed", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const other = told(
        here(Idempotency.run(Effect.succeed({ id: "x" }), { ...defaults, payload: "other" }))
      )
      const hung = yield* Effect.fork(here(Idempotency.run(Effect.never, defaults)))
      yield* TestClock.adjust(0)
      const seen = [yield* other]
      yield* Fiber.interrupt(hung)
      yield* TestClock.adjust(lease)
      seen.push(yield* other)
      yield* here(Idempotency.run(() => Effect.succeed({ id: "r" }), defaults))
      seen.push(yield* other)
      expect(seen).toEqual(["Mismatch", "Mismatch", "Mismatch"])
    }))
})

describe("failures", () => {
  const failing = <E>(error: E) => {
    const counter = { begun: 0 }
    const work = Effect.suspend((): Effect.Effect<Receipt, E> => {
      counter.begun++
      return Effect.fail(error)
    })
    return { counter, work }
  }

  it.effect("I20: a member of persistFailure is replayed with the same tag and fields", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = failing(new Declined({ why: "limit" }))
      const run = here(
        Idempotency.run(work, { ...defaults, persistFailure: Schema.Union(Declined, Busy) })
      )
      const [first, second] = [yield* Effect.flip(run), yield* Effect.flip(run)]
      expect([first, second, counter.begun]).toEqual([
        new Declined({ why: "limit" }),
        new Declined({ why: "limit" }),
        1
      ])
      expect(second).toBeInstanceOf(Declined)
    }))

  it.effect("I20: any other failure releases the record, and the next caller runs", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, work } = failing(new Busy())
      const run = here(Idempotency.run(work, { ...defaults, persistFailure: Declined }))
      expect([yield* told(run), yield* told(run), counter.begun]).toEqual(["Busy", "Busy", 2])
      expect(calls).toEqual(["acquire", "release", "acquire", "release"])
    }))

  it.effect("I20: what certainly was not executed releases the record", () =>
    Effect.gen(function*() {
      const errors = [
        network("no"),
        invalid(),
        conflict(),
        rateLimit(),
        new ApiError.Server({ message: "never", status: 501 }),
        timeout("server"),
        rejection(),
        "a text"
      ]
      for (const error of errors) {
        const s = yield* setting
        yield* told(s.here(Idempotency.run(failing(error).work, defaults)))
        expect([error, yield* probe(s)]).toEqual([error, "Acquired"])
      }
    }))

  it.effect("I20: what may have been executed holds the record until its lease ends, and then it is recovered", () =>
    Effect.gen(function*() {
      const errors = [
        timeout("attempt"),
        timeout("total"),
        network(),
        server(500),
        new ApiError.Server({ message: "oops", status: 503, repeat: "never" }),
        new ApiError.Server({ message: "unreadable", status: 200, code: "unreadable_response" }),
        new Cause.TimeoutException("late"),
        new Idempotency.UnknownOutcome()
      ]
      for (const error of errors) {
        const s = yield* setting
        yield* told(s.here(Idempotency.run(failing(error).work, defaults)))
        yield* TestClock.adjust(lease - 1)
        const before = yield* probe(s)
        yield* TestClock.adjust(1)
        expect([error, before, yield* probe(s)]).toEqual([error, "InFlight", "Recovered"])
      }
    }))

  it.effect("I20: a failure that may have been executed is stored all the same when it is declared an outcome", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = failing(server(500))
      const run = here(Idempotency.run(work, { ...defaults, persistFailure: ApiError.ApiError }))
      expect([yield* told(run), yield* told(run), counter.begun]).toEqual(["Server", "Server", 1])
    }))

  it.effect("I20: a defect and an interruption hold the record", () =>
    Effect.gen(function*() {
      const works: ReadonlyArray<() => Effect.Effect<Receipt>> = [
        () => Effect.die("boom"),
        () => Effect.interrupt,
        () => {
          throw new Error("before the first step")
        }
      ]
      const seen: Array<unknown> = []
      for (const work of works) {
        const s = yield* setting
        seen.push([yield* told(s.here(Idempotency.run(work, defaults))), yield* probe(s)])
      }
      expect(seen).toEqual([["died", "InFlight"], ["interrupted", "InFlight"], [
        "died",
        "InFlight"
      ]])
    }))

  it.effect("I20: of several failures, one sign of an unknown outcome is enough", () =>
    Effect.gen(function*() {
      const declined = Cause.fail(new Declined({ why: "limit" }))
      const late = Cause.fail(timeout("total"))
      const busy = Cause.fail(new Busy())
      const causes: ReadonlyArray<
        readonly [Cause.Cause<Declined | Busy | ApiError.Timeout>, string]
      > = [
        [Cause.parallel(declined, Cause.die("boom")), "InFlight"],
        [Cause.sequential(declined, late), "InFlight"],
        [Cause.sequential(late, declined), "InFlight"],
        [Cause.parallel(busy, late), "InFlight"],
        [Cause.parallel(declined, busy), "Completed"],
        [Cause.parallel(busy, declined), "Acquired"]
      ]
      for (const [cause, expected] of causes) {
        const s = yield* setting
        yield* told(
          s.here(
            Idempotency.run(Effect.failCause(cause), { ...defaults, persistFailure: Declined })
          )
        )
        expect([Cause.pretty(cause), yield* probe(s)]).toEqual([Cause.pretty(cause), expected])
      }
    }))
})

describe("an unknown outcome", () => {
  it.effect("I20: a plain effect is not run again: UnknownOutcome, and the record is not released", () =>
    Effect.gen(function*() {
      const s = yield* setting
      yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      const { counter, work } = counting()
      const run = s.here(Idempotency.run(work, defaults))
      const first = yield* told(run)
      yield* TestClock.adjust(lease)
      expect([first, yield* told(run), counter.begun]).toEqual([
        "UnknownOutcome",
        "UnknownOutcome",
        0
      ])
      expect(s.calls).not.toContain("release")
    }))

  it.effect("I20: within the lease a duplicate is in flight", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease - 1)
      expect(yield* told(here(Idempotency.run(() => Effect.succeed({ id: "r" }), defaults)))).toBe(
        "InFlight"
      )
    }))

  it.effect("I20, I29: the function form is run again, and gets the last recovery point", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const first = (run: Idempotency.Run) =>
        run.savepoint({ step: 1 }).pipe(
          Effect.zipRight(run.savepoint({ step: 2, ids: ["a", null] })),
          Effect.zipRight(Effect.never)
        )
      yield* cutOff(() => here(Idempotency.run(first, defaults)))
      yield* TestClock.adjust(lease)
      const points: Array<unknown> = []
      const second = (run: Idempotency.Run) =>
        Effect.sync(() => {
          points.push(run.recovered, run.recoveryPoint)
          return { id: "r" }
        })
      yield* here(Idempotency.run(second, defaults))
      expect(points).toEqual([true, Option.some({ step: 2, ids: ["a", null] })])
    }))

  it.effect("I20: right after a plain effect has found it unknown, the function form can recover it", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(lease)
      yield* told(here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(1)
      const run = Idempotency.run((run) => Effect.succeed({ id: String(run.recovered) }), defaults)
      expect(yield* told(here(run))).toEqual({ id: "true" })
    }))

  it.effect("I29: the savepoint of a run that failed without doubt is not handed on", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const failing = (run: Idempotency.Run) => Effect.zipRight(run.savepoint(1), new Busy())
      yield* told(here(Idempotency.run(failing, defaults)))
      const run = Idempotency.run((run) => Effect.succeed({ id: run.recoveryPoint._tag }), defaults)
      expect(yield* here(run)).toEqual({ id: "None" })
    }))

  it.effect("I29: a savepoint that JSON cannot carry is a defect", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const exit = yield* Effect.exit(
        here(Idempotency.run((run) => Effect.as(run.savepoint(() => 1), { id: "r" }), defaults))
      )
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain(
        "savepoint should be given a value that JSON can carry, got a function"
      )
    }))

  it.effect("I29: a savepoint of nothing is one all the same", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff(() =>
        here(
          Idempotency.run(
            (run) => Effect.zipRight(run.savepoint(undefined), Effect.never),
            defaults
          )
        )
      )
      yield* TestClock.adjust(lease)
      const points: Array<unknown> = []
      yield* here(
        Idempotency.run(
          (run) => Effect.sync(() => (points.push(run.recoveryPoint), { id: "r" })),
          defaults
        )
      )
      expect(points).toEqual([Option.some(null)])
    }))
})
