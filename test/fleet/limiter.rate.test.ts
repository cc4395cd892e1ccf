/**
 * The rate of a fleet under load, in virtual time: how much of it is used, by how much it is ever
 * exceeded, and that each member gets its turn. Each run has so many calls and ends with them.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, FastCheck as fc } from "effect"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as VirtualTime from "effect-resilience/testing/VirtualTime"
import * as fs from "node:fs"
import { runs } from "../support/runs.js"
import { join, memoryStore } from "./fleets.js"

/** Calls of a fleet that uses one limiter. */
interface Load {
  readonly limit: number
  readonly burst: number
  /** For each member, which part of all calls it makes. */
  readonly weights: ReadonlyArray<number>
  /** How many calls come, as a multiple of the rate. */
  readonly demand: number
  readonly seconds: number
  /** How long an exchange takes. */
  readonly delay: number
  readonly how: Omit<RateLimiter.SharedOptions, "limit" | "interval" | "burst">
}

/** A call that began. */
interface Begun {
  readonly at: number
  readonly member: number
}

const interval = 250

/** A nanosecond more than may is none. */
const kept = 1 + 1e-6

/** When calls began, in milliseconds since the first could. */
const begunUnder = (load: Load): Promise<ReadonlyArray<Begun>> =>
  Effect.gen(function*() {
    const { burst, delay, demand, how, limit, seconds, weights } = load
    const store = yield* memoryStore
    const all = yield* Effect.forEach(
      weights,
      (_, n) => join(store, { member: `m${n}` }, { delay })
    )
    yield* Effect.sleep("2 seconds")
    const limiters = yield* Effect.forEach(all, (member) =>
      member.use(
        RateLimiter.makeShared({ name: "api", limit, interval: "1 second", burst, ...how })
      ))
    const started = yield* Clock.currentTimeMillis
    const whole = weights.reduce((sum, weight) => sum + weight, 0)
    const begun: Array<Begun> = []
    yield* Effect.forEach(limiters, (limiter, member) => {
      const pause = 1000 * whole / (limit * demand * weights[member]!)
      const call = limiter.protect(Effect.map(Clock.currentTimeNanos, (nanos) => {
        begun.push({ at: Number(nanos) / 1e6 - started, member })
      }))
      const times = Array.from({ length: Math.ceil(seconds * 1000 / pause) }, (_, n) => n)
      return Effect.forEach(
        times,
        (n) => Effect.delay(Effect.ignore(call), n * pause + member),
        { concurrency: "unbounded", discard: true }
      )
    }, { concurrency: "unbounded", discard: true })
    return begun
  }).pipe(Effect.scoped, VirtualTime.run, Effect.runPromise)

/** Which part of the rate was used after the first second. */
const utilisation = ({ limit, seconds }: Load, begun: ReadonlyArray<Begun>): number =>
  begun.filter(({ at }) => at >= 1000 && at < seconds * 1000).length / (limit * (seconds - 1))

/**
 * The most that began in any time, as a part of what may:
 * burst + rate x (T + leaseTime).
 */
const mostOfBound = (
  { burst, limit }: Load,
  leaseMillis: number,
  begun: ReadonlyArray<Begun>
): number => {
  const sorted = begun.map(({ at }) => at).toSorted((a, b) => a - b)
  let most = 0
  sorted.forEach((from, first) => {
    for (let last = first; last < sorted.length; last++) {
      const bound = burst + limit * (sorted[last]! - from + leaseMillis) / 1000
      most = Math.max(most, (last - first + 1) / bound)
    }
  })
  return most
}

/** In so many milliseconds a member that wants a token gets one. */
const turnOf = ({ delay, limit, weights }: Load): number =>
  3 * interval + weights.length * (1000 / limit) + 2 * delay

/** The longest time in which a member that always wanted a token got none. */
const longestTurn = ({ seconds, weights }: Load, begun: ReadonlyArray<Begun>): number =>
  Math.max(...weights.map((_, member) => {
    const mine = begun.filter((each) => each.member === member && each.at < seconds * 1000)
    const times = [0, ...mine.map(({ at }) => at), seconds * 1000].toSorted((a, b) => a - b)
    return Math.max(...times.slice(1).map((at, n) => at - times[n]!))
  }))

