import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Option, Schema, TestClock } from "effect"
import { ApiError, Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import { faultyStore } from "../support/faultyStore.js"
import {
  Busy,
  counting,
  cutOff,
  Declined,
  defaults,
  lease,
  Receipt,
  setting,
  told
} from "../support/idempotent.js"
import { badDurations, refusal } from "../support/refusal.js"

const day = 86_400_000

/** Work that goes on until it is let go. */
const gated = Effect.map(Deferred.make<Receipt, Busy | Declined>(), (gate) => {
  const counter = { begun: 0 }
  const work = Effect.suspend(() => {
    counter.begun++
    return Deferred.await(gate)
  })
  return { gate, counter, work }
})

/** The same store seen by another process: nothing is shared but what it stores. */
const elsewhere = (store: IdempotencyStore.Service): IdempotencyStore.Service => ({ ...store })

const tally = (results: ReadonlyArray<unknown>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const result of results) {
    const name = typeof result === "string" ? result : JSON.stringify(result)
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

describe("onDuplicate: reject", () => {
  it.effect("I22: a duplicate is InFlight at once, with the time that the claim still has", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* Effect.fork(here(Idempotency.run(Effect.never, defaults)))
      yield* TestClock.adjust(lease / 4)
      const error = yield* Effect.flip(here(Idempotency.run(counting().work, defaults)))
      expect([error._tag, "retryAfter" in error && Duration.toMillis(error.retryAfter!)]).toEqual([
        "InFlight",
        (3 * lease) / 4
      ])
    }))

  it.effect("I22: of 200 concurrent duplicates one runs", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, gate, work } = yield* gated
      const all = yield* Effect.fork(Effect.all(
        Array.from({ length: 200 }, () => told(here(Idempotency.run(work, defaults)))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(gate, { id: "r" })
      expect([tally(yield* Fiber.join(all)), counter.begun]).toEqual([{
        InFlight: 199,
        "{\"id\":\"r\"}": 1
      }, 1])
    }))

  it.effect("a duplicate in flight may be asked for again, when the other's claim is over", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      const error = yield* Effect.flip(here(Idempotency.run(counting().work, defaults)))
      expect(ApiError.verdict(error)).toEqual({
        _tag: "Transient",
        ambiguous: false,
        retryAfter: Option.some(Duration.millis(lease))
      })
    }))
})

