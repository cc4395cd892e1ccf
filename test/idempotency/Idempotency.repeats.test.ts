import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, LogLevel, Scope, TestClock } from "effect"
import { Idempotency, IdempotencyKey } from "effect-resilience"
import * as IdempotencyStore from "effect-resilience/IdempotencyStore"
import type { Fault, Operation } from "../support/faultyStore.js"
import {
  Busy,
  counting,
  cutOff,
  Declined,
  defaults,
  lease,
  probe,
  settingIn,
  told
} from "../support/idempotent.js"

/** A setting whose store has a scope, which the test closes. */
const repeating = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const close = Scope.close(scope, Exit.void)
  return { ...(yield* settingIn(scope)), close }
})

type Setting = Effect.Effect.Success<typeof repeating>

/** From the first call of the store on, until the fault is over: then some time passes. */
const during = <A, E, R>(
  { faults }: Setting,
  operation: Operation,
  fault: Fault,
  self: Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    faults[operation] = fault
    const fiber = yield* Effect.fork(told(self))
    yield* TestClock.adjust(2_000)
    const first = yield* Fiber.join(fiber)
    delete faults[operation]
    yield* TestClock.adjust(10_000)
    return first
  })

/** Without an answer, whether the call took effect or not. */
const silent: ReadonlyArray<Fault> = ["refuse", "lose", "hang", "die"]

