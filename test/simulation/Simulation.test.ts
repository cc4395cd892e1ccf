import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Schema } from "effect"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Operation,
  type Pipeline,
  RetryBudget
} from "effect-resilience"
import { decode, type Scenario } from "effect-resilience/Scenario"
import {
  compare,
  Comparison,
  type Options,
  type Progress,
  Result,
  run
} from "effect-resilience/Simulation"
import { metrics } from "../../src/simulation/replication.js"
import { breaker, json, options, plain, plainest, policyOf, resultOf, scenario } from "./outage.js"

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

  const errorOf = (json: object, changes: Partial<Options> = {}) =>
    Effect.runPromise(
      decode(json).pipe(
        Effect.flatMap((scenario) => run(plain, { ...options, scenario, ...changes })),
        Effect.flip
      )
    )

  it("more than a thousand million events are refused before the first", async () => {
    const arrivals = { _tag: "Poisson", perSecond: 1000 }
    const error = await errorOf({ ...json, duration: "90 days", clients: { arrivals } })
    expect(error).toMatchObject({ _tag: "TooLarge", of: "events", limit: 1e9 })
    expect(error.message)
      .toBe("The simulation would have about 2.5e+11 events, the limit is 1e+9")
  })

  it("a call that takes long in a closed loop is one call, not many", async () => {
    const think = { _tag: "Constant", value: "1 millis" }
    const slow = {
      network: { _tag: "Constant", value: 0 },
      service: { _tag: "Constant", value: 1e4 }
    }
    const closed = (service: object) => ({
      duration: "1 day",
      clients: { arrivals: { _tag: "Closed", clients: 10, think } },
      services: [{ ...slow, ...service }]
    })
    expect((await errorOf(closed({ service: { _tag: "Constant", value: 1 } })))._tag).toBe(
      "TooLarge"
    )
    const scenario = Effect.runSync(decode(closed({})))
    const { counts } = await resultOf(plainest, { scenario, replications: 1 })
    expect(counts.offered).toBeCloseTo(10 * 86_400 / 10, -3)
  })

  it("more than a gibibyte is refused before the first event: seconds, or a line without end", async () => {
    const arrivals = { _tag: "Poisson", perSecond: 0.001 }
    expect(await errorOf({ ...json, duration: "99 days", clients: { arrivals } }))
      .toMatchObject({ _tag: "TooLarge", of: "bytes", limit: 2 ** 30 })
    const overloaded = (perSecond: number) => ({
      duration: "1 hour",
      clients: { arrivals: { _tag: "Constant", perSecond } },
      services: [{ ...json.services[0], capacity: { _tag: "Workers", workers: 1 } }]
    })
    expect(await errorOf(overloaded(1000), { replications: 1 }))
      .toMatchObject({ _tag: "TooLarge", of: "bytes" })
  })

  it("warns of a load above the capacity that no queue limits", async () => {
    const scenario = (queue: object) =>
      Effect.runSync(decode({
        duration: "1 second",
        clients: { arrivals: { _tag: "Constant", perSecond: 300 } },
        services: [{
          network: { _tag: "Constant", value: 0 },
          service: { _tag: "Constant", value: 40 },
          capacity: { _tag: "Workers", workers: 10, ...queue }
        }]
      }))
    expect((await resultOf(plainest, { scenario: scenario({}) })).warnings).toEqual([
      "services.0 answers at most 250 of 300 requests a second, and its line has no limit: " +
      "latencies grow until the end"
    ])
    expect((await resultOf(plainest, { scenario: scenario({ queue: 5 }) })).warnings).toEqual([])
  })

  it("refuses a scenario that code has spoilt, with path and value", async () => {
    const [service] = scenario.services
    const spoilt = {
      ...scenario,
      services: [{ ...service, network: { _tag: "Constant", value: NaN } }]
    }
    const error = await Effect.runPromise(
      Effect.flip(run(plain, { ...options, scenario: spoilt as unknown as Scenario }))
    )
    expect(error).toMatchObject({
      _tag: "InvalidScenario",
      path: "services.0.network.value",
      value: NaN
    })
  })

  it("refuses options that make no sense", async () => {
    const messageOf = async (changes: Partial<Options>) => {
      const exit = await Effect.runPromiseExit(run(plain, { ...options, ...changes }))
      return Exit.isFailure(exit) ? String(Option.getOrUndefined(Cause.dieOption(exit.cause))) : ""
    }
    expect(await messageOf({ seed: -1 })).toMatch(/^RangeError: seed /)
    expect(await messageOf({ replications: 0 })).toMatch(/^RangeError: replications /)
    expect(await messageOf({ workers: 1.5 })).toMatch(/^RangeError: workers /)
  })

  it("tells how far it has come, and never goes back", async () => {
    const told: Array<Progress> = []
    const onProgress = (progress: Progress) => Effect.sync(() => void told.push(progress))
    await Effect.runPromise(compare([plain, breaker], { ...options, onProgress }))
    const shares = told.map(({ share }) => share)
    expect(shares).toEqual([...shares].sort((a, b) => a - b))
    expect(told.at(-1)).toEqual({ policy: "breaker", done: 4, replications: 4, share: 1 })
    expect(told.filter(({ policy }) => policy === "plain").at(-1)!.share).toBe(0.5)
    expect(new Set(told.map(({ done }) => done))).toEqual(new Set([0, 1, 2, 3, 4]))
  })

  it("decodes from the JSON that it is written as", async () => {
    const compared = await Effect.runPromise(compare([plain, breaker], options))
    const [result] = compared.results
    const read = <A>(schema: Schema.Schema<A>, value: A) =>
      Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })(
        JSON.parse(JSON.stringify(value))
      )
    expect(read(Comparison, compared)).toEqual(compared)
    expect(read(Result, result!)).toEqual(result)
  })

  it("has every change of the circuit breakers, in their order", async () => {
    const { breaker: changes } = await resultOf(breaker)
    const of = (replication: number, process: number) =>
      changes.filter((each) => each.replication === replication && each.process === process)
    for (const replication of [0, 1, 2, 3]) {
      for (const process of [0, 1]) {
        const found = of(replication, process)
        // The outage opens each breaker. It is closed again at the end, and every change follows
        // from the one before.
        expect(found[0]).toMatchObject({ from: "Closed", to: "Open" })
        expect(found[0]!.atMillis).toBeGreaterThan(20_000)
        expect(found.at(-1)).toMatchObject({ from: "HalfOpen", to: "Closed" })
        expect(found.slice(1).map(({ from }) => from)).toEqual(
          found.slice(0, -1).map(({ to }) => to)
        )
        const times = found.map(({ atMillis }) => atMillis)
        expect(times).toEqual([...times].sort((a, b) => a - b))
      }
    }
    expect((await resultOf(plain)).breaker).toEqual([])
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
