import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Operation,
  type Pipeline,
  RetryBudget
} from "effect-resilience"
import { decode } from "effect-resilience/Scenario"
import { compare, type Policy, type Result, run } from "effect-resilience/Simulation"
import { metrics } from "../../src/simulation/replication.js"

const json = {
  duration: "60 seconds",
  clients: { processes: 2, arrivals: { _tag: "Poisson", perSecond: 100 } },
  services: [{
    network: { _tag: "Exponential", mean: "5 millis" },
    service: { _tag: "LogNormal", p50: "40 millis", p99: "300 millis" },
    capacity: { _tag: "Workers", workers: 30, queue: 50 },
    faults: [
      { _tag: "Errors", rate: 0.05, status: 503 },
      { _tag: "Outage", from: "20 seconds", to: "30 seconds", as: "reset" }
    ]
  }]
}

const scenario = Effect.runSync(decode(json))

const policyOf = (name: string, stages: Partial<Pipeline.Stages>): Policy => ({
  name,
  stages: { operation: Operation.read, ...stages }
})

const plain = policyOf("plain", {
  attemptTimeout: "1 second",
  retry: { retries: 2, backoff: Backoff.constant("50 millis") }
})

const breaker = policyOf("breaker", {
  attemptTimeout: "1 second",
  retry: { retries: 2, backoff: Backoff.constant("50 millis") },
  circuitBreaker: { openDuration: "2 seconds", slowCall: false }
})

const options = { scenario, seed: 7, replications: 4 }

const resultOf = (policy: Policy, changes: Partial<typeof options> = {}): Promise<Result> =>
  Effect.runPromise(run(policy, { ...options, ...changes }))

const sum = (values: Iterable<number>): number => [...values].reduce((all, each) => all + each, 0)

