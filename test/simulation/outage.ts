/** A scenario with an outage, and policies that meet it. */
import { Effect } from "effect"
import { Backoff, Operation, type Pipeline } from "effect-resilience"
import { decode } from "effect-resilience/Scenario"
import { type Options, type Policy, type Result, run } from "effect-resilience/Simulation"

export const json = {
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

export const scenario = Effect.runSync(decode(json))

export const policyOf = (name: string, stages: Partial<Pipeline.Stages>): Policy => ({
  name,
  stages: { operation: Operation.read, ...stages }
})

export const plain = policyOf("plain", {
  attemptTimeout: "1 second",
  retry: { retries: 2, backoff: Backoff.constant("50 millis") }
})

export const breaker = policyOf("breaker", {
  attemptTimeout: "1 second",
  retry: { retries: 2, backoff: Backoff.constant("50 millis") },
  circuitBreaker: { openDuration: "2 seconds", slowCall: false }
})

/** Nothing but calls. */
export const plainest = policyOf("plainest", {})

export const options: Options = { scenario, seed: 7, replications: 4 }

export const resultOf = (policy: Policy, changes: Partial<Options> = {}): Promise<Result> =>
  Effect.runPromise(run(policy, { ...options, ...changes }))
