/**
 * Members over a store whose questions and answers are late, lost, doubled and overtaken, in
 * virtual time. Each run has so many calls, and ends with them.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, FastCheck as fc, Logger, LogLevel, type Scope, Stream } from "effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import type * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import { isLong } from "../support/runs.js"
import { join, memoryStore } from "./fleets.js"

/** What happens to one exchange. A late question arrives after it was given up. */
interface Fate {
  readonly there: number
  readonly back: number
  readonly fault: "none" | "lostQuestion" | "lostAnswer" | "double" | "late"
}

const longestWay = 30

const fate: fc.Arbitrary<Fate> = fc.record({
  there: fc.nat({ max: longestWay }),
  back: fc.nat({ max: longestWay }),
  fault: fc.constantFrom("none", "lostQuestion", "lostAnswer", "double", "late")
})

const interval = 250

const storeTimeout = 200

/** One member's way to the store: its next exchanges have these fates, and those after it none. */
const way = (store: FleetStore.Service, hasPushes: boolean) => {
  let fates: ReadonlyArray<Fate> = []
  const exchange = (batch: FleetStore.Batch) =>
    Effect.gen(function*() {
      const [next, ...rest] = fates
      fates = rest
      if (next === undefined) return yield* store.exchange(batch)
      const { back, fault, there } = next
      if (fault === "lostQuestion") return yield* Effect.never
      yield* Effect.sleep(there)
      if (fault === "late" || fault === "double") {
        const again = Effect.delay(store.exchange(batch), 100 * (there + back))
        yield* Effect.forkIn(again, scope!)
      }
      if (fault === "late") return yield* Effect.never
      const reply = yield* store.exchange(batch)
      if (fault === "lostAnswer") return yield* Effect.never
      yield* Effect.sleep(back)
      return reply
    })
  let scope: Scope.Scope | undefined
  return {
    service: { ...store, exchange, ...(hasPushes ? {} : { pushes: silent }) },
    happens: (all: ReadonlyArray<Fate>, within: Scope.Scope) => {
      fates = all
      scope = within
    }
  }
}

const silent: FleetStore.Service["pushes"] = Stream.never

const now = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

const fleetOf = (count: number, hasPushes: boolean) =>
  Effect.gen(function*() {
    const store = yield* memoryStore
    const scope = yield* Effect.scope
    const ways = Array.from({ length: count }, () => way(store, hasPushes))
    const members = yield* Effect.forEach(
      ways,
      ({ service }, n) => join(service, { member: `m${n}` })
    )
    yield* Effect.sleep("2 seconds")
    const breakers = yield* Effect.forEach(
      members,
      (member) =>
        member.use(
          CircuitBreaker.makeShared({
            name: "upstream",
            minimumCalls: 2 * count,
            openDuration: "30 seconds"
          })
        )
    )
    return {
      breakers,
      happens: (fates: ReadonlyArray<ReadonlyArray<Fate>>) => {
        for (const [n, { happens }] of ways.entries()) happens(fates[n] ?? [], scope)
      },
      calm: () => {
        for (const { happens } of ways) happens([], scope)
      }
    }
  })

const run = <A>(self: Effect.Effect<A, never, Scope.Scope>): Promise<A> =>
  self.pipe(
    Effect.scoped,
    Logger.withMinimumLogLevel(LogLevel.None),
    VirtualTime.run,
    Effect.runPromise
  )

const isAdmitted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isSuccess(exit) || (exit.cause._tag === "Fail" && exit.cause.error === "down")

describe("a store that is late, loses, doubles and reorders", () => {
  it(
    "F7: from the crossing on all reject within its bound, and an interval for each fault",
    async () => {
      const most = 3
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(fate, { maxLength: most }), { minLength: 2, maxLength: 5 }),
          fc.array(fc.nat({ max: 150 }), { minLength: 5, maxLength: 5 }),
          fc.boolean(),
          async (fates, starts, hasPushes) => {
            const late = await run(Effect.gen(function*() {
              const { breakers, happens } = yield* fleetOf(fates.length, hasPushes)
              happens(fates)
              let crossed = 0
              const rejected: Array<number> = []
              yield* Effect.forEach(breakers, ({ protect }, n) =>
                Effect.gen(function*() {
                  yield* Effect.sleep(starts[n]!)
                  for (let call = 0; call < 200; call++) {
                    const exit = yield* Effect.exit(protect(Effect.fail("down")))
                    const at = yield* now
                    if (!isAdmitted(exit)) return rejected.push(at)
                    // The second failure of the last one is the last that is needed.
                    if (call === 1) crossed = Math.max(crossed, at)
                    yield* Effect.sleep(10)
                  }
                  return 0
                }), { concurrency: "unbounded", discard: true })
              if (rejected.length < breakers.length) return Infinity
              return Math.max(...rejected) - crossed
            }))
            // 3 intervals: a member that has said nothing yet is waited for.
            const faults = Math.max(...fates.map(({ length }) => length))
            const bound = 3 * interval + 3 * 2 * longestWay + faults * interval + 10
            if (late > bound) throw new Error(`the last rejects after ${late} ms, beyond ${bound}`)
          }
        ),
        { numRuns: isLong ? 2000 : 40 }
      )
    },
    600_000
  )

  it(
    "F10: no member admits a call to a breaker that is forced open, until another order",
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(fate, { maxLength: 12 }), { minLength: 2, maxLength: 4 }),
          fc.boolean(),
          async (fates, hasPushes) => {
            const found = await run(Effect.gen(function*() {
              const { breakers, calm, happens } = yield* fleetOf(fates.length, hasPushes)
              const call = ({ protect }: CircuitBreaker.Shared) =>
                Effect.map(Effect.exit(protect(Effect.void)), isAdmitted)
              yield* Effect.forEach(breakers, call)
              // Another order before, which may come late: it is older.
              happens(fates)
              yield* Effect.exit(breakers[0]!.fleet.forceClosed())
              yield* Effect.sleep("7 seconds")
              calm()
              // What is under way may be lost yet.
              yield* Effect.sleep(storeTimeout + interval)
              yield* Effect.orDie(breakers[1]!.fleet.forceOpen())
              // An idle member hears of it with its next heartbeat, where no push tells it.
              yield* Effect.sleep("2 seconds")
              happens(fates)
              let admitted = 0
              for (let round = 0; round < 60; round++) {
                for (const breaker of breakers) if (yield* call(breaker)) admitted++
                yield* Effect.sleep(100)
              }
              calm()
              yield* Effect.sleep(storeTimeout + interval)
              // One that failed may be stored yet, and is the newer one.
              yield* Effect.orDie(breakers[0]!.fleet.reset())
              yield* Effect.sleep(2000 + storeTimeout)
              const states = yield* Effect.forEach(breakers, (breaker) => breaker.state())
              return { admitted, states: [...new Set(states)] }
            }))
            expect(found).toEqual({ admitted: 0, states: ["Closed"] })
          }
        ),
        { numRuns: isLong ? 500 : 20 }
      )
    },
    600_000
  )
})