describe("I23: what was lost is repeated by its owner", () => {
  it.effect("I23, fault 15: a claim whose answer was lost is given back, and the next caller runs", () =>
    Effect.gen(function*() {
      for (const fault of silent) {
        const s = yield* repeating
        const { counter, work } = counting()
        const run = s.here(Idempotency.run(work, defaults))
        const first = yield* during(s, "acquire", fault, run)
        expect([fault, first, yield* told(run), yield* told(run), counter.begun]).toEqual([
          fault,
          "StoreUnavailable",
          { id: "r-1" },
          { id: "r-1" },
          1
        ])
        yield* s.close
      }
    }))

  it.effect("I23, fault 15: an outcome whose answer was lost, or that was not taken, is recorded and replayed", () =>
    Effect.gen(function*() {
      for (const fault of silent) {
        const s = yield* repeating
        const { counter, work } = counting()
        const run = s.here(Idempotency.run(work, defaults))
        const first = yield* during(s, "complete", fault, run)
        expect([fault, first, yield* told(run), counter.begun]).toEqual([
          fault,
          { id: "r-1" },
          { id: "r-1" },
          1
        ])
        yield* s.close
      }
    }))

  it.effect("I20, I23: so is a declared failure", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      const options = { ...defaults, persistFailure: Declined }
      yield* during(
        s,
        "complete",
        "refuse",
        s.here(Idempotency.run(new Declined({ why: "limit" }), options))
      )
      const { counter, work } = counting()
      expect([yield* told(s.here(Idempotency.run(work, options))), counter.begun]).toEqual([
        "Declined",
        0
      ])
      yield* s.close
    }))

  it.effect("I20, I23: a release that was lost is repeated, and the next caller's is a first run", () =>
    Effect.gen(function*() {
      for (const fault of silent) {
        const s = yield* repeating
        const first = yield* during(
          s,
          "release",
          fault,
          s.here(Idempotency.run(new Busy(), defaults))
        )
        expect([fault, first, yield* probe(s)]).toEqual([fault, "Busy", "Acquired"])
        yield* s.close
      }
    }))

  it.effect("I20, I25: a takeover whose answer was lost is a recovery for the next caller too", () =>
    Effect.gen(function*() {
      for (const fault of ["lose", "hang"] as const) {
        const s = yield* repeating
        yield* cutOff((work) => s.here(Idempotency.run(work, defaults)))
        yield* TestClock.adjust(lease)
        yield* during(s, "acquire", fault, s.here(Idempotency.run(() => counting().work, defaults)))
        expect([fault, yield* probe(s)]).toEqual([fault, "Recovered"])
        yield* s.close
      }
    }))

  it.effect("I25: a claim whose caller was interrupted, and whose answer is lost then, is given back", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      const { counter, work } = counting()
      s.faults.acquire = "hang"
      const fiber = yield* Effect.fork(s.here(Idempotency.run(work, defaults)))
      yield* TestClock.adjust(1)
      // The store has made it, and the answer does not come.
      yield* s.inner.acquire(s.claims[0]!)
      yield* Fiber.interrupt(fiber)
      delete s.faults.acquire
      yield* TestClock.adjust(1_000)
      expect([counter.begun, yield* probe(s)]).toEqual([0, "Acquired"])
      yield* s.close
    }))

  it.effect("I23: a store that is slow is asked once at a time for what a caller left behind", () =>
    Effect.gen(function*() {
      for (const operation of ["acquire", "complete", "release"] as const) {
        const s = yield* repeating
        // Longer than a timeout, and shorter than two.
        s.faults[operation] = 3_500
        const work = Effect.if(operation === "release", {
          onTrue: () => new Busy(),
          onFalse: () => counting().work
        })
        const fiber = yield* Effect.fork(told(s.here(Idempotency.run(work, defaults))))
        yield* TestClock.adjust(lease - 1)
        yield* Fiber.join(fiber)
        const asked = s.calls.filter((call) => call === operation).length
        expect([operation, asked]).toEqual([operation, 1])
        yield* s.close
      }
    }))

  it.effect("I23: a claim that was certainly not made is not given back: no caller finds it in its way", () =>
    Effect.gen(function*() {
      // It ends after its timeout of two seconds: soon, or long after that.
      for (const conflictFor of [2_010, 2_500, 3_990]) {
        for (const operation of ["acquire", "complete", "release"] as const) {
          const s = yield* repeating
          s.faults[operation] = { conflictFor }
          const work = Effect.if(operation === "release", {
            onTrue: () => new Busy(),
            onFalse: () => counting().work
          })
          const fiber = yield* Effect.fork(told(s.here(Idempotency.run(work, defaults))))
          yield* TestClock.adjust(2_000)
          yield* Fiber.join(fiber)
          delete s.faults[operation]
          yield* TestClock.adjust(10_000)
          const asked = s.calls.filter((call) => call === operation).length
          const ends = { acquire: 1, complete: 2, release: 2 }
          expect([operation, conflictFor, asked]).toEqual([
            operation,
            conflictFor,
            ends[operation]
          ])
          yield* s.close
        }
      }
    }))

  it.effect("I23, I25: nor is it where the caller was interrupted in the conflict", () =>
    Effect.gen(function*() {
      for (const conflictFor of [600, 1_500, 2_400]) {
        const s = yield* repeating
        s.faults.acquire = { conflictFor }
        const fiber = yield* Effect.fork(s.here(Idempotency.run(counting().work, defaults)))
        yield* TestClock.adjust(500)
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust(10_000)
        expect([conflictFor, s.claims.length]).toEqual([conflictFor, 1])
        yield* s.close
      }
    }))

  it.effect("I23: a claim of which nobody knows until later is given back all the same", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      // The repeat asks before the first call has ended, and its answer is lost.
      s.faults.acquire = { conflictFor: 4_500 }
      const fiber = yield* Effect.fork(
        told(s.here(Idempotency.run(counting().work, defaults)))
      )
      yield* TestClock.adjust(3_000)
      yield* Fiber.join(fiber)
      s.faults.acquire = "lose"
      yield* TestClock.adjust(3_000)
      delete s.faults.acquire
      yield* TestClock.adjust(10_000)
      expect([s.claims.length > 2, yield* probe(s)]).toEqual([true, "Acquired"])
      yield* s.close
    }))

  it.effect("I14, I23: what another owner has taken over meanwhile stays its own", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      s.faults.complete = "refuse"
      yield* s.here(Idempotency.run(counting().work, defaults))
      const held = { ...s.claims[0]!, generation: 1 }
      yield* s.inner.release(held)
      yield* s.inner.acquire({ ...s.claims[0]!, owner: "other" })
      delete s.faults.complete
      yield* TestClock.adjust(10_000)
      const asked = s.calls.length
      yield* TestClock.adjust(10_000)
      expect([yield* probe(s), s.calls.length - asked]).toEqual(["InFlight", 0])
      yield* s.close
    }))

  it.effect(
    "I23: the repeats end before the lease does, and the claim lasts a few timeouts longer at most",
    () =>
      Effect.gen(function*() {
        for (const operation of ["acquire", "complete", "release"] as const) {
          for (const fault of ["lose", "refuse", "hang"] as const) {
            const s = yield* repeating
            s.faults[operation] = fault
            const work = Effect.if(operation === "release", {
              onTrue: () => new Busy(),
              onFalse: () => counting().work
            })
            const fiber = yield* Effect.fork(told(s.here(Idempotency.run(work, defaults))))
            yield* TestClock.adjust(lease - 1)
            const before = s.calls.length
            yield* TestClock.adjust(1)
            yield* TestClock.adjust(lease)
            yield* Fiber.join(fiber)
            const asked = s.calls.filter((call) => call === operation).length
            // A pause is two seconds at most, one on average. A store that hangs is asked for two
            // seconds, and let alone for eight more at most.
            const least = fault === "hang" ? 4 : 15
            expect([operation, fault, s.calls.length - before, asked > least, asked < 120]).toEqual(
              [
                operation,
                fault,
                0,
                true,
                true
              ]
            )
            const leases = s.claims.map(({ leaseMillis }) => leaseMillis)
            const isShorter = (millis: number, index: number) =>
              millis < (leases[index - 1] ?? Infinity)
            // Four timeouts at least, in which the claim can be undone.
            expect(leases.every((millis, index) => millis === 8_000 || isShorter(millis, index)))
              .toBe(true)
            yield* s.close
          }
        }
      }),
    60_000
  )

  it.effect("I20, I23: a claim that is given back late, and slowly, is no run that died", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      s.faults.acquire = "refuse"
      yield* told(s.here(Idempotency.run(counting().work, defaults)))
      yield* TestClock.adjust(lease - 4_000)
      delete s.faults.acquire
      s.faults.release = "refuse"
      yield* TestClock.adjust(5_000)
      const before = yield* probe(s)
      delete s.faults.release
      yield* TestClock.adjust(4_000)
      expect([before, yield* probe(s)]).toEqual(["InFlight", "Acquired"])
      yield* s.close
    }))

  it.effect("I24: a lease that the heartbeat has extended is used to its end", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      s.faults.complete = "refuse"
      const work = Effect.delay(counting().work, 50_000)
      const fiber = yield* Effect.fork(
        s.here(Idempotency.run(work, { ...defaults, heartbeat: true }))
      )
      yield* TestClock.adjust(90_000)
      yield* Fiber.join(fiber)
      delete s.faults.complete
      yield* TestClock.adjust(5_000)
      expect(yield* probe(s)).toBe("Completed")
      yield* s.close
    }))

  it.effect("I23: a record that cannot be read is not asked for again", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      s.faults.complete = "corrupt"
      yield* s.here(Idempotency.run(counting().work, defaults))
      yield* TestClock.adjust(10_000)
      expect(s.calls).toEqual(["acquire", "complete"])
      yield* s.close
    }))

  it.effect("I23: without a scope of the store nothing is repeated", () =>
    Effect.gen(function*() {
      const s = yield* settingIn()
      s.faults.complete = "refuse"
      yield* s.here(Idempotency.run(counting().work, defaults))
      yield* TestClock.adjust(lease)
      expect(s.calls).toEqual(["acquire", "complete"])
    }))
})

