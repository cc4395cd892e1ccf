import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as Cooldown from "effect-resilience/Cooldown"
import * as Fleet from "effect-resilience/fleet/Fleet"
import * as FleetStore from "effect-resilience/fleet/FleetStore"
import * as Operation from "effect-resilience/Operation"
import type * as Pipeline from "effect-resilience/Pipeline"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Scenario from "effect-resilience/Scenario"
import * as Simulation from "effect-resilience/Simulation"

type Guards = Omit<Pipeline.Stages, "operation">

const fleet = Layer.provide(Fleet.layer({ name: "orders" }), FleetStore.layerMemory)

const seconds = 40
const processes = 8

const simulated = (
  guards: Guards,
  { keys, perSecond = 160, replications = 1, service, workers }: {
    readonly perSecond?: number
    readonly keys?: object
    readonly service?: object
    readonly replications?: number
    readonly workers?: number
  } = {}
) =>
  Effect.gen(function*() {
    const scenario = yield* Scenario.decode({
      duration: `${seconds} seconds`,
      clients: {
        processes,
        arrivals: { _tag: "Poisson", perSecond },
        ...keys === undefined ? {} : { keys }
      },
      services: [{ name: "orders", service: { _tag: "Constant", value: "100 millis" }, ...service }]
    })
    const policy = { name: "it", stages: { operation: Operation.read, ...guards } }
    return yield* Simulation.run(policy, { scenario, seed: 7, replications, workers })
  })

const circuitBreaker: CircuitBreaker.Options = {
  window: CircuitBreaker.time("30 seconds"),
  minimumCalls: 20,
  openDuration: "1 minute"
}

const down = { faults: [{ _tag: "Errors", rate: 1, status: 503 }] }

describe("a guard that a fleet shares is simulated as one of all processes", () => {
  it.effect("a circuit: what one learns, all know", () =>
    Effect.gen(function*() {
      const alone = yield* simulated({ circuitBreaker }, { service: down })
      const shared = yield* simulated({
        circuitBreaker: yield* CircuitBreaker.makeShared({ name: "orders", ...circuitBreaker })
      }, { service: down })
      // Each process finds out for itself: 20 calls each, and those under way by then.
      expect(alone.counts.attempts).toBeGreaterThanOrEqual(20 * processes)
      expect(shared.counts.attempts).toBeGreaterThanOrEqual(20)
      expect(shared.counts.attempts).toBeLessThan(60)
      expect(new Set(alone.breaker.map(({ process }) => process)).size).toBe(processes)
      expect(shared.breaker.map(({ from, process, to }) => [process, from, to])).toEqual([
        [0, "Closed", "Open"]
      ])
    }).pipe(Effect.provide(fleet)))

  it.effect("a circuit for each key, in all processes", () =>
    Effect.gen(function*() {
      const { breaker } = yield* simulated({
        circuitBreaker: yield* CircuitBreaker.makeShared({ name: "orders", ...circuitBreaker })
      }, { service: down, keys: { count: 3 } })
      expect(breaker.map(({ key, process }) => [process, key]).sort()).toEqual([
        [0, 0],
        [0, 1],
        [0, 2]
      ])
    }).pipe(Effect.provide(fleet)))

  it.effect("a limiter: one agreed rate", () =>
    Effect.gen(function*() {
      const rateLimiter: RateLimiter.Options = {
        limit: 10,
        interval: "1 second",
        burst: 1,
        mode: "reject"
      }
      const alone = yield* simulated({ rateLimiter })
      const shared = yield* simulated({
        rateLimiter: yield* RateLimiter.makeShared({ name: "orders", ...rateLimiter })
      })
      const bound = 1 + 10 * seconds
      expect(shared.counts.attempts).toBeLessThanOrEqual(bound)
      expect(shared.counts.attempts).toBeGreaterThan(0.9 * bound)
      expect(alone.counts.attempts).toBeGreaterThan(5 * bound)
    }).pipe(Effect.provide(fleet)))

  it.effect("a limiter that waits: one line, in which nothing is lost", () =>
    Effect.gen(function*() {
      const { counts } = yield* simulated({
        rateLimiter: yield* RateLimiter.makeShared({
          name: "orders",
          limit: 100,
          interval: "1 second",
          maxWait: "2 seconds"
        })
      })
      const bound = 100 + 100 * (seconds + 2)
      expect(counts.attempts).toBeLessThanOrEqual(bound)
      expect(counts.attempts).toBeGreaterThan(0.95 * 100 * seconds)
      // S7: of the line, only what its end cut off.
      const { attempts, offered, rejected, unfinished } = counts
      const refused = Object.values(rejected).reduce((sum, count) => sum + count, 0)
      expect(offered).toBe(counts.succeeded + refused + unfinished)
      expect(unfinished).toBeLessThanOrEqual(100 * 2 + 10 + (attempts - counts.answered))
    }).pipe(Effect.provide(fleet)))

  it.effect.each([{ perKey: false, count: 1 }, { perKey: true, count: 3 }])(
    "a bulkhead: so many at a time of all, for each key or all of them ($perKey)",
    ({ count, perKey }) =>
      Effect.gen(function*() {
        const bulkhead: Bulkhead.Options = { concurrency: 4, perKey }
        const around = { keys: { count } }
        const alone = yield* simulated({ bulkhead }, around)
        const shared = yield* simulated({
          bulkhead: yield* Bulkhead.makeShared({ name: "orders", ...bulkhead })
        }, around)
        // Each takes 100 ms: four at a time are forty a second.
        const most = 40 * count * seconds
        expect(shared.counts.attempts).toBeLessThanOrEqual(most)
        expect(shared.counts.attempts).toBeGreaterThan(0.6 * Math.min(most, 160 * seconds))
        expect(alone.counts.attempts).toBeGreaterThan(1.2 * shared.counts.attempts)
      }).pipe(Effect.provide(fleet))
  )

  it.effect("a cooldown: one answer holds all", () =>
    Effect.gen(function*() {
      const cooldown: Cooldown.Options = { mode: "reject" }
      const service = {
        rateLimit: { limit: 1, interval: "10 seconds", burst: 1, retryAfter: "exact" }
      }
      const alone = yield* simulated({ cooldown }, { service })
      const shared = yield* simulated({
        cooldown: yield* Cooldown.makeShared({ name: "orders", ...cooldown })
      }, { service })
      // Some are under way when the first 429 comes.
      expect(shared.counts.attempts).toBeLessThan(alone.counts.attempts / 2)
    }).pipe(Effect.provide(fleet)))

  it.effect("workers give the same, and a warning says what is left out", () =>
    Effect.gen(function*() {
      const guards = {
        circuitBreaker: yield* CircuitBreaker.makeShared({ name: "orders", ...circuitBreaker }),
        cooldown: yield* Cooldown.makeShared({ name: "orders" }),
        bulkhead: { concurrency: 100 }
      }
      const service = {
        faults: [{ _tag: "Burst", good: "5 seconds", bad: "2 seconds", rate: 0.9 }]
      }
      const replications = 3
      const here = yield* simulated(guards, { replications, service })
      expect(yield* simulated(guards, { replications, service, workers: 2 })).toEqual(here)
      expect(here.breaker.length).toBeGreaterThan(0)
      expect(here.warnings.filter((warning) => warning.includes("shared by a fleet"))).toEqual(
        ["circuitBreaker", "cooldown"].map((name) =>
          `${name} is shared by a fleet: it is simulated as one of all processes, without the ` +
          "time that their exchange takes"
        )
      )
    }).pipe(Effect.provide(fleet)))
})
