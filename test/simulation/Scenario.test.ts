import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { decode, jsonSchema, type Scenario, withPolicies } from "effect-resilience/Scenario"
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

const setup = (json: unknown) =>
  Effect.runSync(Effect.map(decode(json), (scenario) => setupOf(scenario).setup))

describe("scenario", () => {
  it("reads durations as people write them, and has a default for what is left out", () => {
    expect(setup(minimal)).toEqual({
      processes: 1,
      arrivals: { _tag: "Poisson", perSecond: 400 },
      changes: { fromNanos: [], factors: [] },
      keys: { count: 1, skew: 0 },
      services: [{
        network: { _tag: "Exponential", mean: 5 },
        upstream: {
          service: { _tag: "LogNormal", p50: 40, p99: 300 },
          capacity: { _tag: "Unlimited" },
          noticesAbandonment: false,
          rateLimit: undefined,
          faults: []
        },
        calls: []
      }],
      arrivalsEndNanos: 180e9,
      endNanos: 180e9
    })
  })

  it("has no delay of the network where none is said", () => {
    expect(setup(withService({ network: undefined })).services[0].network)
      .toEqual({ _tag: "Constant", value: 0 })
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
    expect(found.services[0].upstream).toEqual({
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
    const network = (network: object) => setup(withService({ network })).services[0].network
    expect(network({ _tag: "Pareto", min: "2 millis", alpha: 1.5 }))
      .toEqual({ _tag: "Pareto", min: 2, alpha: 1.5 })
    expect(network({ _tag: "Weibull", scale: "2 millis", shape: 0.5 }))
      .toEqual({ _tag: "Weibull", scale: 2, shape: 0.5 })
    expect(network({ _tag: "Hyper", branches: [{ weight: 1, mean: "1 second" }] }))
      .toEqual({ _tag: "Hyper", branches: [{ weight: 1, mean: 1000 }] })
    const capacity = { _tag: "LoadDependent", base: "1 second", slope: "10 millis" }
    expect(setup(withService({ capacity })).services[0].upstream.capacity)
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
      first(withService({ service: { _tag: "Exponential", mean: "Infinity" } })),
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
      ["services.0.service.mean", "Infinity"],
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

  const tiers = (
    ...services: ReadonlyArray<readonly [name: string, calls: ReadonlyArray<object>]>
  ) => ({
    ...minimal,
    services: services.map(([name, calls]) => ({ ...service, name, calls }))
  })

  it("refuses calls to services that are not there, and names that stand twice", () => {
    const unknown = tiers(["orders", [{ service: "payment" }]], ["payments", []])
    expect(refusals(unknown).lines).toEqual([
      "services.0.calls.0.service: should be the name of a service, got payment; " +
      "did you mean payments?"
    ])
    expect(refusals(tiers(["orders", []], ["orders", []])).lines).toEqual([
      "services.1.name: should be the name of one service alone, got orders"
    ])
  })

  it("refuses cycles, however long, and says how they go", () => {
    expect(refusals(tiers(["a", [{ service: "a" }]])).lines).toEqual([
      "services.0.calls.0.service: should not lead back to itself: a calls a"
    ])
    const long = tiers(
      ["a", [{ service: "b" }, { service: "c" }]],
      ["b", [{ service: "c" }]],
      ["c", [{ service: "d" }]],
      ["d", [{ service: "b" }]]
    )
    expect(refusals(long)).toMatchObject({
      path: "services.3.calls.0.service",
      value: "b",
      lines: [
        "services.3.calls.0.service: should not lead back to itself: b calls c calls d calls b"
      ]
    })
    const diamond = tiers(
      ["a", [{ service: "b" }, { service: "c" }]],
      ["b", [{ service: "d" }]],
      ["c", [{ service: "d" }]],
      ["d", []]
    )
    expect(Exit.isSuccess(Effect.runSyncExit(decode(diamond)))).toBe(true)
  })

  it("refuses what is wrong with a policy of a call, with its path in the scenario", () => {
    const policy = { retry: { retries: -1 }, atemptTimeout: "5 seconds" }
    expect(refusals(tiers(["a", [{ service: "b", policy }]], ["b", []])).lines).toEqual([
      expect.stringMatching(
        /^services\.0\.calls\.0\.policy\.atemptTimeout: is not known here; did you mean attemptTimeout\?/
      ),
      "services.0.calls.0.policy.retry.retries: should be a whole number of at least 0, got -1"
    ])
  })

  it("reads policies that a scenario calls by name, each once", async () => {
    const asked: Array<string> = []
    const read = (name: string) =>
      Effect.sync(() => {
        asked.push(name)
        return { retry: { retries: 1 } }
      })
    const named = tiers(
      ["a", [{ service: "b", policy: "b.json" }, { service: "c", policy: "b.json" }]],
      ["b", [{ service: "c", policy: { retry: { retries: 2 } } }]],
      ["c", []]
    )
    const found = Effect.runSync(Effect.flatMap(withPolicies(named, read), decode))
    expect(asked).toEqual(["b.json"])
    expect(found.services.map(({ calls }) => calls.map(({ policy }) => policy))).toEqual([
      [{ retry: { retries: 1 } }, { retry: { retries: 1 } }],
      [{ retry: { retries: 2 } }],
      []
    ])
    // Anything else is left for `decode` to refuse.
    expect(Effect.runSync(withPolicies({ services: "none" }, read))).toEqual({ services: "none" })
    expect(Effect.runSync(withPolicies(null, read))).toBe(null)
  })

  it("refuses a file that is empty, or no scenario", () => {
    for (const empty of [undefined, null, "", {}, []]) {
      expect(refusals(empty).lines.length).toBeGreaterThan(0)
    }
    expect(refusals(null).lines).toEqual([": should be a scenario, got null"])
  })

  it("refuses values of another form in words, without the notation of types", () => {
    expect(refusals({ ...minimal, services: service }).lines[0]).toMatch(
      /^services: should be a list that is not empty, got \{/
    )
    expect(refusals(withService({ network: "5 millis" })).lines).toEqual([
      "services.0.network: should be an object with the _tag Constant, Uniform, Exponential, " +
      "LogNormal, Pareto, Weibull, Hyper or Empirical, got \"5 millis\""
    ])
    expect(refusals(withService({ faults: {} })).lines).toEqual([
      "services.0.faults: should be a list, got {}"
    ])
  })

  it("describes its written form to editors", () => {
    const { properties, required } = jsonSchema() as unknown as {
      readonly properties: Readonly<Record<string, unknown>>
      readonly required: ReadonlyArray<string>
    }
    expect(Object.keys(properties)).toEqual(["duration", "warmUp", "clients", "services"])
    expect(required).toEqual(["duration", "clients", "services"])
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