describe("I23: work that ran without protection", () => {
  const open = { ...defaults, onStoreFailure: "run" } as const

  it.effect("I23: keeps the claim whose answer was lost: the next caller learns of it and does not run", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      const { counter, work } = counting()
      const run = s.here(Idempotency.run(work, open))
      const first = yield* during(s, "acquire", "lose", run)
      const then = yield* told(run)
      yield* TestClock.adjust(lease)
      expect([first, then, yield* told(run), counter.begun]).toEqual([
        { id: "r-1" },
        "InFlight",
        "UnknownOutcome",
        1
      ])
      yield* s.close
    }))

  it.effect("I20, I23: gives it back where it has failed and the next caller may run", () =>
    Effect.gen(function*() {
      for (const fault of ["lose", 3_000] as const) {
        const s = yield* repeating
        const failing = Effect.zipRight(Effect.sleep(5_000), new Busy())
        s.faults.acquire = fault
        const fiber = yield* Effect.fork(told(s.here(Idempotency.run(failing, open))))
        yield* TestClock.adjust(1)
        delete s.faults.acquire
        yield* TestClock.adjust(20_000)
        expect([fault, yield* Fiber.join(fiber), yield* probe(s)]).toEqual([
          fault,
          "Busy",
          "Acquired"
        ])
        yield* s.close
      }
    }))
})