describe("onDuplicate: wait", () => {
  const waiting = { ...defaults, onDuplicate: { wait: "10 seconds" } } as const

  it.effect("I22: of 200 concurrent duplicates one runs, the others share its success, and the store is asked once", () =>
    Effect.gen(function*() {
      const { calls, here } = yield* setting
      const { counter, gate, work } = yield* gated
      const all = yield* Effect.fork(Effect.all(
        Array.from({ length: 200 }, () => told(here(Idempotency.run(work, waiting)))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.succeed(gate, { id: "r" })
      expect([tally(yield* Fiber.join(all)), counter.begun]).toEqual([{ "{\"id\":\"r\"}": 200 }, 1])
      expect(calls).toEqual(["acquire", "complete"])
    }))

  it.effect("I22: they share it also when it could not be recorded", () =>
    Effect.gen(function*() {
      const { faults, here } = yield* setting
      faults.complete = "refuse"
      const { counter, gate, work } = yield* gated
      const run = told(here(Idempotency.run(work, { ...waiting, maxOutcomeBytes: 0 })))
      const all = yield* Effect.fork(Effect.all([run, run, run], { concurrency: "unbounded" }))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(gate, { id: "r" })
      expect([tally(yield* Fiber.join(all)), counter.begun]).toEqual([{ "{\"id\":\"r\"}": 3 }, 1])
    }))

  it.effect("I22: they do not share with another key, another scope or another payload", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, gate, work } = yield* gated
      const others = [
        here(Idempotency.run(work, waiting)),
        here(Idempotency.run(work, { ...waiting, scope: ["other"] })),
        here(IdempotencyKey.provideNew(Idempotency.run(work, waiting))),
        here(Idempotency.run(work, { ...waiting, payload: "other" }))
      ]
      const all = yield* Effect.fork(Effect.all(others.map(told), { concurrency: "unbounded" }))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(gate, { id: "r" })
      expect([tally(yield* Fiber.join(all)), counter.begun]).toEqual([{
        "{\"id\":\"r\"}": 3,
        Mismatch: 1
      }, 3])
    }))

  it.effect("I22: who waited in vain gets InFlight, when the time is over", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* Effect.fork(here(Idempotency.run(Effect.never, waiting)))
      yield* TestClock.adjust(0)
      const waiter = yield* Effect.fork(
        Effect.flip(here(Idempotency.run(counting().work, waiting)))
      )
      yield* TestClock.adjust(9_999)
      const before = yield* Fiber.poll(waiter)
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(waiter)
      expect([
        before._tag,
        error._tag,
        "retryAfter" in error && Duration.toMillis(error.retryAfter!)
      ]).toEqual([
        "None",
        "InFlight",
        lease - 10_000
      ])
    }))

  it.effect("I22: when the run fails and releases, one waiter runs and the others share that", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { gate, work } = yield* gated
      const second = counting()
      const first = yield* Effect.fork(told(here(Idempotency.run(work, waiting))))
      yield* TestClock.adjust(0)
      const waiters = yield* Effect.fork(Effect.all(
        Array.from({ length: 20 }, () => told(here(Idempotency.run(second.work, waiting)))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust(1)
      yield* Deferred.fail(gate, new Busy())
      expect([yield* Fiber.join(first), tally(yield* Fiber.join(waiters)), second.counter.begun])
        .toEqual([
          "Busy",
          { "{\"id\":\"r-1\"}": 20 },
          1
        ])
    }))

  it.effect("I22: a failure that was recorded is replayed for who waited", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, gate, work } = yield* gated
      const run = told(here(Idempotency.run(work, { ...waiting, persistFailure: Declined })))
      const all = yield* Effect.fork(Effect.all([run, run, run], { concurrency: "unbounded" }))
      yield* TestClock.adjust(1)
      yield* Deferred.fail(gate, new Declined({ why: "limit" }))
      expect([yield* Fiber.join(all), counter.begun]).toEqual([
        ["Declined", "Declined", "Declined"],
        1
      ])
    }))

  it.effect("I22: reject is InFlight also while others of the same process wait", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { gate, work } = yield* gated
      const waiters = yield* Effect.fork(
        Effect.all([0, 1].map(() => told(here(Idempotency.run(work, waiting)))), {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust(1)
      expect(yield* told(here(Idempotency.run(work, defaults)))).toBe("InFlight")
      yield* Deferred.succeed(gate, { id: "r" })
      expect(yield* Fiber.join(waiters)).toEqual([{ id: "r" }, { id: "r" }])
    }))

  it.effect("I22: who waits for another process asks the store ever less often, and gets the outcome", () =>
    Effect.gen(function*() {
      const { calls, here, inner, key } = yield* setting
      const { gate, work } = yield* gated
      const other = yield* Effect.fork(
        Idempotency.run(work, defaults).pipe(
          IdempotencyKey.provide(key),
          Effect.provideService(IdempotencyStore.IdempotencyStore, elsewhere(inner))
        )
      )
      yield* TestClock.adjust(0)
      const waiter = yield* Effect.fork(told(here(Idempotency.run(counting().work, waiting))))
      const asked: Array<number> = []
      for (const millis of [0, 50, 100, 200, 400, 800, 1000, 1000]) {
        yield* TestClock.adjust(millis)
        asked.push(calls.length)
      }
      yield* Deferred.succeed(gate, { id: "there" })
      yield* Fiber.join(other)
      yield* TestClock.adjust(1000)
      expect([yield* Fiber.join(waiter), asked]).toEqual([{ id: "there" }, [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8
      ]])
    }))

  it.effect("I22: many who wait for another process ask the store as one", () =>
    Effect.gen(function*() {
      const { calls, here, inner, key } = yield* setting
      yield* Effect.fork(
        Idempotency.run(Effect.never, defaults).pipe(
          IdempotencyKey.provide(key),
          Effect.provideService(IdempotencyStore.IdempotencyStore, elsewhere(inner))
        )
      )
      yield* TestClock.adjust(0)
      const waiters = yield* Effect.fork(Effect.all(
        Array.from({ length: 100 }, () => told(here(Idempotency.run(counting().work, waiting)))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust(9_000)
      expect(calls.length).toBeLessThan(15)
      yield* TestClock.adjust(2_000)
      expect(tally(yield* Fiber.join(waiters))).toEqual({ InFlight: 100 })
    }))

  it.effect("I22: who waits longer than the lease of a run that died takes over", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, waiting)))
      const options = { ...defaults, onDuplicate: { wait: "2 minutes" } } as const
      const recovered = yield* Effect.fork(
        told(here(Idempotency.run((run) => Effect.succeed({ id: String(run.recovered) }), options)))
      )
      yield* TestClock.adjust(lease)
      expect(yield* Fiber.join(recovered)).toEqual({ id: "true" })
    }))

  it.effect("I22: a waiter whose leader is interrupted is on its own", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const leader = yield* Effect.fork(here(Idempotency.run(Effect.never, waiting)))
      yield* TestClock.adjust(0)
      const waiter = yield* Effect.fork(told(here(Idempotency.run(counting().work, waiting))))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(leader)
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(waiter)).toBe("InFlight")
    }))

  it.effect("I22: a waiter that is interrupted leaves at once, and the run goes on", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { gate, work } = yield* gated
      const leader = yield* Effect.fork(told(here(Idempotency.run(work, waiting))))
      yield* TestClock.adjust(0)
      const waiter = yield* Effect.fork(here(Idempotency.run(work, waiting)))
      yield* TestClock.adjust(1)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(waiter))).toBe(true)
      yield* Deferred.succeed(gate, { id: "r" })
      expect(yield* Fiber.join(leader)).toEqual({ id: "r" })
    }))

  it.effect("I22: waiting works where nothing can be interrupted", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      yield* Effect.fork(here(Idempotency.run(Effect.never, waiting)))
      yield* TestClock.adjust(0)
      const waiter = yield* Effect.fork(
        Effect.uninterruptible(told(here(Idempotency.run(counting().work, waiting))))
      )
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(waiter)).toBe("InFlight")
    }))

  it.effect("I22: who comes while one of the process runs shares that, whoever else waits or has given up waiting", () =>
    Effect.gen(function*() {
      const { calls, claims, faults, here, inner } = yield* setting
      yield* cutOff((work) => here(Idempotency.run(work, defaults)))
      const waitingFor = (wait: Duration.DurationInput) =>
        Effect.fork(
          told(here(Idempotency.run(counting().work, { ...defaults, onDuplicate: { wait } })))
        )
      const early = yield* waitingFor("6 seconds")
      yield* TestClock.adjust(5_200)
      // Between two looks of the early one, the claim is free, and a caller that does not wait
      // takes it.
      yield* inner.release({ ...claims[0]!, generation: 1 })
      faults.complete = "refuse"
      const runs = yield* Effect.fork(
        told(here(Idempotency.run(Effect.delay(Effect.succeed({ id: "mine" }), 5_000), defaults)))
      )
      yield* TestClock.adjust(100)
      const second = yield* waitingFor("30 seconds")
      yield* TestClock.adjust(2_900)
      const given = yield* Fiber.join(early)
      const asked = calls.length
      const third = yield* waitingFor("30 seconds")
      yield* TestClock.adjust(2_000)
      expect([given, yield* Fiber.join(runs), yield* Fiber.join(second), yield* Fiber.join(third)])
        .toEqual([
          "InFlight",
          { id: "mine" },
          { id: "mine" },
          { id: "mine" }
        ])
      expect(calls.slice(asked)).toEqual(["complete"])
    }))

  it.effect("I22: a store that always says that it is nearly over is not asked in a hot loop", () =>
    Effect.gen(function*() {
      const { calls, key, store } = yield* setting
      const nearly: IdempotencyStore.Service = {
        ...store,
        acquire: (claim) =>
          Effect.as(store.acquire(claim), { _tag: "InFlight" as const, retryAfterMillis: 0 })
      }
      const waiter = yield* Effect.fork(
        told(
          Idempotency.run(counting().work, { ...defaults, onDuplicate: { wait: "1 second" } }).pipe(
            IdempotencyKey.provide(key),
            Effect.provideService(IdempotencyStore.IdempotencyStore, nearly)
          )
        )
      )
      yield* TestClock.adjust("1 second")
      expect([yield* Fiber.join(waiter), calls.length <= 101]).toEqual(["InFlight", true])
    }))

  it.effect("I22: an outage is shared, too: nobody waits for a hung store in turn", () =>
    Effect.gen(function*() {
      const { calls, faults, here } = yield* setting
      faults.acquire = "hang"
      const all = yield* Effect.fork(Effect.all(
        Array.from({ length: 50 }, () => told(here(Idempotency.run(counting().work, waiting)))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("2 seconds")
      expect([tally(yield* Fiber.join(all)), calls]).toEqual([{ StoreUnavailable: 50 }, [
        "acquire"
      ]])
    }))
})

describe("the two clocks", () => {
  it.effect("I11: an outcome is replayed until its time to live is over, counted from when it was recorded", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const { counter, work } = counting()
      const run = here(
        Idempotency.run(Effect.delay(work, "1 second"), { ...defaults, timeToLive: "1 minute" })
      )
      const soon = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(effect)
          yield* TestClock.adjust("1 second")
          return yield* Fiber.join(fiber)
        })
      yield* soon(run)
      yield* TestClock.adjust(59_999)
      const replayed = yield* run
      yield* TestClock.adjust(1)
      expect([replayed, yield* soon(run), counter.begun]).toEqual([{ id: "r-1" }, { id: "r-2" }, 2])
    }))

  it.effect("I11: a lease that is equal to now is over", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const options = { ...defaults, lease: "5 seconds" } as const
      yield* cutOff((work) => here(Idempotency.run(work, options)))
      const run = told(
        here(Idempotency.run((run) => Effect.succeed({ id: String(run.recovered) }), options))
      )
      yield* TestClock.adjust(4_999)
      const before = yield* run
      yield* TestClock.adjust(1)
      expect([before, yield* run]).toEqual(["InFlight", { id: "true" }])
    }))

  it.effect("I4, I11: a short time to live is about answers: an unknown outcome stays one", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const options = { ...defaults, timeToLive: "1 minute" } as const
      yield* cutOff((work) => here(Idempotency.run(work, options)))
      yield* TestClock.adjust(day / 2)
      expect(yield* told(here(Idempotency.run(counting().work, options)))).toBe("UnknownOutcome")
    }))
})

