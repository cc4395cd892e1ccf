import { Effect } from "effect"
import * as Scenario from "effect-resilience/Scenario"
import { describe, expect, it } from "vitest"
import { assumptions, shadesOf, windowOf } from "../../src/report/assumptions.js"

const service = {
  network: { _tag: "Constant", value: "5 millis" },
  service: { _tag: "Exponential", mean: "40 millis" }
}

const written = {
  duration: "1 minute",
  clients: { arrivals: { _tag: "Poisson", perSecond: 5 } },
  services: [service]
}

const said = (
  json: object,
  changes: object = {}
): Readonly<Record<string, string>> => {
  const scenario = Effect.runSync(
    Scenario.decode({ ...written, services: [{ ...service, ...json }], ...changes })
  )
  return Object.fromEntries(assumptions(scenario).map(({ name, says }) => [name, says]))
}

const arrivals = (arrivals: object): string | undefined =>
  said({}, { clients: { arrivals } })["calls"]

describe("assumptions", () => {
  it("every distribution of time has its words", () => {
    const words = (time: object) => said({ service: time })["service time"]
    expect([
      words({ _tag: "Constant", value: "2 seconds" }),
      words({ _tag: "Uniform", min: "1 millis", max: "90 seconds" }),
      words({ _tag: "Exponential", mean: 40.25 }),
      words({ _tag: "LogNormal", p50: "40 millis", p99: "300 millis" }),
      words({ _tag: "Pareto", min: "1 millis", alpha: 1.5 }),
      words({ _tag: "Weibull", scale: "1 millis", shape: 0.5 }),
      words({ _tag: "Hyper", branches: [{ weight: 95, mean: 30 }, { weight: 5, mean: 1500 }] }),
      words({ _tag: "Empirical", values: [1, 2, 3] })
    ]).toEqual([
      "always 2 s",
      "evenly between 1 ms and 1 min 30 s",
      "exponential, 40.3 ms on average",
      "log-normal, half below 40 ms, 99 % below 300 ms",
      "Pareto, at least 1 ms, alpha 1.5",
      "Weibull, scale 1 ms, shape 0.5",
      "one of 2 exponentials, 30 ms with weight 95, 1 s 500 ms with weight 5",
      "one of 3 measured values"
    ])
  })

  it("every kind of arrivals, with keys, processes and an operation", () => {
    expect([
      arrivals({ _tag: "Poisson", perSecond: 0.5 }),
      arrivals({ _tag: "Constant", perSecond: 10 }),
      arrivals({ _tag: "Closed", clients: 1, think: { _tag: "Constant", value: "1 second" } }),
      arrivals({ _tag: "Trace", at: [1, 2] })
    ]).toEqual([
      "0.5 a second at random moments (Poisson), from 1 process",
      "10 a second at equal intervals, from 1 process",
      "1 client that waits for the answer and thinks before the next call (always 1 s), from 1 process",
      "at 2 recorded moments, from 1 process"
    ])
    const clients = {
      ...written.clients,
      processes: 3,
      operation: "once",
      keys: { count: 1000, skew: 1.1 }
    }
    expect(said({}, { clients })).toMatchObject({
      calls: "5 a second at random moments (Poisson), from 3 processes",
      operation: "once, whatever the policy says",
      keys: "1,000, that of rank n as often as 1 / n to the power of 1.1"
    })
  })

  it("every kind of capacity, limit and fault", () => {
    const capacity = (capacity: object) => said({ capacity })["capacity"]
    expect([
      capacity({ _tag: "Unlimited" }),
      capacity({ _tag: "Workers", workers: 1 }),
      capacity({ _tag: "Workers", workers: 2, queue: 9, order: "lifo", overflow: 429 }),
      capacity({ _tag: "LoadDependent", base: 1, slope: 2 }),
      capacity({ _tag: "LoadDependent", base: 1, slope: 2, power: 1.5 })
    ]).toEqual([
      "unlimited: latency does not depend on load",
      "1 worker, a queue without limit, the oldest request first",
      "2 workers, a queue of 9, and 429 beyond it, the newest request first",
      "a request takes 1 ms, and 2 ms more for each that is in progress",
      "a request takes 1 ms, and 2 ms more for each (to the power of 1.5) that is in progress"
    ])
    const limit = (changes: object) =>
      said({ rateLimit: { limit: 100, interval: "1 second", ...changes } })["rate limit"]
    expect([limit({}), limit({ burst: 5, retryAfter: "none" }), limit({ retryAfter: 500 })])
      .toEqual([
        "100 requests in 1 s, at once 100; beyond it a 429 with the exact Retry-After",
        "100 requests in 1 s, at once 5; beyond it a 429 without Retry-After",
        "100 requests in 1 s, at once 100; beyond it a 429 with Retry-After 500 ms"
      ])
    const fault = (fault: object) => said({ faults: [fault] })["fault"]
    const window = { from: "5 seconds", to: "8 seconds" }
    expect([
      fault({ _tag: "Outage", ...window, as: "blackHole" }),
      fault({ _tag: "Errors", rate: 0.015, status: 500 }),
      fault({ _tag: "Burst", good: "5 seconds", bad: "1 second", rate: 0.8 }),
      fault({ _tag: "BrownOut", ...window, latency: 4, capacity: 0.3 }),
      said({})["faults"]
    ]).toEqual([
      "outage from 5 s to 8 s: no request is answered",
      "1.5 % of the answers are a 500",
      "bursts: good for 5 s on average, then 80 % fail for 1 s on average",
      "brown-out from 5 s to 8 s: latency times 4, capacity times 0.3",
      "none"
    ])
  })

  it("of several services each has its name, in the words and in the shades", () => {
    const window = { from: "5 seconds", to: "8 seconds" }
    const scenario = Effect.runSync(Scenario.decode({
      ...written,
      services: [
        { ...service, name: "orders", calls: [{ service: "payments" }] },
        { ...service, name: "payments", faults: [{ _tag: "Outage", ...window, as: "503" }] }
      ]
    }))
    const names = assumptions(scenario).map(({ name, says }) => `${name}: ${says}`)
    expect(names).toContain("orders: calls for each request: payments, once, without guards")
    expect(names).toContain("payments: fault: outage from 5 s to 8 s: every answer is a 503")
    expect(shadesOf(scenario)).toEqual([{ from: 5, to: 8, label: "outage of payments" }])
    expect(windowOf(scenario)).toEqual({ from: 5, to: 60 })
  })

  it("without faults the figures are of the time after the warm-up", () => {
    const scenario = Effect.runSync(Scenario.decode({ ...written, warmUp: "10 seconds" }))
    expect(shadesOf(scenario)).toEqual([])
    expect(windowOf(scenario)).toEqual({ from: 10, to: 60 })
  })
})