const eight = {
  limit: 100,
  burst: 10,
  delay: 4,
  seconds: 6
} as const

const shapes = {
  "all alike": [1, 1, 1, 1, 1, 1, 1, 1],
  "each more than the one before": [1, 2, 3, 4, 5, 6, 7, 8],
  "each twice as many": [1, 2, 4, 8, 16, 32, 64, 128],
  "nearly all by one": [100, 1, 1, 1, 1, 1, 1, 1]
} as const

const print = (text: string): void => void fs.writeSync(2, `\n${text}\n`)

describe("F11: the rate of eight members", () => {
  it("at least 95 % of it are used, whatever each of them wants, and it is kept to", async () => {
    const used: Array<number> = []
    const ofBound: Array<number> = []
    for (const weights of Object.values(shapes)) {
      for (const demand of [1.5, 1].slice(0, runs(2, 1))) {
        for (const how of [{ maxWait: "1 second" }, { mode: "reject" }] as const) {
          const load: Load = { ...eight, weights, demand, how }
          const begun = await begunUnder(load)
          used.push(utilisation(load, begun))
          ofBound.push(mostOfBound(load, 500, begun))
        }
      }
    }
    const mean = used.reduce((sum, each) => sum + each, 0) / used.length
    print(
      `eight members, ${used.length} loads: ${
        (100 * Math.min(...used)).toFixed(1)
      } % of the rate ` +
        `used at least, ${(100 * mean).toFixed(1)} % in the mean; at most ` +
        `${Math.max(...ofBound).toFixed(3)} of burst + rate x (T + leaseTime)`
    )
    expect(Math.min(...used)).toBeGreaterThanOrEqual(0.95)
    expect(Math.max(...ofBound)).toBeLessThanOrEqual(kept)
  })

  it("strict: with no lease time in the bound", async () => {
    for (const weights of Object.values(shapes)) {
      const load: Load = {
        ...eight,
        seconds: 3,
        weights,
        demand: 1.5,
        how: { strict: true, maxWait: "1 second" }
      }
      const begun = await begunUnder(load)
      expect(utilisation(load, begun)).toBeGreaterThanOrEqual(0.95)
      expect(mostOfBound(load, 0, begun)).toBeLessThanOrEqual(kept)
    }
  })

  it.each(
    [
      ["that wait for a second", { maxWait: "1 second" }],
      ["that wait for less than a turn takes", { maxWait: "100 millis" }],
      ["that do not wait", { mode: "reject" }]
    ] as const
  )("each member gets its turn while all want three times as much; calls %s", async (_, how) => {
    const weights = shapes["all alike"]
    const load: Load = { ...eight, seconds: 8, weights, demand: 3, how }
    const begun = await begunUnder(load)
    expect(longestTurn(load, begun)).toBeLessThanOrEqual(turnOf(load))
    // Half of an equal share at least.
    const least = Math.min(
      ...weights.map((_, member) => begun.filter((each) => each.member === member).length)
    )
    expect(least).toBeGreaterThanOrEqual(0.4 * begun.length / weights.length)
  })

  it("any members, rates and loads", async () => {
    const loads: fc.Arbitrary<Load> = fc.record({
      limit: fc.integer({ min: 10, max: 100 }),
      burst: fc.integer({ min: 1, max: 20 }),
      weights: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
      demand: fc.constantFrom(0.5, 1, 1.5, 3),
      seconds: fc.constant(3),
      delay: fc.nat({ max: 50 }),
      how: fc.record({
        maxWait: fc.constantFrom("100 millis", "1 second", "1 minute"),
        mode: fc.constantFrom("wait", "wait", "reject"),
        strict: fc.constantFrom(false, false, true)
      })
    })
    await fc.assert(
      fc.asyncProperty(loads, async (load) => {
        const leaseMillis = load.how.strict === true ? 0 : 500
        const begun = await begunUnder(load)
        expect(mostOfBound(load, leaseMillis, begun)).toBeLessThanOrEqual(kept)
        if (load.how.mode === "reject" || load.how.maxWait !== "1 minute") return
        for (const member of load.weights.keys()) {
          const first = Math.min(...begun.flatMap((each) => each.member === member ? each.at : []))
          expect(first - member).toBeLessThanOrEqual(turnOf(load))
        }
      }),
      { numRuns: runs(150, 30) }
    )
  })
})