describe("outcomes that cannot be kept", () => {
  it.effect("I27: an outcome that is too large is done but not replayable, and the caller gets it", () =>
    Effect.gen(function*() {
      const { here, texts } = yield* setting
      const { counter, work } = counting()
      const run = told(here(Idempotency.run(work, { ...defaults, maxOutcomeBytes: 10 })))
      expect([yield* run, yield* run, yield* run, counter.begun]).toEqual([
        { id: "r-1" },
        "ResultUnavailable",
        "ResultUnavailable",
        1
      ])
      expect(texts.join().length).toBeLessThan(5)
    }))

  it.effect("I27: the limit counts bytes and not characters, and is allowed itself", () =>
    Effect.gen(function*() {
      const replayable = (text: string, maxOutcomeBytes: number) =>
        Effect.gen(function*() {
          const { here } = yield* setting
          const run = told(here(
            Idempotency.run(Effect.succeed(text), {
              ...defaults,
              result: Schema.String,
              maxOutcomeBytes
            })
          ))
          yield* run
          return (yield* run) === text
        })
      const overhead = JSON.stringify({ _tag: "Success", value: "" }).length
      expect([
        yield* replayable("aaa", overhead + 3),
        yield* replayable("aaa", overhead + 2),
        yield* replayable("€", overhead + 3),
        yield* replayable("€", overhead + 2),
        yield* replayable("a".repeat(262_144 - overhead), Idempotency.defaults.maxOutcomeBytes),
        yield* replayable("a".repeat(262_145 - overhead), Idempotency.defaults.maxOutcomeBytes)
      ]).toEqual([true, false, true, false, true, false])
    }))

  it.effect("I27: what the schema cannot encode, or JSON not carry, is done but not replayable", () =>
    Effect.gen(function*() {
      const replayed = <A, I>(value: A, result: Schema.Schema<A, I>) =>
        Effect.gen(function*() {
          const { here } = yield* setting
          let begun = 0
          const run = told(
            here(Idempotency.run(Effect.sync(() => (begun++, value)), { ...defaults, result }))
          )
          return [Object.is(yield* run, value), yield* run, begun]
        })
      const broken = Schema.transform(Schema.String, Schema.Number, {
        decode: () => 1,
        encode: () => {
          throw new Error("no")
        }
      })
      expect([
        yield* replayed("toolong", Schema.String.pipe(Schema.maxLength(3))),
        yield* replayed(NaN, Schema.Number),
        yield* replayed(10n, Schema.BigIntFromSelf),
        yield* replayed(new Date(0), Schema.DateFromSelf),
        yield* replayed([undefined], Schema.Array(Schema.Undefined)),
        yield* replayed(1, broken)
      ]).toEqual(Array.from({ length: 6 }, () => [true, "ResultUnavailable", 1]))
    }))

  it.effect("I27: a declared failure that cannot be encoded is over as well", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      let begun = 0
      const work = Effect.suspend(() => (begun++, Effect.fail({ odd: NaN })))
      const run = told(
        here(
          Idempotency.run(work, {
            ...defaults,
            persistFailure: Schema.Struct({ odd: Schema.Number })
          })
        )
      )
      yield* run
      expect([yield* run, begun]).toEqual(["ResultUnavailable", 1])
    }))

  it.effect("I27: a record that no longer decodes is a CorruptRecord, never a run", () =>
    Effect.gen(function*() {
      const replayedAs = <A, I>(result: Schema.Schema<A, I>) =>
        Effect.gen(function*() {
          const { here } = yield* setting
          const { work } = counting()
          yield* here(Idempotency.run(work, defaults))
          let begun = 0
          const run = Idempotency.run(Effect.sync(() => (begun++, null as never)), {
            ...defaults,
            result
          })
          return [yield* told(here(run)), begun]
        })
      const throwing = Schema.transform(Receipt, Schema.Struct({ id: Schema.String }), {
        decode: () => {
          throw new Error("no")
        },
        encode: (receipt) => receipt
      })
      expect([
        yield* replayedAs(Schema.Struct({ amount: Schema.Number })),
        yield* replayedAs(throwing)
      ]).toEqual([
        ["CorruptRecord", 0],
        ["CorruptRecord", 0]
      ])
    }))

  it.effect("I27: a record of a failure that is no longer declared is a CorruptRecord", () =>
    Effect.gen(function*() {
      const { here } = yield* setting
      const work = Effect.fail(new Declined({ why: "limit" }))
      yield* told(here(Idempotency.run(work, { ...defaults, persistFailure: Declined })))
      expect(yield* told(here(Idempotency.run(work, defaults)))).toBe("CorruptRecord")
    }))

  it.effect("I27: a text that was not written by a run is a CorruptRecord", () =>
    Effect.gen(function*() {
      const texts = [
        "",
        "{}",
        "+",
        "+{",
        "+null",
        "+{\"_tag\":\"Other\"}",
        "-x",
        "{\"_tag\":\"Success\",\"value\":{\"id\":\"r\"}}"
      ]
      const seen: Array<unknown> = []
      for (const text of texts) {
        const { claims, here, inner } = yield* setting
        yield* told(here(Idempotency.run(new Busy(), defaults)))
        const answer = yield* inner.acquire({ ...claims[0]!, owner: "other" })
        const generation = answer._tag === "Acquired" ? answer.generation : NaN
        yield* inner.complete({ ...claims[0]!, owner: "other", generation }, text, 1000)
        seen.push(yield* told(here(Idempotency.run(counting().work, defaults))))
      }
      expect(seen).toEqual(texts.map(() => "CorruptRecord"))
    }))

  it.effect("I27: a recovery point that cannot be read is a CorruptRecord, and nothing is forgotten", () =>
    Effect.gen(function*() {
      const { claims, here, inner } = yield* setting
      yield* cutOff(() =>
        here(Idempotency.run((run) => Effect.zipRight(run.savepoint(1), Effect.never), defaults))
      )
      yield* inner.savepoint({ ...claims[0]!, generation: 1 }, "{")
      yield* TestClock.adjust(lease)
      const run = told(here(Idempotency.run(() => counting().work, defaults)))
      const first = yield* run
      yield* TestClock.adjust(1)
      expect([first, yield* run]).toEqual(["CorruptRecord", "CorruptRecord"])
    }))
})

