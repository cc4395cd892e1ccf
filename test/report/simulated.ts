/** Results to draw: three policies under a spike and an outage. */
import { Effect } from "effect"
import { Backoff, Operation } from "effect-resilience"
import * as Scenario from "effect-resilience/Scenario"
import * as Simulation from "effect-resilience/Simulation"

export const scenario = Effect.runSync(Scenario.decode({
  duration: "40 seconds",
  warmUp: "2 seconds",
  clients: {
    processes: 3,
    arrivals: { _tag: "Poisson", perSecond: 30 },
    changes: [{ from: "10 seconds", to: "12 seconds", times: 2 }]
  },
  services: [{
    network: { _tag: "Constant", value: "5 millis" },
    service: { _tag: "LogNormal", p50: "40 millis", p99: "300 millis" },
    capacity: { _tag: "Workers", workers: 5, queue: 30 },
    faults: [
      { _tag: "Outage", from: "15 seconds", to: "20 seconds", as: "refused" },
      { _tag: "Errors", rate: 0.02, status: 503 }
    ]
  }]
}))

const plain = {
  operation: Operation.read,
  attemptTimeout: "1 second",
  retry: { retries: 2, backoff: Backoff.constant("50 millis") }
} as const

const policies = (names: readonly [string, string, string]) =>
  [
    { name: names[0], stages: plain },
    {
      name: names[1],
      stages: { ...plain, circuitBreaker: { minimumCalls: 5, openDuration: "2 seconds" } }
    },
    { name: names[2], stages: { ...plain, telemetry: { integration: "orders" } } }
  ] as const

const options = { scenario, seed: 3, replications: 4 }

/** One result. */
export const result = (): Promise<Simulation.Result> =>
  Effect.runPromise(Simulation.run(policies(["plain", "", ""])[0], options))

/** Three, of policies with these names. */
export const comparison = (
  names: readonly [string, string, string] = ["plain", "breaker", "telemetry"]
): Promise<Simulation.Comparison> => Effect.runPromise(Simulation.compare(policies(names), options))
