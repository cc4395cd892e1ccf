/**
 * The pictures of README and docs/, drawn by the simulator.
 *
 * Each shows two policies under one scenario that the package brings. The same sources give the
 * same bytes, and a test compares them with `docs/pictures`.
 *
 * Usage: `npm run pictures`.
 */
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { scenario as scenarioOf } from "../src/cli/inputs.js"
import * as Pipeline from "../src/pipeline/Pipeline.js"
import * as Report from "../src/report/Report.js"
import * as Simulation from "../src/simulation/Simulation.js"

const folder = fileURLToPath(new URL("../docs/pictures/", import.meta.url))

/** Three tries, with a limit for each. */
const plain = {
  operation: "read",
  retry: {
    retries: 2,
    backoff: { _tag: "Exponential", base: "100 millis", jitter: { _tag: "Full" } }
  },
  attemptTimeout: "3 seconds"
}

interface Picture {
  readonly chart: Report.PictureOptions["chart"]
  readonly scenario: string
  readonly policies: Readonly<Record<string, unknown>>
  readonly title: string
  readonly subtitle: string
}

const breaker = { ...plain, circuitBreaker: { openDuration: "5 seconds", slowCall: false } }

const storm = {
  scenario: "metastable",
  policies: { "plain retries": plain, "with a circuit breaker": breaker }
} as const

/** By the name of the file. */
export const pictures: Readonly<Record<string, Picture>> = {
  "storm.svg": {
    ...storm,
    chart: "goodput",
    title: "Five seconds of double load: one policy recovers, the other does not",
    subtitle:
      "Calls answered in each second, under the scenario metastable. Means of 40 replications."
  },
  "storm-requests.svg": {
    ...storm,
    chart: "attempts",
    title: "The same, seen by the upstream",
    subtitle: "Requests in each second, under the scenario metastable. Means of 40 replications."
  },
  "circuit-breaker.svg": {
    chart: "attempts",
    scenario: "brown-out",
    policies: { "plain retries": plain, "with a circuit breaker": breaker },
    title: "An upstream that is slow for 20 seconds gets little load from open circuits",
    subtitle: "Requests in each second, under the scenario brown-out. Means of 40 replications."
  },
  "retry-budget.svg": {
    chart: "attempts",
    scenario: "brown-out",
    policies: { "plain retries": plain, "with a budget of a tenth": { ...plain, budget: {} } },
    title: "A budget keeps retries from multiplying the load",
    subtitle: "Requests in each second, under the scenario brown-out. Means of 40 replications."
  },
  "hedge.svg": {
    chart: "latency",
    scenario: "slow-tail",
    policies: {
      "without hedge": { operation: "read", attemptTimeout: "10 seconds" },
      "hedge after 150 ms": {
        operation: "read",
        attemptTimeout: "10 seconds",
        hedge: { delay: "150 millis" }
      }
    },
    title: "One slow request in twenty: a hedge removes the tail",
    subtitle: "The p99 of each second, under the scenario slow-tail. Means of 40 replications."
  },
  "bulkhead.svg": {
    chart: "inProgress",
    scenario: "metastable",
    policies: {
      "plain retries": plain,
      "with a bulkhead of 100": { ...plain, bulkhead: { concurrency: 100 } }
    },
    title: "A bulkhead keeps calls from piling up",
    subtitle:
      "The most calls in progress in each second, under the scenario metastable. Means of " +
      "40 replications."
  }
}

const decode = Schema.decodeUnknownSync(Pipeline.Spec)

/** Draws a picture. */
export const draw = (
  { chart, policies, scenario, subtitle, title }: Picture
): Promise<string> =>
  Effect.gen(function*() {
    const named = yield* scenarioOf(scenario)
    const [first, ...others] = Object.entries(policies)
      .map(([name, json]) => ({ name, stages: decode(json) }))
    const found = yield* Simulation.compare([first!, ...others], {
      scenario: named.scenario,
      seed: 1000,
      replications: 40
    })
    return Report.svg(found, { scenario: named.scenario, chart, title, subtitle })
  }).pipe(
    Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)),
    Effect.runPromise
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, picture] of Object.entries(pictures)) {
    fs.writeFileSync(path.join(folder, name), await draw(picture))
    console.log(`docs/pictures/${name}`)
  }
}