describe("options", () => {
  it("I28: durations that are none, and a zero lease or time to live, are refused when the effect is made", () => {
    const { work } = counting()
    for (const field of ["lease", "timeToLive", "storeTimeout"] as const) {
      for (
        const [bad, shown] of [...badDurations, [0, "0"], ["0 millis", "0 millis"], [
          Infinity,
          "Infinity"
        ]] as const
      ) {
        const message = refusal(() => Idempotency.run(work, { ...defaults, [field]: bad }))
        expect(message).toContain(field)
        expect(message).toContain(shown)
      }
    }
  })

  it("I28: a wait that is none is refused", () => {
    for (const [wait, shown] of badDurations) {
      const message = refusal(() =>
        Idempotency.run(counting().work, { ...defaults, onDuplicate: { wait } })
      )
      expect(message).toContain("onDuplicate.wait")
      expect(message).toContain(shown)
    }
  })

  it("I28: options that come before the work are checked when they come", () => {
    expect(refusal(() => Idempotency.run({ ...defaults, lease: -5 }))).toBe(
      "lease should be a duration that is not negative, got -5"
    )
  })

  it("other nonsense is refused as well", () => {
    const bad: ReadonlyArray<readonly [object, string]> = [
      [{ maxOutcomeBytes: -1 }, "maxOutcomeBytes should be a whole number of at least 0, got -1"],
      [{ maxOutcomeBytes: NaN }, "maxOutcomeBytes should be a whole number of at least 0, got NaN"],
      [{ onDuplicate: "queue" }, "onDuplicate should be \"reject\", got \"queue\""],
      [{ onStoreFailure: "retry" }, "onStoreFailure should be \"fail\" or \"run\", got \"retry\""],
      [{ scope: ["a", 1] }, "scope[1] should be a text, got \"1\""],
      [{ scope: undefined }, "scope[0] should be a text, got \"undefined\""]
    ]
    expect(
      bad.map(([options]) =>
        refusal(() => Idempotency.run(counting().work, { ...defaults, ...options }))
      )
    )
      .toEqual(
        bad.map(([, message]) => message)
      )
  })

  it.effect("the defaults are what the documentation says", () =>
    Effect.gen(function*() {
      const { claims, here } = yield* setting
      yield* here(Idempotency.run(counting().work, defaults))
      expect([claims[0]!.leaseMillis, claims[0]!.timeToLiveMillis]).toEqual([60_000, day])
      expect([
        Duration.toMillis(Idempotency.defaults.storeTimeout),
        Idempotency.defaults.maxOutcomeBytes
      ]).toEqual([
        2000,
        262_144
      ])
    }))

  it.effect("two stores in one process know nothing of each other", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.make
      const { counter, gate, work } = yield* gated
      const stores = [yield* faultyStore, yield* faultyStore]
      const all = yield* Effect.fork(Effect.all(
        stores.map(({ store }) =>
          Idempotency.run(work, { ...defaults, onDuplicate: { wait: "1 second" } }).pipe(
            IdempotencyKey.provide(key),
            Effect.provideService(IdempotencyStore.IdempotencyStore, store)
          )
        ),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust(1)
      yield* Deferred.succeed(gate, { id: "r" })
      yield* Fiber.join(all)
      expect(counter.begun).toBe(2)
    }))
})
