import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { decode, type Scenario } from "effect-resilience/Scenario"
import { setupOf } from "../../src/simulation/scenario/setup.js"

const service = {
  network: { _tag: "Exponential", mean: "5 millis" },
  service: { _tag: "LogNormal", p50: "40 millis", p99: "300 millis" }
}

const minimal = {
  duration: "3 minutes",
  clients: { arrivals: { _tag: "Poisson", perSecond: 400 } },
  services: [service]
}

/** What is refused of a scenario: the first path and value, and one line for each mistake. */
const refusals = (json: unknown) =>
  Effect.runSync(
    Effect.flip(decode(json)).pipe(
      Effect.map(({ findings, path, value }) => ({
        path,
        value,
        lines: findings.map(({ message, path }) => `${path}: ${message}`)
      }))
    )
  )

const withService = (changes: object) => ({
  ...minimal,
  services: [{ ...service, ...changes }]
})

const withClients = (changes: object) => ({
  ...minimal,
  clients: { ...minimal.clients, ...changes }
})

const setup = (json: unknown) => Effect.runSync(Effect.map(decode(json), setupOf))

describe("scenario", () => {
  it("reads durations as people write them, and has a default for what is left out", () => {
    expect(setup(minimal)).toEqual({
      processes: 1,
      arrivals: { _tag: "Poisson", perSecond: 400 },
      changes: { fromNanos: [], factors: [] },
      network: { _tag: "Exponential", mean: 5 },
      upstream: {
        service: { _tag: "LogNormal", p50: 40, p99: 300 },
        capacity: { _tag: "Unlimited" },
        noticesAbandonment: false,
        rateLimit: undefined,
        faults: []
      },
      arrivalsEndNanos: 180e9,
      endNanos: 180e9
    })
  })

  it("reads everything that a scenario may say", () => {
    const found = setup({
      duration: "1 minute",
      warmUp: "10 seconds",
      clients: {
        processes: 20,
        arrivals: { _tag: "Closed", clients: 3, think: { _tag: "Constant", value: 100 } },
        changes: [{ from: "20 seconds", to: "25 seconds", times: 2 }]
      },
      services: [{
        name: "orders",
        network: { _tag: "Uniform", min: 1, max: 3 },
        service: { _tag: "Empirical", values: [30, "10 millis", 20] },
        capacity: { _tag: "Workers", workers: 50 },
        noticesAbandonment: true,
        deduplicatesKeys: true,
        rateLimit: { limit: 500, interval: "1 second", retryAfter: "2 seconds" },
        faults: [
          { _tag: "Outage", from: "30 seconds", to: "31 seconds", as: "blackHole" },
          { _tag: "Errors", rate: 0.01, status: 503 },
          { _tag: "Burst", good: "5 seconds", bad: "1 second", rate: 0.8 },
          { _tag: "BrownOut", from: 0, to: 1, latency: 4, capacity: 0.3 }
        ]
      }]
    })
    expect(found.processes).toBe(20)
    expect(found.arrivals).toEqual({
      _tag: "Closed",
      clients: 3,
      think: { _tag: "Constant", value: 100 }
    })
    expect(found.changes).toEqual({ fromNanos: [20e9, 25e9], factors: [2, 1] })
    expect(found.upstream).toEqual({
      service: { _tag: "Empirical", values: [10, 20, 30] },
      capacity: { _tag: "Workers", workers: 50, queue: Infinity, order: "fifo", overflow: 503 },
      noticesAbandonment: true,
      rateLimit: {
        policy: { limit: 500n, intervalNanos: 1_000_000_000n, burst: 500 },
        retryAfter: 2000
      },
      faults: [
        { _tag: "Outage", fromNanos: 30e9, toNanos: 31e9, as: "blackHole" },
        { _tag: "Errors", rate: 0.01, status: 503 },
        { _tag: "Burst", goodMillis: 5000, badMillis: 1000, rate: 0.8 },
        { _tag: "BrownOut", fromNanos: 0, toNanos: 1e6, latency: 4, capacity: 0.3 }
      ]
    })
  })

  it("reads the other distributions, capacities and arrivals", () => {
    const network = (network: object) => setup(withService({ network })).network
    expect(network({ _tag: "Pareto", min: "2 millis", alpha: 1.5 }))
      .toEqual({ _tag: "Pareto", min: 2, alpha: 1.5 })
    expect(network({ _tag: "Weibull", scale: "2 millis", shape: 0.5 }))
      .toEqual({ _tag: "Weibull", scale: 2, shape: 0.5 })
    expect(network({ _tag: "Hyper", branches: [{ weight: 1, mean: "1 second" }] }))
      .toEqual({ _tag: "Hyper", branches: [{ weight: 1, mean: 1000 }] })
    const capacity = { _tag: "LoadDependent", base: "1 second", slope: "10 millis" }
    expect(setup(withService({ capacity })).upstream.capacity)
      .toEqual({ _tag: "LoadDependent", baseMillis: 1000, slopeMillis: 10, power: 1 })
    const arrivals = { _tag: "Trace", at: ["1 second", "1 second", 1500] }
    expect(setup(withClients({ arrivals })).arrivals)
      .toEqual({ _tag: "Trace", atNanos: [1e9, 1e9, 1.5e9] })
  })

  it("names the neighbour of a mistyped key, at any depth", () => {
    expect(refusals({ ...minimal, durration: 5 }).lines[0])
      .toMatch(/^durration: is not known here; did you mean duration\?/)
    expect(refusals(withService({ rateLimt: {} })).lines[0])
      .toMatch(/^services\.0\.rateLimt: is not known here; did you mean rateLimit\?/)
    expect(refusals(withService({ network: { _tag: "Exponential", mean: 1, men: 1 } })).lines[0])
      .toMatch(/^services\.0\.network\.men: is not known here; did you mean mean\?/)
  })

  it("says path and value of what makes no sense", () => {
    const first = (json: unknown) => {
      const { lines, path, value } = refusals(json)
      expect(lines[0]?.startsWith(`${path}: `)).toBe(true)
      return [path, value]
    }
    const errors = (rate: unknown) =>
      withService({ faults: [{ _tag: "Errors", rate, status: 503 }] })
    const outage = (from: unknown, to: unknown) =>
      withService({ faults: [{ _tag: "Outage", from, to, as: "reset" }] })
    expect([
      first({ ...minimal, duration: "0 millis" }),
      first({ ...minimal, duration: "101 days" }),
      first({ ...minimal, warmUp: "3 minutes" }),
      first({ ...minimal, services: [] }).slice(0, 1),
      first(withClients({ processes: 0 })),
      first(withClients({ processes: 1.5 })),
      first(withClients({ arrivals: { _tag: "Poisson", perSecond: NaN } })),
      first(withClients({ arrivals: { _tag: "Constant", perSecond: -1 } })),
      first(withClients({ arrivals: { _tag: "Trace", at: [2, 1] } })),
      first(withClients({ changes: [{ from: 5, to: 5, times: 1 }] })),
      first(withClients({ changes: [{ from: 5, to: 6, times: -1 }] })),
      first(errors(1.5)),
      first(errors(NaN)),
      first(outage("2 seconds", "1 second")),
      first(withService({ service: { _tag: "Pareto", min: 1, alpha: 1 } })),
      first(withService({ service: { _tag: "LogNormal", p50: 40, p99: 30 } })),
      first(withService({ service: { _tag: "Uniform", min: 4, max: 3 } })),
      first(withService({ service: { _tag: "Exponential", mean: "Infinity" } })).slice(0, 1),
      first(withService({ network: { _tag: "Constant", value: -1 } })),
      first(withService({ rateLimit: { limit: 0, interval: 1 } })),
      first(withService({ faults: [{ _tag: "Errors", rate: 0, status: 200 }] }))
    ]).toEqual([
      ["duration", "0 millis"],
      ["duration", "101 days"],
      ["warmUp", "3 minutes"],
      ["services.0"],
      ["clients.processes", 0],
      ["clients.processes", 1.5],
      ["clients.arrivals.perSecond", NaN],
      ["clients.arrivals.perSecond", -1],
      ["clients.arrivals.at.1", 1],
      ["clients.changes.0.to", 5],
      ["clients.changes.0.times", -1],
      ["services.0.faults.0.rate", 1.5],
      ["services.0.faults.0.rate", NaN],
      ["services.0.faults.0.to", "1 second"],
      ["services.0.service.alpha", 1],
      ["services.0.service.p99", 30],
      ["services.0.service.max", 3],
      ["services.0.service"],
      ["services.0.network.value", -1],
      ["services.0.rateLimit.limit", 0],
      ["services.0.faults.0.status", 200]
    ])
  })

  it("refuses clients that take no time, since a rejected call takes none either", () => {
    const think = { _tag: "Constant", value: 0 }
    const arrivals = { _tag: "Closed", clients: 1, think }
    expect(refusals(withClients({ arrivals })).lines).toEqual([
      "clients.arrivals.think: should be longer than 0, as a rejected call takes no time"
    ])
    const nothing = { _tag: "Constant", value: 0 }
    expect(
      refusals({
        ...withClients({ arrivals }),
        services: [{ network: nothing, service: nothing }]
      }).lines
    ).toEqual([
      "clients.arrivals.think: should be longer than 0, as nothing else takes time"
    ])
  })

  it("reports all mistakes at once, one line for each", () => {
    const { lines } = refusals({
      duration: -1,
      clients: { arrivals: { _tag: "Poisson", perSecond: 0 }, processes: "many" },
      services: [{ ...service, faults: [{ _tag: "Errors", rate: 2, status: 503 }] }]
    })
    expect(lines.map((line) => line.slice(0, line.indexOf(":")))).toEqual([
      "duration",
      "clients.processes",
      "clients.arrivals.perSecond",
      "services.0.faults.0.rate"
    ])
    expect(lines.every((line) => !line.includes("\n"))).toBe(true)
  })

  it("has a message of these lines", () => {
    const error = Effect.runSync(Effect.flip(decode({ ...minimal, duration: "101 days" })))
    expect(error.message).toBe("duration: should be at most 100 days, got 101d")
    expect(error._tag).toBe("InvalidScenario")
  })

  it("is plain data once it is read", () => {
    const exit = Effect.runSyncExit(decode(minimal))
    expect(Exit.isSuccess(exit) && (exit.value satisfies Scenario).services[0].faults).toEqual([])
  })
})