describe("I23: the scope of the store's layer", () => {
  it.effect("I23: its end ends the repeats at once, in whatever step they are", () =>
    Effect.gen(function*() {
      const seen = new Set<boolean>()
      for (const fault of ["refuse", "hang", "lose"] as const) {
        for (let millis = 0; millis < 6_000; millis += 293) {
          const s = yield* repeating
          s.faults.complete = fault
          yield* Effect.fork(s.here(Idempotency.run(counting().work, defaults)))
          yield* TestClock.adjust(millis)
          const closing = yield* Effect.fork(s.close)
          yield* TestClock.adjust(0)
          const closed = yield* Fiber.poll(closing)
          const asked = s.calls.length
          // The call of the run itself is no repeat.
          yield* TestClock.adjust(lease)
          seen.add(closed._tag === "Some" && s.calls.length === asked)
        }
      }
      expect([...seen]).toEqual([true])
    }))

  it.effect("I23: after its end nothing is begun", () =>
    Effect.gen(function*() {
      const s = yield* repeating
      yield* s.close
      s.faults.complete = "refuse"
      yield* s.here(Idempotency.run(counting().work, defaults))
      yield* TestClock.adjust(lease)
      expect(s.calls).toEqual(["acquire", "complete"])
    }))

  it.live("I23: a store that comes back is asked by eight at once, and for a thousand claims", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const all = yield* Effect.makeLatch(false)
      let now = 0
      let most = 0
      let asked = 0
      let isDown = true
      const inner = yield* Effect.provide(
        IdempotencyStore.IdempotencyStore,
        IdempotencyStore.layerStoreMemory
      )
      const isBack = yield* Effect.makeLatch(false)
      const counted = (claim: IdempotencyStore.Claim) =>
        Effect.gen(function*() {
          most = Math.max(most, ++now)
          yield* isBack.await
          now--
          if (++asked === 1_000) yield* all.open
          return yield* inner.acquire(claim)
        })
      const store: IdempotencyStore.Service = {
        ...inner,
        scope,
        acquire: (claim) =>
          isDown ? new IdempotencyStore.StoreError({ operation: "acquire" }) : counted(claim)
      }
      const run = Effect.gen(function*() {
        const key = yield* IdempotencyKey.make
        return yield* IdempotencyKey.provide(Idempotency.run(counting().work, defaults), key)
      }).pipe(Effect.provideService(IdempotencyStore.IdempotencyStore, store))
      yield* Effect.forEach(Array.from({ length: 1_100 }), () => Effect.ignore(run))
      isDown = false
      // Until then the store holds what asks it.
      yield* Effect.sleep("500 millis")
      yield* isBack.open
      yield* all.await
      // The longest pause that is left, and more.
      yield* Effect.sleep("2500 millis")
      expect([most, asked]).toEqual([8, 1_000])
      yield* Scope.close(scope, Exit.void)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.Error)))
})
