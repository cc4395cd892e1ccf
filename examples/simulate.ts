/**
 * A retry storm under the simulator: `npx tsx examples/simulate.ts`
 *
 * Forty calls a second go to a server that takes longer the more it has to do. For five seconds,
 * eighty come. Two policies meet the same calls, in twenty replications: plain retries, and the
 * same with a circuit breaker. The report is written to examples/out/storm.html.
 */
import { Duration, Effect } from "effect"
import { Backoff, Operation } from "effect-resilience"
import * as Report from "effect-resilience/Report"
import * as Scenario from "effect-resilience/Scenario"
import * as Simulation from "effect-resilience/Simulation"
import * as fs from "node:fs"

const file = new URL("./out/storm.html", import.meta.url)

const plain = {
  operation: Operation.read,
  retry: { retries: 2, backoff: Backoff.exponential({ base: "100 millis" }) },
  attemptTimeout: "3 seconds"
} as const

const breaker = {
  ...plain,
  circuitBreaker: { openDuration: "5 seconds", slowCall: false }
} as const

const program = Effect.gen(function*() {
  const scenario = yield* Scenario.decode({
    duration: "2 minutes",
    clients: {
      arrivals: { _tag: "Poisson", perSecond: 40 },
      changes: [{ from: "20 seconds", to: "25 seconds", times: 2 }]
    },
    services: [{
      network: { _tag: "Exponential", mean: "100 millis" },
      service: { _tag: "Constant", value: 0 },
      capacity: { _tag: "LoadDependent", base: "1 second", slope: "10 millis" }
    }]
  })
  const found = yield* Simulation.compare([
    { name: "plain", stages: plain },
    { name: "breaker", stages: breaker }
  ], { scenario, replications: 20 })

  for (const { metrics, policy, replications, stuck } of found.results) {
    const { high, low, mean } = metrics.amplification
    console.log(
      `${policy}: ${mean.toFixed(2)} requests a call (${low.toFixed(2)} to ${high.toFixed(2)}), ` +
        `stuck in ${stuck} of ${replications}`
    )
  }
  const [difference] = found.differences
  const { isShown, mean } = difference!.metrics.failedRate
  console.log(
    isShown
      ? `under this scenario ${(-100 * mean).toFixed(0)} % more of the calls succeed with it`
      : "no difference is shown"
  )
  const first = found.results[1]!.breaker.filter(({ replication }) => replication === 0)
  for (const { atMillis, from, to } of first) {
    console.log(`  ${Duration.format(Math.round(atMillis / 100) * 100)}: ${from} to ${to}`)
  }

  fs.mkdirSync(new URL(".", file), { recursive: true })
  fs.writeFileSync(file, Report.html(found, { scenario, name: "metastable" }))
  console.log("report: examples/out/storm.html")
})

await Effect.runPromise(program)
