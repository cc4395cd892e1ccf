/**
 * One line for each of twelve scenarios under each of five strategies. A change of a line is a
 * change of what the simulator says: `npx vitest run -u test/simulation/golden.test.ts` writes them
 * anew.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backoff, Operation, type Pipeline } from "effect-resilience"
import { decode, type Encoded } from "effect-resilience/Scenario"
import { type Result, run } from "effect-resilience/Simulation"

type Service = Encoded["services"][0]

const service: Service = {
  network: { _tag: "Exponential", mean: "5 millis" },
  service: { _tag: "LogNormal", p50: "40 millis", p99: "300 millis" },
  capacity: { _tag: "Workers", workers: 5, queue: 20 }
}

const scenarioOf = (
  changes: Partial<Service>,
  clients: Partial<Encoded["clients"]> = {},
  ...further: ReadonlyArray<Service>
): Encoded => ({
  duration: "36 seconds",
  clients: { processes: 2, arrivals: { _tag: "Poisson", perSecond: 40 }, ...clients },
  services: [{ ...service, ...changes }, ...further]
})

const storm = { from: "12 seconds", to: "18 seconds" } as const

const outage = (as: "refused" | "reset" | "blackHole") =>
  scenarioOf({ faults: [{ _tag: "Outage", ...storm, as }] })

const scenarios: Readonly<Record<string, Encoded>> = {
  steady: scenarioOf({}),
  spike: scenarioOf({}, { changes: [{ ...storm, times: 4 }] }),
  refused: outage("refused"),
  reset: outage("reset"),
  "black hole": outage("blackHole"),
  "brown-out": scenarioOf({
    faults: [{ _tag: "BrownOut", ...storm, latency: 4, capacity: 0.5 }]
  }),
  errors: scenarioOf({ faults: [{ _tag: "Errors", rate: 0.1, status: 503 }] }),
  bursts: scenarioOf({
    faults: [{ _tag: "Burst", good: "5 seconds", bad: "1 second", rate: 0.8 }]
  }),
  "rate limit": scenarioOf({ rateLimit: { limit: 30, interval: "1 second", burst: 10 } }),
  "slow tail": scenarioOf({
    service: { _tag: "Pareto", min: "20 millis", alpha: 1.3 },
    capacity: { _tag: "Unlimited" },
    noticesAbandonment: true
  }),
  metastable: scenarioOf({
    network: { _tag: "Exponential", mean: "100 millis" },
    service: { _tag: "Constant", value: 0 },
    capacity: { _tag: "LoadDependent", base: "1 second", slope: "10 millis" }
  }, { changes: [{ ...storm, times: 2 }] }),
  tiers: scenarioOf(
    {
      calls: [{
        service: "payments",
        policy: { operation: "read", retry: { retries: 2 }, attemptTimeout: "500 millis" }
      }]
    },
    { keys: { count: 10, skew: 1 } },
    { ...service, name: "payments", faults: [{ _tag: "Outage", ...storm, as: "503" }] }
  )
}

const retry: Pipeline.Stages = {
  operation: Operation.read,
  attemptTimeout: "3 seconds",
  retry: { retries: 2, backoff: Backoff.exponential({ base: "100 millis" }) }
}

const strategies: Readonly<Record<string, Pipeline.Stages>> = {
  "no retries": { operation: Operation.read, attemptTimeout: "3 seconds" },
  retries: retry,
  budget: { ...retry, budget: {} },
  breaker: { ...retry, circuitBreaker: { openDuration: "2 seconds" } },
  all: {
    ...retry,
    totalTimeout: "5 seconds",
    budget: {},
    hedge: { delay: "300 millis" },
    circuitBreaker: { openDuration: "2 seconds" },
    throttle: {},
    rateLimiter: { limit: 50, interval: "1 second", maxWait: "500 millis" },
    bulkhead: { concurrency: 25, queue: 10 },
    concurrency: {},
    cooldown: {}
  }
}

const lineOf = (name: string, { breaker, counts, metrics, stuck }: Result): string => {
  const figure = (value: number): string => String(Number(value.toPrecision(9)))
  const tags = Object.entries({ ...counts.failed, ...counts.rejected })
    .map(([tag, calls]) => `${tag} ${calls}`)
  return [
    name.padEnd(12),
    `ok ${counts.succeeded} of ${counts.offered}`,
    ...tags,
    `p50 ${figure(metrics.p50.mean)}`,
    `p99 ${figure(metrics.p99.mean)}`,
    `sent ${counts.attempts}`,
    `hedges ${counts.hedges}`,
    `abandoned ${counts.abandoned}`,
    `received ${Object.values(counts.received).join("+")}`,
    `peak ${figure(metrics.peakInProgress.mean)}`,
    `recovery ${figure(metrics.recoverySeconds.mean)}`,
    `stuck ${stuck}`,
    `changes ${breaker.length}`
  ].join(", ")
}

describe("golden lines", () => {
  it("S1: twelve scenarios under five strategies are as they were", async () => {
    const lines: Array<string> = []
    for (const [title, written] of Object.entries(scenarios)) {
      lines.push(`${title}`)
      const scenario = Effect.runSync(decode(written))
      for (const [name, stages] of Object.entries(strategies)) {
        const options = { scenario, seed: 42, replications: 2 }
        lines.push(`  ${lineOf(name, await Effect.runPromise(run({ name, stages }, options)))}`)
      }
    }
    expect(lines).toHaveLength(12 * 6)
    await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("golden.txt")
  }, 60_000)
})
