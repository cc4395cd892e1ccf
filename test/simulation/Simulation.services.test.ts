import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backoff } from "effect-resilience"
import { decode, type Scenario } from "effect-resilience/Scenario"
import { breaker, json, plain, plainest, policyOf, resultOf } from "./outage.js"

describe("operation", () => {
  it("S11: the scenario says what a second execution means, else the policy does", async () => {
    const faults = [{ _tag: "Errors", rate: 0.5, status: 503 }]
    const countsOf = async (operation?: string) => {
      const scenario = Effect.runSync(decode({
        ...json,
        clients: { ...json.clients, ...(operation === undefined ? {} : { operation }) },
        services: [{ ...json.services[0], faults }]
      }))
      const { counts } = await resultOf(plain, { scenario, replications: 1 })
      return [counts.duplicates > 0, counts.repeats > 0]
    }
    expect(await countsOf()).toEqual([false, true])
    expect(await countsOf("keyed")).toEqual([true, false])
    expect(await countsOf("idempotent")).toEqual([false, true])
    // What may have been executed is not sent again.
    expect(await countsOf("once")).toEqual([false, false])
  })
})

describe("keys", () => {
  const withKeys = (keys: object) =>
    Effect.runSync(decode({ ...json, clients: { ...json.clients, processes: 1, keys } }))

  it("guards count by key: a limit for each key admits as many more calls", async () => {
    const limited = policyOf("limited", {
      rateLimiter: { limit: 10, interval: "1 second", burst: 1, mode: "reject" }
    })
    const sent = async (count: number) =>
      (await resultOf(limited, { scenario: withKeys({ count }), replications: 1 })).counts.attempts
    const [one, five] = [await sent(1), await sent(5)]
    expect(one / 60).toBeLessThanOrEqual(10.1)
    expect(five / one).toBeGreaterThan(3.5)
    expect(five / 60).toBeLessThanOrEqual(50.5)
  })

  it("a bulkhead counts by key only where it is told to, a budget never", async () => {
    const sent = async (perKey: boolean, count: number) => {
      const bulkhead = { concurrency: 1, queue: 0, perKey }
      const policy = policyOf("bulkhead", { bulkhead })
      const { counts } = await resultOf(policy, { scenario: withKeys({ count }), replications: 1 })
      return counts.attempts
    }
    expect(await sent(false, 5)).toBe(await sent(false, 1))
    expect(await sent(true, 5) / await sent(false, 1)).toBeGreaterThan(2)
    const budgeted = policyOf("budget", {
      retry: { retries: 2, backoff: Backoff.constant(1) },
      budget: { capacity: 5, reservePerSecond: 0, ratio: 0 }
    })
    const retries = async (count: number) => {
      const scenario = withKeys({ count })
      const { counts } = await resultOf(budgeted, { scenario, replications: 1 })
      return counts.attempts - counts.offered
    }
    expect([await retries(1), await retries(5)]).toEqual([5, 5])
  })

  it("a skew makes some keys more frequent: their breakers change first and most", async () => {
    const changes = async (skew: number) => {
      const { breaker: found } = await resultOf(breaker, {
        scenario: withKeys({ count: 4, skew }),
        replications: 1
      })
      return [0, 1, 2, 3].map((key) => found.filter((each) => each.key === key).length)
    }
    const even = await changes(0)
    expect(Math.min(...even)).toBeGreaterThan(0)
    // The last of four keys is met once in 500 calls.
    const [first, , , last] = await changes(8)
    expect(first).toBeGreaterThan(0)
    expect(last).toBe(0)
  })
})

describe("services", () => {
  const network = { _tag: "Constant", value: 1 }
  const tiers = (policy: object, times: number, rate: number) =>
    Effect.runSync(decode({
      duration: "20 seconds",
      clients: { arrivals: { _tag: "Constant", perSecond: 10 } },
      services: [
        {
          name: "orders",
          network,
          service: { _tag: "Constant", value: 10 },
          calls: [{ service: "payments", policy, times }]
        },
        {
          name: "payments",
          network,
          service: { _tag: "Constant", value: 20 },
          faults: [{ _tag: "Errors", rate, status: 503 }]
        }
      ]
    }))
  const resultFor = (scenario: Scenario, policy = plainest) =>
    resultOf(policy, { scenario, replications: 1 })

  it("a service does its own work and then its calls, one after the other", async () => {
    const { counts, metrics } = await resultFor(tiers({}, 3, 0))
    // There and back 1 ms each, of a call in four; 10 ms of work and 20 ms each.
    expect(metrics.p50.mean).toBeCloseTo(2 + 10 + 3 * (2 + 20), 0)
    expect(counts.received).toEqual({ orders: 199, payments: 3 * 199 })
    expect(counts.executions).toBe(199)
  })

  it("a service whose call has failed answers 502, and makes no further one", async () => {
    const { counts } = await resultFor(tiers({}, 3, 1))
    expect(counts.failed).toEqual({ Server: 199 })
    expect(counts.received).toEqual({ orders: 199, payments: 199 })
  })

  it("retries of every tier multiply", async () => {
    const retry = { retries: 2, backoff: { _tag: "Constant", delay: 1 } }
    const thrice = policyOf("thrice", { retry: { retries: 2, backoff: Backoff.constant(1) } })
    const { counts } = await resultFor(tiers({ operation: "read", retry }, 1, 1), thrice)
    const { orders, payments } = counts.received
    expect(orders! / counts.offered).toBeCloseTo(3, 1)
    expect(payments! / orders!).toBeCloseTo(3, 1)
  })

  it("a breaker between services is theirs: it spares the one behind, and is no client's", async () => {
    const circuitBreaker = { minimumCalls: 5, openDuration: "1 minute", slowCall: false }
    const { breaker: changes, counts } = await resultFor(tiers({ circuitBreaker }, 1, 1))
    expect(counts.received["payments"]).toBeLessThan(20)
    expect(counts.received["orders"]).toBe(199)
    expect(changes).toEqual([])
  })

  it("S10: a worker is held while its service waits for another", async () => {
    const service = (workers: number) => ({
      duration: "20 seconds",
      clients: { arrivals: { _tag: "Constant", perSecond: 10 } },
      services: [
        {
          network,
          service: { _tag: "Constant", value: 0 },
          capacity: { _tag: "Workers", workers, queue: 0 },
          calls: [{ service: "slow" }]
        },
        { name: "slow", network, service: { _tag: "Constant", value: 148 } }
      ]
    })
    // 150 ms of every 100: a second worker is needed.
    const [one, two] = [
      await resultFor(Effect.runSync(decode(service(1)))),
      await resultFor(Effect.runSync(decode(service(2))))
    ]
    expect(one.metrics.failedRate.mean).toBeCloseTo(0.5, 1)
    expect(two.metrics.failedRate.mean).toBe(0)
  })

  it("S16: what is not simulated of a policy in a scenario is a warning with its path", async () => {
    const { warnings } = await resultFor(tiers({ telemetry: { integration: "orders" } }, 1, 0))
    expect(warnings).toEqual([
      "services.0.calls.0.policy: telemetry is not simulated: it changes no call"
    ])
  })
})
