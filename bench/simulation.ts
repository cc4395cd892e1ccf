/**
 * Attempts that the simulator gets through in a second of CPU time, in millions, on one core.
 */
import { Effect } from "effect"
import { AdaptiveConcurrency, Backoff, Operation, Pipeline } from "effect-resilience"
import * as Scenario from "effect-resilience/Scenario"
import * as Simulation from "effect-resilience/Simulation"
import { record } from "./measure.js"

interface Row {
  readonly title: string
  /** The fewest millions of attempts in a second of CPU time. */
  readonly gate: number
  readonly stages: Pipeline.Stages
  readonly scenario: Scenario.Encoded
}

const latency = {
  network: { _tag: "Exponential", mean: "5 millis" },
  service: { _tag: "LogNormal", p50: "70 millis", p99: "300 millis" }
} as const

/** 10 000 calls a second that take 100 ms: a thousand are under way. */
const busy = (
  changes: Partial<Scenario.Encoded["services"][0]>,
  duration = "100 seconds"
): Scenario.Encoded => ({
  duration,
  clients: { arrivals: { _tag: "Poisson", perSecond: 10_000 } },
  services: [{ ...latency, ...changes }]
})

const failing = { faults: [{ _tag: "Errors", rate: 0.3, status: 503 }] } as const

const retries: Pipeline.Stages = {
  operation: Operation.read,
  attemptTimeout: "1 second",
  totalTimeout: "10 seconds",
  retry: { retries: 3, backoff: Backoff.exponential({ base: "10 millis" }) }
}

/** Calls that take a second and a half, or two thirds of one. */
const many = (perSecond: number, service: string): Scenario.Encoded => ({
  duration: "10 seconds",
  clients: {
    arrivals: { _tag: "Poisson", perSecond },
    // Those of the first second, or of five, and then no more.
    changes: [{ from: perSecond > 1e5 ? "1 second" : "5 seconds", to: "10 seconds", times: 0 }]
  },
  services: [{
    network: { _tag: "Constant", value: 0 },
    service: { _tag: "Exponential", mean: service }
  }]
})

const rows: ReadonlyArray<Row> = [
  {
    title: "standard, 10^3 pending",
    gate: 0.8,
    stages: { ...Pipeline.standard, operation: Operation.read },
    scenario: busy({})
  },
  {
    title: "retries, timeouts, 30 % failures",
    gate: 0.8,
    stages: retries,
    scenario: busy(failing)
  },
  {
    title: "all stages",
    gate: 0.6,
    stages: {
      ...retries,
      budget: { capacity: 1000, ratio: 1 },
      hedge: { delay: "300 millis" },
      circuitBreaker: { failureRate: 0.9, slowCall: false },
      throttle: {},
      rateLimiter: { limit: 100_000, interval: "1 second" },
      bulkhead: { concurrency: 5000 },
      // It never falls to where it would turn calls away.
      concurrency: { limit: AdaptiveConcurrency.aimd({ min: 5000, initial: 5000, max: 10_000 }) },
      cooldown: {}
    },
    scenario: busy(failing, "30 seconds")
  },
  {
    title: "metastable x 200",
    gate: 0.4,
    stages: {
      operation: Operation.read,
      attemptTimeout: "3 seconds",
      retry: { retries: 2, backoff: Backoff.constant(0) }
    },
    scenario: {
      duration: "100 seconds",
      clients: {
        arrivals: { _tag: "Poisson", perSecond: 8000 },
        changes: [{ from: "20 seconds", to: "25 seconds", times: 2 }]
      },
      services: [{
        network: { _tag: "Exponential", mean: "100 millis" },
        service: { _tag: "Constant", value: 0 },
        capacity: { _tag: "LoadDependent", base: "1 second", slope: "50 micros" }
      }]
    }
  },
  {
    title: "10^5 pending",
    gate: 0.25,
    stages: retries,
    scenario: many(1e5, "1 second")
  },
  {
    title: "10^6 calls at once",
    gate: 0.25,
    stages: { operation: Operation.read, retry: { retries: 3 } },
    scenario: many(1e6, "900 millis")
  }
]

const attempts = (
  row: Row
): Effect.Effect<number, Simulation.SimulationError | Scenario.InvalidScenario> =>
  Effect.gen(function*() {
    const scenario = yield* Scenario.decode(row.scenario)
    const policy = { name: row.title, stages: row.stages }
    const { counts } = yield* Simulation.run(policy, { scenario, replications: 1 })
    return counts.attempts
  })

/** Millions of attempts in a second of CPU time: the best of some rounds. */
const speed = async (row: Row, rounds: number): Promise<number> => {
  let best = 0
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage()
    const count = await Effect.runPromise(attempts(row))
    const { system, user } = process.cpuUsage(start)
    best = Math.max(best, count / (user + system))
  }
  return best
}

/** Prints each row with its gate. Returns whether all are kept. */
export const run = async (): Promise<boolean> => {
  console.log("Simulation: millions of attempts in a second of CPU time")
  let isKept = true
  for (const row of rows) {
    const found = await speed(row, 3)
    const kept = record(row.title, row.gate / found, 1)
    isKept = isKept && kept
    console.log(
      `  ${row.title.padEnd(34)} ${found.toFixed(2)}  (gate ${row.gate})${kept ? "" : "  MISSED"}`
    )
  }
  return isKept
}
