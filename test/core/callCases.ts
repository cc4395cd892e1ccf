/** Pipelines and scenarios that are rarely met by chance. */
import { Effect } from "effect"
import { Backoff, CircuitBreaker, Hedge, Operation, type Pipeline } from "effect-resilience"
import * as Scenario from "effect-resilience/Scenario"

/** What a call of the machine begins with. */
export interface Case {
  readonly stages: Pipeline.Stages
  readonly scenario: Scenario.Scenario
  readonly seed: number
}

interface Written {
  readonly stages: Pipeline.Stages
  readonly service: Scenario.Encoded["services"][0]
}

const times = (network: number, service: number): Written["service"] => ({
  network: network === 0
    ? { _tag: "Constant", value: 0 }
    : { _tag: "Exponential", mean: network },
  service: service === 0 ? { _tag: "Constant", value: 0 } : { _tag: "Exponential", mean: service }
})

const written: ReadonlyArray<Written> = [
  // The delay is rounded up to the deadline.
  {
    stages: {
      operation: Operation.read,
      retry: {
        retries: 3,
        backoff: Backoff.exponential({
          base: "1 millis",
          factor: 98.9999997,
          jitter: Backoff.none
        }),
        within: "100 millis"
      }
    },
    service: { ...times(0, 0), faults: [{ _tag: "Outage", from: 0, to: 300, as: "refused" }] }
  },
  // A hedge waits for a quantile that is known only after some calls.
  {
    stages: {
      operation: Operation.read,
      hedge: {
        delay: Hedge.quantile(0.5, { samples: 8, minimumCalls: 6, initial: "90 millis" })
      }
    },
    service: times(3, 30)
  },
  {
    stages: {
      operation: Operation.read,
      hedge: {
        delay: Hedge.quantile(0.9, { minimumCalls: 2, initial: "5 millis", atMost: "20 millis" })
      },
      budget: { capacity: 2, ratio: 0.2 }
    },
    service: times(3, 60)
  },
  // What loses a race was slow, and the circuit hears of it.
  {
    stages: {
      operation: Operation.read,
      hedge: { delay: "10 millis", hedges: 2 },
      circuitBreaker: {
        window: CircuitBreaker.count(6),
        minimumCalls: 3,
        slowCall: { duration: "25 millis", rate: 0.6 },
        openDuration: "20 millis"
      },
      rateLimiter: { limit: 4, interval: "50 millis", burst: 3, maxWait: "40 millis" }
    },
    service: times(2, 50)
  },
  // Lines inside of both time limits.
  {
    stages: {
      operation: Operation.read,
      totalTimeout: "120 millis",
      attemptTimeout: "45 millis",
      retry: { retries: 2, backoff: Backoff.constant("5 millis") },
      rateLimiter: { limit: 5, interval: "50 millis", burst: 2, maxWait: "60 millis" },
      bulkhead: { concurrency: 2, queue: 4, maxWait: "30 millis" },
      cooldown: { maxWait: "30 millis", trialTimeout: "15 millis" }
    },
    service: {
      ...times(1, 40),
      rateLimit: { limit: 3, interval: "40 millis", retryAfter: "exact" }
    }
  }
]

/** A scenario of three tenths of a second for each. */
export const byHand: ReadonlyArray<Case> = written.map(({ service, stages }, seed) => ({
  stages,
  seed,
  scenario: Effect.runSync(Scenario.decode({
    duration: 300,
    clients: { processes: 2, arrivals: { _tag: "Poisson", perSecond: 150 } },
    services: [service]
  }))
}))