describe("run", () => {
  it("S1: the same policy, scenario and seed give the same result, byte for byte", async () => {
    const [one, two] = [await resultOf(breaker), await resultOf(breaker)]
    expect(JSON.stringify(one)).toBe(JSON.stringify(two))
    const other = await resultOf(breaker, { seed: 8 })
    expect(JSON.stringify(other.metrics)).not.toBe(JSON.stringify(one.metrics))
  })

  it("S4: two policies meet the same arrivals", async () => {
    const [one, two] = [await resultOf(plain), await resultOf(breaker)]
    expect(two.series.offered).toEqual(one.series.offered)
    expect(two.counts.offered).toBe(one.counts.offered)
  })

  it("S7: what was offered has succeeded, failed, was rejected or is not finished", async () => {
    const { counts } = await resultOf(breaker)
    const { failed, offered, rejected, succeeded, unfinished } = counts
    expect(offered).toBe(
      succeeded + sum(Object.values(failed)) + sum(Object.values(rejected)) + unfinished
    )
    expect(Object.keys(failed)).toContain("Network")
    expect(Object.keys(rejected)).toEqual(["CircuitOpen"])
    expect(counts.attempts).toBeGreaterThanOrEqual(counts.answered + counts.abandoned)
    expect(sum((await resultOf(breaker)).series.sent) * 4).toBeCloseTo(counts.attempts, 6)
  })

  it("the metrics say what the policy comes to", async () => {
    const { metrics: found, replications, stops, stuck } = await resultOf(plain)
    expect(Object.keys(found)).toEqual([...metrics])
    for (const { high, low, mean } of Object.values(found)) {
      expect(low).toBeLessThanOrEqual(mean)
      expect(mean).toBeLessThanOrEqual(high)
    }
    expect([replications, stuck]).toEqual([4, 0])
    // An outage of a sixth of the time.
    expect(found.failedRate.mean).toBeCloseTo(1 / 6, 1)
    expect(found.amplification.mean).toBeGreaterThan(1.3)
    expect(found.p50.mean).toBeGreaterThan(40)
    expect(found.p50.mean).toBeLessThan(found.p95.mean)
    expect(found.p95.mean).toBeLessThan(found.p99.mean)
    expect(found.recoverySeconds.mean).toBeLessThan(15)
    expect(Object.entries(stops).filter(([, calls]) => calls > 0).map(([reason]) => reason))
      .toEqual(["retries"])
  })

  it("S11: an execution after the first does harm unless it may be repeated or is known by its key", async () => {
    const wide = { _tag: "Errors", rate: 0.5, status: 503 }
    const of = async (operation: Operation.Operation<never>, deduplicatesKeys: boolean) => {
      const service = { ...json.services[0], faults: [wide], deduplicatesKeys }
      const scenario = Effect.runSync(decode({ ...json, services: [service] }))
      const { counts } = await resultOf(
        { name: "retries", stages: { ...plain.stages, operation } },
        { scenario }
      )
      return [counts.duplicates > 0, counts.repeats > 0]
    }
    const keyed = Operation.keyed as Operation.Operation<never>
    expect(await of(keyed, false)).toEqual([true, false])
    expect(await of(keyed, true)).toEqual([false, false])
    expect(await of(Operation.idempotent, false)).toEqual([false, true])
    // What may have been executed is not sent again.
    expect(await of(Operation.once, false)).toEqual([false, false])
  })

  it("calls of the warm-up are in the series and in no total", async () => {
    const warm = Effect.runSync(decode({ ...json, warmUp: "30 seconds" }))
    const [all, late] = [await resultOf(plain), await resultOf(plain, { scenario: warm })]
    expect(late.series).toEqual(all.series)
    expect(late.counts.offered / all.counts.offered).toBeCloseTo(0.5, 1)
    expect(late.metrics.failedRate.mean).toBeLessThan(0.02)
  })

  it("S14: a policy that does not recover is stuck", async () => {
    const service = {
      network: { _tag: "Exponential", mean: "100 millis" },
      service: { _tag: "Constant", value: 0 },
      capacity: { _tag: "LoadDependent", base: "1 second", slope: "10 millis" }
    }
    const storm = Effect.runSync(decode({
      duration: "60 seconds",
      clients: {
        arrivals: { _tag: "Poisson", perSecond: 40 },
        changes: [{ from: "20 seconds", to: "30 seconds", times: 2 }]
      },
      services: [service]
    }))
    const retries = { retries: 2, backoff: Backoff.constant(0) }
    const stuck = async (stages: Partial<Pipeline.Stages>): Promise<number> =>
      (await resultOf(policyOf("storm", { attemptTimeout: "3 seconds", ...stages }), {
        scenario: storm
      })).stuck
    expect(await stuck({ retry: retries })).toBe(4)
    expect(await stuck({ retry: retries, budget: {} })).toBe(0)
  })

  it("S16, S17: what is not simulated as it is, is a warning that names it", async () => {
    const { warnings } = await resultOf(policyOf("warned", {
      bulkhead: Effect.runSync(Bulkhead.make({ concurrency: 5 })),
      budget: Effect.runSync(RetryBudget.make()),
      telemetry: { integration: "orders" }
    }))
    expect(warnings).toEqual([
      "telemetry is not simulated: it changes no call",
      "bulkhead is an instance: it is simulated by its options, from a fresh state",
      "budget is an instance: it is simulated by its options, from a fresh state"
    ])
  })

  it("S17: a guard that was made elsewhere is refused, and so are options that contradict", async () => {
    const made = Effect.runSync(CircuitBreaker.make())
    const elsewhere = { protect: made.protect } as CircuitBreaker.CircuitBreaker
    const messageOf = async (stages: Partial<Pipeline.Stages>) => {
      const exit = await Effect.runPromiseExit(run(policyOf("refused", stages), options))
      return Exit.isFailure(exit) ? String(Option.getOrUndefined(Cause.dieOption(exit.cause))) : ""
    }
    expect(await messageOf({ circuitBreaker: elsewhere })).toBe(
      "RangeError: circuitBreaker should be made by this library, got an instance made elsewhere"
    )
    expect(await messageOf({ attemptTimeout: "2 seconds", totalTimeout: "1 second" }))
      .toMatch(/^RangeError: attemptTimeout/)
  })

  it("a simulation of more than a thousand million events is refused before the first", async () => {
    const large = Effect.runSync(decode({
      ...json,
      duration: "90 days",
      clients: { arrivals: { _tag: "Poisson", perSecond: 1000 } }
    }))
    const error = await Effect.runPromise(Effect.flip(run(plain, { ...options, scenario: large })))
    expect(error._tag).toBe("TooLarge")
    expect(error.message)
      .toBe("The simulation would have about 2.5e+11 events, the limit is 1e+9")
  })

  it("S18: an interruption ends a simulation that has hours to go", async () => {
    const long = Effect.runSync(decode({ ...json, duration: "1 day" }))
    const program = Effect.gen(function*() {
      const fiber = yield* Effect.fork(run(plain, { ...options, scenario: long }))
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      return yield* Fiber.interrupt(fiber)
    })
    expect(Exit.isInterrupted(await Effect.runPromise(program))).toBe(true)
  })
})

describe("compare", () => {
  it("S15: differences are paired, so that a policy does not differ from itself", async () => {
    const { differences, results } = await Effect.runPromise(
      compare([plain, { ...plain, name: "again" }], options)
    )
    expect(results.map(({ policy }) => policy)).toEqual(["plain", "again"])
    for (const metric of metrics) {
      expect(differences[0]!.metrics[metric]).toEqual({ mean: 0, low: 0, high: 0, isShown: false })
    }
  })

  it("S15: a difference is shown where its interval does not hold 0", async () => {
    const { differences, results } = await Effect.runPromise(compare([plain, breaker], options))
    const { amplification } = differences[0]!.metrics
    expect(amplification.isShown).toBe(true)
    expect(amplification.high).toBeLessThan(0)
    expect(amplification.mean).toBeCloseTo(
      results[1]!.metrics.amplification.mean - results[0]!.metrics.amplification.mean,
      9
    )
  })
})
